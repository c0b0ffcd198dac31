"""What a run is asked for, from the environment."""

import re

import pytest
from load.__main__ import SCENARIOS
from load.options import SHAPES, Options
from unit.docs.markdown import REPO


def test_the_four_shapes_are_what_is_done_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOAD", "RATE", "DURATION", "ROLLOUTS"):
        # make exports the ones that are not set as empty ones.
        monkeypatch.setenv(name, "")
    options = Options()
    assert options.wanted == SHAPES
    assert (options.rate, options.seconds, options.rollouts) == (100, 120, 20)
    assert set(SHAPES) < set(SCENARIOS)


def test_what_is_asked_for_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOAD", "spike,rollouts")
    monkeypatch.setenv("ROLLOUTS", "3")
    monkeypatch.setenv("RATE", "12.5")
    options = Options()
    assert options.wanted == ("spike", "rollouts")
    assert (options.rate, options.rollouts) == (12.5, 3)


@pytest.mark.parametrize("value", ["many", "0", "-1"])
def test_a_rate_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("RATE", value)
    with pytest.raises(ValueError, match=f"RATE='{value}' is no number above 0"):
        Options()


def test_every_scenario_is_documented_and_no_other() -> None:
    _, _, table = (REPO / "docs" / "load.md").read_text().partition("| `LOAD=` |")
    rows = re.findall(r"^\| (`.*?) \|", table.partition("\n\n")[0], re.MULTILINE)
    assert sorted(re.findall(r"`([\w-]+)`", " ".join(rows))) == sorted(SCENARIOS)
