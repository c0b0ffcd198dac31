"""Kubernetes quantities ("500m", "1.5Gi", 2) as exact decimal numbers, to compare them by value."""

import re
from decimal import Decimal

_SUFFIXES = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
    "E": Decimal(10**18),
    **{f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", start=1)},
}


_FORM = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)([numkMGTPE]?|[KMGTPE]i)")


def parse_quantity(value: str | int | float) -> Decimal:
    """The number that a quantity stands for, in its base unit (cores, bytes, pieces).

    Raises ValueError where it is not a quantity. Format: apimachinery's resource.Quantity.
    """
    form = _FORM.fullmatch(str(value))
    if form is None:
        raise ValueError(f"{value!r} is not a quantity such as 500m, 2 or 1.5Gi")
    return Decimal(form[1]) * _SUFFIXES[form[2]]


def same_quantity(left: object, right: object) -> bool:
    """Whether two values stand for the same amount, however they are written ("1000m" and 1)."""
    if not isinstance(left, str | int | float) or not isinstance(right, str | int | float):
        return False
    try:
        return parse_quantity(left) == parse_quantity(right)
    except ValueError:
        return False
