"""`tg.compile`: a function's computation, recorded once, as Python source that does the same to the last bit.

The one thing to know: the source is what runs. It has no checks and no graph; where floats leave what Python computes
without an error (a division by zero, an overflow), the function itself is run instead, so that results stay the same.
"""

from __future__ import annotations

import builtins
import inspect
import keyword
import linecache
import math
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import update_wrapper
from itertools import count
from types import MethodType
from typing import Any, Literal, NamedTuple, cast

import numpy as np

from tinygrad_edu.compiler.comments import COMMENTS, with_comments
from tinygrad_edu.compiler.printer import Printer, identifier, new_buffer
from tinygrad_edu.compiler.program import Program, Step, program_of
from tinygrad_edu.compiler.recording import local_names, names_of, roots_of, watched
from tinygrad_edu.core.context import depth
from tinygrad_edu.core.data import as_data
from tinygrad_edu.core.value import Value, data_of
from tinygrad_edu.graph import forward_order
from tinygrad_edu.tree import argument_names, leaves_of, leaves_with_paths, mapped, rebuilt

Backend = Literal["python", "numba"]
"""What may run a printed source."""

serial = count()
OUT_OF_PYTHONS_RANGE = (ZeroDivisionError, OverflowError, ValueError)


class Recording(NamedTuple):
    """What one recording gave: a function and its source, and the structure of its results.

    `networks` are those among the arguments: kept, so that no other can come to have the identity they are known by.
    """

    run: Callable[..., Any]
    source: str
    structure: Any
    networks: list[Any]


class Run(NamedTuple):
    """What was seen while a function ran.

    Attributes:
        inputs: The Values it ran on.
        names: What the source calls Values.
        structure: That of its results.
        results: These, in order.
        order: What was computed, in the order in which the source is to have it.
    """

    inputs: list[Value]
    names: dict[Value, str]
    structure: Any
    results: list[Any]
    order: list[Value]


class Compiled:
    """A function with its printed source; see `compile`.

    Attributes:
        source: The source of the most recent recording, which runs by itself when copied into a file.
    """

    def __init__(self, function: Callable[..., Any], static: bool, backend: Backend) -> None:
        self.function, self.static, self.backend = function, static, backend
        self.made: dict[Any, Recording] = {}
        self.lock = threading.RLock()
        self.source = ""
        self.latest: tuple[Any, ...] | None = None
        update_wrapper(self, function, updated=())  # and not the attributes, which may be those of another Compiled

    def graph(self) -> Any:
        """The picture of the most recent call, as `tg.draw` makes it, for which the function runs once more.

        Values have the names that they have in the source, such as `d_w`.

        Raises:
            ValueError: The function hasn't been called yet.
        """
        from tinygrad_edu.drawing import draw

        if self.latest is None:
            raise ValueError("nothing is recorded yet: call the function first")
        run = self.watched_run(self.latest, signature_of(self.function, self.latest)[0])
        own = {value: value.name for value in run.names}
        try:
            for value, name in run.names.items():
                value.name = value.name or identifier(name)
            return draw(*(r for r in run.results if isinstance(r, Value)))
        finally:
            for value, kept in own.items():  # some may be the user's
                value.name = kept

    def __call__(self, *args: Any, **named: Any) -> Any:
        if named:
            args = inspect.signature(self.function).bind(*args, **named).args
        if depth.get():  # this function is a part of what is being differentiated or compiled
            return self.function(*args)
        data, key = signature_of(self.function, args)
        with self.lock:
            if key not in self.made:
                self.made[key] = self.record(args, data)
            recording = self.made[key]
            self.source, self.latest = recording.source, args
        try:
            results = recording.run(*data)
        except Exception as error:
            try:
                eager = self.eagerly(args)
            except Exception as own:
                set_first_cause(own, error)
                raise
            if not isinstance(error, OUT_OF_PYTHONS_RANGE):
                raise
            return eager
        return rebuilt(recording.structure, iter(results))

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """As a method: of an object that has `parameters()`, which it stands for as a network does."""
        return self if instance is None else MethodType(self, instance)

    def eagerly(self, args: tuple[Any, ...]) -> Any:
        """The function itself, on Values; its results as plain numbers and arrays."""
        values = [x if isinstance(x, Value) else Value(x) for x in taken_apart(args)[1]]
        return mapped(data_of, self.function(*put_together(args, iter(values))))

    def watched_run(self, args: tuple[Any, ...], data: list[Any]) -> Run:
        """The function run once on Values."""
        names = leaf_names(self.function, args)
        networks, leaves = taken_apart(args)
        kept = {id(p) for network in networks for p in network.parameters()}
        values = [
            x if id(x) in kept else Value(d, identifier(name)) for x, d, name in zip(leaves, data, names, strict=True)
        ]
        with watched(self.static) as owners, local_names() as local:
            result = self.function(*put_together(args, iter(values)))
        results = leaves_of(result)
        order = forward_order([*roots_of(owners), *results], values)
        given = {  # the name of a variable tells more than the path to an entry of an argument
            value: name if name.isidentifier() else local.get(value, name)
            for value, name in zip(values, names, strict=True)
        }
        named = names_of(given, order, owners, local)
        return Run(values, named, mapped(lambda _: None, result), results, order)

    def record(self, args: tuple[Any, ...], data: list[Any]) -> Recording:
        """Run the function once, and print what it computed."""
        run = self.watched_run(args, data)
        program = program_of(run.inputs, run.results, run.order, run.names)
        name = identifier(getattr(self.function, "__name__", ""))
        if keyword.iskeyword(name):
            name = "compiled"
        function, source = built(program, name)
        if self.backend == "numba":
            from tinygrad_edu.compiler.machine import machine_code

            function = machine_code(program, name, lambda: source) or function
        return Recording(function, source, run.structure, taken_apart(args)[0])


def compile(function: Callable[..., Any] | None = None, *, static: bool = False, backend: Backend = "python") -> Any:
    """Compile a function into straight Python: recorded at its first call, run as printed source from then on.

    Its arguments are floats, arrays, Values, networks, and nested tuples, lists and dicts of them; networks stand for
    their parameters as they are at the call. Results are plain numbers and arrays, in the function's own structure, bit
    for bit those of the function. It is recorded once for each structure, shape and dtype of the arguments.

    Args:
        function: What to compile; it may call `tg.gradients` and `tg.grad`.
        static: Let Python branch on data while recording: that way is then taken always.
        backend: "numba" (the extra `numba`) turns the source of scalar programs into machine code. Where that can't
            give the same bits, a warning says why, and Python runs the source.

    Raises:
        ValueError: Another backend than "python" or "numba".
        TypeError: When first called: Python branched on a Value's data; the message names file and line.
        ImportError: When first called: the backend isn't installed.

    >>> import tinygrad_edu as tg
    >>> @tg.compile
    ... def slope(w, x):
    ...     return tg.gradients(tg.sigmoid(w * x), [w])[0]
    >>> slope(0.5, 2.0)
    0.3932238664829637
    >>> print(slope.source)
    import math
    <BLANKLINE>
    <BLANKLINE>
    def slope(w, x):
        sigmoid = 1.0 / (1.0 + math.exp(-(w * x)))
        d_w = sigmoid * (1.0 - sigmoid) * x
        return (d_w,)
    <BLANKLINE>
    """
    check_backend(backend)
    return Compiled(function, static, backend) if function else lambda f: Compiled(f, static, backend)


def check_backend(backend: str) -> Backend:
    """The backend itself. Raises ValueError where there is none of that name."""
    if backend not in ("python", "numba"):
        raise ValueError(f'backend must be "python" or "numba", got {backend!r}')
    return cast(Backend, backend)


def built(program: Program, name: str) -> tuple[Callable[..., Any], str]:
    """A function made of a program, and its source."""
    printer = Printer(program, [name])
    arguments = [printer.operand(step).text for step in program.inputs]
    lines = with_comments(printer.statements(), COMMENTS["en"])
    results = "".join(f"{written_result(printer, i)}, " for i in range(len(program.results))).strip()
    body = [f"def {name}({', '.join(arguments)}):", *(f"    {line}" for line in lines), f"    return ({results})"]
    if any("np.exp(" in line for line in lines):
        body.insert(0, '@np.errstate(over="ignore")  # where exp(-x) overflows, 1 / (1 + exp(-x)) is 0')
    return runnable(printer, body, name)


def runnable(printer: Printer, body: Sequence[str], name: str) -> tuple[Callable[..., Any], str]:
    """The function whose lines are `body`, under the heading that it needs, and its whole source."""
    heading, text, space = printer.heading(), "\n".join(body) + "\n", printer.space
    forms = dict(zip(printer.buffers, printer.memory.buffers, strict=True))  # all else of the recording is let go

    def make() -> Callable[..., Any]:
        return executed(heading, text, name, space | {buffer: new_buffer(form) for buffer, form in forms.items()})

    return one_call_at_a_time(make) if forms else make(), heading + text


def written_result(printer: Printer, i: int) -> str:
    result = printer.program.results[i]
    text = printer.operand(result).text
    if i not in printer.program.copied:
        return text
    data = result.data if isinstance(result, Step) else result
    return f"{text}.copy()" if data.flags.c_contiguous else f'{text}.copy(order="K")'


def one_call_at_a_time(make: Callable[[], Callable[..., Any]]) -> Callable[..., Any]:
    """A function that works in memory of its own, for callers in many threads: each call has a function to itself."""
    idle = [make()]

    def run(*args: Any) -> Any:
        try:
            function = idle.pop()  # list.pop and list.append are atomic
        except IndexError:
            function = make()
        try:
            return function(*args)
        finally:
            idle.append(function)

    return run


def executed(heading: str, body: str, name: str, space: Mapping[str, Any]) -> Callable[..., Any]:
    """The function that a source defines; `space` has what its heading makes. Errors show its lines, by `linecache`."""
    source, file = heading + body, f"<compiled {name} {next(serial)}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    found = {"math": math, "np": np, **space}
    exec(builtins.compile("\n" * heading.count("\n") + body, file, "exec"), found)
    function: Callable[..., Any] = found[name]
    weakref.finalize(function, linecache.cache.pop, file, None).atexit = False
    return function


def taken_apart(args: tuple[Any, ...]) -> tuple[list[Any], list[Any]]:
    """The networks among the arguments, and all leaves: numbers, arrays, Values, and the networks' parameters."""
    objects: list[Any] = []
    leaves: list[Any] = []
    for leaf in leaves_of(args):
        if is_network(leaf):
            objects.append(leaf)
            leaves += leaf.parameters()
        else:
            leaves.append(leaf)
    return objects, leaves


def put_together(args: tuple[Any, ...], values: Any) -> tuple[Any, ...]:
    """The arguments with Values for their leaves; networks as they are."""

    def put(leaf: Any) -> Any:
        if is_network(leaf):
            for _ in leaf.parameters():
                next(values)
            return leaf
        return next(values)

    return tuple(mapped(put, args))


def is_network(leaf: Any) -> bool:
    """Whether an argument stands for its parameters."""
    return callable(getattr(leaf, "parameters", None))


def leaf_names(function: Callable[..., Any], args: tuple[Any, ...]) -> list[str]:
    """For each leaf its Value's name, else the function's argument and the way to it."""
    names: list[str] = []
    for leaf, path in leaves_with_paths(function, args):
        if is_network(leaf):
            names += [p.name or "parameter" for p in leaf.parameters()]
        else:
            names.append((leaf.name if isinstance(leaf, Value) else None) or path)
    return names


def signature_of(function: Callable[..., Any], args: tuple[Any, ...]) -> tuple[list[Any], Any]:
    """The data of all leaves, and what a recording depends on: structure, networks, and each leaf's form."""
    data: list[Any] = []
    key: list[Any] = []
    for i, arg in enumerate(args):
        try:
            add_signature(arg, data, key)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{argument_names(function, len(args))[i]}: {error}") from None
    return data, tuple(key)


def add_signature(x: Any, data: list[Any], key: list[Any]) -> None:
    if isinstance(x, (list, tuple)):
        key.append((type(x), len(x)))
        for part in x:
            add_signature(part, data, key)
    elif isinstance(x, dict):
        key.append(tuple(x))
        for part in x.values():
            add_signature(part, data, key)
    elif not isinstance(x, (float, Value, np.ndarray)) and is_network(x):
        key.append(id(x))
        for p in x.parameters():
            add_signature(p, data, key)
    else:
        number: Any = as_data(data_of(x))
        data.append(number)
        key.append(None if type(number) is float else (number.shape, number.dtype.char, number.strides))


def set_first_cause(error: Exception, first: Exception) -> None:
    """Make an error of the printed source the cause of one of the eager run: a traceback then shows both lines."""
    root: BaseException = error
    while root.__cause__ is not None:
        root = root.__cause__
    if root is not first:
        root.__cause__ = first
