"""A function made anew, with stand-ins for what its names stand for; nothing of the user's is changed.

The one thing to know: names are looked up in copies of the modules' dictionaries, closures and objects, made at each
call. Functions and classes of the user's own modules are rebuilt in turn; numpy, math and this library get stand-ins.
"""

from __future__ import annotations

import builtins
import copy
import functools
import random
import types
from collections.abc import Iterator
from typing import Any

import numpy as np

from tinygrad_edu.core.value import Value
from tinygrad_edu.following.origin import users_own
from tinygrad_edu.following.stand_ins import FLOAT, Vectorized, importing, lifted, stand_in
from tinygrad_edu.following.tracked import Tracked


class Rebuilder:
    """One call's copies: what has been made anew so far, by the identity of the original."""

    def __init__(self) -> None:
        self.made: dict[int, tuple[Any, Any]] = {}
        self.names: dict[int, dict[str, Any]] = {}

    def __call__(self, x: Any) -> Any:
        """What takes the place of `x` in the run that is followed."""
        if id(x) in self.made:
            return self.made[id(x)][1]
        if x is None or isinstance(x, (str, bytes, bool, int, complex)) or type(x) is float:
            return x
        if isinstance(x, (np.ndarray, Value)):
            return self.keep(x, Tracked(x) if isinstance(x, Value) or x.dtype != object else x)
        if type(x) in (list, dict, set):
            return self.container(x)
        if isinstance(x, tuple):
            return self.tuple(x)
        if isinstance(x, types.FunctionType):
            return self.function(x) if users_own(x) else stand_in(x)
        if isinstance(x, types.MethodType):
            return types.MethodType(self(x.__func__), self(x.__self__))
        if isinstance(x, functools.partial):
            return functools.partial(self(x.func), *map(self, x.args), **{k: self(v) for k, v in x.keywords.items()})
        if isinstance(x, np.vectorize):
            return Vectorized(self(x.pyfunc))
        if isinstance(x, (np.random.Generator, np.random.RandomState, random.Random)):
            return self.keep(x, Random(copy.deepcopy(x)))
        if isinstance(x, type):
            return self.type(x) if users_own(x) else stand_in(x)
        if isinstance(x, types.ModuleType):
            return self.module(x)
        return self.object(x) if users_own(type(x)) else stand_in(x)

    def keep(self, x: Any, new: Any) -> Any:
        self.made[id(x)] = (x, new)  # x too, so that no other object comes to have its identity
        return new

    def container(self, x: Any) -> Any:
        new = self.keep(x, type(x)())
        if isinstance(x, dict):
            new.update((key, self(part)) for key, part in x.items())
        elif isinstance(x, list):
            new.extend(map(self, x))
        else:
            new.update(x)
        return new

    def tuple(self, x: Any) -> Any:
        parts = [self(part) for part in x]
        return type(x)(*parts) if hasattr(x, "_fields") else tuple(parts)

    def function(self, f: types.FunctionType) -> Any:
        names = self.globals_of(f)
        cells = tuple(types.CellType() for _ in f.__closure__ or ())
        new = types.FunctionType(f.__code__, names, f.__name__, None, cells or None)
        self.keep(f, new)
        new.__dict__.update(f.__dict__)
        new.__defaults__ = self(f.__defaults__)
        new.__kwdefaults__ = self(f.__kwdefaults__)
        for name in names_in(f.__code__):
            if name in f.__globals__ and names[name] is f.__globals__[name]:
                names[name] = self(f.__globals__[name])
        new.__module__, new.__qualname__ = f.__module__, f.__qualname__
        for cell, original in zip(cells, f.__closure__ or (), strict=True):
            try:
                cell.cell_contents = self(original.cell_contents)
            except ValueError:  # it is empty yet
                continue
        return new

    def globals_of(self, f: types.FunctionType) -> dict[str, Any]:
        original = f.__globals__
        if id(original) not in self.names:
            own = {"__builtins__": {**vars(builtins), "float": FLOAT, "__import__": importing}}
            self.names[id(original)] = {**original, **own}
            self.keep(original, self.names[id(original)])
        return self.names[id(original)]

    def type(self, cls: type) -> Any:
        if issubclass(cls, (BaseException, tuple)) or type(cls) is not type or "__slots__" in vars(cls):
            return cls
        skipped = ("__dict__", "__weakref__")
        plain = {k: v for k, v in vars(cls).items() if k not in skipped and not callable_part(v)}
        new = self.keep(cls, type(cls.__name__, tuple(map(self, cls.__bases__)), plain))
        for name, part in vars(cls).items():
            if name not in skipped and callable_part(part):
                setattr(new, name, self.part_of_type(part))
        return new

    def part_of_type(self, part: Any) -> Any:
        if isinstance(part, (staticmethod, classmethod)):
            return type(part)(self(part.__func__))
        if isinstance(part, property):
            return property(*(self(f) if f else None for f in (part.fget, part.fset, part.fdel)))
        return self(part)

    def object(self, x: Any) -> Any:
        cls = self(type(x))
        if cls is type(x) or not hasattr(x, "__dict__"):
            return x
        new = self.keep(x, object.__new__(cls))
        new.__dict__.update((name, self(part)) for name, part in vars(x).items())
        return new

    def module(self, x: types.ModuleType) -> Any:
        if not users_own(x):
            return stand_in(x)
        new = self.keep(x, types.ModuleType(x.__name__))
        for name, part in vars(x).items():
            if isinstance(part, (types.FunctionType, type, np.ndarray, types.ModuleType)) or callable(part):
                setattr(new, name, self(part))
            else:
                setattr(new, name, part)
        return new


class Random:
    """A random generator's copy, whose arrays can hold Values."""

    def __init__(self, generator: Any) -> None:
        self.generator = generator

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.generator, name)
        return lifted(found) if callable(found) else found


def callable_part(x: Any) -> bool:
    return isinstance(x, (types.FunctionType, staticmethod, classmethod, property, np.ndarray))


def names_in(code: types.CodeType) -> Iterator[str]:
    """The names that a function's code looks up, and those of the functions within it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from names_in(constant)
