"""Layers beside neurons and matrices: convolution, dropout, embedding.

The one thing to know: a layer is anything that can be called, with `parameters()` where it has some; so plain functions
and whole networks are layers too. These three are what can't be written as a line.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from tinygrad_edu.core.value import Operand, Value, data_of
from tinygrad_edu.nn.checks import check_activation, check_generator, valued
from tinygrad_edu.nn.data import check_count
from tinygrad_edu.nn.layer import check_sizes, numbers
from tinygrad_edu.nn.update import check_fraction
from tinygrad_edu.ops.activation import relu
from tinygrad_edu.ops.convolution import conv2d
from tinygrad_edu.ops.indexing import lookup


class Conv2d:
    """A convolution over images: activation(conv2d(x, weights, bias)); see `tg.conv2d`.

    Args:
        weights: Kernels, shape (n_outputs, n_inputs, height, width).
        bias: Shape (n_outputs,).
        activation: A function of the sums.
        stride, padding: As for `tg.conv2d`.

    Raises:
        ValueError: The shapes don't fit.
        TypeError: The activation isn't a function.

    >>> import numpy as np, tinygrad_edu as tg
    >>> layer = tg.nn.Conv2d.create(1, 4, 3, np.random.default_rng(0), padding=1)
    >>> layer(np.zeros((2, 1, 8, 8))).shape
    (2, 4, 8, 8)
    """

    plain = True
    row_ndim = 3

    def __init__(
        self,
        weights: Operand,
        bias: Operand,
        activation: Callable[[Any], Any] = relu,
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
    ) -> None:
        check_activation(activation, "activation")
        self.weights, self.bias, self.activation = valued(weights, "weights"), valued(bias, "bias"), activation
        self.stride, self.padding = pair(stride, "stride", 1), pair(padding, "padding", 0)
        if self.weights.ndim != 4 or 0 in self.weights.shape:
            raise ValueError(
                f"weights must have shape (n_outputs, n_inputs, height, width), got {self.weights.shape}; "
                "Conv2d.create(n_inputs, n_outputs, size, rng) draws them"
            )
        if self.bias.shape != self.weights.shape[:1]:
            raise ValueError(f"bias must have shape {self.weights.shape[:1]}, got {self.bias.shape}")

    @classmethod
    def create(
        cls,
        n_inputs: int,
        n_outputs: int,
        size: int,
        rng: np.random.Generator,
        activation: Callable[[Any], Any] = relu,
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
    ) -> Conv2d:
        """Kernels of size by size, normal with variance 2 / (n_inputs·size²) (He et al., 2015); biases 0."""
        check_sizes(n_inputs, n_outputs)
        check_count(size, "size", 1)
        check_generator(rng)
        weights = rng.normal(size=(n_outputs, n_inputs, size, size)) * math.sqrt(2.0 / (n_inputs * size * size))
        return cls(weights, np.zeros(n_outputs), activation, stride, padding)

    def __call__(self, x: Any) -> Any:
        """The images that come of a batch (N, C, H, W), or of one image (C, H, W)."""
        x = x if isinstance(x, Value) else numbers(x)
        if np.ndim(data_of(x)) != 3:
            return self.activation(conv2d(x, self.weights, self.bias, self.stride, self.padding))
        out = conv2d(x.reshape((1, *x.shape)), self.weights, self.bias, self.stride, self.padding)
        return self.activation(out.reshape(out.shape[1:]))

    def parameters(self) -> list[Value]:
        """Weights and bias."""
        return [self.weights, self.bias]

    def named_parameters(self) -> list[tuple[str, Value]]:
        """Each parameter with its name."""
        return [("weights", self.weights), ("bias", self.bias)]


def pair(x: Any, name: str, least: int) -> int | tuple[int, int]:
    """A whole number, or one for height and one for width. Raises ValueError where it is neither."""
    parts = (x,) if not isinstance(x, (list, tuple)) else tuple(x)
    for part in parts:
        check_count(part, name, least)
    if len(parts) > 2 or not parts or (len(parts) == 1 and parts[0] is not x):
        raise ValueError(f"{name} must be a whole number, or a pair of them, got {x!r}")
    return parts[0] if len(parts) == 1 else (parts[0], parts[1])


class Embedding:
    """A vector for each of some symbols: rows of a table, looked up by whole numbers.

    >>> import tinygrad_edu as tg
    >>> layer = tg.nn.Embedding([[0.0, 1.0], [2.0, 3.0]])
    >>> layer([1, 1, 0]).data.tolist()
    [[2.0, 3.0], [2.0, 3.0], [0.0, 1.0]]
    """

    plain = True
    row_ndim = 1

    def __init__(self, table: Operand) -> None:
        self.table = valued(table, "table")
        if self.table.ndim != 2 or 0 in self.table.shape:
            raise ValueError(
                f"table must have shape (symbols, size), got {self.table.shape}; Embedding.create(symbols, size, rng) "
                "draws one"
            )

    @property
    def n_symbols(self) -> int:
        return int(self.table.shape[0])

    @classmethod
    def create(cls, n_symbols: int, size: int, rng: np.random.Generator) -> Embedding:
        """A table of normal numbers (as `torch.nn.Embedding` draws them)."""
        check_count(n_symbols, "n_symbols", 1)
        check_count(size, "size", 1)
        check_generator(rng)
        return cls(rng.normal(size=(n_symbols, size)))

    def __call__(self, x: Any) -> Any:
        """The vectors of symbols of any shape, whose shape gets an axis more."""
        return lookup(self.table, x if isinstance(x, Value) else numbers(x))

    def parameters(self) -> list[Value]:
        """The table."""
        return [self.table]

    def named_parameters(self) -> list[tuple[str, Value]]:
        """Each parameter with its name."""
        return [("table", self.table)]


class Dropout:
    """While training, sets each number to 0 with a chance of `rate`, and divides the others by 1 - rate.

    Elsewhere it changes nothing. What is dropped depends on the seed, the number of the update, and the rows' place in
    the batch alone; so a run can be repeated and resumed. Source: Srivastava et al., Dropout (2014).

    Raises:
        ValueError: The rate isn't at least 0 and below 1.

    >>> import tinygrad_edu as tg
    >>> tg.nn.Dropout(0.5, seed=0)(tg.Value([1.0, 2.0])).data.tolist()
    [1.0, 2.0]
    """

    plain = True

    def __init__(self, rate: float, seed: int = 0) -> None:
        check_fraction(rate, "rate")
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**128:
            raise ValueError(f"seed must be a whole number of at least 0, got {seed!r}")
        self.rate, self.seed = float(rate), int(seed)

    def __call__(self, x: Any) -> Any:
        draw = drawing.get()
        return x if draw is None or not self.rate else x * draw(self, np.shape(data_of(x)))

    def mask(self, shape: tuple[int, ...], step: int, shard: int, place: int) -> Any:
        """What to multiply by: for an update, a shard of its batch, and which of the network's dropouts this is."""
        rng = np.random.Generator(np.random.Philox(key=self.seed, counter=[place, shard, step, 0]))
        return (rng.random(shape) >= self.rate) / (1.0 - self.rate)


drawing: ContextVar[Callable[[Dropout, tuple[int, ...]], Any] | None] = ContextVar(
    "tinygrad_edu.nn.drawing", default=None
)
"""While training: what gives a dropout its mask."""


@contextmanager
def dropping(draw: Callable[[Dropout, tuple[int, ...]], Any]) -> Iterator[None]:
    """Within it dropouts drop."""
    token = drawing.set(draw)
    try:
        yield
    finally:
        drawing.reset(token)


class Draws:
    """The masks of an update, as the network's dropouts ask for them."""

    def __init__(self) -> None:
        self.step = self.shard = self.place = 0

    def begin(self, step: int, shard: int) -> None:
        self.step, self.shard, self.place = step, shard, 0

    def __call__(self, layer: Dropout, shape: tuple[int, ...]) -> Any:
        self.place += 1
        return layer.mask(shape, self.step, self.shard, self.place)


def masks_at(drops: Sequence[tuple[Dropout, tuple[int, ...]]], step: int, shard: int) -> tuple[Any, ...]:
    """The masks of an update, in the order of the network's dropouts."""
    return tuple(layer.mask(shape, step, shard, place) for place, (layer, shape) in enumerate(drops, 1))
