"""A network's epoch as one printed function: rows in a loop, weights as local names, updates included.

The one thing to know: the function changes nothing outside itself; it returns the new weights. Where it can't go on (a
loss that isn't finite, a number out of Python's range) it raises, and the network runs the rows itself. An error that
the network then meets is raised from that of the printed source: together they show both lines.
"""

from __future__ import annotations

import keyword
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_edu.compiler.comments import COMMENTS, with_comments
from tinygrad_edu.compiler.compiled import Backend, runnable
from tinygrad_edu.compiler.printer import RESERVED, Line, Printer, identifier
from tinygrad_edu.compiler.program import Program, Step, alive, is_ours, root_of
from tinygrad_edu.compiler.recording import difference, program_seen, roots_of, trace_of, watched
from tinygrad_edu.compiler.surroundings import state_of_draws
from tinygrad_edu.compiler.traced import Recorder
from tinygrad_edu.core.operation import Operation
from tinygrad_edu.core.value import Value, data_of
from tinygrad_edu.graph import gradients
from tinygrad_edu.nn.checks import shown, valued
from tinygrad_edu.nn.further_layers import Conv2d, Dropout, dropping
from tinygrad_edu.nn.layer import Dense, Layer
from tinygrad_edu.nn.loss import Added, Loss, Penalty
from tinygrad_edu.nn.metric import metric_name
from tinygrad_edu.nn.neuron import Neuron
from tinygrad_edu.nn.update import takes_state
from tinygrad_edu.tree import leaves_of, mapped, rebuilt

if TYPE_CHECKING:
    from tinygrad_edu.nn.history import History
    from tinygrad_edu.nn.network import Network

AT_MOST = 0.2
"""Seconds that printed source runs before the network has the weights: so much is lost where it is interrupted."""


@dataclass(frozen=True)
class Form:
    """What an epoch's source depends on beside the network.

    Attributes:
        update, loss, metrics: What is applied to each row or batch.
        row, target: The shapes of one entry of the loop: a row or, with `rows`, so many of them.
        rows: How many rows an entry has; 0 where it is a row itself, and not a batch.
        scheduled: Whether each entry has a rate of its own.
        run: What the source is recorded for alone, where functions of the user's, which may read anything, are in it.
    """

    update: Any
    loss: Callable[[Any, Any], Any]
    metrics: Sequence[Any]
    row: tuple[int, ...]
    target: tuple[int, ...]
    rows: int = 0
    scheduled: bool = False
    run: Any = None


class Trainer:
    """Trains a network by printed source, as `Network.train(..., compiled=True)` does, and prints it once.

    It is recorded anew where the update has other settings than before, the loss is another, or a neuron was changed.
    """

    def __init__(self, network: Network, backend: Backend) -> None:
        self.network, self.backend = network, backend
        self.recordings = Recordings(backend)

    @property
    def source(self) -> str:
        """The epoch that `train` ran last, or would run with its defaults."""
        latest = self.recordings.latest
        return latest.source if latest else self.network.printed_epoch(backend=self.backend).source

    def __reduce__(self) -> Any:
        return type(self), (self.network, self.backend)  # a copy records anew

    def train(self, inputs: Any, targets: Any, epochs: int, **options: Any) -> History:
        """As `Network.train`, with its options."""
        return self.network.train(inputs, targets, epochs, **options, compiled=self)


class Recordings:
    """The printed epochs of a network, which it doesn't refer to: those of the library's parts are kept."""

    def __init__(self, backend: Backend = "python") -> None:
        self.backend: Backend = backend
        self.made: dict[Any, Epoch | None] = {}
        self.latest: Epoch | None = None

    def epoch(self, network: Network, form: Form, example: tuple[Any, Any]) -> Epoch | None:
        """The printed epoch of a form, recorded where there is none yet; None where arrays change their layout.

        `example` is a row or batch and its target.
        """
        key = key_of(network, form)
        if key not in self.made:
            if len(self.made) == 8:
                del self.made[next(iter(self.made))]
            self.made[key] = epoch_of(network, form, example, backend=self.backend)
        self.latest = self.made[key] or self.latest
        return self.made[key]

    def have(self, network: Network, form: Form) -> bool:
        """Whether an epoch of a form is there, so that running it costs no recording."""
        return bool(self.made) and self.made.get(key_of(network, form)) is not None


def layout_of(x: Any) -> Any:
    """How data lies in memory; None for a number."""
    return None if type(x) is float else (x.shape, x.dtype.char, x.strides)


def key_of(network: Network, form: Form) -> Any:
    """What an epoch is known by: all that its source depends on."""
    settings = {name: setting for name, setting in vars(form.update).items() if name not in ("rate", "kept")}
    layouts = tuple([layout_of(p._data) for p in network.parameters()])
    parts = parts_of(network)
    return (
        type(form.update),
        repr(settings),
        (loss_key(form.loss, network), *map(hashable, form.metrics)),
        (form.row, form.target, form.rows, form.scheduled),
        tuple(map(hashable, parts)),
        tuple([part.activation for part in parts if isinstance(part, (Neuron, Dense, Conv2d))]),
        tuple([part.__dict__["feed_forward"] for part in parts if "feed_forward" in getattr(part, "__dict__", ())]),
        tuple([settings_of(part) for part in parts if isinstance(part, (Conv2d, Dropout))]),
        layouts,
        form.run,
    )


def parts_of(network: Network) -> list[Any]:
    """All layers and neurons, those of networks that are layers too."""
    found = []
    for layer in network.layers:
        found.append(layer)
        if isinstance(layer, Layer):
            found += layer.neurons
        elif hasattr(layer, "_recordings"):  # a network
            found += parts_of(layer)
    return found


def settings_of(layer: Conv2d | Dropout) -> tuple[Any, ...]:
    """What its source depends on beside its activation."""
    return (layer.stride, layer.padding) if isinstance(layer, Conv2d) else (layer.rate, layer.seed)


def loss_key(loss: Any, network: Network) -> Any:
    """A loss, or what it is made of: a penalty refers to the network, which keeps this key."""
    function = loss.function if type(loss) is Loss else None
    if isinstance(function, Added):
        return loss_key(function.first, network), loss_key(function.second, network)
    if isinstance(function, Penalty):
        return Penalty, function.l2, function.l1, None if function.network is network else function.network
    return hashable(loss)


class Itself:
    """A key for what has no hash of its own, such as an instance of a dataclass: it alone."""

    def __init__(self, known: Any) -> None:
        self.known = known

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Itself) and other.known is self.known

    def __hash__(self) -> int:
        return id(self.known)


def hashable(part: Any) -> Any:
    return part if type(part).__hash__ is not None else Itself(part)


def is_plain(network: Network, update: Any, loss: Any, metrics: Sequence[Any]) -> bool:
    """Whether training runs code of this library only: pure functions, which may be run as printed.

    Classes say so by an attribute `plain` of their own, which a subclass doesn't inherit.
    """
    parts = [network, *parts_of(network)]
    return (
        all(map(says_plain, [*parts, update, loss, *metrics]))
        and not any("feed_forward" in vars(part) for part in parts if hasattr(part, "__dict__"))
        and all(says_plain(part.activation) for part in parts if hasattr(part, "activation"))
        and all(type(p._data) is float or p.dtype == np.float64 for p in network.parameters())
    )


def says_plain(part: Any) -> bool:
    if type(part) is Operation:
        return is_ours(part)
    return bool(part.plain) if "plain" in vars(type(part)) else bool(getattr(part, "__dict__", {}).get("plain"))


class Epoch:
    """The printed epoch of a network; see `epoch_of`.

    Attributes:
        source: Its source, which runs by itself when copied into a file.
        drops: The dropouts in it, in order, each with the shape of its mask.
        stopped: The error, if there was one, that stopped it when it was last called.
    """

    def __init__(self, run: Callable[..., Any], source: str) -> None:
        self.run, self.source = run, source
        self.drops: list[tuple[Dropout, tuple[int, ...]]] = []
        self.stopped: Exception | None = None

    def rows(
        self, entries: Sequence[Any], given: Sequence[Any], sums: Sequence[float], weights: Sequence[Any]
    ) -> tuple[list[float], Sequence[Any]] | None:
        """The sums and the weights after some rows; None where the network must run them."""
        self.stopped = None
        with np.errstate(all="ignore"):
            try:
                new_sums, new = self.run(*entries, *given, tuple(sums), *weights)
                return [float(x) for x in new_sums], new
            except Exception as error:
                self.stopped = error
        return None

    def epochs(
        self, epochs: int, rows: Any, targets: Any, given: Sequence[Any], n_sums: int, weights: Sequence[Any]
    ) -> tuple[list[Sequence[float]], Sequence[Any]]:
        """Whole epochs: the sums of each, and the weights: fewer where time is up or the network must run one."""
        found: list[Sequence[float]] = []
        zero, self.stopped = (0.0,) * n_sums, None
        end = perf_counter() + AT_MOST
        with np.errstate(all="ignore"):
            try:
                while not found or (len(found) < epochs and perf_counter() < end):
                    sums, weights = self.run(rows, targets, *given, zero, *weights)
                    found.append(sums)
            except Exception as error:
                self.stopped = error
        return found, weights


class MachineEpoch(Epoch):
    """A printed epoch of a scalar network as machine code, in which the loop over epochs runs too."""

    def __init__(self, run: Callable[..., Any], source: str, n_row: int, n_target: int) -> None:
        super().__init__(run, source)
        self.n_row, self.n_target, self.pace = n_row, n_target, 0.0

    def rows(
        self, entries: Sequence[Any], given: Sequence[Any], sums: Sequence[float], weights: Sequence[Any]
    ) -> tuple[list[float], Sequence[Any]] | None:
        found, new = self.some(1, entries[0], entries[1], given, sums, weights)
        return (found[0], new) if found else None

    def epochs(
        self, epochs: int, rows: Any, targets: Any, given: Sequence[Any], n_sums: int, weights: Sequence[Any]
    ) -> tuple[list[Sequence[float]], Sequence[Any]]:
        count = max(1, min(epochs, int(AT_MOST / self.pace) if self.pace else 1))
        start = perf_counter()
        found, new = self.some(count, rows, targets, given, [0.0] * n_sums, weights)
        if count > 1 or self.pace:
            self.pace = (perf_counter() - start) / count
        else:  # the first call compiles
            self.pace = AT_MOST / 8.0
        return found, new  # type: ignore[return-value]

    def some(
        self, count: int, rows: Any, targets: Any, given: Sequence[Any], sums: Sequence[float], weights: Sequence[Any]
    ) -> tuple[list[list[float]], Sequence[Any]]:
        *fixed, rate = given
        further = np.array(fixed, float).reshape(-1, self.n_target)
        entries = np.array(rows, float).reshape(-1, self.n_row), np.array(targets, float).reshape(-1, self.n_target)
        new, kept, done = np.array(weights), np.array(weights), np.zeros(1, int)
        found, self.stopped = np.empty((count, len(sums))), None
        try:
            self.run(count, *entries, further, rate, np.array(sums, float), new, kept, found, done)
        except Exception as error:
            self.stopped, new = error, kept
        return found[: done[0]].tolist(), new.tolist()


def epoch_of(
    network: Network,
    form: Form,
    example: tuple[Any, Any] | None = None,
    language: str = "en",
    backend: Backend = "python",
) -> Epoch | None:
    """Record one row's or batch's forward pass, backward pass and update, and print them as an epoch.

    None where an update gives a parameter another layout in memory, on which the last bit of a product may depend: the
    network then runs until layouts stay as they are.

    Raises:
        TypeError: The update has no rule of data, gradients, state and rate, or changes these; or something in the
            network or the loss branches on data, or does something else the second time.
    """
    update, plain = form.update, is_plain(network, form.update, form.loss, form.metrics)
    check_rule(update)
    parameters = network.parameters()
    given_row, given_target = example or (np.full(form.row, 0.25), np.full(form.target, 0.25))
    row = inputs_named("row", np.asarray(given_row), begins_with_neurons(network))
    target = inputs_named("target", np.asarray(given_target), ends_with_neurons(network) and not form.rows)
    fixed = [
        inputs_named(metric.fixed_name, np.full(network.n_outputs, 0.25), ends_with_neurons(network))
        if hasattr(metric, "fixed")
        else None
        for metric in form.metrics
    ]
    rate = Value(0.25, "rate")
    start = update.start([p._data for p in parameters])
    state = [valued(x, name) for x, name in zip(leaves_of(start), state_names(start, parameters), strict=True)]
    needed = [update.needs(network)] if getattr(update, "needs", None) else []
    if not plain:
        check_pure(update, parameters, start, needed)

    def once() -> tuple[Recorder, Masks, Any, Sequence[Any], Sequence[Any], Any]:
        masks = Masks()
        with as_they_were(network), watched() as recorder, dropping(masks):
            outputs = network.feed_forward(row)
            error = one_number(form.loss, form.loss(outputs, target))
            slopes = gradients(error, parameters)
            new, new_state = check_new(
                update, parameters, update.rule(parameters, slopes, rebuilt(start, iter(state)), rate, *needed)
            )
            totals = [error if mean_of_rows(form.loss) is False else times(error, form.rows)]
            for metric, x in zip(form.metrics, fixed, strict=True):
                totals.append(times(metric(outputs, target, *([] if x is None else [x])), form.rows))
        return recorder, masks, error, totals, new, new_state

    recorder, masks, error, totals, new, new_state = once()
    if not plain:
        check_same_again(recorder, lambda: once()[0])
    results = [*new, *leaves_of(new_state)]
    if len(results) != len(parameters) + len(state):
        raise TypeError(f"the rule of {type(update).__name__} gives a state of another form than it was given")
    if not all(map(same_layout, [*parameters, *state], results)):
        return None
    error.name = "loss"
    parts = {"row": row, "target": target} | ({"mask": masks.made} if masks.made else {})
    parts |= {metric.fixed_name: x for metric, x in zip(form.metrics, fixed, strict=True) if x is not None}
    values = [*(x for part in parts.values() for x in leaves_of(part)), rate, *parameters, *state]
    hints = hints_of(parameters, new, {*roots_of(recorder.owners), *values})
    program = program_seen(recorder, values, [error, *totals, *results], [*totals, error, *results], hints)
    made = printed_epoch(program, parts, total_names(form.metrics), form, COMMENTS[language])
    made.drops = masks.drops
    return (
        in_machine_code(made, program, parts, len(totals), len(results))
        if backend == "numba" and not form.rows and not form.scheduled
        else made
    )


class Masks:
    """The masks of a recording: Values, in the order in which dropouts ask for them."""

    def __init__(self) -> None:
        self.made: list[Value] = []
        self.drops: list[tuple[Dropout, tuple[int, ...]]] = []

    def __call__(self, layer: Dropout, shape: tuple[int, ...]) -> Value:
        self.drops.append((layer, shape))
        self.made.append(Value(np.ones(shape), f"mask_{len(self.made)}"))
        return self.made[-1]


def check_same_again(first: Recorder, again: Callable[[], Recorder]) -> None:
    """Raise TypeError where functions of the user's do something else when they run once more, as draws make them."""
    drawn, trace = state_of_draws(), trace_of(first)
    second = again()
    same = difference(trace, trace_of(second)) is None and state_of_draws() == drawn
    second.let_go()
    if not same:
        raise TypeError(
            "while compiling, a layer, the loss, a metric or the update didn't do the same when it ran twice on the "
            "same rows: what it draws at random, counts or reads from a clock would be recorded for one case. Use "
            "tg.nn.Dropout, or compiled=False"
        )


def check_pure(update: Any, parameters: Sequence[Value], start: Any, needed: Sequence[Any]) -> None:
    """Raise TypeError where a rule changes arrays that it is given, which printed source wouldn't do."""
    data, state = [np.array(p._data) if p.ndim else p._data for p in parameters], deepcopy(start)
    slopes = [np.ones_like(x) if p.ndim else 1.0 for p, x in zip(parameters, data, strict=True)]
    given = [x for x in (*data, *slopes, *leaves_of(state)) if isinstance(x, np.ndarray)]
    before = [x.copy() for x in given]
    with np.errstate(all="ignore"):
        update.rule(data, slopes, state, 0.25, *needed)
    if not all(np.array_equal(x, y, equal_nan=True) for x, y in zip(given, before, strict=True)):
        raise TypeError(
            f"the rule of {type(update).__name__} changes arrays in place, which can't be compiled: give new ones, as "
            "x = x - step, not x -= step"
        )


def check_new(update: Any, parameters: Sequence[Value], found: Any) -> tuple[Sequence[Any], Any]:
    """New data and new state. Raises TypeError where a rule gives something else than data like the old."""
    if not isinstance(found, (tuple, list)) or len(found) != 2:
        raise TypeError(f"the rule of {type(update).__name__} must give new data and new state, got {shown(found)}")
    new, state = found
    shapes = [np.shape(data_of(x)) for x in new] if isinstance(new, (tuple, list)) else None
    if shapes != (wanted := [p.shape for p in parameters]):
        raise TypeError(f"the rule of {type(update).__name__} must give data of shapes {wanted}, got {shapes}")
    return new, state


def begins_with_neurons(network: Network) -> bool:
    """Whether rows come to neurons first, which take lists of floats."""
    first = network.layers[0]
    return isinstance(first, Layer) or (hasattr(first, "_recordings") and begins_with_neurons(first))


def ends_with_neurons(network: Network) -> bool:
    """Whether a row's outputs are a list of numbers."""
    last = network.layers[-1]
    return isinstance(last, Layer) or (hasattr(last, "_recordings") and ends_with_neurons(last))


def total_names(metrics: Sequence[Any]) -> list[str]:
    """What the source calls the sums of loss and metrics."""
    names = ["loss_sum"]
    for metric in metrics:
        name = identifier(metric_name(metric))
        names.append(f"{name}_{len(names)}" if keyword.iskeyword(name) or name in (*names, *RESERVED) else name)
    return names


def check_rule(update: Any) -> None:
    if not takes_state(update):
        raise TypeError(
            "an update that is compiled needs a rule(data, gradients, state, rate) that gives new data and new state, "
            f"and a start(data) that gives the first state, as tg.nn.SGD has; got {update!r}"
        )


def mean_of_rows(loss: Any) -> bool | None:
    """Whether a batch's loss is the mean of its rows' losses; False where it is a sum, None where it won't say."""
    otherwise = False if getattr(loss, "sums_rows", False) else None
    return {"mean": True, "sum": False}.get(getattr(loss, "over_rows", ""), otherwise)


def one_number(loss: Any, error: Any) -> Any:
    """What a loss gave. Raises TypeError where it isn't one number, made of the outputs."""
    if not isinstance(error, Value) or error.ndim:
        what = f"shape {error.shape}" if isinstance(error, Value) else shown(error)
        raise TypeError(f"{metric_name(loss)} must give one number, a Value made of the outputs, got {what}")
    return error


def times(mean: Any, rows: int) -> Any:
    """A mean over rows as their sum."""
    return mean * float(rows) if rows else mean


def same_layout(old: Value, new: Any) -> bool:
    """Whether new data will lie in memory as the old does."""
    before: Any = old._data
    after: Any = new._data if isinstance(new, Value) else new
    return bool(layout_of(before) == layout_of(after))


def state_names(state: Any, parameters: Sequence[Value]) -> list[str]:
    """Names for the leaves of an update's state: a list with one for each parameter is named after these."""

    def is_each(part: Any) -> bool:
        return isinstance(part, (list, tuple)) and len(part) == len(parameters) and leaves_of(part) == list(part)

    if is_each(state):
        state = [state]
    names: list[str] = []
    for i, part in enumerate(state if isinstance(state, (list, tuple)) else [state]):
        each = is_each(part)
        owners = [f"_{identifier(p.name or '')}" for p in parameters] if each else [""] * len(leaves_of(part))
        names += [f"state_{i}{owner}" for owner in owners]
    return names


def in_machine_code(epoch: Epoch, program: Program, parts: Mapping[str, Any], n_sums: int, n_weights: int) -> Epoch:
    """The epoch as machine code, where that gives the same bits."""
    from tinygrad_edu.compiler.machine import epochs_source, machine_code

    sizes = [len(leaves_of(part)) for part in parts.values()]
    run = machine_code(program, "epochs", lambda: epochs_source(epoch.source, sizes, n_sums, n_weights))
    return MachineEpoch(run, epoch.source, sizes[0], sizes[1]) if run else epoch


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


def inputs_named(name: str, data: Any, scalar: bool) -> Any:
    """A row as nested lists of numbers, each a Value, or as one Value."""
    if not scalar or not np.ndim(data):
        return Value(float(data) if scalar else data, name)
    return [inputs_named(f"{name}_{i}", part, scalar) for i, part in enumerate(data)]


def printed_epoch(
    program: Program, parts: Mapping[str, Any], totals: Sequence[str], form: Form, comments: dict[str, str]
) -> Epoch:
    """The loop around a recorded row.

    `parts` are the program's first inputs: a row, a target, and what metrics are given beside; then come the rate and
    the weights. Its results are the loss, the totals, and the new weights.
    """
    looped = [f"{name}s" for name in parts if name in ("row", "target", "mask")]
    fixed = [f"{name}s" for name in list(parts)[len(looped) :]]
    printer = Printer(program, ["epoch", "rates", "sums", "zip", *looped, *fixed, *totals])
    program = printer.program
    names = [printer.operand(step).text for step in program.inputs]
    written = [unpacked(mapped(lambda _: names.pop(0), part)) for part in parts.values()]
    entry, further = written[: len(looped)], written[len(looped) :]
    rate, *weights = names
    new = program.results[-len(weights) :]
    targets = assignable(program, new, weights)
    added_up = program.results[1 : 1 + len(totals)]
    printer.named -= {r for r in added_up if isinstance(r, Step) and r is not program.results[0]}  # may stand in a sum
    passes, errors, updates = sections(printer.statements(targets), program, targets, new)
    assigned = [(w, printer.operand(x).text) for w, x in zip(weights, new, strict=True)]
    updates += assignments([(w, x) for w, x in assigned if w != x])
    if form.scheduled:
        looped, entry = [*looped, "rates"], [*entry, rate]
    loop = [
        f"for {', '.join(entry)} in zip({', '.join(looped)}):",
        *indented(with_comments(passes, comments)),
        *([f"    # {comments['errors']}"] if len(totals) > 1 else []),
        *indented(errors),
        *(f"    {name} += {as_float(printer, x)}" for name, x in zip(totals, added_up, strict=True)),
        f"    # {comments['update']}",
        *indented(updates),
    ]
    in_place = [
        w
        for w, step in zip(weights, program.inputs[-len(weights) :], strict=True)
        if not step.scalar and any(line.startswith(f"{w} -= ") for line in updates)
    ]
    body = [
        f"def epoch({', '.join([*looped, *fixed, *([] if form.scheduled else [rate]), 'sums', *weights])}):",
        f"    {unpacked(totals)} = sums",
        *(f"    {names} = {given}" for names, given in zip(further, fixed, strict=True)),
        *([f"    # {comments['copies']}"] if in_place else []),
        *indented([f"{w} = {w}.copy()" for w in in_place]),
        *indented(loop),
        f"    if {totals[0]} - {totals[0]} != 0.0:  # {comments['stop']}",
        '        raise OverflowError("the loss is not finite")',
        f"    return {unpacked(totals)}, {unpacked(weights)}",
    ]
    return Epoch(*runnable(printer, body, "epoch"))


def assignments(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Assignments, at once where one reads what another changes."""
    changed = {name for name, _ in pairs}
    if any(x in changed for _, x in pairs):
        return [f"{', '.join(name for name, _ in pairs)} = {', '.join(x for _, x in pairs)}"]
    return [f"{name} = {x}" for name, x in pairs]


def as_float(printer: Printer, x: Any) -> str:
    """A number that is added to a sum: of single precision as a float, in which the eager run adds up."""
    text = printer.operand(x).text
    single = isinstance(x, Step) and not x.scalar and getattr(x.data, "dtype", None) == np.float32
    return f"float({text})" if single else text


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


def unpacked(names: Any) -> str:
    """Names in parentheses, as deep as they are nested."""
    if isinstance(names, str):
        return names
    return f"({', '.join(map(unpacked, names))}{',' if len(names) == 1 else ''})"


@contextmanager
def as_they_were(network: Network) -> Iterator[None]:
    """Neurons show afterwards what they showed before; an error says that it came while a run was recorded."""
    kept = [(unit, unit.weighted_sum, unit.activated) for unit in network.units()]
    try:
        yield
    except TypeError as error:
        error.add_note("This came while training was recorded as source; compiled=False trains without.")
        raise
    finally:
        for unit, weighted_sum, activated in kept:
            unit.weighted_sum, unit.activated = weighted_sum, activated
