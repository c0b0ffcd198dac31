"""The operator in this process against a real API server, with exactly its own rights, and its models."""

import asyncio
import threading
from pathlib import Path
from typing import Any

from integration.apiserver import OPERATOR_TOKEN, OPERATOR_USER, ControlPlane, Kube, eventually
from integration.kserve import KServe
from kubernetes import config
from kubernetes.client import Configuration
from squeeze_operator.gather import ServedReader
from squeeze_operator.health import Health
from squeeze_operator.main import run
from squeeze_operator.settings import Settings
from squeeze_operator.snapshot import Options, Served
from squeeze_operator.training.gather import ProgressReader

TRAINER_IMAGE = "registry.example/trainer:1"
MODELS = "/apis/squeezeserve.io/v1alpha1/namespaces/{}/squeezemodels"

# Exactly what the operator needs: a verb too few and a test fails.
RULES = [
    {"apiGroups": [group], "resources": [resource], "verbs": verbs}
    for group, resource, verbs in (
        ("squeezeserve.io", "squeezemodels", ["get", "list", "watch"]),
        ("squeezeserve.io", "squeezemodels/status", ["patch"]),
        ("squeezeserve.io", "squeezetrainings", ["get", "list", "watch"]),
        ("squeezeserve.io", "squeezetrainings/status", ["patch"]),
        ("batch", "jobs", ["get", "list", "watch", "create", "patch"]),
        ("", "services", ["get", "create", "patch"]),
        ("serving.kserve.io", "inferenceservices", ["get", "list", "watch", "create", "patch"]),
        ("policy", "poddisruptionbudgets", ["get", "list", "watch", "create", "patch"]),
        (
            "autoscaling",
            "horizontalpodautoscalers",
            ["get", "list", "watch", "create", "patch", "delete"],
        ),
        ("keda.sh", "scaledobjects", ["get", "list", "watch", "create", "patch", "delete"]),
        (
            "networking.k8s.io",
            "networkpolicies",
            ["get", "list", "watch", "create", "patch", "delete"],
        ),
        # Used where there is an activator.
        ("discovery.k8s.io", "endpointslices", ["get", "list", "watch", "create", "patch", "delete"]),
        ("apps", "deployments", ["get", "list", "watch"]),
        ("", "pods", ["list", "watch"]),
        ("", "events", ["create"]),
        ("apiextensions.k8s.io", "customresourcedefinitions", ["list", "watch"]),
    )
]


def grant(plane: ControlPlane) -> Path:
    """Binds the operator's user to RULES; returns its kubeconfig."""
    kube, path = plane.client(), "/apis/rbac.authorization.k8s.io/v1"
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "operator"}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": OPERATOR_USER}
    kube.create(f"{path}/clusterroles", {"metadata": {"name": "operator"}, "rules": RULES})
    kube.create(
        f"{path}/clusterrolebindings",
        {"metadata": {"name": "operator"}, "roleRef": reference, "subjects": [subject]},
    )
    return plane.write_kubeconfig(plane.folder / "operator.kubeconfig", OPERATOR_TOKEN)


class RunningOperator:
    """The operator in a thread with an event loop of its own, as `squeeze-operator` runs it.

    Resync and audit are slow by default, so that what a test sees came through the watches.
    """

    def __init__(self, kubeconfig: Path, **overrides: Any) -> None:
        options = Options(
            predictor_image="registry.example/predictor:1",
            trainer_image=TRAINER_IMAGE,
            allow_cpu_fallback=True,
            prometheus_address="http://prometheus.example:9090",
            domain_template=overrides.pop("domain_template", Options("").domain_template),
            activator=overrides.pop("activator", None),
            network_rules=overrides.pop("network_rules", None),
        )
        values: dict[str, Any] = {
            "health_port": 0,
            "resync_seconds": 300.0,
            "audit_seconds": 60.0,
        } | overrides
        self.settings = Settings(options, **values)
        self.health = Health()
        self.served: Served | None = None
        self.read_served: ServedReader = self._answer
        """How replicas are asked, which a test may replace at any time."""
        self.progress: dict[str, Any] | None = None
        self.read_progress: ProgressReader = self._tell
        """How leading workers are asked, which a test may replace at any time."""
        self.error: BaseException | None = None
        self._configuration = Configuration()
        config.load_kube_config(  # type: ignore[no-untyped-call]
            str(kubeconfig), client_configuration=self._configuration
        )
        self._thread = threading.Thread(target=self._main, name="operator", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    def start(self) -> None:
        """Starts it and returns when it is ready."""
        self._thread.start()
        eventually(lambda: self.health.not_ready() is None, "the operator is ready", timeout=60)

    def stop(self) -> None:
        """Stops it as SIGTERM does."""
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(60)
        assert not self._thread.is_alive(), "the operator does not stop"
        assert self.error is None, f"the operator died: {self.error!r}"

    def end_tasks(self, prefix: str) -> None:
        """Ends the tasks with such names, as an error in them would."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._cancel, prefix)

    def join(self) -> BaseException | None:
        """What it died of."""
        self._thread.join(60)
        return self.error

    def _cancel(self, prefix: str) -> None:
        for task in asyncio.all_tasks(self._loop):
            if task.get_name().startswith(prefix):
                task.cancel()

    def _main(self) -> None:
        async def body() -> None:
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            await run(
                self.settings,
                self._configuration,
                self._stop,
                self._ask,
                self._follow,
                self.health,
            )

        try:
            asyncio.run(body())
        except BaseException as error:
            self.error = error

    async def _ask(self, model: Any, deployment: Any, pods: Any) -> Served | None:
        return await self.read_served(model, deployment, pods)

    async def _answer(self, *_: Any) -> Served | None:
        return self.served

    async def _follow(self, pods: Any) -> dict[str, Any] | None:
        return await self.read_progress(pods)

    async def _tell(self, *_: Any) -> dict[str, Any] | None:
        return self.progress


class Model:
    """One SqueezeModel of a test, seen through the API."""

    def __init__(self, kube: Kube, namespace: str, name: str) -> None:
        self.kube, self.namespace, self.name = kube, namespace, name
        self.path = f"{MODELS.format(namespace)}/{name}"
        self.kserve = KServe(kube, namespace, name)

    def create(self, **spec: Any) -> dict[str, Any]:
        """Creates it, of the digits where the spec does not say otherwise."""
        body = {
            "apiVersion": "squeezeserve.io/v1alpha1",
            "kind": "SqueezeModel",
            "metadata": {"name": self.name},
            "spec": {"weights": {"uri": "builtin://digits"}} | spec,
        }
        created: dict[str, Any] = self.kube.create(MODELS.format(self.namespace), body)
        return created

    def change(self, **spec: Any) -> None:
        """Merges fields into the spec."""
        self.kube.patch(self.path, {"spec": spec})

    def get(self) -> dict[str, Any]:
        """The object as it is."""
        found: dict[str, Any] = self.kube.get(self.path)
        return found

    def condition(self, kind: str) -> dict[str, Any]:
        """A condition that speaks of the present generation, or an empty one."""
        model = self.get()
        for condition in model["status"].get("conditions", []):
            current = condition["observedGeneration"] == model["metadata"]["generation"]
            if condition["type"] == kind and current:
                found: dict[str, Any] = condition
                return found
        return {}

    def wait(self, kind: str, status: str, reason: str | None = None, timeout: float = 20) -> dict[str, Any]:
        """The condition once it has this status (and reason)."""

        def look() -> dict[str, Any] | None:
            seen = self.condition(kind)
            fits = seen.get("status") == status and reason in (None, seen.get("reason"))
            return seen if fits else None

        try:
            return eventually(look, f"{kind}={status} {reason or ''}", timeout)
        except AssertionError as late:
            raise AssertionError(f"{late}; status: {self.get()['status']}") from None
