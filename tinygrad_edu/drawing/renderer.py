"""Finding the program that lays a graph out, running it, and writing files."""

from __future__ import annotations

import html
import os
import re
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

import graphviz
from graphviz.backend import dot_command

from tinygrad_edu.drawing.labels import printable

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

    titles: dict[str, str]
    """For each id of a box what it is, in a line."""

    def pipe(self, *args: Any, **options: Any) -> Any:
        use_found_dot()
        return super().pipe(*args, **options)

    def render(self, *args: Any, **options: Any) -> Any:
        use_found_dot()
        return super().render(*args, **options)

    def svg(self) -> str:
        """The picture as SVG, in which each box says what it is when pointed at."""
        drawn: str = self.pipe("svg", encoding="utf-8", quiet=True)
        return re.sub("<title>([a-z0-9]+)</title>", self.title, drawn)

    def title(self, match: re.Match[str]) -> str:
        return f"<title>{html.escape(printable(self.titles.get(match.group(1), match.group(1))))}</title>"


def use_found_dot() -> None:
    """Tell the graphviz package which program to call. Raises RuntimeError if there is none."""
    found = find_dot()
    if found is None:
        raise RuntimeError(HOW_TO_GET_DOT)
    dot_command.DOT_BINARY = found


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is never there in part: beside it first, then in its place."""
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(beside, 0o644)
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise
