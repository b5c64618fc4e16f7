"""The article, kept whole: its data, its printout, and its backpropagation by hand.

Nothing in the library stands on this. It is the yardstick that computed gradients are held against, and a text.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any, Literal

from tinygrad_edu.article.by_hand import Start
from tinygrad_edu.article.update import ArticleUpdate, article_printed_error, update_counts
from tinygrad_edu.core.operation import operation
from tinygrad_edu.nn import Dense, Layer, Network, Neuron
from tinygrad_edu.ops.activation import sigmoid

__all__ = [
    "DATASET",
    "LABELS",
    "PRINTED",
    "TARGETS",
    "XOR_DATASET",
    "XOR_TARGETS",
    "ArticleUpdate",
    "article_printed_error",
    "network_from",
    "recovered_start",
    "slipped_sigmoid",
    "update_counts",
]

PRINTED: dict[str, Any] = json.loads(resources.files(__package__).joinpath("printed_run.json").read_text("utf-8"))

DATASET: list[list[float]] = PRINTED["dataset"]
LABELS: list[int] = PRINTED["labels"]
TARGETS: list[list[float]] = [[1.0, 0.0] if label == 0 else [0.0, 1.0] for label in LABELS]

XOR_DATASET: list[list[float]] = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
XOR_TARGETS: list[list[float]] = [[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [1.0, 0.0]]


def recovered_start() -> Start:
    """The start from which the article's printed figures come back; the article drew it at random and prints none."""
    return [[(list(n["weights"]), n["bias"]) for n in layer] for layer in PRINTED["initial_weights"]]


def network_from(start: Start, kind: Literal["scalar", "dense"] = "scalar", learning_rate: float = 0.5) -> Network:
    """A network of sigmoid layers with the given weights and biases."""
    if kind == "dense":
        return Network([Dense([w for w, _ in layer], [b for _, b in layer]) for layer in start], learning_rate)
    return Network([Layer([Neuron(w, b) for w, b in layer]) for layer in start], learning_rate)


slipped_sigmoid = operation(
    sigmoid.forward,
    lambda g, out, x: ((g * (out * (1.0 - out))) * (out * (1.0 - out)),),
    name="slipped_sigmoid",
    symbol="σ (slip)",
    formula="∂σ(x) = (σ(x)·(1 − σ(x)))²·∂x, which is wrong",
    analytic=True,
)
"""The sigmoid with the gradient rule of the article's numpy program for hidden layers: the derivative taken twice."""
