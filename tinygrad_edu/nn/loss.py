"""Losses on the outputs of a network: the operations of tinygrad_edu/ops/loss.py, with their arguments checked.

The one thing to know: outputs and targets must agree in shape. Broadcasting would turn a column of outputs and a row of
targets into a matrix of differences, and train on that without a word.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tinygrad_edu.core.data import as_data
from tinygrad_edu.core.value import Value, apply, data_of
from tinygrad_edu.ops import loss
from tinygrad_edu.ops.shaping import stack

if TYPE_CHECKING:
    from tinygrad_edu.nn.network import Network


class Loss:
    """A loss, `loss(outputs, targets)`, with what training asks of it. Losses add up: `cross_entropy + penalty(…)`.

    Attributes:
        over_rows: "mean" or "sum": how a batch's loss is made of its rows'; "" where it is neither. Training cuts large
            batches into shards and must weigh them by it. A function of your own may have the attribute too.
        sums_rows: Whether some of it is a sum over rows.
        networks: Those whose weights it reads, as a penalty does.
        takes: "scores" where outputs may be any numbers, so that a network must not end in a sigmoid.
        bounded: Whether targets are probabilities, so that others than 0 to 1 are a mistake.
    """

    __name__: str

    def __init__(
        self,
        function: Callable[..., Any],
        over_rows: Literal["mean", "sum", ""] = "",
        takes: Literal["scores", "numbers"] = "numbers",
        plain: bool = True,
    ) -> None:
        self.function, self.over_rows, self.takes, self.plain = function, over_rows, takes, plain
        self.sums_rows = over_rows == "sum"
        self.networks: tuple[Network, ...] = ()
        self.bounded = False
        update_wrapper(self, function)

    def __call__(self, outputs: Any, targets: Any, **settings: Any) -> Value:
        return self.function(outputs, targets, **settings)  # type: ignore[no-any-return]

    def __add__(self, other: Any) -> Loss:
        """The sum of two losses."""
        if not callable(other) or isinstance(other, type):
            return NotImplemented
        over_rows = self.over_rows if self.over_rows == getattr(other, "over_rows", "") else ""
        added = Loss(
            Added(self, other),
            over_rows,
            self.takes if self.takes == "scores" else getattr(other, "takes", "numbers"),
            self.plain and bool(getattr(other, "plain", False)),
        )
        added.__name__ = f"{name_of(self)} + {name_of(other)}"
        added.sums_rows = (
            self.sums_rows or getattr(other, "over_rows", "") == "sum" or getattr(other, "sums_rows", False)
        )
        added.bounded = self.bounded or bool(getattr(other, "bounded", False))
        added.networks = (*self.networks, *getattr(other, "networks", ()))
        return added

    __radd__ = __add__

    def __reduce__(self) -> Any:
        """Losses of the library by their name, so that a copy is the same one."""
        if globals().get(name_of(self)) is self:
            return name_of(self)
        return Loss, (self.function, self.over_rows, self.takes, self.plain), self.__dict__

    def __repr__(self) -> str:
        return f"<loss {name_of(self)}>"


class Added:
    """The sum of two losses, as a function."""

    def __init__(self, first: Callable[..., Any], second: Callable[..., Any]) -> None:
        self.first, self.second = first, second

    def __call__(self, outputs: Any, targets: Any) -> Any:
        return self.first(outputs, targets) + self.second(outputs, targets)


def name_of(function: Any) -> str:
    return str(getattr(function, "__name__", type(function).__name__))


def as_loss(
    over_rows: Literal["mean", "sum", ""] = "mean", takes: Literal["scores", "numbers"] = "numbers"
) -> Callable[[Callable[..., Any]], Loss]:
    """Make a function a loss."""
    return lambda function: Loss(function, over_rows, takes)


@as_loss(over_rows="sum")
def half_squared_error(outputs: Value | Sequence[Value], targets: Any) -> Value:
    """½ Σₖ (oₖ - tₖ)², summed over rows too. Its gradient is `o - t`, where the article's deltas start.

    Args:
        outputs: One Value, or a list of scalar Values.
        targets: Numbers of the same shape, or of the same length.

    Raises:
        ValueError: The shapes differ, or there are no outputs.

    >>> import tinygrad_edu as tg
    >>> tg.nn.half_squared_error([tg.Value(0.75), tg.Value(0.5)], [1.0, 0.0]).data
    0.15625
    """
    error: Value = apply(loss.half_squared_error, pairs(outputs, targets))
    return error


@as_loss()
def mean_squared_error(outputs: Value | Sequence[Value], targets: Any) -> Value:
    """The mean of (oₖ - tₖ)² over outputs and rows. For 2 outputs its gradient is that of the half squared error.

    Arguments and errors are those of `half_squared_error`.

    >>> import tinygrad_edu as tg
    >>> tg.nn.mean_squared_error([tg.Value(0.75), tg.Value(0.5)], [1.0, 0.0]).data
    0.15625
    """
    given = pairs(outputs, targets)
    if type(given[0]) is float:  # plain numbers, as a metric gets them for every row of a scalar network
        return loss.mean_squared_error.forward(*given)  # type: ignore[no-any-return]
    error: Value = apply(loss.mean_squared_error, given)
    return error


@as_loss(takes="scores")
def cross_entropy(scores: Any, targets: Any) -> Value:
    """-log of the probability that softmax(scores) gives the target's class, the mean over rows.

    It takes scores, so the network must not end in a sigmoid or softmax. Source: `CrossEntropyLoss` of PyTorch.

    Args:
        scores: One for each class, or rows of them: a Value, or a list of scalar Values.
        targets: Labels (a number for each row), or of the scores' shape: one-hot rows, or probabilities.

    Raises:
        ValueError: The shapes don't fit, a label isn't a class, a probability isn't from 0 to 1, or there is one
            output, whose softmax is always 1.

    >>> import tinygrad_edu as tg
    >>> round(tg.nn.cross_entropy(tg.Value([2.0, 0.0, 0.0]), 0).item(), 4)
    0.2395
    """
    scores, targets = as_one(scores), as_one(targets)
    shape, given = np.shape(data_of(scores)), np.shape(data_of(targets))
    if shape[-1:] in ((), (1,)):
        raise ValueError("cross_entropy of one output is always 0: use tg.nn.binary_cross_entropy")
    if given == shape[:-1]:
        targets = loss.one_hot(targets, classes=shape[-1])
    else:
        check_bounded(targets, "cross_entropy")
    return apply(loss.cross_entropy, pairs(scores, targets))


@as_loss(takes="scores")
def binary_cross_entropy(scores: Any, targets: Any) -> Value:
    """-log of the probability that sigmoid(scores) gives the targets, 0 or 1; the mean over all numbers.

    It takes scores, so the network must not end in a sigmoid. Source: `BCEWithLogitsLoss` of PyTorch.

    Args:
        scores: Any numbers: a Value, or a list of scalar Values.
        targets: Of the same shape, 0 or 1 or between. For scores of shape (rows, 1) also labels of shape (rows,).

    Raises:
        ValueError: The shapes differ, or a target isn't from 0 to 1.

    >>> import tinygrad_edu as tg
    >>> round(tg.nn.binary_cross_entropy(tg.Value([2.0]), [1.0]).item(), 4)
    0.1269
    """
    check_bounded(targets := as_one(targets), "binary_cross_entropy")
    return apply(loss.binary_cross_entropy, columns(scores, targets))


@as_loss(takes="scores")
def hinge(scores: Any, targets: Any) -> Value:
    """max(0, 1 - y·s), the mean over all numbers; y is 1 where the target is positive, else -1.

    With one-hot rows, each class is told from all others. Source: `Hinge` of Keras. Arguments and errors are those of
    `binary_cross_entropy`, but that targets may be any numbers, such as -1 and 1.

    >>> import tinygrad_edu as tg
    >>> tg.nn.hinge(tg.Value([0.25, 2.0]), [1.0, 0.0]).item()
    1.875
    """
    return apply(loss.hinge, columns(scores, targets))


@as_loss()
def mean_absolute_error(outputs: Any, targets: Any) -> Value:
    """The mean of |oₖ - tₖ| over outputs and rows. Arguments and errors are those of `hinge`.

    >>> import tinygrad_edu as tg
    >>> tg.nn.mean_absolute_error(tg.Value([1.0, 3.0]), [2.0, 0.0]).item()
    2.0
    """
    return apply(loss.mean_absolute_error, columns(outputs, targets))


@as_loss()
def huber(outputs: Any, targets: Any, delta: float = 1.0) -> Value:
    """The mean of ½(o - t)² where |o - t| ≤ δ, and of δ·(|o - t| - ½δ) elsewhere. Source: `HuberLoss` of PyTorch.

    Arguments and errors are those of `hinge`. Another δ: `functools.partial(tg.nn.huber, delta=2.0)`.

    >>> import tinygrad_edu as tg
    >>> tg.nn.huber(tg.Value([1.0, 3.0]), [0.5, 0.0]).item()
    1.3125
    """
    if isinstance(delta, bool) or not isinstance(delta, (int, float, np.number)) or not 0.0 < delta < math.inf:
        raise ValueError(f"delta must be finite and positive, got {delta!r}")
    return apply(loss.huber, columns(outputs, targets), {"delta": float(delta)})


class Penalty:
    """½·l2·Σw² + l1·Σ|w|, whatever the outputs are."""

    def __init__(self, network: Network, l2: float, l1: float) -> None:
        self.network, self.l2, self.l1 = network, l2, l1

    def __call__(self, outputs: Any, targets: Any) -> Any:
        total: Any = 0.0
        for path, p in self.network.named_parameters():
            if path.endswith("bias"):
                continue
            if self.l2:
                total = total + 0.5 * self.l2 * (p * p).sum()
            if self.l1:
                total = total + self.l1 * abs(p).sum()
        return total


def penalty(network: Network, l2: float = 0.0, l1: float = 0.0) -> Loss:
    """½·l2·Σw² + l1·Σ|w| over a network's weights (biases are left out), as a loss to be added to another.

    Raises:
        ValueError: A strength isn't finite and at least 0, or both are 0.

    >>> import tinygrad_edu as tg
    >>> network = tg.Network([tg.Dense([[3.0, 4.0]], [1.0])])
    >>> loss = tg.nn.cross_entropy + tg.nn.penalty(network, l2=0.1)
    >>> tg.nn.penalty(network, l2=0.1)(None, None).item()
    1.25
    """
    if isinstance(network, type) or not hasattr(network, "named_parameters"):
        raise TypeError(f"network must be a network, got {network!r}")
    check_strength(l2, "l2")
    check_strength(l1, "l1")
    if not l2 and not l1:
        raise ValueError("penalty needs a strength: l2, l1, or both")
    found = Loss(Penalty(network, float(l2), float(l1)), "mean")
    found.networks = (network,)
    found.__name__ = f"penalty(l2={l2}, l1={l1})"
    return found


def check_strength(strength: Any, name: str) -> None:
    if not isinstance(strength, (int, float, np.number)) or not 0.0 <= strength < math.inf:
        raise ValueError(f"{name} must be finite and at least 0, got {strength!r}")


for bounded in (cross_entropy, binary_cross_entropy):
    bounded.bounded = True


def check_bounded(targets: Any, name: str) -> None:
    """Raise ValueError where plain targets aren't probabilities: the loss would have no least value."""
    if isinstance(targets, Value) or not np.size(targets):
        return
    low, high = np.min(targets), np.max(targets)
    if low < 0.0 or high > 1.0:
        worst = float(low if low < 0.0 else high)
        raise ValueError(f"targets must be from 0 to 1 for {name}, got {worst}: write 0 and 1 for two classes")


def squared_error_in(loss: Any, n_outputs: int) -> float | None:
    """What a loss of one row is multiplied by to be the mean squared error; None where it is another thing."""
    if loss is half_squared_error:
        return 2.0 / n_outputs
    return 1.0 if loss is mean_squared_error else None


def pairs(outputs: Any, targets: Any) -> tuple[Any, ...]:
    """Outputs, then targets, as the operations take them."""
    if isinstance(outputs, (list, tuple)):
        try:
            n = len(targets)
        except TypeError:
            wanted = f"{len(outputs)} numbers, one for each output"
            raise ValueError(f"targets must be {wanted}, got {targets!r}") from None
        if len(outputs) != n or not outputs:
            raise ValueError(f"targets has length {n}, but there are {len(outputs)} outputs")
        return (*outputs, *targets)
    if not isinstance(targets, (np.ndarray, Value)):
        targets = as_data(targets)
    shape, wanted = np.shape(data_of(targets)), np.shape(data_of(outputs))
    if shape != wanted or 0 in shape:
        raise ValueError(f"targets has shape {shape}, but the outputs have shape {wanted}")
    return outputs, targets


def columns(outputs: Any, targets: Any) -> tuple[Any, ...]:
    """Outputs and targets as one array each; a number for each row where rows have one output."""
    outputs, targets = as_one(outputs), as_one(targets)
    shape, given = np.shape(data_of(outputs)), np.shape(data_of(targets))
    if shape and given == shape[:-1] and shape[-1] == 1:
        targets = targets.reshape(shape) if given else stack([targets])
    return pairs(outputs, targets)


def as_one(x: Any) -> Any:
    """What may be a list of Values as one Value; else an array."""
    if isinstance(x, (list, tuple)):
        return stack(x)
    return x if isinstance(x, (Value, np.ndarray)) else as_data(x)
