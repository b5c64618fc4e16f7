"""The page of all operations, made from their entries: `tinygrad-edu operations > docs/operations.md`.

The one thing to know: nothing is written here about any operation. Documentation, formula and shapes are the entry's; a
rule is shown as its source.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from tinygrad_edu import ops
from tinygrad_edu.core.operation import Operation
from tinygrad_edu.ops.comparison import PLAIN

HEAD = """# All operations

This page is made from the entries by `tinygrad-edu operations`. An operation is one entry: what it computes, its
formula, its shapes, and its rules. `∂a: g * b` is the rule of the input a: what its cotangent is, where `g` is the
cotangent of the result and `out` the result. Of several inputs xᵢ, i counts from 0. Functions without a rule are
composed of operations. What else rules are written with stands at the end.
"""


def page() -> str:
    """The whole page, as Markdown."""
    families = [*ops.FAMILIES, "loss"]
    lines = [HEAD, *(line for family in families for line in section(family)), *vocabulary(families)]
    return "\n".join(lines).rstrip() + "\n"


def section(family: str) -> Iterator[str]:
    """A family: what its file says of itself, its operations, and what is composed of them."""
    module = import_module(f"tinygrad_edu.ops.{family}")
    yield f"## {family.replace('_', ' ').capitalize()}\n"
    yield first_paragraph(module.__doc__) + "\n"
    for name, entry in entries_of(module).items():
        yield from operation_lines(name, entry)
    further = [name for name in ops.FAMILIES.get(family, "").split() if not isinstance(getattr(ops, name), Operation)]
    composed = [name for name in further if getattr(ops, name) not in PLAIN]
    if composed:
        yield "Composed of operations, or with plain results:\n"
        for name in composed:
            yield f"- `{name}`: {first_paragraph(getattr(ops, name).__doc__)}"
        yield ""
    if plain := [f"`{name}`" for name in further if name not in composed]:
        yield "numpy's functions, with plain results, which have no gradient:\n"
        yield textwrap.fill(", ".join(plain), 120, break_long_words=False, break_on_hyphens=False) + "\n"


def entries_of(module: ModuleType) -> dict[str, Operation]:
    """A family's operations by their names in its file, in order; of one with two names the first."""
    found = {name: getattr(module, name) for name in assigned_in(module)}
    entries: dict[int, str] = {}
    for name, entry in found.items():
        if isinstance(entry, Operation):
            entries.setdefault(id(entry), name)
    return {name: found[name] for name in entries.values()}


def assigned_in(module: ModuleType) -> list[str]:
    """The names that a module gives at its top level, in order: not what it imports."""
    names: list[str] = []
    for node in ast.parse(inspect.getsource(module)).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets:
            parts = target.elts if isinstance(target, ast.Tuple) else [target]
            names += [part.id for part in parts if isinstance(part, ast.Name)]
    return names


def operation_lines(name: str, entry: Operation) -> Iterator[str]:
    yield f"### {heading(name, entry)}\n"
    yield f"{' '.join((entry.forward.__doc__ or '').split())}\n"
    yield f"- formula: {entry.formula}"
    yield f"- shapes: {entry.shapes}"
    for label, rule in labelled_rules(entry):
        source = rule_source(rule) if rule else "0"
        if rule and (result := result_name(rule)) != "out":
            label += f" (`{result}` is the result)"
        yield f"- {label}: `{source}`" if "\n" not in source else f"- {label}:\n\n```text\n{source}\n```\n"
    yield ""


def heading(name: str, entry: Operation) -> str:
    return name if name in ops.FAMILY_OF else entry.name


def labelled_rules(entry: Operation) -> list[tuple[str, Callable[..., Any] | None]]:
    """Each rule with what it gives: the input that it is for, or all of them at once."""
    rules = entry.rules
    if isinstance(rules, tuple):
        return [(f"∂{x}", rule) for x, rule in zip(entry.argument_names, rules, strict=False)]
    for_each = getattr(rules, "__wrapped__", None)
    return [("∂xᵢ", for_each)] if for_each else [("all cotangents, in order", rules)]


def result_name(rule: Callable[..., Any]) -> str:
    names = rule.__code__.co_varnames
    return names[names.index("g") + 1]


def vocabulary(families: Sequence[str]) -> Iterator[str]:
    """What rules are written with that has no heading: each name with what it is."""
    yield "## Words in the rules\n"
    headings: set[str] = set()
    words: dict[str, Any] = {}
    for family in families:
        for name, entry in entries_of(import_module(f"tinygrad_edu.ops.{family}")).items():
            headings.add(heading(name, entry))
            for _, rule in labelled_rules(entry):
                words.update(words_of(rule) if rule else {})
    for word in sorted(words.keys() - headings - ops.FAMILY_OF.keys(), key=str.lower):
        yield f"- `{word}`: {meaning(words[word])}"


def words_of(rule: Callable[..., Any]) -> dict[str, Any]:
    """The library's own names that a rule's source uses, with what they are."""
    known = {**rule.__globals__, **dict.fromkeys(rule.__code__.co_freevars, numpy_function)}
    named = {node.id for node in ast.walk(definition_of(rule)[0]) if isinstance(node, ast.Name)}
    words = {name: known[name] for name in named if name in known and name not in ("Any", "np", "math", "builtins")}
    return {name: x for name, x in words.items() if isinstance(x, float) or (callable(x) and not isinstance(x, type))}


def numpy_function() -> None:
    """The operation's own: numpy's function of its name."""


def meaning(x: Any) -> str:
    """A sentence for a name in a rule: a number, an operation, or what a function's documentation says first."""
    if isinstance(x, float):
        return repr(x)
    if isinstance(x, Operation):
        return f"the operation `{x.name}`"
    return first_paragraph(x.__doc__)


def rule_source(rule: Callable[..., Any]) -> str:
    """What a rule returns, as it is written: the body of a lambda, or of a function."""
    node, source = definition_of(rule)
    if isinstance(node, ast.Lambda):
        return tidy(ast.get_source_segment(source, node.body) or "")
    statements = node.body[1:] if ast.get_docstring(node) else node.body
    body = textwrap.dedent("\n".join(source.splitlines()[statements[0].lineno - 1 : node.end_lineno]))
    return tidy(body.removeprefix("return ")) if len(statements) == 1 else body


def definition_of(rule: Callable[..., Any]) -> tuple[ast.Lambda | ast.FunctionDef, str]:
    """A function's place in the syntax tree of its file, and the file's text; of lambdas on one line the right one."""
    code = rule.__code__
    source, definitions = parsed(code.co_filename)
    found = definitions.get(code.co_firstlineno, [])
    for node in found:
        if len(found) == 1 or isinstance(node, ast.FunctionDef) or begins_with(code, node.body):
            return node, source
    raise ValueError(f"no rule stands at {code.co_filename}:{code.co_firstlineno}")


@cache
def parsed(path: str) -> tuple[str, dict[int, list[ast.Lambda | ast.FunctionDef]]]:
    """A file's text, and the functions that begin on each of its lines."""
    source = Path(path).read_text("utf-8")
    definitions: dict[int, list[ast.Lambda | ast.FunctionDef]] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Lambda, ast.FunctionDef)):
            definitions.setdefault(node.lineno, []).append(node)
    return source, definitions


def begins_with(code: CodeType, body: ast.expr) -> bool:
    """Whether compiled code is that of an expression, by the places that its instructions came from."""
    places = {(line, column) for line, _, column, _ in code.co_positions() if column}
    return (body.lineno, body.col_offset) in places


def tidy(expression: str) -> str:
    """An expression on one line where it fits."""
    flat = " ".join(expression.split())
    for opening, closing in ("()", "[]"):
        flat = flat.replace(f"{opening} ", opening).replace(f" {closing}", closing).replace(f",{closing}", closing)
    return flat if len(flat) < 110 else expression


def first_paragraph(doc: str | None) -> str:
    return " ".join((doc or "").split("\n\n")[0].split())
