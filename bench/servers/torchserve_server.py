"""TorchServe: an archive made by torch-model-archiver, one worker, BENCH_BATCH as its batch size.

The archive is made at each start, in a fraction of a second, which counts as a part of the start.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from bench.processes import free_port

HANDLER = Path(__file__).with_name("torchserve_handler.py")
FOLDER = Path(__file__).parents[1] / "out" / "torchserve"
BIN = Path(sys.executable).parent

MODEL = """
minWorkers: 1
maxWorkers: 1
batchSize: {batch}
maxBatchDelay: 50
"""
SERVER = """
inference_address=http://127.0.0.1:{port}
management_address=http://127.0.0.1:{management}
metrics_address=http://127.0.0.1:{metrics}
grpc_inference_port={grpc_inference}
grpc_management_port={grpc_management}
disable_token_authorization=true
"""


def main() -> None:
    """Writes the configuration and the archive, then becomes TorchServe."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    model, server = FOLDER / "model-config.yaml", FOLDER / "config.properties"
    model.write_text(MODEL.format(batch=os.environ["BENCH_BATCH"]))
    names = ("management", "metrics", "grpc_inference", "grpc_management")
    server.write_text(SERVER.format(port=os.environ["BENCH_PORT"], **{name: free_port() for name in names}))
    named = ("--model-name", "squeezenet", "--version", "1.0", "--handler", HANDLER)
    archive = ("--config-file", model, "--export-path", FOLDER, "--force")
    subprocess.run([BIN / "torch-model-archiver", *named, *archive], check=True)
    command = (
        *(str(BIN / "torchserve"), "--start", "--foreground", "--ncs", "--model-store", str(FOLDER)),
        *("--models", "squeezenet=squeezenet.mar", "--ts-config", str(server)),
    )
    # It writes its logs to the working folder, and notes its process in TEMP.
    os.chdir(FOLDER)
    os.execve(command[0], command, {**os.environ, "TEMP": str(FOLDER)})


if __name__ == "__main__":
    main()
