"""Proxy variables in a replica's environment: a download of weights takes the proxy."""

import subprocess
import sys
from pathlib import Path

from integration.recording_proxy import recording_proxy


def test_torchvision_weights_are_fetched_by_the_proxy(tmp_path: Path) -> None:
    with recording_proxy(tmp_path) as proxy:
        command = [sys.executable, "-m", "squeeze_predictor", "--host", "127.0.0.1", "--port", "0"]
        command += ["--grpc-port", "0", "--weights", "torchvision://squeezenet1_1"]
        environment = proxy.environment(TORCH_HOME=str(tmp_path), NO_PROXY="localhost,127.0.0.1,.svc")
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        assert proxy.requests() == ["CONNECT download.pytorch.org:443"]
    assert done.returncode == 2
    assert "check the network or proxy" in done.stderr
