"""The dashboards as files of the chart: what they should hold, and what is in the repository."""

from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.platform import platform
from dashboards.served import served

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "charts" / "squeezeserve" / "files" / "dashboards"


def wanted() -> dict[Path, str]:
    """Path and JSON text of each dashboard."""
    boards = {"platform": platform(), "models": served()}
    return {FOLDER / f"{name}.json": _text(made.build()) for name, made in boards.items()}


def _text(board: Dashboard) -> str:
    for number, panel in enumerate(board.panels or [], start=1):
        # Links to a panel name its number.
        panel.id_val = number
    return JSONEncoder(sort_keys=True, indent=1).encode(board) + "\n"


def stale() -> list[Path]:
    """Files that are missing, differ from what is made here, or are not made here."""
    made, present = wanted(), set(FOLDER.glob("*.json"))
    changed = {path for path, text in made.items() if not path.exists() or path.read_text() != text}
    return sorted(changed | (present - made.keys()))


def write() -> list[Path]:
    """Brings the files up to date; returns those that have changed."""
    made, changed = wanted(), stale()
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path in changed:
        if path in made:
            path.write_text(made[path])
        else:
            path.unlink()
    return changed
