"""Liveness of the workers: slow is alive, stuck is not, idle is."""

from __future__ import annotations

from squeeze_predictor.progress import Progress


class Clock:
    """Seconds that pass on order."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_an_idle_server_is_alive_however_long() -> None:
    clock = Clock()
    progress = Progress(10, clock)
    clock.now += 1e6
    assert progress.stalled is None
    with progress.waiting(), progress.working():
        assert progress.stalled is None
    clock.now += 1e6
    assert progress.stalled is None


def test_a_step_at_the_limit_is_slow_and_beyond_it_stuck_until_it_ends() -> None:
    clock = Clock()
    progress = Progress(10, clock)
    with progress.waiting():
        with progress.working():
            clock.now += 10
            assert progress.stalled is None
            clock.now += 0.1
            assert progress.stalled == "a worker has been at one picture for more than 10 seconds"
        assert progress.stalled is None


def test_one_stuck_worker_shows_behind_others_that_work() -> None:
    clock = Clock()
    progress = Progress(10, clock)
    with progress.waiting(), progress.working():
        for _ in range(12):
            with progress.waiting(), progress.working():
                clock.now += 1
        assert progress.stalled


def test_a_queue_that_moves_is_alive_and_one_that_does_not_is_not() -> None:
    clock = Clock()
    progress = Progress(10, clock)
    with progress.waiting():
        for _ in range(5):
            clock.now += 9
            with progress.working():
                pass
            assert progress.stalled is None
        clock.now += 10.1
        assert progress.stalled == "pictures wait, and no worker has begun one for 10 seconds"
