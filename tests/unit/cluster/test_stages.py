"""Stages: times, one log file, and a failure that says where to look and how to go on."""

import sys
from pathlib import Path

import pytest
from squeeze_cluster import paths, shell, stages
from squeeze_cluster.errors import ClusterError, CommandError


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> stages.Stages:
    monkeypatch.setattr(paths, "CACHE", tmp_path)
    return stages.Stages("test")


def test_output_of_commands_goes_to_the_log_only(
    shown: stages.Stages, capsys: pytest.CaptureFixture[str]
) -> None:
    with shown.stage("Say something"):
        assert shell.run(sys.executable, "-c", "print('loud')") == "loud\n"
    shell.log_to(None)
    printed = capsys.readouterr().out
    assert "✓ Say something" in printed
    assert "loud" not in printed
    assert "loud" in shown.log_file.read_text()


def test_a_failed_stage_is_named_and_its_error_kept(
    shown: stages.Stages, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CommandError, match="exited with 3") as failed, shown.stage("Break"):
        shell.run(sys.executable, "-c", "import sys; print('the cause', file=sys.stderr); sys.exit(3)")
    shell.log_to(None)
    assert "the cause" in str(failed.value)
    assert "✗ Break failed" in capsys.readouterr().out
    assert stages.fail(failed.value, shown.log_file, "make up") == 1
    told = capsys.readouterr().err
    assert str(shown.log_file) in told
    assert "resume: make up" in told


def test_a_command_that_hangs_is_ended(shown: stages.Stages) -> None:
    with pytest.raises(CommandError, match="124"):
        shell.run(sys.executable, "-c", "import time; time.sleep(60)", timeout=0.5)
    shell.log_to(None)
    assert "killed after 0.5 s" in shown.log_file.read_text()


def test_a_missing_program_is_no_success() -> None:
    assert not shell.succeeds("no-such-program-anywhere")


def test_error_kinds() -> None:
    assert issubclass(CommandError, ClusterError)
