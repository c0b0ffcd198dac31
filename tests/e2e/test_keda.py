"""Scaling by KEDA and Prometheus: up and down again under load, blind, and from one metric to the next.

Runs where the cluster has both: `make e2e KEDA=1`.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from e2e.models import Namespace, wait_for
from squeeze_cluster import kubectl, showcase

pytestmark = [pytest.mark.keda, pytest.mark.timeout(900)]
CLIENTS = 6
"""Each sends its next picture when it has its answer: more than one small replica can take."""
QUICKLY = {
    "scaleUp": {"stabilizationWindowSeconds": 0},
    "scaleDown": {
        "stabilizationWindowSeconds": 30,
        "policies": [{"type": "Pods", "value": 1, "periodSeconds": 15}],
    },
}
UTILIZATION: dict[str, Any] = {"metric": "utilization", "target": 50}
LATENCY: dict[str, Any] = {"metric": "latency", "target": 100}


def small(scaling: dict[str, Any]) -> dict[str, Any]:
    """The digits in small replicas, one to three of them."""
    return {
        "weights": {"uri": "builtin://digits"},
        "profile": "throughput",
        "resources": {
            "requests": {"cpu": "50m", "memory": "200Mi"},
            "limits": {"cpu": "250m", "memory": "1Gi"},
        },
        "scaling": {"minReplicas": 1, "maxReplicas": 3, "behavior": QUICKLY, **scaling},
    }


def replicas(namespace: Namespace) -> int:
    """How many replicas the Deployment of the model is told to have."""
    return int(kubectl.get("deployment", "busy-predictor", namespace.name)["spec"]["replicas"])


def said(namespace: Namespace) -> str:
    """What the model says of its scaling."""
    return str(namespace.condition("busy", "Scaling"))


def wait_replicas(namespace: Namespace, least: int, most: int, seconds: float) -> None:
    """Wait for a number of replicas."""
    wait_for(lambda: least <= replicas(namespace) <= most, seconds, lambda: said(namespace))


@contextmanager
def load(namespace: Namespace) -> Iterator[Counter[int]]:
    """Clients that ask all the time; yields how often each status code came."""
    picture = showcase.sample_picture().read_bytes()
    stop, codes = threading.Event(), Counter[int]()

    def ask() -> None:
        with httpx.Client() as client:
            while not stop.is_set():
                try:
                    code = namespace.post("busy", picture, post=client.post).status_code
                except httpx.HTTPError:
                    code = 0
                codes[code] += 1
                if code != 200:
                    stop.wait(0.5)

    clients = [threading.Thread(target=ask, daemon=True) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        yield codes
    finally:
        stop.set()
        for client in clients:
            client.join(30)


@contextmanager
def away(deployment: str, namespace: str) -> Iterator[None]:
    """A part of the metrics' way that is down."""
    kubectl.kubectl("scale", f"deployment/{deployment}", "-n", namespace, "--replicas=0")
    try:
        yield
    finally:
        kubectl.kubectl("scale", f"deployment/{deployment}", "-n", namespace, "--replicas=1")
        kubectl.wait_rollout(deployment, namespace)


def serve(namespace: Namespace, scaling: dict[str, Any]) -> None:
    """A model that answers, followed by its autoscaler."""
    namespace.apply_model("busy", small(scaling))
    namespace.wait_ready("busy")
    namespace.ask_soon("busy", showcase.sample_picture().read_bytes())
    namespace.wait_condition("busy", "Scaling", "True", "FollowsLoad", seconds=180)
    assert replicas(namespace) == 1


def assert_answered(codes: Counter[int]) -> None:
    """Nothing failed; a full queue may have said so."""
    assert set(codes) <= {200, 503}, codes
    assert codes[200] > 100


@pytest.mark.parametrize("scaling", [UTILIZATION, LATENCY], ids=lambda scaling: str(scaling["metric"]))
def test_replicas_come_with_the_load_and_go_with_it(namespace: Namespace, scaling: dict[str, Any]) -> None:
    serve(namespace, scaling)
    with load(namespace) as codes:
        wait_replicas(namespace, 2, 3, seconds=180)
    wait_replicas(namespace, 1, 1, seconds=300)
    assert_answered(codes)


@pytest.mark.parametrize(
    ("deployment", "part"), [("prometheus", "monitoring"), ("keda-operator", "keda")], ids=str
)
def test_no_replica_goes_while_a_part_of_the_way_is_down(
    namespace: Namespace, deployment: str, part: str
) -> None:
    serve(namespace, UTILIZATION)
    with load(namespace) as codes:
        wait_replicas(namespace, 2, 3, seconds=180)
        before = replicas(namespace)
        with away(deployment, part):
            namespace.wait_condition("busy", "Scaling", "False", "WaitingForMetrics", seconds=120)
            message = namespace.wait_condition("busy", "Scaling", "False", "MetricsMissing", seconds=200)
            assert "are KEDA and Prometheus running" in message
            assert replicas(namespace) >= before
    wait_for(lambda: "'False'" not in said(namespace), 180, lambda: said(namespace))
    wait_replicas(namespace, 1, 1, seconds=300)
    assert_answered(codes)


def test_a_change_of_metric_keeps_the_replicas(namespace: Namespace) -> None:
    serve(namespace, UTILIZATION)
    with load(namespace) as codes:
        wait_replicas(namespace, 2, 3, seconds=180)
        cpu = {"metric": "cpu", "target": 30}
        for scaling, maker in (
            (LATENCY, "ScaledObject"),
            (cpu, "SqueezeModel"),
            (UTILIZATION, "ScaledObject"),
        ):
            before = replicas(namespace)
            namespace.apply_model("busy", small(scaling))
            wait_maker(namespace, maker)
            assert replicas(namespace) >= before
    assert_answered(codes)


def wait_maker(namespace: Namespace, maker: str) -> None:
    wait_for(lambda: makers(namespace) == [maker], 60, lambda: said(namespace))


def makers(namespace: Namespace) -> list[str]:
    """Who made the autoscalers that there are: one name, or there are none or two."""
    return [
        owner["kind"]
        for found in kubectl.items("hpa", "-n", namespace.name)
        for owner in found["metadata"]["ownerReferences"]
    ]
