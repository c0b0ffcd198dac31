"""What the operator or a person can set: flags, each with an environment variable as its default.

Pure: reads only the arguments and the mapping it is given, plus whether the default weights folder
exists. Importing it must stay cheap, since it runs before everything else.
"""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NoReturn

from squeeze_predictor.errors import StartError

MIB = 1024 * 1024
# The most that --max-batch may be.
MAX_BATCH = 4096
MOUNTED_WEIGHTS = Path("/mnt/models")
MODEL_NAME = re.compile(r"[a-z0-9A-Z]([-._a-z0-9A-Z]{0,251}[a-z0-9A-Z])?")
TRUE_WORDS = frozenset({"1", "true", "yes", "on"})
FALSE_WORDS = frozenset({"", "0", "false", "no", "off"})


@dataclass(frozen=True)
class Settings:
    """Everything the server was told at its start. Sizes in bytes, times in seconds."""

    model_name: str
    weights: str
    sha256: str | None
    architecture: str | None
    device: str
    cpu_fallback: bool
    engine: str
    precision: str
    host: str
    port: int
    grpc_port: int
    top_k: int
    max_bytes: int
    max_pixels: int
    max_batch: int
    threads: int
    streams: int
    batch_size: int
    queue_size: int
    queue_timeout: float
    body_timeout: float
    stall_seconds: float
    drain_seconds: float
    grace_seconds: float
    access_log: float

    @property
    def max_body(self) -> int:
        """Largest request body: 64 MiB, or more where one picture of `max_bytes` in base64 needs it."""
        return max(64 * MIB, self.max_bytes * 4 // 3 + MIB)


@dataclass(frozen=True)
class _Flag:
    name: str
    kind: type
    default: Any
    help: str
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()


_FLAGS = (
    _Flag("model-name", str, "default", "name of the model in the URLs"),
    _Flag("weights", str, None, "URI or path of the weights; /mnt/models where that folder exists"),
    _Flag("sha256", str, None, "refuse weights whose file has another SHA-256"),
    _Flag(
        "architecture", str, None, "refuse weights of another one", choices=("squeezenet1_0", "squeezenet1_1")
    ),
    _Flag("device", str, "auto", "where the network runs", choices=("auto", "cpu", "cuda")),
    _Flag("cpu-fallback", bool, False, "let --device cuda run on the CPU where there is no CUDA device"),
    _Flag("engine", str, "auto", "what computes; by the device", choices=("auto", "openvino", "torch")),
    _Flag(
        "precision",
        str,
        "auto",
        "numbers to compute in; auto is f32 everywhere",
        choices=("auto", "f32", "bf16", "int8"),
    ),
    _Flag("host", str, "0.0.0.0", "address to listen on"),
    _Flag("port", int, 8080, "port to listen on", 0, 65535),
    _Flag("grpc-port", int, 8081, "port of gRPC; 0 is no gRPC", 0, 65535),
    _Flag("top-k", int, 5, "classes in an answer unless the request says otherwise", 1),
    _Flag("max-bytes", int, 20 * MIB, "largest encoded picture, in bytes", 1),
    _Flag("max-pixels", int, 50_000_000, "largest picture, in pixels", 1),
    _Flag("max-batch", int, 64, "most pictures in a request", 1, MAX_BATCH),
    _Flag("threads", int, 0, "CPU threads; 0 follows the cgroup quota", 0, 1024),
    _Flag("streams", int, 0, "pictures computed at a time on the CPU; 0 is one for each thread", 0, 1024),
    _Flag("batch-size", int, 0, "most pictures computed together; 0 is the fastest, measured", 0, 1024),
    _Flag("queue-size", int, 64, "pictures that may wait; one more is answered with 503", 0, 100_000),
    _Flag("queue-timeout", float, 30.0, "seconds a request may wait before 504", 0.001),
    _Flag("body-timeout", float, 30.0, "seconds without a byte of the request body before 408", 0.001),
    _Flag("stall-seconds", float, 20.0, "seconds a picture may take before the server is not alive", 0.1),
    _Flag("drain-seconds", float, 5.0, "after SIGTERM, seconds to go on answering while not ready", 0),
    _Flag("grace-seconds", float, 25.0, "after that, seconds for requests in flight", 0),
    _Flag("access-log", float, 0.0, "share of requests that get a line in the log; 1 is all", 0, 1),
)


class _Parser(argparse.ArgumentParser):
    """Reports a wrong flag as a failed start instead of printing usage and leaving."""

    def error(self, message: str) -> NoReturn:
        raise StartError("ConfigInvalid", message)


def parse(argv: Sequence[str], env: Mapping[str, str], mounted: Path = MOUNTED_WEIGHTS) -> Settings:
    """Settings from command-line arguments, then `SQUEEZE_*` variables, then defaults.

    Raises:
        StartError: ConfigInvalid, naming the flag or variable and what it may be.
    """
    given = vars(_parser().parse_args(list(argv)))
    values = {flag.name.replace("-", "_"): _value(flag, given, env) for flag in _FLAGS}
    if values["weights"] is None:
        if not mounted.is_dir():
            raise StartError(
                "ConfigInvalid",
                f"no weights: give --weights, such as builtin://digits, or mount a model at {mounted}",
            )
        values["weights"] = str(mounted)
    if not MODEL_NAME.fullmatch(values["model_name"]):
        raise StartError(
            "ConfigInvalid",
            "--model-name must be letters, digits, '-', '_' or '.', and begin and end with a letter or digit",
        )
    assert values.keys() == {field.name for field in fields(Settings)}
    return Settings(**values)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="squeeze-predictor", description="KServe model server for SqueezeNet.", allow_abbrev=False
    )
    for flag in _FLAGS:
        default = "" if flag.default is None else f" (default {flag.default})"
        text = f"{flag.help}{default} [{_variable(flag)}]".replace("%", "%%")
        if flag.kind is bool:
            parser.add_argument(f"--{flag.name}", nargs="?", const="true", help=text, metavar="BOOL")
        else:
            parser.add_argument(f"--{flag.name}", help=text, metavar=flag.kind.__name__.upper())
    return parser


def _variable(flag: _Flag) -> str:
    return "SQUEEZE_" + flag.name.upper().replace("-", "_")


def _value(flag: _Flag, given: Mapping[str, str | None], env: Mapping[str, str]) -> Any:
    text, source = given[flag.name.replace("-", "_")], f"--{flag.name}"
    if text is None:
        # An empty variable counts as unset, as templates often render one.
        text, source = env.get(_variable(flag)) or None, _variable(flag)
    if text is None:
        return flag.default
    value = _convert(flag, text, source)
    if flag.choices and value not in flag.choices:
        raise StartError("ConfigInvalid", f"{source} must be one of {', '.join(flag.choices)}")
    if flag.least is not None and not flag.least <= value <= (flag.most or float("inf")):
        limit = f" and at most {flag.most}" if flag.most is not None else ""
        raise StartError("ConfigInvalid", f"{source} must be at least {flag.least}{limit}")
    return value


def _convert(flag: _Flag, text: str, source: str) -> Any:
    if flag.kind is bool:
        word = text.strip().lower()
        if word not in TRUE_WORDS | FALSE_WORDS:
            raise StartError("ConfigInvalid", f"{source} must be true or false")
        return word in TRUE_WORDS
    try:
        value = flag.kind(text)
    except ValueError:
        kind = {int: "a whole number", float: "a number"}[flag.kind]
        raise StartError("ConfigInvalid", f"{source} must be {kind}") from None
    if flag.kind is float and not math.isfinite(value):
        raise StartError("ConfigInvalid", f"{source} must be a number, and not {text}")
    return value
