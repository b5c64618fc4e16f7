"""Choosing between values: maximum, where."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.operation import operation
from tinygrad_edu.value import data_of


def _where(a: Any, b: Any, /, condition: Any) -> Any:
    """`a` where the condition holds, else `b`. ∂/∂a = 1 where it holds, ∂/∂b = 1 where it doesn't."""
    if isinstance(condition, (bool, np.bool)) and type(a) is type(b) is float:
        return a if condition else b
    return np.where(condition, a, b)


def _where_rule(g: Any, out: Any, a: Any, b: Any, condition: Any) -> tuple[Any, Any]:
    return where(g, 0.0, condition=condition), where(0.0, g, condition=condition)


where = operation(_where, _where_rule, symbol="where", formula="∂where(c, a, b) = where(c, ∂a, ∂b)")


def _maximum(a: Any, b: Any, /) -> Any:
    """The larger of a and b, elementwise; nan if either is. ∂ goes to the larger; a tie shares it half and half."""
    if type(a) is type(b) is float:
        return a if a >= b or a != a else b
    return np.maximum(a, b)


def share_of(a: Any, b: Any) -> Any:
    """1 where a is the larger, 1/2 at a tie, else 0."""
    a, b = data_of(a), data_of(b)
    return (a > b) + 0.5 * (a == b)


maximum = operation(
    _maximum,
    lambda g, out, a, b: (g * share_of(a, b), g * share_of(b, a)),
    symbol="max",
    formula="∂max(a, b) = ∂a where a > b, ∂b where b > a, half of each at a tie",
)
