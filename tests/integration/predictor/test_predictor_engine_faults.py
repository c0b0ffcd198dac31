"""What an engine may do to a server: hang, break for good, run out of memory. Seen from outside."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
from integration.apiserver import free_port
from integration.predictor import predictor_inputs as inputs
from integration.predictor.predictor_process import Predictor, running
from integration.predictor.predictor_with_faults import COLOUR

PREDICT = "/v1/models/digits:predict"
GOOD = inputs.png(64, 64)
BAD = inputs.plain_png(64, 64, COLOUR)
Start = Callable[..., AbstractContextManager[Predictor]]


@pytest.fixture
def start(weights: str, tmp_path: Path) -> Start:
    """Starts a server whose engine meets a fault on one picture."""

    @contextmanager
    def started(fault: str, *flags: str) -> Iterator[Predictor]:
        env = {"SQUEEZE_TEST_FAULT": fault, "PYTHONPATH": str(Path(__file__).parents[2])}
        program = ("-m", "integration.predictor.predictor_with_faults")
        with running(tmp_path, f"--weights={weights}", *flags, env=env, program=program) as server:
            yield server

    return started


def until(client: httpx.Client, path: str, status: int) -> httpx.Response:
    end = time.monotonic() + 60
    while (answer := client.get(path)).status_code != status:
        assert time.monotonic() < end, answer.text
        time.sleep(0.05)
    return answer


def over_grpc(port: int, picture: bytes) -> None:
    tensor = triton_grpc.InferInput("image", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([picture], dtype=np.object_))
    with triton_grpc.InferenceServerClient(f"127.0.0.1:{port}") as client:
        client.infer("digits", [tensor])


def test_a_worker_that_hangs_turns_liveness_red_though_others_answer(start: Start) -> None:
    with start("hang", "--threads=2", "--stall-seconds=1") as server, server.client() as client:
        assert client.get("/v2/health/live").status_code == 200
        with ThreadPoolExecutor(1) as pool, server.client() as hangs:
            stuck = pool.submit(hangs.post, PREDICT, content=BAD)
            error = until(client, "/v2/health/live", 503).json()["error"]
            assert error["reason"] == "NotLive"
            assert "more than 1 seconds" in error["message"]
            assert client.get("/v2/health/ready").status_code == 503
            assert client.post(PREDICT, content=GOOD).json()["error"]["reason"] == "EngineBroken"
            server.process.kill()
            with pytest.raises(httpx.TransportError):
                stuck.result()


def test_a_queue_behind_a_hanging_worker_turns_liveness_red(start: Start) -> None:
    flags = ("--threads=1", "--stall-seconds=1", "--queue-timeout=0.5")
    with start("hang", *flags) as server, server.client() as client:
        with ThreadPoolExecutor(4) as pool:
            posts = [pool.submit(httpx.post, server.url + PREDICT, content=BAD, timeout=60) for _ in range(4)]
            until(client, "/v2/health/live", 503)
            server.process.kill()
        reasons = [post.result().json()["error"]["reason"] for post in posts if not post.exception()]
        assert reasons == ["QueueTimeout"] * 3


def test_a_worker_that_hangs_does_not_hold_up_the_end(start: Start) -> None:
    port = free_port()
    flags = ("--threads=2", f"--grpc-port={port}", "--drain-seconds=0", "--grace-seconds=1")
    with start("hang", *flags) as server, ThreadPoolExecutor(2) as pool:
        stuck: list[Future[object]] = [
            pool.submit(httpx.post, server.url + PREDICT, content=BAD, timeout=60),
            pool.submit(over_grpc, port, BAD),
        ]
        end = time.monotonic() + 60
        while "squeeze_requests_in_flight 3.0" not in httpx.get(f"{server.url}/metrics", timeout=60).text:
            assert time.monotonic() < end
            time.sleep(0.05)
        assert server.terminate() == 0
        assert all(post.exception() for post in stuck)
        assert "Traceback" not in server.log


def test_a_broken_context_turns_liveness_red_and_names_the_remedy(start: Start) -> None:
    with start("broken") as server, server.client() as client:
        assert client.post(PREDICT, content=GOOD).status_code == 200
        assert client.post(PREDICT, content=BAD).json()["error"]["reason"] == "InferenceFailed"
        assert "restarted" in client.get("/v2/health/live").json()["error"]["message"]
        assert client.post(PREDICT, content=GOOD).status_code == 503


def test_a_picture_beyond_the_memory_is_refused_and_the_server_lives_on(start: Start) -> None:
    with start("memory", "--batch-size=4") as server, server.client() as client:
        form = [("a", GOOD), ("b", GOOD), ("c", GOOD)]
        expected = client.post(PREDICT, files=form).json()
        with ThreadPoolExecutor(2) as pool:
            refused = [pool.submit(client.post, PREDICT, content=BAD) for _ in range(8)]
            answered = [pool.submit(client.post, PREDICT, files=form) for _ in range(8)]
        for post in refused:
            assert post.result().json()["error"]["reason"] == "OutOfMemory"
        for post in answered:
            assert post.result().json() == expected
        assert client.get("/v2/health/live").status_code == 200
