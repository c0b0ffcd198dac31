"""manifests/install.yaml is what the chart renders, with its namespace; the renderer notices staleness."""

from pathlib import Path

import pytest
from unit.chart.chart_rendering import NAMESPACE, ROOT, Object, of_kind, only, parsed, render_module, rendered
from unit.chart.kubernetes_types import problems

INSTALL = ROOT / "manifests" / "install.yaml"


def installed() -> list[Object]:
    return parsed(INSTALL.read_text())


def test_generated_files_are_current(capsys: pytest.CaptureFixture[str]) -> None:
    code = render_module().main(["--check"])
    assert code == 0, capsys.readouterr().err


def test_it_holds_the_charts_objects_and_their_namespace() -> None:
    namespace, *rest = installed()
    assert namespace["metadata"]["name"] == NAMESPACE
    assert rest == [
        item for item in rendered() if "helm.sh/hook" not in item["metadata"].get("annotations", {})
    ]


def test_every_namespaced_object_lies_in_that_namespace() -> None:
    assert {item["metadata"].get("namespace", NAMESPACE) for item in installed()} == {NAMESPACE}


def test_the_namespace_enforces_the_restricted_standard() -> None:
    labels = only(installed(), "Namespace")["metadata"]["labels"]
    modes = {mode: labels[f"pod-security.kubernetes.io/{mode}"] for mode in ("enforce", "audit", "warn")}
    assert set(modes.values()) == {"restricted"}


def test_every_object_has_the_types_of_the_api() -> None:
    assert [found for item in installed() for found in problems(item)] == []
    assert len(of_kind(installed(), "CustomResourceDefinition")) == 2


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The renderer's inputs and outputs in an empty folder, with a chart that renders to its CRD files."""
    module = render_module()
    sources, copies = tmp_path / "manifests" / "crds", tmp_path / "chart" / "files" / "crds"
    sources.mkdir(parents=True)
    (sources / "a.yaml").write_text("kind: A\n")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "CRDS", sources)
    monkeypatch.setattr(module, "CHART_CRDS", copies)
    monkeypatch.setattr(module, "INSTALL", tmp_path / "manifests" / "install.yaml")
    monkeypatch.setattr(
        module, "render_install", lambda: "".join(path.read_text() for path in copies.glob("*.yaml"))
    )
    return tmp_path


def test_writing_makes_it_current_and_writes_once(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main = render_module().main
    assert main(["--check"]) == 1
    assert not (tree / "chart").exists()  # a check writes nothing
    assert main([]) == 0
    assert "wrote manifests/install.yaml" in capsys.readouterr().out
    assert main(["--check"]) == 0
    assert main([]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "change", ["source changed", "source gone", "copy edited", "copy extra", "install edited"]
)
def test_every_kind_of_staleness_is_found_and_mended(tree: Path, change: str) -> None:
    main = render_module().main
    main([])
    source, copy = tree / "manifests" / "crds" / "a.yaml", tree / "chart" / "files" / "crds" / "a.yaml"
    match change:
        case "source changed":
            source.write_text("kind: B\n")
        case "source gone":
            source.unlink()
        case "copy edited":
            copy.write_text("kind: C\n")
        case "copy extra":
            copy.with_name("b.yaml").write_text("kind: D\n")
        case _:
            (tree / "manifests" / "install.yaml").write_text("kind: E\n")
    assert main(["--check"]) == 1
    assert main([]) == 0
    assert main(["--check"]) == 0
    assert {path.name for path in copy.parent.iterdir()} == {path.name for path in source.parent.iterdir()}
