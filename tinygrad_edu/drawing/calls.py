"""An operation with what it was told, in words: `sum(axis=0)`, `[1]`, `reshape(2, 3)`.

The one thing to know: pictures and explanations take the words from here, so that two calls that differ in anything
that the operation was told differ in both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_edu.core.value import Value

SHOWN_ENTRIES = 6
BARE = ("shape", "subscripts")
"""Parameters that are said without their name: everybody writes reshape(2, 3)."""


def symbol_of(node: Value) -> str:
    """What a picture calls the operation that made a Value: its symbol, or its name where it was told something."""
    assert node.operation is not None
    if node.operation.name == "index":
        return f"[{key_text(node.params['key'])}]"
    told = params_text(node)
    return f"{node.operation.name}({told})" if told else node.operation.symbol


def call_text(node: Value, inputs: Sequence[str]) -> str:
    """The call that made a Value, its inputs as they are called: `sum(x, axis=0)`, `x[1]`."""
    assert node.operation is not None
    if node.operation.name == "index" and len(inputs) == 1:
        return f"{inputs[0]}[{key_text(node.params['key'])}]"
    return f"{node.operation.name}({', '.join([*inputs, *filter(None, [params_text(node)])])})"


def params_text(node: Value) -> str:
    """The parameters that an operation was told, without those that say nothing (`axis=None`, `keepdims=False`)."""
    words = []
    for name, value in node.params.items():
        if value is None or value is False:
            continue
        bare = name in BARE and value != ()
        words.append(param_text(value).strip("()").rstrip(",") if bare else f"{name}={param_text(value)}")
    return ", ".join(words)


def key_text(key: Any) -> str:
    """A key as it stands between brackets."""
    return ", ".join(map(param_text, key)) if isinstance(key, tuple) and key else param_text(key)


def param_text(value: Any) -> str:
    """One parameter as it is written in Python, long ones in short."""
    if isinstance(value, slice):
        start, stop, step = ("" if end is None else str(end) for end in (value.start, value.stop, value.step))
        return f"{start}:{stop}" + (f":{step}" if step else "")
    if value is Ellipsis:
        return "..."
    if isinstance(value, Value):
        return value.name or "a Value"
    if isinstance(value, (np.ndarray, list)) and np.size(np.asarray(value, dtype=object)) > SHOWN_ENTRIES:
        return array_text(np.asarray(value))
    if isinstance(value, (np.ndarray, np.generic)):
        return str(value.tolist())
    if callable(value):
        return getattr(value, "__name__", type(value).__name__)
    return repr(value)


def array_text(array: Any) -> str:
    """The first entries of an array, and its shape."""
    first = ", ".join(str(x) for x in array.ravel()[:SHOWN_ENTRIES].tolist())
    return f"[{first}, … of shape {array.shape}]"
