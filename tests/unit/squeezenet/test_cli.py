"""The `squeezenet` command, run as a person or a script runs it."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from squeezenet.cli import main
from squeezenet.sources import BUILTIN

SAMPLES = BUILTIN / "digits" / "samples"
SEVEN = str(SAMPLES / "7.png")

Captured = pytest.CaptureFixture[str]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_classify_prints_plain_columns_when_piped(capsys: Captured) -> None:
    assert main(["classify", "--top-k", "2", SEVEN]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == SEVEN
    assert lines[1].split()[1:] == ["7", "7"]
    assert len(lines) == 3
    assert "\x1b" not in out
    assert err == ""


def test_json_is_one_document_with_failures_in_place(capsys: Captured, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\nrest")
    assert main(["classify", "--json", SEVEN, str(broken), str(tmp_path / "absent.png"), SEVEN]) == 1
    out, err = capsys.readouterr()
    pictures = json.loads(out)["pictures"]
    assert [p["path"] for p in pictures] == [SEVEN, str(broken), str(tmp_path / "absent.png"), SEVEN]
    assert pictures[0]["predictions"][0]["label"] == "7"
    assert len(pictures[0]["predictions"]) == 5
    assert [p["error"]["reason"] for p in pictures[1:3]] == ["PictureInvalid", "PictureNotFound"]
    assert err.count("\n") == 2
    assert str(broken) in err


def test_folder_means_its_pictures(capsys: Captured, tmp_path: Path) -> None:
    for name in ("b.png", "a.PNG"):
        (tmp_path / name).write_bytes(Path(SEVEN).read_bytes())
    (tmp_path / "notes.txt").write_text("no picture")
    assert main(["classify", "--json", str(tmp_path)]) == 0
    pictures = json.loads(capsys.readouterr().out)["pictures"]
    assert [Path(p["path"]).name for p in pictures] == ["a.PNG", "b.png"]


@pytest.mark.parametrize("no_color", ["", "1"])
def test_terminal_gets_picture_and_bars_unless_no_color(
    monkeypatch: pytest.MonkeyPatch, no_color: str
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("NO_COLOR", no_color)
    assert main(["classify", SEVEN]) == 0
    text = terminal.getvalue()
    assert "█" in text
    assert ("\x1b[" in text) == (no_color == "")
    assert ("▀" in text) == (no_color == "")


def test_dash_reads_standard_input_in_a_real_process() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "squeezenet.cli", "classify", "--json", "-"],
        input=Path(SEVEN).read_bytes(),
        capture_output=True,
        check=True,
    )
    document = json.loads(done.stdout)
    assert document["pictures"][0]["path"] == "-"
    assert document["pictures"][0]["predictions"][0]["label"] == "7"
    assert done.stderr == b""


def test_info_describes_the_model(capsys: Captured) -> None:
    assert main(["info", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["architecture"], facts["classes"]) == ("squeezenet1_1", 10)
    assert facts["labels"] == list("0123456789")
    assert facts["metrics"]["test_accuracy"] >= 0.97
    assert main(["info", "--sha256", facts["digest"]]) == 0
    assert facts["digest"] in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["classify", "--model", "/no/such", SEVEN], "WeightsNotFound"),
        (["info", "--sha256", "0" * 64], "DigestMismatch"),
        (["info", "--sha256", "xyz"], "ConfigInvalid"),
    ],
)
def test_unusable_model_is_one_line_and_exit_code_2(
    capsys: Captured, arguments: list[str], reason: str
) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"squeezenet: {reason}: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["classify"], ["classify", "--top-k", "0", "x"], ["fly"]])
def test_wrong_usage_is_exit_code_2(arguments: list[str], capsys: Captured) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: squeezenet" in capsys.readouterr().err


@pytest.mark.parametrize("command", [[], ["classify"], ["info"], ["digits", "train"], ["digits", "evaluate"]])
def test_help(command: list[str], capsys: Captured) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*command, "--help"])
    assert caught.value.code == 0
    assert "usage: squeezenet" in capsys.readouterr().out
