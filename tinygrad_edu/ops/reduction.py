"""Reductions: many numbers to fewer; and running sums and products."""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_edu.core.operation import Operation, operation
from tinygrad_edu.core.value import Value
from tinygrad_edu.ops.arithmetic import absolute, divide, square
from tinygrad_edu.ops.comparison import choose, equal_mask, greater_mask, kink, less_mask, one_for_zero, shared
from tinygrad_edu.ops.entry import axes_of, shape_of, zero_of
from tinygrad_edu.ops.shaping import array, broadcast_to, concatenate, flip, reshape, stack

Axis = int | tuple[int, ...] | None

REDUCED = "any → without the axes (or length 1 there, with keepdims)"


add_reduce: Any = np.add.reduce  # what np.sum calls, in half the time


def _sum(x: Any, /, axis: Axis = None, keepdims: bool = False) -> Any:
    """The sum over the given axes, all where None. ∂/∂xᵢ = 1."""
    return add_reduce(x, axis=axis, keepdims=keepdims)


def spread(g: Any, x: Any, axis: Axis, keepdims: bool) -> Any:
    """What belongs to a reduced result, such as its cotangent, repeated over the axes that were reduced."""
    shape = shape_of(x)
    if shape == ():
        return g
    if axis is not None and not keepdims:
        axes = axes_of(axis, len(shape))
        g = reshape(g, shape=tuple(1 if i in axes else n for i, n in enumerate(shape)))
    return broadcast_to(g, shape=shape)


def printed_method(name: str) -> Callable[..., str | None]:
    """How a reduction of an array is printed: as the array's method."""

    def prints(x: Any, axis: Axis = None, keepdims: bool = False) -> str | None:
        options = ", ".join([f"axis={axis}"] * (axis is not None) + ["keepdims=True"] * keepdims)
        return None if type(x.data) is float else f"{x}.{name}({options})"

    return prints


sum = operation(
    _sum,
    (lambda g, out, x, axis=None, keepdims=False: spread(g, x, axis, keepdims),),
    symbol="Σ",
    formula="∂Σxᵢ = Σ∂xᵢ",
    shapes=REDUCED,
    prints=printed_method("sum"),
    analytic=True,
)


def _mean(x: Any, /, axis: Axis = None, keepdims: bool = False) -> Any:
    """The mean over the given axes, all where None. ∂/∂xᵢ = 1/n."""
    return np.mean(x, axis=axis, keepdims=keepdims)


def _mean_rule(g: Any, out: Any, x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    n = math.prod(shape_of(x)) / builtins.max(math.prod(shape_of(out)), 1)
    return spread(divide(g, n or 1.0), x, axis, keepdims)


mean = operation(
    _mean,
    (_mean_rule,),
    symbol="mean",
    formula="∂mean(x) = Σ∂xᵢ/n",
    shapes=REDUCED,
    prints=printed_method("mean"),
    analytic=True,
)


def _sum_to(x: Any, /, shape: tuple[int, ...], dtype: Any = None) -> Any:
    """The sum over whatever axes broadcasting added or stretched, down to `shape`; a float where dtype is None.

    ∂/∂xᵢ = 1.
    """
    if shape == ():
        total = add_reduce(x, axis=None)
        return float(total) if dtype is None else np.asarray(total, dtype)
    added = np.ndim(x) - len(shape)
    stretched = tuple(added + i for i, n in enumerate(shape) if n == 1 and np.shape(x)[added + i] != 1)
    x = np.sum(x, axis=(*range(added), *stretched), keepdims=True)
    return np.reshape(x, shape).astype(dtype, copy=False)


def printed_sum_to(x: Any, shape: tuple[int, ...], dtype: Any = None) -> str | None:
    if type(x.data) is float:
        return None
    if shape == ():
        return f"float({x}.sum())" if dtype is None else None
    added = x.data.ndim - len(shape)
    if x.data.dtype != dtype or x.data.shape[added:] != shape:
        return None
    return f"{x}.sum(axis={0 if added == 1 else tuple(range(added))})"


sum_to = operation(
    _sum_to,
    (lambda g, out, x, shape, dtype=None: broadcast_to(g, shape=shape_of(x)),),
    symbol="Σ",
    formula="the sum that undoes broadcasting",
    shapes="any → one that broadcasts to it",
    prints=printed_sum_to,
    analytic=True,
)


def _max(x: Any, /, axis: Axis = None, keepdims: bool = False) -> Any:
    """The largest over the given axes, all where None. ∂/∂xᵢ = 1 at the largest; ties share it equally."""
    return np.max(x, axis=axis, keepdims=keepdims)


def _min(x: Any, /, axis: Axis = None, keepdims: bool = False) -> Any:
    """The smallest over the given axes, all where None. ∂/∂xᵢ = 1 at the smallest; ties share it equally."""
    return np.min(x, axis=axis, keepdims=keepdims)


def _extreme_rule(g: Any, out: Any, x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    hits = equal_mask(x, spread(out, x, axis, keepdims))
    if shape_of(x) == ():
        return g * hits
    part = divide(hits, sum(hits, axis=axes_of(axis, len(x.shape)), keepdims=True))
    return shared(spread(g, x, axis, keepdims), part, x)


max = operation(
    _max,
    (_extreme_rule,),
    formula="∂max(x) = Σ∂xᵢ/ties over the largest xᵢ",
    shapes=REDUCED,
    prints=printed_method("max"),
    analytic=True,
)
min = operation(
    _min,
    (_extreme_rule,),
    formula="∂min(x) = Σ∂xᵢ/ties over the smallest xᵢ",
    shapes=REDUCED,
    prints=printed_method("min"),
    analytic=True,
)
amax, amin = max, min


def _prod(x: Any, /, axis: Axis = None, keepdims: bool = False) -> Any:
    """The product over the given axes, all where None. ∂/∂xᵢ = Πₖ≠ᵢ xₖ, which is right with zeros among them."""
    return np.prod(x, axis=axis, keepdims=keepdims)


def _prod_rule(g: Any, out: Any, x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    if 0 in shape_of(x) or shape_of(x) == ():
        return g if shape_of(x) == () else zero_of(x)
    axes = axes_of(axis, len(x.shape))
    kept = tuple(a for a in range(len(x.shape)) if a not in axes)
    order = (*axes, *kept)
    flat = x.transpose(order).reshape((-1, *(x.shape[a] for a in kept)))
    others = products_before(flat) * flip(products_before(flip(flat, axis=0)), axis=0)
    others = reshape(others, shape=tuple(x.shape[a] for a in order)).transpose(tuple(map(int, np.argsort(order))))
    return spread(g, x, axis, keepdims) * others


def products_before(x: Any) -> Any:
    """For each row the product of the rows before it, in log₂ n steps: at each, rows reach twice as far back."""
    rows, n = (np.ones((1, *x.shape[1:]), x.dtype), x[:-1]), x.shape[0]
    products, reach = concatenate(rows, axis=0), 1
    while reach < n:
        products = concatenate((products[:reach], products[reach:] * products[:-reach]), axis=0)
        reach *= 2
    return products


prod = operation(
    _prod,
    (_prod_rule,),
    symbol="Π",
    formula="∂Πxᵢ = Σᵢ (Πₖ≠ᵢ xₖ)·∂xᵢ",
    shapes=REDUCED,
    analytic=True,
)


def _cumsum(x: Any, /, axis: int | None = None) -> Any:
    """Running sums along an axis, over all numbers in order where None. ∂/∂xᵢ = Σ of the cotangents from i on."""
    return np.cumsum(x, axis=axis)


def _cumsum_rule(g: Any, out: Any, x: Any, axis: int | None = None) -> Any:
    along = 0 if axis is None else axis
    return reshape(flip(cumsum(flip(g, axis=along), axis=along), axis=along), shape=shape_of(x))


cumsum: Operation = operation(
    _cumsum,
    (_cumsum_rule,),
    formula="∂Σₖ≤ⱼ xₖ = Σₖ≤ⱼ ∂xₖ",
    shapes="any → the same; flat where the axis is None",
    analytic=True,
)


def _cumprod(x: Any, /, axis: int | None = None) -> Any:
    """Running products along an axis, over all numbers in order where None. ∂oⱼ/∂xᵢ = Πₖ≤ⱼ,ₖ≠ᵢ xₖ, zeros included."""
    return np.cumprod(x, axis=axis)


def _cumprod_rule(g: Any, out: Any, x: Any, axis: int | None = None) -> Any:
    shape = shape_of(x)
    if 0 in shape:
        return zero_of(x)
    if axis is None:
        x, axis = reshape(x, shape=(-1,)), 0
    order = (axis % x.ndim, *(a for a in range(x.ndim) if a != axis % x.ndim))
    rows, g = x.transpose(order), g.transpose(order)
    after = [g[-1]]  # from the right: what a factor at row i is multiplied with, gⱼ·Πᵢ<ₖ≤ⱼ xₖ summed over j ≥ i
    for i in range(rows.shape[0] - 2, -1, -1):
        after.append(g[i] + rows[i + 1] * after[-1])
    result = products_before(rows) * stack(after[::-1])
    return reshape(result.transpose(tuple(map(int, np.argsort(order)))), shape=shape)


cumprod = operation(
    _cumprod,
    (_cumprod_rule,),
    formula="∂oⱼ = Σᵢ≤ⱼ (Πₖ≤ⱼ,ₖ≠ᵢ xₖ)·∂xᵢ",
    shapes="any → the same; flat where the axis is None",
    analytic=True,
)


def var(x: Any, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Any:
    """Σ(xᵢ - mean)² / (n - ddof) over the axes, all where None: composed of others, whose rules give its derivative."""
    x = array(x)
    if not isinstance(x, Value):
        return np.var(x, axis=axis, ddof=ddof, keepdims=keepdims)
    axes = axes_of(axis, x.ndim)
    n = math.prod(x.shape[a] for a in axes)
    deviations = square(x - mean(x, axis=axes, keepdims=True))
    return divide(sum(deviations, axis=axes, keepdims=keepdims), float(builtins.max(n - ddof, 0)))


def std(x: Any, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Any:
    """√var(x), the root of the mean square of x - mean. ∂ is by convention 0 where nothing spreads, as for `norm`."""
    x = array(x)
    if not isinstance(x, Value):
        return np.std(x, axis=axis, ddof=ddof, keepdims=keepdims)
    axes = axes_of(axis, x.ndim)
    n = float(builtins.max(math.prod(x.shape[a] for a in axes) - ddof, 0))
    return root_mean_square(x - mean(x, axis=axes, keepdims=True), n=n, axis=axes, keepdims=keepdims)


def _euclidean(x: Any, /, axis: Axis = None, keepdims: bool = False) -> Any:
    """√Σxᵢ², over the given axes, all where None.

    ∂/∂xᵢ = xᵢ/√Σxₖ², by convention 0 where all are 0; second derivatives are nan there.
    """
    if axis is not None:
        return np.sqrt(np.sum(np.multiply(x, x), axis=axis, keepdims=keepdims))
    flat = np.ravel(x, order="K")  # as numpy's norm, to the bit
    return np.reshape(np.sqrt(flat.dot(flat)), (1,) * (np.ndim(x) if keepdims else 0))


def _euclidean_rule(g: Any, out: Any, x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    x, length = within_range(euclidean_norm, x, out, axis=axis, keepdims=keepdims)
    over_length = divide(g, one_for_zero(length))
    return kink(spread(over_length, x, axis, keepdims), x, x, spread(length, x, axis, keepdims))


def within_range(norm: Any, x: Any, out: Any, p: float = 2.0, **params: Any) -> tuple[Any, Any]:
    """x and its norm, both over the largest |x| where p-th powers over- or underflow: the slope stays as it is."""
    digits = (280.0 if x.dtype == np.float64 else 30.0) / builtins.max(abs(p), 1.0)
    in_range = not isinstance(out, Value) and np.all((10.0**-digits < out) & (out < 10.0**digits))
    if in_range or 0 in shape_of(x):
        return x, out
    lost = less_mask(out, 10.0**-digits) + greater_mask(out, 10.0**digits)
    largest = max(absolute(x), axis=params["axis"], keepdims=params["keepdims"])
    largest = largest.detach() if isinstance(largest, Value) else largest
    scale = choose(lost, one_for_zero(largest), 1.0)
    scaled = divide(x, spread(scale, x, params["axis"], params["keepdims"]))
    return scaled, choose(lost, norm(scaled, **params), out)


euclidean_norm: Operation = operation(
    _euclidean,
    (_euclidean_rule,),
    name="norm",
    symbol="‖·‖",
    formula="∂‖x‖ = Σxᵢ·∂xᵢ/‖x‖",
    shapes=REDUCED,
    analytic=True,
)


def _root_mean_square(x: Any, /, n: float, axis: Axis = None, keepdims: bool = False) -> Any:
    """√(Σxᵢ²/n), over the given axes, all where None: what `std` makes of x - mean.

    ∂/∂xᵢ = xᵢ/(n·√(Σxₖ²/n)), by convention 0 where all are 0; second derivatives are nan there.
    """
    return np.sqrt(np.divide(np.sum(np.multiply(x, x), axis=axis, keepdims=keepdims), n))


def _root_mean_square_rule(g: Any, out: Any, x: Any, n: float, axis: Axis = None, keepdims: bool = False) -> Any:
    x, length = within_range(root_mean_square, x, out, n=n, axis=axis, keepdims=keepdims)
    over_length = divide(g, one_for_zero(length) * n)
    return kink(spread(over_length, x, axis, keepdims), x, x, spread(length, x, axis, keepdims))


root_mean_square: Operation = operation(
    _root_mean_square,
    (_root_mean_square_rule,),
    symbol="√mean(·²)",
    formula="∂√(Σxᵢ²/n) = Σxᵢ·∂xᵢ/(n·√(Σxₖ²/n))",
    shapes=REDUCED,
    analytic=True,
)
