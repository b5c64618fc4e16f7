"""What a function does while it is being compiled: comparisons are recorded, and reading a number is an error.

The one thing to know: nothing in the core knows of compiling. A recorder observes the context, so it sees every Value
alike: arguments, what is computed of them, and what the function reads from outside.
"""

from __future__ import annotations

import operator as op
import sys
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

from tinygrad_edu.core import backward
from tinygrad_edu.core.context import Observer
from tinygrad_edu.core.value import Value
from tinygrad_edu.ops import comparison

MASKS: dict[Callable[..., Any], Callable[[Any, Any], Any]] = {
    op.eq: comparison.equal_mask,
    op.ne: comparison.not_equal_mask,
    op.lt: comparison.less_mask,
    op.le: comparison.less_equal_mask,
    op.gt: comparison.greater_mask,
    op.ge: comparison.greater_equal_mask,
    op.and_: comparison.logical_and_mask,
    op.or_: comparison.logical_or_mask,
    op.invert: lambda a, _: comparison.equal_mask(a, 0.0),
}
"""What records a comparison, or what `&`, `|` and `~` make of such."""


class Recorder(Observer):
    """Observes one recording.

    Attributes:
        owners: For each recorded cotangent the Value that it belongs to.
        outer: The observer around, such as the recorder of a function that this one is compiled for.
        static: Let Python read numbers: what it does by them is then done always.
    """

    def __init__(self, outer: Observer | None, static: bool) -> None:
        self.owners: dict[Value, Value] = {}
        self.outer, self.static = outer, static

    def compared(self, compare: Callable[..., Any], a: Any, b: Any) -> Any:
        if self.static:
            return NotImplemented
        return MASKS[compare](a, b)

    def read(self, value: Value) -> None:
        if not self.static:
            raise TypeError(refusal(value, sys._getframe(1)))

    def pulled_back(self, cotangents: Mapping[Value, Any], create_graph: bool) -> None:
        if create_graph:
            for node, g in cotangents.items():
                self.owners.setdefault(g, node)
        if self.outer is not None:
            self.outer.pulled_back(cotangents, create_graph)


def refusal(value: Value, frame: FrameType | None) -> str:
    """Why a number can't be read: by whose rule, or at which line of the user's."""
    while frame and frame.f_globals.get("__name__", "").partition(".")[0] in ("tinygrad_edu", "numpy"):
        if frame.f_code is backward.cotangents.__code__:
            name = frame.f_locals["operation"].name
            return f"{name} can't be compiled: its gradient rule looks at numbers, and would be recorded for these only"
        frame = frame.f_back
    place = f"{frame.f_code.co_filename}:{frame.f_lineno}: " if frame else ""
    return (
        f"{place}while compiling, Python reads the data of {value!r}, as a branch or a loop bound does: only this way "
        "would be recorded. Use tg.where, or compile with static=True to take this way always"
    )
