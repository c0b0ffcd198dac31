"""Writes what is generated from the chart and the CRDs, or checks that it is current.

`manifests/crds` is the source of the CRDs; the chart carries a copy, since Helm reads nothing outside
a chart. The chart is the source of `manifests/install.yaml`. Nothing here touches a cluster.
"""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "charts" / "squeezeserve"
CRDS = ROOT / "manifests" / "crds"
CHART_CRDS = CHART / "files" / "crds"
INSTALL = ROOT / "manifests" / "install.yaml"
RELEASE = "squeezeserve"
NAMESPACE = "squeezeserve-system"

# Helm makes the namespace itself (--create-namespace), so the chart holds none; kubectl needs it first.
HEADER = f"""\
# Rendered from charts/squeezeserve by charts/render.py: change the chart, not this file.
# Apply with `kubectl apply --server-side -f install.yaml`.
apiVersion: v1
kind: Namespace
metadata:
  name: {NAMESPACE}
  labels:
    app.kubernetes.io/part-of: squeezeserve
    pod-security.kubernetes.io/enforce: restricted
    pod-security.kubernetes.io/audit: restricted
    pod-security.kubernetes.io/warn: restricted
"""


def helm_program() -> str:
    """Path of the helm program: $HELM, or the one that the cluster tools pin and build."""
    if named := os.environ.get("HELM"):
        return named
    from squeeze_cluster.binaries import ensure_binary  # builds for minutes the first time: only when needed

    return str(ensure_binary("helm"))


def render_install() -> str:
    """The text of install.yaml; raises CalledProcessError where the chart does not render."""
    command = [helm_program(), "template", RELEASE, str(CHART), "--namespace", NAMESPACE, "--skip-tests"]
    rendered = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    # Helm's releases differ in the empty lines between documents.
    return HEADER + re.sub(r"\n+---\n", "\n---\n", rendered)


def crd_copies() -> dict[Path, str]:
    """The chart's copies of the CRDs: path and text of each."""
    return {CHART_CRDS / source.name: source.read_text() for source in sorted(CRDS.glob("*.yaml"))}


def stale_copies(wanted: dict[Path, str]) -> list[Path]:
    """Copies that differ from their source, lack one, or are missing."""
    present = set(CHART_CRDS.glob("*.yaml"))
    changed = {path for path, text in wanted.items() if not path.exists() or path.read_text() != text}
    return sorted(changed | (present - wanted.keys()))


def write_copies() -> list[Path]:
    """Bring the chart's CRDs up to date; returns what has changed."""
    wanted = crd_copies()
    stale = stale_copies(wanted)
    CHART_CRDS.mkdir(parents=True, exist_ok=True)
    for path in stale:
        if path in wanted:
            path.write_text(wanted[path])
        else:
            path.unlink()
    return stale


def write_install() -> list[Path]:
    """Bring install.yaml up to date; returns it if it has changed."""
    text = render_install()
    if INSTALL.exists() and INSTALL.read_text() == text:
        return []
    INSTALL.write_text(text)
    return [INSTALL]


def stale_files() -> list[Path]:
    """Every generated file that is not what its source gives now; writes nothing."""
    # A stale CRD copy makes a stale install.yaml, which would hide it behind a second message.
    if stale := stale_copies(crd_copies()):
        return stale
    return [] if INSTALL.exists() and INSTALL.read_text() == render_install() else [INSTALL]


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0 when current (or written), 1 when `--check` finds a stale file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if a file is stale")
    if parser.parse_args(arguments).check:
        stale = stale_files()
        for path in stale:
            print(f"{path.relative_to(ROOT)} is stale: run `python charts/render.py`", file=sys.stderr)
        return 1 if stale else 0
    for path in [*write_copies(), *write_install()]:
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
