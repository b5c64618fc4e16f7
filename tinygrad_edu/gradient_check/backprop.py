"""`check_backprop`: hand-written gradients of every intermediate, each judged by its own line.

The one thing to know: what a variable's gradient should be is computed from the *hand-written* gradients of the
variables that use it. So a mistake is blamed on the line that makes it, and what follows is called inherited.
"""

from __future__ import annotations

import ast
import functools
import linecache
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_edu.core.data import Array
from tinygrad_edu.core.value import Value, apply, data_of
from tinygrad_edu.following.tracked import bare
from tinygrad_edu.gradient_check.numerical import on_line, random_direction
from tinygrad_edu.gradient_check.plain_data import copied, float_arrays
from tinygrad_edu.gradient_check.report import Entry, GradientReport, Verdict
from tinygrad_edu.gradient_check.returned import as_numbers, described
from tinygrad_edu.gradient_check.search.explaining import search
from tinygrad_edu.gradient_check.search.findings import Finding, Language
from tinygrad_edu.gradient_check.search.recording import (
    Place,
    Recording,
    Span,
    assigned_name,
    record,
    source_of,
    span_of,
)
from tinygrad_edu.gradient_check.search.tape import Tape, add
from tinygrad_edu.gradient_check.sentences import finding
from tinygrad_edu.gradient_check.signatures import argument_names, stands_for


def check_backprop(
    forward: Callable[..., Any],
    inputs: Mapping[str, Any] | Sequence[Any],
    gradients: Mapping[str, Any],
    *,
    rtol: float = 1e-6,
    language: Language = "en",
) -> GradientReport:
    """Check hand-written gradients of a loss by any of its intermediates, each by its own line.

    Args:
        forward: Gives the loss, alone or as the first of its results. Plain numpy code is followed.
        inputs: Its arguments, by name or in order.
        gradients: The gradients written by hand, by the name of the variable in `forward` or of the argument that they
            belong to: `{"dlogits": dlogits, "dh": dh, "dW": dW}`. Where a loop assigns a variable several times, a list
            of gradients, one for each time.
        rtol: How far a gradient may be off, relative to the largest entry.
        language: Of the report: "en" or "zh".

    Returns:
        A report that is true where every gradient is right. `report.verdicts` says for each of them, in backward order,
        whether it is "right", "wrong here" (its own line is wrong), "inherited" (its line is right, and it is wrong by
        what it is given), or "not found".

    Raises:
        TypeError: `forward` can't be followed (the message names the line), or its result isn't a loss.
        ValueError: `gradients` is empty, or an argument is missing.

    >>> import numpy as np
    >>> import tinygrad_edu as tg
    >>> def forward(x, w):
    ...     z = x * w
    ...     h = np.tanh(z)
    ...     return np.sum(h * h)
    >>> x, w = np.array([0.5, -1.0]), np.array([2.0, 0.3])
    >>> h = np.tanh(x * w)
    >>> dh = 2 * h
    >>> dz = dh * (1 - h)
    >>> report = tg.check_backprop(forward, [x, w], {"dh": dh, "dz": dz, "dw": dz * x})
    >>> [(v.name, v.verdict) for v in report.verdicts]
    [('h', 'right'), ('z', 'wrong here'), ('w', 'inherited')]
    """
    if not gradients:
        raise ValueError("gradients is empty: nothing to check")
    recorded = recorded_with_names(forward, ordered(forward, inputs))
    return Judge(recorded, gradients, rtol, language).report()


class Recorded(NamedTuple):
    """A recorded computation, and the nodes of its variables by name, in the order in which they were assigned."""

    recording: Recording
    tape: Tape
    variables: dict[str, list[int]]


class WholeTape(Tape):
    """A tape that keeps the paths on which what arrives cancels: their gradients are written by hand too."""

    def drop_cancelled(self) -> None:
        return


class Judge:
    """Every hand-written gradient against the right one, and against what its consumers' gradients make of it."""

    def __init__(self, recorded: Recorded, gradients: Mapping[str, Any], rtol: float, language: Language) -> None:
        self.recorded, self.tape = recorded, recorded.tape
        self.rtol, self.language = rtol, language
        self.hand: dict[int, tuple[str, Array]] = {}
        self.verdicts: list[Verdict] = []
        self.findings: list[Finding] = []
        self.entries: list[Entry] = []
        self.unchecked: list[str] = []
        for key, given in gradients.items():
            self.take(key, given)

    def take(self, key: str, given: Any) -> None:
        """Find the variable that a gradient belongs to."""
        names = [name for name in self.recorded.variables if stands_for(key, name)]
        name = max(names, key=lambda n: (key.endswith(n), len(n)), default=key)
        nodes = self.recorded.variables.get(name, [])
        several = isinstance(given, (list, tuple)) and len(given) == len(nodes) > 1
        if not several and nodes:
            nodes = [self.best(nodes, given)]
        if not nodes:
            self.verdicts.append(Verdict(name, "not found"))
            self.unchecked.append(name)
            known = ", ".join(self.recorded.variables)
            self.findings.append(finding("no variable", "not found", (name,), known=known))
            return
        for k, (node, part) in enumerate(zip(nodes, given if several else [given], strict=True)):
            label = f"{name}[{k}]" if several else name
            array = as_numbers(part)
            if part is None or array is None:
                self.say("none" if part is None else "no number", label, what=described(part))
            elif array.shape != self.tape.shapes[node]:
                self.say("shape", label, got=array.shape, wanted=self.tape.shapes[node], how="")
            else:
                self.hand[node] = label, array

    def say(self, key: str, label: str, **parts: Any) -> None:
        self.findings.append(finding(key, key, (label,), **parts))
        self.unchecked.append(label)

    def best(self, nodes: Sequence[int], given: Any) -> int:
        """Of several assignments to one variable that with the right gradient, else the last of that shape."""
        array = as_numbers(given)
        if array is None:
            return nodes[-1]
        fitting = [n for n in nodes if self.tape.shapes[n] == array.shape]
        right = [n for n in fitting if self.same(array, self.right(n), n)]
        return (right or fitting or list(nodes))[-1]

    def right(self, node: int) -> Array:
        found = self.tape.cot.get(node)
        return np.zeros(self.tape.shapes[node]) if found is None else np.asarray(found, dtype=float)

    def same(self, a: Array, b: Array, node: int) -> bool:
        """Whether two gradients agree; beside what was added up for them, so that a sum of 0 may be 1e-17."""
        arriving = [self.tape.raw[e] for e in self.tape.consumers[node] if e in self.tape.raw]
        added = max((float(np.max(np.abs(r), initial=0.0)) for r in arriving), default=0.0)
        scale = max(float(np.max(np.abs(b), initial=0.0)), 1e-6 * added)
        return bool(np.all(np.abs(a - b) <= self.rtol * scale + 1e-300))

    def report(self) -> GradientReport:
        table: dict[int, Any] = dict(self.tape.seeds)
        judged: list[Verdict] = []
        for i in range(len(self.tape.nodes) - 1, -1, -1):
            if i in self.hand:
                judged.append(self.judge(i, table.get(i)))
                table[i] = self.hand[i][1] if self.tape.shapes[i] else float(self.hand[i][1])
            if i in table and i >= self.tape.n_in:
                for j, r in self.tape.rule(i, table[i]).items():
                    p = self.tape.edges[i][j]
                    add(table, p, self.tape.fit(r, p))
        names = [verdict.name for verdict in judged] + self.unchecked
        return GradientReport(
            sorted(self.entries, key=lambda e: (e.holds, -e.relative_error)),
            names,
            self.findings,
            self.unchecked,
            verdicts=[*judged, *self.verdicts],
            language=self.language,
        )

    def judge(self, node: int, expected: Any) -> Verdict:
        name, hand = self.hand[node]
        right = self.right(node)
        local = np.zeros(self.tape.shapes[node]) if expected is None else np.asarray(expected, dtype=float)
        span = self.tape.places[node].span
        scale = float(np.max(np.abs(right), initial=0.0)) or 1.0  # a gradient of 0 has no size of its own
        off = float(np.max(np.abs(hand - right), initial=0.0)) / scale
        if self.same(hand, right, node):
            verdict = Verdict(name, "right", off)
        elif self.same(hand, local, node):
            verdict = Verdict(name, "inherited", off)
        else:
            verdict = Verdict(name, "wrong here", off, span.file, span.line, source_of(span))
            self.findings += self.explained(node, name, hand)
        self.entries += entries_of(name, self.tape.data[node], right, hand, self.rtol * scale, verdict.verdict)
        return verdict

    def explained(self, node: int, name: str, hand: Array) -> Sequence[Finding]:
        """What is wrong between this variable and the next ones, whose hand-written gradients are given."""
        try:
            tape = self.part_from(node, name)
            return search(tape, [hand], self.rtol).findings
        except Exception:  # a piece of a computation may not stand alone; the verdict does
            return ()

    def part_from(self, node: int, name: str) -> Tape:
        """The computation from one variable to the next ones that have a hand-written gradient, made anew."""
        nodes, recording = self.tape.nodes, self.recorded.recording
        start = Value(copied(data_of(nodes[node])))
        made: dict[Value, Value] = {nodes[node]: start}
        ends: dict[Value, Any] = {}
        places: dict[Value, Place] = {}
        turns: dict[Value, int] = {}
        for i in range(max(node + 1, self.tape.n_in), len(nodes)):
            old = nodes[i]
            if not any(isinstance(p, Value) and p in made for p in old.parents):
                continue
            assert old.operation is not None
            inputs = tuple(made.get(p, data_of(p)) if isinstance(p, Value) else p for p in old.parents)
            new = apply(old.operation, inputs, old.params)
            places[new], turns[new] = recording.places.get(old, Place()), recording.turns.get(old, 0)
            if i in self.hand:  # the next variable: its own gradient counts, and nothing behind it
                ends[new] = self.hand[i][1]
                continue
            made[old] = new
            if i in self.tape.seeds:
                ends[new] = self.tape.seeds[i]
        tape = Tape(Recording([start], list(ends), places, turns), list(ends.values()), [name])
        tape.by_name = True
        return tape


def entries_of(name: str, data: Any, right: Array, hand: Array, allowed: float, verdict: str) -> list[Entry]:
    entries = []
    for at in np.ndindex(right.shape):
        holds = verdict == "right" or bool(abs(hand[at] - right[at]) <= allowed)
        value = float(np.asarray(data)[at])
        error = 1e-14 * abs(float(right[at]))
        entries.append(Entry(name, at, value, float(right[at]), error, float(hand[at]), holds, mode="hand-written"))
    return entries


def ordered(forward: Callable[..., Any], inputs: Mapping[str, Any] | Sequence[Any]) -> list[Any]:
    """The arguments in the order in which the function takes them."""
    if not isinstance(inputs, Mapping):
        return list(inputs)
    names = argument_names(forward, len(inputs))
    missing = [name for name in names if name not in inputs]
    if missing:
        raise ValueError(f"inputs lacks {', '.join(missing)}; it has {', '.join(inputs)}")
    return [inputs[name] for name in names]


def recorded_with_names(forward: Callable[..., Any], args: Sequence[Any]) -> Recorded:
    """The computation of the loss, and its variables."""
    wanted = float_arrays(args) + [i for i, x in enumerate(args) if isinstance(x, float)]
    names = argument_names(forward, len(args))
    held: dict[str, Any] = {}
    with locals_of(forward, held):
        recording = record(forward, args, sorted(wanted))
    losses = [k for k, out in enumerate(recording.outputs) if np.size(data_of(out)) == 1 and isinstance(out, Value)]
    if not losses:
        raise TypeError("the forward function's result has no number in it that depends on the inputs: return the loss")
    cotangents = [1.0 if k == losses[0] else 0.0 for k in range(len(recording.outputs))]
    tape = WholeTape(recording, cotangents, [names[k] for k in sorted(wanted)])
    if unproved := not_the_functions_own(forward, args, sorted(wanted), losses[0], tape):
        raise TypeError(
            f"the forward function can't be followed: its recording has another derivative than the function, for "
            f"{', '.join(unproved)}"
        )
    variables = {name: [k] for k, name in enumerate(tape.names)}
    variables.update(assigned(tape))
    for name, x in held.items():
        for label, part in parts_of(name, x):
            value = bare(part)
            if isinstance(value, Value) and value in tape.number and label not in variables:
                variables[label] = [tape.number[value]]
    return Recorded(recording, tape, variables)


def not_the_functions_own(
    forward: Callable[..., Any], args: Sequence[Any], wanted: Sequence[int], loss: int, tape: Tape
) -> list[str]:
    """The inputs along which the recorded loss changes otherwise than the function's own, in a random direction."""

    def evaluate(data: list[Any]) -> Array:
        given = dict(zip(wanted, data, strict=True))
        result = forward(*[given.get(k, copied(x)) for k, x in enumerate(args)])
        return np.array([float(data_of(result[loss] if isinstance(result, (tuple, list)) else result))])

    data = [x if isinstance(x, float) else np.array(x, dtype=np.float64) for x in (args[k] for k in wanted)]
    found = []
    for k, direction in enumerate(random_direction(data)):
        line = on_line(evaluate, data, [direction if j == k else 0.0 * x for j, x in enumerate(data)])
        own, terms = float(np.sum(tape.true[k] * direction)), float(np.sum(np.abs(tape.true[k] * direction)))
        slopes = [float((line(h) - line(-h))[0]) / (2.0 * h) for h in (1e-5, 1e-6, 1e-7)]
        if min(abs(slope - own) for slope in slopes) > 1e-4 * terms + 1e-6 * abs(float(line(0.0)[0])):
            found.append(tape.names[k])
    return found


def parts_of(name: str, x: Any) -> list[tuple[str, Any]]:
    """A local variable, and what it holds if it is a list or dict."""
    if isinstance(x, dict):
        return [(f"{name}[{key!r}]", part) for key, part in x.items()]
    if isinstance(x, (list, tuple)):
        return [(f"{name}[{k}]", part) for k, part in enumerate(x)]
    return [(name, x)]


class locals_of:  # noqa: N801 - used as a function
    """Within it, the local variables of a function when it last returned are put into `held`."""

    def __init__(self, function: Callable[..., Any], held: dict[str, Any]) -> None:
        self.code, self.held = getattr(function, "__code__", None), held

    def __enter__(self) -> None:
        self.before = sys.getprofile()
        sys.setprofile(self.look)

    def look(self, frame: Any, event: str, _: Any) -> None:
        if event == "return" and frame.f_code is self.code:
            self.held.update(frame.f_locals)

    def __exit__(self, *_: object) -> None:
        sys.setprofile(self.before)


def assigned(tape: Tape) -> dict[str, list[int]]:
    """The nodes that the code assigns to variables, by name, in order: of each assignment the last node made in it."""
    last: dict[tuple[Any, ...], int] = {}
    for i in range(tape.n_in, len(tape.nodes)):
        frames = tape.places[i].frames
        for depth, frame in enumerate(frames):
            span = span_of(*frame)
            name = assigned_name(span) or augmented(span.file).get(span, "")
            if name.isidentifier():
                last[name, frames[depth:], tape.turns[i]] = i
    found: dict[str, list[int]] = {}
    for (name, *_), node in last.items():
        found.setdefault(name, []).append(node)
    return {name: sorted(set(nodes)) for name, nodes in found.items()}


@functools.lru_cache(64)
def augmented(file: str) -> dict[Span, str]:
    """For each statement such as `total += x` its place, and the variable."""
    try:
        tree = ast.parse("".join(linecache.getlines(file)))
    except SyntaxError:
        return {}
    return {
        Span(file, n.lineno, n.end_lineno or 0, n.col_offset, n.end_col_offset or 0): ast.unparse(n.target)
        for n in ast.walk(tree)
        if isinstance(n, ast.AugAssign)
    }
