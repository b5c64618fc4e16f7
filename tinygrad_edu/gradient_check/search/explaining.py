"""`explain`: record the forward code, prove the recording, search for the wrong line, and say what was found.

The one thing to know: a recording is believed only if its gradient is the numerical one. Else nothing is said of lines.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tinygrad_edu.core.data import Array
from tinygrad_edu.gradient_check.search.change import Change, Edges, Leaps, Say, Scaled
from tinygrad_edu.gradient_check.search.chinese import CHINESE
from tinygrad_edu.gradient_check.search.engine import BUDGET, ERRORS, Engine, Found, choose, scaling
from tinygrad_edu.gradient_check.search.findings import Finding, Search
from tinygrad_edu.gradient_check.search.recording import Place, arrays_around, record, source_of, span_of
from tinygrad_edu.gradient_check.search.repair import formula_and_repair
from tinygrad_edu.gradient_check.search.scene import Scene
from tinygrad_edu.gradient_check.search.table import TABLE
from tinygrad_edu.gradient_check.search.tape import Tape
from tinygrad_edu.gradient_check.search.whole import Whole, wholes


def explain(
    forward: Callable[..., Any],
    inputs: Sequence[Any],
    wanted: Sequence[int],
    cotangents: Sequence[Any],
    claimed: Mapping[str, Array],
    right: Mapping[str, Array],
    names: Sequence[str],
    precision: float = 1e-6,
) -> Search:
    """The mistakes that give the claimed gradients, where the right ones are others.

    Args:
        forward: The user's forward function: `forward(*inputs)` gives the outputs, one or a tuple or list of them.
        inputs: All its positional arguments.
        wanted: Which of them are differentiated: positions in `inputs`, of numbers or float arrays, or nested
            structures of them.
        cotangents: The cotangent of each output, 1.0 for a loss; None for a result that is no output, such as a cache
            or the gradient that a loss function returns along.
        claimed, right: The gradients that were given, and the numerical ones, nan at kinks, by the names of the inputs.
            Of an input whose claimed gradient is missing, hasn't its shape, or is the right one itself, nothing is
            said.
        names: The names of the differentiated numbers and arrays, in order: one for each leaf of the `wanted` inputs.
        precision: How far a claimed gradient may be from one that is the same, relative to its largest entry.

    Returns:
        A `Search`. It never raises for what the user's function does: where that can't be followed, `followed` is
        False and `tried` says why, with the line.
    """
    try:
        with np.errstate(all="ignore"):
            tape = Tape(record(forward, inputs, wanted), cotangents, names)
        tape.around = arrays_around(forward, inputs, wanted)
    except Exception as error:  # whatever the user's code makes of Values
        return Search((), tuple(names), (f"The forward code {error}",), followed=False)
    if doubtful := unproved(tape, right):
        text = "The forward code can't be followed: its recording has another derivative than the function, for "
        return Search((), tuple(names), (text + ", ".join(doubtful),), followed=False)
    infinite = infinite_slopes(tape, claimed)
    given = [fitting(claimed.get(n), right.get(n), t) for n, t in zip(names, tape.true, strict=True)]
    with np.errstate(all="ignore"):
        found = search(tape, given, precision)
    same = tuple(n for n, g, t in zip(names, given, tape.true, strict=True) if g is not t and agrees(g, t, precision))
    return replace(found, findings=[*infinite, *found.findings], tried=[] if infinite else found.tried, agreeing=same)


def agrees(claimed: Array, true: Array, precision: float) -> bool:
    return float(np.max(np.abs(claimed - true), initial=0.0)) <= precision * float(np.max(np.abs(true), initial=0.0))


def infinite_slopes(tape: Tape, claimed: Mapping[str, Array]) -> list[Finding]:
    """Of inputs with an infinite derivative, such as a root at 0, this alone is said."""
    places = [tape.places[i] for (i, _), r in tape.raw.items() if not np.all(np.isfinite(r))]
    found = []
    for name, true in zip(tape.names, tape.true, strict=True):
        n = int(true.size - np.count_nonzero(np.isfinite(true)))
        if n and claimed.get(name) is not None:
            say = Say("the function has no finite derivative at {n} of its entries, as a root has none at 0", n=n)
            at = places[0]
            words: dict[str, Any] = (
                {"file": at.span.file, "expression": at.text, "line": at.span.line} if places else {}
            )
            found.append(Finding("no finite derivative", (name,), say.en, say.zh, **words))
    return found


def from_numbers(whole: Whole, wrong: Sequence[int], tried: Sequence[str] = ()) -> Search:
    """What gradients as a whole tell, where no line is known."""
    found = [Found(fit.rank, fit.kind, fit.say, None, None, 1, fit.inputs) for fit in wholes(whole)]
    chosen, left = choose(found, wrong)
    findings = []
    for one, _ in chosen:
        names = tuple(whole.names[k] for k in sorted(one.inputs))
        evidence = evidence_of([whole.right[k] for k in one.inputs], False)
        words = words_of(evidence, HINTS.get(one.kind, ""))
        findings.append(Finding(one.kind, names, one.say.en, one.say.zh, **words))
    return Search(findings, [whole.names[k] for k in sorted(left)], tried, followed=False)


def fitting(claimed: Any, right: Any, true: Array) -> Array:
    """A claimed gradient; the recorded one in place of what isn't judged: none, another shape, or `right` itself."""
    if not np.all(np.isfinite(true)):
        return true
    if claimed is None or claimed is right or np.shape(claimed) != true.shape or not np.all(np.isfinite(claimed)):
        return true
    return np.asarray(claimed, dtype=float)


def unproved(tape: Tape, right: Mapping[str, Array]) -> list[str]:
    """The inputs whose recorded gradient isn't the numerical one, but for few entries that may stand at a kink."""
    found = []
    for name, true in zip(tape.names, tape.true, strict=True):
        numerical = right.get(name)
        if numerical is None or np.shape(numerical) != true.shape:
            continue
        scale = float(np.max(np.abs(true), initial=0.0))
        off = np.abs(np.asarray(numerical, dtype=float) - true) > 1e-3 * scale + 1e-6
        if np.mean(off) > 0.25:
            found.append(name)
    return found


def search(tape: Tape, claimed: Sequence[Array], precision: float) -> Search:
    start = time.thread_time()
    engine = Engine(tape, claimed, precision, start + BUDGET)
    if not engine.judge.wrong:
        return Search((), (), ("All gradients are those of the recorded computation.",))
    engine.run(all_changes(engine.scene))
    chosen, left = choose(engine.found, engine.judge.wrong)
    if left:
        chosen, left = two_mistakes(engine, claimed, precision, chosen, left)
    findings = [finding_of(engine.scene, found, same) for found, same in chosen]
    unexplained = tuple(tape.names[k] for k in backward_order(tape, left))
    return Search(findings, unexplained, tuple(tried(engine, unexplained)))


def all_changes(scene: Scene) -> Iterator[Change]:
    for hypothesis in TABLE:
        for propose in hypothesis.propose:
            changes = propose(scene)
            while (change := next_of(changes)) is not None:
                yield change._replace(kind=hypothesis.kind)


def next_of(changes: Iterator[Change]) -> Change | None:
    """The next change; None at the end, and where a hypothesis meets a computation that it didn't think of."""
    try:
        return next(changes, None)
    except ERRORS:
        return None


def backward_order(tape: Tape, inputs: set[int]) -> list[int]:
    """Inputs as a backward pass comes to them: what is used last, first."""
    return sorted(inputs, key=lambda k: -min((i for i, _ in tape.consumers[k]), default=-1))


def tried(engine: Engine, unexplained: Sequence[str]) -> Iterator[str]:
    lines = len(engine.scene.lines)
    if unexplained:
        yield f"{engine.tried} changes of {lines} expressions of the forward code were tried; none gives these numbers."
        yield f"In the order of a backward pass it goes wrong first at {unexplained[0]}."
    if engine.ended_early:
        yield f"The search ended after {BUDGET:g} s; {engine.tried} changes were tried."


def two_mistakes(
    first: Engine, claimed: Sequence[Array], precision: float, chosen: list[Any], left: set[int]
) -> tuple[list[Any], set[int]]:
    """One change made for good, and the rest searched again.

    Taken are changes that give some inputs' gradients as claimed, while inputs behind them are wrong in another way.
    """
    best = chosen, left
    done: set[Any] = set()
    for half in sorted(first.halves, key=lambda h: (-len(h.found.inputs), h.rank)):
        key = half.found.say, half.found.node
        if half.rank > 3.3 or key in done or len(done) >= 8:
            continue
        done.add(key)
        try:
            tape = first.tape.with_changes(**for_good(half.change, half.factor))
            second = Engine(tape, claimed, precision, time.thread_time() + BUDGET / 8)
            second.run(all_changes(second.scene))
        except ERRORS:
            continue
        more, rest = choose(second.found, second.judge.wrong)
        if len(rest) < len(best[1]):
            best = [(half.found, []), *more], rest
        if not rest:
            break
    return best


def for_good(change: Change, factor: float) -> dict[str, Any]:
    how = change.how
    if isinstance(how, Edges):
        return {"how": dict.fromkeys(how.edges, how.rule)}
    if isinstance(how, Leaps):
        return {"leaps": how.leaps}
    assert isinstance(how, Scaled)
    return {"how": dict.fromkeys(how.edges, scaling(factor))}


HINTS = {hypothesis.kind: hypothesis.hint for hypothesis in TABLE}


def finding_of(scene: Scene, found: Found, same: Sequence[Found] = ()) -> Finding:
    """A finding with its place, evidence and repair."""
    tape = scene.tape
    names = tuple(tape.names[k] for k in sorted(found.inputs))
    evidence = evidence_of([tape.true[k] for k in found.inputs], found.node is not None)
    node = found.node if found.node is not None else whole_place(scene, found)
    place = tape.places[node]
    formula, repair = formula_and_repair(scene, node, found.input) if found.node is not None else ("", "")
    say = found.say + in_call(scene, place)
    times = f" ({found.times} times)" if found.times > 1 and found.node is not None else ""
    return Finding(
        kind=found.kind,
        inputs=names,
        text=say.en.lstrip(", ") + times,
        text_zh=say.zh.lstrip(","),
        file=place.span.file,
        line=place.span.line,
        expression=place.text,
        formula=formula,
        repair=repair,
        same_numbers=tuple(finding_of(scene, other) for other in same[:4]),
        **words_of(
            evidence, HINTS.get(found.kind, ""), formula if found.kind == "derivative at the wrong place" else ""
        ),
    )


def words_of(evidence: Say, hint: str, formula: str = "") -> dict[str, Any]:
    """Evidence and hint in both languages; the formula, where there is one, is that of the function at hand."""
    more = f" {formula}." if formula else ""
    return {
        "evidence": evidence.en,
        "evidence_zh": evidence.zh,
        "hint": hint + more,
        "hint_zh": CHINESE.get(hint, hint) + more,
    }


def evidence_of(right: Sequence[Array], line: bool) -> Say:
    """At how many entries the numbers are the claimed ones; those that should be 0 tell nothing, and aren't counted."""
    entries, told = sum(map(np.size, right)), sum(map(np.count_nonzero, right))
    n = int(told or entries)
    some = (
        Say(" at all {n} entries that should not be 0", n=n) if 0 < told < entries else Say(" at all {n} entries", n=n)
    )
    how = some if n > 1 else Say("; with one entry, others may fit too")
    if line:
        return Say("a backward pass with this one change gives the claimed numbers{how}", how=how)
    return Say("this gives the claimed numbers{how}", how=how)


def in_call(scene: Scene, place: Place) -> Say:
    """The call that a helper's line was reached by, where there are several."""
    calls = {other.frames[1:] for other in scene.tape.places if other.frames[:1] == place.frames[:1]}
    if len(place.frames) < 2 or len(calls) < 2:
        return Say()
    span = span_of(*place.frames[1])
    return Say(", in the call `{call}` of line {line}", call=source_of(span), line=span.line)


def whole_place(scene: Scene, found: Found) -> int:
    """Where to look for what concerns gradients as a whole: the line that uses the input, or the last one."""
    uses = [i for k in found.inputs for i, _ in scene.tape.consumers[k]]
    return min(uses) if uses and len(found.inputs) == 1 else scene.tape.top
