"""Large batches, cut into shards: by one process or by many, the same bits.

The one thing to know: a batch is cut into shards of a fixed size wherever it is computed, and their gradients are added
in pairs of neighbours, these in pairs, and so on. So how many workers there are, how many shards one of them gets at a
time, and which comes first, changes nothing.
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
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tinygrad_edu.compiler.compiled import built
from tinygrad_edu.compiler.program import is_ours
from tinygrad_edu.compiler.recording import program_seen, watched
from tinygrad_edu.compiler.traced import Recorder
from tinygrad_edu.core.operation import Operation
from tinygrad_edu.core.value import Value, data_of
from tinygrad_edu.graph import gradients
from tinygrad_edu.nn.compiled import Form, Masks, as_they_were, check_same_again, mean_of_rows, one_number, times
from tinygrad_edu.nn.further_layers import Conv2d, Dropout, Embedding, dropping, masks_at
from tinygrad_edu.nn.layer import Dense, identity
from tinygrad_edu.ops.activation import gelu
from tinygrad_edu.ops.entry import ELEMENTWISE

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
            error = one_number(form.loss, form.loss(outputs, target))
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


def is_mean_or_sum(loss: Any) -> bool:
    """Whether a loss says how a batch's is made of its rows'."""
    return getattr(loss, "over_rows", "") in ("mean", "sum")


def unknown_layer(network: Network) -> str | None:
    """A layer of which it isn't known that it computes each row of a batch by itself, as batch normalisation doesn't.

    The library's layers do, with its elementwise activations; so does what says so by an attribute `by_rows`.
    """
    if getattr(network, "by_rows", False) is True:
        return None
    if not vars(type(network)).get("plain") or "feed_forward" in vars(network):
        return f"the network, a {type(network).__name__},"
    for i, layer in enumerate(network.layers):
        if hasattr(layer, "_recordings"):
            if inner := unknown_layer(layer):
                return f"{inner} in layers[{i}]"
            continue
        known = type(layer) in (Embedding, Dropout) or is_elementwise(layer)
        if not known and not (type(layer) in (Dense, Conv2d) and is_elementwise(layer.activation)):
            return f"layers[{i}]"
    return None


def is_elementwise(function: Any) -> bool:
    """Whether a function is known to compute each row by itself: the library's elementwise ones, and softmax."""
    if function is identity or function is gelu or getattr(function, "by_rows", False) is True:
        return True
    return type(function) is Operation and is_ours(function) and function.shapes == ELEMENTWISE


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


class Part(NamedTuple):
    """A shard as a worker gets it: what to run, its place in the batch, its data, and what share of the batch it is."""

    source: str
    drops: Drops
    place: int
    x: Any
    goal: Any
    share: float


def work(step: int, parts: Sequence[Part], weights: Any) -> list[Any]:
    """What a worker does: run some shards, and add up what they give."""
    with one_thread(), np.errstate(all="ignore"):
        return added_up(
            [made(p.source)(p.x, p.goal, p.share, *masks_at(p.drops, step, p.place), *weights) for p in parts]
        )


def blocks(parts: Sequence[Part], executor: Executor) -> list[Sequence[Part]]:
    """The shards that a worker gets at a time, with the weights once: so many that each gets two blocks or more."""
    workers, size = getattr(executor, "_max_workers", None) or len(parts), 1
    while len(parts) >= 4 * size * workers:
        size *= 2
    return [parts[i : i + size] for i in range(0, len(parts), size)]


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
    """The results of all jobs, in order: sums, and gradients. A job that fails is tried once more.

    Raises:
        RuntimeError: It failed again, or its worker died; the message names it.
    """
    futures: list[Future[Any] | Exception] = [submitted(executor, job) for job in jobs]
    found = []
    for i, (future, job) in enumerate(zip(futures, jobs, strict=True)):
        try:
            found.append(result_of(future, job[-1], n_sums))
        except Exception:
            try:
                found.append(result_of(submitted(executor, job), job[-1], n_sums))
            except Exception as error:
                for rest in futures[i + 1 :]:
                    if isinstance(rest, Future):
                        rest.cancel()
                what = "its worker died" if isinstance(error, BrokenExecutor) else "it failed twice"
                first, last = job[1][0].place, job[1][-1].place
                which = f"shard {first}" if first == last else f"shards {first} to {last}"
                raise RuntimeError(
                    f"{which} of batch {batch}: {what} ({error}); the weights are those from before the batch"
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
    """Sums over shards: of neighbours, of these sums' neighbours, and so on; blocks may come added up already."""
    found = [list(shard) for shard in shards]
    while len(found) > 1:
        pairs = zip(found[::2], found[1::2], strict=False)
        added = [[a + b for a, b in zip(first, second, strict=True)] for first, second in pairs]
        found = added + found[len(added) * 2 :]
    return [data_of(x) for x in found[0]]
