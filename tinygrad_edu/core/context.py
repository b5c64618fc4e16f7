"""What applies to the operations of this thread or task: whether they are recorded, their group, and who observes them.

The one thing to know: a context is a plain tuple, since every operation reads it. A generator that enters one and then
yields must not leave it to whoever it yields to; so within a generator it is a layer, which counts while that runs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from functools import wraps
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

if TYPE_CHECKING:
    from tinygrad_edu.core.value import Value

Context: TypeAlias = "tuple[bool | None, Any, Observer | None]"
"""Whether operations are recorded, the names of the groups around, and the observer; (None, layers, None) in layers."""

context: ContextVar[Context] = ContextVar("tinygrad_edu", default=(True, (), None))

depth: ContextVar[int] = ContextVar("tinygrad_edu.depth", default=0)
"""How many functions that are being differentiated the running code is inside of."""

Function = TypeVar("Function", bound=Callable[..., Any])
CO_GENERATOR, CO_ASYNC_GENERATOR = 0x20, 0x200  # those of inspect, whose import takes long


class Observer:
    """Who is told what happens to Values while it is in the context. By itself it takes no part.

    Attributes:
        differentiates: Whether it must see backward walks too: their gradients are Values then, always.
    """

    differentiates = False

    def made(self, node: Value, operation: Any, inputs: Any, data: Any, params: Any) -> None:
        """An operation made a node of these inputs and their data, also where the node itself doesn't record that."""

    def created(self, leaf: Value) -> None:
        """Code made a Value of data."""

    def copied(self, leaf: Value, of: Value) -> None:
        """A leaf was made that has the data of another Value, without its gradient."""

    def indexed(self, x: Any, key: Any) -> Any:
        """Code asks for x[key]; gives the result, or NotImplemented where it is as always."""
        return NotImplemented

    def stored(self, output: Value) -> None:
        """A backward walk is about to set gradients."""

    def read(self, value: Value) -> None:
        """Code asks for the numbers of a Value, or changes them."""

    def compared(self, compare: Callable[..., Any], a: Any, b: Any) -> Any:
        """Code compares a Value; gives the result, or NotImplemented where the numbers are to be compared."""
        return NotImplemented

    def contributed(self, node: Value, place: int, incoming: Any, g: Any, total: Any) -> None:
        """By the rule of `node`, whose cotangent is `incoming`, its parent at `place` gets `g`, which makes `total`."""

    def pulled_back(self, cotangents: Mapping[Value, Any], create_graph: bool) -> None:
        """A backward walk ended with these cotangents."""


class changed:  # noqa: N801 - used as `with changed(…):`
    """Within it another context applies: `change` of the one around. Other threads and tasks are not affected."""

    __slots__ = ("change", "entered")

    def __init__(self, change: Callable[[Context], Context]) -> None:
        self.change = change
        self.entered: list[tuple[Context, Any]] = []  # what was around, and the layer where there is one

    def __enter__(self) -> None:
        before = context.get()
        frame = generator_frame(sys._getframe(1))
        if frame is None and before[0] is not None:
            self.entered.append((before, None))
            context.set(self.change(before))
            return
        layer = (self.change, frame)
        base, layers = before[1] if before[0] is None else (before, ())
        self.entered.append((before, layer))
        context.set((None, (base, (*layers, layer)), None))

    def __exit__(self, *error: object) -> None:
        before, layer = self.entered.pop()
        now = context.get()
        if now[0] is not None:
            if layer is None:  # else another thread or task ends the generator
                context.set(before)
            return
        base, layers = now[1]
        rest = tuple(x for x in layers if x is not layer)
        base = before if layer is None else base
        context.set((None, (base, rest), None) if rest else base)

    def __call__(self, function: Function) -> Function:
        """As a decorator: the function runs within it."""

        @wraps(function)
        def within(*args: Any, **options: Any) -> Any:
            with changed(self.change):
                return function(*args, **options)

        return within  # type: ignore[return-value]


def current() -> Context:
    """The context as it is now, without the layers of generators that don't run."""
    found = context.get()
    if found[0] is not None:
        return found
    layers: Sequence[tuple[Callable[[Context], Context], FrameType | None]]
    found, layers = found[1]
    for change, frame in layers:
        if frame is None or frame.f_back is not None:
            found = change(found)
    return found


def generator_frame(frame: FrameType) -> FrameType | None:
    """The frame of the generator that enters a context; None outside of one, and where it makes a context manager."""
    while frame.f_code.co_filename == __file__:
        frame = frame.f_back  # type: ignore[assignment]
    if not frame.f_code.co_flags & (CO_GENERATOR | CO_ASYNC_GENERATOR):
        return None
    return None if frame.f_back and frame.f_back.f_globals.get("__name__") == "contextlib" else frame


def recording(on: bool) -> changed:
    """Within it operations are recorded, or not."""
    return changed(lambda around: (on, around[1], around[2]))


OBSERVED = [0]
"""How many observers there are now, in all threads: where there is none, nobody needs to ask the context."""


class observing(changed):  # noqa: N801 - used as `with observing(…):`
    """Within it `observer` is told what happens."""

    __slots__ = ()

    def __init__(self, observer: Observer | None) -> None:
        super().__init__(lambda around: (around[0], around[1], observer))

    def __enter__(self) -> None:
        OBSERVED[0] += 1
        super().__enter__()

    def __exit__(self, *error: object) -> None:
        OBSERVED[0] -= 1
        super().__exit__(*error)


def no_grad() -> changed:
    """Within it nothing is recorded: results are leaves. Other threads and tasks are not affected.

    In a generator it applies while the generator runs, and not to the code that it yields to.

    >>> import tinygrad_edu as tg
    >>> with tg.no_grad():
    ...     y = tg.Value(2.0) * 3.0
    >>> y.parents
    ()
    """
    return recording(False)


class group(changed):  # noqa: N801 - used as `with group("encoder"):`
    """Within it, new Values belong to the named group, which a picture frames. Groups nest.

    In a generator it applies while the generator runs, and not to the code that it yields to.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(lambda around: (around[0], (*around[1], name), around[2]))
