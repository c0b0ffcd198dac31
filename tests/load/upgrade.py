"""From the first chart to this one by Helm, with a model serving: no request is lost.

It begins with no SqueezeModel at all, because the first chart's CRD has to be the one that is installed.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

from e2e.models import Namespace, wait_for
from load import running
from load.options import Options
from load.report import Result, result
from load.rollouts import PER_SECOND, spec
from squeeze_cluster import kubectl, paths, platform, shell
from squeeze_cluster.binaries import ensure_binary
from squeeze_cluster.errors import ClusterError
from squeeze_cluster.settings import SYSTEM_NAMESPACE, Settings

NAME = "upgraded"
FIRST = "c8ef6189"
"""The first commit whose chart, images and built-in weights make a model that answers."""
INSTALL = (
    "from squeeze_cluster import platform, settings;"
    "platform.install_operator(platform.push_images(settings.Settings()))"
)
CRDS = "squeezemodels.squeezeserve.io"


async def measure(options: Options) -> AsyncIterator[Result]:
    """Installs the first chart by its own code, upgrades under load, and puts the sample back."""
    _refuse_other_models()
    first = await asyncio.to_thread(checkout, FIRST)
    pushed = await asyncio.to_thread(platform.push_images, options.settings)
    with _first_release(first, pushed, options.settings), options.namespace() as namespace:
        digest = await asyncio.to_thread(running.start, namespace, NAME, spec(2))
        async with running.watched(namespace, NAME, digest, options.display) as run:
            async with run.steadily(PER_SECOND):
                await run.until(lambda said: said.ready == 2, 120, "at two replicas")
                run.phase("the first chart")
                await asyncio.sleep(10)
                run.phase("upgrade")
                await asyncio.to_thread(platform.install_operator, pushed, options.settings)
                await asyncio.to_thread(_wait_for_image, run.namespace, pushed["predictor"])
                took = await run.ready(run.said.generation)
                await asyncio.sleep(10)
            yield result("upgrade", run, {"from": FIRST, "seconds_to_ready": round(took, 1)})


def checkout(commit: str) -> Path:
    """The files of a commit. Raises CommandError where this repository does not hold it."""
    folder = paths.cache_dir("checkouts") / commit
    if not folder.exists():
        partial = folder.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        archive = partial.with_suffix(".tar")
        shell.run("git", "-C", paths.REPO, "archive", "--output", archive, commit)
        shell.run("tar", "-xf", archive, "-C", partial)
        archive.unlink()
        partial.rename(folder)
    return folder


@contextmanager
def _first_release(first: Path, pushed: dict[str, str], settings: Settings) -> Iterator[None]:
    """The first chart on the cluster; afterwards this one and the sample, whatever happened."""
    kubectl.kubectl("delete", "squeezemodel", platform.SAMPLE, "--ignore-not-found")
    helm = (ensure_binary("helm"), "--kubeconfig", paths.KUBECONFIG)
    shell.run(*helm, "uninstall", platform.RELEASE, "--namespace", SYSTEM_NAMESPACE, "--ignore-not-found")
    kubectl.kubectl("delete", "crd", CRDS, "--ignore-not-found", "--timeout=60s")
    try:
        shell.run(sys.executable, "-c", INSTALL, env={"PYTHONPATH": str(first / "cluster")}, cwd=first)
        yield
    finally:
        platform.install_operator(pushed, settings)
        platform.apply_sample()


def _refuse_other_models() -> None:
    models = [one["metadata"]["name"] for one in kubectl.items("squeezemodels", "--all-namespaces")]
    if models not in ([], [platform.SAMPLE]):
        raise ClusterError(f"this scenario removes every SqueezeModel, and there are {', '.join(models)}")


def _wait_for_image(namespace: Namespace, image: str) -> None:
    def replaced() -> bool:
        pods = [pod for pod in namespace.pods(NAME) if "deletionTimestamp" not in pod["metadata"]]
        return bool(pods) and all(pod["spec"]["containers"][0]["image"] == image for pod in pods)

    wait_for(replaced, 240, lambda: f"not every replica runs {image}")
