"""Arithmetic: + - * / and their like, and functions that round.

The one thing to know: a plain float is computed by Python, and where Python raises (1/0, or an overflow) numpy answers
instead, so that a float and an array of shape () agree: IEEE inf or nan, with numpy's warning. For the same reason
rules, whose arguments may be floats, write `divide` and `power` and not `/` and `**`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_edu.core.operation import Operation, operation
from tinygrad_edu.core.value import Value, numbers_of
from tinygrad_edu.ops.comparison import (
    equal_mask,
    greater_equal_mask,
    kink,
    less_equal_mask,
    less_mask,
    maximum,
    minimum,
    one_for_zero,
)
from tinygrad_edu.ops.entry import BROADCAST, ELEMENTWISE, binary, by_kind, stepwise, unary, zero_of


def _add(a: Any, b: Any, /) -> Any:
    """a + b, elementwise. ∂/∂a = 1, ∂/∂b = 1."""
    return a + b


add = operation(
    _add,
    (lambda g, out, a, b: g, lambda g, out, a, b: g),
    symbol="+",
    formula="∂(a+b) = ∂a + ∂b",
    shapes=BROADCAST,
    prints="{0} + {1}",
    analytic=True,
)


def _subtract(a: Any, b: Any, /) -> Any:
    """a - b, elementwise. ∂/∂a = 1, ∂/∂b = -1."""
    return a - b


subtract = operation(
    _subtract,
    (lambda g, out, a, b: g, lambda g, out, a, b: -g),
    symbol="−",
    formula="∂(a−b) = ∂a − ∂b",
    shapes=BROADCAST,
    prints="{0} - {1}",
    analytic=True,
)


def _multiply(a: Any, b: Any, /) -> Any:
    """a · b, elementwise. ∂/∂a = b, ∂/∂b = a."""
    return a * b


multiply = operation(
    _multiply,
    (lambda g, out, a, b: g * b, lambda g, out, a, b: g * a),
    symbol="×",
    formula="∂(a·b) = b·∂a + a·∂b",
    shapes=BROADCAST,
    prints="{0} * {1}",
    analytic=True,
)


def _divide(a: Any, b: Any, /) -> Any:
    """a / b, elementwise; by zero as IEEE 754 has it. ∂/∂a = 1/b, ∂/∂b = -(a/b)/b."""
    try:
        return a / b
    except ZeroDivisionError:
        return float(np.divide(a, b))


divide: Operation = operation(
    _divide,
    (lambda g, out, a, b: divide(g, b), lambda g, out, a, b: divide(-g * out, b)),
    symbol="÷",
    formula="∂(a/b) = ∂a/b − (a/b)·∂b/b",
    shapes=BROADCAST,
    prints="{0} / {1}",
    analytic=True,
)


def _negative(a: Any, /) -> Any:
    """-a, elementwise. ∂/∂a = -1."""
    return -a


negative = operation(
    _negative,
    (lambda g, out, a: -g,),
    symbol="−",
    formula="∂(−a) = −∂a",
    shapes=ELEMENTWISE,
    prints="-{0}",
    analytic=True,
)


def _positive(a: Any, /) -> Any:
    """a itself. ∂/∂a = 1."""
    return +a


positive = operation(
    _positive,
    (lambda g, out, a: g,),
    symbol="+",
    formula="∂(+a) = ∂a",
    shapes=ELEMENTWISE,
    prints="+{0}",
    analytic=True,
)


def _absolute(a: Any, /) -> Any:
    """|a|, elementwise. ∂/∂a = sign(a), by convention 0 at 0."""
    return abs(a)


absolute = operation(
    _absolute,
    (lambda g, out, a: kink(g, sign(a), a, a, flat=True),),
    symbol="|·|",
    formula="∂|a| = sign(a)·∂a",
    analytic=False,
    shapes=ELEMENTWISE,
    prints="abs({0})",
)
fabs = unary(
    np.fabs,
    math.fabs,
    lambda g, out, x: kink(g, sign(x), x, x, flat=True),
    "∂|x| = sign(x)·∂x",
    "|x|, elementwise. ∂/∂x = sign(x), by convention 0 at 0.",
    "|·|",
    False,
)

reciprocal: Operation = unary(
    np.reciprocal,
    lambda x: 1.0 / x,
    lambda g, out, x: -g * out * out,
    "∂(1/x) = −∂x/x²",
    "1/x, elementwise. ∂/∂x = -1/x².",
    "1/x",
    prints="1.0 / {0}",
)
square = unary(
    np.square,
    lambda x: x * x,
    lambda g, out, x: g * (2.0 * x),
    "∂x² = 2x·∂x",
    "x², elementwise. ∂/∂x = 2x.",
    "x²",
    prints="{0} * {0}",
)
sqrt: Operation = unary(
    np.sqrt,
    math.sqrt,
    lambda g, out, x: divide(0.5 * g, out),
    "∂√x = ∂x/(2√x)",
    "The square root, elementwise; nan below 0. ∂/∂x = 1/(2√x).",
    "√",
)
cbrt: Operation = unary(
    np.cbrt,
    None,
    lambda g, out, x: divide(g, 3.0 * out * out),
    "∂∛x = ∂x/(3·∛x²)",
    "The cube root, elementwise. ∂/∂x = 1/(3·∛x²).",
    "∛",
)

sign: Operation = stepwise(
    np.sign,
    "-1, 0 or 1, as x is below, at or above 0",
    prints=by_kind("1.0 if {0} > 0.0 else -1.0 if {0} < 0.0 else 0.0 if {0} == 0.0 else {0}", "sign({0})"),
)
floor = stepwise(np.floor, "The largest whole number not above x", "⌊·⌋")
ceil = stepwise(np.ceil, "The smallest whole number not below x", "⌈·⌉")
trunc = stepwise(np.trunc, "x without its fraction")
rint = stepwise(np.rint, "The nearest whole number, the even one of two")


def _round(x: Any, /, decimals: int = 0) -> Any:
    """x to so many decimals, a 5 to the even side, elementwise. ∂/∂x = 0: it is constant between its jumps."""
    out = np.round(x, decimals)
    return float(out) if type(x) is float else out


round = operation(
    _round,
    (lambda g, out, x, decimals=0: zero_of(x),),
    formula="∂round(x) = 0",
    shapes=ELEMENTWISE,
)


def conjugate(x: Any) -> Any:
    """x itself, since data is real."""
    return x if isinstance(x, Value) else np.conjugate(x)


def real(x: Any) -> Any:
    """x itself, since data is real."""
    return x if isinstance(x, Value) else np.real(x)


def imag(x: Any) -> Any:
    """Zeros, since data is real."""
    return np.zeros(x.shape, x.dtype) if isinstance(x, Value) else np.imag(x)


def real_if_close(a: Any, tol: float = 100.0) -> Any:
    """a itself, since data is real."""
    return a if isinstance(a, Value) else np.real_if_close(a, tol)


def copysign(a: Any, b: Any) -> Any:
    """|a| with the sign of b, elementwise; of b only the sign bit counts, which has no gradient."""
    return absolute(a) * np.copysign(1.0, numbers_of(b))


remainder: Operation = binary(
    np.remainder,
    None,
    (lambda g, out, a, b: g, lambda g, out, a, b: -g * floor_divide(a, b)),
    "∂(a mod b) = ∂a − ⌊a/b⌋·∂b",
    "a - b·⌊a/b⌋, elementwise: it has the sign of b. ∂/∂a = 1, ∂/∂b = -⌊a/b⌋.",
    "mod",
)
mod = remainder
fmod: Operation = binary(
    np.fmod,
    None,
    (lambda g, out, a, b: g, lambda g, out, a, b: -g * rint(divide(a - out, b))),
    "∂fmod(a, b) = ∂a − trunc(a/b)·∂b",
    "a - b·trunc(a/b), elementwise: it has the sign of a. ∂/∂a = 1, ∂/∂b = -trunc(a/b), the whole number (a - out)/b.",
)
floor_divide: Operation = binary(
    np.floor_divide,
    None,
    (lambda g, out, a, b: zero_of(a), lambda g, out, a, b: zero_of(b)),
    "∂⌊a/b⌋ = 0",
    "⌊a/b⌋, elementwise. ∂ = 0: it is constant between its jumps.",
    "//",
)


heaviside = binary(
    np.heaviside,
    None,
    (lambda g, out, a, b: zero_of(a), lambda g, out, a, b: g * equal_mask(a, 0.0)),
    "∂heaviside(a, b) = ∂b where a = 0",
    "0 where a < 0, b where a = 0, 1 where a > 0. ∂/∂a = 0, ∂/∂b = 1 where a = 0.",
)


hypot = binary(
    np.hypot,
    math.hypot,
    (
        lambda g, out, a, b: kink(g, divide(a, one_for_zero(out)), a, out),
        lambda g, out, a, b: kink(g, divide(b, one_for_zero(out)), b, out),
    ),
    "∂√(a²+b²) = (a·∂a + b·∂b)/√(a²+b²)",
    "√(a² + b²), elementwise. ∂/∂a = a/√(a² + b²), ∂/∂b = b/√(a² + b²), by convention both 0 at the origin, where "
    "second derivatives are nan.",
)


def _nan_to_num(
    x: Any, /, copy: bool = True, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Any:
    """x with numbers for nan and ±inf, elementwise; the arguments are numpy's, but `copy=False` is refused: no Value
    is changed in place. ∂/∂x = 1 where x is finite, else 0.
    """
    if not copy:
        raise TypeError("nan_to_num: copy=False would change x in place; use the returned Value")
    out = np.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf)
    return float(out) if type(x) is float else out


nan_to_num = operation(
    _nan_to_num,
    (lambda g, out, x, **_: g * less_mask(absolute(x), math.inf),),
    formula="∂nan_to_num(x) = ∂x where x is finite",
    shapes=ELEMENTWISE,
    analytic=True,
)


def divmod(a: Any, b: Any) -> tuple[Any, Any]:
    """The pair of ⌊a/b⌋ and a mod b, elementwise."""
    return floor_divide(a, b), remainder(a, b)


def modf(x: Any) -> tuple[Any, Any]:
    """The pair of fraction and whole number of x, both with its sign, elementwise."""
    return x - trunc(x), trunc(x)


def _clip(x: Any, /, a_min: Any = None, a_max: Any = None) -> Any:
    """x, no less than a_min and no more than a_max, elementwise; a_max where the bounds cross.

    ∂/∂x = 1 from a_min to a_max, by convention at the bounds too, else 0; 0 everywhere where the bounds cross.
    """
    out = np.clip(x, a_min, a_max)
    return float(out) if type(x) is float else out


def within(x: Any, low: Any, high: Any) -> Any:
    """1 from low to high, both included, else 0; a bound that is None is none."""
    above = less_equal_mask(x, x) if low is None else greater_equal_mask(x, low)
    return above if high is None else above * less_equal_mask(x, high)


_clip_to = operation(
    _clip,
    (lambda g, out, x, a_min=None, a_max=None: g * within(x, a_min, a_max),),
    name="clip",
    formula="∂clip(x) = ∂x between the bounds, else 0",
    shapes=ELEMENTWISE,
    analytic=True,
)


def clip(x: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    """x, no less than a_min and no more than a_max. Bounds that are Values get gradients too; a tie is shared."""
    a_min, a_max = a_min if min is None else min, a_max if max is None else max
    if not (isinstance(a_min, Value) or isinstance(a_max, Value)):
        return _clip_to(x, a_min=a_min, a_max=a_max)
    above = x if a_min is None else maximum(x, a_min)
    return above if a_max is None else minimum(above, a_max)
