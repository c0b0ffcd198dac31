"""Environments and processes of the contestants: installed once, pinned to cores, ended for certain."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

REPO = Path(__file__).parents[1]
CACHE = Path(os.environ.get("SQUEEZESERVE_CACHE") or Path.home() / ".cache" / "squeezeserve") / "bench"
COMMON = REPO / "bench" / "requirements" / "common.txt"


def environment(requirements: str | None) -> Path:
    """The Python of an environment with these requirements, installed the first time."""
    if requirements is None:
        return Path(sys.executable)
    file = COMMON.with_name(f"{requirements}.txt")
    key = hashlib.sha256(file.read_bytes() + COMMON.read_bytes()).hexdigest()[:12]
    folder = CACHE / f"{requirements}-{key}"
    if not (folder / "complete").exists():
        uv = [sys.executable, "-m", "uv"]
        subprocess.run([*uv, "venv", "--clear", "-q", "-p", sys.executable, folder], check=True)
        python = folder / "bin" / "python"
        subprocess.run([*uv, "pip", "install", "-q", "-p", python, "-r", file], check=True)
        (folder / "complete").touch()
    return folder / "bin" / "python"


def pinned(cores: Sequence[int], command: Sequence[str | Path]) -> list[str]:
    """The command, on these cores only."""
    return ["taskset", "-c", ",".join(map(str, cores)), *map(str, command)]


def variables(more: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that imports this project, with `more`."""
    paths = os.pathsep.join([str(REPO), str(REPO / "predictor")])
    return {**os.environ, "PYTHONPATH": paths, **more}


def threads(count: int) -> dict[str, str]:
    """Every library's thread count."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return dict.fromkeys(names, str(count))


def free_port() -> int:
    """A port of 127.0.0.1 that nobody had a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as chosen:
        port: int = chosen.getsockname()[1]
    return port


@contextmanager
def running(command: Sequence[str], more: Mapping[str, str], log: Path) -> Iterator[psutil.Process]:
    """A process with all that it starts; every one of them is ended afterwards."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=variables(more), cwd=REPO, stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield psutil.Process(process.pid)
    finally:
        family = _family(process.pid)
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for child in family:
            if child.is_running():
                child.kill()


def end_all_on_sigterm() -> None:
    """Makes SIGTERM an exception as Ctrl-C is, so that whatever is `running` is ended with this process."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))


def cpu_seconds(process: psutil.Process) -> float:
    """CPU time of a process and its children, so far."""
    return _total(process, lambda one: sum(one.cpu_times()[:2]))


def resident_mb(process: psutil.Process) -> float:
    """Memory of a process and its children in MB, with shared pages counted once (PSS)."""
    return _total(process, lambda one: one.memory_full_info().pss) / 1e6


def _total(process: psutil.Process, figure: Callable[[psutil.Process], float]) -> float:
    """A figure's sum over a process and its children; one that ends meanwhile counts nothing."""
    total = 0.0
    for one in _family(process.pid):
        with suppress(psutil.NoSuchProcess):
            total += figure(one)
    return total


def _family(pid: int) -> list[psutil.Process]:
    """A process, all that it has started, and what is left of its session where it has ended itself."""
    alive = {one.pid: one for one in psutil.process_iter(["status"]) if one.info["status"] != "zombie"}
    family = {one for one in alive.values() if _session(one.pid) == pid}
    if pid in alive:
        with suppress(psutil.NoSuchProcess):
            family |= {alive[pid], *alive[pid].children(recursive=True)}
    return list(family)


def _session(pid: int) -> int | None:
    with suppress(ProcessLookupError):
        return os.getsid(pid)
    return None
