"""`filled`: an array into which parts were written, as one operation of the array and all parts.

The one thing to know: parts are written at positions in the flattened array, in order. A part gets the cotangent of
the entries that are still its own in the end; what was overwritten gets none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_edu.core.operation import operation
from tinygrad_edu.core.value import data_of
from tinygrad_edu.ops.indexing import index
from tinygrad_edu.ops.shaping import reshape


def float_type(x: Any) -> np.dtype[Any]:
    """The float dtype of an array's own; float64 for one of whole numbers."""
    dtype = np.asarray(data_of(x)).dtype
    return dtype if dtype.kind == "f" else np.dtype(float)


Positions = np.ndarray[Any, np.dtype[np.intp]]


def _filled(base: Any, /, *parts: Any, positions: Sequence[Positions]) -> Any:
    """`base` with each part written at its positions, one after the other. ∂part = ∂out there."""
    out = np.array(base, dtype=float_type(base))
    flat = out.reshape(-1)
    for at, part in zip(positions, parts, strict=True):
        flat[at] = part
    return out


def owners(size: int, positions: Sequence[Positions]) -> tuple[Positions, list[Positions]]:
    """For each entry a serial number of the write that it has last (-1: none), and the numbers that each write gave."""
    serial = np.full(size, -1, dtype=np.intp)
    given, start = [], 0
    for at in positions:
        numbers = np.arange(start, start + np.size(at)).reshape(np.shape(at))
        serial[at] = numbers
        given.append(numbers)
        start += np.size(at)
    return serial, given


def _filled_rule(g: Any, out: Any, base: Any, /, *parts: Any, positions: Sequence[Positions]) -> list[Any]:
    shape = np.shape(data_of(out))
    serial, given = owners(int(np.prod(shape, dtype=int)), positions)
    flat = reshape(g, shape=(-1,))
    cotangents = [g * (serial == -1).reshape(shape)]
    for at, numbers in zip(positions, given, strict=True):
        part = index(flat, key=at)
        own = serial[at] == numbers
        cotangents.append(part if np.all(own) else part * own)
    return cotangents


filled = operation(
    _filled,
    _filled_rule,
    name="filled",
    symbol="[ ] =",
    formula="∂part = ∂out where it was written",
    shapes="any, and parts of it → that of the first",
)
