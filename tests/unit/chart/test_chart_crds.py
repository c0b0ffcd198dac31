"""The CRDs in the chart: the project's own, installed and upgraded with it, left behind when it goes."""

from pathlib import Path

import pytest
import yaml
from unit.chart.chart_rendering import CHART, CRDS, NAMESPACE, SCENARIOS, Object, of_kind, rendered, scenario

SOURCES = sorted(CRDS.glob("*.yaml"))


def rendered_crds() -> dict[str, Object]:
    return {item["metadata"]["name"]: item for item in of_kind(rendered(), "CustomResourceDefinition")}


def test_the_project_has_crds() -> None:
    assert [path.name for path in SOURCES] == ["squeezemodels.yaml", "squeezetrainings.yaml"]


def test_the_charts_copies_are_the_projects_crds_byte_for_byte() -> None:
    copies = {path.name: path.read_bytes() for path in (CHART / "files" / "crds").glob("*.yaml")}
    assert copies == {path.name: path.read_bytes() for path in SOURCES}


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_rendering_changes_no_number_and_no_word_of_a_crd(source: Path) -> None:
    wanted = yaml.safe_load(source.read_text())
    found = rendered_crds()[wanted["metadata"]["name"]]
    assert found["spec"] == wanted["spec"]
    assert (found["apiVersion"], found["kind"]) == (wanted["apiVersion"], wanted["kind"])
    metadata = wanted["metadata"]
    for part in ("labels", "annotations"):
        assert metadata.get(part, {}).items() <= found["metadata"][part].items()


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_crd_survives_an_uninstall(name: str) -> None:
    for crd in of_kind(scenario(name), "CustomResourceDefinition"):
        assert crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_nothing_else_survives_an_uninstall() -> None:
    kept = [
        item["kind"]
        for item in rendered()
        if "helm.sh/resource-policy" in item["metadata"].get("annotations", {})
    ]
    assert kept == ["CustomResourceDefinition"] * len(SOURCES)


def test_no_crd_lies_where_helm_would_never_upgrade_it() -> None:
    assert not (CHART / "crds").exists()


def test_crds_can_be_left_to_somebody_else() -> None:
    assert of_kind(scenario("namespaced"), "CustomResourceDefinition") == []


def test_no_release_is_named_in_a_crd() -> None:
    """Another release adopts the CRD; a label that named the first one would then be a lie."""
    names = rendered(release="other", namespace=NAMESPACE)
    assert of_kind(names, "CustomResourceDefinition") == list(rendered_crds().values())
