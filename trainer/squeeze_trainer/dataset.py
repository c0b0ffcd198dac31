"""Pictures of a split as squares for the network, and batches of them.

A picture that cannot be decoded becomes a black square with the label IGNORED, which no loss and no count
sees: every process goes on in step, and the damage is named and counted.
"""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from squeezenet.config import InputSpec
from squeezenet.errors import PictureError
from squeezenet.pictures import FORMATS, sniff
from squeezenet.preprocess import DEFAULT_LIMITS, decode, to_pixels
from torch.utils.data import DataLoader, Dataset

from squeeze_trainer import augmentation
from squeeze_trainer.listing import Split
from squeeze_trainer.sampler import PADDING, EvaluationKeys, TrainingKeys, seed_of
from squeeze_trainer.settings import Augmentation
from squeeze_trainer.store import Store

IGNORED = -100
Key = tuple[int, int]


@dataclass(frozen=True)
class Item:
    """One picture: pixels uint8 [crop, crop, 3], its class, and why it could not be read, if so."""

    pixels: NDArray[np.uint8]
    label: int
    damage: tuple[str, str] | None = None


@dataclass(frozen=True)
class Batch:
    """``pixels`` uint8 [N, crop, crop, 3], ``labels`` int64 [N] (IGNORED where there is no picture).

    ``damage``: (name, cause) of each picture that could not be read.
    """

    pixels: torch.Tensor
    labels: torch.Tensor
    damage: tuple[tuple[str, str], ...]

    def __len__(self) -> int:
        return len(self.labels)

    def pin_memory(self) -> Batch:
        """Called by the loader, so that a copy to the GPU need not wait."""
        return Batch(self.pixels.pin_memory(), self.labels.pin_memory(), self.damage)


class Pictures(Dataset[Item]):
    """A split's pictures: augmented where ``augment`` is given, else preprocessed exactly as serving does.

    A key is (epoch, row). The augmentation follows from (seed, epoch, row).
    """

    def __init__(
        self, split: Split, store: Store, spec: InputSpec, augment: Augmentation | None = None, seed: int = 0
    ) -> None:
        self._split, self._store, self._spec, self._seed = split, store, spec, seed
        self._change = augmentation.transforms(augment, spec) if augment else None

    def __getitem__(self, key: Key) -> Item:
        epoch, row = key
        if row == PADDING:
            return Item(self._black(), IGNORED)
        try:
            picture = decode(self._read(row), DEFAULT_LIMITS)
        except PictureError as error:
            return Item(self._black(), IGNORED, (self._split.name(row), error.message))
        except OSError as error:
            cause = error.strerror or str(error) or type(error).__name__
            return Item(self._black(), IGNORED, (self._split.name(row), cause))
        if self._change is None:
            pixels = to_pixels(picture, self._spec)
        else:
            pixels = augmentation.augment(self._change, picture, seed_of(self._seed, epoch, row))
        return Item(pixels, int(self._split.labels[row]))

    def _read(self, row: int) -> bytes:
        offset = int(self._split.offsets[row])
        path = self._split.paths[row].decode()
        if offset < 0:
            return self._store.read(path)
        return self._store.read(path, offset, int(self._split.sizes[row]))

    def _black(self) -> NDArray[np.uint8]:
        return np.zeros((self._spec.crop, self._spec.crop, 3), np.uint8)


def collate(items: list[Item]) -> Batch:
    """Stacks pictures of one size."""
    return Batch(
        torch.from_numpy(np.stack([item.pixels for item in items])),
        torch.tensor([item.label for item in items], dtype=torch.int64),
        tuple(item.damage for item in items if item.damage is not None),
    )


def loader(
    pictures: Pictures, keys: TrainingKeys | EvaluationKeys, workers: int, pin: bool
) -> DataLoader[Item]:
    """Batches by the keys, read ahead by ``workers`` processes (0: by this one)."""
    options: dict[str, Any] = {"prefetch_factor": 4, "worker_init_fn": _begin_worker} if workers else {}
    return DataLoader(
        pictures,
        batch_sampler=keys,
        num_workers=workers,
        collate_fn=collate,
        pin_memory=pin,
        **options,
    )


def _begin_worker(_: int) -> None:
    # Two processes that each use all cores for one picture are slower than two that use one each.
    torch.set_num_threads(1)
    # A signal to the whole group is for the process that trains, which ends these when it has saved.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def heads(split: Split, store: Store) -> NDArray[np.int64]:
    """Rows of the files whose first bytes are those of no picture format; reads 64 bytes of each."""

    def is_wrong(row: int) -> bool:
        offset = max(0, int(split.offsets[row]))
        try:
            head = store.read(split.paths[row].decode(), offset, min(64, int(split.sizes[row])))
        except OSError:
            return True
        return sniff(head) not in FORMATS

    with ThreadPoolExecutor(8) as pool:
        return np.flatnonzero(list(pool.map(is_wrong, range(len(split)))))
