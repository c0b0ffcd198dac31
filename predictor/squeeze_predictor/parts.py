"""One picture of a request, in the steps that may run in different places: decode, infer, read the logits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from squeezenet.classify import Prediction

Inputs = NDArray[Any]
"""Pictures as the engine takes them: uint8 [N, crop, crop, 3], or float32 [N, 3, crop, crop]."""
Logits = NDArray[np.float32]
"""[N, classes]."""
Rows = list[list[Prediction]]
"""For each picture its classes, best first."""


@dataclass(frozen=True)
class Part:
    """``prepare`` gives one picture; parts whose ``infer`` is equal may be computed together.

    All three block, and raise ApiError.
    """

    prepare: Callable[[], Inputs]
    infer: Callable[[Inputs], Logits]
    rows: Callable[[Logits], Rows]

    def compute(self) -> Rows:
        """All three steps, one after the other."""
        return self.rows(self.infer(self.prepare()))
