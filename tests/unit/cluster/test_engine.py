"""How Docker is configured where the runc stand-in is needed, and started after one that was killed."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from squeeze_cluster import engine, gobuild, paths
from squeeze_cluster.errors import ClusterError


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration file, on a machine without CAP_SYS_RESOURCE."""
    program = tmp_path / "built"
    program.write_text("runc")
    monkeypatch.setattr(engine, "DAEMON_CONFIG", tmp_path / "etc" / "daemon.json")
    monkeypatch.setattr(engine, "lacks_sys_resource", lambda: True)
    monkeypatch.setattr(gobuild, "build", lambda _: program)
    monkeypatch.setattr(paths, "CACHE", tmp_path / "cache")
    return engine.DAEMON_CONFIG


def after(path: Path, before: dict[str, Any] | None) -> dict[str, Any]:
    if before is not None:
        path.parent.mkdir()
        path.write_text(json.dumps(before))
    engine._configure()
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_the_stand_in_becomes_the_default(configured: Path) -> None:
    found = after(configured, {"data-root": "/data"})
    assert (found["data-root"], found["default-runtime"]) == ("/data", "nosysres")
    assert Path(found["runtimes"]["nosysres"]["path"]).read_text() == "runc"


def test_a_stand_in_of_a_cache_that_has_moved_is_replaced(configured: Path) -> None:
    old = {"runtimes": {"nosysres": {"path": "/gone"}, "kata": {"path": "/kata"}}}
    found = after(configured, {**old, "default-runtime": "nosysres"})
    assert found["runtimes"]["kata"] == {"path": "/kata"}
    assert Path(found["runtimes"]["nosysres"]["path"]).exists()


def test_another_default_runtime_is_left_alone(configured: Path) -> None:
    before = {"default-runtime": "nvidia"}
    assert after(configured, before) == before


def test_nothing_is_written_where_nothing_is_missing(
    configured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "lacks_sys_resource", lambda: False)
    engine._configure()
    assert not configured.exists()


@pytest.mark.parametrize("number", [str(os.getpid()), "4194305", ""], ids=["reused", "gone", "empty"])
def test_a_pid_file_that_names_no_engine_is_removed(
    number: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "containerd.pid"
    file.write_text(number)
    monkeypatch.setattr(engine, "PID_FILES", {file: "containerd"})
    engine._forget_stale_pids()
    assert not file.exists()


def test_the_pid_file_of_a_program_that_runs_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "containerd.pid"
    file.write_text(f"{os.getpid()}\n")
    program = Path("/proc/self/comm").read_text().strip()
    monkeypatch.setattr(engine, "PID_FILES", {file: program, tmp_path / "missing.pid": "dockerd"})
    engine._forget_stale_pids()
    assert file.exists()


def test_an_engine_that_ends_at_once_is_told_with_its_last_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "CACHE", tmp_path)
    monkeypatch.setattr(engine, "running", lambda: False)
    script = "echo starting; echo failed to start containerd"
    with engine._engine_log().open("wb") as log:
        daemon = subprocess.Popen(["sh", "-c", script], stdout=log)
    with pytest.raises(ClusterError, match=r"did not start: failed to start containerd \(more in"):
        engine._await_answer(daemon)
