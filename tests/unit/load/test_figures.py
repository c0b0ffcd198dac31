"""Figures and pages of runs."""

import json
from pathlib import Path

import pytest
from load import figures, plots, report
from load.report import Result
from load.sampling import Said, Sample
from load.sending import Outcome, Request

RIGHT = [Request(due, 0.1, Outcome.RIGHT) for due in (1.0, 2.0, 3.0)]
OTHERS = [
    Request(4.0, 0.0, Outcome.SHED, "QueueFull"),
    Request(5.0, 9.0, Outcome.FAILED, "a"),
    Request(7.0, 0, Outcome.FAILED, "a"),
]


def ready(at: float, replicas: int, serving: bool = True) -> Sample:
    told = Said(1, 1, {"Serving": (str(serving), "")}, {}, "sha256:1", replicas, replicas)
    return Sample(at, told, ("sha256:1",) if replicas else ("",))


def test_requests_are_counted_by_what_became_of_them() -> None:
    found = figures.of_requests(RIGHT + OTHERS)
    assert (found["requests"], found["failed"], found["shed"]) == (6, 2, 1)
    assert found["p50_ms"] == found["max_ms"] == 100.0
    assert found["failures"] == {"a": 2}
    assert found["failing_seconds"] == 2.0


def test_no_requests_have_no_latency() -> None:
    assert figures.of_requests([])["p50_ms"] is None


def test_replicas_cost_time() -> None:
    samples = [ready(0, 1), ready(10, 3), Sample(15, None, ()), ready(20, 1), ready(30, 1)]
    found = figures.of_samples(samples)
    assert (found["min_replicas"], found["max_replicas"]) == (1, 3)
    assert found["replica_seconds"] == 1 * 10 + 3 * 10 + 1 * 10
    assert found["status_wrong_seconds"] == 0.0


def test_the_longest_spell_of_each_claim_is_told() -> None:
    samples = [ready(0.5 * number, 1, serving=number >= 5) for number in range(20)]
    assert figures.of_samples(samples)["status_wrong"] == {"Serving is False and somebody answers": 2.0}


def test_reaction_times_count_from_the_event() -> None:
    samples = [ready(0, 2), ready(5, 1), ready(9, 2), ready(12, 4), ready(20, 1)]
    assert figures.seconds_until(samples, 4, 2) == 5
    assert figures.seconds_until(samples, 4, 9) is None
    assert figures.seconds_until(samples, 10, 1, fewer=True) == 10


def test_the_time_with_too_few_replicas_is_summed_up() -> None:
    samples = [ready(0, 2), ready(2, 1), ready(5, 2), ready(9, 0), ready(10, 2), ready(20, 2)]
    assert figures.seconds_short(samples, 2) == 3 + 1
    assert figures.seconds_short(samples, 1) == 1


def test_the_summary_has_sums_and_extremes() -> None:
    one = figures.of_requests(RIGHT) | figures.of_samples([ready(0, 1), ready(1, 3)])
    other = figures.of_requests(OTHERS) | figures.of_samples([ready(0, 2)])
    found = report.summary([Result("a", one | {"seconds_to_scale": 30.0}), Result("b", other, ["b: broken"])])
    assert (found["requests"], found["failed"], found["shed"]) == (6, 2, 1)
    assert (found["min_replicas"], found["max_replicas"], found["seconds_to_scale"]) == (1, 3, 30.0)
    assert found["broken"] == ["b: broken"]
    json.dumps(found, allow_nan=False)


def test_the_page_shows_every_scenario(tmp_path: Path) -> None:
    plots.over_time(tmp_path / "a.svg", "a", RIGHT + OTHERS, [ready(0, 1), ready(9, 2)], {"mark": 2.0})
    (tmp_path / "a.json").write_text(json.dumps({"requests": 6, "why": "x"}))
    page = report.page(tmp_path)
    assert "| a | 6 |" in page
    assert "![a](a.svg)" in page
    assert (tmp_path / "a.svg").read_text().rstrip().endswith("</svg>")


@pytest.mark.parametrize("requests", [[], OTHERS[:1]])
def test_a_run_without_answers_is_drawn_too(tmp_path: Path, requests: list[Request]) -> None:
    plots.over_time(tmp_path / "a.svg", "a", requests, [ready(0, 0)])
    assert (tmp_path / "a.svg").exists()


def test_profiles_are_compared(tmp_path: Path) -> None:
    keys = ("p50_ms", "p99_ms", "per_second", "replica_seconds", "requested_cpu_seconds")
    plots.compared(
        tmp_path / "p.svg", {"latency": dict.fromkeys(keys, 1.0), "cost": dict.fromkeys(keys, 2.0)}
    )
    assert (tmp_path / "p.svg").read_text().count("<!-- latency -->") == 5
