"""A worker: its options, its run's copy at a URI, its page and its last words."""

import json
from pathlib import Path
from typing import Any

import fsspec
import httpx
import pytest
import yaml
from squeeze_operator.training.desired import FINAL_CODES, INTERRUPTED_CODES, arguments
from squeeze_operator.training.reasons import WORKER_REASONS
from squeeze_operator.training.result import progress, result
from squeeze_operator.training.spec import FLAGS, parse_training
from squeeze_trainer import errors
from squeeze_trainer.errors import OutputError
from squeeze_trainer.options import run_settings
from squeeze_trainer.worker import page
from squeeze_trainer.worker.inputs import data_path, local_weights
from squeeze_trainer.worker.main import parse, work
from squeeze_trainer.worker.mirror import Mirror
from squeezenet import artifact
from squeezenet.errors import SqueezeNetError, WeightsNotFoundError
from unit.trainer import trees

REPO = Path(__file__).parents[3]
RUN = ["--workers=0", "--device=cpu", "--threads=1", "--batch=8", "--warmup=0", "--attempts=1"]


def every_field() -> dict[str, Any]:
    """A spec that sets every field that the API has an option for."""
    crd = yaml.safe_load((REPO / "manifests" / "crds" / "squeezetrainings.yaml").read_text())
    fields = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    spec: dict[str, Any] = {"mode": "finetune", "seed": 3, "weights": {"uri": "builtin://digits"}}
    spec |= {"dataset": {"uri": "builtin://digits", "allowEmpty": True}, "output": {"uri": "s3://b/p"}}
    for section in FLAGS:
        known = {
            name: field for name, field in fields[section]["properties"].items() if name in FLAGS[section]
        }
        assert set(known) == set(FLAGS[section]), "the API has every field, under the same name"
        values = {name: field["enum"][0] if "enum" in field else 0.5 for name, field in known.items()}
        whole = {name: 32 for name, field in known.items() if field["type"] == "integer"}
        spec.setdefault(section, {}).update(values | whole)
    spec["budget"].pop("epochs")
    spec["dataset"] |= {"validationShare": 0.25, "testShare": 0.25}
    return spec


def test_every_field_of_the_api_is_an_option_of_the_trainer() -> None:
    options = parse(arguments(parse_training(every_field())))
    settings = run_settings(options, artifact.load("builtin://digits"))
    assert settings.recipe.learning_rate == 0.5
    assert settings.recipe.seed == 3
    assert settings.recipe.input.crop == 32
    assert settings.data.allow_empty


def test_training_from_nothing_takes_its_architecture() -> None:
    spec = {"mode": "train", "architecture": "squeezenet1_1", "budget": {"epochs": 3}}
    spec |= {"dataset": {"uri": "s3://b/d"}, "output": {"uri": "s3://b/p"}}
    recipe = run_settings(parse(arguments(parse_training(spec))), None).recipe
    assert (recipe.architecture, recipe.epochs) == ("squeezenet1_1", 3)


def test_exit_codes_and_reasons_are_those_that_the_operator_knows() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    raised = {kind for kind in kinds if issubclass(kind, errors.TrainerError)} - {errors.TrainerError}
    codes = {kind.exit_code for kind in raised - {errors.OutputError}} | {SqueezeNetError.exit_code}
    assert codes == set(FINAL_CODES) | {INTERRUPTED_CODES[0]}
    assert errors.OutputError.exit_code == 1, "which is tried again"
    assert {kind.reason for kind in raised} <= WORKER_REASONS


@pytest.fixture
def remote(request: pytest.FixtureRequest) -> str:
    """A URI of a filesystem that is not this machine's disk."""
    return f"memory://{request.node.name}/run"


def checkpoint(folder: Path, number: int, content: bytes = b"c") -> Path:
    path = folder / "checkpoints" / f"{0:09}-{number:09}.pt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_another_pod_finds_the_checkpoints_of_the_one_before(remote: str, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    mirror = Mirror(first, remote)
    checkpoint(first, 1, b"one")
    (first / "checkpoints" / ".000000000-000000002.pt.partial").write_bytes(b"half")
    mirror.copy_checkpoints()
    Mirror(second, remote).fetch()
    assert {path.name: path.read_bytes() for path in (second / "checkpoints").iterdir()} == {
        "000000000-000000001.pt": b"one"
    }


def test_checkpoints_that_are_gone_here_go_there_too(remote: str, tmp_path: Path) -> None:
    mirror = Mirror(tmp_path, remote)
    old = checkpoint(tmp_path, 1)
    mirror.copy_checkpoints()
    old.unlink()
    checkpoint(tmp_path, 2)
    mirror.copy_checkpoints()
    files = fsspec.filesystem("memory").find(f"{remote.removeprefix('memory:/')}/checkpoints")
    assert [name.rpartition("/")[2] for name in files] == ["000000000-000000002.pt"]


def test_what_is_saved_in_the_end_is_copied_whatever_the_end_is(remote: str, tmp_path: Path) -> None:
    def interrupted() -> None:
        with Mirror(tmp_path / "a", remote).following():
            checkpoint(tmp_path / "a", 5)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    Mirror(tmp_path / "b", remote).fetch()
    assert [path.name for path in (tmp_path / "b" / "checkpoints").iterdir()] == ["000000000-000000005.pt"]


def test_an_output_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OutputError, match="cannot be read or written"):
        Mirror(tmp_path, f"file://{tmp_path}/file/run").prove_writable("note")


def test_the_page_shows_the_progress(tmp_path: Path) -> None:
    file = tmp_path / "progress.json"
    with page.serving(file, 0, "127.0.0.1") as port:
        url = f"http://127.0.0.1:{port}"
        assert httpx.get(f"{url}/progress", trust_env=False).status_code == 404
        file.write_text('{"iteration": 3, "iterations": 9}')
        assert progress(httpx.get(f"{url}/progress", trust_env=False).json()) == {
            "iteration": 3,
            "iterations": 9,
        }
        assert httpx.get(f"{url}/etc/passwd", trust_env=False).status_code == 404


def test_inputs_are_found_where_a_pod_has_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SQUEEZESERVE_VOLUMES", str(tmp_path))
    assert data_path("pvc://claim/pictures") == tmp_path / "claim" / "pictures"
    assert data_path("s3://bucket/pictures") == "s3://bucket/pictures"
    assert local_weights("pvc://claim/weights") == str(tmp_path / "claim" / "weights")
    assert local_weights("builtin://digits") == "builtin://digits"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(WeightsNotFoundError, match="cannot be fetched"):
        local_weights("s3://bucket/weights")


def test_a_run_ends_with_its_result_and_goes_on_from_its_output(remote: str, tmp_path: Path) -> None:
    data = trees.tree(tmp_path / "data", classes=3, counts={"train": 8, "val": 4, "test": 4})
    env = {"SQUEEZE_TERMINATION_LOG": str(tmp_path / "message")}

    def run(place: str) -> dict[str, Any]:
        given = [
            f"--output={remote}",
            "--page-port=0",
            "finetune",
            "--from=builtin://digits",
            f"--data={data}",
        ]
        assert work([*given, "--iterations=4", f"--out={tmp_path / place}", *RUN], env) == 0
        pod = {
            "metadata": {"annotations": {"batch.kubernetes.io/job-completion-index": "0"}},
            "status": {
                "phase": "Succeeded",
                "containerStatuses": [
                    {"state": {"terminated": {"message": (tmp_path / "message").read_text()}}}
                ],
            },
        }
        found = result([pod])
        assert found is not None
        return found

    first = run("one")
    assert first["uri"] == f"{remote}/model"
    fsspec.filesystem("memory").get(f"{remote}/model/", f"{tmp_path}/fetched/", recursive=True)
    assert first["digest"] == artifact.load(str(tmp_path / "fetched")).digest
    assert 0 <= first["test"]["top1"] <= 1
    # Another pod, another disk: the finished run is found at the output and only tested again.
    assert run("two") == first
    assert json.loads((tmp_path / "one" / "progress.json").read_text())["iterations"] == 4


def test_a_fault_is_told_in_one_line_with_its_exit_code(remote: str, tmp_path: Path) -> None:
    message = tmp_path / "message"
    given = [f"--output={remote}", "--page-port=0", "train", f"--data={tmp_path / 'nothing'}"]
    code = work([*given, f"--out={tmp_path / 'run'}", *RUN], {"SQUEEZE_TERMINATION_LOG": str(message)})
    assert code == errors.DataError.exit_code
    assert message.read_text().startswith("DataInvalid: ")
    assert message.read_text().count("\n") == 1
