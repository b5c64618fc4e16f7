"""The backward walk: from one output to everything it was made of, with the chain rule at every step.

The one thing to know: `cotangents` changes nothing; it returns a table. `backward` writes the table into the nodes'
`grad` once the whole pass has succeeded, so an error on the way leaves every gradient as it was.

Source: reverse accumulation as in Griewank and Walther, Evaluating Derivatives (2nd ed.), chapter 3.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import Any

import numpy as np

from tinygrad_edu import advice
from tinygrad_edu.core.context import current
from tinygrad_edu.core.data import as_data
from tinygrad_edu.core.operation import Operation
from tinygrad_edu.core.value import Operand, Value, data_of


def backward(output: Value, seed: Operand | None = None, create_graph: bool = False) -> None:
    """Set `grad` of every node that `output` was made of; leaves add to the gradient that they have.

    Raises:
        ValueError: `output` isn't one number and no seed was given, or the seed has another shape.
    """
    create_graph = create_graph or isinstance(seed, Value)
    if (observer := current()[2]) is not None:
        observer.stored(output)
    start = starting_seed(output, seed, create_graph)
    owned = {id(start), id(getattr(start, "base", None))}
    for node, g in cotangents([output], [start], create_graph).items():
        if node.operation is None:
            if node.grad is not None:
                g = node.grad + g
            elif type(g) is np.ndarray:
                g = own(g, owned)
        node.grad = g


def cotangents(
    outputs: Sequence[Value],
    seeds: Sequence[Any],
    create_graph: bool,
    order: list[Value] | None = None,
    wanted: Container[Any] | None = None,
    kept: Container[Any] | None = None,
) -> dict[Value, Any]:
    """The cotangent of every node that the outputs were made of (of those in `order`, where it is given).

    Contributions to a node are added as they come, first consumer first (see `backward_order`): this is the order
    in which a hand-written sum over the next layer's neurons runs, so that the last bit agrees. Rules may leave out
    what isn't `wanted`; every Value is, where it is None. A cotangent that isn't to be `kept` is let go after its use.
    """
    table: dict[Value, Any] = {}
    for output, seed in zip(outputs, seeds, strict=True):
        table[output] = table[output] + seed if output in table else seed
    observer = current()[2]
    for node in backward_order(outputs) if order is None else order:
        if node not in table:  # a rule gave None, or only another output depends on it
            continue
        incoming = table[node] if kept is None or node in kept else table.pop(node)
        operation: Any = node.operation
        parents, params = node.parents, node.params
        out, inputs = (node, parents) if create_graph else (node._data, node.primals)
        rules = operation.rules
        results: Any = None
        if type(rules) is not tuple:
            asked = operation.takes_wanted and [isinstance(x, Value) and (not wanted or x in wanted) for x in parents]
            results = operation.cotangents(incoming, out, inputs, params, asked or ())
        i = -1
        for parent in parents:  # counting by hand is the fastest way through two sequences
            i += 1
            if isinstance(parent, Value) and (wanted is None or parent in wanted):
                rule = rules[i] if type(rules) is tuple else None
                g = rule(incoming, out, *inputs, **params) if rule else results and results[i]
                data: Any = parent._data
                if type(g) is not float or type(data) is not float or create_graph:
                    if g is None:
                        continue
                    if create_graph or type(g) is not type(data) or g.shape != data.shape or g.dtype is not data.dtype:
                        g = fit(g, data, operation, create_graph)
                table[parent] = table[parent] + g if parent in table else g
                if observer is not None:
                    observer.contributed(node, i, incoming, g, table[parent])
    if observer is not None:
        observer.pulled_back(table, create_graph)
    if advice.doubts.get():
        advice.tell_doubts(map(data_of, table.values()))
    return table


def backward_order(outputs: Sequence[Value], leaves: Iterable[Value] = ()) -> list[Value]:
    """The nodes made by operations, each before the nodes it was made of; what `leaves` were made of is left out.

    Of several consumers of a node the one that stands first in the expression comes first. No recursion: a long chain
    is no deeper.
    """
    order: list[Value] = []
    seen: set[Value] = set(leaves)
    stack: list[Value | None] = [output for output in outputs if output.operation is not None]
    while stack:
        node = stack.pop()
        if node is None:  # all that the node below was made of is in the order now
            order.append(stack.pop())  # type: ignore[arg-type]
        elif node not in seen:
            seen.add(node)
            stack.append(node)
            stack.append(None)
            for parent in node.parents:
                if isinstance(parent, Value) and parent.operation is not None and parent not in seen:
                    stack.append(parent)
    order.reverse()
    return order


def fit(g: Any, data: Any, operation: Operation | str, create_graph: bool) -> Any:
    """A cotangent with the kind, shape and dtype of the data it belongs to: broadcasting undone.

    Raises:
        ValueError: Its shape isn't one that broadcasting could have made. TypeError: it is plain where it is recorded.
    """
    name = operation if isinstance(operation, str) else operation.name
    given = data_of(g)
    if create_graph and given is g:
        raise TypeError(f"{name}: the rule gave plain numbers, though it was given Values: {advice.PLAIN_RULE}")
    shape, dtype = (data.shape, data.dtype) if isinstance(data, np.ndarray) else ((), None)
    if type(given) is type(data) and (dtype is None or (given.shape == shape and given.dtype == dtype)):
        return g
    if not is_broadcast(shape, np.shape(given)):
        raise ValueError(f"{name}: a cotangent of shape {np.shape(given)} came for an input of shape {shape}")
    from tinygrad_edu.ops.reduction import sum_to  # when first needed, so that importing the library stays quick

    return sum_to(g if create_graph else given, shape=shape, dtype=dtype)


def is_broadcast(small: Sequence[int], large: Sequence[int]) -> bool:
    """Whether broadcasting could have made `large` from `small`."""
    missing = len(large) - len(small)
    return missing >= 0 and all(s in (1, n) for s, n in zip(small, large[missing:], strict=True))


def starting_seed(output: Value, seed: Operand | None, create_graph: bool) -> Any:
    """The output's own cotangent, checked: 1 for one number, else what the caller gave."""
    if seed is None:
        if output.size != 1:
            raise ValueError(f"backward from an array of shape {output.shape} needs a seed of that shape")
        one = 1.0 if isinstance(output._data, float) else np.ones_like(output._data)
        return Value(one) if create_graph else one
    given = seed if isinstance(seed, Value) else as_data(seed)
    if np.shape(data_of(given)) != output.shape:
        raise ValueError(f"seed has shape {np.shape(data_of(given))}, but the output has shape {output.shape}")
    recorded = Value(given) if create_graph and not isinstance(given, Value) else given
    return fit(recorded, output._data, "seed", create_graph)


def own(g: Any, owned: set[int]) -> Any:
    """An array that no other leaf's gradient shares, so that changing one in place changes only that one."""
    root = g if g.base is None else g.base
    if id(root) in owned or not g.flags.writeable:
        g = root = g.copy()
    owned.add(id(root))
    return g
