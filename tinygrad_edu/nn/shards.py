"""Large batches, cut into shards: by one process or by many, the same bits.

The one thing to know: a batch is cut into shards of a fixed size wherever it is computed, and their gradients are added
in the order of the shards. So how many workers there are, and which comes first, changes nothing.
"""

from __future__ import annotations

import pickle
import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_edu.compiler.compiled import built
from tinygrad_edu.compiler.recording import program_seen, watched
from tinygrad_edu.compiler.traced import Recorder
from tinygrad_edu.core.value import Value, data_of
from tinygrad_edu.graph import gradients
from tinygrad_edu.nn.compiled import Form, Masks, as_they_were, check_same_again, mean_of_rows, times
from tinygrad_edu.nn.further_layers import Dropout, dropping, masks_at

if TYPE_CHECKING:
    from tinygrad_edu.nn.network import Network

ROWS = 256
"""Rows of a shard. Another number would give other last bits."""

Drops = Sequence[tuple[Dropout, tuple[int, ...]]]


class Shard:
    """The printed forward and backward pass of a shard.

    Attributes:
        run: Its function, of a row batch, targets, the part of the batch that the shard is, masks and weights; it gives
            the sums of loss and metrics, and the gradients.
        source: Its source, which workers run.
        drops: The dropouts in it, in order, each with the shape of its mask.
    """

    def __init__(self, run: Callable[..., Any], source: str, drops: Drops) -> None:
        self.run, self.source, self.drops = run, source, drops


def shard_of(network: Network, form: Form, x: Any, goal: Any) -> Shard:
    """Record the forward and backward pass of a shard."""
    row, target, part = Value(x, "rows"), Value(goal, "targets"), Value(0.5, "part")
    parameters, rows = network.parameters(), len(x)

    def once() -> tuple[Recorder, Masks, list[Any]]:
        masks = Masks()
        with as_they_were(network), watched() as recorder, dropping(masks):
            outputs = network.feed_forward(row)
            error = form.loss(outputs, target)
            slopes = gradients(weighed(error, form.loss, part), parameters)
            sums = [error if mean_of_rows(form.loss) is False else times(error, rows)]
            sums += [times(metric(outputs, target), rows) for metric in form.metrics]
        return recorder, masks, [*sums, *slopes]

    recorder, masks, results = once()
    if form.run is not None:
        check_same_again(recorder, lambda: once()[0])
    values = [row, target, part, *masks.made, *parameters]
    sent = [(Dropout(x.rate, x.seed) if type(x) is Dropout else x, shape) for x, shape in masks.drops]
    return Shard(*built(program_seen(recorder, values, results, results), "shard"), sent)


def weighed(error: Any, loss: Any, part: Any) -> Any:
    """A shard's loss as its contribution to the batch's, of which its rows are a part."""
    return error * part if mean_of_rows(loss) else error


def check_sent(source: str, drops: Drops) -> None:
    """Raise TypeError where a source needs a function that another process doesn't have, or a dropout can't be sent."""
    for layer, _ in drops:
        try:
            pickle.loads(pickle.dumps(layer))
        except Exception as error:
            raise TypeError(f"{type(layer).__name__} can't be sent to a worker: {error}") from None
    if found := re.search(r"^# (.*): a function of your own, to be given here$", source, re.MULTILINE):
        raise TypeError(
            f"{found[1]} can't be sent to a worker: define the operation at the top level of a module, from which "
            "workers can import it"
        )


def work(source: str, drops: Drops, step: int, k: int, x: Any, goal: Any, part: float, weights: Any) -> list[Any]:
    """What a worker does: run a shard."""
    run = made(source)
    with one_thread(), np.errstate(all="ignore"):
        return list(run(x, goal, part, *masks_at(drops, step, k), *weights))


made_here = threading.local()


def made(source: str) -> Callable[..., Any]:
    """The function of a source: one for each thread, since it works in memory of its own."""
    known: dict[str, Callable[..., Any]] = made_here.__dict__.setdefault("known", {})
    if source not in known:
        space: dict[str, Any] = {}
        exec(source, space)
        known[source] = space["shard"]
    return known[source]


def one_thread() -> AbstractContextManager[Any]:
    """Within it BLAS uses one thread, where `threadpoolctl` (of the extra `distributed`) can say so.

    How many there are decides the order of its sums, and so the last bit.
    """
    controller = thread_controller()
    found: AbstractContextManager[Any] = controller.limit(limits=1) if controller else nullcontext()
    return found


@cache
def thread_controller() -> Any:
    if find_spec("threadpoolctl") is None:
        return None
    from threadpoolctl import ThreadpoolController  # optional

    return ThreadpoolController()


def by_workers(executor: Executor, jobs: Sequence[tuple[Any, ...]], batch: int, n_sums: int) -> list[list[Any]]:
    """The results of all shards, in order: sums, and gradients. A shard that fails is tried once more.

    Raises:
        RuntimeError: It failed again, or its worker died; the message names it.
    """
    futures: list[Future[Any] | Exception] = [submitted(executor, job) for job in jobs]
    found = []
    for k, (future, job) in enumerate(zip(futures, jobs, strict=True)):
        try:
            found.append(result_of(future, job[-1], n_sums))
        except Exception:
            try:
                found.append(result_of(submitted(executor, job), job[-1], n_sums))
            except Exception as error:
                for rest in futures[k + 1 :]:
                    if isinstance(rest, Future):
                        rest.cancel()
                what = "its worker died" if isinstance(error, BrokenExecutor) else "it failed twice"
                raise RuntimeError(
                    f"shard {k} of batch {batch}: {what} ({error}); the weights are those from before the batch"
                ) from error
    return found


def submitted(executor: Executor, job: tuple[Any, ...]) -> Future[Any] | Exception:
    try:
        return executor.submit(work, *job)
    except Exception as error:  # an executor may be broken already
        return error


def result_of(future: Future[Any] | Exception, weights: Sequence[Any], n_sums: int) -> list[Any]:
    """What a worker gave: so many sums, and a gradient for each weight. Raises TypeError where it is something else."""
    if isinstance(future, Exception):
        raise future
    found = future.result()
    forms = [form_of(x) for x in found[n_sums:]] if isinstance(found, (list, tuple)) else None
    if forms != [form_of(x) for x in weights] or not all(np.ndim(x) == 0 for x in found[:n_sums]):
        raise TypeError("its result is no list of sums and gradients")
    return list(found)


def form_of(x: Any) -> Any:
    return np.shape(x), np.result_type(x)


def added_up(shards: Sequence[Sequence[Any]]) -> list[Any]:
    """Sums over shards, in order, from the first on."""
    total = list(shards[0])
    for shard in shards[1:]:
        total = [a + b for a, b in zip(total, shard, strict=True)]
    return [data_of(x) for x in total]
