"""The storage initializer's entry point: exit codes, the termination line, and what it must not tell.

`kserve_storage` is stood in for here; tests/e2e/test_images.py runs the real one in its image.
"""

import logging
import sys
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

SCRIPT = Path(__file__).parents[3] / "images" / "storage-initializer" / "initializer-entrypoint"
Download = Callable[[list[str], list[str]], None]


@pytest.fixture
def entrypoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, with its termination log in a temporary folder."""
    monkeypatch.setenv("SQUEEZE_TERMINATION_LOG", str(tmp_path / "termination-log"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader = SourceFileLoader("initializer_entrypoint", str(SCRIPT))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def use_download(monkeypatch: pytest.MonkeyPatch, download: Download) -> None:
    """Put a `kserve_storage` whose `Storage.download_files` is `download` in place."""
    package = ModuleType("kserve_storage")
    package.Storage = SimpleNamespace(download_files=download)  # type: ignore[attr-defined]
    logs = ModuleType("kserve_storage.logging")
    logs.configure_logging = lambda: None  # type: ignore[attr-defined]
    logs.logger = logging.getLogger("storage.initializer")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "kserve_storage", package)
    monkeypatch.setitem(sys.modules, "kserve_storage.logging", logs)


def leave_file(sources: list[str], destinations: list[str]) -> None:
    folder = Path(destinations[0]) / "sub"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_text(sources[0])


def leave_nothing(_sources: list[str], destinations: list[str]) -> None:
    (Path(destinations[0]) / "empty").mkdir(parents=True)


def test_every_pair_is_downloaded(
    entrypoint: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_download(monkeypatch, leave_file)
    assert entrypoint.main(["s3://a/x", str(tmp_path / "one"), "hf://o/m", str(tmp_path / "two")]) == 0
    assert (tmp_path / "two/sub/model.safetensors").read_text() == "hf://o/m"
    assert not (tmp_path / "termination-log").exists()


KEYS = (
    "models/squeezenet/model.safetensors",
    "models/squeezenet/labels.txt",
    "models/squeezenet-old/weights.pth",
    "models/squeezenet.pth",
    "models/squeezenet.pth.bak",
    "models/squeezenet2.pth",
    "models/other/model.safetensors.log",
    "models/packed.zip",
)


def leave_what_begins_alike(sources: list[str], destinations: list[str]) -> None:
    """As KServe's library reads S3: an object of this very key, or all whose keys begin with it."""
    prefix = sources[0].removeprefix("s3://bucket/")
    found = [prefix] if prefix in KEYS else [key for key in KEYS if key.startswith(prefix)]
    if not found:
        raise RuntimeError(f"Failed to fetch model. No model found in {prefix}.")
    for key in found:
        name = key.rpartition("/")[2] if key == prefix else key.removeprefix(prefix).lstrip("/")
        # An archive that comes alone is unpacked and removed.
        path = Path(destinations[0]) / ("model.safetensors" if name == "packed.zip" else name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(key)


@pytest.mark.parametrize(
    ("uri", "names"),
    [
        ("s3://bucket/models/squeezenet", ["labels.txt", "model.safetensors"]),
        ("s3://bucket/models/squeezenet/", ["labels.txt", "model.safetensors"]),
        ("s3://bucket/models/squeezenet.pth", ["squeezenet.pth"]),
        ("s3://bucket/models/squeezenet-old/weights.pth", ["weights.pth"]),
        ("s3://bucket/models/packed.zip", ["model.safetensors"]),
    ],
)
def test_an_s3_uri_names_one_file_or_folder(
    entrypoint: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str, names: list[str]
) -> None:
    use_download(monkeypatch, leave_what_begins_alike)
    assert entrypoint.main([uri, str(tmp_path / "out")]) == 0
    assert sorted(path.name for path in (tmp_path / "out").rglob("*")) == names


@pytest.mark.parametrize(
    "uri",
    [
        "s3://bucket/models/squeeze",
        "s3://bucket/models/squeezenet.pt",
        "s3://bucket/models/squeezenet2",
        "s3://bucket/models/other/model.safetensors",
        "s3://bucket/models/missing",
        "s3://bucket/models/missing/",
    ],
)
def test_an_s3_uri_that_only_neighbours_begin_with_is_not_found(
    entrypoint: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    use_download(monkeypatch, leave_what_begins_alike)
    assert entrypoint.main([uri, str(tmp_path / "out")]) == 1
    assert uri in (tmp_path / "termination-log").read_text()


def test_nothing_found_fails_with_the_uri(
    entrypoint: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_download(monkeypatch, leave_nothing)
    assert entrypoint.main(["s3://models/wrong", str(tmp_path / "out")]) == 1
    line = (tmp_path / "termination-log").read_text()
    assert line.startswith("WeightsNotFound: ")
    assert "s3://models/wrong" in line


def test_an_error_is_one_line_without_password_and_token(
    entrypoint: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    uri = "https://user:secret@host/a/model.pth?token=hidden"

    def refuse(_sources: list[str], _destinations: list[str]) -> None:
        raise RuntimeError(f"cannot reach {uri}\nMax retries with url: /a/model.pth?token=hidden")

    caplog.set_level(logging.INFO)
    use_download(monkeypatch, refuse)
    assert entrypoint.main([uri, str(tmp_path / "out")]) == 1
    line = (tmp_path / "termination-log").read_text()
    assert line.startswith("WeightsDownloadFailed: https://host/a/model.pth: cannot reach")
    assert "\n" not in line
    told = line + capsys.readouterr().err + caplog.text
    assert "secret" not in told
    assert "hidden" not in told


def test_a_message_keeps_to_what_kubernetes_keeps(
    entrypoint: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_sources: list[str], _destinations: list[str]) -> None:
        raise RuntimeError("x" * 5000)

    use_download(monkeypatch, refuse)
    assert entrypoint.main(["s3://a/x", str(tmp_path / "out")]) == 1
    assert (tmp_path / "termination-log").stat().st_size == 4096


@pytest.mark.parametrize("arguments", [[], ["s3://a/x"], ["s3://a/x", "/out", "s3://a/y"]])
def test_unpaired_arguments_are_refused(
    entrypoint: ModuleType, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert entrypoint.main(arguments) == 1
    assert "Usage: initializer-entrypoint" in capsys.readouterr().out


def test_encrypted_models_are_refused_rather_than_served_encrypted(
    entrypoint: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONFIDENTIAL_ENABLED", "true")
    assert entrypoint.main(["s3://a/x", str(tmp_path / "out")]) == 1
    assert "CONFIDENTIAL_ENABLED" in (tmp_path / "termination-log").read_text()
