"""Builds the objects that a SqueezeTraining stands for. Pure: a spec and the options in, plain objects out.

The Job is applied once: its pod template cannot change. Later only `suspend` and the time to live are set.
"""

from collections.abc import Mapping
from typing import Any

from squeeze_operator import names
from squeeze_operator.desired import (
    HOSTNAME,
    container_security,
    on_architecture,
    pod_placement,
    pod_security,
    resources_with_gpus,
)
from squeeze_operator.snapshot import Options
from squeeze_operator.training.spec import GRACE_SECONDS, REQUIRED, TrainingSpec

CONTAINER = "trainer"
PAGE_PORT = 8080
RENDEZVOUS_PORT = 29500
VOLUMES = "/mnt/volumes"
"""Below it the trainer finds a claim by its name."""
INTERRUPTED_CODES = (75, 143)
"""A worker that was told to stop: after its checkpoint, or before it could train."""
FINAL_CODES = (2, 3, 4, 5, 6)
"""Exit codes of the trainer that another try cannot change: usage, data, diverged, stuck, checkpoint."""

Json = dict[str, Any]


def job(metadata: Mapping[str, Any], spec: TrainingSpec, options: Options, together: bool = False) -> Json:
    """The Indexed Job (batch/v1) of a training's workers; worker 0 leads. ``together``: all on one node."""
    pod = _pod(metadata, spec, options)
    if together:
        pod["affinity"] = _with_each_other(metadata, pod.get("affinity") or {})
    return {
        "apiVersion": names.JOBS.api_version,
        "kind": names.JOBS.kind,
        "metadata": child_metadata(metadata),
        "spec": {
            "completionMode": "Indexed",
            "completions": spec.workers,
            "parallelism": spec.workers,
            "suspend": spec.suspend,
            # One lost worker ends all of them, so that each try can cost that many failures.
            "backoffLimit": spec.retries * spec.workers,
            # Two leaders must never write one output.
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {"rules": _failure_rules()},
            # The leading worker is the last to have something to do; the others may be lost by then.
            "successPolicy": {"rules": [{"succeededIndexes": "0"}]},
            "template": {"metadata": {"labels": _labels(metadata)}, "spec": pod},
        },
    }


def service(metadata: Mapping[str, Any]) -> Json:
    """The headless Service (v1) by which workers find the leading one."""
    return {
        "apiVersion": names.SERVICES.api_version,
        "kind": names.SERVICES.kind,
        "metadata": child_metadata(metadata),
        "spec": {
            "clusterIP": "None",
            # Workers meet before any of them is ready.
            "publishNotReadyAddresses": True,
            "selector": {names.TRAINING_LABEL: metadata["name"]},
            "ports": [{"name": "rendezvous", "port": RENDEZVOUS_PORT, "protocol": "TCP"}],
        },
    }


def change(live: Mapping[str, Any], **fields: Any) -> Json:
    """A merge patch that sets fields of a live Job's spec, if it is still the same object."""
    identity = {field: live["metadata"][field] for field in ("name", "namespace", "uid")}
    return {"kind": names.JOBS.kind, "metadata": identity, "spec": fields}


def arguments(spec: TrainingSpec) -> list[str]:
    """What a worker's program is called with."""
    flags = [f"--output={spec.output}", f"--page-port={PAGE_PORT}", spec.mode, f"--data={spec.dataset}"]
    if spec.mode == "train" and spec.architecture:
        flags.append(f"--architecture={spec.architecture}")
    if spec.weights is not None:
        flags.append(f"--from={spec.weights.uri}")
        if spec.weights.sha256:
            flags.append(f"--sha256={spec.weights.sha256}")
    flags += [f"--{name}={value}" for name, value in spec.options.items()]
    if spec.allow_empty:
        flags.append("--allow-empty")
    device = "cuda" if spec.accelerator.gpus else "cpu"
    return [*flags, f"--device={device}", f"--threads={spec.threads}", "--out=/tmp/run"]


def _failure_rules() -> list[Json]:
    def on_codes(action: str, codes: tuple[int, ...]) -> Json:
        matched = {"containerName": CONTAINER, "operator": "In", "values": list(codes)}
        return {"action": action, "onExitCodes": matched}

    return [
        # Evicted, preempted, drained: no fault of the training.
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        on_codes("Ignore", INTERRUPTED_CODES),
        on_codes("FailJob", FINAL_CODES),
    ]


def _pod(metadata: Mapping[str, Any], spec: TrainingSpec, options: Options) -> Json:
    spread = {
        "maxSkew": 1,
        "topologyKey": HOSTNAME,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {names.TRAINING_LABEL: metadata["name"]}},
    }
    pod = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Never",
        "subdomain": names.workers_name(metadata["name"]),
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": pod_security() | _group(spec),
        "topologySpreadConstraints": [spread],
        "containers": [_container(metadata, spec, options)],
        "volumes": [
            {"name": "tmp", "emptyDir": {"sizeLimit": "20Gi"}},
            # Loading processes hand over batches in it; a container's own is 64 MiB.
            {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}},
            *(
                {"name": f"claim-{number}", "persistentVolumeClaim": {"claimName": claim}}
                for number, claim in enumerate(spec.claims)
            ),
        ],
    }
    architecture = "" if spec.image else options.trainer_architecture
    return pod | on_architecture(architecture, pod_placement(spec.placement))


def _with_each_other(metadata: Mapping[str, Any], affinity: Mapping[str, Any]) -> Json:
    """The affinity, and a node that all workers share."""
    own = {
        "labelSelector": {"matchLabels": {names.TRAINING_LABEL: metadata["name"]}},
        "topologyKey": HOSTNAME,
    }
    pods = affinity.get("podAffinity") or {}
    return {**affinity, "podAffinity": {**pods, REQUIRED: [*(pods.get(REQUIRED) or []), own]}}


def _group(spec: TrainingSpec) -> Json:
    """The group that owns the files of mounted claims, so that the image's user may write them."""
    return {"fsGroup": spec.fs_group, "fsGroupChangePolicy": "OnRootMismatch"} if spec.claims else {}


def _container(metadata: Mapping[str, Any], spec: TrainingSpec, options: Options) -> Json:
    container = {
        "name": CONTAINER,
        "image": spec.image or options.trainer_image,
        "imagePullPolicy": options.trainer_pull_policy,
        "args": arguments(spec),
        "env": _environment(metadata, spec, options),
        "ports": [{"name": "progress", "containerPort": PAGE_PORT, "protocol": "TCP"}],
        "resources": resources_with_gpus(spec.resources, spec.accelerator),
        "securityContext": container_security(),
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},
            {"name": "shm", "mountPath": "/dev/shm"},
            *(
                {"name": f"claim-{number}", "mountPath": f"{VOLUMES}/{claim}"}
                for number, claim in enumerate(spec.claims)
            ),
        ],
    }
    if spec.secret:
        container["envFrom"] = [{"secretRef": {"name": spec.secret}}]
    return container


def _environment(metadata: Mapping[str, Any], spec: TrainingSpec, options: Options) -> list[Json]:
    name = names.workers_name(metadata["name"])
    values = dict(options.environment) | {
        "HOME": "/tmp",
        "SQUEEZE_WORKERS": str(spec.workers),
        # torch.distributed's own names: the leading worker, through the headless Service.
        "MASTER_ADDR": f"{name}-0.{name}",
        "MASTER_PORT": str(RENDEZVOUS_PORT),
    }
    return [{"name": key, "value": value} for key, value in values.items()]


def _labels(metadata: Mapping[str, Any]) -> Json:
    return {
        names.MANAGED_BY_LABEL: names.FIELD_MANAGER,
        names.PART_OF_LABEL: names.PART_OF,
        names.TRAINING_LABEL: metadata["name"],
    }


def child_metadata(metadata: Mapping[str, Any]) -> Json:
    """The metadata of a training's child: labels that tell whose it is, and its owner."""
    return {
        "name": names.workers_name(metadata["name"]),
        "namespace": metadata["namespace"],
        "labels": _labels(metadata),
        "ownerReferences": [names.owner_reference(names.TRAINING_KIND, metadata)],
    }
