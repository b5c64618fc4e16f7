"""What data is: a Python float, or an array of float32 or float64; and how anything else becomes that."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Data: TypeAlias = float | Array
KEPT = (np.dtype(np.float64), np.dtype(np.float32))


def as_data(x: Any) -> Data:
    """`x` as the library keeps data: a Python float, or an array of float32 or float64. Raises as Value does."""
    if type(x) is float or (type(x) is np.ndarray and x.dtype in KEPT):
        return x
    if isinstance(x, (bool, int, float, np.integer, np.bool)):
        try:
            return float(x)
        except OverflowError:
            raise ValueError("data is an integer too large for a float") from None
    try:
        array = np.asarray(x)
    except ValueError:
        raise ValueError(f"data is a ragged {type(x).__name__}: the rows differ in length") from None
    if isinstance(x, (np.ma.MaskedArray, np.matrix)):
        raise TypeError(
            f"data is a {type(x).__name__}, which means more than its numbers: pass np.asarray(x), or x.filled()"
        )
    if array.dtype in KEPT:
        return array
    if array.dtype.kind in "fiub":
        return array.astype(float)
    if array.dtype.kind == "c":
        raise TypeError("data is complex; complex numbers are not supported: pass real and imaginary parts separately")
    if array.dtype == object and any(hasattr(item, "primals") for item in array.flat):  # Values
        raise TypeError("data holds Values; join Values with tg.stack, which keeps their gradients")
    raise TypeError(f"data must be real numbers, got {type(x).__name__} of dtype {array.dtype}")


def as_result(out: Any, name: str) -> Any:
    """What `forward` gave, as data. A numpy scalar stays numpy's: it becomes an array of shape ()."""
    if isinstance(out, np.generic):
        out = np.asarray(out)
    try:
        return as_data(out)
    except TypeError as error:
        raise TypeError(f"{name}: the result's {error}") from None
