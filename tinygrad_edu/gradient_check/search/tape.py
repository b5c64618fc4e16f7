"""The recorded graph with its true cotangents, and what a change of them becomes at the inputs.

The one thing to know: nodes are numbered, inputs first, parents before what is made of them; an edge (i, j) is the
j-th input of node i. A changed edge changes a cotangent by some delta, and `reach` is what the rest of the right
backward pass makes of deltas. `Probe` says the same of a few random directions, by one product and without a walk.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_edu.core.backward import is_broadcast
from tinygrad_edu.core.data import Array
from tinygrad_edu.core.value import Value, data_of
from tinygrad_edu.gradient_check.search.recording import Place, Recording

Edge = tuple[int, int]


class UnfitError(Exception):
    """A change makes no sense at this place."""


class Site(NamedTuple):
    """Where a rule is applied: node i's rule for its input j, which is node p, given the cotangent g, giving r."""

    tape: Tape
    i: int
    j: int
    p: int
    g: Any
    r: Any
    table: Mapping[int, Any]

    @property
    def node(self) -> Value:
        return self.tape.nodes[self.i]

    def other(self, k: int) -> Any:
        return np.asarray(self.tape.primals[self.i][k], dtype=float)

    def again(self, g: Any = None, primals: Sequence[Any] | None = None) -> Any:
        """The true rule with another cotangent or other inputs."""
        found = self.tape.rule(self.i, self.g if g is None else g, primals=primals).get(self.j)
        if found is None:
            raise UnfitError
        return found


class Tape:
    """The graph between inputs and outputs, by numbers."""

    around: Mapping[str, Array] = {}
    by_name = False  # whether the user has the outputs' cotangents as variables, each called after its output

    def __init__(self, recording: Recording, cotangents: Sequence[Any], names: Sequence[str]) -> None:
        self.names, self.n_in = list(names), len(recording.inputs)
        self.base: dict[str, Any] = {}
        outputs = [(v, g) for v, g in zip(recording.outputs, cotangents, strict=True)]
        outputs = [(v, g) for v, g in outputs if isinstance(v, Value) and g is not None]
        inner = between(recording.inputs, [v for v, _ in outputs])
        self.nodes = [*recording.inputs, *inner]
        self.number = {v: i for i, v in enumerate(self.nodes)}
        self.data = [data_of(v) for v in self.nodes]
        self.primals = [v.primals for v in self.nodes]
        self.shapes = [np.shape(d) for d in self.data]
        self.places = [recording.places.get(v, Place()) for v in self.nodes]
        self.turns = [recording.turns.get(v, 0) for v in self.nodes]
        self.ops = [v.operation.name if v.operation else "" for v in self.nodes]
        self.edges: list[dict[int, int]] = [
            {j: self.number[p] for j, p in enumerate(v.parents) if isinstance(p, Value) and p in self.number}
            if i >= self.n_in else {}
            for i, v in enumerate(self.nodes)
        ]  # fmt: skip
        self.seeds: dict[int, Any] = {}
        for v, g in outputs:
            if v in self.number:
                seed = like(g, data_of(v))
                i = self.number[v]
                self.seeds[i] = self.seeds[i] + seed if i in self.seeds else seed
        self.top = max(self.seeds, default=0)
        self.raw: dict[Edge, Any] = {}
        self.part: dict[Edge, Any] = {}
        self.rules = self.calls()
        self.cot = self.walk(dict(self.seeds), keep=True)
        self.drop_cancelled()
        self.rules = self.calls()
        self.consumers = self.consumers_of()
        self.behind = self.inputs_behind()
        self.true = [np.asarray(self.cot.get(k, np.zeros(self.shapes[k])), dtype=float) for k in range(self.n_in)]

    def consumers_of(self) -> list[list[Edge]]:
        found: list[list[Edge]] = [[] for _ in self.nodes]
        for i, edges in enumerate(self.edges):
            for j, p in edges.items():
                found[p].append((i, j))
        return found

    def inputs_behind(self) -> list[int]:
        """For each node the inputs that it depends on, as bits."""
        behind = [1 << i for i in range(self.n_in)]
        for edges in self.edges[self.n_in :]:
            mask = 0
            for p in edges.values():
                mask |= behind[p]
            behind.append(mask)
        return behind

    def drop_cancelled(self) -> None:
        """Leave out paths on which what arrives cancels exactly, such as the shift by the maximum in a softmax.

        A backward pass by hand leaves them out, and a changed one would send something along them.
        """
        consumers = self.consumers_of()
        dead: set[Edge] = set()
        for p in range(self.n_in, len(self.nodes)):
            cons = [e for e in consumers[p] if e in self.part]
            sizes = [size(self.raw[e]) for e in cons]
            if cons and sum(sizes) and size(self.cot[p]) <= 1e-11 * sum(sizes):
                dead |= set(cons)
            dead |= {e for e, s in zip(cons, sizes, strict=True) if s and size(self.part[e]) <= 1e-11 * s}
        for i, j in dead:
            del self.edges[i][j], self.raw[i, j], self.part[i, j]

    def rule(self, i: int, g: Any, out: Any = None, primals: Sequence[Any] | None = None) -> dict[int, Any]:
        """What node i's rule makes of a cotangent, for each of its inputs that lie on a path."""
        edges, cotangents, params, wanted = self.rules[i]
        data = self.data[i]
        if type(g) is not np.ndarray or type(data) is float:
            g = like(g, data)
        given = self.primals[i] if primals is None else primals
        results = cotangents(g, data if out is None else out, given, params, wanted)
        return {j: results[j] for j in edges if results[j] is not None}

    def calls(self) -> list[Any]:
        """What `rule` calls for each node."""
        return [
            (edges, v.operation.cotangents, v.params, [j in edges for j in range(len(v.primals))])
            if v.operation
            else None
            for v, edges in zip(self.nodes, self.edges, strict=True)
        ]

    def fit(self, r: Any, p: int) -> Any:
        """A contribution with node p's shape: broadcasting undone."""
        shape = self.shapes[p]
        if (r.shape if type(r) is np.ndarray else np.shape(r)) == shape:
            return r
        if not is_broadcast(shape, np.shape(r)):
            raise UnfitError
        return sum_to(np.asarray(r), shape)

    def walk(
        self,
        table: dict[int, Any],
        how: Mapping[Edge, Callable[[Site], Any]] | None = None,
        leaps: Mapping[int, tuple[int, Callable[[Any], Any]]] | None = None,
        gathers: Mapping[int, Callable[[list[tuple[int, int, Any]]], Any]] | None = None,
        keep: bool = False,
    ) -> dict[int, Any]:
        """A backward pass from the cotangents in `table`, with changed edges.

        `leaps` give for a node another one and what to hand on to it at once; `gathers` for a node what to make of its
        contributions in place of their sum.
        """
        how, leaps, gathers = how or {}, leaps or {}, gathers or {}
        parts: dict[int, list[tuple[int, int, Any]]] = defaultdict(list)
        for i in range(max(table, default=-1), self.n_in - 1, -1):
            if i in gathers:
                table[i] = gathers[i](parts.pop(i, []))
            if i not in table:
                continue
            g = table[i]
            if i in leaps:
                source, make = leaps[i]
                add(table, source, self.fit(make(g), source))
                continue
            edges = self.edges[i]
            for j, r in self.rule(i, g).items():
                p = edges[j]
                if how and (i, j) in how:
                    r = how[i, j](Site(self, i, j, p, g, r, table))
                c = self.fit(r, p)
                if keep:
                    self.raw[i, j], self.part[i, j] = r, c
                if p in gathers:
                    parts[p].append((i, j, c))
                add(table, p, c)
        for p in gathers:
            if p < self.n_in:
                table[p] = gathers[p](parts.pop(p, []))
        return table

    def reach(self, deltas: Mapping[int, Any]) -> list[Any]:
        """What deltas of cotangents become at the inputs; None where nothing arrives."""
        table = self.walk(dict(deltas))
        return [table.get(k) for k in range(self.n_in)]

    def passed(self, **changes: Any) -> list[Any]:
        """The deltas of the inputs' gradients in a whole backward pass with changes, as `walk` takes them."""
        merged = {what: {**self.base.get(what, {}), **some} for what, some in changes.items()}
        table = self.walk(dict(self.seeds), **{**self.base, **merged})
        return [
            np.asarray(table.get(k, np.zeros(self.shapes[k])), dtype=float) - self.true[k] for k in range(self.n_in)
        ]

    def with_changes(self, **changes: Any) -> Tape:
        """A tape whose backward pass has these changes for good, as `walk` takes them: the base of a second search."""
        new = copy.copy(self)
        new.base = changes
        new.raw, new.part = dict(self.raw), dict(self.part)
        new.cot = new.walk(dict(self.seeds), keep=True, **changes)
        new.true = [np.asarray(new.cot.get(k, np.zeros(self.shapes[k])), dtype=float) for k in range(self.n_in)]
        return new

    def nested(self, some: Iterable[int]) -> bool:
        """Whether one of these nodes lies behind another."""
        marked = set(some)
        first, reached = min(marked), set(marked)
        for i in range(first + 1, max(marked) + 1):
            if any(p in reached for p in self.edges[i].values()):
                if i in marked:
                    return True
                reached.add(i)
        return False

    def edge_deltas(self, edges: Iterable[Edge], how: Callable[[Site], Any]) -> dict[int, Any]:
        """The deltas that a changed rule makes at each edge by itself. Raises UnfitError where it changes nothing."""
        out: dict[int, Any] = {}
        for i, j in edges:
            if (i, j) in self.part:
                p = self.edges[i][j]
                new = how(Site(self, i, j, p, self.cot[i], self.raw[i, j], self.cot))
                add(out, p, self.fit(new, p) - self.part[i, j])
        if not any(np.any(d) for d in out.values()):
            raise UnfitError
        return out


class Probe:
    """Random directions of the inputs carried forward to every node: what a delta there is worth at the inputs.

    For a direction u of one input, <u, gradient> changes by <tangent of p, delta at p>. So one product tells whether a
    change can explain that input; what passes is tested entry by entry afterwards.
    """

    def __init__(self, tape: Tape, groups: Sequence[Sequence[int]]) -> None:
        rng = np.random.default_rng(6134)  # not 0, with which the inputs themselves may be drawn
        self.groups = groups
        self.directions = [{k: rng.normal(size=tape.shapes[k]) for k in group} for group in groups]
        with np.errstate(all="ignore"):
            self.tangents = [forward_tangents(tape, directions) for directions in self.directions]

    def along(self, arrays: Sequence[Any]) -> list[float]:
        """<u, array> for each group of inputs."""
        return [
            float(sum(np.sum(u * arrays[k]) for k, u in d.items() if arrays[k] is not None)) for d in self.directions
        ]

    def worth(self, deltas: Mapping[int, Any]) -> tuple[list[float], list[float]]:
        """What deltas are worth at each group, and the size of what was added up for it."""
        values, sizes = [], []
        for tangents in self.tangents:
            value = scale = 0.0
            for p, delta in deltas.items():
                if p in tangents:
                    terms = tangents[p] * delta
                    value += float(np.sum(terms))
                    scale += float(np.sum(np.abs(terms)))
            values.append(value)
            sizes.append(scale)
        return values, sizes


def forward_tangents(tape: Tape, start: Mapping[int, Any]) -> dict[int, Any]:
    """Each node's change along a direction of the inputs, from central differences of each operation alone."""
    tangents: dict[int, Any] = dict(start)
    for i in range(tape.n_in, len(tape.nodes)):
        moved = {j: tangents[p] for j, p in tape.edges[i].items() if p in tangents}
        if moved:
            tangents[i] = jvp(tape, i, moved)
    return tangents


def jvp(tape: Tape, i: int, moved: Mapping[int, Any]) -> Any:
    v, primals = tape.nodes[i], tape.primals[i]
    size = max(float(np.max(np.abs(t), initial=0.0)) for t in moved.values())
    if not size or not np.isfinite(size):
        return np.full(tape.shapes[i], 0.0 if size == 0.0 else np.nan)
    scale = max(1.0, max(float(np.max(np.abs(np.asarray(primals[j])), initial=0.0)) for j in moved))
    h = 1e-6 * scale / size
    assert v.operation is not None
    with np.errstate(all="ignore"):
        ends = [
            v.operation.forward(
                *(like(np.asarray(x) + s * h * moved[j], x) if j in moved else x for j, x in enumerate(primals)),
                **v.params,
            )
            for s in (1.0, -1.0)
        ]
    return (np.asarray(ends[0]) - np.asarray(ends[1])) / (2.0 * h)


def between(inputs: Sequence[Value], outputs: Sequence[Value]) -> list[Value]:
    """The nodes that the outputs were made of and that depend on an input, parents first, in the order of the code."""
    order: list[Value] = []
    seen: set[Value] = set(inputs)
    stack: list[tuple[Value, bool]] = [(v, False) for v in reversed(outputs)]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack += [(p, False) for p in reversed(node.parents) if isinstance(p, Value) and p not in seen]
    depends = set(inputs)
    for node in order:
        if any(isinstance(p, Value) and p in depends for p in node.parents):
            depends.add(node)
    return [node for node in order if node in depends and node.operation is not None]


def add(table: dict[int, Any], p: int, c: Any) -> None:
    table[p] = table[p] + c if p in table else c


def like(x: Any, data: Any) -> Any:
    """`x` as a float where the data is one, else as an array."""
    return float(np.asarray(x).reshape(())) if isinstance(data, float) else np.asarray(x, dtype=float)


def size(x: Any) -> float:
    return float(np.sum(np.abs(x)))


def sum_to(x: Array, shape: tuple[int, ...]) -> Any:
    added = x.ndim - len(shape)
    axes = tuple(range(added)) + tuple(added + k for k, n in enumerate(shape) if n == 1 and x.shape[added + k] != 1)
    return x.sum(axis=axes).reshape(shape)
