"""What the operator tells of itself: metrics of models, reasons of failures, the subject of a log line."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import REGISTRY
from squeeze_operator import logs
from squeeze_operator.api import ApiError, KindMissing
from squeeze_operator.conditions import Condition
from squeeze_operator.decide import decide
from squeeze_operator.failures import REASONS, failure_reason
from squeeze_operator.logs import JsonFormatter, TextFormatter
from squeeze_operator.modelstates import ModelStates
from squeeze_operator.names import Key
from squeeze_operator.reasons import Reason
from squeeze_operator.workqueue import WorkQueue
from unit.operator_snapshots import ROUTED, replicas, seen

KEY = Key("team", "digits")
WELL = {
    "Ready": (True, Reason.AVAILABLE),
    "Reconciling": (False, Reason.SETTLED),
    "Stalled": (False, Reason.SETTLED),
    "Serving": (True, Reason.REPLICAS_ANSWER),
    "UpToDate": (True, Reason.ALL_CURRENT),
    "Scaling": (True, Reason.FOLLOWS_LOAD),
}
METRIC = "squeeze_operator_model_trouble"
OBJECTIVE = "squeeze_operator_model_latency_objective_seconds"


def status(effective: dict[str, Any] | None = None, **other: tuple[bool, Reason]) -> dict[str, Any]:
    """A status in which all is well, but for some conditions."""
    conditions = [Condition(kind, *told, "text").as_json(1) for kind, told in (WELL | other).items()]
    return {"conditions": conditions, "effective": effective or {"metric": "cpu", "target": 70}}


def series(name: str) -> list[dict[str, str]]:
    """The labels of each series of a metric."""
    return [
        sample.labels for family in REGISTRY.collect() for sample in family.samples if sample.name == name
    ]


def value(name: str, **labels: str) -> float:
    """The value of a series; 0 where there is none."""
    return REGISTRY.get_sample_value(name, labels) or 0.0


def counted(condition: str, state: str) -> float:
    """How many models have a condition in this state."""
    return value("squeeze_operator_models_by_condition", condition=condition, status=state)


@pytest.fixture
def states() -> Iterator[ModelStates]:
    """An empty memory; what a test has told is forgotten at its end."""
    made = ModelStates()
    yield made
    made.forget(KEY)


def test_a_model_that_is_well_has_no_series_of_its_own(states: ModelStates) -> None:
    before = counted("Ready", "True")
    states.tell(KEY, status())
    assert series(METRIC) == series(OBJECTIVE) == []
    assert counted("Ready", "True") == before + 1


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        ("Ready", (False, Reason.STARTING)),
        ("Ready", (True, Reason.RUNNING_ON_CPU)),
        ("Ready", (True, Reason.REPLICAS_FAILING)),
        ("Reconciling", (True, Reason.ROLLING_OUT)),
        ("Stalled", (True, Reason.CRASH_LOOP)),
        ("Serving", (False, Reason.NO_REPLICA_ANSWERS)),
        ("UpToDate", (False, Reason.OUTDATED)),
        ("Scaling", (False, Reason.METRICS_MISSING)),
    ],
)
def test_a_trouble_is_named_until_it_is_over(
    states: ModelStates, condition: str, told: tuple[bool, Reason]
) -> None:
    for _ in range(2):
        states.tell(KEY, status(None, **{condition: told}))
        assert series(METRIC) == [
            {
                "model_namespace": "team",
                "model": "digits",
                "condition": condition,
                "status": str(told[0]),
                "reason": str(told[1]),
            }
        ]
    states.tell(KEY, status())
    assert series(METRIC) == []


def test_a_model_is_counted_once_and_no_more_when_it_is_gone(states: ModelStates) -> None:
    before = counted("Serving", "False")
    for reason in (Reason.STARTING, Reason.CRASH_LOOP):
        states.tell(KEY, status(Ready=(False, reason), Serving=(False, Reason.NO_REPLICA_ANSWERS)))
        assert counted("Serving", "False") == before + 1
    states.forget(KEY)
    assert counted("Serving", "False") == before
    assert series(METRIC) == []


def test_an_objective_is_that_of_metric_latency_in_seconds(states: ModelStates) -> None:
    states.tell(KEY, status({"metric": "latency", "target": 250}))
    assert value(OBJECTIVE, model_namespace="team", model="digits") == 0.25
    states.tell(KEY, status({"metric": "utilization", "target": 70}))
    assert series(OBJECTIVE) == []


def test_every_decision_can_be_told(states: ModelStates) -> None:
    """Every condition that `decide` writes is known, of a model that serves and of one that cannot."""
    well = seen(service=ROUTED, deployment=replicas(2))
    for snapshot in (well, seen(), seen(spec={"scaling": {"minReplicas": 9, "maxReplicas": 1}})):
        decided = decide(snapshot).status
        assert decided is not None
        states.tell(KEY, decided)
        assert set(WELL) == {condition["type"] for condition in decided["conditions"]}


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ApiError(0, ""), "Unreachable"),
        (ApiError(409, ""), "Conflict"),
        (ApiError(429, ""), "Throttled"),
        (KindMissing(404, ""), "Missing"),
        (ApiError(403, ""), "Refused"),
        (ApiError(422, ""), "Refused"),
        (ApiError(503, ""), "ServerError"),
        (TimeoutError(), "Timeout"),
        (KeyError("x"), "InternalError"),
    ],
)
def test_a_failure_has_a_reason_of_a_small_set(error: Exception, reason: str) -> None:
    assert failure_reason(error) == reason
    assert reason in REASONS


async def test_the_queue_tells_how_long_a_model_waited_and_how_many_try_again() -> None:
    waits = "squeeze_operator_queue_seconds_count"
    before = value(waits)
    queue = WorkQueue()
    queue.add(KEY)
    queue.add(KEY)
    key, _ = await queue.take()
    with queue.handling(key):
        queue.add(KEY)
    await asyncio.wait_for(queue.take(), 1)
    assert value(waits) == before + 2
    queue.failed(KEY)
    queue.failed(KEY)
    assert value("squeeze_operator_models_retrying") == 1
    queue.forget(KEY)
    assert value("squeeze_operator_models_retrying") == 0
    queue.close()


def written(formatter: logging.Formatter, **extra: Any) -> str:
    """The line of a record with extra fields."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    record = logging.LogRecord("x", logging.WARNING, "", 0, "text", (), None)
    record.__dict__.update(extra)
    handler.handle(record)
    return stream.getvalue()


async def test_lines_name_the_model_of_their_own_task() -> None:
    async def look(key: Key) -> dict[str, Any]:
        with logs.about(key):
            await asyncio.sleep(0)
            line: dict[str, Any] = json.loads(written(JsonFormatter(), reason=Reason.STARTING))
        return line

    keys = [Key("a", "one"), Key("b", "two")]
    for key, line in zip(keys, await asyncio.gather(*map(look, keys)), strict=True):
        assert {"namespace": key.namespace, "model": key.name, "reason": "Starting"}.items() <= line.items()
    assert json.loads(written(JsonFormatter())).keys() == {"time", "level", "logger", "message"}


def test_text_lines_name_the_model_too() -> None:
    with logs.about(KEY):
        assert written(TextFormatter("%(message)s")) == "team/digits: text\n"
    assert written(TextFormatter("%(message)s")) == "text\n"


def test_lines_of_a_training_name_it_as_one() -> None:
    with logs.about(Key("team", "digits", "SqueezeTraining")):
        line = json.loads(written(JsonFormatter()))
    assert (line["namespace"], line["training"]) == ("team", "digits")
    assert "model" not in line


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        ("SqueezeModel", {"model": "digits"}),
        ("SqueezeTraining", {"training": "digits"}),
        ("Pod", {"object": "Pod/digits"}),
    ],
)
def test_lines_of_the_watches_name_their_object(kind: str, named: dict[str, str]) -> None:
    reference = {"apiVersion": "v1", "kind": kind, "name": "digits", "uid": "u", "namespace": "team"}
    line = json.loads(written(JsonFormatter(), k8s_ref=reference))
    assert ({"namespace": "team"} | named).items() <= line.items()
