"""Trains the built-in digits network from nothing, reproducibly: one seed, one result.

SqueezeNet has no batch normalisation and a ReLU after its last convolution. With a head initialised close to
zero or too high a rate all logits die, and the loss stays at ln(classes) for ever. Hence: a head with a full
initialisation and a positive bias, Adam at a low rate with warm-up, a watch for that state, and a restart
from another seed when it occurs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torchvision
from torch import nn
from torch.nn import functional

from squeezenet.artifact import Artifact
from squeezenet.config import ArtifactConfig, InputSpec
from squeezenet.digits.augmentation import augment
from squeezenet.digits.data import LABELS, Digits, Subset, load
from squeezenet.errors import SqueezeNetError
from squeezenet.preprocess import preprocess

ARCHITECTURE = "squeezenet1_1"
HALF = (0.5, 0.5, 0.5)
INPUT = InputSpec(resize=40, crop=40, mean=HALF, std=HALF)
_SPREAD = 7919  # Between the seeds of two attempts; any number that is no multiple of a likely seed.

Report = Callable[[str], None]
Weights = dict[str, torch.Tensor]


class TrainingError(SqueezeNetError):
    """The network does not learn: its loss stays at ln(classes)."""

    reason = "TrainingStalled"


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the result, besides the version of PyTorch.

    ``learning_rate`` is the peak: linear warm-up over ``warmup`` iterations, then cosine to zero. The loss
    counts as stuck within ``stall_margin`` of ln(10); ``stall_iterations`` stuck in a row end an attempt.
    One thread: more threads are no faster on pictures this small, and sum in another order.
    """

    seed: int = 0
    epochs: int = 64
    batch: int = 16
    learning_rate: float = 4e-4
    warmup: int = 40
    weight_decay: float = 1e-4
    dropout: float = 0.1
    threads: int = 1
    stall_margin: float = 0.02
    stall_iterations: int = 120
    attempts: int = 3


def train(recipe: Recipe, report: Report, max_iterations: int | None = None) -> Artifact:
    """Trains on the train split and returns the epoch that was best on the validation split.

    ``report`` receives one line an epoch. ``max_iterations`` ends early, for tests. The artifact has no
    metrics yet and no digest, which belongs to a file. Raises TrainingError when every attempt stalls.
    """
    digits = load(recipe.seed)
    for attempt in range(recipe.attempts):
        seed = recipe.seed + attempt * _SPREAD
        try:
            with _reproducible(seed, recipe.threads):
                weights = _attempt(recipe, seed, digits, report, max_iterations)
            return _artifact(recipe, attempt, weights)
        except TrainingError as error:
            report(f"attempt {attempt + 1} of {recipe.attempts}: {error.message}")
    raise TrainingError(
        f"the loss stayed at ln(10) in {recipe.attempts} attempts: lower the learning rate "
        f"({recipe.learning_rate})."
    )


class StallWatch:
    """Raises TrainingError after ``patience`` iterations in a row whose loss is that of guessing."""

    def __init__(self, classes: int, margin: float, patience: int) -> None:
        self._limit = math.log(classes) - margin
        self._patience = patience
        self._stuck = 0

    def see(self, loss: float) -> None:
        """Takes one iteration's loss; NaN and infinity end the attempt at once."""
        if not math.isfinite(loss):
            raise TrainingError("the loss is not finite: lower the learning rate.")
        self._stuck = self._stuck + 1 if loss > self._limit else 0
        if self._stuck >= self._patience:
            raise TrainingError(
                f"the loss stayed at {loss:.3f}, that of guessing, for {self._stuck} iterations."
            )


def build(dropout: float) -> nn.Module:
    """torchvision's SqueezeNet 1.1 for ten classes, with a head that starts alive."""
    network: nn.Module = torchvision.models.squeezenet1_1(num_classes=len(LABELS), dropout=dropout)
    head = network.get_submodule("classifier.1")
    if not isinstance(head, nn.Conv2d) or head.bias is None:
        raise TypeError("torchvision's SqueezeNet has no convolution with a bias at classifier.1")
    nn.init.xavier_uniform_(head.weight)
    # Above zero, so that the ReLU after the head passes every class's gradient from the start.
    nn.init.ones_(head.bias)
    return network


def to_inputs(subset: Subset) -> torch.Tensor:
    """The subset's pictures as serving sees them, one channel, values 0..1: float32 [N, 1, 40, 40]."""
    tensors = np.stack([preprocess(data, INPUT)[:1] for data in subset.pictures()])
    return torch.from_numpy(tensors * INPUT.std[0] + INPUT.mean[0])


def _attempt(
    recipe: Recipe, seed: int, digits: Digits, report: Report, max_iterations: int | None
) -> Weights:
    network = build(recipe.dropout)
    inputs, classes = to_inputs(digits.train), torch.from_numpy(digits.train.classes)
    check = to_inputs(digits.validation), torch.from_numpy(digits.validation.classes)
    optimiser = torch.optim.AdamW(
        network.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    total = recipe.epochs * math.ceil(len(classes) / recipe.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, recipe.warmup, total))
    watch = StallWatch(len(LABELS), recipe.stall_margin, recipe.stall_iterations)
    generator = torch.Generator().manual_seed(seed)
    best, best_score, iteration = _copy(network), (-1.0, 0.0), 0
    for epoch in range(recipe.epochs):
        network.train()
        for rows in torch.split(torch.randperm(len(classes), generator=generator), recipe.batch):
            loss = functional.cross_entropy(
                network(_normalise(augment(inputs[rows], generator))), classes[rows]
            )
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            watch.see(loss.item())
            iteration += 1
            if iteration == max_iterations:
                return _copy(network)
        score = _validate(network, *check)
        if score > best_score:
            best, best_score = _copy(network), score
        report(f"epoch {epoch + 1}/{recipe.epochs}: validation accuracy {score[0]:.4f}, loss {-score[1]:.4f}")
    return best


def _rate(step: int, warmup: int, total: int) -> float:
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))


def _normalise(values: torch.Tensor) -> torch.Tensor:
    return ((values - INPUT.mean[0]) / INPUT.std[0]).expand(-1, 3, -1, -1)


def _validate(network: nn.Module, inputs: torch.Tensor, classes: torch.Tensor) -> tuple[float, float]:
    """(accuracy, minus loss) over dark-on-light and light-on-dark pictures; the greater the better."""
    network.eval()
    with torch.inference_mode():
        logits = torch.cat([network(_normalise(inputs)), network(_normalise(1 - inputs))])
    twice = torch.cat([classes, classes])
    accuracy = (logits.argmax(dim=1) == twice).float().mean()
    return float(accuracy), -float(functional.cross_entropy(logits, twice))


def _copy(network: nn.Module) -> Weights:
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def _artifact(recipe: Recipe, attempt: int, weights: Weights) -> Artifact:
    provenance: dict[str, Any] = {
        "data": "scikit-learn load_digits (UCI Optical Recognition of Handwritten Digits)",
        "trained_by": "squeezenet digits train",
        "recipe": asdict(recipe),
        "attempt": attempt + 1,
        "torch": torch.__version__.split("+")[0],
        "torchvision": torchvision.__version__.split("+")[0],
    }
    config = ArtifactConfig(ARCHITECTURE, len(LABELS), INPUT, provenance)
    state = {name: tensor.numpy() for name, tensor in weights.items()}
    return Artifact(config, LABELS, state, digest="")


@contextmanager
def _reproducible(seed: int, threads: int) -> Iterator[None]:
    """PyTorch seeded, deterministic, with a fixed number of threads; the settings come back after."""
    before = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True)
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before[0])
            torch.set_num_threads(before[1])
