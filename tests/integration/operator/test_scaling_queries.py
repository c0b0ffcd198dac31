"""What Prometheus answers to KEDA: a real promtool evaluates the queries over series of replicas."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from squeeze_cluster import catalogue, images, shell
from squeeze_cluster.errors import CommandError
from squeeze_cluster.settings import Settings
from squeeze_operator import promql
from squeeze_operator.names import Key

MODEL, WINDOW = Key("team", "digits"), "1m"
UTILIZATION, LATENCY = promql.utilization(MODEL, WINDOW), promql.latency(MODEL, WINDOW)
PREDICT, READY = "/v1/models/{model_name}:predict", "/v2/health/ready"
Series = dict[str, str]


def series(metric: str, values: str, **labels: str) -> Series:
    """One series, scraped every 5 seconds from a replica."""
    known = {"namespace": "team", "model": "digits", "pod": "digits-a"} | labels
    inside = ",".join(f'{label}="{value}"' for label, value in known.items())
    return {"series": f"{metric}{{{inside}}}", "values": values}


def replica(
    pod: str = "digits-a",
    model: str = "digits",
    namespace: str = "team",
    pictures: str = "0+50x30",
    refused: str = "0x30",
    queued: str = "0x30",
    until: str = "x30",
) -> list[Series]:
    """A replica of capacity 20 pictures a second; by default it is asked for 10."""
    labels = {"pod": pod, "model": model, "namespace": namespace}
    return [
        series("squeeze_capacity_pictures_per_second", f"20{until}", batch="1", **labels),
        series("squeeze_capacity_pictures_per_second", f"15{until}", batch="8", **labels),
        series("squeeze_pictures_total", pictures, **labels),
        series("squeeze_requests_rejected_total", refused, **labels),
        series("squeeze_requests_queued", queued, **labels),
    ]


def buckets(route: str, within_50: str, within_100: str, model: str = "digits") -> list[Series]:
    """The histogram of a route: requests answered within 50 ms, and all within 100 ms."""
    counts = {"0.05": within_50, "0.1": within_100, "+Inf": within_100}
    name = "squeeze_request_seconds_bucket"
    return [series(name, values, le=le, route=route, model=model) for le, values in counts.items()]


BUSY, FULL = replica(), replica("digits-b", pictures="0+100x30")
SLOW = buckets(PREDICT, "0+90x30", "0+100x30")
# Replicas, query, seconds, and the number that Prometheus gives; None is no answer.
TABLE: dict[str, tuple[list[Series], str, int, float | None]] = {
    "half of the capacity is asked for": (BUSY, UTILIZATION, 120, 50),
    "the average of two": ([*BUSY, *FULL], UTILIZATION, 120, 75),
    "refused requests were asked for too": (replica(refused="0+25x30"), UTILIZATION, 120, 75),
    "more than there is": (replica(refused="0+100x30"), UTILIZATION, 120, 150),
    "nobody asks": (replica(pictures="7x30"), UTILIZATION, 120, 0),
    "a queue that never empties": (replica(queued="3x30"), UTILIZATION, 120, 100),
    "a queue that empties": (replica(queued="3x20 0 3x9"), UTILIZATION, 120, 50),
    "other models of the namespace": ([*BUSY, *replica("x", "other", pictures="0x30")], UTILIZATION, 120, 50),
    "a namesake": ([*BUSY, *replica("x", namespace="b", pictures="0x30")], UTILIZATION, 120, 50),
    "a replica that has gone": (
        [*BUSY, *replica("digits-b", pictures="0+100x20 stale", until="x20 stale")],
        *(UTILIZATION, 130, 50),
    ),
    "no replica is seen": ([], UTILIZATION, 120, None),
    "Prometheus has just begun": (BUSY, UTILIZATION, 0, None),
    "nobody is scraped any more": (replica(pictures="0+50x5", until="x5"), UTILIZATION, 600, None),
    "95 % within 75 ms": ([*BUSY, *SLOW], LATENCY, 120, 75),
    "health pages are no predictions": (
        [*BUSY, *SLOW, *buckets(READY, "0+900x30", "0+900x30")],
        *(LATENCY, 120, 75),
    ),
    "gRPC counts": (
        [*BUSY, *buckets("/inference.GRPCInferenceService/ModelInfer", "0+90x30", "0+100x30")],
        *(LATENCY, 120, 75),
    ),
    "of another model": ([*BUSY, *SLOW, *buckets(PREDICT, "0x30", "0+999x30", "other")], LATENCY, 120, 75),
    "nobody asks any more": ([*replica(pictures="9x30"), *buckets(PREDICT, "9x30", "9x30")], LATENCY, 120, 0),
    "nobody has ever asked": (replica(pictures="0x30"), LATENCY, 120, 0),
    "no replica is seen, latency": ([], LATENCY, 120, None),
    "Prometheus has just begun, latency": ([*BUSY, *SLOW], LATENCY, 0, None),
}


@pytest.fixture(scope="module")
def promtool() -> str:
    """The image that holds promtool."""
    images.ensure(catalogue.prometheus(), Settings())
    return catalogue.PROMETHEUS_IMAGE


def run(promtool: str, folder: Path, cases: list[dict[str, Any]]) -> str:
    """What promtool says of the cases, in the form of `promtool test rules`."""
    (folder / "queries.yaml").write_text(yaml.safe_dump({"evaluation_interval": "5s", "tests": cases}))
    folder.chmod(0o755)
    mount = ("--volume", f"{folder}:/queries:ro", "--network", "none", "--entrypoint", "/bin/promtool")
    return shell.run("docker", "run", "--rm", *mount, promtool, "test", "rules", "/queries/queries.yaml")


def case(name: str, found: list[Series], query: str, seconds: int, wanted: float | None) -> dict[str, Any]:
    """One case; a rate over scrapes is rounded to what it is."""
    samples = [] if wanted is None else [{"labels": "{}", "value": wanted}]
    test = {"expr": f"round(({query}), 0.01)", "eval_time": f"{seconds}s", "exp_samples": samples}
    return {"name": name, "interval": "5s", "input_series": found, "promql_expr_test": [test]}


def test_prometheus_answers_as_the_autoscaler_needs(promtool: str, tmp_path: Path) -> None:
    assert "SUCCESS" in run(promtool, tmp_path, [case(name, *row) for name, row in TABLE.items()])


def test_promtool_notices_a_wrong_answer(promtool: str, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="wrong"):
        run(promtool, tmp_path, [case("wrong", BUSY, UTILIZATION, 120, 51)])
