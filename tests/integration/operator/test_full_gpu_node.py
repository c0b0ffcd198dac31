"""An update where the old replica holds the last GPU, from its refusal to its end."""

from collections.abc import Callable
from typing import Any

import pytest
from integration.apiserver import eventually
from integration.operator_runner import Model

Make = Callable[..., Model]
LONG_AGO = "2020-01-01T00:00:00Z"
RUNNING = {
    "phase": "Running",
    "startTime": "2020-01-01T00:00:00Z",
    "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2020-01-01T00:00:09Z"}],
}
NO_GPU = {
    "phase": "Pending",
    "conditions": [
        {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "lastTransitionTime": LONG_AGO,
            "message": "0/3 nodes are available: 1 Insufficient nvidia.com/gpu.",
        }
    ],
}


def rollout(model: Model) -> dict[str, Any]:
    """How KServe is told to replace pods."""
    strategy = model.kserve.service()["spec"]["predictor"]["deploymentStrategy"]
    found: dict[str, Any] = strategy["rollingUpdate"]
    return found


def announcements(model: Model) -> list[dict[str, Any]]:
    """The Events that say that old replicas go first."""
    events = model.kube.get(f"/api/v1/namespaces/{model.namespace}/events")["items"]
    return [event for event in events if event["reason"] == "ReplacingInPlace"]


def version(thing: dict[str, Any]) -> int:
    """The point of time, as the API server counts it, at which an object was written."""
    return int(thing["metadata"]["resourceVersion"])


def held_up(model: Model) -> None:
    """A model of one replica whose update finds no GPU."""
    model.create(accelerator={"gpus": 1}, scaling={"minReplicas": 1, "maxReplicas": 1})
    model.kserve.serve()
    model.kserve.pod("old", **RUNNING)
    model.wait("Ready", "True")
    model.change(batching={"queueSize": 5})
    eventually(lambda: "--queue-size=5" in str(model.kserve.service()["spec"]), "the spec is passed on")
    model.kserve.deploy()
    model.kserve.report(replicas=2, ready=1, updated=1)
    model.kserve.pod("new", **NO_GPU)


@pytest.mark.usefixtures("operator")
def test_by_default_the_old_replica_stays_and_the_cost_is_told(model: Make) -> None:
    gpu = model("gpu")
    held_up(gpu)
    message = gpu.wait("Stalled", "True", "NoRoomForUpdate")["message"]
    assert "set spec.rollout.allowDowntime to true" in message
    assert "no replica answers while an old replica ends (at most 60 s)" in message
    assert "the last start took 9 s" in message
    assert gpu.condition("Serving")["status"] == "True"
    assert gpu.condition("UpToDate")["status"] == "False"
    assert rollout(gpu) == {"maxUnavailable": 0, "maxSurge": 1}
    assert announcements(gpu) == []


@pytest.mark.usefixtures("operator")
def test_where_downtime_is_allowed_it_is_told_first_and_the_update_completes(model: Make) -> None:
    gpu = model("gpu")
    held_up(gpu)
    gpu.wait("Stalled", "True", "NoRoomForUpdate")
    gpu.change(rollout={"allowDowntime": True})
    eventually(lambda: rollout(gpu) == {"maxUnavailable": 1, "maxSurge": 0}, "the old replica may go first")
    (told,) = announcements(gpu)
    assert "no replica answers while an old replica ends" in told["message"]
    assert version(told) < version(gpu.kserve.service()), "it was said before it was done"
    gpu.wait("Reconciling", "True", "ReplacingInPlace")
    # The old replica ends, the new one gets its GPU.
    gpu.kserve.deploy()
    gpu.kube.delete(f"{gpu.kserve.pods}/gpu-predictor-old")
    gpu.kube.patch(f"{gpu.kserve.pods}/gpu-predictor-new/status", {"status": RUNNING})
    gpu.kserve.report(replicas=1, ready=1, updated=1)
    gpu.wait("Ready", "True")
    eventually(lambda: rollout(gpu) == {"maxUnavailable": 0, "maxSurge": 1}, "the next update has surge")
    assert len(announcements(gpu)) == 1


@pytest.mark.usefixtures("operator")
def test_a_gpu_that_comes_free_in_time_costs_nothing(model: Make) -> None:
    gpu = model("gpu")
    held_up(gpu)
    gpu.wait("Stalled", "True", "NoRoomForUpdate")
    gpu.kube.patch(f"{gpu.kserve.pods}/gpu-predictor-new/status", {"status": RUNNING})
    gpu.kserve.report(replicas=1, ready=1, updated=1)
    gpu.wait("Ready", "True")
    assert announcements(gpu) == []
    assert rollout(gpu) == {"maxUnavailable": 0, "maxSurge": 1}
