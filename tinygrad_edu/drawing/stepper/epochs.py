"""A training run, for the page's second slider: for each epoch weights, gradients, error and decision boundary."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_edu.core.value import Value
from tinygrad_edu.drawing.stepper.recording import written

if TYPE_CHECKING:
    from tinygrad_edu.nn import History

GRID = 20
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def epochs_of(history: History, shown: Collection[Value]) -> dict[str, Any]:
    """What the page shows of a run. An error that isn't finite is None, and its sign is written.

    Of the Values that the picture shows it says after which epoch they are the run's, if they are.

    Raises:
        ValueError: No epochs were recorded.
    """
    if not history.snapshots:
        raise ValueError("the history holds no recorded epochs: train with record=True")
    names = [(p.name or f"parameter {i}").rpartition(".") for i, p in enumerate(history.network.parameters())]
    what, errors = history.curve
    data: dict[str, Any] = {
        "parameters": [{"name": own, "frame": frame} for frame, _, own in names],
        "curve": "error" if what == "mean squared error" else "loss",
        "errors": [round(error, 12) if math.isfinite(error) else None for error in errors],
        "written": [written(error) for error in errors],
        "weights": [[written(w) for w in snapshot.weights] for snapshot in history.snapshots],
        "at": epoch_shown(history, shown),
        "gradients": [[written(g) for g in snapshot.gradients] for snapshot in history.snapshots],
    }
    if history.network.n_inputs == 2 and not history.network._gives_numbers:
        data |= boundaries_of(history)
    return data


def epoch_shown(history: History, shown: Collection[Value]) -> int | None:
    """The last epoch after which the parameters were what they are now; None where the picture doesn't show them."""
    parameters = history.network.parameters()
    if not {*parameters} <= {*shown}:
        return None
    now = [p.data for p in parameters]
    same = (all(map(np.array_equal, now, snapshot.weights)) for snapshot in reversed(history.snapshots))
    return next((len(history.snapshots) - 1 - i for i, found in enumerate(same) if found), None)


def boundaries_of(history: History) -> dict[str, Any]:
    """For each epoch a grid of predicted classes, a digit each, row by row from above; None after an overflow.

    Nothing for a network of more classes than there are digits.
    """
    grids: list[str | None] = []
    x = y = np.empty(0)
    for epoch, snapshot in enumerate(history.snapshots):
        if not all(np.all(np.isfinite(w)) for w in snapshot.weights):
            grids.append(None)
            continue
        with history.at(epoch):
            x, y, labels = history.boundary(GRID)
        if labels.max() >= len(DIGITS):
            return {}
        grids.append("".join(DIGITS[k] for row in labels[::-1].tolist() for k in row))
    if not len(x):
        return {}
    points = [
        [round(u, 6), round(v, 6), class_of(target)]
        for (u, v), target in zip(history.inputs.tolist(), history.targets, strict=True)
    ]
    seen = {int(k, 36) for grid in grids if grid for k in grid} | {k for _, _, k in points}
    ends = {"x": [float(x[0]), float(x[-1])], "y": [float(y[0]), float(y[-1])]}
    return ends | {"grid": GRID, "boundaries": grids, "points": points, "classes": max(seen) + 1}


def class_of(target: Any) -> int:
    """The class that a row of targets says: the largest, or of one output whether it is above one half."""
    return int(np.argmax(target)) if len(target) > 1 else int(target[0] > 0.5)
