"""Hypotheses on entries that are put back: repeated indices, shifts, strides, transposes, ties, first rows."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from tinygrad_edu.gradient_check.search.change import Change, Deltas, Gathers, Say
from tinygrad_edu.gradient_check.search.rules import change, edge_groups, through
from tinygrad_edu.gradient_check.search.scene import Scene, as_array
from tinygrad_edu.gradient_check.search.tape import Site, UnfitError
from tinygrad_edu.ops.indexing import is_basic


def repeated_index(scene: Scene) -> Iterator[Change]:
    for group, _j, edges, p, op in edge_groups(scene):
        if op == "index" and not is_basic(scene.tape.nodes[edges[0][0]].params["key"]):
            name = scene.name(p)
            say = Say(
                "an index of `{name}` that occurs several times is counted once (`g[k] += …`; np.add.at adds each)",
                name=name,
            )
            yield change(scene, group, 1.6, say, edges, counted_index)
            say = Say("of an index of `{name}` that occurs several times only the first counts", name=name)
            yield change(scene, group, 1.9, say, edges, first_index)


def repeats(scene: Scene) -> Iterator[Change]:
    """Of what np.repeat, np.tile or np.broadcast_to makes of an entry, only one place gives it a gradient."""
    for group, _j, edges, p, op in edge_groups(scene):
        if op in ("repeat", "tile", "broadcast_to"):
            name = scene.name(p)
            for which, rule in (("first", first_index), ("last", counted_index)):
                say = Say(
                    "of the places that `{name}` is repeated to only the {which} counts", name=name, which=Say(which)
                )
                yield change(scene, group, 1.8, say, edges, rule)


def origins(s: Site) -> Any:
    """For each entry of the result the position of the input's entry that it is: the operation of positions."""
    positions = np.arange(math.prod(s.tape.shapes[s.p]), dtype=float).reshape(s.tape.shapes[s.p])
    operation = s.node.operation
    assert operation is not None
    return np.asarray(operation.forward(positions, **s.node.params)).astype(int).reshape(-1)


def counted_index(s: Site) -> Any:
    out = np.zeros(math.prod(s.tape.shapes[s.p]))
    out[origins(s)] = as_array(s.g).reshape(-1)
    return out.reshape(s.tape.shapes[s.p])


def first_index(s: Site) -> Any:
    out = np.zeros(math.prod(s.tape.shapes[s.p]))
    out[origins(s)[::-1]] = as_array(s.g).reshape(-1)[::-1]
    return out.reshape(s.tape.shapes[s.p])


def entries_forgotten(scene: Scene) -> Iterator[Change]:
    tape = scene.tape
    for _group, j, edges, p, op in edge_groups(scene):
        i = edges[0][0]
        if op != "index" or is_basic(tape.nodes[i].params["key"]) or len(tape.consumers[p]) < 2 or len(edges) > 1:
            continue
        key = tape.nodes[i].params["key"]

        def without(parts: Any, key: Any = key, p: int = p) -> Any:
            out = np.array(tape.cot[p], dtype=float)
            out[key] = 0.0
            return out

        text = scene.name(i)
        say = Say("the entries that `{text}` reads get no gradient at all", text=text)
        yield Change(1.45, say, i, j, Gathers({p: without}))


def shifts(scene: Scene) -> Iterator[Change]:
    for group, _j, edges, p, op in edge_groups(scene):
        if op not in ("pad", "concatenate", "index", "reshape", "roll", "filled", "stack"):
            continue
        ndim = len(scene.tape.shapes[p]) if math.prod(scene.tape.shapes[p]) > 3 else 0  # three may be shifted by chance
        choices = [(a,) for a in range(ndim)] + ([(ndim - 2, ndim - 1)] if ndim > 1 else [])
        for axes, by in itertools.product(choices, (1, -1)):
            say = Say("put back into the wrong entries: shifted by {by:+d} along axes {axes}", by=by, axes=axes)
            yield change(scene, group, 2.4, say, edges, shifted(axes, by))


def shifted(axes: tuple[int, ...], by: int) -> Callable[[Site], Any]:
    def rule(s: Site) -> Any:
        if s.tape.ops[s.i] == "pad":
            return s.again(g=np.roll(as_array(s.g), (by,) * len(axes), axes))
        r = as_array(s.r)
        if r.shape != s.tape.shapes[s.p] or not r.ndim:
            raise UnfitError
        return np.roll(r, (by,) * len(axes), axes)

    return rule


def other_stride(scene: Scene) -> Iterator[Change]:
    """Windows put back at another stride: 1, or double, of what the forward pass reads them at."""
    tape = scene.tape
    for group, _j, edges, p, op in edge_groups(scene):
        if op != "index" or len(edges) < 3 or group.turn:
            continue
        keys = [tape.nodes[i].params["key"] for i, _ in edges]
        strides = {axis: stride for axis in range(len(tape.shapes[p])) if (stride := stride_of(keys, axis)) > 1}
        if len(strides) > 1 and len(set(strides.values())) == 1:
            stride, axes = next(iter(strides.values())), tuple(strides)
            say = Say(
                "windows are put back at stride {new} along axes {axes}, and read at stride {stride}",
                new=1,
                axes=axes,
                stride=stride,
            )
            yield change(scene, group, 2.5, say, edges, at_strides(axes, stride, 1))
        for axis, stride in strides.items():
            for new in {1, 2 * stride, stride + 1, stride - 1} - {stride, 0}:
                say = Say(
                    "windows are put back at stride {new} along axis {axis}, and read at stride {stride}",
                    new=new,
                    axis=axis,
                    stride=stride,
                )
                yield change(scene, group, 2.6, say, edges, at_strides((axis,), stride, new))


def stride_of(keys: list[Any], axis: int) -> int:
    """The distance between windows along an axis; 0 where there is none."""
    starts = [part_of(key, axis) for key in keys]
    if any(start is None for start in starts) or len(set(starts)) < 2:
        return 0
    gaps = np.diff(sorted({start for start in starts if start is not None}))
    return int(gaps[0]) if np.all(gaps == gaps[0]) else 0


def part_of(key: Any, axis: int) -> int | None:
    parts = key if isinstance(key, tuple) else (key,)
    if axis >= len(parts) or any(part is None or part is Ellipsis for part in parts):
        return None
    part = parts[axis]
    start = part.start if isinstance(part, slice) else part
    return int(start or 0) if start is None or isinstance(start, (int, np.integer)) else None


def at_strides(axes: tuple[int, ...], old: int, new: int) -> Callable[[Site], Any]:
    def rule(s: Site) -> Any:
        key = s.node.params["key"]
        parts = list(key if isinstance(key, tuple) else (key,))
        for axis in axes:
            part = parts[axis]
            start = (part.start or 0) if isinstance(part, slice) else part
            moved = start // old * new
            parts[axis] = slice(moved, part.stop - start + moved, part.step) if isinstance(part, slice) else moved
        out = np.zeros(s.tape.shapes[s.p])
        place = out[tuple(parts)]
        out[tuple(parts)] = as_array(s.g)[tuple(slice(n) for n in place.shape)]
        return out

    return rule


def first_channel(scene: Scene) -> Iterator[Change]:
    """The gradient of a window summed over one of its axes and put into the first place along it."""
    tape = scene.tape
    for group, _j, edges, p, op in edge_groups(scene):
        if op != "index" or group.turn:
            continue
        for axis in range(len(tape.shapes[p])):
            say = Say(
                "summed over axis {axis} of `{name}` and put into its first place there", axis=axis, name=scene.name(p)
            )
            yield change(scene, group, 2.9, say, edges, into_first(axis))


def into_first(axis: int) -> Callable[[Site], Any]:
    def rule(s: Site) -> Any:
        r = as_array(s.r)
        out = np.zeros_like(r)
        at = (slice(None),) * axis + (0,)
        out[at] = r.sum(axis)
        return out

    return rule


def transposes(scene: Scene) -> Iterator[Change]:
    tape = scene.tape
    for group, _j, edges, p, op in edge_groups(scene):
        if op not in ("reshape", "transpose"):
            continue
        above = {
            m: [q for q, _ in tape.consumers[m] if tape.ops[q] in ("reshape", "transpose") and tape.ops[q] != op]
            for m, _ in edges
        }
        if all(len(q) == 1 for q in above.values()):
            say = Say("reshaped only: the transpose that belongs to it is left out")
            table = {m: q[0] for m, q in above.items()}
            yield change(scene, group, 2.3, say, edges, reshaped_from(table))
        if op == "reshape" and len(tape.shapes[p]) == 2:
            say = Say("reshaped in the order of the transpose")
            yield change(scene, group, 2.8, say, edges, lambda s: as_array(s.g).T.reshape(s.tape.shapes[s.p][::-1]).T)
        if op == "transpose":
            say = Say("reshaped in place of transposed back")
            yield change(scene, group, 2.3, say, edges, lambda s: as_array(s.g).reshape(s.tape.shapes[s.p]))


def reshaped_from(table: dict[int, int]) -> Callable[[Site], Any]:
    def rule(s: Site) -> Any:
        if table[s.i] not in s.table:
            raise UnfitError
        return as_array(s.table[table[s.i]]).reshape(s.tape.shapes[s.p])

    return rule


def ties(scene: Scene) -> Iterator[Change]:
    for group, _j, edges, _, op in edge_groups(scene):
        if op in ("max", "min", "maximum", "minimum"):
            say = Say("every tied maximum gets all of the gradient, not a share")
            yield change(scene, group, 2.0, say, edges, all_ties)


def maxima(scene: Scene) -> Iterator[Change]:
    """What comes from a maximum over an axis spread over all entries, or multiplied by the maximum."""
    for group, _j, edges, _, op in edge_groups(scene):
        if op in ("max", "min"):
            say = Say("the gradient is spread over all entries, as by a mean, and not given to the {op} alone", op=op)
            yield change(scene, group, 2.0, say, edges, spread)
            say = Say("the other extreme gets the gradient: argmin for argmax, or the reverse")
            yield change(scene, group, 2.2, say, edges, other_extreme)
            say = Say("the value of the {op} is multiplied in", op=op)
            yield change(scene, group, 2.9, say, edges, lambda s: as_array(s.again(g=as_array(s.g) * s.tape.data[s.i])))


def other_extreme(s: Site) -> Any:
    x, g, axis = as_array(s.tape.primals[s.i][s.j]), as_array(s.g), s.node.params.get("axis")
    far = x.min(axis, keepdims=True) if s.tape.ops[s.i] == "max" else x.max(axis, keepdims=True)
    return (x == far) * g.reshape(far.shape)


def spread(s: Site) -> Any:
    shape = s.tape.shapes[s.p]
    return through(s) * (math.prod(s.tape.shapes[s.i]) / math.prod(shape))


def all_ties(s: Site) -> Any:
    x, out, g = as_array(s.tape.primals[s.i][s.j]), as_array(s.tape.data[s.i]), as_array(s.g)
    axis = s.node.params.get("axis")
    if axis is not None and not s.node.params.get("keepdims"):
        out, g = np.expand_dims(out, axis), np.expand_dims(g, axis)
    return (x == out) * g


def one_entry(scene: Scene) -> Iterator[Change]:
    tape = scene.tape
    for group, _j, edges, p, op in edge_groups(scene):
        if op in ("sum", "mean") and len(tape.shapes[edges[0][0]]) < len(tape.shapes[p]):
            for k, text in ((0, "first"), (-1, "last")):
                say = Say("given to the {text} entry along the axis only", text=Say(text))
                yield change(scene, group, 3.0, say, edges, one_entry_only(k))


def tiled(scene: Scene) -> Iterator[Change]:
    """What was summed over the last axis, spread with np.tile where np.repeat belongs."""
    tape = scene.tape
    for group, _j, edges, p, op in edge_groups(scene):
        shape = tape.shapes[p]
        if op in ("sum", "mean") and len(shape) > 1 and tape.shapes[edges[0][0]] == shape[:-1] and shape[-2] > 1:
            say = Say("spread in the order of np.tile, not of np.repeat")
            yield change(scene, group, 2.7, say, edges, in_tiles)


def in_tiles(s: Site) -> Any:
    r = np.broadcast_to(as_array(s.r), s.tape.shapes[s.p])
    return np.swapaxes(r, -1, -2).reshape(r.shape)


def exchanged_indices(scene: Scene) -> Iterator[Change]:
    """What arrives at a square array read with its last two indices exchanged."""
    tape = scene.tape
    for line in scene.lines:
        i = line[-1]
        shape = tape.shapes[i]
        last = len(line) == 1 or i in tape.seeds  # of a buffer that is filled in a loop the last state
        if last and i in tape.cot and len(shape) > 1 and shape[-1] == shape[-2] > 1 and scene.useful(i):
            name = scene.name(i)
            say = Say("what arrives at `{name}` is read with its last two indices exchanged", name=name)
            yield Change(2.9, say, i, None, Deltas(partial(cotangent_as, scene, i, swapped)))


def swapped(g: Any) -> Any:
    return np.swapaxes(as_array(g), -1, -2)


def cotangent_as(scene: Scene, i: int, f: Callable[[Any], Any]) -> dict[int, Any]:
    """What f of a node's cotangent changes there."""
    g = as_array(scene.tape.cot[i])
    return {i: f(g) - g}


def rounded(scene: Scene) -> Iterator[Change]:
    """A gradient kept in an array of integers, or divided with //."""
    tape = scene.tape
    for line in scene.lines:
        i = line[0]
        if len(line) == 1 and i in tape.cot and scene.useful(i) and np.any(np.trunc(tape.cot[i])):
            say = Say("the gradient of `{name}` is rounded to whole numbers", name=scene.name(i))
            yield Change(3.2, say, i, None, Deltas(partial(cotangent_as, scene, i, np.trunc)))


def one_entry_only(k: int) -> Callable[[Site], Any]:
    def rule(s: Site) -> Any:
        r = np.broadcast_to(as_array(s.r), s.tape.shapes[s.p])
        axis = s.node.params.get("axis")
        if not r.ndim or isinstance(axis, tuple):
            raise UnfitError
        out = np.zeros(r.shape)
        at = (slice(None),) * ((axis or 0) % r.ndim) + (k,)
        out[at] = r[at]
        return out

    return rule
