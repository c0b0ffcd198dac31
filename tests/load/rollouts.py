"""Rollouts under steady load: good ones lose no request, bad ones leave the old replicas serving."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import cycle, islice

from e2e.models import Namespace
from load import running, weights
from load.options import Options
from load.report import Result, result
from load.running import Json, Reached, Run
from load.sampling import Said
from squeeze_cluster import kubectl
from squeeze_operator.reasons import Reason

NAME = "rolling"
PER_SECOND = 20.0
# Limits that make a start short, so that many rollouts fit into a run.
RESOURCES: Json = {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}}
STALL_SECONDS = 150.0


@dataclass(frozen=True)
class Update:
    """A change of a spec: the fields to replace; with `digest` it changes what the replicas answer with."""

    what: str
    fields: Json
    digest: str = ""


def spec(replicas: int) -> Json:
    """The spec that every run begins with."""
    return {
        "weights": {"uri": weights.BUILTIN},
        "resources": RESOURCES,
        "scaling": {"minReplicas": replicas, "maxReplicas": replicas},
    }


def good(namespace: Namespace, builtin: str) -> list[Update]:
    """Updates of every kind; taken in turns, each differs from what it follows. Makes the volume."""
    moved = weights.place(namespace)
    more = {"requests": {"cpu": "110m", "memory": "260Mi"}, "limits": {"cpu": "1", "memory": "1100Mi"}}
    (image, by_digest) = _images(namespace)
    return [
        Update("weights from a volume", {"weights": {"uri": weights.uri("moved")}}, moved),
        Update("profile throughput", {"profile": "throughput"}),
        Update("weights of the image", {"weights": {"uri": weights.BUILTIN}}, builtin),
        Update("image by digest", {"image": by_digest}),
        Update("more resources", {"resources": more}),
        Update("profile latency", {"profile": "latency"}),
        Update("image by tag", {"image": image}),
        Update("fewer resources, longer queue", {"resources": RESOURCES, "batching": {"queueSize": 99}}),
        Update("shorter queue", {"batching": {"queueSize": 64}}),
    ]


def bad(namespace: Namespace) -> dict[Reason, Json]:
    """Updates that cannot work, by the reason that the model has to give."""
    repository, _, _ = _images(namespace)[0].rpartition(":")
    return {
        Reason.DIGEST_MISMATCH: {"weights": {"uri": weights.BUILTIN, "sha256": "0" * 64}},
        Reason.WEIGHTS_INVALID: {"weights": {"uri": weights.uri("broken")}},
        Reason.IMAGE_UNAVAILABLE: {"image": f"{repository}:no-such-tag"},
        Reason.CRASH_LOOP: {"image": _operator_image()},
        Reason.OUT_OF_MEMORY: {
            "resources": {kind: {**amounts, "memory": "64Mi"} for kind, amounts in RESOURCES.items()}
        },
    }


async def measure(options: Options) -> AsyncIterator[Result]:
    """Good rollouts of two replicas, every bad one, and one rollout of four replicas."""
    with options.namespace() as namespace:
        digest = await asyncio.to_thread(running.start, namespace, NAME, spec(2))
        updates = await asyncio.to_thread(good, namespace, digest)
        async with running.watched(namespace, NAME, digest, options.display) as run:
            yield await roll(run, spec(2), list(islice(cycle(updates), options.rollouts)))
        async with running.watched(namespace, NAME, run.sampler.expected, options.display) as run:
            yield await fail(run, spec(2), await asyncio.to_thread(bad, namespace), digest)
        four = await asyncio.to_thread(running.start, namespace, NAME, spec(4))
        async with running.watched(namespace, NAME, four, options.display) as run:
            await run.until(lambda said: said.ready == 4, 120, "at four replicas")
            yield await roll(run, spec(4), updates[:1], "rollout-of-four")


async def roll(run: Run, now: Json, updates: list[Update], name: str = "rollouts") -> Result:
    """One good update after another; the replicas that `now` has must never be fewer."""
    took = []
    at_least = now["scaling"]["minReplicas"]
    await run.until(lambda said: said.ready >= at_least, 120, f"at {at_least} replicas")
    begun = len(run.samples)
    async with run.steadily(PER_SECOND):
        for number, update in enumerate(updates, 1):
            run.phase(f"{number} {update.what}")
            now = now | update.fields
            before = run.said.generation
            await run.apply(now, update.digest)
            took.append(round(await run.ready(before + 1), 1))
        await asyncio.sleep(6)
    found = result(name, run, {"rollouts": len(updates), "rollout_seconds": took})
    fewest = min(sample.said.ready for sample in run.samples[begun:] if sample.said)
    found.figures["fewest_ready"] = fewest
    if fewest < at_least:
        found.broken.append(f"{name}: {fewest} replicas were ready where {at_least} have to be")
    return found


async def fail(run: Run, now: Json, updates: dict[Reason, Json], digest: str) -> Result:
    """One bad update after another, each followed by a good one, while the old replicas serve."""
    stalled: Json = {}
    messages: Json = {}
    async with run.steadily(PER_SECOND):
        for number, (reason, fields) in enumerate(updates.items(), 1):
            run.phase(f"bad: {reason}")
            before = run.said.generation
            await run.apply(now | fields)
            stalled[reason] = round(await run.until(_stalled(reason, before + 1), STALL_SECONDS, reason), 1)
            messages[reason] = run.said.messages["Stalled"]
            await asyncio.sleep(6)
            run.phase(f"good again {number}")
            now = now | {"batching": {"queueSize": 64 + number}}
            before = run.said.generation
            await run.apply(now, digest)
            await run.ready(before + 1)
        await asyncio.sleep(6)
    return result("bad-updates", run, {"seconds_to_stalled": stalled, "messages": messages})


def _stalled(reason: Reason, generation: int) -> Reached:
    def reached(said: Said) -> bool:
        speaks = said.observed == said.generation >= generation
        old_serve = said.says("Serving") and not said.says("UpToDate")
        return speaks and old_serve and said.conditions.get("Stalled") == ("True", str(reason))

    return reached


def _images(namespace: Namespace) -> tuple[str, str]:
    """The image that the model's pods run, by tag and by digest: for Kubernetes two different ones."""
    (pod, *_) = namespace.pods(NAME)
    return pod["spec"]["containers"][0]["image"], pod["status"]["containerStatuses"][0]["imageID"]


def _operator_image() -> str:
    """An image whose program ends at once where it gets a predictor's arguments."""
    deployment = kubectl.get("deployment", "squeezeserve-operator", "squeezeserve-system")
    return str(deployment["spec"]["template"]["spec"]["containers"][0]["image"])
