"""Reading part of an array, and its counterpart, adding into part of one."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_edu.core.context import current
from tinygrad_edu.core.operation import Operation, operation
from tinygrad_edu.core.value import Value, apply, data_of
from tinygrad_edu.ops.entry import shape_of, whole


def _index(x: Any, /, key: Any) -> Any:
    """x[key]: integers, slices, None, Ellipsis, masks, arrays. ∂x[k] = (∂x)[k].

    The cotangent is added into zeros at `key`; what a repeated index got adds up.
    """
    return np.asarray(x)[key]


def entries(x: Any, key: Any) -> Any:
    """x[key], as the operator has it, or what the observer makes of it."""
    observer = current()[2]
    if observer is not None and (found := observer.indexed(x, key)) is not NotImplemented:
        return found
    return apply(index, (x,), {"key": plain_key(key, np.shape(data_of(x)))})


def plain_key(key: Any, shape: tuple[int, ...]) -> Any:
    """A key into an array of this shape with the data of Values in it, which must be whole numbers.

    Raises:
        IndexError: A Value has fractions. TypeError: it has zeros and ones that might be a mask as well as positions.
    """
    if isinstance(key, tuple):
        return tuple(plain_key(part, shape) for part in key)
    if not isinstance(key, Value):
        return key
    numbers = np.asarray(key.data)
    whole = numbers.astype(int)
    if not np.array_equal(whole, numbers):
        raise IndexError("an index must be whole numbers, or a mask of booleans; got a Value with fractions")
    if key.ndim and key.shape == shape[: key.ndim] and np.isin(whole, (0, 1)).all():
        raise TypeError("an index is a Value of zeros and ones: write x[v.data > 0] for a mask, x[v.data.astype(int)]")
    return whole


def printed_index(x: Any, key: Any) -> str | None:
    parts = [printed_part(part) for part in (key if isinstance(key, tuple) else (key,))]
    return None if type(x.data) is float or None in parts or not parts else f"{x}[{', '.join(map(str, parts))}]"


def printed_part(part: Any) -> str | None:
    """A part of a key as it stands between the brackets; None for one that text can't say all of."""
    if isinstance(part, slice):
        ends = (part.start, part.stop, part.step)
        if not all(end is None or type(end) is int for end in ends):
            return None
        start, stop, step = ("" if end is None else str(end) for end in ends)
        return f"{start}:{stop}" + (f":{step}" if step else "")
    return "..." if part is Ellipsis else repr(part) if part is None or type(part) is int else None


index: Operation = operation(
    _index,
    (lambda g, out, x, key: add_at(g, key=key, shape=shape_of(x)),),
    symbol="[ ]",
    formula="∂x[k] = (∂x)[k]",
    shapes="any → that of x[key]",
    prints=printed_index,
    analytic=True,
)


def _add_at(x: Any, /, key: Any, shape: tuple[int, ...]) -> Any:
    """Zeros of the given shape, with x added at `key`, once for each time that an index occurs. ∂/∂x = g[key]."""
    out = np.zeros(shape, dtype=np.asarray(x).dtype)
    if is_basic(key):
        out[key] = x
    else:
        np.add.at(out, key, x)
    return out


def is_basic(key: Any) -> bool:
    """Whether a key can't name an entry twice: integers, slices, None and Ellipsis only."""
    for part in key if isinstance(key, tuple) else (key,):
        if not (isinstance(part, (slice, int, np.integer)) or part is None or part is Ellipsis):
            return False
    return True


add_at: Operation = operation(
    _add_at,
    (lambda g, out, x, key, shape: index(g, key=key),),
    formula="the transpose of indexing",
    shapes="that of x[key] → that of x",
    analytic=True,
)


def moving(numpy_function: Callable[..., Any], *names: str, doc: str, formula: str | None = None) -> Operation:
    """An operation that numpy's function of positions describes; `names` are its parameters, in order."""

    def forward(x: Any, /, **params: Any) -> Any:
        return numpy_function(x, **plain_params(params))

    def rule(g: Any, out: Any, x: Any, /, **params: Any) -> Any:
        return put_back(g, positions(numpy_function, shape_of(x), params), shape_of(x))

    name = forward.__qualname__ = numpy_function.__name__
    forward.__doc__ = doc
    entry = Operation(
        forward,
        (rule,),
        name=name,
        formula=formula or f"∂{name}(x) = {name}(∂x)",
        shapes=f"any → that of numpy's {name}",
        analytic=True,
    )
    entry.argument_names = ("x", *names)
    return entry


sliding_window_view = moving(
    np.lib.stride_tricks.sliding_window_view,
    "window_shape",
    "axis",
    doc="All windows of a shape over the axes, all where None, as new axes at the end. ∂ adds up where they overlap.",
)


def positions(numpy_function: Callable[..., Any], shape: tuple[int, ...], params: Any) -> Any:
    """Where each number of the result stood in an array of the given shape, counted through in order.

    `numpy_function` is numpy's function of the operation's name, applied to the positions themselves.
    """
    return numpy_function(np.arange(math.prod(shape)).reshape(shape), **plain_params(params))


def plain_params(params: Any) -> Any:
    """Parameters with whole numbers in place of Values."""
    return {name: whole(x).tolist() if isinstance(x, Value) else x for name, x in params.items()}


def put_back(g: Any, where_from: Any, shape: tuple[int, ...]) -> Any:
    """Zeros of the given shape, with each number of g added where it came from."""
    return add_at(g.reshape(-1), key=where_from.reshape(-1), shape=(math.prod(shape),)).reshape(shape)


def take(x: Any, indices: Any, axis: int | None = None, mode: str = "raise") -> Any:
    """The entries at `indices` along an axis, of all numbers in order where None: an indexing.

    With the mode "wrap" indices outside count on from the other end, with "clip" they are the first or the last.
    """
    indices = indices if isinstance(indices, Value) else whole(indices)
    if mode != "raise":
        n = np.size(data_of(x)) if axis is None else np.shape(data_of(x))[axis]
        if mode not in ("wrap", "clip"):
            raise ValueError(f'take: mode must be "raise", "wrap" or "clip", got {mode!r}')
        indices = indices % n if mode == "wrap" else np.clip(indices, 0, n - 1)
    if axis is None:
        return entries((x if isinstance(x, Value) else np.asarray(x)).reshape(-1), indices)
    return entries(x, (*(slice(None),) * (axis % np.ndim(data_of(x))), indices))


def _take_along_axis(x: Any, /, indices: Any, axis: int | None = -1) -> Any:
    """For each place along the axis the entry that `indices` names. ∂ goes back to where each came from."""
    return np.take_along_axis(x, whole(indices), axis)


def _take_along_axis_rule(g: Any, out: Any, x: Any, indices: Any, axis: int | None = -1) -> Any:
    def taken(places: Any) -> Any:
        return np.take_along_axis(places, whole(indices), axis)

    return put_back(g, positions(taken, shape_of(x), {}), shape_of(x))


take_along_axis = operation(
    _take_along_axis,
    (_take_along_axis_rule,),
    formula="∂x[k] = (∂x)[k] along an axis",
    shapes="any → that of the indices",
    analytic=True,
)


def _sliding_windows(x: Any, /, height: int = 1, width: int = 1, stride: int | tuple[int, int] = 1) -> Any:
    """All height-by-width windows over the last two axes, as two new axes at the end. ∂ adds up where they overlap."""
    view = np.lib.stride_tricks.sliding_window_view(x, (height, width), axis=(-2, -1))
    down, across = stride if isinstance(stride, tuple) else (stride, stride)
    return view[..., ::down, ::across, :, :]


def _add_windows(x: Any, /, shape: tuple[int, ...], stride: int | tuple[int, int] = 1) -> Any:
    """Zeros of the given shape with each window added where it came from: the transpose of `sliding_windows`.

    ∂/∂x = sliding_windows(g).
    """
    down, across = stride if isinstance(stride, tuple) else (stride, stride)
    rows, columns, height, width = x.shape[-4:]
    out = np.zeros(shape, x.dtype)
    for i in range(height):
        below = slice(i, i + (rows - 1) * down + 1, down)
        for j in range(width):
            out[..., below, j : j + (columns - 1) * across + 1 : across] += x[..., i, j]
    return out


sliding_windows: Operation = operation(
    _sliding_windows,
    (lambda g, out, x, height=1, width=1, stride=1: add_windows(g, shape=shape_of(x), stride=stride),),
    formula="∂windows(x) = windows(∂x)",
    shapes="(…, H, W) → (…, rows, columns, height, width)",
    analytic=True,
)
add_windows: Operation = operation(
    _add_windows,
    (lambda g, out, x, shape, stride=1: sliding_windows(g, height=x.shape[-2], width=x.shape[-1], stride=stride),),
    formula="the transpose of sliding_windows",
    shapes="(…, rows, columns, height, width) → (…, H, W)",
    analytic=True,
)


def _lookup(table: Any, indices: Any, /) -> Any:
    """Rows of a table, table[indices]: the indices are data, whole numbers, and have no gradient.

    Raises:
        ValueError: An index that isn't a whole number, or names no row.
    """
    places = np.asarray(indices).astype(int)
    if not np.array_equal(places, indices) or (places.size and not 0 <= places.min() <= places.max() < len(table)):
        raise ValueError(f"indices must be whole numbers from 0 to {len(table) - 1}")
    return table[places]


lookup: Operation = operation(
    _lookup,
    lambda g, out, table, indices: (add_rows(g, indices, rows=shape_of(table)[0]), None),
    formula="∂t[k] = (∂t)[k]",
    shapes="(rows, n) and any → any and n",
)


def _add_rows(x: Any, indices: Any, /, rows: int) -> Any:
    """Zeros of so many rows, with the vectors of x added at their indices. ∂/∂x = g[indices]."""
    out = np.zeros((rows, x.shape[-1]), dtype=x.dtype)
    np.add.at(out, np.asarray(indices).astype(int), x)
    return out


add_rows: Operation = operation(
    _add_rows,
    lambda g, out, x, indices, rows: (lookup(g, indices), None),
    formula="the transpose of lookup",
    shapes="any and n → (rows, n)",
)
