"""Hypotheses on loops as a whole: left too early, a turn left out, what is carried added up, windows read elsewhere."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from tinygrad_edu.gradient_check.search.accumulation import loops, nothing
from tinygrad_edu.gradient_check.search.change import Change, Edges, Say, Solved
from tinygrad_edu.gradient_check.search.entries import part_of, stride_of
from tinygrad_edu.gradient_check.search.rules import PRODUCTS, change, edge_groups, with_other
from tinygrad_edu.gradient_check.search.scene import Scene, as_array
from tinygrad_edu.gradient_check.search.tape import Edge, Site, Tape, add, like, sum_to


def cut_short(scene: Scene) -> Iterator[Change]:
    """Of a sum over the turns of a loop only the first or the last turn, or all but one of these."""
    tape = scene.tape
    for line in scene.lines:
        if len(line) < 3 or tape.ops[line[0]] not in ("add", "subtract"):
            continue
        before = {j for a, b in pairwise(line) for j, p in tape.edges[b].items() if p == a}
        terms = [(m, j) for m in line for j in tape.edges[m] if j not in before and (m, j) in tape.part]
        if len(before) != 1 or len(terms) != len(line) or not scene.useful(line[-1]):
            continue
        for kept, which in ((terms[:1], "first"), (terms[-1:], "last")):
            left = tuple(e for e in terms if e not in kept)
            say = Say("only the {which} turn of the loop counts (a return in the loop, or = for +=)", which=Say(which))
            yield Change(1.6, say, *kept[0], Edges(left, nothing), "", len(left))
            say = Say("the {which} turn of the loop is left out", which=Say(which))
            yield Change(1.9, say, *kept[0], Edges(tuple(kept), nothing), "", 1)


class Carry:
    """A variable that each turn of a loop makes of the turn before: its nodes, and the edges that read the one before.

    `nodes` begin with what the first turn reads, -1 where no input lies behind that; `all_edges` with its edges.
    """

    def __init__(self, scene: Scene, edges: Sequence[Edge]) -> None:
        tape = scene.tape
        self.edges = sorted(edges)
        read = sorted({tape.edges[i][j] for i, j in self.edges})
        line = [q for q in range(tape.n_in, len(tape.nodes)) if tape.places[q] == tape.places[read[0]]]
        at: dict[Any, list[int]] = defaultdict(list)
        for q in range(tape.n_in, len(tape.nodes)):
            at[tape.places[q], tape.turns[q]].append(q)
        first, second = tape.turns[read[0]], tape.turns[self.edges[0][0]]
        own = [(i, j) for i, j in self.edges if tape.turns[i] == second]
        pairs = [(at[tape.places[i], first], at[tape.places[i], second].index(i), j) for i, j in own]
        self.first_readers = [(before[n], j) for before, n, j in pairs if n < len(before)]
        entering = [(q, j) for q, j in self.first_readers if j in tape.edges[q]]
        self.nodes = [tape.edges[entering[0][0]][entering[0][1]] if entering else -1, *line]
        self.all_edges = [*entering, *self.edges]

    def carried(self, tape: Tape, p: int) -> Any:
        """What later turns hand back to a node."""
        parts = [tape.part[i, j] for i, j in self.edges if tape.edges[i][j] == p]
        return sum(parts[1:], as_array(parts[0])) if parts else np.zeros(tape.shapes[p])


def carries(scene: Scene) -> list[Carry]:
    tape = scene.tape
    by_line: dict[Any, list[Edge]] = defaultdict(list)
    for i in range(tape.n_in, len(tape.nodes)):
        for j, p in tape.edges[i].items():
            running_sum = tape.places[i] == tape.places[p] and tape.ops[i] in ("add", "subtract")
            later = p >= tape.n_in and tape.turns[p] < tape.turns[i] and (i, j) in tape.part and tape.ops[i] != "filled"
            if later and not running_sum and loops(scene, i, p):
                by_line[tape.places[p]].append((i, j))
    return [Carry(scene, edges) for edges in by_line.values()]


def carried_otherwise(scene: Scene) -> Iterator[Change]:
    """A turn that the backward loop doesn't make; what is carried added up from turn to turn."""
    tape, found = scene.tape, carries(scene)
    for at, which in ((0, "first"), (-2, "last")):
        pairs = [(c, c.nodes[at + 1], c.nodes[at]) for c in found if len(c.nodes) > 3]
        if pairs and all(p >= 0 and tape.shapes[p] == tape.shapes[q] for _, q, p in pairs):
            say = Say("the {which} turn of the loop is left out in the backward pass", which=Say(which))
            edge = found[0].edges[at if at == 0 else -1]
            for leaps in (
                {q: (p, unchanged) for _, q, p in pairs},
                {q: (p, partial(given, c.carried(tape, q))) for c, q, p in pairs},
            ):
                yield Change(1.7, say, *edge, Solved(partial(leapt, tape, leaps), 0.0, 0.0, lambda _: Say()))
    if found and all(len(c.nodes) > 3 and len(c.nodes) == len(found[0].nodes) for c in found):
        say = Say("the loop of the backward pass goes forwards through the turns, in the order of the forward pass")
        yield Change(2.2, say, *found[0].edges[0], Solved(Forwards(scene, found), 0.0, 0.0, lambda _: Say()))
    for c in found:
        name = scene.name(c.nodes[1])
        say = Say("what `{name}` hands back is added up from turn to turn (`+=`), not handed on (`=`)", name=name)
        yield Change(2.0, say, *c.edges[0], Edges(tuple(c.all_edges), AddedUp()), "", len(c.edges))
        say = Say(
            "all that arrives at `{name}` is handed on to the turn before as well (`+=` in place of `=`)", name=name
        )
        after = dict(pairwise(c.nodes))
        first = {tape.edges[i][j]: (i, j) for i, j in c.all_edges}  # one edge of each turn
        table = {i: after[p] for p, (i, j) in first.items() if p in after}
        some = tuple((i, j) for i, j in first.values() if i in table)
        yield Change(2.0, say, *c.edges[0], Edges(some, with_arriving(table)), "", len(some))


class Forwards:
    """The inputs' deltas where each turn is handed what the turn before it hands back, not the turn after it."""

    def __init__(self, scene: Scene, found: Sequence[Carry]) -> None:
        self.tape, self.found = scene.tape, found
        self.edges = [edge for c in found for edge in c.all_edges]

    def __call__(self, _: float) -> list[Any]:
        tape = self.tape
        handed: dict[int, Any] = {}

        def keep(s: Site) -> Any:
            add(handed, s.p, tape.fit(s.r, s.p))
            return nothing(s)

        how = dict.fromkeys(self.edges, keep)
        totals = tape.walk(dict(tape.seeds), how=how)
        starts = [self.from_first(c, totals) for c in self.found]
        for turn in range(1, len(self.found[0].nodes)):
            back = [handed.get(c.nodes[turn - 1]) for c in self.found] if turn > 1 else starts
            last = turn + 1 == len(self.found[0].nodes)
            after = [c.nodes[0 if last else turn + 1] for c in self.found]
            to = {p: g for p, g in zip(after, back, strict=True) if g is not None and p >= 0}
            if not to:
                continue
            for k, g in tape.walk(dict(to), how=how).items():
                if k < tape.n_in:
                    add(totals, k, g)
        return [as_array(totals.get(k, np.zeros(tape.shapes[k]))) - tape.true[k] for k in range(tape.n_in)]

    def from_first(self, c: Carry, table: dict[int, Any]) -> Any:
        """What the first turn hands back: to an input, or to a constant, which gets no gradient on the tape."""
        tape, found = self.tape, None
        for q, j in c.first_readers:
            if q in table:
                v = tape.nodes[q]
                assert v.operation is not None
                results = v.operation.cotangents(
                    like(table[q], tape.data[q]), tape.data[q], tape.primals[q], v.params, [True] * len(tape.primals[q])
                )
                part = sum_to(as_array(results[j]), np.shape(tape.primals[q][j]))
                found = part if found is None else found + part
        return found


def unchanged(g: Any) -> Any:
    return g


def given(handed: Any, _: Any) -> Any:
    return handed


def leapt(tape: Tape, leaps: dict[int, Any], _: float) -> list[Any]:
    return tape.passed(leaps=leaps)


def with_arriving(table: dict[int, int]) -> Any:
    return lambda s: as_array(s.r) + as_array(s.table[table[s.i]])


class AddedUp:
    """A rule that gives the sum of what was handed back so far in one backward pass, for each line."""

    def __init__(self) -> None:
        self.table: Any = None
        self.sums: dict[Any, Any] = {}

    def __call__(self, s: Site) -> Any:
        if s.table is not self.table:
            self.table, self.sums = s.table, {}
        key = s.tape.places[s.i], s.j
        self.sums[key] = self.sums[key] + as_array(s.r) if key in self.sums else as_array(s.r)
        return self.sums[key]


def windows_elsewhere(scene: Scene) -> Iterator[Change]:
    """The other factor of a product is a window of an array, and is read at another place: stride, offset, turn."""
    tape = scene.tape
    for group, j, edges, _, op in edge_groups(scene):
        if op not in PRODUCTS or len(edges) < 2 or group.turn or len(tape.primals[edges[0][0]]) != 2:
            continue
        makers = [tape.edges[i].get(1 - j, -1) for i, _ in edges]
        if any(m < tape.n_in or tape.ops[m] != "index" or 0 not in tape.edges[m] for m in makers):
            continue
        keys = [tape.nodes[m].params["key"] for m in makers]
        sources = [as_array(tape.data[tape.edges[m][0]]) for m in makers]
        name = scene.operand(edges[0][0], 1 - j)
        for say, moved in other_places(keys, sources[0].ndim, name):
            try:
                values = [x[key] for x, key in zip(sources, moved, strict=True)]
            except (IndexError, TypeError):
                continue
            if [v.shape for v in values] == [np.shape(tape.data[m]) for m in makers]:
                table = dict(zip((i for i, _ in edges), values, strict=True))
                yield change(scene, group, 2.9, say, edges, with_other(1 - j, table))


def other_places(keys: list[Any], ndim: int, name: str) -> Iterator[tuple[Say, list[Any]]]:
    """Keys of windows at another stride or offset, along one axis or along all with a stride."""
    strides = {axis: stride for axis in range(ndim) if (stride := stride_of(keys, axis))}
    slides = [axis for axis in strides if isinstance(as_tuple(keys[0])[axis], slice)]
    wide = tuple(axis for axis in slides if strides[axis] > 1)
    for axes in [(axis,) for axis in strides] + ([wide] if len(wide) > 1 else []):
        for new in {0, 1} - {strides[axis] for axis in axes}:
            say = Say("`{name}` is read at stride {new} along axes {axes}", name=name, new=new, axes=axes)
            if not new:
                say = Say("`{name}` is read at its first place along axes {axes}, in every turn", name=name, axes=axes)
            yield say, [moved(key, axes, [new / strides[axis] for axis in axes], 0) for key in keys]
    for axis in strides:
        for by in (1, -1):
            say = Say("`{name}` is read {by:+d} beside its place along axis {axis}", name=name, by=by, axis=axis)
            yield say, [moved(key, (axis,), [1.0], by) for key in keys]
        starts = sorted({part_of(key, axis) or 0 for key in keys})
        say = Say("`{name}` is read in the reverse order along axis {axis}", name=name, axis=axis)
        yield say, [moved(key, (axis,), [-1.0], starts[-1] + starts[0]) for key in keys]


def as_tuple(key: Any) -> tuple[Any, ...]:
    return key if isinstance(key, tuple) else (key,)


def moved(key: Any, axes: tuple[int, ...], times: Sequence[float], plus: int) -> Any:
    """A key with other starts along axes, -1 for one that isn't in the array."""
    parts = list(as_tuple(key))
    for axis, factor in zip(axes, times, strict=True):
        part, start = parts[axis], part_of(key, axis) or 0
        new = max(round(start * factor) + plus, -1)
        is_slice = isinstance(part, slice) and new >= 0
        parts[axis] = slice(new, None if part.stop is None else part.stop - start + new, part.step) if is_slice else new
    return tuple(parts)
