"""How many CPUs this process may use: the cgroup quota and the affinity mask, not the host's core count.

A pod limited to one CPU on a 64-core node must not start 64 threads: the kernel would stop them all for
most of every period. Only reads files; sets nothing.
"""

from __future__ import annotations

import os
from pathlib import Path

CGROUP_ROOT = Path("/sys/fs/cgroup")
PROC_CGROUP = Path("/proc/self/cgroup")


def usable_cpus(root: Path = CGROUP_ROOT, membership: Path = PROC_CGROUP) -> int:
    """Whole CPUs this process can keep busy without being throttled; at least 1.

    The quota is rounded down: 2500m gives 2 threads, 500m gives 1.
    """
    available = len(os.sched_getaffinity(0))
    quota = cpu_quota(root, membership)
    return available if quota is None else max(1, min(available, int(quota)))


def cpus() -> float:
    """CPUs' worth of time that this process may use, in parts of one too."""
    available = len(os.sched_getaffinity(0))
    quota = cpu_quota()
    return available if quota is None else min(available, quota)


def cpu_quota(root: Path = CGROUP_ROOT, membership: Path = PROC_CGROUP) -> float | None:
    """The tightest CPU quota, in CPUs, among this process's cgroup and its ancestors; None if unlimited."""
    quotas = [
        quota
        for path in _cgroup_folders(root, membership)
        if (quota := _quota_v2(path) or _quota_v1(path)) is not None
    ]
    return min(quotas, default=None)


def _cgroup_folders(root: Path, membership: Path) -> list[Path]:
    """Folders that may hold a quota: v2 below `root`, v1 below its cpu controller, each with ancestors."""
    folders = [root]
    for line in _lines(membership):
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers and "cpu" not in controllers.split(","):
            continue
        mounts = [root / controllers, root / "cpu"] if controllers else [root]
        for mount in mounts:
            steps = [step for step in path.split("/") if step not in {"", ".", ".."}]
            folders += [mount.joinpath(*steps[:depth]) for depth in range(len(steps) + 1)]
    folders += [root / "cpu", root / "cpu,cpuacct"]
    return list(dict.fromkeys(folders))


def _quota_v2(folder: Path) -> float | None:
    words = " ".join(_lines(folder / "cpu.max")).split()
    if len(words) != 2 or words[0] == "max":
        return None
    return _ratio(words[0], words[1])


def _quota_v1(folder: Path) -> float | None:
    quota = _lines(folder / "cpu.cfs_quota_us")
    period = _lines(folder / "cpu.cfs_period_us")
    return _ratio(quota[0], period[0]) if quota and period else None


def _ratio(quota: str, period: str) -> float | None:
    try:
        quota_us, period_us = int(quota), int(period)
    except ValueError:
        return None
    # v1 writes -1 for "no limit".
    return quota_us / period_us if quota_us > 0 and period_us > 0 else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
