"""What tests of the operator ask of a model and its children."""

from collections.abc import Callable
from typing import Any

from integration.apiserver import eventually
from integration.operator_runner import Model
from prometheus_client import REGISTRY


def children(model: Model) -> dict[str, list[dict[str, Any]]]:
    """Everything that the operator has made in the model's namespace, by plural."""
    namespace = model.namespace
    paths = {
        "inferenceservices": model.kserve.service_path.rpartition("/")[0],
        "poddisruptionbudgets": f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets",
        "horizontalpodautoscalers": model.kserve.autoscalers,
    }
    return {plural: model.kube.get(path)["items"] for plural, path in paths.items()}


def serving(make: Callable[..., Model], name: str = "digits", **spec: Any) -> Model:
    """A new model that has converged."""
    model = make(name)
    model.create(**spec)
    converged(model)
    return model


def converged(model: Model) -> None:
    """The model serves, and there is exactly one child of each kind, all of them its own."""
    eventually(lambda: all(children(model).values()), "every child is there", timeout=60)
    model.kserve.serve(2)
    model.wait("Ready", "True", timeout=60)
    uid = model.get()["metadata"]["uid"]
    for plural, found in children(model).items():
        assert len(found) == 1, plural
        assert found[0]["metadata"]["ownerReferences"][0]["uid"] == uid


def queue_size(model: Model) -> str:
    """The flag that tells which spec KServe has."""
    arguments: list[str] = model.kserve.service()["spec"]["predictor"]["containers"][0]["args"]
    return next(flag for flag in arguments if flag.startswith("--queue-size="))


def written() -> float:
    """Objects that operators have written in this process."""
    kinds = (
        *("InferenceService", "PodDisruptionBudget", "HorizontalPodAutoscaler", "ScaledObject"),
        *("SqueezeModel", "Event"),
    )
    name = "squeeze_operator_writes_total"
    return sum(REGISTRY.get_sample_value(name, {"kind": kind}) or 0 for kind in kinds)
