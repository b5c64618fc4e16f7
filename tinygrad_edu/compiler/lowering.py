"""How an operation is printed, taken apart: `1.0 / (1.0 + exp(-{0}))` is a negative, an exp, a sum and a quotient.

The one thing to know: what several operations share, such as `output - target` in a loss and in its derivative, can
only be found, and arrays only be written into memory that is used again, one arithmetic step at a time.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np


class Part(NamedTuple):
    """One arithmetic step: a template and its operands, which are numbers, `Input`s, and `Earlier` parts."""

    text: str
    operands: tuple[Any, ...]


class Input(NamedTuple):
    """The operand of the operation that stands at a place."""

    place: int


class Earlier(NamedTuple):
    """The result of an earlier part."""

    place: int


class Place(str):
    """Where an operand goes in a template, such as "{0}", what stood there when recorded, and whether always that."""

    data: Any
    fixed: bool

    def __new__(cls, number: int, data: Any, fixed: bool) -> Place:
        place = super().__new__(cls, f"{{{number}}}")
        place.data, place.fixed = data, fixed
        return place


@cache
def parts_of(template: str) -> tuple[Part, ...]:
    """The steps that a template consists of, in the order in which Python takes them; the last one is the whole.

    >>> [part.text for part in parts_of("1.0 / (1.0 + exp(-{0}))")]
    ['-{0}', 'exp({0})', '{0} + {1}', '{0} / {1}']
    """
    parts: list[Part] = []

    def operand(node: ast.expr) -> Any:
        spine = [node]  # a long sum is nested on its left, deeper than Python's stack
        while isinstance(spine[-1], ast.BinOp):
            spine.append(spine[-1].left)
        found = simple(spine.pop())
        for outer in reversed(spine):
            found = part(outer, [found, operand(taken_out(outer)[1])])
        return found

    def simple(node: ast.expr) -> Any:
        if isinstance(node, ast.Name):
            return Input(int(node.id[1:]))
        if isinstance(node, ast.Constant):
            return node.value
        return part(node, [operand(child) for child in taken_out(node)])

    def part(node: ast.expr, operands: list[Any]) -> Earlier:
        parts.append(Part(re.sub(r"\b_(\d+)\b", r"{\1}", ast.unparse(node)), tuple(operands)))
        return Earlier(len(parts) - 1)

    operand(ast.parse(re.sub(r"\{(\d+)\}", r"_\1", template), mode="eval").body)
    return tuple(parts)


def taken_out(node: ast.expr) -> list[ast.expr]:
    """The operands of a node's outermost step, each replaced in the node by the name of its place."""
    found: list[ast.expr] = []

    def place_for(child: ast.expr) -> ast.expr:
        found.append(child)
        return ast.Name(f"_{len(found) - 1}")

    match node:
        case ast.BinOp():
            node.left, node.right = place_for(node.left), place_for(node.right)
        case ast.UnaryOp():
            node.operand = place_for(node.operand)
        case ast.Attribute():
            node.value = place_for(node.value)
        case ast.Subscript():
            node.value = place_for(node.value)
            if isinstance(node.slice, ast.Tuple):
                node.slice.elts = [place_for(x) if places_in(x) else x for x in node.slice.elts]
            elif places_in(node.slice):
                node.slice = place_for(node.slice)
        case ast.Call():
            if isinstance(node.func, ast.Attribute):
                node.func.value = place_for(node.func.value)
            node.args = [place_for(x) if places_in(x) or is_float(x) else x for x in node.args]
        case _:  # a choice is one step with all that is in it: Python evaluates one side only
            numbers: dict[str, ast.expr] = {}
            for name in places_in(node):
                numbers[name.id] = numbers.get(name.id) or place_for(ast.Name(name.id))
                name.id = numbers[name.id].id  # type: ignore[attr-defined]
    return found


def places_in(node: ast.expr) -> list[ast.Name]:
    return [x for x in ast.walk(node) if isinstance(x, ast.Name) and re.fullmatch(r"_\d+", x.id)]


def is_float(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is float


@cache
def with_module(text: str, module: Any) -> str:
    """A template with `math.` or `np.` before the functions that this module has."""

    def named(match: re.Match[str]) -> str:
        return f"{'np' if module is np else 'math'}.{match[1]}(" if hasattr(module, match[1]) else match[0]

    return re.sub(r"(?<![\w.}])(\w+)\(", named, text)


@cache
def function_of(text: str) -> Callable[..., Any]:
    """A template as a function of its operands."""
    numbers = sorted({int(n) for n in re.findall(r"\{(\d+)\}", text)})
    places = ", ".join(f"_{n}" for n in numbers)
    body = re.sub(r"\{(\d+)\}", r"_\1", text)
    return eval(f"lambda {places}: {body}", {"np": np, "math": math})  # type: ignore[no-any-return]
