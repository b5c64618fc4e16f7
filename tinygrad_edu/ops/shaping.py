"""Operations that move numbers about and change none.

The one thing to know: most are a reshape, a transpose, or made by `moving` (see indexing.py) from numpy's function.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from tinygrad_edu.core.data import as_data
from tinygrad_edu.core.operation import Operation, operation
from tinygrad_edu.core.value import Value, apply, data_of, numbers_of
from tinygrad_edu.ops.arithmetic import positive
from tinygrad_edu.ops.entry import each, shape_of
from tinygrad_edu.ops.indexing import add_at, moving

Shape = int | tuple[int, ...]
Order = Literal["C", "F", "K", "A"]


def _reshape(x: Any, /, shape: Shape) -> Any:
    """The same numbers in another shape. ∂reshape(x) = reshape(∂x): the cotangent is reshaped back."""
    return np.reshape(x, shape)


reshape: Operation = operation(
    _reshape,
    (lambda g, out, x, shape: reshape(g, shape=shape_of(x)),),
    formula="∂reshape(x) = reshape(∂x)",
    shapes="any → another of as many numbers",
    prints=lambda x, shape: None if type(x.data) is float else f"{x}.reshape({shape})",
    analytic=True,
)


def ravel(x: Any, order: Order = "C") -> Any:
    """All numbers in one row, the last index moving fastest, or with order="F" the first: a reshape.

    "A" is "F" where x lies so in memory, and "K" the order in memory.
    """
    x = x if isinstance(x, Value) else array(x)
    if order == "K":
        steps = getattr(data_of(x), "strides", ())
        x = transpose(x, axes=tuple(sorted(range(len(steps)), key=lambda i: -abs(steps[i]))))
    return reshape_in_order(x, (-1,), "C" if order == "K" else order)


flatten = ravel


def reshape_in_order(x: Any, shape: Shape, order: Order) -> Any:
    """A reshape that reads and writes with the last index moving fastest or, for "F", the first."""
    if order == "A":
        order = "F" if np.isfortran(np.asarray(data_of(x))) else "C"
    if order == "C":
        return reshape(x, shape=shape)
    if order != "F":
        raise ValueError(f'order must be "C", "F" or "A", got {order!r}')
    reverse = tuple(reversed(shape)) if isinstance(shape, (tuple, list)) else shape
    return transpose(reshape(transpose(x), shape=reverse))


def _astype(x: Any, /, dtype: Any) -> Any:
    """The numbers in another float dtype, rounded where it has fewer digits. ∂astype(x) = astype(∂x).

    Raises:
        TypeError: The dtype isn't float32 or float64; whole numbers have no gradient.
    """
    dtype = np.dtype(dtype)
    if dtype not in (np.float64, np.float32):
        raise TypeError(f"astype: {dtype} has no gradient; v.data.astype({str(dtype)!r}) gives the plain numbers")
    return x if type(x) is float and dtype == np.float64 else np.array(x, dtype)


astype = operation(
    _astype,
    (lambda g, out, x, dtype: g,),
    formula="∂astype(x) = astype(∂x)",
    shapes="any → the same",
)


def copy(x: Any) -> Any:
    """A Value with the same numbers, through which the gradient flows; of anything else a copy."""
    return positive(x) if isinstance(x, Value) else np.copy(x)


def squeeze(x: Any, axis: int | tuple[int, ...] | None = None) -> Any:
    """Without axes of length 1, all or those named: a reshape. Raises ValueError where one is longer."""
    return reshape(x, shape=np.squeeze(np.broadcast_to(0.0, np.shape(data_of(x))), axis=axis).shape)


def expand_dims(x: Any, axis: int | tuple[int, ...]) -> Any:
    """With new axes of length 1: a reshape."""
    return reshape(x, shape=np.expand_dims(np.broadcast_to(0.0, np.shape(data_of(x))), axis).shape)


def atleast_1d(*arrays: Any) -> Any:
    """A scalar as an array of one number: a reshape."""
    return with_axes(np.atleast_1d, arrays)


def atleast_2d(*arrays: Any) -> Any:
    """With at least two axes, new ones in front: a reshape."""
    return with_axes(np.atleast_2d, arrays)


def atleast_3d(*arrays: Any) -> Any:
    """With at least three axes, as `np.atleast_3d` places them: a reshape."""
    return with_axes(np.atleast_3d, arrays)


def with_axes(numpy_function: Callable[..., Any], arrays: tuple[Any, ...]) -> Any:
    """Each array in the shape that numpy's function gives it; a tuple of several."""
    parts = [array(x) for x in arrays]
    found = tuple(reshape(x, shape=numpy_function(np.broadcast_to(0.0, x.shape)).shape) for x in parts)
    return found[0] if len(found) == 1 else found


def _transpose(x: Any, /, axes: tuple[int, ...] | None = None) -> Any:
    """The axes in another order, reversed where None. ∂xᵀ = (∂x)ᵀ: the cotangent's axes are put back."""
    return np.transpose(x, axes)


def _transpose_rule(g: Any, out: Any, x: Any, axes: tuple[int, ...] | None = None) -> Any:
    return transpose(g, axes=None if axes is None else tuple(map(int, np.argsort([a % len(axes) for a in axes]))))


def printed_transpose(x: Any, axes: tuple[int, ...] | None = None) -> str | None:
    if type(x.data) is float:
        return None
    return f"{x}.T" if axes is None or axes == (1, 0) else f"{x}.transpose({axes})"


transpose: Operation = operation(
    _transpose,
    (_transpose_rule,),
    symbol="ᵀ",
    formula="∂xᵀ = (∂x)ᵀ",
    shapes="any → its axes in another order",
    prints=printed_transpose,
    analytic=True,
)


def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    """Two axes exchanged: a transpose."""
    order = list(range(np.ndim(data_of(x))))
    order[axis1], order[axis2] = order[axis2], order[axis1]
    return transpose(x, axes=tuple(order))


def moveaxis(x: Any, source: int | Sequence[int], destination: int | Sequence[int]) -> Any:
    """Axes moved to other places, the others in order: a transpose."""
    n = np.ndim(data_of(x))
    order = np.moveaxis(np.empty(tuple(range(n))), source, destination)
    return transpose(x, axes=order.shape)


def rollaxis(x: Any, axis: int, start: int = 0) -> Any:
    """An axis moved to stand before another: a transpose."""
    n = np.ndim(data_of(x))
    axis, start = axis % n, start + n if start < 0 else start
    return moveaxis(x, axis, start - 1 if axis < start else start)


def matrix_transpose(x: Any) -> Any:
    """The last two axes exchanged: a transpose of each matrix."""
    return swapaxes(x, -1, -2)


def _broadcast_to(x: Any, /, shape: Shape) -> Any:
    """`x` repeated to a larger shape, as numpy's broadcasting does. ∂/∂xᵢ = 1 for each repeat."""
    return np.broadcast_to(x, shape)


# The rule hands on g as it is: the backward walk sums a cotangent to its input's shape.
broadcast_to = operation(
    _broadcast_to,
    (lambda g, out, x, shape: g,),
    formula="∂broadcast(x) = broadcast(∂x)",
    shapes="any → one that it broadcasts to",
    prints=lambda x, shape: f"broadcast_to({x}, {shape})",
    analytic=True,
)


def _stack(*arrays: Any, axis: int = 0) -> Any:
    """Arrays of one shape, joined along a new axis. ∂stack(x, y) = stack(∂x, ∂y)."""
    return np.stack(arrays, axis=axis)


def _stack_rule(i: int, g: Any, out: Any, *arrays: Any, axis: int = 0) -> Any:
    before = (slice(None),) * (axis % len(out.shape))
    return g[(*before, i)]


_stack_of = operation(
    _stack,
    each(_stack_rule),
    name="stack",
    formula="∂stack(x, y) = stack(∂x, ∂y)",
    shapes="several of one shape → one axis more",
    analytic=True,
)


def stack(arrays: Any, axis: int = 0) -> Any:
    """Join Values or arrays of one shape along a new axis, as `np.stack`.

    Raises:
        ValueError: There is nothing to join, or the shapes differ.
    """
    return apply(_stack_of, parts_of(arrays, "stack"), {"axis": axis})


def _concatenate(*arrays: Any, axis: int = 0) -> Any:
    """Arrays joined along an axis that they have. ∂concatenate(x, y) = concatenate(∂x, ∂y)."""
    return np.concatenate(arrays, axis=axis)


def _concatenate_rule(i: int, g: Any, out: Any, *arrays: Any, axis: int = 0) -> Any:
    before = (slice(None),) * (axis % len(out.shape))
    start = sum([x.shape[axis] for x in arrays[:i]])
    return g[(*before, slice(start, start + arrays[i].shape[axis]))]


_concatenate_of = operation(
    _concatenate,
    each(_concatenate_rule),
    name="concatenate",
    formula="∂concatenate(x, y) = concatenate(∂x, ∂y)",
    shapes="several, alike but along the axis → longer there",
    analytic=True,
)


def concatenate(arrays: Any, axis: int | None = 0) -> Any:
    """Join Values or arrays along an axis that they have, as `np.concatenate`; flattened where the axis is None.

    Raises:
        ValueError: There is nothing to join, or the shapes don't fit.
    """
    parts = parts_of(arrays, "concatenate")
    if axis is None:
        return apply(_concatenate_of, tuple(map(ravel, parts)), {"axis": 0})
    return apply(_concatenate_of, parts, {"axis": axis})


def parts_of(arrays: Any, name: str) -> tuple[Any, ...]:
    parts = tuple(arrays)
    if not parts:
        raise ValueError(f"{name}: nothing to join: arrays is empty")
    return parts


def vstack(arrays: Any) -> Any:
    """Rows below each other: `concatenate` along the first axis."""
    return concatenate([atleast_2d(x) for x in arrays], axis=0)


def dstack(arrays: Any) -> Any:
    """Arrays behind each other: `concatenate` along the third axis."""
    return concatenate([atleast_3d(x) for x in arrays], axis=2)


def block(arrays: Any) -> Any:
    """Nested lists of arrays, joined: the innermost along the last axis, those around along the one before …"""
    depth = depth_of(arrays)
    n = max([depth, *(np.ndim(data_of(x)) for x in flattened(arrays))])

    def joined(part: Any, axis: int) -> Any:
        if isinstance(part, list):
            return concatenate([joined(x, axis + 1) for x in part], axis=axis)
        x = array(part)
        return reshape(x, shape=(1,) * (n - x.ndim) + x.shape)

    return joined(arrays, -depth)


def depth_of(nested: Any) -> int:
    return 1 + max(map(depth_of, nested), default=0) if isinstance(nested, list) else 0


def flattened(nested: Any) -> list[Any]:
    return [x for part in nested for x in flattened(part)] if isinstance(nested, list) else [nested]


def append(x: Any, values: Any, axis: int | None = None) -> Any:
    """`values` after x: `concatenate` along an axis, flattened where it is None."""
    return concatenate([array(x), array(values)], axis=axis)


def delete(x: Any, obj: Any, axis: int | None = None) -> Any:
    """x without the entries at positions, a slice or a mask along an axis, of all in order where None."""
    x = array(x)
    x, axis = (ravel(x), 0) if axis is None else (x, axis % x.ndim)
    kept = np.delete(np.arange(x.shape[axis]), numbers_of(obj))
    return x[(*(slice(None),) * axis, kept)]


def insert(x: Any, obj: Any, values: Any, axis: int | None = None) -> Any:
    """x with `values` before the positions along an axis, of all in order where None."""
    x = array(x)
    values = astype(array(values), dtype=x.dtype)
    places = np.arange(x.size).reshape(x.shape)
    behind = x.size + np.arange(values.size).reshape(values.shape)
    return concatenate([ravel(x), ravel(values)])[np.insert(places, obj, behind, axis)]  # numpy says where each goes


def compress(condition: Any, x: Any, axis: int | None = None) -> Any:
    """The entries along an axis, of all in order where None, at which the condition holds."""
    x = array(x)
    x, axis = (ravel(x), 0) if axis is None else (x, axis % x.ndim)
    return x[(*(slice(None),) * axis, np.flatnonzero(numbers_of(condition)))]


def extract(condition: Any, x: Any) -> Any:
    """All numbers at which the condition holds, in one row."""
    return compress(np.ravel(numbers_of(condition)), x)


def resize(x: Any, new_shape: Shape) -> Any:
    """The numbers in order, again and again, until the new shape is full."""
    x = ravel(array(x))
    n = math.prod(new_shape) if isinstance(new_shape, tuple) else int(new_shape)
    return reshape(x[np.arange(n) % x.size], shape=new_shape)


def broadcast_arrays(*arrays: Any) -> tuple[Any, ...]:
    """Arrays repeated to their common shape."""
    parts = [array(x) for x in arrays]
    shape = np.broadcast_shapes(*(x.shape for x in parts))
    return tuple(broadcast_to(x, shape=shape) for x in parts)


def full_like(x: Any, fill_value: Any, dtype: Any = None, shape: Any = None) -> Any:
    """An array like x, everywhere the fill value; from a Value as fill value, whose gradient is the sum, a Value."""
    like: Any = data_of(x)
    if not isinstance(fill_value, Value):
        return np.full_like(like, fill_value, dtype=dtype, shape=shape)
    filled = broadcast_to(fill_value, shape=np.shape(like) if shape is None else shape)
    return filled if dtype is None else astype(filled, dtype=dtype)


def hstack(arrays: Any) -> Any:
    """Columns beside each other: `concatenate` along the second axis, of vectors along their only one."""
    parts = [atleast_1d(x) for x in arrays]
    return concatenate(parts, axis=0 if parts and parts[0].ndim == 1 else 1)


def column_stack(arrays: Any) -> Any:
    """Vectors as columns, and matrices, beside each other."""
    parts = [atleast_1d(x) for x in arrays]
    return concatenate([reshape(x, shape=(-1, 1)) if x.ndim == 1 else x for x in parts], axis=1)


def array(nested: Any, dtype: Any = None) -> Any:
    """An array from nested lists that may hold Values: `tg.array([[v, w], [0.0, 1.0]])`.

    A Value if there is one in it, else a plain array.

    Raises:
        ValueError: Rows of different lengths.

    >>> import tinygrad_edu as tg
    >>> v = tg.Value(2.0)
    >>> tg.array([[v, 1.0], [0.0, v]]).sum().backward()
    >>> v.grad
    2.0
    """
    if type(nested) is np.ndarray and nested.dtype == object:
        nested = nested.tolist()
    if isinstance(nested, (list, tuple)) and has_value(nested):
        nested = stack([array(part) for part in nested])
    made = nested if isinstance(nested, Value) else np.asarray(as_data(nested))
    return made if dtype is None else astype(made, dtype=dtype)


def joined(x: Any, inputs: Sequence[Any]) -> Any:
    """An operand beside others: nested lists of Values as one Value; anything else as it is.

    Raises:
        TypeError: It is another library's array beside a Value.
    """
    if isinstance(x, (list, tuple)) or (isinstance(x, np.ndarray) and x.dtype == object):
        return array(x) if has_value(x) else x
    if any(isinstance(other, Value) for other in inputs):
        check_own(x, "beside a Value")
    return x


def check_own(x: Any, where: str) -> None:
    """Raise TypeError for another library's array, of which only the numbers would be left."""
    if isinstance(x, Value) or type(x) is np.ndarray or isinstance(x, np.generic) or not hasattr(x, "__array__"):
        return
    kind = type(x)
    if isinstance(x, np.ndarray) and kind.__name__ not in ("MaskedArray", "matrix"):
        return
    raise TypeError(
        f"a {kind.__module__.partition('.')[0]}.{kind.__name__} {where} would lose what it knows beyond its "
        "numbers; pass the numbers as a numpy array, such as x.to_numpy() or np.asarray(x)"
    )


def has_value(nested: Any) -> bool:
    if isinstance(nested, (list, tuple)) or (isinstance(nested, np.ndarray) and nested.dtype == object):
        return any(map(has_value, nested))
    return isinstance(nested, Value)


def array_split(x: Any, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Any]:
    """Cut along an axis, into so many parts as equal as can be, or at the given places: a list of slices."""
    x = x if isinstance(x, Value) else np.asarray(x)
    n, before = x.shape[axis], (slice(None),) * (axis % x.ndim)
    if isinstance(indices_or_sections, (int, np.integer)):
        lengths = [len(part) for part in np.array_split(np.arange(n), indices_or_sections)]
        places = np.cumsum(lengths)[:-1].tolist()
    else:
        places = list(indices_or_sections)
    return [x[(*before, slice(a, b))] for a, b in zip([0, *places], [*places, n], strict=True)]


def vsplit(x: Any, indices_or_sections: int | Sequence[int]) -> list[Any]:
    """Cut along the first axis, as `split`."""
    return split(x, indices_or_sections, axis=0)


def hsplit(x: Any, indices_or_sections: int | Sequence[int]) -> list[Any]:
    """Cut along the second axis, of a vector along its only one, as `split`."""
    return split(x, indices_or_sections, axis=0 if np.ndim(data_of(x)) == 1 else 1)


def dsplit(x: Any, indices_or_sections: int | Sequence[int]) -> list[Any]:
    """Cut along the third axis, as `split`."""
    return split(x, indices_or_sections, axis=2)


def unstack(x: Any, axis: int = 0) -> tuple[Any, ...]:
    """The parts of an array along an axis, one by one."""
    return tuple(moveaxis(array(x), axis, 0))


def split(x: Any, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Any]:
    """As `array_split`, but parts must be equal. Raises ValueError where they can't be."""
    n = np.shape(data_of(x))[axis]
    if isinstance(indices_or_sections, (int, np.integer)) and n % indices_or_sections:
        raise ValueError(f"split: an axis of length {n} can't be cut into {indices_or_sections} equal parts")
    return array_split(x, indices_or_sections, axis)


MOVED = "∂ goes back with each number to where it came from, and is added there."
tile = moving(np.tile, "reps", doc=f"The array repeated as a whole. {MOVED}")
repeat = moving(np.repeat, "repeats", "axis", doc=f"Each entry repeated. {MOVED}")
roll = moving(np.roll, "shift", "axis", doc=f"Entries shifted along axes, those that fall off entering again. {MOVED}")
flip = moving(np.flip, "axis", doc=f"The order along axes reversed, along all where None. {MOVED}")
fliplr = moving(np.fliplr, doc=f"Columns in reverse order. {MOVED}")
flipud = moving(np.flipud, doc=f"Rows in reverse order. {MOVED}")
rot90 = moving(np.rot90, "k", "axes", doc=f"Turned by k right angles. {MOVED}")
diagonal = moving(np.diagonal, "offset", "axis1", "axis2", doc=f"The entries on a diagonal. {MOVED}")


def diag(x: Any, k: int = 0) -> Any:
    """The k-th diagonal of a matrix, or a matrix with the vector on it.

    Raises:
        ValueError: x is neither a vector nor a matrix.
    """
    shape = np.shape(data_of(x))
    if len(shape) == 2:
        return diagonal(x, offset=k)
    if len(shape) != 1:
        raise ValueError(f"diag needs a vector or a matrix, got shape {shape}")
    n = shape[0] + abs(k)
    rows = np.arange(shape[0]) + max(-k, 0)
    return add_at(x, key=(rows, rows + k), shape=(n, n))


def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The sum of a diagonal."""
    return diagonal(x, offset=offset, axis1=axis1, axis2=axis2).sum(axis=-1)


def _tril(x: Any, /, k: int = 0) -> Any:
    """The entries on and below the k-th diagonal, 0 above. ∂/∂x = 1 where it is kept."""
    return np.tril(x, k)


def _triu(x: Any, /, k: int = 0) -> Any:
    """The entries on and above the k-th diagonal, 0 below. ∂/∂x = 1 where it is kept."""
    return np.triu(x, k)


tril: Operation = operation(
    _tril,
    (lambda g, out, x, k=0: tril(g, k=k),),
    formula="∂tril(x) = tril(∂x)",
    shapes="(…, m, n) → the same",
    analytic=True,
)
triu: Operation = operation(
    _triu,
    (lambda g, out, x, k=0: triu(g, k=k),),
    formula="∂triu(x) = triu(∂x)",
    shapes="(…, m, n) → the same",
    analytic=True,
)


def _pad(x: Any, /, pad_width: Any, constant_values: float = 0.0) -> Any:
    """A constant added around. ∂pad(x) = pad(∂x): the cotangent is cut to what was inside."""
    if np.ndim(constant_values):
        return np.pad(x, pad_width, constant_values=constant_values)
    inside, shape = inside_of(np.shape(x), pad_width)
    out = np.full_like(x, constant_values, shape=shape)  # which lies in memory as x does
    out[inside] = x
    return out


def inside_of(shape: tuple[int, ...], pad_width: Any) -> tuple[tuple[slice, ...], tuple[int, ...]]:
    """The key of what was there before padding, and the shape afterwards."""
    widths = np.broadcast_to(np.asarray(pad_width, dtype=int), (len(shape), 2)).tolist()
    if any(width < 0 for pair in widths for width in pair):
        raise ValueError(f"pad: pad_width must be at least 0, got {pad_width}")
    key = tuple([slice(before, before + n) for (before, _), n in zip(widths, shape, strict=True)])
    return key, tuple([before + n + after for (before, after), n in zip(widths, shape, strict=True)])


def _pad_rule(g: Any, out: Any, x: Any, pad_width: Any, constant_values: Any = 0.0) -> Any:
    return g[inside_of(shape_of(x), pad_width)[0]]


_pad_by = operation(
    _pad,
    (_pad_rule,),
    name="pad",
    formula="∂pad(x) = pad(∂x)",
    shapes="any → wider by the pads",
    analytic=True,
)


def pad(x: Any, pad_width: Any, mode: Any = "constant", constant_values: float = 0.0) -> Any:
    """A border added around an array, as `np.pad`: a constant, or by another mode numbers of the array.

    Raises:
        ValueError: The mode is none of "constant", "edge", "reflect", "symmetric", "wrap".
    """
    if mode in ("edge", "reflect", "symmetric", "wrap"):
        x = array(x)
        return ravel(x)[np.pad(np.arange(x.size).reshape(x.shape), pad_width, mode)]
    if mode != "constant":
        raise ValueError(f"pad: mode must be one of constant, edge, reflect, symmetric, wrap; got {mode!r}")
    return _pad_by(x, pad_width=pad_width, constant_values=constant_values)


def meshgrid(*vectors: Any, indexing: Literal["xy", "ij"] = "xy") -> list[Any]:
    """Coordinate matrices from coordinate vectors, as `np.meshgrid`: each vector broadcast along the others."""
    data: list[Any] = [data_of(vector) for vector in vectors]
    shapes = [grid.shape for grid in np.meshgrid(*data, indexing=indexing, copy=False)]
    grids = []
    for i, vector in enumerate(vectors):
        axis = {0: 1, 1: 0}.get(i, i) if indexing == "xy" and len(vectors) > 1 else i
        column = reshape(vector, shape=tuple(-1 if a == axis else 1 for a in range(len(vectors))))
        grids.append(broadcast_to(column, shape=shapes[i]))
    return grids


def outer(a: Any, b: Any) -> Any:
    """aᵢ·bⱼ, of all numbers of a and b."""
    return reshape(a, shape=(-1, 1)) * reshape(b, shape=(1, -1))


def kron(a: Any, b: Any) -> Any:
    """The Kronecker product: a with each number replaced by that number times b."""
    n = max(np.ndim(data_of(a)), np.ndim(data_of(b)))
    a, b = (reshape(x, shape=(1,) * (n - np.ndim(data_of(x))) + np.shape(data_of(x))) for x in (a, b))
    product = reshape(a, shape=[k for m in a.shape for k in (m, 1)]) * reshape(
        b, shape=[k for m in b.shape for k in (1, m)]
    )
    return reshape(product, shape=tuple(i * j for i, j in zip(a.shape, b.shape, strict=True)))


def _sort(x: Any, /, axis: int | None = -1) -> Any:
    """In ascending order along an axis, equals in the order in which they came. ∂ goes back with each number to where
    it came from.
    """
    return _ordered(x, x, axis=axis)


def _partition(x: Any, /, kth: Any, axis: int | None = -1) -> Any:
    """The kth number where sorting would place it, smaller before, larger behind. ∂ goes back to where it came from."""
    return _ordered(x, x, axis=axis, kth=kth)


def _ordered(x: Any, by: Any, /, axis: int | None = -1, kth: Any = None) -> Any:
    """x in the order that sorts `by` along an axis, or that parts it at kth. ∂x goes back to where it came from."""
    x, by, axis = flat_where_none(x, by, axis)
    return np.take_along_axis(x, order_of(by, axis, kth), axis)


def _unordered(x: Any, by: Any, /, axis: int | None = -1, kth: Any = None) -> Any:
    """Each number where the order that sorts `by` took it from: the inverse of `ordered`, and its transpose."""
    shape = np.shape(by)
    x, by, axis = flat_where_none(x, by, axis)
    out = np.empty_like(x)
    np.put_along_axis(out, order_of(by, axis, kth), x, axis)
    return out.reshape(shape)


def flat_where_none(x: Any, by: Any, axis: int | None) -> tuple[Any, Any, int]:
    x, by = np.asarray(x), np.asarray(by)
    return (x.reshape(-1), by.reshape(-1), 0) if axis is None else (x, by, axis)


def order_of(by: Any, axis: int, kth: Any) -> Any:
    """The positions along an axis in the order that sorts, or parts at kth."""
    return np.argsort(by, axis=axis, kind="stable") if kth is None else np.argpartition(by, kth, axis=axis)


ordered: Operation = operation(
    _ordered,
    (lambda g, out, x, by, axis=-1, kth=None: unordered(g, by, axis=axis, kth=kth), None),
    formula="∂ordered(x) = ordered(∂x)",
    shapes="two alike → the same; flat where the axis is None",
    analytic=True,
)
unordered: Operation = operation(
    _unordered,
    (lambda g, out, x, by, axis=-1, kth=None: ordered(g, by, axis=axis, kth=kth), None),
    formula="∂unordered(x) = unordered(∂x)",
    shapes="what `ordered` gives, and what orders → the second's",
    analytic=True,
)
sort = operation(
    _sort,
    (lambda g, out, x, axis=-1: unordered(g, x, axis=axis),),
    formula="∂sort(x) = ∂x in the order that sorts x",
    shapes="any → the same; flat where the axis is None",
    analytic=True,
)
partition = operation(
    _partition,
    (lambda g, out, x, kth, axis=-1: unordered(g, x, axis=axis, kth=kth),),
    formula="∂partition(x) = ∂x in the order that parts x",
    shapes="any → the same; flat where the axis is None",
    analytic=True,
)
