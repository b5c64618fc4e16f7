"""Metrics: figures of a training run beside its loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from tinygrad_edu.core.data import Array
from tinygrad_edu.core.value import data_of
from tinygrad_edu.nn.checks import shown
from tinygrad_edu.nn.loss import as_one, pairs
from tinygrad_edu.ops import loss

if TYPE_CHECKING:
    from tinygrad_edu.nn.network import Network

Metric: TypeAlias = Any
"""A function of outputs and targets, of one row or of a batch, that gives a number; the history has it by its name.

The figure of an epoch is the mean over rows; with an attribute `summed`, the sum. With a function `fixed` of all
targets, what that gives is a third argument. It may be run on Values, as a loss is.
"""


class Accuracy:
    """The part of rows that are predicted right, as `Network.predict` predicts them."""

    __name__ = "accuracy"
    plain = True

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold

    def __call__(self, outputs: Any, targets: Any) -> Any:
        outputs, targets = as_one(outputs), as_one(targets)
        shape = np.shape(data_of(outputs))
        if shape[-1] > 1 and np.shape(data_of(targets)) == shape[:-1]:  # labels, as of sequences
            targets = loss.one_hot(targets, classes=shape[-1])
        return loss.accuracy(*pairs(outputs, targets), threshold=self.threshold)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Accuracy) and self.threshold == other.threshold

    def __hash__(self) -> int:
        return hash(self.threshold)


def metrics_of(metrics: Sequence[Metric], update: Any, network: Network) -> list[Metric]:
    """Those that belong to the update, and those that the caller asks for, each once; "accuracy" by its name.

    Raises:
        TypeError: One isn't callable, or an unknown name.
        ValueError: Two have one name.
    """
    found: list[Metric] = list(getattr(update, "metrics", ()))
    for metric in metrics:
        if metric == "accuracy":
            metric = Accuracy(network.threshold)
        if not callable(metric) or isinstance(metric, type):
            raise TypeError(f'metrics must be functions of outputs and targets, or "accuracy", got {shown(metric)}')
        if metric not in found:
            found.append(metric)
    names = [metric_name(metric) for metric in found]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"metrics: two are called {name!r}: give one of them another __name__")
    return found


def listed(metrics: Any) -> list[Any]:
    """Metrics as they were given: one, or a list of them."""
    one = isinstance(metrics, str) or callable(metrics) or not hasattr(metrics, "__iter__")
    return [metrics] if one else list(metrics)


def metric_name(metric: Metric) -> str:
    return str(getattr(metric, "__name__", type(metric).__name__))


def fixed_of(metrics: Sequence[Metric], goals: Array) -> list[tuple[Any, ...]]:
    """For each metric its further arguments, which it works out from all targets."""
    return [(metric.fixed(goals),) if hasattr(metric, "fixed") else () for metric in metrics]
