"""CUDA graphs: what a pass makes a GPU do is recorded once, so a small batch does not wait for its launches.

A graph computes one batch size, from one place in memory to another. So a batch is copied into the smallest
graph that holds it; what else lies in there is computed as well, and dropped.
See https://pytorch.org/docs/stable/notes/cuda.html#cuda-graphs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from squeezenet.errors import EngineError

WARM_UPS = 3
"""Passes before the recording, in which cuDNN chooses its kernels and memory is taken."""


class Recording(NamedTuple):
    """``replay`` computes ``output`` [size, classes] from ``given`` [size, 3, crop, crop], all in place."""

    given: torch.Tensor
    output: torch.Tensor
    replay: Callable[[], None]


Record = Callable[[torch.nn.Module, torch.Tensor], Recording]


def record(network: torch.nn.Module, given: torch.Tensor) -> Recording:
    """Records one pass on the current GPU. Raises RuntimeError where that cannot be."""
    beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(WARM_UPS):
            network(given)
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        output = network(given)
    return Recording(given, output, graph.replay)


class GraphedNetwork:
    """A network in recordings of several batch sizes, each proved against the network itself.

    Not thread-safe: all calls share the recordings' memory. ``tolerance`` bounds the difference of a logit,
    relative to the largest.
    Raises EngineError where a recording computes something else, RuntimeError where there can be none.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        sizes: Sequence[int],
        crop: int,
        tolerance: float,
        record: Record = record,
    ) -> None:
        like = next(network.parameters())
        self._recordings = []
        with torch.inference_mode():
            for size in sorted(sizes):
                given = torch.zeros((size, 3, crop, crop), dtype=like.dtype, device=like.device)
                recording = record(network, given.contiguous(memory_format=torch.channels_last))
                _prove(network, recording, tolerance)
                self._recordings.append(recording)

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        """Logits [N, classes] of a batch [N, 3, crop, crop] on any device, N at most the largest size.

        They hold until the next call.
        """
        count = len(batch)
        recording = next(each for each in self._recordings if len(each.given) >= count)
        recording.given[:count].copy_(batch)
        recording.replay()
        return recording.output[:count]


def _prove(network: torch.nn.Module, recording: Recording, tolerance: float) -> None:
    # Not what was recorded: a pass that computes nothing would give that again. So far beyond a picture's
    # values the logits are those of the input, and not of the network's biases.
    recording.given.normal_(std=100)
    recording.replay()
    found, wanted = recording.output.float(), network(recording.given).float()
    difference = float((found - wanted).abs().max() / wanted.abs().max())
    # Not `>`, which NaN would pass.
    if not difference <= tolerance:
        raise EngineError(f"a CUDA graph of {len(recording.given)} pictures is {difference:.2g} off")
