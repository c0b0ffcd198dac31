"""Finds the programs of the cluster: already here, out of a public image, or built from source."""

from collections.abc import Mapping
from pathlib import Path

from squeeze_cluster import engine, gobuild, paths, sources
from squeeze_cluster.hashing import key_of
from squeeze_cluster.settings import Settings

_KUBERNETES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
PREBUILT: Mapping[str, tuple[str, str]] = {
    **{name: (f"registry.k8s.io/{name}:v1.34.4", f"/usr/local/bin/{name}") for name in _KUBERNETES},
    "kubectl": ("registry.k8s.io/kubectl:v1.34.4", "/bin/kubectl"),
    "etcd": ("registry.k8s.io/etcd:3.6.5-0", "/usr/local/bin/etcd"),
    "helm": ("alpine/helm:4.2.4", "/usr/bin/helm"),
    "versitygw": ("versity/versitygw:v1.8.0", "/usr/local/bin/versitygw"),
}


def ensure_binary(name: str, settings: Settings | None = None) -> Path:
    """The path of a program of gobuild.BINARIES, fetched or built if it is not here yet."""
    built = gobuild.target(name)
    if not built.exists() and name in PREBUILT:
        fetched = _fetch(*PREBUILT[name], settings or Settings())
        if fetched:
            return fetched
    return gobuild.build(name)


def _fetch(image: str, path: str, settings: Settings) -> Path | None:
    target = paths.CACHE / "bin" / key_of("prebuilt", image, path) / Path(path).name
    if target.exists():
        return target
    if settings.airgap or not engine.running() or not sources.pull(image, settings):
        return None
    target.parent.mkdir(parents=True, exist_ok=True)
    sources.copy_file(image, path, target)
    return target
