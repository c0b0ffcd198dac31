"""Where the server is in its life: loading, ready, draining, and why it is not alive.

The one place that knows whether requests may be answered; pages and routes ask here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from squeeze_predictor import metrics
from squeeze_predictor.errors import ApiError, not_ready
from squeeze_predictor.network import Network
from squeeze_predictor.progress import Progress


class Phase(Enum):
    """Phases in order; none is entered twice."""

    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"


@dataclass
class Lifecycle:
    """Lives on the event loop; worker threads only mark the network broken."""

    progress: Progress
    phase: Phase = Phase.LOADING
    network: Network | None = None

    def loaded(self, network: Network) -> None:
        """The model can answer from now on, unless the server was told to stop meanwhile."""
        self.network = network
        if self.phase is Phase.LOADING:
            self.phase = Phase.READY
            metrics.READY.set(1)

    def drain(self) -> None:
        """Stop being ready; requests that still arrive are answered."""
        self.phase = Phase.DRAINING
        metrics.READY.set(0)

    @property
    def draining(self) -> bool:
        return self.phase is Phase.DRAINING

    @property
    def ready(self) -> bool:
        return self.phase is Phase.READY and self.failure is None

    @property
    def failure(self) -> str | None:
        """Why only a restart helps; None while the server is alive."""
        broken = self.network.broken if self.network else None
        return broken or self.progress.stalled

    def serving(self) -> Network:
        """The network, to answer a request with; also while draining. Raises ApiError 503."""
        if self.network is None:
            raise not_ready("the model is still loading; try again in a moment")
        if self.failure:
            raise ApiError(503, "EngineBroken", self.failure)
        return self.network
