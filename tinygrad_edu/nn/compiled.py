"""A network's epoch as one printed function: rows in a loop, weights as local names, updates included.

The one thing to know: the function changes nothing outside itself; it returns the new weights. Where it can't go on (a
loss that isn't finite, a number out of Python's range) it raises, and the network runs the epoch itself. An error that
the network then meets is raised from that of the printed source: together they show both lines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_edu.compiler.comments import COMMENTS, with_comments
from tinygrad_edu.compiler.compiled import Backend, runnable
from tinygrad_edu.compiler.printer import Line, Printer, identifier
from tinygrad_edu.compiler.program import Program, Step, alive, program_of, reading_order, root_of
from tinygrad_edu.compiler.recording import names_of, roots_of, watched
from tinygrad_edu.core.backward import gradients
from tinygrad_edu.core.value import Value

if TYPE_CHECKING:
    from tinygrad_edu.nn import Network

Errors = tuple[list[float], list[float]]
"""For each epoch the sum over rows of the true error, and of the one that the article prints."""


class Epoch:
    """The printed epoch of a network; see `epoch_of`.

    Attributes:
        source: Its source, which runs by itself when copied into a file.
        stopped: The error, if there was one, that stopped it when it was last called.
    """

    def __init__(self, run: Callable[..., Any], source: str) -> None:
        self.run, self.source = run, source
        self.stopped: Exception | None = None

    def __call__(
        self, epochs: int, rows: Any, targets: Any, labels: Any, weights: Sequence[Any]
    ) -> tuple[Errors, Sequence[Any]]:
        """The errors of the epochs, and the weights after them: fewer epochs where the network must run one itself."""
        all_true, all_printed, self.stopped = [], [], None
        rows, targets = list(rows), list(targets)
        with np.errstate(all="ignore"):
            try:
                for _ in range(epochs):
                    true, printed, *weights = self.run(rows, targets, labels, *weights)
                    all_true.append(float(true))
                    all_printed.append(float(printed))
            except Exception as error:
                self.stopped = error
        return (all_true, all_printed), weights


class MachineEpoch(Epoch):
    """The same as machine code, in which the loop over epochs runs too."""

    def __init__(self, run: Callable[..., Any], source: str, n_row: int, n_target: int) -> None:
        super().__init__(run, source)
        self.n_row, self.n_target = n_row, n_target

    def __call__(
        self, epochs: int, rows: Any, targets: Any, labels: Any, weights: Sequence[Any]
    ) -> tuple[Errors, Sequence[Any]]:
        given = np.array(rows, float).reshape(-1, self.n_row), np.array(targets, float).reshape(-1, self.n_target)
        new, kept, done = np.array(weights), np.array(weights), np.zeros(1, int)
        true, printed, self.stopped = np.empty(epochs), np.empty(epochs), None
        try:
            self.run(epochs, *given, np.array(labels), new, kept, true, printed, done)
        except Exception as error:
            self.stopped, new = error, kept
        return (true[: done[0]].tolist(), printed[: done[0]].tolist()), new.tolist()


def epoch_of(
    network: Network,
    update: Any,
    loss: Callable[[Any, Any], Value],
    language: str = "en",
    backend: Backend = "python",
) -> Epoch:
    """Record one row's forward pass, backward pass and update, and print them as an epoch.

    Raises:
        TypeError: The update has no `rule` (a pure function of data and gradients), or something in the network or the
            loss branches on data.
    """
    from tinygrad_edu.nn import Layer, mean_squared_error

    if not callable(getattr(update, "rule", None)):
        raise TypeError(f"an update that is compiled needs a rule, as SGD has, got {update!r}")
    scalar = all(isinstance(layer, Layer) for layer in network.layers)
    row = inputs_named("row", network.n_inputs, scalar)
    target = inputs_named("target", network.n_outputs, scalar)
    labels = inputs_named("label", network.n_outputs, scalar)
    parameters = network.parameters()
    kept = [neuron_state(unit) for unit in network.units()]
    with watched() as owners:
        outputs = network.feed_forward(row if scalar else row[0])
        error = loss(outputs, target if scalar else target[0])
        slopes = gradients(error, parameters)
        new = update.rule(parameters, slopes, network.update_counts())
        true, printed = (mean_squared_error(outputs, x if scalar else x[0]) for x in (target, labels))
    for unit, (weighted_sum, activated) in zip(network.units(), kept, strict=True):
        unit.weighted_sum, unit.activated = weighted_sum, activated
    values = [*row, *target, *labels, *parameters]
    error.name = "loss"
    results = [error, true, printed, *new]
    order = reading_order([*roots_of(owners), *results], values)
    names = names_of({v: v.name or "x" for v in values}, order, owners)
    hints = hints_of(parameters, new, {*roots_of(owners), *values})
    program = program_of(values, results, order, names, hints)
    made = printed_epoch(program, len(row), len(target), len(parameters), scalar, COMMENTS[language])
    return in_machine_code(made, program, len(row), len(target)) if backend == "numba" else made


def in_machine_code(epoch: Epoch, program: Program, n_row: int, n_target: int) -> Epoch:
    """The epoch as machine code, where that gives the same bits."""
    from tinygrad_edu.compiler.machine import epochs_source, machine_code

    run = machine_code(program, "epochs", lambda: epochs_source(epoch.source, n_row, n_target))
    return MachineEpoch(run, epoch.source, n_row, n_target) if run else epoch


def hints_of(parameters: Sequence[Value], new: Sequence[Any], known: set[Value]) -> dict[Value, str]:
    """Names for what an update computes on the way to a parameter's new data."""
    hints: dict[Value, str] = {}
    for p, result in zip(parameters, new, strict=True):
        stack = [result]
        while stack:
            node = stack.pop()
            if isinstance(node, Value) and node not in known and node not in hints:
                hints[node] = f"step_{identifier(p.name or '')}"
                stack += node.parents
    return hints


def inputs_named(name: str, n: int, scalar: bool) -> list[Value]:
    """The numbers of a row as Values, or the whole row as one."""
    return [Value(0.25, f"{name}_{i}") for i in range(n)] if scalar else [Value(np.full(n, 0.25), name)]


def printed_epoch(
    program: Program, n_row: int, n_target: int, n_weights: int, scalar: bool, comments: dict[str, str]
) -> Epoch:
    """The loop around a recorded row."""
    printer = Printer(program, ["epoch", "rows", "targets", "labels", "true", "printed", "zip"])
    program = printer.program
    names = [printer.operand(step).text for step in program.inputs]
    row, target, labels = names[:n_row], names[n_row : n_row + n_target], names[n_row + n_target : n_row + 2 * n_target]
    weights, new = names[-n_weights:], program.results[-n_weights:]
    targets = assignable(program, new, weights)
    added_up = {r for r in program.results[1:3] if isinstance(r, Step)}
    printer.named -= added_up  # which may stand where they are added
    passes, errors, updates = sections(printer.statements(targets), program, targets, new)
    assigned = [(w, printer.operand(x).text) for w, x in zip(weights, new, strict=True)]
    updates += [f"{w} = {x}" for w, x in assigned if w != x]
    loss, true, printed = (printer.operand(r).text for r in program.results[:3])
    loop = [
        f"for {unpacked(row, scalar)}, {unpacked(target, scalar)} in zip(rows, targets):",
        *indented(with_comments(passes, comments)),
        f"    if {loss} - {loss} != 0.0:  # {comments['stop']}",
        '        raise OverflowError("the loss is not finite")',
        f"    # {comments['errors']}",
        *indented(errors),
        f"    true += {true}",
        f"    printed += {printed}",
        f"    # {comments['update']}",
        *indented(updates),
    ]
    in_place = [] if scalar else [w for w in weights if any(line.startswith(f"{w} -= ") for line in updates)]
    body = [
        f"def epoch(rows, targets, {'labels' if scalar else labels[0]}, {', '.join(weights)}):",
        "    true = printed = 0.0",
        *([f"    {unpacked(labels, scalar)} = labels"] if scalar else []),
        *([f"    # {comments['copies']}"] if in_place else []),
        *indented([f"{w} = {w}.copy()" for w in in_place]),
        *indented(loop),
        f"    return true, printed, {', '.join(weights)}",
    ]
    return Epoch(*runnable(printer, body, "epoch"))


def indented(lines: Sequence[str]) -> list[str]:
    return [f"    {line}" for line in lines]


def assignable(program: Program, new: Sequence[Any], weights: Sequence[str]) -> dict[Step, str]:
    """The new weights that may be assigned where they are computed: nothing written later reads the old one."""
    place = {step: i for i, step in enumerate(program.steps)}
    written_at = places_written(program)
    last_read: dict[Step, int] = {}
    for step in program.steps:
        for x in step.inputs:
            if isinstance(x, Step):  # who reads a view reads what it is a view of
                last_read[root_of(x)] = max(last_read.get(root_of(x), -1), written_at[step])
    targets: dict[Step, str] = {}
    for weight, old, step in zip(weights, program.inputs[-len(weights) :], new, strict=True):
        if isinstance(step, Step) and step in place and step not in targets and last_read.get(old, -1) <= place[step]:
            targets[step] = weight
    return targets


def places_written(program: Program) -> dict[Step, int]:
    """For each step the line that its expression may end up in: its own, or that of the last step that uses it."""
    found: dict[Step, int] = {}
    users: dict[Step, list[Step]] = {}
    for step in program.steps:
        for x in step.inputs:
            if isinstance(x, Step):
                users.setdefault(x, []).append(step)
    for i in range(len(program.steps) - 1, -1, -1):
        step = program.steps[i]
        using = users.get(step, [])
        found[step] = i if step.name or not using else max(found[user] for user in using)
    return found


def sections(
    lines: Sequence[Line], program: Program, targets: Mapping[Step, str], new: Sequence[Any]
) -> tuple[Sequence[Line], list[str], list[str]]:
    """The statements of forward and backward pass, of the errors and of the update: as they stand, only cut in three.

    The update begins behind the last step with a name of its own, or where the first weight gets its new value.
    """
    learning = set(alive(program.steps, [program.results[0], *new]))
    last = max((i for i, step in enumerate(program.steps) if step.name), default=-1)
    passes = learning & {step for step in program.steps[: last + 1] if step not in targets}
    kinds = ["pass" if s in passes else "update" if s in learning else "error" for _, s in lines]
    update = kinds.index("update") if "update" in kinds else len(kinds)
    error = kinds.index("error") if "error" in kinds[:update] else update
    return lines[:error], [line.text for line in lines[error:update]], [line.text for line in lines[update:]]


def unpacked(names: Sequence[str], scalar: bool) -> str:
    return f"({', '.join(names)}{',' if len(names) == 1 else ''})" if scalar else names[0]


def neuron_state(unit: Any) -> tuple[Any, Any]:
    return unit.weighted_sum, unit.activated
