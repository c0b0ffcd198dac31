"""The dashboards, alerts and scrape configuration of the chart, by a real Prometheus on real metrics."""

import concurrent.futures
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from integration import activator_process
from integration.activator_process import Activator, own_address, replica, slice_of
from integration.apiserver import REPOSITORY, ControlPlane, eventually
from integration.operator_process import Process
from integration.operator_runner import Model
from integration.predictor import predictor_inputs as inputs
from integration.predictor.predictor_process import running
from integration.prometheus_process import PrometheusProcess, pod

from dashboards import files
from dashboards.answers import Prometheus, panels
from dashboards.draw import draw

OUT = REPOSITORY / "out" / "dashboards"


def ask(url: str, picture: bytes) -> None:
    """One round of requests: one picture, four at once, a wrong one, and a client that hangs up."""
    page = f"{url}/v1/models/digits:predict"
    many = [("pictures", ("p.png", picture, "image/png"))] * 4
    with httpx.Client(timeout=30, trust_env=False) as client:
        client.post(page, content=picture)
        client.post(page, files=many)
        client.post(page, content=b"no picture")
        with contextlib.suppress(httpx.TimeoutException):
            client.post(page, content=picture, timeout=0.01)


@contextlib.contextmanager
def load(url: str, activator: Activator, namespace: str, clients: int = 4) -> Iterator[None]:
    """Rounds of requests from several clients at a time, until the end of the block."""
    over, picture = threading.Event(), inputs.png(600, 400)

    def rounds(one: Callable[[], object]) -> None:
        while not over.is_set():
            one()

    def through() -> None:
        activator.ask(namespace, "digits", b"7")
        activator.ask(namespace, "nobody", b"7")

    with concurrent.futures.ThreadPoolExecutor(clients + 1) as pool:
        asking = [pool.submit(rounds, lambda: ask(url, picture)) for _ in range(clients)]
        asking.append(pool.submit(rounds, through))
        try:
            yield
        finally:
            over.set()
    for one in asking:
        one.result()


@pytest.fixture
def predictor(tmp_path: Path) -> Iterator[str]:
    """The address of a predictor with one place in its queue."""
    folder = tmp_path / "predictor"
    folder.mkdir()
    with running(
        folder, "--weights=builtin://digits", "--threads=1", "--queue-size=2", "--max-batch=4"
    ) as server:
        yield server.url


@pytest.fixture
def activator(kserve_plane: ControlPlane, model: Callable[..., Model]) -> Iterator[Activator]:
    """An activator that has a replica to hand requests on to."""
    address, kube = own_address(), kserve_plane.client()
    path = f"/apis/discovery.k8s.io/v1/namespaces/{model().namespace}/endpointslices"
    kube.create(path, slice_of("digits", address))
    with (
        replica(address) as port,
        activator_process.running(kserve_plane.folder / "operator.kubeconfig", port) as started,
    ):
        yield started


@pytest.fixture
def watched(
    kserve_plane: ControlPlane,
    model: Callable[..., Model],
    predictor: str,
    activator: Activator,
    tmp_path: Path,
) -> Iterator[PrometheusProcess]:
    """A Prometheus that watches an operator, and a predictor and an activator under load.

    Of the operator's models one is sound and one broken.
    """
    operator = Process(kserve_plane.folder / "operator.kubeconfig", tmp_path, "--resync-seconds=1")
    port, team = int(predictor.rpartition(":")[2]), model().namespace
    replicas = [
        pod(team, "digits-1", name, port, squeezeserve_io_model="digits") for name in ("http1", "grpc")
    ]
    ours = "squeezeserve-system"
    pods = {
        "squeezeserve-models": replicas,
        "squeezeserve-operator": [pod(ours, "operator-1", "metrics", operator.metrics)],
        "squeezeserve-activator": [pod(ours, "activator-1", "metrics", activator.reports)],
    }
    prometheus = PrometheusProcess(tmp_path, pods)
    try:
        eventually(lambda: operator.page("/readyz") == 200, "the operator is ready", timeout=60)
        prometheus.wait_until_ready()
        digits, broken = model("digits"), model("broken")
        for each in (digits, broken):
            each.create()
            each.kserve.service()
        digits.kserve.serve(2)
        with load(predictor, activator, team):
            yield prometheus
    finally:
        prometheus.stop()
        operator.child.kill()
        operator.child.wait(10)


def alerts(prometheus: PrometheusProcess, namespace: str) -> dict[str, dict[str, Any]]:
    """The alerts about a namespace that fire or are about to, by name; other tests' models have theirs."""
    found = prometheus.get("alerts")["alerts"]
    return {one["labels"]["alertname"]: one for one in found if one["labels"].get("namespace") == namespace}


def test_every_panel_shows_something_and_every_rule_holds(
    watched: PrometheusProcess, model: Callable[..., Model]
) -> None:
    asked = Prometheus(watched.url, minutes=0.5, rate="10s")
    boards = {path.stem: panels(path.read_text()) for path in sorted(files.FOLDER.glob("*.json"))}
    assert boards.keys() == {"models", "platform"}

    def problems() -> list[str]:
        return [problem for board in boards.values() for panel in board for problem in asked.problems(panel)]

    for _ in range(60):
        if not (left := problems()):
            break
        time.sleep(1)
    assert left == []
    model("digits").change(batching={"queueSize": 8})
    time.sleep(3)

    then = Prometheus(watched.url, minutes=0.5, rate="10s", end=time.time())
    for name, board in boards.items():
        draw(f"SqueezeServe / {name.title()}", board, then, OUT / f"{name}.png")

    groups = watched.get("rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) > 15
    assert [rule for rule in rules if rule["health"] != "ok"] == []

    shown = model("broken")
    about = shown.namespace
    eventually(lambda: "SqueezeModelNotServing" in alerts(watched, about), "the broken model is noticed")
    alert = alerts(watched, about)["SqueezeModelNotServing"]
    assert alert["labels"] == {
        "alertname": "SqueezeModelNotServing",
        "namespace": about,
        "model": "broken",
        "severity": "critical",
    }
    assert "The operator's reason is WaitingForKServe." in alert["annotations"]["description"]
    ours = alerts(watched, "squeezeserve-system")
    assert not {name for name in ours if name.startswith("SqueezeOperator")}, "the operator does its work"
    found = watched.get("targets?state=active")["activeTargets"]
    assert {target["health"] for target in found} == {"up"}
    assert sorted(target["labels"]["pod"] for target in found) == ["activator-1", "digits-1", "operator-1"]
    assert {target["labels"].get("model") for target in found} == {None, "digits"}
