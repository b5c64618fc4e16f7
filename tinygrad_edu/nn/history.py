"""What training reports: the errors of each epoch and, on request, the weights; as numbers, plots and tables."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tinygrad_edu.core.value import Array, Data, data_of

if TYPE_CHECKING:
    from tinygrad_edu.nn.network import Network


class Snapshot(NamedTuple):
    """The parameters after an epoch, and their gradients at its last row."""

    weights: list[Data]
    gradients: list[Data]


class Boundary(NamedTuple):
    """What a network of two inputs predicts over a grid: `labels[j, i]` at (`x[i]`, `y[j]`)."""

    x: Array
    y: Array
    labels: Array


class History:
    """What training reports, one entry an epoch. Outputs are those of training: each row's before its own update.

    Attributes:
        loss: The loss that was trained, its mean over rows.
        metrics: For each metric that training was given, or that belongs to its update, a list, by its name.
        network: What was trained.
        inputs, targets: With what: rows, and a row of target numbers for each.
        snapshots: The parameters after each epoch, where training was told to `record`.
    """

    def __init__(
        self,
        network: Network,
        inputs: Array,
        targets: Array,
        metrics: Sequence[str] = (),
        squared_error_in_loss: float | None = None,
    ) -> None:
        self.network, self.inputs, self.targets = network, inputs, targets
        self.squared_error_in_loss = squared_error_in_loss
        self.loss: list[float] = []
        self.metrics: dict[str, list[float]] = {name: [] for name in metrics}
        self.snapshots: list[Snapshot] = []

    @property
    def mean_squared_error(self) -> list[float]:
        """The mean over rows and outputs of (output - target)²."""
        if self.squared_error_in_loss is None:
            return self.metrics["mean_squared_error"]
        return [loss * self.squared_error_in_loss for loss in self.loss]

    def __getattr__(self, name: str) -> list[float]:
        """A metric by its name: `history.accuracy` is `history.metrics["accuracy"]`."""
        metrics = self.__dict__.get("metrics", {})
        if name in metrics:
            return metrics[name]  # type: ignore[no-any-return]
        raise AttributeError(f"this history has no {name!r}: give the metric to train; it has {list(metrics)}")

    def __len__(self) -> int:
        return len(self.loss)

    def add(self, figures: Sequence[float], record: bool) -> None:
        """The loss and the metrics of an epoch and, where wanted, the parameters as they are now."""
        for values, figure in zip((self.loss, *self.metrics.values()), figures, strict=True):
            values.append(figure)
        if record:
            parameters = self.network.parameters()
            self.snapshots.append(Snapshot([p.data for p in parameters], [data_of(p.grad) for p in parameters]))

    @contextmanager
    def at(self, epoch: int) -> Iterator[Network]:
        """The network with the parameters that it had after an epoch; after the block with its own again.

        Raises:
            ValueError: Training wasn't told to `record`.
        """
        if not self.snapshots:
            raise ValueError("no epochs were recorded: train with record=True")
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
            ValueError: The network has another number of inputs.
        """
        if self.network.n_inputs != 2:
            raise ValueError(f"a decision boundary needs 2 inputs, and the network has {self.network.n_inputs}")
        low, high = self.inputs.min(axis=0), self.inputs.max(axis=0)
        margin = 0.12 * np.where(high > low, high - low, 1.0)
        x, y = (np.linspace(low[k] - margin[k], high[k] + margin[k], size) for k in (0, 1))
        labels = np.array([[self.network.predict([u, v]) for u in x.tolist()] for v in y.tolist()])
        return Boundary(x, y, labels)

    def plot(self) -> Any:
        """The error curve and, for two inputs, the decision boundary with the training data: a matplotlib figure.

        Raises:
            ImportError: There is no matplotlib; the message names the extra to install.
        """
        try:
            from matplotlib.figure import Figure
        except ImportError:
            raise ImportError('plotting needs matplotlib: pip install "tinygrad_edu[plot]"') from None
        two = self.network.n_inputs == 2
        figure = Figure(figsize=(9.0 if two else 5.0, 3.6), layout="constrained")
        axes = figure.subplots(1, 2 if two else 1, squeeze=False)[0]
        axes[0].plot(range(len(self)), self.mean_squared_error)
        axes[0].set(xlabel="epoch", ylabel="mean squared error", ylim=(0.0, None))
        if two:
            x, y, labels = self.boundary()
            classes = np.argmax(self.targets, axis=1)
            limits = {"vmin": 0, "vmax": max(self.network.n_outputs - 1, 1)}
            axes[1].pcolormesh(x, y, labels, cmap="coolwarm", alpha=0.35, shading="nearest", **limits)
            axes[1].scatter(*self.inputs.T, c=classes, cmap="coolwarm", edgecolors="black", **limits)
            axes[1].set(xlabel="input 0", ylabel="input 1", title="predicted class")
        return figure

    def __repr__(self) -> str:
        if not len(self):
            return "History(no epochs)"
        first, last = self.mean_squared_error[0], self.mean_squared_error[-1]
        return f"History({len(self)} epochs, mean squared error {first:.6g} at first, {last:.6g} at last)"

    def _repr_html_(self) -> str:
        """The error curve as a drawing, with the first and the last error."""
        if len(self) < 2:
            return f"<p>{html.escape(repr(self))}</p>"
        errors = np.array(self.mean_squared_error)
        top = float(errors.max()) or 1.0
        points = " ".join(
            f"{320 * i / (len(errors) - 1):.1f},{80 - 76 * e / top:.1f}" for i, e in enumerate(errors.tolist())
        )
        line = f'<polyline points="{points}" fill="none" stroke="#1769aa" stroke-width="1.5"/>'
        caption = f"<figcaption>{html.escape(repr(self))}</figcaption>"
        return f'<figure><svg width="330" height="84">{line}</svg>{caption}</figure>'
