"""The API server refuses, forgets or stays silent, or two operators write; all of it converges."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from integration.apiserver import ControlPlane, eventually
from integration.faultproxy import Fault, FaultProxy, Hook
from integration.operator_checks import children, converged, queue_size, serving, written
from integration.operator_process import Process
from integration.operator_runner import Model, RunningOperator
from prometheus_client import REGISTRY
from squeeze_operator import names, watch
from squeeze_operator.snapshot import Served

Make = Callable[..., Model]
SERVED = Served("sha256:" + "1" * 64, "cpu", "openvino")


@pytest.fixture
def proxy(kserve_plane: ControlPlane) -> Iterator[FaultProxy]:
    """A proxy that leads to the API server."""
    running = FaultProxy(kserve_plane)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def behind(proxy: FaultProxy, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[RunningOperator]:
    """An operator that reaches the API server through the proxy alone, with a quick audit."""
    overrides = getattr(request, "param", {})
    running = RunningOperator(proxy.kubeconfig(tmp_path / "proxy.kubeconfig"), audit_seconds=3.0, **overrides)
    running.served = SERVED
    running.start()
    yield running
    proxy.held = False
    running.stop()


@pytest.mark.usefixtures("behind")
@pytest.mark.parametrize("code", [409, 429, 500, 503])
@pytest.mark.parametrize(
    ("method", "part"),
    [
        ("PATCH", "/inferenceservices/"),
        ("PATCH", "/horizontalpodautoscalers/"),
        ("PATCH", "/status"),
    ],
    ids=["service", "autoscaler", "status"],
)
def test_a_request_that_fails_for_a_while_is_tried_again(
    proxy: FaultProxy, model: Make, method: str, part: str, code: int
) -> None:
    digits = model()
    fault = Fault(method, part, code, times=3)
    proxy.faults.append(fault)
    digits.create()
    eventually(lambda: fault.times == 0, "the fault has struck", timeout=60)
    converged(digits)
    assert digits.condition("Reconciling")["status"] == "False"


@pytest.mark.parametrize("behind", [{"resync_seconds": 2.0}], indirect=True)
@pytest.mark.usefixtures("behind")
@pytest.mark.parametrize("code", [409, 429, 500, 503])
def test_a_read_that_fails_for_a_while_is_tried_again(proxy: FaultProxy, model: Make, code: int) -> None:
    digits = serving(model)
    fault = Fault("GET", "/deployments/", code, times=3)
    proxy.faults.append(fault)
    eventually(lambda: fault.times == 0, "the fault has struck", timeout=60)
    converged(digits)
    assert digits.condition("Reconciling")["status"] == "False"


@pytest.mark.usefixtures("behind")
def test_a_webhook_that_is_down_is_told_and_needs_nobody_once_it_is_back(
    proxy: FaultProxy, model: Make
) -> None:
    digits = model()
    message = "Internal error occurred: failed calling webhook inferenceservice.kserve-webhook-server"
    down = Fault("PATCH", "/inferenceservices/", 500, message, times=10**6)
    proxy.faults.append(down)
    digits.create()
    assert "failed calling webhook" in digits.wait("Reconciling", "True", "ApiError")["message"]
    assert digits.condition("Stalled")["status"] == "False"
    tries = sum(method == "PATCH" and "/inferenceservices/" in path for method, path in proxy.requests)
    assert tries < 20, "it backs off"
    down.times = 0
    converged(digits)


@pytest.mark.usefixtures("behind")
@pytest.mark.parametrize("code", [403, 422])
def test_a_policy_that_refuses_is_told_and_needs_nobody_once_it_is_gone(
    proxy: FaultProxy, model: Make, code: int
) -> None:
    digits = model()
    policy = Fault("PATCH", "/inferenceservices/", code, "images must come from our registry", times=10**6)
    proxy.faults.append(policy)
    digits.create()
    assert "images must come from" in digits.wait("Stalled", "True", "Rejected")["message"]
    policy.times = 0
    converged(digits)


def test_a_watch_whose_version_is_too_old_is_begun_anew(
    proxy: FaultProxy, behind: RunningOperator, model: Make
) -> None:
    digits = serving(model)
    proxy.expired_watches = 12
    proxy.silence_watches()
    digits.change(batching={"queueSize": 7})
    eventually(lambda: queue_size(digits) == "--queue-size=7", "the change is acted on", timeout=60)
    assert behind.health.not_alive() is None


def test_watches_that_fall_silent_cost_seconds_not_the_operator(
    proxy: FaultProxy, behind: RunningOperator, model: Make
) -> None:
    digits = serving(model)
    proxy.silence_watches()
    digits.change(batching={"queueSize": 8})
    # The audit asks for what no watch has told.
    eventually(lambda: queue_size(digits) == "--queue-size=8", "the change is acted on", timeout=60)
    assert behind.health.watch_lag() > 0, "and the watch is known to owe it"
    assert behind.health.not_alive() is None


def given_up() -> float:
    """How many requests to the API server have ended without an answer."""
    counts = (one for metric in REGISTRY.collect() for one in metric.samples)
    return sum(
        one.value
        for one in counts
        if one.name == "squeeze_operator_api_requests_total" and one.labels["code"] == "0"
    )


def test_a_link_that_drops_everything_is_found_again(
    proxy: FaultProxy, behind: RunningOperator, model: Make
) -> None:
    digits = serving(model)
    proxy.silence_watches()
    proxy.held = True
    digits.change(batching={"queueSize": 9})
    before = given_up()
    eventually(lambda: given_up() > before, "a request has been given up", timeout=60)
    assert behind.health.not_alive() is None, "a restart would not help"
    proxy.held = False
    eventually(lambda: queue_size(digits) == "--queue-size=9", "the change is acted on", timeout=120)
    converged(digits)


@pytest.mark.usefixtures("behind")
def test_a_converged_model_costs_no_request_but_the_audits(proxy: FaultProxy, model: Make) -> None:
    digits = serving(model)
    eventually(lambda: digits.get()["status"].get("weights"), "all is known")
    active = {"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound", "message": ""}
    status = {"desiredReplicas": 2, "conditions": [active | {"lastTransitionTime": "2020-01-01T00:00:00Z"}]}
    digits.kube.patch(f"{digits.kserve.autoscalers}/digits/status", {"status": status})
    digits.wait("Scaling", "True", "FollowsLoad")

    def audits() -> int:
        return sum(path.endswith("/squeezemodels") for _, path in proxy.requests)

    def about_the_model() -> int:
        return sum(f"/namespaces/{digits.namespace}/" in path for _, path in proxy.requests)

    def quiet() -> bool:
        """Whether a whole round of audits asks nothing about the model."""
        asked, rounds = about_the_model(), audits()
        eventually(lambda: audits() >= rounds + 3, "three audits", timeout=60)
        return about_the_model() == asked

    # Looks that were due before may still come; then there are none.
    eventually(quiet, "three audits without a request about the model", timeout=90)


def test_two_operators_at_once_make_nothing_twice_and_come_to_rest(
    kserve_plane: ControlPlane, model: Make
) -> None:
    kubeconfig = kserve_plane.folder / "operator.kubeconfig"
    pair = [RunningOperator(kubeconfig, resync_seconds=2.0) for _ in range(2)]
    for running in pair:
        running.served = SERVED
        running.start()
    try:
        digits = serving(model)
        digits.change(batching={"queueSize": 5})
        eventually(lambda: queue_size(digits) == "--queue-size=5", "the change is acted on")
        converged(digits)
        result = {"result": "succeeded"}

        def reconciles() -> float:
            return REGISTRY.get_sample_value("squeeze_operator_reconciles_total", result) or 0

        eventually(lambda: digits.get()["status"].get("weights"), "all is known")

        def at_rest() -> bool:
            """Whether both look again and neither writes what the other has written."""
            before, done = written(), reconciles()
            eventually(lambda: reconciles() >= done + 6, "both have looked again", timeout=60)
            return written() == before

        eventually(at_rest, "they come to rest", timeout=60)
    finally:
        for running in pair:
            running.stop()


def test_a_restarted_operator_writes_nothing(kserve_plane: ControlPlane, model: Make) -> None:
    kubeconfig = kserve_plane.folder / "operator.kubeconfig"
    digits = model()
    for turn in range(2):
        running = RunningOperator(kubeconfig)
        running.served = SERVED
        running.start()
        try:
            if turn == 0:
                digits.create()
                converged(digits)
                eventually(lambda: digits.get()["status"].get("weights"), "all is known")
                metadata = {plural: found[0]["metadata"] for plural, found in children(digits).items()}
                stored, before = digits.get()["metadata"], written()
            else:
                result = {"result": "succeeded"}
                name = "squeeze_operator_reconciles_total"
                done = REGISTRY.get_sample_value(name, result) or 0
                digits.kube.patch(digits.path, {"metadata": {"labels": {"seen": "again"}}})
                eventually(
                    lambda: (REGISTRY.get_sample_value(name, result) or 0) > done,  # noqa: B023
                    "it has looked",
                )
        finally:
            running.stop()
    assert written() == before
    assert {plural: found[0]["metadata"] for plural, found in children(digits).items()} == metadata
    assert digits.get()["metadata"]["generation"] == stored["generation"]


def test_watchers_that_kopf_cannot_end_are_ended_and_all_kinds_watched_again(
    proxy: FaultProxy, behind: RunningOperator, model: Make
) -> None:
    """They wait for their answers when kopf ends because a kind is not served."""
    digits = serving(model)
    proxy.unserved = "inferenceservices"
    proxy.end_watches()
    services = {names.INFERENCE_SERVICES}
    eventually(lambda: not behind.health.watched(services), "its watcher has died", timeout=60)
    # Longer than kopf's own patience with the others.
    time.sleep(7)
    proxy.unserved = None
    kinds = {names.MODELS, *watch.OWNED} - {names.SCALED_OBJECTS}
    eventually(lambda: behind.health.watched(kinds) == kinds, "all is watched again", timeout=120)
    digits.change(scaling={"maxReplicas": 9})
    converged(digits)


@pytest.mark.usefixtures("operator")
def test_a_child_edited_a_hundred_times_is_right_in_the_end_and_no_loop_is_hot(model: Make) -> None:
    digits = serving(model)
    before = written()
    for number in range(100):
        digits.kube.patch(digits.kserve.service_path, {"spec": {"predictor": {"maxReplicas": 100 + number}}})
    eventually(
        lambda: digits.kserve.service()["spec"]["predictor"]["maxReplicas"] == 5, "it is right", timeout=60
    )
    converged(digits)
    # One repair an edit at most, and the status beside them.
    assert written() - before <= 110


@pytest.mark.parametrize("after", [False, True], ids=["instead of it", "after it"])
@pytest.mark.parametrize(
    "step",
    ["/inferenceservices/", "/poddisruptionbudgets/", "/horizontalpodautoscalers/", "/status"],
    ids=["service", "budget", "autoscaler", "status"],
)
def test_an_operator_killed_in_the_midst_of_a_write_leaves_nothing_half_done(
    kserve_plane: ControlPlane, proxy: FaultProxy, model: Make, tmp_path: Path, step: str, after: bool
) -> None:
    digits = model()
    kubeconfig = proxy.kubeconfig(tmp_path / "proxy.kubeconfig")
    image = "--predictor-image=registry.example/predictor:1"
    first = Process(kubeconfig, tmp_path, f"--namespace={digits.namespace}", image)
    try:
        eventually(lambda: first.page("/readyz") == 200, "it is ready", timeout=60)
        proxy.hooks.append(Hook("PATCH", step, after, first.child.kill))
        digits.create()
        assert first.child.wait(60) < 0, "it was killed"
    finally:
        first.child.kill()
        first.child.wait(10)
    second = RunningOperator(kserve_plane.folder / "operator.kubeconfig")
    second.served = SERVED
    second.start()
    try:
        converged(digits)
    finally:
        second.stop()
