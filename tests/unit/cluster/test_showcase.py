"""What `make up` prints at its end, in a terminal and in a log file."""

import pytest
from squeeze_cluster import showcase
from squeeze_cluster.settings import Settings
from squeezenet.classify import Prediction

ANSWER = showcase.Answer([Prediction(7, "7", 0.99), Prediction(1, "1", 0.01)], 12.3)


@pytest.mark.parametrize("colour", [True, False])
def test_escape_sequences_only_where_they_show(colour: bool) -> None:
    text = showcase.show(ANSWER, Settings(), colour=colour)
    assert ("\x1b[" in text) is colour
    assert ("▀" in text) is colour
    assert "99.0%" in text
    assert "curl -s http://digits-default.localhost" in text


def test_colours_are_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: False, raising=False)
    assert not showcase.in_colour({})
    assert showcase.in_colour({"FORCE_COLOR": "1"})
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert showcase.in_colour({})
    assert not showcase.in_colour({"NO_COLOR": "1"})
