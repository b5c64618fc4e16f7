"""Recording one call: the arguments' numbers become inputs, and the names in the source come from the user's names.

The one thing to know: gradients asked for inside (`tg.gradients`, `tg.grad`) record themselves, as they do for
derivatives of any order; so forward pass, backward pass and update are one graph of the same operations.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

from tinygrad_edu.compiler.printer import identifier
from tinygrad_edu.compiler.traced import Recorder
from tinygrad_edu.core.context import current, depth, observing
from tinygrad_edu.core.value import NO_PARAMS, Value


@contextmanager
def watched(static: bool = False) -> Iterator[dict[Value, Value]]:
    """Within it: which Value each recorded cotangent belongs to, and an error where Python branches on a Value."""
    recorder = Recorder(current()[2], static)
    inside = depth.set(depth.get() + 1)
    try:
        with observing(recorder):
            yield recorder.owners
    finally:
        depth.reset(inside)


@contextmanager
def local_names() -> Iterator[dict[Value, str]]:
    """Within it: the names of the variables that the user's functions keep Values in, those of outer ones last."""
    found: dict[Value, str] = {}

    def note(frame: FrameType, event: str, result: Any) -> None:
        module = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if event == "return" and module not in ("tinygrad_edu", "numpy") and frame.f_code.co_name[0] != "<":
            found.update((x, name) for name, x in frame.f_locals.items() if isinstance(x, Value))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield found
    finally:
        sys.setprofile(before)


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
    if not node.group or node.operation is None or not node.group[0].startswith("layers["):
        return ""
    place = "_".join(part[part.index("[") + 1 : -1] for part in node.group if "[" in part)
    kind = {"weighted_sum": "sum", "affine": "sum"}.get(node.operation.name, "output")
    return f"{kind}_{place}"
