"""Colours: light, dark, or as the reader's browser has it; and lines only, for print.

The one thing to know: a colour of the light theme stands for one role only, so that `auto` can name the dark colour for
each in a style sheet. Every text has a contrast of at least 4.5 to what is behind it, every frame and arrow of 3.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np

Theme: TypeAlias = Literal["light", "dark", "auto", "print"]

THEMES: dict[str, dict[str, str]] = {
    "light": {
        "page": "#ffffff", "ink": "#1f2328", "quiet": "#59636e", "grad": "#a1280a", "frame": "#7d8590",
        "arrow": "#6b7480", "column": "#f4f6f8", "mark": "#c00d2a", "marked": "#ffe3e3",
        "output": "#f6f0fc", "value": "#fdfdfe", "leaf": "#e8f4e8", "parameter": "#e3edfb", "constant": "#f3f3f4",
        "operation": "#fff7d6", "folded": "#ecedf0", "neuron": "#fefefd", "dense": "#fdfeff", "chain": "#fffefd",
        "inputs": "#f1f2f0",
        "minus4": "#84b4e6", "minus3": "#a3c8ee", "minus2": "#c2dbf5", "minus1": "#e0edfa", "zero": "#f5f5f4",
        "plus1": "#ffe9d6", "plus2": "#ffd2ab", "plus3": "#ffbb82", "plus4": "#ffa564",
    },
    "dark": {
        "page": "#16181c", "ink": "#e6e9ed", "quiet": "#aab3bd", "grad": "#ffb088", "frame": "#78828e",
        "arrow": "#98a2ad", "column": "#1d2126", "mark": "#ff8f9c", "marked": "#5a1c24",
        "output": "#352d42", "value": "#262b31", "leaf": "#203a28", "parameter": "#20334b", "constant": "#30343a",
        "operation": "#443e1c", "folded": "#33373d", "neuron": "#272c32", "dense": "#272c33", "chain": "#282d33",
        "inputs": "#2d3136",
        "minus4": "#2a5c94", "minus3": "#264c77", "minus2": "#243e5b", "minus1": "#233142", "zero": "#2b2e31",
        "plus1": "#3c322a", "plus2": "#553a26", "plus3": "#6e4323", "plus4": "#874c20",
    },
    "print": {"page": "white", "ink": "black", "quiet": "black", "grad": "black", "frame": "#666666", "arrow": "black",
              "mark": "black"},
}  # fmt: skip
THEMES["auto"] = THEMES["light"]


def shade(x: float, largest: float) -> str:
    """The role for a number in a heat map: how large beside the largest, in quarters, and of which sign."""
    if np.isnan(x) or x == 0.0:
        return "zero"
    quarter = 4 if abs(x) >= largest else int(np.ceil(4.0 * abs(x) / largest))
    return f"{'minus' if x < 0.0 else 'plus'}{max(quarter, 1)}"


def dark_rules() -> str:
    """Style rules that turn each light colour of a picture into the dark one, where the reader's browser is dark."""
    pairs = [(light, THEMES["dark"][role]) for role, light in THEMES["light"].items()]
    rules = [f'.tinygrad-auto [{kind}="{a}"]{{{kind}:{b}}}' for a, b in pairs for kind in ("fill", "stroke")]
    return f"@media (prefers-color-scheme:dark){{{''.join(rules)}}}"
