"""Losses: one number that says how far outputs are from targets. Public as `tinygrad_edu.nn.half_squared_error` …;
`accuracy` and `one_hot` are what training uses.

The one thing to know: outputs and targets come as one array each, or number by number, as a scalar network has them:
one entry serves both, its inputs the outputs followed by the targets.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_edu.core.operation import operation
from tinygrad_edu.ops.activation import logsumexp, printed_shifted, sigmoid, softmax
from tinygrad_edu.ops.arithmetic import clip, sign
from tinygrad_edu.ops.comparison import where
from tinygrad_edu.ops.entry import each, shape_of
from tinygrad_edu.ops.reduction import sum


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


# The losses below take arrays of one shape: a number for each output, or rows of them.


def _cross_entropy(scores: Any, targets: Any, /) -> Any:
    """-Σₖ tₖ·log softmax(s)ₖ, the mean over rows. ∂/∂sₖ = (softmax(s)ₖ·Σt - tₖ)/rows.

    Scores are any numbers; the largest is taken off before exp, so that none is too large for it.
    """
    shifted = scores - np.max(scores, axis=-1, keepdims=True)
    surprise = np.log(np.exp(shifted).sum(axis=-1, keepdims=True)) - shifted
    return (targets * np.where(targets == 0.0, 0.0, surprise)).sum() / rows_of(scores)


def printed_cross_entropy(scores: Any, targets: Any) -> str:
    shifted = printed_shifted(scores, -1)
    surprise = f"log(exp({shifted}).sum(axis=-1, keepdims=True)) - {shifted}"
    return f"({targets} * where({targets} == 0.0, 0.0, {surprise})).sum() / {rows_of(scores.data)!r}"


cross_entropy = operation(
    _cross_entropy,
    (
        lambda g, out, s, t: (softmax(s) * sum(t, axis=-1, keepdims=True) - t) * (g / rows_of(s)),
        lambda g, out, s, t: (logsumexp(s, axis=-1, keepdims=True) - s) * (g / rows_of(s)),
    ),
    symbol="−Σt·log softmax",
    formula="∂(−Σt·log softmax(s)) = Σ(softmax(s) − t)·∂s",
    shapes="scores and targets of one shape, the last axis classes → a number",
    prints=printed_cross_entropy,
)


def _binary_cross_entropy(scores: Any, targets: Any, /) -> Any:
    """-(t·log σ(s) + (1 - t)·log(1 - σ(s))), the mean. ∂/∂s = (σ(s) - t)/n.

    It is computed as max(s, 0) - s·t + log(1 + exp(-|s|)), which no score makes overflow.
    """
    scores = np.asarray(scores)
    return (np.maximum(scores, 0.0) - scores * targets + np.log1p(np.exp(-np.abs(scores)))).mean()


binary_cross_entropy = operation(
    _binary_cross_entropy,
    (
        lambda g, out, s, t: (sigmoid(s) - t) * (g / numbers_in(s)),
        lambda g, out, s, t: -s * (g / numbers_in(s)),
    ),
    symbol="−log σ(±s)",
    formula="∂ = Σ(σ(s) − t)·∂s / n",
    shapes="scores and targets of one shape → a number",
    prints="(maximum({0}, 0.0) - {0} * {1} + log1p(exp(-abs({0})))).mean()",
)


def _hinge(scores: Any, targets: Any, /) -> Any:
    """max(0, 1 - y·s), the mean, where y is 1 for a positive target and -1 for another. ∂/∂s = -y/n where y·s < 1."""
    return np.maximum(0.0, 1.0 - np.where(targets > 0.0, 1.0, -1.0) * scores).mean()


hinge = operation(
    _hinge,
    lambda g, out, s, t: (
        where(where(t > 0.0, s, -s) < 1.0, where(t > 0.0, -1.0, 1.0), 0.0) * (g / numbers_in(s)),
        None,
    ),
    symbol="max(0, 1 − y·s)",
    formula="∂ = Σ −y·∂s / n where y·s < 1",
    shapes="scores and targets of one shape → a number",
    prints="maximum(0.0, 1.0 - where({1} > 0.0, 1.0, -1.0) * {0}).mean()",
)


def _mean_absolute_error(outputs: Any, targets: Any, /) -> Any:
    """The mean of |o - t|. ∂/∂o = sign(o - t)/n, which is 0 where they are equal."""
    return np.abs(np.asarray(outputs) - targets).mean()


mean_absolute_error = operation(
    _mean_absolute_error,
    (
        lambda g, out, o, t: sign(o - t) * (g / numbers_in(o)),
        lambda g, out, o, t: sign(t - o) * (g / numbers_in(o)),
    ),
    symbol="mean|o−t|",
    formula="∂mean|o−t| = Σ sign(o−t)·(∂o − ∂t) / n",
    shapes="outputs and targets of one shape → a number",
    prints="abs({0} - {1}).mean()",
)


def _huber(outputs: Any, targets: Any, /, delta: float = 1.0) -> Any:
    """The mean of ½(o - t)² where |o - t| ≤ δ, and of δ·(|o - t| - ½δ) elsewhere. ∂/∂o = clip(o - t, -δ, δ)/n."""
    size = np.abs(np.asarray(outputs) - targets)
    return np.where(size <= delta, 0.5 * size * size, delta * (size - 0.5 * delta)).mean()


def printed_huber(outputs: Any, targets: Any, delta: float = 1.0) -> str:
    size = f"abs({outputs} - {targets})"
    return f"where({size} <= {delta!r}, 0.5 * {size} * {size}, {delta!r} * ({size} - {0.5 * delta!r})).mean()"


huber = operation(
    _huber,
    (
        lambda g, out, o, t, delta=1.0: clip(o - t, -delta, delta) * (g / numbers_in(o)),
        lambda g, out, o, t, delta=1.0: clip(t - o, -delta, delta) * (g / numbers_in(o)),
    ),
    symbol="huber",
    formula="∂ = Σ clip(o−t, −δ, δ)·(∂o − ∂t) / n",
    shapes="outputs and targets of one shape → a number",
    prints=printed_huber,
)


def rows_of(x: Any) -> float:
    """How many rows: the product of all sizes but the last."""
    return float(math.prod(shape_of(x)[:-1]))


def numbers_in(x: Any) -> float:
    """How many numbers: the product of all sizes."""
    return float(math.prod(shape_of(x)))


def _one_hot(labels: Any, /, classes: int) -> Any:
    """A row of zeros with a 1 at each label's place. It has no gradient.

    Raises:
        ValueError: A label isn't a whole number from 0 to classes - 1.
    """
    labels = np.asarray(labels)
    whole = labels.astype(int)
    if not np.array_equal(whole, labels) or (whole.size and (whole.min() < 0 or whole.max() >= classes)):
        raise ValueError(f"labels must be whole numbers from 0 to {classes - 1}")
    return np.eye(classes)[whole]


one_hot = operation(
    _one_hot,
    lambda g, out, labels, classes: (None,),
    formula="∂ = 0",
    shapes="any → that and an axis of classes",
)


def _accuracy(outputs: Any, targets: Any, /, threshold: float = 0.0) -> Any:
    """The part of rows whose largest output is at the place of the largest target. It has no gradient.

    With one output a row: the part of rows where the output is above the threshold just where the target is above 1/2.
    """
    outputs, targets = np.atleast_2d(outputs), np.atleast_2d(targets)
    if outputs.shape[-1] == 1:
        return ((outputs > threshold) == (targets > 0.5)).mean()
    return (outputs.argmax(axis=-1) == targets.argmax(axis=-1)).mean()


accuracy = operation(
    _accuracy,
    lambda g, out, outputs, targets, threshold=0.0: (None, None),
    formula="∂ = 0",
    shapes="outputs and targets of one shape → a number",
)
