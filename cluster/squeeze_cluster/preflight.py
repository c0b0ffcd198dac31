"""Looks at the machine before anything is changed on it; each problem says what to do."""

import math
import os
import shutil
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from squeeze_cluster import paths, shell
from squeeze_cluster.errors import ClusterError
from squeeze_cluster.settings import Settings

DISK_GIB = 25
DISK_AIRGAP_GIB = 35
"""Measured: caches of 20 GB and images of 13 GB after a first run that built everything."""
DISK_AGAIN_GIB = 8
"""Once everything is in the caches, as after a reboot."""
MEMORY_GIB = 7
PYTHON = (3, 11)
_GIB = 1024**3


@dataclass(frozen=True)
class Machine:
    """What the checks need to know of a machine."""

    python: tuple[int, int]
    disk_free_gib: float
    disk_needed_gib: int
    memory_gib: float
    busy_ports: tuple[int, ...]
    root: bool


def problems(machine: Machine) -> list[str]:
    """Everything that would stop `make up`, as sentences that say what to change."""
    found = []
    if machine.python < PYTHON:
        found.append(f"Python {'.'.join(map(str, machine.python))} is too old: install Python 3.11 or newer")
    if machine.disk_free_gib < machine.disk_needed_gib:
        found.append(
            f"{machine.disk_free_gib:.0f} GiB of disk are free below {paths.CACHE}, "
            f"{machine.disk_needed_gib} are needed:"
            " free some, or point SQUEEZESERVE_CACHE at a larger disk"
        )
    if machine.memory_gib < MEMORY_GIB:
        found.append(f"the machine has {machine.memory_gib:.1f} GiB of memory, {MEMORY_GIB} GiB are needed")
    for port in machine.busy_ports:
        found.append(
            f"port {port} on 127.0.0.1 is taken by another program: stop it,"
            " or choose another with GATEWAY_PORT= (8080) or REGISTRY_PORT= (5001)"
        )
    if not machine.root:
        found.append(
            "the container engine and the firewall rule around the nodes need root: use `sudo make up`"
        )
    return found


def check(settings: Settings, *, ours: bool) -> None:
    """Raise ClusterError with every problem of this machine (`ours`: this cluster has the ports and disk)."""
    found = problems(_look(settings, ours))
    if found:
        raise ClusterError("this machine is not ready:\n" + "\n".join(f"  - {problem}" for problem in found))


def remember() -> None:
    """Note that everything is in the caches, so that the next run needs less disk."""
    _complete().touch()


def _complete() -> Path:
    return paths.CACHE / "complete"


def _disk_needed(settings: Settings) -> int:
    if _complete().exists():
        return DISK_AGAIN_GIB
    return DISK_AIRGAP_GIB if settings.airgap else DISK_GIB


def _look(settings: Settings, ours: bool) -> Machine:
    folder = next(path for path in (paths.CACHE, *paths.CACHE.parents) if path.exists())
    free = math.inf if ours else shutil.disk_usage(folder).free / _GIB
    ports = () if ours else (settings.gateway_port, settings.registry_port)
    return Machine(
        python=sys.version_info[:2],
        disk_free_gib=free,
        disk_needed_gib=_disk_needed(settings),
        memory_gib=_memory_gib(Path("/proc/meminfo").read_text()),
        busy_ports=tuple(port for port in ports if _busy(port)),
        root=os.geteuid() == 0,
    )


def _memory_gib(meminfo: str) -> float:
    line = next(line for line in meminfo.splitlines() if line.startswith("MemTotal:"))
    return int(line.split()[1]) * 1024 / _GIB


def _busy(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            shell.log(f"port {port}: {error}")
            return True
    return False
