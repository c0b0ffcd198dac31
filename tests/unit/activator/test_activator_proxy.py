"""The activator's answers: to requests that it holds, hands on, or has no room for."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import ClientError, ClientTimeout, web
from squeeze_operator.activator.metrics import REGISTRY
from squeeze_operator.activator.proxy import model_of, passed_on
from squeeze_operator.names import Key
from unit.activator.served import DIGITS, HEADERS, Running, activator, replica, slice_of
from yarl import URL

PATH = "/v1/models/digits:predict?top_k=3"
BODY = bytes(range(256)) * 1000


async def until(true: Callable[[], bool]) -> None:
    """Waits until something is so."""
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.01)


async def echo(request: web.Request) -> web.Response:
    """What was asked, as the replica saw it."""
    body = await request.read()
    headers = {"X-Path": request.raw_path, "X-Host": request.host, "X-Method": request.method}
    return web.Response(body=body, headers=headers)


def ask(running: Running, body: bytes = BODY) -> "asyncio.Task[tuple[int, bytes, dict[str, str]]]":
    """A request in flight."""

    async def answered() -> tuple[int, bytes, dict[str, str]]:
        async with running.client.post(running.url + PATH, data=body, headers=HEADERS) as answer:
            return answer.status, await answer.read(), dict(answer.headers)

    return asyncio.create_task(answered())


async def test_a_request_waits_for_a_replica_and_is_handed_on_unchanged() -> None:
    async with replica(echo) as port, activator(replica_port=port) as running:
        asked = ask(running)
        await until(lambda: running.backends.held(DIGITS) == 1)
        assert await running.held() == 1
        assert not asked.done()
        running.backends.deliver(slice_of("127.0.0.1"))
        status, body, headers = await asked
    assert (status, body) == (200, BODY)
    assert (headers["X-Method"], headers["X-Path"]) == ("POST", PATH)
    assert headers["X-Host"] == running.url.removeprefix("http://")


async def test_a_client_that_does_not_send_its_body_keeps_no_place() -> None:
    head = f"POST {PATH} HTTP/1.1\r\nHost: digits-predictor.team\r\nContent-Length: 9\r\n\r\nhalf"

    async with (
        replica(echo) as port,
        activator(replica_port=port, most_requests=1, hold_seconds=0.5) as running,
    ):
        running.backends.deliver(slice_of("127.0.0.1"))
        reader, writer = await asyncio.open_connection("127.0.0.1", URL(running.url).port)
        writer.write(head.encode())
        await until(lambda: REGISTRY.get_sample_value("squeeze_activator_held_bytes") == 9)
        assert (await ask(running, b""))[0] == 503, "there is one place alone"
        told = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        assert told.startswith(b"HTTP/1.1 408 ")
        assert b"Connection: close" in told
        assert (await ask(running))[0] == 200
        writer.close()


async def test_an_answer_arrives_as_it_is_made() -> None:
    goes_on = asyncio.Event()

    async def slowly(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"first")
        await goes_on.wait()
        await response.write(b"second")
        return response

    async with replica(slowly) as port, activator(replica_port=port) as running:
        running.backends.deliver(slice_of("127.0.0.1"))
        async with running.client.post(running.url + PATH, headers=HEADERS) as answer:
            assert await answer.content.readany() == b"first"
            goes_on.set()
            assert await answer.content.read() == b"second"


@pytest.mark.parametrize(("code", "cause"), [(404, "no model"), (503, "overloaded")])
async def test_what_a_replica_refuses_is_told_as_it_said_it(code: int, cause: str) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=code, text=cause, headers={"Retry-After": "1"})

    async with replica(refuse) as port, activator(replica_port=port) as running:
        running.backends.deliver(slice_of("127.0.0.1"))
        status, body, headers = await ask(running)
    assert (status, body.decode(), headers["Retry-After"]) == (code, cause, "1")


async def test_a_wait_that_is_too_long_ends_with_a_word_of_when_to_come_again() -> None:
    async with activator(hold_seconds=0.2) as running:
        status, body, headers = await ask(running)
        assert await running.held() == 1, "somebody still wants it"
    assert (status, headers["Retry-After"]) == (503, "5")
    assert b"no replica was ready in time" in body


async def test_no_more_requests_are_held_than_allowed() -> None:
    async with replica(echo) as port, activator(replica_port=port, most_requests=2) as running:
        held = [ask(running), ask(running)]
        await until(lambda: running.backends.held(DIGITS) == 2)
        status, _, headers = await ask(running)
        assert (status, headers["Retry-After"]) == (503, "5")
        running.backends.deliver(slice_of("127.0.0.1"))
        assert [(await one)[0] for one in held] == [200, 200]
        assert (await ask(running))[0] == 200, "the places are free again"


async def test_no_more_bytes_are_held_than_allowed() -> None:
    size = len(BODY)
    async with replica(echo) as port, activator(replica_port=port, most_bytes=size) as running:
        held = ask(running)
        await until(lambda: running.backends.held(DIGITS) == 1)
        assert (await ask(running, b"x"))[0] == 503
        running.backends.deliver(slice_of("127.0.0.1"))
        assert (await held)[0] == 200
        assert (await ask(running))[0] == 200, "the room is free again"
        assert (await ask(running, BODY + b"x"))[0] == 413, "it would never fit"


async def test_a_body_of_unknown_length_is_bounded_too() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield BODY

    async with (
        activator(most_bytes=2 * len(BODY)) as running,
        running.client.post(running.url + PATH, data=chunks(), headers=HEADERS) as answer,
    ):
        assert answer.status == 413


async def test_a_client_that_leaves_is_held_no_longer_and_has_still_woken_the_model() -> None:
    async with activator() as running:
        with pytest.raises(TimeoutError):
            async with running.client.post(
                running.url + PATH, data=BODY, headers=HEADERS, timeout=ClientTimeout(total=0.2)
            ):
                pass
        await until(lambda: DIGITS not in running.backends._waiting)
        assert await running.held() == 1


async def test_a_replica_that_dies_before_it_answers_costs_no_answer() -> None:
    died = asyncio.Event()

    async def die(request: web.Request) -> web.Response:
        await request.read()
        died.set()
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with replica(die) as port, activator(replica_port=port) as running:
        running.backends.deliver(slice_of("127.0.0.1"))
        asked = ask(running)
        await died.wait()
        async with replica(echo, "127.0.0.2", port):
            running.backends.deliver(slice_of("127.0.0.2"))
            assert (await asked)[:2] == (200, BODY)


async def test_a_replica_that_cannot_be_reached_is_tried_until_another_is_there() -> None:
    async with replica(echo) as port, activator(replica_port=port) as running:
        running.backends.deliver(slice_of("127.0.0.3"))
        asked = ask(running)
        await asyncio.sleep(0.5)
        assert not asked.done()
        running.backends.deliver(slice_of("127.0.0.3", "127.0.0.1"))
        assert (await asked)[0] == 200


async def test_an_answer_that_breaks_off_is_not_taken_for_a_whole_one() -> None:
    async def break_off(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.close()
        return response

    async with replica(break_off) as port, activator(replica_port=port) as running:
        running.backends.deliver(slice_of("127.0.0.1"))
        with pytest.raises(ClientError):
            await ask(running)


async def test_a_replica_that_is_silent_is_given_up() -> None:
    async def silent(_: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    async with replica(silent) as port, activator(replica_port=port, answer_seconds=0.2) as running:
        running.backends.deliver(slice_of("127.0.0.1"))
        assert (await ask(running))[0] == 504


async def test_replicas_take_turns() -> None:
    def named(name: str) -> Callable[[web.Request], object]:
        async def answer(_: web.Request) -> web.Response:
            return web.Response(text=name)

        return answer

    async with (
        replica(named("one")) as port,  # type: ignore[arg-type]
        replica(named("two"), "127.0.0.2", port),  # type: ignore[arg-type]
        activator(replica_port=port) as running,
    ):
        running.backends.deliver(slice_of("127.0.0.1", "127.0.0.2"))
        answers = [(await ask(running))[1] for _ in range(4)]
    assert sorted(answers) == [b"one", b"one", b"two", b"two"]


async def test_what_is_behind_no_model_is_not_held() -> None:
    async with activator() as running:
        headers = HEADERS | {"KServe-Isvc-Name": "other"}
        for given in (headers, {"Host": "gateway.example"}, {}):
            async with running.client.post(running.url + PATH, headers=given) as answer:
                assert answer.status == 404


async def test_what_is_held_at_the_end_is_still_answered() -> None:
    async with replica(echo) as port:
        async with activator(replica_port=port) as running:
            asked = ask(running)
            await until(lambda: running.backends.held(DIGITS) == 1)
            asyncio.get_running_loop().call_later(0.3, running.backends.deliver, slice_of("127.0.0.1"))
        assert asked.done()
        assert (await asked)[0] == 200


@pytest.mark.parametrize(
    ("headers", "model"),
    [
        (HEADERS | {"Host": "other-predictor.elsewhere"}, Key("team", "digits")),
        ({"Host": "digits-predictor.team"}, Key("team", "digits")),
        ({"Host": "digits-predictor.team.svc.cluster.local:80"}, Key("team", "digits")),
        ({"Host": "digits-predictor"}, None),
        ({"Host": "digits.team"}, None),
        ({"Host": "-predictor."}, None),
        ({"KServe-Isvc-Name": "digits"}, None),
        ({}, None),
    ],
)
def test_the_model_is_the_one_behind_the_route_or_the_service(
    headers: dict[str, str], model: Key | None
) -> None:
    assert model_of(headers) == model


def test_headers_of_one_connection_are_not_passed_on() -> None:
    given = [("Connection", "close, X-Own"), ("X-Own", "1"), ("Transfer-Encoding", "chunked")]
    kept = [("Accept", "a"), ("accept", "b"), ("Traceparent", "00-1-2-01")]
    assert list(passed_on([*given, *kept, ("Expect", "100-continue")]).items()) == kept
