"""Installs Helm charts, and leaves a release alone that was made from the same inputs."""

import json
from itertools import pairwise
from pathlib import Path

from squeeze_cluster import paths, shell
from squeeze_cluster.binaries import ensure_binary
from squeeze_cluster.hashing import key_of, key_of_files, source_files


def install(release: str, chart: Path, namespace: str, *arguments: str) -> str:
    """Install or upgrade a release and wait for its hooks; returns "kept" or "installed".

    The key of the chart and the arguments stands in the release's description.
    """
    values = [Path(value) for option, value in pairwise(arguments) if option == "--values"]
    plain = [word for word in arguments if Path(word) not in values]
    contents = [file.read_bytes() for file in values]
    key = key_of(key_of_files(chart, source_files(chart)), namespace, *plain, *contents)
    if _installed_key(release, namespace) == key:
        return "kept"
    _helm(
        *("upgrade", "--install", release, str(chart), "--namespace", namespace, "--create-namespace"),
        *("--description", key, "--force-conflicts", "--timeout", "5m", *arguments),
    )
    return "installed"


def template(release: str, chart: Path, namespace: str, *arguments: str) -> str:
    """The YAML that a chart renders to."""
    return _helm("template", release, str(chart), "--namespace", namespace, *arguments)


def _installed_key(release: str, namespace: str) -> str:
    status = ("status", release, "--namespace", namespace, "--output", "json")
    text = shell.run(ensure_binary("helm"), "--kubeconfig", paths.KUBECONFIG, *status, check=False)
    if not text.startswith("{"):
        return ""
    info = json.loads(text)["info"]
    return str(info["description"]) if info["status"] == "deployed" else ""


def _helm(*arguments: str) -> str:
    return shell.run(ensure_binary("helm"), "--kubeconfig", str(paths.KUBECONFIG), *arguments, timeout=600)
