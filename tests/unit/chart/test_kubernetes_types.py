"""The type checker that the chart's tests rely on finds what an API server would refuse."""

from typing import Any

import pytest
from unit.chart.kubernetes_types import problems


def pod(**container: Any) -> dict[str, Any]:
    containers = [{"name": "operator", "image": "operator:1", **container}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": containers}}


def test_a_sound_object_has_no_problem() -> None:
    assert problems(pod(ports=[{"name": "health", "containerPort": 8081}])) == []


@pytest.mark.parametrize(
    ("container", "word"),
    [
        ({"imgage": "x"}, "imgage"),
        ({"ports": [{"name": "health"}]}, "containerPort"),
        ({"ports": [{"containerPort": "8081"}]}, "containerPort"),
        ({"securityContext": {"runAsNonRoot": "true"}}, "runAsNonRoot"),
        ({"args": "--namespace=a"}, "args"),
    ],
)
def test_a_wrong_field_is_named(container: dict[str, Any], word: str) -> None:
    (finding,) = problems(pod(**container))
    assert word in finding


def test_an_unknown_kind_is_no_silent_pass() -> None:
    with pytest.raises(LookupError, match="Servise"):
        problems({"apiVersion": "v1", "kind": "Servise"})
