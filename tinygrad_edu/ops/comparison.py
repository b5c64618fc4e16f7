"""Choosing between values, and comparing them. Comparisons give plain arrays: they have no gradient."""

from __future__ import annotations

import math
import operator as op
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from tinygrad_edu.advice import doubts
from tinygrad_edu.core.context import current
from tinygrad_edu.core.operation import Operation, operation
from tinygrad_edu.core.value import Value, data_of, numbers_of
from tinygrad_edu.ops.entry import BROADCAST, binary, by_kind


def _where(holds: Any, a: Any, b: Any, /) -> Any:
    """`a` where the mask holds (isn't 0), else `b`. ∂/∂a = 1 where it holds, ∂/∂b = 1 where it doesn't; the mask has
    no gradient.
    """
    if type(holds) is type(a) is type(b) is float:
        return a if holds else b
    return np.where(np.asarray(holds, dtype=bool), a, b)


choose: Operation = operation(
    _where,
    (
        None,
        lambda g, out, holds, a, b: choose(holds, g, not_taken(a, holds, True)),
        lambda g, out, holds, a, b: choose(holds, not_taken(b, holds, False), g),
    ),
    formula="∂where(c, a, b) = where(c, ∂a, ∂b)",
    shapes="three that broadcast → their common shape",
    prints=by_kind("{1} if {0} else {2}", "where({0} != 0.0, {1}, {2})"),
    analytic=True,
)


def not_taken(x: Any, holds: Any, where: bool) -> float:
    """0, the cotangent of a choice where it isn't taken; a choice that isn't finite there is noted as a doubt."""
    data = data_of(x)
    if not np.all(np.isfinite(data)):
        unused = np.asarray(data_of(holds), dtype=bool) != where
        if np.any(unused & ~np.isfinite(data)):
            doubts.set((*doubts.get(), NOT_FINITE))
    return 0.0


NOT_FINITE = (
    "where: a branch is nan or infinite where it isn't taken, and a gradient is nan, as 0 times an infinite slope is: "
    "give the branch harmless numbers there, as in tg.where(c, f(tg.where(c, x, 1.0)), otherwise)"
)


def one_for_zero(x: Any) -> Any:
    """`x` with 1 in place of 0, for factors that a zero cancels: 0·a⁰ is 0 even at a = 0, where 0·a⁻¹ is not."""
    if type(x) is float:
        return x or 1.0
    return choose(equal_mask(x, 0.0), 1.0, x)


def mask(numpy_function: Callable[[Any, Any], Any], sign: str) -> Operation:
    """A comparison as an operation: 1 where it holds, else 0. Rules compare by these, so that they can be recorded."""

    def forward(a: Any, b: Any, /) -> Any:
        found = numpy_function(a, b)
        return float(found) if type(a) is type(b) is float else np.asarray(found, dtype=np.result_type(a, b))

    def prints(a: Any, b: Any) -> str:
        if type(a.data) is type(b.data) is float:
            return f"float({a} {sign} {b})"
        comparison = f"({a} {sign} {b})" if sign[0] in "=!<>" else f"{numpy_function.__name__}({a}, {b})"
        dtype = np.result_type(a.data, b.data)
        return f"{comparison}.astype({'float' if dtype == np.float64 else f'np.{dtype}'})"

    forward.__doc__ = f"1 where a {sign} b, else 0, elementwise. It has no gradient: it is constant between its jumps."
    return operation(
        forward,
        (None, None),
        name=f"{numpy_function.__name__}_mask",
        symbol=sign,
        formula=f"∂(a {sign} b) = 0",
        shapes=BROADCAST,
        prints=prints,
        analytic=True,
    )


equal_mask, not_equal_mask = mask(np.equal, "=="), mask(np.not_equal, "!=")
less_mask, less_equal_mask = mask(np.less, "<"), mask(np.less_equal, "<=")
greater_mask, greater_equal_mask = mask(np.greater, ">"), mask(np.greater_equal, ">=")
logical_and_mask, logical_or_mask = mask(np.logical_and, "and"), mask(np.logical_or, "or")


def where(condition: Any, *choices: Any) -> Any:
    """`where(c, a, b)`: a where c holds, else b. `where(c)`: the indices where c holds, as `np.where`.

    Both choices are computed everywhere. Where one is nan or infinite and isn't taken, its gradient is 0 times an
    infinite slope, nan; a warning then says so. Give it harmless numbers there: `where(c, f(where(c, x, 1.0)), b)`.

    Raises:
        TypeError: One choice, or more than two.
    """
    if not choices:
        return np.where(numbers_of(condition))
    if len(choices) != 2:
        raise TypeError(f"where takes a condition, or a condition and two choices, got {len(choices)} choices")
    if current()[2] is None:
        condition = data_of(condition)
    return choose(condition, *choices)


def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0.0) -> Any:
    """The first choice whose condition holds, else the default, elementwise, as `np.select`.

    Raises:
        ValueError: There are not as many choices as conditions, or none.
    """
    if len(condlist) != len(choicelist) or not condlist:
        raise ValueError(f"select: {len(condlist)} conditions for {len(choicelist)} choices")
    chosen = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        chosen = where(condition, choice, chosen)
    return chosen


def _maximum(a: Any, b: Any, /) -> Any:
    """The larger of a and b, elementwise; nan if either is. ∂ goes to the larger; a tie shares it half and half."""
    if type(a) is type(b) is float:
        return a if a >= b or a != a else b
    return np.maximum(a, b)


def _minimum(a: Any, b: Any, /) -> Any:
    """The smaller of a and b, elementwise; nan if either is. ∂ goes to the smaller; a tie shares it half and half."""
    if type(a) is type(b) is float:
        return a if a <= b or a != a else b
    return np.minimum(a, b)


def _kink(
    g: Any, slope: Any, x: Any, level: Any, /, between: tuple[float, float] = (0.0, 0.0), flat: bool = False
) -> Any:
    """g · slope, for a slope that is a choice, as 0 is for |x| at 0: what rules of functions with a kink give.

    ∂/∂g = slope, ∂/∂slope = g, and ∂/∂x is nan at the kink, where the level lies between the two bounds: a slope that
    was chosen has no derivative, and a made-up second derivative would be wrong. Where a kink is `flat`, this is so
    only for g = 0; else it is 0 there, as it is beside it.
    """
    return g * slope


def _kink_rule_x(
    g: Any,
    out: Any,
    to: Any,
    slope: Any,
    x: Any,
    level: Any,
    between: tuple[float, float] = (0.0, 0.0),
    flat: bool = False,
) -> Any:
    low, high = between
    at_kink = equal_mask(level, low) if low == high else less_mask(low, level) * less_mask(level, high)
    return nan_at(g, at_kink * equal_mask(to, 0.0) if flat else at_kink)


kink = operation(
    _kink,
    (
        lambda g, out, to, slope, x, level, **_: g * slope,
        lambda g, out, to, slope, x, level, **_: g * to,
        _kink_rule_x,
        None,
    ),
    symbol="×",
    formula="∂(g·slope) = slope·∂g + g·∂slope, nan·∂x at the kink",
    shapes="four that broadcast → the common shape of the first two",
    prints="{0} * {1}",
    analytic=True,
)


def _nan_at(g: Any, at: Any, /) -> Any:
    """nan where the mask holds and g isn't 0, else 0: a cotangent times a slope that there is none of.

    ∂/∂g is the same; the mask has no gradient.
    """
    if type(g) is type(at) is float:
        return math.nan if g != 0.0 and at else 0.0
    return np.where(np.not_equal(g, 0.0) & np.asarray(at, dtype=bool), np.nan, 0.0).astype(np.result_type(g, at))


nan_at: Operation = operation(
    _nan_at,
    (lambda g, out, to, at: nan_at(g, at), None),
    formula="nan·∂g at the mask, else 0",
    shapes=BROADCAST,
)


def share(out: Any, x: Any, other: Any) -> Any:
    """How much of the result `x` is: 1, or ½ at a tie with the other input, or 0."""
    mine = equal_mask(x, out)
    return mine - 0.5 * (mine * equal_mask(other, out))


def shared(g: Any, part: Any, x: Any) -> Any:
    """g · part, where a part between 0 and 1 is a tie: a kink."""
    return kink(g, part, x, part, between=(0.0, 1.0), flat=True)


SHARES = (
    lambda g, out, a, b: shared(g, share(out, a, b), a),
    lambda g, out, a, b: shared(g, share(out, b, a), b),
)


LARGER = "∂max(a, b) = ∂a where a > b, ∂b where b > a, half of each at a tie"
SMALLER = "∂min(a, b) = ∂a where a < b, ∂b where b < a, half of each at a tie"

maximum = operation(
    _maximum,
    SHARES,
    symbol="max",
    formula=LARGER,
    shapes=BROADCAST,
    prints=by_kind("{0} if {0} >= {1} or {0} != {0} else {1}", "maximum({0}, {1})"),
    analytic=True,
)
minimum = operation(
    _minimum,
    SHARES,
    symbol="min",
    formula=SMALLER,
    shapes=BROADCAST,
    prints=by_kind("{0} if {0} <= {1} or {0} != {0} else {1}", "minimum({0}, {1})"),
    analytic=True,
)
fmax = binary(
    np.fmax,
    None,
    SHARES,
    LARGER,
    "The larger of a and b, elementwise, the other where one is nan. ∂ goes to it; a tie shares it half and half.",
)
fmin = binary(
    np.fmin,
    None,
    SHARES,
    SMALLER,
    "The smaller of a and b, elementwise, the other where one is nan. ∂ goes to it; a tie shares it half and half.",
)


PLAIN: set[Callable[..., Any]] = set()
"""The functions with plain results, which take all of numpy's options."""


def plain(numpy_function: Callable[..., Any]) -> Callable[..., Any]:
    """numpy's function on the data of Values: for results that have no gradient, such as comparisons and positions."""

    @wraps(numpy_function)
    def function(*args: Any, **options: Any) -> Any:
        return numpy_function(*map(without_values, args), **{k: without_values(x) for k, x in options.items()})

    return ours(function)


def comparing(numpy_function: Callable[..., Any], comparison: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """The same, or what an observer makes of the comparison."""
    function = plain(numpy_function)

    @wraps(numpy_function)
    def compare(a: Any, b: Any, **options: Any) -> Any:
        observer = current()[2]
        if observer is not None and not options and (isinstance(a, Value) or isinstance(b, Value)):
            found = observer.compared(comparison, a, b)
            if found is not NotImplemented:
                return found
        return function(a, b, **options)

    return ours(compare)


def of_shape(numpy_function: Callable[..., Any]) -> Callable[..., Any]:
    """The same where no number of the first argument is looked at: a function may ask this while it is compiled."""

    @wraps(numpy_function)
    def unread(*args: Any, **options: Any) -> Any:
        return numpy_function(*map(data_of, args), **options)

    return ours(unread)


def ours(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of this module, by whose name it is pickled."""
    name = function.__name__
    function.__module__, function.__qualname__ = __name__, name
    function.__doc__ = f"`np.{name}` of the data of Values, with all its arguments: a plain result, without gradient."
    PLAIN.add(function)
    return function


def without_values(x: Any) -> Any:
    """The same with data in place of Values, in lists and tuples too."""
    if isinstance(x, (list, tuple)):
        return type(x)(map(without_values, x))
    return numbers_of(x)


equal, not_equal = comparing(np.equal, op.eq), comparing(np.not_equal, op.ne)
less, less_equal = comparing(np.less, op.lt), comparing(np.less_equal, op.le)
greater, greater_equal = comparing(np.greater, op.gt), comparing(np.greater_equal, op.ge)
logical_and, logical_or = comparing(np.logical_and, op.and_), comparing(np.logical_or, op.or_)
logical_not, logical_xor = plain(np.logical_not), plain(np.logical_xor)
isfinite, isinf, isnan, signbit = plain(np.isfinite), plain(np.isinf), plain(np.isnan), plain(np.signbit)
isclose, allclose, array_equal = plain(np.isclose), plain(np.allclose), plain(np.array_equal)
array_equiv, isposinf, isneginf = plain(np.array_equiv), plain(np.isposinf), plain(np.isneginf)
isreal, iscomplex = of_shape(np.isreal), of_shape(np.iscomplex)
isrealobj, iscomplexobj, result_type = of_shape(np.isrealobj), of_shape(np.iscomplexobj), of_shape(np.result_type)
flatnonzero, digitize, isin = plain(np.flatnonzero), plain(np.digitize), plain(np.isin)
nanargmax, nanargmin = plain(np.nanargmax), plain(np.nanargmin)
array2string, array_repr, array_str = plain(np.array2string), plain(np.array_repr), plain(np.array_str)
may_share_memory, shares_memory = plain(np.may_share_memory), plain(np.shares_memory)
tril_indices_from, triu_indices_from = of_shape(np.tril_indices_from), of_shape(np.triu_indices_from)
any, all = plain(np.any), plain(np.all)
argmax, argmin, argsort = plain(np.argmax), plain(np.argmin), plain(np.argsort)
argpartition, argwhere, nonzero = plain(np.argpartition), plain(np.argwhere), plain(np.nonzero)
count_nonzero, searchsorted = plain(np.count_nonzero), plain(np.searchsorted)
shape, ndim, size = of_shape(np.shape), of_shape(np.ndim), of_shape(np.size)
zeros_like, ones_like = of_shape(np.zeros_like), of_shape(np.ones_like)
empty_like = of_shape(np.empty_like)
