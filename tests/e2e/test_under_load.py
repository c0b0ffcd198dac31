"""Updates while requests come: good ones lose none, bad ones leave the old replicas serving and say why."""

import asyncio

from e2e.models import Namespace
from load import rollouts, running
from load.display import Display
from squeeze_operator.reasons import Reason


async def test_updates_lose_no_request_and_the_status_is_true_all_the_while(namespace: Namespace) -> None:
    now = rollouts.spec(2)
    digest = await asyncio.to_thread(running.start, namespace, rollouts.NAME, now)
    weights, _, _, image, resources, *_ = await asyncio.to_thread(rollouts.good, namespace, digest)
    bad = {Reason.WEIGHTS_INVALID: (await asyncio.to_thread(rollouts.bad, namespace))[Reason.WEIGHTS_INVALID]}
    async with running.watched(namespace, rollouts.NAME, digest, Display()) as run:
        rolled = await rollouts.roll(run, now, [weights, image, resources])
        failed = await rollouts.fail(run, now, bad, digest)
    assert rolled.broken + failed.broken == []
    assert rolled.figures["requests"] > 3 * rollouts.PER_SECOND
    assert rolled.figures["shed"] == failed.figures["shed"] == 0
