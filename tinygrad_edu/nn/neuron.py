"""One neuron, its numbers scalars, for seeing what happens inside.

The one thing to know: it adds from the bias on, one product at a time, as the article does; this order decides the
last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tinygrad_edu.core.context import Context, context
from tinygrad_edu.core.operation import Operation
from tinygrad_edu.core.value import NO_PARAMS, Operand, Value, apply, data_of
from tinygrad_edu.nn.checks import check_activation, check_not_alone, listed, shown, valued
from tinygrad_edu.ops.activation import sigmoid
from tinygrad_edu.ops.linear_algebra import weighted_sum_of


class Neuron:
    """output = activation(bias + w₀·x₀ + w₁·x₁ + …), from the article.

    Args:
        weights: One number (or scalar Value) for each input.
        bias: A number or scalar Value.
        activation: A function of the weighted sum.

    Raises:
        ValueError: No weights, one that isn't a scalar, or softmax, which needs several outputs. When called: as many
            inputs as weights are expected.
        TypeError: The activation isn't a function. When called: inputs aren't a row.

    >>> import tinygrad_edu as tg
    >>> neuron = tg.Neuron([0.5, -1.0], bias=0.25)
    >>> neuron([2.0, 1.0]).backward()
    >>> neuron.output, neuron.delta == neuron.output * (1.0 - neuron.output)
    (0.5621765008857981, True)
    """

    plain = True

    def __init__(self, weights: Sequence[Operand], bias: Operand, activation: Callable[[Any], Any] = sigmoid) -> None:
        check_activation(activation, "activation")
        check_not_alone(activation, 1)
        weights = listed(weights, "weights", "numbers")
        self.weights = [parameter(w, f"weights[{i}]") for i, w in enumerate(weights)]
        self.bias = parameter(bias, "bias")
        self.activation = activation
        if not self.weights:
            raise ValueError("weights is empty: a neuron needs at least one input")
        self.weighted_sum: Value | None = None
        self.activated: Value | None = None

    def feed_forward(self, inputs: Sequence[Operand], within: Context | None = None) -> Value:
        """The neuron's output for one row of inputs, recorded `within` a group. Calling the neuron does the same."""
        try:
            n = len(inputs)
        except TypeError:
            raise not_a_row(inputs, len(self.weights)) from None
        if n != len(self.weights):
            raise ValueError(f"inputs has length {n}, but the neuron has {len(self.weights)} weights")
        total = apply(weighted_sum_of, (self.bias, *self.weights, *inputs), NO_PARAMS, within)
        self.weighted_sum = total
        self.activated = output = activated(self.activation, total, within)
        return output

    __call__ = feed_forward

    @property
    def output(self) -> float | None:
        """What it last gave, as a float; None before the first call."""
        return None if self.activated is None else self.activated.item()

    @property
    def delta(self) -> float | None:
        """The gradient at the weighted sum, the article's delta; None before a backward pass."""
        return (
            None
            if self.weighted_sum is None or self.weighted_sum.grad is None
            else float(data_of(self.weighted_sum.grad))
        )

    def parameters(self) -> list[Value]:
        """The weights, then the bias."""
        return [*self.weights, self.bias]

    def __getstate__(self) -> dict[str, Any]:
        return without_graph(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """In a notebook: the picture of what it last computed, or its numbers."""
        if self.activated is None:
            return {"text/plain": repr(self)}
        return {**self.activated._repr_mimebundle_(), "text/plain": repr(self)}

    def __repr__(self) -> str:
        weights = ", ".join(str(w.data) for w in self.weights)
        return f"Neuron(weights=[{weights}], bias={self.bias.data}, delta={self.delta}, output={self.output})"


def without_graph(unit: Any) -> dict[str, Any]:
    """What a neuron or layer keeps in a copy: of what it last computed the numbers, without the graph behind them."""
    state = dict(unit.__dict__)
    for name in ("weighted_sum", "activated"):
        if (value := state.get(name)) is not None:
            state[name] = Value(value.data)
            state[name].grad = value.grad
    return state


def activated(activation: Callable[[Any], Any], total: Value, within: Context | None) -> Value:
    """An activation's output, recorded in the group of its neuron. Groups are handed on: to set them takes longer."""
    if type(activation) is Operation:
        return apply(activation, (total,), NO_PARAMS, within)
    if within is None:
        return activation(total)  # type: ignore[no-any-return]
    token = context.set(within)
    try:
        return activation(total)  # type: ignore[no-any-return]
    finally:
        context.reset(token)


def not_a_row(inputs: Any, n: int) -> TypeError:
    """The error for what should be a row of inputs and is one number, or nothing that has a length."""
    write = f"[{shown(data_of(inputs))}]" if n == 1 else f"a list of {n}"
    return TypeError(f"inputs must be a row of {n} number{'s' * (n > 1)}, got {shown(inputs)}: write {write}")


def parameter(x: Operand, name: str) -> Value:
    """A scalar parameter: a Value as it is, a number as a named Value."""
    value = valued(x, name)
    if value.ndim:
        raise ValueError(f"{name} must be a number, but has shape {value.shape}")
    return value
