"""The activator's command line; each flag has a variable SQUEEZE_ACTIVATOR_<FLAG> as its default."""

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from squeeze_operator import names
from squeeze_operator.arguments import port_number, seconds


@dataclass(frozen=True)
class Settings:
    """How the process runs; port 0 takes a free one."""

    namespaces: tuple[str, ...] = ()
    """Namespaces of the models; empty means all."""
    port: int = names.ACTIVATOR_PORT
    report_port: int = names.ACTIVATOR_REPORT_PORT
    health_port: int = 8081
    replica_port: int = names.HTTP_PORT
    hold_seconds: float = 50.0
    answer_seconds: float = 60.0
    most_requests: int = 1000
    most_bytes: int = 128 * 2**20
    log_format: str = "text"
    log_level: str = "INFO"


def parse_settings(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings; exits with a usage message (code 2) where they are wrong."""
    parser = argparse.ArgumentParser(prog="squeeze-activator", description=__doc__, allow_abbrev=False)

    def default(flag: str, otherwise: object) -> str:
        return environment.get(f"SQUEEZE_ACTIVATOR_{flag.replace('-', '_').upper()}", str(otherwise))

    usual = Settings()
    parser.add_argument(
        "--namespace",
        action="append",
        default=default("namespace", "").replace(",", " ").split(),
        help="answer only for models of this namespace; may be repeated",
    )
    ports = (
        ("port", usual.port, "where requests arrive"),
        ("report-port", usual.report_port, "metrics, and how many requests are held for a model"),
        ("health-port", usual.health_port, "health pages"),
        ("replica-port", usual.replica_port, "where replicas answer"),
    )
    bounds = (
        ("most-requests", usual.most_requests, "most requests at a time"),
        ("most-bytes", usual.most_bytes, "most bytes of bodies at a time"),
    )
    for kind, flags in ((port_number, ports), (_count, bounds)):
        for flag, number, text in flags:
            parser.add_argument(f"--{flag}", type=kind, default=default(flag, number), help=text)
    times = (
        (
            "hold-seconds",
            usual.hold_seconds,
            "longest wait for a body and a replica; below the gateway's own",
        ),
        ("answer-seconds", usual.answer_seconds, "longest silence of a replica that was asked"),
    )
    for flag, duration, text in times:
        parser.add_argument(f"--{flag}", type=seconds, default=default(flag, duration), help=text)
    words = (
        ("log-format", ("json", "text"), usual.log_format),
        ("log-level", ("DEBUG", "INFO", "WARNING", "ERROR"), usual.log_level),
    )
    for flag, choices, word in words:
        parser.add_argument(f"--{flag}", choices=choices, default=default(flag, word))
    values = vars(parser.parse_args(arguments))
    return Settings(namespaces=tuple(values.pop("namespace")), **values)


def _count(text: str) -> int:
    if int(text) < 0:
        raise argparse.ArgumentTypeError(f"{text} must not be negative")
    return int(text)
