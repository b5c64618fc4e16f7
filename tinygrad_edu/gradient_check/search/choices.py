"""Hypotheses on choices between entries: the branches of a condition, masks, labels.

The one thing to know: a choice has no derivative of its own; what arrives goes to what was chosen, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from tinygrad_edu.gradient_check.search.change import Change, Deltas, Edges, Say
from tinygrad_edu.gradient_check.search.recording import operands
from tinygrad_edu.gradient_check.search.rules import change, edge_groups, in_turn
from tinygrad_edu.gradient_check.search.scene import Scene, as_array
from tinygrad_edu.gradient_check.search.tape import Edge, Site, Tape, UnfitError, add, like
from tinygrad_edu.ops.indexing import is_basic


def branches(scene: Scene) -> Iterator[Change]:
    """np.where(condition, a, b) with its branches exchanged, or with one branch's derivative everywhere."""
    tape = scene.tape
    for group in scene.groups:
        first = group.members[0]
        edges = tuple((m, j) for m in group.members for j in (1, 2) if (m, j) in tape.part)
        if tape.ops[first] != "where" or not edges or not any(scene.useful(tape.edges[m][j]) for m, j in edges):
            continue
        written = operands(tape.places[first].span)
        condition, *names = written if len(written) == 3 else ("the condition", "the first branch", "the second branch")
        say = Say("the condition `{name}` is the wrong way round", name=condition)
        yield Change(2.4, say + in_turn(group), *edges[0], Edges(edges, branch(None)), "", len(group.members))
        for j in (1, 2):
            say = Say("the derivative of `{name}` is taken everywhere, whatever the condition", name=names[j - 1])
            yield Change(2.3, say + in_turn(group), *edges[0], Edges(edges, branch(j)), "", len(group.members))


def branch(only: int | None) -> Callable[[Site], Any]:
    """What a branch gets where branch `only` is taken everywhere; where the condition is turned round for None."""

    def rule(s: Site) -> Any:
        g = as_array(s.g)
        if only is not None:
            return g * (s.j == only)
        chosen = np.broadcast_to(np.asarray(s.tape.primals[s.i][0], dtype=bool), g.shape)
        return g * (~chosen if s.j == 1 else chosen)

    return rule


def greater(scene: Scene) -> Iterator[Change]:
    """np.maximum(a, b): what goes to one of them, or to each, goes there where the other is the maximum."""
    tape = scene.tape
    for group in scene.groups:
        first = group.members[0]
        edges = tuple((m, j) for m in group.members for j in (0, 1) if (m, j) in tape.part)
        if tape.ops[first] not in ("maximum", "minimum", "fmax", "fmin") or len({j for _, j in edges}) < 2:
            continue
        op = tape.ops[first]
        say = Say("the mask of `{op}` is the wrong way round", op=op) + in_turn(group)
        yield Change(2.3, say, first, None, Edges(edges, where_the_other_is), "", len(group.members))
        for j in (0, 1):
            own, name = tuple(e for e in edges if e[1] == j), scene.operand(first, j)
            say = Say("`{name}` gets the gradient where it isn't the {op}", name=name, op=op) + in_turn(group)
            yield Change(2.4, say, first, j, Edges(own, where_the_other_is), "", len(own))


def where_the_other_is(s: Site) -> Any:
    a, b = s.other(s.j), s.other(1 - s.j)
    return as_array(s.g) * (a < b if s.tape.ops[s.i] in ("maximum", "fmax") else a > b)


def masks(scene: Scene) -> Iterator[Change]:
    """A constant mask of zeros and others, the wrong way round."""
    tape = scene.tape
    for group, j, edges, _, op in edge_groups(scene):
        i = edges[0][0]
        if op != "multiply" or len(tape.primals[i]) != 2 or (1 - j) in tape.edges[i]:
            continue
        mask = as_array(tape.primals[i][1 - j])
        if mask.size < 2 or np.all(mask) or not np.any(mask):
            continue
        say = Say("the mask `{name}` is the wrong way round", name=scene.operand(i, 1 - j))
        yield change(scene, group, 2.3, say, edges, turned(1.0))
        scale = float(np.max(np.abs(mask)))
        if scale != 1.0:
            yield change(scene, group, 2.4, say, edges, turned(scale))


def turned(scale: float) -> Callable[[Site], Any]:
    return lambda s: as_array(s.g) * (s.other(1 - s.j) == 0.0) * scale


def labels_elsewhere(scene: Scene) -> Iterator[Change]:
    """What was picked by an index put back at another one: at all entries, or at those of another turn."""
    tape = scene.tape
    for group, _j, edges, p, op in edge_groups(scene):
        if op != "index" or group.turn:
            continue
        name = scene.name(p)
        keys = [tape.nodes[i].params["key"] for i, _ in edges]
        if not is_basic(keys[0]):
            say = Say("every entry of `{name}` gets the gradient, not only those that the index picks", name=name)
            yield change(scene, group, 2.2, say, edges, everywhere)
        n = len(edges)
        for text, at in (
            ("the turn before", [(q - 1) % n for q in range(n)]),
            ("the turn after", [(q + 1) % n for q in range(n)]),
            ("the first turn", [0] * n),
            ("the last turn", [n - 1] * n),
        ):
            if n > 1:
                say = Say("put back into `{name}` at the index of {turn}", name=name, turn=Say(text))
                table = {edges[q][0]: keys[at[q]] for q in range(n)}
                yield change(scene, group, 2.7, say, edges, put_back_at(table))


def labels_replaced(scene: Scene) -> Iterator[Change]:
    """Another label in the backward pass, as where p[y] is picked with y off by one, or with that of the next row."""
    tape = scene.tape
    for group, _j, edges, p, op in edge_groups(scene):
        if op != "index" or group.turn or not scene.useful(p):
            continue
        picked = tape.places[edges[0][0]].text
        for text, keys in other_labels([tape.nodes[i].params["key"] for i, _ in edges], tape.shapes[p]):
            say = Say("`{picked}` has another label in the backward pass: {text}", picked=picked, text=Say(text))
            yield Change(2.6, say, *edges[0], Deltas(partial(relabelled, tape, edges, keys)), "", len(edges))


def other_labels(keys: list[Any], shape: tuple[int, ...]) -> Iterator[tuple[str, list[Any]]]:
    """Keys with other labels: those of other turns of a loop, or of other rows; each one more or less."""
    n, last = len(keys), keys[0][-1] if isinstance(keys[0], tuple) and keys[0] else None
    if n > 1:
        yield "that of the turn before", [keys[q - 1] for q in range(n)]
        yield "that of the turn after", [keys[(q + 1) % n] for q in range(n)]
        yield "that of the first turn", [keys[0]] * n
    if len(shape) != (len(keys[0]) if isinstance(keys[0], tuple) else 0) or not isinstance(
        last, (int, np.integer, list, np.ndarray)
    ):
        return
    for text, by in (("one more", 1), ("one less", -1)):
        yield text, [(*key[:-1], (np.asarray(key[-1]) + by) % shape[-1]) for key in keys]
    if n == 1 and np.size(last) > 1:
        yield "that of the next row", [(*keys[0][:-1], np.roll(last, -1))]
        yield "that of the row before", [(*keys[0][:-1], np.roll(last, 1))]


def relabelled(tape: Tape, edges: tuple[Edge, ...], keys: list[Any]) -> dict[int, Any]:
    """What other labels change at the array that they pick from; recomputed up to the first sum."""
    out: dict[int, Any] = {}
    for (i, j), key in zip(edges, keys, strict=True):
        p = tape.edges[i][j]
        values: dict[int, Any] = {i: as_array(tape.data[p])[key]}
        if np.shape(values[i]) != tape.shapes[i]:
            raise UnfitError
        now, chain = i, list[tuple[int, int, list[Any]]]()
        while len(tape.consumers[now]) == 1 and tape.ops[tape.consumers[now][0][0]] not in SUMS:
            q, k = tape.consumers[now][0]
            operation = tape.nodes[q].operation
            assert operation is not None
            given = [like(values[now], x) if n == k else x for n, x in enumerate(tape.primals[q])]
            values[q] = operation.forward(*given, **tape.nodes[q].params)
            chain.append((q, k, given))
            now = q
        g = tape.cot[now]
        for q, k, given in reversed(chain):
            g = tape.rule(q, g, values[q], given)[k]
        new = np.zeros(tape.shapes[p])
        np.add.at(new, key, as_array(g))
        add(out, p, new - tape.part[i, j])
    return out


SUMS = ("add", "subtract", "sum", "mean")


def everywhere(s: Site) -> Any:
    key, shape, g = s.node.params["key"], s.tape.shapes[s.p], as_array(s.g)
    if not isinstance(key, tuple) or len(key) != len(shape) or g.ndim != 1 or len(shape) != 2:
        raise UnfitError
    out = np.zeros(shape)
    out[key[0]] = g[:, None]
    return out


def put_back_at(table: dict[int, Any]) -> Callable[[Site], Any]:
    def rule(s: Site) -> Any:
        out = np.zeros(s.tape.shapes[s.p])
        if out[table[s.i]].shape != np.shape(s.g):
            raise UnfitError
        out[table[s.i]] = as_array(s.g)
        return out

    return rule
