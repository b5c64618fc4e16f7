"""Training: rows or batches in order, one update after each, run by the network itself or by its printed epoch.

The one thing to know: everything the caller gives is checked before the first weight changes.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextvars import copy_context
from copy import deepcopy
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_edu.compiler.compiled import Backend, set_first_cause
from tinygrad_edu.compiler.machine import installed
from tinygrad_edu.core.context import current, no_grad
from tinygrad_edu.core.data import Array
from tinygrad_edu.core.value import Operand, Value, data_of
from tinygrad_edu.nn.checks import check_loss, check_parameters, check_update, shown, tell_of_unlisted
from tinygrad_edu.nn.compiled import (
    AT_MOST,
    Epoch,
    Form,
    Recordings,
    Trainer,
    begins_with_neurons,
    check_new,
    check_rule,
    ends_with_neurons,
    is_plain,
    key_of,
    mean_of_rows,
    says_plain,
    times,
)
from tinygrad_edu.nn.data import are_numbers, check_count, check_data, check_outputs
from tinygrad_edu.nn.further_layers import Draws, drawing, masks_at
from tinygrad_edu.nn.history import History, Progress
from tinygrad_edu.nn.layer import Layer
from tinygrad_edu.nn.loss import half_squared_error, mean_squared_error, squared_error_in
from tinygrad_edu.nn.metric import Accuracy, Metric, fixed_of, listed, metric_name, metrics_of
from tinygrad_edu.nn.progress import bar
from tinygrad_edu.nn.shards import (
    ROWS,
    Part,
    Shard,
    added_up,
    blocks,
    by_workers,
    check_sent,
    is_mean_or_sum,
    one_thread,
    shard_of,
    unknown_layer,
    weighed,
)
from tinygrad_edu.nn.update import SGD, Update, assign, rate_at, slopes_of, takes_second, takes_state
from tinygrad_edu.tree import leaves_of, rebuilt

if TYPE_CHECKING:
    from tinygrad_edu.nn.network import Network


AT_ONCE = 200_000
"""Rows times parameters up to which an epoch takes a moment; else the first one is run in parts, and timed."""


def train(
    network: Network,
    inputs: Operand,
    targets: Operand,
    epochs: int,
    *,
    batch_size: int = 1,
    shuffle: int | None = None,
    update: Update | None = None,
    loss: Callable[[Any, Any], Value] = half_squared_error,
    validation: tuple[Operand, Operand] | None = None,
    metrics: Sequence[Metric] = (),
    patience: int | None = None,
    on_epoch: Callable[[int, History], None] | None = None,
    record: bool = False,
    compiled: bool | Backend | Trainer | None = None,
    progress: bool | None = None,
    executor: Executor | None = None,
) -> History:
    """One update a batch, rows in order or shuffled, `epochs` times.

    Args:
        inputs: Rows of n_inputs numbers, or what else the first layer takes.
        targets: A row of n_outputs numbers for each input row (one-hot for a classifier), or class labels.
        epochs: How often to go through all rows.
        batch_size: How many rows an update is made for; the last batch has those that are left.
        shuffle: A seed for a new order of the rows in each epoch; None keeps their order.
        update: What changes the parameters: `tg.nn.SGD` at `learning_rate` where left out, `tg.nn.Adam`, or a function
            of the parameters that is called after each backward pass. As a second argument, if it takes one, it gets
            how often the article's loop updates each.
        loss: A function of outputs and target that gives a scalar Value, such as `tg.nn.cross_entropy`.
        validation: Inputs and targets that aren't trained on; their loss and metrics are computed after each epoch.
        metrics: Functions of outputs and target, or "accuracy": further figures for the history, by their names.
        patience: Stop where so many epochs bring no smaller loss (that of the validation, where there is one), and go
            back to the parameters of the best epoch.
        on_epoch: Called after each epoch with its number, from 0, and the history so far.
        record: Keep the parameters and gradients of every epoch in the history, to look at afterwards.
        compiled: Whether to run the printed source of an epoch (see `compile`), which leaves the same bits. True or
            "python", or "numba" for machine code made of it. False builds a graph for every row or batch, to go through
            with a debugger. Left out, source is run where it pays and nothing of the caller's could notice: layers,
            activations, loss, metrics and update of the library. While it runs, neurons don't show outputs and deltas
            and weights are fresh twice a second; at the end, and in `on_epoch`, they show those of the last row.
        progress: Show a bar with loss, metrics and time left (the extra `progress`). None does on a terminal and in a
            notebook; False never does.
        executor: Workers for batches of more than `tg.nn.shards.ROWS` rows: any `concurrent.futures.Executor`, such as
            a ProcessPoolExecutor, or dask.distributed's `client.get_executor()`. The bits are the same for any number
            of workers, and for none.

    Returns:
        The loss and the metrics of each epoch.

    Raises:
        ValueError: Rows of the wrong length, labels out of range, no rows, numbers that aren't finite, or a
            negative number of epochs: nothing has changed then.
        TypeError: Update, loss, a metric, on_epoch, validation or executor is another kind of thing; nothing has
            changed either.
        FloatingPointError: A loss isn't finite; the message names epoch and row, and the weights are as they were
            before it.
        KeyboardInterrupt: At Ctrl-C; the weights are those after the last update that was finished, of printed source
            after the last that was handed over, at most half a second before.
    """
    if network._advice:
        advice, network._advice = network._advice, ""
        warnings.warn(advice, UserWarning, stacklevel=2)
    history = History(network)
    update = SGD(network.learning_rate) if update is None else update
    settings = Settings(batch_size, shuffle, update, loss, validation, metrics)
    run = Run(network, inputs, targets, history, settings)
    return run.train(epochs, patience, on_epoch, record, compiled, progress, executor)


@dataclass
class Settings:
    """What a run is resumed with: how it trains, by what, and what it reports."""

    batch_size: int
    shuffle: int | None
    update: Any
    loss: Any
    validation: Any
    metrics: Any

    def run(self, history: History, inputs: Operand, targets: Operand) -> Run:
        """A run that goes on with a history."""
        return Run(history.network, inputs, targets, history, self)

    def next_update(self, history: History, gradients: Mapping[Value, Any]) -> dict[Value, Any] | None:
        """What the run's rule would make of each parameter by these gradients, next; nothing changes.

        None where nobody can tell: the update is a function that changes parameters itself, or a gradient is missing.
        """
        parameters = history.network.parameters()
        if not takes_state(self.update) or not gradients.keys() >= {*parameters}:
            return None
        progress, needed = history.progress, needed_by(self.update, history.network)
        data, given = deepcopy([p.data for p in parameters]), deepcopy([data_of(gradients[p]) for p in parameters])
        state = self.update.start(data) if progress.state is None else deepcopy(progress.state)
        extra = [needed] if getattr(self.update, "needs", None) else []
        new, _ = self.update.rule(data, given, state, rate_at(self.update, progress.steps), *extra)
        return dict(zip(parameters, new, strict=True))


class Run:
    """A run of training: data and settings, checked, and the loop over epochs."""

    def __init__(
        self, network: Network, inputs: Operand, targets: Operand, history: History, settings: Settings
    ) -> None:
        if not current()[0]:
            raise ValueError("training needs a recorded graph, but this is within no_grad")
        self.network, self.history, self.settings = network, history, settings
        self.update, self.loss, self.batch_size = settings.update, settings.loss, settings.batch_size
        check_update(self.update)
        check_loss(self.loss)
        check_count(self.batch_size, "batch_size", 1)
        check_validation(settings.validation)
        self.parameters = network.parameters()
        check_parameters(network, self.parameters)
        tell_of_unlisted(network.layers)
        if not self.parameters:
            raise ValueError("the network has no parameters: there is nothing to train")
        self.rows, self.goals = check_data(network, inputs, targets)
        check_outputs(network, self.loss, self.rows, self.goals)
        shape = self.goals.shape[1:]
        self.squared = squared_error_in(self.loss, shape[-1] if shape else 1)
        extra = [] if self.squared or says_what_it_takes(self.loss) else [mean_squared_error]
        self.metrics = metrics_of([*extra, *listed(settings.metrics)], self.update, network)
        self.fixed = fixed_of(self.metrics, self.goals)
        self.numbers = are_numbers(network, self.loss, self.goals)
        if self.numbers and any(isinstance(metric, Accuracy) for metric in self.metrics):
            raise ValueError("metrics: accuracy is of classes, and these targets are other numbers")
        self.validation = check_data(network, *settings.validation) if settings.validation is not None else None
        if history.validation and self.validation is None:
            raise ValueError("this run was validated so far: give validation=(inputs, targets) again")
        self.by_rule, self.trusts = takes_state(self.update), says_plain(self.update)
        self.needed = needed_by(self.update, network)
        self.beside = [] if self.by_rule or not takes_second(self.update) else [self.needed]
        self.scalar = all(isinstance(layer, Layer) for layer in network.layers)
        self.takes_lists = begins_with_neurons(network)
        self.wraps = network.has_neurons and not self.takes_lists
        self.order = None if settings.shuffle is None else generator(settings.shuffle, history.progress.order)
        self.recordings: Recordings | None = None
        self.stopped: Exception | None = None
        self.executor: Executor | None = None
        self.shards: dict[Any, Shard] = {}
        self.showing = False
        self.draws = Draws()
        self.recorded_for: Any = None
        work = len(self.rows) * sum(getattr(p._data, "size", 1) for p in self.parameters)
        self.took = 0.0 if work < AT_ONCE else math.inf  # seconds of an epoch

    def train(
        self,
        epochs: int,
        patience: int | None = None,
        on_epoch: Callable[[int, History], None] | None = None,
        record: bool = False,
        compiled: bool | Backend | Trainer | None = None,
        progress: bool | None = None,
        executor: Executor | None = None,
    ) -> History:
        """Go through all rows `epochs` times."""
        self.executor = executor
        if on_epoch is not None and not callable(on_epoch):
            raise TypeError(f"on_epoch must be a function of epoch and history, got {shown(on_epoch)}")
        if executor is not None:
            self.check_workers(compiled)
        check_count(epochs, "epochs", 0)
        if patience is not None:
            check_count(patience, "patience", 1)
        for name, flag in (("record", record), ("progress", progress)):
            if not isinstance(flag, (bool, np.bool)) and not (flag is None and name == "progress"):
                raise TypeError(f"{name} must be True or False, got {shown(flag)}")
        history, looked_at = self.history, on_epoch is not None or record
        plain = is_plain(self.network, self.update, self.loss, self.metrics)
        self.recorded_for = None if plain else object()
        self.recordings = self.recordings_for(compiled, len(history) + epochs, record, plain)
        self.begin()
        end, best = len(history) + epochs, Best(self.parameters, patience, history.progress)
        with bar(progress, epochs, len(history)) as tell:
            # in a context of its own, so that an interrupt at any moment leaves no group or observer behind
            copy_context().run(self.loop, end, looked_at, best, on_epoch, record, tell)
        best.restore()
        return history

    def begin(self) -> None:
        """Make the history that of this run, after all checks."""
        history = self.history
        history.begin(self.rows, self.goals, [metric_name(metric) for metric in self.metrics], self.squared)
        history.settings = self.settings
        if history.progress.state is None and self.by_rule:
            history.progress.state = self.update.start([p._data for p in self.parameters])
        self.network._gives_numbers = self.numbers

    def loop(
        self,
        end: int,
        looked_at: bool,
        best: Best,
        on_epoch: Callable[[int, History], None] | None,
        record: bool,
        tell: Callable[[History], None],
    ) -> None:
        """Epochs until there are enough of them, or patience is over."""
        history = self.history
        while len(history) < end and not best.is_over():
            found = None if looked_at or best.patience or self.validation or self.order else self.compiled_epochs(end)
            if not found:
                shown = looked_at or best.patience is not None or len(history) == end - 1
                before = perf_counter()
                found = [self.epoch(shown)]
                self.took = perf_counter() - before if self.took else 0.0
            self.report(found, record)
            best.look(history)
            if on_epoch:
                on_epoch(len(history) - 1, history)
                self.check_same()
                self.recorded_for = self.recorded_for and object()  # what functions of the user's read may be changed
            tell(history)

    def check_same(self) -> None:
        """Raise ValueError where the network has other parameters than those that are trained."""
        if [*map(id, self.network.parameters())] != [*map(id, self.parameters)]:
            raise ValueError(
                "on_epoch has given the network other parameters, by other layers or weights: change their data "
                "(p.data), or train some epochs, change the network, and train again"
            )

    def recordings_for(
        self, compiled: bool | Backend | Trainer | None, epochs: int, record: bool, plain: bool
    ) -> Recordings | None:
        """Where printed epochs are kept, or None where none is to run: under `tg.debug()`, which watches operations."""
        if current()[2] is not None:
            return None
        if isinstance(compiled, Trainer):
            return compiled.recordings if not record else None
        if compiled is None:
            if not (plain and self.by_rule):
                return None
            recordings, steps = self.network._recordings, len(self.rows) / self.batch_size * epochs
            pays = steps >= rows_to_repay(self.parameters, self.scalar, self.batch_size)
            return recordings if pays or recordings.have(self.network, self.form(self.batch_size)) else None
        if compiled is False:
            return None
        if compiled is not True and not (isinstance(compiled, str) and compiled in ("python", "numba")):
            known = 'True, False, None, "python", "numba" or a trainer'
            raise ValueError(f"compiled must be {known}, got {shown(compiled)}")
        check_rule(self.update)
        backend: Backend = "python" if compiled is True else compiled
        if backend == "numba":
            installed()
        recordings = Recordings(backend)
        return recordings if not record else None

    def compiled_epochs(self, end: int) -> list[Sequence[float]] | None:
        """As many whole epochs as printed source runs in a moment: the sums of each. The last one is left."""
        n, size = len(self.rows), self.batch_size
        if self.recordings is None or self.is_sharded or n % size or callable(self.update.rate):
            return None
        if len(self.history) >= end - 1 or self.took > AT_MOST:
            return None
        rows, goals = self.entries(self.rows, self.goals)
        epoch = self.printed(size, (rows, goals))
        if epoch is None or epoch.drops:
            return None
        count = end - 1 - len(self.history)
        found, new = epoch.epochs(
            count, rows, goals, [*self.given(), rate_at(self.update, 0)], self.n_sums, self.weights()
        )
        if found:
            self.take_over(new, len(found) * (n // size))
        self.stopped = epoch.stopped
        return found

    @property
    def n_sums(self) -> int:
        return 1 + len(self.metrics)

    def given(self) -> list[Any]:
        return [x for found in self.fixed for x in found]

    def weights(self) -> list[Any]:
        return [*(p._data for p in self.parameters), *leaves_of(self.history.progress.state)]

    def take_over(self, new: Sequence[Any], steps: int) -> None:
        """Give the network what printed source has made of its parameters and of the update's state."""
        progress, n = self.history.progress, len(self.parameters)
        state, steps = rebuilt(progress.state, iter(new[n:])), progress.steps + steps
        assign(self.parameters, new[:n], lambda: progress.hold(state, steps))

    def printed(self, rows: int, entries: tuple[Any, Any]) -> Epoch | None:
        """The printed epoch for batches of so many rows."""
        assert self.recordings is not None
        place = -1 if rows < self.batch_size else 0
        return self.recordings.epoch(self.network, self.form(rows), (entries[0][place], entries[1][place]))

    def form(self, rows: int) -> Form:
        """The form of batches of so many rows."""
        batch = () if self.batch_size == 1 else (rows,)
        return Form(
            self.update,
            self.loss,
            self.metrics,
            (*batch, *self.rows.shape[1:]),
            (*batch, *self.goals.shape[1:]),
            0 if self.batch_size == 1 else rows,
            callable(self.update.rate),
            self.recorded_for,
        )

    def entries(self, rows: Array, goals: Array) -> tuple[Any, Any]:
        """What the loop goes over: rows, or batches of them; plain numbers for neurons."""
        size = self.batch_size
        if size == 1:
            numbers = ends_with_neurons(self.network)
            return (rows.tolist() if self.takes_lists else list(rows)), (goals.tolist() if numbers else list(goals))
        batches = [rows[i : i + size] for i in range(0, len(rows), size)]
        if self.takes_lists:
            batches = [batch.tolist() for batch in batches]
        return batches, [goals[i : i + size] for i in range(0, len(goals), size)]

    def epoch(self, shown: bool) -> list[float]:
        """One epoch: the sum of the loss, and of each metric.

        Printed source runs as much of it as may be; where it is `shown`, the network runs the last row or batch, which
        neurons and gradients then show.
        """
        rows, goals = self.rows, self.goals
        if self.order is not None:
            places = self.order.permutation(len(rows))
            rows, goals = np.ascontiguousarray(rows[places]), np.ascontiguousarray(goals[places])
        entries = self.entries(rows, goals)
        n, done, sums = len(entries[0]), 0, [0.0] * self.n_sums
        if self.recordings is not None and self.stopped is None and not self.is_sharded:
            whole = n if len(rows) % self.batch_size == 0 else n - 1
            for end, size in ((whole, self.batch_size), (n, len(rows) % self.batch_size)):
                if done < (last := min(end, n - 1 if shown else n)):
                    done, sums = self.printed_entries(entries, done, last, size, sums)
                if done < last:
                    break
        try:
            for i in range(done, n):
                self.showing = shown and i == n - 1
                for k, x in enumerate(self.step(entries[0][i], entries[1][i], i)):
                    sums[k] += x
        except Exception as error:
            if self.stopped:
                set_first_cause(error, self.stopped)
            raise
        self.stopped = None
        return sums

    def printed_entries(
        self, entries: tuple[Any, Any], start: int, end: int, size: int, sums: list[float]
    ) -> tuple[int, list[float]]:
        """Run rows or batches by printed source, a moment at a time: how far that came, and the sums."""
        epoch = self.printed(size, entries)
        if epoch is None:
            return start, sums
        count = 1 if self.batch_size > 1 else 64
        while start < end:
            stop = min(start + count, end)
            steps = self.history.progress.steps
            rates = self.rates(steps, stop - start)
            stop = start + len(rates)
            scheduled = callable(self.update.rate)
            given = self.given() if scheduled else [*self.given(), rates[0]]
            before = perf_counter()
            parts = [entries[0][start:stop], entries[1][start:stop]]
            if epoch.drops:
                parts.append([masks_at(epoch.drops, steps + k, 0) for k in range(stop - start)])
            if scheduled:
                parts.append(rates)
            found = epoch.rows(parts, given, sums, self.weights())
            if found is None:
                self.stopped = epoch.stopped
                break
            sums, new = found
            self.take_over(new, stop - start)
            taken = perf_counter() - before
            if taken < 0.5 * AT_MOST:
                count *= 2
            elif taken > AT_MOST:
                count = max(1, count // 2)
            start = stop
        return start, sums

    def rates(self, steps: int, n: int) -> list[float]:
        """The rates of the next n updates; fewer where a function gives none for a later one, which comes to that."""
        if not callable(self.update.rate):
            return [rate_at(self.update, steps)] * n
        found: list[float] = []
        for k in range(n):
            try:
                found.append(rate_at(self.update, steps + k))
            except Exception:
                if not found:
                    raise
                break
        return found

    def step(self, x: Any, goal: Any, i: int) -> Sequence[float]:
        """One update by the network's own graph, or by shards: the sums that the row or batch adds."""
        if self.is_sharded:
            return self.sharded_step(x, goal, i)
        rows = 0 if self.batch_size == 1 else len(goal)
        outputs, error = self.forward(x, goal, 0)
        value = self.checked(error, i)
        for p in self.parameters:
            p.grad = None
        if not isinstance(error, Value):
            raise TypeError(f"the loss must be computed from the outputs, as a Value, got {shown(error)}")
        error.backward()
        self.apply()
        if rows and mean_of_rows(self.loss) is not False:
            value = float(times(error._data, rows))
        return [value, *self.measured(outputs, goal, rows)] if self.metrics else [value]

    def forward(self, x: Any, goal: Any, shard: int) -> tuple[Any, Any]:
        """Outputs and loss; dropouts drop."""
        if self.wraps:  # neurons behind other layers get parts of arrays, not floats, as they do in printed source
            x = Value(x)
        self.draws.begin(self.history.progress.steps, shard)
        token = drawing.set(self.draws)
        try:
            outputs = self.network.feed_forward(x)
        finally:
            drawing.reset(token)
        return outputs, self.loss(outputs, goal)

    def measured(self, outputs: Any, goal: Any, rows: int) -> list[float]:
        """The metrics of a row, or of a batch their sum over its rows."""
        data = outputs._data if isinstance(outputs, Value) else [output._data for output in outputs]
        return [
            figure_of(metric, data_of(metric(data, goal, *fixed)), rows)
            for metric, fixed in zip(self.metrics, self.fixed, strict=True)
        ]

    def checked(self, error: Any, i: int) -> float:
        """A loss as a number. Raises FloatingPointError where it isn't finite."""
        found = data_of(error)
        value = found if type(found) is float else figure_of(self.loss, found)
        if math.isfinite(value):
            return value
        what = "row" if self.batch_size == 1 else "batch"
        raise FloatingPointError(
            f"the loss is {value} at epoch {len(self.history)}, {what} {i}; the weights are those from before it: take "
            "a smaller rate, inputs of size 1 or so, or a network of start='scaled'"
        )

    @property
    def is_sharded(self) -> bool:
        """Whether batches are cut: large ones are, where loss and layers are known to take each row by itself."""
        if self.batch_size <= ROWS or self.network.has_neurons or any(self.fixed):
            return False
        return is_mean_or_sum(self.loss) and unknown_layer(self.network) is None

    def sharded_step(self, x: Any, goal: Any, i: int) -> Sequence[float]:
        """One update by a batch's shards: each gives its part of the gradient; these are added up."""
        starts = range(0, len(x), ROWS)
        parts = [(x[k : k + ROWS], goal[k : k + ROWS]) for k in starts]
        if self.showing or (self.recordings is None and self.executor is None):
            with one_thread():
                found = [self.by_graph(k, *part, len(x)) for k, part in enumerate(parts)]
        else:
            if self.executor is not None:
                steps, weights = self.history.progress.steps, [p._data for p in self.parameters]
                sent = blocks([self.part(k, *part, len(x)) for k, part in enumerate(parts)], self.executor)
                found = by_workers(self.executor, [(steps, block, weights) for block in sent], i, self.n_sums)
            else:
                found = [self.by_source(k, *part, len(x)) for k, part in enumerate(parts)]
        total = added_up(found)
        self.checked(total[0], i)
        for p, g in zip(self.parameters, total[self.n_sums :], strict=True):
            p.grad = g
        self.apply()
        return [float(figure) for figure in total[: self.n_sums]]

    def by_graph(self, k: int, x: Any, goal: Any, rows: int) -> list[Any]:
        """A shard by the network's own graph: its sums, and its gradients."""
        outputs, error = self.forward(x, goal, k)
        for p in self.parameters:
            p.grad = None
        weighed(error, self.loss, len(x) / rows).backward()
        total = error._data if mean_of_rows(self.loss) is False else times(error._data, len(x))
        zeros = [p._data * 0.0 for p in self.parameters]
        slopes = [zero if p.grad is None else p.grad for p, zero in zip(self.parameters, zeros, strict=True)]
        return [float(total), *self.measured(outputs, goal, len(x)), *slopes]

    def part(self, k: int, x: Any, goal: Any, rows: int) -> Part:
        """What a worker needs for a shard, beside the weights."""
        shard = self.shard(x, goal)
        return Part(shard.source, shard.drops, k, x, goal, len(x) / rows)

    def by_source(self, k: int, x: Any, goal: Any, rows: int) -> list[Any]:
        """A shard by printed source, in this process."""
        shard, weights = self.shard(x, goal), [p._data for p in self.parameters]
        with one_thread(), np.errstate(all="ignore"):
            masks = masks_at(shard.drops, self.history.progress.steps, k)
            return list(shard.run(x, goal, len(x) / rows, *masks, *weights))

    def shard(self, x: Any, goal: Any) -> Shard:
        """The printed shard of so many rows."""
        shapes = np.shape(x), np.shape(goal)
        form = Form(self.update, self.loss, self.metrics, *shapes, len(x), run=self.recorded_for)
        key = key_of(self.network, form)
        if key not in self.shards:
            if len(self.shards) == 8:
                del self.shards[next(iter(self.shards))]
            self.shards[key] = shard_of(self.network, form, x, goal)
        return self.shards[key]

    def check_workers(self, compiled: Any) -> None:
        """Raise where a run can't be done by workers."""
        if isinstance(self.executor, type) or not hasattr(self.executor, "submit"):
            raise TypeError(
                f"executor must be an executor, got {shown(self.executor)}: write executor=ProcessPoolExecutor(2)"
            )
        if compiled is False:
            raise ValueError("workers run printed source: compiled=False can't be used with an executor")
        if found := unknown_layer(self.network):
            raise ValueError(
                "workers compute shards of a batch, so that every layer must compute each row by itself; of "
                f"{found} this isn't known: set its attribute by_rows = True where it does"
            )
        if not is_mean_or_sum(self.loss):
            raise ValueError(
                "workers compute shards of a batch, so that the loss must say how it is made of its rows' losses: set "
                'loss.over_rows = "mean", or "sum"'
            )
        if self.batch_size <= ROWS or self.network.has_neurons:
            raise ValueError(f"workers are for dense networks and batches of more than {ROWS} rows, which is a shard")
        if any(self.fixed):
            raise ValueError(
                f"{type(self.update).__name__} brings a figure that is made of all rows' targets, so that batches "
                "can't be cut into shards for workers: use tg.nn.SGD or tg.nn.Adam"
            )
        for n in {min(ROWS, len(self.rows)), len(self.rows) % self.batch_size % ROWS} - {0}:
            shard = self.shard(self.rows[:n], self.goals[:n])
            check_sent(shard.source, shard.drops)

    def apply(self) -> None:
        """Change the parameters by their gradients."""
        progress, parameters, update = self.history.progress, self.parameters, self.update
        if not self.by_rule:
            update(parameters, *self.beside)
            progress.steps += 1
            return
        needed = [self.needed] if self.needed is not None else []
        data, rate = [p._data for p in parameters], rate_at(update, progress.steps)
        found = update.rule(data, slopes_of(parameters), progress.state, rate, *needed)
        new, state = found if self.trusts else check_new(update, parameters, found)
        steps = progress.steps + 1
        assign(parameters, new, lambda: progress.hold(state, steps))

    def report(self, epochs: Sequence[Sequence[float]], record: bool) -> None:
        """Put epochs into the history, given the sums of each; the network has the parameters of the last one."""
        n = len(self.rows)
        summed = [False, *(getattr(metric, "summed", False) for metric in self.metrics)]
        figures = [[float(sums[k] if as_sum else sums[k] / n) for sums in epochs] for k, as_sum in enumerate(summed)]
        self.history.add(figures, self.validated() if self.validation else [], record)
        if self.order is not None:
            self.history.progress.order = self.order.bit_generator.state

    def validated(self) -> list[float]:
        """The loss and the metrics of the validation rows."""
        assert self.validation is not None
        rows, goals = self.validation
        with no_grad():
            outputs = self.network.feed_forward(rows)
            error = self.loss(outputs, goals).item()
        if mean_of_rows(self.loss) is False:
            error /= len(rows)
        fixed = fixed_of(self.metrics, goals)
        found = [float(data_of(m(outputs.data, goals, *x))) for m, x in zip(self.metrics, fixed, strict=True)]
        return [error, *found]


class Best:
    """The best epoch so far, for early stopping: its loss, how many epochs were no better since, its parameters.

    It is part of a run's progress, so that a run that was interrupted goes on waiting where it was.
    """

    def __init__(self, parameters: Sequence[Value], patience: int | None, progress: Progress) -> None:
        self.parameters, self.patience, self.progress = parameters, patience, progress
        if patience is None:
            progress.best = None
        elif progress.best is None:
            progress.best = [math.inf, 0.0, self.now()]

    def now(self) -> list[Any]:
        return [np.copy(p.data) if p.ndim else p.data for p in self.parameters]

    def look(self, history: History) -> None:
        """Take an epoch into account."""
        if self.patience is None:
            return
        least, waited, data = self.progress.best
        loss = (history.validation or history.loss)[-1]
        self.progress.best = [loss, 0.0, self.now()] if loss < least else [least, waited + 1.0, data]

    def is_over(self) -> bool:
        """Whether patience is at its end."""
        return self.patience is not None and self.progress.best[1] >= self.patience

    def restore(self) -> None:
        """Go back to the best epoch."""
        if self.patience is not None:
            _, waited, data = self.progress.best
            if waited:
                assign(self.parameters, data)
            self.progress.best = None


def figure_of(function: Any, found: Any, rows: int = 0) -> float:
    """What a loss or a metric gave, as a float, or its sum over rows. Raises TypeError where it is something else."""
    try:
        figure = None if np.ndim(found) else float(times(found, rows))
    except (TypeError, ValueError):
        figure = None
    if figure is None:
        raise TypeError(f"{metric_name(function)} must give one number, got {shown(found)}")
    return figure


def rows_to_repay(parameters: Sequence[Value], scalar: bool, batch_size: int) -> float:
    """How many rows or batches it takes until recording an epoch is repaid, as measured; it grows with the network.

    The source of neurons has lines for every number: beyond some thousands it would take a second to record.
    """
    if not scalar:
        return 40.0 + 5.0 * len(parameters)
    size = len(parameters)
    return 30.0 + 4.0 * math.sqrt(size) if size * batch_size <= 5_000 else math.inf


def needed_by(update: Update, network: Network) -> Any:
    """What an update needs besides parameters: by its attribute, or for a plain function the article's counts."""
    if hasattr(update, "needs"):
        return update.needs and update.needs(network)
    if takes_state(update):
        return None
    from tinygrad_edu.nn import ArticleUpdate  # which is built on this package

    assert ArticleUpdate.needs is not None
    return ArticleUpdate.needs(network)


def says_what_it_takes(loss: Any) -> bool:
    """Whether a loss is one of the library's, of which it is known that it isn't the squared error."""
    return getattr(loss, "takes", None) is not None


def check_validation(given: Any) -> None:
    if given is not None and not (isinstance(given, (tuple, list)) and len(given) == 2):
        raise TypeError(f"validation must be (inputs, targets), got {shown(given)}")


def generator(seed: int, state: Any) -> np.random.Generator:
    """What shuffles rows: from its beginning, or from the state that it was left in."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f"shuffle must be a seed, a whole number of at least 0, or None, got {seed!r}")
    found = np.random.default_rng(int(seed))
    if state is not None:
        found.bit_generator.state = state
    return found
