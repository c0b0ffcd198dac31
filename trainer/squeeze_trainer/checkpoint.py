"""What a run needs to go on exactly where it stopped, written so that no half of it is ever taken for the
whole.

A checkpoint is written beside its name, synced to the disk and renamed; the two newest are kept, and one that
cannot be read gives way to the one before it.
"""

from __future__ import annotations

import io
import os
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import torch

from squeeze_trainer.errors import CheckpointError

FORMAT = 1
_KEPT = 2
_NAME = re.compile(r"(\d{9})-(\d{9})\.pt")
Content = dict[str, Any]


def name(attempt: int, iteration: int) -> str:
    """A later checkpoint sorts after an earlier one."""
    return f"{attempt:09}-{iteration:09}.pt"


def is_name(text: str) -> bool:
    """Whether a file of this name is a complete checkpoint."""
    return _NAME.fullmatch(text) is not None


def save(folder: Path, attempt: int, iteration: int, content: Content) -> Path:
    """Writes a checkpoint and removes old ones; returns its path. Raises OSError, and leaves no half."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / name(attempt, iteration)
    partial = target.with_name(f".{target.name}.partial")
    # PyTorch's own writer tells of a full disk as of a position that it did not expect.
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, **content}, buffer)
    try:
        with partial.open("wb") as file:
            _write(file, buffer)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    _publish(partial, target)
    # Those of saves that a kill ended are nobody's.
    for old in (*list_all(folder)[_KEPT:], *folder.glob(".*.partial")):
        old.unlink()
    return target


def _write(file: BinaryIO, content: io.BytesIO) -> None:
    file.write(content.getbuffer())
    file.flush()
    os.fsync(file.fileno())


def _publish(partial: Path, target: Path) -> None:
    partial.replace(target)
    _sync_folder(target.parent)


def list_all(folder: Path) -> list[Path]:
    """Complete checkpoints, the newest first."""
    if not folder.is_dir():
        return []
    return sorted((path for path in folder.iterdir() if is_name(path.name)), reverse=True)


def load_newest(folder: Path, report: Callable[[str], None]) -> Content | None:
    """The newest checkpoint that can be read, None where there is none.

    Raises CheckpointError where there are some, and none can be read.
    """
    paths = list_all(folder)
    for path in paths:
        try:
            content: Content = torch.load(path, map_location="cpu", weights_only=True)
        except (
            OSError,
            RuntimeError,
            ValueError,
            EOFError,
            pickle.UnpicklingError,
            zipfile.BadZipFile,
        ) as error:
            report(f"{path.name} is damaged ({type(error).__name__}); trying the one before it")
            continue
        if content.get("format") != FORMAT:
            raise CheckpointError(
                f"{path} is of another version of the trainer: finish it there, or use --fresh."
            )
        report(f"resuming from {path.name}")
        return content
    if paths:
        raise CheckpointError(f"no checkpoint in {folder} can be read: begin again with --fresh.")
    return None


def clear(folder: Path) -> None:
    """Removes all checkpoints."""
    for path in list_all(folder):
        path.unlink()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
