"""Pins of the Go modules, and a real build through the cache."""

import re
from pathlib import Path

import pytest
from squeeze_cluster import gobuild, paths


@pytest.mark.parametrize("module", sorted({binary.module for binary in gobuild.BINARIES.values()}))
def test_every_module_folder_is_pinned(module: str) -> None:
    folder = gobuild.MODULES / module
    assert (folder / "go.mod").exists()
    ours = any(
        binary.package.startswith("squeezeserve.io/")
        for binary in gobuild.BINARIES.values()
        if binary.module == module
    )
    if not ours:
        assert (folder / "go.sum").read_text().count(" h1:") > 10
        assert gobuild.module_version(module).startswith("v")


@pytest.mark.parametrize(
    ("module", "like"), [("helm", "envoy-gateway"), ("metrics-server", "kserve"), ("coredns", "kserve")]
)
def test_programs_that_can_share_their_libraries_do(module: str, like: str) -> None:
    """Equal versions are compiled once: each of these would otherwise take minutes more."""

    def kubernetes_libraries(name: str) -> dict[str, str]:
        text = (gobuild.MODULES / name / "go.mod").read_text()
        pins = re.findall(r"^\t(k8s\.io/(?:api|apimachinery|client-go)) (v\S+)", text, re.MULTILINE)
        replaced = re.findall(r"^replace (\S+) => \S+ (v\S+)$", text, re.MULTILINE)
        return dict(pins) | {path: version for path, version in replaced if path in dict(pins)}

    assert kubernetes_libraries(module) == kubernetes_libraries(like)
    assert len(kubernetes_libraries(module)) == 3


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
