"""A function made anew, with stand-ins for what its names stand for; nothing of the user's is changed.

The one thing to know: names are looked up in copies of the modules' dictionaries, closures and objects, made at each
call. Functions and classes of the user's own modules are rebuilt in turn; numpy, math and this library get stand-ins.
"""

from __future__ import annotations

import abc
import builtins
import collections
import copy
import copyreg
import functools
import random
import types
from collections.abc import Iterator
from typing import Any

import numpy as np

from tinygrad_edu.core.value import Value
from tinygrad_edu.following.origin import users_own
from tinygrad_edu.following.stand_ins import FLOAT, Vectorized, lifted, stand_in
from tinygrad_edu.following.tracked import Tracked, plain

NAMESPACES = ("SimpleNamespace", "Namespace")
"""The standard library's objects that only hold what is set in them."""
CONTAINERS = (list, dict, set, collections.OrderedDict, collections.defaultdict, collections.deque)


class Rebuilder:
    """One call's copies: what has been made anew so far, by the identity of the original."""

    def __init__(self) -> None:
        self.made: dict[int, tuple[Any, Any]] = {}
        self.names: dict[int, types.ModuleType] = {}

    def __call__(self, x: Any) -> Any:
        """What takes the place of `x` in the run that is followed."""
        if id(x) in self.made:
            return self.made[id(x)][1]
        if x is None or isinstance(x, (str, bytes, bool, int, complex)) or type(x) is float:
            return x
        if isinstance(x, (np.ndarray, Value)):
            return self.array_of_objects(x) if x.dtype == object else self.keep(x, Tracked(x))
        if type(x) in CONTAINERS:
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
        if users_own(type(x)):
            return self.object(x)
        return self.namespace_object(x) if type(x).__qualname__ in NAMESPACES else stand_in(x)

    def namespace_object(self, x: Any) -> Any:
        new = self.keep(x, copy.copy(x))
        vars(new).update((name, self(part)) for name, part in vars(x).items())
        return new

    def array_of_objects(self, x: Any) -> Any:
        new = self.keep(x, x.copy())
        for at in np.ndindex(x.shape):
            new[at] = self(x[at])
        return new

    def keep(self, x: Any, new: Any) -> Any:
        self.made[id(x)] = (x, new)  # x too, so that no other object comes to have its identity
        return new

    def container(self, x: Any) -> Any:
        new = self.keep(x, copy.copy(x))
        new.clear()
        self.fill(new, x)
        if isinstance(x, collections.defaultdict):
            new.default_factory = self(x.default_factory)
        return new

    def fill(self, new: Any, x: Any) -> None:
        """What is in a container: as its builtin kind is filled, whatever a class of the user's makes of that."""
        kind: Any = next(kind for kind in reversed(CONTAINERS) if isinstance(x, kind))
        if issubclass(kind, dict):
            kind.update(new, {key: self(part) for key, part in x.items()})
        elif kind is set:
            kind.update(new, x)
        else:
            kind.extend(new, map(self, x))

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
        return vars(self.namespace(f.__globals__))

    def namespace(self, original: dict[str, Any]) -> types.ModuleType:
        """A module of copied names, for a module and its functions alike: what is set in one is read by the others."""
        if id(original) not in self.names:
            new = types.ModuleType(original.get("__name__", ""))
            own = {"__builtins__": {**vars(builtins), "float": FLOAT, "__import__": self.importing}}
            vars(new).update(original | own)
            self.names[id(original)] = new
            self.keep(original, vars(new))
        return self.names[id(original)]

    def refuse_leaks(self) -> None:
        """Take what the followed run has set in a module itself, past its copy, out again, and raise for it."""
        found = []
        for original, _ in [self.made[key] for key in self.names]:
            names = [name for name, part in original.items() if isinstance(part, Tracked)]
            original.update({name: plain(original[name]) for name in names})
            found += [f"{original.get('__name__')}.{name}" for name in names]
        if found:
            raise TypeError(
                f"can't be followed: {', '.join(found)} is set by a way that isn't seen, such as sys.modules; import "
                "the module and set its name"
            )

    def type(self, cls: type) -> Any:
        if issubclass(cls, (BaseException, tuple)) or type(cls) not in (type, abc.ABCMeta):
            return cls
        skipped = ("__dict__", "__weakref__", "__abstractmethods__", "_abc_impl")
        parts = {k: v for k, v in vars(cls).items() if k not in skipped and type(v) is not types.MemberDescriptorType}
        plain = {k: v for k, v in parts.items() if not remade(v)}
        meta: Any = type(cls)
        new = self.keep(cls, meta(cls.__name__, tuple(map(self, cls.__bases__)), plain))
        for name, part in parts.items():
            if remade(part):
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
        if cls is type(x):
            return x
        base: Any = next((kind for kind in reversed(CONTAINERS) if isinstance(x, kind)), object)
        new = self.keep(x, base.__new__(cls))
        if base is not object:
            self.fill(new, x)
        for name in copyreg._slotnames(type(x)):  # type: ignore[attr-defined]
            if hasattr(x, name):
                object.__setattr__(new, name, self(getattr(x, name)))
        getattr(new, "__dict__", {}).update((name, self(part)) for name, part in getattr(x, "__dict__", {}).items())
        return new

    def importing(self, *args: Any, **options: Any) -> Any:
        """`import` within a followed function."""
        return self(__import__(*args, **options))

    def module(self, x: types.ModuleType) -> Any:
        if not users_own(x):
            return stand_in(x)
        new = self.keep(x, self.namespace(vars(x)))
        for name, part in vars(x).items():
            if not name.startswith("__") and vars(new)[name] is part:
                setattr(new, name, self(part))
        return new


class Random:
    """A random generator's copy, whose arrays can hold Values."""

    def __init__(self, generator: Any) -> None:
        self.generator = generator

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.generator, name)
        return lifted(found) if callable(found) else found


def remade(x: Any) -> bool:
    """Whether a part of a class is made anew: what computes, and what can be changed."""
    return isinstance(x, (types.FunctionType, staticmethod, classmethod, property, np.ndarray, *CONTAINERS))


def names_in(code: types.CodeType) -> Iterator[str]:
    """The names that a function's code looks up, and those of the functions within it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from names_in(constant)
