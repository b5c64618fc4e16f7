"""Neural networks on Values: neurons to look at, matrices to compute with, and what trains them."""

from tinygrad_edu.nn.history import History
from tinygrad_edu.nn.layer import Dense, Layer
from tinygrad_edu.nn.loss import half_squared_error, mean_squared_error
from tinygrad_edu.nn.network import Network
from tinygrad_edu.nn.neuron import Neuron
from tinygrad_edu.nn.update import SGD, ArticleUpdate

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
