"""What is made of the SVG that a layout program wrote: groups with ids, titles, and colours for a dark page.

The one thing to know: Graphviz makes a group with an id for a cell of a table only where the cell has a link. So cells
are given empty links, and here they become plain groups.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Collection, Mapping

from tinygrad_edu.drawing.labels import printable
from tinygrad_edu.drawing.themes import Theme, dark_rules


def finished(svg: str, titles: Mapping[str, str], columns: Mapping[str, Collection[str]], theme: Theme) -> str:
    """The SVG with stable groups; `titles` says for ids what they are, `columns` what each layer's frame holds."""

    inside = {name for boxes in columns.values() for name in boxes}

    def group(match: re.Match[str]) -> str:
        name, is_card = match.group(1).removesuffix("card"), match.group(1).endswith("card")
        if is_card and name not in inside:
            return "<g>"  # the group around it has the id
        kind = ' class="node"' if is_card else ""
        return f'<g id="{name}"{kind}>{title_of(name)}'

    def title_of(name: str) -> str:
        lines = map(printable, titles.get(name, "").split("\n"))
        return f"<title>{html.escape(chr(10).join(lines))}</title>" if name in titles else ""

    svg = re.sub(r'<g id="a_([a-z0-9]+)"><a [^>]*>', group, svg)
    svg = re.sub(r'<g id="a_[^"]*"><a [^>]*>', "<g>", svg).replace("</a>", "")
    svg = re.sub("<title>([a-z0-9]+)</title>", lambda m: title_of(m.group(1)) or m.group(0), svg)
    for name in columns:
        svg = svg.replace(f'<g id="{name}" class="node">', f'<g id="{name}" class="cluster">')
    if theme != "print":
        svg = re.sub(r'(<svg width="([\d.]+)pt")', least_width, svg, count=1)
    if theme == "auto":
        svg = re.sub("<svg ", '<svg class="tinygrad-auto" ', svg, count=1)
        svg = re.sub("(<svg [^>]*>)", lambda m: f"{m.group(1)}\n<style>{dark_rules()}</style>", svg, count=1)
    return svg


def least_width(match: re.Match[str]) -> str:
    """A picture is never shown so small that its text has less than 10 px: a wider one is scrolled."""
    return f'{match.group(1)} style="min-width:{math.ceil(float(match.group(2))) + 1}px"'
