"""Derivatives by a tiny step in the imaginary direction, exact to rounding."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tinygrad_edu.core.data import Array
from tinygrad_edu.core.value import Value, data_of
from tinygrad_edu.graph import forward_order, order_between


class Graph(NamedTuple):
    """The function's computation, recorded: its result, and the Values that its inputs became."""

    output: Value
    inputs: list[Value]


def complex_steps(graph: Graph) -> list[Array]:
    """Im f(x + ih) / h for a tiny h, for every number of each input, by computing the recorded operations anew.

    Raises:
        ValueError: An operation isn't defined for complex numbers, or isn't marked analytic.
    """
    order = forward_order([graph.output])
    dependent = set(order_between([graph.output], graph.inputs))
    for node in dependent:
        assert node.operation is not None
        if not node.operation.analytic:
            raise ValueError(
                f'method="complex": the operation {node.operation.name} has no complex step: it is not marked '
                "analytic=True. Use another method, or mark it if its forward is the same formula for complex numbers"
            )
    found = []
    for x in graph.inputs:
        slopes = np.zeros(x.shape)
        for at in np.ndindex(x.shape):
            slopes[at] = complex_step(graph, order, dependent, x, at)
        found.append(slopes)
    return found


def complex_step(graph: Graph, order: list[Value], dependent: set[Value], x: Value, at: tuple[int, ...]) -> float:
    h = 1e-30
    table: dict[Value, Any] = {v: np.asarray(v.data, dtype=complex) for v in graph.inputs}
    table[x][at] += 1j * h
    for node in order:
        if node not in dependent:
            continue
        assert node.operation is not None
        primals = [table.get(p, data_of(p)) if isinstance(p, Value) else p for p in node.parents]
        try:
            table[node] = node.operation.forward(*primals, **node.params)
        except TypeError as error:
            name = node.operation.name
            raise ValueError(f'method="complex": the operation {name} has no complex step: {error}') from None
    return float(np.imag(table.get(graph.output, 0.0)).sum()) / h
