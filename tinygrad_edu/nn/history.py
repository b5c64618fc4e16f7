"""What training reports: the errors of each epoch and, on request, the weights; as numbers, plots and tables."""

from __future__ import annotations

import html
import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tinygrad_edu.core.data import Array, Data
from tinygrad_edu.core.value import Operand, data_of
from tinygrad_edu.extras import how_to_install
from tinygrad_edu.nn.data import check_count
from tinygrad_edu.nn.saving import save_run

if TYPE_CHECKING:
    from tinygrad_edu.nn.network import Network


def copied(x: Any) -> Any:
    """Data that no one else writes into."""
    return np.copy(x) if isinstance(x, np.ndarray) else x


class Snapshot(NamedTuple):
    """The parameters after an epoch, and their gradients at its last row."""

    weights: list[Data]
    gradients: list[Data]


class Boundary(NamedTuple):
    """What a network of two inputs predicts over a grid: `labels[j, i]` at (`x[i]`, `y[j]`)."""

    x: Array
    y: Array
    labels: Array


@dataclass
class Progress:
    """How far a run has come, beside its parameters: what it needs to go on as if it had never stopped.

    Attributes:
        steps: How many updates were done.
        state: That of the update.
        order: That of what shuffles the rows.
        best: With patience, the best epoch's loss, how many epochs were no better since, and its parameters.
    """

    steps: int = 0
    state: Any = None
    order: Any = None
    best: Any = None

    def hold(self, state: Any, steps: int) -> None:
        self.state, self.steps = state, steps


class History:
    """What training reports, one entry an epoch. Outputs are those of training: each row's before its own update.

    Attributes:
        loss: The loss that was trained, its mean over rows.
        metrics: For each metric that training was given, or that belongs to its update, a list, by its name.
        validation, validation_metrics: The same of the validation rows, where training was given such.
        network: What was trained.
        inputs, targets: With what: rows, and a row of target numbers for each.
        snapshots: The parameters after each epoch, where training was told to `record`.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.inputs = self.targets = np.empty((0, 0))
        self.squared_error_in_loss: float | None = None
        self.loss: list[float] = []
        self.metrics: dict[str, list[float]] = {}
        self.validation: list[float] = []
        self.validation_metrics: dict[str, list[float]] = {}
        self.progress = Progress()
        self.settings: Any = None
        self.snapshots: list[Snapshot] = []

    def begin(self, inputs: Array, targets: Array, metrics: Sequence[str], squared: float | None) -> None:
        """Take up a run: its data, the names of its metrics, and what its loss is multiplied by to be squared error."""
        if len(self) and list(self.metrics) != list(metrics):
            raise ValueError(f"a run goes on with its metrics, {list(self.metrics)}; these are {list(metrics)}")
        self.inputs, self.targets, self.squared_error_in_loss = inputs, targets, squared
        for name in metrics:
            self.metrics.setdefault(name, [])
            self.validation_metrics.setdefault(name, [])

    @property
    def mean_squared_error(self) -> list[float]:
        """The mean over rows and outputs of (output - target)². Raises AttributeError where the loss is another."""
        if self.squared_error_in_loss is None:
            if "mean_squared_error" in self.metrics:
                return self.metrics["mean_squared_error"]
            raise AttributeError("the loss isn't the squared error; for that give metrics=[tg.nn.mean_squared_error]")
        return [loss * self.squared_error_in_loss for loss in self.loss]

    @property
    def curve(self) -> tuple[str, list[float]]:
        """What training went down: the squared error, where that is the loss, else the loss; with its name."""
        if self.squared_error_in_loss is None:
            return "loss", self.loss
        return "mean squared error", self.mean_squared_error

    def __getattr__(self, name: str) -> list[float]:
        """A metric by its name: `history.accuracy` is `history.metrics["accuracy"]`."""
        metrics = self.__dict__.get("metrics", {})
        if name in metrics:
            return metrics[name]  # type: ignore[no-any-return]
        raise AttributeError(
            f"this history has no {name!r}: it has loss, validation (the loss of those rows), metrics {list(metrics)} "
            "and validation_metrics; give others to train"
        )

    def train(
        self,
        inputs: Operand,
        targets: Operand,
        epochs: int,
        *,
        validation: tuple[Operand, Operand] | None = None,
        patience: int | None = None,
        on_epoch: Callable[[int, History], None] | None = None,
        record: bool = False,
        compiled: Any = None,
        progress: bool | None = None,
        executor: Any = None,
    ) -> History:
        """Go on with the run for `epochs` more epochs, as if it had never stopped; arguments are `Network.train`'s.

        Raises:
            ValueError: The history doesn't know its settings: it was pickled, and they can't be.
        """
        if self.settings is None:
            raise ValueError(
                "this history has no settings of a run: it is new, or was pickled, and they can't be. Train a network, "
                "or go on from a checkpoint"
            )
        settings = self.settings if validation is None else replace(self.settings, validation=validation)
        run = settings.run(self, inputs, targets)
        run.train(epochs, patience, on_epoch, record, compiled, progress, executor)
        return self

    def checkpoint(self, path: str | Path) -> None:
        """Write the run to a file: network, state of the update and of the shuffling, and these figures.

        `tg.nn.resume(path)` gives the history back; what `train` then makes of it has the bits of a run that was never
        stopped. Written to the side and moved into place, so that there is always a whole file: called in `on_epoch`,
        whatever stops the program, no finished epoch is lost.

        Raises:
            TypeError: A layer, the update or the loss isn't the library's; `resume` must be given the latter two.
        """
        save_run(self, path)

    def __getstate__(self) -> dict[str, Any]:
        try:
            pickle.dumps(self.settings)
        except Exception:  # functions of the user's may not pickle
            return {**self.__dict__, "settings": None}
        return self.__dict__

    def __deepcopy__(self, memo: dict[int, Any]) -> History:
        twin = memo[id(self)] = History.__new__(type(self))
        twin.__dict__.update({name: deepcopy(part, memo) for name, part in self.__dict__.items()})
        return twin

    def __len__(self) -> int:
        return len(self.loss)

    def add(self, figures: Sequence[list[float]], validation: Sequence[float], record: bool) -> None:
        """The loss and the metrics of further epochs and, where wanted, the parameters as they are now."""
        for values, further in zip((self.loss, *self.metrics.values()), figures, strict=True):
            values += further
        for values, figure in zip((self.validation, *self.validation_metrics.values()), validation):  # noqa: B905 - none
            values.append(figure)
        if record:
            parameters = self.network.parameters()
            gradients = [data_of(p.grad) for p in parameters]
            self.snapshots.append(Snapshot([copied(p.data) for p in parameters], [copied(g) for g in gradients]))

    @contextmanager
    def at(self, epoch: int) -> Iterator[Network]:
        """The network with the parameters that it had after an epoch; after the block with its own again.

        Raises:
            ValueError: Training wasn't told to `record`.
        """
        n = len(self.snapshots)
        if not n:
            raise ValueError("no epochs were recorded: train with record=True")
        if not isinstance(epoch, (int, np.integer)) or not -n <= epoch < n:
            raise ValueError(f"epoch must be a whole number from 0 to {n - 1}, the epochs recorded, got {epoch!r}")
        parameters = self.network.parameters()
        own = [p.data for p in parameters]
        try:
            for p, data in zip(parameters, self.snapshots[epoch].weights, strict=True):
                p.data = data
            yield self.network
        finally:
            for p, data in zip(parameters, own, strict=True):
                p.data = data

    def boundary(self, size: int = 60) -> Boundary:
        """What the network predicts over the area of its training data, for a network of two inputs.

        Raises:
            ValueError: The network has another number of inputs, or gives numbers, not classes; or the run, read from a
                file, has no rows yet.
        """
        check_count(size, "size", 2)
        if self.network.n_inputs != 2:
            raise ValueError(f"a decision boundary needs 2 inputs, and the network has {self.network.n_inputs}")
        if not len(self.inputs):
            raise ValueError(
                "a decision boundary is drawn around the rows of a run, and there are none yet: train first"
            )
        low, high = self.inputs.min(axis=0), self.inputs.max(axis=0)
        margin = 0.12 * np.where(high > low, high - low, 1.0)
        x, y = (np.linspace(low[k] - margin[k], high[k] + margin[k], size) for k in (0, 1))
        labels = np.array([self.network.predict(np.stack([x, np.full(size, v)], axis=1)) for v in y.tolist()])
        return Boundary(x, y, labels)

    def plot(self) -> Any:
        """The error curve and, for classes and two inputs, the decision boundary with the data: a matplotlib figure.

        Raises:
            ImportError: There is no matplotlib; the message names the extra to install.
        """
        try:
            from matplotlib.figure import Figure
        except ImportError:
            raise ImportError(f"plotting needs matplotlib: {how_to_install('plot')}") from None
        name, curve = self.curve
        shown = {metric: values for metric, values in self.metrics.items() if values and metric != "mean_squared_error"}
        two = self.network.n_inputs == 2 and not self.network._gives_numbers and len(self.inputs) > 0
        n = 1 + bool(shown) + two
        figure = Figure(figsize=(4.5 * n + 0.5 * (n == 1), 3.6), layout="constrained")
        axes = figure.subplots(1, n, squeeze=False)[0]
        axes[0].plot(range(len(self)), curve, label="training")
        axes[0].set(xlabel="epoch", ylabel=name, ylim=(min(0.0, min(curve, default=0.0)), None))
        if self.validation and name == "loss":
            axes[0].plot(range(len(self)), self.validation, label="validation")
            axes[0].legend()
        for metric, values in shown.items():
            axes[1].plot(range(len(self)), values, label=metric)
            if validation := self.validation_metrics.get(metric):
                axes[1].plot(range(len(self)), validation, label=f"{metric} of the validation")
        if shown:
            axes[1].set(xlabel="epoch")
            axes[1].legend()
        if two:
            self.plot_boundary(axes[-1])
        return figure

    def plot_boundary(self, axes: Any) -> None:
        """The decision boundary and the training data, onto axes of matplotlib."""
        x, y, labels = self.boundary()
        one = self.targets.shape[-1] == 1
        classes = (self.targets[:, 0] > 0.5).astype(int) if one else np.argmax(self.targets, axis=1)
        limits = {"vmin": 0, "vmax": max(self.targets.shape[-1] - 1, 1)}
        axes.pcolormesh(x, y, labels, cmap="coolwarm", alpha=0.35, shading="nearest", **limits)
        axes.scatter(*self.inputs.T, c=classes, cmap="coolwarm", edgecolors="black", **limits)
        axes.set(xlabel="input 0", ylabel="input 1", title="predicted class")

    def __repr__(self) -> str:
        if not len(self):
            return "History(no epochs)"
        name, curve = self.curve
        return f"History({len(self)} epochs, {name} {curve[0]:.6g} at first, {curve[-1]:.6g} at last)"

    def _repr_html_(self) -> str:
        """The error curve as a drawing, with the first and the last error."""
        if len(self) < 2:
            return f"<p>{html.escape(repr(self))}</p>"
        errors = np.array(self.curve[1])
        top = float(errors.max()) or 1.0
        points = " ".join(
            f"{320 * i / (len(errors) - 1):.1f},{80 - 76 * e / top:.1f}" for i, e in enumerate(errors.tolist())
        )
        line = f'<polyline points="{points}" fill="none" stroke="#1769aa" stroke-width="1.5"/>'
        caption = f"<figcaption>{html.escape(repr(self))}</figcaption>"
        return f'<figure><svg width="330" height="84">{line}</svg>{caption}</figure>'
