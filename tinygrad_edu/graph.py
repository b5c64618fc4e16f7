"""Walks of a graph: the cotangents of some Values from those of others, and what lies between; the order of reading.

The one thing to know: a node refers to its parents only, so every walk starts from outputs. No recursion: a long chain
is no deeper.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_edu.core.backward import backward_order, cotangents, own, starting_seed
from tinygrad_edu.core.context import current
from tinygrad_edu.core.data import as_data
from tinygrad_edu.core.value import Value


def gradients(output: Value, inputs: Iterable[Value], create_graph: bool = True) -> list[Any]:
    """The derivatives of `output`, one number, with respect to `inputs`, as a list; no `grad` is touched.

    Values with `create_graph`, else floats and arrays. An input that `output` doesn't depend on gets zeros.

    Raises:
        TypeError: `output` isn't a Value, or `inputs` aren't a list of Values. ValueError: `output` isn't one number.

    >>> import tinygrad_edu as tg
    >>> x = tg.Value(3.0)
    >>> (slope,) = tg.gradients(x**3, [x])
    >>> slope.item(), tg.gradients(slope, [x])[0].item()
    (27.0, 18.0)
    """
    if isinstance(inputs, Value):
        raise TypeError("inputs must be a list of Values, got one Value: write [x]")
    inputs = list(inputs)
    for x in (output, *inputs):
        if not isinstance(x, Value):
            raise TypeError(f"output and inputs must be Values, got a {type(x).__name__}: {x!r}")
    observer = current()[2]
    if not create_graph and observer is not None and observer.differentiates:
        slopes = gradients(output, inputs)
        if any(slope.dtype == np.float32 for slope in slopes):  # plain arrays beside numbers would become doubles
            raise TypeError("gradients(…, create_graph=False) of float32 can't be compiled; leave create_graph out")
        return [slope.detach() for slope in slopes]
    return pull_back([output], [starting_seed(output, None, create_graph)], inputs, create_graph)


def pull_back(
    outputs: Sequence[Value],
    seeds: Sequence[Any],
    inputs: Sequence[Value],
    create_graph: bool,
    order: list[Value] | None = None,
) -> list[Any]:
    """The cotangents of `inputs` from those of `outputs`: only what lies between them is walked.

    `order`, from `order_between`, is worked out where it isn't given; whoever walks one graph many times gives it.
    """
    if order is None:
        order = order_between(outputs, inputs)
    kept = None if create_graph else {*inputs}  # what is recorded is kept by the graph
    table = cotangents(outputs, seeds, create_graph, order, {*order, *inputs}, kept)
    found = entries_of(table, inputs, create_graph)
    if create_graph:
        return found
    owned = {id(seed) for seed in seeds}
    return [own(g, owned) if type(g) is np.ndarray else g for g in found]


def order_between(outputs: Sequence[Value], inputs: Sequence[Value], independent: bool = False) -> list[Value]:
    """The nodes of `backward_order` that depend on one of `inputs`.

    Where no input was made from another they are `independent`, and what is behind them need not be looked at.
    """
    depends = set(inputs)
    order = []
    for node in reversed(backward_order(outputs, inputs if independent else ())):
        for parent in node.parents:
            if isinstance(parent, Value) and parent in depends:
                depends.add(node)
                order.append(node)
                break
    order.reverse()
    return order


def recorded_inputs(node: Value) -> Sequence[Any] | None:
    """What a node was made of, as it says itself; None for a leaf."""
    return node.parents if node.operation is not None else None


def forward_order(
    outputs: Iterable[Any],
    leaves: Iterable[Value] = (),
    inputs_of: Callable[[Value], Sequence[Any] | None] = recorded_inputs,
) -> list[Value]:
    """The nodes made of others, each after the nodes it was made of, as a reader computes: first inputs first."""
    order: list[Value] = []
    seen = set(leaves)
    stack: list[tuple[Value, bool]] = [(output, False) for output in outputs if isinstance(output, Value)][::-1]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif node not in seen and (inputs := inputs_of(node)) is not None:
            seen.add(node)
            stack.append((node, True))
            stack += [(p, False) for p in reversed(inputs) if isinstance(p, Value) and p not in seen]
    return order


def entries_of(table: Mapping[Value, Any], inputs: Sequence[Value], create_graph: bool) -> list[Any]:
    """The cotangents of `inputs`, zeros where there is none; arrays may share their memory."""
    zero = Value if create_graph else as_data
    return [table[x] if x in table else zero(np.zeros_like(x._data) if x.ndim else 0.0) for x in inputs]
