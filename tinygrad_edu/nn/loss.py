"""Losses on the outputs of a network: the operations of tinygrad_edu/ops/loss.py, with their arguments checked.

The one thing to know: outputs and targets must agree in shape. Broadcasting would turn a column of outputs and a row of
targets into a matrix of differences, and train on that without a word.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_edu.core.value import Value, apply, as_data, data_of
from tinygrad_edu.ops import loss


def half_squared_error(outputs: Value | Sequence[Value], targets: Any) -> Value:
    """½ Σₖ (oₖ - tₖ)², summed over rows too. Its gradient is `o - t`, where the article's deltas start.

    Args:
        outputs: One Value, or a list of scalar Values.
        targets: Numbers of the same shape, or of the same length.

    Raises:
        ValueError: The shapes differ, or there are no outputs.

    >>> import tinygrad_edu as tg
    >>> tg.nn.half_squared_error([tg.Value(0.75), tg.Value(0.5)], [1.0, 0.0]).data
    0.15625
    """
    error: Value = apply(loss.half_squared_error, pairs(outputs, targets))
    return error


def mean_squared_error(outputs: Value | Sequence[Value], targets: Any) -> Value:
    """The mean of (oₖ - tₖ)² over outputs and rows. For 2 outputs its gradient is that of the half squared error.

    Arguments and errors are those of `half_squared_error`.

    >>> import tinygrad_edu as tg
    >>> tg.nn.mean_squared_error([tg.Value(0.75), tg.Value(0.5)], [1.0, 0.0]).data
    0.15625
    """
    given = pairs(outputs, targets)
    if type(given[0]) is float:  # plain numbers, as a metric gets them for every row of a scalar network
        return loss.mean_squared_error.forward(*given)  # type: ignore[no-any-return]
    error: Value = apply(loss.mean_squared_error, given)
    return error


def squared_error_in(loss: Any, n_outputs: int) -> float | None:
    """What a loss of one row is multiplied by to be the mean squared error; None where it is another thing."""
    if loss is half_squared_error:
        return 2.0 / n_outputs
    return 1.0 if loss is mean_squared_error else None


def pairs(outputs: Value | Sequence[Value], targets: Any) -> tuple[Any, ...]:
    """Outputs, then targets, as the operations take them."""
    if isinstance(outputs, (list, tuple)):
        if len(outputs) != len(targets) or not outputs:
            raise ValueError(f"targets has length {len(targets)}, but there are {len(outputs)} outputs")
        return (*outputs, *targets)
    if not isinstance(targets, (np.ndarray, Value)):
        targets = as_data(targets)
    shape, wanted = np.shape(data_of(targets)), np.shape(data_of(outputs))
    if shape != wanted or 0 in shape:
        raise ValueError(f"targets has shape {shape}, but the outputs have shape {wanted}")
    return outputs, targets
