"""Numerical derivatives: of the function alone, with an estimate of their error.

The one thing to know: this side only calls the function; it knows nothing of rules. So the two sides of a check share
no mistake. Two calls for each number are the rule. Where the slopes on both sides of it differ, smaller steps tell a
kink nearby (the slope of its own side counts) from a kink right there (any slope between both counts).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from tinygrad_edu.core.data import Array, Data

Evaluate: TypeAlias = Callable[[list[Data]], Array]
"""The function of its inputs: one number for each cotangent that it is checked with."""
EPSILON = float(np.finfo(float).eps)
SINGLE = float(np.finfo(np.float32).eps)
FINER = (1.0, 0.1, 0.01, 1e-3, 1e-4)
"""Steps that are tried near a kink, as parts of the usual one."""
COARSER = (1e3, 1e2, 1e1, 1.0)
"""Steps that are tried where rounding hides a derivative, as multiples of the usual one."""


class Estimate(NamedTuple):
    """A derivative, and about how far off it may be."""

    value: float
    error: float


class Slopes(NamedTuple):
    """The derivatives by every number of one input, for each cotangent: arrays of shape (n, cotangents)."""

    value: Array
    error: Array
    left: Array
    right: Array


class Terms(NamedTuple):
    """What a function's numbers are summed from: the terms for some inputs, and the weights of each sum."""

    parts: Evaluate
    weights: Array

    def largest(self, data: list[Data]) -> Array:
        """The sum of the terms' sizes, which bounds the rounding of each sum."""
        sums: Array = np.abs(self.weights) @ np.abs(self.parts(copies_of(data)))
        return sums

    def spread(self, data: list[Data]) -> Array:
        """About how large the sums would be if the terms' signs were random: so their rounding errors add up."""
        sums: Array = np.sqrt(self.weights**2 @ self.parts(copies_of(data)) ** 2)
        return sums


class Point:
    """A function at the inputs of a check: its value there, how noisy it is, and the step that suits each input.

    Attributes:
        here: The function's value.
        noise: How far two values may differ by rounding, for each cotangent. It is measured, so that a function that
            computes in float32 inside gets larger steps.
        single: Whether it does so: its numbers have no more than some nine digits.
        steps: For each input the step of a difference, relative to max(1, |x|).
    """

    def __init__(self, evaluate: Evaluate, data: list[Data], eps: float, terms: Terms | None = None) -> None:
        self.evaluate, self.data = evaluate, data
        self.here = evaluate(copies_of(data))
        direction = [d * own_sizes(x) for d, x in zip(random_direction(data), data, strict=True)]
        terms = terms or Terms(evaluate, np.eye(self.here.size))
        spread = terms.spread(data)
        self.single = in_single(on_line(terms.parts, data, direction))
        rounding = (SINGLE if self.single else EPSILON) * np.maximum(spread, np.abs(self.here))
        self.noise = np.maximum(rounding, noise_of(on_line(evaluate, data, direction)))
        self.single |= bool(np.any(self.noise > 1e-9 * (np.abs(self.here) + spread)))
        self.steps = [self.step_for_input(i, eps) for i in range(len(data))]

    def step_for_input(self, i: int, eps: float) -> float:
        """The usual step, unless another tells more: a smaller one for small inputs, a larger one for much noise.

        Larger ones cross kinks, so that they are tried only where rounding would hide the derivative.
        """
        if not np.size(self.data[i]):
            return eps
        line = self.line(i)
        usual, hidden = self.quality(line, eps)
        if usual <= 1e-6:
            return eps
        factors = [0.1, 0.01, 1e-3, float(np.max(own_size(self.data[i]), initial=0.0))]
        factors += [10.0, 100.0, 1000.0] if hidden > 1e-4 else []
        others = {eps * factor: self.quality(line, eps * factor)[0] for factor in factors}
        best = min(others, key=lambda step: others[step])
        return best if others[best] < 0.3 * usual else eps

    def quality(self, line: Callable[[float], Array], step: float) -> tuple[float, float]:
        """The relative error of the derivative along a line, at this step, and that of rounding alone.

        Infinite where the function isn't finite.
        """
        value, error = four_points(line, 0.0, step, self.noise)
        size = np.abs(value) + 1e-300
        relative, rounding = np.max(error / size, initial=0.0), np.max(2.0 * self.noise / step / size, initial=0.0)
        return float(relative) if np.isfinite(relative) else math.inf, float(rounding)

    def line(self, i: int) -> Callable[[float], Array]:
        """The function of the distance from the inputs, in a random direction of input i alone."""
        direction = [0.0 * x for x in self.data]
        direction[i] = random_direction(self.data)[i] * sizes(self.data[i])
        return on_line(self.evaluate, self.data, direction)

    def along(self, i: int, at: tuple[int, ...]) -> Callable[[float], Array]:
        return along(self.evaluate, self.data, i, at)

    def slopes(self, i: int, tick: Callable[[], object] = lambda: None) -> Slopes:
        """The derivatives by every number of input i, from two calls for each; `tick` is called after each."""
        x = np.asarray(self.data[i], dtype=np.float64)
        flat = x.reshape(-1, 1)
        step = (flat + self.steps[i] * np.asarray(sizes(flat))) - flat  # as the floats have it, on both sides
        values = np.empty((2, x.size, self.here.size))
        for n, at in enumerate(np.ndindex(x.shape)):
            f, number, h = self.along(i, at), float(x[at]), float(step[n, 0])
            values[0, n], values[1, n] = f(number + h), f(number - h)
            tick()
        with np.errstate(all="ignore"):
            value = (values[0] - values[1]) / (2.0 * step)
            right, left = (values[0] - self.here) / step, (self.here - values[1]) / step
            gap = np.abs(right - left)
            curvature = np.minimum(gap, gap * gap / (np.abs(value) + 1e-300)) / 6.0
        return Slopes(value, curvature + 2.0 * self.noise / step, left, right)


class Settled(NamedTuple):
    """What smaller steps tell of one derivative.

    `slopes` are those on the left and on the right where no step makes them agree: a kink.
    """

    value: float
    error: float
    slopes: tuple[float, float] | None


def settle(f: Callable[[float], float], x: float, steps: Sequence[float], noise: float) -> Settled:
    """The derivative at that of the steps, the largest first, whose slopes on both sides agree best.

    Where the function isn't finite on one side, the slope of the other side is the derivative.
    """
    here = f(x)
    found = [at_step(f, x, here, step, noise) for step in steps]
    best = least_doubtful(found)
    value, left, right = found[best].value, found[best].left, found[best].right
    if not math.isfinite(found[best].doubt):
        return Settled(math.nan, math.inf, None)
    gap, neighbour = abs(right - left), found[best - 1] if best else found[1]
    clear = 1e-4 * max(abs(left), abs(right)) + 4.0 * found[best].rounding
    persists = gap > clear and gap > 0.3 * abs(neighbour.right - neighbour.left)
    if best == 0:
        persists = persists and abs(neighbour.right - neighbour.left) > 0.3 * gap > 2.0 * neighbour.rounding
    return Settled(value, found[best].error, (left, right) if persists else None)


def least_doubtful(found: Sequence[AtStep]) -> int:
    """The step whose slopes differ least, relative to their own size: a step across a pole or a border sees small ones.

    Those of one side count only where no step has finite values on both.
    """
    largest = max((step.size for step in found if math.isfinite(step.doubt)), default=0.0)

    def doubt(n: int) -> tuple[bool, bool, float]:
        step = found[n]
        if not math.isfinite(step.doubt):
            return True, True, 0.0
        beyond_rounding = max(step.doubt - 3.0 * step.rounding, 0.0)
        own = beyond_rounding / max(step.size, beyond_rounding) if beyond_rounding else 0.0
        return False, step.one_sided, own + step.rounding / (largest or 1.0)

    return min(range(len(found)), key=doubt)


class AtStep(NamedTuple):
    """The slopes at one step; `doubt` is how far those of both sides, and of the double step, differ."""

    value: float
    error: float
    left: float
    right: float
    rounding: float
    doubt: float
    one_sided: bool

    @property
    def size(self) -> float:
        return max(abs(self.left), abs(self.right))


def at_step(f: Callable[[float], float], x: float, here: float, h: float, noise: float) -> AtStep:
    h = (x + h) - x  # as the floats have it, on both sides
    far, near, back, far_back = f(x + 2.0 * h), f(x + h), f(x - h), f(x - 2.0 * h)
    left, right = (here - back) / h, (near - here) / h
    fine, coarse = (near - back) / (2.0 * h), (far - far_back) / (4.0 * h)
    one_sided = not math.isfinite(fine)
    if one_sided:
        fine, coarse, left, right = one_side(here, (near, far), (back, far_back), h)
    rounding = 2.0 * noise / h
    error = abs(fine - coarse) / 3.0 + rounding
    doubt = abs(right - left) + abs(fine - coarse) + rounding
    return AtStep(fine, error, left, right, rounding, doubt, one_sided)


def one_side(
    here: float, after: tuple[float, float], before: tuple[float, float], h: float
) -> tuple[float, float, float, float]:
    """The slope of second order on the side where the function is finite, twice; nan where neither is."""
    for (near, far), sign in ((after, 1.0), (before, -1.0)):
        if math.isfinite(near) and math.isfinite(far):
            fine = sign * (4.0 * near - 3.0 * here - far) / (2.0 * h)
            return fine, sign * (near - here) / h, fine, fine
    return math.nan, math.nan, math.nan, math.nan


def four_points(f: Callable[[float], Array], x: float, step: float, noise: Array) -> tuple[Array, Array]:
    """(f(x+h) - f(x-h)) / 2h and its error, from the same with 2h, for each cotangent."""
    values = [f(x + k * step) for k in (2.0, 1.0, -1.0, -2.0)]
    h = ((x + step) - (x - step)) / 2.0
    fine, coarse = (values[1] - values[2]) / (2.0 * h), (values[0] - values[3]) / (4.0 * h)
    return fine, np.abs(fine - coarse) / 3.0 + 2.0 * noise / h


def central(f: Callable[[float], float], x: float, step: float) -> Estimate:
    """(f(x+h) - f(x-h)) / 2h. The error, of order h², is estimated from the same with 2h, plus what rounding makes.

    Source: Press et al., Numerical Recipes (3rd ed.), section 5.7.
    """
    noise = EPSILON * np.array([max(abs(f(x + 2.0 * step)), abs(f(x - 2.0 * step)))])
    value, error = four_points(lambda t: np.array([f(t)]), x, step, noise)
    return Estimate(float(value[0]), float(error[0]))


def extrapolated(f: Callable[[float], float], x: float, first: float = 0.06, noise: float = 0.0) -> Estimate:
    """Central differences at shrinking steps, extrapolated to step 0; the best entry of the table and its error.

    `first` is the first step, relative to max(1, |x|).

    Source: Ridders' method, as in Press et al., Numerical Recipes (3rd ed.), section 5.7.
    """
    shrink, rows, most = 1.6, 9, 40
    step = first * max(1.0, abs(x))
    best = Estimate(math.nan, math.inf)
    previous: list[float] = []
    for _ in range(most):
        values = [f(x + step), f(x - step)]
        h = ((x + step) - (x - step)) / 2.0
        row = [(values[0] - values[1]) / (2.0 * h)]
        rounding = 2.0 * max(EPSILON * max(map(abs, values)), noise) / h
        factor = shrink * shrink
        for coarse in previous:
            row.append((row[-1] * factor - coarse) / (factor - 1.0))
            factor *= shrink * shrink
            error = max(abs(row[-1] - row[-2]), abs(row[-1] - coarse)) + rounding
            if error < best.error:
                best = Estimate(row[-1], error)
        previous = row if math.isfinite(row[0]) else []  # outside the function's domain: start again closer
        if len(previous) == rows:
            break
        step /= shrink
    return best


def extrapolated_within(f: Callable[[float], float], x: float, noise: float = 0.0) -> Estimate:
    """As `extrapolated`; where the usual steps leave doubt, as they do across a pole, with steps of x's own size."""
    usual = extrapolated(f, x, noise=noise)
    if usual.error <= 1e-6 * abs(usual.value):
        return usual
    starts = [start for start in (0.06 * abs(x), 6e-4, 6e-6) if 0.0 < start < 0.06]
    return min([usual, *(extrapolated(f, x, start, noise) for start in starts)], key=lambda estimate: estimate.error)


def in_single(line: Callable[[float], Array]) -> bool:
    """Whether all numbers along a line are float32's, and not all so plain that any function could give them."""
    numbers = np.concatenate([line(k * 1e-4) for k in (0.0, 1.0, 2.0)])
    with np.errstate(all="ignore"):
        single, half = (bool(np.all(numbers == numbers.astype(kind))) for kind in (np.float32, np.float16))
    return single and not half


def noise_of(line: Callable[[float], Array]) -> Array:
    """How far neighbouring values scatter, from their third differences: a smooth function has nearly none.

    Those of a smooth function fall with the third power of the spacing, so that a steep one isn't taken for a noisy
    one; those of rounding inside fall slowly, or all at once. A kink is left out by a quantile.

    Source: Moré and Wild, Estimating computational noise, 2011.
    """
    here, least = scatter_at(line, 1e-6)
    floor = 16.0 * EPSILON * np.abs(here)
    undecided = least > floor
    still = undecided & ~np.isfinite(scatter_at(line, 1e-8)[1]) if np.any(undecided) else undecided
    if np.any(still):  # it doesn't move in small steps: larger ones see its rounding
        wide = scatter_at(line, 1e-4)[1]
        rounding = still & (wide <= 1e-5 * np.abs(here)) & ((wide > least) | ~np.isfinite(least))
        least = np.where(rounding, wide, least)
        undecided &= ~still
    for spacing in (1e-7, 1e-8, 1e-9):
        if not np.any(undecided):
            break
        scatter, expected = scatter_at(line, spacing)[1], 1e-3 * least
        undecided &= (scatter < 30.0 * expected + floor) & ((scatter > expected / 30.0) | (expected < 30.0 * floor))
        least = np.where(undecided, scatter, least)
        undecided &= least > floor
    return np.where(np.isfinite(least), least, smallest_change(line, here))


def smallest_change(line: Callable[[float], Array], here: Array) -> Array:
    """By how much values change at the first step that changes them; 0 where that is a jump, or none does."""
    found = np.zeros(here.shape)
    for k in range(9):
        change = np.abs(line(1e-6 * 8.0**k) - here)
        found = np.where(found == 0.0, change, found)
        if np.all(found):
            break
    return np.where(found <= 1e-5 * np.abs(here), found, 0.0)


def scatter_at(line: Callable[[float], Array], spacing: float) -> tuple[Array, Array]:
    """The value in the middle, and three times the scatter around it; infinite where values don't move."""
    values = np.array([line(k * spacing) for k in range(-4, 5)])
    moved = np.mean(np.diff(values, axis=0) != 0.0, axis=0) > 0.7
    third = np.sort(np.abs(np.diff(values, 3, axis=0)) / math.sqrt(20.0), axis=0)[2]
    return values[4], np.where(moved & np.isfinite(third), 3.0 * third, np.inf)


def moves_in_jumps(f: Callable[[float], float], x: float, step: float) -> bool:
    """Whether a function is constant right there, and changes by jumps on both sides: such steps only look like slopes.

    What float32 inside the function makes are smaller jumps, which count as rounding.
    """
    here = f(x)
    if not any(f(x + part * step) == here == f(x - part * step) for part in (1e-6, 1e-4)):
        return False
    return all(jumps_on_side(f, x, here, side * step) for side in (1.0, -1.0))


def jumps_on_side(f: Callable[[float], float], x: float, here: float, step: float) -> bool:
    """Whether the first change that is found within four steps on one side is a jump: found by halving."""
    far = next((m * step for m in (1.0, 2.0, 4.0) if f(x + m * step) != here), None)
    if far is None:
        return False
    near = 0.0
    while abs(far - near) > 1e-7 * abs(step):
        middle = 0.5 * (near + far)
        near, far = (middle, far) if f(x + middle) == here else (near, middle)
    jump = abs(f(x + far) - here)
    return math.isfinite(jump) and jump > 1e-6 * abs(here) and jump > 3e-4 * abs(f(x + 4.0 * step) - here)


def slopes_nearby(evaluate: Evaluate, data: list[Data], i: int, at: tuple[int, ...]) -> tuple[Array, Array]:
    """The least and the greatest slope by one number, at points within 1e-8 of the inputs.

    At a tie of several inputs these are more than the two slopes along the one number: what each may give in its turn.
    """
    rng = np.random.default_rng(2)
    moves = [[sign * (j == k) + 0.0 * x for j, x in enumerate(data)] for k in range(len(data)) for sign in (1.0, -1.0)]
    moves += [[rng.normal(size=np.shape(x)) for x in data] for _ in range(24)]
    slopes: list[Array] = []
    for move in moves:
        near: list[Any] = [x + 1e-8 * sizes(x) * m for x, m in zip(data, move, strict=True)]
        near = [float(x) if isinstance(own, float) else x for x, own in zip(near, data, strict=True)]
        number = float(np.asarray(near[i])[at])
        h = 1e-9 * max(1.0, abs(number))
        f = along(evaluate, near, i, at)
        slopes.append((f(number + h) - f(number - h)) / ((number + h) - (number - h)))
    return np.min(slopes, axis=0), np.max(slopes, axis=0)


def directions_of_slopes(
    evaluate: Evaluate, data: list[Data], i: int, direction: Array, side: Array
) -> tuple[Array, Array]:
    """The least and the greatest slope along a direction of input i, at points very near: those that ties allow.

    `side` says for each number on which side of its tie the gradient in question would be right: one of the points is
    there, one opposite, the others anywhere.
    """
    rng = np.random.default_rng(1)
    random = [np.asarray(rng.normal(size=direction.shape)) for _ in range(8)]
    step = 1e-5 * float(np.max(sizes(data[i])))
    slopes: list[Array] = []
    for where in [side, -side, direction, -direction, *random]:
        near = copies_of(data)
        near[i] = near[i] + step * direction * where * rng.uniform(0.5, 1.0, direction.shape)
        line = on_line(evaluate, near, [direction if j == i else 0.0 * x for j, x in enumerate(data)])
        slopes.append((line(1e-2 * step) - line(-1e-2 * step)) / (2e-2 * step))
    return np.min(slopes, axis=0), np.max(slopes, axis=0)


def along(evaluate: Evaluate, data: list[Data], position: int, index: tuple[int, ...]) -> Callable[[float], Array]:
    """The function of one entry alone. Inputs are copies: a function may keep or change what it is given."""

    def f(number: float) -> Array:
        copies = copies_of(data)
        x = copies[position]
        if isinstance(x, float):
            copies[position] = number
        else:
            x[index] = number
        return evaluate(copies)

    return f


def on_line(evaluate: Evaluate, data: Sequence[Data], direction: Sequence[Any]) -> Callable[[float], Array]:
    """The function of the distance t from the inputs in a direction."""

    def f(t: float) -> Array:
        return evaluate([x + t * d for x, d in zip(data, direction, strict=True)])

    return f


def sizes(x: Data) -> Any:
    """max(1, |x|), which steps are relative to."""
    return max(1.0, abs(x)) if isinstance(x, float) else np.maximum(1.0, np.abs(x))


def own_size(x: Data) -> Any:
    """What steps are relative to where all numbers of an input are small: the largest; else as `sizes`."""
    largest = float(np.max(np.abs(x), initial=0.0))
    return largest if 0.0 < largest < 1.0 else sizes(x)


def own_sizes(x: Data) -> Any:
    """As `own_size`; numbers far smaller than that have their own: near the border of a domain they stay inside."""
    near, usual = np.abs(x), own_size(x)
    chosen = np.where((near > 0.0) & (near < 1e-3 * usual), near, usual)
    return float(chosen) if isinstance(x, float) else chosen


def copies_of(data: Sequence[Data]) -> list[Data]:
    return [x if isinstance(x, float) else x.copy() for x in data]


def random_direction(data: Sequence[Any], seed: int = 0) -> list[Any]:
    """Random numbers from ½ to 1½ of either sign, the same at each call, in the shapes of the data."""
    rng = np.random.default_rng(seed)
    drawn = [rng.uniform(0.5, 1.5, np.shape(x)) * rng.choice([-1.0, 1.0], np.shape(x)) for x in data]
    return [float(d) if np.ndim(d) == 0 else d for d in drawn]
