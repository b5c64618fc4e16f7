"""Reading part of an array, and its counterpart, adding into part of one."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.operation import Operation, operation
from tinygrad_edu.ops.shape import shape_of


def _index(x: Any, /, key: Any) -> Any:
    """x[key]: integers, slices, arrays. ∂x[k] = (∂x)[k]: the cotangent is added into zeros at `key`; repeats add up."""
    return np.asarray(x)[key]


index: Operation = operation(
    _index,
    lambda g, out, x, key: (add_at(g, key=key, shape=shape_of(x)),),
    symbol="[ ]",
    formula="∂x[k] = (∂x)[k]",
)


def _add_at(x: Any, /, key: Any, shape: tuple[int, ...]) -> Any:
    """Zeros of the given shape, with x added at `key`, once for each time that an index occurs. ∂/∂x = g[key]."""
    out = np.zeros(shape, dtype=np.asarray(x).dtype)
    if is_basic(key):
        out[key] = x
    else:
        np.add.at(out, key, x)
    return out


def is_basic(key: Any) -> bool:
    """Whether a key can't name an entry twice: integers, slices, None and Ellipsis only."""
    parts = key if isinstance(key, tuple) else (key,)
    return all(part is None or part is Ellipsis or isinstance(part, (int, np.integer, slice)) for part in parts)


add_at: Operation = operation(
    _add_at,
    lambda g, out, x, key, shape: (index(g, key=key),),
    formula="the transpose of indexing",
)
