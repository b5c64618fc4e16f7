"""Constant factors: which of them stand somewhere in a computation, and what each is there."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tinygrad_edu.gradient_check.search.change import Change, Say, Scaled
from tinygrad_edu.gradient_check.search.scene import Scene


@functools.lru_cache(4)
def known_factors(scene: Scene) -> tuple[float, ...]:
    """0, -1, 2, 1/2, lengths, numbers of the code and their inverses, and n/(n - 1)."""
    numbers = {2.0, 4.0, *scene.lengths}
    for i in range(scene.tape.n_in, len(scene.tape.nodes)):
        numbers |= {abs(c) for _, c in scene.constants(i) if c not in (0.0, 1.0, -1.0)} | mask_numbers(scene, i)
    known = [s * q for n in numbers for q in (n, 1 / n) for s in (1.0, -1.0)]
    known += [q for n in scene.lengths if n > 2 for q in (n / (n - 1), (n - 1) / n)]
    for n in scene.lengths:
        for i in range(scene.tape.n_in, len(scene.tape.nodes)):
            known += [q for _, c in scene.constants(i) for q, _ in in_place_of(abs(c), n)]
    return tuple(sorted({0.0, -1.0, *known} - {1.0}))


def in_place_of(c: float, n: float) -> Iterator[tuple[float, str]]:
    """The factors that come of another number in place of a line's c: a length n or its root, with what it is."""
    if c not in (0.0, 1.0) and n > 1:
        for other, text in ((n, f"{n:g}"), (math.sqrt(n), f"sqrt({n:g})")):
            if not math.isclose(other, c):
                yield other / c, text
                yield c / other, text


def mask_numbers(scene: Scene, i: int) -> set[float]:
    """The one number that a mask holds beside 0, such as dropout's 1/(1-p)."""
    found = set()
    for j, x in enumerate(scene.tape.primals[i]):
        if j not in scene.tape.edges[i] and 1 < np.size(x) <= 10_000:
            own = np.unique(np.asarray(x, dtype=float))
            if own.size == 2 and own[0] == 0.0 and own[1] != 1.0:
                found.add(float(own[1]))
    return found


def factor_stands(scene: Scene, k: float) -> bool:
    return any(math.isclose(k, q, rel_tol=1e-6, abs_tol=1e-7) for q in known_factors(scene))


def name_factor(scene: Scene, change: Change, how: Scaled, k: float) -> tuple[float, str, Say] | None:
    """How plausible a factor is here, the kind of mistake, and the sentence; None for a number that stands nowhere."""
    tape = scene.tape
    i = change.node
    op = tape.ops[i]
    what = Say("this term") if how.whole_node else Say("what goes this way")
    parents = list(tape.edges[i].values())
    square = len(parents) > len(set(parents)) or is_square(scene, parents)

    def close(a: float) -> bool:
        return math.isclose(k, a, rel_tol=1e-6, abs_tol=1e-9)

    if close(0.0):
        if square and not how.whole_node:
            return 1.0, "factor", Say("the factor 2 of the derivative of a square is left out")
        return (
            1.0,
            "path missing",
            Say("the gradient along this path is missing"),
        )
    if square and not how.whole_node:
        return None
    if close(-1.0):
        if op in ("negative", "subtract") and change.input == len(tape.primals[i]) - 1:
            return 1.1, "sign", Say("the minus sign is left out")
        return 1.3, "sign", Say("the sign of {what} is wrong", what=what)
    for c in {abs(c) for _, c in scene.constants(i)} | mask_numbers(scene, i):
        if c not in (0.0, 1.0) and any(close(s * q) for q in (c, 1 / c) for s in (1.0, -1.0)):
            return (
                1.15,
                "factor",
                Say("the factor {c:.6g} of this line is left out, or taken twice", c=c),
            )
    if op in ("power", "square", "float_power") and close(0.5):
        return 1.2, "factor", Say("the factor 2 of the square's derivative is left out")
    if op == "mean":
        n = np.prod(tape.shapes[next(iter(tape.edges[i].values()))]) / max(np.prod(tape.shapes[i]), 1)
        if close(n):
            return 1.2, "factor", Say("the factor 1/{n:g} of the mean is left out", n=n)
        if close(1 / n):
            return (
                1.3,
                "factor",
                Say("the factor 1/{n:g} of the mean is taken twice", n=n),
            )
        if n > 1 and (close(n / (n - 1)) or close((n - 1) / n)):
            a, b = (n - 1, n) if k > 1 else (n, n - 1)
            return (
                1.4,
                "factor",
                Say("1/{a:g} is taken in place of 1/{b:g} (n - 1 and n confused)", a=a, b=b),
            )
    for name, meaning in factor_names(k, scene.lengths):
        more = Say(" ({meaning})", meaning=meaning) if meaning else Say()
        rank = 1.6 if abs(k) in (2.0, 0.5, 4.0, 0.25) else 1.8
        return (
            rank,
            "factor",
            Say("{what} has the factor {name} too much{more}", what=what, name=name, more=more),
        )
    for c in {abs(c) for _, c in scene.constants(i)}:
        for n in scene.lengths:
            for factor, other in in_place_of(c, n):
                if close(factor) and factor not in (2.0, 0.5):
                    say = Say(
                        "{other} is taken in place of the {c:.6g} of this line ({meaning})",
                        other=other,
                        c=c,
                        meaning=meaning_of(n, scene.lengths),
                    )
                    return 1.9, "factor", say
    for n in scene.lengths:
        if n > 2 and (close(n / (n - 1)) or close((n - 1) / n)):
            meaning = f"{n:g} is {', or '.join(scene.lengths[n][:3])}"
            return (
                1.9,
                "factor",
                Say(
                    "{what} has the factor {k:.6g} too much: n - 1 for n ({meaning})",
                    what=what,
                    k=k,
                    meaning=meaning,
                ),
            )
    return None


def is_square(scene: Scene, parents: Sequence[int]) -> bool:
    """Whether two operands are the same part of one array, as in c[1:] @ c[1:]."""
    tape = scene.tape
    if len(parents) != 2 or any(p < tape.n_in for p in parents):
        return False
    a, b = parents
    keys = [repr(tape.nodes[p].params) for p in parents]
    return tape.ops[a] == tape.ops[b] == "index" and tape.edges[a] == tape.edges[b] and keys[0] == keys[1]


def factor_names(f: float, lengths: Mapping[float, Sequence[str]]) -> Iterator[tuple[str, str]]:
    """What a factor is: 2, 1/2, n, 1/n, with all that a length n is."""
    for sign, s in ((1.0, ""), (-1.0, "-")):
        for c in (2.0, 4.0):
            for value, text in ((c, f"{s}{c:g}"), (1 / c, f"{s}1/{c:g}")):
                if math.isclose(f, sign * value, rel_tol=1e-6):
                    yield text, meaning_of(c, lengths)
        for n in lengths:
            if n in (2.0, 4.0):
                continue
            for value, text in ((n, f"{s}{n:g}"), (1 / n, f"{s}1/{n:g}")):
                if math.isclose(f, sign * value, rel_tol=1e-6):
                    yield text, meaning_of(n, lengths)


def meaning_of(n: float, lengths: Mapping[float, Sequence[str]]) -> str:
    """All that a length is in this computation; "" where it is none."""
    known = list(lengths.get(n, ()))
    return f"{n:g} is {', or '.join(known[:3])}" if known else ""
