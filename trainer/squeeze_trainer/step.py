"""One iteration of training: forward, backward, agreement between the processes, and the optimiser's step."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from squeezenet.engines.torch_module import SqueezeNet
from torch import nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from squeeze_trainer.dataset import IGNORED, Batch
from squeeze_trainer.distributed import Group
from squeeze_trainer.errors import DivergedError
from squeeze_trainer.network import Normaliser, freeze_features
from squeeze_trainer.optimise import set_rate
from squeeze_trainer.settings import Recipe

# Bounds the activations of one pass: a whole batch of 128 pictures of 227 pixels would need gigabytes.
CPU_MICRO_BATCH = 16


@dataclass(frozen=True)
class Outcome:
    """One step over all processes. ``loss``: mean cross-entropy, without label smoothing, of ``pictures``.

    ``alive``: the logits told some pictures apart. ``norm``: of the gradient, before it was clipped.
    """

    loss: float
    pictures: int
    damaged: int
    alive: bool
    norm: float


class Stepper:
    """Steps one network. The loss is the mean over the global batch, however it is shared out."""

    def __init__(
        self,
        network: SqueezeNet,
        optimizer: torch.optim.Optimizer,
        recipe: Recipe,
        normaliser: Normaliser,
        group: Group,
    ) -> None:
        self._network, self._optimizer, self._recipe = network, optimizer, recipe
        self._normaliser, self._group = normaliser, group
        self._parameters = list(network.parameters())
        self._wrapped: nn.Module = network
        self._precision = precision(recipe, group.device)

    def freeze(self, frozen: bool) -> None:
        """Whether only the classifier learns from here on. Must be called once before the first step."""
        freeze_features(self._network, frozen)
        if self._group.world > 1:
            self._wrapped = DistributedDataParallel(self._network, broadcast_buffers=False)

    def step(
        self, batch: Batch, nominal: int, seed: int, rate: float, stop: Callable[[], bool]
    ) -> Outcome | None:
        """Steps with this process's part of a global batch of ``nominal`` pictures.

        None, and nothing has changed, where a process asked to stop. Raises DivergedError before the weights
        are touched by what is not finite.
        """
        torch.manual_seed(seed)
        self._network.train()
        self._optimizer.zero_grad(set_to_none=True)
        facts = torch.zeros(2, dtype=torch.float64, device=self._group.device)
        parts = self._parts(batch)
        for number, (pixels, labels) in enumerate(parts):
            if any(self._group.sum([float(stop())])):
                self._optimizer.zero_grad(set_to_none=True)
                return None
            with self._unsynced(last=number == len(parts) - 1):
                facts += self._backward(pixels, labels, nominal)
        return self._finish(facts.tolist(), batch, nominal, rate)

    def _parts(self, batch: Batch) -> list[tuple[torch.Tensor, torch.Tensor]]:
        size = self._recipe.micro_batch or (
            CPU_MICRO_BATCH if self._group.device.type == "cpu" else len(batch)
        )
        return list(zip(torch.split(batch.pixels, size), torch.split(batch.labels, size), strict=True))

    def _unsynced(self, last: bool) -> AbstractContextManager[None]:
        if last or not isinstance(self._wrapped, DistributedDataParallel):
            return nullcontext()
        return self._wrapped.no_sync()

    def _backward(self, pixels: torch.Tensor, labels: torch.Tensor, nominal: int) -> torch.Tensor:
        """Adds to the gradient; returns [summed loss, 1 if any two pictures got different logits]."""
        inputs, labels = self._normaliser(pixels), labels.to(self._group.device, non_blocking=True)
        with torch.autocast(self._group.device.type, torch.bfloat16, enabled=self._precision == "bfloat16"):
            logits = self._wrapped(inputs)
        logits = logits.float()
        smoothing = self._recipe.label_smoothing
        loss = functional.cross_entropy(
            logits, labels, ignore_index=IGNORED, reduction="sum", label_smoothing=smoothing
        )
        # The processes' gradients are averaged, and the loss is a mean over the pictures of all.
        (loss * self._group.world / nominal).backward()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            plain = (
                functional.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum")
                if smoothing
                else loss.detach()
            )
            return torch.stack([plain, _alive(logits, labels).float()]).double()

    def _finish(self, facts: list[float], batch: Batch, nominal: int, rate: float) -> Outcome:
        there = int((batch.labels != IGNORED).sum())
        total, alive, pictures, damaged = self._group.sum([*facts, there, len(batch.damage)])
        if not math.isfinite(total):
            raise DivergedError(f"the loss is not finite ({total}): lower --learning-rate.")
        pictures = int(pictures)
        if pictures == 0:
            return Outcome(math.nan, 0, int(damaged), True, 0.0)
        learning = [parameter for parameter in self._parameters if parameter.grad is not None]
        if pictures != nominal:
            for parameter in learning:
                if parameter.grad is not None:
                    parameter.grad.mul_(nominal / pictures)
        norm = float(nn.utils.clip_grad_norm_(learning, self._recipe.clip_norm or math.inf))
        if not math.isfinite(norm):
            raise DivergedError(f"the gradient is not finite ({norm}): lower --learning-rate.")
        set_rate(self._optimizer, rate)
        self._optimizer.step()
        return Outcome(total / pictures, pictures, int(damaged), alive > 0, norm)


def precision(recipe: Recipe, device: torch.device) -> str:
    """The precision of the convolutions; ``auto`` takes bfloat16 where the device multiplies in it itself.

    That is most GPUs, and CPUs with AMX, where a step then takes less than half the time. The weights, their
    gradients and the loss are float32 either way.
    """
    if recipe.precision != "auto":
        return recipe.precision
    fast = torch.cuda.is_bf16_supported() if device.type == "cuda" else _cpu_has_bfloat16()
    return "bfloat16" if fast else "float32"


def _cpu_has_bfloat16() -> bool:
    # Without oneDNN, as some builds of PyTorch are, AMX is not used.
    has_onednn: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return has_onednn and torch.cpu._is_amx_tile_supported()


def _alive(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    logits = logits[labels != IGNORED]
    if len(logits) < 2:
        return (logits != 0).any()
    return (logits != logits[0]).any()
