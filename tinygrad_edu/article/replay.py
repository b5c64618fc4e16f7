"""The article's run again, by computed gradients, with the hand-written program beside it.

The one thing to know: both sides start from the same weights and take the same rows; after every epoch every weight,
bias, delta and output is compared with `==`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from tinygrad_edu.article import DATASET, LABELS, PRINTED, TARGETS, network_from, recovered_start
from tinygrad_edu.article.by_hand import HandDenseNetwork, HandNetwork, Start
from tinygrad_edu.article.update import ArticleUpdate, article_printed_error
from tinygrad_edu.core.value import Value
from tinygrad_edu.nn import SGD, Dense, History, Network, half_squared_error

Kind: TypeAlias = Literal["scalar", "dense"]
Numbers: TypeAlias = list[list[dict[str, Any]]]
"""Layer by layer, neuron by neuron: weights, bias, delta, output."""

TOLERANCE = 1e-13
"""How far a figure may be from the printed one. The start was recovered from the printout, to within 6e-14."""


@dataclass(frozen=True)
class Figure:
    """A figure that the article prints, and ours."""

    name: str
    printed: float
    ours: float

    @property
    def holds(self) -> bool:
        return abs(self.ours - self.printed) <= TOLERANCE


@dataclass(frozen=True)
class Replay:
    """The outcome of a run.

    Attributes:
        network: The trained network.
        trained: The network as text, with the deltas and outputs of the last row.
        history: The errors of each epoch.
        predictions: For each row.
        figures: Printed figures and ours; empty where the run isn't the article's (another start or update).
        equal: Whether all numbers were those of the hand-written program, to the last bit, after every epoch.
    """

    network: Network
    trained: str
    history: History
    predictions: list[int]
    figures: list[Figure]
    equal: bool

    @property
    def holds(self) -> bool:
        return self.equal and all(figure.holds for figure in self.figures)


def replay(
    kind: Kind = "scalar",
    epochs: int = 40,
    seed: int | None = None,
    update: Literal["article", "sgd"] = "article",
    on_epoch: Callable[[int, History], None] | None = None,
) -> Replay:
    """Train the article's 2-2-2 network by computed gradients, and by hand beside it.

    Args:
        kind: Neurons of scalars, compared with the hand-written plain Python, or matrices, with the numpy program.
        epochs: The article has 40.
        seed: Draws a random start in [0, 1), as the article does; where left out, the recovered start.
        update: "article" moves a bias once per input, "sgd" once.
        on_epoch: As for `Network.train`.
    """
    start = recovered_start() if seed is None else start_of(Network.create([2, 2, 2], seed=seed))
    network = network_from(start, kind)
    by_hand: HandNetwork | HandDenseNetwork
    if kind == "scalar":
        by_hand = HandNetwork(start, bias_updates="per_input" if update == "article" else "once")
        rows: Any = (DATASET, TARGETS)
    else:
        by_hand = HandDenseNetwork(start, bias_updates="per_input" if update == "article" else "once")
        rows = (np.array(DATASET), np.array(TARGETS))
    equal = True

    def compare(epoch: int, history: History) -> None:
        nonlocal equal
        by_hand.train_epoch(*rows)
        equal = equal and numbers_of(network) == numbers_by_hand(by_hand)
        if on_epoch:
            on_epoch(epoch, history)

    rule = ArticleUpdate(0.5) if update == "article" else SGD(0.5)
    metrics = [article_printed_error]
    history = network.train(DATASET, LABELS, epochs, update=rule, metrics=metrics, on_epoch=compare, record=True)
    figures = printed_figures(network, history) if seed is None and update == "article" else []
    trained = repr(network)  # before predicting, which leaves other outputs and no deltas
    return Replay(network, trained, history, [network.predict(row) for row in DATASET], figures, equal)


def last_loss(network: Network) -> Value:
    """The loss of the data set's last row, after a backward pass: what the picture of the run shows."""
    network.zero_grad()
    loss = half_squared_error(network.feed_forward(DATASET[-1]), TARGETS[-1])
    loss.name = "loss"
    loss.backward()
    return loss


def printed_figures(network: Network, history: History) -> list[Figure]:
    """All figures of the printout that a run of this length gives."""
    figures = [
        Figure(f"error of epoch {epoch}", printed, history.article_printed_error[int(epoch)])
        for epoch, printed in PRINTED["printed_errors"].items()
        if int(epoch) < len(history)
    ]
    if len(history) != PRINTED["epochs"]:
        return figures
    for i, (printed_layer, layer) in enumerate(zip(PRINTED["printed_neurons"], numbers_of(network), strict=True)):
        for j, (printed, ours) in enumerate(zip(printed_layer, layer, strict=True)):
            path = f"layers[{i}].neurons[{j}]"
            for k, weight in enumerate(printed["weights"]):
                figures.append(Figure(f"{path}.weights[{k}]", weight, ours["weights"][k]))
            figures += [Figure(f"{path}.{name}", printed[name], ours[name]) for name in ("bias", "delta", "output")]
    return figures


def numbers_of(network: Network) -> Numbers:
    """Every weight, bias, delta and output of a network of either kind, in one form."""
    layers = []
    for layer in network.layers:
        if isinstance(layer, Dense):
            layers.append(columns(layer.weights.data, layer.bias.data, layer.delta, layer.output))
        else:
            weights = [[w.item() for w in neuron.weights] for neuron in layer.neurons]
            layers.append(numbers(weights, [n.bias.item() for n in layer.neurons], layer.delta, layer.output))
    return layers


def numbers_by_hand(network: HandNetwork | HandDenseNetwork) -> Numbers:
    if isinstance(network, HandDenseNetwork):
        return [columns(layer.weights, layer.bias, layer.deltas, layer.outputs) for layer in network.layers]
    return [
        numbers(*zip(*((list(n.weights), n.bias, n.delta, n.output) for n in layer), strict=True))
        for layer in network.layers
    ]


def columns(*arrays: Any) -> list[dict[str, Any]]:
    return numbers(*(array.tolist() for array in arrays))


def numbers(weights: Any, bias: Any, delta: Any, output: Any) -> list[dict[str, Any]]:
    """One entry for each neuron."""
    names = ("weights", "bias", "delta", "output")
    return [dict(zip(names, row, strict=True)) for row in zip(weights, bias, delta, output, strict=True)]


def start_of(network: Network) -> Start:
    return [[([w.item() for w in n.weights], n.bias.item()) for n in layer.neurons] for layer in network.layers]
