"""What is listed in the documentation is what the code has: reasons, metrics, flags, options."""

import argparse
import dataclasses
import re
from collections.abc import Callable, Iterable

import yaml
from prometheus_client.metrics import MetricWrapperBase
from squeeze_operator import failures
from squeeze_operator import metrics as operator_metrics
from squeeze_operator.activator import metrics as activator_metrics
from squeeze_operator.profiles import PROFILES, Profile, Speed
from squeeze_operator.reasons import Reason
from squeeze_operator.training.reasons import TrainingReason
from squeeze_predictor import metrics as predictor_metrics
from squeeze_predictor import settings as predictor_settings
from squeeze_predictor.openapi import parts as openapi_parts
from squeeze_predictor.openapi import refusals
from squeeze_predictor.openapi.document import document
from squeeze_trainer import errors as trainer_errors
from squeeze_trainer import options as trainer_options
from squeezenet.config import MAX_INPUT
from squeezenet.errors import SqueezeNetError
from squeezenet.pictures import DEFAULT_LIMITS, FORMATS
from unit.docs import markdown
from unit.docs.markdown import REPO

OPERATIONS = (REPO / "docs" / "operations.md").read_text()
PICTURES = (REPO / "docs" / "pictures.md").read_text()
PREDICTOR = (REPO / "docs" / "predictor.md").read_text()
TRAINING = (REPO / "docs" / "training.md").read_text()
README = (REPO / "README.md").read_text()


def exported(module: object) -> set[str]:
    """The metrics of a module as Prometheus names them, with their labels in braces."""
    return {_shown(value) for value in vars(module).values() if isinstance(value, MetricWrapperBase)}


def _shown(metric: MetricWrapperBase) -> str:
    described = next(iter(metric.describe()))
    name = described.name + ("_total" if described.type == "counter" else "")
    labels = ",".join(metric._labelnames)
    return f"{name}{{{labels}}}" if labels else name


def starting_with(prefix: str, cells: Iterable[str]) -> set[str]:
    """The cells with a prefix."""
    return {cell for cell in cells if cell.startswith(prefix)}


def test_every_reason_is_documented_once_and_no_other() -> None:
    listed = markdown.first_cells(OPERATIONS, "Conditions and reasons")
    assert sorted(listed) == sorted(str(reason) for reason in Reason)


def test_every_reason_of_a_training_is_documented_once_and_no_other() -> None:
    listed = markdown.first_cells(OPERATIONS, "Trainings")
    assert sorted(listed) == sorted(str(reason) for reason in TrainingReason)


def test_metrics_are_those_of_the_code() -> None:
    cells = markdown.first_cells(OPERATIONS, "Health, metrics, logs")
    metrics = starting_with("squeeze_", cells)
    told = (operator_metrics, activator_metrics, predictor_metrics)
    assert metrics == set[str]().union(*map(exported, told))


def test_reasons_of_failed_reconciles_are_those_of_the_code() -> None:
    _, _, after = OPERATIONS.partition("\nA failed reconcile's reason is ")
    assert re.findall(r"`([A-Z]\w+)`", after.partition("\n\n")[0]) == list(failures.REASONS)


def test_every_alert_has_its_entry_in_the_runbook_and_leads_there() -> None:
    rules = yaml.safe_load((REPO / "charts/squeezeserve/files/monitoring/alerts.yaml").read_text())
    alerts = [rule for group in rules["groups"] for rule in group["rules"] if "alert" in rule]
    _, _, section = OPERATIONS.partition("\n### Alerts\n")
    entries = dict(re.findall(r"^#### (\w+)\n\n(\w+)", section.partition("\n## ")[0], re.MULTILINE))
    assert entries == {rule["alert"]: rule["labels"]["severity"].title() for rule in alerts}
    for rule in alerts:
        assert rule["annotations"]["runbook"] == f"docs/operations.md#{rule['alert'].lower()}"


def test_health_pages_are_documented() -> None:
    for page in ("/livez", "/readyz", "/metrics", "/v2/health/live", "/v2/health/ready"):
        assert f"| `{page}` |" in OPERATIONS


def test_predictor_flags_are_those_of_the_code() -> None:
    _, _, section = PREDICTOR.partition("\n## Limits and settings\n")
    listed = {
        flag
        for row in re.findall(r"^\| (`--.*?) \|", section, re.MULTILINE)
        for flag in re.findall(r"--[\w-]+", row)
    }
    assert listed == {f"--{flag.name}" for flag in predictor_settings._FLAGS}


def test_refusals_of_the_predictor_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| (\d{3}) \| (.*?) \|", PREDICTOR, re.MULTILINE)
    listed = {int(code): tuple(re.findall(r"`(\w+)`", cell)) for code, cell in rows}
    assert listed == refusals.REASONS


def test_pages_of_the_predictor_are_those_of_its_description() -> None:
    """Those of the SDK's root pages apart, which say nothing of the model."""
    facts = openapi_parts.Facts("NAME", 10, 64, 5, 4, 400_000, 500_000, 67_108_864)
    described = document(facts)["paths"]
    _, _, section = PREDICTOR.partition("\n## Pages\n")
    listed = set(re.findall(r"`(?:[A-Z]+ )?(/[^`]*)`", section.partition("\n## ")[0]))
    assert listed == {path.replace("{model_name}", "NAME") for path in described} - {"/", "/v2"}


def test_profiles_are_those_of_the_code() -> None:
    for name, profile in PROFILES.items():
        requests, limits = (
            f"{amounts['cpu']} CPU, {amounts['memory']}" for amounts in (profile.requests, profile.limits)
        )
        replicas = f"{profile.min_replicas} to {profile.max_replicas}"
        assert f"| `{name}` | {requests} | {limits} | {replicas} | {profile.target} % |" in README


def test_everything_that_a_profile_sets_is_in_the_table() -> None:
    fields: dict[str, Callable[[Profile], object]] = {
        "`scaling.minReplicas`": lambda profile: profile.min_replicas,
        "`scaling.maxReplicas`": lambda profile: profile.max_replicas,
        "`scaling.target`": lambda profile: profile.target,
        "`scaling.behavior.scaleUp`": lambda profile: speed(profile.scale_up),
        "`scaling.behavior.scaleDown`": lambda profile: speed(profile.scale_down),
        "`resources.requests`": lambda profile: ", ".join(profile.requests.values()),
        "`resources.limits`": lambda profile: ", ".join(profile.limits.values()),
        "`placement.spread`": lambda profile: profile.spread,
        "`disruption.maxUnavailable`": lambda profile: profile.max_unavailable,
        "`batching.streams`": lambda profile: profile.streams,
        "`batching.batchSize`": lambda profile: profile.batch_size,
        "`batching.batchSize` on GPUs": lambda profile: profile.gpu_batch_size,
        "`batching.queueSize`": lambda profile: profile.queue_size,
    }
    assert len(fields) == len(dataclasses.fields(Profile))
    for field, value in fields.items():
        row = [field, *(str(value(profile)) for profile in PROFILES.values())]
        assert f"| {' | '.join(row)} |" in OPERATIONS


def speed(given: Speed) -> str:
    """A speed of scaling as the table writes it."""
    units = {"Percent": " %", "Pods": ""}
    policies = [f"{value}{units[kind]}" for kind, value, _ in given.policies]
    (period,) = {policy.period for policy in given.policies}
    return f"{given.window} s; {' or '.join(policies)} each {period} s"


def test_defaults_by_profile_are_told_by_kubectl_explain() -> None:
    """The descriptions of the CRD name the numbers of the code."""
    crd = yaml.safe_load((REPO / "manifests" / "crds" / "squeezemodels.yaml").read_text())
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    shown: dict[tuple[str, str], str] = {
        ("scaling", "minReplicas"): "min_replicas",
        ("scaling", "maxReplicas"): "max_replicas",
        ("scaling", "target"): "target",
        ("placement", "spread"): "spread",
        ("disruption", "maxUnavailable"): "max_unavailable",
        ("batching", "streams"): "streams",
        ("batching", "batchSize"): "batch_size",
        ("batching", "queueSize"): "queue_size",
    }
    for (section, field), attribute in shown.items():
        text = spec[section]["properties"][field]["description"]
        for name, profile in PROFILES.items():
            assert f"{name} {getattr(profile, attribute)}" in text, (section, field)
    speeds = spec["scaling"]["properties"]["behavior"]["properties"]
    for way, attribute in (("scaleUp", "scale_up"), ("scaleDown", "scale_down")):
        text = speeds[way]["properties"]["stabilizationWindowSeconds"]["description"]
        for name, profile in PROFILES.items():
            assert f"{name} {getattr(profile, attribute).window}" in text


def test_options_of_make_are_documented() -> None:
    """Every option that `make help` names stands in the README."""
    told = " ".join(re.findall(r'@echo "  (.*)"', (REPO / "Makefile").read_text()))
    options = set(re.findall(r"\b([A-Z][A-Z_]+)=", told))
    assert options
    documented = set(re.findall(r"`([A-Z][A-Z_]+)(?:=\S+)?`", README))
    assert options <= documented


def test_formats_and_limits_of_pictures_are_those_of_the_code() -> None:
    row = next(line for line in PICTURES.splitlines() if line.startswith("| Formats |"))
    assert {word.upper() for word in re.findall(r"JPEG|PNG|WebP|GIF|BMP|TIFF|AVIF|HEIC", row)} == set(FORMATS)
    assert f"{DEFAULT_LIMITS.max_bytes // 2**20} MiB" in PICTURES
    assert f"{DEFAULT_LIMITS.max_pixels // 10**6} million pixels" in PICTURES
    assert f"at most {MAX_INPUT}" in PICTURES


def test_options_of_training_are_those_of_the_commands() -> None:
    flags: set[str] = set()
    for add in (trainer_options.add_train, trainer_options.add_finetune, trainer_options.add_test):
        parser = argparse.ArgumentParser()
        add(parser)
        flags |= set(parser._option_string_actions)
    torchruns = {"--nproc-per-node", "--max-restarts"}
    elsewhere = {"--for", "--watch", "--timeout", "--build-arg"}  # kubectl's and docker's
    used = set(re.findall(r"(?<![\w-])--[a-z][\w-]+", " ".join(markdown.code(TRAINING))))
    assert used - torchruns - elsewhere - {"--model", "--help"} <= flags
    assert "--data" in used


def test_exit_codes_of_training_are_those_of_its_errors() -> None:
    codes = {
        kind.exit_code
        for kind in vars(trainer_errors).values()
        if isinstance(kind, type) and issubclass(kind, SqueezeNetError)
    }
    listed = set(re.findall(r"^\| (\d+) \|", TRAINING, re.MULTILINE))
    assert listed == {str(code) for code in codes | {0}}
