"""Averages, quantiles, and reductions that leave nan out. Composed of operations, whose rules give the derivatives.

The one thing to know: which number a quantile picks is a choice, so that ∂ goes to the numbers that it lies between.
"""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np

from tinygrad_edu.core.value import data_of, numbers_of
from tinygrad_edu.ops.arithmetic import divide, square
from tinygrad_edu.ops.comparison import choose, equal_mask, not_equal_mask
from tinygrad_edu.ops.entry import axes_of
from tinygrad_edu.ops.linear_algebra import matmul
from tinygrad_edu.ops.reduction import Axis, cumsum, euclidean_norm, max, mean, min, prod, sum
from tinygrad_edu.ops.shaping import (
    array,
    atleast_2d,
    broadcast_to,
    concatenate,
    expand_dims,
    reshape,
    sort,
    squeeze,
    transpose,
)


def average(x: Any, axis: Axis = None, weights: Any = None, returned: bool = False, *, keepdims: bool = False) -> Any:
    """Σwᵢ·xᵢ / Σwᵢ over the axes, all where None; the mean where there are no weights. With `returned` also Σwᵢ.

    Raises:
        ValueError: The weights fit neither x nor the one axis.
    """
    x = array(x)
    if weights is None:
        out = mean(x, axis=axis, keepdims=keepdims)
        total: Any = np.full(np.shape(data_of(out)), x.size / builtins.max(np.size(data_of(out)), 1))
        return (out, total) if returned else out
    weights = array(weights)
    if weights.shape != x.shape:
        if not isinstance(axis, (int, np.integer)) or weights.shape != (x.shape[axis],):
            raise ValueError(f"average: weights of shape {weights.shape} fit neither shape {x.shape} nor axis {axis}")
        weights = reshape(weights, shape=tuple(-1 if i == axis % x.ndim else 1 for i in range(x.ndim)))
        weights = broadcast_to(weights, shape=x.shape)
    total = sum(weights, axis=axis, keepdims=keepdims)
    out = divide(sum(x * weights, axis=axis, keepdims=keepdims), total)
    return (out, total) if returned else out


def ptp(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The largest less the smallest over the axes, all where None."""
    return max(x, axis=axis, keepdims=keepdims) - min(x, axis=axis, keepdims=keepdims)


def median(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The number in the middle, or the mean of the two there, over the axes; nan where there is a nan."""
    rows, rest = sorted_along(x, axis)
    n = rows.shape[0]
    if n == 0:
        return mean(x, axis=axis, keepdims=keepdims)
    middle = rows[n // 2] if n % 2 else mean(rows[n // 2 - 1 : n // 2 + 1], axis=0)
    return put_axes_back(nan_if_any(middle, rows), rest, keepdims)


def quantile(x: Any, q: Any, axis: Axis = None, *, method: str = "linear", keepdims: bool = False) -> Any:
    """The number below which the part q of all lies, over the axes, as `np.quantile`; nan where there is a nan.

    Args:
        x: The numbers.
        q: A plain number from 0 to 1, or several, which then are the first axis of the result.
        axis: The axes, all where None.
        method: "linear" between the two nearest, or "lower", "higher", "midpoint", "nearest".
        keepdims: Keep the axes, with length 1.

    Raises:
        ValueError: q is outside 0 to 1, there are no numbers, or there is no such method.
    """
    parts = np.asarray(numbers_of(q), dtype=float)
    if not np.all((parts >= 0.0) & (parts <= 1.0)):
        raise ValueError(f"quantile: q must lie from 0 to 1, got {q}")
    rows, rest = sorted_along(x, axis)
    if rows.shape[0] == 0:
        raise ValueError("quantile: there are no numbers")
    found = [put_axes_back(nan_if_any(between(rows, part, method), rows), rest, keepdims) for part in parts.flat]
    if parts.ndim == 0:
        return found[0]
    stacked = concatenate([expand_dims(one, 0) for one in found], axis=0)
    return reshape(stacked, shape=(*parts.shape, *np.shape(data_of(found[0]))))


def percentile(x: Any, q: Any, axis: Axis = None, *, method: str = "linear", keepdims: bool = False) -> Any:
    """The number below which q percent of all lie, over the axes: `quantile` of q/100."""
    return quantile(x, np.true_divide(numbers_of(q), 100.0), axis, method=method, keepdims=keepdims)


def between(rows: Any, part: float, method: str) -> Any:
    """The quantile of sorted rows."""
    place = part * (rows.shape[0] - 1)
    low, high = math.floor(place), math.ceil(place)
    if method == "nearest":
        return rows[int(np.rint(place))]
    if method in ("lower", "higher"):
        return rows[low if method == "lower" else high]
    if method not in ("linear", "midpoint"):
        raise ValueError(f"quantile: method must be linear, lower, higher, midpoint or nearest, got {method!r}")
    t = place - low if method == "linear" else 0.5 * (high - low)
    a, b = rows[low], rows[high]
    if t == 0.0:
        return a
    return a + (b - a) * t if t < 0.5 else b - (b - a) * (1.0 - t)


def sorted_along(x: Any, axis: Axis) -> tuple[Any, tuple[int, ...] | None]:
    """The numbers sorted along a first axis, made of those named; and the shape with these at length 1."""
    x = array(x)
    axes = axes_of(axis, x.ndim)
    kept = tuple(a for a in range(x.ndim) if a not in axes)
    n = math.prod(x.shape[a] for a in axes)
    rows = reshape(transpose(x, axes=(*axes, *kept)), shape=(n, *(x.shape[a] for a in kept)))
    return sort(rows, axis=0), tuple(1 if a in axes else x.shape[a] for a in range(x.ndim))


def put_axes_back(x: Any, shape: tuple[int, ...] | None, keepdims: bool) -> Any:
    return reshape(x, shape=shape) if keepdims else x


def nan_if_any(x: Any, rows: Any) -> Any:
    """x, and nan where sorted rows end with one."""
    last = rows[-1]
    return choose(equal_mask(last, last), x, math.nan)


def without_nan(x: Any, number: float) -> tuple[Any, Any]:
    """x with a number in place of nan, and 1 where it was one, else 0."""
    x = array(x)
    missing = not_equal_mask(x, x)
    return choose(missing, number, x), missing


def nansum(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The sum of what isn't nan, over the axes, all where None. ∂ is 0 where there is a nan."""
    return sum(without_nan(x, 0.0)[0], axis=axis, keepdims=keepdims)


def nanprod(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The product of what isn't nan, over the axes, all where None. ∂ is 0 where there is a nan."""
    return prod(without_nan(x, 1.0)[0], axis=axis, keepdims=keepdims)


def nancumsum(x: Any, axis: int | None = None) -> Any:
    """Running sums, nan counting as 0, along an axis, over all numbers in order where None."""
    return cumsum(without_nan(x, 0.0)[0], axis=axis)


def nanmean(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The mean of what isn't nan, over the axes, all where None; nan where there is nothing else."""
    numbers, missing = without_nan(x, 0.0)
    return divide(sum(numbers, axis=axis, keepdims=keepdims), sum(1.0 - missing, axis=axis, keepdims=keepdims))


def nanmax(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The largest of what isn't nan, over the axes, all where None; nan where there is nothing else."""
    return nan_extreme(max, -math.inf, x, axis, keepdims)


def nanmin(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The smallest of what isn't nan, over the axes, all where None; nan where there is nothing else."""
    return nan_extreme(min, math.inf, x, axis, keepdims)


def nan_extreme(reduce: Any, number: float, x: Any, axis: Axis, keepdims: bool) -> Any:
    numbers, missing = without_nan(x, number)
    none = min(missing, axis=axis, keepdims=keepdims)
    return choose(none, math.nan, reduce(numbers, axis=axis, keepdims=keepdims))


def nanvar(x: Any, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Any:
    """The variance of what isn't nan, over the axes, all where None."""
    deviations, count = nan_deviations(x, axis, keepdims)
    return divide(sum(square(deviations), axis=axis, keepdims=keepdims), count - float(ddof))


def nanstd(x: Any, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Any:
    """√nanvar(x). ∂ is by convention 0 where nothing spreads."""
    deviations, count = nan_deviations(x, axis, keepdims)
    return divide(euclidean_norm(deviations, axis=axis, keepdims=keepdims), np.sqrt(count - float(ddof)))


def nan_deviations(x: Any, axis: Axis, keepdims: bool) -> tuple[Any, Any]:
    """What isn't nan less its mean, 0 elsewhere; and how many there are."""
    _, missing = without_nan(x, 0.0)
    deviations = choose(missing, 0.0, x - nanmean(x, axis=axis, keepdims=True))
    return deviations, sum(1.0 - missing, axis=axis, keepdims=keepdims)


def cov(m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: int | None = None) -> Any:
    """The covariances of the rows (the columns with rowvar=False): Σ(xᵢ - mean)(yᵢ - mean) / (n - 1)."""
    x = variables_of(m, rowvar)
    if y is not None:
        x = concatenate([x, variables_of(y, rowvar)], axis=0)
    n = float(builtins.max(x.shape[1] - (ddof if ddof is not None else 0 if bias else 1), 0))
    deviations = x - mean(x, axis=1, keepdims=True)
    return squeeze(divide(matmul(deviations, deviations.T), n))


def variables_of(m: Any, rowvar: bool) -> Any:
    m = array(m)
    rows = atleast_2d(m)
    return rows if rowvar or m.ndim == 1 else rows.T


def corrcoef(x: Any, y: Any = None, rowvar: bool = True) -> Any:
    """The correlations of the rows (the columns with rowvar=False): covariances over both standard deviations."""
    c = cov(x, y, rowvar)
    if np.ndim(data_of(c)) == 0:
        return divide(c, c)
    deviations = np.sqrt(np.diagonal(c))
    return c / deviations[:, None] / deviations[None, :]
