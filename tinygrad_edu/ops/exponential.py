"""Powers, exponentials and logarithms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_edu.core.operation import Operation, operation
from tinygrad_edu.ops.arithmetic import divide
from tinygrad_edu.ops.comparison import choose, equal_mask, one_for_zero
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
        lambda g, out, a, b: g * exp(finite_difference(a, out)),
        lambda g, out, a, b: g * exp(finite_difference(b, out)),
    ),
    "∂log(eᵃ+eᵇ) = eᵃ⁻ᵒ·∂a + eᵇ⁻ᵒ·∂b",
    "log(eᵃ + eᵇ) without overflow, elementwise. ∂/∂a = eᵃ/(eᵃ + eᵇ), ∂/∂b = eᵇ/(eᵃ + eᵇ).",
)
logaddexp2: Operation = binary(
    np.logaddexp2,
    None,
    (
        lambda g, out, a, b: g * exp2(finite_difference(a, out)),
        lambda g, out, a, b: g * exp2(finite_difference(b, out)),
    ),
    "∂log₂(2ᵃ+2ᵇ) = 2ᵃ⁻ᵒ·∂a + 2ᵇ⁻ᵒ·∂b",
    "log₂(2ᵃ + 2ᵇ) without overflow, elementwise. ∂/∂a = 2ᵃ/(2ᵃ + 2ᵇ), ∂/∂b = 2ᵇ/(2ᵃ + 2ᵇ).",
)


def finite_difference(a: Any, b: Any) -> Any:
    """a - b, and 0 where both are the same infinity."""
    same = equal_mask(a, b)
    return choose(same, 0.0, a) - choose(same, 0.0, b)


def _power(a: Any, b: Any, /) -> Any:
    """a to the power b, elementwise. ∂/∂a = b·aᵇ⁻¹, ∂/∂b = aᵇ·log a.

    A negative number to a fractional power is nan. By convention ∂/∂a is 0 where b = 0, and ∂/∂b is 0
    where a = 0.
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


def printed_power(a: Any, b: Any) -> str | None:
    """With floats only where no exponent can ask for more than Python's own power: whole numbers from 1 on."""
    floats = type(a.data) is type(b.data) is float
    return f"{a} ** {b}" if not floats or (b.fixed and b.data.is_integer() and b.data >= 1.0) else None


power: Operation = operation(
    _power,
    (
        lambda g, out, a, b: g * (b * power(a, one_for_zero(b) - 1.0)),
        lambda g, out, a, b: g * (out * log(one_for_zero(a))),
    ),
    symbol="^",
    formula="∂(aᵇ) = b·aᵇ⁻¹·∂a + aᵇ·log(a)·∂b",
    shapes=BROADCAST,
    prints=printed_power,
    analytic=True,
)
