"""WebDataset shards, read at random: each tar's headers are read once, the pictures when they are needed.

A sample is the files of one key (the path up to the first dot of its last part): a picture, and ``cls``
with a class number or name, or ``json`` with a ``label`` or ``cls``. Shards belong to the split that their
folder or name begins with (``train-000.tar``, ``val/000.tar``); without such names all are divided by
fraction. Streaming a shard from its start would be faster on a remote disk, but could neither resume in the
middle of an epoch nor share pictures out evenly; a cache folder gives remote shards the same speed after
the first reading.
"""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import IO

from squeeze_trainer.errors import DataError
from squeeze_trainer.layouts import SPLITS, SUFFIXES, Found, split_of
from squeeze_trainer.store import Store, tar_members

_NAME_FILES = ("labels.txt", "classnames.txt", "classes.txt")
_LABEL_BYTES = 1024 * 1024
Row = tuple[str, int, int, str]


def find(store: Store, files: Mapping[str, int | None]) -> Found:
    """The pictures of all shards below a URI. Raises DataError naming the shard and the sample at fault."""
    pictures: dict[str, list[Row]] = {name: [] for name in (*SPLITS, "all")}
    shards = sorted(path for path in files if path.endswith(".tar") or path == "")
    splits = {path: _split(path) for path in shards}
    by_split = "train" in splits.values()
    for path in shards:
        split = splits[path] if by_split else "all"
        if split is not None:
            pictures[split].extend(_rows(store, path))
    found = {row[3] for rows in pictures.values() for row in rows}
    names = _names(store, files)
    order = _order(found, names, store.uri)
    numbered = {str(number): name for number, name in enumerate(names)} if names else None
    return Found(
        pictures,
        {name: frozenset(row[3] for row in rows) for name, rows in pictures.items()},
        (),
        order,
        numbered,
    )


def _split(path: str) -> str | None:
    whole = split_of(path)
    return whole or split_of(re.split(r"[-_.\d]", PurePosixPath(path).name)[0])


def _names(store: Store, files: Mapping[str, int | None]) -> tuple[str, ...]:
    for name in _NAME_FILES:
        if name in files:
            return tuple(line.strip() for line in store.read(name).decode().splitlines() if line.strip())
    return ()


def _order(found: set[str], names: tuple[str, ...], uri: str) -> tuple[str, ...]:
    """Class ids: numbers count from 0 to the highest (or to the names' end), words are sorted."""
    if not all(text.isdigit() for text in found):
        return tuple(sorted(found))
    count = max((int(text) for text in found), default=-1) + 1
    if names and count > len(names):
        raise DataError(
            f"{uri} has class number {count - 1}, and its names are {len(names)}: give one name a class."
        )
    return tuple(str(number) for number in range(max(count, len(names))))


def _rows(store: Store, path: str) -> list[Row]:
    where = path or store.uri
    pictures: dict[str, tuple[int, int]] = {}
    labels: dict[str, str] = {}
    try:
        with store.file(path) as file:
            for member in tar_members(file):
                key, _, kind = _key(member.name)
                if PurePosixPath(member.name).suffix.lower() in SUFFIXES:
                    pictures[key] = (member.offset_data, member.size)
                elif kind in ("cls", "json") and member.size <= _LABEL_BYTES:
                    _add_label(labels, key, kind, _peek(file, member))
    except tarfile.TarError as error:
        raise DataError(
            f"{where} is no uncompressed tar archive, or is damaged ({error}): write it again, without "
            f"compression."
        ) from error
    unlabelled = [key for key in pictures if key not in labels]
    if unlabelled:
        raise DataError(
            f"{where} has {len(unlabelled)} picture(s) without a class, such as {unlabelled[0]}: add a .cls "
            f"file with the class number to each."
        )
    return [(path, offset, size, labels[key]) for key, (offset, size) in pictures.items()]


def _key(name: str) -> tuple[str, str, str]:
    folder, slash, last = name.rpartition("/")
    stem, dot, kind = last.partition(".")
    return folder + slash + stem, dot, kind.lower()


def _peek(file: IO[bytes], member: tarfile.TarInfo) -> bytes:
    """A member's bytes; the archive goes on from where it was."""
    position = file.tell()
    file.seek(member.offset_data)
    data = file.read(member.size)
    file.seek(position)
    return data


def _add_label(labels: dict[str, str], key: str, kind: str, data: bytes) -> None:
    try:
        text = data.decode().strip()
        if kind == "cls":
            labels[key] = text
            return
        document = json.loads(text)
    except ValueError:
        return
    if isinstance(document, dict):
        label = document.get("label", document.get("cls"))
        if label is not None:
            labels.setdefault(key, str(label))
