"""Finds a container engine, or installs and starts Debian's Docker where none runs.

An engine that already answers is used as it is. One that this module starts gets the runc stand-in
(cluster/go/runc-nosysres) where the machine lacks CAP_SYS_RESOURCE.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

from squeeze_cluster import gobuild, paths, shell, waiting
from squeeze_cluster.errors import ClusterError

PACKAGES = ("docker.io", "iptables")
DAEMON_CONFIG = Path("/etc/docker/daemon.json")
# Each pid file, and the program that it must name: dockerd trusts any process that has its number.
PID_FILES = {
    Path("/var/run/docker.pid"): "dockerd",
    Path("/var/run/docker/containerd/containerd.pid"): "containerd",
}
START_SECONDS = 60
_CAP_SYS_RESOURCE = 24
_STAND_IN = "nosysres"


def running() -> bool:
    """Whether an engine answers to the docker command line."""
    return shell.succeeds("docker", "info", timeout=20)


def ensure() -> str:
    """Make sure that an engine runs; returns a line that says which and how it came to run."""
    if running():
        return f"Docker {_version()} was already running"
    _require_root()
    if not shutil.which("dockerd"):
        apt_install(*PACKAGES)
    _start()
    return f"Docker {_version()} started"


def apt_install(*packages: str) -> None:
    """Install Debian or Ubuntu packages; needs root."""
    _require_root()
    if not shutil.which("apt-get"):
        raise ClusterError(
            f"this machine has no apt-get: install {', '.join(packages)} yourself, then run again"
        )
    environment = {"DEBIAN_FRONTEND": "noninteractive"}
    shell.run("apt-get", "update", "-qq", env=environment)
    shell.run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages, env=environment)


def lacks_sys_resource(status: str | None = None) -> bool:
    """Whether this process may never hold CAP_SYS_RESOURCE (see capabilities(7), the bounding set)."""
    text = status if status is not None else Path("/proc/self/status").read_text()
    bounding = next(line.split()[1] for line in text.splitlines() if line.startswith("CapBnd:"))
    return not int(bounding, 16) >> _CAP_SYS_RESOURCE & 1


def _require_root() -> None:
    if os.geteuid() != 0:
        raise ClusterError(
            "no container engine runs and starting one needs root: run it with sudo, or start Docker"
        )


def _version() -> str:
    return shell.run("docker", "version", "--format", "{{.Server.Version}}").strip()


def _start() -> None:
    _configure()
    if Path("/run/systemd/system").exists():
        shell.run("systemctl", "start", "docker")
        waiting.until(running, START_SECONDS, "Docker did not answer: see journalctl -u docker")
    else:
        _await_answer(_spawn())


def _await_answer(daemon: subprocess.Popen[bytes]) -> None:
    waiting.until(
        lambda: running() or daemon.poll() is not None,
        START_SECONDS,
        f"Docker did not answer: see {_engine_log()}",
    )
    if daemon.poll() is not None:
        last = _engine_log().read_text(errors="replace").rstrip().rpartition("\n")[2]
        raise ClusterError(f"Docker did not start: {last} (more in {_engine_log()})")


def _forget_stale_pids() -> None:
    """Remove what a killed engine left behind: by now its numbers may be those of other programs."""
    for file, program in PID_FILES.items():
        if file.exists() and _program(file.read_text().strip()) != program:
            file.unlink()


def _program(pid: str) -> str | None:
    try:
        return Path("/proc", pid, "comm").read_text().strip()
    except FileNotFoundError:
        return None


def _spawn() -> subprocess.Popen[bytes]:
    """Start dockerd apart from this process, so that it outlives `make up`."""
    _forget_stale_pids()
    with _engine_log().open("ab") as log:
        return subprocess.Popen(
            ["dockerd"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )


def _engine_log() -> Path:
    return paths.cache_dir("logs") / "dockerd.log"


def _configure() -> None:
    """Put the runc stand-in in place where it is needed; another default runtime is somebody's choice."""
    if not lacks_sys_resource():
        return
    config = json.loads(DAEMON_CONFIG.read_text()) if DAEMON_CONFIG.exists() else {}
    if config.get("default-runtime", _STAND_IN) != _STAND_IN:
        return
    # Written again each time: the cache may have moved since.
    runtime = paths.cache_dir("engine") / "runc-nosysres"
    shutil.copy(gobuild.build("runc-nosysres"), runtime)
    runtimes = config.get("runtimes", {}) | {_STAND_IN: {"path": str(runtime)}}
    config |= {"runtimes": runtimes, "default-runtime": _STAND_IN}
    DAEMON_CONFIG.parent.mkdir(parents=True, exist_ok=True)
    DAEMON_CONFIG.write_text(json.dumps(config, indent=2) + "\n")
