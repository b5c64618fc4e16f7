"""A training run, for the page's second slider: for each epoch weights, gradients, error and decision boundary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_edu.drawing.stepper.recording import written

if TYPE_CHECKING:
    from tinygrad_edu.nn import History

GRID = 20
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def epochs_of(history: History) -> dict[str, Any]:
    """What the page shows of a run. The boundary is a grid of predicted classes, a digit each, row by row from above.

    Raises:
        ValueError: No epochs were recorded.
    """
    if not history.snapshots:
        raise ValueError("the history holds no recorded epochs: train with record=True")
    names = [p.name or f"parameter {i}" for i, p in enumerate(history.network.parameters())]
    data: dict[str, Any] = {
        "names": names,
        "errors": [round(error, 12) for error in history.curve[1]],
        "weights": [[written(w) for w in snapshot.weights] for snapshot in history.snapshots],
        "gradients": [[written(g) for g in snapshot.gradients] for snapshot in history.snapshots],
    }
    if history.network.n_inputs == 2 and history.network.n_outputs <= len(DIGITS):
        data |= boundaries_of(history)
    return data


def boundaries_of(history: History) -> dict[str, Any]:
    grids = []
    for epoch in range(len(history.snapshots)):
        with history.at(epoch):
            x, y, labels = history.boundary(GRID)
        grids.append("".join(DIGITS[k] for row in labels[::-1].tolist() for k in row))
    span_x, span_y = x[-1] - x[0], y[-1] - y[0]
    points = [
        [round(float((u - x[0]) / span_x), 4), round(float((y[-1] - v) / span_y), 4), int(np.argmax(target))]
        for (u, v), target in zip(history.inputs.tolist(), history.targets.tolist(), strict=True)
    ]
    return {"grid": GRID, "boundaries": grids, "points": points}
