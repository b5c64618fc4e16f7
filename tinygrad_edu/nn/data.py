"""What training is given, checked: rows and targets as arrays, with an error that names what doesn't fit.

The one thing to know: nothing here changes anything. Labels come out as one-hot rows, which is what losses are given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_edu.core.data import Array, as_data
from tinygrad_edu.core.value import Operand, data_of
from tinygrad_edu.nn.loss import check_bounded
from tinygrad_edu.ops.activation import sigmoid, softmax

if TYPE_CHECKING:
    from tinygrad_edu.nn.network import Network


def check_data(network: Network, inputs: Operand, targets: Operand) -> tuple[Array, Array]:
    """Rows and targets as arrays of as many rows, labels as one-hot rows. Raises ValueError where they don't fit."""
    rows = check_rows(inputs, network.n_inputs)
    if network.n_symbols is not None:
        check_whole(rows, network.n_symbols, "inputs", "symbols")
    goals = check_goals(targets, shape_of_outputs(network, rows))
    if len(rows) != len(goals):
        raise ValueError(f"inputs has {len(rows)} rows, but targets has {len(goals)}")
    return rows, goals


def shape_of_outputs(network: Network, rows: Array) -> tuple[int, ...]:
    """The shape of what comes out for a row; where the network doesn't say, it is run."""
    if network.n_outputs is None or network.row_ndim != 1 or rows.ndim != 2:
        return np.shape(network.outputs(rows[:1]))[1:]
    return (network.n_outputs,)


def check_rows(inputs: Operand, n: int | None, name: str = "inputs") -> Array:
    """`inputs` as an array of shape (rows, n). Raises ValueError unless it is that, finite and not empty."""
    rows = as_array(inputs, name)
    if n is not None and (rows.ndim != 2 or rows.shape[1] != n):
        raise ValueError(f"{name} must be rows of length {n}, got shape {rows.shape}")
    if rows.ndim < 2:
        raise ValueError(f"{name} must be rows, got shape {rows.shape}")
    if not np.isfinite(rows).all():
        place = np.argwhere(~np.isfinite(rows))[0]
        raise ValueError(
            f"{name}{''.join(f'[{i}]' for i in place)} is {rows[tuple(place)]}: all numbers must be finite"
        )
    return read_only(np.ascontiguousarray(rows))  # on how they lie in memory the last bit of a product depends


def read_only(array: Array) -> Array:
    """A view that a function of the user's can't write into: the numbers are the caller's own."""
    view = array.view()
    view.flags.writeable = False
    return view


def check_targets(targets: Operand, n: int) -> Array:
    """`targets` as rows of n numbers: class labels become one-hot rows; with one output they are numbers."""
    labels = as_array(targets, "targets")
    if labels.ndim != 1:
        return check_rows(labels, n, "targets")
    if n == 1:
        return check_rows(labels[:, None], 1, "targets")
    check_labels(labels, n)
    one_hot: Array = np.eye(n)[labels.astype(int)]
    return one_hot


def check_labels(labels: Array, n: int) -> None:
    """Raise ValueError unless all are classes, of which there are n; of one output they are numbers."""
    if n > 1:
        check_whole(labels, n, "targets", "labels")


def check_whole(x: Array, n: int, name: str, what: str) -> None:
    """Raise ValueError unless all are whole numbers below n."""
    wrong = ~((x >= 0) & (x < n) & (x == np.floor(x)))
    if wrong.any():
        place = tuple(np.argwhere(wrong)[0])
        where = "".join(f"[{i}]" for i in place)
        raise ValueError(f"{name}{where} is {float(x[place])}: {what} must be whole numbers from 0 to {n - 1}")


def check_goals(targets: Operand, shape: tuple[int, ...]) -> Array:
    """`targets` for rows of outputs of a shape: of that shape, or labels for its last axis."""
    if len(shape) == 1:
        return check_targets(targets, shape[0])
    goals = as_array(targets, "targets")
    if goals.shape[1:] not in (shape, shape[:-1]):
        raise ValueError(f"targets must have shape (rows, {', '.join(map(str, shape))}), got {goals.shape}")
    if not np.isfinite(goals).all():
        raise ValueError("targets has numbers that aren't finite")
    return read_only(np.ascontiguousarray(goals))


def as_array(x: Operand, name: str) -> Array:
    try:
        array = np.asarray(as_data(data_of(x)))
    except (TypeError, ValueError) as error:
        write = ""
        if "dtype <U" in str(error):  # words
            write = "; labels are whole numbers from 0, as np.unique(labels, return_inverse=True)[1] makes them"
        raise type(error)(f"{name}: {error}{write}") from None
    if array.size == 0:
        raise ValueError(f"{name} is empty")
    return array


def check_outputs(network: Network, loss: Any, rows: Array, goals: Array) -> None:
    """Raise ValueError where a loss takes scores and the network gives something else, or reads another network.

    And where it takes probabilities, and targets aren't that.
    """
    if getattr(loss, "bounded", False):
        shape = shape_of_outputs(network, rows)
        if goals.shape[1:] == shape:
            check_bounded(goals, loss.__name__)
        else:
            check_labels(goals, shape[-1])
    own = set(network.parameters())
    if any(not own.issuperset(other.parameters()) for other in getattr(loss, "networks", ())):
        raise ValueError(f"{loss.__name__}: the penalty is that of another network than the one that is trained")
    if getattr(loss, "takes", "") == "scores" and network.last_activation in (sigmoid, softmax):
        name = getattr(loss, "__name__", "the loss")
        raise ValueError(
            f"{name} takes scores, but the network ends in {network.last_activation.name}: make the last layer with "
            "activation=tg.nn.identity (Network.create: last=tg.nn.identity)"
        )


def are_numbers(network: Network, loss: Any, goals: Array) -> bool:
    """Whether a network is trained to give numbers, as in regression, and not classes.

    Classes are 0 and 1, -1 and 1, or two other numbers with the network's threshold between them; losses that take
    scores, and networks that end in softmax, are for classes whatever the targets.
    """
    if getattr(loss, "takes", "") == "scores" or network.last_activation is softmax or goals.ndim != 2:
        return False
    found = set(goals.ravel().tolist())
    if found <= {0.0, 1.0} or found <= {-1.0, 1.0}:
        return False
    return len(found) != 2 or (goals.shape[1] == 1 and not min(found) <= network.threshold < max(found))


def check_count(n: Any, name: str, least: int) -> None:
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {n!r}")
