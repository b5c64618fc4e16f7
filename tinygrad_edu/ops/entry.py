"""What entries are made with: elementwise functions of one or two inputs, and pieces that many rules use.

The one thing to know: a float goes to Python's function and an array to numpy's. Where Python raises (a domain error,
an overflow, a division by zero) numpy answers in its place: a float and an array of shape () agree on every edge.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_edu.core.operation import Operation, operation
from tinygrad_edu.core.value import Value, data_of, numbers_of

ELEMENTWISE = "any → the same"
BROADCAST = "two that broadcast → their common shape"

Rule = Callable[..., Any]
Prints = str | Callable[..., str | None] | None


def by_kind(of_floats: str | None, of_arrays: str | None) -> Callable[..., str | None]:
    """A way to print that is one for floats and another where an array is among the inputs."""

    def prints(*places: Any, **params: Any) -> str | None:
        return of_floats if all(type(place.data) is float for place in places) else of_arrays

    return prints


def printed_call(numpy_function: Any, python_function: Any, places: str) -> Prints:
    """How a call is printed: under the name that `math` and numpy share, or for arrays only, under numpy's."""
    name = getattr(python_function, "__name__", "")
    if getattr(math, name, None) is python_function and getattr(np, name, None) is numpy_function:
        return f"{name}({places})"
    return by_kind(None, f"{numpy_function.__name__}({places})")


def unary(
    numpy_function: Callable[[Any], Any],
    python_function: Callable[[float], Any] | None,
    rule: Rule,
    formula: str,
    doc: str,
    symbol: str | None = None,
    analytic: bool = True,
    prints: Prints = None,
) -> Operation:
    """An elementwise operation of one input, under numpy's name."""

    def forward(x: Any, /) -> Any:
        if type(x) is not float:
            return numpy_function(x)
        if python_function is None:
            return float(numpy_function(x))
        try:
            return float(python_function(x))
        except (ValueError, OverflowError, ZeroDivisionError):
            return float(numpy_function(x))

    forward.__doc__, forward.__qualname__ = doc, numpy_function.__name__
    return operation(
        forward,
        (rule,),
        name=numpy_function.__name__,
        symbol=symbol,
        formula=formula,
        shapes=ELEMENTWISE,
        analytic=analytic,
        prints=prints or printed_call(numpy_function, python_function, "{0}"),
    )


def binary(
    numpy_function: Callable[[Any, Any], Any],
    python_function: Callable[[float, float], Any] | None,
    rules: tuple[Rule | None, Rule | None],
    formula: str,
    doc: str,
    symbol: str | None = None,
) -> Operation:
    """An elementwise operation of two inputs, under numpy's name."""

    def forward(a: Any, b: Any, /) -> Any:
        if not (type(a) is type(b) is float):
            return numpy_function(a, b)
        if python_function is None:
            return float(numpy_function(a, b))
        try:
            return float(python_function(a, b))
        except (ValueError, OverflowError, ZeroDivisionError):
            return float(numpy_function(a, b))

    forward.__doc__, forward.__qualname__ = doc, numpy_function.__name__
    return operation(
        forward,
        rules,
        name=numpy_function.__name__,
        symbol=symbol,
        formula=formula,
        shapes=BROADCAST,
        prints=printed_call(numpy_function, python_function, "{0}, {1}"),
        analytic=True,
    )


def stepwise(
    numpy_function: Callable[[Any], Any], doc: str, symbol: str | None = None, prints: Prints = None
) -> Operation:
    """An elementwise operation that is constant between its jumps: the derivative is 0 wherever there is one."""
    return unary(
        numpy_function,
        None,
        lambda g, out, x: zero_of(x),
        f"∂{numpy_function.__name__}(x) = 0",
        f"{doc}, elementwise. ∂/∂x = 0: it is constant between its jumps.",
        symbol,
        analytic=False,
        prints=prints,
    )


def each(rule: Rule) -> Callable[..., list[Any]]:
    """One rule for any number of inputs: `rule(i, g, out, *inputs, **params)` gives the cotangent of input i."""

    def rules(g: Any, out: Any, *inputs: Any, wanted: Sequence[bool] | None = None, **params: Any) -> list[Any]:
        asked = wanted or [True] * len(inputs)
        return [rule(i, g, out, *inputs, **params) if asked[i] else None for i in range(len(inputs))]

    rules.__wrapped__ = rule  # type: ignore[attr-defined]
    return rules


def zero_of(x: Any) -> Any:
    """A zero of the kind and shape of `x`."""
    data = data_of(x)
    zero = 0.0 if type(data) is float else np.zeros(data.shape, data.dtype)
    return Value(zero) if isinstance(x, Value) else zero


def whole(x: Any) -> Any:
    """Positions and counts as plain whole numbers, from a Value too. Raises TypeError for fractions."""
    numbers = np.asarray(numbers_of(x))
    if numbers.dtype.kind in "iub":
        return numbers
    positions = numbers.astype(int)
    if not np.array_equal(positions, numbers) or not (isinstance(x, Value) or numbers.size == 0):
        raise TypeError(f"positions and counts must be whole numbers, got {x!r}")
    return positions


def shape_of(x: Any) -> tuple[int, ...]:
    """The shape of a Value, an array or a float."""
    return () if type(x) is float else x.shape


def axes_of(axis: int | tuple[int, ...] | None, ndim: int) -> tuple[int, ...]:
    """The axes that `axis` names, counted from the front; all where None. Raises numpy's AxisError for one too many."""
    if axis is None:
        return tuple(range(ndim))
    return tuple(
        np.lib.array_utils.normalize_axis_index(a, ndim) for a in (axis if isinstance(axis, tuple) else (axis,))
    )
