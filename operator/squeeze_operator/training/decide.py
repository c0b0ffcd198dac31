"""Decides what a SqueezeTraining's Job and status should be, from one snapshot.

Pure and total: no client, clock or environment, and an answer for everything that the API server can hold.
An end that the status records is final: it holds whatever has become of the Job since.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from squeeze_operator.conditions import find, is_true
from squeeze_operator.decision import Announcement, Decision
from squeeze_operator.podfaults import Fault, clean
from squeeze_operator.spec import SpecError
from squeeze_operator.training import desired
from squeeze_operator.training.claims import claim_fault, on_one_node
from squeeze_operator.training.faults import ended_fault, waiting_fault
from squeeze_operator.training.isolation import isolation, open_again
from squeeze_operator.training.reasons import TrainingReason as Reason
from squeeze_operator.training.result import final, progress, result, summary
from squeeze_operator.training.snapshot import TrainingSnapshot
from squeeze_operator.training.spec import TrainingSpec, parse_training
from squeeze_operator.verdict import Verdict, leading

PROGRESS_SECONDS = 8.0
"""Between two looks at a training that runs."""
PODS_SECONDS = 60.0
"""How long a Job may be without the pods it wants before something must forbid them."""

Json = dict[str, Any]


def decide(snapshot: TrainingSnapshot) -> Decision:
    """The decision for a snapshot."""
    metadata = snapshot.training["metadata"]
    if metadata.get("deletionTimestamp"):
        # The garbage collector follows the ownerReferences; there is nothing left to say.
        return Decision()
    before: Mapping[str, Any] = snapshot.training.get("status") or {}
    spec, blocker = _trainable(snapshot)
    if before.get("completionTime"):
        return _over(snapshot, spec, before)
    if blocker is not None or spec is None:
        told = blocker or Fault(Reason.INVALID_SPEC, "")
        return _decision(snapshot, Verdict(told.reason, told.message, stalled=True))
    together = on_one_node(spec, snapshot.claims)
    objects = (desired.service(metadata), desired.job(metadata, spec, snapshot.options, together))
    # A Job's template cannot change, so there is none before the training may begin.
    begun = snapshot.job is not None or not spec.suspend
    missing = tuple(one for one in objects if one["kind"] not in snapshot.children)
    # The policy comes first, so that no worker starts without it.
    wanted = (*isolation(snapshot, spec), *missing) if begun else ()
    changes = (desired.change(snapshot.job, suspend=spec.suspend),) if snapshot.job else ()
    return _decision(snapshot, _verdict(snapshot, spec), wanted, changes)


def _trainable(snapshot: TrainingSnapshot) -> tuple[TrainingSpec | None, Fault | None]:
    """The typed spec, and what forbids to act on it."""
    try:
        spec = parse_training(snapshot.training.get("spec") or {})
    except SpecError as error:
        return None, Fault(Reason.INVALID_SPEC, clean(error))
    if not (spec.image or snapshot.options.trainer_image):
        return spec, Fault(
            Reason.INVALID_SPEC,
            "The operator was installed without a trainer's image: set spec.image, or the chart's "
            "trainer.image",
        )
    if snapshot.taken:
        return spec, Fault(
            Reason.NAME_TAKEN,
            f"A {snapshot.taken} with the name of this training's workers exists and does not belong to it: "
            f"rename this training, or delete that {snapshot.taken}",
        )
    refused = snapshot.apply_error
    if refused is not None and refused.rejected:
        return spec, Fault(Reason.REJECTED, f"The API server refused it: {clean(refused.message)}")
    waits = snapshot.job is not None or spec.suspend
    return spec, None if waits else claim_fault(spec, snapshot.claims)


def _over(snapshot: TrainingSnapshot, spec: TrainingSpec | None, before: Mapping[str, Any]) -> Decision:
    """After the end only the Job's time to live is left to set; Kubernetes then removes it with its pods."""
    generation = snapshot.training["metadata"]["generation"]
    said = [{**one, "observedGeneration": generation} for one in before.get("conditions") or []]
    ttl = spec.ttl_seconds if spec else None
    changes: tuple[Json, ...] = ()
    if ttl is not None and snapshot.job is not None:
        changes = (desired.change(snapshot.job, ttlSecondsAfterFinished=ttl),)
    status = {**before, "observedGeneration": generation, "conditions": said}
    return Decision(unwanted=open_again(snapshot), changes=changes, status=status)


def _verdict(snapshot: TrainingSnapshot, spec: TrainingSpec) -> Verdict:
    if snapshot.apply_error is not None:
        retrying = f"Trying again with back-off: {clean(snapshot.apply_error.message)}"
        return Verdict(Reason.API_ERROR, retrying, retrying=retrying)
    job = snapshot.job
    if job is None and spec.suspend:
        return Verdict(Reason.SUSPENDED, "It has not begun; set spec.suspend to false to begin", resting=True)
    if job is None:
        return Verdict(Reason.CREATING, "The Job is being made")
    if is_true(job.get("status"), "Complete"):
        return _complete(snapshot)
    failed = find(job.get("status"), "Failed")
    if failed.get("status") == "True":
        fault = ended_fault(snapshot.pods)
        told = clean(failed.get("message"))
        if fault is None:
            return Verdict(Reason.WORKER_FAILED, f"The Job failed: {told}", stalled=True)
        return Verdict(fault.reason, f"{fault.message} {_again(job)}", stalled=True)
    if spec.suspend:
        kept = "the last checkpoint is kept; set spec.suspend to false to go on"
        return Verdict(Reason.SUSPENDED, f"No worker runs: {kept}", resting=not _active(job))
    return _running(snapshot, spec, job)


def _complete(snapshot: TrainingSnapshot) -> Verdict:
    made = result(snapshot.pods)
    if made is None:
        return Verdict(
            Reason.RESULT_LOST,
            "The training is complete, and its leading pod was removed before its result was read: delete "
            "this training and apply it again with the same output; it ends at once from its last checkpoint",
            stalled=True,
        )
    top1 = (made.get("test") or made.get("validation") or {}).get("top1")
    measured = "" if top1 is None else f", {'test' if 'test' in made else 'validation'} top-1 {top1:.2%}"
    return Verdict(Reason.TRAINED, f"The artifact is {made['uri']}{measured}", ready=True)


def _running(snapshot: TrainingSnapshot, spec: TrainingSpec, job: Mapping[str, Any]) -> Verdict:
    fault = waiting_fault(snapshot.pods, spec, snapshot.now) or _missing_pods(snapshot, job)
    if fault is not None:
        return Verdict(fault.reason, fault.message, stalled=True)
    live = [pod for pod in snapshot.pods if not pod["metadata"].get("deletionTimestamp")]
    running = [pod for pod in live if (pod.get("status") or {}).get("phase") == "Running"]
    if len(running) >= spec.workers and snapshot.progress:
        shown = progress(snapshot.progress)
        return Verdict(Reason.TRAINING, f"{spec.workers} workers train: iteration {summary(shown)}")
    fault = ended_fault(snapshot.pods)
    if fault is not None:
        return Verdict(fault.reason, f"{fault.message} It starts again from the last checkpoint")
    return Verdict(Reason.STARTING, f"{len(running)} of {spec.workers} workers run; none trains yet")


def _missing_pods(snapshot: TrainingSnapshot, job: Mapping[str, Any]) -> Fault | None:
    began = (job.get("status") or {}).get("startTime")
    if snapshot.pods or not began or snapshot.now - datetime.fromisoformat(began).timestamp() < PODS_SECONDS:
        return None
    name = job["metadata"]["name"]
    return Fault(
        Reason.PODS_NOT_CREATED,
        "Kubernetes creates no workers: raise the quota or relax the policy that "
        f"`kubectl describe job {name}` names",
    )


def _active(job: Mapping[str, Any]) -> bool:
    status = job.get("status") or {}
    return bool(status.get("active") or status.get("terminating")) or not job["spec"].get("suspend")


def _again(job: Mapping[str, Any]) -> str:
    failures = (job.get("status") or {}).get("failed", 0)
    return (
        f"After {failures} failed pods it is not tried again: delete this training and apply it once that is "
        "mended; it goes on from its last checkpoint"
    )


def _decision(
    snapshot: TrainingSnapshot,
    verdict: Verdict,
    objects: tuple[Json, ...] = (),
    changes: tuple[Json, ...] = (),
) -> Decision:
    before: Mapping[str, Any] = snapshot.training.get("status") or {}
    return Decision(
        objects=objects,
        unwanted=open_again(snapshot),
        changes=changes,
        status=_status(snapshot, verdict, before),
        announcements=_announcements(before, verdict),
        look_again=not verdict.ready and not verdict.resting,
        follow_seconds=PROGRESS_SECONDS if verdict.moving else None,
    )


def _status(snapshot: TrainingSnapshot, verdict: Verdict, before: Mapping[str, Any]) -> Json:
    generation = snapshot.training["metadata"]["generation"]
    job_status = (snapshot.job or {}).get("status") or {}
    over = verdict.ready or (verdict.stalled and _ended(job_status))
    artifact = result(snapshot.pods) if verdict.ready else None
    shown = progress(snapshot.progress) if snapshot.progress else before.get("progress")
    if artifact is not None:
        shown = final(shown or {}, artifact)
    status: Json = {
        "observedGeneration": generation,
        "conditions": [condition.as_json(generation) for condition in leading(verdict)],
        "startTime": before.get("startTime")
        or (snapshot.job or {"metadata": {}})["metadata"].get("creationTimestamp"),
        "completionTime": _end_time(job_status) if over else None,
        "progress": shown,
        "summary": summary(shown) if shown else None,
        "failures": job_status.get("failed") or before.get("failures"),
        "artifact": artifact,
    }
    return {field: value for field, value in status.items() if value is not None}


def _ended(job_status: Mapping[str, Any]) -> bool:
    return is_true(job_status, "Complete") or is_true(job_status, "Failed")


def _end_time(job_status: Mapping[str, Any]) -> str:
    """When the Job ended: a failed one has no completionTime."""
    condition = find(job_status, "Complete") or find(job_status, "Failed")
    return str(job_status.get("completionTime") or condition.get("lastTransitionTime"))


def _announcements(before: Mapping[str, Any], verdict: Verdict) -> tuple[Announcement, ...]:
    """One Event for each change of reason that a person wants to know."""
    if str(verdict.reason) == find(before, "Ready").get("reason"):
        return ()
    kind = "Normal"
    if verdict.stalled or verdict.reason in _WARNINGS:
        kind = "Warning"
    elif verdict.reason not in (Reason.TRAINING, Reason.SUSPENDED, Reason.TRAINED):
        return ()
    return (Announcement(kind, str(verdict.reason), verdict.message),)


_WARNINGS = frozenset(
    {Reason.OUT_OF_MEMORY, Reason.WORKER_FAILED, Reason.EVICTED, Reason.OUTPUT_UNAVAILABLE, Reason.API_ERROR}
)
