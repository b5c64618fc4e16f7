"""One side of a gradient check held against the other: which entries hold, and what is to be said of the function.

The one thing to know: an entry is called wrong only after smaller steps have been asked, wherever the slopes on both
sides of it differ. A gradient at a kink may lie anywhere between them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from tinygrad_edu.core.data import Array, Data
from tinygrad_edu.gradient_check.numerical import (
    COARSER,
    EPSILON,
    FINER,
    Evaluate,
    Point,
    Settled,
    Slopes,
    Terms,
    at_step,
    copies_of,
    directions_of_slopes,
    extrapolated,
    extrapolated_within,
    four_points,
    moves_in_jumps,
    on_line,
    random_direction,
    settle,
    sizes,
    slopes_nearby,
)
from tinygrad_edu.gradient_check.progress import progress
from tinygrad_edu.gradient_check.report import Entry, GradientReport
from tinygrad_edu.gradient_check.search.findings import Finding, Language, Search
from tinygrad_edu.gradient_check.sentences import finding, say

Method: TypeAlias = Literal["central", "extrapolated", "complex"]


class Sizes(NamedTuple):
    """The step of differences, and the tolerances; `atol` is None where it follows the gradient's own size."""

    eps: float = 6e-6
    rtol: float = 1e-5
    atol: float | None = None


def checked_sizes(eps: float, rtol: float, atol: float | None) -> Sizes:
    """The step and the tolerances. Raises ValueError for those that no difference can be judged by."""
    if not 0.0 < eps < math.inf:
        raise ValueError(f"eps must be a positive number, got {eps!r}")
    for name, tolerance in (("rtol", rtol), ("atol", 0.0 if atol is None else atol)):
        if not tolerance >= 0.0:
            raise ValueError(f"{name} must be 0 or positive, got {tolerance!r}")
    return Sizes(eps, rtol, atol)


class Comparison:
    """A function at one point, its numerical derivatives, and what gradients were compared with them.

    Where the function gives one number for each of several cotangents, a gradient is compared for each.

    Attributes:
        refused: Whether nothing can be compared: the function gives two results for the same inputs, or nan. The
            report says so.
        report: What was found so far.
    """

    def __init__(
        self,
        names: Sequence[str],
        given: Sequence[Data],
        evaluate: Evaluate,
        method: Method,
        fast: bool,
        tolerances: Sizes,
        language: Language = "en",
        terms: Terms | None = None,
    ) -> None:
        self.names, self.method, self.fast, self.language = list(names), method, fast, language
        self.data: list[Data] = [x if isinstance(x, float) else x.astype(np.float64) for x in given]
        self.single = any(isinstance(x, np.ndarray) and x.dtype == np.float32 for x in given)
        self.eps, self.atol = tolerances.eps, tolerances.atol
        self.entries: list[Entry] = []
        self.findings: list[Finding] = []
        self.unchecked: list[str] = []
        self.notes: list[str] = []
        self.tried: list[str] = []
        self.values: list[Array] = []
        self.errors: list[Array] = []
        self.slopes: list[Slopes] = []
        self.worst = 0
        self.evaluate = quiet(evaluate)
        terms = terms and Terms(quiet(terms.parts), terms.weights)
        self.refused = self.is_random(terms.largest if terms else evaluate) or self.is_not_finite()
        if not self.refused:
            self.point = Point(self.evaluate, self.data, self.eps, terms)
            self.single = self.single or self.point.single
            self.note_rounding()
        self.rtol = max(tolerances.rtol, 1e-3) if self.single else tolerances.rtol

    @property
    def report(self) -> GradientReport:
        worst_first = sorted(self.entries, key=lambda e: (e.holds, -e.relative_error))
        return GradientReport(
            worst_first, self.names, self.findings, self.unchecked, self.notes, self.tried, (), self.language
        )

    def is_random(self, size: Evaluate) -> bool:
        """Whether calls with the same inputs give other numbers; said in the report where they do.

        Last bits may differ: sums depend on where arrays lie in memory. `size` gives how large the terms of a sum are.
        """
        first = self.evaluate(copies_of(self.data))
        allowed = 1e-12 * np.abs(quiet(size)(copies_of(self.data))) + 1e-10 * np.abs(first)
        for _ in range(3):
            again = self.evaluate(copies_of(self.data))
            same = (np.abs(first - again) <= allowed) | (np.isnan(first) & np.isnan(again)) | (first == again)
            if not np.all(same):
                k = int(np.argmax(np.abs(first - again)))
                self.findings.append(
                    finding(
                        "random",
                        "not a function of its inputs",
                        tuple(self.names),
                        a=f"{first[k]:.9g}",
                        b=f"{again[k]:.9g}",
                    )
                )
                self.unchecked = list(self.names)
                return True
        return False

    def gradient_is_random(
        self, first: Sequence[Array | None], again: Callable[[], Sequence[Array | None]], who: str
    ) -> bool:
        """Whether calls of the user's gradient code with the same inputs give other gradients; said in the report."""
        close, floor = (1e-5, 1e-6) if self.single else (1e-10, 1e-12)
        for _ in range(3):
            for name, a, b in zip(self.names, first, again(), strict=True):
                if a is None or b is None or np.shape(a) != np.shape(b):
                    continue
                finite = np.abs(a[np.isfinite(a)])
                allowed = floor * float(np.max(finite, initial=0.0))
                if not np.allclose(a, b, rtol=close, atol=allowed, equal_nan=True):
                    self.findings.append(finding("random gradient", "random gradient", (name,), who=say(who)))
                    self.unchecked = list(self.names)
                    return True
        return False

    def is_not_finite(self) -> bool:
        """Whether the function's own result is nan or infinity, which has no slope; said in the report then."""
        here = self.evaluate(copies_of(self.data))
        bad = here[~np.isfinite(here)]
        if not bad.size:
            return False
        names = tuple(self.names)
        self.findings.append(finding("not finite result", "nan or infinity", names, what=f"{bad[0]:g}"))
        self.unchecked = list(self.names)
        return True

    def note_rounding(self) -> None:
        """Say so where the function's numbers have far fewer digits than float64 has."""
        here, noise = np.abs(self.point.here), self.point.noise
        if np.any(noise > 1e4 * EPSILON * here) and np.any(self.point.steps > np.float64(2.0 * self.eps)):
            worst = float(np.max(noise / np.maximum(here, 1e-300)))
            self.notes.append(say("rounded", self.language, digits=max(round(-math.log10(worst)), 1)))

    def note(self, key: str, who: str, name: str) -> None:
        """A note that one of the user's functions changes an argument."""
        text = say(key, self.language, who=say(who, self.language), name=name)
        self.notes.append(text + ("" if who == "the forward pass" else say("judged first", self.language)))

    def add(self, other: Comparison) -> None:
        self.entries += other.entries
        self.notes += [note for note in other.notes if note not in self.notes]

    def explain(self, search: Search) -> None:
        """Take what a search found; entries at kinks hold where their gradient is that of the code's own branches."""
        for i in map(self.names.index, search.agreeing):
            at = self.at_kinks(i)
            self.findings = [f for f in self.findings if f.kind != "ties" or f.inputs != (self.names[i],)]
            self.entries = [
                replace(e, holds=True, kink=self.sides(i, e.index)) if e.name == self.names[i] and at[e.index] else e
                for e in self.entries
            ]
        self.findings += search.findings
        self.tried += search.tried if search.unexplained else []

    def at_kinks(self, i: int) -> Array:
        """At which entries of an input the slopes on both sides differ by far, for some cotangent."""
        if not self.slopes:
            return np.zeros(np.shape(self.data[i]), dtype=bool)
        left, right = self.slopes[i].left, self.slopes[i].right
        rounding = 8.0 * self.point.noise / self.step(i)
        far = np.abs(right - left) > 1e-2 * (np.abs(left) + np.abs(right)) + 1e-3 * self.scale(i) + rounding
        return np.asarray(np.any(far, axis=1)).reshape(np.shape(self.data[i]))

    def sides(self, i: int, at: tuple[int, ...]) -> tuple[float, float]:
        n = int(np.ravel_multi_index(at, np.shape(self.data[i]))) if at else 0
        return float(self.slopes[i].left[n, self.worst]), float(self.slopes[i].right[n, self.worst])

    # --- the numerical side ---------------------------------------------------------------------------------------

    def use(self, values: Sequence[Array]) -> None:
        """Take these derivatives, exact to rounding, in place of differences."""
        self.values = [np.asarray(v).reshape(-1, 1) for v in values]
        self.errors = [1e-14 * np.abs(v) for v in self.values]

    def measure(self) -> None:
        """The numerical derivatives of each input: arrays of shape (entries, cotangents)."""
        if self.values:
            return
        if self.fast:
            for i in range(len(self.data)):
                slopes = self.along_line(i)
                self.values.append(slopes[0].reshape(1, -1))
                self.errors.append(slopes[1].reshape(1, -1))
            return
        with progress(sum(np.size(x) for x in self.data), say("entries", self.language, n="")) as tick:
            for i in range(len(self.data)):
                if self.method == "extrapolated":
                    self.values_and_errors(i, tick)
                else:
                    self.slopes.append(self.point.slopes(i, tick))
                    self.values.append(self.slopes[i].value)
                    self.errors.append(self.slopes[i].error)

    def values_and_errors(self, i: int, tick: Callable[[], object]) -> None:
        x, k = np.asarray(self.data[i]), self.point.here.size
        found = np.empty((2, x.size, k))
        for n, at in enumerate(np.ndindex(x.shape)):
            for j in range(k):
                found[:, n, j] = extrapolated_within(self.one(i, at, j), float(x[at]), float(self.point.noise[j]))
            tick()
        self.values.append(found[0])
        self.errors.append(found[1])

    def along_line(self, i: int) -> tuple[Array, Array]:
        return four_points(on_line(self.evaluate, self.data, self.direction(i)), 0.0, self.step(i), self.point.noise)

    def direction(self, i: int) -> list[Any]:
        """A random direction of input i alone; steps along it are relative to its numbers' size."""
        direction = [0.0 * x for x in self.data]
        direction[i] = random_direction(self.data)[i]
        return direction

    def step(self, i: int) -> float:
        size = float(np.max(sizes(self.data[i]), initial=1.0)) if self.fast else 1.0
        return self.point.steps[i] * size

    def one(self, i: int, at: tuple[int, ...], k: int) -> Callable[[float], float]:
        """The function of one number, for one cotangent; of the distance on a line with `fast`."""
        f = on_line(self.evaluate, self.data, self.direction(i)) if self.fast else self.point.along(i, at)
        return lambda number: float(f(number)[k])

    def scale(self, i: int) -> float:
        finite = self.values[i][np.isfinite(self.values[i])]
        return float(np.max(np.abs(finite), initial=0.0))

    def absolute(self, i: int) -> float:
        """The tolerance of an entry that is small beside the others."""
        if self.atol is not None:
            return max(self.atol, 1e-4) if self.single else self.atol
        own, all_of_them = self.scale(i), max(map(self.scale, range(len(self.values))))
        if self.single:
            return 1e-5 * own + 1e-6 * all_of_them
        return (1e-8 * own if self.method == "central" else 1e-12 * own) + 1e-11 * all_of_them

    def allowed(self, i: int, value: Any, error: Any) -> Any:
        """How far from a numerical derivative a gradient may be: by its error alone where that is well known."""
        if self.method == "central" or self.single:
            return self.absolute(i) + self.rtol * np.abs(value) + error
        return self.absolute(i) + 1e-12 * np.abs(value) + 4.0 * error

    # --- the comparison -------------------------------------------------------------------------------------------

    def compare(
        self,
        gradients: Sequence[Sequence[Array | None]],
        mode: str,
        order: int,
        in_double: Callable[[int], Sequence[Array | None]] | None = None,
    ) -> None:
        """Compare the gradients of each cotangent; inputs without one are left out.

        Each number gets one entry: of the cotangent for which it is wrong, else of the first. `in_double` gives what
        the same code makes of float64 inputs: float32's rounding may leave little of a small gradient.
        """
        self.measure()
        found: list[list[list[Entry]]] = []
        for k, of_inputs in enumerate(gradients):
            found.append([self.of_input(i, g, k, mode, order) for i, g in enumerate(of_inputs)])
            wrong = [i for i, own in enumerate(found[k]) if not all(e.holds for e in own)]
            if wrong and self.single and in_double:
                exact = in_double(k)
                for i in wrong:
                    found[k][i] = self.without_rounding(found[k][i], self.of_input(i, exact[i], k, mode, order), i)
        self.worst = max(range(len(found)), key=lambda k: sum(not e.holds for own in found[k] for e in own))
        for i in range(len(self.names)):
            for of_number in zip(*[own[i] for own in found if own[i]], strict=True):
                self.entries.append(min(of_number, key=lambda e: e.holds))

    def of_input(self, i: int, gradient: Array | None, k: int, mode: str, order: int) -> list[Entry]:
        if gradient is None:
            return []
        claimed = np.asarray(gradient, dtype=np.float64).reshape(-1)
        value, error = self.values[i][:, k], self.errors[i][:, k]
        rounding = self.point.noise[k] * 2.0 / self.point.steps[i] if self.method == "central" else error
        with np.errstate(invalid="ignore"):
            holds = np.abs(claimed - value) <= self.allowed(i, value, np.minimum(error, rounding))
        holds |= claimed == value
        x, entries = np.asarray(self.data[i]), []
        places = [()] if self.fast else np.ndindex(x.shape)
        jumps = self.method == "central" and x.size and self.jumps_along_line(i, k)
        for n, at in enumerate(places):
            number = 0.0 if self.fast else float(x[at])
            settled = Settled(float(value[n]), float(error[n]), None)
            passes = bool(holds[n])
            if jumps and moves_in_jumps(self.one(i, at, k), number, self.step(i) * max(1.0, abs(number))):
                passes, settled = self.at_constant(i, float(claimed[n]), settled)
            elif passes and self.hidden(i, float(value[n]), float(claimed[n])):
                passes, settled = self.without_slack(i, at, k, float(claimed[n]), number, settled)
            elif not passes:
                passes, settled = self.again(i, at, k, n, float(claimed[n]), number, settled)
            entries.append(
                Entry(
                    self.names[i],
                    at,
                    number,
                    settled.value,
                    settled.error,
                    float(claimed[n]),
                    passes,
                    settled.slopes,
                    mode,
                    order,
                )
            )
        self.note_uncertainty(i, entries)
        if self.is_hidden_by_rounding(entries):
            self.not_judged("rounding hides it", self.names[i])
        return self.with_ties(i, k, entries, order)

    def not_judged(self, key: str, name: str) -> None:
        """Say of an input that the function leaves entries of it undecided: they are no mistakes, and no passes."""
        if name not in self.unchecked:
            self.unchecked.append(name)
        if not any(found.kind == key and name in found.inputs for found in self.findings):
            self.findings.append(finding(key, key, (name,)))

    def without_rounding(self, single: list[Entry], double: list[Entry], i: int) -> list[Entry]:
        """The entries in float32; those in float64 in their place where only rounding makes them wrong."""
        least = 1e-2 * max(map(self.scale, range(len(self.values))))
        pairs = list(zip(single, double, strict=bool(double)))
        rounded = [not a.holds and b.holds and abs(a.computed - b.computed) <= least for a, b in pairs]
        if any(rounded):
            note = say("float32", self.language, n=sum(rounded), name=self.names[i])
            self.notes += [note] if note not in self.notes else []
        return [b if mended else a for (a, b), mended in zip(pairs, rounded, strict=True)] if double else single

    def is_hidden_by_rounding(self, entries: Sequence[Entry]) -> bool:
        """Whether a function that rounds to few digits leaves nothing known of an input's derivatives but a bound."""
        largest = max(
            (max(abs(e.computed), abs(e.numerical)) for e in entries if math.isfinite(e.computed)), default=0.0
        )
        known = [e for e in entries if e.kink or e.error < 0.5 * largest or not e.holds]
        return self.point.single and self.method == "central" and largest > 0.0 and not known

    def note_uncertainty(self, i: int, entries: Sequence[Entry]) -> None:
        """Say so where entries hold only because their numerical derivatives are hardly known."""
        least = 1e-2 * max((abs(e.numerical) for e in entries if math.isfinite(e.numerical)), default=0.0)
        rough = [e.error for e in entries if e.holds and not e.kink and e.error > least]
        if rough and least > 0.0:
            note = say("uncertain", self.language, n=len(rough), name=self.names[i], error=f"{max(rough):.1e}")
            self.notes += [note] if note not in self.notes else []

    def again(
        self, i: int, at: tuple[int, ...], k: int, n: int, claimed: float, number: float, first: Settled
    ) -> tuple[bool, Settled]:
        """An entry that seems wrong, looked at with smaller steps: unless both sides' slopes agree at the usual one."""
        if not math.isfinite(claimed):
            return False, first
        off = abs(claimed - first.value)
        if self.slopes:
            left, right = self.slopes[i].left[n, k], self.slopes[i].right[n, k]
            gap, rounding = abs(right - left), 2.0 * float(self.point.noise[k]) / self.step(i)
            if gap <= 1e-3 * off and gap <= max(0.1 * abs(first.value), 4.0 * rounding):
                return False, first
        f = self.one(i, at, k)
        settled = settle(f, number, self.steps(i, number), float(self.point.noise[k]))
        if settled.slopes:
            return self.at_kink(i, at, k, claimed, settled)
        if self.method == "complex":
            return False, first
        if self.method == "extrapolated":
            return self.closer(f, i, claimed, number, first)
        if not math.isfinite(settled.value):
            self.not_judged("not finite nearby", self.names[i])
            return True, first
        return bool(abs(claimed - settled.value) <= self.allowed(i, settled.value, settled.error)), settled

    def jumps_along_line(self, i: int, k: int) -> bool:
        """Whether entries of an input have to be asked for jumps: one line through all of them has some."""
        line = self.point.line(i)
        return moves_in_jumps(lambda t: float(line(t)[k]), 0.0, self.point.steps[i])

    def at_constant(self, i: int, claimed: float, first: Settled) -> tuple[bool, Settled]:
        """An entry of a function that is constant nearby, and jumps farther off: 0 is right, the rest isn't known."""
        if claimed == 0.0:
            note = say("jumps", self.language, name=self.names[i])
            self.notes += [note] if note not in self.notes else []
            return True, Settled(0.0, 0.0, None)
        if not math.isfinite(claimed):
            return False, first
        self.not_judged("jumps not judged", self.names[i])
        return True, first._replace(error=abs(first.value))

    def hidden(self, i: int, value: float, claimed: float) -> bool:
        """Whether a gradient holds only by what its entry's estimate, or other entries, leave open."""
        if self.single or self.method != "central" or self.fast or not math.isfinite(claimed):
            return False
        own, floor = max(abs(claimed), abs(value)), 1e-12 * max(map(self.scale, range(len(self.values))))
        return abs(claimed - value) > max(1e-3, self.rtol) * own + max(floor, self.atol or 0.0)

    def without_slack(
        self, i: int, at: tuple[int, ...], k: int, claimed: float, number: float, first: Settled
    ) -> tuple[bool, Settled]:
        """Larger steps, which leave less to rounding: the gradient is wrong where two of them agree that it is."""
        f, noise, usual = self.one(i, at, k), float(self.point.noise[k]), self.step(i) * max(1.0, abs(number))
        here = f(number)
        found = [at_step(f, number, here, usual * factor, noise) for factor in COARSER]
        for coarse, fine in pairwise(found):
            clear = max(coarse.doubt, fine.doubt) < 0.1 * min(abs(claimed - coarse.value), abs(claimed - fine.value))
            if clear and abs(coarse.value - fine.value) <= 0.1 * abs(claimed - fine.value):
                best = min((coarse, fine), key=lambda step: step.error)
                return not self.hidden(i, best.value, claimed), Settled(best.value, best.error, None)
        finite = [step for step in found if math.isfinite(step.doubt)]
        least = min(finite, key=lambda step: step.doubt, default=None)
        if least and least.doubt < first.error:
            return True, Settled(least.value, least.error, None)
        return True, first

    def steps(self, i: int, number: float) -> list[float]:
        """The steps that are tried where the usual one doesn't settle it, the largest first."""
        usual = self.step(i) * max(1.0, abs(number))
        finer = min(usual, self.eps * max(1.0, abs(number)))
        between = [usual]
        while between[-1] > 3.0 * finer:
            between.append(0.1 * between[-1])
        steps = [*between[:-1], *(finer * factor for factor in FINER)]
        while 0.0 < abs(number) < 1e4 * steps[-1] and steps[-1] > 1e-300 and not self.fast:
            steps.append(0.1 * steps[-1])  # a small number may be near the border of the function's domain
        return steps

    def at_kink(self, i: int, at: tuple[int, ...], k: int, claimed: float, settled: Settled) -> tuple[bool, Settled]:
        """A gradient at a kink may lie between the slopes of both sides, or those of points nearby."""
        assert settled.slopes
        low, high = min(settled.slopes), max(settled.slopes)
        slack = 1e-4 * (abs(low) + abs(high)) + settled.error
        if low - slack <= claimed <= high + slack:
            return True, settled
        if not self.fast:
            lows, highs = slopes_nearby(self.evaluate, self.data, i, at)
            slack += float(self.point.noise[k]) * 4e9
            if lows[k] - slack <= claimed <= highs[k] + slack:
                return True, settled._replace(slopes=(float(lows[k]), float(highs[k])))
        return False, settled._replace(slopes=None)

    def closer(
        self, f: Callable[[float], float], i: int, claimed: float, x: float, first: Settled
    ) -> tuple[bool, Settled]:
        """Extrapolation from smaller first steps: the usual ones may have crossed a kink."""
        for start in (6e-4, 6e-6, 6e-8):
            estimate = extrapolated(f, x, start)
            known = estimate.error <= 0.05 * abs(claimed - first.value)
            if known and abs(claimed - estimate.value) <= self.allowed(i, estimate.value, estimate.error):
                return True, Settled(*estimate, None)
        return False, first

    def with_ties(self, i: int, k: int, entries: list[Entry], order: int) -> list[Entry]:
        """The entries; those of ties are wrong where each alone may be right, and all of them together can't."""
        tied = [entry for entry in entries if entry.kink]
        if len(tied) < 2 or self.fast or order == 2:
            return entries
        direction, side = np.zeros(np.shape(self.data[i])), np.zeros(np.shape(self.data[i]))
        for entry in tied:
            assert entry.kink
            direction[entry.index] = 1.0
            nearer_right = abs(entry.computed - entry.kink[1]) < abs(entry.computed - entry.kink[0])
            side[entry.index] = 1.0 if nearer_right else -1.0
        low, high = directions_of_slopes(self.evaluate, self.data, i, direction, side)
        total = sum(entry.computed for entry in tied)
        slack = 1e-3 * (abs(low[k]) + abs(high[k])) + 1e-6 * sum(abs(entry.computed) for entry in tied)
        if low[k] - slack <= total <= high[k] + slack:
            return entries
        if not any(found.kind == "ties" and self.names[i] in found.inputs for found in self.findings):
            parts = {"got": f"{total:.6g}", "low": f"{low[k]:.6g}", "high": f"{high[k]:.6g}"}
            self.findings.append(finding("ties", "ties", (self.names[i],), **parts))
        return [entry if not entry.kink else entry.fails() for entry in entries]


def quiet(evaluate: Evaluate) -> Evaluate:
    """The function without numpy's warnings: a step may leave its domain."""

    def f(data: list[Data]) -> Array:
        with np.errstate(all="ignore"):
            return evaluate(data)

    return f
