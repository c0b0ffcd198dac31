"""Those that came closest are measured again, turn by turn."""

from __future__ import annotations

import pytest

from bench import contestants, rivals


def test_the_best_with_our_engine_are_the_rivals() -> None:
    shares = {
        "mosec, openvino": 0.9,
        "FastAPI, openvino": 0.8,
        "FastAPI, torch": 0.95,
        "LitServe, openvino": 0.7,
    }
    shares |= {"Ray Serve, openvino": 0.5}
    chosen = [one.title for one in rivals.best(shares, contestants.peers())]
    assert chosen == ["mosec, openvino", "FastAPI, openvino", "LitServe, openvino"]


def test_a_turn_in_which_the_machine_is_slow_counts_for_neither() -> None:
    found = rivals.summary({"SqueezeServe": [50, 20, 50], "mosec": [40, 16, 40]})
    assert found["mosec"] == {"per_second": 40, "ours_vs_it": pytest.approx(1.25)}
    assert found["SqueezeServe"]["ours_vs_it"] == 1
