"""The product's Dockerfiles: users, signals, versions, and what the build's own trust list may reach."""

import re
import tomllib
from pathlib import Path

import pytest

REPO = Path(__file__).parents[3]
IMAGES = REPO / "images"
NAMES = ("predictor", "operator", "trainer", "storage-initializer")
PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]


def instructions(name: str) -> list[str]:
    """The Dockerfile's instructions, each on one line."""
    text = (IMAGES / name / "Dockerfile").read_text()
    text = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    return [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def final_stages(name: str) -> list[str]:
    """The instructions that make layers of the image: its last stage and the stage below it."""
    stages: dict[str, tuple[str, list[str]]] = {}
    last = ""
    for line in instructions(name):
        if line.startswith("FROM "):
            words = line.split()
            last = words[3] if "AS" in words else "final"
            stages[last] = (words[1], [])
        else:
            stages[last][1].append(line)
    base, lines = stages["final"]
    while base in stages:
        base, below = stages[base]
        lines = below + lines
    assert base == "debian:trixie-slim"
    return lines


@pytest.mark.parametrize("name", NAMES)
def test_runs_as_a_numbered_user_that_is_not_root(name: str) -> None:
    (user,) = [line.split()[1] for line in final_stages(name) if line.startswith("USER ")]
    assert int(user.split(":")[0]) > 0


@pytest.mark.parametrize("name", NAMES)
def test_signals_reach_the_process(name: str) -> None:
    lines = final_stages(name)
    (entry,) = [line for line in lines if line.startswith("ENTRYPOINT ")]
    assert entry.startswith('ENTRYPOINT ["'), "a shell would be PID 1 and swallow SIGTERM"
    assert "STOPSIGNAL SIGTERM" in lines


@pytest.mark.parametrize("name", NAMES)
def test_the_builders_trust_list_stays_in_the_build(name: str) -> None:
    lines = final_stages(name)
    assert not [line for line in lines if "ca-certificates.crt" in line or "PIP_CERT" in line]
    assert not [line for line in lines if line.startswith("COPY --from=builder")]


@pytest.mark.parametrize("name", NAMES)
def test_the_version_is_the_projects(name: str) -> None:
    versions = [line.removeprefix("ARG VERSION=") for line in instructions(name) if "ARG VERSION" in line]
    assert set(versions) == {PROJECT["version"]}


@pytest.mark.parametrize("name", NAMES)
def test_dependencies_are_pinned_by_hash(name: str) -> None:
    installs = [line for line in instructions(name) if "pip install" in line]
    assert installs
    assert all("--require-hashes" in line for line in installs)


@pytest.mark.parametrize("name", NAMES)
def test_no_machine_architecture_is_written_down(name: str) -> None:
    assert not re.search(r"x86_64|amd64|aarch64", "\n".join(instructions(name)))


@pytest.mark.parametrize(
    ("file", "script"),
    [
        ("predictor/squeeze-predictor", "squeeze-predictor"),
        ("predictor/squeezenet-command", "squeezenet"),
        ("trainer/squeeze-training-worker", "squeeze-training-worker"),
        ("operator/squeeze-operator", "squeeze-operator"),
    ],
)
def test_a_command_starts_what_pip_would(file: str, script: str) -> None:
    module, function = PROJECT["scripts"][script].split(":")
    path = IMAGES / file
    assert f"from {module} import {function}\n" in path.read_text()
    assert path.stat().st_mode & 0o111


@pytest.mark.parametrize("tree", ["operator", "predictor"])
def test_nothing_imports_what_the_images_leave_out(tree: str) -> None:
    left_out = re.compile(r"^\s*(from|import) (kubernetes\.aio|grpc_tools|setuptools|pkg_resources)\b", re.M)
    users = [path for path in (REPO / tree).rglob("*.py") if left_out.search(path.read_text())]
    assert users == []


def test_the_operator_imports_nothing_of_the_network_library() -> None:
    heavy = re.compile(r"^\s*(from|import) (numpy|PIL|safetensors|torch|squeezenet)\b", re.M)
    users = [path for path in (REPO / "operator").rglob("*.py") if heavy.search(path.read_text())]
    assert users == []
