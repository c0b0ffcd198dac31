"""What the API server itself refuses: every CEL rule of the CRD, with the message that a user reads."""

from typing import Any

import pytest
import yaml
from integration.admission import assert_refused, dry_run
from integration.apiserver import REPOSITORY, ControlPlane

DIGEST = "0123456789abcdef" * 4


def model(name: str = "m", **spec: Any) -> dict[str, Any]:
    """A SqueezeModel of the digits with some fields of its spec replaced."""
    return {
        "apiVersion": "squeezeserve.io/v1alpha1",
        "kind": "SqueezeModel",
        "metadata": {"name": name},
        "spec": {"weights": {"uri": "builtin://digits"}, **spec},
    }


REFUSED = [
    ("no weights", {"weights": None}, "spec.weights"),
    ("unknown scheme", {"weights": {"uri": "ftp://host/m.pth"}}, "must start with builtin://"),
    ("no scheme", {"weights": {"uri": "/mnt/models"}}, "must start with builtin://"),
    ("nothing after the scheme", {"weights": {"uri": "s3://"}}, "name a place after it"),
    ("white space", {"weights": {"uri": "s3://a b/c"}}, "white space"),
    ("a password", {"weights": {"uri": "https://user:secret@x.org/m.safetensors"}}, "put them into a Secret"),
    ("a user alone", {"weights": {"uri": "s3://KEY@bucket/m"}}, "put them into a Secret"),
    ("a token", {"weights": {"uri": "https://x.org/m.safetensors?sig=secret"}}, "must not hold a query"),
    (
        "unknown built-in",
        {"weights": {"uri": "builtin://letters"}},
        "only built-in network is builtin://digits",
    ),
    (
        "unknown torchvision",
        {"weights": {"uri": "torchvision://resnet18"}},
        "use torchvision://squeezenet1_0",
    ),
    ("short digest", {"weights": {"uri": "builtin://digits", "sha256": "abc"}}, "64 lower case hexadecimal"),
    (
        "digest in capitals",
        {"weights": {"uri": "builtin://digits", "sha256": DIGEST.upper()}},
        "64 lower case hexadecimal",
    ),
    ("remote pickle without a digest", {"weights": {"uri": "https://x.org/m.pth"}}, "is a pickle"),
    (
        "two architectures",
        {"architecture": "squeezenet1_0", "weights": {"uri": "torchvision://squeezenet1_1"}},
        "name different networks",
    ),
    ("unknown architecture", {"architecture": "resnet18"}, "squeezenet1_0"),
    ("unknown profile", {"profile": "fast"}, '"latency", "throughput", "cost"'),
    ("unknown precision", {"precision": "fp16"}, '"auto", "f32", "bf16", "int8"'),
    ("sleep by CPU", {"scaling": {"minReplicas": 0}}, "does KEDA wake a model again"),
    ("sleep by nothing", {"scaling": {"minReplicas": 0, "metric": "none"}}, "or minReplicas to 1"),
    ("fewer than none", {"scaling": {"minReplicas": -1, "metric": "utilization"}}, "must not be negative"),
    ("no replicas", {"scaling": {"maxReplicas": 0}}, "maxReplicas must be at least 1"),
    ("min above max", {"scaling": {"minReplicas": 3, "maxReplicas": 2}}, "lower the one or raise the other"),
    ("target of 0", {"scaling": {"target": 0}}, "between 1 and 100"),
    ("target below 0", {"scaling": {"target": -1}}, "must be at least 1"),
    ("target of 101 %", {"scaling": {"metric": "utilization", "target": 101}}, "in milliseconds"),
    ("latency without a target", {"scaling": {"metric": "latency"}}, "within which 95 %"),
    ("target of 101", {"scaling": {"target": 101}}, "between 1 and 100"),
    ("unknown metric", {"scaling": {"metric": "rps"}}, '"cpu", "none"'),
    (
        "policy without a period",
        {"scaling": {"behavior": {"scaleUp": {"policies": [{"type": "Pods", "value": 1}]}}}},
        "spec.scaling.behavior.scaleUp.policies[0].periodSeconds",
    ),
    (
        "no policy at all",
        {"scaling": {"behavior": {"scaleDown": {"policies": []}}}},
        "should have at least 1 items",
    ),
    (
        "window of days",
        {"scaling": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 86400}}}},
        "less than or equal to 3600",
    ),
    ("negative streams", {"batching": {"streams": -1}}, "greater than or equal to 0"),
    ("unknown spread", {"placement": {"spread": "racks"}}, '"nodes", "pack", "none"'),
    ("share above all", {"disruption": {"maxUnavailable": "101%"}}, "a number, or a percentage"),
    ("share without %", {"disruption": {"maxUnavailable": "25"}}, "a number, or a percentage"),
    ("negative share", {"disruption": {"maxUnavailable": -1}}, "a number, or a percentage"),
    ("negative GPUs", {"accelerator": {"gpus": -1}}, "greater than or equal to 0"),
    ("GPU resource without a domain", {"accelerator": {"resourceName": "gpu"}}, "extended resource"),
    (
        "GPU in resources",
        {"resources": {"limits": {"nvidia.com/gpu": 1}}},
        "ask for GPUs with spec.accelerator",
    ),
    (
        "GPU in requests",
        {"resources": {"requests": {"nvidia.com/gpu": 1}}},
        "ask for GPUs with spec.accelerator",
    ),
    ("no quantity", {"resources": {"limits": {"cpu": "two"}}}, "spec.resources.limits.cpu"),
    ("empty image", {"image": ""}, "spec.image"),
    ("no place of weights", {"weights": {}}, "set spec.weights.uri, or spec.weights.trainingRef"),
    (
        "two places of weights",
        {"weights": {"uri": "builtin://digits", "trainingRef": {"name": "t"}}},
        "and not both",
    ),
    (
        "digest of a training",
        {"weights": {"trainingRef": {"name": "t"}, "sha256": DIGEST}},
        "brings its own digest",
    ),
    ("gate without a training", {"gate": {"minTop1": 0.9}}, "set spec.weights.trainingRef"),
    (
        "gate above all",
        {"weights": {"trainingRef": {"name": "t"}}, "gate": {"minTop1": 97}},
        "spec.gate.minTop1",
    ),
]


@pytest.mark.parametrize(
    ("spec", "message"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_a_wrong_spec_is_refused_with_a_message(
    control_plane: ControlPlane, spec: dict[str, Any], message: str
) -> None:
    assert_refused(control_plane, model(**spec), message)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("m" * 49, "at most 48 characters"),
        ("0-digits", "must start with a lower case letter"),
        ("digits.v2", "must start with a lower case letter"),
    ],
)
def test_a_wrong_name_is_refused_with_a_message(control_plane: ControlPlane, name: str, message: str) -> None:
    assert_refused(control_plane, model(name), message)


ACCEPTED: list[tuple[str, dict[str, Any]]] = [
    ("digest with its algorithm", {"weights": {"uri": "s3://b/m.pth", "sha256": f"sha256:{DIGEST}"}}),
    ("remote folder without a digest", {"weights": {"uri": "hf://owner/repository"}}),
    (
        "same architecture twice",
        {"architecture": "squeezenet1_1", "weights": {"uri": "torchvision://squeezenet1_1"}},
    ),
    ("smallest target", {"scaling": {"target": 1}}),
    ("largest target", {"scaling": {"target": 100}}),
    ("milliseconds above 100", {"scaling": {"metric": "latency", "target": 250}}),
    ("whole share", {"disruption": {"maxUnavailable": "100%"}}),
    ("no share", {"disruption": {"maxUnavailable": 0}}),
    ("one speed alone", {"scaling": {"behavior": {"scaleDown": {"selectPolicy": "Disabled"}}}}),
    ("sleep", {"scaling": {"minReplicas": 0, "metric": "utilization"}}),
    ("min equals max", {"scaling": {"minReplicas": 3, "maxReplicas": 3}}),
    ("min above the default max", {"scaling": {"minReplicas": 30}}),
    ("MIG slice", {"accelerator": {"gpus": 1, "resourceName": "nvidia.com/mig-1g.10gb"}}),
    ("gate of a training", {"weights": {"trainingRef": {"name": "t"}}, "gate": {"minTop1": 1}}),
    ("integer quantity", {"resources": {"limits": {"cpu": 2, "memory": "1.5Gi"}}}),
]


@pytest.mark.parametrize("spec", [case[1] for case in ACCEPTED], ids=[case[0] for case in ACCEPTED])
def test_an_edge_of_a_rule_is_accepted(control_plane: ControlPlane, spec: dict[str, Any]) -> None:
    dry_run(control_plane, model(**spec))


def test_the_longest_name_is_accepted(control_plane: ControlPlane) -> None:
    dry_run(control_plane, model("m" * 48))


def test_the_smallest_model_gets_its_defaults(control_plane: ControlPlane) -> None:
    stored = dry_run(control_plane, model())
    assert stored["spec"] == {
        "weights": {"uri": "builtin://digits"},
        "profile": "latency",
        "precision": "auto",
        "accelerator": {"gpus": 0, "resourceName": "nvidia.com/gpu"},
        "scaling": {"metric": "cpu"},
    }
    assert stored["status"] == {"observedGeneration": -1}


@pytest.mark.parametrize(
    "file", sorted((REPOSITORY / "manifests" / "samples").glob("*.yaml")), ids=lambda file: file.name
)
def test_every_sample_is_accepted(control_plane: ControlPlane, file: Any) -> None:
    for document in yaml.safe_load_all(file.read_text()):
        dry_run(control_plane, document)


@pytest.mark.parametrize("plural", ["squeezemodels", "squeezetrainings"])
def test_every_field_is_described(plural: str) -> None:
    crd = yaml.safe_load((REPOSITORY / "manifests" / "crds" / f"{plural}.yaml").read_text())
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    missing: list[str] = []

    def walk(node: dict[str, Any], path: str) -> None:
        for name, child in node.get("properties", {}).items():
            here = f"{path}.{name}"
            if "description" not in child and here != ".metadata":
                missing.append(here)
            walk(child, here)
            walk(child.get("items", {}), f"{here}[]")

    walk(schema, "")
    assert not missing
