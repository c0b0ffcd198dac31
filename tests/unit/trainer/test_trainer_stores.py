"""Pictures in shards and at URIs are the same pictures as in a folder."""

from __future__ import annotations

import functools
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import webdataset
from squeeze_trainer import listing
from squeeze_trainer.dataset import Pictures
from squeeze_trainer.errors import DataError
from squeeze_trainer.layouts import SPLITS
from squeeze_trainer.settings import DataSettings
from squeeze_trainer.store import Store, resolve
from squeezenet.config import InputSpec
from unit.trainer import trees

SPEC = InputSpec(resize=24, crop=24)


def load(uri: str, cache: Path | None = None) -> listing.Listing:
    return listing.load(DataSettings(uri, cache=cache))


def pixels(uri: str, cache: Path | None = None) -> list[bytes]:
    """Every training picture as the network would see it, sorted."""
    split = load(uri, cache).train
    pictures = Pictures(split, Store(uri, cache), SPEC)
    items = [pictures[0, row] for row in range(len(split))]
    assert not [item.damage for item in items if item.damage]
    return sorted(bytes([item.label]) + item.pixels.tobytes() for item in items)


def shards(tree: Path, target: Path) -> Path:
    """A tree as shards, written by the webdataset library, two pictures' kinds of label in turn."""
    target.mkdir()
    for split in ("train", "val", "test"):
        paths = sorted(tree.glob(f"{split}/*/*.png"))
        with webdataset.ShardWriter(f"{target}/{split}-%06d.tar", maxcount=5, verbose=0) as writer:
            for path in paths:
                number = int(path.parent.name)
                label = {"cls": number} if int(path.stem) % 2 else {"json": {"label": number}}
                key = f"{number}/{path.stem}"
                writer.write({"__key__": key, "png": path.read_bytes(), **label})
    return target


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """A web server on this machine that lists a folder."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trees.tree(tmp_path_factory.mktemp("tree"), counts={"train": 4, "val": 2, "test": 1})


def test_shards_of_the_webdataset_library_hold_the_same_pictures(tree: Path, tmp_path: Path) -> None:
    target = shards(tree, tmp_path / "shards")
    found = load(str(target))
    assert len(list(target.glob("train-*.tar"))) == 2
    assert found.classes == ("0", "1")
    assert [len(found.split(name)) for name in SPLITS] == [8, 4, 2]
    assert pixels(str(target)) == pixels(str(tree))


def test_shards_may_bring_names_for_their_class_numbers(tree: Path, tmp_path: Path) -> None:
    target = shards(tree, tmp_path / "shards")
    (target / "classnames.txt").write_text("zero\none\n")
    assert load(str(target)).classes == ("zero", "one")
    (target / "classnames.txt").write_text("zero\n")
    with pytest.raises(DataError, match="class number 1, and its names are 1"):
        load(str(target))


def test_one_shard_alone_is_divided_by_fraction(tree: Path, tmp_path: Path) -> None:
    path = tmp_path / "all.tar"
    with tarfile.open(path, "w") as archive:
        for file in sorted(tree.glob("*/*/*.png")):
            for name, data in (
                (f"{file.stem}.png", file.read_bytes()),
                (f"{file.stem}.cls", b"digit-" + file.parent.name.encode()),
            ):
                member = tarfile.TarInfo(f"{file.parent.name}-{name}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    found = load(str(path))
    assert found.classes == ("digit-0", "digit-1")
    assert sum(len(found.split(name)) for name in SPLITS) == 14


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no tar archive at all", "train-0.tar is no uncompressed tar archive"),
        (b"\x1f\x8b\x08\x00rest", "without compression"),
        (None, r"1 picture\(s\) without a class, such as a/b: add a \.cls file"),
    ],
)
def test_unusable_shards_are_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "train-0.tar"
    if content is None:
        with tarfile.open(path, "w") as archive:
            member = tarfile.TarInfo("a/b.png")
            archive.addfile(member, io.BytesIO())
    else:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        load(str(tmp_path))


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("sharded", [False, True])
def test_a_remote_tree_holds_the_same_pictures(
    tree: Path, tmp_path: Path, cached: bool, sharded: bool
) -> None:
    local = shards(tree, tmp_path / "shards") if sharded else tree
    cache = tmp_path / "cache" if cached else None
    with served(local) as uri:
        assert pixels(uri, cache) == pixels(str(local))
    if cache:
        assert not list(cache.glob("*.partial"))
        copies = len(list(cache.iterdir()))
        assert copies == len(list(local.rglob("*.tar") if sharded else local.rglob("train/*/*.png")))


def test_a_cached_file_is_fetched_once(tree: Path, tmp_path: Path) -> None:
    path = "train/0/000.png"
    with served(tree) as uri:
        store = Store(uri, tmp_path)
        first = store.read(path)
    assert store.read(path) == first == (tree / path).read_bytes()
    assert store.read(path, 3, 5) == first[3:8]


def test_a_remote_that_is_not_there_is_named() -> None:
    with pytest.raises(DataError, match=r"s4://bucket/path cannot be read: .*s4"):
        load("s4://bucket/path")
    with pytest.raises(DataError, match=r"http://127\.0\.0\.1:9/pictures"):
        load("http://127.0.0.1:9/pictures")


def test_a_claim_is_a_mounted_folder(monkeypatch: pytest.MonkeyPatch, tree: Path) -> None:
    assert resolve("pvc://pictures/sets/pets") == "/mnt/volumes/pictures/sets/pets"
    monkeypatch.setenv("SQUEEZESERVE_VOLUMES", str(tree.parent))
    assert len(load(f"pvc://{tree.name}").train) == 8


def test_labels_in_json_need_a_label(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        data = json.dumps({"width": 8}).encode()
        for name, content in (("k.png", trees.digit(0, 0)), ("k.json", data)):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    with pytest.raises(DataError, match="without a class"):
        load(str(path))
