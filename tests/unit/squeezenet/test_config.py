"""config.json: strict reading, and what it writes it reads."""

from __future__ import annotations

import json
from typing import Any

import pytest
from squeezenet.config import MAX_INPUT, ArtifactConfig, InputSpec, from_json, to_json
from squeezenet.errors import ConfigError


def document(**changes: Any) -> str:
    return json.dumps({"architecture": "squeezenet1_1", "num_classes": 10, **changes})


def test_written_config_reads_back_equal() -> None:
    config = ArtifactConfig(
        "squeezenet1_1", 2, InputSpec(64, 60, (0.1, 0.2, 0.3), (1.0, 2.0, 3.0)), {"seed": 3}, {"top1": 0.5}
    )
    assert from_json(to_json(config)) == config


def test_defaults_are_the_platforms_imagenet_preprocessing() -> None:
    spec = from_json(document()).input
    assert (spec.resize, spec.crop) == (256, 227)
    assert spec.mean == (0.485, 0.456, 0.406)
    assert spec.std == (0.229, 0.224, 0.225)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{", "not JSON"),
        ("[]", "must be a JSON object"),
        ('{"num_classes": 10}', "'architecture'"),
        (document(resise=3), "'resise'"),
        (document(input={"size": 3}), "'size'"),
        (document(input=[]), "input must be"),
        (document(architecture="resnet18"), "squeezenet1_0, squeezenet1_1"),
        (document(architecture=1), "architecture must be a string"),
        (document(num_classes=0), "at least 1"),
        (document(num_classes=True), "whole number"),
        (document(num_classes="10"), "whole number"),
        (document(input={"mean": [0.5]}), "three numbers"),
        (document(input={"std": [1, 1, 0]}), "above zero"),
        (document(input={"mean": [1, 1, float("nan")]}), "finite"),
        (document(input={"resize": 100, "crop": 101}), "crop <= resize"),
        (document(input={"resize": MAX_INPUT + 1}), "crop <= resize"),
        (document(input={"resize": 64, "crop": 16}), "needs 17"),
        (document(metrics=3), "metrics must be"),
        ("[" * 100_000, "not JSON"),
        (document(input={"mean": [10**400, 0, 0]}), "input.mean has a number"),
        (document(input={"crop": 10**4000}), "input.crop is beyond"),
    ],
)
def test_refusal_names_the_key(text: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        from_json(text)


@pytest.mark.parametrize(("architecture", "smallest"), [("squeezenet1_0", 21), ("squeezenet1_1", 17)])
def test_smallest_input_is_accepted_and_runs(architecture: str, smallest: int) -> None:
    import torch
    from torchvision.models import get_model

    ArtifactConfig(architecture, 2, InputSpec(smallest, smallest))
    network = get_model(architecture, weights=None, num_classes=2).eval()
    assert network(torch.zeros(1, 3, smallest, smallest)).shape == (1, 2)
    with pytest.raises(ConfigError):
        ArtifactConfig(architecture, 2, InputSpec(smallest, smallest - 1))


def test_largest_input_is_accepted() -> None:
    assert InputSpec(MAX_INPUT, MAX_INPUT).crop == MAX_INPUT
