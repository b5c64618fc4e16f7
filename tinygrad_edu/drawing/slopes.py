"""Local derivatives as numbers, by the operations' own rules."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.core.value import Value, data_of


def local_slopes(node: Value) -> list[float | None]:
    """The derivatives of one operation by its inputs, as numbers.

    None for constants, and where an input or the result is an array.
    """
    operation = node.operation
    assert operation is not None
    if node.ndim or any(np.ndim(x) for x in node.primals):
        return [None] * len(node.parents)
    one: Any = 1.0 if isinstance(node.data, float) else np.ones_like(node.data)
    wanted = [isinstance(parent, Value) for parent in node.parents]
    slopes = operation.cotangents(one, node.data, node.primals, node.params, wanted)
    return [None if slope is None else float(data_of(slope)) for slope in slopes]
