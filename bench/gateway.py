"""What the gateway adds: a pod asks a model on the cluster of `make up` through the gateway and directly.

Everything lives in one namespace, which is removed afterwards. The model is the built-in digits with one CPU
and one replica: it answers soonest, so the gateway's share is as large as it can be.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from squeeze_cluster import kubectl, waiting
from squeeze_cluster.errors import ClusterError
from squeeze_cluster.kubectl import Object

from bench import pictures
from bench.in_cluster import CLIENTS, Task, Way

Json = dict[str, Any]
NAMESPACE, MODEL, JOB = "bench", "digits", "load"
GATEWAY_LABEL = "gateway.envoyproxy.io/owning-gateway-name=kserve-ingress-gateway"
READY_SECONDS = 180.0
CODE = ("__init__", "client", "in_cluster", "load", "pictures", "protocols")
CPU = {"requests": {"cpu": "1", "memory": "512Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}}


def measure(seconds: float, rounds: int) -> Json:
    """Figures `gateway` and `direct` by the number of clients, or `skipped` or `failed` with the reason."""
    if not kubectl.reachable():
        return {"skipped": "no cluster: not measured (make up)"}
    try:
        with _namespace():
            kubectl.apply([_model()])
            _wait_ready()
            kubectl.apply(load_generator(_task(seconds, rounds), _image()))
            return _figures(seconds, rounds)
    except ClusterError as error:
        return {"failed": str(error)}


@contextmanager
def _namespace() -> Iterator[None]:
    kubectl.ensure_namespace(NAMESPACE)
    try:
        yield
    finally:
        kubectl.kubectl("delete", "namespace", NAMESPACE, "--wait=true", "--timeout=120s")


def _model() -> Object:
    return {
        "apiVersion": "squeezeserve.io/v1alpha1",
        "kind": "SqueezeModel",
        "metadata": {"name": MODEL, "namespace": NAMESPACE},
        "spec": {
            "weights": {"uri": "builtin://digits"},
            "resources": CPU,
            "scaling": {"minReplicas": 1, "maxReplicas": 1},
        },
    }


def _wait_ready() -> None:
    kubectl.kubectl(
        *("wait", "--for=condition=Ready", f"squeezemodel/{MODEL}", "-n", NAMESPACE),
        f"--timeout={READY_SECONDS:.0f}s",
        timeout=READY_SECONDS + 10,
    )


def _task(seconds: float, rounds: int) -> Task:
    host = kubectl.get("squeezemodel", MODEL, NAMESPACE)["status"]["host"]
    (service,) = kubectl.items("services", "--all-namespaces", "-l", GATEWAY_LABEL)
    names = service["metadata"]
    picture = pictures.digit()
    return Task(
        path=f"/v1/models/{MODEL}:predict",
        class_id=picture.class_id,
        media_type=picture.media_type,
        seconds=seconds,
        rounds=rounds,
        ways={
            "gateway": Way(
                f"{names['name']}.{names['namespace']}.svc", service["spec"]["ports"][0]["port"], host
            ),
            "direct": Way(f"{MODEL}-predictor", 80, f"{MODEL}-predictor"),
        },
    )


def load_generator(task: Task, image: str) -> list[Object]:
    """This package's own files in a ConfigMap, and the Job that runs them in the predictor's image."""
    metadata = {"name": JOB, "namespace": NAMESPACE}
    folder = Path(__file__).parent
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "data": {
            "task.json": json.dumps(asdict(task)),
            **{f"{name}.py": (folder / f"{name}.py").read_text() for name in CODE},
        },
        "binaryData": {"picture": base64.b64encode(pictures.digit().data).decode()},
    }
    container = {
        "name": JOB,
        "image": image,
        "command": ["python3", "-m", "bench.in_cluster", "/code/bench"],
        "env": [{"name": "PYTHONPATH", "value": "/code"}],
        "resources": {"requests": {"cpu": "250m", "memory": "128Mi"}},
        "volumeMounts": [{"name": "code", "mountPath": "/code/bench"}],
    }
    pod = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "containers": [container],
        "volumes": [{"name": "code", "configMap": {"name": JOB}}],
    }
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {"backoffLimit": 0, "template": {"spec": pod}},
    }
    return [config, job]


def _image() -> str:
    """The image that the model's own pod runs."""
    (pod, *_) = kubectl.items("pods", "-n", NAMESPACE, "-l", f"serving.kserve.io/inferenceservice={MODEL}")
    return str(pod["spec"]["containers"][0]["image"])


def _figures(seconds: float, rounds: int) -> Json:
    """Waits for the Job; what it printed. Raises ClusterError with its log where it failed."""

    def ended() -> bool:
        status = kubectl.get("job", JOB, NAMESPACE).get("status", {})
        return bool(status.get("succeeded") or status.get("failed"))

    waiting.until(ended, 2 * len(CLIENTS) * seconds * rounds + 90, "the load generator's Job did not end")
    try:
        found: Json = json.loads(_log().splitlines()[-1])
    except (IndexError, ValueError):
        raise ClusterError(f"the load generator's Job failed: {_log()[-500:]}") from None
    return found


def _log() -> str:
    return kubectl.kubectl("logs", f"job/{JOB}", "-n", NAMESPACE, "--tail=20")
