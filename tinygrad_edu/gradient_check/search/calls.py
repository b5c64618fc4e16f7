"""Hypotheses on a function that forward code calls: its whole derivative left out, or the function itself applied.

The one thing to know: a call is a run of nodes that one function made, with one array in and one array out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from tinygrad_edu.gradient_check.search.change import Change, Leaps, Say
from tinygrad_edu.gradient_check.search.scene import Scene, as_array
from tinygrad_edu.gradient_check.search.tape import Tape, UnfitError, like

LONGEST = 60
"""Up to how many nodes a call may have made."""


class Call(NamedTuple):
    """The nodes that one call of a function made, from one node to one of the same shape."""

    name: str
    nodes: tuple[int, ...]
    source: int
    last: int


def calls_of(tape: Tape) -> list[Call]:
    runs: dict[Any, list[int]] = defaultdict(list)
    for i in range(tape.n_in, len(tape.nodes)):
        frames = tape.places[i].frames
        if len(frames) > 1:
            runs[frames[0][0], frames[1:], tape.turns[i]].append(i)
    found = []
    for (code, *_), nodes in runs.items():
        inside = set(nodes)
        if not 1 < len(nodes) <= LONGEST or nodes[-1] - nodes[0] + 1 != len(nodes):
            continue
        sources = {p for i in nodes for p in tape.edges[i].values()} - inside
        outer = {i for i in nodes if i in tape.seeds or any(q not in inside for q, _ in tape.consumers[i])}
        if len(sources) == 1 == len(outer) and tape.shapes[min(sources)] == tape.shapes[min(outer)] != ():
            found.append(Call(code.co_name, tuple(nodes), min(sources), min(outer)))
    return found


def whole_calls(scene: Scene) -> Iterator[Change]:
    """All calls of one function together: what arrives is handed on, or the function itself is applied to it."""
    tape = scene.tape
    by_name: dict[str, list[Call]] = defaultdict(list)
    for call in calls_of(tape):
        if call.last in tape.cot and scene.useful(call.source):
            by_name[call.name].append(call)
    for name, calls in by_name.items():
        for group in [calls, *([call] for call in calls if 1 < len(calls) <= 4)]:
            last = group[0].last
            say = Say("all that `{name}` does is left out in the backward pass", name=name)
            yield Change(1.6, say, last, None, Leaps({c.last: (c.source, unchanged) for c in group}), "", len(group))
            say = Say("`{name}` itself is applied to the gradient, not its transpose (its steps back)", name=name)
            leaps = {c.last: (c.source, Applied(tape, c)) for c in group}
            yield Change(1.9, say, last, None, Leaps(leaps), "", len(group))


def unchanged(g: Any) -> Any:
    return g


class Applied:
    """A call's function of another array in place of its source's data."""

    def __init__(self, tape: Tape, call: Call) -> None:
        self.tape, self.call = tape, call

    def __call__(self, g: Any) -> Any:
        tape = self.tape
        values: dict[int, Any] = {self.call.source: as_array(g)}
        for i in self.call.nodes:
            operation = tape.nodes[i].operation
            given = with_values(tape, i, values)
            if operation is None or given is None:
                continue
            values[i] = operation.forward(*given, **tape.nodes[i].params)
        if self.call.last not in values or np.shape(values[self.call.last]) != np.shape(g):
            raise UnfitError
        return as_array(values[self.call.last])


def with_values(tape: Tape, i: int, values: Mapping[int, Any]) -> list[Any] | None:
    """A node's operands with changed ones in their place; None where none is."""
    if not any(p in values for p in tape.edges[i].values()):
        return None
    return [
        like(values[tape.edges[i][j]], x) if tape.edges[i].get(j) in values else x
        for j, x in enumerate(tape.primals[i])
    ]
