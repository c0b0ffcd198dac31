"""The command line of the cluster tools: up, down, trainer, status and the paths of built programs."""

import argparse
import sys

from squeeze_cluster import kubectl, paths, stages, training, up
from squeeze_cluster.binaries import ensure_binary
from squeeze_cluster.errors import ClusterError
from squeeze_cluster.gobuild import BINARIES
from squeeze_cluster.settings import Settings


def main() -> int:
    """Run one command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="squeeze-cluster", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="bring up the cluster with the platform on it; run it again to mend it")
    commands.add_parser("down", help="remove the cluster; caches stay")
    commands.add_parser("trainer", help="add what trainings need: the trainer's image and an object store")
    commands.add_parser("status", help="show the cluster's nodes, pods, models and trainings")
    binary = commands.add_parser("binary", help="print the path of a program, building it if needed")
    binary.add_argument("name", choices=sorted(BINARIES))
    arguments = parser.parse_args()
    if arguments.command == "binary":
        print(ensure_binary(arguments.name))
        return 0
    if arguments.command == "status":
        return _status()
    return _staged(arguments.command)


def _staged(command: str) -> int:
    shown = stages.Stages(command)
    try:
        if command == "up":
            up.up(Settings(), shown)
        elif command == "trainer":
            training.prepare(Settings(), shown)
        else:
            up.down(shown)
    except (ClusterError, ValueError) as error:
        return stages.fail(ClusterError(str(error)), shown.log_file, f"make {command}")
    except KeyboardInterrupt:
        return stages.fail(ClusterError("interrupted"), shown.log_file, f"make {command}")
    return 0


def _status() -> int:
    if not kubectl.reachable():
        print("the cluster does not answer: make up", file=sys.stderr)
        return 1
    print(f"KUBECONFIG={paths.KUBECONFIG}\n")
    print(kubectl.kubectl("get", "nodes"))
    print(kubectl.kubectl("get", "pods", "--all-namespaces"))
    for kind in ("squeezemodels", "squeezetrainings"):
        if kubectl.exists("crd", f"{kind}.squeezeserve.io"):
            # With the message, which says what to do.
            print(kubectl.kubectl("get", kind, "--all-namespaces", "--output", "wide"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
