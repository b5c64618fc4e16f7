"""Copies and pickles of Values, with all that they were made of. No recursion: a long chain is no deeper.

The one thing to know: a graph becomes a flat list of records, one for each node, in which parents are places in the
list. Leaves stay Values, so that `copy` and `pickle`, which keep account of what they met, know a shared one again.
"""

from __future__ import annotations

from typing import Any

from tinygrad_edu.core.backward import backward_order
from tinygrad_edu.core.value import Value

STATE = [name for name in Value.__slots__ if name not in ("__weakref__", "parents")]


def records_of(value: Value) -> list[Any]:
    """For each node its state, and its parents: whether one is a place in this list, and the place or itself."""
    order = backward_order([value])[::-1] or [value]
    places = {node: i for i, node in enumerate(order) if node.operation is not None}
    records = []
    for node in order:
        parents = [(True, places[x]) if isinstance(x, Value) and x in places else (False, x) for x in node.parents]
        records.append((parents, [getattr(node, name) for name in STATE]))
    return records


def value_from(records: list[Any]) -> Value:
    """The Value whose records these are."""
    made: list[Value] = []
    for parents, state in records:
        node = Value.__new__(Value)
        node.parents = tuple([made[x] if is_place else x for is_place, x in parents])
        for name, x in zip(STATE, state, strict=True):
            setattr(node, name, x)
        made.append(node)
    return made[-1]
