"""The local registry that every node pulls from, and what has been pushed to it.

It is a container of ours on kind's network, published on 127.0.0.1 only; its data lies in the cache, so
that a new cluster finds the images of the last one.
"""

import json
from pathlib import Path

import httpx

from squeeze_cluster import catalogue, images, paths, shell, waiting
from squeeze_cluster.settings import KIND_NETWORK, REGISTRY_NAME, Settings
from squeeze_cluster.sources import split_reference

_CONFIG = """\
version: 0.1
storage:
  filesystem: {rootdirectory: /var/lib/registry}
  delete: {enabled: true}
http:
  addr: :5000
log: {accesslog: {disabled: true}, level: warn}
"""


def ensure(settings: Settings) -> None:
    """Have the registry run and answer; needs kind's network."""
    if not _answers(settings):
        images.ensure(catalogue.registry(), settings)
        shell.run("docker", "rm", "--force", REGISTRY_NAME, check=False)
        config = paths.cache_dir("registry") / "config.yml"
        config.write_text(_CONFIG)
        shell.run(
            *("docker", "run", "--detach", "--restart", "always", "--name", REGISTRY_NAME),
            *("--network", KIND_NETWORK, "--publish", f"127.0.0.1:{settings.registry_port}:5000"),
            *("--volume", f"{paths.cache_dir('registry', 'data')}:/var/lib/registry"),
            *("--volume", f"{config}:/etc/distribution/config.yml:ro"),
            *(catalogue.registry().reference, "serve", "/etc/distribution/config.yml"),
        )
        waiting.until(
            lambda: _answers(settings), 30, "the local registry did not answer: docker logs " + REGISTRY_NAME
        )


def name(reference: str, settings: Settings) -> str:
    """What an image is called on the registry, whether or not it is there."""
    return f"{settings.registry}/{split_reference(reference)[1]}"


def push(reference: str, settings: Settings) -> str:
    """Push an image of the engine, unless it is there already; returns its name on the registry."""
    path, target = split_reference(reference)[1], name(reference, settings)
    identity = images.image_id(reference)
    pushed = _pushed()
    if pushed.get(path) != identity or not _holds(path, settings):
        shell.run("docker", "tag", reference, target)
        shell.run("docker", "push", "--quiet", target)
        _pushed_file().write_text(json.dumps({**pushed, path: identity}, indent=1, sort_keys=True))
    return target


def remove() -> None:
    """Remove the registry's container; its data stays in the cache."""
    shell.run("docker", "rm", "--force", REGISTRY_NAME, check=False)


def _holds(path: str, settings: Settings) -> bool:
    name, _, tag = path.rpartition(":")
    types = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"
    url = f"http://{settings.registry}/v2/{name}/manifests/{tag}"
    return httpx.head(url, headers={"Accept": types}, timeout=10).status_code == 200


def _answers(settings: Settings) -> bool:
    try:
        return httpx.get(f"http://{settings.registry}/v2/", timeout=3).status_code == 200
    except httpx.HTTPError:
        return False


def _pushed() -> dict[str, str]:
    file = _pushed_file()
    return dict(json.loads(file.read_text())) if file.exists() else {}


def _pushed_file() -> Path:
    return paths.cache_dir("registry") / "pushed.json"
