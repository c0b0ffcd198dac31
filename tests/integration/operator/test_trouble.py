"""What a user reads when something goes wrong, from the pod's status to the condition and the Event."""

from collections.abc import Callable
from typing import Any

import pytest
from integration.apiserver import ControlPlane, eventually
from squeeze_operator.snapshot import Served

Make = Callable[..., Any]


def crashed(message: str) -> dict[str, Any]:
    """The status of a pod whose predictor has ended with a termination message."""
    ended = {"exitCode": 2, "reason": "Error", "message": message}
    return {
        "phase": "Running",
        "containerStatuses": [
            {
                "name": "kserve-container",
                "image": "registry.example/predictor:1",
                "imageID": "",
                "ready": False,
                "restartCount": 3,
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": ended},
            }
        ],
    }


def warnings(model: Any, reason: str) -> list[dict[str, Any]]:
    """The Warning Events about a model with a reason."""
    found = model.kube.get(f"/api/v1/namespaces/{model.namespace}/events")["items"]
    return [event for event in found if event["type"] == "Warning" and event["reason"] == reason]


@pytest.mark.usefixtures("operator")
def test_a_bad_rollout_leaves_the_old_replicas_serving(model: Make) -> None:
    digits = model()
    digits.create()
    digits.kserve.serve()
    digits.wait("Ready", "True")
    digits.change(weights={"sha256": "f" * 64})
    eventually(
        lambda: f"--sha256={'f' * 64}" in str(digits.kserve.service()["spec"]), "the digest is passed on"
    )
    assert digits.wait("UpToDate", "False")
    digits.kserve.deploy()
    digits.kserve.report(replicas=2, ready=1, updated=1)
    digits.wait("Ready", "False", "RollingOut")
    digits.kserve.pod("new", **crashed("DigestMismatch: the file has sha256 0123, the spec says ffff."))
    stalled = digits.wait("Stalled", "True", "DigestMismatch")
    assert "the file has sha256 0123" in stalled["message"]
    assert digits.wait("Serving", "True")["reason"] == "ReplicasAnswer"
    assert digits.condition("UpToDate")["status"] == "False"
    assert digits.condition("Reconciling")["status"] == "False"
    eventually(lambda: len(warnings(digits, "DigestMismatch")) == 1, "one Warning")
    # The same trouble in other words is no news.
    digits.kserve.pod("later", **crashed("DigestMismatch: the file has sha256 4567, the spec says ffff."))
    digits.kserve.report(replicas=3, ready=1, updated=2)
    eventually(lambda: digits.get()["status"]["replicas"] == 3, "the status has moved on")
    assert len(warnings(digits, "DigestMismatch")) == 1
    # Back to what served: everything is well again.
    digits.change(weights={"sha256": None})
    eventually(lambda: "--sha256" not in str(digits.kserve.service()["spec"]), "the digest is gone")
    digits.kserve.serve()
    digits.wait("Ready", "True", "Available")


@pytest.mark.usefixtures("operator")
def test_a_gpu_that_no_node_has_is_said(model: Make) -> None:
    gpu = model("gpu")
    gpu.create(accelerator={"gpus": 2})
    gpu.kserve.deploy()
    gpu.kserve.report(replicas=1, ready=0, updated=1)
    text = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": text}
    gpu.kserve.pod("a", phase="Pending", conditions=[condition])
    message = gpu.wait("Stalled", "True", "Unschedulable")["message"]
    assert "2 nvidia.com/gpu" in message
    assert "lower spec.accelerator.gpus" in message
    assert text in message
    assert gpu.condition("Serving")["status"] == "False"


def test_a_gpu_replica_on_the_cpu_is_said(operator: Any, model: Make) -> None:
    operator.served = Served("sha256:" + "2" * 64, "cpu", "torch")
    gpu = model("gpu")
    gpu.create(accelerator={"gpus": 1})
    gpu.kserve.serve()
    ready = gpu.wait("Ready", "True", "RunningOnCPU")
    assert "each replica asked for 1 nvidia.com/gpu" in ready["message"]
    assert gpu.get()["status"]["device"] == "cpu"
    assert "--cpu-fallback" in str(gpu.kserve.service()["spec"])
    eventually(lambda: len(warnings(gpu, "RunningOnCPU")) == 1, "a Warning")


@pytest.mark.usefixtures("operator")
def test_a_name_too_long_for_its_host_is_said_before_kserve_fails(
    model: Make, control_plane: ControlPlane
) -> None:
    long = model("m" * 48)
    long.create()
    message = long.wait("Stalled", "True", "NameTooLong")["message"]
    assert "DNS allows 63" in message
    assert control_plane.client().get(long.kserve.service_path) is None


@pytest.mark.usefixtures("operator")
def test_a_contradiction_that_cel_cannot_see_is_said_and_leaves_the_service_alone(model: Make) -> None:
    digits = model()
    digits.create()
    digits.kserve.serve()
    digits.wait("Ready", "True")
    before = digits.kserve.service()["spec"]
    digits.change(resources={"requests": {"cpu": "4"}, "limits": {"cpu": "1500m"}})
    message = digits.wait("Stalled", "True", "InvalidSpec")["message"]
    assert "requests.cpu (4) is above spec.resources.limits.cpu (1500m)" in message
    assert digits.condition("Serving")["status"] == "True"
    assert digits.kserve.service()["spec"] == before


@pytest.mark.usefixtures("operator")
def test_kserve_says_why_it_makes_no_deployment(model: Make) -> None:
    digits = model()
    digits.create()
    digits.kserve.service()
    failed = {
        "type": "PredictorReady",
        "status": "False",
        "reason": "ReconcileFailed",
        "message": "no such PVC",
    }
    digits.kube.patch(f"{digits.kserve.service_path}/status", {"status": {"conditions": [failed]}})
    assert "no such PVC" in digits.wait("Stalled", "True", "KServeFailed")["message"]
