"""Numerical derivatives: of the function alone, with an estimate of their error.

The one thing to know: this side only calls the function; it knows nothing of rules. So the two sides of a check share
no mistake.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tinygrad_edu.core.value import Data

Evaluate = Callable[[list[Data]], float]
EPSILON = float(np.finfo(float).eps)


class Estimate(NamedTuple):
    """A derivative, and about how far off it may be."""

    value: float
    error: float


def central(f: Callable[[float], float], x: float, step: float) -> Estimate:
    """(f(x+h) - f(x-h)) / 2h. The error, of order h², is estimated from the same with 2h, plus what rounding makes.

    Source: Press et al., Numerical Recipes (3rd ed.), section 5.7.
    """
    values = [f(x + k * step) for k in (2.0, 1.0, -1.0, -2.0)]
    h = ((x + step) - (x - step)) / 2.0  # as the floats have it
    fine, coarse = (values[1] - values[2]) / (2.0 * h), (values[0] - values[3]) / (4.0 * h)
    return Estimate(fine, abs(fine - coarse) / 3.0 + rounding(values, h))


def extrapolated(f: Callable[[float], float], x: float) -> Estimate:
    """Central differences at shrinking steps, extrapolated to step 0; the best entry of the table and its error.

    Source: Ridders' method, as in Press et al., Numerical Recipes (3rd ed.), section 5.7.
    """
    shrink, rows, most = 1.6, 9, 40
    step = 0.06 * max(1.0, abs(x))
    best = Estimate(math.nan, math.inf)
    previous: list[float] = []
    for _ in range(most):
        values = [f(x + step), f(x - step)]
        h = ((x + step) - (x - step)) / 2.0
        row = [(values[0] - values[1]) / (2.0 * h)]
        factor = shrink * shrink
        for coarse in previous:
            row.append((row[-1] * factor - coarse) / (factor - 1.0))
            factor *= shrink * shrink
            error = max(abs(row[-1] - row[-2]), abs(row[-1] - coarse)) + rounding(values, h)
            if error < best.error:
                best = Estimate(row[-1], error)
        previous = row if math.isfinite(row[0]) else []  # outside the function's domain: start again closer
        if len(previous) == rows:
            break
        step /= shrink
    return best


def one_sided(f: Callable[[float], float], x: float, step: float) -> tuple[float, float]:
    """(f(x) - f(x-h)) / h and (f(x+h) - f(x)) / h."""
    here = f(x)
    return (here - f(x - step)) / (x - (x - step)), (f(x + step) - here) / ((x + step) - x)


def kink(f: Callable[[float], float], x: float) -> tuple[float, float] | None:
    """The slopes on both sides, where they differ in a way that no smaller step mends; None where f is smooth.

    For a smooth function the difference of the two shrinks with the step; at a kink it stays.
    """
    scale = max(1.0, abs(x))
    gaps = []
    for step in (1e-4 * scale, 1e-6 * scale):
        left, right = one_sided(f, x, step)
        gaps.append(abs(right - left))
    noise = 1e-4 * max(abs(left), abs(right)) + 1e-6
    if not (math.isfinite(gaps[1]) and gaps[1] > noise and gaps[1] > 0.5 * gaps[0]):
        return None
    return left, right


def rounding(values: list[float], h: float) -> float:
    """About how much the rounding of function values adds to a difference quotient."""
    return 2.0 * EPSILON * max(map(abs, values)) / h


def step_for(x: float, eps: float) -> float:
    return eps * max(1.0, abs(x))


def along(evaluate: Evaluate, data: list[Data], position: int, index: tuple[int, ...]) -> Callable[[float], float]:
    """The function of one entry alone. Inputs are copies: a function may keep or change what it is given."""

    def f(number: float) -> float:
        copies: list[Any] = [x if isinstance(x, float) else x.copy() for x in data]
        if isinstance(copies[position], float):
            copies[position] = number
        else:
            copies[position][index] = number
        return evaluate(copies)

    return f


def on_line(evaluate: Evaluate, data: list[Data], direction: list[Any]) -> Callable[[float], float]:
    """The function of the distance t from the inputs in a direction."""

    def f(t: float) -> float:
        return evaluate([x + t * d for x, d in zip(data, direction, strict=True)])

    return f
