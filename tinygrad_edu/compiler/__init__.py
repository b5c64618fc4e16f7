"""`tg.compile`: a function's computation, recorded once, as Python source that does the same to the last bit.

The one thing to know: the source is what runs. It has no checks and no graph; where floats leave what Python computes
without an error (a division by zero, an overflow), the function itself is run instead, so that results stay the same.
"""

from __future__ import annotations

import builtins
import keyword
import linecache
import math
import re
import threading
from collections.abc import Callable
from functools import update_wrapper
from itertools import count
from typing import Any, NamedTuple

import numpy as np

from tinygrad_edu.compiler.printer import Printer, identifier
from tinygrad_edu.compiler.program import Program, program_of, reading_order
from tinygrad_edu.compiler.recording import names_of, watched
from tinygrad_edu.tree import argument_names, leaves_of, mapped, path_names, rebuilt
from tinygrad_edu.value import Value, as_data, data_of, recording_branches

__all__ = ["Compiled", "compile"]

serial = count()
OUT_OF_PYTHONS_RANGE = (ZeroDivisionError, OverflowError, ValueError)


class Recording(NamedTuple):
    """What one recording gave: a function and its source, the structure of its results, and the recorded results.

    `networks` are those among the arguments: kept, so that no other can come to have the identity they are known by.
    """

    run: Callable[..., Any]
    source: str
    structure: Any
    results: list[Value]
    networks: list[Any]


class Compiled:
    """A function with its printed source; see `compile`.

    Attributes:
        source: The source of the most recent recording, which runs by itself when copied into a file.
    """

    def __init__(self, function: Callable[..., Any], static: bool) -> None:
        self.function, self.static = function, static
        self.made: dict[Any, Recording] = {}
        self.lock = threading.Lock()
        self.source = ""
        self.recorded: list[Value] = []
        update_wrapper(self, function)

    def graph(self) -> Any:
        """The picture of the most recent recording, as `tg.draw` makes it.

        Raises:
            ValueError: The function hasn't been called yet.
        """
        from tinygrad_edu.drawing import draw

        if not self.recorded:
            raise ValueError("nothing is recorded yet: call the function first")
        return draw(*self.recorded)

    def __call__(self, *args: Any) -> Any:
        objects, leaves = taken_apart(args)
        data = [as_data(data_of(x)) for x in leaves]
        key = signature_of(args, objects, data)
        with self.lock:
            if key not in self.made:
                self.made[key] = self.record(args, objects, leaves, data)
            recording = self.made[key]
            self.source, self.recorded = recording.source, recording.results
        try:
            results = recording.run(*data)
        except OUT_OF_PYTHONS_RANGE:
            return self.eagerly(args)
        return rebuilt(recording.structure, iter(results))

    def eagerly(self, args: tuple[Any, ...]) -> Any:
        """The function itself, on Values; its results as plain numbers and arrays."""
        values = [x if isinstance(x, Value) else Value(x) for x in taken_apart(args)[1]]
        return mapped(data_of, self.function(*put_together(args, iter(values))))

    def record(self, args: tuple[Any, ...], objects: list[Any], leaves: list[Any], data: list[Any]) -> Recording:
        """Run the function once, and print what it computed."""
        names = leaf_names(self.function, args)
        kept = {id(p) for network in objects for p in network.parameters()}
        values = [
            x if id(x) in kept else Value(d, identifier(name)) for x, d, name in zip(leaves, data, names, strict=True)
        ]
        with watched() as owners:
            if self.static:
                recording_branches.set(False)
            result = self.function(*put_together(args, iter(values)))
        results = leaves_of(result)
        given = dict(zip(values, names, strict=True))
        nodes = reading_order([r for r in results if isinstance(r, Value)], values)
        program = program_of(values, results, names_of(given, nodes, owners))
        name = identifier(getattr(self.function, "__name__", ""))
        if keyword.iskeyword(name):
            name = "compiled"
        run, source = built(program, name)
        made = [r for r in results if isinstance(r, Value)]
        return Recording(run, source, mapped(lambda _: None, result), made, objects)


def compile(function: Callable[..., Any] | None = None, *, static: bool = False) -> Any:
    """Compile a function into straight Python: recorded at its first call, run as printed source from then on.

    Its arguments are floats, arrays, Values, networks, and nested tuples, lists and dicts of them; networks stand for
    their parameters as they are at the call. Results are plain numbers and arrays, in the function's own structure, bit
    for bit those of the function. It is recorded once for each structure, shape and dtype of the arguments.

    Args:
        function: What to compile; it may call `tg.gradients` and `tg.grad`.
        static: Let Python branch on data while recording: that way is then taken always.

    Raises:
        TypeError: When first called: Python branched on a Value's data; the message names file and line.

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
    if function is None:
        return lambda f: Compiled(f, static)
    return Compiled(function, static)


def built(program: Program, name: str) -> tuple[Callable[..., Any], str]:
    """A function made of a program, and its source."""
    printer = Printer(program, [name])
    arguments = [printer.names[id(step)] for step in program.inputs]
    lines = [line for line, _ in printer.statements()]
    results = "".join(f"{printer.operand(r).text}, " for r in program.results).strip()
    body = [f"def {name}({', '.join(arguments)}):", *(f"    {line}" for line in lines), f"    return ({results})"]
    source = "\n".join([*heading(printer), *body]) + "\n"
    return executed(source, name, printer.constants), source


def heading(printer: Printer) -> list[str]:
    """What the source needs: imports, the functions of operations that aren't printed, and constant arrays."""
    imports = ["import math"] if "math" in printer.imports else []
    arrays = []
    for name, value in printer.constants.items():
        if isinstance(value, np.ndarray):
            arrays.append(f"{name} = np.array({written_list(value)}, dtype=np.{value.dtype})")
        elif getattr(value, "__module__", None) and callable(value):
            imports.append(f"from {value.__module__} import {value.__name__} as {name}")
    if arrays:
        imports.insert(0, "import numpy as np")
    blocks = [*imports, *(["", *arrays] if arrays else [])]
    return [*blocks, "", ""] if blocks else []


def written_list(array: Any) -> str:
    """The numbers of an array, exactly, as Python reads them."""
    return re.sub(r"\b(nan|inf)\b", r'float("\1")', repr(array.tolist()))


def executed(source: str, name: str, constants: dict[str, Any]) -> Callable[..., Any]:
    """The function that a source defines. Errors in it show its lines, by `linecache`."""
    file = f"<compiled {name} {next(serial)}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    body = source[source.index("def ") :]
    space: dict[str, Any] = {"math": math, "np": np, **constants}
    before = source[: source.index("def ")].count("\n")
    exec(builtins.compile("\n" * before + body, file, "exec"), space)
    return space[name]  # type: ignore[no-any-return]


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
    for argument, arg in zip(argument_names(function, len(args)), args, strict=True):
        for leaf, path in zip(leaves_of(arg), path_names(arg, argument), strict=True):
            if is_network(leaf):
                names += [p.name or "parameter" for p in leaf.parameters()]
            else:
                names.append((leaf.name if isinstance(leaf, Value) else None) or path)
    return names


def signature_of(args: tuple[Any, ...], objects: list[Any], data: list[Any]) -> Any:
    """What a recording depends on: the structure, the networks themselves, and each leaf's shape and dtype."""
    shape = repr(mapped(lambda leaf: id(leaf) if any(leaf is o for o in objects) else 0, args))
    return shape, tuple(map(form_of, data))


def form_of(x: Any) -> Any:
    """Shape, dtype and layout in memory of an array; None for a float."""
    return None if type(x) is float else (x.shape, x.dtype.char, x.flags.c_contiguous, x.flags.f_contiguous)
