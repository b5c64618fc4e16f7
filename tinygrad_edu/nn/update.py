"""Updates: what changes parameters, given their gradients.

The one thing to know: an update is a rule, a pure function of data, gradients, state and rate; so it compiles. Calling
the update applies the rule to parameters, and computes all new data before it assigns any.
"""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeAlias

import numpy as np

from tinygrad_edu.core.data import as_data
from tinygrad_edu.core.value import Value, data_of
from tinygrad_edu.ops.arithmetic import sqrt

Update: TypeAlias = Callable[[Sequence[Value], Any], None]
"""What `Network.train` calls after each backward pass, with the parameters and what else the update needs.

An update says what that is by an attribute `needs`, a function of the network, such as the counts of the article's
update; `needs = None` says nothing. A plain function gets those counts. By an attribute `metrics` an update brings
figures that belong to it; they are computed as those given to `train`.

An update with `start(data)`, which gives a state, and `rule(data, gradients, state, rate)`, which gives new data and
the new state and changes nothing, is applied by training itself: its state is kept in checkpoints, and it compiles.
"""


class SGD:
    """Stochastic gradient descent: p ← p - rate · ∂loss/∂p; with momentum, v ← momentum·v + ∂loss/∂p, p ← p - rate·v.

    Source: `torch.optim.SGD` (v starts at 0, no dampening).

    Args:
        rate: The learning rate: a number, or a function of the number of updates done so far, from 0.
        momentum: How much of the last step's velocity is kept, in [0, 1).

    Raises:
        ValueError: The rate isn't finite and positive, or the momentum is out of range. When called: a parameter has no
            gradient.

    >>> import tinygrad_edu as tg
    >>> neuron = tg.Neuron([1.0], bias=0.5, activation=lambda z: z)
    >>> neuron([3.0]).backward()
    >>> tg.nn.SGD(0.5)(neuron.parameters())
    >>> neuron.weights[0].data, neuron.bias.data
    (-0.5, 0.0)
    """

    needs: Callable[[Any], Any] | None = None
    metrics: Sequence[Callable[..., Any]] = ()
    plain = True

    def __init__(self, rate: float | Callable[[int], float], momentum: float = 0.0) -> None:
        self.rate = as_rate(rate)
        self.momentum = check_fraction(momentum, "momentum")

    def start(self, data: Sequence[Any]) -> Any:
        """The velocities, zero at first; nothing without momentum."""
        return [x * 0.0 for x in data] if self.momentum else []

    def rule(self, data: Sequence[Any], gradients: Sequence[Any], state: Any = (), rate: Any = None) -> Any:
        """The new data of all parameters, and the new state."""
        rate = rate_at(self, 0) if rate is None else rate
        if self.momentum:
            gradients = state = [self.momentum * v + g for v, g in zip(state, gradients, strict=True)]
        new = []
        for x, gradient in zip(data, gradients):  # noqa: B905 - time
            step = rate * gradient
            new.append(np.subtract(x, step, out=step) if type(step) is np.ndarray else x - step)
        return new, state

    def __call__(self, parameters: Sequence[Value], needed: Any = None) -> None:
        """Update parameters by their `grad`; the state is kept here from call to call, for a loop of your own."""
        gradients, data = gradients_of(parameters), [p._data for p in parameters]
        if not takes_state(self):  # a subclass's rule of data, gradients and what is needed
            assign(parameters, self.rule(data, gradients, needed))
            return
        state, steps = self.__dict__.get("kept") or (self.start(data), 0)
        new, state = self.rule(data, gradients, state, rate_at(self, steps), *([needed] if self.needs else []))
        self.__dict__["kept"] = state, steps + 1
        assign(parameters, new)

    def settings(self) -> dict[str, Any]:
        """What it was made with."""
        return {name: setting for name, setting in self.__dict__.items() if name != "kept"}

    def __repr__(self) -> str:
        settings = [f"{name}={setting}" for name, setting in self.settings().items() if name != "rate" and setting]
        return f"{type(self).__name__}({', '.join([str(self.rate), *settings])})"


class Adam(SGD):
    """Adaptive moments: p ← p - rate · m̂ / (√v̂ + ε), m and v running means of the gradient and of its square.

    m ← β₁·m + (1-β₁)·g, v ← β₂·v + (1-β₂)·g², m̂ = m/(1-β₁ᵗ), v̂ = v/(1-β₂ᵗ) at the t-th update. Source: Kingma and
    Ba, Adam (2015); formula and defaults are those of `torch.optim.Adam`.

    Args:
        rate: The learning rate: a number, or a function of the number of updates done so far, from 0.
        beta1, beta2: How much of the running means is kept, in [0, 1).
        epsilon: Added to the root, so that nothing is divided by zero.

    Raises:
        ValueError: A setting out of its range. When called: a parameter has no gradient.

    >>> import tinygrad_edu as tg
    >>> w = tg.Value(1.0)
    >>> update = tg.nn.Adam(0.1)
    >>> (w * w).backward()
    >>> update([w])
    >>> round(w.data, 6)
    0.9
    """

    plain = True

    def __init__(
        self,
        rate: float | Callable[[int], float] = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
    ) -> None:
        self.rate = as_rate(rate)
        self.beta1, self.beta2 = check_fraction(beta1, "beta1"), check_fraction(beta2, "beta2")
        self.epsilon = check_rate(epsilon, "epsilon")

    def start(self, data: Sequence[Any]) -> Any:
        """The running means, zero at first, and β₁ᵗ and β₂ᵗ, 1 at first."""
        return [[x * 0.0 for x in data], [x * 0.0 for x in data], 1.0, 1.0]

    def rule(self, data: Sequence[Any], gradients: Sequence[Any], state: Any = None, rate: Any = None) -> Any:
        """The new data of all parameters, and the new state."""
        rate = rate_at(self, 0) if rate is None else rate
        first, second, power1, power2 = state or self.start(data)
        power1, power2 = power1 * self.beta1, power2 * self.beta2
        scale, root = rate / (1.0 - power1), sqrt(1.0 - power2)
        new, means, squares = [], [], []
        for x, g, m, v in zip(data, gradients, first, second, strict=True):
            m = self.beta1 * m + (1.0 - self.beta1) * g
            v = self.beta2 * v + (1.0 - self.beta2) * (g * g)
            new.append(x - scale * m / (sqrt(v) / root + self.epsilon))
            means.append(m)
            squares.append(v)
        return new, [means, squares, power1, power2]


def takes_state(update: Any) -> bool:
    """Whether an update has the rule that training applies itself: of data, gradients, state and rate."""
    return kind_takes_state(type(update))  # type: ignore[arg-type]


@cache
def kind_takes_state(kind: type) -> bool:
    rule, own = getattr(kind, "rule", None), vars_of(kind).get("__call__")
    if rule is None or not hasattr(kind, "start") or own not in (None, SGD.__call__):
        return False
    return len(inspect.signature(rule).parameters) >= 5  # with self


def takes_second(update: Any) -> bool:
    """Whether a function that updates takes a second argument, beside the parameters."""
    try:
        inspect.signature(update).bind(None, None)
    except TypeError:
        return False
    except ValueError:  # a function that tells nothing of its arguments
        pass
    return True


def vars_of(kind: type) -> dict[str, Any]:
    """What a class has, inherited or its own."""
    return {name: part for base in reversed(kind.__mro__) for name, part in vars(base).items()}


LARGEST = sys.float_info.max


def rate_at(update: Any, step: int) -> float:
    """The learning rate of an update, which may be a function of how many updates were done."""
    rate = getattr(update, "rate", 0.0)
    if type(rate) is float and 0.0 < rate <= LARGEST:
        return rate
    if callable(rate):
        return check_rate(rate(step), f"rate({step})")
    return check_rate(rate, "rate") if isinstance(update, SGD) else rate  # it may have been changed meanwhile


def gradients_of(parameters: Sequence[Value]) -> list[Any]:
    """Their gradients as data. Raises ValueError where one has none."""
    return [p.grad if type(p.grad) is float else gradient_of(p) for p in parameters]


def slopes_of(parameters: Sequence[Value]) -> list[Any]:
    """Their gradients as data, zeros for those that the loss doesn't depend on."""
    return [
        p.grad if type(p.grad) is float else p._data * 0.0 if p.grad is None else data_of(p.grad) for p in parameters
    ]


def gradient_of(p: Value) -> Any:
    if p.grad is None:
        raise ValueError(
            f"{p.name or 'a parameter'} has no gradient: call backward first, on a loss that depends on it"
        )
    return data_of(p.grad)


def assign(parameters: Sequence[Value], new: Sequence[Any], then: Callable[[], None] | None = None) -> None:
    """Give parameters new data, and do what belongs to it: all of it, even where Ctrl-C comes meanwhile."""
    try:
        for p, data in zip(parameters, new, strict=True):
            p._data = data if type(data) is float else as_data(data)
        if then:
            then()
    except KeyboardInterrupt:
        assign(parameters, new, then)
        raise


def as_rate(rate: Any) -> Any:
    """A learning rate: a function of the number of updates as it is, a number as a float."""
    return rate if callable(rate) and not isinstance(rate, type) else check_rate(rate, "rate")


def check_rate(rate: float, name: str) -> float:
    """The learning rate as a float. Raises ValueError unless it is finite and positive."""
    try:
        number = math.nan if isinstance(rate, (bool, str, bytes)) else float(rate)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not (math.isfinite(number) and number > 0.0):
        raise ValueError(f"{name} must be finite and positive, got {rate!r}")
    return number


def check_fraction(x: float, name: str) -> float:
    """A setting as a float. Raises ValueError unless it is in [0, 1)."""
    if isinstance(x, bool) or not isinstance(x, (int, float, np.number)) or not 0.0 <= x < 1.0:
        raise ValueError(f"{name} must be at least 0 and below 1, got {x!r}")
    return float(x)
