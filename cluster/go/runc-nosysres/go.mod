module squeezeserve.io/cluster/runc-nosysres

go 1.24.0
