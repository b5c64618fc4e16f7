"""Network: layers in a row.

The one thing to know: a network only computes. `training.py` trains it, and updates change its parameters.
"""

from __future__ import annotations

import html
import itertools
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from tinygrad_edu.compiler.compiled import Backend, check_backend
from tinygrad_edu.core.context import Context, context, current, no_grad
from tinygrad_edu.core.data import Array
from tinygrad_edu.core.operation import Operation
from tinygrad_edu.core.value import Value, data_of
from tinygrad_edu.groups import Groups
from tinygrad_edu.nn.checks import check_activation, check_loss, check_update, listed, shown
from tinygrad_edu.nn.compiled import Epoch, Form, Recordings, Trainer, epoch_of
from tinygrad_edu.nn.data import check_count, read_only
from tinygrad_edu.nn.layer import Dense, Layer, Start, has_values, identity, is_batch, name_of, numbers
from tinygrad_edu.nn.loss import half_squared_error
from tinygrad_edu.nn.metric import Metric, metrics_of
from tinygrad_edu.nn.neuron import Neuron
from tinygrad_edu.nn.saving import load_network, save_network
from tinygrad_edu.nn.training import train
from tinygrad_edu.nn.update import SGD, check_rate
from tinygrad_edu.ops.activation import log_softmax, sigmoid, softmax
from tinygrad_edu.ops.shaping import stack
from tinygrad_edu.tree import leaves_of, mapped

Kind = Literal["scalar", "dense"]
MANY = 64
"""Inputs from which on weights in [0, 1) leave a sigmoid nothing to learn from: its slope at 16 is 1e-7."""


class Network:
    """Layers in a row, trained by computed gradients.

    Args:
        layers: `Layer`s, `Dense` layers, or anything else that can be called with the outputs of the layer before it:
            a `tg.nn.Conv2d`, a plain function such as `tg.relu`, an object of your own with `parameters()`, a network.
        learning_rate: The rate of the update that `train` uses where none is given.

    Raises:
        ValueError: No layers, sizes that don't chain, or a learning rate that isn't finite and positive.
        TypeError: A layer can't be called, or is a class.

    >>> import tinygrad_edu as tg
    >>> xor = tg.Network.create([2, 3, 2], seed=0)
    >>> history = xor.train([[0, 0], [0, 1], [1, 0], [1, 1]], targets=[0, 1, 1, 0], epochs=3)
    >>> len(history), xor.predict([0, 1]) in (0, 1)
    (3, True)
    """

    plain = True
    _gives_numbers = False  # whether it was last trained on numbers that are no classes
    _advice = ""  # what is to be said when it is first trained

    def __init__(self, layers: Sequence[Any], learning_rate: float = 0.5) -> None:
        self.layers = listed(layers, "layers", "layers")
        self.learning_rate = check_rate(learning_rate, "learning_rate")
        if not self.layers:
            raise ValueError("layers is empty: a network needs at least one")
        for i, layer in enumerate(self.layers):
            if isinstance(layer, type):
                raise TypeError(f"layers[{i}] is {shown(layer)}: write {layer.__name__}(…)")
            if not callable(layer):
                sizes = all(isinstance(size, int) for size in self.layers)
                hint = f": layers of these sizes makes tg.Network.create({self.layers})" if sizes else ""
                raise TypeError(f"layers[{i}] is {layer!r}, which can't be called{hint}")
        for i, (layer, following) in enumerate(itertools.pairwise(self.layers)):
            given, taken = size_of(layer, "n_outputs"), size_of(following, "n_inputs")
            if given is not None and taken is not None and given != taken:
                raise ValueError(f"layers[{i}] has {given} outputs, but layers[{i + 1}] takes {taken} inputs")
        self._recordings = Recordings()
        self._know_layers()
        for path, value in self.named_parameters():
            if value.name is None or path.endswith("." + value.name):  # a name the user chose stays
                value.name = path

    def _know_layers(self) -> None:
        """What is worked out of the layers, and again where the list of them was changed."""
        self._known = list(self.layers)
        self.groups = Groups([f"layers[{i}]" for i in range(len(self.layers))])
        self.has_neurons = any(
            isinstance(layer, Layer) or getattr(layer, "has_neurons", False) for layer in self.layers
        )

    @classmethod
    def create(
        cls,
        sizes: Sequence[int],
        kind: Kind = "scalar",
        seed: int | None = None,
        learning_rate: float = 0.5,
        *,
        activation: Callable[[Any], Any] = sigmoid,
        last: Callable[[Any], Any] | None = None,
        start: Start = "article",
    ) -> Network:
        """A network with the given numbers of units, inputs first. The same seed draws the same for both kinds.

        Args:
            kind: "scalar", neurons to look at, or "dense", matrices to compute with.
            activation: That of all layers but the last.
            last: The activation of the last layer. Left out: sigmoid for a network of sigmoids, else none
                (`tg.nn.identity`), so that outputs are scores.
            start: "article": weights and biases uniform in [0, 1), as the article draws them. "scaled": biases 0,
                weights scaled by the number of inputs, so that signals keep their size: for relu and its like normal
                with variance 2/n (He et al., Delving Deep into Rectifiers, 2015), else uniform in ±√(6/(n + m)) for n
                inputs and m outputs (Glorot and Bengio, Understanding the difficulty of training deep feedforward
                neural networks, 2010).

        A network of many inputs that starts as the article's says when it is first trained that it will saturate.

        Raises:
            ValueError: Fewer than two sizes, one below 1, or another kind or start.
            TypeError: An activation isn't a function.
        """
        sizes = listed(sizes, "sizes", "whole numbers, inputs first, such as [2, 3, 2]")
        kinds: dict[str, type[Layer] | type[Dense]] = {"scalar": Layer, "dense": Dense}
        if kind not in [*kinds]:
            raise ValueError(f'kind must be "scalar" or "dense", got {kind!r}')
        if len(sizes) < 2:
            raise ValueError(f"sizes must name the inputs and at least one layer, got {sizes}")
        if seed is not None:
            check_count(seed, "seed", 0)
        check_activation(activation, "activation")
        if last is not None:
            check_activation(last, "last")
        else:
            last = sigmoid if activation is sigmoid else identity
        rng, n_layers = np.random.default_rng(seed), len(sizes) - 1
        layers = [
            kinds[kind].create(n, m, rng, last if i == n_layers - 1 else activation, start)
            for i, (n, m) in enumerate(itertools.pairwise(sizes))
        ]
        network = cls(layers, learning_rate)
        if start == "article" and max(sizes[:-1]) >= MANY and name_of(activation) in ("sigmoid", "tanh"):
            network._advice = (
                f"{max(sizes[:-1])} inputs with weights in [0, 1) will saturate {name_of(activation)}: its slope is "
                'nearly 0, and little is learnt. Network.create(..., start="scaled") starts with smaller weights'
            )
        return network

    @property
    def n_inputs(self) -> int | None:
        """How many numbers a row has; None where the first layer doesn't say."""
        return size_of(self.layers[0], "n_inputs")

    @property
    def n_outputs(self) -> Any:
        """How many numbers come out; None where the last layer doesn't say. Activations change nothing about that."""
        for layer in reversed(self.layers):
            if size_of(layer, "n_outputs") is not None:
                return layer.n_outputs
            if not isinstance(layer, Operation) and layer is not identity:
                break
        return None

    @property
    def row_ndim(self) -> int | None:
        """How many axes one row of inputs has; None where the first layer doesn't say."""
        return getattr(self.layers[0], "row_ndim", None)

    @property
    def n_symbols(self) -> int | None:
        """How many symbols there are, where the first layer is an embedding; None where it is another."""
        return getattr(self.layers[0], "n_symbols", None)

    @property
    def threshold(self) -> float:
        """For networks of one output: above it, class 1 is predicted. 1/2 behind a sigmoid, else 0."""
        return 0.5 if self.last_activation is sigmoid else 0.0

    @property
    def last_activation(self) -> Any:
        """What the outputs have come through last; None where that isn't known."""
        layer = self.layers[-1]
        if isinstance(layer, Network):
            return layer.last_activation
        if isinstance(layer, Layer):
            found = list(dict.fromkeys(neuron.activation for neuron in layer.neurons))
            return found[0] if len(found) == 1 else None
        return layer if isinstance(layer, Operation) else getattr(layer, "activation", None)

    def parameters(self) -> list[Value]:
        """All weights and biases, layer by layer; one that stands in several places, once."""
        found = [p for layer in self.layers if hasattr(layer, "parameters") for p in layer.parameters()]
        return list(dict.fromkeys(found))

    def named_parameters(self) -> list[tuple[str, Value]]:
        """Each parameter with its path, such as `layers[0].neurons[1].weights[0]`."""
        if self._known != self.layers:
            self._know_layers()
        return [
            (f"{name}.{path}", value)
            for name, layer in zip(self.groups.names, self.layers, strict=True)
            for path, value in named_parameters_of(layer)
        ]

    def units(self) -> list[Neuron | Dense]:
        """The neurons and dense layers, which remember what they last computed."""
        found: list[Any] = []
        for layer in self.layers:
            if isinstance(layer, Network):
                found += layer.units()
            elif isinstance(layer, Layer):
                found += layer.neurons
            elif isinstance(layer, Dense):
                found.append(layer)
        return found

    def feed_forward(self, x: Any, within: Context | None = None) -> Any:
        """The outputs for one row: a list of Values from a scalar last layer, one Value from another.

        A batch of rows, shape (rows, n_inputs), gives one Value of shape (rows, n_outputs).

        Raises:
            ValueError: The row has another length than the network has inputs.
        """
        if self._known != self.layers:
            self._know_layers()
        if self.has_neurons and is_batch(x):
            if not len(x):
                return Value(np.empty((0, self.n_outputs or 0)))
            return stack([as_row(self.feed_forward(row, within)) for row in x])
        for inner, layer in zip(self.groups.contexts(within or current()), self.layers):  # noqa: B905 - time
            kind = type(layer)
            if (kind is Layer or kind is Dense) and "feed_forward" not in layer.__dict__:
                x = layer.feed_forward(x, inner)
            else:
                token = context.set(inner)
                try:
                    takes_lists = isinstance(layer, (Layer, Dense, Network))
                    call = layer.feed_forward if kind is Layer or kind is Dense else layer  # the instance has its own
                    x = call(stack(x) if type(x) is list and not takes_lists and has_values(x) else x)
                finally:
                    context.reset(token)
        return x

    def __call__(self, x: Any) -> Any:
        """The outputs, as `feed_forward` gives them: Values, through which gradients flow."""
        return self.feed_forward(x)

    def outputs(self, x: Any) -> Array:
        """The outputs as numbers, for one row or for a batch of rows; nothing is recorded."""
        x, n = as_rows(x), self.row_ndim
        if n is not None and np.ndim(x) not in (n, n + 1):
            raise ValueError(f"inputs must have {n} axes, or {n + 1} for a batch, got shape {np.shape(x)}")
        with no_grad():
            found = self.feed_forward(read_only(x) if isinstance(x, np.ndarray) else x)
        return np.asarray(found.data if isinstance(found, Value) else [data_of(output) for output in found])

    def predict(self, x: Any) -> Any:
        """The class, not the numbers (those are `outputs`): an int for one row, an array with one for each of a batch.

        That is the index of the largest output. With one output it is 1 above the threshold, else 0: 1/2 for a network
        that ends in a sigmoid, 0 for one that gives scores.

        Raises:
            ValueError: The network was last trained on numbers that are no classes: a regression's are its outputs. Or
                an output is nan.
        """
        if self._gives_numbers:
            raise ValueError(
                "predict gives classes, and this network was trained on targets that are other numbers: "
                "use network.outputs(rows)"
            )
        data = self.outputs(x)
        if np.isnan(data).any():
            raise ValueError(
                "outputs has nan, which is no class: inputs or parameters aren't finite (see network.outputs(rows))"
            )
        found = (data[..., 0] > self.threshold).astype(int) if data.shape[-1] == 1 else np.argmax(data, axis=-1)
        return found if found.ndim else int(found)

    def as_dense(self) -> Network:
        """The same network with matrices for rows of neurons: a copy.

        Raises:
            ValueError: The neurons of a layer have different activations, or share single numbers.
        """
        known: Known = {}
        return self._copied([dense_of(layer, i, known) for i, layer in enumerate(self.layers)])

    def as_scalar(self) -> Network:
        """The same network with neurons for matrices: a copy. Softmax becomes a layer of its own."""
        known: Known = {}
        return self._copied([one for layer in self.layers for one in neurons_of(layer, known)])

    def _copied(self, layers: Sequence[Any]) -> Network:
        if not is_own(self, Network):
            raise TypeError(f"{type(self).__name__} is a class of your own: convert tg.Network(network.layers)")
        network = Network(layers, self.learning_rate)
        network._gives_numbers = self._gives_numbers
        return network

    def save(self, path: str | Path) -> None:
        """Write the network to a file: plain npz, the structure as JSON in it, no pickle.

        It is written to the side and then moved into place, so that there is always a whole file; its mode, and a
        symbolic link, stay.

        Raises:
            TypeError: A layer or activation that isn't the library's, by its place; `pickle` may keep those.
        """
        save_network(self, path)

    @staticmethod
    def load(path: str | Path) -> Network:
        """The network that `save` wrote.

        Raises:
            ValueError: The file is broken, or no network's.
        """
        return load_network(path, Network)

    def __getstate__(self) -> dict[str, Any]:
        return {name: part for name, part in self.__dict__.items() if name not in ("_recordings", "groups", "_known")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._recordings = Recordings()
        self._know_layers()

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for p in self.parameters():
            p.grad = None

    train = train

    def printed_epoch(
        self,
        update: Any = None,
        loss: Callable[[Any, Any], Value] = half_squared_error,
        metrics: Sequence[Metric] = (),
        backend: Backend = "python",
    ) -> Epoch:
        """One epoch of `train`, row by row, as Python source, recorded from this network: see its `source`.

        Raises:
            TypeError: The update has no rule that compiles, or something in the network or the loss branches on data.
            ImportError: The backend isn't installed.
        """
        update = SGD(self.learning_rate) if update is None else update
        check_update(update)
        check_loss(loss)
        check_backend(backend)
        metrics = metrics_of([metrics] if isinstance(metrics, str) else metrics, update, self)
        form = Form(update, loss, metrics, (self.n_inputs or 1,), (self.n_outputs,))
        epoch = epoch_of(self, form, backend=backend)
        if epoch is None:
            raise ValueError("a step gives parameters another layout in memory: train a few rows first")
        return epoch

    def compile(self, backend: Backend = "python") -> Trainer:
        """A trainer whose `train` has the arguments, history and errors of this network's, and runs printed source.

        Raises:
            ValueError: Another backend than "python" or "numba".
        """
        return Trainer(self, check_backend(backend))

    def summary(self) -> list[tuple[str, str, int, str]]:
        """For each layer its name, its shape as inputs to outputs, the number of its parameters, and its activation."""
        if self._known != self.layers:
            self._know_layers()
        rows = []
        for name, layer in zip(self.groups.names, self.layers, strict=True):
            sized = size_of(layer, "n_inputs") is not None
            n_parameters = sum(p.size for _, p in named_parameters_of(layer))
            activation = getattr(layer, "activation_name", None) or name_of(getattr(layer, "activation", layer))
            rows.append((name, f"{layer.n_inputs} → {layer.n_outputs}" if sized else "", n_parameters, activation))
        return rows

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


def size_of(layer: Any, name: str) -> int | None:
    """How many inputs or outputs a layer says it has; an operation's are another thing."""
    return None if isinstance(layer, Operation) else getattr(layer, name, None)


def named_parameters_of(layer: Any) -> list[tuple[str, Value]]:
    """The parameters of any layer with their paths in it; where it gives no names, with their own or numbers."""
    if hasattr(layer, "named_parameters"):
        return list(layer.named_parameters())
    found = listed_parameters(layer) if hasattr(layer, "parameters") else []
    return [(p.name.rpartition(".")[2] if p.name else f"parameters[{i}]", p) for i, p in enumerate(found)]


def listed_parameters(layer: Any) -> list[Value]:
    """What a layer's `parameters()` gives. Raises TypeError unless that is a list of Values."""
    kind = type(layer).__name__
    if not callable(layer.parameters):
        raise TypeError(
            f"{kind}.parameters must be a method that gives a list of Values, got {shown(layer.parameters)}"
        )
    given = layer.parameters()
    found = list(given) if hasattr(given, "__iter__") and not isinstance(given, Value) else None
    if found is None or not all(isinstance(p, Value) for p in found):
        raise TypeError(f"{kind}.parameters() must give a list of Values, got {shown(given)}")
    return found


def as_row(outputs: Any) -> Any:
    return stack(outputs) if isinstance(outputs, list) else outputs


def as_rows(x: Any) -> Any:
    """Inputs without Values: a list of rows is rows, whatever its length."""
    if isinstance(x, Value):
        return x.data
    try:
        return numbers(x)
    except TypeError:
        if isinstance(x, (list, tuple)) and has_values(leaves_of(x)):
            return numbers(mapped(data_of, x))
        raise


Known: TypeAlias = dict[Any, Any]
"""While a network is copied: what was made of parameters, so that those that are one stay one."""


def dense_of(layer: Any, i: int, known: Known) -> Any:
    """A layer with matrices. `known` has the weights, or the bias, that was made of some Values."""
    if is_own(layer, Network):
        return Network([dense_of(inner, k, known) for k, inner in enumerate(layer.layers)], layer.learning_rate)
    if is_own(layer, Dense):
        weights, bias = (known.setdefault(p, Value(np.array(p.data))) for p in (layer.weights, layer.bias))
        return Dense(weights, bias, layer.activation)
    if not is_own(layer, Layer):
        return deepcopy(layer, known.setdefault("copies", {}))
    activations = list(dict.fromkeys(neuron.activation for neuron in layer.neurons))
    if len(activations) > 1:
        raise ValueError(f"layers[{i}] has neurons with different activations: {layer.activation_name}")
    rows, bias = [neuron.weights for neuron in layer.neurons], [neuron.bias for neuron in layer.neurons]
    return Dense(joined(rows, known), joined(bias, known), activations[0])


def joined(numbers: Any, known: Known) -> Value:
    """The array of scalar parameters. Raises ValueError where one stands in another array, too."""
    parts = leaves_of(numbers)
    found = known.setdefault(tuple(parts), Value(mapped(lambda p: p.item(), numbers)))
    if len(set(parts)) < len(parts) or any(known.setdefault(p, found) is not found for p in parts):
        name = parts[0].name or "a parameter"
        raise ValueError(f"{name} stands where a matrix has numbers of its own, too: give each place a parameter")
    return found  # type: ignore[no-any-return]


def neurons_of(layer: Any, known: Known) -> list[Any]:
    """A layer with neurons, and its activation as a layer of its own where it is one of all of them."""
    if is_own(layer, Network):
        inner = [one for part in layer.layers for one in neurons_of(part, known)]
        return [Network(inner, layer.learning_rate)]
    if is_own(layer, Dense):
        for p in (layer.weights, layer.bias):
            known.setdefault(p, mapped(lambda x: Value(x), np.asarray(p.data, dtype=float).tolist()))
        alone = layer.activation in (softmax, log_softmax)
        activation = identity if alone else layer.activation
        rows = zip(known[layer.weights], known[layer.bias], strict=True)
        neurons = Layer([Neuron(weights, bias, activation) for weights, bias in rows])
        return [neurons, layer.activation] if alone else [neurons]
    return [deepcopy(layer, known.setdefault("copies", {}))]


def is_own(layer: Any, kind: type) -> bool:
    """Whether it is a layer of the library of a kind: a subclass may compute something else, and is copied as it is."""
    return isinstance(layer, kind) and bool(vars(type(layer)).get("plain"))
