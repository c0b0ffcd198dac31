"""Where the processes of one generation of a group meet.

torchrun keeps one store for all restarts of a group (torch 2.15 makes it at the first rendezvous only), and in
it gloo would find the addresses of processes that are dead. Its count of restarts cannot tell generations apart
either: an agent that joins late begins at zero. So the leading process opens a store of its own and announces
it in the lasting one, and each other process takes its seat there, which can be taken once: a seat that is
taken belongs to a generation that is over, and the process waits for the next announcement.
"""

from __future__ import annotations

import os
import time
import uuid
from datetime import timedelta

import torch.distributed as dist

_ANNOUNCED, _IDENTITY = "squeeze_trainer/store", "identity"
_TRY, _PAUSE = timedelta(seconds=5), 0.2


def meet(rank: int, world: int, patience: timedelta) -> dist.Store:
    """A store that the ``world`` processes of this generation share, and no others.

    Reads MASTER_ADDR and MASTER_PORT as ``env://`` does. Raises torch.distributed.DistError where the others
    do not come for as long as ``patience``.
    """
    lasting, _, _ = next(dist.rendezvous("env://", rank, world, timeout=patience))
    host = os.environ["MASTER_ADDR"]
    return _announce(lasting, host) if rank == 0 else _join(lasting, host, rank, patience)


def _announce(lasting: dist.Store, host: str) -> dist.Store:
    own = dist.TCPStore(host, 0, is_master=True, wait_for_workers=False)
    identity = uuid.uuid4().hex
    own.set(_IDENTITY, identity)
    lasting.set(_ANNOUNCED, f"{own.port} {identity}")
    return own


def _join(lasting: dist.Store, host: str, rank: int, patience: timedelta) -> dist.Store:
    end = time.monotonic() + patience.total_seconds()
    while True:
        port, identity = lasting.get(_ANNOUNCED).decode().split()
        try:
            store = dist.TCPStore(host, int(port), is_master=False, timeout=_TRY, wait_for_workers=False)
            # The port of a leader that is gone may by now be another program's.
            if store.get(_IDENTITY).decode() == identity and store.add(f"seat/{rank}", 1) == 1:
                store.set_timeout(patience)
                return store
        except dist.DistError:
            if time.monotonic() > end:
                raise
        if time.monotonic() > end:
            raise dist.DistStoreError(f"process {rank} found no leader within {patience}")
        time.sleep(_PAUSE)
