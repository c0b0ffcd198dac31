"""How Docker is configured where the runc stand-in is needed."""

import json
from pathlib import Path
from typing import Any

import pytest
from squeeze_cluster import engine, gobuild, paths


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
