"""Thread count from cgroup files of both versions, against a copy of the file tree."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from squeeze_predictor.quota import cpu_quota, usable_cpus


def tree(root: Path, files: dict[str, str]) -> tuple[Path, Path]:
    """A cgroup root and a /proc/self/cgroup below `root`."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    membership = root / "membership"
    membership.touch()
    return root, membership


@pytest.mark.parametrize(
    ("text", "quota"),
    [
        ("max 100000\n", None),
        ("50000 100000\n", 0.5),
        ("250000 100000\n", 2.5),
        ("garbage\n", None),
        ("", None),
    ],
)
def test_version_2(tmp_path: Path, text: str, quota: float | None) -> None:
    assert cpu_quota(*tree(tmp_path, {"cpu.max": text})) == quota


@pytest.mark.parametrize(("micros", "quota"), [("-1", None), ("150000", 1.5)])
def test_version_1(tmp_path: Path, micros: str, quota: float | None) -> None:
    files = {"cpu/cpu.cfs_quota_us": micros, "cpu/cpu.cfs_period_us": "100000"}
    assert cpu_quota(*tree(tmp_path, files)) == quota


def test_tightest_ancestor_counts(tmp_path: Path) -> None:
    files = {
        "membership": "0::/kubepods/pod1/container\n",
        "kubepods/cpu.max": "800000 100000",
        "kubepods/pod1/cpu.max": "200000 100000",
        "kubepods/pod1/container/cpu.max": "max 100000",
    }
    assert cpu_quota(*tree(tmp_path, files)) == 2.0


def test_version_1_reads_the_group_of_its_controller_only(tmp_path: Path) -> None:
    files = {
        "membership": "4:memory:/other\n3:cpu,cpuacct:/pod\n",
        "cpu,cpuacct/pod/cpu.cfs_quota_us": "300000",
        "cpu,cpuacct/pod/cpu.cfs_period_us": "100000",
        "memory/other/cpu.max": "100000 100000",
    }
    assert cpu_quota(*tree(tmp_path, files)) == 3.0


def test_membership_cannot_leave_the_root(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (tmp_path / "cpu.max").write_text("100000 100000")
    assert cpu_quota(*tree(root, {"membership": "0::/../..\n"})) is None


def test_threads_are_rounded_down_but_never_below_one(tmp_path: Path) -> None:
    assert usable_cpus(*tree(tmp_path / "a", {"cpu.max": "50000 100000"})) == 1
    affinity = len(os.sched_getaffinity(0))
    assert usable_cpus(*tree(tmp_path / "b", {"cpu.max": "250000 100000"})) == min(2, affinity)
    assert usable_cpus(*tree(tmp_path / "c", {"cpu.max": "max 100000"})) == affinity
    assert usable_cpus(*tree(tmp_path / "d", {"cpu.max": "99900000 100000"})) == affinity
