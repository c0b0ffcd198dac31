"""The operator's command line; each flag has a variable SQUEEZE_OPERATOR_<FLAG> as its default."""

import argparse
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from squeeze_operator.arguments import port_number, seconds
from squeeze_operator.names import Key
from squeeze_operator.snapshot import NetworkRules, Options

_TRUE = frozenset({"1", "true", "yes", "on"})


@dataclass(frozen=True)
class Settings:
    """How the process runs; port 0 takes a free one."""

    options: Options
    namespaces: tuple[str, ...] = ()
    """Namespaces to serve; empty means all."""
    health_port: int = 8081
    metrics_port: int = 9090
    log_format: str = "text"
    log_level: str = "INFO"
    workers: int = 16
    resync_seconds: float = 300.0
    audit_seconds: float = 30.0


def parse_settings(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings; exits with a usage message (code 2) where they are wrong."""
    parsed = _parser(environment).parse_args(arguments)
    return Settings(
        options=Options(
            predictor_image=parsed.predictor_image,
            trainer_image=parsed.trainer_image,
            trainer_pull_policy=parsed.trainer_pull_policy,
            image_pull_policy=parsed.image_pull_policy,
            allow_cpu_fallback=parsed.allow_cpu_fallback,
            domain_template=parsed.domain_template,
            prometheus_address=parsed.prometheus_address,
            prometheus_window=parsed.prometheus_window,
            activator=parsed.activator,
            network_rules=parsed.network_rules,
            environment=tuple(parsed.replica_env),
            architecture=parsed.predictor_architecture,
            trainer_architecture=parsed.trainer_architecture,
        ),
        namespaces=tuple(parsed.namespace),
        health_port=parsed.health_port,
        metrics_port=parsed.metrics_port,
        log_format=parsed.log_format,
        log_level=parsed.log_level,
        workers=parsed.workers,
        resync_seconds=parsed.resync_seconds,
        audit_seconds=parsed.audit_seconds,
    )


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="squeeze-operator", description=__doc__, allow_abbrev=False)

    def default(flag: str, otherwise: str) -> str:
        return environment.get(_variable(flag), otherwise)

    image = environment.get(_variable("predictor-image"))
    parser.add_argument(
        "--predictor-image", default=image, required=not image, help="image of replicas without spec.image"
    )
    parser.add_argument(
        "--trainer-image", default=default("trainer-image", ""), help="image of trainings without spec.image"
    )
    for flag, whose in (("image-pull-policy", "replicas"), ("trainer-pull-policy", "workers")):
        parser.add_argument(
            f"--{flag}",
            choices=("Always", "IfNotPresent", "Never"),
            default=default(flag, "IfNotPresent"),
            help=f"imagePullPolicy of the {whose}",
        )
    parser.add_argument(
        "--allow-cpu-fallback",
        action=argparse.BooleanOptionalAction,
        default=default("allow-cpu-fallback", "").lower() in _TRUE,
        help="let a GPU replica without a CUDA device serve on its CPU; the status says so",
    )
    parser.add_argument(
        "--namespace",
        action="append",
        default=default("namespace", "").replace(",", " ").split(),
        help="serve only this namespace; may be repeated",
    )
    parser.add_argument(
        "--domain-template",
        default=default("domain-template", Options("").domain_template),
        help="KServe's ingress.domainTemplate, to report names that are too long",
    )
    parser.add_argument(
        "--prometheus-address",
        type=_address,
        default=default("prometheus-address", ""),
        help="Prometheus as KEDA reaches it, for the metrics utilization and latency; empty is none",
    )
    parser.add_argument(
        "--prometheus-window",
        type=_duration,
        default=default("prometheus-window", Options("").prometheus_window),
        help="how far rates look back, such as 2m: four scrape intervals or more",
    )
    parser.add_argument(
        "--activator",
        type=_service,
        default=default("activator", ""),
        help="NAMESPACE/NAME of the activator's Service, for models with minReplicas: 0; empty is none",
    )
    parser.add_argument(
        "--network-rules",
        type=_network_rules,
        default=default("network-rules", ""),
        help="give each model and training a NetworkPolicy; JSON: operator and clients (peers that may ask), "
        "weights (egress rules)",
    )
    parser.add_argument(
        "--replica-env",
        action="append",
        type=_variable_of_replicas,
        default=[_variable_of_replicas(pair) for pair in default("replica-env", "").split()],
        help="NAME=VALUE in the environment of each replica and worker; may be repeated",
    )
    for whose in ("predictor", "trainer"):
        parser.add_argument(
            f"--{whose}-architecture",
            default=default(f"{whose}-architecture", ""),
            help=f"the only kubernetes.io/arch that --{whose}-image runs on; empty: all of the cluster's",
        )
    for flag, number in (("health-port", 8081), ("metrics-port", 9090)):
        parser.add_argument(
            f"--{flag}", type=port_number, default=default(flag, str(number)), help="0 to 65535"
        )
    parser.add_argument("--log-format", choices=("json", "text"), default=default("log-format", "text"))
    levels = ("DEBUG", "INFO", "WARNING", "ERROR")
    parser.add_argument("--log-level", choices=levels, default=default("log-level", "INFO"))
    parser.add_argument(
        "--workers",
        type=_positive,
        default=default("workers", "16"),
        help="models and trainings reconciled at a time",
    )
    for flag, usual in (("resync-seconds", "300"), ("audit-seconds", "30")):
        parser.add_argument(f"--{flag}", type=seconds, default=default(flag, usual), help="above 0")
    return parser


def _variable(flag: str) -> str:
    return f"SQUEEZE_OPERATOR_{flag.replace('-', '_').upper()}"


def _address(text: str) -> str:
    if text and not re.fullmatch(r"https?://[^\s/]+(/\S*)?", text):
        raise argparse.ArgumentTypeError(
            f"{text} is no address; use one such as http://prometheus.monitoring:9090"
        )
    return text


def _service(text: str) -> Key | None:
    namespace, slash, name = text.partition("/")
    if text and not (namespace and slash and name):
        raise argparse.ArgumentTypeError(f"{text} is not NAMESPACE/NAME")
    return Key(namespace, name) if text else None


def _duration(text: str) -> str:
    if not re.fullmatch("[1-9][0-9]*[smh]", text):
        raise argparse.ArgumentTypeError(f"{text} is no duration; use one such as 90s or 2m")
    return text


def _network_rules(text: str) -> NetworkRules | None:
    if not text:
        return None
    try:
        rules = {name: tuple(values) for name, values in json.loads(text).items()}
        return NetworkRules(**rules)
    except (ValueError, TypeError, AttributeError) as error:
        raise argparse.ArgumentTypeError(
            f"not JSON with lists named operator, clients and weights: {error}"
        ) from error


def _variable_of_replicas(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text} is not NAME=VALUE")
    return name, value


def _positive(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} must be at least 1")
    return int(text)
