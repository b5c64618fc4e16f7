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

Update: TypeAlias = Callable[[Sequence[Value], Any], None]
"""What `Network.train` calls after each row's backward pass, with the parameters and what else the update needs.

An update says what that is by an attribute `needs`, a function of the network, such as the counts of the article's
update; `needs = None` says nothing. A plain function gets those counts. By an attribute `metrics` an update brings
figures that belong to it; they are computed as those given to `train`.
"""


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

    needs: Callable[[Any], Any] | None = None
    metrics: Sequence[Callable[..., Any]] = ()

    def __init__(self, rate: float) -> None:
        self.rate = check_rate(rate, "rate")

    def rule(self, data: Sequence[Any], gradients: Sequence[Any], counts: Any = None) -> list[Any]:
        """The new data of all parameters."""
        rate, new = self.rate, []
        for x, gradient in zip(data, gradients):  # noqa: B905 - time
            step = rate * gradient
            new.append(np.subtract(x, step, out=step) if type(step) is np.ndarray else x - step)
        return new

    def __call__(self, parameters: Sequence[Value], counts: Sequence[int] | None = None) -> None:
        gradients = [p.grad if type(p.grad) is float else gradient_of(p) for p in parameters]
        new = self.rule([p._data for p in parameters], gradients, counts)
        for p, data in zip(parameters, new):  # noqa: B905 - time
            p._data = data

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.rate})"


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
