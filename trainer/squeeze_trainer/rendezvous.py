"""Where the processes of one generation of a group meet.

torchrun keeps one store for all restarts of a group (torch 2.15 makes it at the first rendezvous only), where
gloo would find the addresses of processes that are dead. Its count of restarts cannot tell generations apart:
an agent that joins late begins at zero. So the leading process opens a store of its own and announces it in
the lasting one, and each other process takes its seat there, which can be taken once: a seat that is taken
belongs to a generation that is over, and the process waits for the next announcement.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Callable
from datetime import timedelta

from torch._C._distributed_c10d import Store, TCPStore
from torch.distributed import DistStoreError
from torch.distributed.rendezvous import rendezvous

from squeeze_trainer.errors import InterruptedRun

_ANNOUNCED, _IDENTITY = "squeeze_trainer/store", "identity"
_TRY_SECONDS, _PAUSE = 5.0, 0.2
LIBUV = False
"""Debian's PyTorch is built without it, and a store that needs it cannot be made there."""


def meet(
    rank: int, world: int, patience: timedelta, asked_to_stop: Callable[[], bool] = lambda: False
) -> Store:
    """A store that the ``world`` processes of this generation share, and no others.

    Reads MASTER_ADDR and MASTER_PORT as ``env://`` does. Raises torch.distributed.DistStoreError where others
    do not come for as long as ``patience``, and InterruptedRun where the process is asked to stop meanwhile.
    """
    end = time.monotonic() + patience.total_seconds()

    def wait_until(is_so: Callable[[], bool], what: str) -> None:
        # Not one of PyTorch's own waits, which no signal reaches.
        while not is_so():
            if asked_to_stop():
                raise InterruptedRun("stopped while it waited for the other processes.")
            if time.monotonic() > end:
                raise DistStoreError(f"process {rank} of {world}: {what} within {patience}")
            time.sleep(_PAUSE)

    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    if rank > 0:
        wait_until(lambda: _answers(host, port), f"nobody answers at {host}:{port}")
    lasting, _, _ = next(rendezvous(f"env://?use_libuv={int(LIBUV)}", rank, world, timeout=patience))
    if rank == 0:
        own = _announce(lasting, host)
        # Where no agent keeps the lasting store, this process does, until nobody needs it any more.
        wait_until(lambda: own.check([_seat(other) for other in range(1, world)]), "not all others came")
        return own
    found: list[Store] = []
    wait_until(lambda: _joined(lasting, host, rank, patience, found), "no leader came")
    return found[0]


def _announce(lasting: Store, host: str) -> Store:
    own = TCPStore(host, 0, is_master=True, wait_for_workers=False, use_libuv=LIBUV)
    identity = uuid.uuid4().hex
    own.set(_IDENTITY, identity)
    lasting.set(_ANNOUNCED, f"{own.port} {identity}")
    return own


def _joined(lasting: Store, host: str, rank: int, patience: timedelta, found: list[Store]) -> bool:
    """Whether the process has a seat in the store that is announced now, which is then in ``found``."""
    if not lasting.check([_ANNOUNCED]):
        return False
    port, identity = lasting.get(_ANNOUNCED).decode().split()
    if not _answers(host, int(port)):
        return False
    store = TCPStore(
        host, int(port), is_master=False, timeout=patience, wait_for_workers=False, use_libuv=LIBUV
    )
    # The port of a leader that is gone may by now be another group's.
    named = store.check([_IDENTITY]) and store.get(_IDENTITY).decode() == identity
    if named and store.add(_seat(rank), 1) == 1:
        found.append(store)
    return bool(found)


def _seat(rank: int) -> str:
    return f"seat/{rank}"


def _answers(host: str, port: int) -> bool:
    """Whether anybody listens; PyTorch's own attempts would fill the log with their stacks."""
    try:
        socket.create_connection((host, port), _TRY_SECONDS).close()
    except OSError:
        return False
    return True
