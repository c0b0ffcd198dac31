"""Writes the chart's dashboards, checks that they are current, or draws them from a running Prometheus."""

import argparse
import sys
import time
from pathlib import Path

from dashboards import files


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0; 1 where `--check` finds a stale file, or `draw` a panel that fails or shows nothing."""
    parser = argparse.ArgumentParser(prog="python -m dashboards", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if a file is stale")
    commands = parser.add_subparsers(dest="command")
    drawing = commands.add_parser("draw", help="ask every query of every panel, and draw the answers")
    drawing.add_argument("prometheus", help="its address, such as http://127.0.0.1:9090")
    drawing.add_argument("--minutes", type=float, default=60, help="how far back")
    drawing.add_argument("--rate", default="2m", help="the range of rates; four scrapes or more")
    drawing.add_argument("--out", type=Path, default=files.ROOT / "out" / "dashboards")
    parsed = parser.parse_args(arguments)
    if parsed.command == "draw":
        return _draw(parsed)
    if parsed.check:
        for path in (stale := files.stale()):
            print(f"{path.relative_to(files.ROOT)} is stale: run `python -m dashboards`", file=sys.stderr)
        return 1 if stale else 0
    for path in files.write():
        print(f"wrote {path.relative_to(files.ROOT)}")
    return 0


def _draw(parsed: argparse.Namespace) -> int:
    from dashboards.answers import Prometheus, panels
    from dashboards.draw import draw  # matplotlib takes a second to load

    prometheus = Prometheus(parsed.prometheus, parsed.minutes, parsed.rate, time.time())
    problems = []
    for path in sorted(files.FOLDER.glob("*.json")):
        found = panels(path.read_text())
        problems += [problem for panel in found for problem in prometheus.problems(panel)]
        draw(f"SqueezeServe / {path.stem.title()}", found, prometheus, parsed.out / f"{path.stem}.png")
        print(parsed.out / f"{path.stem}.png")
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
