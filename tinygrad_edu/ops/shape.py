"""Operations that move numbers about and change none."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.operation import Operation, operation

Shape = int | tuple[int, ...]


def _reshape(x: Any, /, shape: Shape) -> Any:
    """The same numbers in another shape. ∂reshape(x) = reshape(∂x): the cotangent is reshaped back."""
    return np.reshape(x, shape)


reshape: Operation = operation(
    _reshape,
    lambda g, out, x, shape: (reshape(g, shape=shape_of(x)),),
    formula="∂reshape(x) = reshape(∂x)",
)


def _transpose(x: Any, /, axes: tuple[int, ...] | None = None) -> Any:
    """The axes in another order, reversed where None. ∂xᵀ = (∂x)ᵀ: the cotangent's axes are put back."""
    return np.transpose(x, axes)


def _transpose_rule(g: Any, out: Any, x: Any, axes: tuple[int, ...] | None = None) -> tuple[Any]:
    return (transpose(g, axes=None if axes is None else tuple(np.argsort([a % len(axes) for a in axes]))),)


transpose = operation(_transpose, _transpose_rule, symbol="ᵀ", formula="∂xᵀ = (∂x)ᵀ")


def _broadcast_to(x: Any, /, shape: Shape) -> Any:
    """`x` repeated to a larger shape, as numpy's broadcasting does. ∂/∂xᵢ = 1 for each repeat."""
    return np.broadcast_to(x, shape)


# The rule hands on g as it is: the backward walk sums a cotangent to its input's shape.
broadcast_to = operation(_broadcast_to, lambda g, out, x, shape: (g,), formula="∂broadcast(x) = broadcast(∂x)")


def _stack(*arrays: Any, axis: int = 0) -> Any:
    """Arrays of one shape, joined along a new axis. ∂stack(x, y) = stack(∂x, ∂y)."""
    return np.stack(arrays, axis=axis)


def _stack_rule(g: Any, out: Any, *arrays: Any, axis: int = 0) -> tuple[Any, ...]:
    from tinygrad_edu.ops.indexing import index

    before = (slice(None),) * (axis % len(out.shape))
    return tuple(index(g, key=(*before, i)) for i in range(len(arrays)))


_stack_values = operation(_stack, _stack_rule, name="stack", formula="∂stack(x, y) = stack(∂x, ∂y)")


def stack(arrays: Any, axis: int = 0) -> Any:
    """Join Values or arrays of one shape along a new axis, as `np.stack`.

    Raises:
        ValueError: There is nothing to join, or the shapes differ.
    """
    arrays = list(arrays)
    if not arrays:
        raise ValueError("stack: nothing to join: arrays is empty")
    return _stack_values(*arrays, axis=axis)


def shape_of(x: Any) -> tuple[int, ...]:
    """The shape of a Value, an array or a float."""
    return () if type(x) is float else x.shape
