"""The table of decisions: what was seen, and what the status then says."""

import json

import pytest
from squeeze_operator.conditions import find
from squeeze_operator.decide import decide
from squeeze_operator.reasons import Reason
from squeeze_operator.snapshot import ApplyError, Served, Snapshot
from unit.operator_snapshots import ROUTED, ended, replicas, seen, starting, unschedulable, waiting

INITIALIZER = {"name": "storage-initializer", "state": {"running": {}}}
DOWNLOADING = {"status": {"initContainerStatuses": [INITIALIZER]}}
SERVING = replicas(1)
GOOD = seen(service=ROUTED, deployment=SERVING)
MADE = seen(service=[])
NO_ROUTE = seen(service=[], deployment=SERVING)
MORE = seen(service=ROUTED, deployment=replicas(1, 3))
NO_QUOTA = [{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}]
WEBHOOK_DOWN = [
    NO_QUOTA[0] | {"message": 'Internal error occurred: failed calling webhook "pod-mutator": refused'}
]
NOT_YET = "containers with unready status: [kserve-container]"
UNREADY = {"status": {"conditions": [{"type": "Ready", "status": "False", "message": NOT_YET}]}}
TOO_LATE = [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]
KSERVE_FAILS = [
    {"type": "PredictorReady", "status": "False", "reason": "ReconcileFailed", "message": "no such PVC"}
]
CONFLICT = [KSERVE_FAILS[0] | {"message": "the object has been modified; please apply your changes"}]
GPU = {"accelerator": {"gpus": 2}}

# id, snapshot, leading condition, its reason, Serving, UpToDate, a part of the message
TABLE: list[tuple[str, Snapshot, str, str, bool, bool, str]] = [
    ("nothing yet", seen(), "Reconciling", "Creating", False, False, "being made"),
    (
        "service made",
        MADE,
        "Reconciling",
        "WaitingForKServe",
        False,
        False,
        "kserve-controller-manager",
    ),
    (
        "starting",
        starting(),
        "Reconciling",
        "Starting",
        False,
        True,
        "none answers",
    ),
    (
        "downloading",
        starting(DOWNLOADING, weights={"uri": "s3://b/m"}),
        "Reconciling",
        "Downloading",
        False,
        True,
        "s3://b/m",
    ),
    (
        "no route",
        NO_ROUTE,
        "Reconciling",
        "RouteNotReady",
        True,
        True,
        "IngressReady",
    ),
    (
        "all well",
        GOOD,
        "Ready",
        "Available",
        True,
        True,
        "1 of 1 replicas",
    ),
    (
        "scaling up",
        MORE,
        "Ready",
        "Available",
        True,
        True,
        "1 of 3",
    ),
    (
        "Deployment not told yet",
        seen(service=ROUTED, deployment=SERVING, deployed={"image": "old"}),
        "Reconciling",
        "RollingOut",
        True,
        False,
        "0 of 1",
    ),
    (
        "Deployment told but not observed",
        seen(service=ROUTED, deployment=SERVING | {"observedGeneration": 1}),
        "Reconciling",
        "RollingOut",
        True,
        False,
        "0 of 1",
    ),
    (
        "rolling",
        seen(service=ROUTED, deployment=replicas(1, 2, updated=1)),
        "Reconciling",
        "RollingOut",
        True,
        False,
        "1 of 2",
    ),
    (
        "bad rollout, old one serves",
        seen(service=ROUTED, deployment=replicas(1, 2, updated=1), pods=[ended("WeightsInvalid: no conv1.")]),
        "Stalled",
        "WeightsInvalid",
        True,
        False,
        "no conv1.",
    ),
    (
        "placement left over in the Deployment",
        seen(service=ROUTED, deployment=SERVING, deployed={"placement": {"nodeSelector": {"a": "b"}}}),
        "Reconciling",
        "RollingOut",
        True,
        False,
        "0 of 1",
    ),
    (
        "no GPU node",
        seen(GPU, replicas(0, 1), [unschedulable("0/3 nodes: 3 Insufficient nvidia.com/gpu.")], []),
        "Stalled",
        "Unschedulable",
        False,
        True,
        "asks for 2 nvidia.com/gpu and no node has that many free: lower spec.accelerator.gpus",
    ),
    (
        "no CPU left",
        seen(None, replicas(0, 1), [unschedulable("0/3 nodes: 3 Insufficient cpu.")], []),
        "Stalled",
        "Unschedulable",
        False,
        True,
        "requests 500m cpu, 256Mi memory",
    ),
    (
        "no such claim",
        seen(None, replicas(0, 1), [unschedulable('persistentvolumeclaim "weights" not found.')], []),
        "Stalled",
        "Unschedulable",
        False,
        True,
        "check that each claim exists, is bound, and can be used on a node with room",
    ),
    (
        "GPU without CUDA",
        seen(GPU, replicas(0, 1), [ended("NoCudaDevice: no CUDA device is visible.", 3)], []),
        "Stalled",
        "NoCudaDevice",
        False,
        True,
        "GPU driver",
    ),
    (
        "no engine computes the network",
        seen(None, replicas(0, 1), [ended("EngineFailed: openvino on cpu differs.")], []),
        "Stalled",
        "EngineFailed",
        False,
        True,
        "golden.safetensors",
    ),
    (
        "GPU model on the CPU",
        seen(GPU, SERVING, service=ROUTED, served=Served("sha256:1", "cpu", "torch")),
        "Ready",
        "RunningOnCPU",
        True,
        True,
        "on the CPU although each replica asked for 2 nvidia.com/gpu",
    ),
    (
        "GPU model on the GPU",
        seen(GPU, SERVING, service=ROUTED, served=Served("sha256:1", "cuda", "torch")),
        "Ready",
        "Available",
        True,
        True,
        "1 of 1",
    ),
    (
        "image missing",
        starting(waiting("ImagePullBackOff", "not found")),
        "Stalled",
        "ImageUnavailable",
        False,
        True,
        "The image i:1 cannot be pulled",
    ),
    (
        "container cannot be made",
        starting(waiting("CreateContainerConfigError", "no secret")),
        "Stalled",
        "ContainerConfigInvalid",
        False,
        True,
        "no secret",
    ),
    (
        "crash without a message",
        starting(ended("", 139)),
        "Stalled",
        "CrashLoop",
        False,
        True,
        "exit code 139",
    ),
    (
        "crash with a message of its own",
        starting(ended("panic: at\nthe\x1b disco")),
        "Stalled",
        "CrashLoop",
        False,
        True,
        "panic: at the disco",
    ),
    (
        "out of memory",
        starting(ended("", 137, reason="OOMKilled")),
        "Stalled",
        "OutOfMemory",
        False,
        True,
        "raise spec.resources.limits.memory",
    ),
    (
        "download fails",
        starting(
            ended("Traceback\n  File x\nValueError: no such key", init=True), weights={"uri": "s3://b/m"}
        ),
        "Stalled",
        "WeightsDownloadFailed",
        False,
        True,
        "ValueError: no such key",
    ),
    (
        "quota",
        seen(service=[], deployment=replicas(0, 0, conditions=NO_QUOTA)),
        "Stalled",
        "PodsNotCreated",
        False,
        False,
        "exceeded quota",
    ),
    (
        "KServe's webhook is away as pods are to be made",
        seen(service=ROUTED, deployment=replicas(2, 3, updated=1, conditions=WEBHOOK_DOWN)),
        "Reconciling",
        "ApiError",
        True,
        False,
        "failed calling webhook",
    ),
    (
        "too late",
        seen(service=[], deployment=replicas(0, 1, conditions=TOO_LATE)),
        "Stalled",
        "ProgressDeadlineExceeded",
        False,
        True,
        "look at the pods",
    ),
    (
        "never ready",
        seen(service=ROUTED, deployment=replicas(1, 2, 1, conditions=TOO_LATE), pods=[UNREADY]),
        "Stalled",
        "ProgressDeadlineExceeded",
        True,
        False,
        "Pod p: containers with unready status: [kserve-container]",
    ),
    (
        "one replica more does not fit",
        seen(
            {"scaling": {"minReplicas": 1}},
            replicas(1, 2),
            [unschedulable("0/3 nodes: 3 Insufficient cpu.")],
            ROUTED,
        ),
        "Ready",
        "ReplicasFailing",
        True,
        True,
        "Unschedulable: No node fits",
    ),
    (
        "fewer than the minimum",
        seen({"scaling": {"minReplicas": 2}}, replicas(1, 2), [unschedulable("3 Insufficient cpu.")], ROUTED),
        "Stalled",
        "Unschedulable",
        True,
        True,
        "No node fits",
    ),
    ("KServe fails", seen(service=KSERVE_FAILS), "Stalled", "KServeFailed", False, False, "no such PVC"),
    ("KServe conflicts", seen(service=CONFLICT), "Reconciling", "WaitingForKServe", False, False, "acted"),
    ("no KServe", seen(kserve_installed=False), "Stalled", "KServeMissing", False, False, "install KServe"),
    ("long name", seen(name="m" * 50), "Stalled", "NameTooLong", False, False, "by 2 characters"),
    ("longest name", seen(name="m" * 48), "Reconciling", "Creating", False, False, ""),
    (
        "contradiction",
        seen({"resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "2"}}}),
        "Stalled",
        "InvalidSpec",
        False,
        False,
        "lower the request",
    ),
    (
        "a metric without KEDA",
        seen({"scaling": {"metric": "utilization"}}, SERVING, service=ROUTED),
        "Stalled",
        "KedaMissing",
        True,
        True,
        "needs KEDA and Prometheus",
    ),
    (
        "a metric of a Prometheus that nobody named",
        seen({"scaling": {"metric": "latency", "target": 50}}, SERVING, service=ROUTED, keda_installed=True),
        "Stalled",
        "PrometheusUnknown",
        True,
        True,
        "prometheus.address of the operator's chart",
    ),
    (
        "no CPU to measure against",
        seen({"resources": {"requests": {"cpu": 0}}}),
        "Stalled",
        "InvalidSpec",
        False,
        False,
        "spec.resources.requests.cpu is 0",
    ),
    (
        "refused",
        seen(apply_error=ApplyError("denied by policy", rejected=True)),
        "Stalled",
        "Rejected",
        False,
        False,
        "denied by policy",
    ),
    (
        "API away",
        seen(apply_error=ApplyError("HTTP 503", rejected=False)),
        "Reconciling",
        "ApiError",
        False,
        False,
        "HTTP 503",
    ),
]


@pytest.mark.parametrize("row", TABLE, ids=[row[0] for row in TABLE])
def test_the_status_says_what_was_seen(row: tuple[str, Snapshot, str, str, bool, bool, str]) -> None:
    _, snapshot, leading, reason, serving, current, message = row
    status = decide(snapshot).status
    assert status is not None
    said = find(status, leading)
    assert (said["status"], said["reason"]) == ("True", reason)
    assert message in said["message"]
    # kstatus: exactly one of the three leads, and Ready carries its reason.
    types = ["Ready", "Reconciling", "Stalled", "Serving", "UpToDate", "Scaling"]
    assert [c["type"] for c in status["conditions"]] == types
    leaders = [kind for kind in types[:3] if find(status, kind)["status"] == "True"]
    assert leaders == [leading]
    assert find(status, "Ready")["reason"] == reason
    assert find(status, "Serving")["status"] == str(serving)
    assert find(status, "UpToDate")["status"] == str(current)
    assert status["observedGeneration"] == 3
    assert all(c["observedGeneration"] == 3 and c["reason"] in set(Reason) for c in status["conditions"])
    json.dumps(status)


def test_every_fault_of_the_table_of_reasons_is_in_this_table() -> None:
    told = {row[3] for row in TABLE}
    elsewhere = {"NameTaken", "WeightsNotFound", "DigestMismatch", "ConfigInvalid"}
    only_secondary = {"Settled", "Stalled", "Progressing", "ReplicasAnswer", "NoReplicaAnswers"}
    updates = {"NoRoomForUpdate", "ReplacingInPlace"}
    trained = {"WaitingForTraining", "TrainingFailed", "GateNotPassed"}
    scaling = {
        *("FixedReplicas", "FollowsLoad", "AutoscalerStarting", "OldAutoscalerPresent", "WaitingForMetrics"),
        *("MetricsMissing", "RequestsMissing", "AnotherAutoscaler", "ScaledToZero", "NoRoomToScale"),
        *("AtMaxReplicas", "Flapping", "KedaNotActing"),
    }
    sleeping = {"Asleep", "Waking", "ActivatorMissing"}
    known = told | elsewhere | only_secondary | updates | trained | scaling | sleeping
    rest = {str(r) for r in Reason} - known
    assert rest == {"AllReplicasCurrent", "ReplicasOutdated"}
