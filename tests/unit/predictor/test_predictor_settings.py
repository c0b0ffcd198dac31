"""Flags, variables and defaults, and the words a wrong one is refused with."""

from __future__ import annotations

from pathlib import Path

import pytest
from squeeze_predictor.errors import StartError
from squeeze_predictor.settings import MIB, parse

NOWHERE = Path("/nonexistent")


def test_defaults_are_those_of_the_reference() -> None:
    settings = parse(["--weights", "builtin://digits"], {}, NOWHERE)
    assert (settings.model_name, settings.device, settings.port, settings.top_k) == (
        "default",
        "auto",
        8080,
        5,
    )
    assert (settings.engine, settings.precision) == ("auto", "auto")
    assert (settings.max_bytes, settings.max_pixels, settings.max_batch) == (20 * MIB, 50_000_000, 64)
    assert (settings.threads, settings.cpu_fallback, settings.access_log) == (0, False, 0.0)


def test_flag_wins_over_variable_and_variable_over_default() -> None:
    env = {"SQUEEZE_PORT": "9000", "SQUEEZE_TOP_K": "3", "SQUEEZE_WEIGHTS": "x"}
    settings = parse(["--port", "9001"], env, NOWHERE)
    assert (settings.port, settings.top_k, settings.weights) == (9001, 3, "x")


def test_empty_variable_counts_as_unset() -> None:
    settings = parse([], {"SQUEEZE_WEIGHTS": "x", "SQUEEZE_SHA256": "", "SQUEEZE_PORT": ""}, NOWHERE)
    assert settings.sha256 is None
    assert settings.port == 8080


def test_mounted_weights_are_the_default(tmp_path: Path) -> None:
    assert parse([], {}, tmp_path).weights == str(tmp_path)
    with pytest.raises(StartError, match="builtin://digits"):
        parse([], {}, NOWHERE)


@pytest.mark.parametrize(("word", "value"), [("true", True), ("1", True), ("no", False), ("off", False)])
def test_switch_from_variable(word: str, value: bool) -> None:
    assert parse([], {"SQUEEZE_WEIGHTS": "x", "SQUEEZE_CPU_FALLBACK": word}, NOWHERE).cpu_fallback is value


def test_switch_needs_no_value_as_a_flag() -> None:
    assert parse(["--weights", "x", "--cpu-fallback"], {}, NOWHERE).cpu_fallback is True


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (["--port", "eighty"], "--port must be a whole number"),
        (["--port", "65536"], "--port must be at least 0 and at most 65535"),
        (["--max-batch", "0"], "--max-batch must be at least 1"),
        (["--queue-timeout", "nan"], "--queue-timeout must be a number, and not nan"),
        (["--drain-seconds", "inf"], "--drain-seconds must be a number, and not inf"),
        (["--precision", "fp16"], "--precision must be one of auto, f32, bf16, int8"),
        (["--device", "tpu"], "--device must be one of auto, cpu, cuda"),
        (["--architecture", "resnet50"], "--architecture must be one of"),
        (["--cpu-fallback", "perhaps"], "--cpu-fallback must be true or false"),
        (["--model-name", "a/b"], "--model-name must be"),
        (["--access-log", "true"], "--access-log must be a number"),
        (["--access-log", "1.5"], "--access-log must be at least 0 and at most 1"),
        (["--access-log", "nan"], "--access-log must be a number, and not nan"),
        (["--mode", "x"], "unrecognized arguments"),
    ],
)
def test_wrong_flag_is_named(argv: list[str], named: str) -> None:
    with pytest.raises(StartError) as caught:
        parse(["--weights", "x", *argv], {}, NOWHERE)
    assert caught.value.reason == "ConfigInvalid"
    assert caught.value.exit_code == 2
    assert named in caught.value.message


@pytest.mark.parametrize("port", ["0", "65535"])
def test_edge_of_port_is_allowed(port: str) -> None:
    assert parse(["--weights", "x", "--port", port], {}, NOWHERE).port == int(port)


def test_body_limit_has_room_for_the_largest_picture_in_base64() -> None:
    settings = parse(["--weights", "x", "--max-bytes", str(300 * MIB)], {}, NOWHERE)
    assert settings.max_body > 300 * MIB * 4 // 3
    assert parse(["--weights", "x"], {}, NOWHERE).max_body == 64 * MIB
