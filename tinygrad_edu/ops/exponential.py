"""Powers, exponential and logarithm. Floats go through `math`; where it raises, numpy answers (inf, -inf or nan)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_edu.operation import BOTH, operation
from tinygrad_edu.ops.arithmetic import divide
from tinygrad_edu.ops.comparison import where
from tinygrad_edu.value import data_of


def _exp(x: Any, /) -> Any:
    """eˣ, elementwise; inf where it overflows. ∂/∂x = eˣ."""
    if type(x) is not float:
        return np.exp(x)
    try:
        return math.exp(x)
    except OverflowError:
        return float(np.exp(x))


exp = operation(_exp, lambda g, out, x: (g * out,), formula="∂eˣ = eˣ·∂x")


def _log(x: Any, /) -> Any:
    """The natural logarithm, elementwise; -inf at 0, nan below. ∂/∂x = 1/x."""
    if type(x) is not float:
        return np.log(x)
    try:
        return math.log(x)
    except ValueError:
        return float(np.log(x))


log = operation(_log, lambda g, out, x: (divide(g, x),), formula="∂log(x) = ∂x/x")


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


def _power_rule(g: Any, out: Any, a: Any, b: Any, needs: tuple[bool, bool] = BOTH) -> tuple[Any, Any]:
    return (
        g * (b * power(a, one_for_zero(b) - 1.0)) if needs[0] else None,
        g * (out * log(one_for_zero(a))) if needs[1] else None,
    )


def one_for_zero(x: Any) -> Any:
    """`x` with 1 in place of 0, for factors that a zero cancels: 0·a⁰ is 0 even at a = 0, where 0·a⁻¹ is not."""
    if type(x) is float:
        return x or 1.0
    zeros = data_of(x) == 0.0
    return where(1.0, x, condition=zeros) if np.any(zeros) else x


power = operation(_power, _power_rule, symbol="^", formula="∂(aᵇ) = b·aᵇ⁻¹·∂a + aᵇ·log(a)·∂b")
