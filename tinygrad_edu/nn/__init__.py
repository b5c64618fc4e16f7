"""Neural networks on Values: neurons to look at, matrices to compute with, and what trains them."""

from typing import TYPE_CHECKING, Any

from tinygrad_edu.nn.history import History
from tinygrad_edu.nn.layer import Dense, Layer
from tinygrad_edu.nn.loss import half_squared_error, mean_squared_error
from tinygrad_edu.nn.network import Network
from tinygrad_edu.nn.neuron import Neuron
from tinygrad_edu.nn.update import SGD

if TYPE_CHECKING:
    from tinygrad_edu.article.update import ArticleUpdate

__all__ = [
    "SGD",
    "ArticleUpdate",
    "Dense",
    "History",
    "Layer",
    "Network",
    "Neuron",
    "half_squared_error",
    "mean_squared_error",
]


def __getattr__(name: str) -> Any:
    if name == "ArticleUpdate":  # which is built on this package; it is found here, where it has always been
        from tinygrad_edu.article.update import ArticleUpdate

        return ArticleUpdate
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
