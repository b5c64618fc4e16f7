"""The search: every change is tried, what fits at every entry is kept, and the simplest of these are said.

The one thing to know: a change explains an input only if it gives the claimed gradient at every entry, to within a
thousandth of the *difference* from the right one, and leaves every right input right.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from tinygrad_edu.core.data import Array
from tinygrad_edu.gradient_check.search.activations import handed_on
from tinygrad_edu.gradient_check.search.change import Change, Edges, Gathers, Leaps, Say, Scaled, Solved
from tinygrad_edu.gradient_check.search.factors import factor_stands, known_factors, name_factor
from tinygrad_edu.gradient_check.search.scene import Scene
from tinygrad_edu.gradient_check.search.tape import Probe, Site, Tape, UnfitError
from tinygrad_edu.gradient_check.search.whole import Whole, wholes

BUDGET = 10.0
"""Seconds of work after which no further change is tried."""
ERRORS = (UnfitError, ValueError, IndexError, KeyError, TypeError, ZeroDivisionError, OverflowError)


TIED = 0.7
"""How much less plausible an explanation with the same numbers may be, to be said as well."""


ALONE = (0.6, 1.2)
"""How much less plausible a change is that only one input's gradient was made with; the second, a constant factor."""


class Found(NamedTuple):
    """A change that fits, and the inputs that it explains."""

    rank: float
    kind: str
    say: Say
    node: int | None
    input: int | None
    times: int
    inputs: frozenset[int]


class Half(NamedTuple):
    """A change that explains some inputs and leaves others, behind them, wrong in another way."""

    rank: float
    found: Found
    change: Change
    factor: float


@dataclass
class Judge:
    """What was claimed, and what counts as equal to it."""

    tape: Tape
    claimed: Sequence[Array]
    precision: float
    diff: list[Array] = field(init=False)
    wrong: list[int] = field(init=False)

    def __post_init__(self) -> None:
        true = self.tape.true
        self.diff = [np.zeros(t.shape) if c is t else c - t for c, t in zip(self.claimed, true, strict=True)]
        largest = max([top(t) for t in true if np.all(np.isfinite(t))] + [1e-300])
        self.tolerance = [
            self.precision * max(top(c), top(t)) + 1e-11 * largest for c, t in zip(self.claimed, true, strict=True)
        ]
        self.near = [min(3.0 * t, 1e-3 * top(d)) for t, d in zip(self.tolerance, self.diff, strict=True)]
        self.wrong = [k for k, d in enumerate(self.diff) if top(d) > self.tolerance[k]]
        self.halfway: frozenset[int] = frozenset()
        self.alone: frozenset[int] = frozenset()

    def close(self, k: int, gradient: Any) -> bool:
        """Whether a gradient is the claimed one of input k."""
        return np.shape(gradient) == self.claimed[k].shape and top(self.claimed[k] - gradient) <= self.near[k]

    def equal(self, k: int, delta: Any) -> bool:
        """Whether a delta is the difference of input k to nine digits: of one or two numbers less may be chance."""
        return bool(top(delta - self.diff[k]) <= 1e-9 * top(self.diff[k]))

    def explains(self, deltas: Sequence[Any]) -> frozenset[int]:
        """The inputs that deltas explain; none where they make another gradient than the claimed one anywhere."""
        matched, broken, spoiled = set[int](), set[int](), False
        self.halfway = self.alone = frozenset()
        for k, d in enumerate(deltas):
            if d is None or top(d) <= self.tolerance[k]:
                continue
            if not np.all(np.isfinite(d)) or k not in self.wrong:
                spoiled = True
                continue
            (matched if top(d - self.diff[k]) <= self.near[k] else broken).add(k)
        if not broken and not spoiled:
            return frozenset(matched)
        self.alone = frozenset(k for k in matched if self.claimed[k].size > 2 or self.equal(k, deltas[k]))
        if not spoiled:
            self.halfway = frozenset(matched)
        return frozenset()


class Engine:
    """One search over one tape."""

    def __init__(self, tape: Tape, claimed: Sequence[Array], precision: float, until: float) -> None:
        self.tape, self.judge, self.until = tape, Judge(tape, claimed, precision), until
        self.scene = Scene(tape, self.judge.wrong)
        self.found: list[Found] = []
        self.halves: list[Half] = []
        self.tried, self.ended_early = 0, False
        self.probe = self.make_probe()

    def make_probe(self) -> Probe:
        """Each wrong input for itself, up to 24; else by the name before the bracket; and all right ones together."""
        wrong = self.judge.wrong
        groups: dict[Any, list[int]] = {}
        for k in wrong:
            groups.setdefault(k if len(wrong) <= 24 else self.tape.names[k].partition("[")[0], []).append(k)
        right = [k for k in range(self.tape.n_in) if k not in wrong]
        self.single = len(wrong) <= 24
        return Probe(self.tape, [*groups.values(), right])

    def run(self, changes: Iterable[Change]) -> None:
        """Try changes, the simplest first, as long as one that explains all could be beaten or tied."""
        self.target = self.probe.along(self.judge.diff)
        first = not self.tape.base  # what a first change has cut off is not independent of an input
        fits = [fit for fit in wholes(self.whole()) if first or fit.kind != "independent"]
        self.found += [Found(fit.rank, fit.kind, fit.say, None, None, 1, fit.inputs) for fit in fits]
        with np.errstate(all="ignore"):
            for change in sorted(changes, key=least_rank):
                if least_rank(change) > self.best() + TIED:
                    return
                if time.thread_time() > self.until:
                    self.ended_early = True
                    return
                self.tried += 1
                try:
                    self.test(change)
                except ERRORS:
                    continue

    def best(self) -> float:
        """The rank of the simplest change that explains all wrong inputs."""
        everything = frozenset(self.judge.wrong)
        return min((found.rank for found in self.found if found.inputs == everything), default=math.inf)

    def whole(self) -> Whole:
        tape, judge = self.tape, self.judge
        constants = frozenset(abs(c) for i in range(tape.n_in, len(tape.nodes)) for _, c in self.scene.constants(i))
        data = tape.data[: tape.n_in]
        wrong = judge.wrong
        return Whole(tape.names, data, judge.claimed, tape.true, wrong, self.scene.lengths, constants, judge.close)

    def test(self, change: Change) -> None:
        how = change.how
        if isinstance(how, Scaled):
            self.test_scaled(change, how)
        elif isinstance(how, Solved):
            self.test_solved(change, how)
        else:
            self.keep(change, self.deltas(how))

    def keep(
        self, change: Change, deltas: Sequence[Any] | None, rank: float | None = None, factor: float = 0.0
    ) -> bool:
        """Note a change that fits, or that fits some inputs."""
        if deltas is None:
            return False
        inputs = self.judge.explains(deltas)
        some = inputs or self.judge.halfway
        if some:
            rank = change.rank if rank is None else rank
            found = Found(rank, change.kind, change.say, change.node, change.input, change.times, some)
            if inputs:
                self.found.append(found)
            elif isinstance(change.how, (Edges, Leaps, Scaled)):
                self.halves.append(Half(rank, found, change, factor))
        self.keep_alone(change, change.rank if rank is None else rank)
        return bool(inputs)

    def keep_alone(self, change: Change, rank: float) -> None:
        """Note a change that one input's gradient was made with, and the others' not: it is written out by itself."""
        for k in self.judge.alone:
            say = change.say + Say(", in the gradient of `{name}` alone", name=self.tape.names[k])
            rank += ALONE[isinstance(change.how, Scaled)]
            found = Found(rank, change.kind, say, change.node, change.input, change.times, frozenset([k]))
            self.found.append(found)

    def deltas(self, how: Any) -> list[Any] | None:
        """What a change makes of the inputs' gradients; None where a probe tells that it explains nothing."""
        tape = self.tape
        if isinstance(how, Edges):
            nodes = {i for i, _ in how.edges}
            if len(nodes) > 1 and tape.nested(nodes):
                return tape.passed(how=dict.fromkeys(how.edges, how.rule))
            return self.probed(tape.edge_deltas(how.edges, how.rule))
        if isinstance(how, Leaps):
            if len(how.leaps) > 1 and tape.nested(how.leaps):
                return tape.passed(leaps=how.leaps)
            return self.probed(leap_deltas(tape, how))
        if isinstance(how, Gathers):
            return self.probed(gather_deltas(tape, how))
        return self.probed(how.deltas())

    def probed(self, deltas: Mapping[int, Any]) -> list[Any] | None:
        if not any(np.any(d) for d in deltas.values()):
            raise UnfitError
        return self.tape.reach(deltas) if self.promising(deltas) else None

    def promising(self, deltas: Mapping[int, Any]) -> bool:
        """Whether some wrong input may be explained, by the probe's random directions."""
        if not self.single:
            return True
        values, sizes = self.probe.worth(deltas)
        hit = False
        for value, size, target in zip(values[:-1], sizes[:-1], self.target[:-1], strict=True):
            if not math.isfinite(value):
                return True
            slack = 1e-5 * (size + abs(target))
            hit = hit or (size > 0.0 and abs(value - target) <= slack and abs(target) > 0.0)
        return hit

    def test_scaled(self, change: Change, how: Scaled) -> None:
        """A constant factor at edges: the deltas are proportional to it, so it is read off."""
        tape = self.tape
        nodes = {i for i, _ in how.edges}
        if len(nodes) > 1 and tape.nested(nodes):
            for f in (0.0, -1.0, 2.0, 0.5):
                self.keep_factor(change, how, f, tape.passed(how=dict.fromkeys(how.edges, scaling(f))))
            return
        parts: dict[int, Any] = {}
        for i, j in how.edges:
            p = tape.edges[i][j]
            parts[p] = parts[p] + tape.part[i, j] if p in parts else tape.part[i, j]
        for f in self.candidate_factors(parts):
            reached = tape.reach(parts)
            self.keep_factor(change, how, f + 1.0, [None if d is None else f * np.asarray(d) for d in reached])

    def candidate_factors(self, parts: Mapping[int, Any]) -> list[float]:
        """The factors less 1 that would explain one of the wrong inputs."""
        if not self.single:
            return self.factors_of_entries(parts)
        values, sizes = self.probe.worth(parts)
        found: list[float] = []
        for value, size, target in zip(values[:-1], sizes[:-1], self.target[:-1], strict=True):
            if size and not math.isfinite(value):
                return self.factors_of_entries(parts)
            if abs(value) > 1e-9 * size and target:
                f = target / value
                if factor_stands(self.scene, f + 1.0) and not any(math.isclose(f, q, rel_tol=1e-5) for q in found):
                    found.append(f)
        return [self.exact_factor(f) for f in found]

    def exact_factor(self, f: float) -> float:
        return self.snapped(f + 1.0) - 1.0

    def snapped(self, k: float) -> float:
        """The known factor next to a fitted one, which the probe's tangents give to some 9 digits only."""
        return min(known_factors(self.scene), key=lambda q: abs(q - k))

    def factors_of_entries(self, parts: Mapping[int, Any]) -> list[float]:
        reached, found = self.tape.reach(parts), list[float]()
        for k in self.judge.wrong:
            d = reached[k]
            if d is not None and np.any(d):
                at = np.unravel_index(np.argmax(np.abs(d)), np.shape(d))
                f = float(self.judge.diff[k][at] / np.asarray(d)[at])
                if factor_stands(self.scene, f + 1.0) and not any(math.isclose(f, q, rel_tol=1e-5) for q in found):
                    found.append(f)
        return [self.exact_factor(f) for f in found]

    def keep_factor(self, change: Change, how: Scaled, k: float, deltas: Sequence[Any]) -> None:
        named = name_factor(self.scene, change, how, k)
        if named is not None:
            rank, kind, say = named
            self.keep(change._replace(say=say + change.say, kind=kind), deltas, change.rank + rank, k)

    def test_solved(self, change: Change, how: Solved) -> None:
        """An unknown number: solved for at one entry, then tested at all."""
        x, d = how.start + how.step, how.deltas(how.start + how.step)
        if not how.step:
            self.keep(change, d)
            return
        k = next((k for k in self.judge.wrong if d[k] is not None and np.any(d[k])), None)
        if k is None:
            return
        at = np.unravel_index(np.argmax(np.abs(self.judge.diff[k])), self.judge.diff[k].shape)
        want = float(self.judge.diff[k][at])
        before, off_before = how.start, -want
        for _ in range(7):
            inputs = self.judge.explains(d)
            if inputs:
                say = how.say(x)
                if say is not None and sum(self.judge.claimed[q].size for q in inputs) > 2:
                    self.keep(change._replace(say=say + change.say), d)
                return
            off = float(np.asarray(d[k])[at]) - want
            if off == off_before or not math.isfinite(off):
                return
            x, before, off_before = x - off * (x - before) / (off - off_before), x, off
            d = how.deltas(x)


def least_rank(change: Change) -> float:
    """The rank that a change can have at best: a constant factor adds what that factor is worth."""
    return change.rank + (1.0 if isinstance(change.how, Scaled) else 0.0)


def leap_deltas(tape: Tape, how: Leaps) -> dict[int, Any]:
    out: dict[int, Any] = {}
    for last, (source, make) in how.leaps.items():
        delta = tape.fit(make(tape.cot[last]) - handed_on(tape, last, source), source)
        out[source] = out[source] + delta if source in out else delta
    return out


def gather_deltas(tape: Tape, how: Gathers) -> dict[int, Any]:
    out = {}
    for p, gather in how.gathers.items():
        parts = [(i, j, tape.part[i, j]) for i, j in sorted(tape.consumers[p], reverse=True) if (i, j) in tape.part]
        out[p] = gather(parts) - tape.cot[p]
    return out


def scaling(f: float) -> Any:
    def rule(s: Site) -> Any:
        return f * np.asarray(s.r) if np.ndim(s.r) else f * s.r

    return rule


def top(x: Any) -> float:
    return float(np.max(np.abs(x), initial=0.0))


# --- choosing


def choose(found: Sequence[Found], wrong: Iterable[int]) -> tuple[list[tuple[Found, list[Found]]], set[int]]:
    """The simplest that together explain the wrong inputs, each with those that give the same numbers."""
    left, chosen = set(wrong), []
    able = [*found, *joined(found)]
    while left:
        fitting = [f for f in able if f.inputs <= left]
        if not fitting:
            break
        best = min(fitting, key=lambda f: (-len(f.inputs), f.rank, f.times, -(f.node or 0)))
        same = [f for f in fitting if f.inputs == best.inputs and f.say != best.say and f.rank <= best.rank + TIED]
        same = [f for f in same if (f.kind, f.node) != (best.kind, best.node)]
        same = list({f.say: f for f in sorted(same, key=lambda f: -f.rank)}.values())
        chosen.append(at_its_line(best, sorted(same, key=lambda f: f.rank)))
        left -= best.inputs
    return chosen, left


def at_its_line(best: Found, same: list[Found]) -> tuple[Found, list[Found]]:
    """A penalty's mistake at the penalty's own line, where one of the same numbers is there."""
    line = next((f for f in same if f.node is not None), None)
    if best.kind != "penalty" or best.node is not None or line is None:
        return best, same
    placed = best._replace(node=line.node, input=line.input)
    if line.kind != "factor":
        return placed, same
    return line._replace(kind="penalty"), [placed, *(f for f in same if f is not line)]


def joined(found: Sequence[Found]) -> Iterator[Found]:
    """One mistake made separately for several inputs, as one finding."""
    by_say: dict[Any, dict[int, Found]] = {}
    for f in found:
        if len(f.inputs) == 1:
            (k,) = f.inputs
            own = by_say.setdefault(f.say, {})
            if k not in own or f.rank < own[k].rank:
                own[k] = f
    for own in by_say.values():
        if len(own) > 1:
            worst = max(own.values(), key=lambda f: f.rank)
            yield worst._replace(rank=worst.rank + 0.3, inputs=frozenset(own), times=sum(f.times for f in own.values()))
