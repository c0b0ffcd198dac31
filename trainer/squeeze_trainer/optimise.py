"""Optimisers, and the learning rate as a pure function of the iteration: nothing of it needs remembering."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from squeeze_trainer.settings import Recipe

_STEPS, _FALL = 3, 0.1


def optimiser(recipe: Recipe, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """What the recipe names, over all parameters, frozen ones included: those have no gradient and stay."""
    rate, decay = recipe.learning_rate, recipe.weight_decay
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(parameters, rate, momentum=recipe.momentum, weight_decay=decay)
    kind = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.AdamW
    return kind(parameters, rate, weight_decay=decay)


def rate(recipe: Recipe, iteration: int, budget: int) -> float:
    """The learning rate of an iteration, 0 to ``budget`` - 1.

    It rises linearly over the warm-up, then stays (``constant``), falls along half a cosine to zero
    (``cosine``), or falls to a tenth after each third of the budget (``step``).
    """
    warmup = min(recipe.warmup, budget // 10)
    if iteration < warmup:
        return recipe.learning_rate * (iteration + 1) / warmup
    if recipe.schedule == "constant":
        return recipe.learning_rate
    done = (iteration - warmup) / max(1, budget - warmup)
    if recipe.schedule == "step":
        return recipe.learning_rate * _FALL ** int(done * _STEPS)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def set_rate(optimizer: torch.optim.Optimizer, value: float) -> None:
    """Sets the rate of all parameters."""
    for group in optimizer.param_groups:
        group["lr"] = value
