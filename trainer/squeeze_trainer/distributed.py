"""The processes of one training: who they are, and what they agree on.

Everything but gradients goes over gloo in float64 on CPU tensors, so that counts stay exact and no GPU waits.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from squeezenet.errors import DeviceError

from squeeze_trainer.rendezvous import meet

# A process that died closes its connections, which the others see at once; this is for one that hangs.
PATIENCE = timedelta(minutes=10)
CPU = torch.device("cpu")
T = TypeVar("T")


@dataclass(frozen=True)
class Group:
    """This process among all: ``rank`` 0 speaks for them. One process alone needs no torchrun."""

    rank: int = 0
    world: int = 1
    device: torch.device = CPU

    @property
    def leads(self) -> bool:
        """Whether this process writes files and speaks to a person."""
        return self.rank == 0

    def sum(self, values: Sequence[float]) -> list[float]:
        """The sums over all processes, exact for whole numbers up to 2**53."""
        if self.world == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(tensor)
        return [float(value) for value in tensor.tolist()]

    def sum_counts(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """The sums over all processes of an array of counts."""
        if self.world == 1:
            return counts
        tensor = torch.from_numpy(counts.copy())
        dist.all_reduce(tensor)
        return tensor.numpy()

    def gather(self, value: T) -> list[T]:
        """Every process's value, by rank, in every process."""
        if self.world == 1:
            return [value]
        found: list[Any] = [None] * self.world
        dist.all_gather_object(found, value)
        return found

    def from_leader(self, value: T) -> T:
        """The leader's value, in every process."""
        if self.world == 1:
            return value
        held = [value]
        dist.broadcast_object_list(held, src=0, device=torch.device("cpu"))
        return held[0]


@contextmanager
def group(
    device: Literal["auto", "cpu", "cuda"], asked_to_stop: Callable[[], bool] = lambda: False
) -> Iterator[Group]:
    """The group that torchrun's environment describes, or this process alone.

    Raises DeviceError, and InterruptedRun where the process is asked to stop before all are there.
    """
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    chosen = _device(device)
    if world == 1:
        yield Group(device=chosen)
        return
    backend = "cpu:gloo,cuda:nccl" if chosen.type == "cuda" else "gloo"
    store = meet(rank, world, PATIENCE, asked_to_stop)
    dist.init_process_group(backend, store=store, rank=rank, world_size=world, timeout=PATIENCE)
    try:
        yield Group(rank, world, chosen)
    finally:
        dist.destroy_process_group()


def _device(wanted: Literal["auto", "cpu", "cuda"]) -> torch.device:
    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise DeviceError("no CUDA device is visible here: give the process a GPU, or use --device cpu.")
    if wanted == "cpu" or not there:
        return torch.device("cpu")
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(device)
    return device
