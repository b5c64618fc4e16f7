"""Powers, exponentials and logarithms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_edu.core.operation import Operation, operation
from tinygrad_edu.ops.arithmetic import divide, sqrt
from tinygrad_edu.ops.comparison import choose, equal_mask, greater_mask, kink, less_equal_mask, one_for_zero
from tinygrad_edu.ops.entry import BROADCAST, binary, unary

LOG_2, LOG_10 = math.log(2.0), math.log(10.0)

exp = unary(
    np.exp,
    math.exp,
    lambda g, out, x: g * out,
    "∂eˣ = eˣ·∂x",
    "eˣ, elementwise; inf where it overflows. ∂/∂x = eˣ.",
)
exp2 = unary(
    np.exp2, math.exp2, lambda g, out, x: g * (out * LOG_2), "∂2ˣ = 2ˣ·log 2·∂x", "2ˣ, elementwise. ∂/∂x = 2ˣ·log 2."
)
expm1 = unary(
    np.expm1,
    math.expm1,
    lambda g, out, x: g * (out + 1.0),
    "∂(eˣ−1) = eˣ·∂x",
    "eˣ - 1, exact also for small x, elementwise. ∂/∂x = eˣ.",
    "eˣ−1",
)
log: Operation = unary(
    np.log,
    math.log,
    lambda g, out, x: divide(g, x),
    "∂log(x) = ∂x/x",
    "The natural logarithm, elementwise; -inf at 0, nan below. ∂/∂x = 1/x.",
)
log2: Operation = unary(
    np.log2,
    math.log2,
    lambda g, out, x: divide(g, x * LOG_2),
    "∂log₂(x) = ∂x/(x·log 2)",
    "The logarithm to base 2, elementwise. ∂/∂x = 1/(x·log 2).",
    "log₂",
)
log10: Operation = unary(
    np.log10,
    math.log10,
    lambda g, out, x: divide(g, x * LOG_10),
    "∂log₁₀(x) = ∂x/(x·log 10)",
    "The logarithm to base 10, elementwise. ∂/∂x = 1/(x·log 10).",
    "log₁₀",
)
log1p: Operation = unary(
    np.log1p,
    math.log1p,
    lambda g, out, x: divide(g, x + 1.0),
    "∂log(1+x) = ∂x/(1+x)",
    "log(1 + x), exact also for small x, elementwise. ∂/∂x = 1/(1 + x).",
    "log(1+x)",
)
logaddexp: Operation = binary(
    np.logaddexp,
    None,
    (
        lambda g, out, a, b: g * (exp(finite_difference(a, out)) * unless_tied(a, b, out)),
        lambda g, out, a, b: g * (exp(finite_difference(b, out)) * unless_tied(a, b, out)),
    ),
    "∂log(eᵃ+eᵇ) = eᵃ⁻ᵒ·∂a + eᵇ⁻ᵒ·∂b",
    "log(eᵃ + eᵇ) without overflow, elementwise. ∂/∂a = eᵃ/(eᵃ + eᵇ), ∂/∂b = eᵇ/(eᵃ + eᵇ); "
    "of two that are the same infinity ½ each.",
)
logaddexp2: Operation = binary(
    np.logaddexp2,
    None,
    (
        lambda g, out, a, b: g * (exp2(finite_difference(a, out)) * unless_tied(a, b, out)),
        lambda g, out, a, b: g * (exp2(finite_difference(b, out)) * unless_tied(a, b, out)),
    ),
    "∂log₂(2ᵃ+2ᵇ) = 2ᵃ⁻ᵒ·∂a + 2ᵇ⁻ᵒ·∂b",
    "log₂(2ᵃ + 2ᵇ) without overflow, elementwise. ∂/∂a = 2ᵃ/(2ᵃ + 2ᵇ), ∂/∂b = 2ᵇ/(2ᵃ + 2ᵇ); "
    "of two that are the same infinity ½ each.",
)


def unless_tied(a: Any, b: Any, out: Any) -> Any:
    """1, and ½ where both inputs are the result, as both being -inf are: each has its half."""
    return 1.0 - 0.5 * (equal_mask(a, out) * equal_mask(b, out))


def finite_difference(a: Any, b: Any) -> Any:
    """a - b, and 0 where both are the same infinity."""
    same = equal_mask(a, b)
    return choose(same, 0.0, a) - choose(same, 0.0, b)


def _power(a: Any, b: Any, /) -> Any:
    """a to the power b, elementwise. ∂/∂a = b·aᵇ⁻¹, ∂/∂b = aᵇ·log a.

    A negative number to a fractional power is nan, and so is ∂/∂b for a negative a. ∂/∂a is 0 where b = 0, also at
    a = 0. ∂/∂b is 0 where a = 0 and b > 0, and -inf at a = b = 0, where aᵇ falls from 1 to 0.
    """
    if not (type(a) is type(b) is float):
        return a**b
    try:
        out = a**b
    except (ZeroDivisionError, OverflowError):
        out = math.nan
    if type(out) is float and math.isfinite(out) and math.isfinite(a):
        return out
    return float(np.power(a, b))


def power_slope(a: Any, b: Any) -> Any:
    """b·aᵇ⁻¹, and 0 at a = b = 0, where it has no derivative by b."""
    if type(b) is float:
        return b * power(a, one_for_zero(b) - 1.0)
    both = equal_mask(a, 0.0) * equal_mask(b, 0.0)
    return choose(both, kink(both, b, b, b), b * power(a, b + both - 1.0))


def log_slope(out: Any, a: Any, b: Any) -> Any:
    """aᵇ·log a, and at a = 0 < b its limit 0: flat in b, but for b ≤ 1 as steep in a as -√a is there."""
    at_zero = equal_mask(a, 0.0) * greater_mask(b, 0.0)
    falling = at_zero * less_equal_mask(b, 1.0)
    limit = choose(falling, 0.0 - sqrt(choose(falling, a, 1.0)), 0.0)
    return choose(at_zero, limit, times_log(out, choose(at_zero, 1.0, a)))


def _times_log(y: Any, x: Any, /) -> Any:
    """y · log x, elementwise; 0 where y = 0. ∂/∂y = log x, ∂/∂x = y/x."""
    if type(y) is type(x) is float:
        return 0.0 if y == 0.0 else y * log(x)
    zero = np.equal(y, 0.0)
    return y * np.log(np.where(zero, 1.0, x)) if zero.any() else y * np.log(x)


times_log: Operation = operation(
    _times_log,
    (lambda g, out, y, x: times_log(g, x), lambda g, out, y, x: g * divide(y, x)),
    formula="∂(y·log x) = log(x)·∂y + y/x·∂x",
    shapes=BROADCAST,
    analytic=True,
)


def printed_power(a: Any, b: Any) -> str | None:
    """With floats only where no exponent can ask for more than Python's own power: whole numbers from 1 on.

    An array of shape () is made one again where it may be a scalar, of which numpy takes powers otherwise.
    """
    floats = type(a.data) is type(b.data) is float
    if not floats:
        a, b = (f"asarray({x})" if type(x.data) is not float and not np.ndim(x.data) else x for x in (a, b))
    return f"{a} ** {b}" if not floats or (b.fixed and b.data.is_integer() and b.data >= 1.0) else None


power: Operation = operation(
    _power,
    (
        lambda g, out, a, b: g * power_slope(a, b),
        lambda g, out, a, b: g * log_slope(out, a, b),
    ),
    symbol="^",
    formula="∂(aᵇ) = b·aᵇ⁻¹·∂a + aᵇ·log(a)·∂b",
    shapes=BROADCAST,
    prints=printed_power,
    analytic=True,
)
