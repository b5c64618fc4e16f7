"""Hypotheses on broadcasting: undone by the mean, one row, the wrong axis, or each entry by itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinygrad_edu.gradient_check.search.change import Change, Deltas, Say
from tinygrad_edu.gradient_check.search.rules import change, edge_groups
from tinygrad_edu.gradient_check.search.scene import Group, Scene, as_array
from tinygrad_edu.gradient_check.search.tape import Edge, Site, UnfitError


def broadcasting(scene: Scene) -> Iterator[Change]:
    tape = scene.tape
    for group, j, edges, p, op in edge_groups(scene):
        if not any(np.shape(tape.raw[e]) != tape.shapes[tape.edges[e[0]][j]] for e in edges):
            continue
        name = scene.name(p)
        for rank, en, reduce in UNDO:
            say = Say("the gradient of `{name}`, which was broadcast: {en}", name=name, en=Say(en))
            yield change(scene, group, rank, say, edges, undone(reduce))
        if op == "add" and len(tape.shapes[p]) == 1:
            yield from bias_as_weight(scene, group, j, edges)


def undone(reduce: Callable[[Any, tuple[int, ...], tuple[int, ...]], Any]) -> Callable[[Site], Any]:
    def rule(s: Site) -> Any:
        r, shape = as_array(s.r), s.tape.shapes[s.p]
        added = r.ndim - len(shape)
        axes = tuple(range(added)) + tuple(added + k for k, n in enumerate(shape) if n == 1 and r.shape[added + k] != 1)
        if not axes:
            raise UnfitError
        out = np.asarray(reduce(r, axes, shape))
        if out.size != math.prod(shape):
            raise UnfitError
        return out.reshape(shape)

    return rule


def one_row(k: int) -> Callable[..., Any]:
    def reduce(r: Any, axes: tuple[int, ...], shape: Any) -> Any:
        return np.take(r, [k], axes[0]).sum(axes)

    return reduce


def other_axis(r: Any, axes: tuple[int, ...], shape: tuple[int, ...]) -> Any:
    if r.ndim != 2 or len(axes) != 1:
        raise UnfitError
    return r.sum(1 - axes[0])[: math.prod(shape)]


def counted_once(r: Any, axes: tuple[int, ...], shape: Any) -> Any:
    if len(axes) != 1:
        raise UnfitError
    return np.take_along_axis(r, np.argmax(np.abs(r), axes[0], keepdims=True), axes[0])


def same_for_each(r: Any, axes: tuple[int, ...], shape: tuple[int, ...]) -> Any:
    values = np.unique(r[r != 0.0])
    if len(values) != 1:
        raise UnfitError
    return np.full(shape, values[0])


UNDO: list[tuple[float, str, Callable[..., Any]]] = [
    (1.3, "the mean over the rows is taken, not the sum", lambda r, axes, shape: r.mean(axes)),
    (1.6, "summed over all axes, so every entry is the total", lambda r, axes, shape: np.full(shape, r.sum())),
    (1.6, "only the first row is taken, not the sum over rows", one_row(0)),
    (1.6, "only the last row is taken, not the sum over rows", one_row(-1)),
    (1.6, "summed over the wrong axis", other_axis),
    (2.3, "the same number for every row, however many entries count in it", same_for_each),
    (2.2, "counted once, however many entries it was used in", counted_once),
]  # fmt: skip


def bias_as_weight(scene: Scene, group: Group, j: int, edges: tuple[Edge, ...]) -> Iterator[Change]:
    tape = scene.tape
    product = tape.edges[edges[0][0]].get(1 - j)
    if product is None or tape.ops[product] != "matmul":
        return
    x = as_array(tape.primals[product][0])

    def rule(s: Site) -> Any:
        g = as_array(s.g)
        if x.ndim != 2 or g.ndim != 2 or len(x) != len(g):
            raise UnfitError
        return (x.T @ g).sum(0)

    say = Say("multiplied by the layer's input and summed, as a weight's gradient is")
    yield change(scene, group, 3.0, say, edges, rule)


def diagonal(scene: Scene) -> Iterator[Change]:
    """A broadcast cotangent not summed, but handed on entry by entry to what the small array was reduced from."""
    tape = scene.tape
    for group, j, edges, p, _ in edge_groups(scene):
        if p >= tape.n_in and any(np.shape(tape.raw[e]) != tape.shapes[tape.edges[e[0]][j]] for e in edges):
            softmax = "exp" in scene.ops_behind(p, 4)
            say = Say("each entry gets its own term only, not those of the others it is summed with")
            say += Say(" (the diagonal of softmax's Jacobian alone)") if softmax else Say()
            how = Deltas(OwnTerms(scene, edges))
            yield Change(2.6 + group.rank, say, edges[0][0], j, how, "", len(edges))


class OwnTerms:
    """What `diagonal` changes: deltas at what the reduced array was made of."""

    def __init__(self, scene: Scene, edges: tuple[Edge, ...]) -> None:
        self.tape, self.edges = scene.tape, edges

    def __call__(self) -> dict[int, Any]:
        out: dict[int, Any] = {}
        for i, j in self.edges:
            source, delta = self.down(i, j)
            out[source] = out[source] + delta if source in out else delta
        return out

    def down(self, i: int, j: int) -> tuple[int, Any]:
        tape, q = self.tape, self.tape.edges[i][j]
        wide, right = as_array(tape.raw[i, j]), as_array(tape.part[i, j])
        while q >= tape.n_in and len(tape.edges[q]) == 1:
            ((k, below),) = tape.edges[q].items()
            ones = as_array(tape.rule(q, np.ones(tape.shapes[q]))[k])
            if tape.ops[q] in ("sum", "mean", "max", "logsumexp"):
                if tape.shapes[below] != wide.shape:
                    raise UnfitError
                return below, wide * tape.fit(ones, below) - tape.fit(
                    tape.rule(q, right.reshape(tape.shapes[q]))[k], below
                )
            if tape.ops[q] in ("reshape", "index") and np.prod(tape.shapes[below]) == np.prod(tape.shapes[q]):
                right = right.reshape(tape.shapes[below])
            elif ones.shape == right.shape:
                right, wide = right * ones, wide * ones
            else:
                raise UnfitError
            q = below
        raise UnfitError
