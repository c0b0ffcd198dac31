"""From the first chart to this one by Helm, with a model serving: no request is lost.

It begins with no SqueezeModel at all, because the first chart's CRD has to be the one that is installed.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

from e2e.models import Namespace, wait_for
from load import running
from load.options import Options
from load.report import Result, result
from load.rollouts import PER_SECOND, spec
from load.running import Run
from load.weights import BUILTIN
from squeeze_cluster import kubectl, paths, platform, shell
from squeeze_cluster.binaries import ensure_binary
from squeeze_cluster.errors import ClusterError
from squeeze_cluster.settings import SYSTEM_NAMESPACE, Settings
from squeezenet import artifact

NAME = "upgraded"
FIRST = "c8ef6189"
"""The first commit whose chart, images and built-in weights make a model that answers."""
BUILD = (
    "from squeeze_cluster import binaries, platform, settings;"
    "binaries.ensure_binary('helm'); pushed = platform.push_images(settings.Settings())"
)
INSTALL = f"{BUILD}; platform.install_operator(pushed)"
KINDS = ("squeezemodels", "squeezetrainings")


async def measure(options: Options) -> AsyncIterator[Result]:
    """Installs the first chart by its own code, upgrades under load, and puts the sample back."""
    _refuse_others()
    first = await asyncio.to_thread(checkout, FIRST)
    # The build may take minutes, in which the cluster serves as it did.
    await asyncio.to_thread(_by_its_own_code, first, BUILD)
    pushed = await asyncio.to_thread(platform.push_images, options.settings)
    with _first_release(first, pushed, options.settings), options.namespace() as namespace:
        digest = await asyncio.to_thread(running.start, namespace, NAME, spec(2))
        async with running.watched(namespace, NAME, digest, options.display) as run:
            async with run.steadily(PER_SECOND):
                await run.until(lambda said: said.ready == 2, 120, "at two replicas")
                run.phase("the first chart")
                await asyncio.sleep(10)
                took = await _upgrade(run, pushed, options.settings)
                await asyncio.sleep(10)
            yield result("upgrade", run, {"from": FIRST, "seconds_to_ready": round(took, 1)})


async def _upgrade(run: Run, pushed: dict[str, str], settings: Settings) -> float:
    """Returns once every replica runs this checkout's image; the seconds since Helm began."""
    began = run.phase("upgrade")
    # The same spec means other weights from here on: each image has its own built-in ones.
    run.sampler.expected = ""
    await asyncio.to_thread(platform.install_operator, pushed, settings)
    await asyncio.to_thread(_wait_for_image, run.namespace, pushed["predictor"])
    await run.ready(run.said.generation)
    run.sampler.expected = artifact.load(BUILTIN).digest
    return time.monotonic() - began


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
    crds = [f"{kind}.squeezeserve.io" for kind in KINDS]
    kubectl.kubectl("delete", "crd", *crds, "--ignore-not-found", "--timeout=60s")
    try:
        _by_its_own_code(first, INSTALL)
        yield
    finally:
        platform.install_operator(pushed, settings)
        platform.apply_sample()


def _by_its_own_code(first: Path, program: str) -> None:
    shell.run(sys.executable, "-c", program, env={"PYTHONPATH": str(first / "cluster")}, cwd=first)


def _refuse_others() -> None:
    found = [
        one["metadata"]["name"]
        for kind in KINDS
        if kubectl.exists("crd", f"{kind}.squeezeserve.io")
        for one in kubectl.items(kind, "--all-namespaces")
    ]
    if found not in ([], [platform.SAMPLE]):
        raise ClusterError(
            f"this scenario removes all models and trainings, and there are {', '.join(found)}"
        )


def _wait_for_image(namespace: Namespace, image: str) -> None:
    def replaced() -> bool:
        pods = [pod for pod in namespace.pods(NAME) if "deletionTimestamp" not in pod["metadata"]]
        return bool(pods) and all(pod["spec"]["containers"][0]["image"] == image for pod in pods)

    wait_for(replaced, 240, lambda: f"not every replica runs {image}")
