"""The typed spec, its defaults and what it refuses."""

from decimal import Decimal
from typing import Any

import pytest
from squeeze_operator.profiles import PROFILES
from squeeze_operator.quantity import parse_quantity, same_quantity
from squeeze_operator.spec import SpecError, parse_spec

DIGITS: dict[str, Any] = {"weights": {"uri": "builtin://digits"}}


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("500m", "0.5"),
        (2, "2"),
        ("2", "2"),
        ("1.5Gi", str(1536 * 1024 * 1024)),
        ("1Ki", "1024"),
        ("1k", "1000"),
        ("1E", "1000000000000000000"),
        ("1Ei", str(1024**6)),
        ("1e3", "1000"),
        ("1E3", "1000"),
        (".5", "0.5"),
        ("100n", "0.0000001"),
    ],
)
def test_a_quantity_is_its_number(text: str | int, number: str) -> None:
    assert parse_quantity(text) == Decimal(number)


@pytest.mark.parametrize("text", ["", "two", "1Q", "1K", "1 Gi", "Gi", "--1", "1ii"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity"):
        parse_quantity(text)


def test_quantities_are_compared_by_value() -> None:
    assert same_quantity("1000m", 1)
    assert same_quantity("1Gi", "1024Mi")
    assert not same_quantity("1G", "1Gi")
    assert not same_quantity("http1", "http2")
    assert not same_quantity(None, "1")


@pytest.mark.parametrize("profile", PROFILES)
def test_each_profile_gives_a_valid_spec(profile: str) -> None:
    spec = parse_spec(DIGITS | {"profile": profile})
    assert (spec.scaling.min_replicas, spec.scaling.metric) == (PROFILES[profile].min_replicas, "cpu")
    assert spec.scaling.max_replicas == PROFILES[profile].max_replicas
    assert spec.scaling.target == PROFILES[profile].target
    assert set(spec.resources["requests"]) == set(spec.resources["limits"]) == {"cpu", "memory"}


@pytest.mark.parametrize(
    ("given", "request_", "limit"),
    [
        ({}, "2Gi", "4Gi"),
        ({"limits": {"memory": "1Gi"}}, "1Gi", "1Gi"),
        ({"requests": {"memory": "6Gi"}}, "6Gi", "6Gi"),
    ],
)
def test_a_model_on_a_gpu_gets_the_memory_that_cuda_takes(given: Any, request_: str, limit: str) -> None:
    resources = parse_spec(DIGITS | {"accelerator": {"gpus": 1}, "resources": given}).resources
    assert (resources["requests"]["memory"], resources["limits"]["memory"]) == (request_, limit)
    on_cpu = parse_spec(DIGITS).resources
    assert (on_cpu["requests"]["memory"], on_cpu["limits"]["memory"]) == ("256Mi", "2Gi")


def test_the_default_profile_has_the_documented_numbers() -> None:
    scaling = parse_spec(DIGITS).scaling
    assert (scaling.min_replicas, scaling.max_replicas, scaling.target) == (2, 5, 70)


@pytest.mark.parametrize(
    ("given", "request_", "limit"),
    [
        ({}, "500m", "2"),
        ({"requests": {"cpu": "4"}}, "4", "4"),
        ({"requests": {"cpu": "2"}}, "2", "2"),
        ({"requests": {"cpu": "100m"}}, "100m", "2"),
        ({"limits": {"cpu": "250m"}}, "250m", "250m"),
        ({"limits": {"cpu": "8"}}, "500m", "8"),
        ({"requests": {"cpu": 1}, "limits": {"cpu": 1}}, 1, 1),
    ],
)
def test_a_default_never_contradicts_the_user(given: Any, request_: Any, limit: Any) -> None:
    resources = parse_spec(DIGITS | {"resources": given}).resources
    assert (resources["requests"]["cpu"], resources["limits"]["cpu"]) == (request_, limit)


def test_min_above_the_default_max_raises_max() -> None:
    assert parse_spec(DIGITS | {"scaling": {"minReplicas": 30}}).scaling.max_replicas == 30


def test_max_below_the_default_min_lowers_min() -> None:
    assert parse_spec(DIGITS | {"scaling": {"maxReplicas": 1}}).scaling.min_replicas == 1


def test_one_speed_can_be_set_and_the_rest_stays_the_profiles() -> None:
    given = {"scaleDown": {"stabilizationWindowSeconds": 7}}
    behavior = parse_spec(DIGITS | {"scaling": {"behavior": given}}).scaling.behavior
    profile = PROFILES["latency"]
    assert behavior["scaleUp"] == profile.scale_up.as_json()
    assert behavior["scaleDown"] == profile.scale_down.as_json() | {"stabilizationWindowSeconds": 7}


@pytest.mark.parametrize(
    ("raw", "seen"),
    [
        ({"batching": {"streams": 3}}, (3, 1, 64)),
        ({"batching": {"batchSize": 4}}, (1, 4, 64)),
        ({"batching": {"queueSize": 0}}, (1, 1, 0)),
        ({"accelerator": {"gpus": 1}}, (1, 8, 64)),
        ({"profile": "throughput"}, (0, 0, 256)),
    ],
)
def test_each_value_of_batching_can_be_set_by_itself(raw: Any, seen: tuple[int, int, int]) -> None:
    batching = parse_spec(DIGITS | raw).batching
    assert (batching.streams, batching.batch_size, batching.queue_size) == seen


def test_a_digest_may_name_its_algorithm() -> None:
    digest = "0123456789abcdef" * 4
    for written in (digest, f"sha256:{digest}"):
        weights = parse_spec({"weights": {"uri": "builtin://digits", "sha256": written}}).weights
        assert weights.sha256 == digest


@pytest.mark.parametrize(
    ("scheme", "remote"),
    [("builtin", False), ("torchvision", False)] + [(s, True) for s in ("pvc", "s3", "gs", "https", "hf")],
)
def test_who_fetches_the_weights(scheme: str, remote: bool) -> None:
    assert parse_spec({"weights": {"uri": f"{scheme}://x/y"}}).weights.remote is remote


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({}, "does not have the shape"),
        ({"weights": None}, "does not have the shape"),
        ({"weights": {}}, "does not have the shape"),
        ({"weights": "builtin://digits"}, "does not have the shape"),
        (DIGITS | {"profile": "fast"}, "use one of latency, throughput, cost"),
        (DIGITS | {"precision": "fp16"}, "use one of auto, f32, bf16, int8"),
        (DIGITS | {"precision": None}, "use one of auto, f32, bf16, int8"),
        (DIGITS | {"scaling": {"minReplicas": 0}}, "does KEDA wake a model again"),
        (DIGITS | {"scaling": {"minReplicas": 0, "maxReplicas": 0}}, "maxReplicas >= 1, not 0 and 0"),
        (DIGITS | {"scaling": {"minReplicas": -1}}, "not -1 and 5"),
        (DIGITS | {"scaling": {"minReplicas": 3, "maxReplicas": 2}}, "not 3 and 2"),
        (DIGITS | {"scaling": {"target": "many"}}, "does not have the shape"),
        (DIGITS | {"scaling": {"target": 0}}, "must be at least 1"),
        (DIGITS | {"resources": {"requests": {"cpu": "0"}}}, "requests.cpu is 0"),
        (DIGITS | {"weights": {"uri": "builtin://digits", "sha256": "abc"}}, "64 lower case"),
        (DIGITS | {"resources": {"requests": {"cpu": "3"}, "limits": {"cpu": "2"}}}, "lower the request"),
        (DIGITS | {"resources": {"requests": {"cpu": "much"}}}, "is not a quantity"),
    ],
)
def test_whatever_is_stored_gives_a_spec_or_a_sentence(raw: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        parse_spec(raw)
