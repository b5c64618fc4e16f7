"""Experiments on black boxes: what a wrong backward pass does with other cotangents and other arguments.

The one thing to know: nothing is known of the code here, only what it gives. Each experiment changes one thing, and
asks whether the mistake goes away, or where it sits. They come second, where no line of code explains the numbers.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_edu.core.data import Array
from tinygrad_edu.gradient_check.search.change import Say
from tinygrad_edu.gradient_check.search.findings import Finding

LARGEST = 2000
"""Entries up to which derivatives are worked out anew for other arguments."""
PLACES = 60
"""The lengths of an output's axes, added, up to which its places are looked at one by one."""


class Box(NamedTuple):
    """A forward and a backward pass as black boxes.

    Attributes:
        outputs: The outputs of some arguments, as arrays.
        backward: The gradients of the `wanted` arguments, from arguments and the cotangents of the outputs.
        arguments: All positional arguments; they are copied before each call.
        wanted: The positions of the differentiated ones, which are arrays.
        names: The names of all arguments.
        cotangents: One for each output.
        loss: Whether it is a loss that gives its gradient along, and so takes no cotangent.
    """

    outputs: Callable[[Sequence[Any]], Sequence[Array]]
    backward: Callable[[Sequence[Any], Sequence[Array]], Sequence[Any]]
    arguments: Sequence[Any]
    wanted: Sequence[int]
    names: Sequence[str]
    cotangents: Sequence[Array]
    loss: bool = False

    def gradients(self, arguments: Sequence[Any] | None = None, cotangents: Sequence[Array] | None = None) -> list[Any]:
        """What the backward pass gives, as arrays."""
        given = self.arguments if arguments is None else arguments
        seeds = [np.array(d, dtype=float) for d in (self.cotangents if cotangents is None else cotangents)]
        found = self.backward(copy.deepcopy(list(given)), seeds)
        return [None if g is None else np.asarray(g, dtype=float) for g in found]

    def numerical(
        self, i: int, arguments: Sequence[Any] | None = None, cotangents: Sequence[Array] | None = None
    ) -> Array:
        """The derivative of the outputs times the cotangents with respect to argument i, by differences."""
        given = list(self.arguments if arguments is None else arguments)
        weights = self.cotangents if cotangents is None else cotangents
        x = np.asarray(given[i], dtype=float)
        g = np.zeros(x.shape)

        def at(where: tuple[int, ...], step: float) -> float:
            moved = copy.deepcopy(given)
            moved[i] = x.copy()
            moved[i][where] += step
            return float(sum(np.sum(w * o) for w, o in zip(weights, self.outputs(moved), strict=True)))

        for where in np.ndindex(x.shape):
            h = 2e-4 * max(1.0, abs(float(x[where])))
            g[where] = (8 * (at(where, h) - at(where, -h)) - (at(where, 2 * h) - at(where, -2 * h))) / (12 * h)
        return g


def experiment(box: Box, wrong: Sequence[int]) -> list[Finding]:
    """What experiments tell of the wrong arguments, given by their positions: at most one finding for each."""
    found: dict[int, Say] = {}
    of_cotangents = () if box.loss else (linearity, separate_rows, one_output_at_a_time, one_place_at_a_time)
    for ask in (*of_cotangents, other_arguments):
        left = [i for i in wrong if i not in found]
        if not left:
            break
        try:
            for i, say in ask(box, left):
                found.setdefault(i, say)
        except Exception:  # the user's code may not stand other arguments
            continue
    called = Say("the function") if box.loss else Say("the two passes")
    seen = Say("seen by calling {called} with other arguments", called=called)
    told = {say.en: (say, [i for i in sorted(found) if found[i].en == say.en]) for say in found.values()}
    return [
        Finding("experiment", tuple(box.names[i] for i in own), say.en, say.zh, evidence=seen.en, evidence_zh=seen.zh)
        for say, own in told.values()
    ]


Told = Iterator[tuple[int, Say]]


def near(a: Any, b: Any, scale: float | None = None) -> bool:
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    size = float(np.max(np.abs(b), initial=0.0)) if scale is None else scale
    return a.shape == b.shape and bool(np.max(np.abs(a - b), initial=0.0) <= 1e-5 * size + 1e-9)


def linearity(box: Box, wrong: Sequence[int]) -> Told:
    """A backward pass is linear in the cotangent: twice as much of it gives twice the gradient."""
    once = box.gradients()
    twice = box.gradients(cotangents=[2.0 * d for d in box.cotangents])
    for i in wrong:
        a, b = once[box.wanted.index(i)], twice[box.wanted.index(i)]
        if a is None or b is None or not np.any(a):
            continue
        if near(a, b):
            yield i, Say("the gradient that arrives (dout) isn't used: it is the same for any")
        elif not near(2.0 * a, b):
            yield i, Say("not linear in dout: with twice the dout it isn't twice as large")


def separate_rows(box: Box, wrong: Sequence[int]) -> Told:
    """With a cotangent for the first row alone: which rows of the input get something, and which should."""
    if len(box.cotangents) != 1 or box.cotangents[0].ndim < 1 or len(box.cotangents[0]) < 2:
        return
    first = np.array(box.cotangents[0], dtype=float)
    first[1:] = 0.0
    gradients = box.gradients(cotangents=[first])
    for i in wrong:
        x, g = np.asarray(box.arguments[i]), gradients[box.wanted.index(i)]
        if g is None or x.shape[:1] != first.shape[:1] or g.shape != x.shape or x.size > LARGEST:
            continue
        right = box.numerical(i, cotangents=[first])
        scale = float(np.max(np.abs(right), initial=0.0))
        name = box.names[i]
        if np.max(np.abs(right[1:])) > 1e-6 * scale and not np.any(g[1:]):
            yield (
                i,
                Say(
                    "`{name}[m]` gets nothing from out[n] for n ≠ m, but out[n] depends on all rows, as through a mean "
                    "or variance: a sum over the rows is missing",
                    name=name,
                ),
            )
        elif np.max(np.abs(right[1:])) <= 1e-7 * scale and np.max(np.abs(g[1:])) > 1e-6 * max(scale, 1e-30):
            yield (
                i,
                Say("`{name}[m]` gets something from out[n] for n ≠ m, but out[n] depends on row n alone", name=name),
            )


def one_output_at_a_time(box: Box, wrong: Sequence[int]) -> Told:
    """With the cotangents of all outputs but one set to 0: through which the mistake comes."""
    if len(box.cotangents) < 2:
        return
    for k in range(len(box.cotangents)):
        some = [np.zeros_like(d) if n == k else d for n, d in enumerate(box.cotangents)]
        gradients = box.gradients(cotangents=some)
        for i in wrong:
            if np.size(box.arguments[i]) > LARGEST:
                continue
            right = box.numerical(i, cotangents=some)
            if np.any(right) and near(gradients[box.wanted.index(i)], right):
                yield (
                    i,
                    Say("right where the dout of output {n} is 0: what arrives through that output is wrong", n=k + 1),
                )


def one_place_at_a_time(box: Box, wrong: Sequence[int]) -> Told:
    """With a cotangent at one place of one axis alone, such as out[:, :, 2]: from where the gradient is right.

    One random direction for each argument tells it, from two calls of the forward pass.
    """
    if len(box.cotangents) != 1 or not box.cotangents[0].shape or sum(box.cotangents[0].shape) > PLACES:
        return
    rng = np.random.default_rng(6135)
    lines = {i: rng.normal(size=np.shape(box.arguments[i])) for i in wrong}
    changes = {i: change_along(box, i, u) for i, u in lines.items()}
    shape = box.cotangents[0].shape
    states: dict[tuple[int, int], list[str]] = {(i, axis): [] for axis in reversed(range(len(shape))) for i in wrong}
    for i, axis in states:
        for place in range(shape[axis]):
            alone = np.zeros(shape)
            at: tuple[Any, ...] = (*[slice(None)] * axis, place)
            alone[at] = box.cotangents[0][at]
            g = box.gradients(cotangents=[alone])[box.wanted.index(i)]
            claimed, right = float(np.sum(g * lines[i])), float(np.sum(alone * changes[i]))
            size = float(np.sum(np.abs(alone * changes[i]))) + 1e-300
            off = abs(claimed - right) > 1e-5 * size
            states[i, axis].append("right" if not off else "unused" if not np.any(g) else "wrong")
    for (i, axis), found in states.items():
        if "right" in found and set(found) != {"right"}:
            where = Say("out[{before}{at}]", before=":, " * axis, at=index_of_wrong(found))
            if "wrong" not in found:
                yield i, Say("right but for what arrives at {where}, of which nothing is passed back", where=where)
            elif axis:
                yield i, Say("right but for what arrives at {where}", where=where)


def change_along(box: Box, i: int, u: Array) -> Array:
    """How fast the output changes along a direction of argument i."""
    x, h = np.asarray(box.arguments[i], dtype=float), 1e-5

    def at(step: float) -> Array:
        moved = list(copy.deepcopy(box.arguments))
        moved[i] = x + step * u
        return np.asarray(box.outputs(moved)[0], dtype=float)

    change: Array = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)
    return change


def index_of_wrong(found: Sequence[str]) -> str:
    """The places that aren't right, as an index: 2, or 1:3, or [0, 2]."""
    places = [k for k, one in enumerate(found) if one != "right"]
    if len(places) == 1:
        return str(places[0])
    if places == list(range(places[0], places[-1] + 1)):
        return f"{places[0]}:{places[-1] + 1}"
    return str(places)


def other_arguments(box: Box, wrong: Sequence[int]) -> Told:
    """With one number among the arguments set to 0, 1 or 2, or one array to ones or zeros: is it right then?"""
    for say, arguments in variants(box, wrong):
        for i in wrong:
            if np.size(box.arguments[i]) > LARGEST:
                continue
            try:
                right = box.numerical(i, arguments)
                g = box.gradients(arguments)[box.wanted.index(i)]
            except Exception:  # the code needn't stand such a number
                continue
            if g is not None and np.max(np.abs(right), initial=0.0) > 1e-6 and near(g, right):
                yield i, say


def variants(box: Box, wrong: Sequence[int]) -> Iterator[tuple[Say, list[Any]]]:
    def right_with(what: str, value: Any) -> Say:
        return Say("right with {what} = {value}: the mistake is in what that changes", what=what, value=value)

    given = list(box.arguments)
    for j, x in enumerate(given):
        if is_number(x):
            for value in (0, 1, 2):
                if value != x:
                    yield right_with(box.names[j], value), [*given[:j], type(x)(value), *given[j + 1 :]]
        if isinstance(x, dict):
            for key, old in x.items():
                for value in (0, 1, 2) if is_number(old) else ():
                    if value != old:
                        changed = {**x, key: type(old)(value)}
                        yield right_with(f"{box.names[j]}[{key!r}]", value), [*given[:j], changed, *given[j + 1 :]]
    for j in box.wanted:
        if list(wrong) != [j]:
            for value in (1, 0):
                filled = np.full_like(np.asarray(given[j], dtype=float), value)
                yield right_with(f"all of {box.names[j]}", value), [*given[:j], filled, *given[j + 1 :]]


def is_number(x: Any) -> bool:
    return isinstance(x, (int, float)) and not isinstance(x, bool)
