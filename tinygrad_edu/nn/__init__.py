"""Neural networks on Values: neurons to look at, matrices to compute with, and what trains them."""

from typing import TYPE_CHECKING, Any

from tinygrad_edu.nn.further_layers import Conv2d, Dropout, Embedding
from tinygrad_edu.nn.history import History
from tinygrad_edu.nn.layer import Dense, Layer, identity
from tinygrad_edu.nn.loss import (
    Loss,
    binary_cross_entropy,
    cross_entropy,
    half_squared_error,
    hinge,
    huber,
    mean_absolute_error,
    mean_squared_error,
    penalty,
)
from tinygrad_edu.nn.network import Network
from tinygrad_edu.nn.neuron import Neuron
from tinygrad_edu.nn.resuming import resume
from tinygrad_edu.nn.update import SGD, Adam

if TYPE_CHECKING:
    from tinygrad_edu.article.update import ArticleUpdate

__all__ = [
    "SGD",
    "Adam",
    "ArticleUpdate",
    "Conv2d",
    "Dense",
    "Dropout",
    "Embedding",
    "History",
    "Layer",
    "Loss",
    "Network",
    "Neuron",
    "binary_cross_entropy",
    "cross_entropy",
    "half_squared_error",
    "hinge",
    "huber",
    "identity",
    "mean_absolute_error",
    "mean_squared_error",
    "penalty",
    "resume",
]


def __getattr__(name: str) -> Any:
    if name == "ArticleUpdate":  # which is built on this package; it is found here, where it has always been
        from tinygrad_edu.article.update import ArticleUpdate

        return ArticleUpdate
    from tinygrad_edu.misspelt import no_attribute

    raise no_attribute(__name__, name)
