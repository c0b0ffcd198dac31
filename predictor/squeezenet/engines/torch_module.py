"""SqueezeNet as a PyTorch module with torchvision's key names, without importing torchvision.

Importing torchvision's models brings the whole compiler of PyTorch with it and takes twice as long as PyTorch
itself, which a server would pay at every start. Importing this module imports PyTorch; only engines do so.

Source: torchvision's ``models/squeezenet.py``, to which the tests hold it, output for output.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from squeezenet.architecture import fire_channels, first_convolution

DROPOUT = 0.5


class Fire(nn.Module):
    """Squeeze to few channels by 1x1, then expand by 1x1 and 3x3 side by side (the paper's figure 1)."""

    def __init__(self, channels: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeeze, kernel_size=1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, kernel_size=1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, kernel_size=3, padding=1)

    def forward(self, batch: Tensor) -> Tensor:
        """[N, channels, H, W] to [N, 2 * expand, H, W]."""
        squeezed = torch.relu(self.squeeze(batch))
        return torch.cat([torch.relu(self.expand1x1(squeezed)), torch.relu(self.expand3x3(squeezed))], 1)


class SqueezeNet(nn.Module):
    """``squeezenet1_0`` or ``squeezenet1_1`` with freshly initialised weights."""

    def __init__(self, architecture: str, num_classes: int) -> None:
        super().__init__()
        width, _, kernel, _ = first_convolution(architecture)
        fires = fire_channels(architecture)
        layers: list[nn.Module] = [nn.Conv2d(3, width, kernel_size=kernel, stride=2), nn.ReLU()]
        # The positions in `features` that hold no fire module hold a pooling.
        for position in range(len(layers), max(fires) + 1):
            pooling = nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True)
            layers.append(Fire(*fires[position]) if position in fires else pooling)
        self.features = nn.Sequential(*layers)
        head = nn.Conv2d(512, num_classes, kernel_size=1)
        self.classifier = nn.Sequential(nn.Dropout(DROPOUT), head, nn.ReLU(), nn.AdaptiveAvgPool2d(1))

    def forward(self, batch: Tensor) -> Tensor:
        """Logits [N, classes] of a batch [N, 3, H, W]."""
        logits: Tensor = self.classifier(self.features(batch))
        return torch.flatten(logits, 1)
