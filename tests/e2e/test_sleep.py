"""Models that sleep, on the real cluster: nothing runs, a request wakes them, and none is lost on the way.

Runs where the cluster has KEDA and the activator: `make e2e KEDA=1`.
"""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from e2e.models import Namespace, wait_for
from squeeze_cluster import kubectl, showcase
from squeeze_cluster.settings import INGRESS_DOMAIN

pytestmark = [pytest.mark.keda, pytest.mark.timeout(900)]
IDLE_SECONDS = 15
SLEEPY: dict[str, Any] = {
    "weights": {"uri": "builtin://digits"},
    "profile": "throughput",
    "resources": {"requests": {"cpu": "50m", "memory": "200Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}},
    "scaling": {
        "minReplicas": 0,
        "maxReplicas": 2,
        "metric": "utilization",
        "target": 50,
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": IDLE_SECONDS}},
    },
}
DAMAGED = SLEEPY | {"weights": {"uri": "builtin://digits", "sha256": "0" * 64}}


def seven(namespace: Namespace) -> float:
    """Asks for a picture of a seven through the gateway, checks the answer, and returns the seconds."""
    began = time.monotonic()
    answer = namespace.ask("sleepy", showcase.sample_picture("7.png").read_bytes())
    assert answer["label"] == "7"
    return time.monotonic() - began


def told(namespace: Namespace) -> int:
    """How many replicas the Deployment is told to have."""
    return int(kubectl.get("deployment", "sleepy-predictor", namespace.name)["spec"]["replicas"])


def state(namespace: Namespace) -> str:
    """What a failure shows."""
    return str(namespace.model("sleepy").get("status"))


def fall_asleep(namespace: Namespace) -> None:
    """A new model, until nothing of it runs."""
    namespace.apply_model("sleepy", SLEEPY)
    namespace.wait_ready("sleepy")
    namespace.ask_soon("sleepy", showcase.sample_picture("7.png").read_bytes())
    wait_asleep(namespace)


def wait_asleep(namespace: Namespace) -> None:
    """Wait until no replica runs, and the model says that all is well."""
    namespace.wait_condition("sleepy", "Ready", "True", "Asleep", seconds=240)
    wait_for(lambda: not namespace.pods("sleepy"), 90, lambda: state(namespace))


@contextmanager
def looks(namespace: Namespace) -> Iterator[Counter[object]]:
    """Somebody looks at the model's page every half second, which is no load; yields how each look ended."""
    url = f"http://127.0.0.1:{namespace.settings.gateway_port}/v2/models/sleepy"
    headers = {"Host": f"sleepy-{namespace.name}.{INGRESS_DOMAIN}"}
    ends, stop = Counter[object](), threading.Event()

    def look() -> None:
        try:
            ends[httpx.get(url, headers=headers, timeout=55).status_code] += 1
        except httpx.HTTPError as error:
            ends[type(error).__name__] += 1

    def go_on() -> None:
        with ThreadPoolExecutor(64) as pool:
            while not stop.wait(0.5):
                pool.submit(look)

    going_on = threading.Thread(target=go_on, daemon=True)
    going_on.start()
    try:
        yield ends
    finally:
        stop.set()
        going_on.join(60)


def test_a_request_wakes_a_model_and_is_answered(namespace: Namespace) -> None:
    fall_asleep(namespace)
    first = seven(namespace)
    namespace.wait_condition("sleepy", "Ready", "True", "Available", seconds=60)
    print(f"the first answer took {first:.1f} s, the next {seven(namespace):.3f} s")
    assert 0 < namespace.model("sleepy")["status"]["wakeSeconds"] < 60


def test_nothing_is_lost_while_a_model_falls_asleep_and_wakes(namespace: Namespace) -> None:
    fall_asleep(namespace)
    with looks(namespace) as ends:
        for _ in range(2):
            wait_for(lambda: told(namespace) == 1, 60, lambda: state(namespace))
            wait_for(lambda: told(namespace) == 0, 180, lambda: state(namespace))
    print(f"looks by their end: {dict(ends)}")
    assert set(ends) == {200}, ends
    assert ends[200] > 60


def test_bad_weights_never_replace_those_of_a_model_that_sleeps(namespace: Namespace) -> None:
    fall_asleep(namespace)
    namespace.apply_model("sleepy", DAMAGED)
    namespace.wait_condition("sleepy", "Stalled", "True", "DigestMismatch", seconds=240)
    seven(namespace)
    time.sleep(2 * IDLE_SECONDS)
    seven(namespace)
    assert told(namespace) == 1, "the replica that answers stays"
    namespace.apply_model("sleepy", SLEEPY)
    wait_asleep(namespace)
    seven(namespace)
