"""A recorded computation as a list of steps, and what may be done to it without changing a bit.

The one thing to know: every law below holds for all floats: signed zeros, infinities, nan and subnormals included.
A law that doesn't, such as x - x = 0 or x·0 = 0, has no place here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_edu.operation import Operation
from tinygrad_edu.value import Value


@dataclass(eq=False)
class Step:
    """One step: an operation applied to earlier steps and constants; or, without an operation, an input.

    Attributes:
        operation: None for an input.
        inputs: Steps, and plain numbers and arrays.
        params: The operation's other arguments.
        scalar: Whether the result is a float.
        name: What the source calls it; empty where nothing suggests a name.
        origin: The Value it was recorded from.
    """

    operation: Operation | None
    inputs: list[Any]
    params: Mapping[str, Any]
    scalar: bool
    name: str = ""
    origin: Value | None = None


@dataclass
class Program:
    """Inputs, steps in order, and results, which are steps or constants."""

    inputs: list[Step]
    steps: list[Step]
    results: list[Any]


def program_of(
    inputs: Sequence[Value], results: Sequence[Any], names: Mapping[Value, str], first: Sequence[Any] = ()
) -> Program:
    """The computation of `results` from `inputs`, simplified; what `first` needs of it stands first."""
    table: dict[Value, Any] = {
        value: Step(None, [], {}, isinstance(value.data, float), names.get(value, ""), value) for value in inputs
    }
    known: dict[Any, Any] = {}
    steps: list[Step] = []
    placed: set[int] = set()
    for node in reading_order([r for r in (*first, *results) if isinstance(r, Value)], inputs):
        assert node.operation is not None
        arguments = [table.get(p, p.data) if isinstance(p, Value) else p for p in node.parents]
        step = Step(node.operation, arguments, node.params, isinstance(node.data, float), names.get(node, ""), node)
        found = simplified(step)
        if isinstance(found, Step) and found.operation is not None:
            key = key_of(found)
            if key in known:  # common subexpression: the same operation on the same inputs gives the same bits
                found = known[key]
                found.name = found.name or step.name
            elif id(found) not in placed:
                known[key] = found
                placed.add(id(found))
                steps.append(found)
        table[node] = found
    final = [table.get(r, r.data) if isinstance(r, Value) else r for r in results]
    return Program([table[value] for value in inputs], alive(steps, final), final)


def reading_order(outputs: Sequence[Value], leaves: Sequence[Value]) -> list[Value]:
    """The nodes made by operations, each after the nodes it was made of: outputs and inputs from first to last."""
    order: list[Value] = []
    seen = set(leaves)
    stack: list[tuple[Value, bool]] = [(output, False) for output in reversed(outputs)]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif node not in seen and node.operation is not None:
            seen.add(node)
            stack.append((node, True))
            stack += [(p, False) for p in reversed(node.parents) if isinstance(p, Value) and p not in seen]
    return order


def simplified(step: Step) -> Any:
    """The step, or something that gives the same bits for less: an earlier step, a constant, or another operation."""
    from tinygrad_edu.ops.arithmetic import subtract

    assert step.operation is not None
    name, inputs = step.operation.name, step.inputs
    if name in ("variable", "positive") and isinstance(inputs[0], Step) and inputs[0].scalar == step.scalar:
        return inputs[0]  # x itself
    if name == "multiply":  # x · 1 = x, for nan and signed zeros too
        for x, other in (inputs, inputs[::-1]):
            if is_one(other) and isinstance(x, Step) and same_kind(x, step):
                return x
    if name == "divide" and is_one(inputs[1]) and isinstance(inputs[0], Step) and same_kind(inputs[0], step):
        return inputs[0]  # x / 1 = x
    if name == "add" and is_negation(inputs[1]):  # x + (-y) = x - y: IEEE 754 defines subtraction so
        return Step(subtract, [inputs[0], inputs[1].inputs[0]], {}, step.scalar, step.name, step.origin)
    if name == "negative" and is_negation(inputs[0]):  # -(-x) = x
        return inputs[0].inputs[0] if isinstance(inputs[0].inputs[0], Step) else step
    if name == "transpose" and is_plain_transpose(step) and is_plain_transpose(inputs[0]):  # (xᵀ)ᵀ = x
        return inputs[0].inputs[0] if isinstance(inputs[0].inputs[0], Step) else step
    if step.scalar and all(type(x) is float for x in inputs):  # constants: the operation's own result
        return step.origin.data if step.origin is not None else step
    return step


def is_one(x: Any) -> bool:
    if isinstance(x, np.ndarray):
        return x.ndim == 0 and bool(x == 1.0)
    return type(x) is float and x == 1.0


def is_negation(x: Any) -> bool:
    return isinstance(x, Step) and x.operation is not None and x.operation.name == "negative"


def is_plain_transpose(x: Any) -> bool:
    return (
        isinstance(x, Step)
        and x.operation is not None
        and x.operation.name == "transpose"
        and x.params.get("axes") is None
    )


def same_kind(x: Step, y: Step) -> bool:
    """Whether two steps have data of one kind, shape and dtype."""
    if x.scalar or y.scalar:
        return x.scalar and y.scalar
    a, b = x.origin, y.origin
    return a is not None and b is not None and a.shape == b.shape and a.dtype == b.dtype


def key_of(step: Step) -> Any:
    """What two steps with the same result have in common. Constants by their bits: 0.0 is not -0.0."""
    params = tuple(sorted((k, repr(v) if is_plain(v) else id(v)) for k, v in step.params.items()))
    return (id(step.operation), tuple(map(identity_of, step.inputs)), params)


def is_plain(x: Any) -> bool:
    """Whether the text of a parameter says all of it."""
    if isinstance(x, tuple):
        return all(map(is_plain, x))
    return x is None or x is Ellipsis or isinstance(x, (bool, int, float, str, slice))


def identity_of(x: Any) -> Any:
    if isinstance(x, Step):
        return id(x)
    if type(x) is float:
        return struct.pack("<d", x)
    return ("array", id(x)) if isinstance(x, np.ndarray) else repr(x)


def alive(steps: Sequence[Step], results: Iterable[Any]) -> list[Step]:
    """The steps that some result needs, in order."""
    needed = {id(r) for r in results if isinstance(r, Step)}
    kept = []
    for step in reversed(steps):
        if id(step) in needed:
            kept.append(step)
            needed |= {id(x) for x in step.inputs if isinstance(x, Step)}
    return kept[::-1]
