"""Ratios are of one run's figures, and what was not measured says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench import pictures, plots, report, tables


def closed(*per_second: float) -> dict[str, Any]:
    names = ("1", "8")[: len(per_second)]
    figures = {"p50_ms": 30.0, "p99_ms": 40.0, "cpu_ms": 25.0, "limit_beside": 40.0, "load_cores": 0.02}
    return {name: {"per_second": value, **figures} for name, value in zip(names, per_second, strict=True)}


def limited(*shares: float) -> dict[str, Any]:
    figures = closed(30)["1"]
    return {name: figures | {"throttled_periods": share} for name, share in zip("24", shares, strict=True)}


FLOODED = {
    "per_second": 32.5,
    "goodput_vs_capacity": 0.9,
    "shed": 3900,
    "p99_ms": 2000.0,
    "probes": 60,
    "probes_failed": 0,
    "probe_max_ms": 21.0,
    "resident_mb_first": 150.0,
    "resident_mb_last": 152.0,
}
STEADY = {"per_second": 25.0, "p50_ms": 30.0, "p99_ms": 50.0}
TORCH = {"engine": "torch", "batch": 1, "first_answer_s": 12.0, "resident_mb": 900.0}


@pytest.fixture
def results() -> dict[str, Any]:
    ours = {
        "first_answer_s": 1.5,
        "protocols": {"raw": closed(30, 36), "gRPC": closed(29, 34)},
        "pictures": {"600x400": closed(30, 36)},
        "open_70_percent": {
            "server": STEADY | {"p99_vs_p50": 1.5},
            "loop": STEADY | {"p99_vs_p50": 1.4},
        },
        "overload_3x": FLOODED,
        "resident_mb": 150.0,
    }
    return {
        "machine": {
            "cpu": "x",
            "cores": 2,
            "memory_gib": 8,
            "instruction_sets": ["avx2"],
            "python": "3.11",
            "date": "2026-11-25",
        },
        "weights": "w",
        "limit": {
            "loops_per_s": {"600x400": {"ours, OpenVINO": 38.0, "turbojpeg, OpenVINO": 40.0}},
            "parts_ms": {"600x400": {"decode, ours": 1.5}},
            "probability_difference": {"MNN": 2e-5},
        },
        "ours": ours,
        "cores": {
            "loop": {"one": 40.0, "two": 72.0, "ratio": 1.8},
            "server": {"one": 36.0, "two": 63.0, "ratio": 1.75},
        },
        "metrics": {"ImageNet": {"ratio": 1.001}, "digits": {"ratio": 1.03}},
        "breakdown_ms": {"parse HTTP": 0.1, "queue": 0.0, "infer": 22.0, "rest": 1.0},
        "throttling": {"threads by the quota": limited(0.01, 0.04), "--threads=2": limited(0.9, 0.95)},
        "gateway": {"direct": closed(300, 400), "gateway": closed(250, 340)},
        "rivals": {
            "SqueezeServe": {"per_second": 36.0, "ours_vs_it": 1.0},
            "FastAPI": {"per_second": 32.0, "ours_vs_it": 1.2},
            "mosec": {"per_second": 32.0, "ours_vs_it": 1.1},
        },
        "peers": {
            "FastAPI, torch": TORCH | {"concurrency": closed(18, 19)},
            "FastAPI, openvino": TORCH | {"engine": "openvino", "concurrency": closed(30, 32)},
            "Other, torch": {"engine": "torch", "batch": 1, "failed": "cannot be installed"},
            "Third, torch, batched": TORCH | {"batch": 8, "concurrency": {"32": closed(20)["1"]}},
        },
    }


def test_ratios(results: dict[str, Any]) -> None:
    found = report.ratios(results)
    assert found["throughput_vs_limit"] == pytest.approx(36 / 40)
    assert found["throughput_vs_limit_by_protocol"]["gRPC"] == pytest.approx(34 / 40)
    # The batched one is the best that PyTorch does.
    assert found["throughput_vs_best_peer"] == pytest.approx(36 / 20)
    assert found["throughput_vs_best_peer_same_engine"] == 1.1, "the one that comes closest"
    assert found["two_cores_vs_one"] == 1.75
    assert found["two_cores_limit_vs_one"] == 1.8
    assert found["two_cores_vs_limit"] == pytest.approx(1.75 / 1.8)
    assert found["metrics_overhead"] == pytest.approx(1.001)
    assert found["metrics_overhead_digits"] == pytest.approx(1.03)
    assert found["throttled_periods"] == pytest.approx(0.04)
    assert found["gateway_vs_direct"] == pytest.approx(340 / 400)
    assert found["gateway_p50_vs_direct"] == pytest.approx(1.0)
    assert found["p50_alone_vs_limit"] == pytest.approx(30 / 25)
    assert found["goodput_at_3x_vs_capacity"] == 0.9
    # 65 pictures at 32.5 a second are 2 seconds of queue.
    assert found["p99_at_3x_vs_queue"] == pytest.approx(1.0)
    assert found["p99_vs_p50_at_70_percent"] == pytest.approx(1.5)
    assert found["p99_vs_p50_limit_at_70_percent"] == pytest.approx(1.4)
    assert found["start_vs_fastapi_torch"] == pytest.approx(1.5 / 12)


def test_what_was_not_measured_says_so(results: dict[str, Any], tmp_path: Path) -> None:
    results["peers"] = {"Other, torch": {"engine": "torch", "batch": 1, "failed": "cannot be installed"}}
    results["rivals"] = {"SqueezeServe": {"per_second": 36.0, "ours_vs_it": 1.0}}
    results["gateway"] = {"skipped": "no cluster: not measured (make up)"}
    results["throttling"] = {"skipped": "no cgroup can be made here"}
    results |= report.ratios(results)
    assert results["throughput_vs_best_peer"] is None
    text = tables.table(results)
    assert "| throughput_vs_best_peer | not measured |" in text
    assert "| throughput_vs_best_peer_same_engine | not measured |" in text
    assert "| gateway_vs_direct | not measured |" in text
    assert "no cluster: not measured (make up)" in text
    assert "| throttled_periods | not measured |" in text
    assert "no cgroup can be made here" in text
    assert "cannot be installed" in text
    assert "| SqueezeServe, one core | 32.5 | 3900 | 2000 | 0 of 60 | 21 | 150, 152 |" in text
    plots.draw(results, tmp_path)
    assert (tmp_path / "throughput.svg").stat().st_size > 1000
    assert not (tmp_path / "gateway.svg").exists()


def test_everything_measured_is_shown(results: dict[str, Any], tmp_path: Path) -> None:
    results |= report.ratios(results)
    text = tables.table(results)
    for row in (
        "| MNN | 2.0e-05 |",
        "| loop, no server | 40.0 | 72.0 | 1.80 |",
        "| SqueezeServe | 36.0 | 63.0 | 1.75 |",
        "| infer | 22.00 |",
        "| Third, torch, batched | 20.0 | 0.50 | – | 40 | 900 | 12.0 | 0.020 |",
        "| gateway | 30.00 / 40.00 | 40.00 | 340.0 |",
        "| --threads=2 | 4 | 0.95 | 30.0 | 30.0 / 40.0 |",
    ):
        assert row in text
    plots.draw(results, tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {
        "throughput.svg",
        "breakdown.svg",
        "two-cores.svg",
        "gateway.svg",
    }


def test_pictures_are_jpegs_of_the_sizes_that_they_are_named_after() -> None:
    for picture in pictures.load():
        assert picture.data.startswith(b"\xff\xd8")
