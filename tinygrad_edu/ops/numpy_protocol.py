"""numpy's own functions on Values: `np.exp(value)`, `np.concatenate([value, array])`, `array @ value`.

The one thing to know: numpy hands a call that has a Value in it to these two functions, which look up the library's
function of the same name. So an operation that has numpy's name needs nothing more.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_edu import ops
from tinygrad_edu.arguments import VARARGS
from tinygrad_edu.core.operation import Operation
from tinygrad_edu.core.value import Value, data_of
from tinygrad_edu.ops.comparison import PLAIN
from tinygrad_edu.ops.linear_algebra import linalg_diagonal, linalg_trace
from tinygrad_edu.ops.shaping import reshape_in_order

REFUSED = {
    "out": "results can't be written into an array; use the returned Value",
    "where": "use tg.where(condition, x, otherwise), on the entries or on the result",
    "initial": "combine the result with it, as in np.maximum(result, initial)",
    "casting": "convert the data before it becomes a Value",
    "subok": "there are no subclasses",
    "like": "there are no subclasses",
}


def reshaped(x: Any, shape: Any = None, order: Any = "C", *, newshape: Any = None, copy: Any = None) -> Any:
    """As `np.reshape`, which has more arguments than the operation."""
    return reshape_in_order(x, newshape if shape is None else shape, order)


def full_svd(a: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """As `np.linalg.svd`, which gives the full matrices where nothing else is said."""
    shape = np.shape(data_of(a))
    return ops.svd(a, full_matrices and shape[-1:] != shape[-2:-1], compute_uv)


OTHERWISE: dict[Any, Callable[..., Any]] = {
    np.linalg.svd: full_svd,
    np.linalg.trace: linalg_trace,
    np.linalg.diagonal: linalg_diagonal,
    np.reshape: reshaped,
}
"""numpy's functions that aren't the library's function of the same name."""

ARGUMENTS = {
    **dict.fromkeys(["sum", "prod", "mean"], "axis dtype out keepdims initial where"),
    **dict.fromkeys(["std", "var", "nanstd", "nanvar"], "axis dtype out ddof keepdims where"),
    **dict.fromkeys(["max", "min", "amax", "amin", "nanmax", "nanmin"], "axis out keepdims initial where"),
    **dict.fromkeys(["nansum", "nanmean", "nanprod"], "axis dtype out keepdims"),
    **dict.fromkeys(["cumsum", "cumprod", "nancumsum"], "axis dtype out"),
    "trace": "offset axis1 axis2 dtype out",
    "take": "indices axis out mode",
    "ptp": "axis out keepdims",
    "median": "axis out overwrite_input keepdims",
    **dict.fromkeys(["quantile", "percentile"], "q axis out overwrite_input method keepdims"),
    "clip": "a_min a_max out",
    "linspace": "stop num endpoint retstep dtype axis",
    "nan_to_num": "copy nan posinf neginf",
}
"""numpy's names of the arguments behind the first, where they come in another order than the library's."""

INSTEAD = {
    "apply_along_axis": "index the rows, apply the function, and join the results with tg.stack",
    "copyto": "an array can't take a Value in: use tg.full_like(array, value), tg.broadcast_to or tg.where",
    "choose": "use tg.where or tg.select",
    "eig": "of a symmetric matrix np.linalg.eigh has a gradient",
    "eigvals": "of a symmetric matrix np.linalg.eigvalsh has a gradient",
    "histogram": "its counts are those of value.data; counts by weights are tg.where(...) sums, with their gradients",
    "fill_diagonal": "a Value can't be changed in place: use tg.where(np.eye(n), new, old)",
    "piecewise": "use tg.where or tg.select",
    "place": "a Value can't be changed in place: use tg.where(mask, new, old)",
    "put": "a Value can't be changed in place: use tg.where(mask, new, old)",
    "put_along_axis": "a Value can't be changed in place: use tg.where(mask, new, old)",
    "putmask": "a Value can't be changed in place: use tg.where(mask, new, old)",
    "unique": "its positions are np.unique(value.data, return_index=True)[1]; value[positions] keeps the gradient",
    "save": "save value.data",
    "savetxt": "save value.data",
}
"""What to write in place of functions that aren't supported."""

ACCUMULATED = {
    ("add", "reduce"): "sum",
    ("multiply", "reduce"): "prod",
    ("maximum", "reduce"): "max",
    ("minimum", "reduce"): "min",
    ("logaddexp", "reduce"): "logsumexp",
    ("add", "accumulate"): "cumsum",
    ("multiply", "accumulate"): "cumprod",
}


MODULES = (np, np.linalg, np.lib.stride_tricks)
"""Where numpy's functions are from that the library has."""

SCIPY_SPECIAL: dict[str, Callable[..., Any]] = {
    "expit": lambda x: ops.sigmoid(x),
    "logit": lambda x: ops.log(x) - ops.log1p(-x),
    "log_expit": lambda x: -ops.softplus(-x),
    "expm1": lambda x: ops.expm1(x),
    "log1p": lambda x: ops.log1p(x),
    "exp2": lambda x: ops.exp2(x),
}
"""scipy.special's elementwise functions that the library has, by their names there."""


def ufunc(function: Any, method: str, inputs: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """A call of one of numpy's elementwise functions, or of its `reduce`, `accumulate` or `outer`."""
    name = function.__name__
    if options.get("out") is not None and isinstance(options["out"][0], np.ndarray):
        raise TypeError(
            f"np.{name} with out=, or an in-place operator such as `array += value`, can't write a Value into an "
            "array; write `result = array + value` and use the result, or differentiate tg.follow(function)"
        )
    if method == "outer":
        a, b = (ops.array(x) for x in inputs)
        return ufunc(function, "__call__", (a.reshape((*a.shape, *(1,) * b.ndim)), b), options)
    if method == "at":
        raise TypeError(
            f"np.{name}.at changes an array in place, which can't take a Value in: add one-hot rows @ values"
        )
    if method != "__call__":
        reducing = ACCUMULATED.get((name, method))
        if reducing is None:
            raise TypeError(f"np.{name}.{method} isn't supported for Values: use a reduction such as np.sum or np.max")
        return called(getattr(ops, reducing), reducing, inputs, {"axis": 0, **options} if len(inputs) == 1 else options)
    return called(found(function, name), name, inputs, options)


def function(function: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """A call of one of numpy's other functions."""
    name = function.__name__
    return called(OTHERWISE.get(function) or found(function, name), name, args, options, function)


def found(function: Any, name: str) -> Callable[..., Any]:
    """The library's function of numpy's name. Raises TypeError where there is none, saying what to write."""
    ours = getattr(ops, name, None) if name in ops.FAMILY_OF or name in ops.NUMPY_ALIASES else None
    if name in SCIPY_SPECIAL and getattr(sys.modules.get("scipy.special"), name, None) is function:
        return SCIPY_SPECIAL[name]
    if ours is None or not any(getattr(module, name, None) is function for module in MODULES):
        module = getattr(function, "__module__", None) or ("numpy" if hasattr(np, name) else "scipy.special")
        instead = INSTEAD.get(
            name,
            "call it on value.data, which has no gradient, or make it an operation with tg.operation(forward, rules)",
        )
        raise TypeError(f"{module}.{name} isn't supported for Values: {instead}")
    return ours  # type: ignore[no-any-return]


def called(
    ours: Callable[..., Any], name: str, args: tuple[Any, ...], options: dict[str, Any], numpys: Any = None
) -> Any:
    """The library's function with numpy's arguments, those that numpy's function takes by other names too."""
    if ours in PLAIN:
        return ours(*args, **options)
    if not options and len(args) == getattr(ours, "n_inputs", 1):  # the inputs alone
        return ours(*args)
    if name in ARGUMENTS and len(args) > 1:
        options = {**dict(zip(ARGUMENTS[name].split(), args[1:], strict=False)), **options}
        args = args[:1]
    takes = accepts(ours)
    args, options = by_position(ours, numpys, args, options)
    options = {k: v for k, v in options.items() if not says_nothing(k, v)}
    if "order" not in takes and options.get("order") in ("F", "A", "K"):
        del options["order"]  # how the result lies in memory
    dtype = options.pop("dtype", None)
    if dtype is not None and "dtype" not in takes:
        args = tuple(in_dtype(name, x, dtype) for x in args)
    elif dtype is not None:
        options["dtype"] = dtype
    initial = options.pop("initial", None) if name in COMBINED else None
    if name in COMBINED and "where" in options and (name in NEUTRAL or initial is not None):
        args = (ops.where(options.pop("where"), args[0], NEUTRAL.get(name, initial)), *args[1:])
    for option in options.keys() - set(takes):
        write = f": {REFUSED[option]}" if option in REFUSED else f"; it takes {', '.join(takes)}"
        module = str(getattr(numpys, "__module__", None) or "numpy").replace("numpy", "np", 1)
        raise TypeError(f"{module}.{name}: {option}= isn't supported for Values{write}")
    result = ours(*args, **options)
    return result if initial is None else getattr(ops, COMBINED[name])(result, initial)


COMBINED = {
    "sum": "add",
    "prod": "multiply",
    "max": "maximum",
    "min": "minimum",
    "amax": "maximum",
    "amin": "minimum",
}
"""What joins the result of a reduction with numpy's `initial`."""
NEUTRAL = {"sum": 0.0, "prod": 1.0}
"""What stands in a reduction for an entry that numpy's `where` leaves out; `initial` does where none is named."""


def by_position(
    ours: Callable[..., Any], numpys: Any, args: tuple[Any, ...], options: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments whose names only numpy has by position, and those beyond the library's by numpy's names."""
    most, by_name = len(accepts(ours)), named_by(ours)
    if numpys is None or takes_any_number(ours) or (len(args) <= most and options.keys() <= by_name):
        return args, options
    try:
        names = list(inspect.signature(numpys).parameters)
    except ValueError:  # some of numpy's functions tell nothing of their arguments
        return args, options
    options = {**dict(zip(names[most:], args[most:], strict=False)), **options}
    args = args[:most]
    for name in names[len(args) : most]:
        if name not in options or name in by_name:
            break
        args = (*args, options.pop(name))
    return args, options


def accepts(ours: Callable[..., Any]) -> Sequence[str]:
    """The names of the arguments of one of the library's functions."""
    if isinstance(ours, Operation):
        return ours.argument_names
    code = ours.__code__
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def named_by(ours: Callable[..., Any]) -> set[str]:
    """Those that it takes by name: all but an operation's inputs."""
    return set(accepts(ours)[ours.n_inputs :] if isinstance(ours, Operation) else accepts(ours))


def takes_any_number(ours: Any) -> bool:
    return bool(ours.n_inputs == sys.maxsize if isinstance(ours, Operation) else ours.__code__.co_flags & VARARGS)


def in_dtype(name: str, x: Any, dtype: Any) -> Any:
    """An argument with the float dtype that was asked for."""
    if np.dtype(dtype) not in (np.float64, np.float32):
        raise TypeError(f"np.{name}: dtype={np.dtype(dtype)} has no gradient: call it on value.data")
    return x.astype(dtype) if isinstance(x, Value) and x.dtype != dtype else x


def says_nothing(option: str, value: Any) -> bool:
    """Whether an option is as numpy has it anyway, or can't change a number."""
    if value is None or value is np._NoValue:
        return option in (*REFUSED, "dtype", "order", "kind", "stable") or value is not None
    if option == "where":
        return value is True
    if option == "kind":  # equal numbers in another order are the same numbers
        return value in ("quicksort", "mergesort", "heapsort", "stable", "introselect")
    if option == "casting":  # data is float, and so are results
        return value in ("no", "equiv", "safe", "same_kind", "unsafe")
    return option in ("stable", "subok") or (option, value) in (
        ("overwrite_input", False),
        ("order", "C"),
        ("hermitian", False),
    )
