"""Hypotheses on activations, softmaxes and normalisations: their derivative left out, twice, at the wrong place.

The one thing to know: a function may be spelled in many ways; what counts is that several nodes are one function of one
node. A variant gives what is handed on to that node, from what arrives at the function's result.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tinygrad_edu.gradient_check.search.change import Change, Deltas, Leaps, Say
from tinygrad_edu.gradient_check.search.scene import SINGLE_TURNS, Block, Rows, Scene, as_array, block_at, sigmoid
from tinygrad_edu.gradient_check.search.tape import Tape, UnfitError, add

Make = Any
"""(At, cotangent) -> what is handed on to the block's source."""


class At:
    """A block with its derivative s, argument z and result a."""

    def __init__(self, tape: Tape, block: Block) -> None:
        self.tape, self.block = tape, block
        self.s = block_at(tape, block)[0]
        self.z, self.a = as_array(tape.data[block.source]), as_array(tape.data[block.last])

    def slope(self, x: Any) -> Any:
        return block_at(self.tape, self.block, x)[0]

    def value(self, x: Any) -> Any:
        return block_at(self.tape, self.block, x)[1]


BY_RESULT: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "sigmoid": ("a·(1-a)", lambda a: a * (1.0 - a)),
    "tanh": ("1-a²", lambda a: 1.0 - a * a),
    "relu": ("the mask (a > 0)", lambda a: (a > 0) * 1.0),
}


def block_sets(scene: Scene) -> Iterator[tuple[float, list[Block]]]:
    """Blocks that are changed together: of one line; of one turn; of all lines with the same activation."""
    tape = scene.tape
    alive = [b for b in scene.blocks if b.last in tape.cot and scene.useful(b.source)]
    by_line: dict[Any, list[Block]] = defaultdict(list)
    by_name: dict[str, list[Block]] = defaultdict(list)
    for b in alive:
        by_line[tape.places[b.last], len(b.inside)].append(b)
    for b in scene.blocks:
        if b.name in ("sigmoid", "tanh", "relu", "silu") and b.last in tape.cot:
            by_name[b.name].append(b)
    for blocks in by_line.values():
        unknown = 0.9 if len(blocks[0].inside) > 1 and not blocks[0].name else 0.0
        yield (2.5 if all(b.last in scene.in_block for b in blocks) else unknown), blocks
        if 1 < len(blocks) <= SINGLE_TURNS:
            yield from ((0.6, [b]) for b in blocks)
    for blocks in by_name.values():
        if len({tape.places[b.last] for b in blocks}) > 1:
            yield 0.2, blocks
    kinds: dict[str, list[Block]] = {n: b for n, b in by_name.items() if n in BY_RESULT}
    if len(kinds) > 1:
        yield 0.3, [b for blocks in kinds.values() for b in blocks]


def leap(scene: Scene, extra: float, rank: float, say: Say, blocks: Sequence[Block], make: Make) -> Change:
    at = {b.last: At(scene.tape, b) for b in blocks}
    leaps = {b.last: (b.source, lambda g, a=at[b.last]: make(a, as_array(g))) for b in blocks}
    lines = {scene.tape.places[b.last] for b in blocks}
    if len(lines) > 1:
        texts = " and ".join(dict.fromkeys(f"`{p.text}`" for p in lines))
        say += Say(", in {texts}", texts=texts)
    return Change(rank + extra, say, blocks[0].last, None, Leaps(leaps), "", len(blocks))


def named(blocks: Sequence[Block], scene: Scene) -> tuple[str, Say]:
    """The function's name, and "σ'" or "the derivative of `log`"."""
    names = dict.fromkeys(b.name or written_name(scene, b) for b in blocks)
    label = " and ".join(names)
    if all(b.name or len(b.inside) > 1 for b in blocks):
        return label, Say("{label}", label=" and ".join(f"{n}'" for n in names))
    return label, Say("the derivative of `{label}`", label=label)


def written_name(scene: Scene, block: Block) -> str:
    """The operation of a block that is no known function; of several, the function that they stand in, or "f"."""
    if len(block.inside) == 1:
        return scene.tape.ops[block.last]
    frames = scene.tape.places[block.last].frames
    own = frames[0][0].co_name if len(frames) > 1 else ""
    return own if own.isidentifier() and own not in ("forward", "loss", "__call__") else "f"


def variants_of(*which: int) -> Callable[[Scene], Iterator[Change]]:
    """The changes of some of the `VARIANTS`."""

    def propose(scene: Scene) -> Iterator[Change]:
        for extra, blocks in block_sets(scene):
            label, what = named(blocks, scene)
            masked = label == "multiply"  # whose factor is named, not its derivative
            for n in which[masked and which[0] == 0 :]:
                rank, template, make = VARIANTS[n]
                say = Say(template, what=what, f=label)
                yield leap(scene, extra, rank, say, blocks, make)

    return propose


VARIANTS: list[tuple[float, str, Make]] = [
    (1.1, "{what} is left out", lambda b, g: g),
    (1.6, "{what} is multiplied in twice", lambda b, g: g * b.s * b.s),
    (2.0, "divided by {what}, not multiplied", lambda b, g: g / b.s),
    (
        2.1,
        "{what} is taken at the function's result, not at its argument (the function is applied twice)",
        lambda b, g: g * b.slope(b.a),
    ),
    (
        2.3,
        "{what} is taken at the gradient that arrives, not at the argument",
        lambda b, g: g * b.slope(g),
    ),
    (
        2.5,
        "the value {f}(z) itself is multiplied in, not its derivative",
        lambda b, g: g * b.a,
    ),
    (
        2.6,
        "{f} of the function's result is multiplied in, not the derivative",
        lambda b, g: g * b.value(b.a),
    ),
    (
        2.7,
        "1 - {f}(z) is multiplied in, not the derivative",
        lambda b, g: g * (1.0 - b.a),
    ),
    (
        2.7,
        "the argument z is multiplied in, not the derivative of {f}",
        lambda b, g: g * b.z,
    ),
    (
        2.7,
        "1 minus the derivative is multiplied in: the mask of {f} is the wrong way round",
        lambda b, g: g * (1.0 - b.s),
    ),
    (2.75, "{what} is taken at -z: its two sides are exchanged", lambda b, g: g * b.slope(-b.z)),
    (
        2.7,
        "a mask (gradient > 0) is multiplied in, not the derivative of {f}",
        lambda b, g: g * (g > 0),
    ),
    (
        2.65,
        "{what} is multiplied in, and a mask (gradient > 0) as well",
        lambda b, g: g * b.s * (g * b.s > 0),
    ),
    (
        2.7,
        "a mask (argument > 0) is multiplied in, not the derivative of {f}",
        lambda b, g: g * (b.z > 0),
    ),
    (2.9, "one power of the argument of {f} too many", lambda b, g: g * b.s * b.z),
    (2.9, "one power of the argument of {f} too few", lambda b, g: g * b.s / b.z),
    (2.9, "the value {f}(z) is multiplied in once too often", lambda b, g: g * b.s * b.a),
    (2.9, "divided by the value {f}(z) once more", lambda b, g: g * b.s / b.a),
    (
        3.0,
        "the square of the value {f}(z) is multiplied in, not the derivative",
        lambda b, g: g * b.a**2,
    ),
    (
        3.0,
        "1 + {f}(z)² is multiplied in, not the derivative",
        lambda b, g: g * (1.0 + b.a**2),
    ),
    (3.0, "{f}(z)·(1 + {f}(z)) is multiplied in, not the derivative", lambda b, g: g * b.a * (1.0 + b.a)),
    (
        3.0,
        "only {what} is given: the gradient that arrives is left out",
        lambda b, g: b.s * np.ones(np.shape(g)),
    ),
]

left_out = variants_of(0)
twice = variants_of(1)
divided = variants_of(2)
elsewhere = variants_of(3, 4)
another_slope = variants_of(*range(5, len(VARIANTS)))


def by_result_of(scene: Scene) -> Iterator[Change]:
    """The gradient by f(z) given as that by the input z itself, as by sigma in place of log_sigma."""
    tape = scene.tape
    for block in scene.blocks:
        p = block.source
        if p in scene.wrong and p < tape.n_in and block.name != "relu":
            name = scene.name(block.last)
            say = Say("it is the gradient by `{name}`, not by `{input}`", name=name, input=tape.names[p])
            yield Change(1.9, say, block.last, None, Deltas(ByResult(tape, block)))


class ByResult:
    """What dividing a block's source's gradient by the block's derivative changes."""

    def __init__(self, tape: Tape, block: Block) -> None:
        self.tape, self.block = tape, block

    def __call__(self) -> dict[int, Any]:
        p = self.block.source
        slope = block_at(self.tape, self.block)[0]
        delta = as_array(self.tape.cot[p]) * (1.0 / slope - 1.0)
        if not np.all(np.isfinite(delta)) or np.any(np.abs(slope) == 1.0):  # such as a sign
            raise UnfitError
        return {p: delta}


def by_result(scene: Scene) -> Iterator[Change]:
    """a·(1-a) and the like, computed from something else than the function's own result a."""
    for extra, blocks in block_sets(scene):
        name = blocks[0].name
        if not name:
            yield from slope_elsewhere(scene, extra, blocks)
        if name not in BY_RESULT or any(b.name != name for b in blocks):
            continue
        form, f = BY_RESULT[name]
        if name != "relu":
            say = Say("{form} is computed from the argument z, not from a = {name}(z)", form=form, name=name)
            yield leap(scene, extra, 2.2, say, blocks, lambda b, g, f=f: g * f(b.z))
            say = Say("{form} is computed from the gradient that arrives, not from a = {name}(z)", form=form, name=name)
            yield leap(scene, extra, 2.2, say, blocks, lambda b, g, f=f: g * f(g))
            say += Say(", and nothing else is multiplied in")
            yield leap(scene, extra, 2.3, say, blocks, lambda b, g, f=f: f(g))
        for other, (wrong, slope) in BY_RESULT.items():
            if other not in (name, "relu"):
                say = Say(
                    "{wrong}, the derivative of {other}, is taken for that of {name}",
                    wrong=wrong,
                    other=other,
                    name=name,
                )
                yield leap(scene, extra, 2.2, say, blocks, lambda b, g, f=slope: g * f(b.a))
        lasts = tuple(b.last for b in blocks)
        for text, values in scene.others(lasts, None, 30):
            table = dict(zip(lasts, values, strict=True))
            say = Say(
                "{form} is computed from {text}, not from the {name}'s own result a", form=form, text=text, name=name
            )
            yield leap(scene, extra, 3.0, say, blocks, lambda b, g, f=f, t=table: g * f(as_array(t[b.block.last])))


def slope_elsewhere(scene: Scene, extra: float, blocks: Sequence[Block]) -> Iterator[Change]:
    """The derivative of a function that is none of the known ones, such as a leaky relu, taken at another array."""
    lasts = tuple(b.last for b in blocks)
    for text, values in scene.others(lasts, None, 30):
        table = dict(zip(lasts, values, strict=True))
        say = Say("{what} is taken at {text}, not at its argument", what=named(blocks, scene)[1], text=text)
        yield leap(scene, extra, 3.0, say, blocks, lambda b, g, t=table: g * b.slope(as_array(t[b.block.last])))


def labels(scene: Scene) -> Iterator[Change]:
    """σ(z) or 1-σ(z) given as the derivative of a log of a sigmoid: the label's 1 is missing or in the wrong case."""
    for extra, blocks in block_sets(scene):
        name = blocks[0].name
        if name not in ("log-sigmoid", "log(1-sigmoid)", "softplus"):
            continue
        for text, f in (("σ(z)", sigmoid), ("1-σ(z)", lambda z: 1.0 - sigmoid(z))):
            for sign in (1.0, -1.0):
                form = text if sign > 0 else f"-{text}" if text == "σ(z)" else f"-({text})"
                say = Say(
                    "{form} is given as the derivative of {name}: the label's 1 is missing, or in the wrong case",
                    form=form,
                    name=name,
                )
                yield leap(scene, extra, 1.9, say, blocks, lambda b, g, f=f, k=sign: g * k * f(b.z))


# --- softmax and normalisation


def softmaxes(scene: Scene) -> Iterator[Change]:
    yield from row_changes(scene, "softmax", softmax_variants)


def normalisations(scene: Scene) -> Iterator[Change]:
    yield from row_changes(scene, "normalisation", normalisation_variants)


class RowsAt:
    """A softmax or normalisation, with its result y, scale s, and sums and means over its axes."""

    def __init__(self, tape: Tape, rows: Rows) -> None:
        self.rows, self.axes, self.s = rows, rows.axes, rows.scale
        self.x, self.y = as_array(tape.data[rows.source]), as_array(tape.data[rows.last])
        self.n = int(np.prod([self.y.shape[a] for a in rows.axes]))

    def sum(self, v: Any, axes: Any = None) -> Any:
        return v.sum(self.axes if axes is None else axes, keepdims=True)

    def mean(self, v: Any, axes: Any = None) -> Any:
        return v.mean(self.axes if axes is None else axes, keepdims=True)

    def centred(self, g: Any, axes: Any = None) -> Any:
        """A normalisation's gradient but for the factor s."""
        return g - self.mean(g, axes) - self.y * self.mean(g * self.y, axes)


Variant = tuple[float, Say, Any]
"""Rank, sentence, and (RowsAt, cotangent) -> what is handed on."""


def softmax_variants(scene: Scene, rows: Rows) -> Iterator[Variant]:
    yield from ((rank, Say(text), make) for rank, text, make in SOFTMAX)
    for a in range(len(scene.tape.shapes[rows.last])):
        if (a,) != rows.axes:
            say = Say("softmax' has its sum over axis {a}, not axis {first}", a=a, first=rows.axes[0])
            yield 1.7, say, lambda b, g, a=a: b.y * (g - b.sum(g * b.y, a))


SOFTMAX: list[tuple[float, str, Callable[[RowsAt, Any], Any]]] = [
    (1.0, "softmax' is left out", lambda b, g: g),
    (
        1.2,
        "softmax's Jacobian is taken as its diagonal p·(1-p) alone: the terms -pᵢ·pⱼ are missing",
        lambda b, g: b.y * (1 - b.y) * g,
    ),
    (1.5, "softmax' is taken as p alone: -p·Σ(g·p) is missing", lambda b, g: b.y * g),
    (
        1.4,
        "the label isn't subtracted: p is given in place of p - y, the term p·g is missing",
        lambda b, g: -b.y * b.sum(g * b.y),
    ),
    (1.7, "softmax' is p·(g - Σg) in place of p·(g - Σ(g·p))", lambda b, g: b.y * (g - b.sum(g))),
    (1.7, "softmax' is g - Σ(g·p): the factor p in front is missing", lambda b, g: g - b.sum(g * b.y)),
    (1.8, "softmax' has a mean in place of the sum Σ(g·p)", lambda b, g: b.y * (g - b.mean(g * b.y))),
    (1.8, "softmax' is p·(g + Σ(g·p)): the sign of the second term is wrong", lambda b, g: b.y * (g + b.sum(g * b.y))),
    (1.9, "softmax' is p - g in place of p·(g - Σ(g·p))", lambda b, g: b.y - g),
]


def normalisation_variants(scene: Scene, rows: Rows) -> Iterator[Variant]:
    yield from ((rank, Say(text), make) for rank, text, make in NORMALISATION)
    at = RowsAt(scene.tape, rows)
    say = Say("1/{less} in place of 1/{n} in the variance's term (n - 1 for n)", less=at.n - 1, n=at.n)
    yield 1.7, say, lambda b, g: b.s * (g - b.mean(g) - b.y * b.sum(g * b.y) / max(b.n - 1, 1))
    v = at.x.var(rows.axes, keepdims=True)
    own, say = at.s**-2 - v * at.n / max(at.n - 1, 1), Say("1/{n} in place of 1/{less}", n=at.n, less=at.n - 1)
    if np.ptp(own) > 1e-9 * np.max(at.s**-2):
        say = Say("the derivative of 1/sqrt(var + eps) is taken, where the function has 1/(sqrt(var) + eps)")
    else:
        say += Say(" in the variance's term (n for n - 1)")
    yield 1.5, say, lambda b, g: b.s * b.centred(g)
    for c in sorted({c for c in plain_numbers(scene) if 0 < c < 0.5} | {0.0, 1e-5, 1e-8}):
        for form, other in eps_forms(v, c):
            if np.all(other > 0) and not np.allclose(other**-0.5, at.s, rtol=1e-12):
                say = Say(
                    "{form} is taken in the backward pass: the function divides by something else "
                    "(another eps, or elsewhere)",
                    form=form,
                )
                yield 1.3, say, lambda b, g, q=other**-0.5: q * b.centred(g)
    for axes in axes_of(at.y.ndim):
        if axes != rows.axes:
            say = Say("means over axes {axes}, not over {own}", axes=axes, own=rows.axes)
            yield 1.7, say, lambda b, g, a=axes: b.s * b.centred(g, a)
            say = Say("sums over axes {axes}, not over {own}", axes=axes, own=rows.axes)
            yield 1.9, say, lambda b, g, a=axes: b.s * (g - (b.sum(g, a) + b.y * b.sum(g * b.y, a)) / b.n)
    counts = {*at.y.shape, at.y.size // at.n, *(int(n) for n in scene.lengths if n == int(n) <= at.y.size)}
    for m in sorted(counts - {at.n})[:12]:
        say = Say("divided by {m}, not by {n}, in the means", m=m, n=at.n)
        yield 1.8, say, lambda b, g, m=m: b.s * (g - (b.sum(g) + b.y * b.sum(g * b.y)) / m)


def axes_of(ndim: int) -> list[tuple[int, ...]]:
    """Each axis alone, the last ones together, and all but the second: what means are taken over."""
    alone = [(a,) for a in range(ndim)]
    last = [tuple(range(a, ndim)) for a in range(1, ndim - 1)]
    return [*alone, *last, *([tuple(a for a in range(ndim) if a != 1)] if ndim > 2 else [])]


NORMALISATION: list[tuple[float, str, Callable[[RowsAt, Any], Any]]] = [
    (
        0.85,
        "mean and variance are treated as constants: no gradient is passed back through them",
        lambda b, g: b.s * g,
    ),
    (1.2, "the path through the variance is missing", lambda b, g: b.s * (g - b.mean(g))),
    (1.2, "the path through the mean is missing", lambda b, g: b.s * (g - b.y * b.mean(g * b.y))),
    (1.6, "the factor 1/sqrt(var + eps) is left out", lambda b, g: b.centred(g)),
    (1.6, "the factor 1/sqrt(var + eps) is taken twice", lambda b, g: b.s * b.s * b.centred(g)),
    (1.6, "divided by 1/sqrt(var + eps), not multiplied", lambda b, g: b.centred(g) / b.s),
    (
        1.65,
        "1/(var + eps) in place of 1/sqrt(var + eps) in the variance's term",
        lambda b, g: b.s * (g - b.mean(g)) - b.s * b.s * b.y * b.mean(g * b.y),
    ),
    (
        1.65,
        "1/sqrt(var + eps) is left out of the variance's term",
        lambda b, g: b.s * (g - b.mean(g)) - b.y * b.mean(g * b.y),
    ),
    (
        1.65,
        "1/sqrt(var + eps) is left out of the mean's term",
        lambda b, g: b.s * (g - b.y * b.mean(g * b.y)) - b.mean(g),
    ),
    (
        1.7,
        "a sum in place of the mean in the variance's term",
        lambda b, g: b.s * (g - b.mean(g) - b.y * b.sum(g * b.y)),
    ),
    (1.7, "a sum in place of the mean in the mean's term", lambda b, g: b.s * (g - b.sum(g) - b.y * b.mean(g * b.y))),
    (1.7, "sums in place of means", lambda b, g: b.s * (g - b.sum(g) - b.y * b.sum(g * b.y))),
    (1.7, "the sign of the variance's term is wrong", lambda b, g: b.s * (g - b.mean(g) + b.y * b.mean(g * b.y))),
    (1.7, "the sign of the mean's term is wrong", lambda b, g: b.s * (g + b.mean(g) - b.y * b.mean(g * b.y))),
    (1.7, "the variance's term is counted twice", lambda b, g: b.s * (g - b.mean(g) - 2 * b.y * b.mean(g * b.y))),
    (
        1.7,
        "the variance's term is halved: the 2 of the square's derivative is missing",
        lambda b, g: b.s * (g - b.mean(g) - 0.5 * b.y * b.mean(g * b.y)),
    ),
    (1.8, "x̂ is left out of the variance's term", lambda b, g: b.s * (g - b.mean(g) - b.mean(g * b.y))),
]


def eps_forms(v: Any, c: float) -> Iterator[tuple[str, Any]]:
    yield f"1/sqrt(var + {c:g})", v + c
    yield f"1/(sqrt(var) + {c:g})", (np.sqrt(v) + c) ** 2
    yield f"1/sqrt(var - {c:g})", v - c
    yield f"1/sqrt(var + {c:g} + {c:g})", v + 2 * c


def plain_numbers(scene: Scene) -> set[float]:
    return {c for i in range(scene.tape.n_in, len(scene.tape.nodes)) for _, c in scene.constants(i)}


def row_changes(scene: Scene, name: str, variants: Callable[[Scene, Rows], Iterator[Variant]]) -> Iterator[Change]:
    tape = scene.tape
    groups: dict[Any, list[Rows]] = defaultdict(list)
    for rows in scene.rows:
        if rows.name == name and rows.last in tape.cot and scene.useful(rows.source):
            groups[tape.places[rows.last]].append(rows)
    for members in groups.values():
        for each in zip(*(variants(scene, rows) for rows in members), strict=False):
            rank, say, _ = each[0]
            made = [(RowsAt(tape, rows), make) for rows, (_, _, make) in zip(members, each, strict=True)]
            yield Change(rank, say, members[0].last, None, Deltas(RowDeltas(tape, made)), "", len(members))


class RowDeltas:
    """What a changed softmax or normalisation hands on, less what the right one does."""

    def __init__(self, tape: Tape, made: list[tuple[RowsAt, Callable[[RowsAt, Any], Any]]]) -> None:
        self.tape, self.made = tape, made

    def __call__(self) -> dict[int, Any]:
        out: dict[int, Any] = {}
        for at, make in self.made:
            g = as_array(self.tape.cot[at.rows.last])
            delta = make(at, g) - right_rows(self.tape, at.rows, g)
            if delta.shape != self.tape.shapes[at.rows.source] or size_of(delta) <= 1e-12 * size_of(g):
                raise UnfitError
            add(out, at.rows.source, delta)
        return out


def size_of(x: Any) -> float:
    return float(np.max(np.abs(x), initial=0.0))


def right_rows(tape: Tape, rows: Rows, g: Any) -> Any:
    table = {rows.last: g}
    for i in range(rows.last, rows.source, -1):
        if i in table and i in rows.inside:
            for j, r in tape.rule(i, table.pop(i)).items():
                p = tape.edges[i][j]
                if p in rows.inside or p == rows.source:
                    add(table, p, tape.fit(r, p))
    if rows.source not in table:
        raise UnfitError
    return as_array(table[rows.source])


def handed_on(tape: Tape, last: int, source: int) -> Any:
    """What the right backward pass hands on from a block's result to its source."""
    table = {last: tape.cot[last]}
    for i in range(last, source, -1):
        if i in table:
            for j, r in tape.rule(i, table.pop(i)).items():
                add(table, tape.edges[i][j], tape.fit(r, tape.edges[i][j]))
    return table.get(source, np.zeros(tape.shapes[source]))
