"""The open loop hides no stall, and no failure passes for shedding."""

import asyncio
import time

import orjson
import pytest
from load.sending import OpenLoop, Outcome, Verdict, classify, judge

from bench.client import Answer, Client
from bench.pictures import Picture

RIGHT = b'{"predictions": [{"class_id": 7}]}'


def refusal(reason: str) -> bytes:
    return orjson.dumps({"error": {"code": 503, "reason": reason, "message": "later"}})


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (Answer(200, RIGHT), Outcome.RIGHT),
        (Answer(200, b'{"predictions": [{"class_id": 1}]}'), Outcome.FAILED),
        (Answer(200, b'{"predictions": []}'), Outcome.FAILED),
        (Answer(200, b"<html>"), Outcome.FAILED),
        (Answer(503, refusal("QueueFull")), Outcome.SHED),
        (Answer(503, refusal("BodiesFull")), Outcome.SHED),
        (Answer(503, refusal("NotReady")), Outcome.FAILED),
        (Answer(503, b"no healthy upstream"), Outcome.FAILED),
        (Answer(503, b"[]"), Outcome.FAILED),
        (Answer(504, refusal("QueueFull")), Outcome.FAILED),
        (Answer(404, b""), Outcome.FAILED),
    ],
)
def test_only_a_replica_sheds(answer: Answer, outcome: Outcome) -> None:
    assert judge(answer, 7)[0] is outcome


async def test_a_stall_counts_for_all_that_was_due_meanwhile() -> None:
    free = asyncio.Event()

    async def ask() -> Verdict:
        await free.wait()
        return Outcome.RIGHT, ""

    loop = OpenLoop(ask)
    asyncio.get_running_loop().call_later(0.5, free.set)
    await loop.run([0.01 * number for number in range(40)])
    assert len(loop.requests) == 40
    by_due = sorted(loop.requests, key=lambda request: request.due)
    assert by_due[0].seconds > 0.45
    assert by_due[0].seconds - by_due[-1].seconds == pytest.approx(0.39, abs=0.05)


async def test_it_stops_sending_and_waits_for_what_is_on_its_way() -> None:
    stop = asyncio.Event()

    async def ask() -> Verdict:
        stop.set()
        await asyncio.sleep(0.05)
        return Outcome.FAILED, "why"

    loop = OpenLoop(ask)
    began = time.monotonic()
    await asyncio.wait_for(loop.run([0.0, 60.0], stop), 10)
    (request,) = loop.requests
    assert (request.outcome, request.why) == (Outcome.FAILED, "why")
    assert request.due == pytest.approx(began, abs=0.5)


async def test_a_refused_connection_is_a_failure() -> None:
    ask = classify(Client("127.0.0.1", 1), Picture("x", b"png", 7, "image/png"), "m", "host")
    outcome, why = await ask()
    assert outcome is Outcome.FAILED
    assert "Connect" in why
