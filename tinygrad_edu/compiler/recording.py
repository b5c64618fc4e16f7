"""Recording one call: the arguments' numbers become inputs, and the names in the source come from the user's names.

The one thing to know: gradients asked for inside (`tg.gradients`, `tg.grad`) record themselves, as they do for
derivatives of any order; so forward pass, backward pass and update are one graph of the same operations.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tinygrad_edu.backward import watchers
from tinygrad_edu.compiler.printer import identifier
from tinygrad_edu.value import Value, recording_branches, rule_being_recorded


@contextmanager
def watched() -> Iterator[dict[Value, Value]]:
    """Within it: which Value each recorded cotangent belongs to, and an error where Python branches on a Value."""
    owners: dict[Value, Value] = {}
    rule = rule_being_recorded.set(None)
    token = recording_branches.set(True)
    watching = watchers.set((*watchers.get(), owners))
    try:
        yield owners
    finally:
        watchers.reset(watching)
        recording_branches.reset(token)
        rule_being_recorded.reset(rule)


def names_of(inputs: Mapping[Value, str], nodes: list[Value], owners: Mapping[Value, Value]) -> dict[Value, str]:
    """A name for every Value that suggests one: its own, its place in a network, or what it is the derivative by."""
    names = dict(inputs)
    for node in nodes:
        if node not in names and (name := name_of(node)):
            names[node] = name
    for cotangent, owner in owners.items():
        if owner in names and cotangent not in names:
            names[cotangent] = f"d_{identifier(names[owner])}"
    return names


def name_of(node: Value) -> str:
    """A Value's own name, or what it is in its neuron or layer: `sum_0_1` and `output_0_1`."""
    if node.name:
        return node.name
    if not node.group or node.operation is None or not node.group[0].startswith("layers["):
        return ""
    place = "_".join(part[part.index("[") + 1 : -1] for part in node.group if "[" in part)
    kind = {"weighted_sum": "sum", "affine": "sum"}.get(node.operation.name, "output")
    return f"{kind}_{place}"
