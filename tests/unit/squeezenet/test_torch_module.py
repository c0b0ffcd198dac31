"""Our module is torchvision's network: same keys, same logits."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from squeezenet.engines.torch_module import SqueezeNet
from torchvision.models import get_model


@pytest.mark.parametrize("architecture", ["squeezenet1_0", "squeezenet1_1"])
@pytest.mark.parametrize("side", [64, 227])
def test_logits_equal_torchvision(architecture: str, side: int) -> None:
    torch.manual_seed(0)
    reference = get_model(architecture, weights=None, num_classes=7).eval()
    network = SqueezeNet(architecture, 7).eval()
    assert list(network.state_dict()) == list(reference.state_dict())
    network.load_state_dict(reference.state_dict())
    batch = torch.randn(2, 3, side, side)
    with torch.inference_mode():
        torch.testing.assert_close(network(batch), reference(batch), rtol=0, atol=1e-6)


def test_import_leaves_torchvision_and_the_compiler_alone() -> None:
    program = (
        "import sys, squeezenet.engines.torch_module; "
        "print(sorted({'torchvision', 'torch._dynamo', 'sympy'} & set(sys.modules)))"
    )
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert output.strip() == "[]"
