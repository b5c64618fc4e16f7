"""Reductions: many numbers to fewer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_edu.operation import operation
from tinygrad_edu.ops.arithmetic import divide
from tinygrad_edu.ops.shape import broadcast_to, reshape, shape_of

Axis = int | tuple[int, ...] | None


def _sum(x: Any, /, axis: Axis = None, keepdims: bool = False) -> Any:
    """The sum over the given axes, all where None. ∂/∂xᵢ = 1."""
    return np.sum(x, axis=axis, keepdims=keepdims)


def spread(g: Any, x: Any, axis: Axis, keepdims: bool) -> Any:
    """The cotangent of a reduced result, repeated over the axes that were reduced."""
    shape = shape_of(x)
    if shape == ():
        return g
    if axis is not None and not keepdims:
        axes = {a % len(shape) for a in (axis if isinstance(axis, tuple) else (axis,))}
        g = reshape(g, shape=tuple(1 if i in axes else n for i, n in enumerate(shape)))
    return broadcast_to(g, shape=shape)


sum = operation(
    _sum,
    lambda g, out, x, axis=None, keepdims=False: (spread(g, x, axis, keepdims),),
    symbol="Σ",
    formula="∂Σxᵢ = Σ∂xᵢ",
)


def _mean(x: Any, /, axis: Axis = None, keepdims: bool = False) -> Any:
    """The mean over the given axes, all where None. ∂/∂xᵢ = 1/n."""
    return np.mean(x, axis=axis, keepdims=keepdims)


def _mean_rule(g: Any, out: Any, x: Any, axis: Axis = None, keepdims: bool = False) -> tuple[Any]:
    n = math.prod(shape_of(x)) / max(math.prod(shape_of(out)), 1)
    return (spread(divide(g, n or 1.0), x, axis, keepdims),)


mean = operation(_mean, _mean_rule, symbol="mean", formula="∂mean(x) = Σ∂xᵢ/n")


def _sum_to(x: Any, /, shape: tuple[int, ...], dtype: Any = None) -> Any:
    """The sum over whatever axes broadcasting added or stretched, down to `shape`; a float where dtype is None.

    ∂/∂xᵢ = 1."""
    added = np.ndim(x) - len(shape)
    stretched = tuple(added + i for i, n in enumerate(shape) if n == 1 and np.shape(x)[added + i] != 1)
    x = np.sum(x, axis=(*range(added), *stretched), keepdims=True)
    return float(x.item()) if dtype is None else np.reshape(x, shape).astype(dtype, copy=False)


sum_to = operation(
    _sum_to,
    lambda g, out, x, shape, dtype=None: (broadcast_to(g, shape=shape_of(x)),),
    symbol="Σ",
    formula="the sum that undoes broadcasting",
)
