"""What may run a printed source."""

from __future__ import annotations

from typing import Literal, cast

Backend = Literal["python", "numba"]


def check_backend(backend: str) -> Backend:
    """The backend itself. Raises ValueError where there is none of that name."""
    if backend not in ("python", "numba"):
        raise ValueError(f'backend must be "python" or "numba", got {backend!r}')
    return cast(Backend, backend)
