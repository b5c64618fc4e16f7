"""scipy's functions that followed code calls and that know nothing of Values, made of the library's operations.

The one thing to know: scipy is never imported here. A function is known by its name in a module that the user's code
has imported.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_edu import ops


def of_scipy(function: Any) -> Callable[..., Any] | None:
    """What computes the same with Values; None where there is nothing, or where it isn't scipy's."""
    name = getattr(function, "__name__", "")
    for module, known in FUNCTIONS.items():
        if name in known and getattr(sys.modules.get(module), name, None) is function:
            return known[name]
    return None


def logsumexp(a: Any, axis: Any = None, b: Any = None, keepdims: bool = False, return_sign: bool = False) -> Any:
    if b is not None or return_sign:
        raise TypeError("logsumexp: b= and return_sign= aren't followed")
    return ops.logsumexp(a, axis=axis, keepdims=keepdims)


def softmax(x: Any, axis: Any = None) -> Any:
    return np.exp(log_softmax(x, axis))


def log_softmax(x: Any, axis: Any = None) -> Any:
    return x - ops.logsumexp(x, axis=axis, keepdims=True)


def correlate2d(in1: Any, in2: Any, mode: str = "full", boundary: str = "fill", fillvalue: Any = 0) -> Any:
    """The sums of the products of in2 with each window of in1, which has zeros around it but for "valid"."""
    if boundary != "fill" or fillvalue:
        raise TypeError("correlate2d and convolve2d are followed with zeros outside only: boundary='fill', fillvalue=0")
    (n, m), (rows, columns) = np.shape(in1), np.shape(in2)
    if mode == "valid" and (n < rows or m < columns):
        raise TypeError("correlate2d and convolve2d with mode='valid' are followed where the first array is the larger")
    around = {
        "valid": [(0, 0), (0, 0)],
        "full": [(rows - 1, rows - 1), (columns - 1, columns - 1)],
        "same": [((k - 1) // 2, k // 2) for k in (rows, columns)],
    }[mode]
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(in1, around), (rows, columns))
    return np.einsum("ijkl,kl->ij", windows, in2)


def convolve2d(in1: Any, in2: Any, mode: str = "full", boundary: str = "fill", fillvalue: Any = 0) -> Any:
    turned = in2[::-1, ::-1]
    if mode != "same":
        return correlate2d(in1, turned, mode, boundary, fillvalue)
    rows, columns = np.shape(in2)
    whole = correlate2d(in1, turned, "full", boundary, fillvalue)
    first, second = (rows - 1) // 2, (columns - 1) // 2
    return whole[first : first + np.shape(in1)[0], second : second + np.shape(in1)[1]]


FUNCTIONS: dict[str, dict[str, Callable[..., Any]]] = {
    "scipy.special": {"logsumexp": logsumexp, "softmax": softmax, "log_softmax": log_softmax},
    "scipy.signal": {"correlate2d": correlate2d, "convolve2d": convolve2d},
}
