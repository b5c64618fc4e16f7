"""A bar that shows how far training is: on a terminal and in a notebook, by `tqdm` (the extra `progress`)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from tinygrad_edu.extras import how_to_install

if TYPE_CHECKING:
    from tinygrad_edu.nn.history import History


@contextmanager
def bar(progress: bool | None, epochs: int, begun: int) -> Iterator[Callable[[History], None]]:
    """Within it a bar with the epochs done, the latest figures and the time left; what it gives is told of epochs.

    The history had `begun` epochs before.

    `progress` None shows one where somebody looks and `tqdm` is installed, and nothing in a pipe.

    Raises:
        ImportError: `progress` is True, and there is no `tqdm`.
    """
    found = progress_bar(progress, epochs)
    if found is None:
        yield lambda history: None
        return

    def tell(history: History) -> None:
        found.set_postfix_str(figures(history), refresh=False)
        found.update(len(history) - begun - found.n)

    with found:
        yield tell
        found.refresh()


def progress_bar(progress: bool | None, epochs: int) -> Any:
    """The bar, or None where there is to be none."""
    if progress is False or (progress is None and not is_looked_at()):
        return None
    try:
        # the notebook's own bar is made of widgets; without them tqdm.auto would warn, and draw letters
        tqdm = import_module("tqdm.auto" if find_spec("ipywidgets") else "tqdm.std").tqdm
    except ImportError:
        if progress:
            raise ImportError(f"progress=True needs tqdm: {how_to_install('progress')}") from None
        return None
    return tqdm(total=epochs, unit="epoch")


def is_looked_at() -> bool:
    """Whether this is a terminal or a notebook."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return sys.stderr.isatty() or hasattr(shell, "kernel")


def figures(history: History) -> str:
    """The latest loss and metrics, in short."""
    latest = {"loss": history.loss, "validation": history.validation, **history.metrics}
    return ", ".join(f"{name} {values[-1]:.4g}" for name, values in latest.items() if values)
