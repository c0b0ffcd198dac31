"""`make fuzz`: each target in turn in a process of its own, for its share of the time.

Findings are kept in ``out/fuzz/<target>``, and so is the corpus, so that the next run goes on from there.
"""

from __future__ import annotations

import argparse
import base64
import importlib
import subprocess
import sys
from pathlib import Path

TARGETS = ("pictures", "requests", "weights")
OUT = Path(__file__).parents[2] / "out" / "fuzz"
SHOWN_BYTES = 4096


def main() -> int:
    """0 where no target found anything."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=1200, help="for all targets together")
    parser.add_argument("--target", choices=TARGETS, action="append", help="only this one")
    parser.add_argument("--again", type=Path, metavar="FILE", help="only this input of an earlier finding")
    chosen = parser.parse_args()
    if chosen.again:
        path = chosen.again.resolve()
        importlib.import_module(f"fuzz.{path.parent.name}").TARGET.run(path.read_bytes())
        return 0
    targets = chosen.target or TARGETS
    share = max(1, chosen.seconds // len(targets))
    failed = [target for target in targets if _failed(target, share)]
    print(f"== found by: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


def _failed(target: str, seconds: int) -> bool:
    folder = OUT / target
    folder.mkdir(parents=True, exist_ok=True)
    before = set(folder.iterdir())
    print(f"== {target}: {seconds} s", flush=True)
    command = [sys.executable, "-m", "fuzz.child", target, str(folder), str(seconds)]
    code = subprocess.run(command, check=False, cwd=Path(__file__).parents[1]).returncode
    for path in sorted(set(folder.iterdir()) - before - {folder / "corpus"}):
        content = path.read_bytes()
        print(f"== {target} fails on {path}: {len(content)} bytes", flush=True)
        if len(content) <= SHOWN_BYTES:
            print(base64.b64encode(content).decode(), flush=True)
        print(f"   again: make fuzz AGAIN={path}", flush=True)
    return code != 0


if __name__ == "__main__":
    sys.exit(main())
