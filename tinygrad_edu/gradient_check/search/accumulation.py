"""Hypotheses on what is added up: `=` for `+=`, forgotten paths, nothing carried through a loop, statistics."""

from __future__ import annotations

import functools
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinygrad_edu.gradient_check.search.change import Change, Deltas, Edges, Gathers, Say, Solved
from tinygrad_edu.gradient_check.search.scene import SINGLE_TURNS, Group, Scene, as_array
from tinygrad_edu.gradient_check.search.tape import Edge, Site, Tape, UnfitError, like

Parts = list[tuple[int, int, Any]]


def nothing(s: Site) -> Any:
    return np.zeros(s.tape.shapes[s.p])


def negated(s: Site) -> Any:
    return -1.0 * s.r


# --- = for +=


def overwritten(scene: Scene) -> Iterator[Change]:
    """Windows whose contributions overlap, written with `=`: each entry has that of the last (or first) window only."""
    tape = scene.tape
    done: set[Any] = set()
    for p in range(len(tape.nodes)):
        cons = [e for e in tape.consumers[p] if e in tape.part]
        if len(cons) < 2 or not scene.useful(p) or (p >= tape.n_in and tape.places[p] in done):
            continue
        if sum(tape.ops[i] == "index" for i, _ in cons) < 2:
            continue
        alike = [p]
        if p >= tape.n_in:
            done.add(tape.places[p])
            alike = [
                q
                for q in range(tape.n_in, len(tape.nodes))
                if tape.places[q] == tape.places[p] and read_by_index(tape, q)
            ]
        name = scene.name(p)
        for sparse, how in enumerate(OVERWRITTEN):
            for backward in (False, True):
                say = Say(
                    "the parts of the gradient of `{name}` that overlap are written with `=` in place of `+=`{how}: "
                    "the {first} one is left",
                    name=name,
                    how=Say(how),
                    first=Say("first" if backward else "last"),
                )
                gathers = {q: window_writer(scene, q, backward, sparse) for q in alike}
                yield Change(1.4 + 0.1 * sparse, say, cons[0][0], cons[0][1], Gathers(gathers), "", len(cons))


OVERWRITTEN = (
    "",
    ", where they aren't 0",
    ", after those of one window are added",
    ", after those that follow one another are added",
)


def read_by_index(tape: Tape, q: int) -> bool:
    return sum(tape.ops[i] == "index" for i, _ in tape.consumers[q]) > 1


def window_writer(scene: Scene, p: int, backward: bool, sparse: int) -> Callable[[Parts], Any]:
    tape = scene.tape

    def gather(parts: Parts) -> Any:
        out = np.zeros(tape.shapes[p])
        others = [c for i, _, c in parts if tape.ops[i] != "index"]  # such as a penalty's, which is added in the end
        parts = [part for part in parts if tape.ops[part[0]] == "index"]
        if sparse >= 2:
            parts = joined_windows(tape, parts, runs=sparse == 3)
        for i, _, c in sorted(parts, key=lambda part: part[0], reverse=backward):
            c, key = as_array(c), tape.nodes[i].params["key"]
            if sparse == 1:
                out[c != 0] = c[c != 0]
            else:
                out[key] = c[key]
        return sum(others, out)

    return gather


def joined_windows(tape: Any, parts: Parts, runs: bool) -> Parts:
    """Contributions to one window added: all of them, or those that follow one another."""
    sums: dict[Any, tuple[int, int, Any]] = {}
    last, run = "", 0
    for i, j, c in sorted(parts, key=lambda part: part[0]):
        key = repr(tape.nodes[i].params["key"])
        run += runs and key != last
        last = key
        sums[key, run] = (i, j, c + sums[key, run][2] if (key, run) in sums else c)
    if len(sums) == len(parts):
        raise UnfitError
    return list(sums.values())


def one_kept(scene: Scene) -> Iterator[Change]:
    """Of several contributions to one variable, the first or the last only."""
    tape = scene.tape
    for p in range(len(tape.nodes)):
        cons = [e for e in tape.consumers[p] if e in tape.part]
        if len(cons) < 2 or not scene.useful(p) or (p >= tape.n_in and scene.line_size[p] > SINGLE_TURNS):
            continue
        name = scene.name(p)
        by_line: dict[Any, list[Edge]] = defaultdict(list)
        for i, j in cons:
            by_line[tape.places[i], j].append((i, j))
        for keep, en in ((0, "first"), (-1, "last")):
            say = Say(
                "of {n} contributions to the gradient of `{name}` only the {en} is kept (`=` in place of `+=`)",
                n=len(cons),
                name=name,
                en=Say(en),
            )
            yield Change(1.5, say, *cons[keep], Gathers({p: kept([cons[keep]])}), "", len(cons))
            if len(by_line) > 1 and any(len(own) > 1 for own in by_line.values()):
                some = [own[keep] if len(own) > 1 else own[0] for own in by_line.values()]
                say = Say(
                    "of each line's contributions to the gradient of `{name}` only the {en} turn's is kept "
                    "(`=` in place of `+=`)",
                    name=name,
                    en=Say(en),
                )
                yield Change(1.6, say, *cons[keep], Gathers({p: kept(some)}), "", len(cons))
                for line in by_line.values() if len(by_line) < 5 else ():
                    if len(line) > 1 and len(by_line) > 1:
                        own = [line[keep], *(e for other in by_line.values() if other is not line for e in other)]
                        say = Say(
                            "of {n} contributions of `{text}` to the gradient of `{name}` only that of the {en} turn "
                            "is kept (`=` in place of `+=`)",
                            n=len(line),
                            text=tape.places[line[0][0]].text,
                            name=name,
                            en=Say(en),
                        )
                        yield Change(1.6, say, *line[keep], Gathers({p: kept(own)}), "", len(line))
        if len(by_line) > 2:
            for own in by_line.values():
                text = scene.tape.places[own[0][0]].text
                say = Say(
                    "only the contribution of `{text}` to the gradient of `{name}` is kept (`=` in place of `+=`)",
                    text=text,
                    name=name,
                )
                yield Change(1.7, say, *own[0], Gathers({p: kept(own)}), "", len(cons))


def kept(edges: list[Edge]) -> Callable[[Parts], Any]:
    wanted = set(edges)

    def gather(parts: Parts) -> Any:
        some = [c for i, j, c in parts if (i, j) in wanted]
        if not some:
            raise UnfitError
        return sum(some[1:], some[0])

    return gather


# --- paths


def outputs_ignored(scene: Scene) -> Iterator[Change]:
    """What arrives at one of several outputs left out, such as dnext_c of an LSTM's step."""
    tape = scene.tape
    if len(tape.seeds) < 2:
        return
    for i, seed in tape.seeds.items():
        say = Say("the gradient that arrives at the output `{name}` itself is left out", name=scene.name(i))
        yield Change(0.95, say, i, None, Deltas(functools.partial(minus, i, seed)))


def minus(i: int, seed: Any) -> dict[int, Any]:
    return {i: -1.0 * seed}


def several_paths(scene: Scene) -> Iterator[Change]:
    """Several of the paths into one variable forgotten."""
    tape = scene.tape
    for group in [*(Group((k,)) for k in sorted(scene.wrong)), *scene.groups]:
        if group.turn or len(group.members) > 40:
            continue
        by_line: dict[Any, list[Edge]] = defaultdict(list)
        for p in group.members:
            for i, j in tape.consumers[p]:
                if (i, j) in tape.part:
                    by_line[tape.places[i], j].append((i, j))
        if not 3 <= len(by_line) <= 5:
            continue
        name = scene.name(group.members[-1])
        for n in range(2, len(by_line)):
            for some in itertools.combinations(by_line.values(), n):
                edges = tuple(e for own in some for e in own)
                texts = " and ".join(dict.fromkeys(f"`{tape.places[own[0][0]].text}`" for own in some))
                say = Say(
                    "the parts of the gradient of `{name}` that come through {texts} are missing",
                    name=name,
                    texts=texts,
                )
                yield Change(2.2 + group.rank, say, *edges[0], Edges(edges, nothing), "", len(edges))
                say = Say(
                    "the sign of the parts of the gradient of `{name}` that come through {texts} is wrong",
                    name=name,
                    texts=texts,
                )
                yield Change(2.5 + group.rank, say, *edges[0], Edges(edges, negated), "", len(edges))


def statistics(scene: Scene) -> Iterator[Change]:
    """What was reduced from an array, such as its mean and its variance, treated as constants."""
    tape = scene.tape
    some = [
        (i, j)
        for i in range(tape.n_in, len(tape.nodes))
        for j, p in tape.edges[i].items()
        if p >= tape.n_in and np.prod(tape.shapes[p]) < np.prod(tape.shapes[i]) and (i, j) in tape.part
    ]
    edges = tuple(e for e in some if scene.ops_behind(tape.edges[e[0]][e[1]], 5) & {"mean", "sum", "max", "var", "std"})
    if len(edges) > 1 and scene.useful(tape.edges[edges[0][0]][edges[0][1]]):
        what = " and ".join(dict.fromkeys(f"`{scene.name(tape.edges[i][j])}`" for i, j in edges))
        say = Say("{what} are treated as constants: no gradient is passed back through them", what=what)
        yield Change(0.9, say, *edges[-1], Edges(edges, nothing), "", len(edges))


def carried(scene: Scene) -> Iterator[Change]:
    """Nothing carried back from one turn of a loop to the one before."""
    tape = scene.tape
    carry: list[tuple[Edge, int]] = []
    for i in range(tape.n_in, len(tape.nodes)):
        for j, p in tape.edges[i].items():
            running_sum = tape.places[i] == tape.places[p] and tape.ops[i] in ("add", "subtract")
            later = p >= tape.n_in and tape.turns[p] < tape.turns[i] and (i, j) in tape.part and tape.ops[i] != "filled"
            if later and not running_sum and loops(scene, i, p):
                carry.append(((i, j), p))
    by_line: dict[Any, list[tuple[Edge, int]]] = defaultdict(list)
    for edge, p in carry:
        by_line[tape.places[p]].append((edge, p))
    choices = list(by_line.values()) + ([carry] if len(by_line) > 1 else [])
    for some in choices:
        edges = tuple(e for e, _ in some)
        what = " and ".join(dict.fromkeys(f"`{scene.name(p)}`" for _, p in some))
        say = Say("the gradient of {what} isn't carried back from one turn of the loop to the one before", what=what)
        yield Change(0.95, say, *edges[0], Edges(edges, nothing), "", len(edges))
        turns: dict[int, list[Edge]] = defaultdict(list)
        for edge, _ in some:
            turns[tape.turns[edge[0]]].append(edge)
        if len(turns) > 2:
            for turn in (min(turns), max(turns)):
                where = Say(", between turns {turn} and {after}", turn=turn, after=turn + 1)
                yield Change(
                    1.9, say + where, *turns[turn][0], Edges(tuple(turns[turn]), nothing), "", len(turns[turn])
                )


def loops(scene: Scene, i: int, p: int) -> bool:
    """Whether one function's loop made p in an earlier turn, at a place that i's turn comes to again."""
    a, b = scene.tape.places[i].frames, scene.tape.places[p].frames
    return bool(a and b and a[-1][0] is b[-1][0] and b[-1][1] >= a[-1][1])


# --- other numbers in the backward pass: an input as 1, an eps in one pass only, weights after their update


def taken_as_one(scene: Scene) -> Iterator[Change]:
    tape = scene.tape
    for v in range(tape.n_in):
        uses = [i for i, _ in tape.consumers[v] if tape.ops[i] in ("multiply", "divide")]
        if not uses or scene.mask >> v & 1:
            continue
        after = [i for i in range(tape.n_in, len(tape.nodes)) if tape.behind[i] >> v & 1 and i in tape.cot][:6]
        for n in after[1:]:
            name = tape.names[v]
            say = Say(
                "`{name}` is left out (taken as 1) in all of the backward pass behind `{node}`",
                name=name,
                node=scene.name(n),
            )
            one = like(np.ones(tape.shapes[v]), tape.data[v])
            solve = recomputation(scene, {v: lambda _, one=one: one}, n, False)
            yield Change(2.6, say, uses[0], None, Solved(known(solve), 0.0, 0.0, lambda _: Say()))


def constants_as_one(scene: Scene) -> Iterator[Change]:
    """A constant array, such as a mask, taken as 1 in all of the backward pass behind some line."""
    tape = scene.tape
    for i in range(tape.n_in, len(tape.nodes)):
        if tape.ops[i] not in ("multiply", "divide") or scene.line_size[i] > 1 or not scene.useful(i):
            continue
        for k, x in enumerate(tape.primals[i]):
            if k in tape.edges[i] or np.size(x) < 2 or (k == 0 and tape.ops[i] == "divide"):
                continue
            one = np.ones(np.shape(x))
            for n in [q for q in forward_from(scene, i)[1:5] if q in tape.cot]:
                text, behind = scene.operand(i, k), scene.name(n)
                say = Say(
                    "`{name}` is left out (taken as 1) in all of the backward pass behind `{node}`",
                    name=text,
                    node=behind,
                )
                change = {i: lambda given, k=k, one=one: [one if q == k else y for q, y in enumerate(given)]}
                solve = recomputation(scene, change, n, False)
                yield Change(2.7, say, i, None, Solved(known(solve), 0.0, 0.0, lambda _: Say()))


def known(deltas: Callable[[], list[Any]]) -> Callable[[float], list[Any]]:
    return lambda _: deltas()


ROOTS = ("sqrt", "power", "float_power")
GUARDED = ("log", "log2", "log10", "divide")
"""What an eps keeps from infinity."""
SMALL = 1e-2
"""As large as an eps may be that is added before these; before a root a constant may be larger."""


def other_constant(scene: Scene) -> Iterator[Change]:
    """An eps that only one of the passes has, or that stands elsewhere in the other."""
    tape = scene.tape
    for i in range(tape.n_in, len(tape.nodes)):
        if scene.line_size[i] > SINGLE_TURNS:
            continue
        root = tape.ops[i] == "sqrt"
        constants = scene.constants(i)
        guarded = ROOTS if any(abs(c) > SMALL for _, c in constants) else (*ROOTS, *GUARDED)
        near = any(tape.ops[q] in guarded for q, _ in tape.consumers[i]) or "sqrt" in scene.ops_behind(i, 2)
        if not root and not (tape.ops[i] in ("add", "subtract") and constants and near):
            continue
        for n in forward_from(scene, i)[:6]:
            if n not in tape.cot or not scene.useful(n):
                continue
            for keep in (False, True):
                rank = (1.4 if constants else 1.5) + 0.01 * (n - i)
                yield Change(rank, Say(), i, None, constant_change(scene, i, constants, n, keep))


def forward_from(scene: Scene, i: int) -> list[int]:
    found = [i]
    for q in found:
        if len(found) < 8:
            found += [m for m, _ in scene.tape.consumers[q] if m not in found]
    return found


def constant_change(scene: Scene, i: int, constants: list[tuple[int, float]], n: int, keep: bool) -> Solved:
    text = scene.tape.places[i].text
    if not constants:  # under a root

        def added(x: float) -> list[Any]:
            return recomputation(scene, {i: lambda given: [like(as_array(given[0]) + x, given[0])]}, n, keep)()

        def say_added(x: float) -> Say | None:
            return Say(
                "{x:.4g} is added under the root in the backward pass, which `{text}` doesn't do", x=x, text=text
            )

        return Solved(added, 0.0, 1e-6, say_added)
    (j, c), *_ = constants

    def moved(x: float) -> list[Any]:
        return recomputation(
            scene, {i: lambda given: [like(x, g) if k == j else g for k, g in enumerate(given)]}, n, keep
        )()

    def say_moved(x: float) -> Say | None:
        known = ((0.0, "left out"), (-c, "with the other sign"), (2 * c, "added twice"))
        near = [Say(text) for q, text in known if abs(x - q) <= 1e-3 * max(abs(c), abs(q))]
        how = near[0] if near else Say("taken as {x:.4g}", x=x)
        return Say("the constant {c:g} of `{text}` is {how} in the backward pass", c=c, text=text, how=how)

    return Solved(moved, c, -c, say_moved)


def recomputation(scene: Scene, starts: dict[int, Any], n: int, keep: bool) -> Callable[[], list[Any]]:
    """The inputs' deltas where, behind node n, the backward pass computes with changed numbers.

    `starts` give new data of an input, or new operands of a node; with `keep`, node n's own result stays as it was.
    """

    def deltas() -> list[Any]:
        tape = scene.tape
        values: dict[int, Any] = {v: make(None) for v, make in starts.items() if v < tape.n_in}
        primals: dict[int, list[Any]] = {}
        for i in range(tape.n_in, n + 1):
            moved = any(p in values for p in tape.edges[i].values())
            if i in starts or moved:
                given = [
                    like(values[tape.edges[i][j]], x) if tape.edges[i].get(j) in values else x
                    for j, x in enumerate(tape.primals[i])
                ]
                given = starts[i](given) if i in starts else given
                operation = tape.nodes[i].operation
                assert operation is not None
                values[i], primals[i] = operation.forward(*given, **tape.nodes[i].params), given
        if n not in values:
            raise UnfitError
        if keep:
            values[n] = tape.data[n]
        new, old = back(tape, n, values, primals), back(tape, n, {}, {})
        found = [
            as_array(new[k]) - as_array(old[k]) if k in old and k not in starts else None for k in range(tape.n_in)
        ]
        if not any(d is not None and np.any(d) for d in found):
            raise UnfitError
        return found

    return deltas


def back(tape: Any, n: int, values: dict[int, Any], primals: dict[int, Any]) -> dict[int, Any]:
    table = {n: tape.cot[n]}
    for i in range(n, tape.n_in - 1, -1):
        if i in table and i >= tape.n_in:
            for j, r in tape.rule(i, table.pop(i), values.get(i), primals.get(i)).items():
                p = tape.edges[i][j]
                c = tape.fit(r, p)
                table[p] = table[p] + c if p in table else c
    return table


def updated_weights(scene: Scene) -> Iterator[Change]:
    """A matrix used after its update by gradient descent: W - lr·gradient in place of W, with an lr to solve for."""
    tape = scene.tape
    for line in scene.lines:
        i = line[0]
        if tape.ops[i] not in ("matmul", "multiply", "dot") or len(tape.primals[i]) != 2:
            continue
        for j in tape.edges[i]:
            leaf, turned = leaf_behind(scene, i, 1 - j)
            if leaf is None or tape.edges[i][j] < tape.n_in or not scene.useful(tape.edges[i][j]):
                continue
            edges = [(m, j) for m in line if (m, j) in tape.part]

            def deltas(
                lr: float, edges: Any = edges, leaf: int = leaf, turned: bool = turned, k: int = 1 - j
            ) -> list[Any]:
                step = -lr * (tape.true[leaf].T if turned else tape.true[leaf])
                return tape.reach(tape.edge_deltas(edges, lambda s: as_array(s.r) + with_operand(s, k, step)))

            def say(lr: float, name: str = tape.names[leaf]) -> Say | None:
                return Say(
                    "`{name}` is used after its update, not before: {name} - {lr:.4g}·gradient", name=name, lr=lr
                )

            yield Change(3.5, Say(), i, j, Solved(deltas, 0.0, 0.1, say))


def with_operand(s: Site, k: int, x: Any) -> Any:
    primals = list(s.tape.primals[s.i])
    primals[k] = x
    return as_array(s.again(primals=primals))


def leaf_behind(scene: Scene, i: int, k: int) -> tuple[int | None, bool]:
    tape, p, turned = scene.tape, scene.tape.edges[i].get(k), False
    while p is not None and p >= tape.n_in and tape.ops[p] == "transpose":
        p, turned = tape.edges[p].get(0), not turned
    return (p if p is not None and p < tape.n_in else None), turned
