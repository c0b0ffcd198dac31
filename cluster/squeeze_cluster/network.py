"""The pod network of the kind cluster, and the wall around it.

Pods get addresses by ptp and host-local from each node's podCIDR, and a route on each node leads to the
pods of the others. Before any node starts, the host rejects all that the nodes would send off the
machine: a new ClusterIP has no rule for a moment, and a packet for it would otherwise leave by the
default route and might be answered by a stranger.
"""

import ipaddress
import json

from squeeze_cluster import engine, kubectl, shell
from squeeze_cluster.settings import KIND_NETWORK

_CONFLIST = "/etc/cni/net.d/10-squeezeserve.conflist"


def ensure_network() -> None:
    """Make kind's Docker network and keep its traffic on this machine."""
    if not shell.succeeds("docker", "network", "inspect", KIND_NETWORK):
        options = ("--driver", "bridge", "--opt", "com.docker.network.driver.mtu=1500")
        shell.run("docker", "network", "create", *options, KIND_NETWORK)
    if not shell.succeeds("iptables", "--version"):
        engine.apt_install("iptables")
    rule = ("-i", bridge(), "!", "-o", bridge(), "-j", "REJECT")
    if not shell.succeeds("iptables", "-C", "DOCKER-USER", *rule):
        shell.run("iptables", "-I", "DOCKER-USER", *rule)


def remove() -> None:
    """Take the host's rule away, and the Docker network if no other container is on it."""
    if not shell.succeeds("docker", "network", "inspect", KIND_NETWORK):
        return
    rule = ("-i", bridge(), "!", "-o", bridge(), "-j", "REJECT")
    while shell.succeeds("iptables", "-D", "DOCKER-USER", *rule):
        pass
    shell.succeeds("docker", "network", "rm", KIND_NETWORK)


def bridge() -> str:
    """The host's network interface of kind's Docker network."""
    identity = shell.run("docker", "network", "inspect", "--format", "{{.Id}}", KIND_NETWORK).strip()
    return f"br-{identity[:12]}"


def connect_pods() -> None:
    """Give every node its pod network and the routes to the others (lost when a node restarts)."""
    nodes = kubectl.items("nodes")
    ranges = {node["metadata"]["name"]: (node["spec"]["podCIDR"], _address(node)) for node in nodes}
    for name, (cidr, _) in ranges.items():
        commands = [f"cat > {_CONFLIST}.new && mv {_CONFLIST}.new {_CONFLIST}"]
        commands += [
            f"ip route replace {far} via {ip}" for other, (far, ip) in ranges.items() if other != name
        ]
        masquerade = f"POSTROUTING -s {cidr} ! -d {_cluster_range(cidr)} -j MASQUERADE"
        commands.append(f"iptables -t nat -C {masquerade} 2>/dev/null || iptables -t nat -A {masquerade}")
        shell.run("docker", "exec", "-i", name, "sh", "-ec", "\n".join(commands), stdin=conflist(cidr))


def conflist(cidr: str) -> str:
    """The CNI configuration of a node whose pods live in `cidr`."""
    ranges = [[{"subnet": cidr}]]
    ipam = {
        "type": "host-local",
        "dataDir": "/run/cni-ipam",
        "ranges": ranges,
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    plugins = [
        {"type": "ptp", "ipMasq": False, "mtu": 1500, "ipam": ipam},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    return json.dumps({"cniVersion": "0.4.0", "name": "pods", "plugins": plugins}, indent=1)


def _cluster_range(cidr: str) -> str:
    return str(ipaddress.ip_network(cidr).supernet(new_prefix=16))


def _address(node: kubectl.Object) -> str:
    """The node's address now: its status still tells the old one for a while after a restart."""
    template = f'{{{{(index .NetworkSettings.Networks "{KIND_NETWORK}").IPAddress}}}}'
    return shell.run("docker", "inspect", "--format", template, node["metadata"]["name"]).strip()
