"""Renders the chart with helm for the tests, and reads the result as strictly as an API server does."""

import importlib.util
import subprocess
from collections.abc import Hashable, Iterable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
CHART = ROOT / "charts" / "squeezeserve"
CRDS = ROOT / "manifests" / "crds"
# The scenarios that every property must hold in: the chart's own, and what `make up` installs.
SCENARIOS = {path.stem.removesuffix("-values"): path for path in sorted((CHART / "ci").glob("*-values.yaml"))}
SCENARIOS["kind"] = ROOT / "cluster" / "values" / "kind.yaml"
RELEASE, NAMESPACE = "squeezeserve", "squeezeserve-system"

Object = dict[str, Any]


class StrictLoader(yaml.SafeLoader):
    """Rejects a key given twice, as server-side apply does; PyYAML would keep the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"keys given twice: {twice}", node.start_mark)
        return super().construct_mapping(node, deep)


@cache
def render_module() -> ModuleType:
    """charts/render.py, which lies outside any package."""
    spec = importlib.util.spec_from_file_location("charts_render", ROOT / "charts" / "render.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def helm_program() -> str:
    """Path of the pinned helm."""
    path: str = render_module().helm_program()
    return path


def helm(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run helm; the caller looks at the exit code. Reads no configuration of the machine's user."""
    command = [helm_program(), *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


@cache
def rendered_text(*arguments: str | Path, release: str = RELEASE, namespace: str = NAMESPACE) -> str:
    """What `helm template` prints; fails with helm's own words where it does not render."""
    done = helm("template", release, CHART, "--namespace", namespace, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def rendered(*arguments: str | Path, release: str = RELEASE, namespace: str = NAMESPACE) -> list[Object]:
    """The objects that `helm template` gives, test hooks included."""
    return parsed(rendered_text(*arguments, release=release, namespace=namespace))


def scenario(name: str) -> list[Object]:
    """The objects of one values file."""
    return rendered("-f", SCENARIOS[name])


def parsed(text: str) -> list[Object]:
    """The objects of a stream of YAML documents."""
    return [document for document in yaml.load_all(text, Loader=StrictLoader) if document]


def of_kind(objects: Iterable[Object], *kinds: str) -> list[Object]:
    """The objects of some kinds."""
    return [item for item in objects if item["kind"] in kinds]


def only(objects: Iterable[Object], kind: str) -> Object:
    """The one object of a kind; fails where there is none or more than one."""
    (found,) = of_kind(objects, kind)
    return found


def pod_specs(objects: Iterable[Object]) -> dict[str, Object]:
    """The spec of every pod that the objects make, by "Kind/name"."""
    return {
        f"{item['kind']}/{item['metadata']['name']}": item["spec"]
        if item["kind"] == "Pod"
        else item["spec"]["template"]["spec"]
        for item in of_kind(objects, "Pod", "Deployment", "StatefulSet", "DaemonSet", "Job")
    }


def operator_container(objects: Iterable[Object]) -> Object:
    """The operator's container."""
    (container,) = only(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    found: Object = container
    return found
