"""Stand-ins for `np`, `math`, `float` and this library, which take and give Trackeds.

The one thing to know: each numpy function is called as it is, with Values in place of Trackeds, so that numpy hands
it on to the library's operation of the same name. Only what fills arrays, or makes them, is done here.
"""

from __future__ import annotations

import functools
import math
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinygrad_edu import ops
from tinygrad_edu.core.operation import Operation
from tinygrad_edu.core.value import Value, data_of
from tinygrad_edu.following.origin import LIFTED, package_of
from tinygrad_edu.following.scipy_functions import of_scipy
from tinygrad_edu.following.tracked import Tracked, array_of, bare, has_value, in_type, plain, shape_of, wrapped
from tinygrad_edu.ops.indexing import add_at
from tinygrad_edu.tree import leaves_of


def lifted(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of numpy, scipy or this library, that takes and gives Trackeds."""
    name = getattr(function, "__name__", "")
    if getattr(np, name, None) is function and name in SPECIAL:
        return SPECIAL[name]
    if function is np.lib.stride_tricks.as_strided:
        return as_strided
    if isinstance(function, np.ufunc):
        return lifted_ufunc(function)
    of_values = of_scipy(function)

    def call(*args: Any, **options: Any) -> Any:
        out = options.pop("out", None)
        args, options = bare(tuple(args)), without_stand_ins(options)
        given = any(map(has_value, (*args, *options.values())))
        try:
            result = of_values(*args, **options) if of_values and given else function(*args, **options)
        except TypeError:
            if of_values or not given:
                raise
            result = function(*plain(args), **{k: plain(v) for k, v in options.items()})
            if not all(np.asarray(leaf).dtype.kind in "iub" for leaf in leaves_of(result)):
                raise  # whole numbers and truths have no derivative, but others have
        return wrapped(result) if out is None else written(out, result)

    return functools.update_wrapper(call, function, updated=()) if name else call


def written(out: Any, result: Any) -> Any:
    if not isinstance(out, Tracked):
        raise TypeError("out= names an array that can't be followed")
    out.become(result)
    return out


@functools.cache
def lifted_ufunc(function: np.ufunc) -> LiftedUfunc:
    return LiftedUfunc(function)


class LiftedUfunc:
    """One of numpy's elementwise functions, with its methods `at`, `reduce`, `outer`."""

    def __init__(self, function: np.ufunc) -> None:
        self.function, self.__name__ = function, function.__name__

    def __call__(self, *inputs: Any, out: Any = None, where: Any = True, **options: Any) -> Any:
        if len(inputs) > self.function.nin:  # np.exp(x, out)
            inputs, out = inputs[: self.function.nin], inputs[self.function.nin]
        inputs, where = bare(tuple(inputs)), plain(bare(where))
        inputs = tuple(array_of(x) if isinstance(x, list) and has_value(x) else x for x in inputs)
        options = without_stand_ins(options)
        if any(map(has_value, inputs)):
            options = {k: v for k, v in options.items() if k not in ("dtype", "casting")}
        elif isinstance(where, np.ndarray):
            options["where"] = where
            if out is not None:
                options["out"] = np.array(plain(out if isinstance(out, Tracked) else out[0]))
        with np.errstate(all="ignore" if isinstance(where, np.ndarray) else None):
            result = self.function(*inputs, **options)
        target = out[0] if isinstance(out, tuple) else out
        if isinstance(where, np.ndarray) and has_value(result):
            if target is None:
                raise TypeError(f"np.{self.__name__} with where= and without out= leaves entries undefined")
            result = ops.where(where, result, bare(target))
        return wrapped(result) if target is None else written(target, result)

    def at(self, target: Any, key: Any, values: Any = None) -> None:
        if not isinstance(target, Tracked) or self.__name__ not in ("add", "subtract"):
            raise TypeError(f"np.{self.__name__}.at isn't followed")
        where = target.where[plain(bare(key))]
        values = bare(values)
        spread = values * np.ones(where.shape) if shape_of(values) != where.shape else values
        added = add_at(spread, key=where, shape=(target.size,))
        total = ops.reshape(added, shape=target.shape)
        target.become(target.held + total if self.__name__ == "add" else target.held - total)

    def reduce(self, x: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        reduction: Any = {"add": np.sum, "multiply": np.prod, "maximum": np.max, "minimum": np.min}.get(self.__name__)
        if reduction is None or not has_value(bare(x)):
            result = wrapped(self.function.reduce(plain(bare(x)), axis=axis, keepdims=keepdims))
            if has_value(bare(x)) and np.asarray(data_of(bare(result))).dtype.kind == "f":
                raise TypeError(f"np.{self.__name__}.reduce isn't followed")
            return result
        return lifted(reduction)(x, axis=axis, keepdims=keepdims)

    def outer(self, a: Any, b: Any) -> Any:
        a, b = bare(a), bare(b)
        return self(a[(...,) + (None,) * len(shape_of(b))], b)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.function, name)


def without_stand_ins(options: dict[str, Any]) -> dict[str, Any]:
    return {k: real_type(bare(v)) for k, v in options.items()}


def real_type(x: Any) -> Any:
    return x.real if isinstance(x, NumberType) else x


class NumberType(type):
    """The type of `float`, `np.float64` …'s stand-ins: called with what is differentiated, they give it back."""

    real: Any
    dtype: Any

    def __instancecheck__(cls, x: Any) -> bool:
        return isinstance(x, cls.real) or (isinstance(x, Tracked) and not x.ndim)

    def __subclasscheck__(cls, other: Any) -> bool:
        return issubclass(real_type(other), cls.real)

    def __call__(cls, *args: Any, **options: Any) -> Any:
        if args and has_value(args[0]):
            x = args[0]
            if isinstance(x, Tracked) and x.size == 1 and cls.real is float:
                return wrapped(ops.reshape(x.held, shape=())) if x.ndim else x
            return wrapped(in_type(array_of(bare(x)), cls.dtype))
        return cls.real(*bare(tuple(args)), **options)

    def __eq__(cls, other: object) -> bool:
        return real_type(other) is cls.real

    def __hash__(cls) -> int:
        return hash(cls.real)

    def __getattr__(cls, name: str) -> Any:
        return getattr(cls.real, name)


def number_type(real: Any) -> Any:
    return NumberType(real.__name__, (), {"real": real, "dtype": np.dtype(real)})


class ArrayType(type):
    """The type of `np.ndarray`'s stand-in: a Tracked is an array to user code."""

    def __instancecheck__(cls, x: Any) -> bool:
        return isinstance(x, (np.ndarray, Tracked))

    def __getattr__(cls, name: str) -> Any:
        return getattr(np.ndarray, name)


def made(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that makes a new array, of a shape or like another, of plain numbers."""

    def call(*args: Any, **options: Any) -> Any:
        if args and function.__name__.endswith("_like"):
            args = (data_of(bare(args[0])), *args[1:])  # of which only the form is asked
        args = tuple(real_type(plain(bare(x))) for x in args)
        return wrapped_writable(function(*args, **{k: real_type(plain(bare(v))) for k, v in options.items()}))

    return call


def full(shape: Any, value: Any, *args: Any, **options: Any) -> Any:
    if not has_value(value):
        return made(np.full)(shape, value, *args, **options)
    return wrapped(np.ones(plain(bare(shape))) * bare(value))


def full_like(like: Any, value: Any, *args: Any, **options: Any) -> Any:
    return full(shape_of(bare(like)), value, *args, **options)


def array(x: Any, *args: Any, **options: Any) -> Any:
    """np.array: a copy, in which Values may stand."""
    if not has_value(x):
        return made(np.array)(x, *args, **options)
    x = array_of(bare(x))
    dtype = args[0] if args else options.get("dtype")
    if dtype is not None and np.dtype(real_type(dtype)).kind == "f":
        x = in_type(x, np.dtype(real_type(dtype)))
    ndmin = options.get("ndmin", 0)
    return wrapped(x if x.ndim >= ndmin else ops.reshape(x, shape=(1,) * (ndmin - x.ndim) + x.shape))


def asarray(x: Any, *args: Any, **options: Any) -> Any:
    """np.asarray: the same array where it is one."""
    if isinstance(x, Tracked) and (not (args or options) or has_value(x)):
        return x
    return array(x, *args, **options)


def wrapped_writable(x: Any) -> Any:
    return Tracked(x) if isinstance(x, np.ndarray) and x.dtype != object else x


def average(x: Any, axis: Any = None, weights: Any = None, **options: Any) -> Any:
    """np.average."""
    if weights is None:
        return lifted(np.mean)(x, axis=axis, **options)
    return lifted(np.sum)(x * weights, axis=axis, **options) / lifted(np.sum)(weights * np.ones(shape_of(x)), axis=axis)


class Joined:
    """np.r_ and np.c_ of arrays and numbers."""

    def __init__(self, original: Any, columns: bool) -> None:
        self.original, self.columns = original, columns

    def __getitem__(self, parts: Any) -> Any:
        parts = parts if isinstance(parts, tuple) else (parts,)
        if not any(map(has_value, parts)):
            return wrapped(self.original[tuple(map(bare, parts))])
        if any(isinstance(part, (slice, str)) for part in parts):
            raise TypeError("np.r_ and np.c_ with slices or texts aren't followed")
        arrays = [lifted(np.atleast_1d)(asarray(part)) for part in parts]
        if self.columns:
            arrays = [part[:, None] if part.ndim == 1 else part for part in arrays]
        return lifted(np.concatenate)(arrays, axis=-1 if self.columns else 0)


def copyto(target: Tracked, source: Any, casting: str = "same_kind", where: Any = True) -> None:
    """np.copyto."""
    if where is True:
        target[...] = source
    else:
        mask = np.broadcast_to(plain(bare(where)), target.shape)
        target[mask] = broadcast(source, target.shape)[mask]


def putmask(a: Tracked, mask: Any, values: Any) -> None:
    """np.putmask, of one number or of as many as the array has; it would repeat others."""
    if shape_of(bare(values)) not in ((), a.shape):
        raise TypeError("np.putmask of values of another shape than the array's isn't followed")
    copyto(a, values, where=mask)


def put_along_axis(target: Tracked, indices: Any, values: Any, axis: int | None) -> None:
    """np.put_along_axis."""
    if axis is None:
        raise TypeError("np.put_along_axis with axis=None isn't followed")
    where = np.take_along_axis(target.where, np.asarray(plain(bare(indices))), axis)
    target.buffer.write(where, bare(values))


def fill_diagonal(target: Tracked, value: Any, wrap: bool = False) -> None:
    """np.fill_diagonal."""
    places = np.array(target.where)
    target.buffer.write(places[(np.arange(min(places.shape)),) * places.ndim], bare(value))


def ndenumerate(x: Any) -> Iterator[tuple[tuple[int, ...], Any]]:
    """np.ndenumerate."""
    return ((at, x[at]) for at in np.ndindex(shape_of(bare(x))))


class Vectorized:
    """np.vectorize: the function called for each entry."""

    def __init__(self, function: Callable[..., Any], *_: Any, **__: Any) -> None:
        self.function = function

    def __call__(self, *args: Any) -> Any:
        shape = np.broadcast_shapes(*(shape_of(bare(x)) for x in args))
        arrays = [broadcast(x, shape) for x in args]
        if not shape:
            return self.function(*args)
        out = wrapped_writable(np.zeros(shape))
        for at in np.ndindex(shape):
            out[at] = self.function(*(x[at] for x in arrays))
        return out


def apply_along_axis(function: Callable[..., Any], axis: int, x: Any, *args: Any, **options: Any) -> Any:
    """np.apply_along_axis: the function called for each row, and its results joined."""
    rows = lifted(np.moveaxis)(asarray(x), axis, -1)
    results = [function(rows[at], *args, **options) for at in np.ndindex(rows.shape[:-1])]
    joined = array(results)
    return (
        lifted(np.moveaxis)(joined.reshape(rows.shape[:-1] + joined.shape[1:]), range(-joined.ndim + 1, 0), axis)
        if joined.ndim > 1
        else joined.reshape(rows.shape[:-1])
    )


def as_strided(x: Any, shape: Any = None, strides: Any = None, **_: Any) -> Any:
    """np.lib.stride_tricks.as_strided: a view of entries at steps, which are those of an array in C order."""
    x = asarray(x)
    entries = np.arange(x.size).reshape(x.shape)
    shape = x.shape if shape is None else tuple(map(int, plain(bare(shape))))
    strides = entries.strides if strides is None else tuple(map(int, plain(bare(strides))))
    last = sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    if min((*strides, 0)) < 0 or last >= entries.nbytes or any(step % entries.itemsize for step in strides):
        raise TypeError("as_strided with steps that leave the array isn't followed")
    at = np.array(np.lib.stride_tricks.as_strided(entries, shape, strides))
    return x.view(lambda y: reshaped(y, -1)[at])


def broadcast(x: Any, shape: tuple[int, ...]) -> Any:
    if shape_of(bare(x)) == shape:
        return x
    return wrapped(bare(x) * np.ones(shape) if has_value(x) else np.broadcast_to(plain(bare(x)), shape))


def reading(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of shapes or of whole numbers, which has no derivative: it is given the numbers alone."""
    return lambda *args, **options: wrapped(
        function(*plain(bare(tuple(args))), **{k: plain(v) for k, v in options.items()})
    )


def of_form(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that asks an array for its form, not for its numbers."""
    return lambda x, *args: function(data_of(held) if isinstance(held := bare(x), Value) else plain(held), *args)


SPECIAL: dict[str, Callable[..., Any]] = {
    **{name: made(getattr(np, name)) for name in ("zeros", "ones", "eye", "zeros_like", "ones_like")},
    "empty": made(np.zeros),  # what was in memory is no constant to record
    "empty_like": made(np.zeros_like),
    "full": full,
    "full_like": full_like,
    "array": array,
    **dict.fromkeys(("asarray", "asanyarray", "ascontiguousarray", "asarray_chkfinite"), asarray),
    "copy": lambda x, *_, **__: wrapped(x.held) if isinstance(x, Tracked) else array(x),
    "copyto": copyto,
    "average": average,
    "apply_along_axis": apply_along_axis,
    "put_along_axis": put_along_axis,
    "fill_diagonal": fill_diagonal,
    "putmask": putmask,
    **{name: of_form(getattr(np, name)) for name in ("shape", "ndim", "size")},
    **{name: reading(getattr(np, name)) for name in ("argmax", "argmin", "argsort")},
}  # fmt: skip


class Numpy(types.ModuleType):
    """numpy, or one of its modules, whose functions take Trackeds and whose new arrays can hold Values."""

    def __init__(self, module: types.ModuleType) -> None:
        super().__init__(module.__name__)
        self.__dict__["original"] = module

    def __getattr__(self, name: str) -> Any:
        found = stand_in(getattr(self.__dict__["original"], name))
        setattr(self, name, found)
        return found


FLOAT = number_type(float)
NUMBERS: dict[Any, Any] = {np.float64: number_type(np.float64), np.float32: number_type(np.float32)}
NDARRAY = ArrayType("ndarray", (), {})


@functools.cache
def lifted_math() -> types.ModuleType:
    """`math`, whose functions take Values: the library's, of the same name."""
    module = types.ModuleType("math")
    for name, original in vars(math).items():
        ours = getattr(ops, {"fabs": "absolute", "pow": "power"}.get(name, name), None)
        if not name.startswith("__"):
            setattr(module, name, of_numbers(original, ours) if callable(original) else original)
    return module


def of_numbers(original: Callable[..., Any], ours: Any) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        if not any(map(has_value, args)):
            return original(*bare(tuple(args)))
        if ours is None:
            result = original(*plain(bare(tuple(args))))
            if not isinstance(result, int):  # whole numbers and truths have no derivative, but others have
                raise TypeError(f"math.{original.__name__} isn't followed")
            return result
        return wrapped(ours(*bare(tuple(args))))

    return call


@functools.cache
def numpy_stand_in(module: types.ModuleType) -> Numpy:
    return Numpy(module)


def stand_in(x: Any) -> Any:
    """What takes the place of an object of numpy, math or this library; `x` itself where nothing needs to."""
    if isinstance(x, types.ModuleType):
        if x is math:
            return lifted_math()
        return numpy_stand_in(x) if x.__name__.partition(".")[0] in LIFTED else x
    if x is float:
        return FLOAT
    if x is np.ndarray:
        return NDARRAY
    if x is np.ndenumerate:
        return ndenumerate
    if x is np.vectorize:
        return Vectorized
    if x is np.r_ or x is np.c_:
        return Joined(x, x is np.c_)
    if isinstance(x, type):
        return NUMBERS.get(x, x)
    if isinstance(x, (Operation, np.ufunc)) or (callable(x) and package_of(x) in LIFTED):
        return lifted(x)
    if callable(x) and getattr(math, getattr(x, "__name__", ""), None) is x:
        return getattr(lifted_math(), getattr(x, "__name__", ""))
    return x


def method_of(x: Tracked, name: str) -> Any:
    """A method or attribute of numpy's arrays."""
    if name in VIEWS:
        return lambda *args, **options: as_view(x, VIEWS[name], bare(tuple(args)), options)
    if name == "flat":
        return as_view(x, lambda y: y.reshape(-1), (), {})
    if name == "real":
        return x
    if name in ("strides", "itemsize", "nbytes"):  # those of an array of its shape in C order
        return getattr(np.empty(x.shape), name)
    if name in ("copy", "flatten", "__copy__"):
        return lambda *_, **__: wrapped(x.held if name == "copy" else reshaped(x.held, -1))
    if name == "astype":
        return lambda dtype, *_, **__: astype(x, dtype)
    if name in ("item", "tolist"):
        return lambda *at: entry(x, at) if name == "item" else listed(x)
    if name == "fill":
        return lambda value: x.__setitem__(..., value)
    if name == "dot":
        return lambda other: x_dot(x, other)
    if name == "sort" and has_value(x):
        raise TypeError("the method sort() of an array isn't followed: use np.sort")
    function = getattr(np, name, None)
    if function is None or not hasattr(np.ndarray, name):
        raise AttributeError(f"'numpy.ndarray' object has no attribute {name!r}")
    if not has_value(x):
        own = getattr(np.asarray(bare(x)), name)
        return lifted(own) if callable(own) else own
    return functools.partial(lifted(function), x)


def reshaped(x: Any, *shape: Any, order: Any = "C") -> Any:
    if order != "C" and isinstance(x, Value):
        raise TypeError("reshape with order other than 'C' isn't followed")
    shape = shape[0] if len(shape) == 1 else shape
    return np.reshape(x, shape, order=order) if isinstance(x, np.ndarray) else ops.reshape(x, shape=shape)


def transposed(x: Any, *axes: Any) -> Any:
    axes = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes
    return np.transpose(x, axes or None)


VIEWS: dict[str, Callable[..., Any]] = {
    "reshape": reshaped,
    "ravel": lambda x, *_, **__: reshaped(x, -1),
    "transpose": transposed,
    "swapaxes": np.swapaxes,
    "squeeze": np.squeeze,
    "view": lambda x, *_: x,
}
SPECIAL |= {
    name: lambda x, *args, f=function, **options: as_view(asarray(x), f, bare(tuple(args)), options)
    for name, function in {**VIEWS, "expand_dims": np.expand_dims, "moveaxis": np.moveaxis}.items()
    if name != "view"
}


def as_view(x: Any, function: Callable[..., Any], args: Any, options: dict[str, Any]) -> Any:
    options = {("shape" if k == "newshape" else k): bare(v) for k, v in options.items()}
    if "shape" in options:
        args = (options.pop("shape"), *args)
    if not isinstance(x, Tracked):
        return wrapped(function(x, *args, **options))
    return x.view(lambda y: function(y, *args, **options))


def astype(x: Tracked, dtype: Any) -> Any:
    dtype = np.dtype(real_type(dtype))
    if dtype.kind == "f" and has_value(x):
        return wrapped(in_type(x.held, dtype))
    return wrapped_writable(np.array(plain(x.held)).astype(dtype))


def entry(x: Tracked, at: tuple[Any, ...]) -> Any:
    if at:
        return x[at if len(at) > 1 or x.ndim == 1 else np.unravel_index(at[0], x.shape)]
    if x.size != 1:
        raise ValueError("can only convert an array of size 1 to a Python scalar")
    return wrapped(reshaped(x.held, ())) if has_value(x) else np.asarray(x.held).item()


def listed(x: Any) -> Any:
    if not has_value(x):
        return np.asarray(plain(bare(x))).tolist()
    return [listed(part) for part in x] if x.ndim else x


def x_dot(x: Tracked, other: Any) -> Any:
    return lifted(np.dot)(x, other)


def of_ufunc(self: Tracked, function: Any, method: str, *inputs: Any, **options: Any) -> Any:
    """Where numpy calls one of its elementwise functions with a Tracked."""
    return getattr(lifted_ufunc(function), method)(*inputs, **options)


def of_function(self: Tracked, function: Any, kinds: Any, args: Any, options: dict[str, Any]) -> Any:
    """Where numpy calls another of its functions with a Tracked."""
    return lifted(function)(*args, **options)


def of_attribute(self: Tracked, name: str) -> Any:
    """What a Tracked hasn't itself: the methods of numpy's arrays."""
    if name.startswith("__"):
        raise AttributeError(name)
    return method_of(self, name)


for _name, _function in (
    ("__array_ufunc__", of_ufunc),
    ("__array_function__", of_function),
    ("__getattr__", of_attribute),
):
    setattr(Tracked, _name, _function)
