"""What may run a printed source, and what its errors are shown with."""

from __future__ import annotations

from typing import Literal, cast

Backend = Literal["python", "numba"]


def check_backend(backend: str) -> Backend:
    """The backend itself. Raises ValueError where there is none of that name."""
    if backend not in ("python", "numba"):
        raise ValueError(f'backend must be "python" or "numba", got {backend!r}')
    return cast(Backend, backend)


def set_first_cause(error: Exception, first: Exception) -> None:
    """Make an error of the printed source the cause of one of the eager run: a traceback then shows both lines."""
    root: BaseException = error
    while root.__cause__ is not None:
        root = root.__cause__
    if root is not first:
        root.__cause__ = first
