"""Finding the program that lays a graph out and running it."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import graphviz
from graphviz.backend import dot_command

from tinygrad_edu.drawing.svg import finished
from tinygrad_edu.drawing.themes import Theme
from tinygrad_edu.extras import how_to_install
from tinygrad_edu.files import write_whole

HOW_TO_GET_DOT = (
    "rendering needs the Graphviz program `dot`, and there is none: install Graphviz with your system's packages, "
    f'or, with pip alone, the extra "dot": {how_to_install("dot")}'
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

    columns: Mapping[str, Collection[str]] = {}
    """For each id of a layer's frame the ids of the boxes in it."""

    theme: Theme = "light"

    def __repr__(self) -> str:
        return '<picture: a notebook shows it; .render("name") or tg.save(value, "name.svg") writes it>'

    def pipe(self, format: str | None = None, *args: Any, **options: Any) -> Any:
        use_found_dot(format or self.format)
        drawn = super().pipe(format, *args, **options)
        if (format or self.format) != "svg":
            return drawn
        whole = drawn if isinstance(drawn, str) else drawn.decode()
        whole = finished(whole, self.titles, self.columns, self.theme)
        return whole if isinstance(drawn, str) else whole.encode()

    def render(self, *args: Any, **options: Any) -> Any:
        use_found_dot(options.get("format") or self.format)
        path = super().render(*args, **options)
        if path.endswith(".svg"):
            svg = Path(path).read_text("utf-8")
            write_whole(Path(path), finished(svg, self.titles, self.columns, self.theme).encode())
        return path

    def svg(self) -> str:
        """The picture as SVG, in which each box says what it is when pointed at."""
        drawn: str = self.pipe("svg", encoding="utf-8", quiet=True)
        return drawn


def use_found_dot(format: str) -> None:
    """Tell the graphviz package which program to call. Raises RuntimeError if there is none that knows the format."""
    found = find_dot()
    if found is None:
        raise RuntimeError(HOW_TO_GET_DOT)
    if format == "pdf" and found.stem == "graphviz-pure":
        raise RuntimeError(
            "PDF needs the Graphviz program `dot`, of your system's packages; the one of pip knows svg and png"
        )
    dot_command.DOT_BINARY = found
