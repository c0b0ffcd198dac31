"""Keeps a run's folder at a URI, so that a run outlives the pod that it ran in."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fsspec.core import url_to_fs

from squeeze_trainer import checkpoint
from squeeze_trainer.errors import OutputError
from squeeze_trainer.runs import EVENTS, MODEL, REPORT

CHECKPOINTS = "checkpoints"
_LOOK_SECONDS = 1.0


class Mirror:
    """A copy of ``folder`` at ``uri`` (s3://bucket/path or whatever else fsspec writes).

    Checkpoints are copied once they are complete, and an object store shows an object only whole, so what is
    read back is a checkpoint that was complete.
    """

    def __init__(self, folder: Path, uri: str) -> None:
        self._folder = folder
        self._uri = uri
        self._copied: set[str] = set()
        with self._named_errors():
            self._files, self._root = url_to_fs(uri)

    def fetch(self) -> None:
        """Brings the checkpoints of an earlier pod into the folder. Raises OutputError."""
        target = self._folder / CHECKPOINTS
        target.mkdir(parents=True, exist_ok=True)
        with self._named_errors():
            for name in self._remote_checkpoints():
                partial = target / f".{name}.partial"
                self._files.get_file(f"{self._root}/{CHECKPOINTS}/{name}", str(partial))
                partial.replace(target / name)
                self._copied.add(name)

    def prove_writable(self, note: str) -> None:
        """Writes ``run.txt``, so that a wrong output fails before the training. Raises OutputError."""
        with self._named_errors():
            self._files.pipe_file(f"{self._root}/run.txt", f"{note}\n".encode())

    def copy_checkpoints(self) -> None:
        """Copies new checkpoints and removes those that are gone here. Raises OutputError."""
        kept = [path.name for path in checkpoint.list_all(self._folder / CHECKPOINTS)]
        with self._named_errors():
            for name in kept:
                if name not in self._copied:
                    self._copy(f"{CHECKPOINTS}/{name}")
                    self._copied.add(name)
            for name in self._copied - set(kept):
                self._files.rm_file(f"{self._root}/{CHECKPOINTS}/{name}")
                self._copied.discard(name)

    def copy_results(self) -> None:
        """Copies the artifact, the report and the event files. Raises OutputError."""
        with self._named_errors():
            for part in (MODEL, REPORT, EVENTS):
                for path in sorted((self._folder / part).rglob("*")):
                    if path.is_file():
                        self._copy(str(path.relative_to(self._folder)))

    @contextmanager
    def following(self) -> Iterator[None]:
        """Copies checkpoints beside the training as they come, and once more in the end, whatever that is."""
        stop = threading.Event()
        thread = threading.Thread(target=self._follow, args=(stop,), name="mirror", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            self.copy_checkpoints()

    def _follow(self, stop: threading.Event) -> None:
        while not stop.wait(_LOOK_SECONDS):
            try:
                self.copy_checkpoints()
            except OutputError as error:
                # The next round tries again; the one after the training has to succeed.
                print(f"{error.reason}: {error.message}", file=sys.stderr, flush=True)

    def _remote_checkpoints(self) -> list[str]:
        folder = f"{self._root}/{CHECKPOINTS}"
        if not self._files.exists(folder):
            return []
        names = (path.rpartition("/")[2] for path in self._files.find(folder))
        return sorted(name for name in names if checkpoint.is_name(name))

    def _copy(self, name: str) -> None:
        try:
            self._files.put_file(str(self._folder / name), f"{self._root}/{name}")
        except FileNotFoundError:
            # The trainer keeps the two newest checkpoints: this one went while it was copied.
            if (self._folder / name).exists():
                raise

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except OutputError:
            raise
        # Each filesystem raises classes of its own library for a wrong bucket, credentials or a dead link.
        except Exception as error:
            raise OutputError(
                f"{self._uri} cannot be read or written: {error or type(error).__name__}. Check the bucket, "
                "the path and the credentials."
            ) from error
