"""Asks public image registries for what they hold; says quickly when they do not answer.

`REGISTRY_MIRROR=host:port` names a registry that holds all the images under their usual paths, and is
asked instead of the public ones; `AIRGAP=1` asks none.
"""

import shutil
import tempfile
from functools import cache
from pathlib import Path

import httpx

from squeeze_cluster import shell
from squeeze_cluster.errors import CommandError
from squeeze_cluster.settings import Settings

PROBE_SECONDS = 3.0
DOCKER_HUB = "docker.io"
_HUB_API = "registry-1.docker.io"


def split_reference(reference: str) -> tuple[str, str]:
    """Split an image reference into its registry and the rest: `a/b:1` is `docker.io`, `a/b:1`."""
    first, _, rest = reference.partition("/")
    if rest and ("." in first or ":" in first or first == "localhost"):
        return first, rest
    return DOCKER_HUB, reference if rest else f"library/{reference}"


def pull(reference: str, settings: Settings) -> bool:
    """Bring a public image to the engine under its own name; false when its registry does not have it."""
    registry, path = split_reference(reference)
    source = settings.registry_mirror or registry
    if settings.airgap or not answers(source):
        return False
    fetched = f"{source}/{path}"
    try:
        shell.run("docker", "pull", "--quiet", fetched, timeout=600)
    except CommandError:
        return False
    if fetched != reference:
        shell.run("docker", "tag", fetched, reference)
    return True


@cache
def answers(registry: str) -> bool:
    """Whether a registry speaks the distribution API within PROBE_SECONDS (OCI distribution spec, end-1)."""
    host = _HUB_API if registry == DOCKER_HUB else registry
    scheme = "http" if host.partition(":")[0] in {"localhost", "127.0.0.1"} else "https"
    try:
        status = httpx.get(f"{scheme}://{host}/v2/", timeout=PROBE_SECONDS).status_code
    except httpx.HTTPError as error:
        shell.log(f"{registry} does not answer: {error}")
        return False
    return status in {200, 401}


def copy_file(image: str, path: str, target: Path) -> None:
    """Copy one file out of an image that the engine holds."""
    container = shell.run("docker", "create", image, "none").strip()
    try:
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            shell.run("docker", "cp", "--follow-link", f"{container}:{path}", folder)
            shutil.move(Path(folder) / Path(path).name, target)
    finally:
        shell.run("docker", "rm", container)
