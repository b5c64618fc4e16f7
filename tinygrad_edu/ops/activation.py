"""Activation functions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_edu.operation import operation
from tinygrad_edu.ops.comparison import where
from tinygrad_edu.value import Array, data_of


def _sigmoid(x: Any, /) -> Any:
    """σ(x) = 1 / (1 + e⁻ˣ), elementwise; 0 where e⁻ˣ overflows (x < -709). ∂/∂x = σ(x)·(1 - σ(x)).

    Source: the article's activation, in its order of operations: equal to `1 / (1 + exp(-x))` to the last bit.
    """
    if type(x) is not float:
        return sigmoid_of_array(x)
    try:
        return 1.0 / (1.0 + math.exp(-x))
    except OverflowError:
        return 0.0


@np.errstate(over="ignore")
def sigmoid_of_array(x: Array) -> Array:
    out = np.asarray(-x)
    np.exp(out, out=out)  # one buffer for all steps
    out += 1.0
    np.reciprocal(out, out=out)
    return out


sigmoid = operation(
    _sigmoid,
    lambda g, out, x: (g * (out * (1.0 - out)),),
    symbol="σ",
    formula="∂σ(x) = σ(x)·(1 − σ(x))·∂x",
)


def _relu(x: Any, /) -> Any:
    """max(x, 0), elementwise. ∂/∂x = 1 where x > 0, else 0 (at 0 too, by convention)."""
    if type(x) is float:
        return 0.0 if x <= 0.0 else x
    return np.maximum(x, 0.0)


relu = operation(
    _relu,
    lambda g, out, x: (where(g, 0.0, condition=data_of(x) > 0.0),),
    formula="∂relu(x) = ∂x where x > 0, else 0",
)
