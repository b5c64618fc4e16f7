"""Arithmetic: + - * / and their like.

The one thing to know: a plain float is computed by Python, and where Python raises (1/0, or an overflow) numpy answers
instead, so that a float and an array of shape () agree: IEEE inf or nan, with numpy's warning. For the same reason
rules, whose arguments may be floats, write `divide` and `power` and not `/` and `**`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.operation import BOTH, Operation, operation
from tinygrad_edu.value import data_of


def _add(a: Any, b: Any, /) -> Any:
    """a + b, elementwise. ∂/∂a = 1, ∂/∂b = 1."""
    return a + b


add = operation(_add, lambda g, out, a, b: (g, g), symbol="+", formula="∂(a+b) = ∂a + ∂b")


def _subtract(a: Any, b: Any, /) -> Any:
    """a - b, elementwise. ∂/∂a = 1, ∂/∂b = -1."""
    return a - b


subtract = operation(
    _subtract,
    lambda g, out, a, b, needs=BOTH: (g, -g if needs[1] else None),
    symbol="−",
    formula="∂(a−b) = ∂a − ∂b",
)


def _multiply(a: Any, b: Any, /) -> Any:
    """a · b, elementwise. ∂/∂a = b, ∂/∂b = a."""
    return a * b


multiply = operation(
    _multiply,
    lambda g, out, a, b, needs=BOTH: (g * b if needs[0] else None, g * a if needs[1] else None),
    symbol="×",
    formula="∂(a·b) = b·∂a + a·∂b",
)


def _divide(a: Any, b: Any, /) -> Any:
    """a / b, elementwise; by zero as IEEE 754 has it. ∂/∂a = 1/b, ∂/∂b = -(a/b)/b."""
    try:
        return a / b
    except ZeroDivisionError:
        return float(np.divide(a, b))


divide: Operation = operation(
    _divide,
    lambda g, out, a, b, needs=BOTH: (
        divide(g, b) if needs[0] else None,
        divide(-g * out, b) if needs[1] else None,
    ),
    symbol="÷",
    formula="∂(a/b) = ∂a/b − (a/b)·∂b/b",
)


def _negative(a: Any, /) -> Any:
    """-a, elementwise. ∂/∂a = -1."""
    return -a


negative = operation(_negative, lambda g, out, a: (-g,), symbol="−", formula="∂(−a) = −∂a")


def _absolute(a: Any, /) -> Any:
    """|a|, elementwise. ∂/∂a = sign(a), 0 at 0."""
    return abs(a)


absolute = operation(
    _absolute,
    lambda g, out, a: (g * np.sign(data_of(a)),),
    symbol="|·|",
    formula="∂|a| = sign(a)·∂a",
)
