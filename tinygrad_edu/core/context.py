"""What applies to the operations of this thread or task: whether they are recorded, and the group they belong to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar, Token
from typing import TypeAlias

Context: TypeAlias = tuple[bool, tuple[str, ...]]
"""What applies to the operations of this thread or task: whether they are recorded, and the group they belong to."""

context: ContextVar[Context] = ContextVar("tinygrad_edu", default=(True, ()))


@contextmanager
def recording(on: bool) -> Iterator[None]:
    """Within it operations are recorded, or not; the group stays."""
    token = context.set((on, context.get()[1]))
    try:
        yield
    finally:
        context.reset(token)


def no_grad() -> AbstractContextManager[None]:
    """Within it nothing is recorded: results are leaves. Other threads and tasks are not affected.

    >>> import tinygrad_edu as tg
    >>> with tg.no_grad():
    ...     y = tg.Value(2.0) * 3.0
    >>> y.parents
    ()
    """
    return recording(False)


class group:  # noqa: N801 - used as `with group("encoder"):`
    """Within it, new Values belong to the named group, which a picture frames. Groups nest."""

    __slots__ = ("name", "token")

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        recording, path = context.get()
        self.token: Token[Context] = context.set((recording, (*path, self.name)))

    def __exit__(self, *error: object) -> None:
        context.reset(self.token)


class Groups:
    """Sibling groups that are entered again and again, such as the neurons of a layer for every row.

    `contexts` are made once for each surrounding context.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.made: tuple[Context | None, list[Context]] = (None, [])

    def contexts(self, outer: Context) -> list[Context]:
        around, made = self.made
        if around is not outer:
            made = [(outer[0], (*outer[1], name)) for name in self.names]
            self.made = (outer, made)
        return made
