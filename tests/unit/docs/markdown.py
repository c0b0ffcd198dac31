"""Reads links, headings, code and tables out of Markdown, for the tests of the documentation."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

REPO = Path(__file__).resolve().parents[3]
_SKIPPED = {"out", "node_modules"}
_FENCE = re.compile(
    r"^(?P<fence>```+)(?P<language>\w*)[^\n]*\n(?P<text>.*?)^(?P=fence)\s*$", re.MULTILINE | re.DOTALL
)
_LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")
_SPAN = re.compile(r"`([^`\n]+)`")


class Block(NamedTuple):
    """A fenced code block."""

    language: str
    text: str


def files() -> list[Path]:
    """Every Markdown file of the repository."""
    found = (path.relative_to(REPO) for path in REPO.rglob("*.md"))
    return sorted(
        REPO / path
        for path in found
        if not any(part.startswith(".") or part in _SKIPPED for part in path.parts)
    )


def blocks(text: str, *languages: str) -> list[Block]:
    """The fenced code blocks, those of the given languages where some are given."""
    found = [Block(match["language"], match["text"]) for match in _FENCE.finditer(text)]
    return [block for block in found if not languages or block.language in languages]


def prose(text: str) -> str:
    """The text without fenced code blocks."""
    return _FENCE.sub("", text)


def code(text: str) -> list[str]:
    """All code: fenced blocks and inline spans."""
    return [block.text for block in blocks(text)] + _SPAN.findall(prose(text))


def anchors(text: str) -> set[str]:
    """The anchors that a code host gives to the headings."""
    headings = re.findall(r"^#+ +(.+?) *$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(path: Path) -> list[str]:
    """Links of a file to files or headings that are not there. Other sites are not asked."""
    return [target for target in _links(path.read_text()) if not _resolves(path, target)]


def first_cells(text: str, heading: str) -> list[str]:
    """The code span that begins each table row between a heading of level two and the next one."""
    _, _, after = text.partition(f"\n## {heading}\n")
    section = re.split(r"^## ", after, maxsplit=1, flags=re.MULTILINE)[0]
    return re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)


def _links(text: str) -> Iterator[str]:
    for match in _LINK.finditer(prose(text)):
        if not re.match(r"[a-z]+:", match["target"]):
            yield match["target"]


def _resolves(path: Path, target: str) -> bool:
    name, _, anchor = target.partition("#")
    file = path.parent / name if name else path
    if not file.exists():
        return False
    return not anchor or (file.suffix == ".md" and anchor in anchors(file.read_text()))
