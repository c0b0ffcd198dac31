"""The other CPU runtime of the limit computes the same network."""

import numpy as np
from squeezenet import artifact as artifacts

from bench.onnx_network import onnx_session


def test_it_gives_the_golden_logits() -> None:
    artifact = artifacts.load("builtin://digits")
    assert artifact.golden is not None
    found = onnx_session(artifact)(artifact.golden.pixels)
    np.testing.assert_allclose(found, artifact.golden.logits, rtol=1e-4, atol=1e-4)
