"""Prebuilt images and programs come from a registry that answers, and are built where none does.

A real registry on 127.0.0.1 plays the public ones.
"""

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from squeeze_cluster import binaries, engine, gobuild, images, paths, shell, sources, waiting
from squeeze_cluster.images import Image
from squeeze_cluster.settings import Settings

PUBLIC = "registry.k8s.io/squeezeserve-test/pause:1"


@pytest.fixture(scope="module", autouse=True)
def container_engine() -> None:
    """Images live in a real engine."""
    engine.ensure()


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No record of an image and no program of an earlier run."""
    program = gobuild.build("pause")
    monkeypatch.setattr(paths, "CACHE", tmp_path)
    target = gobuild.target("pause")
    target.parent.mkdir(parents=True)
    target.write_bytes(program.read_bytes())


@pytest.fixture(scope="module")
def registry_program() -> Path:
    """The registry's program, from the real cache."""
    return gobuild.build("registry")


@pytest.fixture
def public_registry(registry_program: Path, tmp_path: Path) -> Iterator[str]:
    """A registry with one image in it, under the path that the public one would have."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{probe.getsockname()[1]}"
    config = tmp_path / "config.yml"
    storage = f"{{filesystem: {{rootdirectory: {tmp_path / 'data'}}}}}"
    config.write_text(f"version: 0.1\nstorage: {storage}\nhttp: {{addr: {host}}}\n")
    process = subprocess.Popen(
        [registry_program, "serve", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        waiting.until(lambda: _asked_anew(host), 20, "the registry does not answer")
        made = images.from_binary("pause", f"{host}/squeezeserve-test/pause:1", at="/")
        made.build(made.reference)
        shell.run("docker", "push", "--quiet", made.reference)
        _forget(made.reference)
        yield host
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(autouse=True)
def no_image_left() -> Iterator[None]:
    """Each test starts and ends without the image."""
    _forget(PUBLIC)
    yield
    _forget(PUBLIC)


@pytest.mark.usefixtures("empty_cache")
def test_an_answering_registry_is_used(public_registry: str) -> None:
    image = _must_not_be_built()
    assert images.ensure(image, Settings(airgap=False, registry_mirror=public_registry)) == "pulled"
    assert images.ensure(image, Settings(airgap=True)) == "kept"


@pytest.mark.usefixtures("empty_cache")
def test_airgap_builds_although_a_registry_answers(public_registry: str) -> None:
    image = images.from_binary("pause", PUBLIC, at="/")
    assert images.ensure(image, Settings(airgap=True, registry_mirror=public_registry)) == "built"


@pytest.mark.usefixtures("empty_cache")
def test_a_registry_without_the_image_means_building(public_registry: str) -> None:
    other = "registry.k8s.io/squeezeserve-test/other:1"
    image = images.from_binary("pause", other, at="/")
    assert images.ensure(image, Settings(airgap=False, registry_mirror=public_registry)) == "built"
    _forget(other)


@pytest.mark.usefixtures("empty_cache")
def test_a_dead_registry_means_building() -> None:
    image = images.from_binary("pause", PUBLIC, at="/")
    assert images.ensure(image, Settings(airgap=False, registry_mirror="127.0.0.1:9")) == "built"


@pytest.mark.usefixtures("empty_cache")
def test_changed_inputs_build_again() -> None:
    settings = Settings(airgap=True)
    assert images.ensure(images.from_binary("pause", PUBLIC, at="/"), settings) == "built"
    assert images.ensure(images.from_binary("pause", PUBLIC, at="/"), settings) == "kept"
    assert images.ensure(images.from_binary("pause", PUBLIC, at="/", user="0"), settings) == "built"


@pytest.mark.usefixtures("empty_cache")
def test_a_program_comes_out_of_a_public_image(public_registry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    built = gobuild.target("pause")
    content = built.read_bytes()
    built.unlink()
    monkeypatch.setattr(binaries, "PREBUILT", {"pause": (PUBLIC, "/pause")})
    found = binaries.ensure_binary("pause", Settings(airgap=False, registry_mirror=public_registry))
    assert found != built
    assert found.read_bytes() == content


@pytest.mark.usefixtures("empty_cache")
def test_what_an_image_stands_on_is_made_first() -> None:
    below = images.from_binary("pause", PUBLIC, at="/")
    above = Image("squeezeserve-test/above:1", lambda: "key", lambda name: _on(PUBLIC, name), False, below)
    try:
        assert images.ensure(above, Settings(airgap=True)) == "built"
    finally:
        _forget(above.reference)


def _on(base: str, name: str) -> None:
    shell.run(
        "docker", "build", "--quiet", "-t", name, "-", stdin=f"FROM {base}\n", env={"DOCKER_BUILDKIT": "0"}
    )


def _must_not_be_built() -> Image:
    def build(reference: str) -> None:
        raise AssertionError(f"{reference} was built although a registry has it")

    return Image(PUBLIC, lambda: "key", build)


def _asked_anew(host: str) -> bool:
    sources.answers.cache_clear()
    return sources.answers(host)


def _forget(reference: str) -> None:
    shell.run("docker", "rmi", "--force", reference, check=False)
