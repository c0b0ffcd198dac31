"""The table of decisions for trainings: what was seen, and what the status then says."""

import json
from typing import Any

import pytest
from squeeze_operator.conditions import find, is_true
from squeeze_operator.decision import Decision
from squeeze_operator.snapshot import ApplyError, Options
from squeeze_operator.training import desired
from squeeze_operator.training.decide import decide
from squeeze_operator.training.reasons import WORKER_REASONS, TrainingReason
from squeeze_operator.training.snapshot import TrainingSnapshot
from squeeze_operator.training.spec import parse_training

OPTIONS = Options("registry.example/predictor:1", "registry.example/trainer:1")
SPEC: dict[str, Any] = {
    "mode": "finetune",
    "weights": {"uri": "builtin://digits"},
    "dataset": {"uri": "builtin://digits"},
    "output": {"uri": "s3://models/digits"},
    "workers": 2,
}
BEGAN = "2026-01-01T00:00:00Z"
NOW = 1767225600.0
PROGRESS = {"attempt": 1, "iteration": 30, "iterations": 120, "loss": 0.25}
RESULT = {
    "artifact": "s3://models/digits/model",
    "digest": f"sha256:{'0123456789abcdef' * 4}",
    "iterations": 118,
    "validation": {"top1": 0.99},
    "test": {"top1": 0.9811},
}


def seen(
    job: dict[str, Any] | None = None, pods: list[dict[str, Any]] | None = None, **rest: Any
) -> TrainingSnapshot:
    """A snapshot; `job` is the Job's status."""
    spec = {**SPEC, **rest.pop("spec", {})}
    metadata = {"name": "digits", "namespace": "team", "uid": "u1", "generation": 3, "resourceVersion": "9"}
    training = {"metadata": metadata, "spec": spec, "status": rest.pop("status", {"observedGeneration": -1})}
    children: dict[str, Any] = {}
    if job is not None:
        made = desired.job(metadata, parse_training(spec), OPTIONS)
        made["metadata"] |= {"uid": "u2", "creationTimestamp": BEGAN}
        children = {"Job": made | {"status": job}, "Service": desired.service(metadata)}
    now, options = rest.pop("now", NOW), rest.pop("options", OPTIONS)
    return TrainingSnapshot(training, options, now, children, tuple(pods or []), **rest)


def pod(phase: str, worker: int = 0, **status: Any) -> dict[str, Any]:
    """A worker's pod."""
    annotations = {"batch.kubernetes.io/job-completion-index": str(worker)}
    name = f"digits-training-{worker}-x"
    return {"metadata": {"name": name, "annotations": annotations}, "status": {"phase": phase, **status}}


def ended(code: int, message: str = "", reason: str = "Error", worker: int = 0) -> dict[str, Any]:
    """A worker's pod that is over."""
    state = {"terminated": {"exitCode": code, "reason": reason, "message": message}}
    status = [{"name": "trainer", "state": state}]
    return pod("Failed" if code else "Succeeded", worker, containerStatuses=status)


def waiting(reason: str) -> dict[str, Any]:
    """A worker's pod whose container cannot start."""
    state = {"waiting": {"reason": reason, "message": "it says why"}}
    return pod("Pending", containerStatuses=[{"name": "trainer", "image": "i:1", "state": state}])


RUNNING = [pod("Running", 0), pod("Running", 1)]
UNSCHEDULABLE = [
    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
]
FAILED = {
    "startTime": BEGAN,
    "failed": 3,
    "conditions": [{"type": "Failed", "status": "True", "message": "limit"}],
}
COMPLETE = {
    "startTime": BEGAN,
    "completionTime": BEGAN,
    "conditions": [{"type": "Complete", "status": "True"}],
}
ACTIVE = {"startTime": BEGAN, "active": 2}
LATER = NOW + 300
REFUSED, BUSY = ApplyError("exceeded quota", True), ApplyError("etcd is away", False)
EVICTED = pod("Failed", reason="Evicted", message="low on memory")

# id, snapshot, the condition that is True (none: at rest), the reason, a part of the message
TABLE: list[tuple[str, TrainingSnapshot, str, str, str]] = [
    ("nothing yet", seen(), "Reconciling", "Creating", "being made"),
    ("not begun", seen(spec={"suspend": True}), "", "Suspended", "has not begun"),
    ("ending", seen(ACTIVE, RUNNING, spec={"suspend": True}), "Reconciling", "Suspended", "checkpoint"),
    ("suspended", seen({}, spec={"suspend": True}), "", "Suspended", "spec.suspend to false"),
    ("starting", seen(ACTIVE, [pod("Pending")]), "Reconciling", "Starting", "0 of 2 workers"),
    ("waiting for each other", seen(ACTIVE, RUNNING), "Reconciling", "Starting", "2 of 2 workers run"),
    ("training", seen(ACTIVE, RUNNING, progress=PROGRESS), "Reconciling", "Training", "30/120 (25 %)"),
    ("trained", seen(COMPLETE, [ended(0, json.dumps(RESULT))]), "Ready", "Trained", "test top-1 98.11%"),
    ("result lost", seen(COMPLETE), "Stalled", "ResultLost", "apply it again"),
    ("wrong result", seen(COMPLETE, [ended(0, "no JSON")]), "Stalled", "ResultLost", "apply it again"),
    ("no pods", seen(ACTIVE, now=LATER), "Stalled", "PodsNotCreated", "kubectl describe job digits-training"),
    ("no pods yet", seen(ACTIVE, now=NOW + 5), "Reconciling", "Starting", "0 of 2"),
    (
        "no node",
        seen(ACTIVE, [pod("Pending", conditions=UNSCHEDULABLE)]),
        "Stalled",
        "Unschedulable",
        "500m cpu",
    ),
    (
        "a claim that is not there",
        seen(spec={"output": {"uri": "pvc://runs/digits"}}),
        "Stalled",
        "VolumeUnavailable",
        "no PersistentVolumeClaim runs",
    ),
    ("no image", seen(ACTIVE, [waiting("ErrImagePull")]), "Stalled", "ImageUnavailable", "i:1"),
    (
        "no secret",
        seen(ACTIVE, [waiting("CreateContainerConfigError")]),
        "Stalled",
        "ContainerConfigInvalid",
        "it says why",
    ),
    (
        "out of memory, tried again",
        seen(ACTIVE, [ended(137, reason="OOMKilled"), pod("Pending")]),
        "Reconciling",
        "OutOfMemory",
        "from the last checkpoint",
    ),
    (
        "out of memory for good",
        seen(FAILED, [ended(137, reason="OOMKilled")]),
        "Stalled",
        "OutOfMemory",
        "spec.resources.limits.memory",
    ),
    ("evicted", seen(ACTIVE, [EVICTED]), "Reconciling", "Evicted", "low on memory"),
    ("crash for good", seen(FAILED, [ended(1, "Traceback")]), "Stalled", "WorkerFailed", "exit code 1"),
    ("failed without a trace", seen(FAILED), "Stalled", "WorkerFailed", "limit"),
    (
        "the cause goes before its consequence",
        seen(FAILED, [ended(1, "WorkerLost: gloo"), ended(3, "DataInvalid: no cat.", worker=1)]),
        "Stalled",
        "DataInvalid",
        "Worker 1: no cat",
    ),
    ("refused", seen(apply_error=REFUSED), "Stalled", "Rejected", "exceeded quota"),
    ("busy API server", seen(apply_error=BUSY), "Reconciling", "ApiError", "etcd is away"),
    ("contradiction", seen(spec={"mode": "guess"}), "Stalled", "InvalidSpec", "spec.mode"),
    ("no image at all", seen(options=Options("p:1")), "Stalled", "InvalidSpec", "trainer.image"),
]


@pytest.mark.parametrize(
    ("snapshot", "leads", "reason", "part"), [r[1:] for r in TABLE], ids=[r[0] for r in TABLE]
)
def test_the_status_says_what_was_seen(
    snapshot: TrainingSnapshot, leads: str, reason: str, part: str
) -> None:
    status = decide(snapshot).status
    assert status is not None
    kinds = ("Ready", "Reconciling", "Stalled")
    assert [kind for kind in kinds if is_true(status, kind)] == ([leads] if leads else [])
    assert find(status, "Ready")["reason"] == reason
    assert part in find(status, "Ready")["message"]
    assert status["observedGeneration"] == 3
    json.dumps(status)


@pytest.mark.parametrize("word", sorted(WORKER_REASONS))
def test_every_reason_of_a_worker_reaches_the_status(word: str) -> None:
    status = decide(seen(FAILED, [ended(3, f"{word}: what happened.")])).status
    assert find(status, "Stalled")["reason"] == word
    assert "what happened" in find(status, "Stalled")["message"]


def test_every_reason_has_a_case() -> None:
    told = {row[3] for row in TABLE} | set(WORKER_REASONS) | {"NameTaken"}
    assert {str(reason) for reason in TrainingReason} - told == {"Settled", "Stalled", "Progressing"}


def over(decision: Decision, **rest: Any) -> TrainingSnapshot:
    """The snapshot of a training whose end is recorded."""
    assert decision.status is not None
    return seen(status=decision.status, **rest)


@pytest.mark.parametrize("job", [COMPLETE, FAILED], ids=["trained", "failed"])
def test_an_end_is_final(job: dict[str, Any]) -> None:
    first = decide(seen(job, [ended(0, json.dumps(RESULT))]))
    again = decide(over(first, spec={"suspend": True}))
    assert again.objects == ()
    assert again.changes == ()
    assert again.status == first.status
    assert again.announcements == ()
    assert not again.look_again


def test_the_time_to_live_begins_once_the_end_is_recorded() -> None:
    spec = {"ttlSecondsAfterFinished": 60}
    first = decide(seen(COMPLETE, [ended(0, json.dumps(RESULT))], spec=spec))
    assert not [change for change in first.changes if "ttlSecondsAfterFinished" in change["spec"]]
    (change,) = decide(over(first, job=COMPLETE, spec=spec)).changes
    assert change["spec"] == {"ttlSecondsAfterFinished": 60}


def test_a_job_is_made_once_and_only_suspended_later() -> None:
    assert [one["kind"] for one in decide(seen()).objects] == ["Service", "Job"]
    running = decide(seen(ACTIVE, RUNNING, spec={"suspend": True}))
    assert running.objects == ()
    assert [change["spec"] for change in running.changes] == [{"suspend": True}]


def test_only_a_training_that_moves_is_followed() -> None:
    assert decide(seen(ACTIVE, RUNNING, progress=PROGRESS)).follow_seconds is not None
    assert decide(seen(ACTIVE, [waiting("ImagePullBackOff")])).follow_seconds is None
    assert decide(seen(COMPLETE, [ended(0, json.dumps(RESULT))])).follow_seconds is None
    assert decide(seen(spec={"suspend": True})).follow_seconds is None


def test_nothing_is_done_for_a_training_that_goes() -> None:
    snapshot = seen()
    leaving = {**snapshot.training, "metadata": {**snapshot.training["metadata"], "deletionTimestamp": BEGAN}}
    assert decide(TrainingSnapshot(leaving, OPTIONS)) == Decision()


@pytest.mark.parametrize("worker", ["loss", "iteration"])
def test_progress_that_is_no_number_is_left_out(worker: str) -> None:
    status = decide(seen(ACTIVE, RUNNING, progress=PROGRESS | {worker: "many"})).status
    assert status is not None
    assert worker not in status["progress"]


def test_the_last_progress_is_that_of_the_result() -> None:
    running = decide(seen(ACTIVE, RUNNING, progress=PROGRESS | {"seconds_left": 9.5})).status
    status = decide(seen(COMPLETE, [ended(0, json.dumps(RESULT))], status=running)).status
    assert status is not None
    assert status["summary"] == "118/120 (98 %)"
    assert status["progress"]["bestTop1"] == 0.99
    assert "secondsLeft" not in status["progress"]


def test_events_tell_changes_and_not_measurements() -> None:
    first = decide(seen(ACTIVE, RUNNING, progress=PROGRESS))
    assert [one.reason for one in first.announcements] == ["Training"]
    later = PROGRESS | {"iteration": 60}
    second = decide(seen(ACTIVE, RUNNING, status=first.status, progress=later))
    assert second.announcements == ()
    assert second.status != first.status
