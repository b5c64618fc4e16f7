"""Plain numbers, arrays and structures of them, as user code has them: copied, compared, told apart."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_edu.core.data import as_data
from tinygrad_edu.core.value import data_of
from tinygrad_edu.gradient_check.returned import described
from tinygrad_edu.tree import leaves_of, mapped, path_names


def is_float(x: Any) -> bool:
    x = data_of(x)
    return isinstance(x, (float, np.floating)) or (isinstance(x, np.ndarray) and x.dtype.kind == "f")


def as_output(out: Any) -> Any:
    """An output as an array. Raises TypeError for what isn't made of floats."""
    if isinstance(out, np.ma.MaskedArray):
        return out.filled(0.0)
    if not is_float(out) and not np.issubdtype(np.asarray(out).dtype, np.integer):
        raise TypeError(f"the forward pass must give an array of floats, then maybe a cache; got {described(out)}")
    return np.asarray(data_of(out))


def cast(dout: Any, out: Any) -> Any:
    """A cotangent of the kind and dtype of its output."""
    if np.ndim(out) == 0:
        return float(dout)
    return np.array(dout, dtype=np.asarray(out).dtype if is_float(out) else np.float64)


def float_arrays(args: Sequence[Any]) -> list[int]:
    return [i for i, x in enumerate(args) if isinstance(data_of(x), np.ndarray) and data_of(x).dtype.kind == "f"]


def with_lists_as_arrays(args: Sequence[Any]) -> list[Any]:
    """Lists of lists of floats as arrays; flat ones too where nothing else is an array of floats.

    Beside arrays, a flat list such as `[0.9, 0.999]` is a setting, and is passed through.
    """
    flat = not float_arrays(args)
    return [np.array(x) if isinstance(x, list) and is_table(x, flat) else x for x in args]


def is_table(x: list[Any], flat: bool) -> bool:
    """Whether a list has an array's shape and holds floats, with ints among them perhaps."""
    try:
        array = np.array(x)
    except (ValueError, TypeError):  # rows of several lengths
        return False
    return array.dtype.kind == "f" and all(map(is_plain, x)) and (array.ndim > 1 or flat)


def is_plain(x: Any) -> bool:
    return all(map(is_plain, x)) if isinstance(x, list) else type(x) in (int, float)


def as_data_tree(x: Any, name: str) -> Any:
    """An argument that is varied, its leaves as floats and arrays."""
    try:
        return mapped(lambda leaf: as_data(data_of(leaf)), x)
    except TypeError as error:
        raise ValueError(f"argument {name} can't be differentiated: {error}") from None


def named_leaves(x: Any, name: str) -> list[tuple[str, Any]]:
    return list(zip(path_names(x, name), leaves_of(x), strict=True))


def copied(x: Any) -> Any:
    return x.copy() if type(x) is np.ndarray else copy.deepcopy(x)


def changes(
    key: str, who: str, names: Sequence[str], before: Sequence[Any], after: Sequence[Any]
) -> list[tuple[str, str, str]]:
    return [(key, who, name) for name, a, b in zip(names, before, after, strict=True) if not same(a, b)]


def same(a: Any, b: Any) -> bool:
    """Whether two things are equal, arrays by their numbers, at any depth; what can't be compared counts as equal."""
    if isinstance(a, np.ndarray):
        if a.dtype.kind == "O":
            return True
        return isinstance(b, np.ndarray) and np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return isinstance(b, (list, tuple)) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, (int, float, str, bool)):
        return bool(a == b)
    return vars(a).keys() == vars(b).keys() and same(vars(a), vars(b)) if hasattr(a, "__dict__") else True
