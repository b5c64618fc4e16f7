"""What a function does while it is being compiled: a tape of its operations, and an error where it reads a number.

The one thing to know: nothing in the core knows of compiling. A recorder observes the context, so it sees every Value
alike: arguments, what is computed of them, and what the function reads from outside; and every operation, also those
that the function's own graph doesn't keep, such as those within `no_grad`.
"""

from __future__ import annotations

import operator as op
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FrameType, TracebackType
from typing import Any, NamedTuple, NoReturn

import numpy as np

from tinygrad_edu import advice
from tinygrad_edu.compiler import integers
from tinygrad_edu.compiler.integers import LARGEST, OF_TRUTHS, Bound, Whole, as_double, as_number
from tinygrad_edu.core import backward
from tinygrad_edu.core.context import Observer
from tinygrad_edu.core.value import NO_PARAMS, Value
from tinygrad_edu.ops import comparison
from tinygrad_edu.ops.methods import Methods

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


class Made(NamedTuple):
    """How a Value was made: by an operation or, where that is None, as the numbers of another."""

    operation: Any
    inputs: Sequence[Any]
    data: Sequence[Any]
    params: Mapping[str, Any]


class FixedError(BaseException):
    """Python reads arguments that are one whole number each: at these places, they are to be recorded as they are."""

    def __init__(self, places: set[int]) -> None:
        super().__init__(places)
        self.places = places


class Recorder(Observer):
    """Observes one recording.

    Attributes:
        tape: How each Value was made, in order.
        given: The arguments' Values, with their places.
        arrays: Those of them that stand for plain arrays, which an in-place operator would change.
        inside: The Values that the function made of plain data.
        owners: For each recorded cotangent the Value that it belongs to.
        outer: The observer around, such as the recorder of a function that this one is compiled for.
        static: Let Python read numbers: what it does by them is then done always.
        most: How large whole numbers may be for what was recorded to be what they give; None where that is no matter.
        fixed: The places of arguments that Python reads.
        lines: Where each Value was made, if that is to be noted.
    """

    differentiates = True

    def __init__(self, outer: Observer | None, static: bool) -> None:
        self.tape: dict[Value, Made] = {}
        self.given: dict[Value, int] = {}
        self.arrays: list[Value] = []
        self.inside: set[Value] = set()
        self.owners: dict[Value, Value] = {}
        self.outer, self.static = outer, static
        self.most: float | None = None
        self.fixed: set[int] = set()
        self.lines: list[str] | None = None

    def let_go(self) -> None:
        """Forget what was seen: whole numbers refer to their recorder, so that else all would wait for a collection."""
        for seen in (self.tape, self.given, self.arrays, self.inside, self.owners):
            seen.clear()

    def made(
        self, node: Value, operation: Any, inputs: Sequence[Any], data: Sequence[Any], params: Mapping[str, Any]
    ) -> None:
        self.tape[node] = Made(operation, inputs, data, params)
        if self.arrays and inputs and isinstance(inputs[0], Value) and in_place():
            self.refuse_change(inputs[0])
        if params and any(isinstance(x, Value) for x in params.values()):
            raise TypeError(
                f"{place()}while compiling, {operation.name} is given a Value for a parameter, not an input"
            )
        if self.lines is not None:
            self.lines.append(place())
        if self.outer is not None:
            self.outer.made(node, operation, inputs, data, params)

    def refuse_change(self, left: Value) -> None:
        """Raises TypeError where what is left of an in-place operator is an argument's array, or a part of one."""
        for x in self.arrays:
            if left is x or np.may_share_memory(left._data, x._data):
                raise TypeError(
                    f"{place()}while compiling, an in-place operator changes the argument {Value.__repr__(x)}, and a "
                    "recorded call changes no argument: write w = w - step for w -= step, and return what it becomes"
                )

    def created(self, leaf: Value) -> None:
        self.inside.add(leaf)

    def copied(self, leaf: Value, of: Value) -> None:
        self.alias(leaf, of)

    def alias(self, leaf: Value, of: Value) -> Value:
        """A leaf that has the numbers of another Value."""
        self.tape[leaf] = Made(None, (of,), (of._data,), NO_PARAMS)
        if self.lines is not None:
            self.lines.append(place())
        return leaf

    def needs(self, bound: Bound) -> None:
        """Whole numbers are computed as floats, which is right as long as they are told apart."""
        self.most = min(bound.most(), LARGEST if self.most is None else self.most)

    def whole(self, node: Value, kind: Any, bound: Bound) -> Any:
        """A Value known to be whole numbers."""
        node = as_number(node)
        return self.alias(Whole(node._data, kind, bound, self), node)

    def stored(self, output: Value) -> None:
        raise TypeError(
            f"{place()}while compiling, backward() would set the gradients of Values; use tg.gradients(loss, [w, …]), "
            "which gives them"
        )

    def compared(self, compare: Callable[..., Any], a: Any, b: Any) -> Any:
        if self.static:
            return NotImplemented
        logical = compare in (op.and_, op.or_, op.invert)
        if logical and any(integers.is_integers(x) and not integers.is_truths(x) for x in (a, b)):
            return NotImplemented
        if compare in (op.eq, op.ne) and any(x is None or isinstance(x, (str, bytes)) for x in (a, b)):
            return NotImplemented  # no number equals one
        for x in (a, b):
            if isinstance(x, Whole) and not logical:
                self.needs(x.bound)
        found = as_double(MASKS[compare](a, b))
        return self.whole(found, bool if type(found._data) is float else np.dtype(bool), OF_TRUTHS)

    def indexed(self, x: Any, key: Any) -> Any:
        parts = key if isinstance(key, tuple) else (key,)
        if not any(isinstance(part, Whole) for part in parts):
            return NotImplemented
        return integers.indexed(x, key, self.refuse_mask)

    def refuse_mask(self, mask: Value) -> NoReturn:
        raise TypeError(
            f"{place()}while compiling, the mask {mask!r} decides how many entries there are: only this shape would be "
            "recorded. Use tg.where(mask, x, 0.0), which keeps the shape"
        )

    def read(self, value: Value) -> None:
        if self.static:
            return
        behind = list(self.behind(value))
        if not behind:
            return  # constants
        places = {self.given.get(x, -1) for x in behind}
        if all(isinstance(x, Whole) and not x.ndim for x in behind) and -1 not in places:
            self.fixed |= places
            raise FixedError(places)
        if isinstance(value, Whole) and np.dtype(value.kind).kind != "b":
            raise TypeError(
                f"{place()}while compiling, numpy or Python computes with the whole numbers {Value.__repr__(value)} in "
                "a way that isn't recorded; make floats of them before the call, index a Value by them, or use tg.where"
            )
        raise TypeError(refusal(value, sys._getframe(1)))

    def behind(self, value: Value) -> Iterator[Value]:
        """The arguments and the Values from outside that a Value was made of."""
        stack, seen = [value], {value}
        while stack:
            x = stack.pop()
            made = self.tape.get(x)
            if made is not None:
                parents = [p for p in made.inputs if isinstance(p, Value) and p not in seen]
                seen.update(parents)
                stack += parents
            elif x in self.given or x not in self.inside:
                yield x

    def pulled_back(self, cotangents: Mapping[Value, Any], create_graph: bool) -> None:
        if create_graph:
            for node, g in cotangents.items():
                if isinstance(g, Value):
                    self.owners.setdefault(g, node)
        if self.outer is not None:
            self.outer.pulled_back(cotangents, create_graph)


def is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] in advice.PASSED


def in_place() -> bool:
    """Whether an in-place operator makes the node that is made now."""
    frame: FrameType | None = sys._getframe(1)
    while frame and is_ours(frame):
        if frame.f_code is Methods.__iadd__.__code__:  # which all of them share
            return True
        frame = frame.f_back
    return False


def users_frame() -> FrameType | None:
    frame: FrameType | None = sys._getframe(1)
    while frame and is_ours(frame):
        frame = frame.f_back
    return frame


def place() -> str:
    """File and line of the function that is recorded, at the front of a message."""
    frame = users_frame()
    return f"{frame.f_code.co_filename}:{frame.f_lineno}: " if frame else ""


def refusal_of(error: Exception) -> Exception | None:
    """What an error means while recording: ours, which numpy may have put its own on top of, with the user's line.

    None where it says that already, or is one of the user's own function.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, TypeError) and "while compiling" in str(cause):
            return None if cause is error else TypeError(*cause.args)
        cause = cause.__cause__
    frames = list(frames_of(error))
    users = next((at for at in reversed(frames) if not is_ours(at.tb_frame)), None)
    found = advice.behind(error)
    by_us = type(error) in (TypeError, ValueError) and is_ours(frames[-1].tb_frame)
    if users is None or (found is None and not by_us):
        return None
    line = f"{users.tb_frame.f_code.co_filename}:{users.tb_lineno}: while compiling, "
    return TypeError(f"{line}{found}") if found else type(error)(f"{line}{error}")


def frames_of(error: Exception) -> Iterator[TracebackType]:
    at = error.__traceback__
    while at is not None:
        yield at
        at = at.tb_next


def refusal(value: Value, frame: FrameType | None) -> str:
    """Why a number can't be read: by whose rule, or at which line of the user's."""
    made_plain = as_text = False
    while frame and is_ours(frame):
        made_plain = made_plain or frame.f_code.co_name in ("__float__", "__int__", "as_integer_ratio", "__reduce__")
        as_text = as_text or frame.f_code.co_name == "__format__"
        if frame.f_code is backward.cotangents.__code__:
            name = frame.f_locals["operation"].name
            return f"{name} can't be compiled: its gradient rule looks at numbers, and would be recorded for these only"
        frame = frame.f_back
    at = f"{frame.f_code.co_filename}:{frame.f_lineno}: " if frame else ""
    if made_plain:
        return f"{at}while compiling, {Value.__repr__(value)} is to become a plain number: {advice.way_out(frame)}"
    if as_text:
        return (
            f"{at}while compiling, {Value.__repr__(value)} is to become a text, which would be that of this number "
            "only: return the Value, and format what the call gives"
        )
    return (
        f"{at}while compiling, Python reads the data of {Value.__repr__(value)}, as a branch or a loop bound does: "
        "only this way would be recorded. Use tg.where, or compile with static=True to take this way always"
    )
