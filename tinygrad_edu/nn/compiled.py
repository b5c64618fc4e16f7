"""A network's epoch as one printed function: rows in a loop, weights as local names, updates included.

The one thing to know: the function changes nothing outside itself; it returns the new weights. Where it can't go on (a
loss that isn't finite, a number out of Python's range) it raises, and the network runs the epoch itself. An error that
the network then meets is raised from that of the printed source: together they show both lines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from tinygrad_edu.compiler.comments import COMMENTS, with_comments
from tinygrad_edu.compiler.compiled import Backend, runnable
from tinygrad_edu.compiler.printer import Line, Printer, identifier
from tinygrad_edu.compiler.program import Program, Step, alive, program_of, root_of
from tinygrad_edu.compiler.recording import names_of, roots_of, watched
from tinygrad_edu.core.value import Value
from tinygrad_edu.graph import forward_order, gradients
from tinygrad_edu.nn.layer import Layer

if TYPE_CHECKING:
    from tinygrad_edu.nn.history import History
    from tinygrad_edu.nn.network import Network

Metric: TypeAlias = Any
"""A function of outputs and targets that gives a number, which the history has by its name.

The figure of an epoch is the mean over rows; with an attribute `summed`, the sum. With a function `fixed` of all
targets, what that gives is a third argument.
"""


class Trainer:
    """Trains a network by printed source, as `Network.train(..., compiled=True)` does, and prints it once.

    It is recorded anew where the update has other settings than before, the loss is another, or a neuron was changed.
    """

    def __init__(self, network: Network, backend: Backend) -> None:
        self.network, self.backend = network, backend
        self.latest: tuple[Any, Epoch] | None = None

    @property
    def source(self) -> str:
        """The epoch that `train` ran last, or would run with its defaults."""
        printed = self.latest[1] if self.latest else self.network.printed_epoch(backend=self.backend)
        return printed.source

    def train(self, inputs: Any, targets: Any, epochs: int, **options: Any) -> History:
        """As `Network.train`, with its options."""
        return self.network.train(inputs, targets, epochs, **options, compiled=self)

    def printed(self, update: Any, loss: Callable[[Any, Any], Value], metrics: Sequence[Metric]) -> Epoch:
        """The printed epoch for an update, a loss and metrics, recorded where there is none yet."""
        units = self.network.units()
        forms = [p.shape for p in self.network.parameters()]
        settings = repr(getattr(update, "__dict__", update))
        key = (type(update), settings, loss, list(metrics), units, [unit.activation for unit in units], forms)
        if self.latest is None or self.latest[0] != key:
            self.latest = key, self.network.printed_epoch(update, loss, metrics, self.backend)
        return self.latest[1]


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
        self, epochs: int, rows: Any, targets: Any, fixed: Sequence[tuple[Any, ...]], weights: Sequence[Any]
    ) -> tuple[list[list[float]], Sequence[Any]]:
        """The metrics' sums in each epoch, and the weights at the end: fewer epochs where the network must run one."""
        sums: list[list[float]] = []
        self.stopped = None
        rows, targets, n = list(rows), list(targets), 1 + len(fixed)
        given = [x for found in fixed for x in found]
        with np.errstate(all="ignore"):
            try:
                for _ in range(epochs):
                    results = self.run(rows, targets, *given, *weights)
                    sums.append([float(x) for x in results[:n]])
                    weights = results[n:]
            except Exception as error:
                self.stopped = error
        return sums, weights


class MachineEpoch(Epoch):
    """A printed epoch as machine code, in which the loop over epochs runs too."""

    def __init__(self, run: Callable[..., Any], source: str, n_row: int, n_target: int) -> None:
        super().__init__(run, source)
        self.n_row, self.n_target = n_row, n_target

    def __call__(
        self, epochs: int, rows: Any, targets: Any, fixed: Sequence[tuple[Any, ...]], weights: Sequence[Any]
    ) -> tuple[list[list[float]], Sequence[Any]]:
        given = np.array(rows, float).reshape(-1, self.n_row), np.array(targets, float).reshape(-1, self.n_target)
        further = np.array([x for found in fixed for x in found]).reshape(-1, self.n_target)
        new, kept, done = np.array(weights), np.array(weights), np.zeros(1, int)
        sums, self.stopped = np.empty((epochs, 1 + len(fixed))), None
        try:
            self.run(epochs, *given, further, new, kept, sums, done)
        except Exception as error:
            self.stopped, new = error, kept
        return sums[: done[0]].tolist(), new.tolist()


def epoch_of(
    network: Network,
    update: Any,
    loss: Callable[[Any, Any], Value],
    metrics: Sequence[Metric] = (),
    language: str = "en",
    backend: Backend = "python",
) -> Epoch:
    """Record one row's forward pass, backward pass and update, and print them as an epoch.

    Raises:
        TypeError: The update has no `rule` (a pure function of data and gradients), or something in the network or the
            loss branches on data.
    """
    if not callable(getattr(update, "rule", None)):
        raise TypeError(f"an update that is compiled needs a rule, as SGD has, got {update!r}")
    scalar = all(isinstance(layer, Layer) for layer in network.layers)
    row = inputs_named("row", network.n_inputs, scalar)
    target = inputs_named("target", network.n_outputs, scalar)
    given = [
        inputs_named(metric.fixed_name, network.n_outputs, scalar) if hasattr(metric, "fixed") else []
        for metric in metrics
    ]
    parameters = network.parameters()
    kept = [neuron_state(unit) for unit in network.units()]
    with watched() as owners:
        outputs, goal = network.feed_forward(row if scalar else row[0]), target if scalar else target[0]
        error = loss(outputs, goal)
        slopes = gradients(error, parameters)
        new = update.rule(parameters, slopes, update.needs(network) if getattr(update, "needs", None) else None)
        figures = []
        for metric, x in zip(metrics, given, strict=True):
            figures.append(metric(outputs, goal, *([x if scalar else x[0]] if x else [])))
    for unit, (weighted_sum, activated) in zip(network.units(), kept, strict=True):
        unit.weighted_sum, unit.activated = weighted_sum, activated
    values = [*row, *target, *(x for further in given for x in further), *parameters]
    error.name = "loss"
    results = [error, *figures, *new]
    order = forward_order([*roots_of(owners), *results], values)
    names = names_of({v: v.name or "x" for v in values}, order, owners)
    hints = hints_of(parameters, new, {*roots_of(owners), *values})
    program = program_of(values, results, order, names, hints)
    named = [metric.__name__ for metric in metrics]
    parts = {"row": len(row), "target": len(target)}
    parts |= {metric.fixed_name: len(x) for metric, x in zip(metrics, given, strict=True) if x}
    made = printed_epoch(program, parts, named, scalar, COMMENTS[language])
    return in_machine_code(made, program, parts, len(parameters)) if backend == "numba" else made


def in_machine_code(epoch: Epoch, program: Program, parts: Mapping[str, int], n_weights: int) -> Epoch:
    """The epoch as machine code, where that gives the same bits."""
    from tinygrad_edu.compiler.machine import epochs_source, machine_code

    run = machine_code(program, "epochs", lambda: epochs_source(epoch.source, list(parts.values()), n_weights))
    return MachineEpoch(run, epoch.source, parts["row"], parts["target"]) if run else epoch


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
    program: Program, parts: Mapping[str, int], metrics: Sequence[str], scalar: bool, comments: dict[str, str]
) -> Epoch:
    """The loop around a recorded row.

    `parts` says which inputs the program's first ones are: a row, a target, and what metrics are given beside; the
    others are weights. Its results are the loss, the metrics and the new weights.
    """
    fixed = [f"{name}s" for name in list(parts)[2:]]
    metrics = ["loss_sum", *metrics]
    printer = Printer(program, ["epoch", "rows", "targets", "zip", *fixed, *metrics])
    program = printer.program
    names = [printer.operand(step).text for step in program.inputs]
    row, target, *further = (unpacked([names.pop(0) for _ in range(n)], scalar) for n in parts.values())
    weights, new = names, program.results[-len(names) :]
    targets = assignable(program, new, weights)
    added_up = program.results[: len(metrics)]
    printer.named -= {r for r in added_up[1:] if isinstance(r, Step)}  # which may stand where they are added
    passes, errors, updates = sections(printer.statements(targets), program, targets, new)
    assigned = [(w, printer.operand(x).text) for w, x in zip(weights, new, strict=True)]
    updates += [f"{w} = {x}" for w, x in assigned if w != x]
    loss = printer.operand(program.results[0]).text
    loop = [
        f"for {row}, {target} in zip(rows, targets):",
        *indented(with_comments(passes, comments)),
        f"    if {loss} - {loss} != 0.0:  # {comments['stop']}",
        '        raise OverflowError("the loss is not finite")',
        *([f"    # {comments['errors']}"] if len(metrics) > 1 else []),
        *indented(errors),
        *(f"    {name} += {printer.operand(x).text}" for name, x in zip(metrics, added_up, strict=True)),
        f"    # {comments['update']}",
        *indented(updates),
    ]
    in_place = [] if scalar else [w for w in weights if any(line.startswith(f"{w} -= ") for line in updates)]
    body = [
        f"def epoch({', '.join(['rows', 'targets', *fixed, *weights])}):",
        f"    {' = '.join(metrics)} = 0.0",
        *(f"    {names} = {given}" for names, given in zip(further, fixed, strict=True)),
        *([f"    # {comments['copies']}"] if in_place else []),
        *indented([f"{w} = {w}.copy()" for w in in_place]),
        *indented(loop),
        f"    return {', '.join([*metrics, *weights])}",
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
