"""Training: rows in order, one update after each, run by the network itself or by its printed epoch.

The one thing to know: everything the caller gives is checked before the first weight changes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_edu.compiler.compiled import Backend, set_first_cause
from tinygrad_edu.core.value import Array, Operand, Value, as_data, data_of
from tinygrad_edu.nn.history import History
from tinygrad_edu.nn.layer import Layer
from tinygrad_edu.nn.loss import half_squared_error
from tinygrad_edu.nn.update import SGD, Update

if TYPE_CHECKING:
    from tinygrad_edu.nn.compiled import Epoch, Errors
    from tinygrad_edu.nn.network import Network


def train(
    network: Network,
    inputs: Operand,
    targets: Operand,
    epochs: int,
    update: Update | None = None,
    loss: Callable[[Any, Any], Value] = half_squared_error,
    on_epoch: Callable[[int, History], None] | None = None,
    record: bool = False,
    printing: Callable[[Update, Callable[[Any, Any], Value]], Epoch] | None = None,
) -> History:
    """As `Network.train`; `printing` gives the printed epoch to run, for an update and a loss."""
    rows, goals = check_rows(inputs, network.n_inputs), check_targets(targets, network.n_outputs)
    if len(rows) != len(goals):
        raise ValueError(f"inputs has {len(rows)} rows, but targets has {len(goals)}")
    if isinstance(epochs, bool) or not isinstance(epochs, (int, np.integer)) or epochs < 0:
        raise ValueError(f"epochs must be a whole number of at least 0, got {epochs!r}")
    update = update or SGD(network.learning_rate)
    history = History(network, rows, goals)
    labels: Any = first_labels(goals)
    if all(isinstance(layer, Layer) for layer in network.layers):
        rows, goals, labels = rows.tolist(), goals.tolist(), labels.tolist()
    fast = printing(update, loss) if printing and not record else None
    while (epoch := len(history)) < epochs:
        left = epochs - 1 - epoch
        errors: Errors = ([], [])
        if fast and left:
            errors = run_printed(network, fast, 1 if on_epoch else left, rows, goals, labels)
        if not errors[0]:
            try:
                true, printed = run_epoch(network, epoch, rows, goals, labels, update, loss, None if left else fast)
            except Exception as error:
                if fast and fast.stopped:
                    set_first_cause(error, fast.stopped)
                raise
            errors = ([true], [printed])
        history.add([true / len(rows) for true in errors[0]], errors[1], record)
        if on_epoch:
            on_epoch(epoch, history)
    return history


def run_printed(network: Network, fast: Epoch, epochs: int, rows: Any, goals: Any, labels: Any) -> Errors:
    """Run printed epochs: their errors; of fewer epochs where one must be run by `run_epoch`."""
    parameters = network.parameters()
    errors, new = fast(epochs, rows, goals, labels, [p.data for p in parameters])
    for p, data in zip(parameters, new, strict=True):
        p.data = data
    return errors


def run_epoch(
    network: Network,
    epoch: int,
    rows: Any,
    goals: Any,
    labels: Any,
    update: Update,
    loss: Callable[[Any, Any], Value],
    fast: Epoch | None,
) -> tuple[float, float]:
    """One update a row: the sums of the true errors and of the printed ones.

    With a printed epoch, that runs all rows but the last, which neurons and gradients show afterwards.
    """
    parameters, counts, start, true, printed = network.parameters(), network.update_counts(), 0, 0.0, 0.0
    if fast:
        errors = run_printed(network, fast, 1, rows[:-1], goals[:-1], labels)
        if errors[0]:
            start, (true,), (printed,) = len(rows) - 1, *errors
    for i in range(start, len(rows)):
        outputs = network.feed_forward(rows[i])
        error = loss(outputs, goals[i])
        if not math.isfinite(error.item()):
            raise FloatingPointError(
                f"the loss is {error.item()} at epoch {epoch}, row {i}; the weights are those from before it"
            )
        for p in parameters:
            p.grad = None
        error.backward()
        update(parameters, counts)
        true += mean_square(outputs, goals[i])
        printed += mean_square(outputs, labels)
    return true, printed


class Trainer:
    """Trains a network by printed source, as `Network.train(..., compiled=True)` does, and prints it once.

    It is recorded anew where the update has other settings than before, the loss is another, or a neuron was changed.
    """

    def __init__(self, network: Network, backend: Backend) -> None:
        self.network, self.backend = network, backend
        self.latest: tuple[Any, Epoch] | None = None

    @property
    def source(self) -> str:
        """The epoch that `train` ran last, or would run with its defaults."""
        printed = self.latest[1] if self.latest else self.printed(SGD(self.network.learning_rate), half_squared_error)
        return printed.source

    def train(self, inputs: Operand, targets: Operand, epochs: int, **options: Any) -> History:
        """As `Network.train`, with its options."""
        return train(self.network, inputs, targets, epochs, **options, printing=self.printed)

    def printed(self, update: Update, loss: Callable[[Any, Any], Value]) -> Epoch:
        """The printed epoch for an update and a loss, recorded where there is none yet."""
        units = self.network.units()
        forms = [p.shape for p in self.network.parameters()]
        key = (
            type(update),
            repr(getattr(update, "__dict__", update)),
            loss,
            units,
            [unit.activation for unit in units],
            forms,
        )
        if self.latest is None or self.latest[0] != key:
            self.latest = key, self.network.printed_epoch(update, loss, self.backend)
        return self.latest[1]


def first_labels(goals: Array) -> Array:
    """The labels of the first rows, as many as there are outputs; nan where there are fewer rows."""
    labels = np.full(goals.shape[1], np.nan)
    found = np.argmax(goals, axis=1)[: len(labels)]
    labels[: len(found)] = found
    return labels


def mean_square(outputs: Any, expected: Any) -> float:
    """mean((output - expected)²) of one row, added in order."""
    if isinstance(outputs, Value):
        difference: Any = outputs.data - expected
        return float(np.vdot(difference, difference) / difference.size)
    total: float = 0.0
    for output, x in zip(outputs, expected):  # noqa: B905 - the loss has compared the lengths
        error = float(output.data - x)
        total += error * error
    return total / len(outputs)


def check_rows(inputs: Operand, n: int, name: str = "inputs") -> Array:
    """`inputs` as an array of shape (rows, n). Raises ValueError unless it is that, finite and not empty."""
    rows = as_array(inputs, name)
    if rows.ndim != 2 or rows.shape[1] != n:
        raise ValueError(f"{name} must be rows of length {n}, got shape {rows.shape}")
    if not np.isfinite(rows).all():
        row, column = np.argwhere(~np.isfinite(rows))[0]
        raise ValueError(f"{name}[{row}][{column}] is {rows[row, column]}: all numbers must be finite")
    return np.ascontiguousarray(rows)  # on how they lie in memory the last bit of a product depends


def check_targets(targets: Operand, n: int) -> Array:
    """`targets` as rows of n numbers: class labels become one-hot rows."""
    labels = as_array(targets, "targets")
    if labels.ndim != 1:
        return check_rows(labels, n, "targets")
    for i, label in enumerate(labels.tolist()):
        if label not in range(n):
            raise ValueError(f"targets[{i}] is {label}: labels must be whole numbers from 0 to {n - 1}")
    one_hot: Array = np.eye(n)[labels.astype(int)]
    return one_hot


def as_array(x: Operand, name: str) -> Array:
    try:
        array = np.asarray(as_data(data_of(x)))
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: {error}") from None
    if array.size == 0:
        raise ValueError(f"{name} is empty")
    return array
