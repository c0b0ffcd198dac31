"""Others in the same cluster: strangers of kopf's, a KServe of another version, long names, other clocks."""

import datetime
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from integration.apiserver import ControlPlane, eventually
from integration.operator_checks import converged, queue_size, serving, written
from integration.operator_runner import MODELS, Model
from prometheus_client import REGISTRY
from squeeze_operator import apply, gather

Make = Callable[..., Model]
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def looks() -> float:
    """Reconciles that operators have done in this process."""
    return REGISTRY.get_sample_value("squeeze_operator_reconciles_total", {"result": "succeeded"}) or 0


def services_written() -> float:
    """InferenceServices that operators have written in this process."""
    kind = {"kind": "InferenceService"}
    return REGISTRY.get_sample_value("squeeze_operator_writes_total", kind) or 0


def looked_at_again(model: Model) -> None:
    """Waits until the operator has looked at the model once more."""
    before = looks()
    model.kube.patch(model.path, {"metadata": {"annotations": {"look": f"{time.monotonic()}"}}})
    eventually(lambda: looks() > before, "it has looked")


@pytest.fixture
def stranger(kserve_plane: ControlPlane) -> None:
    """Another operator of kopf's, of the highest priority and the usual name, that never ends."""
    kube = kserve_plane.client()
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    for scope, kind in (("Cluster", "ClusterKopfPeering"), ("Namespaced", "KopfPeering")):
        plural = f"{kind.lower()}s"
        spec = {
            "scope": scope,
            "group": "kopf.dev",
            "names": {"kind": kind, "plural": plural},
            "versions": [version],
        }
        if not kube.get(f"{CRDS}/{plural}.kopf.dev"):
            kube.create(CRDS, {"metadata": {"name": f"{plural}.kopf.dev"}, "spec": spec})
        where = "" if scope == "Cluster" else "/namespaces/default"
        path = f"/apis/kopf.dev/v1{where}/{plural}"
        eventually(lambda: kube.http.get(path).is_success, f"{plural} are served", timeout=60)  # noqa: B023
        now = datetime.datetime.now(datetime.UTC).isoformat()
        peer = {"stranger": {"priority": 10**6, "lifetime": 86400, "lastseen": now}}
        body = {"apiVersion": "kopf.dev/v1", "kind": kind, "metadata": {"name": "default"}, "status": peer}
        if not kube.get(f"{path}/default"):
            kube.create(path, body)


@pytest.mark.usefixtures("stranger", "operator")
def test_a_stranger_that_wants_everybody_to_pause_is_not_heard(model: Make) -> None:
    digits = serving(model)
    digits.change(batching={"queueSize": 6})
    eventually(lambda: queue_size(digits) == "--queue-size=6", "the change is acted on")


@pytest.mark.usefixtures("operator")
def test_what_another_version_of_kserve_adds_is_left_alone(model: Make) -> None:
    digits = serving(model)
    eventually(lambda: digits.get()["status"].get("effective"), "all is said")
    looked_at_again(digits)
    service, before = digits.kserve.service(), services_written()
    # A newer webhook notes its version and fills in defaults; a newer controller adds to the pods.
    digits.kube.patch(
        digits.kserve.service_path,
        {
            "metadata": {"annotations": {"serving.kserve.io/version": "next"}},
            "spec": {"predictor": {"timeout": 60}},
        },
    )
    more = [{"name": "KSERVE_NEW", "value": "1"}]
    container = {"name": "kserve-container", "env": more}
    pods = {"spec": {"template": {"spec": {"containers": [container]}}}}
    digits.kube.patch(digits.kserve.deployment_path, pods, kind="strategic-merge")
    digits.kserve.report(replicas=2, ready=2, updated=2)
    for _ in range(3):
        looked_at_again(digits)
    after = digits.kserve.service()
    assert after["spec"]["predictor"]["timeout"] == 60
    assert after["spec"]["predictor"]["containers"] == service["spec"]["predictor"]["containers"]
    assert after["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] == "Standard"
    assert services_written() == before
    assert digits.wait("Ready", "True")["reason"] == "Available"


@pytest.mark.usefixtures("operator")
def test_a_container_that_somebody_puts_before_ours_is_put_away(model: Make) -> None:
    digits = serving(model)
    first: list[Any] = [
        {"op": "add", "path": "/spec/predictor/containers/0", "value": {"name": "theirs", "image": "i"}}
    ]
    digits.kube.patch(digits.kserve.service_path, first, kind="json")
    eventually(
        lambda: digits.kserve.service()["spec"]["predictor"]["containers"][0]["name"] == "kserve-container",
        "ours is the first again",
    )


@pytest.mark.usefixtures("operator")
def test_in_a_namespace_of_sixty_characters_a_model_serves_or_says_by_how_much_it_is_too_long(
    kserve_plane: ControlPlane,
) -> None:
    kube, namespace = kserve_plane.client(), "n" * 60
    kube.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
    names = ["m" * length for length in (5, 20, 40)]
    for name in names:
        model = Model(kube, namespace, name)
        model.create()
        told = model.wait("Stalled", "True", "NameTooLong")["message"]
        # <name>-predictor-<namespace>
        assert f"by {len(name) + 11 + 60 - 63} characters" in told
        assert kube.get(model.kserve.service_path) is None
    kube.delete(MODELS.format(namespace))


@pytest.mark.parametrize(
    "operator", [{"domain_template": "{{ .Name }}.{{ .Namespace }}.{{ .IngressDomain }}"}], indirect=True
)
@pytest.mark.usefixtures("operator")
def test_with_a_template_that_keeps_them_apart_the_longest_namespace_serves(
    kserve_plane: ControlPlane,
) -> None:
    kube, namespace = kserve_plane.client(), "n" * 63
    kube.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
    model = Model(kube, namespace, "m" * 40)
    model.create()
    converged(model)
    kube.delete(MODELS.format(namespace))


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize("days", [-400, 400], ids=["back", "forth"])
def test_a_clock_that_jumps_changes_nothing_and_hinders_nothing(
    model: Make, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    digits = serving(model)
    looked_at_again(digits)
    before, conditions = written(), digits.get()["status"]["conditions"]
    shift = datetime.timedelta(days=days)

    class Shifted(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> "Shifted":
            moved = datetime.datetime.now(tz) + shift
            return cls.fromtimestamp(moved.timestamp(), tz)

    monkeypatch.setattr(gather, "time", SimpleNamespace(time=lambda: time.time() + shift.total_seconds()))
    monkeypatch.setattr(apply, "datetime", SimpleNamespace(datetime=Shifted, UTC=datetime.UTC))
    looked_at_again(digits)
    assert written() == before
    assert digits.get()["status"]["conditions"] == conditions
    digits.change(batching={"queueSize": 6})
    eventually(lambda: queue_size(digits) == "--queue-size=6", "the change is acted on")
    converged(digits)
