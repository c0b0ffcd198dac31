"""Where a status and reality part: for how long, and about what. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from load.sampling import Said, Sample

ALLOWED_SECONDS = 5.0
"""For how long a status may be wrong."""
JOINED_SECONDS = 1.6
"""Wrong samples that lie closer than this are one spell: a right one between them is luck."""


@dataclass(frozen=True)
class Spell:
    """A stretch of time in which the status was wrong."""

    claim: str
    began: float
    seconds: float


def _serves_nobody(said: Said, sample: Sample) -> bool:
    return said.says("Serving") and not sample.answered


def _hides_an_answer(said: Said, sample: Sample) -> bool:
    return not said.says("Serving") and sample.answered


def _ready_for_nobody(said: Said, sample: Sample) -> bool:
    return said.says("Ready") and not sample.answered


def _names_foreign_weights(said: Said, sample: Sample) -> bool:
    return bool(said.digest) and sample.answered and said.digest not in sample.answers


def _names_no_weights(said: Said, sample: Sample) -> bool:
    return not said.digest and sample.answered


def _claims_to_be_current(said: Said, sample: Sample) -> bool:
    others = {answer for answer in sample.answers if answer} - {sample.expected}
    speaks_of_it = said.observed == said.generation
    return bool(sample.expected) and said.says("UpToDate") and speaks_of_it and bool(others)


def _speaks_of_another_spec(said: Said, _: Sample) -> bool:
    return said.observed != said.generation


CLAIMS: dict[str, Callable[[Said, Sample], bool]] = {
    "Serving is True and nobody answers": _serves_nobody,
    "Serving is False and somebody answers": _hides_an_answer,
    "Ready is True and nobody answers": _ready_for_nobody,
    "the digest is one that nobody answers with": _names_foreign_weights,
    "no digest, and somebody answers": _names_no_weights,
    "UpToDate is True and other weights answer": _claims_to_be_current,
    "the status speaks of an older spec": _speaks_of_another_spec,
}


def spells(samples: Sequence[Sample]) -> list[Spell]:
    """Every stretch in which a claim was wrong, the longest first.

    A sample that could not read the status says nothing: it neither begins nor ends a spell.
    """
    found = [spell for claim, wrong in CLAIMS.items() for spell in _of_claim(claim, wrong, samples)]
    return sorted(found, key=lambda spell: -spell.seconds)


def too_long(samples: Sequence[Sample]) -> list[Spell]:
    """The spells that lasted longer than they may."""
    return [spell for spell in spells(samples) if spell.seconds > ALLOWED_SECONDS]


def _of_claim(claim: str, wrong: Callable[[Said, Sample], bool], samples: Sequence[Sample]) -> list[Spell]:
    found: list[Spell] = []
    for at in (one.at for one in samples if one.said is not None and wrong(one.said, one)):
        last = found[-1] if found else None
        if last is not None and at - (last.began + last.seconds) <= JOINED_SECONDS:
            found[-1] = Spell(claim, last.began, at - last.began)
        else:
            found.append(Spell(claim, at, 0.0))
    return found
