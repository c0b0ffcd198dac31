"""Prometheus' programs for the tests: the machine's own, or those of Debian's package, unpacked."""

import fcntl
import shutil
import subprocess
import tempfile
from pathlib import Path

from squeeze_cluster import paths


def program(name: str) -> Path:
    """The path of `prometheus` or `promtool`.

    Nothing is installed on the machine. Raises CalledProcessError where Debian's package cannot be fetched.
    """
    if found := shutil.which(name):
        return Path(found)
    folder = paths.cache_dir("debian") / "prometheus"
    with (paths.cache_dir("debian") / "lock").open("w") as lock:
        # Unit and integration tests may start at the same time.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _unpack("prometheus", folder)
    return folder / "usr" / "bin" / name


def _unpack(package: str, target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        download = ["apt-get", "download", "-qq", package]
        if subprocess.run(download, cwd=folder, check=False, capture_output=True).returncode:
            # Fresh machines have no package lists yet.
            subprocess.run(["apt-get", "update", "-qq"], check=True, capture_output=True)
            subprocess.run(download, cwd=folder, check=True, capture_output=True)
        (archive,) = Path(folder).glob("*.deb")
        subprocess.run(["dpkg-deb", "-x", archive, Path(folder) / "unpacked"], check=True)
        (Path(folder) / "unpacked").rename(target)
