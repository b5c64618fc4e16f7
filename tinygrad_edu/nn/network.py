"""Network: layers in a row.

The one thing to know: a network only computes. `training.py` trains it, and updates change its parameters.
"""

from __future__ import annotations

import html
import itertools
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from tinygrad_edu.compiler.compiled import Backend, check_backend
from tinygrad_edu.core.context import Groups, current, no_grad
from tinygrad_edu.core.value import Value
from tinygrad_edu.nn.compiled import Epoch, Trainer, epoch_of
from tinygrad_edu.nn.layer import Dense, Layer
from tinygrad_edu.nn.loss import half_squared_error
from tinygrad_edu.nn.neuron import Neuron
from tinygrad_edu.nn.training import train
from tinygrad_edu.nn.update import SGD, check_rate


class Network:
    """Layers in a row, trained by computed gradients.

    Args:
        layers: `Layer`s or `Dense` layers, the outputs of each as many as the inputs of the next.
        learning_rate: The rate of the update that `train` uses where none is given.

    Raises:
        ValueError: No layers, sizes that don't chain, or a learning rate that isn't finite and positive.

    >>> import tinygrad_edu as tg
    >>> xor = tg.Network.create([2, 3, 2], seed=0)
    >>> history = xor.train([[0, 0], [0, 1], [1, 0], [1, 1]], targets=[0, 1, 1, 0], epochs=3)
    >>> len(history), xor.predict([0, 1]) in (0, 1)
    (3, True)
    """

    def __init__(self, layers: Sequence[Layer | Dense], learning_rate: float = 0.5) -> None:
        self.layers = list(layers)
        self.learning_rate = check_rate(learning_rate, "learning_rate")
        if not self.layers:
            raise ValueError("layers is empty: a network needs at least one")
        for i, (layer, following) in enumerate(itertools.pairwise(self.layers)):
            if layer.n_outputs != following.n_inputs:
                raise ValueError(
                    f"layers[{i}] has {layer.n_outputs} outputs, but layers[{i + 1}] takes {following.n_inputs} inputs"
                )
        self.groups = Groups([f"layers[{i}]" for i in range(len(self.layers))])
        for path, value in self.named_parameters():
            if value.name is None or path.endswith("." + value.name):  # a name the user chose stays
                value.name = path

    @classmethod
    def create(
        cls,
        sizes: Sequence[int],
        kind: Literal["scalar", "dense"] = "scalar",
        seed: int | None = None,
        learning_rate: float = 0.5,
    ) -> Network:
        """A network of sigmoid layers with the given numbers of units, inputs first; weights uniform in [0, 1).

        The same seed draws the same weights for both kinds.

        Raises:
            ValueError: Fewer than two sizes, one below 1, or another kind than "scalar" or "dense".
        """
        kinds: dict[str, type[Layer] | type[Dense]] = {"scalar": Layer, "dense": Dense}
        if kind not in kinds:
            raise ValueError(f'kind must be "scalar" or "dense", got {kind!r}')
        if len(sizes) < 2:
            raise ValueError(f"sizes must name the inputs and at least one layer, got {list(sizes)}")
        rng = np.random.default_rng(seed)
        layers = [kinds[kind].create(n, m, rng) for n, m in itertools.pairwise(sizes)]
        return cls(layers, learning_rate)

    @property
    def n_inputs(self) -> int:
        return self.layers[0].n_inputs

    @property
    def n_outputs(self) -> int:
        return self.layers[-1].n_outputs

    def parameters(self) -> list[Value]:
        """All weights and biases, layer by layer."""
        return [p for layer in self.layers for p in layer.parameters()]

    def named_parameters(self) -> list[tuple[str, Value]]:
        """Each parameter with its path, such as `layers[0].neurons[1].weights[0]`."""
        return [
            (f"{name}.{path}", value)
            for name, layer in zip(self.groups.names, self.layers, strict=True)
            for path, value in layer.named_parameters()
        ]

    def units(self) -> list[Neuron | Dense]:
        """The neurons and dense layers, which remember what they last computed."""
        return [unit for layer in self.layers for unit in (layer.neurons if isinstance(layer, Layer) else [layer])]

    def feed_forward(self, x: Any) -> Any:
        """The outputs for one row: a list of Values from a scalar last layer, one Value from a dense one.

        A network of dense layers also takes a batch of shape (rows, n_inputs) and gives shape (rows, n_outputs).

        Raises:
            ValueError: The row has another length than the network has inputs.
        """
        for inner, layer in zip(self.groups.contexts(current()), self.layers):  # noqa: B905 - time
            x = layer.feed_forward(x, inner)
        return x

    __call__ = feed_forward

    def predict(self, x: Any) -> Any:
        """The index of the largest output, as an int; for a batch (dense layers) an array with one for each row."""
        with no_grad():
            outputs = self.feed_forward(x)
        data = np.asarray(outputs.data if isinstance(outputs, Value) else [o.data for o in outputs])
        return int(np.argmax(data)) if data.ndim == 1 else np.argmax(data, axis=1)

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for p in self.parameters():
            p.grad = None

    train = train

    def printed_epoch(
        self,
        update: Any = None,
        loss: Callable[[Any, Any], Value] = half_squared_error,
        metrics: Sequence[Callable[..., Any]] = (),
        backend: Backend = "python",
    ) -> Epoch:
        """One epoch of `train` as Python source, recorded from this network: see its `source`.

        Raises:
            TypeError: The update has no `rule`, or something in the network or the loss branches on data.
            ImportError: The backend isn't installed.
        """
        return epoch_of(self, update or SGD(self.learning_rate), loss, metrics, backend=backend)

    def compile(self, backend: Backend = "python") -> Trainer:
        """A trainer whose `train` has the arguments, history and errors of this network's, and runs printed source.

        Raises:
            ValueError: Another backend than "python" or "numba".
        """
        return Trainer(self, check_backend(backend))

    def summary(self) -> list[tuple[str, str, int, str]]:
        """For each layer its name, its shape as inputs to outputs, the number of its parameters, and its activation."""
        return [
            (
                name,
                f"{layer.n_inputs} → {layer.n_outputs}",
                sum(p.size for p in layer.parameters()),
                layer.activation_name,
            )
            for name, layer in zip(self.groups.names, self.layers, strict=True)
        ]

    def __str__(self) -> str:
        """A short table; `repr` has every neuron's numbers."""
        rows = [("layer", "shape", "parameters", "activation"), *((a, b, str(c), d) for a, b, c, d in self.summary())]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{word}</th>" for word in ("layer", "shape", "parameters", "activation"))
        rows = ["".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) for row in self.summary()]
        return f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"

    def __repr__(self) -> str:
        return "\n".join(f"{name}:\n{layer!r}" for name, layer in zip(self.groups.names, self.layers, strict=True))
