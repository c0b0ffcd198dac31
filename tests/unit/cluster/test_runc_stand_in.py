"""The runc stand-in, as a real program in front of a recording one."""

import json
import subprocess
from pathlib import Path

import pytest
from squeeze_cluster import engine, gobuild

SPEC = {
    "process": {
        "oomScoreAdj": -998,
        "capabilities": {
            "bounding": ["CAP_KILL", "CAP_SYS_RESOURCE"],
            "effective": ["CAP_SYS_RESOURCE"],
        },
    },
    "root": {"path": "rootfs"},
}


def _relaxed(arguments: list[str], file: Path) -> dict[str, object]:
    # runc may be absent or refuse the bundle; what matters is the file that it would have read.
    subprocess.run([gobuild.build("runc-nosysres"), *arguments], capture_output=True, check=False, timeout=20)
    return dict(json.loads(file.read_text()))


@pytest.mark.parametrize("option", ["--bundle={}", "--bundle {}", "-b {}"])
def test_a_bundle_loses_what_the_machine_cannot_give(tmp_path: Path, option: str) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps(SPEC))
    arguments = [
        "--root",
        str(tmp_path / "state"),
        "create",
        *option.format(tmp_path).split(),
        "squeezeserve-test",
    ]
    relaxed = _relaxed(arguments, config)
    assert relaxed["process"] == {
        "oomScoreAdj": 0,
        "capabilities": {"bounding": ["CAP_KILL"], "effective": []},
    }
    assert relaxed["root"] == SPEC["root"]


def test_a_process_file_too(tmp_path: Path) -> None:
    file = tmp_path / "process.json"
    file.write_text(json.dumps(SPEC["process"]))
    relaxed = _relaxed(["--root", str(tmp_path / "state"), "exec", "--process", str(file), "none"], file)
    assert relaxed["capabilities"] == {"bounding": ["CAP_KILL"], "effective": []}


def test_a_positive_score_stays(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"process": {"oomScoreAdj": 500}}))
    arguments = ["--root", str(tmp_path / "state"), "run", "--bundle", str(tmp_path), "squeezeserve-test"]
    assert _relaxed(arguments, config)["process"] == {"oomScoreAdj": 500}


@pytest.mark.parametrize(("bounding", "lacks"), [("000001ffffffffff", False), ("000001fffeffffff", True)])
def test_the_missing_capability_is_read_off_the_bounding_set(bounding: str, lacks: bool) -> None:
    assert engine.lacks_sys_resource(f"Name:\tpython3\nCapBnd:\t{bounding}\n") is lacks
