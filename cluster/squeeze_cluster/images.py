"""Every image on the cluster: pulled where a public registry answers, otherwise built here.

An image is made once for its inputs: the record beside the cache says from which inputs the engine's
image was made, so that a stale one is never used.
"""

import io
import json
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from squeeze_cluster import engine, gobuild, paths, shell, sources
from squeeze_cluster.hashing import key_of, key_of_files, source_files
from squeeze_cluster.settings import Settings

PULLED = "pulled"
BASE = "debian:trixie-slim"
_SUITE = "trixie"
_PASSWD = "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532::/tmp:/sbin/nologin\n"
_GROUP = "root:x:0:\nnonroot:x:65532:\n"


@dataclass(frozen=True)
class Image:
    """An image by the name that the cluster uses: its inputs' key, how to make it, what it stands on."""

    reference: str
    key: Callable[[], str]
    build: Callable[[str], None]
    public: bool = True
    base: "Image | None" = None


def ensure(image: Image, settings: Settings) -> str:
    """Have the engine hold an image; returns "kept", "pulled" or "built"."""
    record = _record_file(image.reference)
    known: Mapping[str, str] = json.loads(record.read_text()) if record.exists() else {}
    current = image_id(image.reference)
    if current and known.get("id") == current and known.get("key") in {PULLED, image.key()}:
        return "kept"
    if image.public and sources.pull(image.reference, settings):
        how, key = "pulled", PULLED
    else:
        if image.base:
            ensure(image.base, settings)
        image.build(image.reference)
        how, key = "built", image.key()
    record.write_text(json.dumps({"key": key, "id": image_id(image.reference)}))
    return how


def image_id(reference: str) -> str:
    """The engine's id of an image, or "" when it has none of that name."""
    return shell.run("docker", "image", "inspect", "--format", "{{.Id}}", reference, check=False).strip()


def from_binary(
    binary: str, reference: str, *, user: str = "65532", at: str = "/usr/local/bin", name: str = ""
) -> Image:
    """An image of one static program (called `name` in folder `at`), the CA bundle and a user list."""
    path = f"{at.rstrip('/')}/{name or binary}"

    def build(reference: str) -> None:
        archive = _program_tree(gobuild.build(binary), path.lstrip("/"))
        changes = [f'ENTRYPOINT ["{path}"]', f"USER {user}", "ENV PATH=/usr/local/bin:/"]
        options = [word for change in changes for word in ("--change", change)]
        shell.run("docker", "import", *options, "-", reference, stdin=archive)

    return Image(reference, lambda: key_of(gobuild.binary_key(binary), user, path), build)


def base() -> Image:
    """Debian's slim base, made by mmdebstrap where no registry serves it."""
    return _debian(BASE, ("ca-certificates",), public=True)


def node_base(packages: tuple[str, ...]) -> Image:
    """The Debian system below a kind node."""
    return _debian("squeezeserve/node-base:build", packages, public=False)


def from_dockerfile(
    reference: str,
    folder: Path,
    context: Callable[[Path], None],
    key: Callable[[], str],
    *,
    public: bool = True,
    arguments: Mapping[str, str] = MappingProxyType({}),
) -> Image:
    """An image on Debian's base, from images/<name>/; `context` fills a new folder with what it copies.

    `arguments` are the Dockerfile's own.
    """
    options = [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]

    def build(reference: str) -> None:
        with tempfile.TemporaryDirectory(dir=paths.cache_dir("build")) as name:
            work = Path(name)
            shutil.copytree(folder, work, dirs_exist_ok=True)
            shutil.copy(paths.CA_BUNDLE, work / "ca-certificates.crt")
            context(work)
            command = ("docker", "build", "--quiet", "--network", "host", *options, "-t", reference)
            shell.run(*command, work, env={"DOCKER_BUILDKIT": "0"})

    def full_key() -> str:
        return key_of(key_of_files(folder, source_files(folder)), key(), *options)

    return Image(reference, full_key, build, public, base())


def _debian(reference: str, packages: tuple[str, ...], *, public: bool) -> Image:
    key = key_of(_SUITE, *packages)

    def build(reference: str) -> None:
        archive = paths.cache_dir("base") / f"{key}.tar"
        if not archive.exists():
            if not shutil.which("mmdebstrap"):
                engine.apt_install("mmdebstrap", "debian-archive-keyring")
            partial = archive.with_suffix(".partial.tar")
            include = "--include=" + ",".join(packages)
            shell.run("mmdebstrap", "--variant=minbase", include, "--quiet", _SUITE, partial)
            partial.rename(archive)
        shell.run("docker", "import", "--change", 'CMD ["bash"]', archive, reference)

    return Image(reference, lambda: key, build, public)


def _program_tree(program: Path, name: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for folder in ("etc", "etc/ssl", "etc/ssl/certs", "usr", "usr/local", "usr/local/bin"):
            _add(archive, folder, None, 0o755)
        _add(archive, "tmp", None, 0o1777)
        _add(archive, name, program.read_bytes(), 0o755)
        _add(archive, "etc/ssl/certs/ca-certificates.crt", paths.CA_BUNDLE.read_bytes(), 0o644)
        _add(archive, "etc/passwd", _PASSWD.encode(), 0o644)
        _add(archive, "etc/group", _GROUP.encode(), 0o644)
    return buffer.getvalue()


def _add(archive: tarfile.TarFile, name: str, data: bytes | None, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.mode = mode
    if data is None:
        entry.type = tarfile.DIRTYPE
        archive.addfile(entry)
    else:
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))


def _record_file(reference: str) -> Path:
    return paths.cache_dir("images") / (reference.replace("/", "_").replace(":", "_") + ".json")
