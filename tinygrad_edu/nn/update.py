"""Updates: what changes parameters, given their gradients.

The one thing to know: an update is a rule for one parameter, a pure function. Calling the update applies the rule to
all parameters, and computes all new data before it assigns any.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from tinygrad_edu.value import Value

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

    def rule(self, data: Any, gradient: Any, count: int = 1) -> Any:
        """The parameter's new data."""
        step = self.rate * gradient
        return data - step if type(step) is float else np.subtract(data, step, out=step)

    def __call__(self, parameters: Sequence[Value], counts: Sequence[int] | None = None) -> None:
        rule, new = self.rule, []
        for p, count in zip(parameters, counts or [1] * len(parameters)):  # noqa: B905 - time
            g = p.grad
            if g is None:
                raise ValueError(f"{p.name or 'a parameter'} has no gradient: call backward on the loss first")
            new.append(rule(p.data, g.data if isinstance(g, Value) else g, count))
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

    def rule(self, data: Any, gradient: Any, count: int = 1) -> Any:
        """The parameter's new data, after `count` steps by the same gradient."""
        step = self.rate * gradient
        for _ in range(count):
            data = data - step
        return data


def check_rate(rate: float, name: str) -> float:
    """The learning rate as a float. Raises ValueError unless it is finite and positive."""
    try:
        number = float(rate)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not (math.isfinite(number) and number > 0.0):
        raise ValueError(f"{name} must be finite and positive, got {rate!r}")
    return number
