"""Recording one call: the arguments' numbers become inputs, and the names in the source come from the user's names.

The one thing to know: gradients asked for inside (`tg.gradients`, `tg.grad`) record themselves, as they do for
derivatives of any order; so forward pass, backward pass and update are one graph of the same operations.
"""

from __future__ import annotations

import re
import struct
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from types import FrameType
from typing import Any, NamedTuple

import numpy as np

from tinygrad_edu.compiler.printer import identifier
from tinygrad_edu.compiler.program import Program, program_of
from tinygrad_edu.compiler.traced import Made, Recorder
from tinygrad_edu.core.context import current, depth, observing, recording
from tinygrad_edu.core.value import NO_PARAMS, Value
from tinygrad_edu.graph import forward_order


@contextmanager
def recorded(recorder: Recorder) -> Iterator[Recorder]:
    """Within it a recorder sees all operations, also where a caller has said `no_grad`."""
    inside = depth.set(depth.get() + 1)
    try:
        with observing(recorder), recording(True):
            yield recorder
    finally:
        depth.reset(inside)


@contextmanager
def watched() -> Iterator[Recorder]:
    """Within it a new recorder sees all operations; it is an error where Python branches on a Value."""
    with recorded(Recorder(current()[2], static=False)) as recorder:
        yield recorder


def program_seen(
    recorder: Recorder,
    values: Sequence[Value],
    results: Sequence[Any],
    roots: Sequence[Any],
    hints: Mapping[Value, str] = NO_PARAMS,  # type: ignore[assignment]
) -> Program:
    """The computation of `results` from `values` that a recorder saw, in the order in which the `roots` need it.

    Raises:
        TypeError: It reads other Values than these.
    """
    recorder.given = {value: i for i, value in enumerate(values)}
    order = order_of([*roots_of(recorder.owners), *roots], recorder.tape, values)
    if outside := from_outside(roots, order, recorder):
        raise TypeError(
            "can't be compiled: a layer, the loss or a metric reads Values that are no parameters, which may change: "
            f"{outside}"
        )
    names = names_of({v: v.name or "x" for v in values}, order, recorder.owners)
    return program_of(values, results, order, names, hints, recorder.tape)


def order_of(roots: Iterable[Any], tape: Mapping[Value, Made], leaves: Iterable[Value]) -> list[Value]:
    """What a tape has of the roots and all they were made of, each Value after those it was made of."""

    def inputs_of(node: Value) -> Sequence[Any] | None:
        return tape[node].inputs if node in tape else None

    return forward_order(roots, leaves, inputs_of)


def from_outside(roots: Iterable[Any], order: Iterable[Value], recorder: Recorder) -> list[Value]:
    """The Values that a recording reads, but which are no arguments, and weren't made in it."""
    read = [p for node in order for p in recorder.tape[node].inputs]
    return [
        x
        for x in dict.fromkeys(x for x in (*read, *roots) if isinstance(x, Value))
        if x not in recorder.tape and x not in recorder.inside and x not in recorder.given
    ]


@dataclass(frozen=True)
class At:
    """An input of a step that was made in the same run: by which step, or of the arguments which."""

    place: int
    is_argument: bool


class Did(NamedTuple):
    """A step of a run, without what it computed."""

    operation: Any
    inputs: list[Any]
    params: Mapping[str, Any]


def trace_of(recorder: Recorder) -> list[Did]:
    """What a run did, to compare with another run of the same function; it holds on to nothing that was computed."""
    known = {value: At(place, True) for value, place in recorder.given.items()}
    known.update((node, At(i, False)) for i, node in enumerate(recorder.tape))
    return [
        Did(made.operation, [known.get(x, x) if isinstance(x, Value) else x for x in made.inputs], made.params)
        for made in recorder.tape.values()
    ]


def difference(first: Sequence[Did], second: Sequence[Did]) -> int | None:
    """The step at which two runs of one function differ, as random draws make them; None if nowhere.

    What was computed is not compared: a function of the user's own may give something else at each call, and does.
    """
    for i, (a, b) in enumerate(zip(first, second, strict=False)):
        if not (same_operation(a.operation, b.operation) and len(a.inputs) == len(b.inputs)):
            return i
        if not all(map(same_input, a.inputs, b.inputs)):
            return i
        if a.params.keys() != b.params.keys() or not all(same_plain(a.params[k], b.params[k]) for k in a.params):
            return i
    return None if len(first) == len(second) else min(len(first), len(second))


def same_operation(a: Any, b: Any) -> bool:
    if a is b:
        return True
    first, second = (getattr(getattr(x, "forward", None), "__code__", None) for x in (a, b))
    if first is None:
        return False
    same: bool = first is second
    return same


def same_input(x: Any, y: Any) -> bool:
    if isinstance(x, At) or isinstance(y, At):
        return bool(x == y)
    if isinstance(x, Value) and isinstance(y, Value):
        return x is y or same_plain(x._data, y._data)
    return same_plain(x, y)


def same_plain(x: Any, y: Any) -> bool:
    """Whether two that aren't Values are of one type and have the same bits."""
    if x is y:
        return True
    if type(x) is not type(y):
        return False
    if isinstance(x, (list, tuple)):
        return len(x) == len(y) and all(map(same_plain, x, y))
    if isinstance(x, np.ndarray):
        return bool(x.shape == y.shape and x.dtype == y.dtype and x.tobytes() == y.tobytes())
    if type(x) is float:
        return struct.pack("<d", x) == struct.pack("<d", y)
    return bool(callable(x) or x == y)


@contextmanager
def local_names(wanted: bool = True) -> Iterator[dict[Value, str]]:
    """Within it: the names of the variables that the user's functions keep Values in, those of outer ones last."""
    found: dict[Value, str] = {}

    def note(frame: FrameType, event: str, result: Any) -> None:
        module = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if event == "return" and module not in ("tinygrad_edu", "numpy") and frame.f_code.co_name[0] != "<":
            found.update((x, name) for name, x in frame.f_locals.items() if isinstance(x, Value))

    if not wanted or sys.getprofile() is not None:  # another profiler runs, and Python has room for one
        yield found
        return
    sys.setprofile(note)
    try:
        yield found
    finally:
        sys.setprofile(None)


def names_of(
    inputs: Mapping[Value, str],
    nodes: list[Value],
    owners: Mapping[Value, Value],
    local: Mapping[Value, str] = NO_PARAMS,  # type: ignore[assignment]
) -> dict[Value, str]:
    """A name for every Value that suggests one.

    It is its own, or says its place in a network, or is that of a local variable, or says what it is the derivative by.
    """
    names = dict(inputs)
    for node in nodes:
        if node not in names and (name := name_of(node) or local.get(node, "")):
            names[node] = name
    for cotangent, owner in owners.items():
        if owner in names and cotangent not in names:
            names[cotangent] = f"d_{identifier(names[owner])}"
    return names


def roots_of(owners: Mapping[Value, Value]) -> list[Value]:
    """Cotangents in the order of the backward pass, before each the Value that it belongs to."""
    return [value for cotangent, owner in owners.items() for value in (owner, cotangent)]


def name_of(node: Value) -> str:
    """A Value's own name, or what it is in its neuron or layer: `sum_0_1` and `output_0_1`."""
    if node.name:
        return node.name
    place = place_in_network(node.group) if node.group and node.operation is not None else ""
    if not place:
        return ""
    kind = {"weighted_sum": "sum", "affine": "sum"}.get(node.operation.name, "output")  # type: ignore[union-attr]
    return f"{kind}_{place}"


@lru_cache(1000)
def place_in_network(group: tuple[str, ...]) -> str:
    """The numbers of the layer and neuron that a group is, such as 0_1; empty for any other group."""
    if not re.fullmatch(r"layers\[\d+\]", group[0]):
        return ""
    return "_".join(found[1] for part in group if (found := re.fullmatch(r"\w+\[(\d+)\]", part)))
