"""What pictures and pages may be told: which way they go, and what boxes show."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal, TypeAlias

import numpy as np

from tinygrad_edu.core.value import Value

Direction: TypeAlias = Literal["LR", "TB", "RL", "BT"]
Part: TypeAlias = Literal["cards", "nodes", "data", "grad", "local", "shape"]

DIRECTIONS = ("LR", "TB", "RL", "BT")
PARTS = ("cards", "nodes", "data", "grad", "local", "shape")


def parts_of(show: Part | Collection[Part]) -> frozenset[str]:
    """What boxes show, and whether operations stand singly. Raises ValueError for a word that there isn't."""
    words = {show} if isinstance(show, str) else set(show)
    if unknown := words - set(PARTS):
        raise ValueError(f"show may hold {', '.join(PARTS)}, got {', '.join(sorted(map(repr, unknown)))}")
    if "local" in words:
        words.add("nodes")
    if not words & {"data", "grad", "local", "shape"}:
        words |= {"data", "grad", "shape"}
    return frozenset(words)


def check_limits(depth: Any, max_nodes: Any, names: Any) -> None:
    """Raise TypeError or ValueError, with its name, for what is no whole number or no names of Values."""
    for name, given, least in (("depth", depth, 0), ("max_nodes", max_nodes, 1)):
        if given is None and name == "depth":
            continue
        if not isinstance(given, (int, np.integer)) or isinstance(given, bool):
            raise TypeError(f"{name} must be a whole number, got {given!r}")
        if given < least:
            raise ValueError(f"{name} must be at least {least}, got {given}")
    if names is not None and not isinstance(names, Mapping):
        raise TypeError(f"names must be a dict from names to Values, such as names=locals(), got {names!r}")


def check_value(x: Any, needs: str, call: str) -> None:
    """Raise TypeError unless x is a Value; of what computes one it says to give what it computes."""
    if isinstance(x, Value):
        return
    hint = ""
    if callable(x):
        word = getattr(x, "__name__", type(x).__name__.lower())
        hint = f": give what it computes, {call.format(f'{word}(row)' if hasattr(x, 'parameters') else f'{word}(x)')}"
    elif isinstance(x, (list, tuple)):
        hint = f": give one of its entries, {call.format('values[0]')}"
    elif isinstance(x, str):
        hint = f": give the Value itself, not its name {x!r}"
    raise TypeError(f"{needs}, got {type(x).__name__}{hint}")
