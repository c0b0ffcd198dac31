"""Random variations of digit pictures, as people's vary: place, size, slant, ink, paper, polarity."""

from __future__ import annotations

import math

import torch
from torch.nn import functional

ROTATION = math.radians(10)
SHEAR = 0.1
SCALE = (0.85, 1.25)  # Of the sampling grid: above 1 the digit gets smaller.
SHIFT = 0.12  # Of half the picture's side.
INK = (0.0, 0.3)
PAPER = (0.7, 1.0)


def augment(pictures: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Dark-on-light pictures [N, 1, H, W], values 0..1, each varied; half of them come back light on dark."""
    moved = _move(pictures, generator)
    count = len(pictures)
    ink, paper = _uniform(count, *INK, generator), _uniform(count, *PAPER, generator)
    shaded = ink.view(-1, 1, 1, 1) + (paper - ink).view(-1, 1, 1, 1) * moved
    inverted = torch.rand(count, generator=generator).view(-1, 1, 1, 1) < 0.5
    return torch.where(inverted, 1 - shaded, shaded)


def _move(pictures: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    count = len(pictures)
    angle = _uniform(count, -ROTATION, ROTATION, generator)
    shear = _uniform(count, -SHEAR, SHEAR, generator)
    scale = _uniform(count, *SCALE, generator)
    across, down = (_uniform(count, -SHIFT, SHIFT, generator) for _ in range(2))
    cosine, sine = torch.cos(angle), torch.sin(angle)
    first = torch.stack([scale * cosine, scale * (shear * cosine - sine), across], dim=1)
    second = torch.stack([scale * sine, scale * (shear * sine + cosine), down], dim=1)
    grid = functional.affine_grid(
        torch.stack([first, second], dim=1), list(pictures.shape), align_corners=False
    )
    return functional.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


def _uniform(count: int, low: float, high: float, generator: torch.Generator) -> torch.Tensor:
    return low + (high - low) * torch.rand(count, generator=generator)
