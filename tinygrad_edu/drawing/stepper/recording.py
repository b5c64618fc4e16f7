"""One pass, recorded: what is computed at each step, for a page to replay.

The one thing to know: numbers are recorded as the backward walk makes them, from the same rules in the same order; the
page adds nothing up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_edu.core.backward import backward_order
from tinygrad_edu.core.value import Value, data_of
from tinygrad_edu.drawing.labels import digits, is_small, summary
from tinygrad_edu.drawing.slopes import local_slopes
from tinygrad_edu.drawing.view import Box, View, number_nodes, view_of


@dataclass
class Recording:
    """A loss, its view with final gradients, and the data that the page replays."""

    loss: Value
    view: View
    data: dict[str, Any]


def record(loss: Value, learning_rate: float, max_nodes: int) -> Recording:
    """Record forward and backward pass. No gradient of any Value is touched."""
    if loss.ndim or loss.operation is None:
        raise ValueError(f"the stepper needs a number made by an operation, got {loss!r}")
    view = view_of([loss], max_nodes=10**9)
    if len(view.boxes) > max_nodes:
        raise ValueError(f"the computation has {len(view.boxes)} boxes, more than max_nodes={max_nodes}")
    numbers = number_nodes([loss])
    names = {node: name_of(view.boxes[f"value{number}"], number) for node, number in numbers.items()}
    arrows = {ends: arrow.id for ends, arrow in view.arrows.items()}
    order = backward_order([loss])[::-1]
    steps = [forward_step(node, numbers, names, arrows) for node in order]
    backward, table = backward_steps(loss, order, numbers, names, arrows)
    leaves = [node for node in numbers if node.operation is None]
    for node, number in numbers.items():
        box = view.boxes[f"value{number}"]
        box.grad, box.name = table.get(node), box.name or names[node]
    steps += [*backward, update_step(leaves, table, numbers, names, learning_rate)]
    values = {f"value{number}": value_data(node, view.boxes[f"value{number}"]) for node, number in numbers.items()}
    parameters = [{"id": f"value{numbers[node]}", "name": names[node]} for node in leaves]
    return Recording(loss, view, {"steps": steps, "values": values, "parameters": parameters})


def value_data(node: Value, box: Box) -> dict[str, Any]:
    """What the page needs to show a value: whether it is there from the start, and its cells in the picture."""
    return {"leaf": node.operation is None, "cells": [cells_in(node.data), cells_in(data_of(box.grad))]}


def cells_in(data: Any) -> int:
    """How many texts `labels.number_cell` writes for it; 0 for none."""
    if data is None:
        return 0
    return int(np.size(data)) if np.ndim(data) and is_small(np.atleast_2d(data)) else 1


def forward_step(node: Value, numbers: Any, names: Any, arrows: Any) -> dict[str, Any]:
    """A value appears."""
    number = numbers[node]
    assert node.operation is not None
    return {
        "phase": "forward",
        "boxes": [f"operation{number}", f"value{number}"],
        "arrows": arrows_of(node, numbers, arrows),
        "shows": f"value{number}",
        "name": names[node],
        "operation": node.operation.name,
        "inputs": [names[p] if isinstance(p, Value) else written(p) for p in node.parents],
        "result": written(node.data),
        "number": exact(node.data),
    }


def backward_steps(
    loss: Value, order: list[Value], numbers: Any, names: Any, arrows: Any
) -> tuple[list[dict[str, Any]], dict[Value, Any]]:
    """The seed, then for each operation and each of its inputs one contribution, in the order of the backward walk."""
    from tinygrad_edu.core.backward import fit, starting_seed

    table: dict[Value, Any] = {loss: starting_seed(loss, None, False)}
    steps = [
        {
            "phase": "seed",
            "boxes": [f"value{numbers[loss]}"],
            "arrows": [],
            "target": f"value{numbers[loss]}",
            "name": names[loss],
            "sum": "1",
            "number": 1.0,
        }
    ]
    for node in reversed(order):
        operation = node.operation
        assert operation is not None
        results = operation.vjp(table[node], node.data, *node.primals, **node.params)
        slopes = local_slopes(node)
        for place, (parent, g) in enumerate(zip(node.parents, results, strict=True)):
            if not isinstance(parent, Value) or g is None:
                continue
            g = fit(g, parent.data, operation, False)
            before = table.get(parent)
            table[parent] = g if before is None else before + g
            source = f"value{numbers[parent]}"
            steps.append(
                {
                    "phase": "backward",
                    "boxes": [f"operation{numbers[node]}", source],
                    "arrows": [arrows[source, f"operation{numbers[node]}"]],
                    "target": source,
                    "name": names[parent],
                    "from": names[node],
                    "operation": operation.name,
                    "formula": operation.formula,
                    "incoming": written(table[node]),
                    "slope": None if slopes[place] is None else written(slopes[place]),
                    "product": written(g),
                    "before": None if before is None else written(before),
                    "sum": written(table[parent]),
                    "number": exact(table[parent]),
                }
            )
    return steps, table


def update_step(leaves: list[Value], table: dict[Value, Any], numbers: Any, names: Any, rate: float) -> dict[str, Any]:
    """Where every leaf would go by one step of gradient descent."""
    rows = []
    for leaf in leaves:
        g = table.get(leaf)
        if g is not None:
            new = leaf.data - rate * g
            row = {"name": names[leaf], "old": written(leaf.data), "grad": written(g), "new": written(new)}
            rows.append(row | {"number": exact(new)})
    boxes = [f"value{numbers[leaf]}" for leaf in leaves]
    return {"phase": "update", "boxes": boxes, "arrows": [], "rate": written(rate), "rows": rows, "number": None}


def arrows_of(node: Value, numbers: Any, arrows: Any) -> list[str]:
    """The arrows into and out of a node's operation."""
    own = f"operation{numbers[node]}"
    return [name for (source, target), name in arrows.items() if own in (source, target)]


def name_of(box: Box, number: int) -> str:
    path = ".".join(box.path)
    if box.name and box.kind == "parameter" and path:
        return f"{path}.{box.name}"
    return box.name or f"v{number}"


def written(x: Any) -> str:
    """As it stands in the picture: four digits, or an array in short."""
    x = data_of(x)
    if np.ndim(x) == 0:
        return digits(float(x))
    if np.size(x) <= 9:
        return np.array2string(
            np.asarray(x), formatter={"float_kind": lambda x: digits(float(x))}, separator=", "
        ).replace("\n", "")
    return f"{np.shape(x)}: {summary(np.asarray(x))}"


def exact(x: Any) -> Any:
    """The number itself, for whoever compares; None for arrays, and where JSON has no word for it."""
    x = data_of(x)
    return float(x) if np.ndim(x) == 0 and math.isfinite(float(x)) else None
