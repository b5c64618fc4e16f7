"""What functions of courses take and return, by the names in their source."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

PREFIXES = ("dL_d", "dL", "grad_", "gradient_", "d_", "g_", "d", "g")
SUFFIXES = ("_grad", "_gradient", "_g", "grad")
RATES = ("lr", "learning_rate", "rate", "eta", "alpha", "step_size")
"""What a backward pass that updates its parameters takes; with 0 it leaves them as they are."""
CACHES = ("cache", "caches", "ctx", "context", "saved", "memory", "cached", "state")


def argument_names(function: Callable[..., Any], n: int | None) -> list[str]:
    """The names of a function's positional arguments: of the first n, or of all that have no default."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (ValueError, TypeError):  # some compiled functions tell nothing of their arguments
        parameters = []
    own = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if n is None:
        return [p.name for p in own if p.default is p.empty]
    names = [p.name for p in own][:n]
    return [*names, *(f"input {i}" for i in range(len(names), n))]


def takes_any_number(function: Callable[..., Any]) -> bool:
    """Whether a function has an argument `*args`."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (ValueError, TypeError):
        return False
    return any(p.kind is p.VAR_POSITIONAL for p in parameters)


def stands_for(gradient: str, name: str) -> bool:
    """Whether a gradient's name belongs to a variable: dW to W, grads_b to b, dA_prev to A_prev …"""
    if gradient == name:
        return True
    short = {gradient[len(p) :] for p in PREFIXES if gradient.startswith(p)}
    short |= {gradient[: -len(s)] for s in SUFFIXES if gradient.endswith(s)}
    return name in short or name.lower() in {text.lower().strip("_") for text in short}


def is_gradient_of(gradient: str, name: str) -> bool:
    """Whether a gradient's name belongs to a variable, and is another than its own."""
    return bool(name) and gradient != name and stands_for(gradient, name)


def may_be_a_gradient(name: str) -> bool:
    """Whether a result may be a gradient by its name: an expression has none, and a gradient often begins with d."""
    return not name or name.startswith(PREFIXES) or name.endswith(SUFFIXES)


def returned_names(function: Callable[..., Any]) -> list[str]:
    """The names in a function's last `return`, "" for an expression; none where its source isn't at hand."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError, IndentationError):
        return []
    outer = next((node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)), None)
    found: list[ast.Return] = []
    todo: list[ast.AST] = list(outer.body) if outer else []
    while todo:
        node = todo.pop(0)
        if isinstance(node, ast.Return):
            found.append(node)
        elif not isinstance(node, (ast.FunctionDef, ast.Lambda)):
            todo += list(ast.iter_child_nodes(node))
    if not found or found[-1].value is None:
        return []
    value = max(found, key=lambda node: node.lineno).value
    parts = value.elts if isinstance(value, (ast.Tuple, ast.List)) else [value]
    return [getattr(part, "id", getattr(part, "attr", "")) for part in parts]


def needs_no_dout(backward: Callable[..., Any], names: Sequence[str], has_cache: bool) -> bool:
    """Whether a backward pass can be called without a cotangent: it takes none, or has a default for it.

    All that it needs is the cache, or the forward pass's own arguments, whose `names` these are.
    """
    takes = argument_names(backward, None)
    if takes_any_number(backward):
        return False
    return len(takes) <= has_cache or (bool(takes) and takes == list(names) and not has_cache)


def call_of_backward(
    backward: Callable[..., Any],
    douts: Sequence[Any],
    cache: Any,
    args: Sequence[Any],
    names: Sequence[str],
    has_cache: bool,
) -> Any:
    """Call a backward pass with what it takes: the cotangents, the cache, and arguments of the forward pass by name."""
    takes = argument_names(backward, None)
    if len(takes) <= len(douts) and not has_cache and not takes_any_number(backward):
        return backward(*douts)
    if len(takes) == 2 and len(douts) == 1 and has_cache and takes[0] in CACHES:
        return backward(cache, *douts)
    if takes_any_number(backward) and not has_cache:
        return backward(*douts, *args)
    rest = takes[len(douts) :]
    if has_cache and len(rest) <= 1:
        return backward(*douts, cache)
    by_name, given, cached = dict(zip(names, args, strict=True)), [], not has_cache
    left = list(args)
    for name in rest:
        if name in by_name and not (name in CACHES and not cached):
            given.append(by_name[name])
        elif not cached:
            given.append(cache)
            cached = True
        elif name in RATES:
            given.append(0.0)
            continue
        elif left:
            given.append(left[0])
        left = left[1:]
    if len(given) < len(rest):
        raise TypeError(
            f"the backward pass takes {', '.join(takes)}: it is given the gradient of each output, the cache, and "
            "arguments of the forward pass by their names. For a step that takes data and updates parameters itself, "
            "see gradcheck(loss, *parameters, gradient=...)"
        )
    return backward(*douts, *given)
