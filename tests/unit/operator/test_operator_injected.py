"""A pod is known as its spec's own after KServe's webhook has moved the weights' URI."""

from typing import Any

import pytest
from kserve_webhook import MOUNT, inject
from squeeze_operator.decide import decide
from squeeze_operator.injected import as_asked
from squeeze_operator.rollout import of_spec
from unit.operator_snapshots import ended, starting

URIS = (
    "s3://models/cats",
    "https://example.com/model",
    "pvc://claim",
    "pvc://claim/cats",
    "pvc://claim/a/b.pth",
)


def pod(uri: str) -> dict[str, Any]:
    """A pod spec that asks for weights."""
    container = {"name": "kserve-container", "env": [{"name": "STORAGE_URI", "value": uri}]}
    return {"containers": [container, {"name": "sidecar"}]}


@pytest.mark.parametrize("uri", URIS)
def test_the_uri_stands_where_it_was_asked_for(uri: str) -> None:
    injected = inject(pod(uri))
    assert injected["containers"][0]["env"][0]["value"] == MOUNT
    assert as_asked(injected)["containers"][0]["env"] == pod(uri)["containers"][0]["env"]


@pytest.mark.parametrize("uri", [*URIS, "pvc://claim/", "s3://models/cats/"])
def test_a_pod_belongs_to_its_own_spec_and_to_no_other(uri: str) -> None:
    live = [{"spec": inject(pod(uri))}]
    assert of_spec(live, pod(uri)) == live
    assert of_spec(live, pod("s3://models/dogs")) == []
    assert of_spec(live, pod("pvc://claim/dogs")) == []


def test_a_pod_without_weights_from_elsewhere_is_left_alone() -> None:
    built_in = {"containers": [{"name": "kserve-container", "env": [{"name": "HOME", "value": "/tmp"}]}]}
    assert as_asked(built_in) == built_in
    assert as_asked({"containers": [{"name": "kserve-container"}]})["containers"][0]["env"] == []


@pytest.mark.parametrize("uri", URIS)
def test_what_ails_a_replica_is_told_wherever_its_weights_come_from(uri: str) -> None:
    snapshot = starting(ended("WeightsInvalid: no weights", 2), weights={"uri": uri})
    status = decide(snapshot).status
    assert status is not None
    (stalled,) = [one for one in status["conditions"] if one["type"] == "Stalled"]
    assert (stalled["status"], stalled["reason"]) == ("True", "WeightsInvalid")
