"""Layers: a row of neurons (`Layer`), and the same thing as one matrix (`Dense`)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np

from tinygrad_edu.core.context import Context, current
from tinygrad_edu.core.data import Array, as_data
from tinygrad_edu.core.value import NO_PARAMS, Operand, Value, apply, data_of
from tinygrad_edu.groups import Groups
from tinygrad_edu.nn.checks import check_activation, check_generator, check_not_alone, listed, shown, valued
from tinygrad_edu.nn.neuron import Neuron, activated, not_a_row, without_graph
from tinygrad_edu.ops.activation import sigmoid
from tinygrad_edu.ops.linear_algebra import affine
from tinygrad_edu.ops.shaping import stack

Start: TypeAlias = Literal["article", "scaled"]


def identity(x: Any) -> Any:
    """x itself: the activation of a layer that gives scores, or numbers of any size."""
    return x


identity.plain = True  # type: ignore[attr-defined]


class Layer:
    """Neurons side by side, all with the same inputs.

    Raises:
        ValueError: No neurons, or neurons that differ in their number of inputs.

    >>> import tinygrad_edu as tg
    >>> layer = tg.Layer([tg.Neuron([1.0, 2.0], 0.0), tg.Neuron([3.0, 4.0], 0.0)])
    >>> [value.data for value in layer([0.0, 0.0])]
    [0.5, 0.5]
    """

    plain = True
    row_ndim = 1

    def __init__(self, neurons: Sequence[Neuron]) -> None:
        self.neurons = listed(neurons, "neurons", "neurons")
        for i, neuron in enumerate(self.neurons):
            if not isinstance(neuron, Neuron):
                raise TypeError(f"neurons[{i}] must be a neuron, got {shown(neuron)}: write tg.Neuron(weights, bias)")
        sizes = [len(neuron.weights) for neuron in self.neurons]
        if not sizes:
            raise ValueError("neurons is empty: a layer needs at least one")
        if len(set(sizes)) > 1:
            raise ValueError(f"neurons differ in their number of inputs: {sizes}")
        self.n_inputs, self.n_outputs = sizes[0], len(sizes)
        self.groups = Groups([f"neurons[{i}]" for i in range(len(sizes))])

    @classmethod
    def create(
        cls,
        n_inputs: int,
        n_neurons: int,
        rng: np.random.Generator,
        activation: Callable[[Any], Any] = sigmoid,
        start: Start = "article",
    ) -> Layer:
        """Neurons with drawn weights and biases, neuron by neuron; see `Network.create` for `start`."""
        rows = drawn(n_inputs, n_neurons, rng, activation, start).tolist()
        return cls([Neuron(row[:-1], row[-1], activation) for row in rows])

    def feed_forward(self, inputs: Sequence[Operand] | Value, within: Context | None = None) -> Any:
        """Each neuron's output for one row of inputs, a list, recorded `within` a group; as one Value for many rows."""
        if not isinstance(inputs, list):
            if np.ndim(data_of(inputs)) > 1:
                return stack([stack(self.feed_forward(list(row), within)) for row in inputs])  # type: ignore[arg-type]
            try:
                inputs = list(inputs.tolist() if isinstance(inputs, np.ndarray) else inputs)
            except TypeError:
                raise not_a_row(inputs, self.n_inputs) from None
        outputs = []
        for inner, neuron in zip(self.groups.contexts(within or current()), self.neurons):  # noqa: B905 - time
            outputs.append(neuron.feed_forward(inputs, inner))
        return outputs

    def __call__(self, inputs: Any) -> Any:
        """Each neuron's output for one row of inputs; for a batch of rows one Value, with a row for each."""
        if isinstance(inputs, list) and is_batch(inputs):
            return stack([stack(self.feed_forward(row)) for row in inputs])
        return self.feed_forward(inputs)

    @property
    def output(self) -> list[float | None]:
        """What each neuron last gave; None before the first call."""
        return [neuron.output for neuron in self.neurons]

    @property
    def delta(self) -> list[float | None]:
        """Each neuron's gradient at its weighted sum; None before a backward pass."""
        return [neuron.delta for neuron in self.neurons]

    def parameters(self) -> list[Value]:
        """All neurons' weights and biases, neuron by neuron."""
        return [p for neuron in self.neurons for p in neuron.parameters()]

    def named_parameters(self) -> list[tuple[str, Value]]:
        """Each parameter with its path, such as `neurons[1].weights[0]`."""
        named = []
        for name, neuron in zip(self.groups.names, self.neurons, strict=True):
            named += [(f"{name}.weights[{i}]", w) for i, w in enumerate(neuron.weights)]
            named.append((f"{name}.bias", neuron.bias))
        return named

    @property
    def activation_name(self) -> str:
        """Its neurons' activation; several, where they differ."""
        return ", ".join(dict.fromkeys(name_of(neuron.activation) for neuron in self.neurons))

    def __repr__(self) -> str:
        return "\n".join(map(repr, self.neurons))

    def _repr_html_(self) -> str:
        """A table with a row for each neuron."""
        return neuron_table(
            [[w.data for w in n.weights] for n in self.neurons],
            [n.bias.data for n in self.neurons],
            self.delta,
            self.output,
        )


class Dense:
    """A layer as one matrix: output = activation(W @ x + b), or activation(X @ Wᵀ + b) for rows X of a batch.

    Args:
        weights: Shape (n_outputs, n_inputs).
        bias: Shape (n_outputs,).
        activation: A function of the weighted sums.

    Raises:
        ValueError: The shapes don't fit, or softmax of one output.
        TypeError: The activation isn't a function.

    >>> import tinygrad_edu as tg
    >>> layer = tg.Dense([[1.0, 2.0], [3.0, 4.0]], [0.0, 0.0])
    >>> layer([0.0, 0.0]).data
    array([0.5, 0.5])
    """

    plain = True
    row_ndim = 1

    def __init__(self, weights: Operand, bias: Operand, activation: Callable[[Any], Any] = sigmoid) -> None:
        check_activation(activation, "activation")
        self.weights, self.bias = valued(weights, "weights"), valued(bias, "bias")
        self.activation = activation
        if self.weights.ndim != 2 or 0 in self.weights.shape:
            raise ValueError(
                f"weights must have shape (n_outputs, n_inputs), got {self.weights.shape}; "
                "Dense.create(n_inputs, n_outputs, rng) draws them"
            )
        self.n_outputs, self.n_inputs = self.weights.shape
        check_not_alone(activation, self.n_outputs)
        if self.bias.shape != (self.n_outputs,):
            raise ValueError(f"bias must have shape ({self.n_outputs},) to fit the weights, got {self.bias.shape}")
        self.weighted_sum: Value | None = None
        self.activated: Value | None = None

    @classmethod
    def create(
        cls,
        n_inputs: int,
        n_neurons: int,
        rng: np.random.Generator,
        activation: Callable[[Any], Any] = sigmoid,
        start: Start = "article",
    ) -> Dense:
        """Weights and biases drawn as `Layer.create` draws them: the same network."""
        rows = drawn(n_inputs, n_neurons, rng, activation, start)
        return cls(rows[:, :-1].copy(), rows[:, -1].copy(), activation)

    def feed_forward(self, inputs: Operand | Sequence[Value], within: Context | None = None) -> Value:
        """The outputs for one row or a batch of rows, recorded `within` a group. Calling the layer does the same."""
        if isinstance(inputs, (list, tuple)):
            if any(isinstance(x, (list, tuple)) and has_values(x) for x in inputs):
                inputs = [stack(x) if isinstance(x, (list, tuple)) else x for x in inputs]
            if has_values(inputs):
                inputs = stack(inputs)
        x = inputs if isinstance(inputs, (Value, np.ndarray)) else numbers(inputs)
        if x.ndim not in (1, 2) or x.shape[-1] != self.n_inputs:
            raise ValueError(f"inputs must have shape ({self.n_inputs},) or (rows, {self.n_inputs}), got {x.shape}")
        self.weighted_sum = total = apply(affine, (self.weights, x, self.bias), NO_PARAMS, within)
        self.activated = output = activated(self.activation, total, within)
        return output

    __call__ = feed_forward

    def __getstate__(self) -> dict[str, Any]:
        return without_graph(self)

    @property
    def output(self) -> Array | None:
        """What it last gave; None before the first call."""
        return None if self.activated is None else np.asarray(self.activated.data)

    @property
    def delta(self) -> Array | None:
        """The gradient at the weighted sums, the article's deltas; None before a backward pass."""
        if self.weighted_sum is None or self.weighted_sum.grad is None:
            return None
        grad = self.weighted_sum.grad
        return np.asarray(grad.data if isinstance(grad, Value) else grad)

    def parameters(self) -> list[Value]:
        """Weights and bias."""
        return [self.weights, self.bias]

    def named_parameters(self) -> list[tuple[str, Value]]:
        """Each parameter with its path."""
        return [("weights", self.weights), ("bias", self.bias)]

    @property
    def activation_name(self) -> str:
        """What its activation is called."""
        return name_of(self.activation)

    def _repr_html_(self) -> str:
        """A table with a row for each output; weights of more than 8 inputs, and outputs beyond 20, in short."""
        one_row = self.output is None or self.output.ndim == 1
        none = [None] * self.n_outputs
        deltas = self.delta.tolist() if one_row and self.delta is not None else none
        outputs = self.output.tolist() if one_row and self.output is not None else none
        return neuron_table(
            np.asarray(self.weights.data).tolist(), np.asarray(self.bias.data).tolist(), deltas, outputs
        )

    def __repr__(self) -> str:
        parts = [f"{name}={getattr(self, name)}" for name in ("delta", "output")]
        return f"Dense(weights={self.weights.data}, bias={self.bias.data}, {', '.join(parts)})"


def has_values(x: Sequence[Any]) -> bool:
    return any(isinstance(part, Value) for part in x)


def numbers(x: Any) -> Array:
    """Inputs as an array of float64. Raises as Value does, and names the argument."""
    if type(x) is np.ndarray and x.dtype == np.float64:
        return x
    try:
        return np.asarray(as_data(x), dtype=float)
    except (TypeError, ValueError) as error:
        raise type(error)(f"inputs: {error}") from None


def is_batch(x: Any) -> bool:
    """Whether inputs are rows of rows."""
    if type(x) is list or type(x) is tuple:
        return bool(x) and (
            isinstance(x[0], (list, tuple)) or (not isinstance(x[0], float) and np.ndim(data_of(x[0])) > 0)
        )
    return bool(np.ndim(data_of(x)) > 1)


def drawn(
    n_inputs: int, n_neurons: int, rng: np.random.Generator, activation: Callable[[Any], Any], start: Start
) -> Array:
    """For each neuron a row of weights, and its bias at the end.

    "article": uniform in [0, 1), biases too, neuron by neuron, as the article draws them. "scaled": biases 0, weights
    normal around 0, of variance 2/n_inputs for relu and its like (He et al., Delving Deep into Rectifiers, 2015), else
    uniform in ±√(6/(n_inputs + n_neurons)) (Glorot and Bengio, Understanding the difficulty of training deep
    feedforward neural networks, 2010).
    """
    check_sizes(n_inputs, n_neurons)
    check_generator(rng)
    if start == "article":
        return rng.random((n_neurons, n_inputs + 1))
    if start != "scaled":
        raise ValueError(f'start must be "article" or "scaled", got {start!r}')
    rows = np.zeros((n_neurons, n_inputs + 1))
    if name_of(activation) in ("relu", "leaky_relu", "elu", "silu", "gelu", "softplus"):
        rows[:, :-1] = rng.normal(size=(n_neurons, n_inputs)) * math.sqrt(2.0 / n_inputs)
    else:
        bound = math.sqrt(6.0 / (n_inputs + n_neurons))
        rows[:, :-1] = rng.uniform(-bound, bound, size=(n_neurons, n_inputs))
    return rows


def name_of(activation: Callable[[Any], Any]) -> str:
    return getattr(activation, "__name__", type(activation).__name__)


def neuron_table(weights: Sequence[Any], bias: Sequence[Any], deltas: Sequence[Any], outputs: Sequence[Any]) -> str:
    """An HTML table of neurons: weights, bias, delta, output."""

    def cell(x: Any) -> str:
        return "" if x is None else f"{x:.4g}"

    head = "".join(f"<th>{word}</th>" for word in ("neuron", "weights", "bias", "delta", "output"))
    rows = []
    for i, (w, *others) in enumerate(zip(weights, bias, deltas, outputs, strict=True)):
        shown = ", ".join(map(cell, w[:8])) + (f", … ({len(w)})" if len(w) > 8 else "")
        rows.append(f"<tr><td>{i}</td><td>{shown}</td>{''.join(f'<td>{cell(x)}</td>' for x in others)}</tr>")
    more = f"<tr><td colspan=5>… {len(rows) - 20} more</td></tr>" if len(rows) > 20 else ""
    return f"<table><tr>{head}</tr>{''.join(rows[:20])}{more}</table>"


def check_sizes(n_inputs: int, n_neurons: int) -> None:
    for name, n in (("n_inputs", n_inputs), ("n_neurons", n_neurons)):
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, got {n!r}")
