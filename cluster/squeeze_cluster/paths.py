"""Where things are: the checkout, the cache beside it, and the files a user may look for.

Nothing here touches the disk except `cache_dir`, which makes the folder it returns.
"""

import os
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
CLUSTER = REPO / "cluster"
IMAGES = REPO / "images"
CHART = REPO / "charts" / "squeezeserve"
CACHE = Path(os.environ.get("SQUEEZESERVE_CACHE", Path.home() / ".cache" / "squeezeserve"))
KUBECONFIG = CACHE / "kubeconfig"
UV = Path(sys.executable).with_name("uv")
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")


def cache_dir(*parts: str) -> Path:
    """The folder CACHE/parts…, made if it is missing."""
    folder = CACHE.joinpath(*parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
