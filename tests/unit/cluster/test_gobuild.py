"""Pins of the Go modules, and a real build through the cache."""

from pathlib import Path

import pytest
from squeeze_cluster import gobuild, paths


@pytest.mark.parametrize("module", sorted({binary.module for binary in gobuild.BINARIES.values()}))
def test_every_module_folder_is_pinned(module: str) -> None:
    folder = gobuild.MODULES / module
    assert (folder / "go.mod").exists()
    if module not in {"pause", "runc-nosysres", "registry"}:
        assert (folder / "go.sum").read_text().count(" h1:") > 10
        assert gobuild.module_version(module).startswith("v")


def test_kubernetes_reports_its_own_version() -> None:
    flags = gobuild._ldflags("kubernetes")
    version = gobuild.module_version("kubernetes")
    assert f"-X k8s.io/component-base/version.gitVersion={version}" in flags
    assert f"-X k8s.io/client-go/pkg/version.gitMinor={version.split('.')[1]}" in flags


def test_a_changed_pin_changes_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = gobuild.binary_key("pause")
    folder = tmp_path / "pause"
    folder.mkdir()
    for file in (gobuild.MODULES / "pause").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    monkeypatch.setattr(gobuild, "MODULES", tmp_path)
    assert gobuild.binary_key("pause") == before
    (folder / "main.go").write_text((folder / "main.go").read_text() + "\n")
    assert gobuild.binary_key("pause") != before


def test_a_build_is_kept_and_static() -> None:
    program = gobuild.build("pause")
    made = program.stat().st_mtime_ns
    assert gobuild.build("pause").stat().st_mtime_ns == made
    assert program.is_relative_to(paths.CACHE)
    assert b"/ld-linux" not in program.read_bytes()


def test_numbers_compare_as_versions() -> None:
    assert gobuild._numbers("go1.26.8") > gobuild._numbers("1.25.10")
