"""From a SqueezeTraining to its Job and back: the operator and the Job controller on a real API server."""

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from integration.apiserver import ControlPlane, eventually
from integration.operator_runner import TRAINER_IMAGE, Model, RunningOperator
from integration.training_runner import DIGEST, INDEX, TRAININGS, Training
from prometheus_client import REGISTRY

pytestmark = pytest.mark.usefixtures("operator")
PROGRESS = {
    "attempt": 1,
    "iteration": 30,
    "iterations": 120,
    "loss": 0.25,
    "best_top1": 0.9,
    "seconds_left": 7.5,
}


@pytest.fixture(scope="module", autouse=True)
def job_controller(kserve_plane: ControlPlane) -> Iterator[None]:
    """Kubernetes' own Job controller."""
    kserve_plane.start_controller("job-controller")
    yield
    kserve_plane.stop_process("job-controller")


@pytest.fixture
def training(model: Callable[..., Model]) -> Iterator[Callable[..., Training]]:
    """Makes trainings in the test's namespace, and removes them and their Jobs afterwards."""
    made: list[Training] = []

    def make(name: str = "digits") -> Training:
        beside = model()
        made.append(Training(beside.kube, beside.namespace, name))
        return made[-1]

    yield make
    for each in made:
        each.kube.delete(TRAININGS.format(each.namespace))
        each.kube.delete(f"/apis/batch/v1/namespaces/{each.namespace}/jobs", propagationPolicy="Background")
        each.kube.delete(f"/api/v1/namespaces/{each.namespace}/pods", gracePeriodSeconds="0")


Make = Callable[..., Training]


def test_a_training_becomes_an_indexed_job_and_a_headless_service(training: Make) -> None:
    digits = training()
    digits.create(workers=2, optimizer={"learningRate": 0.0005}, budget={"epochs": 2})
    job = digits.job()
    assert job["spec"]["completionMode"] == "Indexed"
    assert (job["spec"]["completions"], job["spec"]["parallelism"]) == (2, 2)
    pod = job["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == TRAINER_IMAGE
    arguments = pod["containers"][0]["args"]
    assert "finetune" in arguments
    assert {"--learning-rate=0.0005", "--epochs=2", "--from=builtin://digits"} <= set(arguments)
    service = digits.kube.get(digits.service_path)
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"]
    assert pod["subdomain"] == service["metadata"]["name"]
    uid = digits.get()["metadata"]["uid"]
    assert all(one["metadata"]["ownerReferences"][0]["uid"] == uid for one in (job, service))


def test_progress_reaches_the_status_and_the_result_ends_it(
    operator: RunningOperator, training: Make
) -> None:
    operator.progress = PROGRESS
    digits = training()
    digits.create(workers=2)
    digits.started(2)
    digits.wait("Reconciling", "True", "Training")
    status = digits.get()["status"]
    assert status["summary"] == "30/120 (25 %)"
    assert status["progress"]["bestTop1"] == 0.9
    assert status["progress"]["secondsLeft"] == 7
    digits.finish(top1=0.981)
    message = digits.wait("Ready", "True", "Trained", timeout=30)["message"]
    assert "98.10%" in message
    artifact = digits.get()["status"]["artifact"]
    assert artifact["uri"] == "s3://models/runs/digits/model"
    assert artifact["digest"] == DIGEST
    assert artifact["test"]["top1"] == 0.981
    assert digits.get()["status"]["completionTime"]


def test_progress_is_no_news_that_brings_the_next_look(operator: RunningOperator, training: Make) -> None:
    further = itertools.count(1)

    async def ask(_pods: Any) -> dict[str, Any]:
        return PROGRESS | {"iteration": next(further)}

    operator.read_progress = ask
    digits = training()
    digits.create()
    digits.started(1)
    digits.wait("Reconciling", "True", "Training")
    before = digits.get()["status"]["progress"]["iteration"]
    time.sleep(2)
    assert digits.get()["status"]["progress"]["iteration"] <= before + 5
    eventually(lambda: digits.get()["status"]["progress"]["iteration"] > before, "a further look", timeout=30)


def test_the_end_outlives_the_job(training: Make) -> None:
    digits = training()
    digits.create(ttlSecondsAfterFinished=3600)
    digits.finish()
    digits.wait("Ready", "True", "Trained", timeout=30)
    eventually(lambda: digits.job()["spec"].get("ttlSecondsAfterFinished") == 3600, "the Job's time to live")
    digits.kube.delete(digits.job_path, propagationPolicy="Background")
    digits.change(ttlSecondsAfterFinished=7200)
    generation = digits.get()["metadata"]["generation"]
    eventually(lambda: digits.get()["status"]["observedGeneration"] == generation, "a look at the change")
    assert digits.kube.get(digits.job_path) is None
    assert digits.condition("Ready")["status"] == "True"
    assert digits.get()["status"]["artifact"]["digest"] == DIGEST


def test_a_started_training_cannot_be_changed(training: Make) -> None:
    digits = training()
    digits.create(suspend=True)
    digits.wait("Ready", "False", "Suspended")
    digits.change(workers=2)
    digits.change(suspend=False)
    assert digits.job()["spec"]["parallelism"] == 2
    eventually(lambda: digits.get()["status"].get("startTime"), "its start")
    for change in ({"workers": 3}, {"optimizer": {"batch": 8}}, {"output": {"uri": "s3://other/place"}}):
        with pytest.raises(httpx.HTTPStatusError, match="the training has started"):
            digits.change(**change)
    digits.change(suspend=True, ttlSecondsAfterFinished=60)


def test_suspending_ends_the_workers_and_keeps_the_training(training: Make) -> None:
    digits = training()
    digits.create()
    digits.started(1)
    digits.change(suspend=True)
    eventually(lambda: digits.job()["spec"]["suspend"], "a suspended Job")
    digits.kube.delete(f"/api/v1/namespaces/{digits.namespace}/pods", gracePeriodSeconds="0")
    digits.wait("Ready", "False", "Suspended")
    eventually(lambda: digits.condition("Reconciling").get("status") == "False", "it is at rest")
    digits.change(suspend=False)
    digits.finish()
    digits.wait("Ready", "True", "Trained", timeout=30)


# What a worker leaves, whether another try follows, the reason, and a part of the message.
ENDS: list[tuple[str, dict[str, Any], bool, str, str]] = [
    (
        "out of memory",
        {"code": 137, "reason": "OOMKilled"},
        True,
        "OutOfMemory",
        "spec.resources.limits.memory",
    ),
    ("a crash", {"code": 1, "message": "Traceback"}, True, "WorkerFailed", "exit code 1"),
    ("another worker lost", {"code": 1, "message": "WorkerLost: gloo"}, True, "WorkerLost", "gloo"),
    (
        "told to stop",
        {"code": 75, "message": "TrainingInterrupted: at 7."},
        True,
        "TrainingInterrupted",
        "at 7",
    ),
    ("bad data", {"code": 3, "message": "DataInvalid: no class cat."}, False, "DataInvalid", "no class cat"),
    ("not learning", {"code": 5, "message": "TrainingStuck: guesses."}, False, "TrainingStuck", "guesses"),
    ("diverged", {"code": 4, "message": "TrainingDiverged: NaN."}, False, "TrainingDiverged", "learningRate"),
]


@pytest.mark.parametrize(
    ("end", "again", "reason", "part"), [one[1:] for one in ENDS], ids=[one[0] for one in ENDS]
)
def test_ends_are_told_apart(
    training: Make, end: dict[str, Any], again: bool, reason: str, part: str
) -> None:
    digits = training()
    digits.create()
    (pod,) = digits.started(1)
    digits.end(pod, **end)
    condition = digits.wait("Reconciling" if again else "Stalled", "True", reason, timeout=30)
    assert part in condition["message"]
    if not again:
        eventually(lambda: digits.get()["status"].get("completionTime"), "its end")
        assert digits.pods() == []


def test_an_evicted_worker_does_not_count_as_a_failure(training: Make) -> None:
    digits = training()
    digits.create(retries=0)
    (pod,) = digits.started(1)
    digits.evict(pod)
    digits.wait("Reconciling", "True", "Evicted")
    digits.finish()
    digits.wait("Ready", "True", "Trained", timeout=30)


def test_an_image_that_cannot_be_pulled_is_told(training: Make) -> None:
    digits = training()
    digits.create()
    eventually(digits.pods, "a worker")
    digits.refuse_image(digits.pods()[0])
    digits.change(ttlSecondsAfterFinished=1)
    assert "no such image" in digits.wait("Stalled", "True", "ImageUnavailable")["message"]
    digits.started(1)
    digits.change(ttlSecondsAfterFinished=2)
    digits.wait("Stalled", "False", "Progressing")


@pytest.mark.parametrize("operator", [{"audit_seconds": 1.0}], indirect=True)
def test_a_training_that_stalls_or_is_tried_again_has_a_metric(training: Make) -> None:
    digits = training()
    digits.create(retries=2)
    who = {"training_namespace": digits.namespace, "training": digits.name}

    def metric(name: str, **labels: str) -> float | None:
        return REGISTRY.get_sample_value(f"squeeze_operator_training_{name}", who | labels)

    (pod,) = digits.started(1)
    digits.end(pod, 1)
    eventually(lambda: metric("failed_tries") == 1, "it is counted")
    # The Job controller's back-off, which doubles with each try.
    (pod,) = eventually(digits.pods, "another try", timeout=60)
    digits.refuse_image(pod)
    eventually(lambda: metric("stalled", reason="ImageUnavailable") == 1, "it is told")
    digits.kube.delete(digits.path)
    eventually(lambda: metric("stalled", reason="ImageUnavailable") is None, "it ends with the training")


def test_the_retries_are_the_limit(training: Make) -> None:
    digits = training()
    digits.create(retries=0)
    (pod,) = digits.started(1)
    digits.end(pod, 137, reason="OOMKilled")
    assert "not tried again" in digits.wait("Stalled", "True", "OutOfMemory", timeout=30)["message"]


def test_a_lost_follower_does_not_undo_the_leaders_success(training: Make) -> None:
    digits = training()
    digits.create(workers=2)
    leader, follower = digits.started(2)
    assert leader["metadata"]["annotations"][INDEX] == "0"
    digits.end(follower, 1, "WorkerLost: gone")
    digits.finish_leader(leader)
    digits.wait("Ready", "True", "Trained", timeout=30)


def test_somebody_elses_job_of_that_name_is_left_alone(training: Make) -> None:
    digits = training()
    container = {"name": "c", "image": "i"}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    body = {"metadata": {"name": "digits-training"}, "spec": {"suspend": True, "template": template}}
    theirs = digits.kube.create(f"/apis/batch/v1/namespaces/{digits.namespace}/jobs", body)
    digits.create()
    digits.wait("Stalled", "True", "NameTaken")
    assert digits.job()["metadata"]["uid"] == theirs["metadata"]["uid"]
    assert digits.job()["spec"]["template"] == theirs["spec"]["template"]


def test_a_converged_training_costs_no_write(training: Make) -> None:
    digits = training()
    digits.create()
    digits.finish()
    digits.wait("Ready", "True", "Trained", timeout=30)
    version = digits.get()["metadata"]["resourceVersion"]
    digits.kube.patch(digits.job_path, {"metadata": {"annotations": {"looked": "at"}}})
    eventually(lambda: digits.job()["metadata"]["annotations"].get("looked"), "a change of the Job")
    assert digits.get()["metadata"]["resourceVersion"] == version


# What a SqueezeModel makes of it.


def test_a_model_waits_for_its_training_and_serves_the_artifact(
    training: Make, model: Callable[..., Model]
) -> None:
    digits, served = training(), model("served")
    served.create(weights={"trainingRef": {"name": "digits"}}, gate={"minTop1": 0.97})
    assert "no SqueezeTraining digits" in served.wait("Reconciling", "True", "WaitingForTraining")["message"]
    digits.create()
    digits.finish(top1=0.98)
    container = served.kserve.service()["spec"]["predictor"]["containers"][0]
    assert {"name": "STORAGE_URI", "value": "s3://models/runs/digits/model"} in container["env"]
    assert f"--sha256={DIGEST.removeprefix('sha256:')}" in container["args"]
    served.kserve.serve(2)
    served.wait("Ready", "True", "Available")
    assert served.get()["status"]["training"]["test"]["top1"] == 0.98


def test_the_gate_refuses_a_worse_training_and_the_better_one_keeps_serving(
    training: Make, model: Callable[..., Model]
) -> None:
    good, bad, served = training("good"), training("bad"), model("served")
    good.create(output={"uri": "s3://models/good"})
    bad.create(output={"uri": "s3://models/bad"})
    good.finish(top1=0.98)
    bad.finish(top1=0.91)
    served.create(weights={"trainingRef": {"name": "good"}}, gate={"minTop1": 0.97})
    served.kserve.serve(2)
    served.wait("Ready", "True", "Available", timeout=40)
    before = served.kserve.service()
    served.change(weights={"trainingRef": {"name": "bad"}})
    message = served.wait("Stalled", "True", "GateNotPassed")["message"]
    assert "0.0600 below spec.gate.minTop1 (0.9700)" in message
    assert served.condition("Serving")["status"] == "True"
    assert served.kserve.service()["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    served.change(gate={"minTop1": 0.9})
    eventually(
        lambda: "s3://models/bad/model" in str(served.kserve.service()["spec"]),
        "a rollout of what now passes",
    )


def test_a_model_goes_on_without_its_training(training: Make, model: Callable[..., Model]) -> None:
    digits, served = training(), model("served")
    digits.create()
    served.create(weights={"trainingRef": {"name": "digits"}})
    digits.finish()
    served.kserve.serve(2)
    served.wait("Ready", "True", "Available", timeout=40)
    digits.kube.delete(digits.path)
    served.change(scaling={"maxReplicas": 7})
    eventually(
        lambda: served.kserve.service()["spec"]["predictor"]["maxReplicas"] == 7, "a change of another field"
    )


def test_a_failed_training_is_told_to_its_model(training: Make, model: Callable[..., Model]) -> None:
    digits, served = training(), model("served")
    served.create(weights={"trainingRef": {"name": "digits"}})
    digits.create()
    (pod,) = digits.started(1)
    digits.end(pod, 3, "DataInvalid: no pictures.")
    assert "no pictures" in served.wait("Stalled", "True", "TrainingFailed", timeout=30)["message"]
