"""The user's forward code as a graph, with the source expression that made each node.

The one thing to know: the recorder is told of each Value while the line that makes it still runs, so the stack says
where that is.
"""

from __future__ import annotations

import ast
import functools
import inspect
import linecache
import sys
from collections.abc import Callable, Sequence
from types import CodeType
from typing import Any, NamedTuple

import numpy as np

from tinygrad_edu.core.context import depth, observing
from tinygrad_edu.core.data import as_data
from tinygrad_edu.core.value import Value, data_of
from tinygrad_edu.following.function import follow
from tinygrad_edu.following.origin import library_file
from tinygrad_edu.following.tracked import WriteObserver
from tinygrad_edu.tree import leaves_of, mapped

Frame = tuple[CodeType, int]
GENERATED = "<layer>"
"""The file name of functions that are made of an object with parameters; they have no lines of the user's."""


class Place(NamedTuple):
    """Where in the source a node was made, innermost call first, and by which operation."""

    frames: tuple[Frame, ...] = ()
    operation: str = ""

    @property
    def span(self) -> Span:
        return span_of(*self.frames[0]) if self.frames else Span("", 0, 0, 0, 0)

    @property
    def text(self) -> str:
        return source_of(self.span)


class Span(NamedTuple):
    """A piece of source: its file, first and last line, and columns in bytes."""

    file: str
    line: int
    end: int
    column: int
    end_column: int


class Recording(NamedTuple):
    """A computation: the Values that the inputs became, the outputs, where each node was made, and in which turn."""

    inputs: list[Value]
    outputs: list[Any]
    places: dict[Value, Place]
    turns: dict[Value, int]


class Recorder(WriteObserver):
    """Notes where each node is made, and in which turn of the outermost function's loops."""

    def __init__(self) -> None:
        self.places: dict[Value, Place] = {}
        self.turns: dict[Value, int] = {}
        self.last, self.turn = -1, 0
        self.frames: tuple[Frame, ...] = ()

    def wrote(self) -> None:
        self.frames = user_frames()

    def made(self, node: Value, *how: Any) -> None:
        frames = self.frames = user_frames() or self.frames  # what is made as the function returns is its last line's
        if node.operation is None or not frames:
            return
        self.places[node] = Place(frames, node.operation.name)
        at = frames[-1][1]
        self.turn += at < self.last  # the outermost function has jumped back
        self.last = at
        self.turns[node] = self.turn


def record(forward: Callable[..., Any], inputs: Sequence[Any], wanted: Sequence[int]) -> Recording:
    """Run the forward function on Values and note where each comes from. Raises what `follow` raises."""
    recorder = Recorder()
    args = [mapped(fresh, x) if k in wanted else x for k, x in enumerate(inputs)]
    leaves = [leaf for k in wanted for leaf in leaves_of(args[k])]
    token = depth.set(depth.get() + 1)
    try:
        with observing(recorder):
            result = follow(forward)(*args)
    finally:
        depth.reset(token)
    outputs = list(result) if isinstance(result, (tuple, list)) else [result]
    return Recording(leaves, outputs, recorder.places, recorder.turns)


def arrays_around(forward: Callable[..., Any], inputs: Sequence[Any], wanted: Sequence[int]) -> dict[str, Any]:
    """The arrays that a function can see beside its differentiated inputs: other arguments, closures and globals."""
    forward = inspect.unwrap(forward)
    code = getattr(forward, "__code__", None)
    if code is None:
        return {}
    names = code.co_varnames[: code.co_argcount]
    seen = {name: x for k, (name, x) in enumerate(zip(names, inputs, strict=False)) if k not in wanted}
    cells = getattr(forward, "__closure__", None) or ()
    seen.update({n: c.cell_contents for n, c in zip(code.co_freevars, cells, strict=True) if filled_cell(c)})
    seen.update({name: forward.__globals__[name] for name in code.co_names if name in forward.__globals__})
    return {n: x for n, x in seen.items() if isinstance(x, np.ndarray) and x.dtype.kind in "fiub" and x.size > 1}


def filled_cell(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:  # the variable has no value yet
        return False


def fresh(x: Any) -> Value:
    data = as_data(data_of(x))
    return Value(data if isinstance(data, float) else np.array(data, dtype=np.float64))


def user_frames() -> tuple[Frame, ...]:
    """The innermost frames of the user's code, at most four, up to where this library called it."""
    frame: Any = sys._getframe(2)
    while frame is not None and library_file(frame.f_code.co_filename):
        frame = None if frame.f_code is record.__code__ else frame.f_back
    frames: list[Frame] = []
    while frame is not None and len(frames) < 4 and not library_file(frame.f_code.co_filename):
        if frame.f_code.co_filename == GENERATED:  # it only puts parameters into an object, and calls its method
            break
        frames.append((frame.f_code, first_of(frame.f_code, frame.f_lasti)))
        frame = frame.f_back
    return tuple(frames)


@functools.lru_cache(4096)
def first_of(code: CodeType, at: int) -> int:
    """The first instruction with the same position: where Python stands depends on how it specialised the code."""
    positions = list(code.co_positions())
    k = at // 2
    while k and positions[k - 1] == positions[k]:
        k -= 1
    return 2 * k


def span_of(code: CodeType, at: int) -> Span:
    return span_in(code, at, code.co_filename)  # codes of two files are equal where their sources are


@functools.lru_cache(4096)
def span_in(code: CodeType, at: int, file: str) -> Span:
    line, end, column, end_column = list(code.co_positions())[at // 2]
    return Span(file, line or 0, end or line or 0, column or 0, end_column or 0)


@functools.lru_cache(4096)
def source_of(span: Span, limit: int = 60) -> str:
    """The source at a place, on one line; "" where it isn't at hand."""
    lines = [linecache.getline(span.file, n).encode() for n in range(span.line, span.end + 1)]
    if not lines or not lines[0]:
        return ""
    lines[-1] = lines[-1][: span.end_column] if span.end_column else lines[-1]
    text = " ".join(b"".join([lines[0][span.column :], *lines[1:]]).decode(errors="replace").split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


@functools.lru_cache(64)
def assignments(file: str) -> dict[tuple[int, int, int, int], str]:
    """For each expression that is the whole right-hand side of an assignment, what it is assigned to."""
    try:
        tree = ast.parse("".join(linecache.getlines(file)))
    except SyntaxError:
        return {}
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target, value = node.targets[0], node.value
            pairs = [(target, value)]
            if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
                pairs = list(zip(target.elts, value.elts, strict=True))
            for name, expression in pairs:
                at = (
                    expression.lineno,
                    expression.end_lineno or 0,
                    expression.col_offset,
                    expression.end_col_offset or 0,
                )
                found[at] = ast.unparse(name)
    return found


def assigned_name(span: Span) -> str:
    """The variable that the expression at this place is assigned to; "" where it isn't a whole right-hand side."""
    return assignments(span.file).get((span.line, span.end, span.column, span.end_column), "") if span.file else ""


@functools.lru_cache(4096)
def operands(span: Span) -> tuple[str, ...]:
    """The two sides of a binary expression or of `x *= y`, or the arguments of a call, as they are written."""
    try:
        (statement,) = ast.parse(source_of(span, 10_000).strip()).body
    except (SyntaxError, ValueError):
        return ()
    if isinstance(statement, ast.AugAssign):
        return ast.unparse(statement.target), ast.unparse(statement.value)
    if not isinstance(statement, ast.Expr):
        return ()
    node = statement.value
    if isinstance(node, ast.BinOp):
        return ast.unparse(node.left), ast.unparse(node.right)
    if isinstance(node, ast.Call):
        inner = [node.func.value] if isinstance(node.func, ast.Attribute) and not is_module(node.func.value) else []
        return tuple(ast.unparse(x) for x in [*inner, *node.args])
    if isinstance(node, ast.UnaryOp):
        return (ast.unparse(node.operand),)
    if isinstance(node, ast.Subscript):
        return (ast.unparse(node.value),)
    return ()


def elements(text: str) -> tuple[str, ...]:
    """The elements of a list or tuple, as they are written; none where a text is no such."""
    node = ast.parse(text, mode="eval").body
    return tuple(ast.unparse(x) for x in node.elts) if isinstance(node, (ast.List, ast.Tuple)) else ()


def is_module(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("np", "numpy", "math", "tg")
