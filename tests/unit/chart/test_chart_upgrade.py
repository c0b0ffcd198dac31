"""What an upgrade to the next version of the chart changes, and what it must leave alone."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from unit.chart.chart_rendering import (
    CHART,
    NAMESPACE,
    RELEASE,
    Object,
    helm,
    only,
    operator_container,
    parsed,
    rendered,
)


@pytest.fixture
def next_version(tmp_path: Path) -> Path:
    """This chart as version 9.9.9."""
    chart = tmp_path / "squeezeserve"
    shutil.copytree(CHART, chart)
    metadata = yaml.safe_load((chart / "Chart.yaml").read_text()) | {
        "version": "9.9.9",
        "appVersion": "9.9.9",
    }
    (chart / "Chart.yaml").write_text(yaml.safe_dump(metadata))
    return chart


def template(chart: Path, *arguments: str) -> list[Object]:
    done = helm("template", RELEASE, chart, "--namespace", NAMESPACE, *arguments)
    assert done.returncode == 0, done.stderr
    return parsed(done.stdout)


def predictor_image(objects: list[Object]) -> str:
    (argument,) = [
        each for each in operator_container(objects)["args"] if each.startswith("--predictor-image=")
    ]
    found: str = argument.partition("=")[2]
    return found


def test_an_upgrade_moves_both_images(next_version: Path) -> None:
    objects = template(next_version)
    assert operator_container(objects)["image"] == "squeezeserve/operator:9.9.9"
    assert predictor_image(objects) == "squeezeserve/predictor:9.9.9"


def test_a_pinned_predictor_image_rolls_no_model(next_version: Path) -> None:
    """The predictor's image is the only thing of the chart that reaches the pods of models."""
    pins = ("--set-string", "predictor.image.tag=0.1.0", "--set-string", "trainer.image.tag=0.1.0")
    now = template(next_version, *pins)
    assert operator_container(now)["args"] == operator_container(rendered())["args"]
    assert operator_container(now)["image"] == "squeezeserve/operator:9.9.9"


def immutable(objects: list[Object]) -> dict[str, Any]:
    """Fields that no API server lets an upgrade change."""
    binding = only(objects, "ClusterRoleBinding")
    return {
        "selector": only(objects, "Deployment")["spec"]["selector"],
        "roleRef": binding["roleRef"],
        "names": sorted((item["kind"], item["metadata"]["name"]) for item in objects),
    }


def test_an_upgrade_changes_no_immutable_field(next_version: Path) -> None:
    assert immutable(template(next_version)) == immutable(rendered())


def test_a_new_chart_around_the_same_images_does_not_restart_the_operator(next_version: Path) -> None:
    images = ("image", "predictor.image", "trainer.image")
    pins = [word for image in images for word in ("--set-string", f"{image}.tag=0.1.0")]
    pods = [
        only(each, "Deployment")["spec"]["template"] for each in (template(next_version, *pins), rendered())
    ]
    assert pods[0] == pods[1]
