"""Hypotheses on the rule of one line: left out, another factor, another matrix, a constant too much.

The one thing to know: each function here proposes changes for all lines; a rule is given a `Site` and returns what is
handed on in place of the right contribution. It raises `UnfitError` where it makes no sense.
"""

from __future__ import annotations

import functools
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinygrad_edu.gradient_check.search.change import Change, Deltas, Edges, Say, Scaled
from tinygrad_edu.gradient_check.search.scene import Group, Scene, as_array, same
from tinygrad_edu.gradient_check.search.tape import Edge, Site, Tape, UnfitError

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


def maxima_left_out(scene: Scene) -> Iterator[Change]:
    """The choice that maxima make left out in all of them, as where one pool is written as two maxima."""
    tape = scene.tape
    members = tuple(
        i for i in range(tape.n_in, len(tape.nodes)) if tape.ops[i] in ("max", "min") and (i, 0) in tape.part
    )
    if len({tape.places[i] for i in members}) > 1 and scene.useful(tape.edges[members[0]][0]):
        say = Say("the derivative of `{op}` is left out (taken as 1)", op=tape.ops[members[0]])
        edges = tuple((i, 0) for i in members)
        yield change(scene, Group(members), 1.4, say + Say(", in every such line"), edges, through)


def factor_left_out(scene: Scene) -> Iterator[Change]:
    tape = scene.tape
    for group, j, edges, _, op in edge_groups(scene):
        if op in PRODUCTS and len(tape.primals[edges[0][0]]) == 2:
            other = scene.operand(edges[0][0], 1 - j)
            yield change(scene, group, 1.2, Say("the factor `{other}` is left out", other=other), edges, through)
            if scene.made_by(edges[0][0], 1 - j) == "negative" and op == "multiply":
                say = Say("`{other}` is left out, but for its sign", other=other)
                yield change(scene, group, 1.3, say, edges, lambda s: -1.0 * through(s))
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


def factors_of_two_lines(scene: Scene) -> Iterator[Change]:
    """The factors of two products exchanged, as in dw1 += d * x2 and dw2 += d * x1."""
    tape = scene.tape
    for group, j, edges, _, op in edge_groups(scene):
        members = group.members
        if op != "multiply" or group.turn or len(edges) < len(members) or 1 - j in tape.edges[members[0]]:
            continue
        for line in scene.near(members, 6):
            pairs = list(zip(members, line, strict=True))
            both = [(q, j) for q in line if (q, j) in tape.part]
            if line[0] < members[0] or tape.ops[line[0]] != "multiply" or len(both) < len(line):
                continue
            if any(np.shape(tape.primals[m][1 - j]) != np.shape(tape.primals[q][1 - j]) for m, q in pairs):
                continue
            table = {m: tape.primals[q][1 - j] for m, q in pairs} | {q: tape.primals[m][1 - j] for m, q in pairs}
            a, b = scene.operand(members[0], 1 - j), scene.operand(line[0], 1 - j)
            say = Say("the factors `{a}` and `{b}` of two products are exchanged", a=a, b=b)
            rule = with_other(1 - j, table)
            yield Change(3.0, say, *edges[0], Edges((*edges, *both), rule), "", len(edges) + len(both))


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
                    whole = tape.nodes[p].parents[0] if p is not None and tape.ops[p] == "index" else x
                    users[id(whole)].append((i, 1 - k))
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


def wrong_numerator(scene: Scene) -> Iterator[Change]:
    """The numerator in a quotient's derivative by its divisor replaced by one that it was made of, or by another."""
    tape = scene.tape
    for group, j, edges, _, op in edge_groups(scene):
        i = edges[0][0]
        if op != "divide" or j != 1 or 0 not in tape.edges[i]:
            continue
        right = scene.operand(i, 0)
        for text, values in scene.others(group.members, 0, 12):
            table = dict(zip(group.members, values, strict=True))
            say = Say("multiplied by {text}, not by `{right}`", text=text, right=right)
            yield change(scene, group, 4.0, say, edges, lambda s, t=table: in_place(s, t[s.i]))


def in_place(s: Site, numerator: Any) -> Any:
    out = as_array(s.r) * (as_array(numerator) / s.other(0))
    if not np.all(np.isfinite(out)):
        raise UnfitError
    return out


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


def inner_factors(scene: Scene) -> Iterator[Change]:
    """Of a divisor or factor that is a product itself one factor left out."""
    tape = scene.tape
    for group, j, edges, _, op in edge_groups(scene):
        i = edges[0][0]
        k = 1 if op == "divide" else 1 - j
        if op not in ("multiply", "divide") or len(tape.primals[i]) != 2 or (op == "divide" and j == 1):
            continue
        made = [tape.edges[m].get(k, -1) for m, _ in edges]
        if any(q < tape.n_in or tape.ops[q] != "multiply" for q in made):
            continue
        for n in (0, 1):
            by = 1 if op == "divide" else -1
            table = {m: as_array(tape.primals[q][n]) ** by for (m, _), q in zip(edges, made, strict=True)}
            name, product = scene.operand(made[0], n), scene.operand(i, k)
            say = Say("`{name}` is left out of `{product}`", name=name, product=product)
            yield change(scene, group, 4.1, say, edges, lambda s, t=table: once_more(t[s.i])(s))


def whole_factors(scene: Scene) -> Iterator[Change]:
    """All that comes to a variable multiplied or divided once more by an array that stands beside it."""
    tape = scene.tape
    for p in range(len(tape.nodes)):
        consumers = [(i, j) for i, j in tape.consumers[p] if (i, j) in tape.part]
        if not scene.useful(p) or not 1 < len(consumers) <= 8 or (p >= tape.n_in and scene.line_size[p] > 1):
            continue
        seen: list[Any] = []
        for i, j in consumers:
            for k in range(len(tape.primals[i])):
                x = as_array(tape.primals[i][k])
                if k == j or k not in tape.edges[i] or any(x is y or same(x, y) for y in seen):
                    continue
                seen.append(x)
                name, what = scene.operand(i, k), scene.name(p)
                for by, text in ((1, "a division by `{name}` is left out"), (-1, "divided by `{name}` once too often")):
                    say = Say(text + ", in all of the gradient of `{what}`", name=name, what=what)
                    yield Change(2.8, say, i, j, Deltas(functools.partial(scaled_by, tape, p, x**by)))


def scaled_by(tape: Tape, p: int, c: Any) -> dict[int, Any]:
    g = as_array(tape.cot[p])
    out = g * c
    if out.shape != g.shape or not np.all(np.isfinite(out)):
        raise UnfitError
    return {p: out - g}


def power(k: int, by: int) -> Callable[[Site], Any]:
    def rule(s: Site) -> Any:
        out = np.asarray(s.r) * s.other(k) ** by
        if not np.all(np.isfinite(out)):
            raise UnfitError
        return out

    return rule
