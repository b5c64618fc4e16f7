"""numpy's own functions on Values: `np.exp(value)`, `np.concatenate([value, array])`, `array @ value`.

The one thing to know: numpy hands a call that has a Value in it to these two functions, which look up the library's
function of the same name. So an operation that has numpy's name needs nothing more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_edu import ops

REFUSED = {
    "out": "results can't be written into an array; use the returned Value",
    "where": "use tg.where(condition, result, otherwise) on the result",
    "dtype": "convert the data before it becomes a Value",
    "casting": "convert the data before it becomes a Value",
    "subok": "there are no subclasses",
}


def ufunc(function: Any, method: str, inputs: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """A call of one of numpy's elementwise functions."""
    name = function.__name__
    if method != "__call__":
        hint = {"add": "np.sum", "multiply": "np.prod", "maximum": "np.max", "minimum": "np.min"}.get(name)
        raise TypeError(f"np.{name}.{method} isn't supported for Values" + (f"; use {hint}" if hint else ""))
    if options.get("out") is not None and isinstance(options["out"][0], np.ndarray):
        raise TypeError(
            f"np.{name} with out=, or an in-place operator such as `array += value`, can't write a Value into an "
            "array; write `result = array + value` and use the result"
        )
    return found(function, name)(*inputs, **accepted(name, options))


def function(function: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """A call of one of numpy's other functions."""
    return found(function, function.__name__)(*args, **accepted(function.__name__, options))


def found(function: Any, name: str) -> Callable[..., Any]:
    ours = getattr(ops, name, None) if name in ops.FAMILY_OF or name in ops.NUMPY_ALIASES else None
    if ours is None or not (getattr(np, name, None) is function or getattr(np.linalg, name, None) is function):
        module = getattr(function, "__module__", None) or "numpy"
        raise TypeError(
            f"{module}.{name} isn't supported for Values: call it on value.data, which has no gradient, "
            f"or make it an operation with tg.operation(forward, vjp)"
        )
    return ours  # type: ignore[no-any-return]


def accepted(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """The options without those that say nothing; raises TypeError for one that Values can't have."""
    kept = {k: v for k, v in options.items() if not (k in REFUSED and v is None)}
    for option in REFUSED.keys() & kept.keys():
        raise TypeError(f"np.{name}: {option}= isn't supported for Values: {REFUSED[option]}")
    return kept
