"""The command line, the log lines and what a replica says about itself."""

import io
import json
import logging
from typing import Any

import pytest
from squeeze_operator.hostnames import too_long
from squeeze_operator.logs import JsonFormatter, TextFormatter
from squeeze_operator.names import Key
from squeeze_operator.served import ServedReader, addresses, parse_served
from squeeze_operator.settings import parse_settings
from squeeze_operator.snapshot import Options, Served

IMAGE = ["--predictor-image=predictor:1"]


def test_the_defaults() -> None:
    settings = parse_settings(IMAGE, {})
    assert settings.options == Options("predictor:1")
    assert (settings.health_port, settings.metrics_port, settings.namespaces) == (8081, 9090, ())
    assert (settings.log_format, settings.workers, settings.resync_seconds) == ("text", 16, 300.0)


def test_flags_win_over_the_environment() -> None:
    environment = {
        "SQUEEZE_OPERATOR_PREDICTOR_IMAGE": "env:1",
        "SQUEEZE_OPERATOR_NAMESPACE": "a,b c",
        "SQUEEZE_OPERATOR_ALLOW_CPU_FALLBACK": "true",
        "SQUEEZE_OPERATOR_HEALTH_PORT": "1",
    }
    settings = parse_settings([], environment)
    assert settings.options.predictor_image == "env:1"
    assert settings.options.allow_cpu_fallback
    assert (settings.namespaces, settings.health_port) == (("a", "b", "c"), 1)
    flags = [*IMAGE, "--no-allow-cpu-fallback", "--health-port=2"]
    settings = parse_settings(flags, environment)
    assert settings.options == Options("predictor:1")
    assert settings.health_port == 2


def test_prometheus_is_named_by_its_address() -> None:
    assert parse_settings(IMAGE, {}).options.prometheus_address == ""
    flags = ["--prometheus-address=https://prometheus.example.com/team", "--prometheus-window=90s"]
    options = parse_settings([*IMAGE, *flags], {}).options
    assert options.prometheus_address == "https://prometheus.example.com/team"
    assert options.prometheus_window == "90s"


def test_namespaces_may_be_repeated() -> None:
    assert parse_settings([*IMAGE, "--namespace=a", "--namespace", "b"], {}).namespaces == ("a", "b")


@pytest.mark.parametrize(
    "flags",
    [
        [],
        [*IMAGE, "--health-port=-1"],
        [*IMAGE, "--metrics-port=65536"],
        [*IMAGE, "--workers=0"],
        [*IMAGE, "--resync-seconds=0"],
        [*IMAGE, "--audit-seconds=inf"],
        [*IMAGE, "--log-format=xml"],
        [*IMAGE, "--image-pull-policy=Sometimes"],
        [*IMAGE, "--prometheus-address=prometheus:9090"],
        [*IMAGE, "--prometheus-window=2 minutes"],
        [*IMAGE, "--unknown"],
    ],
)
def test_wrong_flags_end_with_a_usage_message(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_settings(flags, {})
    assert ended.value.code == 2
    assert "usage: squeeze-operator" in capsys.readouterr().err


@pytest.mark.parametrize("formatter", [TextFormatter("%(message)s"), JsonFormatter()])
def test_foreign_text_cannot_break_a_line(formatter: logging.Formatter) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    handler.handle(logging.LogRecord("x", logging.INFO, "", 0, "name %s", ("a\nERROR forged",), None))
    assert stream.getvalue().count("\n") == 1
    if isinstance(formatter, JsonFormatter):
        assert json.loads(stream.getvalue())["message"] == "name a\nERROR forged"


@pytest.mark.parametrize(
    ("name", "namespace", "excess"),
    [("a" * 48, "team", None), ("a" * 49, "team", 1), ("a", "n" * 51, None), ("a", "n" * 52, 1)],
)
def test_the_host_name_may_have_63_characters(name: str, namespace: str, excess: int | None) -> None:
    message = too_long(Key(namespace, name), Options("").domain_template)
    assert (message is None) if excess is None else (f"by {excess} characters" in str(message))


@pytest.mark.parametrize(
    "template", ["{{ .Name }}.{{ .Namespace }}.{{ .IngressDomain }}", "{{ index .Labels `x` }}-{{ .Name }}"]
)
def test_another_domain_template_is_judged_by_its_own_labels_or_not_at_all(template: str) -> None:
    assert too_long(Key("n" * 60, "a" * 50), template) is None


@pytest.mark.parametrize("metadata", [None, [], {}, {"properties": None}, {"properties": "cpu"}])
def test_metadata_without_properties_says_nothing(metadata: Any) -> None:
    assert parse_served(metadata) is None


def test_metadata_with_odd_properties_says_what_is_text() -> None:
    properties = {"weights_digest": "sha256:1", "device": 3, "engine": ""}
    assert parse_served({"properties": properties}) == Served("sha256:1", None, None)


def deployment(generation: int = 1, **status: Any) -> dict[str, Any]:
    """A Deployment of one replica that has settled, with some of its status replaced."""
    settled = {"observedGeneration": generation, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1}
    return {"metadata": {"generation": generation}, "spec": {"replicas": 1}, "status": settled | status}


class CountingReader(ServedReader):
    """Counts what would have been asked over the network, and answers from memory."""

    def __init__(self, answer: Served | None) -> None:
        super().__init__()
        self.asked = 0
        self.answer = answer

    async def _ask(self, host: str, name: str) -> Served | None:
        assert (host, name) == ("10.0.0.1", "m")
        self.asked += 1
        return self.answer


MODEL = {"metadata": {"uid": "u", "namespace": "ns", "name": "m"}}


def pod(ip: str, created: str = "2026-01-01T00:00:00Z", ready: str = "True", **more: str) -> dict[str, Any]:
    """A pod of the model."""
    status = {"podIP": ip, "conditions": [{"type": "Ready", "status": ready}]}
    return {"metadata": {"creationTimestamp": created, **more}, "status": status}


PODS = [pod("10.0.0.1")]


async def test_a_replica_is_asked_once_for_each_rollout() -> None:
    reader = CountingReader(Served("sha256:1"))
    for _ in range(3):
        assert await reader(MODEL, deployment(), PODS) == Served("sha256:1")
    assert reader.asked == 1
    assert await reader(MODEL, deployment(2), PODS) == Served("sha256:1")
    assert reader.asked == 2
    reader.forget_except(frozenset())
    await reader(MODEL, deployment(2), PODS)
    assert reader.asked == 3
    await reader.close()


@pytest.mark.parametrize(
    "status", [{"readyReplicas": 0}, {"updatedReplicas": 0}, {"replicas": 2}, {"observedGeneration": 0}]
)
async def test_nobody_is_asked_while_it_rolls(status: dict[str, int]) -> None:
    reader = CountingReader(Served("sha256:1"))
    assert await reader(MODEL, deployment(**status), PODS) is None
    assert reader.asked == 0
    await reader.close()


async def test_a_silent_replica_is_not_asked_again_at_once() -> None:
    reader = CountingReader(None)
    assert await reader(MODEL, deployment(), PODS) is None
    assert await reader(MODEL, deployment(), PODS) is None
    assert reader.asked == 1
    await reader.close()


def test_only_replicas_that_stay_are_asked_and_the_newest_first() -> None:
    old = pod("10.0.0.1", created="2026-01-01T00:00:00Z")
    new = pod("fd00::2", created="2026-01-02T00:00:00Z")
    ending = pod("10.0.0.3", deletionTimestamp="2026-01-03T00:00:00Z")
    starting = pod("10.0.0.4", ready="False")
    homeless = {"metadata": {}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    assert addresses([old, new, ending, starting, homeless, {"metadata": {}}]) == ["[fd00::2]", "10.0.0.1"]


async def test_a_silent_replica_lets_the_next_one_answer() -> None:
    class SecondAnswers(ServedReader):
        async def _ask(self, host: str, name: str) -> Served | None:
            return Served(f"of {name}") if host == "10.0.0.2" else None

    reader = SecondAnswers()
    pods = [pod("10.0.0.1", "2026-01-02T00:00:00Z"), pod("10.0.0.2")]
    assert await reader(MODEL, deployment(), pods) == Served("of m")
    await reader.close()
