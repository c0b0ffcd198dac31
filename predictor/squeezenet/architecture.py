"""The tensors each SqueezeNet holds, by torchvision's key names, known without PyTorch.

Answers two questions about a set of weights: which network is it, and is it whole.

Source: Iandola et al., "SqueezeNet" (arXiv:1602.07360) for 1.0; its release 1.1; torchvision's module names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from squeezenet.errors import WeightsError

Shape = tuple[int, ...]

# Fire modules: position in `features` -> (input, squeeze, expand) channels; expand counts 1x1 and 3x3 each.
_FIRES: dict[str, dict[int, tuple[int, int, int]]] = {
    "squeezenet1_0": {
        3: (96, 16, 64),
        4: (128, 16, 64),
        5: (128, 32, 128),
        7: (256, 32, 128),
        8: (256, 48, 192),
        9: (384, 48, 192),
        10: (384, 64, 256),
        12: (512, 64, 256),
    },
    "squeezenet1_1": {
        3: (64, 16, 64),
        4: (128, 16, 64),
        6: (128, 32, 128),
        7: (256, 32, 128),
        9: (256, 48, 192),
        10: (384, 48, 192),
        11: (384, 64, 256),
        12: (512, 64, 256),
    },
}
_FIRST: dict[str, Shape] = {"squeezenet1_0": (96, 3, 7, 7), "squeezenet1_1": (64, 3, 3, 3)}
_NAMED = 4


class HasShape(Protocol):
    """Anything with a shape: an array or a tensor."""

    @property
    def shape(self) -> Any: ...


def first_convolution(architecture: str) -> Shape:
    """Shape of the first convolution's weights: (output, input, height, width)."""
    return _FIRST[architecture]


def fire_channels(architecture: str) -> Mapping[int, tuple[int, int, int]]:
    """(input, squeeze, expand) channels of each fire module, by its position in ``features``."""
    return _FIRES[architecture]


def tensor_shapes(architecture: str, num_classes: int) -> dict[str, Shape]:
    """Every tensor's name and shape, in torchvision's order."""
    first = _FIRST[architecture]
    shapes: dict[str, Shape] = {"features.0.weight": first, "features.0.bias": first[:1]}
    for position, (channels, squeeze, expand) in _FIRES[architecture].items():
        for part, shape in (
            ("squeeze", (squeeze, channels, 1, 1)),
            ("expand1x1", (expand, squeeze, 1, 1)),
            ("expand3x3", (expand, squeeze, 3, 3)),
        ):
            shapes[f"features.{position}.{part}.weight"] = shape
            shapes[f"features.{position}.{part}.bias"] = shape[:1]
    shapes["classifier.1.weight"] = (num_classes, 512, 1, 1)
    shapes["classifier.1.bias"] = (num_classes,)
    return shapes


def convolutions(architecture: str) -> tuple[str, ...]:
    """Every convolution's name, in the order of the network."""
    return tuple(
        name.removesuffix(".weight") for name in tensor_shapes(architecture, 1) if name.endswith(".weight")
    )


def identify(state: Mapping[str, HasShape]) -> tuple[str, int]:
    """(architecture, number of classes) of the weights. Raises WeightsError when they are neither network."""
    first, head = state.get("features.0.weight"), state.get("classifier.1.weight")
    if first is None or head is None:
        absent = "features.0.weight" if first is None else "classifier.1.weight"
        some = _listed(sorted(state)) or "no tensor at all"
        raise WeightsError(
            f"the weights hold no tensor {absent!r} (they hold {some}), so they are not SqueezeNet's in "
            "torchvision's naming: save the state_dict() of torchvision's squeezenet1_0 or squeezenet1_1."
        )
    for architecture, shape in _FIRST.items():
        if tuple(first.shape) == shape and len(head.shape) == 4:
            return architecture, int(head.shape[0])
    raise WeightsError(
        f"features.0.weight has shape {_text(first.shape)}, where squeezenet1_0 has 96x3x7x7 and "
        "squeezenet1_1 64x3x3x3: these weights belong to another network."
    )


def check_tensors(state: Mapping[str, HasShape], architecture: str, num_classes: int) -> None:
    """Raises WeightsError naming missing, unexpected or wrongly shaped tensors."""
    expected = tensor_shapes(architecture, num_classes)
    missing = [name for name in expected if name not in state]
    if missing:
        raise WeightsError(
            f"the weights lack {len(missing)} tensor(s) of {architecture}: {_listed(missing)}."
        )
    extra = sorted(set(state) - set(expected))
    if extra:
        raise WeightsError(
            f"the weights hold {len(extra)} tensor(s) that {architecture} has not: {_listed(extra)}."
        )
    for name, shape in expected.items():
        if tuple(state[name].shape) != shape:
            raise WeightsError(
                f"tensor {name!r} has shape {_text(state[name].shape)} where {architecture} with "
                f"{num_classes} classes has {_text(shape)}: use the weights of that network."
            )


def _listed(names: list[str]) -> str:
    shown = ", ".join(name[:80] for name in names[:_NAMED])
    return f"{shown} and {len(names) - _NAMED} more" if len(names) > _NAMED else shown


def _text(shape: Any) -> str:
    return "x".join(str(int(side)) for side in shape) or "scalar"
