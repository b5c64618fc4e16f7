"""The page of all operations, made from their entries: `tinygrad-edu operations > docs/operations.md`.

The one thing to know: nothing is written here about any operation. Documentation, formula and shapes are the entry's; a
rule is shown as its source.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

from tinygrad_edu import ops
from tinygrad_edu.core.operation import Operation

HEAD = """# All operations

This page is made from the entries by `tinygrad-edu operations`. An operation is one entry: what it computes, its
formula, its shapes, and its rule. In a rule, `g` is the cotangent of the result and `out` the result; it gives the
cotangents of the inputs, in order. Functions without a rule are composed of operations.
"""


def page() -> str:
    """The whole page, as Markdown."""
    return "\n".join([HEAD, *(line for family in [*ops.FAMILIES, "loss"] for line in section(family))]).rstrip() + "\n"


def section(family: str) -> Iterator[str]:
    """A family: what its file says of itself, its operations, and what is composed of them."""
    module = import_module(f"tinygrad_edu.ops.{family}")
    yield f"## {family.replace('_', ' ').capitalize()}\n"
    yield first_paragraph(module.__doc__) + "\n"
    entries: dict[int, str] = {}
    for name in assigned_in(module):
        entry = getattr(module, name)
        if isinstance(entry, Operation):
            entries.setdefault(id(entry), name)  # not again under numpy's second name for it
    for name in entries.values():
        yield from operation_lines(name, getattr(module, name))
    composed = [name for name in ops.FAMILIES.get(family, "").split() if not isinstance(getattr(ops, name), Operation)]
    if composed:
        yield "Composed of operations, or with plain results:\n"
        for name in composed:
            yield f"- `{name}`: {first_paragraph(getattr(ops, name).__doc__)}"
        yield ""


def assigned_in(module: ModuleType) -> list[str]:
    """The names that a module gives at its top level, in order: not what it imports."""
    names = []
    for node in ast.parse(inspect.getsource(module)).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        names += [target.id for target in targets if isinstance(target, ast.Name)]
    return names


def operation_lines(name: str, entry: Operation) -> Iterator[str]:
    public = name if name in ops.FAMILY_OF else entry.name
    yield f"### {public}\n"
    yield f"{' '.join((entry.__doc__ or '').split())}\n"
    yield f"- formula: {entry.formula}"
    yield f"- shapes: {entry.shapes}"
    source = rules_source(entry.rules)
    if "\n" in source:
        yield f"- rule:\n\n```text\n{source}\n```\n"
    else:
        yield f"- rule: `{source}`\n"


def rules_source(rules: Any) -> str:
    """The rules as they are written; where each input has its own, in order."""
    if isinstance(rules, tuple):
        return ", ".join(rule_source(rule) if rule else "none" for rule in rules)
    return rule_source(rules)


def rule_source(rule: Callable[..., Any]) -> str:
    """What a rule returns, as it is written: the body of a lambda, or of a function."""
    path = inspect.getsourcefile(rule)
    assert path is not None
    with open(path, encoding="utf-8") as file:
        source = file.read()
    line = rule.__code__.co_firstlineno
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Lambda) and node.lineno == line:
            return tidy(ast.get_source_segment(source, node.body) or "")
        if isinstance(node, ast.FunctionDef) and node.lineno == line:
            lines = source.splitlines()[node.body[0].lineno - 1 : node.end_lineno]
            body = textwrap.dedent("\n".join(lines))
            return tidy(body.removeprefix("return ")) if len(node.body) == 1 else body
    raise ValueError(f"no rule stands at {path}:{line}")


def tidy(expression: str) -> str:
    """An expression on one line where it fits; a tuple of one without its parentheses."""
    flat = " ".join(expression.split())
    for opening in ("(", "["):
        flat = flat.replace(f"{opening} ", opening)
    flat = flat.replace(" )", ")").replace(" ]", "]").replace(",)", ")")
    if flat.startswith("(") and flat.endswith(")") and expression.rstrip(") \n").endswith(","):
        flat = flat[1:-1].rstrip(",")
    return flat if len(flat) < 110 else expression


def first_paragraph(doc: str | None) -> str:
    return " ".join((doc or "").split("\n\n")[0].split())
