"""Backpropagation by hand, with the arithmetic of the article, in plain Python and in numpy. No gradient is computed.

The one thing to know: floating-point addition depends on its order. Every sum here runs in the article's order, and
library and tests compare with `==`; so change no order of operations. `sum()` is not used on floats: from Python 3.12
on it compensates for rounding, and gives other last bits than an explicit loop.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from tinygrad_edu.core.data import Array

Start = Sequence[Sequence[tuple[Sequence[float], float]]]
"""Layer by layer, neuron by neuron: weights and bias."""

BiasUpdates = Literal["per_input", "once"]


class HandNeuron:
    """A neuron whose delta someone else works out."""

    def __init__(self, weights: Sequence[float], bias: float) -> None:
        self.weights = list(weights)
        self.bias = bias
        self.delta = 0.0
        self.output = 0.0

    def activate(self, inputs: Sequence[float]) -> float:
        weighted_sum = self.bias
        for i in range(len(self.weights)):
            weighted_sum += self.weights[i] * inputs[i]
        self.output = 1.0 / (1.0 + math.exp(-weighted_sum))
        return self.output

    def set_delta(self, error: float) -> None:
        self.delta = error * (self.output * (1.0 - self.output))


class HandNetwork:
    """The article's first program: layers of neurons, and loops.

    Args:
        start: Weights and bias, neuron by neuron, layer by layer.
        learning_rate: The step.
        bias_updates: "per_input" as in the article, whose bias update stands inside the loop over the weights, or
            "once", which is gradient descent.
        gradient_first: Multiply `rate * (delta * input)` as a gradient step does, and not `(rate * delta) * input`.
            The two differ in the last bit unless the rate is a power of two.
    """

    def __init__(
        self,
        start: Start,
        learning_rate: float = 0.5,
        bias_updates: BiasUpdates = "per_input",
        gradient_first: bool = False,
    ) -> None:
        self.layers = [[HandNeuron(weights, bias) for weights, bias in layer] for layer in start]
        self.learning_rate = learning_rate
        self.bias_updates = bias_updates
        self.gradient_first = gradient_first

    def feed_forward(self, row: Sequence[float]) -> list[float]:
        inputs = list(row)
        for layer in self.layers:
            inputs = [neuron.activate(inputs) for neuron in layer]
        return inputs

    def set_deltas(self, expected: Sequence[float]) -> None:
        """From the output layer back: what each weighted sum contributed to the error."""
        for neuron, target in zip(self.layers[-1], expected, strict=True):
            neuron.set_delta(neuron.output - target)
        for i in range(len(self.layers) - 2, -1, -1):
            for j, neuron in enumerate(self.layers[i]):
                error = 0.0
                for following in self.layers[i + 1]:
                    error += following.weights[j] * following.delta
                neuron.set_delta(error)

    def update(self, row: Sequence[float]) -> None:
        """After all deltas, hidden layers first."""
        inputs = list(row)
        for layer in self.layers:
            for neuron in layer:
                for i, x in enumerate(inputs):
                    if self.gradient_first:
                        neuron.weights[i] -= self.learning_rate * (neuron.delta * x)
                    else:
                        neuron.weights[i] -= self.learning_rate * neuron.delta * x
                    if self.bias_updates == "per_input":
                        neuron.bias -= self.learning_rate * neuron.delta
                if self.bias_updates == "once":
                    neuron.bias -= self.learning_rate * neuron.delta
            inputs = [neuron.output for neuron in layer]

    def train_epoch(self, rows: Sequence[Sequence[float]], targets: Sequence[Sequence[float]]) -> float:
        """One update a row. Returns what the article prints: outputs compared with the first labels of the data."""
        labels: list[float] = [target.index(max(target)) for target in map(list, targets)]
        labels += [math.nan] * len(self.layers[-1])  # with fewer rows than outputs there is no label to compare with
        printed = 0.0
        for row, target in zip(rows, targets, strict=True):
            outputs = self.feed_forward(row)
            squares = 0.0
            for k, output in enumerate(outputs):
                error = output - labels[k]
                squares += error * error  # `error**2` calls the C library's pow, which may differ in the last bit
            printed += squares / len(outputs)
            self.set_deltas(target)
            self.update(row)
        return printed

    def predict(self, row: Sequence[float]) -> int:
        outputs = self.feed_forward(row)
        return outputs.index(max(outputs))


class HandDense:
    """A layer of the article's second program: weights (out, in), bias (out,)."""

    def __init__(self, weights: Array, bias: Array) -> None:
        self.weights = weights
        self.bias = bias
        self.outputs = np.zeros(len(bias))
        self.deltas = np.zeros(len(bias))

    def activate(self, inputs: Array) -> Array:
        self.outputs = 1 / (1 + np.exp(-(self.weights @ inputs + self.bias)))
        return self.outputs


class HandDenseNetwork:
    """The article's second program: a layer is a matrix.

    Args:
        start: As for `HandNetwork`.
        learning_rate: The step.
        bias_updates: "once" as in this program of the article, or "per_input" as in the other.
        slip: Multiply hidden deltas by the sigmoid's derivative twice, as the article prints it. That is wrong.
    """

    def __init__(
        self, start: Start, learning_rate: float = 0.5, bias_updates: BiasUpdates = "once", slip: bool = False
    ) -> None:
        self.layers = [
            HandDense(np.array([weights for weights, _ in layer]), np.array([bias for _, bias in layer]))
            for layer in start
        ]
        self.learning_rate = learning_rate
        self.bias_updates = bias_updates
        self.slip = slip

    def feed_forward(self, row: Array) -> Array:
        for layer in self.layers:
            row = layer.activate(row)
        return row

    def set_deltas(self, expected: Array) -> None:
        last = self.layers[-1]
        last.deltas = (last.outputs - expected) * (last.outputs * (1.0 - last.outputs))
        for i in range(len(self.layers) - 2, -1, -1):
            layer, following = self.layers[i], self.layers[i + 1]
            slope = layer.outputs * (1.0 - layer.outputs)
            layer.deltas = following.weights.T @ following.deltas * slope
            if self.slip:
                layer.deltas = layer.deltas * slope

    def update(self, row: Array) -> None:
        inputs = row
        for layer in self.layers:
            layer.weights -= layer.deltas[:, None] @ inputs[None, :] * self.learning_rate
            for _ in range(len(inputs) if self.bias_updates == "per_input" else 1):
                layer.bias -= layer.deltas * self.learning_rate
            inputs = layer.outputs

    def train_epoch(self, rows: Array, targets: Array) -> float:
        """One update a row. Returns what this program prints: the sum over rows of the mean squared error."""
        printed = 0.0
        for row, target in zip(rows, targets, strict=True):
            printed += float(np.power(self.feed_forward(row) - target, 2).mean())
            self.set_deltas(target)
            self.update(row)
        return printed

    def predict(self, row: Array) -> int:
        return int(np.argmax(self.feed_forward(row)))
