"""Every generation of a group meets among itself, whatever those before it left behind."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from squeeze_trainer import rendezvous
from squeeze_trainer.errors import InterruptedRun
from torch._C._distributed_c10d import Store, TCPStore
from torch.distributed import DistStoreError

PATIENCE = timedelta(seconds=60)


@pytest.fixture(autouse=True)
def agent(monkeypatch: pytest.MonkeyPatch) -> TCPStore:
    """The store that torchrun's agent keeps through all restarts."""
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(store.port))
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
    return store


def meet(pool: ThreadPoolExecutor, world: int) -> list[Store]:
    found = [pool.submit(rendezvous.meet, rank, world, PATIENCE) for rank in range(world)]
    return [one.result(60) for one in found]


@pytest.mark.parametrize("world", [2, 3])
def test_a_later_generation_sees_nothing_of_an_earlier_one(world: int) -> None:
    with ThreadPoolExecutor(world) as pool:
        first = meet(pool, world)
        first[0].set("address", "of a process that is dead")
        assert first[-1].get("address") == b"of a process that is dead"
        second = meet(pool, world)
    assert not second[-1].check(["address"])
    second[0].set("address", "new")
    assert second[-1].get("address") == b"new"


def test_a_process_that_comes_before_its_leader_waits_for_it() -> None:
    """The leader of the generation before may still answer: it has not yet noticed that somebody died."""
    with ThreadPoolExecutor(2) as pool:
        old = meet(pool, 2)
        early = pool.submit(rendezvous.meet, 1, 2, PATIENCE)
        leader = pool.submit(rendezvous.meet, 0, 2, PATIENCE).result(60)
        leader.set("address", "new")
        assert early.result(60).get("address") == b"new"
    assert not old[0].check(["address"])


def test_an_announcement_of_a_port_that_is_another_programs_by_now_is_passed_over(
    agent: TCPStore,
) -> None:
    stranger = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    stranger.set("identity", "another program's")
    agent.set("squeeze_trainer/store", f"{stranger.port} 0123")
    with ThreadPoolExecutor(2) as pool:
        leader, other = meet(pool, 2)
    leader.set("address", "new")
    assert other.get("address") == b"new"
    assert not stranger.check(["address"])


def test_a_group_without_a_leader_gives_up() -> None:
    with ThreadPoolExecutor(2) as pool:
        meet(pool, 2)
    with pytest.raises(DistStoreError, match="no leader"):
        rendezvous.meet(1, 2, timedelta(seconds=1))


def test_a_leader_without_a_group_gives_up() -> None:
    with pytest.raises(DistStoreError, match="not all others"):
        rendezvous.meet(0, 2, timedelta(seconds=1))


@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_waits_for_the_others_can_be_stopped(rank: int) -> None:
    with pytest.raises(InterruptedRun, match="waited"):
        rendezvous.meet(rank, 2, PATIENCE, lambda: True)
