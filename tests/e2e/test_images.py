"""The built images as a strict cluster runs them: any user id, no passwd line, nothing writable but /tmp.

SQUEEZESERVE_{PREDICTOR,TORCH,OPERATOR,TRAINER,STORAGE}_IMAGE name others than those built here. "torch" is
the predictor with PyTorch in it, which no replica of the cluster needs: it is built for these tests.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from integration.recording_proxy import recording_proxy
from squeeze_cluster import catalogue, gobuild, images, sbom
from squeeze_cluster.settings import Settings

DIGITS = "/usr/local/lib/python3.13/dist-packages/squeezenet/builtin/digits/samples"
RESTRICTED = (
    *("--user", "1000770000:0", "--network", "none"),
    *("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
)
MEGABYTE = 1_000_000
LIMITS = {"predictor": 500, "torch": 1200, "operator": 250, "trainer": 1000, "storage": 300}
PREDICTORS = ("predictor", "torch")


@pytest.fixture(scope="module", autouse=True)
def further_images(settings: Settings) -> None:
    """The images that the cluster does not run by itself, built where nobody named one."""
    if "SQUEEZESERVE_TRAINER_IMAGE" not in os.environ:
        images.ensure(catalogue.product("trainer"), settings)
    if "SQUEEZESERVE_TORCH_IMAGE" not in os.environ:
        images.ensure(catalogue.product("predictor", TORCH="cpu"), settings)


def reference(name: str) -> str:
    """The image to inspect: one that the environment names, else the one that runs on the cluster."""
    named = os.environ.get(f"SQUEEZESERVE_{name.upper()}_IMAGE")
    if named:
        return named
    if name == "storage":
        return f"kserve/storage-initializer:{gobuild.module_version('kserve')}"
    if name == "torch":
        return catalogue.product("predictor", TORCH="cpu").reference
    return catalogue.product(name).reference


def inspect(name: str) -> dict[str, Any]:
    """The engine's description of an image."""
    command = ["docker", "image", "inspect", reference(name)]
    answer = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    found: dict[str, Any] = json.loads(answer)[0]
    return found


def run(name: str, *arguments: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run a container of the image under the restrictions; returns its result."""
    command = ["docker", "run", "--rm", *RESTRICTED, *options, reference(name), *arguments]
    return subprocess.run(command, capture_output=True, check=False, text=True, timeout=240)


def python(name: str, code: str) -> str:
    """What a program prints that the image's Python runs."""
    result = run(name, "-c", code, options=("--entrypoint", "python3"))
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.mark.parametrize("name", LIMITS)
def test_size(name: str) -> None:
    assert inspect(name)["Size"] <= LIMITS[name] * MEGABYTE


@pytest.mark.parametrize("name", LIMITS)
def test_configuration(name: str) -> None:
    config = inspect(name)["Config"]
    assert int(config["User"].split(":")[0]) > 0
    assert config["Entrypoint"][0] not in {"sh", "/bin/sh"}
    assert config["StopSignal"] == "SIGTERM"
    assert config["Labels"]["org.opencontainers.image.version"]
    assert not [entry for entry in config["Env"] if entry.startswith(("PIP_", "SSL_CERT"))]


@pytest.mark.parametrize("name", LIMITS)
def test_no_build_tools_are_left(name: str) -> None:
    assert python(name, "import shutil; print(shutil.which('pip'), shutil.which('gcc'))") == "None None"
    spec = "import importlib.util as u; print(u.find_spec('pip'), u.find_spec('setuptools'))"
    assert python(name, spec) == "None None"


@pytest.mark.parametrize("name", [*PREDICTORS, "operator", "trainer"])
def test_a_user_without_a_passwd_line_has_a_name_and_a_home(name: str) -> None:
    code = "import getpass, os, pathlib; print(getpass.getuser(), pathlib.Path.home(), os.getuid())"
    assert python(name, code) == "nonroot /tmp 1000770000"


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("predictor", "squeeze_predictor"),
        ("torch", "squeeze_predictor"),
        ("operator", "squeeze_operator"),
        ("trainer", "squeeze_trainer"),
    ],
)
def test_modules_are_compiled_in_the_image(name: str, package: str) -> None:
    code = f"import os, {package} as p; print(os.path.exists(p.__cached__))"
    assert python(name, code) == "True"


@pytest.mark.parametrize(
    ("name", "engine"), [("predictor", "openvino"), ("torch", "openvino"), ("torch", "torch")]
)
def test_predictor_classifies_a_digit(name: str, engine: str) -> None:
    result = run(
        *(name, "classify", "--json", "--engine", engine, f"{DIGITS}/7.png"),
        options=("--entrypoint", "squeezenet"),
    )
    assert result.returncode == 0, result.stderr
    assert '"7"' in result.stdout


def test_predictor_without_pytorch_says_so() -> None:
    result = run(
        *("predictor", "classify", "--engine", "torch", f"{DIGITS}/7.png"),
        options=("--entrypoint", "squeezenet"),
    )
    assert result.returncode == 2
    assert "torch is not installed" in result.stderr


def test_predictor_with_pytorch_has_no_gpu_libraries_and_one_numpy() -> None:
    code = (
        "import glob, numpy, torch;"
        "print(torch.version.cuda, len(glob.glob('/usr/**/*-packages/numpy', recursive=True)))"
    )
    assert python("torch", code) == "None 1"


def test_predictor_computes_with_openblas_on_the_threads_it_was_given() -> None:
    """The reference BLAS costs four times the CPU; a thread pool of its own would break the quota."""
    code = (
        "import torch; torch.set_num_threads(1); a = torch.ones(600, 600); a @ a;"
        "maps = open('/proc/self/maps').read();"
        "print('openblas' in maps, len(__import__('os').listdir('/proc/self/task')))"
    )
    assert python("torch", code) == "True 1"


def test_trainer_trains_on_the_digits_that_it_holds() -> None:
    given = (
        "--iterations=2",
        "--batch=4",
        "--validate-every=2",
        "--workers=0",
        "--device=cpu",
        "--threads=1",
    )
    result = run(
        *("trainer", "finetune", "--from=builtin://digits", "--data=/usr/share/squeezeserve/digits"),
        *(*given, "--out=/tmp/run"),
        options=("--entrypoint", "squeezenet"),
    )
    assert result.returncode == 0, result.stderr
    assert "test top-1" in result.stderr


def test_operator_tells_its_options() -> None:
    result = run("operator", "--help")
    assert result.returncode == 0, result.stderr
    assert "--predictor-image" in result.stdout


def test_initializer_copies_a_folder(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    tmp_path.chmod(0o755)
    result = run("storage", "/mnt/pvc", "/tmp/models", options=("-v", f"{tmp_path}:/mnt/pvc:ro"))
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("folder", ["/mnt/pvc", "/mnt/pvc/missing"])
def test_initializer_fails_where_there_is_nothing(tmp_path: Path, folder: str) -> None:
    tmp_path.chmod(0o755)
    result = run("storage", folder, "/tmp/models", options=("-v", f"{tmp_path}:/mnt/pvc:ro"))
    assert result.returncode == 1
    assert f"WeightsDownloadFailed: {folder}: " in result.stderr


@pytest.mark.parametrize(
    "module", ["boto3", "google.cloud.storage", "huggingface_hub", "requests", "azure.storage.blob"]
)
def test_initializer_has_each_stores_client(module: str) -> None:
    assert python("storage", f"import {module}; print('there')") == "there"


def initialize(uri: str, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the storage initializer on the host's network."""
    options = [word for name, value in variables.items() for word in ("-e", f"{name}={value}")]
    strict = [word if word != "none" else "host" for word in RESTRICTED]
    command = ["docker", "run", "--rm", *strict, *options, reference("storage"), uri, "/tmp/models"]
    return subprocess.run(command, capture_output=True, check=False, text=True, timeout=120)


def test_initializer_downloads_by_the_proxy_and_reaches_the_cluster_directly(tmp_path: Path) -> None:
    inside = {
        "AWS_ENDPOINT_URL": "http://store.team.svc:9000",
        "AWS_ACCESS_KEY_ID": "reader",
        "AWS_SECRET_ACCESS_KEY": "hunter2",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with recording_proxy(tmp_path) as proxy:
        variables = {"HTTP_PROXY": proxy.url, "HTTPS_PROXY": proxy.url, "NO_PROXY": "localhost,.svc"}
        done = initialize("https://weights.example/model.safetensors", variables)
        assert done.returncode == 1
        assert set(proxy.requests()) == {"CONNECT weights.example:443"}
        done = initialize("s3://models/digits", variables | inside)
        assert done.returncode == 1
        assert set(proxy.requests()) == {"CONNECT weights.example:443"}
    assert "hunter2" not in done.stdout + done.stderr


@pytest.mark.parametrize(("name", "package"), [("operator", "kopf"), ("storage", "kserve-storage")])
def test_an_images_bill_of_materials_holds_both_kinds_of_packages(name: str, package: str) -> None:
    found = sbom.packages(reference(name))
    assert {"deb", "pypi"} == {entry.type for entry in found}
    assert {"libc6", package} <= {entry.name for entry in found}


def test_initializer_knows_the_s3_service() -> None:
    """Descriptions of the other AWS services are left out; S3 and signing in must work."""
    code = "import boto3; [boto3.client(s, region_name='eu-west-1') for s in ('s3', 'sts')]; print('there')"
    assert python("storage", code) == "there"
