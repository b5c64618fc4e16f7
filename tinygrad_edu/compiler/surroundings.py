"""What a function reads beside its arguments: closures, globals, defaults, `self`, and what these refer to.

The one thing to know: a recording is made for one state of all that. `Surroundings` finds it from the names in the
code of the function and of those that it calls, and gives a key: numbers by their bits, arrays by their contents,
functions by their code, other objects by what they are. What Python hides (files, `getattr` by a computed name, what
a library keeps) isn't found; docs/compiling.md says so.
"""

from __future__ import annotations

import array
import builtins
import contextvars
import dis
import enum
import functools
import importlib
import io
import operator
import os
import pickle
import random
import re
import struct
import sys
import types
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple, NoReturn

import numpy as np

from tinygrad_edu.core.operation import Operation
from tinygrad_edu.core.value import Value

LARGEST = 2**20
"""Bytes up to which an array that a function reads from outside is compared at every call."""

PURE = ("tinygrad_edu", "numpy", "math", "operator", "functools", "typing", "collections", "dataclasses", "abc", "enum")
"""Modules that keep nothing from one call to the next, but for numpy's random numbers."""
BUILT_IN = (None, "builtins", *PURE)
IMPURE = frozenset(
    (
        *(
            "random",
            "empty",
            "empty_like",
            "next",
            "iter",
            "open",
            "input",
            "eval",
            "exec",
            "globals",
            "locals",
            "vars",
        ),
        *("id", "hash", "set", "import", "__import__", "__next__", "__iter__"),
    )
)
"""Names of what may be otherwise at the next call, or be made so."""

UNSEEN = frozenset({"globals", "eval", "exec", "__import__"})
UNSEEN_ATTRIBUTES = frozenset({"import_module", "__globals__", "f_globals"})
"""Names by which code may read anything."""

ENVIRONMENT = frozenset({"environ", "environb", "getenv", "getenvb"})
"""Names by which code reads environment variables."""

EVERY_ATTRIBUTE = frozenset({"__dict__", "vars", "getattr", "__getattribute__"})
"""Names by which code may read any attribute."""


class Names(NamedTuple):
    """The names that a code object has, with those of the functions defined in it.

    Attributes:
        of_modules: The modules that it imports: for each how many packages up it starts, and the rest of its name.
    """

    of_globals: frozenset[str]
    of_attributes: frozenset[str]
    of_modules: frozenset[tuple[int, str]]


@cache
def names_in(code: types.CodeType) -> Names:
    """Its names: of globals, and of attributes (texts too, which `getattr` may be given)."""
    of_globals: set[str] = set()
    of_attributes: set[str] = set()
    of_modules: set[tuple[int, str]] = set()
    loaded: list[Any] = [0, 0]  # what was loaded last: before an import, its level and what is taken from it
    for instruction in dis.get_instructions(code):
        if instruction.opname == "IMPORT_NAME":
            level = loaded[-2] if isinstance(loaded[-2], int) else 0
            of_modules.add((level, str(instruction.argval)))
        loaded.append(instruction.argval)
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME", "STORE_GLOBAL", "STORE_NAME"):
            of_globals.add(str(instruction.argval))
        elif instruction.opcode in dis.hasname:
            of_attributes.add(str(instruction.argval))
            if instruction.opname.startswith("IMPORT"):
                of_attributes.add("import")
    of_attributes |= of_globals & EVERY_ATTRIBUTE
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            inner = names_in(constant)
            of_globals |= inner.of_globals
            of_attributes |= inner.of_attributes
            of_modules |= inner.of_modules
        elif isinstance(constant, str) and constant.isidentifier():
            of_attributes.add(constant)
        elif isinstance(constant, tuple):
            of_attributes.update(x for x in constant if isinstance(x, str))
    return Names(frozenset(of_globals), frozenset(of_attributes), frozenset(of_modules))


def imported(level: int, name: str, package: str) -> Any:
    """A module that a function imports, as it would; `MISSING` where there is none."""
    try:
        return importlib.import_module("." * level + name, package or None)
    except Exception:  # of whatever the module does
        return MISSING


class Surroundings:
    """The state around one function and its arguments, as it is now.

    Attributes:
        key: What a recording depends on.
        ways: For each part of the key the way to it, such as `self.rate`.
        paths: For each Value that was found the way to it.
        functions: The functions of the user's that were found.
        checks: What tells quickly that the key is still the same; None where nothing does.
        is_pure: Whether all of the code can be seen to draw, count and change nothing.
    """

    def __init__(self, roots: Iterable[tuple[str, Any]], attributes: set[str]) -> None:
        """`attributes` are the names that decide what of an object is looked at; those that are found join them."""
        self.attributes, self.roots = attributes, list(roots)
        n = -1
        while n != len(attributes):
            n = len(attributes)
            self.walk()

    def walk(self) -> None:
        self.key: list[Any] = []
        self.ways: list[str] = []
        self.paths: dict[Value, str] = {}
        self.functions: list[types.FunctionType] = []
        self.checks: Checks | None = Checks([], [], [], [])
        self.is_pure = True
        self.seen: dict[int, int] = {}
        self.kept: list[Any] = []  # so that no other comes to have the identity of what was seen
        self.known: list[Any] = []  # what the key knows by its identity
        self.every = bool(self.attributes & EVERY_ATTRIBUTE)
        self.queue = deque((x, name) for name, x in self.roots)
        while self.queue:
            self.add(*self.queue.popleft())

    def note(self, get: Callable[[Any, str], Any], holder: Any, name: str, found: Any) -> None:
        """Let the checks have where something was found."""
        if self.checks is not None:
            self.checks.names.append((get, holder, name, found))

    def add(self, x: Any, way: str) -> None:
        self.ways.append(way)
        if type(x) is np.void:  # a number that may be a part of an array
            self.checks = None
        token = plain_token(x)
        if token is None and id(x) in self.seen:  # the same object again
            token = ("again", self.seen[id(x)])
        if token is None:
            self.seen[id(x)] = len(self.seen)
            self.kept.append(x)
            token = self.token(x, way)
        self.key.append(token)

    def token(self, x: Any, way: str) -> Any:
        """What stands for an object in the key; its parts wait to be added."""
        if isinstance(x, types.FunctionType):
            return self.function_token(x, way)
        if isinstance(x, np.ufunc) or (isinstance(x, types.ModuleType) and is_library(x)):
            return self.identity("library", x)
        if isinstance(x, Operation):
            return self.operation_token(x, way)
        if isinstance(x, Value):
            self.paths.setdefault(x, way)
            if "grad" in self.attributes and x.grad is not None:
                self.queue.append((x.grad, f"{way}.grad"))
                self.checks = None
            if self.checks is not None:
                self.checks.forms.append((weakref.ref(x), form_of(x._data)))
            if "name" in self.attributes:
                self.queue.append((x.name, f"{way}.name"))
                self.checks = None
            return *self.identity("Value", x), form_of(x._data)
        if isinstance(x, np.ndarray):
            return self.array_token(x, way)
        if hasattr(type(x), "__next__") or (isinstance(x, types.BuiltinFunctionType) and x.__module__ not in BUILT_IN):
            self.is_pure = False
        if isinstance(x, GENERATORS):
            self.checks, self.is_pure = None, False
            return (type(x), repr(state_of(x)))
        if isinstance(x, GETTERS):
            self.attributes |= set(re.findall(r"\w+", repr(x)))
        for kinds, parts in PARTS:
            if isinstance(x, kinds):
                token, found = parts(x)
                self.queue += [(part, way + after) for after, part in found]
                if type(x) is list and self.checks is not None:
                    self.checks.sequences.append((x, list(map(id, x)), list(x)))
                elif not isinstance(x, UNCHANGING):
                    self.checks = None
                return token
        return self.object_token(x, way)

    def array_token(self, x: Any, way: str) -> Any:
        """An array by its contents; those of an array of objects, and what a subclass keeps, are added as parts."""
        if isinstance(x, np.ma.MaskedArray):  # others of its attributes are filled when they are asked for
            self.queue.append((np.ma.getmask(x), f"{way}.mask"))
        elif type(x) is not np.ndarray:
            self.queue += [(part, f"{way}.{name}") for name, part in own_attributes(x).items()]
        if x.dtype.hasobject:
            self.queue += [(part, f"{way}[{i}]") for i, part in enumerate(x.ravel().tolist())]
        if type(x) is not np.ndarray or x.dtype.hasobject:
            self.checks = None
        token = (type(x), x.shape, str(x.dtype)) if x.dtype.hasobject else array_token(x, way)
        if self.checks is not None:
            self.checks.arrays.append((x, token[-1]))
        return token

    def function_token(self, function: types.FunctionType, way: str) -> Any:
        before = f"{way}: " if way else ""
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            found = content(cell)
            self.note(content, cell, name, found)
            self.queue.append((found, f"{before}{name}"))
        if is_library(function):
            return self.identity("library", function)
        self.functions.append(function)
        names = names_in(function.__code__)
        self.attributes |= names.of_attributes
        self.is_pure = self.is_pure and not (names.of_globals | names.of_attributes) & IMPURE
        space = function.__globals__
        for name in names.of_globals:
            found = space.get(name, MISSING)
            self.note(global_of, space, name, found)
            if name in space or not hasattr(builtins, name):
                self.queue.append((found, f"{before}{name}"))
        for level, name in names.of_modules:
            if level or name.partition(".")[0] not in sys.stdlib_module_names:
                module = imported(level, name, space.get("__package__") or "")
                self.queue.append((module, f"{before}{name}"))
        if names.of_attributes & ENVIRONMENT:
            self.queue.append((dict(os.environ), f"{before}os.environ"))
        for name in UNSEEN & names.of_globals - space.keys() | UNSEEN_ATTRIBUTES & names.of_attributes:
            refuse(function, name)
        if space.get("sys") is sys and "sys" in names.of_globals and "modules" in names.of_attributes:
            refuse(function, "modules")
        self.note(getattr, function, "__code__", function.__code__)
        for name in ("__defaults__", "__kwdefaults__"):
            default = getattr(function, name)
            self.note(getattr, function, name, default)
            if default:
                self.queue.append((default, f"{before}default"))
        if vars(function):
            self.queue += [(x, f"{before}{name}") for name, x in vars(function).items()]
            self.checks = None
        return ("function", function.__code__)

    def operation_token(self, operation: Operation, way: str) -> Any:
        forward = operation.forward
        if not is_library(forward):
            self.queue += [(operation.rules, f"{way}.rules"), (operation.prints, f"{way}.prints")]
        elif getattr(forward, "__closure__", None):
            self.queue.append((forward, way))
        return self.identity("operation", operation)

    def foreign_token(self, x: Any, way: str) -> Any:
        """That of an object of a library's class: that it is this one, and what is in it.

        Pickling tells what is in it; functions, Values and objects of the user's in it are added as parts. Of an object
        that can't be pickled, such as a stream, only the attributes that the code names: all would lead to everything.
        """
        if not is_unchanging(x):
            self.checks = None
            parts: list[Any] = []
            contents = contents_of(x, parts, way)
            if contents is not None:
                self.queue += [(part, way) for part in parts]
                return self.identity(type(x), x), contents
            found = attributes_of(x, None if self.every else self.attributes)
            self.queue += [(part, f"{way}.{name}") for name, part in found]
        return self.identity(type(x), x)

    def object_token(self, x: Any, way: str) -> Any:
        """That of an object with attributes; of one from a library, that it is this one."""
        if getattr(type(x), "is_compiled", False):
            self.queue.append((x.function, way))
            return "compiled"
        wrapped = vars(x).get("__wrapped__") if hasattr(type(x), "__dict__") and hasattr(x, "__dict__") else None
        if wrapped is not None:
            self.queue.append((wrapped, way))
        if wrapped is None and is_foreign(x):
            return self.foreign_token(x, way)
        has_attributes = hasattr(x, "__dict__") and not isinstance(x, (type, types.ModuleType))
        if not has_attributes and is_library(x):
            return self.identity("library", x)
        found = attributes_of(x, None if self.every else self.attributes)
        self.queue += [(part, f"{way}.{name}" if way else name) for name, part in found]
        if getattr(type(x), "__weakrefoffset__", 0):
            self.note(class_of, weakref.ref(x), "", type(x))
        space = getattr(x, "__dict__", None)
        if not isinstance(space, dict):
            self.checks = None if found else self.checks
        else:
            self.note(size_of, space, "", len(space))
            for name, part in found:
                self.note(global_of, space, name, part if name in space else MISSING)
                for base in type(x).__mro__ if name not in space else ():
                    self.note(global_of, vars(base), name, vars(base).get(name, MISSING))
        return self.identity(type(x), x) if isinstance(x, (type, types.ModuleType)) else (type(x),)

    def identity(self, kind: Any, x: Any) -> Any:
        self.known.append(x)
        if kind == "library":
            module = x.__name__ if isinstance(x, types.ModuleType) else str(getattr(x, "__module__", ""))
            self.is_pure = self.is_pure and module.partition(".")[0] in PURE
        return (kind, id(x))


class Checks(NamedTuple):
    """What was found where: names, lists, the contents of arrays, and the shapes and dtypes of Values."""

    names: list[tuple[Callable[[Any, str], Any], Any, str, Any]]
    sequences: list[tuple[list[Any], list[int], list[Any]]]
    arrays: list[tuple[Any, Any]]
    forms: list[tuple[weakref.ref[Value], Any]]

    def hold(self) -> bool:
        """Whether nothing has changed since."""
        for get, holder, name, found in self.names:
            if get(holder, name) is not found:
                return False
        for x, ids, _ in self.sequences:
            if list(map(id, x)) != ids:
                return False
        for ref, form in self.forms:
            value = ref()
            if value is None or form_of(value._data) != form:
                return False
        return all(x.tobytes() == found for x, found in self.arrays)


def form_of(x: Any) -> Any:
    """The shape, dtype and layout of an array; None for a float."""
    return None if type(x) is float else (x.shape, x.dtype.char, x.strides)


def class_of(reference: Any, _: str) -> Any:
    return type(reference())


def size_of(space: Any, _: str) -> Any:
    return len(space)


def content(cell: Any, _: str = "") -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING


def global_of(space: Any, name: str) -> Any:
    return space.get(name, MISSING)


class Missing:
    """What stands for a name that means nothing yet."""


MISSING = Missing
GETTERS = (operator.attrgetter, operator.methodcaller)
GENERATORS = (np.random.Generator, np.random.RandomState, np.random.BitGenerator, random.Random)


def parts_of_sequence(x: Any) -> Any:
    return (type(x), len(x)), [(f"[{i}]", part) for i, part in enumerate(x)]


def parts_of_mapping(x: Any) -> Any:
    return (type(x), tuple(plain_token(k) or id(k) for k in x)), [(f"[{k!r}]", part) for k, part in x.items()]


def parts_of_set(x: Any) -> Any:
    return (type(x), frozenset(plain_token(part) or id(part) for part in x)), ()


def parts_of_partial(x: Any) -> Any:
    return "partial", [("", x.func), (".args", x.args), (".keywords", x.keywords)]


def parts_of_method(x: Any) -> Any:
    return "method", [("", x.__func__), ("", x.__self__)]


def parts_of_builtin(x: Any) -> Any:
    owner = getattr(x, "__self__", None)
    return (x.__name__, id(owner)), [] if owner is None or isinstance(owner, types.ModuleType) else [("", owner)]


def parts_of_cell(x: Any) -> Any:
    return "cell", [("", content(x))]


def parts_of_variable(x: Any) -> Any:
    return ("variable", id(x)), [("", x.get(MISSING))]


def parts_of_reference(x: Any) -> Any:
    return "reference", [("()", x())]


def parts_of_buffer(x: Any) -> Any:
    view = memoryview(x)
    if view.nbytes > LARGEST:
        raise TypeError(
            f"the function reads {type(x).__name__} of {view.nbytes / 1e6:.3g} MB from outside, which would have to be "
            "compared at every call: when it is compiled, give it as an argument"
        )
    return (type(x), view.format, view.shape, view.tobytes()), ()


PARTS: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    ((list, tuple, deque), parts_of_sequence),
    (Mapping, parts_of_mapping),
    ((set, frozenset), parts_of_set),
    (functools.partial, parts_of_partial),
    (types.MethodType, parts_of_method),
    ((types.BuiltinFunctionType, types.BuiltinMethodType), parts_of_builtin),
    (types.CellType, parts_of_cell),
    (contextvars.ContextVar, parts_of_variable),
    (weakref.ref, parts_of_reference),
    ((array.array, bytearray, memoryview), parts_of_buffer),
)
"""Of objects that are made of others: what stands for them in a key, and the others."""
UNCHANGING = (tuple, frozenset, functools.partial, types.MethodType, types.BuiltinFunctionType)


SEEN_THROUGH = (types.SimpleNamespace,)
"""Classes of Python's whose objects are no more than their attributes."""


def is_foreign(x: Any) -> bool:
    """Whether an object is of a class of Python's or an installed module's, which may keep what isn't an attribute."""
    if isinstance(x, (type, types.ModuleType, *SEEN_THROUGH)):
        return False
    return is_library(type(x)) and not ours(type(x))


def is_unchanging(x: Any) -> bool:
    """Whether an object can be trusted to stay as it is: it has no attributes, and is hashed by what it is."""
    if hasattr(x, "__dict__") or getattr(type(x), "__hash__", None) is object.__hash__:
        return False
    try:
        hash(x)
    except TypeError:
        return False
    return True


class Pickler(pickle.Pickler):
    """Pickles what a library's object keeps, but for what is the user's: that is put into `parts`."""

    def __init__(self, file: io.BytesIO, parts: list[Any]) -> None:
        super().__init__(file, protocol=5)
        self.parts = parts

    def persistent_id(self, x: Any) -> Any:
        if not isinstance(x, (types.FunctionType, Value)) and (isinstance(x, type) or is_library(type(x))):
            return None
        self.parts.append(x)
        return len(self.parts)


def contents_of(x: Any, parts: list[Any], way: str) -> bytes | None:
    """What is in an object, as pickling writes it; None where it can't be pickled."""
    file = io.BytesIO()
    try:
        Pickler(file, parts).dump(x)
    except Exception:  # what is raised depends on the library
        return None
    if file.tell() > LARGEST:
        raise TypeError(
            f"the function reads {way}, a {type(x).__name__} of {file.tell() / 1e6:.3g} MB, from outside, which would "
            "have to be compared at every call: when it is compiled, give what it needs of it as an argument"
        )
    return file.getvalue()


def attributes_of(x: Any, names: set[str] | None) -> list[tuple[str, Any]]:
    """The attributes of an object that have one of the names, its own and those of its class; all where None.

    Of an object of this library they are all, but those that keep what it computed last, which is no setting.
    """
    if isinstance(x, types.ModuleType):
        return [(k, v) for k, v in list(vars(x).items()) if names is None or k in names]
    if isinstance(x, type):
        return class_attributes(x, names)
    own = own_attributes(x)
    if ours(type(x)):
        return [(k, v) for k, v in own.items() if k not in LAST]
    found = [(k, v) for k, v in own.items() if names is None or k in names]
    return found + [(k, v) for k, v in class_attributes(type(x), names) if k not in own]


LAST = ("weighted_sum", "activated", "groups", "_recordings", "_known")
"""What objects of this library keep of their last run."""


def own_attributes(x: Any) -> dict[str, Any]:
    own = dict(getattr(x, "__dict__", {}))
    for base in type(x).__mro__:
        slots = vars(base).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and hasattr(x, name):
                own[name] = getattr(x, name)
    return own


def class_attributes(cls: type, names: set[str] | None) -> list[tuple[str, Any]]:
    """What a class of the user's and its bases have: functions, those of Python's protocols too, and settings.

    Functions are there with those that they hide, which `super` leads to.
    """
    parts: list[tuple[str, Any]] = []
    hidden: set[str] = set()
    for base in cls.__mro__:
        for name, entry in () if is_library(base) else vars(base).items():
            function = function_of(entry)
            asked = names is None or name in names
            if function is not None and (asked or name.startswith("__")):
                parts.append((name, function))
            elif asked and name not in hidden and not name.startswith("__"):
                parts += [] if isinstance(entry, types.MemberDescriptorType) else [(name, entry)]
            hidden.add(name)
    return parts


def function_of(entry: Any) -> types.FunctionType | None:
    """The function in a class's entry: a method, a property, a class method …"""
    for name in ("fget", "__func__", "func", "function"):
        if not isinstance(entry, (types.FunctionType, functools.partial)):
            entry = getattr(entry, name, entry)
    return entry if isinstance(entry, types.FunctionType) else None


def plain_token(x: Any) -> Any:
    """A number, a text and the like as a part of a key, told apart by type and bits; None for anything else."""
    kind = type(x)
    if kind is float:
        return ("float", struct.pack("<d", x))
    if kind in (int, str, bytes, bool, complex, range, slice, type(None), type(Ellipsis), type(NotImplemented)):
        return (kind, repr(x)) if kind in (slice, complex) else (kind, x)
    if isinstance(x, np.generic):
        return (kind, x.tobytes())
    if isinstance(x, (enum.Enum, np.dtype)) or x is MISSING:
        return (kind, str(x))
    return None


def array_token(x: Any, way: str) -> Any:
    if x.nbytes > LARGEST:
        raise TypeError(
            f"the function reads the array {way} of {x.nbytes / 1e6:.3g} MB from outside, which would have to be "
            "compared at every call: when it is compiled, give it as an argument, or make it a Value"
        )
    return (type(x), x.shape, str(x.dtype), x.strides, x.tobytes())


def state_of(generator: Any) -> Any:
    """The state of a random generator."""
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    if isinstance(generator, np.random.BitGenerator):
        return generator.state
    return generator.getstate() if isinstance(generator, random.Random) else generator.get_state()


def state_of_draws() -> Any:
    """The state of the random generators that Python and numpy have for everybody."""
    _, keys, *rest = np.random.get_state()
    return random.getstate(), np.asarray(keys).tobytes(), rest


@cache
def is_library_name(module: str) -> bool:
    """Whether a module is Python's, numpy's, this library's, or installed: its state isn't looked at."""
    top = module.partition(".")[0]
    file = str(getattr(sys.modules.get(top), "__file__", "") or "")
    if top in sys.stdlib_module_names and top != "__main__":
        return not file or file.startswith(os.path.dirname(os.__file__))
    return top in ("numpy", "tinygrad_edu") or "site-packages" in file or "dist-packages" in file


def is_library(x: Any) -> bool:
    """Whether a function, class or module comes from a library."""
    if isinstance(x, types.ModuleType):
        return is_library_name(x.__name__)
    name = getattr(x, "__module__", None)
    if not isinstance(name, str):
        return False
    return is_library_name(name)


def ours(cls: type) -> bool:
    return cls.__module__.partition(".")[0] == "tinygrad_edu"


def line_of(functions: list[types.FunctionType], way: str) -> str:
    """File and line at which one of the functions changes what is at the end of a way."""
    name = way.rpartition(": ")[2].rpartition(".")[2].partition("[")[0]
    for function in functions:
        found: int | None = None
        for instruction in dis.get_instructions(function.__code__):
            found = (instruction.positions and instruction.positions.lineno) or found
            if instruction.opname.startswith("STORE") and instruction.argval == name:
                return f"{function.__code__.co_filename}:{found}: "
    if functions:
        code = functions[0].__code__
        return f"{code.co_filename}:{code.co_firstlineno}: "
    return ""


def refuse(function: types.FunctionType, name: str) -> NoReturn:
    """Raises TypeError for a name by which a function may read what isn't found; it names the line."""
    line = function.__code__.co_firstlineno
    for instruction in dis.get_instructions(function.__code__):
        line = (instruction.positions and instruction.positions.lineno) or line
        if instruction.argval == name:
            break
    raise TypeError(
        f"{function.__code__.co_filename}:{line}: while compiling, {function.__name__} uses {name}, by which it may "
        "read what a recording can't see, and would keep: name what it reads itself, or give it as an argument"
    )


CHANGING = {
    "append",
    "extend",
    "insert",
    "remove",
    "pop",
    "popitem",
    "clear",
    "reverse",
    "sort",
    "update",
    "setdefault",
}
"""Methods by which lists and dicts change."""


def line_of_change(function: Any) -> str:
    """File and line at which a function first changes a list or a dict, as far as its code tells; else its first."""
    code = getattr(function, "__code__", None)
    if code is None:
        return ""
    line = code.co_firstlineno
    for instruction in dis.get_instructions(code):
        line = (instruction.positions and instruction.positions.lineno) or line
        named = isinstance(instruction.argval, str) and instruction.argval in CHANGING
        if named or instruction.opname in ("STORE_SUBSCR", "DELETE_SUBSCR"):
            return f"{code.co_filename}:{line}: "
    return f"{code.co_filename}:{code.co_firstlineno}: "
