"""Start and stop of the real process: exit codes, termination messages, SIGTERM in every phase."""

from __future__ import annotations

import signal
import socket
import time
from contextlib import closing
from pathlib import Path

import httpx
import pytest
import torch
from integration.apiserver import free_port
from integration.predictor import predictor_inputs as inputs
from integration.predictor.predictor_process import START_SECONDS, Predictor, running, start

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


def test_sigterm_while_loading_ends_at_once(weights: str, tmp_path: Path) -> None:
    port = free_port()
    # Importing PyTorch takes longer than the port needs to answer.
    predictor = start(
        tmp_path, f"--weights={weights}", "--engine=torch", f"--port={port}", "--drain-seconds=60"
    )
    try:
        end = time.monotonic() + START_SECONDS
        while True:
            assert time.monotonic() < end
            try:
                assert httpx.get(f"http://127.0.0.1:{port}/v2/health/live", timeout=60).status_code == 200
                break
            except httpx.ConnectError:
                time.sleep(0.01)
        ready = httpx.get(f"http://127.0.0.1:{port}/v2/health/ready", timeout=60)
        assert ready.json()["error"]["reason"] == "NotReady"
        assert predictor.terminate() == 0
        assert "ready at" not in predictor.output
    finally:
        predictor.process.kill()


def test_sigterm_finishes_what_was_begun(weights: str, tmp_path: Path) -> None:
    """Unready at once, still answering while draining, a slow upload completed, idle connections closed."""
    picture = inputs.png(64, 64)
    request = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(picture)}\r\n\r\n".encode()
    with running(tmp_path, f"--weights={weights}", "--drain-seconds=3") as predictor:
        idle = [socket.create_connection(("127.0.0.1", predictor.port)) for _ in range(20)]
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
            connection.settimeout(5)
            assert connection.recv(1) == b""
            connection.close()
    assert predictor.reason == ""
    assert "Traceback" not in predictor.log


def test_second_sigterm_ends_the_drain(weights: str, tmp_path: Path) -> None:
    with running(tmp_path, f"--weights={weights}", "--drain-seconds=600") as predictor:
        predictor.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert predictor.process.poll() is None
        assert predictor.terminate() == 0
