"""What pictures and pages may be told: which way they go, and what boxes show."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, TypeAlias

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
