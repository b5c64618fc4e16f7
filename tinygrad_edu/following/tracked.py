"""Tracked: an array that can be changed in place, as numpy's can, and holds a Value that can't.

The one thing to know: all views of an array share a `Buffer`. A view knows the positions of its entries in the
flattened buffer, so a write through any view is a write at positions, and every view sees it at its next reading.
Writes wait in the buffer; the first reading of the whole makes one `filled` of them.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinygrad_edu import ops
from tinygrad_edu.core.context import Observer, current
from tinygrad_edu.core.value import Value, data_of
from tinygrad_edu.following.filled import Positions, filled, float_type
from tinygrad_edu.ops.indexing import is_basic


class WriteObserver(Observer):
    """An observer that is told of writes as well: what they make is recorded when the array is read."""

    def wrote(self) -> None:
        """The user's code writes into an array."""


class Buffer:
    """The entries of an array and what was written into them since it was last read as a whole."""

    __slots__ = ("held", "parts", "positions", "serial", "shared", "version", "written")

    def __init__(self, held: Any, shared: bool) -> None:
        self.held, self.shared = held, shared
        self.version = 0
        self.positions: Positions | None = None
        self.forget()

    def forget(self) -> None:
        self.serial: Positions | None = None
        self.parts: list[Any] = []
        self.written: list[Any] = []

    def where(self) -> Positions:
        """The positions of all entries, in the array's shape."""
        if self.positions is None:
            shape = shape_of(self.held)
            self.positions = np.arange(math.prod(shape)).reshape(shape)
        return self.positions

    def whole(self) -> Any:
        if self.parts:
            base = self.held if isinstance(self.held, Value) else np.asarray(self.held, dtype=float_type(self.held))
            self.held = filled(base, *self.parts, positions=tuple(at for at, _, _ in self.written))
            self.forget()
        self.shared = True
        return self.held

    def replace(self, held: Any) -> None:
        self.forget()
        self.held, self.shared = held, True
        self.version += 1

    def write(self, at: Any, value: Any) -> None:
        self.version += 1
        observer = current()[2]
        if isinstance(observer, WriteObserver):
            observer.wrote()
        if isinstance(value, Value) or isinstance(self.held, Value) or self.parts:
            if self.serial is None:
                self.serial = np.full(self.where().size, -1, dtype=np.intp)
            np.broadcast_to(data_of(value), np.shape(at))  # raises where it doesn't fit
            start = self.written[-1][2] if self.written else 0
            numbers = np.arange(start, start + np.size(at)).reshape(np.shape(at))
            self.serial[at] = numbers
            self.parts.append(in_type(value, float_type(self.held)))
            self.written.append((at, numbers, start + np.size(at)))
            return
        if self.shared:
            self.held, self.shared = np.array(self.held), False
        self.held.reshape(-1)[at] = value

    def part_at(self, at: Any) -> Any:
        """The one part that was written at just these positions and is there still; None where it isn't so plain."""
        if self.serial is None or not np.size(at):
            return None
        now = self.serial[at]
        first = int(np.min(now))
        for (_, numbers, end), part in zip(reversed(self.written), reversed(self.parts), strict=True):
            if first >= end:
                return None
            if numbers.size and int(numbers.reshape(-1)[0]) <= first < end:
                same = np.shape(numbers) == np.shape(now) and np.array_equal(numbers, now)
                return part if same and shape_of(part) == np.shape(now) else None
        return None

    def untouched(self, at: Any) -> bool:
        return self.serial is None or bool(np.all(self.serial[at] == -1))


class Tracked:
    """A view of a Buffer, with what numpy's arrays can do; numpy's functions and methods come from `stand_ins.py`."""

    __array_priority__ = 1000
    __slots__ = ("buffer", "cached", "parent", "places", "read", "seen")
    __hash__ = object.__hash__

    def __init__(
        self, held: Any, parent: Tracked | None = None, read: Callable[[Any], Any] | None = None, places: Any = None
    ) -> None:
        self.parent, self.read, self.places = parent, read, places
        self.buffer: Buffer = parent.buffer if parent is not None else Buffer(held, shared=True)
        self.cached, self.seen = held, self.buffer.version

    @property
    def held(self) -> Any:
        """The Value or plain array that it is now."""
        if self.parent is None:
            return self.buffer.whole()
        if self.seen != self.buffer.version:
            part = self.buffer.part_at(self.places)
            if part is None:
                assert self.read is not None
                base = self.parent.held
                part = self.read(base)
            self.cached, self.seen = part, self.buffer.version
        self.buffer.shared = True
        return self.cached

    @property
    def where(self) -> Positions:
        return self.buffer.where() if self.parent is None else self.places

    @property
    def shape(self) -> tuple[int, ...]:
        return shape_of(self.buffer.held) if self.parent is None else np.shape(self.places)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=int))

    @property
    def dtype(self) -> Any:
        return float_type(self.buffer.held) if self.buffer.parts else np.asarray(data_of(self.buffer.held)).dtype

    def become(self, new: Any) -> None:
        """Write new entries over all of it."""
        if self.parent is not None:
            self.buffer.write(self.places, new)
        elif shape_of(new) == self.shape:
            self.buffer.replace(in_type(new, self.dtype) if isinstance(new, Value) and self.dtype.kind == "f" else new)
        else:
            self.buffer.write(self.where, new)

    def view(self, read: Callable[[Any], Any]) -> Tracked:
        """What `read` makes of it, as a view: a reshape, a transpose, a basic index."""
        places = read(self.where)
        return Tracked(read(self.held), self, read, places)

    def __getitem__(self, key: Any) -> Any:
        key = plain_key(key)
        buffer = self.buffer
        if is_basic(key):
            places = self.where[key]
            if buffer.parts and (part := buffer.part_at(places)) is not None:
                return Tracked(part, self, lambda x: x[key], places) if np.ndim(places) else wrapped(part)
            if buffer.parts and self.parent is None and buffer.untouched(places):
                part = buffer.held[key]
                buffer.shared = True
                return Tracked(part, self, lambda x: x[key], places) if np.ndim(places) else wrapped(part)
            if np.ndim(places):
                return self.view(lambda x: x[key])
        return wrapped(self.held[key])

    def __setitem__(self, key: Any, value: Any) -> None:
        key = plain_key(key)
        at = self.where[key]
        if isinstance(value, Tracked) and value.buffer is self.buffer and np.array_equal(value.where, at):
            return  # what `t[key] += x` writes has been written through the view t[key]
        value = bare(value)
        if has_value(value) and not isinstance(value, Value):
            value = array_of(value)
        elif not isinstance(value, Value):
            value = np.asarray(value)
        if isinstance(value, Value) and value.ndim > np.ndim(at):  # numpy drops leading axes of length 1
            value = ops.reshape(value, shape=value.shape[value.ndim - np.ndim(at) :])
        self.buffer.write(at, value)

    @property
    def T(self) -> Any:  # noqa: N802 - numpy's name
        return self.view(lambda x: x.T)

    def __array__(self, *args: Any, **options: Any) -> Any:
        held = self.held
        if isinstance(held, Value):
            raise TypeError("numpy asks for the numbers of an array that is being differentiated")
        return np.array(held, *args, **options)

    def __copy__(self) -> Any:
        return wrapped(self.held)

    def __deepcopy__(self, memo: Any) -> Any:
        return wrapped(self.held)

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __contains__(self, item: Any) -> bool:
        return bool(np.any(plain(self.held) == plain(bare(item))))

    def __bool__(self) -> bool:
        return bool(plain(self.held))

    def __float__(self) -> float:
        return float(self.number("float"))

    def __int__(self) -> int:
        return int(self.number("int"))

    def __index__(self) -> int:
        return operator.index(self.number("an index"))

    def number(self, what: str) -> Any:
        held = self.held
        if isinstance(held, Value):
            raise TypeError(f"{what} reads a number out of what is being differentiated, which would lose its gradient")
        return held

    def __repr__(self) -> str:
        return repr(plain(self.held))

    def __format__(self, spec: str) -> str:
        data = np.asarray(plain(self.held))
        return format(data.item() if data.size == 1 else data, spec)

    def __neg__(self) -> Any:
        return wrapped(-self.held)

    def __pos__(self) -> Any:
        return wrapped(self.held)

    def __abs__(self) -> Any:
        return wrapped(abs(self.held))

    def __invert__(self) -> Any:
        return wrapped(~plain(self.held))


def binary(function: Any, swapped: bool = False, in_place: bool = False) -> Any:
    def method(self: Tracked, other: Any) -> Any:
        if isinstance(other, (str, type(None), dict)):
            return NotImplemented
        a, b = bare(self), bare(other)
        if has_value(b) and not isinstance(b, Value):
            b = array_of(b)
        result = function(b, a) if swapped else function(a, b)
        if in_place and self.ndim:
            self.become(result)
            return self
        return wrapped(result)

    return method


def comparison(function: Any) -> Any:
    def method(self: Tracked, other: Any) -> Any:
        return wrapped(function(plain(self.held), plain(bare(other))))

    return method


OPERATORS = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.true_divide, "pow": np.power,
    "matmul": np.matmul, "mod": np.remainder, "floordiv": np.floor_divide,
}  # fmt: skip
for _name, _function in OPERATORS.items():
    setattr(Tracked, f"__{_name}__", binary(getattr(operator, _name)))
    setattr(Tracked, f"__r{_name}__", binary(getattr(operator, _name), swapped=True))
    setattr(Tracked, f"__i{_name}__", binary(getattr(operator, _name), in_place=True))
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(Tracked, f"__{_name}__", comparison(getattr(operator, _name)))
for _name in ("and", "or", "xor"):
    setattr(Tracked, f"__{_name}__", comparison(getattr(operator, f"{_name}_" if _name != "xor" else "xor")))
    setattr(Tracked, f"__r{_name}__", comparison(getattr(operator, f"{_name}_" if _name != "xor" else "xor")))


def wrapped(x: Any) -> Any:
    """With a Tracked for each Value and array, in tuples and lists too."""
    if isinstance(x, Value):
        return Tracked(x)
    if isinstance(x, np.ndarray) and x.dtype != object and x.ndim:
        return Tracked(x)
    if type(x) in (tuple, list):
        return type(x)(map(wrapped, x))
    return x


def bare(x: Any) -> Any:
    """Without Trackeds, in tuples, lists, dicts and slices too; plain arrays can't be written to."""
    if isinstance(x, Tracked):
        held = x.held
        if isinstance(held, Value):
            return held
        held = np.asarray(held).view()
        held.flags.writeable = False
        return held
    if type(x) in (tuple, list):
        return type(x)(map(bare, x))
    if type(x) is dict:
        return {key: bare(part) for key, part in x.items()}
    if isinstance(x, slice):
        return slice(*(int(i) if isinstance(i, Tracked) else i for i in (x.start, x.stop, x.step)))
    return x


def plain(x: Any) -> Any:
    """The numbers alone."""
    if isinstance(x, Tracked):
        x = x.held
    if isinstance(x, Value):
        return x.data
    return type(x)(map(plain, x)) if type(x) in (tuple, list) else x


def shape_of(x: Any) -> tuple[int, ...]:
    """The shape, of which a recorder needs know nothing, as it does where the numbers are read."""
    return np.shape(data_of(x.held if isinstance(x, Tracked) else x))


def in_type(x: Any, dtype: np.dtype[Any]) -> Any:
    """In a float dtype, rounded as numpy rounds what is written into an array of it."""
    if not isinstance(x, Value):
        return np.asarray(x, dtype=dtype)
    return x if x.dtype == dtype else ops.astype(x, dtype=dtype)


def has_value(x: Any) -> bool:
    """Whether a Value is in it."""
    if isinstance(x, Tracked):
        return isinstance(x.held, Value)
    return isinstance(x, Value) or (type(x) in (list, tuple) and any(map(has_value, x)))


def plain_key(key: Any) -> Any:
    if isinstance(key, tuple):
        return tuple(map(plain_key, key))
    if isinstance(key, list) and any(isinstance(part, Tracked) for part in key):
        return [plain_key(part) for part in key]
    key = plain(bare(key)) if not isinstance(key, slice) else bare(key)
    return int(key) if isinstance(key, np.ndarray) and not key.ndim and key.dtype.kind in "iu" else key


def array_of(x: Any) -> Any:
    """np.array of nested lists in which Values are, as one Value."""
    if isinstance(x, (Tracked, Value)) or not has_value(x):
        held = bare(x)
        return held if isinstance(held, Value) else np.asarray(held, dtype=float)
    return ops.stack([array_of(part) for part in x])
