"""Functions on a grid: spacing, differences, interpolation and convolution in one dimension. Composed of operations."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.core.value import data_of, numbers_of
from tinygrad_edu.ops.arithmetic import divide
from tinygrad_edu.ops.comparison import choose
from tinygrad_edu.ops.entry import axes_of
from tinygrad_edu.ops.linear_algebra import matmul
from tinygrad_edu.ops.reduction import sum
from tinygrad_edu.ops.shaping import array, astype, broadcast_to, concatenate, moveaxis, pad, reshape


def linspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, retstep: bool = False, axis: int = 0) -> Any:
    """`num` numbers, evenly spaced from start to stop, which is the last one unless endpoint=False; as `np.linspace`.

    With `retstep` the pair of them and the step.
    """
    start, stop = (float(x) if isinstance(x, int) else x if isinstance(x, float) else array(x) for x in (start, stop))
    n = max(np.ndim(data_of(start)), np.ndim(data_of(stop)))
    t = np.linspace(0.0, 1.0, num, endpoint=endpoint).reshape((-1, *(1,) * n))
    t = t.astype(np.result_type(data_of(start), data_of(stop)), copy=False)
    points = start * (1.0 - t) + stop * t
    points = moveaxis(points, 0, axis) if axis else points
    return (points, divide(stop - start, float(max(num - endpoint, 1)))) if retstep else points


def part(x: Any, axis: int, start: int | None, stop: int | None) -> Any:
    """x[start:stop] along an axis."""
    return x[(*(slice(None),) * axis, slice(start, stop))]


def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """Each number less the one before it along an axis, n times.

    Raises:
        ValueError: a is a single number, or n is negative.
    """
    a = array(a)
    if a.ndim == 0 or n < 0:
        raise ValueError(f"diff needs an array and n from 0 on, got shape {a.shape} and n={n}")
    axis = axis % a.ndim
    ends = [x if x is None else array(x) for x in (prepend, append)]
    one = tuple(1 if i == axis else m for i, m in enumerate(a.shape))
    before, after = (x if x is None or x.ndim else broadcast_to(x, shape=one) for x in ends)
    pieces = [x for x in (before, a, after) if x is not None]
    a = concatenate(pieces, axis=axis) if len(pieces) > 1 else a
    for _ in range(n):
        a = part(a, axis, 1, None) - part(a, axis, None, -1)
    return a


def gradient(f: Any, *spacing: Any, axis: int | tuple[int, ...] | None = None, edge_order: int = 1) -> Any:
    """Slopes on a grid, as `np.gradient`: by the neighbours on both sides, at the edges by one side.

    Args:
        f: The values.
        spacing: The distance between points, or their coordinates along the axis; one for all axes or one for each.
        axis: The axis or axes, all where None: a list of results where there are several.
        edge_order: 1 or 2, how exact the slopes at the edges are.

    Raises:
        ValueError: An axis has too few points, edge_order is neither, or the spacings aren't one or one for each axis.
    """
    f = array(f)
    axes = axes_of(axis, f.ndim)
    steps = [array(h) if np.ndim(data_of(h)) else array(astype(h, dtype=f.dtype)) for h in spacing or (1.0,)]
    steps = steps * len(axes) if len(steps) == 1 else steps
    if edge_order not in (1, 2) or len(steps) != len(axes):
        raise ValueError(f"gradient: {len(spacing)} spacings for {len(axes)} axes, edge_order {edge_order}")
    if min((f.shape[a] for a in axes), default=0) <= edge_order:
        raise ValueError(f"gradient: shape {f.shape} has too few points for edge_order {edge_order}")
    found = [slopes_along(f, step, a, edge_order) for step, a in zip(steps, axes, strict=True)]
    several = len(found) > 1 or isinstance(axis, tuple)
    return tuple(found) if several else found[0]


def slopes_along(f: Any, step: Any, axis: int, edge_order: int) -> Any:
    n = f.shape[axis]
    gaps = broadcast_to(step, shape=(n - 1,)) if step.ndim == 0 else diff(step)
    gaps = reshape(gaps, shape=tuple(-1 if i == axis else 1 for i in range(f.ndim)))
    before, after = part(gaps, axis, None, -1), part(gaps, axis, 1, None)
    low, middle, high = part(f, axis, None, -2), part(f, axis, 1, -1), part(f, axis, 2, None)
    if step.ndim == 0:
        inside = divide(high - low, 2.0 * step)
    else:
        both = before + after
        inside = low * divide(-after, before * both) + middle * divide(after - before, before * after)
        inside = inside + high * divide(before, after * both)
    return concatenate([edge(f, gaps, axis, edge_order, 1), inside, edge(f, gaps, axis, edge_order, -1)], axis=axis)


def edge(f: Any, gaps: Any, axis: int, order: int, side: int) -> Any:
    """The slope at the first point, or with side -1 at the last, by the points next to it."""

    def at(x: Any, k: int) -> Any:
        return part(x, axis, k, k + 1) if side == 1 else part(x, axis, -k - 1, -k or None)

    h = at(gaps, 0)
    if order == 1:
        return divide((at(f, 1) - at(f, 0)) * float(side), h)
    k = at(gaps, 1)
    slope = at(f, 0) * divide(-(2.0 * h + k), h * (h + k)) + at(f, 1) * divide(h + k, h * k)
    return (slope - at(f, 2) * divide(h, k * (h + k))) * float(side)


def polyval(p: Any, x: Any) -> Any:
    """p₀·xⁿ⁻¹ + p₁·xⁿ⁻² + … + pₙ₋₁, by Horner's rule."""
    p, x = array(p), array(x)
    y = x * 0.0
    for k in range(len(p)):
        y = y * x + p[k]
    return y


def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """The area under y by the trapezoid rule: Σ (yᵢ + yᵢ₊₁)/2·(xᵢ₊₁ - xᵢ) along an axis."""
    y = array(y)
    axis = axis % y.ndim
    gaps = dx
    if x is not None:
        x = array(x)
        gaps = diff(x, axis=axis if x.ndim > 1 else 0)
        if x.ndim == 1:
            gaps = reshape(gaps, shape=tuple(-1 if i == axis else 1 for i in range(y.ndim)))
    return sum(gaps * (part(y, axis, 1, None) + part(y, axis, None, -1)) / 2.0, axis=axis)


def convolve(a: Any, v: Any, mode: str = "full") -> Any:
    """outₖ = Σᵢ aᵢ·vₖ₋ᵢ of two vectors, as `np.convolve`: all of it, "same" as long as the longer,
    or "valid" where they overlap.

    Raises:
        ValueError: One isn't a vector or is empty, or there is no such mode.
    """
    a, v = array(a), array(v)
    if a.ndim != 1 or v.ndim != 1 or 0 in (*a.shape, *v.shape):
        raise ValueError(f"convolve needs two vectors that aren't empty, got shapes {a.shape} and {v.shape}")
    if mode not in ("full", "same", "valid"):
        raise ValueError(f'convolve: mode must be "full", "same" or "valid", got {mode!r}')
    if len(v) > len(a):
        a, v = v, a
    n, m = len(a), len(v)
    windows = np.arange(n + m - 1)[:, None] + np.arange(m)
    if mode == "same":
        windows = windows[(m - 1) // 2 : (m - 1) // 2 + n]
    elif mode == "valid":
        windows = windows[m - 1 : n]
    return matmul(pad(a, (m - 1, m - 1))[windows], v[::-1])


def correlate(a: Any, v: Any, mode: str = "valid") -> Any:
    """outₖ = Σᵢ aᵢ₊ₖ·vᵢ of two vectors, as `np.correlate`: a convolution with the second reversed."""
    a, v = array(a), array(v)
    swapped = len(v) > len(a) if a.ndim == v.ndim == 1 else False
    if swapped and mode != "full":
        return convolve(v, a[::-1], mode)[::-1]
    return convolve(a, v[::-1], mode)


def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None) -> Any:
    """Straight lines between the points (xp, fp), read at x, as `np.interp`; outside left and right, or the end values.

    ∂/∂x is the slope of the line, at a point of xp that of the line to its right, and 0 outside.

    Raises:
        ValueError: xp and fp aren't vectors of one length, or are empty.
    """
    x, xp, fp = array(x), array(xp), array(fp)
    if xp.ndim != 1 or xp.shape != fp.shape or len(xp) == 0:
        raise ValueError(f"interp: xp and fp must be vectors of one length, got shapes {xp.shape} and {fp.shape}")
    points, knots = np.asarray(numbers_of(x)), np.asarray(numbers_of(xp))
    below, above = points < knots[0], points > knots[-1]
    if len(knots) == 1:
        inside = broadcast_to(fp[0], shape=points.shape)
    else:
        i = np.clip(np.searchsorted(knots, points, side="right") - 1, 0, len(knots) - 2)
        inside = divide(fp[i + 1] - fp[i], xp[i + 1] - xp[i]) * (x - xp[i]) + fp[i]
    out = choose(below.astype(float), fp[0] if left is None else left, inside)
    return choose(above.astype(float), fp[-1] if right is None else right, out)
