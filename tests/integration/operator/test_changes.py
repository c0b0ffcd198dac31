"""Changes around a model, by its owner, by others and by the cluster, and what it says meanwhile."""

from collections.abc import Callable

import pytest
from integration.apiserver import ControlPlane, eventually
from integration.kserve import CLASS
from integration.operator_checks import converged, queue_size, serving
from integration.operator_runner import MODELS, Model
from prometheus_client import REGISTRY

Make = Callable[..., Model]


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize(
    ("annotation", "theirs", "ours"),
    [
        ("serving.kserve.io/deploymentMode", "Knative", "Standard"),
        (CLASS, "hpa", "external"),
    ],
)
def test_a_mode_that_somebody_changes_is_set_back(
    model: Make, annotation: str, theirs: str, ours: str
) -> None:
    digits = serving(model)
    digits.kube.patch(digits.kserve.service_path, {"metadata": {"annotations": {annotation: theirs}}})
    eventually(
        lambda: digits.kserve.service()["metadata"]["annotations"][annotation] == ours, "it is set back"
    )


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize("resource", ["amd.com/gpu", "nvidia.com/mig-1g.10gb"])
def test_an_accelerator_of_another_kind_leaves_nothing_of_the_first(model: Make, resource: str) -> None:
    gpu = model("gpu")
    gpu.create(accelerator={"gpus": 1})
    gpu.kserve.service()
    gpu.change(accelerator={"resourceName": resource})

    def amounts() -> set[str]:
        resources = gpu.kserve.service()["spec"]["predictor"]["containers"][0]["resources"]
        return {name for kind in ("requests", "limits") for name in resources[kind]}

    eventually(lambda: amounts() == {"cpu", "memory", resource}, "only the new kind is asked for")
    gpu.change(accelerator={"gpus": 0}, profile="throughput")
    eventually(lambda: amounts() == {"cpu", "memory"}, "none is asked for")
    arguments = gpu.kserve.service()["spec"]["predictor"]["containers"][0]["args"]
    assert "--device=cpu" in arguments


@pytest.mark.usefixtures("operator")
def test_ready_stays_true_through_a_scale_up_and_falls_below_the_minimum(model: Make) -> None:
    digits = serving(model)
    digits.kube.patch(digits.kserve.deployment_path, {"spec": {"replicas": 4}})
    digits.kserve.lack()
    for ready in (2, 3, 4):
        digits.kserve.report(replicas=4, ready=ready, updated=4)
        eventually(lambda: digits.get()["status"]["readyReplicas"] == ready, "it is told")  # noqa: B023
        assert digits.condition("Ready")["reason"] == "Available"
    digits.kserve.route()
    digits.wait("Ready", "True", "Available")
    events = digits.kube.get(f"/api/v1/namespaces/{digits.namespace}/events")["items"]
    assert [event["reason"] for event in events] == ["Available"], "it has become Ready once"
    digits.kserve.lack()
    digits.kserve.report(replicas=4, ready=1, updated=4)
    assert "1 of 4" in digits.wait("Ready", "False", "Starting")["message"]


@pytest.mark.usefixtures("operator")
def test_serving_stays_true_through_an_update_and_ready_changes_once(model: Make) -> None:
    digits = serving(model)
    seen: list[tuple[str, str]] = []

    def note() -> None:
        conditions = {c["type"]: c["status"] for c in digits.get()["status"]["conditions"]}
        state = (conditions["Serving"], conditions["Ready"])
        if not seen or seen[-1] != state:
            seen.append(state)

    note()
    digits.change(batching={"queueSize": 6})
    eventually(lambda: queue_size(digits) == "--queue-size=6", "KServe has it")
    note()
    digits.wait("UpToDate", "False")
    note()
    digits.kserve.deploy()
    for replicas, updated in ((3, 1), (3, 2), (2, 2)):
        digits.kserve.report(replicas=replicas, ready=2, updated=updated)
        eventually(lambda: digits.get()["status"]["replicas"] == replicas, "it is told")  # noqa: B023
        note()
    # KServe's own Ready goes Unknown for a while in every update; the route of the old replicas stands.
    digits.wait("Ready", "True")
    note()
    assert seen == [("True", "True"), ("True", "False"), ("True", "True")]


@pytest.mark.usefixtures("operator")
def test_a_slow_download_is_told_and_a_missed_deadline_heals_by_itself(model: Make) -> None:
    slow = model("slow")
    slow.create(weights={"uri": "https://example.com/model"})
    slow.kserve.deploy()
    slow.kserve.report(replicas=1, ready=0, updated=1)
    fetching = {"name": "storage-initializer", "image": "i", "imageID": "", "ready": False, "restartCount": 0}
    slow.kserve.pod("a", phase="Pending", initContainerStatuses=[fetching | {"state": {"running": {}}}])
    slow.wait("Reconciling", "True", "Downloading")
    late = {
        "type": "Progressing",
        "status": "False",
        "reason": "ProgressDeadlineExceeded",
        "message": "has timed out progressing",
    }
    service = slow.kserve.service()["spec"]
    slow.kserve.report(replicas=1, ready=0, updated=1, conditions=[late])
    slow.wait("Stalled", "True", "ProgressDeadlineExceeded")
    assert slow.kserve.service()["spec"] == service, "the work in progress is left alone"
    slow.kserve.report(replicas=1, ready=1, updated=1)
    slow.kserve.route()
    slow.wait("Ready", "True")


@pytest.mark.usefixtures("operator")
def test_a_quota_that_forbids_the_pods_is_told_with_its_own_words(model: Make) -> None:
    digits = model()
    digits.create()
    digits.kserve.deploy()
    refused = {
        "type": "ReplicaFailure",
        "status": "True",
        "reason": "FailedCreate",
        "message": 'pods "digits" is forbidden: exceeded quota: team, requested: cpu=500m',
    }
    digits.kserve.report(replicas=0, ready=0, updated=0, conditions=[refused])
    assert "exceeded quota: team" in digits.wait("Stalled", "True", "PodsNotCreated")["message"]
    digits.kserve.report(replicas=2, ready=2, updated=2)
    digits.kserve.route()
    digits.wait("Ready", "True")


@pytest.mark.usefixtures("operator")
def test_the_longest_name_gets_every_child(kserve_plane: ControlPlane) -> None:
    kube = kserve_plane.client()
    kube.create("/api/v1/namespaces", {"metadata": {"name": "x"}})
    longest = Model(kube, "x", "m" * 48)
    longest.create()
    try:
        converged(longest)
    finally:
        kube.delete(MODELS.format("x"))


@pytest.mark.usefixtures("operator")
def test_a_namespace_on_its_way_out_gets_nothing_new_and_no_hot_loop(model: Make) -> None:
    digits = serving(model)
    # No namespace controller runs here, so it stays on its way.
    digits.kube.delete(f"/api/v1/namespaces/{digits.namespace}")
    failed = {"result": "failed"}

    def failures() -> float:
        return REGISTRY.get_sample_value("squeeze_operator_reconciles_total", failed) or 0

    before = failures()
    digits.kube.delete(digits.kserve.service_path)
    message = digits.wait("Stalled", "True", "Rejected")["message"]
    assert "it is being terminated" in message
    eventually(lambda: failures() > before, "it was tried")
    assert digits.kube.get(digits.kserve.service_path) is None
    assert failures() - before <= 6, "it backs off"
    digits.kube.delete(digits.path)
    assert digits.kube.get(digits.path) is None, "nothing holds the model back"
