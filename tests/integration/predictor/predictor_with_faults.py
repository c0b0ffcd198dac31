"""Runs the real server with an engine that hangs, or breaks, on one picture.

A picture whose pixels are all FAULT's colour meets the fault named by SQUEEZE_TEST_FAULT; every other one is
classified as ever.
"""

from __future__ import annotations

import os
import threading

import numpy as np
from numpy.typing import NDArray
from squeeze_predictor.__main__ import main
from squeezenet.engines.openvino_engine import OpenVINOEngine

COLOUR = 77
_classify = OpenVINOEngine.classify_pixels


class OutOfMemoryError(RuntimeError):
    """Named as torch names its own."""


def faulty(self: OpenVINOEngine, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    if (pixels == COLOUR).all():
        fault = os.environ["SQUEEZE_TEST_FAULT"]
        if fault == "hang":
            threading.Event().wait()
        if fault == "memory":
            raise OutOfMemoryError("CUDA out of memory")
        raise RuntimeError("CUDA error: an illegal memory access was encountered")
    return _classify(self, pixels)


if __name__ == "__main__":
    OpenVINOEngine.classify_pixels = faulty  # type: ignore[method-assign]
    main()
