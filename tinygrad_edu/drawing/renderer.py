"""Finding the program that lays a graph out, and running it."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Any

import graphviz
from graphviz.backend import dot_command

HOW_TO_GET_DOT = (
    "rendering needs the Graphviz program `dot`, and there is none: install Graphviz with your system's packages, "
    'or, with pip alone, the extra "dot": pip install "tinygrad_edu[dot]"'
)


def find_dot() -> Path | None:
    """The system's `dot`, else the `graphviz-pure` that stands beside the running interpreter, else None.

    The environment need not be activated: its folder of programs is looked into directly.
    """
    beside = os.pathsep.join([sysconfig.get_path("scripts"), os.path.dirname(sys.executable)])
    found = shutil.which("dot") or shutil.which("graphviz-pure", path=beside)
    return Path(found) if found else None


class Picture(graphviz.Digraph):  # type: ignore[misc]
    """A Digraph that renders with whatever program `find_dot` finds."""

    def pipe(self, *args: Any, **options: Any) -> Any:
        use_found_dot()
        return super().pipe(*args, **options)

    def render(self, *args: Any, **options: Any) -> Any:
        use_found_dot()
        return super().render(*args, **options)


def use_found_dot() -> None:
    """Tell the graphviz package which program to call. Raises RuntimeError if there is none."""
    found = find_dot()
    if found is None:
        raise RuntimeError(HOW_TO_GET_DOT)
    dot_command.DOT_BINARY = found
