"""Hypotheses on an input's gradient as a whole: a factor, a penalty, a transpose, another input's gradient.

The one thing to know: these look at the claimed gradient alone, beside the right one; no line need be known for them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_edu.core.data import Array
from tinygrad_edu.gradient_check.search.change import Say
from tinygrad_edu.gradient_check.search.factors import factor_names


class Whole(NamedTuple):
    """What is known of the inputs: names, data, claimed and right gradients, lengths, numbers in the code."""

    names: Sequence[str]
    data: Sequence[Any]
    claimed: Sequence[Array]
    right: Sequence[Array]
    wrong: Sequence[int]
    lengths: Mapping[float, Sequence[str]]
    constants: frozenset[float]
    near: Callable[[int, Any], bool]


class Fit(NamedTuple):
    """A hypothesis that fits: how plausible, its kind and sentence, and the inputs that it explains."""

    rank: float
    kind: str
    say: Say
    inputs: frozenset[int]


def wholes(w: Whole) -> Iterator[Fit]:
    """All fits for inputs as a whole."""
    yield from no_gradient(w)
    yield from one_factor(w)
    for k in w.wrong:
        yield from (Fit(rank, kind, say, frozenset([k])) for rank, kind, say in of_input(w, k))


def no_gradient(w: Whole) -> Iterator[Fit]:
    zero = [k for k in w.wrong if not np.any(w.claimed[k])]
    if zero:
        yield Fit(0.9, "path missing", Say("no gradient arrives: all entries are 0"), frozenset(zero))


def one_factor(w: Whole) -> Iterator[Fit]:
    """One factor in all gradients, or in those of some inputs."""
    by_factor: dict[float, list[int]] = {}
    for k in w.wrong:
        right = w.right[k]
        if not np.any(right):
            continue
        at = np.unravel_index(np.argmax(np.abs(right)), right.shape)
        f = float(w.claimed[k][at] / right[at])
        if f and w.near(k, f * right):
            known = next((q for q in by_factor if math.isclose(q, f, rel_tol=1e-6)), f)
            by_factor.setdefault(known, []).append(k)
    alive = [k for k in range(len(w.right)) if np.any(w.right[k])]
    for f, inputs in by_factor.items():
        everything = set(inputs) >= set(alive)
        entries = sum(int(np.count_nonzero(w.right[k])) for k in inputs)
        rank, kind, say = whole_factor(f, w.lengths, everything)
        if say is None and entries > 2:
            rank, kind = 3.0, "factor"
            say = Say("the gradient has a constant factor {f:.6g} too much", f=f)
        if say is not None:
            yield Fit(rank if everything else rank + 0.2, kind, say, frozenset(inputs))


def whole_factor(f: float, lengths: Mapping[float, Sequence[str]], everything: bool) -> tuple[float, str, Say | None]:
    whole = Say("the whole gradient") if everything else Say("the gradient")
    if math.isclose(f, -1.0, rel_tol=1e-7):
        why = Say(" (target - output in place of output - target?)") if everything else Say()
        return 0.5, "sign", Say("the sign of {whole} is flipped", whole=whole) + why
    for text, meaning in factor_names(f, lengths):
        say = Say("{whole} has a constant factor {text} too much", whole=whole, text=text)
        if not meaning:
            return 1.15, "factor", say
        return 1.3, "factor", say + Say(" ({meaning})", meaning=meaning)
    return 4.0, "factor", None


def of_input(w: Whole, k: int) -> Iterator[tuple[float, str, Say]]:
    x, name = np.asarray(w.data[k], dtype=float), w.names[k]
    claimed, right = w.claimed[k], w.right[k]
    if not np.any(right):
        say = Say("the result doesn't depend on {name}: its gradient is 0", name=name)
        yield 0.1, "independent", say
    if np.any(x):
        f = float(np.sum((claimed - right) * x) / np.sum(x * x))
        stated = any(math.isclose(abs(f), c * q, rel_tol=1e-6) for c in w.constants for q in (1, 2, 0.5))
        if w.near(k, right + f * x) and (stated or (x.size > 2 and is_plain(f))):
            verb = Say("too much") if f > 0 else Say("too little")
            say = Say(
                "{size:.6g}·{name} {verb}: the derivative of a penalty (L2 regularisation) is missing, too much, "
                "or has another factor",
                size=abs(f),
                name=name,
                verb=verb,
            )
            yield (0.97 if stated else 2.0), "penalty", say
        yield from penalty_of_some(w, k, x)
        c = float(np.sum((claimed - right) * np.sign(x)) / x.size)
        known = is_plain(c) or any(math.isclose(abs(c), a, rel_tol=1e-6) for a in w.constants)
        if known and np.min(x) < 0.0 < np.max(x) and w.near(k, right + c * np.sign(x)):
            say = Say("{c:+.6g}·sign({name}) too much: the derivative of an L1 penalty", c=c, name=name)
            yield 1.0, "penalty", say
    for q in range(len(w.names)):
        if q != k and x.size > 1 and claimed.shape == w.right[q].shape and w.near(k, w.right[q]):
            say = Say("it is the gradient of {other}: names or order are exchanged", other=w.names[q])
            yield 1.0, "other input's gradient", say
    yield from rearranged(w, k, claimed, right)
    yield from blocks_exchanged(w, k, claimed, right)


def blocks_exchanged(w: Whole, k: int, claimed: Array, right: Array) -> Iterator[tuple[float, str, Say]]:
    """Two blocks of one long vector in each other's place, as where several gradients are put together."""
    if right.ndim != 1 or right.size < 5:
        return
    near = 1e-6 * float(np.max(np.abs(right)))
    off = np.flatnonzero(np.abs(claimed - right) > near)
    first, end = (int(off[0]), int(off[-1]) + 1) if off.size > 2 else (0, 0)
    for by in range(2, end - first - 1):
        if abs(claimed[first] - right[first + by]) <= near:
            turned = np.concatenate([right[:first], np.roll(right[first:end], -by), right[end:]])
            if w.near(k, turned):
                places = {"a": first, "b": first + by - 1, "c": first + by, "d": end - 1}
                text = "entries {a} to {b} and {c} to {d} are in each other's place: put together in another order"
                yield 3.2, "other input's gradient", Say(text, **places)
                return


def penalty_of_some(w: Whole, k: int, x: Array) -> Iterator[tuple[float, str, Say]]:
    """A penalty's derivative too much or too little at some entries, such as at the bias among the weights."""
    off = w.claimed[k] - w.right[k]
    some = np.abs(off) > 1e-6 * np.max(np.abs(off))
    if not 0 < np.count_nonzero(some) < x.size or not np.all(x[some]):
        return
    f = float(off[some][0] / x[some][0])
    stated = any(math.isclose(abs(f), c * q, rel_tol=1e-6) for c in w.constants for q in (1, 2, 0.5))
    if stated and w.near(k, w.right[k] + f * x * some):
        verb, n = Say("too much") if f > 0 else Say("too little"), int(np.count_nonzero(some))
        say = Say(
            "{size:.6g}·{name} {verb} at {n} of its entries: a penalty (L2 regularisation) there",
            size=abs(f),
            name=w.names[k],
            verb=verb,
            n=n,
        )
        yield 2.3, "penalty", say


def is_plain(c: float) -> bool:
    """Whether a number has two digits only, as those have that are typed in."""
    return bool(c) and math.isclose(c, float(f"{c:.1e}"), rel_tol=1e-7)


def rearranged(w: Whole, k: int, claimed: Array, right: Array) -> Iterator[tuple[float, str, Say]]:
    if right.ndim == 2 and right.shape[0] == right.shape[1] and right.size > 1 and w.near(k, right.T):
        yield 0.9, "transposed", Say("the gradient is transposed")
    if right.ndim > 2 and right.shape[-1] == right.shape[-2] > 1 and w.near(k, np.swapaxes(right, -1, -2)):
        yield 0.95, "transposed", Say("the gradient is transposed in its last two axes")
    for axis, by in itertools.product(range(right.ndim), (1, -1)):
        if right.shape[axis] > 2 and right.size > 3 and w.near(k, np.roll(right, by, axis)):
            what = "entry" if right.ndim == 1 else {0: "row", 1: "column"}.get(axis, f"place of axis {axis}")
            yield 1.9, "shifted", Say("off by one {what}", what=what)
    for axis in range(right.ndim):
        if right.shape[axis] > 1 and right.size > 4 and w.near(k, np.flip(right, axis)):
            yield 1.95, "kernel flipped", Say("the gradient is flipped along axis {axis}", axis=axis)
    if right.size > 1 and np.any(claimed) and np.all(right % 1.0):
        roundings: tuple[Any, ...] = (np.trunc, np.floor, np.round)
        if any(np.array_equal(claimed, rounding(right)) for rounding in roundings):
            yield 1.2, "rounded", Say("rounded to whole numbers (an array of integers, or //)")
    if right.size > 1 and right.ndim and w.near(k, np.full(right.shape, right.sum())):
        yield 1.5, "broadcasting", Say("summed over all axes: every entry is the total")
