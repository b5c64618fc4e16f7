"""A network's epoch as one printed function: rows in a loop, weights as local names, updates included.

The one thing to know: the function changes nothing outside itself; it returns the new weights. Where it can't go on (a
loss that isn't finite, a number out of Python's range) it raises, and the network runs the epoch itself. An error that
the network then meets is raised from that of the printed source: together they show both lines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_edu.backend import Backend
from tinygrad_edu.backward import gradients
from tinygrad_edu.compiler import runnable
from tinygrad_edu.compiler.comments import COMMENTS, with_comments
from tinygrad_edu.compiler.printer import Line, Printer, identifier
from tinygrad_edu.compiler.program import Program, Step, alive, program_of, reading_order
from tinygrad_edu.compiler.recording import names_of, watched
from tinygrad_edu.value import Value

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
    kept = [neuron_state(unit) for unit in units_of(network)]
    with watched() as owners:
        outputs = network.feed_forward(row if scalar else row[0])
        error = loss(outputs, target if scalar else target[0])
        slopes = gradients(error, parameters)
        new = update.rule(parameters, slopes, network.update_counts())
        true, printed = (mean_squared_error(outputs, x if scalar else x[0]) for x in (target, labels))
    for unit, (weighted_sum, activated) in zip(units_of(network), kept, strict=True):
        unit.weighted_sum, unit.activated = weighted_sum, activated
    values = [*row, *target, *labels, *parameters]
    error.name = "loss"
    roots = [value for cotangent, owner in owners.items() for value in (owner, cotangent)]
    results = [error, true, printed, *new]
    nodes = reading_order([*roots, *results], values)
    given = {v: v.name or "x" for v in values}
    names = names_of(given, nodes, owners)
    program = program_of(values, results, names, roots, hints_of(parameters, new, {*roots, *values}))
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
    printer.named -= {id(r) for r in program.results[1:3]}  # the errors may stand where they are added up
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


def assignable(program: Program, new: Sequence[Any], weights: Sequence[str]) -> dict[int, str]:
    """The new weights that may be assigned where they are computed: nothing written later reads the old one."""
    place = {id(step): i for i, step in enumerate(program.steps)}
    written_at = places_written(program)
    last_read: dict[int, int] = {}
    for step in program.steps:
        for x in step.inputs:
            while isinstance(x, Step) and x.shows is not None:  # who reads a view reads what it is a view of
                x = x.shows
            if isinstance(x, Step) and x.is_input:
                last_read[id(x)] = max(last_read.get(id(x), -1), written_at[id(step)])
    targets: dict[int, str] = {}
    for weight, old, step in zip(weights, program.inputs[-len(weights) :], new, strict=True):
        if id(step) in place and id(step) not in targets and last_read.get(id(old), -1) <= place[id(step)]:
            targets[id(step)] = weight
    return targets


def places_written(program: Program) -> dict[int, int]:
    """For each step the line that its expression may end up in: its own, or that of the last step that uses it."""
    found: dict[int, int] = {}
    users: dict[int, list[Step]] = {}
    for step in program.steps:
        for x in step.inputs:
            users.setdefault(id(x), []).append(step)
    for i in range(len(program.steps) - 1, -1, -1):
        step = program.steps[i]
        using = users.get(id(step), [])
        found[id(step)] = i if step.name or not using else max(found[id(user)] for user in using)
    return found


def sections(
    lines: Sequence[Line], program: Program, targets: Mapping[int, str], new: Sequence[Any]
) -> tuple[Sequence[Line], list[str], list[str]]:
    """The statements of forward and backward pass, of the errors and of the update: as they stand, only cut in three.

    The update begins behind the last step with a name of its own, or where the first weight gets its new value.
    """
    learning = {id(step) for step in alive(program.steps, [program.results[0], *new])}
    last = max((i for i, step in enumerate(program.steps) if step.name), default=-1)
    passes = learning & {id(step) for step in program.steps[: last + 1] if id(step) not in targets}
    kinds = ["pass" if id(s) in passes else "update" if id(s) in learning else "error" for _, s in lines]
    update = kinds.index("update") if "update" in kinds else len(kinds)
    error = kinds.index("error") if "error" in kinds[:update] else update
    return lines[:error], [line.text for line in lines[error:update]], [line.text for line in lines[update:]]


def unpacked(names: Sequence[str], scalar: bool) -> str:
    return f"({', '.join(names)}{',' if len(names) == 1 else ''})" if scalar else names[0]


def units_of(network: Network) -> list[Any]:
    """The neurons and dense layers, which remember what they last computed."""
    return [unit for layer in network.layers for unit in getattr(layer, "neurons", [layer])]


def neuron_state(unit: Any) -> tuple[Any, Any]:
    return unit.weighted_sum, unit.activated
