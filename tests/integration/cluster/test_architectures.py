"""Images can be built for both architectures: every package of their locks comes as a wheel for each."""

import platform
import subprocess
from pathlib import Path

import pytest
from squeeze_cluster import paths

PYTHON = "3.13"
"""That of the images' base."""


@pytest.mark.parametrize("lock", ["operator", "predictor", "storage"])
@pytest.mark.parametrize("machine", sorted({"aarch64", "x86_64"} - {platform.machine()}))
def test_every_package_has_a_wheel_for_the_other_architecture(
    lock: str, machine: str, tmp_path: Path
) -> None:
    command = [
        *(str(paths.UV), "pip", "install", "--dry-run", "--target", str(tmp_path), "--no-deps"),
        *("--python-platform", f"{machine}-manylinux_2_40", "--python-version", PYTHON),
        *("--only-binary", ":all:", "--require-hashes", "-r", f"requirements/{lock}.lock"),
    ]
    done = subprocess.run(command, cwd=paths.REPO, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "Would install" in done.stderr
