"""What counts as a wrong status, and for how long."""

from collections.abc import Mapping

import pytest
from load.sampling import Said, Sample, said
from load.truth import CLAIMS, spells, too_long

NEW, OLD = "sha256:new", "sha256:old"


def saying(digest: str = NEW, observed: int = 2, **conditions: bool) -> Said:
    wanted = {"Ready": True, "Serving": True, "UpToDate": True, **conditions}
    return Said(2, observed, {kind: (str(value), "") for kind, value in wanted.items()}, {}, digest)


def sampled(at: float, status: Said | None, *answers: str, expected: str = NEW) -> Sample:
    return Sample(at, status, answers or (NEW,), expected)


def claims(sample: Sample) -> set[str]:
    return {spell.claim for spell in spells([sample])}


def test_a_status_that_tells_what_is_so_is_right() -> None:
    assert claims(sampled(0, saying())) == set()
    assert claims(sampled(0, saying(digest="", Ready=False, Serving=False, UpToDate=False), "", "")) == set()
    # In the midst of a rollout both answer, and either digest is right.
    assert claims(sampled(0, saying(OLD, Ready=False, UpToDate=False), OLD, NEW)) == set()


@pytest.mark.parametrize(
    ("sample", "wrong"),
    [
        (
            sampled(0, saying(), ""),
            {"Serving is True and nobody answers", "Ready is True and nobody answers"},
        ),
        (sampled(0, saying(Ready=False), ""), {"Serving is True and nobody answers"}),
        (sampled(0, saying(Ready=False, Serving=False)), {"Serving is False and somebody answers"}),
        (sampled(0, saying(OLD)), {"the digest is one that nobody answers with"}),
        (sampled(0, saying("")), {"no digest, and somebody answers"}),
        (sampled(0, saying(), NEW, OLD), {"UpToDate is True and other weights answer"}),
        (sampled(0, saying(observed=1)), {"the status speaks of an older spec"}),
    ],
)
def test_every_claim_can_be_wrong(sample: Sample, wrong: set[str]) -> None:
    assert claims(sample) == wrong


def test_every_claim_is_tried() -> None:
    mark = next(iter(test_every_claim_can_be_wrong.pytestmark))  # type: ignore[attr-defined]
    assert set().union(*(wrong for _, wrong in mark.args[1])) == set(CLAIMS)


def test_a_spell_lasts_from_its_first_wrong_sample_to_its_last() -> None:
    samples = [sampled(at, saying(OLD)) for at in (1.0, 1.5, 2.0, 2.5)] + [sampled(3.0, saying())]
    (spell,) = spells(samples)
    assert (spell.began, spell.seconds) == (1.0, 1.5)
    assert too_long(samples) == []


def test_one_lucky_sample_does_not_end_a_spell() -> None:
    wrong = [0.5 * number for number in range(13)]
    samples = [sampled(at, saying(OLD if at != 3.0 else NEW)) for at in wrong]
    (spell,) = too_long(samples)
    assert spell.seconds == 6.0


def test_a_status_that_could_not_be_read_says_nothing() -> None:
    samples = [sampled(0.0, saying(OLD)), sampled(0.5, None), sampled(30.0, saying(OLD))]
    assert [spell.seconds for spell in spells(samples)] == [0.0, 0.0]


def test_a_new_model_says_nothing_yet() -> None:
    model: Mapping[str, object] = {"metadata": {"generation": 1}}
    told = said(model, None)
    assert (told.observed, told.digest, told.ready, told.says("Ready")) == (-1, "", 0, False)
