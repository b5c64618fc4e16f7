"""Hypotheses on the rule of one line: left out, another factor, another matrix, another way to undo broadcasting.

The one thing to know: each function here proposes changes for all lines; a rule is given a `Site` and returns what is
handed on in place of the right contribution. It raises `UnfitError` where it makes no sense.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinygrad_edu.gradient_check.search.change import Change, Edges, Gathers, Say, Scaled
from tinygrad_edu.gradient_check.search.scene import Group, Scene, as_array, same, sigmoid
from tinygrad_edu.gradient_check.search.tape import Edge, Site, UnfitError
from tinygrad_edu.ops.indexing import is_basic

PRODUCTS = ("multiply", "matmul", "dot", "einsum", "affine", "outer", "inner", "weighted_sum", "tensordot")


def edge_groups(scene: Scene) -> Iterator[tuple[Group, int, tuple[Edge, ...], int, str]]:
    """(group, input number, its edges, the parent of the first, the first's operation) for every line and input."""
    tape = scene.tape
    for group in scene.groups:
        if tape.ops[group.members[0]] == "filled":  # all that is written into an array goes one way
            edges = tuple((m, j) for m in group.members for j in tape.edges[m] if j and (m, j) in tape.part)
            if edges and any(scene.useful(tape.edges[m][j]) for m, j in edges):
                yield group, edges[0][1], edges, tape.edges[edges[0][0]][edges[0][1]], "filled"
            continue
        for j in sorted({j for m in group.members for j in tape.edges[m]}):
            edges = tuple((m, j) for m in group.members if (m, j) in tape.part)
            if edges and any(scene.useful(tape.edges[m][j]) for m, _ in edges):
                yield group, j, edges, tape.edges[edges[0][0]][j], tape.ops[edges[0][0]]


def change(scene: Scene, group: Group, rank: float, say: Say, edges: tuple[Edge, ...], rule: Any) -> Change:
    i, j = edges[0]
    return Change(
        rank + group.rank, say + on_the_way(scene, i, j) + in_turn(group), i, j, Edges(edges, rule), "", len(edges)
    )


def on_the_way(scene: Scene, i: int, j: int) -> Say:
    """ "towards `c`", where the line has several inputs."""
    if len(scene.tape.edges[i]) < 2:
        return Say()
    to = scene.name(scene.tape.edges[i][j])
    return Say(", on the way to `{to}`", to=to)


def in_turn(group: Group) -> Say:
    return Say(", only in turn {turn}", turn=group.turn) if group.turn else Say()


# --- constant factors: a path missing, a sign, 2, 1/n


def scaled(scene: Scene) -> Iterator[Change]:
    tape = scene.tape
    for group in scene.groups:
        edges = tuple((m, j) for m in group.members for j in tape.edges[m] if (m, j) in tape.part)
        if len({j for _, j in edges}) > 1:
            where = in_turn(group)
            yield Change(1.0 + group.rank, where, edges[0][0], None, Scaled(edges, True), "", len(group.members))
    for group, j, edges, _, _ in edge_groups(scene):
        where = on_the_way(scene, edges[0][0], j) + in_turn(group)
        yield Change(group.rank, where, edges[0][0], j, Scaled(edges, False), "", len(edges))


# --- the derivative left out: what arrives is handed on


def passed_on(scene: Scene) -> Iterator[Change]:
    activations = {block.last for block in scene.blocks}
    for group, j, edges, _, op in edge_groups(scene):
        if op in (*PRODUCTS, "negative", "subtract", "mean", "sum", "add") or edges[0][0] in activations:
            continue
        if op != "divide" or (j == 0 and np.size(scene.tape.primals[edges[0][0]][1]) > 1):
            yield change(scene, group, 1.2, passing_words(scene, edges[0][0], j), edges, through)


def factor_left_out(scene: Scene) -> Iterator[Change]:
    tape = scene.tape
    for group, j, edges, _, op in edge_groups(scene):
        if op in PRODUCTS and len(tape.primals[edges[0][0]]) == 2:
            other = scene.operand(edges[0][0], 1 - j)
            yield change(scene, group, 1.2, Say("the factor `{other}` is left out", other=other), edges, through)
            if op == "matmul":
                say = Say("`{other}` is left out: the gradient is only summed", other=other)
                yield change(scene, group, 3.0, say, edges, ones_in_place)


def passing_words(scene: Scene, i: int, j: int) -> Say:
    op = scene.tape.ops[i]
    if op == "divide":
        by = scene.operand(i, 1)
        return Say("the division by `{by}` is left out", by=by)
    return Say("the derivative of `{op}` is left out (taken as 1)", op=op)


def through(s: Site) -> Any:
    """What arrives, spread or summed to the input's shape."""
    shape, g = s.tape.shapes[s.p], np.asarray(s.g)
    if g.shape == shape:
        return g
    if g.ndim > len(shape):
        return s.tape.fit(g, s.p)
    axis = s.node.params.get("axis")
    if axis is not None and not s.node.params.get("keepdims") and g.ndim < len(shape):
        g = np.expand_dims(g, axis)
    try:
        return np.broadcast_to(g, shape) * 1.0
    except ValueError:
        return s.tape.fit(g, s.p)


def ones_in_place(s: Site) -> Any:
    primals = list(s.tape.primals[s.i])
    primals[1 - s.j] = np.ones_like(s.other(1 - s.j))
    return s.again(primals=primals)


def factors_exchanged(scene: Scene) -> Iterator[Change]:
    """Each factor of a product multiplied by itself, not by the other: their gradients are exchanged."""
    tape = scene.tape
    for group in scene.groups:
        first = group.members[0]
        edges = tuple((m, j) for m in group.members for j in (0, 1) if (m, j) in tape.part)
        if tape.ops[first] == "multiply" and len({j for _, j in edges}) == 2:
            a, b = scene.operand(first, 0), scene.operand(first, 1)
            say = Say("the gradients of `{a}` and `{b}` are exchanged: each is multiplied by itself", a=a, b=b)
            yield Change(2.1 + group.rank, say + in_turn(group), first, None, Edges(edges, own_factor), "", len(edges))


def own_factor(s: Site) -> Any:
    return as_array(s.g) * s.other(s.j)


# --- matrices: not transposed, in the other order


def matrices(scene: Scene) -> Iterator[Change]:
    for group, j, edges, _, op in edge_groups(scene):
        if op in ("matmul", "dot"):
            other = scene.operand(edges[0][0], 1 - j)
            for say, rule in matrix_products(other):
                yield change(scene, group, 1.8, say, edges, rule)


def matrix_products(other: str) -> Iterator[tuple[Say, Any]]:
    for order, g_turned, o_turned in itertools.product((0, 1), repeat=3):
        g, o = "g" + ".T" * g_turned, f"{other}" + ".T" * o_turned
        product = f"{o} @ {g}" if order else f"{g} @ {o}"
        say = Say(
            "a matrix isn't transposed, or the order is wrong: {product} is computed (g: the product's gradient)",
            product=product,
        )
        yield say, matrix_product(order, g_turned, o_turned)


def matrix_product(order: int, g_turned: int, o_turned: int) -> Callable[[Site], Any]:
    def rule(s: Site) -> Any:
        g, o = np.asarray(s.g, dtype=float), s.other(1 - s.j)
        if o.ndim < 2 or not g.ndim:
            raise UnfitError
        a = np.swapaxes(g, -1, -2) if g_turned and g.ndim > 1 else g
        b = np.swapaxes(o, -1, -2) if o_turned else o
        a, b = (b, a) if order else (a, b)
        if a.shape[-1] != b.shape[-2 if b.ndim > 1 else -1]:
            raise UnfitError
        out = a @ b
        if out.shape != s.tape.shapes[s.p]:
            raise UnfitError
        return out

    return rule


def matrix_everywhere(scene: Scene) -> Iterator[Change]:
    """The same slip in every line that a matrix stands in."""
    tape = scene.tape
    users: dict[int, list[Edge]] = defaultdict(list)
    for i in range(tape.n_in, len(tape.nodes)):
        if tape.ops[i] in ("matmul", "multiply") and i in tape.cot and len(tape.primals[i]) == 2:
            for k, x in enumerate(tape.nodes[i].parents):
                p = tape.edges[i].get(k)
                if (np.ndim(tape.primals[i][k]) >= 2 or (p is not None and p < tape.n_in)) and (i, 1 - k) in tape.part:
                    users[id(x)].append((i, 1 - k))
    for edges in users.values():
        if len({tape.places[i] for i, _ in edges}) < 2:
            continue
        what = scene.operand(edges[0][0], 1 - edges[0][1])
        whole = Group(tuple(i for i, _ in edges))
        say = Say("`{what}` is left out, in every line that it stands in", what=what)
        yield change(scene, whole, 1.5, say, tuple(edges), through)
        if all(tape.ops[i] == "matmul" for i, _ in edges):
            for text, rule in matrix_products(what):
                yield change(scene, whole, 2.0, text + Say(", in every such line"), tuple(edges), rule)


# --- another factor: the wrong variable, flipped, twice, a division for a product


def wrong_variable(scene: Scene) -> Iterator[Change]:
    tape = scene.tape
    for group, j, edges, _, op in edge_groups(scene):
        i = edges[0][0]
        if op not in PRODUCTS:
            continue
        for k in range(len(tape.primals[i])):
            if k == j or not 2 <= len(tape.primals[i]) <= 4:
                continue
            members = group.members
            right = scene.operand(i, k)
            for text, values in scene.others(members, k):
                table = dict(zip(members, values, strict=True))
                say = Say("multiplied by {text}, not by `{right}`", text=text, right=right)
                yield change(scene, group, 4.0, say, edges, with_other(k, table))


def with_other(k: int, table: dict[int, Any]) -> Callable[[Site], Any]:
    def rule(s: Site) -> Any:
        primals = list(s.tape.primals[s.i])
        primals[k] = table[s.i]
        return s.again(primals=primals)

    return rule


def flipped_kernel(scene: Scene) -> Iterator[Change]:
    tape = scene.tape
    for group, j, edges, _, op in edge_groups(scene):
        i = edges[0][0]
        if op not in PRODUCTS:
            continue
        for k in range(len(tape.primals[i])):
            ndim = np.ndim(tape.primals[i][k])
            for axes in ((0,),) if ndim == 1 else ((-1,), (-2,), (-2, -1))[: 3 if ndim else 0]:
                if k != j and ndim:
                    right = scene.operand(i, k)
                    say = Say("`{right}` is flipped along axes {axes}", right=right, axes=axes)
                    yield change(scene, group, 2.2, say, edges, flipped(k, axes))


def flipped(k: int, axes: tuple[int, ...]) -> Callable[[Site], Any]:
    def rule(s: Site) -> Any:
        primals = list(s.tape.primals[s.i])
        primals[k] = np.flip(np.asarray(primals[k]), axes).copy()
        return s.again(primals=primals)

    return rule


def powers(scene: Scene) -> Iterator[Change]:
    for group, j, edges, _, op in edge_groups(scene):
        if len(scene.tape.primals[edges[0][0]]) != 2:
            continue
        if op == "multiply":
            other = scene.operand(edges[0][0], 1 - j)
            yield change(
                scene,
                group,
                2.4,
                Say("`{other}` is multiplied in twice", other=other),
                edges,
                power(1 - j, 1),
            )
            say = Say("divided by `{other}`, not multiplied", other=other)
            yield change(scene, group, 2.4, say, edges, power(1 - j, -2))
        if op == "divide":
            by = scene.operand(edges[0][0], 1)
            if j == 0:
                say = Say("multiplied by `{by}`, not divided", by=by)
                yield change(scene, group, 2.4, say, edges, power(1, 2))
            for n, text in ((1, "few"), (-1, "many")):
                say = Say("one power of the divisor `{by}` too {text}", by=by, text=Say(text))
                yield change(scene, group, 2.4, say, edges, power(1, n))


def nearby_factors(scene: Scene) -> Iterator[Change]:
    """A constant array of another line, such as a mask or a scale, multiplied or divided by once more."""
    tape = scene.tape
    constants: dict[str, Any] = {}
    for i in range(tape.n_in, len(tape.nodes)):
        for k, x in enumerate(tape.primals[i]):
            if k not in tape.edges[i] and 1 < np.size(x) <= 10_000 and scene.line_size[i] == 1:
                constants.setdefault(scene.operand(i, k), as_array(x))
    for group, j, edges, _, op in edge_groups(scene):
        for text, c in constants.items() if op in ("multiply", "divide", "matmul", "add", "subtract") else ():
            if text in (scene.operand(edges[0][0], k) for k in range(len(tape.primals[edges[0][0]])) if k != j):
                continue
            for sign, verb in ((1, "multiplied"), (-1, "divided")):
                say = Say("{verb} by `{text}`, which belongs to another line", verb=Say(verb), text=text)
                yield change(scene, group, 3.4, say, edges, once_more(c**sign))


def once_more(c: Any) -> Callable[[Site], Any]:
    def rule(s: Site) -> Any:
        out = as_array(s.r) * c
        if out.shape != np.shape(s.r) or not np.all(np.isfinite(out)):
            raise UnfitError
        return out

    return rule


def power(k: int, by: int) -> Callable[[Site], Any]:
    def rule(s: Site) -> Any:
        out = np.asarray(s.r) * s.other(k) ** by
        if not np.all(np.isfinite(out)):
            raise UnfitError
        return out

    return rule


# --- broadcasting undone


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
        if len(axes) != 1:
            raise UnfitError
        return np.take(r, k, axes[0])

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
            yield Change(2.6 + group.rank, say, edges[0][0], j, DiagonalOf(scene, edges).how(), "", len(edges))


class DiagonalOf:
    """What `diagonal` changes: deltas at what the reduced array was made of."""

    def __init__(self, scene: Scene, edges: tuple[Edge, ...]) -> None:
        self.tape, self.edges = scene.tape, edges

    def how(self) -> Any:
        from tinygrad_edu.gradient_check.search.change import Deltas

        return Deltas(self.deltas)

    def deltas(self) -> dict[int, Any]:
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


# --- entries put back: repeated indices, shifts, transposes, ties, first rows


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


def counted_index(s: Site) -> Any:
    out = np.zeros(s.tape.shapes[s.p])
    out[s.node.params["key"]] = s.g
    return out


def first_index(s: Site) -> Any:
    shape, key = s.tape.shapes[s.p], s.node.params["key"]
    places = np.arange(math.prod(shape)).reshape(shape)[key]
    out = np.zeros(math.prod(shape))
    out[places.reshape(-1)[::-1]] = np.broadcast_to(as_array(s.g), places.shape).reshape(-1)[::-1]
    return out.reshape(shape)


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
        ndim = len(scene.tape.shapes[p])
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
            say = Say("the value of the {op} is multiplied in", op=op)
            yield change(scene, group, 2.9, say, edges, lambda s: as_array(s.again(g=as_array(s.g) * s.tape.data[s.i])))


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


# --- the wrong cotangent, an extra derivative


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
    """The gradients of two parts of one array exchanged, such as an LSTM's gates."""
    tape = scene.tape
    for p in range(len(tape.nodes)):
        parts = [(i, j) for i, j in tape.consumers[p] if tape.ops[i] == "index" and (i, j) in tape.part]
        if not 2 <= len(parts) <= 8 or not scene.useful(p):
            continue
        for (a, ja), (b, jb) in itertools.combinations(parts, 2):
            if tape.shapes[a] == tape.shapes[b]:
                x, y = scene.name(a), scene.name(b)
                say = Say("the gradients of `{x}` and `{y}` are exchanged", x=x, y=y)
                yield Change(2.0, say, a, ja, Edges(((a, ja), (b, jb)), from_cotangent({a: b, b: a}, None)), "", 2)
