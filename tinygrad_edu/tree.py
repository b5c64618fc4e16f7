"""Nested tuples, lists and dicts of numbers and arrays: taken apart into their leaves, and put together again."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from copy import copy
from typing import Any


def leaves_of(tree: Any) -> list[Any]:
    """What stands in a nested structure, in order; dicts in the order of their keys' insertion.

    >>> leaves_of({"w": [1.0, 2.0], "b": (3.0,)})
    [1.0, 2.0, 3.0]
    """
    leaves: list[Any] = []
    collect(tree, leaves)
    return leaves


def collect(tree: Any, leaves: list[Any]) -> None:
    if isinstance(tree, dict):
        tree = tree.values()
    elif not isinstance(tree, (list, tuple)):
        leaves.append(tree)
        return
    for part in tree:
        collect(part, leaves)


def rebuilt(tree: Any, leaves: Iterator[Any]) -> Any:
    """The same structure with other leaves."""
    return mapped(lambda _: next(leaves), tree)


def mapped(function: Callable[[Any], Any], tree: Any) -> Any:
    """The same structure with `function` of each leaf."""
    if isinstance(tree, dict):
        made = {} if type(tree) is dict else copy(tree)  # a defaultdict keeps its default
        for key, part in tree.items():
            made[key] = mapped(function, part)
        return made
    if isinstance(tree, (list, tuple)):
        parts = [mapped(function, part) for part in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
    return function(tree)


def same_structure(a: Any, b: Any) -> bool:
    """Whether two trees differ in their leaves only."""
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same_structure(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return isinstance(b, (list, tuple)) and len(a) == len(b) and all(map(same_structure, a, b))
    return not isinstance(b, (dict, list, tuple))


def path_names(tree: Any, name: str) -> list[str]:
    """A name for each leaf that tells the way to it, such as `parameters[0]['bias']`."""
    if isinstance(tree, dict):
        return [path for key, part in tree.items() for path in path_names(part, f"{name}[{key!r}]")]
    if isinstance(tree, (list, tuple)):
        return [path for i, part in enumerate(tree) for path in path_names(part, f"{name}[{i}]")]
    return [name]


def argument_names(function: Callable[..., Any], n: int) -> list[str]:
    """The names of a function's first n positional arguments, from which paths start."""
    try:
        parameters = inspect.signature(function).parameters.values()
        names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    except ValueError:  # some compiled functions tell nothing of their arguments
        names = []
    return [*names[:n], *(f"input {i}" for i in range(len(names), n))]


def leaves_with_paths(function: Callable[..., Any], args: tuple[Any, ...]) -> Iterator[tuple[Any, str]]:
    """The leaves of a function's arguments, each with the way to it from the argument's name."""
    for argument, arg in zip(argument_names(function, len(args)), args, strict=True):
        yield from zip(leaves_of(arg), path_names(arg, argument), strict=True)
