"""Start and stop of the real process: exit codes, termination messages, SIGTERM in every phase."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from contextlib import closing
from pathlib import Path

import httpx
import pytest
import torch
from integration.apiserver import free_port
from integration.predictor import predictor_inputs as inputs
from integration.predictor.predictor_process import START_SECONDS, Predictor, loading, running, start

PREDICT = "/v1/models/digits:predict"


def ended(predictor: Predictor) -> int:
    """The exit code of a server that ends by itself."""
    try:
        return predictor.process.wait(START_SECONDS)
    finally:
        predictor.process.kill()


@pytest.mark.parametrize(
    ("flags", "env", "code", "reason"),
    [
        (["--weights=/nonexistent"], {}, 2, "WeightsNotFound"),
        (["--weights=WEIGHTS", "--sha256=" + "0" * 64], {}, 2, "DigestMismatch"),
        (["--weights=WEIGHTS/labels.txt"], {}, 2, "WeightsInvalid"),
        (["--weights=WEIGHTS"], {"SQUEEZE_ARCHITECTURE": "squeezenet1_0"}, 2, "ConfigInvalid"),
        (["--weights=WEIGHTS", "--top-k=0"], {}, 2, "ConfigInvalid"),
        (["--weights=WEIGHTS", "--port=TAKEN"], {}, 2, "ConfigInvalid"),
        (["--weights=WEIGHTS", "--device=cuda"], {}, 3, "NoCudaDevice"),
    ],
)
def test_failed_start(
    weights: str, tmp_path: Path, flags: list[str], env: dict[str, str], code: int, reason: str
) -> None:
    if reason == "NoCudaDevice" and torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])
        filled = [flag.replace("WEIGHTS", weights).replace("TAKEN", port) for flag in flags]
        predictor = start(tmp_path, *filled, env=env)
        assert ended(predictor) == code
    (line,) = predictor.reason.splitlines()
    assert line.startswith(reason + ": ")
    assert line in predictor.log
    assert "Traceback" not in predictor.log


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_a_loading_server_is_alive_refuses_work_and_ends_at_once(tmp_path: Path, sig: signal.Signals) -> None:
    port = free_port()
    with loading(tmp_path, f"--port={port}", "--drain-seconds=600") as predictor:
        url = f"http://127.0.0.1:{port}"
        until_it_answers(f"{url}/v2/health/live")
        for page in ("/v2/health/ready", "/v2/models/digits/ready"):
            answer = httpx.get(url + page, timeout=60)
            assert (answer.status_code, answer.json()["error"]["reason"]) == (503, "NotReady")
        early = httpx.post(url + PREDICT, content=inputs.png(64, 64), timeout=60)
        assert (early.status_code, early.headers["retry-after"]) == (503, "1")
        predictor.process.send_signal(sig)
        assert predictor.process.wait(60) == 0
        assert "ready at" not in predictor.output
    assert predictor.reason == ""


def until_it_answers(url: str) -> None:
    """Wait until the page is there with 200."""
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            assert httpx.get(url, timeout=60).status_code == 200
            return
        except httpx.ConnectError:
            assert time.monotonic() < end
            time.sleep(0.01)


def idle_connections(predictor: Predictor, count: int) -> list[socket.socket]:
    """Open connections; every other one has had an answer and is kept."""
    connections = [socket.create_connection(("127.0.0.1", predictor.port), 60) for _ in range(count)]
    for connection in connections[::2]:
        connection.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        received = b""
        while not received.endswith(b'{"live":true}'):
            received += (chunk := connection.recv(65536))
            assert chunk, received
    return connections


def test_sigterm_finishes_what_was_begun(weights: str, tmp_path: Path) -> None:
    """Unready at once, still answering while draining, a slow upload completed, idle connections closed."""
    picture = inputs.png(64, 64)
    request = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(picture)}\r\n\r\n".encode()
    with running(tmp_path, f"--weights={weights}", "--drain-seconds=3") as predictor:
        idle = idle_connections(predictor, 100)
        with (
            closing(socket.create_connection(("127.0.0.1", predictor.port))) as upload,
            predictor.client() as client,
        ):
            upload.sendall(request + picture[:100])
            assert client.get("/v2/health/ready").status_code == 200
            predictor.process.send_signal(signal.SIGTERM)
            unready = httpx.get(f"{predictor.url}/v2/health/ready", timeout=60)
            assert unready.status_code == 503
            assert "shutting down" in unready.text
            late = httpx.post(predictor.url + PREDICT, content=picture, timeout=60)
            assert late.status_code == 200
            assert late.headers["connection"] == "close"
            time.sleep(4)
            assert predictor.process.poll() is None
            upload.sendall(picture[100:])
            assert upload.recv(65536).startswith(b"HTTP/1.1 200")
        assert predictor.process.wait(30) == 0
        for connection in idle:
            assert connection.recv(1) == b""
            connection.close()
    assert predictor.reason == ""
    assert "Traceback" not in predictor.log


def test_second_sigterm_ends_the_drain_and_still_finishes_what_was_begun(
    weights: str, tmp_path: Path
) -> None:
    picture = inputs.png(64, 64)
    request = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(picture)}\r\n\r\n".encode()
    with (
        running(tmp_path, f"--weights={weights}", "--drain-seconds=600") as predictor,
        closing(socket.create_connection(("127.0.0.1", predictor.port), 60)) as upload,
    ):
        upload.sendall(request + picture[:100])
        # Answered after the upload's head was read, since it came later.
        assert httpx.get(f"{predictor.url}/v2/health/ready", timeout=60).status_code == 200
        predictor.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert predictor.process.poll() is None
        predictor.process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            predictor.process.wait(2)
        upload.sendall(picture[100:])
        assert upload.recv(65536).startswith(b"HTTP/1.1 200")
        assert predictor.process.wait(60) == 0


def test_garbage_is_collected_once_the_model_is_loaded(client: httpx.Client) -> None:
    def collections() -> float:
        name = 'python_gc_collections_total{generation="0"} '
        (line,) = [line for line in client.get("/metrics").text.splitlines() if line.startswith(name)]
        return float(line.removeprefix(name))

    before, end = collections(), time.monotonic() + 60
    while collections() == before:
        assert time.monotonic() < end
