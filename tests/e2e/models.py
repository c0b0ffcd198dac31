"""SqueezeModels on the cluster as a user handles them: apply, wait, ask, look."""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from squeeze_cluster import kubectl
from squeeze_cluster.kubectl import Object
from squeeze_cluster.settings import INGRESS_DOMAIN, Settings

READY_SECONDS = 180
POLL_SECONDS = 0.3
NAMESPACE_LABEL = "squeezeserve.io/test-namespace"
"""On what a namespace's deletion does not take away."""


@dataclass(frozen=True)
class Namespace:
    """One test's namespace."""

    name: str
    settings: Settings

    def apply_model(self, name: str, spec: dict[str, Any]) -> None:
        """kubectl apply of a SqueezeModel."""
        kubectl.apply([model(name, self.name, spec)])

    def model(self, name: str) -> Object:
        """The SqueezeModel as the cluster has it."""
        return kubectl.get("squeezemodel", name, self.name)

    def condition(self, name: str, kind: str) -> dict[str, str]:
        """One condition of a SqueezeModel; an empty one when it is not there yet."""
        conditions = self.model(name).get("status", {}).get("conditions", [])
        return next(
            (one for one in conditions if one["type"] == kind), {"status": "", "reason": "", "message": ""}
        )

    def wait_condition(
        self, name: str, kind: str, status: str, reason: str = "", seconds: float = READY_SECONDS
    ) -> str:
        """Wait for a condition; returns its message."""

        def reached() -> bool:
            found = self.condition(name, kind)
            return found["status"] == status and reason in ("", found["reason"])

        wait_for(reached, seconds, lambda: json.dumps(self.model(name).get("status"), indent=1))
        return self.condition(name, kind)["message"]

    def wait_ready(self, name: str, seconds: float = READY_SECONDS) -> None:
        """Wait until the model is Ready for the spec that was applied last."""

        def reached() -> bool:
            found = self.model(name)
            current = found.get("status", {}).get("observedGeneration") == found["metadata"]["generation"]
            return current and self.condition(name, "Ready")["status"] == "True"

        wait_for(reached, seconds, lambda: json.dumps(self.model(name).get("status"), indent=1))

    def ask(
        self, name: str, picture: bytes, content_type: str = "application/octet-stream"
    ) -> dict[str, Any]:
        """POST picture bytes through the gateway; the first prediction."""
        response = self.post(name, picture, content_type)
        assert response.status_code == 200, f"{response.status_code}: {response.text[:400]}"
        return dict(response.json()["predictions"][0])

    def ask_soon(self, name: str, picture: bytes, seconds: float = 60) -> dict[str, Any]:
        """Like `ask`, once the gateway has learnt the route."""
        wait_for(
            lambda: self.post(name, picture).status_code == 200,
            seconds,
            lambda: self.post(name, picture).text,
        )
        return self.ask(name, picture)

    def post(
        self,
        name: str,
        body: bytes,
        content_type: str = "application/octet-stream",
        post: Callable[..., httpx.Response] = httpx.post,
    ) -> httpx.Response:
        """POST to the model's V1 route through the gateway at 127.0.0.1, or by a client's own `post`."""
        url = f"http://127.0.0.1:{self.settings.gateway_port}/v1/models/{name}:predict"
        headers = {"Host": f"{name}-{self.name}.{INGRESS_DOMAIN}", "Content-Type": content_type}
        return post(url, content=body, headers=headers, timeout=20)

    def pods(self, name: str) -> list[Object]:
        """The pods that serve a model."""
        return kubectl.items("pods", "-n", self.name, "-l", f"serving.kserve.io/inferenceservice={name}")


@contextmanager
def temporary(settings: Settings, prefix: str) -> Iterator[Namespace]:
    """A new namespace under the restricted Pod Security profile, deleted afterwards."""
    made = Namespace(f"{prefix}-{uuid.uuid4().hex[:8]}", settings)
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    metadata = {"name": made.name, "labels": labels}
    kubectl.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}])
    try:
        yield made
    finally:
        kubectl.kubectl("delete", "namespace", made.name, "--wait=false")
        # Volumes belong to no namespace.
        kubectl.kubectl("delete", "pv", "-l", f"{NAMESPACE_LABEL}={made.name}", "--wait=false")


def model(name: str, namespace: str, spec: dict[str, Any]) -> Object:
    """A SqueezeModel object."""
    metadata = {"name": name, "namespace": namespace}
    return {
        "apiVersion": "squeezeserve.io/v1alpha1",
        "kind": "SqueezeModel",
        "metadata": metadata,
        "spec": spec,
    }


def wait_for(reached: Callable[[], bool], seconds: float, state: Callable[[], str]) -> None:
    """Wait for a state of the cluster; a failure shows what it was instead."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, f"not reached in {seconds:.0f} s; it was:\n{state()}"
        time.sleep(POLL_SECONDS)
