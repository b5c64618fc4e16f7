"""Runs that go on from a file as if they had never stopped.

The one thing to know: `History.checkpoint` writes what this reads. What a file can't name, the user gives again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_edu.core.data import Array
from tinygrad_edu.nn import loss as losses
from tinygrad_edu.nn.checks import check_loss, check_update
from tinygrad_edu.nn.data import check_count
from tinygrad_edu.nn.history import History
from tinygrad_edu.nn.loss import squared_error_in
from tinygrad_edu.nn.network import Network
from tinygrad_edu.nn.saving import RUN, read, whole_from
from tinygrad_edu.nn.training import Settings, check_validation, generator
from tinygrad_edu.nn.update import SGD
from tinygrad_edu.tree import mapped


def resume(
    path: str | Path, *, update: Any = None, loss: Any = None, metrics: Any = None, validation: Any = None
) -> History:
    """The run that `History.checkpoint` wrote: a history whose `train(inputs, targets, epochs)` goes on.

    Args:
        update, loss, metrics: Those of the run, where they are the user's own, which a file can't name.
        validation: The data that the run was validated with.

    Raises:
        ValueError: The file is broken or no run's, it needs one of the arguments, or the update is another kind's.
        TypeError: Update, loss, metrics or validation is another kind of thing.

    >>> import tempfile, tinygrad_edu as tg
    >>> rows, labels = [[0.0, 1.0], [1.0, 0.0]], [0, 1]
    >>> network = tg.Network.create([2, 3, 2], seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     network.train(rows, labels, 5, shuffle=1).checkpoint(f"{folder}/run.npz")
    ...     resumed = tg.nn.resume(f"{folder}/run.npz").train(rows, labels, 5)
    >>> resumed.loss == tg.Network.create([2, 3, 2], seed=0).train(rows, labels, 10, shuffle=1).loss
    True
    """
    if update is not None:
        check_update(update)
    if loss is not None:
        check_loss(loss)
    check_validation(validation)
    found, arrays = read(path, RUN)
    try:
        history = History(whole_from(found["network"], arrays, Network))
        progress = history.progress
        progress.steps, progress.order = found["steps"], found["order"]
        progress.state = state_of(found["state"], arrays)
        progress.best = state_of(found.get("best"), arrays)  # files of earlier versions don't say
        history.loss, history.metrics = found["loss_figures"], found["metric_figures"]
        history.validation, history.validation_metrics = found["validation"], found["validation_metrics"]
        named = {
            "update": update_of(found["update"]) if update is None else update,
            "loss": loss_of(found["loss"], history.network) if loss is None else loss,
            "metrics": metrics_of(found["metrics"]) if metrics is None else metrics,
        }
        settings = Settings(found["batch_size"], found["shuffle"], **named, validation=validation)
        check_run(history, settings)
        if update is None and not fits(named["update"], history):
            raise ValueError("state is of another form than the run's")
    except Exception as error:  # a file may say anything
        raise ValueError(f"{path} is broken: {error!r}") from None
    for name, part in named.items():
        if part is None:
            raise ValueError(f"{path} was written by a run with {name} of the user's own: give {name}= again")
    if update is not None and not fits(update, history):
        raise ValueError(
            f"update {update!r} doesn't fit the state of the run, which was trained by another kind of update"
        )
    history.settings = settings
    history.squared_error_in_loss = squared_error_in(settings.loss, history.network.n_outputs or 1)
    return history


def fits(update: Any, history: History) -> bool:
    """Whether an update can go on with the state of a run."""
    if not vars(type(update)).get("plain"):
        return True  # nobody can tell
    start = update.start([p.data for p in history.network.parameters()])
    return bool(forms_of(start) == forms_of(history.progress.state))


def update_of(described: Mapping[str, Any] | None) -> Any:
    """An update of the library, with its settings."""
    if described is None:
        return None
    settings = dict(described)
    kind = getattr(import_module(__package__ or ""), settings.pop("kind"))  # where the article's is found, too
    if not issubclass(kind, SGD):
        raise TypeError(f"{kind} is no update")
    update = kind(settings.pop("rate"))
    for name, setting in settings.items():
        if not (name in vars(update) and type(setting) in (int, float) and 0.0 <= setting < math.inf):
            raise ValueError(f"{name} of {kind.__name__} is {setting!r}")
        vars(update)[name] = setting
    return update


def check_run(history: History, settings: Settings) -> None:
    """Raise ValueError or TypeError where a run's parts don't fit each other."""
    progress, data = history.progress, [p.data for p in history.network.parameters()]
    check_count(progress.steps, "steps", 0)
    check_count(settings.batch_size, "batch_size", 1)
    if settings.shuffle is not None:
        generator(settings.shuffle, progress.order)
    if progress.best is not None and forms_of([0.0, 0.0, data]) != forms_of(progress.best):
        raise ValueError("best is of another form than the run's")
    curves = [history.loss, *history.metrics.values()]
    curves += [curve for curve in (history.validation, *history.validation_metrics.values()) if curve]
    if not all(type(curve) is list and len(curve) == len(history) for curve in curves) or not all(
        isinstance(x, float) for curve in curves for x in curve
    ):
        raise ValueError("its figures aren't one for each epoch")


def forms_of(tree: Any) -> Any:
    """The shapes and kinds of the numbers and arrays in lists."""
    return mapped(lambda x: (np.shape(x), np.result_type(x).kind), tree)


def loss_of(described: Any, network: Network) -> Any:
    """A loss of the library: by its name, a penalty of the network, or a sum; None where it is the user's."""
    if described is None:
        return None
    if isinstance(described, str):
        return named_loss(described)
    if "sum" in described:
        first, second = (loss_of(part, network) for part in described["sum"])
        return first + second
    return losses.penalty(network, described["l2"], described["l1"])


def named_loss(name: str) -> Any:
    found = getattr(losses, name, None)
    if not isinstance(found, losses.Loss):
        raise ValueError(f"there is no loss {name!r}")
    return found


def metrics_of(names: list[str | None]) -> Any:
    """Metrics that their names tell: accuracy, and the library's losses; None where one is the user's."""
    return None if None in names else [name if name == "accuracy" else named_loss(str(name)) for name in names]


def state_of(described: Any, arrays: Mapping[str, Array]) -> Any:
    """The state of an update: what `saving` made of it, undone."""
    if isinstance(described, list):
        return [state_of(part, arrays) for part in described]
    if isinstance(described, dict):
        if "array" in described:
            return arrays[described["array"]]
        return {key: state_of(part, arrays) for key, part in described["parts"].items()}
    return described
