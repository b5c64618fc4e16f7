"""Whole numbers and truths while a function is recorded: integer and boolean arguments, and what comparisons give.

The one thing to know: Python and numpy compute otherwise with them than with floats (True + True, 200 + 100 in a byte,
7 // 2). What is the same in floats is recorded in floats; for anything else the number is read: that fixes an argument
that is one number, so that the function is recorded for each, and is an error for an array.
"""

from __future__ import annotations

import operator as op
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn

import numpy as np

from tinygrad_edu.core.operation import Operation, operation
from tinygrad_edu.core.value import Value, apply, data_of
from tinygrad_edu.ops import arithmetic, exponential
from tinygrad_edu.ops.entry import shape_of
from tinygrad_edu.ops.indexing import add_at, printed_part
from tinygrad_edu.ops.methods import Methods
from tinygrad_edu.ops.reduction import sum as summed

LARGEST = 2.0**53
"""Up to here floats tell whole numbers apart."""


class Bound(NamedTuple):
    """How large whole numbers may be: factor · mᵈᵉᵍʳᵉᵉ, for arguments of at most m."""

    factor: float
    degree: int

    def plus(self, other: Bound) -> Bound:
        return Bound(self.factor + other.factor, max(self.degree, other.degree))

    def times(self, other: Bound) -> Bound:
        return Bound(self.factor * other.factor, self.degree + other.degree)

    def most(self) -> float:
        """The largest m for which floats tell these numbers apart."""
        if not self.degree or not self.factor or self.factor > LARGEST:
            return LARGEST if self.factor <= LARGEST else 0.0
        return float((LARGEST / self.factor) ** (1.0 / self.degree))


OF_TRUTHS, OF_NUMBERS = Bound(1.0, 0), Bound(1.0, 1)

OPERATORS: dict[str, Operation] = {
    "add": arithmetic.add,
    "sub": arithmetic.subtract,
    "mul": arithmetic.multiply,
    "truediv": arithmetic.divide,
    "pow": exponential.power,
}
COMPARING = ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")
OF_UFUNC = {"add": "add", "subtract": "sub", "multiply": "mul", "divide": "truediv", "power": "pow"}
OF_FLOATS = ("exp", "expm1", "log", "log1p", "log2", "log10", "sqrt", "sin", "cos", "tan", "tanh", "sinh", "cosh")
"""numpy's functions that give of whole numbers of 4 bytes and more what they give of the same floats."""


class Whole(Value):
    """A whole number or a truth, or an array of them: a leaf, whose floats a recorder knows how to compute.

    Attributes:
        kind: `int`, `bool`, or the dtype of an array.
        bound: How large its numbers may be.
        recorder: Who is told when the numbers are read.
    """

    __slots__ = ("bound", "kind", "recorder")

    def __init__(self, data: Any, kind: Any, bound: Bound, recorder: Any, name: str | None = None) -> None:
        super().__init__(data, name)
        self.kind, self.bound, self.recorder = kind, bound, recorder

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """What it is to `isinstance`, beside a Value: what it would be without a recorder."""
        return np.ndarray if self.ndim else self.kind if isinstance(self.kind, type) else self.kind.type

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self.kind)  # type: ignore[no-any-return]

    def read(self) -> Any:
        """The numbers themselves, if the recorder allows."""
        self.recorder.read(self)
        numbers = np.asarray(self._data).astype(np.dtype(self.kind))
        return numbers if self.ndim else numbers.item() if isinstance(self.kind, type) else numbers[()]

    # What is Whole again.

    def __getitem__(self, key: Any) -> Any:
        return self.like(super().__getitem__(key))

    def reshape(self, *shape: Any, order: Any = "C", copy: Any = None) -> Any:
        return self.like(super().reshape(*shape, order=order))

    def transpose(self, *axes: Any) -> Any:
        return self.like(super().transpose(*axes))

    @property
    def T(self) -> Any:  # noqa: N802 - NumPy's name
        return self.transpose()

    def ravel(self, order: Any = "C") -> Any:
        return self.like(super().ravel(order))

    def flatten(self, order: Any = "C") -> Any:
        return self.like(super().flatten(order))

    @property
    def flat(self) -> Any:
        return self.ravel()

    def copy(self, order: Any = "C") -> Any:
        return self

    def sum(self, axis: Any = None, *others: Any, keepdims: bool = False, **options: Any) -> Any:
        if others or options:  # such as a dtype
            return self.read().sum(axis, *others, keepdims=keepdims, **options)
        found = summed(self, axis=axis, keepdims=keepdims)
        return self.recorder.whole(found, np.dtype(int), self.bound.times(Bound(float(self.size), 0)))

    def mean(self, axis: Any = None, *others: Any, keepdims: bool = False, **options: Any) -> Any:
        if others or options:
            return self.read().mean(axis, *others, keepdims=keepdims, **options)
        return as_number(super().mean(axis, keepdims=keepdims))

    def max(self, axis: Any = None, *others: Any, keepdims: bool = False, **options: Any) -> Any:
        if others or options:
            return self.read().max(axis, *others, keepdims=keepdims, **options)
        return self.like(super().max(axis, keepdims=keepdims))

    def min(self, axis: Any = None, *others: Any, keepdims: bool = False, **options: Any) -> Any:
        if others or options:
            return self.read().min(axis, *others, keepdims=keepdims, **options)
        return self.like(super().min(axis, keepdims=keepdims))

    def like(self, found: Value) -> Any:
        return self.recorder.whole(found, self.kind, self.bound)

    def astype(self, dtype: Any, *layout: Any, copy: bool = True, **others: Any) -> Any:
        wanted = np.dtype(dtype)
        if wanted == np.float64:
            return self.recorder.alias(Value(self._data), self)
        if wanted == np.int64 and np.dtype(self.kind).kind in "bi":
            return self.recorder.whole(self, wanted if self.ndim else int, self.bound)
        return self.read().astype(dtype)

    # Arithmetic.

    def __neg__(self) -> Any:
        return combined("sub", 0, self)

    def __abs__(self) -> Any:
        return self.like(super().__abs__()) if is_wide(self.kind) else abs(self.read())

    def __invert__(self) -> Any:
        if self.kind is bool:  # of Python's True it is -2, which is true
            raise TypeError("while compiling, ~ of a truth of Python's: write np.logical_not(…), or not")
        if is_truths(self):
            return self.recorder.compared(op.invert, self, None)
        return ~self.read()

    def __matmul__(self, other: Any) -> Any:
        return super().__matmul__(other) if is_of_floats(other) else self.read() @ plain(other)

    def __rmatmul__(self, other: Any) -> Any:
        return super().__rmatmul__(other) if is_of_floats(other) else plain(other) @ self.read()

    # Reading.

    def __bool__(self) -> bool:
        return bool(self.read())

    def __index__(self) -> int:
        return op.index(self.read())

    def __int__(self) -> int:
        return int(self.read())

    def __float__(self) -> float:
        return float(self.read())

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.asarray(self.read(), dtype)

    def item(self, *at: Any) -> Any:
        return self.read().item(*at) if self.ndim else self.read()

    def as_integer_ratio(self) -> Any:
        return int(self).as_integer_ratio()

    def __hash__(self) -> int:
        return object.__hash__(self) if asked_by_us() else hash(self.read())

    def __str__(self) -> str:
        return Value.__repr__(self) if asked_by_us() else str(self.read())

    def __format__(self, spec: str) -> str:
        return format(Value.__repr__(self), spec) if asked_by_us() else format(self.read(), spec)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or not hasattr(np.ndarray if self.ndim else np.int64, name):
            raise AttributeError(f"{self!r} has no attribute {name}")
        return getattr(self.read(), name)

    # numpy's functions.

    def __array_ufunc__(self, function: Any, method: str, *inputs: Any, **options: Any) -> Any:
        name = function.__name__
        wholes = [x for x in inputs if isinstance(x, Whole)]
        if method == "__call__" and not options:
            if name in OF_UFUNC:
                return combined(OF_UFUNC[name], *inputs)
            if name in ("logical_and", "logical_or", "bitwise_and", "bitwise_or") and all(map(is_truths, inputs)):
                return self.recorder.compared(op.and_ if name.endswith("and") else op.or_, *inputs)
            if name in ("logical_not", "invert") and is_truths(self):
                return self.recorder.compared(op.invert, self, None)
            if name in COMPARING or (name in OF_FLOATS and all(is_wide(x.kind) for x in wholes)):
                return super().__array_ufunc__(function, method, *inputs, **options)
        return getattr(function, method)(*map(plain, inputs), **{k: plain(x) for k, x in options.items()})

    def __array_function__(self, function: Any, types: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        name = function.__name__
        if name in ("sum", "max", "min", "mean", "reshape", "ravel", "transpose") and args and args[0] is self:
            return getattr(self, name)(*args[1:], **options)
        choosing = name == "where" and len(args) == 3 and not any(isinstance(x, Whole) for x in args[1:])
        if choosing or name in ("shape", "ndim", "size", "take"):
            return super().__array_function__(function, types, args, options)
        if name == "count_nonzero" and len(args) == 1 and not options:
            return (self != 0).sum()
        return function(*map(plain, args), **{k: plain(x) for k, x in options.items()})


def with_operators(cls: type[Whole]) -> None:
    """Python's operators for whole numbers: those that floats have too, and those that read."""
    for name in ("add", "sub", "mul", "truediv", "pow", "floordiv", "mod", "lshift", "rshift", "and", "or", "xor"):

        def forward(self: Whole, other: Any, name: str = name) -> Any:
            return combined(name, self, other)

        def reverse(self: Whole, other: Any, name: str = name) -> Any:
            return combined(name, other, self)

        setattr(cls, f"__{name}__", forward)
        setattr(cls, f"__r{name}__", reverse)


with_operators(Whole)


def with_reading(cls: type[Whole]) -> None:
    """All other methods that a Value has are numpy's own, on the numbers."""
    for name, entry in vars(Methods).items():
        if name.startswith("_") or name in vars(cls):
            continue

        def method(self: Whole, *args: Any, name: str = name, **options: Any) -> Any:
            return getattr(self.read(), name)(*map(plain, args), **options)

        def attribute(self: Whole, name: str = name) -> Any:
            return getattr(self.read(), name)

        setattr(cls, name, property(attribute) if isinstance(entry, property) else method)


with_reading(Whole)


def combined(name: str, a: Any, b: Any) -> Any:
    """What an operator gives of two operands of which one is Whole."""
    recorder = next(x.recorder for x in (a, b) if isinstance(x, Whole))
    if is_integers(a) and is_integers(b):
        found = of_integers(recorder, name, a, b)
        if found is not None:
            return found
    elif name in OPERATORS and all(is_integers(x) or is_of_floats(x) for x in (a, b)):
        return apply(OPERATORS[name], (a, b))
    elif not all(is_integers(x) or isinstance(x, (float, Value, np.generic, np.ndarray)) for x in (a, b)):
        return NotImplemented
    return getattr(op, f"{name}_" if name in ("and", "or") else name)(plain(a), plain(b))


def of_integers(recorder: Any, name: str, a: Any, b: Any) -> Any:
    """The same for two that are whole; None where floats compute otherwise."""
    kind = kind_of_both(a, b)
    logical = ("and", "or") if kind is int else ("and", "or", "add", "mul")
    if is_truths(a) and is_truths(b) and name in logical:
        return recorder.compared(op.and_ if name in ("and", "mul") else op.or_, a, b)
    if name == "truediv":
        recorder.needs(bound_of(a))
        recorder.needs(bound_of(b))
        return apply(OPERATORS[name], (a, b))
    if name not in ("add", "sub", "mul") or not (kind is int or kind == np.int64):
        return None
    bound = bound_of(a).times(bound_of(b)) if name == "mul" else bound_of(a).plus(bound_of(b))
    if bound.most() < 2.0:
        return None
    recorder.needs(bound)
    found: Any = apply(OPERATORS[name], (a, b))
    if name == "mul":
        found = found + 0.0  # the whole number 0 has no sign
    return recorder.whole(found, kind, bound)


def kind_of_both(a: Any, b: Any) -> Any:
    """`int` for two of Python's numbers, else the dtype that numpy computes in."""
    kinds = [x.kind if isinstance(x, Whole) else type(x) if type(x) in (bool, int) else x.dtype for x in (a, b)]
    if all(isinstance(kind, type) for kind in kinds):
        return int
    dtypes = [kind for kind in kinds if not isinstance(kind, type)]
    weak = [kind(0) for kind in kinds if isinstance(kind, type)]
    return np.result_type(*dtypes, *weak)


def bound_of(x: Any) -> Bound:
    return x.bound if isinstance(x, Whole) else Bound(float(np.max(np.abs(np.asarray(x, float)), initial=0.0)), 0)


def is_integers(x: Any) -> bool:
    if isinstance(x, Whole):
        return True
    return isinstance(x, (int, np.integer, np.bool)) or (isinstance(x, np.ndarray) and x.dtype.kind in "iub")


def is_truths(x: Any) -> bool:
    return is_integers(x) and np.dtype(x.kind if isinstance(x, Whole) else np.result_type(x)).kind == "b"


def is_of_floats(x: Any) -> bool:
    """Whether whole numbers beside it become doubles."""
    if isinstance(x, Whole):
        return False
    return isinstance(x, (Value, float)) or (isinstance(x, np.ndarray) and x.dtype == np.float64)


def is_wide(kind: Any) -> bool:
    dtype = np.dtype(kind)
    return dtype.kind in "iu" and dtype.itemsize >= 4


def plain(x: Any) -> Any:
    """What numpy is to be given: the numbers of a Whole, in lists and tuples too."""
    if isinstance(x, (list, tuple)):
        return type(x)(map(plain, x))
    return x.read() if isinstance(x, Whole) else x


def asked_by_us() -> bool:
    """Whether this library asks, and not the function that is recorded."""
    return str(sys._getframe(2).f_globals.get("__name__", "")).partition(".")[0] == "tinygrad_edu"


# Indices that are read at every call.


@dataclass(frozen=True)
class Place:
    """In a key, where an input goes."""

    number: int

    def __repr__(self) -> str:
        return f"{__name__}.Place({self.number})"


def _index_at(x: Any, /, *indices: Any, key: Any) -> Any:
    """x[key], with `indices` at the places of the key. ∂x[k] = (∂x)[k]; whole numbers have no gradient."""
    return np.asarray(x)[filled(key, indices)]


def filled(key: Any, indices: Sequence[Any]) -> Any:
    if isinstance(key, tuple):
        return tuple(filled(part, indices) for part in key)
    return np.asarray(indices[key.number]).astype(int, copy=False)[()] if isinstance(key, Place) else key


def printed_index_at(x: Any, *indices: Any, key: Any) -> str | None:
    parts = [
        str(indices[part.number]) if isinstance(part, Place) else printed_part(part)
        for part in (key if isinstance(key, tuple) else (key,))
    ]
    return None if type(x.data) is float or None in parts else f"{x}[{', '.join(map(str, parts))}]"


index_at: Operation = operation(
    _index_at,
    lambda g, out, x, *indices, key: [add_at_indices(g, *indices, key=key, shape=shape_of(x)), *[None] * len(indices)],
    name="index_at",
    symbol="[ ]",
    formula="∂x[k] = (∂x)[k]",
    shapes="any → that of x[key]",
    prints=printed_index_at,
)


def _add_at_indices(x: Any, /, *indices: Any, key: Any, shape: tuple[int, ...]) -> Any:
    """Zeros of the given shape, with x added at `key`, once for each time that an index occurs. ∂/∂x = g[key]."""
    return add_at.forward(x, key=filled(key, indices), shape=shape)


add_at_indices: Operation = operation(
    _add_at_indices,
    lambda g, out, x, *indices, key, shape: [index_at(g, *indices, key=key), *[None] * len(indices)],
    name="add_at_indices",
    formula="the transpose of indexing",
    shapes="that of x[key] → that of x",
)

for _operation in (index_at, add_at_indices):
    _operation.of_whole_numbers = True  # type: ignore[attr-defined] # all inputs but the first, which are given so


def indexed(x: Any, key: Any, refuse: Callable[[Any], NoReturn]) -> Any:
    """x[key] for a key with Whole in it. A mask decides the shape of the result: `refuse` tells so."""
    parts = key if isinstance(key, tuple) else (key,)
    places: list[Any] = []
    template: list[Any] = []
    for part in parts:
        is_mask = isinstance(part, Whole) and np.dtype(part.kind).kind == "b"
        if is_mask:
            refuse(part)
        if isinstance(part, Whole) or (isinstance(part, np.ndarray) and part.dtype.kind in "iu"):
            template.append(Place(len(places)))
            places.append(part)
        elif isinstance(part, np.ndarray) and part.dtype.kind == "b":
            for positions in part.nonzero():  # a mask that isn't recorded is an index of fixed length
                template.append(Place(len(places)))
                places.append(positions)
        else:
            template.append(part)
    whole_key = tuple(template) if isinstance(key, tuple) else template[0]
    return apply(index_at, (x, *places), {"key": whole_key})


def as_double(x: Any) -> Any:
    """A mask as numpy makes numbers of truths: in double precision."""
    return to_double(x) if getattr(data_of(x), "dtype", None) == np.float32 else x


def as_number(x: Any) -> Any:
    """A number that numpy gives as a scalar, which the library takes for a float."""
    return to_number(x) if isinstance(data_of(x), np.ndarray) and not np.ndim(data_of(x)) else x


to_number = operation(
    lambda x, /: float(x),
    (lambda g, out, x: np.asarray(g, dtype=x.dtype),),
    name="to_number",
    prints="float({0})",
    formula="∂x = ∂x",
)
to_double = operation(
    lambda x, /: x.astype(np.float64),
    (lambda g, out, x: g,),
    name="to_double",
    prints="{0}.astype(float)",
    formula="∂x = ∂x",
)
