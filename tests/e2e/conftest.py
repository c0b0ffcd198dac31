"""The real cluster for end-to-end tests, brought up by `make up`'s own code and left running.

Each test that makes objects gets a namespace of its own, deleted afterwards.
"""

import os
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
from e2e.models import Namespace, temporary
from squeeze_cluster import paths, training, up
from squeeze_cluster.settings import Settings
from squeeze_cluster.stages import Stages

IMAGENET_FILE = "squeezenet1_0-imagenet1k-fp16.safetensors"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what needs KEDA on a cluster without it: left out is not passed, and not skipped either."""
    if Settings().keda:
        return
    left_out = [item for item in items if item.get_closest_marker("keda")]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


@pytest.fixture(scope="session")
def settings() -> Settings:
    """What `make up` was asked for, from the environment."""
    return Settings()


@pytest.fixture(scope="session", autouse=True)
def cluster(settings: Settings) -> None:
    """The cluster with the platform on it."""
    up.up(settings, Stages("e2e"))
    os.environ["KUBECONFIG"] = str(paths.KUBECONFIG)


@pytest.fixture
def namespace(settings: Settings) -> Iterator[Namespace]:
    """A new namespace under the restricted Pod Security profile."""
    with temporary(settings, "e2e") as made:
        yield made


@pytest.fixture(scope="session")
def trainer_image(settings: Settings) -> str:
    """The trainer's image on the registry."""
    return training.push_image(settings)


@pytest.fixture(scope="session")
def imagenet_weights() -> Path:
    """Real ImageNet weights, which lie beside the project and not in it."""
    folder = Path(os.environ.get("SQUEEZESERVE_WEIGHTS_DIR", paths.REPO.parent / "shared" / "weights"))
    file = folder / IMAGENET_FILE
    if not file.exists():
        pytest.skip(f"no {IMAGENET_FILE} in {folder}: set SQUEEZESERVE_WEIGHTS_DIR")
    return file


@pytest.fixture(scope="session")
def pictures() -> dict[str, tuple[bytes, int]]:
    """Five real pictures that scikit-image ships, with their ImageNet classes."""
    folder = Path(str(files("skimage"))) / "data"
    classes = {
        "chelsea.png": 285,
        "coffee.png": 967,
        "camera.png": 872,
        "hubble_deep_field.jpg": 971,
        "rocket.jpg": 733,
    }
    return {name: ((folder / name).read_bytes(), number) for name, number in classes.items()}
