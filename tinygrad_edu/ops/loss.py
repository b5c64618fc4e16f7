"""Losses: one number that says how far outputs are from targets. Public as `tinygrad_edu.nn.half_squared_error` …

The one thing to know: outputs and targets come as one array each, or number by number, as a scalar network has them:
one entry serves both, its inputs the outputs followed by the targets.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_edu.core.operation import operation
from tinygrad_edu.ops.entry import each, shape_of


def _half_squared_error(*outputs_and_targets: Any) -> Any:
    """½ Σₖ (oₖ - tₖ)². ∂/∂oₖ = oₖ - tₖ, ∂/∂tₖ = -(oₖ - tₖ)."""
    return 0.5 * sum_of_squares(outputs_and_targets)


def printed_squares(outputs_and_targets: Sequence[Any]) -> str | None:
    """The sum of squares as source: of numbers one by one, or of one array."""
    n = len(outputs_and_targets) // 2
    pairs = list(zip(outputs_and_targets[:n], outputs_and_targets[n:], strict=True))
    if all(type(x.data) is float for x in outputs_and_targets):
        return " + ".join(f"({o} - {t}) * ({o} - {t})" for o, t in pairs)
    (o, t), *others = pairs
    if others:
        return None
    return f"({o} - {t}).dot({o} - {t})" if np.ndim(o.data) == 1 else f"vdot({o} - {t}, {o} - {t})"


def printed_half_squared_error(*outputs_and_targets: Any) -> str | None:
    squares = printed_squares(outputs_and_targets)
    return squares and f"0.5 * ({squares})"


def printed_mean_squared_error(*outputs_and_targets: Any) -> str | None:
    squares = printed_squares(outputs_and_targets)
    return squares and f"({squares}) / {count([x.data for x in outputs_and_targets])!r}"


half_squared_error = operation(
    _half_squared_error,
    each(lambda i, g, out, *both: error_cotangent(g, i, both)),
    symbol="½Σ(o−t)²",
    formula="∂½Σ(o−t)² = Σ(o−t)·(∂o − ∂t)",
    shapes="outputs and targets of one shape, or number by number → a number",
    prints=printed_half_squared_error,
    analytic=True,
)


def _mean_squared_error(*outputs_and_targets: Any) -> Any:
    """(1/n) Σₖ (oₖ - tₖ)². ∂/∂oₖ = (2/n)·(oₖ - tₖ), ∂/∂tₖ = -(2/n)·(oₖ - tₖ)."""
    return sum_of_squares(outputs_and_targets) / count(outputs_and_targets)


mean_squared_error = operation(
    _mean_squared_error,
    each(lambda i, g, out, *both: error_cotangent(g * (2.0 / count(both)), i, both)),
    symbol="mean(o−t)²",
    formula="∂mean(o−t)² = (2/n)·Σ(o−t)·(∂o − ∂t)",
    shapes="outputs and targets of one shape, or number by number → a number",
    prints=printed_mean_squared_error,
    analytic=True,
)


def sum_of_squares(outputs_and_targets: Sequence[Any]) -> Any:
    n = len(outputs_and_targets) // 2
    total: Any = 0.0
    for output, target in zip(outputs_and_targets[:n], outputs_and_targets[n:]):  # noqa: B905 - halves
        error = output - target
        total += error * error if type(error) is float else np.vdot(error, error)
    return total


def error_cotangent(g: Any, i: int, outputs_and_targets: Sequence[Any]) -> Any:
    """g·(oₖ - tₖ) for output k, -g·(oₖ - tₖ) for target k; the inputs are all outputs, then all targets."""
    n = len(outputs_and_targets) // 2
    if i < n:
        return g * (outputs_and_targets[i] - outputs_and_targets[n + i])
    return -(g * (outputs_and_targets[i - n] - outputs_and_targets[i]))


def count(outputs_and_targets: Sequence[Any]) -> float:
    """How many numbers the outputs are."""
    n = len(outputs_and_targets) // 2
    if type(outputs_and_targets[0]) is float:  # number by number
        return float(n)
    total = 0
    for output, target in zip(outputs_and_targets[:n], outputs_and_targets[n:], strict=True):
        total += max(math.prod(shape_of(output)), math.prod(shape_of(target)))
    return float(total)
