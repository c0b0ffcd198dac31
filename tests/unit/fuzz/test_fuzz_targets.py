"""The fuzz targets themselves: each takes its seeds and some thousand mutations of them, without a fuzzer."""

from __future__ import annotations

import random

import pytest
from fuzz import pictures, requests, weights
from fuzz.target import Memory, MemoryGrewError, Target

TARGETS = [pictures.TARGET, requests.TARGET, weights.TARGET]
COUNTS = {"pictures": 3000, "requests": 1000, "weights": 3000}
# The library ignores them by itself; pytest shows them again.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
by_name = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)


@by_name
def test_seeds_are_taken(target: Target) -> None:
    for seed in target.seeds():
        target.run(seed)


@by_name
def test_mutations_are_taken_or_refused_as_documented(target: Target) -> None:
    rng = random.Random(1)
    kept = list(target.seeds())
    for number in range(COUNTS[target.name]):
        data = target.mutate(rng.choice(kept), rng)
        try:
            target.run(data)
        except Exception as error:
            raise AssertionError(f"mutation {number}: {data!r}"[:3000]) from error
        # Changes upon changes reach further than changes of good inputs.
        if rng.random() < 0.2:
            kept.append(data)


@by_name
def test_mutations_change_their_input(target: Target) -> None:
    rng = random.Random(2)
    changed = [target.mutate(seed, rng) != seed for seed in target.seeds() for _ in range(20)]
    assert sum(changed) > 0.8 * len(changed)


def test_an_undocumented_error_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(_: bytes) -> None:
        raise KeyError

    monkeypatch.setattr(weights, "READERS", ((damaged, ValueError),))
    with pytest.raises(KeyError):
        weights.run(b"\0")


def test_memory_that_grows_is_noticed() -> None:
    sizes = iter([100, 150, 250])
    memory = Memory(limit=100, every=2, resident=lambda: next(sizes))
    for _ in range(5):
        memory.check()
    with pytest.raises(MemoryGrewError):
        memory.check()
