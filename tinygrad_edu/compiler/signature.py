"""The arguments of one call: their leaves, and what a recording depends on of them.

The one thing to know: numbers and arrays are inputs, which every call reads anew, whole numbers and truths too. What
is none (None, a function, an object with settings) is a part of the key, with all that it refers to.
"""

from __future__ import annotations

import enum
import inspect
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_edu.compiler.integers import OF_NUMBERS, OF_TRUTHS, Whole
from tinygrad_edu.compiler.surroundings import is_library
from tinygrad_edu.core.data import as_data
from tinygrad_edu.core.operation import Operation
from tinygrad_edu.core.value import Value
from tinygrad_edu.tree import argument_names, leaves_of, mapped, path_names

FUNCTIONS = (types.FunctionType, types.MethodType, types.BuiltinFunctionType, np.ufunc, Operation)
FIXED: tuple[Any, ...] = (type(None), type(Ellipsis), slice, np.dtype, type, *FUNCTIONS)
"""Arguments that are a part of the key."""

TAKEN = (
    "a compiled function takes numbers, arrays, Values, networks, texts, functions, objects with settings, and nested "
    "tuples, lists and dicts of them"
)


@dataclass
class Call:
    """One call, its arguments taken apart.

    Attributes:
        data: The numbers and arrays, in order: those of a network's parameters too.
        key: The structure of the arguments, and the form of each number and array.
        roots: Networks, functions and other objects, which what surrounds the function is found from too.
    """

    args: tuple[Any, ...]
    named: dict[str, Any]
    data: list[Any] = field(default_factory=list)
    key: list[Any] = field(default_factory=list)
    roots: list[Any] = field(default_factory=list)
    values: dict[int, int] = field(default_factory=dict)

    @property
    def trees(self) -> tuple[Any, ...]:
        return (*self.args, *self.named.values())


def call_of(function: Callable[..., Any], args: tuple[Any, ...], named: dict[str, Any]) -> Call:
    """The call's leaves and key. Raises TypeError or ValueError that names the argument, where one is neither."""
    if named:
        args, named = bound(function, args, named)
    call = Call(args, named)
    for i, arg in enumerate(call.trees):
        try:
            if type(arg) is str:
                call.key.append(arg)
            else:
                add(arg, call)
        except (TypeError, ValueError) as error:
            told = f"; {TAKEN}" if isinstance(error, TypeError) else ""
            raise type(error)(f"{names_of_arguments(function, call)[i]}: {error}{told}") from None
    if named:
        call.key.append(tuple(named))
    return call


def bound(
    function: Callable[..., Any], args: tuple[Any, ...], named: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments as the function takes them: by position as far as there is no gap, the others by name."""
    try:
        signature = inspect.signature(function)
    except ValueError:  # some compiled functions tell nothing of their arguments
        return args, named
    found = signature.bind(*args, **named)
    return found.args, found.kwargs


def names_of_arguments(function: Callable[..., Any], call: Call) -> list[str]:
    return [*argument_names(function, len(call.args)), *call.named]


def add(x: Any, call: Call) -> None:
    """Add what an argument has to the call."""
    kind = type(x)
    if kind is float:
        call.data.append(x)
        call.key.append(None)
    elif isinstance(x, enum.Enum):
        call.key.append("fixed")
        call.roots.append(x)
    elif isinstance(x, np.ndarray):
        add_form(x if x.dtype.kind in "iub" else as_data(x), call)
    elif isinstance(x, (list, tuple)):
        call.key.append((kind, len(x)))
        for part in x:
            add(part, call)
    elif isinstance(x, dict):
        call.key.append((kind, getattr(x, "default_factory", None), *x))
        for part in x.values():
            add(part, call)
    elif isinstance(x, Value):
        add_value(x, call)
    elif isinstance(x, (bool, int, np.integer, np.bool)):
        call.data.append(x.item() if isinstance(x, np.generic) else x)
        call.key.append(kind)
    elif is_network(x):
        call.key.append("parameters")
        call.roots.append(x)
        for p in x.parameters():
            add_value(p, call)
    elif isinstance(x, FIXED) or (is_setting(x) and not isinstance(x, float)):
        call.key.append("fixed")
        call.roots.append(x)
    else:
        add_form(as_data(x), call)


def add_value(x: Value, call: Call) -> None:
    place = call.values.setdefault(id(x), len(call.data))
    if place != len(call.data):  # the same Value again
        call.key.append(place)
    add_form(x._data, call)


def add_form(x: Any, call: Call) -> None:
    call.data.append(x)
    call.key.append(None if type(x) is float else (x.shape, x.dtype.char, x.strides))


def is_network(x: Any) -> bool:
    """Whether an argument stands for its parameters."""
    return callable(getattr(x, "parameters", None)) and not isinstance(x, type)


def is_setting(x: Any) -> bool:
    """Whether an argument is an object of the user's, such as one with settings, and no number."""
    as_number = isinstance(x, (str, bytes, complex, np.generic, np.ndarray, set, frozenset)) or hasattr(x, "__array__")
    return not as_number and (hasattr(x, "__dict__") or not is_library(type(x)))


def is_fixed(x: Any) -> bool:
    if isinstance(x, enum.Enum):
        return True
    numbers = isinstance(x, (float, int, Value, np.generic, np.ndarray))
    return not numbers and not is_network(x) and (isinstance(x, (*FIXED, str)) or is_setting(x))


def parts_of(leaf: Any) -> Sequence[Any]:
    """What a leaf of the arguments stands for: numbers, arrays and Values."""
    return leaf.parameters() if not isinstance(leaf, Value) and is_network(leaf) else () if is_fixed(leaf) else (leaf,)


def named_parts(function: Callable[..., Any], call: Call) -> list[str]:
    """A name for each number and array: that of its Value, else the way to it from the argument."""
    names: list[str] = []
    for argument, tree in zip(names_of_arguments(function, call), call.trees, strict=True):
        for leaf, path in zip(leaves_of(tree), path_names(tree, argument), strict=True):
            several = not isinstance(leaf, Value) and is_network(leaf)
            for part in parts_of(leaf):
                names.append((part.name if isinstance(part, Value) else None) or ("parameter" if several else path))
    return names


def inputs_for(call: Call, names: Sequence[str], fixed: set[int], recorder: Any) -> tuple[list[Any], Iterator[Any]]:
    """What the function is run on: for each number and array a Value, or the number itself where it is `fixed`.

    Gives them twice: as a list, and in the order in which `put_together` takes them.
    """
    found: list[Any] = []
    parts = (part for tree in call.trees for leaf in leaves_of(tree) for part in parts_of(leaf))
    for i, (part, data) in enumerate(zip(parts, call.data, strict=True)):
        if i in fixed or isinstance(part, Value):
            found.append(part)
        elif is_whole(part):
            kind = part.dtype if hasattr(part, "dtype") else bool if isinstance(part, bool) else int
            number = float(data) if not isinstance(data, np.ndarray) else data.astype(float)
            found.append(
                Whole(number, kind, OF_TRUTHS if np.dtype(kind).kind == "b" else OF_NUMBERS, recorder, names[i])
            )
        else:
            found.append(Value(data, names[i]))
    return found, iter(found)


def is_whole(x: Any) -> bool:
    return (not isinstance(x, enum.Enum) and isinstance(x, (bool, int, np.integer, np.bool))) or (
        isinstance(x, np.ndarray) and x.dtype.kind in "iub"
    )


def put_together(call: Call, values: Iterator[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments with the next of `values` for each number and array; other things as they are."""

    def put(leaf: Any) -> Any:
        if not isinstance(leaf, Value) and is_network(leaf):
            for _ in leaf.parameters():
                next(values)
            return leaf
        return leaf if is_fixed(leaf) else next(values)

    args = tuple([mapped(put, arg) for arg in call.args])
    return args, {name: mapped(put, arg) for name, arg in call.named.items()}
