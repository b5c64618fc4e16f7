"""Updates: what changes parameters, given their gradients.

The one thing to know: an update is a rule, a pure function of data and gradients. Calling the update applies the rule
to parameters, and computes all new data before it assigns any.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from tinygrad_edu.core.value import Value, data_of

Update: TypeAlias = Callable[[Sequence[Value], Sequence[int]], None]
"""What `Network.train` calls after each row's backward pass, with the parameters and, for each, its `update_counts`."""


class SGD:
    """Stochastic gradient descent: p ← p - rate · ∂loss/∂p.

    Args:
        rate: The learning rate.

    Raises:
        ValueError: The rate isn't finite and positive. When called: a parameter has no gradient.

    >>> import tinygrad_edu as tg
    >>> neuron = tg.Neuron([1.0], bias=0.5, activation=lambda z: z)
    >>> neuron([3.0]).backward()
    >>> tg.nn.SGD(0.5)(neuron.parameters())
    >>> neuron.weights[0].data, neuron.bias.data
    (-0.5, 0.0)
    """

    def __init__(self, rate: float) -> None:
        self.rate = check_rate(rate, "rate")

    def rule(self, data: Sequence[Any], gradients: Sequence[Any], counts: Sequence[int]) -> list[Any]:
        """The new data of all parameters."""
        rate, new = self.rate, []
        for x, gradient in zip(data, gradients):  # noqa: B905 - time
            step = rate * gradient
            new.append(np.subtract(x, step, out=step) if type(step) is np.ndarray else x - step)
        return new

    def __call__(self, parameters: Sequence[Value], counts: Sequence[int] | None = None) -> None:
        gradients = [p.grad if type(p.grad) is float else gradient_of(p) for p in parameters]
        new = self.rule([p.data for p in parameters], gradients, counts or [1] * len(parameters))
        for p, data in zip(parameters, new):  # noqa: B905 - time
            p.data = data

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.rate})"


class ArticleUpdate(SGD):
    """The article's update: as SGD for weights, but a bias moves once for each input of its neuron.

    In the article the line that changes the bias stands inside the loop over the weights. So a bias moves n_inputs
    times as far as gradient descent would move it; the printed figures come about in no other way. Which parameters
    are biases, of how many inputs, is told by `counts` (`Network.update_counts`); left out, it is SGD.

    >>> import tinygrad_edu as tg
    >>> neuron = tg.Neuron([1.0, 1.0], bias=0.5, activation=lambda z: z)
    >>> neuron([3.0, 4.0]).backward()
    >>> tg.nn.ArticleUpdate(0.5)(neuron.parameters(), neuron.update_counts())
    >>> neuron.bias.data
    -0.5
    """

    def rule(self, data: Sequence[Any], gradients: Sequence[Any], counts: Sequence[int]) -> list[Any]:
        """The new data of all parameters, each after as many steps by the same gradient as `counts` says."""
        rate, new = self.rate, []
        for x, gradient, count in zip(data, gradients, counts):  # noqa: B905 - time
            step = rate * gradient
            while count:
                x = x - step
                count -= 1
            new.append(x)
        return new


def gradient_of(p: Value) -> Any:
    if p.grad is None:
        raise ValueError(f"{p.name or 'a parameter'} has no gradient: call backward on the loss first")
    return data_of(p.grad)


def check_rate(rate: float, name: str) -> float:
    """The learning rate as a float. Raises ValueError unless it is finite and positive."""
    try:
        number = float(rate)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not (math.isfinite(number) and number > 0.0):
        raise ValueError(f"{name} must be finite and positive, got {rate!r}")
    return number
