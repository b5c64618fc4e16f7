"""The error for a name that isn't there, with the one that was meant: misspelt, or as another library calls it.

The one thing to know: this runs on the way to an error only. A name is looked for in the library and its `nn`.
"""

from __future__ import annotations

from difflib import get_close_matches

import numpy as np

import tinygrad_edu as tg

ELSEWHERE = {
    "tensor": "tg.Value",
    "variable": "tg.Value",
    "parameter": "tg.Value",
    "linear": "tg.Dense",
    "sequential": "tg.Network",
    "module": "tg.Network",
    "mlp": "tg.Network.create",
    "mse": "tg.nn.mean_squared_error",
    "mseloss": "tg.nn.mean_squared_error",
    "mae": "tg.nn.mean_absolute_error",
    "l1loss": "tg.nn.mean_absolute_error",
    "bceloss": "tg.nn.binary_cross_entropy",
    "crossentropyloss": "tg.nn.cross_entropy",
    "flatten": "functools.partial(tg.reshape, shape=(-1, n)) as a layer, of n numbers a row",
    "maxpool2d": "functools.partial(tg.max_pool2d, size=2) as a layer",
    "avgpool2d": "functools.partial(tg.avg_pool2d, size=2) as a layer",
    "jit": "tg.compile",
    "backward": "the method backward of a Value",
    "show": "tg.draw",
    "plot": "tg.draw",
}
"""What is meant by names of other libraries, in small letters."""


def no_attribute(module: str, name: str) -> AttributeError:
    """The error for a module of the library that has no such name."""
    text = f"module {module!r} has no attribute {name!r}"
    if name.startswith("_"):
        return AttributeError(text)
    places = {known: f"tg.nn.{known}" for known in tg.nn.__all__} | {known: f"tg.{known}" for known in dir(tg)}
    small = {known.lower(): place for known, place in places.items()} | ELSEWHERE
    if name.lower() in small:
        return AttributeError(f"{text}: did you mean {small[name.lower()]}?")
    if hasattr(np, name):
        return AttributeError(f"{text}: numpy's is np.{name}")
    near = get_close_matches(name.lower(), small, 1, 0.75)
    return AttributeError(f"{text}: did you mean {small[near[0]]}?" if near else text)
