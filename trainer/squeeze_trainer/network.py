"""The network being trained: how its weights begin, and how pictures become its input.

SqueezeNet has no batch normalisation and a ReLU after its last convolution. Where a class's logit is
negative for every picture, that ReLU passes no gradient and the class is dead; where all are, the loss
stays at ln(classes) for ever. Hence: He's initialisation, and a classifier of small weights and a bias well
above zero, so that every class begins alive and has room to fall. A bias that all classes share changes no
answer.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from squeezenet.artifact import Artifact
from squeezenet.config import InputSpec
from squeezenet.engines.torch_module import SqueezeNet
from squeezenet.preprocess import normalisation
from torch import nn

HEAD_BIAS, HEAD_SPREAD = 3.0, 0.01


def create(architecture: str, classes: int, dropout: float, seed: int) -> SqueezeNet:
    """A network with random weights that follow from the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = SqueezeNet(architecture, classes)
        for module in network.features.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")
                _bias(module, 0.0)
        _begin_head(network)
    return _prepared(network, dropout)


def from_artifact(artifact: Artifact, classes: int, keep_head: bool, dropout: float, seed: int) -> SqueezeNet:
    """The artifact's network; its classifier begins anew, with ``classes`` outputs, unless it is kept."""
    network = create(artifact.config.architecture, classes, dropout, seed)
    state = {
        name: torch.tensor(array)
        for name, array in artifact.state.items()
        if keep_head or not name.startswith("classifier.")
    }
    network.load_state_dict(state, strict=keep_head)
    return _prepared(network, dropout)


def head(network: SqueezeNet) -> nn.Conv2d:
    """The last convolution, one output a class."""
    module = network.get_submodule("classifier.1")
    if not isinstance(module, nn.Conv2d):
        raise TypeError("classifier.1 is not a convolution")
    return module


def freeze_features(network: SqueezeNet, frozen: bool) -> None:
    """Whether only the classifier learns."""
    for parameter in network.features.parameters():
        parameter.requires_grad_(not frozen)


def state_arrays(network: SqueezeNet) -> dict[str, NDArray[np.float32]]:
    """The weights by torchvision's names, as an artifact holds them."""
    return {name: tensor.detach().cpu().numpy() for name, tensor in network.state_dict().items()}


class Normaliser:
    """Squares -> the network's input, on its device: the arithmetic of
    :func:`squeezenet.preprocess.normalise`.
    """

    def __init__(self, spec: InputSpec, device: torch.device) -> None:
        scale, shift = (part.astype(np.float32) for part in normalisation(spec))
        self._scale = torch.from_numpy(scale).to(device)
        self._shift = torch.from_numpy(shift).to(device)

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        """uint8 [N, H, W, 3] -> float32 [N, 3, H, W], which lies in memory channels last."""
        values = pixels.to(self._scale.device, non_blocking=True).float()
        return (values * self._scale + self._shift).permute(0, 3, 1, 2)


def _prepared(network: SqueezeNet, dropout: float) -> SqueezeNet:
    layer = network.get_submodule("classifier.0")
    if not isinstance(layer, nn.Dropout):
        raise TypeError("classifier.0 is not a dropout")
    layer.p = dropout
    return network.to(memory_format=torch.channels_last)


def _begin_head(network: SqueezeNet) -> None:
    last = head(network)
    nn.init.normal_(last.weight, std=HEAD_SPREAD)
    _bias(last, HEAD_BIAS)


def _bias(module: nn.Conv2d, value: float) -> None:
    if module.bias is None:
        raise TypeError("every convolution of SqueezeNet has a bias")
    nn.init.constant_(module.bias, value)
