"""The SDK's model: ties the network, the admission queue and the V2 metadata together.

Every transport hands in a `Work`, whose blocking steps run in worker threads, never on the event loop.
"""

from __future__ import annotations

from typing import Any

from squeeze_predictor import tensors
from squeeze_predictor.admission import Admission
from squeeze_predictor.lifecycle import Lifecycle
from squeeze_predictor.sdk import Model
from squeeze_predictor.work import Work


class SqueezeModel(Model):  # type: ignore[misc]  # the SDK is untyped
    """A SqueezeNet classifier as the SDK sees it."""

    def __init__(self, name: str, lifecycle: Lifecycle, admission: Admission) -> None:
        super().__init__(name)
        self.lifecycle = lifecycle
        self.admission = admission

    async def healthy(self) -> bool:
        """Whether requests for this model are answered."""
        return self.lifecycle.ready

    def load(self) -> bool:
        """Whether the model is loaded; loading itself begins before the SDK is even imported."""
        return self.lifecycle.network is not None

    def start(self) -> None:
        """Nothing: the SDK's default would declare the model ready before it is."""

    async def predict(
        self,
        payload: Work,
        headers: dict[str, str] | None = None,  # noqa: ARG002  # the SDK passes it
    ) -> Any:
        """What the work returns. Raises ApiError, also when the queue is full or the model not ready."""
        return await self.admission.do(payload, self.lifecycle.serving())

    def get_input_types(self) -> list[dict[str, Any]]:
        """V2 metadata of the inputs."""
        return tensors.input_metadata(self.lifecycle.serving().crop)

    def get_output_types(self) -> list[dict[str, Any]]:
        """V2 metadata of the outputs."""
        return tensors.output_metadata()
