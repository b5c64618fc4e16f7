"""A network's epoch as one printed function: rows in a loop, weights as local names, updates included.

The one thing to know: the function changes nothing outside itself; it returns the new weights. Where it can't go on (a
loss that isn't finite, a number out of Python's range) it returns None, and the network runs the epoch itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_edu.backward import gradients
from tinygrad_edu.compiler import OUT_OF_PYTHONS_RANGE, executed, heading
from tinygrad_edu.compiler.printer import Printer
from tinygrad_edu.compiler.program import Program, Step, alive, program_of, reading_order
from tinygrad_edu.compiler.recording import names_of, watched
from tinygrad_edu.value import Value

if TYPE_CHECKING:
    from tinygrad_edu.nn import Network

COMMENTS = {
    "en": {
        "forward": "forward: layer {0}",
        "backward": "backward: derivatives of the loss, d_sum being the deltas",
        "update": "update",
        "errors": "errors, of the outputs before the update",
        "stop": "a loss that isn't finite: the caller takes over",
    },
    "zh": {
        "forward": "前向：第 {0} 层",
        "backward": "反向：损失的导数，d_sum 就是 delta",
        "update": "更新",
        "errors": "误差，用更新前的输出计算",
        "stop": "损失不是有限数：由调用者接手",
    },
}


class Epoch:
    """The printed epoch of a network; see `epoch_of`.

    Attributes:
        source: Its source, which runs by itself when copied into a file.
    """

    def __init__(self, run: Callable[..., Any], source: str) -> None:
        self.run, self.source = run, source

    def __call__(self, rows: Any, goals: Any, labels: Any, weights: Sequence[Any]) -> Any:
        """True error sum, printed error sum, and the new weights; None where the network must run the epoch itself."""
        try:
            with np.errstate(all="ignore"):
                return self.run(rows, goals, labels, *weights)
        except OUT_OF_PYTHONS_RANGE:
            return None


def epoch_of(network: Network, update: Any, loss: Callable[[Any, Any], Value], language: str = "en") -> Epoch:
    """Record one row's forward pass, backward pass and update, and print them as an epoch.

    Raises:
        TypeError: The update has no `rule` (a pure function of data and gradients), or something in the network or the
            loss branches on data.
    """
    from tinygrad_edu.nn import Layer

    if not callable(getattr(update, "rule", None)):
        raise TypeError(f"an update that is compiled needs a rule, as SGD has, got {update!r}")
    scalar = all(isinstance(layer, Layer) for layer in network.layers)
    row = inputs_named("row", network.n_inputs, scalar)
    target = inputs_named("target", network.n_outputs, scalar)
    parameters = network.parameters()
    kept = [neuron_state(unit) for unit in units_of(network)]
    with watched() as owners:
        outputs = network.feed_forward(row if scalar else row[0])
        error = loss(outputs, target if scalar else target[0])
        slopes = gradients(error, parameters)
        new = update.rule(parameters, slopes, network.update_counts())
    for unit, (weighted_sum, activated) in zip(units_of(network), kept, strict=True):
        unit.weighted_sum, unit.activated = weighted_sum, activated
    values = [*row, *target, *parameters]
    error.name = "loss"
    results = [error, *(outputs if scalar else [outputs]), *new]
    nodes = reading_order([r for r in results if isinstance(r, Value)], values)
    given = {v: v.name or "x" for v in values}
    program = program_of(values, results, names_of(given, nodes, owners), first=[error, *slopes])
    return printed(program, len(row), len(target), len(parameters), scalar, COMMENTS[language])


def inputs_named(name: str, n: int, scalar: bool) -> list[Value]:
    """The numbers of a row as Values, or the whole row as one."""
    return [Value(0.25, f"{name}_{i}") for i in range(n)] if scalar else [Value(np.full(n, 0.25), name)]


def printed(
    program: Program, n_row: int, n_target: int, n_weights: int, scalar: bool, comments: dict[str, str]
) -> Epoch:
    """The loop around a recorded row."""
    reserved = ["epoch", "rows", "targets", "labels", "true", "printed", "mean_square", "zip"]
    printer = Printer(program, reserved)
    names = [printer.names[id(step)] for step in program.inputs]
    row, target, weights = names[:n_row], names[n_row : n_row + n_target], names[n_row + n_target :]
    results, new = program.results[:-n_weights], program.results[-n_weights:]
    in_place = assignable(program, new, weights)
    statements = printer.statements(in_place)
    before = {id(step) for step in alive(program.steps, results)} | backward_steps(program, in_place)
    lines = with_comments([pair for pair in statements if id(pair[1]) in before], comments)
    updates = [line for line, step in statements if id(step) not in before]
    loss, *outputs = [printer.operand(r).text for r in results]
    moves = [f"{w} = {printer.operand(x).text}" for w, x in zip(weights, new, strict=True)]
    labels = [f"labels[{k}]" for k in range(n_target)] if scalar else ["labels"]
    loop = [
        f"for {unpacked(row, scalar)}, {unpacked(target, scalar)} in zip(rows, targets):",
        *(f"    {line}" for line in lines),
        f"    if {loss} - {loss} != 0.0:  # {comments['stop']}",
        "        return None",
        f"    # {comments['errors']}",
        f"    true += {mean_square(outputs, target, scalar)}",
        f"    printed += {mean_square(outputs, labels, scalar)}",
        f"    # {comments['update']}",
        *(f"    {line}" for line in [*updates, *(m for m in moves if m.split(" = ")[0] != m.split(" = ")[1])]),
    ]
    if not scalar:
        from tinygrad_edu.nn.network import mean_square_of

        printer.constants["mean_square"] = mean_square_of
    body = [
        f"def epoch(rows, targets, labels, {', '.join(weights)}):",
        "    true = printed = 0.0",
        *(f"    {line}" for line in loop),
        f"    return true, printed, {', '.join(weights)}",
    ]
    source = "\n".join([*heading(printer), *body]) + "\n"
    return Epoch(executed(source, "epoch", printer.constants), source)


def assignable(program: Program, new: Sequence[Any], weights: Sequence[str]) -> dict[int, str]:
    """The new weights that may be assigned where they are computed: nothing written later reads the old one."""
    place = {id(step): i for i, step in enumerate(program.steps)}
    written_at = places_written(program)
    last_read: dict[int, int] = {}
    for step in program.steps:
        for x in step.inputs:
            if isinstance(x, Step) and x.operation is None:
                last_read[id(x)] = max(last_read.get(id(x), -1), written_at[id(step)])
    targets: dict[int, str] = {}
    for weight, old, step in zip(weights, program.inputs[-len(weights) :], new, strict=True):
        if id(step) in place and id(step) not in targets and last_read.get(id(old), -1) <= place[id(step)]:
            targets[id(step)] = weight
    return targets


def places_written(program: Program) -> dict[int, int]:
    """For each step the line that its expression may end up in: its own, or that of the only step that uses it."""
    users: dict[int, list[Step]] = {}
    for step in program.steps:
        for x in step.inputs:
            users.setdefault(id(x), []).append(step)
    found: dict[int, int] = {}
    for i in range(len(program.steps) - 1, -1, -1):
        step = program.steps[i]
        using = users.get(id(step), [])
        found[id(step)] = found[id(using[0])] if len(using) == 1 and not step.name else i
    return found


def backward_steps(program: Program, targets: dict[int, str]) -> set[int]:
    """The steps of forward and backward pass: all up to the last that has a name of its own."""
    last = max((i for i, step in enumerate(program.steps) if step.name), default=-1)
    return {id(step) for step in program.steps[: last + 1] if id(step) not in targets}


def unpacked(names: Sequence[str], scalar: bool) -> str:
    return f"({', '.join(names)}{',' if len(names) == 1 else ''})" if scalar else names[0]


def mean_square(outputs: Sequence[str], expected: Sequence[str], scalar: bool) -> str:
    """The mean squared error of a row, in the order in which the network itself adds it up."""
    if not scalar:
        return f"mean_square({outputs[0]}, {expected[0]})"
    squares = " + ".join(f"({o} - {t}) ** 2" for o, t in zip(outputs, expected, strict=True))
    return f"({squares}) / {len(outputs)}"


def with_comments(statements: Sequence[tuple[str, Any]], comments: dict[str, str]) -> list[str]:
    """The statements, with a comment where a layer's forward pass begins, and where the backward pass does."""
    lines: list[str] = []
    layer, backward = "", False
    for line, step in statements:
        group = step.origin.group if step.origin is not None else ()
        place = next((part[7:-1] for part in group if part.startswith("layers[")), "")
        if place and place != layer and not backward:
            lines.append(f"# {comments['forward'].format(place)}")
            layer = place
        if step.name.startswith("d_") and not backward:
            lines.append(f"# {comments['backward']}")
            backward = True
        lines.append(line)
    return lines


def units_of(network: Network) -> list[Any]:
    """The neurons and dense layers, which remember what they last computed."""
    return [unit for layer in network.layers for unit in getattr(layer, "neurons", [layer])]


def neuron_state(unit: Any) -> tuple[Any, Any]:
    return unit.weighted_sum, unit.activated
