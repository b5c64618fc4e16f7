"""Training: rows in order, one update after each, run by the network itself or by its printed epoch.

The one thing to know: everything the caller gives is checked before the first weight changes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_edu.compiler.compiled import Backend, check_backend, set_first_cause
from tinygrad_edu.core.value import Array, Operand, Value, as_data, data_of
from tinygrad_edu.nn.compiled import Epoch, Metric, Trainer
from tinygrad_edu.nn.history import History
from tinygrad_edu.nn.layer import Layer
from tinygrad_edu.nn.loss import half_squared_error, mean_squared_error, squared_error_in
from tinygrad_edu.nn.update import SGD, Update

if TYPE_CHECKING:
    from tinygrad_edu.nn.network import Network


def train(
    network: Network,
    inputs: Operand,
    targets: Operand,
    epochs: int,
    update: Update | None = None,
    loss: Callable[[Any, Any], Value] = half_squared_error,
    metrics: Sequence[Metric] = (),
    on_epoch: Callable[[int, History], None] | None = None,
    record: bool = False,
    compiled: bool | Backend | Trainer = False,
) -> History:
    """One update a row, rows in order, `epochs` times.

    Args:
        inputs: Rows of n_inputs numbers.
        targets: A row of n_outputs numbers for each input row (one-hot for a classifier), or class labels.
        epochs: How often to go through all rows.
        update: Called after each row's backward pass, with the parameters and what it needs (see `tg.nn.SGD`); SGD at
            `learning_rate` where left out.
        loss: A function of outputs and target that gives a scalar Value.
        metrics: Functions of outputs and target, each a further figure for the history, by its name.
        on_epoch: Called after each epoch with its number, from 0, and the history so far.
        record: Keep the parameters and gradients of every epoch in the history, to look at afterwards.
        compiled: Run the printed source of an epoch (see `compile`), which leaves the same bits in the weights:
            True or "python", or "numba" for machine code made of it (see `tg.compile`). While it runs, neurons
            don't show outputs and deltas; after it, they show those of the last row.

    Returns:
        The errors of each epoch.

    Raises:
        ValueError: Rows of the wrong length, labels out of range, no rows, numbers that aren't finite, or a
            negative number of epochs: nothing has changed then.
        FloatingPointError: A row's loss isn't finite; the message names epoch and row, and the weights are as
            they were before that row.
    """
    rows, goals = check_rows(inputs, network.n_inputs), check_targets(targets, network.n_outputs)
    if len(rows) != len(goals):
        raise ValueError(f"inputs has {len(rows)} rows, but targets has {len(goals)}")
    if isinstance(epochs, bool) or not isinstance(epochs, (int, np.integer)) or epochs < 0:
        raise ValueError(f"epochs must be a whole number of at least 0, got {epochs!r}")
    update = update or SGD(network.learning_rate)
    squared = squared_error_in(loss, network.n_outputs)
    metrics = all_metrics(metrics if squared else [mean_squared_error, *metrics], update)
    history = History(network, rows, goals, [metric.__name__ for metric in metrics], squared)
    trainer = compiled if isinstance(compiled, Trainer) else network.compile(backend_of(compiled)) if compiled else None
    fast = trainer.printed(update, loss, metrics) if trainer and not record else None
    scalar = all(isinstance(layer, Layer) for layer in network.layers)
    run = Run(
        network,
        rows.tolist() if scalar else rows,
        goals.tolist() if scalar else goals,
        update,
        loss,
        metrics,
        fixed_of(metrics, goals),
        fast,
    )
    while (epoch := len(history)) < epochs:
        left = epochs - 1 - epoch
        figures: list[list[float]] = []
        if fast and left:
            figures = run.compiled_epochs(1 if on_epoch else left)
        if not figures:
            try:
                figures = [run.epoch(epoch, is_last=not left)]
            except Exception as error:
                if fast and fast.stopped:
                    set_first_cause(error, fast.stopped)
                raise
        for sums in figures:
            summed = [False, *(getattr(metric, "summed", False) for metric in metrics)]
            history.add([x if as_sum else x / len(rows) for x, as_sum in zip(sums, summed, strict=True)], record)
        if on_epoch:
            on_epoch(epoch, history)
    return history


@dataclass
class Run:
    """A run of training: what it works with, checked.

    `fixed` are further arguments of metrics, which all targets give once. `fast` is the printed epoch, where one is to
    run.
    """

    network: Network
    rows: Any
    goals: Any
    update: Update
    loss: Callable[[Any, Any], Value]
    metrics: Sequence[Metric]
    fixed: Sequence[tuple[Any, ...]]
    fast: Epoch | None

    def compiled_epochs(self, epochs: int, end: int | None = None) -> list[list[float]]:
        """Run printed epochs: the sums of each; of fewer epochs where one must be run without."""
        assert self.fast is not None
        parameters = self.network.parameters()
        given = [p.data for p in parameters]
        sums, new = self.fast(epochs, self.rows[:end], self.goals[:end], self.fixed, given)
        for p, data in zip(parameters, new, strict=True):
            p.data = data
        return sums

    def epoch(self, epoch: int, is_last: bool) -> list[float]:
        """One update a row: the sum of the loss, and of each metric.

        With a printed epoch, that runs all rows of the last epoch but one, which neurons and gradients show afterwards.
        """
        network, update, loss, rows, goals = self.network, self.update, self.loss, self.rows, self.goals
        parameters, needed = network.parameters(), needed_by(update, network)
        metrics = list(zip(self.metrics, self.fixed, strict=True))
        start, sums = 0, [0.0] * (1 + len(metrics))
        if self.fast and is_last and (found := self.compiled_epochs(1, -1)):
            start, (sums,) = len(rows) - 1, found
        for i in range(start, len(rows)):
            outputs, goal = network.feed_forward(rows[i]), goals[i]
            error = loss(outputs, goal)
            if not math.isfinite(loss_of_row := error.item()):
                raise FloatingPointError(
                    f"the loss is {loss_of_row} at epoch {epoch}, row {i}; the weights are those from before it"
                )
            for p in parameters:
                p.grad = None
            error.backward()
            update(parameters, needed)
            sums[0] += loss_of_row
            if metrics:
                data = outputs.data if isinstance(outputs, Value) else [output.data for output in outputs]
                for k, (metric, fixed) in enumerate(metrics, 1):
                    sums[k] += float(metric(data, goal, *fixed))
        return sums


def all_metrics(metrics: Sequence[Metric], update: Update) -> list[Metric]:
    """Those that belong to the update, and those that the caller asks for, each once."""
    return list(dict.fromkeys([*getattr(update, "metrics", ()), *metrics]))


def fixed_of(metrics: Sequence[Metric], goals: Array) -> list[tuple[Any, ...]]:
    """For each metric its further arguments, which it works out from all targets."""
    return [(metric.fixed(goals),) if hasattr(metric, "fixed") else () for metric in metrics]


def needed_by(update: Update, network: Network) -> Any:
    """What an update needs besides parameters: by its attribute, or for a plain function the article's counts."""
    if hasattr(update, "needs"):
        return update.needs and update.needs(network)
    from tinygrad_edu.nn import ArticleUpdate  # which is built on this package

    return ArticleUpdate.needs(network)


def backend_of(compiled: bool | Backend) -> Backend:
    return "python" if compiled is True else check_backend(compiled or "")


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
