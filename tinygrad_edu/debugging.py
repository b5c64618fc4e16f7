"""`tg.debug()`: find where a number first goes wrong, and arrays that were changed between forward and backward.

The one thing to know: the debugger observes the context, as the compiler does. Outside of it nothing is checked, and
nothing costs anything.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from tinygrad_edu.advice import user_frame
from tinygrad_edu.core.context import Context, Observer, changed
from tinygrad_edu.core.value import Value, data_of


def debug() -> changed:
    """Within it every operation is watched: `with tg.debug():`. Compiled functions run as themselves.

    Slow, and meant for finding a mistake. Forward and backward pass must both be inside.

    Raises:
        FloatingPointError: Within it: an operation made the first nan or infinity, of finite inputs; or a gradient rule
            did; or a Value with a nan was used. The message names operation, shapes, entry and line.
        RuntimeError: Within it, in a backward pass: an array was changed in place after an operation had used it, so
            that its rule would compute with other numbers than the forward pass.

    >>> import numpy as np
    >>> import tinygrad_edu as tg
    >>> x = tg.Value(np.array([3.0, 4.0]), name="x")
    >>> with tg.debug():  # doctest: +IGNORE_EXCEPTION_DETAIL
    ...     y = (x * x).sum()
    ...     x.data[0] = 5.0
    ...     y.backward()
    Traceback (most recent call last):
        ...
    RuntimeError: example.py:2: multiply: its input x was changed in place between the forward and the backward ...
    """
    return changed(watched)


def watched(around: Context) -> Context:
    """The context with a debugger; as it is where a function is being recorded, whose source will run instead."""
    recorded = around[2] is not None and around[2].differentiates
    return around if recorded else (around[0], around[1], Debugger(around[2]))


class Made(NamedTuple):
    """What is kept of a node: the line that made it, and sums over the bits of the arrays that its rule is given."""

    line: str
    sums: list[int]


class Debugger(Observer):
    """Watches operations and rules; an observer around it, such as the compiler's, is told all the same."""

    def __init__(self, around: Observer | None) -> None:
        self.around = around or Observer()
        self.nodes: dict[Value, Made] = {}

    def made(self, node: Value, *how: Any) -> None:
        self.around.made(node, *how)
        frame = user_frame()
        line = f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else "?"
        if node.operation is not None:
            self.nodes[node] = Made(line, sums_of(node))
            check_forward(node, line)

    def read(self, value: Value) -> None:
        self.around.read(value)

    def compared(self, compare: Callable[..., Any], a: Any, b: Any) -> Any:
        return self.around.compared(compare, a, b)

    def contributed(self, node: Value, place: int, incoming: Any, g: Any, total: Any) -> None:
        self.around.contributed(node, place, incoming, g, total)
        known = self.nodes.get(node)
        if known is not None and sums_of(node) != known.sums:
            changed_at = [i for i, (a, b) in enumerate(zip(sums_of(node), known.sums, strict=True)) if a != b]
            raise RuntimeError(f"{known.line}: {changed_in_place(node, changed_at[0])}")
        if not_finite(g) and not not_finite(incoming):
            raise FloatingPointError(f"{known.line if known else '?'}: {backward_message(node, place, incoming, g)}")

    def pulled_back(self, cotangents: Mapping[Value, Any], create_graph: bool) -> None:
        self.around.pulled_back(cotangents, create_graph)


def sums_of(node: Value) -> list[int]:
    """A checksum of each array that the node's rule is given: its inputs, then its result."""
    return [
        zlib.crc32(np.ascontiguousarray(x).data) if isinstance(x, np.ndarray) else 0
        for x in (*node.primals, node._data)
    ]


def not_finite(x: Any) -> bool:
    return not np.isfinite(data_of(x)).all()


def check_forward(node: Value, line: str) -> None:
    """Raise where a node brings in the first number that isn't finite."""
    assert node.operation is not None
    for i, x in enumerate(node.primals):
        if np.isnan(x).any():
            raise FloatingPointError(
                f"{line}: {node.operation.name}: {named(node, i)}, shape {np.shape(x)}, {where(x)}"
            )
    if not_finite(node._data) and not any(map(not_finite, node.primals)):
        shapes = " and ".join(str(np.shape(x)) for x in node.primals)
        raise FloatingPointError(f"{line}: {node.operation.name} of shape {shapes}: the result {where(node._data)}")


def backward_message(node: Value, place: int, incoming: Any, g: Any) -> str:
    assert node.operation is not None
    g, incoming = np.asarray(data_of(g)), np.asarray(data_of(incoming))
    message = f"backward of {node.operation.name}: the cotangent of {named(node, place)}, shape {g.shape}, {where(g)}"
    if g.shape != incoming.shape:
        return message
    there = incoming[first_place(g)]
    message += f", where the cotangent of the result is {there}"
    if there == 0.0:
        message += (
            ". The result isn't used there, as in a branch that tg.where doesn't take: 0 times an infinite slope is "
            "nan. Give the branch harmless numbers where it isn't taken: tg.where(c, f(tg.where(c, x, 1.0)), 0.0)"
        )
    return message


def changed_in_place(node: Value, place: int) -> str:
    assert node.operation is not None
    what = "its result" if place == len(node.primals) else f"its input {named(node, place)}"
    return (
        f"{node.operation.name}: {what} was changed in place between the forward and the backward pass; the gradient "
        "would be that of other numbers. Write a new array (x = x + 1 in place of x += 1), or copy it first"
    )


def named(node: Value, place: int) -> str:
    """An input by its name, or by its place."""
    parent = node.parents[place]
    return (parent.name if isinstance(parent, Value) else None) or f"input {place}"


def first_place(x: Any) -> tuple[int, ...]:
    return tuple(np.argwhere(~np.isfinite(x))[0].tolist())


def where(x: Any) -> str:
    """Which number that isn't finite stands where: "is nan at [1]"."""
    x = np.asarray(x)
    place = first_place(x)
    return f"is {x[place]}" + (f" at {list(place)}" if place else "")
