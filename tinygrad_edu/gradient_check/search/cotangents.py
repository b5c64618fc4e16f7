"""Hypotheses on the gradient that a line starts from: another variable's, with a derivative too many, exchanged."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinygrad_edu.gradient_check.search.change import Change, Edges, Say, Solved
from tinygrad_edu.gradient_check.search.recording import elements, operands
from tinygrad_edu.gradient_check.search.rules import change, edge_groups, in_turn, ones_in_place
from tinygrad_edu.gradient_check.search.scene import Scene, as_array, block_at, same, sigmoid
from tinygrad_edu.gradient_check.search.tape import Edge, Site, Tape, UnfitError


def wrong_cotangent(scene: Scene) -> Iterator[Change]:
    tape = scene.tape
    for group, _j, edges, _, op in edge_groups(scene):
        members = tuple(m for m, _ in edges)
        shapes = [tape.shapes[m] for m in members]
        if not shapes[0] and len(members) == 1 and op not in ("multiply",):
            continue
        for line in [c for c in scene.near(members) if c[0] > members[0]][:12]:
            if [tape.shapes[c] for c in line] != shapes or not all(c in tape.cot for c in line):
                continue
            if all(same(tape.cot[c], tape.cot[m]) for c, m in zip(line, members, strict=True)):
                continue
            table = dict(zip(members, line, strict=True))
            a, b = scene.name(line[0]), scene.name(members[0])
            left = skipped(scene, line[0], members[0])
            say = Say("{left}' is left out: ", left=left) if left else Say()
            say += Say("computed from the gradient of `{a}`, not from that of `{b}`", a=a, b=b)
            yield change(scene, group, 3.2, say, edges, from_cotangent(table, None))
            if op == "matmul":
                say += Say(", and only summed")
                yield change(scene, group, 3.8, say, edges, from_cotangent(table, ones_in_place))


def skipped(scene: Scene, above: int, i: int) -> str:
    """The activation whose result is `above`, where node i goes into it but for sums; "" where there is none."""
    for block in scene.blocks:
        if block.last == above and block.name:
            now = block.source
            while now > i and scene.tape.ops[now] in ("add", "subtract", "reshape"):
                now = max((p for p in scene.tape.edges[now].values() if p >= i), default=-1)
            if now == i:
                return block.name
    return ""


def from_cotangent(table: dict[int, int], then: Callable[[Site], Any] | None) -> Callable[[Site], Any]:
    def rule(s: Site) -> Any:
        g = s.table.get(table[s.i])
        if g is None:
            raise UnfitError
        return then(s._replace(g=g)) if then else s.again(g=g)

    return rule


def extra_derivative(scene: Scene) -> Iterator[Change]:
    tape = scene.tape
    for group in scene.groups:
        first = group.members[0]
        if tape.ops[first] not in ("matmul", "add", "subtract", "affine", "index"):
            continue
        if first in tape.seeds and not tape.shapes[first] and len(group.members) == 1:
            continue
        edges = tuple((m, j) for m in group.members for j in tape.edges[m] if (m, j) in tape.part)
        for en, slope in EXTRA:
            if not edges or ("softmax" in en and not tape.shapes[first]):
                continue
            table = {m: slope(as_array(tape.data[m])) for m in group.members}
            say = Say("an extra factor {form}", form=Say(en)) + in_turn(group)
            rule = Edges(edges, times(table))
            rank = 2.4 if "softmax" in en else 2.5
            yield Change(rank + group.rank, say, first, None, rule, "", len(group.members))


def changed_in_place(scene: Scene) -> Iterator[Change]:
    """What goes through a sum multiplied by another activation's derivative: one array under two names."""
    tape = scene.tape
    blocks = [b for b in scene.blocks if b.name and b.last in tape.cot and scene.line_size.get(b.last, 0) == 1][:6]
    for group, _j, edges, _, op in edge_groups(scene):
        if op not in ("add", "subtract") or len(edges) > 1:
            continue
        for block in blocks:
            i, _ = edges[0]
            if tape.shapes[block.last] == tape.shapes[i] and block.last not in tape.edges[i].values():
                say = Say(
                    "multiplied by {name}' of `{text}`, which belongs to another line (changed in place?)",
                    name=block.name,
                    text=tape.places[block.last].text,
                )
                slope = block_at(tape, block)[0]
                yield change(scene, group, 3.3, say, edges, lambda s, c=slope: s.again(g=as_array(s.g) * c))


def times(table: dict[int, Any]) -> Callable[[Site], Any]:
    return lambda s: s.again(g=as_array(s.g) * table[s.i])


def softmax_slope(z: Any) -> Any:
    e = np.exp(z - z.max(-1, keepdims=True))
    p = e / e.sum(-1, keepdims=True)
    return p * (1.0 - p)


EXTRA: list[tuple[str, Callable[[Any], Any]]] = [
    ("p·(1-p) of the softmax p (with cross-entropy, p - y has softmax's derivative already)", softmax_slope),
    ("σ'(z), as if a sigmoid came after (p - y has it already)", lambda z: sigmoid(z) * (1 - sigmoid(z))),
    ("a·(1-a), as if its result were a sigmoid's", lambda a: a * (1 - a)),
    ("1-a², as if its result were a tanh's", lambda a: 1 - a * a),
    ("tanh'(z), as if a tanh came after", lambda z: 1 - np.tanh(z) ** 2),
    ("(z > 0), as if a relu came after", lambda z: (z > 0) * 1.0),
]  # fmt: skip


def siblings(scene: Scene) -> Iterator[Change]:
    """The gradients of two parts of one array exchanged, such as an LSTM's gates, in all turns of a loop."""
    tape = scene.tape
    for line in [*((k,) for k in range(tape.n_in)), *scene.lines]:
        rows = [[(i, j) for i, j in tape.consumers[p] if tape.ops[i] == "index" and (i, j) in tape.part] for p in line]
        if not 2 <= len(rows[0]) <= 8 or len({len(row) for row in rows}) > 1 or not scene.useful(line[0]):
            continue
        for a, b in itertools.combinations(range(len(rows[0])), 2):
            if any(tape.shapes[row[a][0]] != tape.shapes[row[b][0]] for row in rows):
                continue
            first = rows[0][a]
            say = Say(
                "the gradients of `{x}` and `{y}` are exchanged", x=scene.name(first[0]), y=scene.name(rows[0][b][0])
            )
            if len(rows) == 1:
                table = {first[0]: rows[0][b][0], rows[0][b][0]: first[0]}
                yield Change(2.0, say, *first, Edges((first, rows[0][b]), from_cotangent(table, None)), "", 2)
            else:
                gathers = {p: exchanged(tape, row[a][0], row[b][0]) for p, row in zip(line, rows, strict=True)}
                how = Solved(functools.partial(gathered, tape, gathers), 0.0, 0.0, lambda _: Say())
                yield Change(2.0, say, *first, how, "", 2 * len(rows))


def gathered(tape: Tape, gathers: dict[int, Any], _: float) -> list[Any]:
    return tape.passed(gathers=gathers)


def exchanged(tape: Tape, a: int, b: int) -> Callable[[list[tuple[int, int, Any]]], Any]:
    """What a node gets where two of its parts get each other's gradient."""
    keys = {i: tape.nodes[i].params["key"] for i in (a, b)}

    def gather(parts: list[tuple[int, int, Any]]) -> Any:
        own = {i: as_array(c)[keys[i]] for i, _, c in parts if i in keys}
        if len(own) < 2:
            raise UnfitError
        out = sum((as_array(c) for i, _, c in parts if i not in keys), np.zeros(np.shape(parts[0][2])))
        out[keys[a]] += own[b]
        out[keys[b]] += own[a]
        return out

    return gather


def joined_parts(scene: Scene) -> Iterator[Change]:
    """The gradients of the parts of a concatenation exchanged, or one part's taken for another's."""
    tape = scene.tape
    for group in scene.groups:
        i = group.members[0]
        if tape.ops[i] not in ("concatenate", "stack") or group.turn:
            continue
        parts = [(i, j) for j in tape.edges[i] if (i, j) in tape.part]
        for a, b in itertools.combinations(parts, 2):
            if np.shape(tape.part[a]) != np.shape(tape.part[b]):
                continue
            names = {"x": part_name(scene, *a), "y": part_name(scene, *b)}
            say = Say("the gradients of `{x}` and `{y}` are exchanged", **names)
            both = {(m, j): (m, a[1] + b[1] - j) for m in group.members for j in (a[1], b[1])}
            yield Change(2.0, say, *a, Edges(tuple(both), part_of_another(both)), "", len(both))
            for this, that in ((a, b), (b, a)):
                names = {"x": part_name(scene, *this), "y": part_name(scene, *that)}
                say = Say("`{x}` gets the gradient of `{y}`, another part of the same array", **names)
                one = {(m, this[1]): (m, that[1]) for m in group.members}
                yield Change(2.3, say, *this, Edges(tuple(one), part_of_another(one)), "", len(one))


def part_name(scene: Scene, i: int, j: int) -> str:
    """What is written for one of the arrays that are joined; its name where they aren't written as a list."""
    written = operands(scene.tape.places[i].span)
    parts = elements(written[0]) if written else ()
    return parts[j] if len(parts) == len(scene.tape.primals[i]) else scene.name(scene.tape.edges[i][j])


def part_of_another(table: dict[Edge, Edge]) -> Callable[[Site], Any]:
    def rule(s: Site) -> Any:
        i, j = table[s.i, s.j]
        found = s.tape.rule(i, s.g).get(j)
        if found is None:
            raise UnfitError
        return found

    return rule
