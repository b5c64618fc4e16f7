"""A bar on a terminal for what takes long; nothing where the output goes elsewhere, or where tqdm isn't installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec


@contextmanager
def progress(total: int, unit: str) -> Iterator[Callable[[], object]]:
    """A function to call after each of `total` steps. The bar, of the extra "progress", appears after two seconds."""
    if total < 1000 or find_spec("tqdm") is None:
        yield lambda: None
        return
    from tqdm import tqdm  # optional

    with tqdm(total=total, unit=unit, delay=2.0, disable=None, leave=False) as bar:
        yield bar.update
