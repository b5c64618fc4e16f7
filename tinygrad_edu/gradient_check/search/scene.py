"""What stands in a recorded computation: lines and their loop turns, activations, softmaxes, normalisations, lengths.

The one thing to know: a mistake is made in a line of source, so nodes that one expression made, in all turns of a loop,
are changed together. Several pointwise nodes that are one known function, such as 1 / (1 + exp(-z)), are a `Block`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_edu.core.data import Array
from tinygrad_edu.core.value import Value, data_of
from tinygrad_edu.gradient_check.search.recording import assigned_name, operands, span_of
from tinygrad_edu.gradient_check.search.tape import Tape, like


class Group(NamedTuple):
    """The nodes that one expression made: all, or some turn's alone."""

    members: tuple[int, ...]
    rank: float = 0.0
    turn: int = 0


class Block(NamedTuple):
    """Pointwise nodes that together are one function of one node."""

    last: int
    source: int
    inside: tuple[int, ...]
    name: str


class Rows(NamedTuple):
    """Nodes that together are a softmax, or a normalisation to mean 0 and variance 1, of one node along axes."""

    last: int
    source: int
    inside: frozenset[int]
    name: str
    axes: tuple[int, ...]
    scale: Any


def sigmoid(z: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-np.asarray(z)))


KNOWN: dict[str, Any] = {
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0.0),
    "softplus": lambda z: np.logaddexp(0.0, z),
    "log-sigmoid": lambda z: -np.logaddexp(0.0, -z),
    "log(1-sigmoid)": lambda z: -np.logaddexp(0.0, z),
    "silu": lambda z: z * sigmoid(z),
    "exp": np.exp,
}
# fmt: off
POINTWISE = frozenset({
    "absolute", "add", "arccos", "arcsin", "arctan", "clip", "cos", "cosh", "divide", "elu", "exp", "exp2",
    "expm1", "fabs", "float_power", "fmax", "fmin", "gelu", "hard_tanh", "leaky_relu", "log", "log10", "log1p", "log2",
    "log_sigmoid", "logaddexp", "maximum", "minimum", "mish", "multiply", "negative", "power", "reciprocal",
    "relu", "selu", "sigmoid", "silu", "sin", "sinh", "softplus", "softsign", "sqrt", "square", "subtract", "tan",
    "tanh", "where",
})
# fmt: on
SINGLE_TURNS = 8
"""Up to how many turns of a loop a mistake in one of them alone is thought of."""


class Scene:
    """A tape, with what its hypotheses ask for."""

    def __init__(self, tape: Tape, wrong: Sequence[int]) -> None:
        self.tape, self.wrong = tape, set(wrong)
        self.mask = sum(1 << k for k in wrong)
        self.lines = lines_of(tape)
        self.line_size = {i: len(line) for line in reversed(self.lines) for i in line}
        self.blocks = blocks_of(tape)
        self.rows = rows_of(tape)
        self.in_block = {n for b in self.blocks if len(b.inside) > 1 for n in b.inside if n != b.last}
        self.in_block |= {n for b in self.rows if not step_by_step(tape, b) for n in b.inside if n != b.last}
        self.lengths = lengths_of(tape)
        self.groups = list(self.some_groups())

    def useful(self, i: int) -> bool:
        """Whether a wrong input lies behind."""
        return bool(self.tape.behind[i] & self.mask)

    def some_groups(self) -> Iterator[Group]:
        for line in self.lines:
            members = tuple(m for m in line if m in self.tape.cot)
            if not members or not any(self.useful(m) for m in members):
                continue
            odd = 2.5 if set(members) <= self.in_block else 0.0  # nobody writes the steps inside a sigmoid out
            yield Group(members, odd)
            if 1 < len(members) <= SINGLE_TURNS:
                for k, m in enumerate(members):
                    yield Group((m,), odd + 0.6, k + 1)

    def name(self, p: int) -> str:
        """What the user calls a node: an input's name, the variable that it is assigned to, or its expression."""
        tape = self.tape
        if p < tape.n_in:
            return tape.names[p]
        if tape.ops[p] == "filled":  # made where it is read: what is written there is its name
            for i, j in tape.consumers[p]:
                written = operands(tape.places[i].span)
                if tape.places[i].frames == tape.places[p].frames and j < len(written):
                    return written[j]
        for frame in tape.places[p].frames[:2]:
            if name := assigned_name(span_of(*frame)):
                return name
            if not self.returned(p):
                break
        return tape.places[p].text or f"{tape.ops[p]}(…)"

    def returned(self, p: int) -> bool:
        """Whether a node is the last that its call made, so that the caller's variable is its name."""
        tape = self.tape
        frames, turn = tape.places[p].frames[1:], tape.turns[p]
        if not frames:
            return False
        after = tape.places[p + 1] if p + 1 < len(tape.nodes) else None
        return after is None or after.frames[1:] != frames or tape.turns[p + 1] != turn

    def operand(self, i: int, k: int) -> str:
        """What is written for the k-th input of a node."""
        tape = self.tape
        v = tape.nodes[i].parents[k]
        place = tape.places[i]
        if place.frames and len(tape.nodes[i].parents) <= 2:
            written = operands(place.span)[tape.ops[i] == "einsum" :]  # after the text of its subscripts
            if len(written) == len(tape.nodes[i].parents) or (written and k < len(written)):
                return written[k]
        if isinstance(v, Value) and v in tape.number:
            return self.name(tape.number[v])
        return "the constant there"

    def near(self, members: Sequence[int], limit: int = 60) -> list[tuple[int, ...]]:
        """The lines with as many nodes, the nearest first."""
        same = [line for line in self.lines if len(line) == len(members) and line != tuple(members)]
        return sorted(same, key=lambda line: abs(line[0] - members[0]))[:limit]

    def others(self, members: Sequence[int], k: int | None, limit: int = 60) -> Iterator[tuple[str, list[Any]]]:
        """Other values of the same shape as the members' k-th inputs (their results, where None), with their names."""
        tape = self.tape
        own = [tape.data[i] if k is None else tape.primals[i][k] for i in members]
        shapes = [np.shape(x) for x in own]
        seen: list[list[Any]] = [own]

        def new(values: list[Any]) -> bool:
            if [np.shape(x) for x in values] != shapes:
                return False
            if any(all(map(same, values, earlier)) for earlier in seen):
                return False
            seen.append(values)
            return True

        mine = self.operand(members[0], k) if k is not None else ""
        if k is not None and len(members) > 1:
            n = len(own)
            for text, at in (
                ("the first turn of the inner loop", self.inner(members, False)),
                ("the inner loop's turns in reverse", self.inner(members, True)),
                ("the turn before", [max(q - 1, 0) for q in range(n)]),
                ("the turn after", [min(q + 1, n - 1) for q in range(n)]),
                ("the first turn", [0] * n),
                ("the last turn", [n - 1] * n),
            ):
                if new([own[q] for q in at]):
                    yield f"`{mine}` of {text}", seen[-1]
        if k is not None:
            makers = [tape.nodes[i].parents[k] for i in members]
            if all(isinstance(v, Value) and v.operation for v in makers):
                for q in range(min(len(v.primals) for v in makers)):
                    if new([v.primals[q] for v in makers]):
                        yield f"`{self.operand_of(makers[0], q, members[0])}`{self.before(makers[0])}", seen[-1]
        for line in self.near(members, limit):
            if new([tape.data[c] for c in line]):
                name = self.name(line[0])
                note = which(own, seen[-1], tape.places[line[0]].span.line) if name == mine else ""
                yield f"`{name}`{note}", seen[-1]
        for line in self.near(members, 12):
            for q in range(min(len(tape.primals[c]) for c in line)):
                if new([tape.primals[c][q] for c in line]):
                    name = self.operand(line[0], q)
                    yield f"`{name}`{which(own, seen[-1], tape.places[line[0]].span.line)}", seen[-1]
        if len(members) == 1 and k is not None and k not in tape.edges[members[0]]:
            for name, x in tape.around.items():
                if new([x]):
                    yield f"`{name}`", seen[-1]
        if len(members) == 1:
            for p in range(tape.n_in):
                if shapes[0] and new([tape.data[p]]):
                    yield f"`{tape.names[p]}`", seen[-1]

    def before(self, v: Value) -> str:
        """That a value's operand is what an activation is applied to, where the value is an activation's."""
        last = self.tape.number.get(v, -1)
        names = [block.name for block in self.blocks if block.last == last and block.name and len(block.inside) == 1]
        return f", which is before the {names[0]}" if names else ""

    def inner(self, members: Sequence[int], reverse: bool) -> list[int]:
        """For each member the first one of the same turn of the outermost loop, or the one opposite."""
        turns: dict[int, list[int]] = defaultdict(list)
        for q, m in enumerate(members):
            turns[self.tape.turns[m]].append(q)
        own = [turns[self.tape.turns[m]] for m in members]
        return [t[-1 - t.index(q)] if reverse else t[0] for q, t in enumerate(own)]

    def operand_of(self, v: Value, k: int, reader: int) -> str:
        """What `reader`'s code calls a value's k-th operand: its variable, where another function made the value."""
        tape = self.tape
        if v not in tape.number:
            return "its own operand"
        i = tape.number[v]
        if function_of(tape, i) is not function_of(tape, reader) and k in tape.edges[i]:
            return self.name(tape.edges[i][k])
        return self.operand(i, k)

    def made_by(self, i: int, k: int) -> str:
        """The operation that made a node's k-th input; "" for what is no node."""
        q = self.tape.edges[i].get(k, -1)
        return self.tape.ops[q] if q >= 0 else ""

    def ops_behind(self, p: int, depth: int) -> set[str]:
        tape, names, now = self.tape, set(), {p}
        for _ in range(depth):
            names |= {tape.ops[q] for q in now}
            now = {r for q in now for r in tape.edges[q].values()}
        return names

    def constants(self, i: int) -> list[tuple[int, float]]:
        """A node's single plain numbers, with their places among its inputs."""
        return [
            (j, float(np.asarray(x).reshape(())))
            for j, x in enumerate(self.tape.nodes[i].parents)
            if not isinstance(x, Value) and np.size(x) == 1
        ]


def function_of(tape: Tape, i: int) -> Any:
    frames = tape.places[i].frames
    return frames[0][0] if frames else None


def which(own: list[Any], values: list[Any], line: int) -> str:
    """Which value of a variable it is, where two have one name."""
    if len(own) > 1 and all(map(same, own[1:], values[:-1])):
        return " after the step"
    if len(own) > 1 and all(map(same, own[:-1], values[1:])):
        return " before the step"
    return f" of line {line}"


def same(a: Any, b: Any) -> bool:
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    return a.shape == b.shape and bool(np.all(np.abs(a - b) <= 1e-12 + 1e-9 * np.max(np.abs(b), initial=0.0)))


def lines_of(tape: Tape) -> list[tuple[int, ...]]:
    """Nodes by the expression that made them, as called from one place; and as called from any, where that is more."""
    by_stack: dict[Any, list[int]] = defaultdict(list)
    by_line: dict[Any, list[int]] = defaultdict(list)
    for i in range(tape.n_in, len(tape.nodes)):
        place = tape.places[i]
        nth = (place.operation, len(tape.nodes[i].parents))
        by_stack[place.frames, nth].append(i)
        by_line[place.frames[:1], nth].append(i)
    found = {tuple(members): None for members in by_stack.values()}
    found.update({tuple(members): None for members in by_line.values()})
    return list(found)


def blocks_of(tape: Tape) -> list[Block]:
    found = []
    consumers = tape.consumers
    names: dict[Any, str] = {}
    for last in range(tape.n_in, len(tape.nodes)):
        frontier, inside, written = {last}, list[int](), None
        twice_used = len(tape.edges[last]) > 1 and tape.ops[last] in ("maximum", "minimum", "where")  # a leaky relu
        while frontier and len(inside) < 12:
            n = max(frontier)
            if n < tape.n_in or not (pointwise(tape, n) or by_masks(tape, n)):
                break
            frontier.discard(n)
            inside.append(n)
            frontier |= set(tape.edges[n].values())
            if len(frontier) != 1:
                continue
            (source,) = frontier
            body = set(inside)
            if any(i not in body for m in inside[1:] for i, _ in consumers[m]):
                continue
            shape = tape.places[last], tuple(tape.ops[m] for m in inside)
            if shape not in names:  # one expression is one function, in all turns
                names[shape] = known(tape.data[source], tape.data[last], {tape.ops[m] for m in inside})
            name = names[shape]
            if not name and not all(pointwise(tape, m) for m in inside):
                continue
            if name or (len(inside) == 1 and not linear(tape, last)):
                found.append(Block(last, source, tuple(inside), name))
                if name and len(inside) > 1 and tape.ops[source] != "negative":
                    break
            elif len(inside) > 2 or (len(inside) == 2 and (twice_used or not linear(tape, inside[1]))):
                written = Block(last, source, tuple(inside), "")
        if written and (twice_used or ends_something(tape, last)):
            found.append(written)
    return found


def ends_something(tape: Tape, i: int) -> bool:
    """Whether a node is what its function returns, what a variable is given, or the operand of a choice."""
    frames = tape.places[i].frames
    if any(tape.ops[q] == "where" for q, _ in tape.consumers[i]):
        return True
    own = function_of(tape, i)
    returned = len(frames) > 1 and all(function_of(tape, q) is not own for q, _ in tape.consumers[i])
    return returned or bool(frames and assigned_name(span_of(*frames[0])))


SLOPES: dict[str, Any] = {
    "sigmoid": lambda z: sigmoid(z) * (1.0 - sigmoid(z)),
    "tanh": lambda z: 1.0 - np.tanh(z) ** 2,
    "relu": lambda z: (np.asarray(z) > 0) * 1.0,
    "softplus": sigmoid,
    "log-sigmoid": lambda z: sigmoid(-np.asarray(z)),
    "log(1-sigmoid)": lambda z: -sigmoid(z),
    "exp": np.exp,
}
MADE_OF = {"relu": {"filled", "maximum", "fmax", "where", "clip", "relu", "multiply", "absolute"}}
MADE_OF_ONE = {"relu": {"maximum", "fmax", "where", "clip", "relu"}}  # of one number, any product looks like a relu's
SMOOTH = {"exp", "tanh", "sigmoid", "logaddexp", "log1p", "expm1", "softplus", "silu", "log_sigmoid", "exp2"}


def known(x: Any, out: Any, ops: set[str]) -> str:
    """The known function that takes x to out, where the operations could make it; "" where there is none."""
    x, out = np.asarray(x, dtype=float), np.asarray(out, dtype=float)
    with np.errstate(all="ignore"):
        for name, f in KNOWN.items():
            if (
                ops & (MADE_OF if x.size > 1 else MADE_OF_ONE).get(name, SMOOTH)
                and x.shape == out.shape
                and np.allclose(f(x), out, rtol=1e-10, atol=1e-13)
            ):
                return name
    return ""


def linear(tape: Tape, n: int) -> bool:
    if tape.ops[n] in ("negative", "add", "subtract"):
        return True
    primals = tape.primals[n]
    return tape.ops[n] in ("multiply", "divide") and any(
        np.size(x) == 1 for j, x in enumerate(primals) if j not in tape.edges[n]
    )


def pointwise(tape: Tape, n: int) -> bool:
    if tape.ops[n] == "filled":  # numbers written over some entries, as by x[x < 0] = 0
        return set(tape.edges[n]) == {0} and all(np.size(x) == 1 for x in tape.primals[n][1:])
    if tape.ops[n] not in POINTWISE and not users_pointwise(tape, n):
        return False
    for j, x in enumerate(tape.nodes[n].parents):
        if j in tape.edges[n]:
            if tape.shapes[tape.edges[n][j]] != tape.shapes[n]:
                return False
        elif np.size(data_of(x)) > 1:
            d = np.asarray(data_of(x))
            if not np.all((d == 0) | (d == 1)):  # a mask is a part of an activation, other arrays are factors
                return False
    return True


def by_masks(tape: Tape, n: int) -> bool:
    """Whether a node takes some entries or writes some, as a known function does that is made of cases."""
    return tape.ops[n] in ("filled", "index")


def users_pointwise(tape: Tape, n: int) -> bool:
    """Whether an operation of the user's own is elementwise: of one input, with no other parameter."""
    operation = tape.nodes[n].operation
    module = getattr(operation.forward, "__module__", "") if operation else ""
    own = not str(module).startswith(("tinygrad_edu", "numpy"))
    return own and len(tape.primals[n]) == 1 and not tape.nodes[n].params


def block_at(tape: Tape, block: Block, at: Any = None) -> tuple[Any, Any]:
    """A block's derivative and value, at its source's data or at other data."""
    if at is None and any(by_masks(tape, n) for n in block.inside) and block.name in SLOPES:
        at = tape.data[block.source]
    if at is not None and block.name in SLOPES:
        return SLOPES[block.name](np.asarray(at, dtype=float)), KNOWN[block.name](np.asarray(at, dtype=float))
    values: dict[int, Any] = {block.source: tape.data[block.source] if at is None else at}
    primals: dict[int, Any] = {}
    for n in sorted(block.inside):
        v = tape.nodes[n]
        given = [
            like(values[tape.edges[n][j]], x) if tape.edges[n].get(j) in values else x
            for j, x in enumerate(tape.primals[n])
        ]
        assert v.operation is not None
        values[n], primals[n] = v.operation.forward(*given, **v.params), given
    slope: dict[int, Any] = {block.last: np.ones(np.shape(values[block.last]))}
    for n in sorted(block.inside, reverse=True):
        if n in slope:
            for j, r in tape.rule(n, slope[n], values[n], primals[n]).items():
                p = tape.edges[n][j]
                r = np.broadcast_to(np.asarray(r, dtype=float), np.shape(slope[n]))
                slope[p] = slope[p] + r if p in slope else r
    return slope[block.source], np.asarray(values[block.last], dtype=float)


def rows_of(tape: Tape) -> list[Rows]:
    found = []
    for last in range(tape.n_in, len(tape.nodes)):
        if tape.ops[last] not in ("divide", "multiply", "softmax", "exp", "log_softmax") or not tape.shapes[last]:
            continue
        behind, seen = [last], {last}
        for n in behind:
            for p in tape.edges[n].values() if len(behind) < 16 else ():
                if p not in seen:
                    seen.add(p)
                    behind.append(p)
        for source in sorted(seen - {last}):
            if found_rows := rows_between(tape, source, last, seen):
                found.append(found_rows)
                break
    return found


def step_by_step(tape: Tape, rows: Rows) -> bool:
    """Whether most nodes of a softmax or normalisation have a line and a variable of their own."""
    own = [n for n in rows.inside if tape.places[n].frames and assigned_name(span_of(*tape.places[n].frames[0]))]
    return len(own) > 4


def rows_between(tape: Tape, source: int, last: int, seen: set[int]) -> Rows | None:
    x, out = np.asarray(tape.data[source], dtype=float), np.asarray(tape.data[last], dtype=float)
    finite = x[x != -np.inf]  # -inf is what a mask makes of a softmax's argument
    if x.shape != out.shape or not finite.size or not np.all(np.isfinite(finite)):
        return None
    if np.max(finite) - np.min(finite) <= 1e-12 * np.max(np.abs(finite)):
        return None
    inside = frozenset(n for n in seen if n > source and depends(tape, n, source))
    roots = bool({"sqrt", "power", "float_power"} & {tape.ops[n] for n in inside})
    axes_tried = [(a,) for a in range(x.ndim)] + ([tuple(a for a in range(x.ndim) if a != 1)] if x.ndim > 2 else [])
    axes_tried += [tuple(range(a, x.ndim)) for a in range(1, x.ndim - 1)]
    for axes in reversed(axes_tried):
        if all(x.shape[a] < 2 for a in axes):
            continue
        e = np.exp(x - x.max(axes, keepdims=True))
        if np.allclose(out, e / e.sum(axes, keepdims=True), rtol=1e-9, atol=1e-300):
            return Rows(last, source, inside, "softmax", axes, None)
        if not roots or finite.size < x.size or np.any((out**2).mean(axes) > 1.0 + 1e-9):
            continue
        d = x - x.mean(axes, keepdims=True)
        scale = (out * d).sum(axes, keepdims=True) / np.maximum((d * d).sum(axes, keepdims=True), 1e-300)
        if np.allclose(out, d * scale, rtol=1e-9, atol=1e-12) and np.all(scale > 0):
            return Rows(last, source, inside, "normalisation", axes, scale)
    return None


def depends(tape: Tape, n: int, source: int) -> bool:
    todo, seen = [n], {n}
    while todo:
        for p in tape.edges[todo.pop()].values():
            if p == source:
                return True
            if p > source and p not in seen:
                seen.add(p)
                todo.append(p)
    return False


def lengths_of(tape: Tape) -> dict[float, list[str]]:
    """Lengths of axes, numbers of entries and plain numbers of the computation, each with all that it is."""
    found: dict[float, list[str]] = defaultdict(list)

    def note(shape: tuple[int, ...], what: str) -> None:
        for axis, n in enumerate(shape):
            found[n].append(f"the number of rows of {what}" if axis == 0 else f"the length of axis {axis} of {what}")
        if len(shape) > 1:
            found[int(np.prod(shape))].append(f"the number of entries of {what}")

    for k in range(tape.n_in):
        note(tape.shapes[k], tape.names[k])
    constants: dict[tuple[int, ...], None] = {}
    for i in range(tape.n_in, len(tape.nodes)):
        for x in tape.nodes[i].parents:
            if not isinstance(x, Value) and np.ndim(x):
                constants[np.shape(x)] = None
    for shape in constants:
        note(shape, f"an array of shape {shape}")
    for shape, name in {
        tape.shapes[i]: tape.places[i].text for i in range(len(tape.nodes) - 1, tape.n_in - 1, -1)
    }.items():
        note(shape, name or f"a result of shape {shape}")
    for i in range(tape.n_in, len(tape.nodes)):
        for x in tape.nodes[i].parents:
            if not isinstance(x, Value) and np.size(x) == 1 and (c := abs(float(np.asarray(x).reshape(())))) > 1.0:
                found[c].append(f"the number {c:g} in `{tape.places[i].text}`")
    for shape in {tape.shapes[i] for i in tape.seeds if len(tape.shapes[i]) > 2}:
        for axis, n in enumerate(shape):
            found[int(np.prod(shape)) // max(n, 1)].append(f"the number of entries of the output but for axis {axis}")
    for i in range(tape.n_in, len(tape.nodes)):
        for p in tape.edges[i].values() if tape.ops[i] in ("mean", "sum") else ():
            n = int(np.prod(tape.shapes[p])) // max(int(np.prod(tape.shapes[i])), 1)
            found[n].append(f"the number of entries that `{tape.places[i].text}` takes together")
    return {n: list(dict.fromkeys(texts)) for n, texts in found.items() if n > 1}


def as_array(x: Any) -> Array:
    return np.asarray(x, dtype=float)
