"""Ratios are of one run's figures, and what was not measured says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench import pictures, report


def closed(*per_second: float) -> dict[str, Any]:
    names = ("1", "8")
    figures = {"p50_ms": 30.0, "p99_ms": 40.0, "cpu_ms": 25.0, "limit_beside": 40.0}
    return {name: {"per_second": value, **figures} for name, value in zip(names, per_second, strict=True)}


@pytest.fixture
def results() -> dict[str, Any]:
    ours = {
        "first_answer_s": 1.5,
        "protocols": {"raw": closed(30, 36), "gRPC": closed(29, 34)},
        "pictures": {"600x400": closed(30, 36)},
        "open_70_percent": {"p50_ms": 30.0, "p99_ms": 45.0},
        "overload_3x": {"per_second": 34.2, "p99_ms": 2000.0},
        "resident_mb": 150.0,
    }
    peer = {"first_answer_s": 12.0, "resident_mb": 900.0}
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
        },
        "ours": ours,
        "ours_two_cores": {"pictures": {"600x400": closed(40, 70)}},
        "peers": {
            "FastAPI, torch": peer | {"concurrency": closed(18, 19)},
            "FastAPI, openvino": peer | {"concurrency": closed(30, 32)},
            "Other, torch": {"failed": "cannot be installed"},
        },
    }


def test_ratios(results: dict[str, Any]) -> None:
    found = report.ratios(results)
    assert found["throughput_vs_limit"] == pytest.approx(36 / 40)
    assert found["throughput_vs_limit_by_protocol"]["gRPC"] == pytest.approx(34 / 40)
    assert found["throughput_vs_best_peer"] == pytest.approx(36 / 19)
    assert found["throughput_vs_best_peer_same_engine"] == pytest.approx(36 / 32)
    assert found["two_cores_vs_one"] == pytest.approx(70 / 36)
    assert found["p50_alone_vs_limit"] == pytest.approx(30 / 25)
    assert found["goodput_at_3x_vs_capacity"] == pytest.approx(34.2 / 36)
    assert found["p99_vs_p50_at_70_percent"] == pytest.approx(1.5)
    assert found["start_vs_fastapi_torch"] == pytest.approx(1.5 / 12)


def test_what_was_not_measured_says_so(results: dict[str, Any], tmp_path: Path) -> None:
    results["peers"] = {"Other, torch": {"failed": "cannot be installed"}}
    results |= report.ratios(results)
    assert results["throughput_vs_best_peer"] is None
    text = report.table(results)
    assert "| throughput_vs_best_peer | not measured |" in text
    assert "cannot be installed" in text
    report.plots(results, tmp_path)
    assert (tmp_path / "throughput.svg").stat().st_size > 1000


def test_pictures_are_jpegs_of_the_sizes_that_they_are_named_after() -> None:
    for picture in pictures.load():
        assert picture.jpeg.startswith(b"\xff\xd8")
