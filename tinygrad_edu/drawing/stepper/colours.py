"""The page's colours, light and dark, as rules of a style sheet.

The one thing to know: the picture is drawn in the colours of the light theme, each of which stands for one role; the
rules here give every role its dark colour where the page is dark. Paper is light.
"""

from __future__ import annotations

from tinygrad_edu.drawing.themes import THEMES

PAGE: dict[str, tuple[str, str]] = {
    "page": ("#fff", "#1c1c1c"), "ink": ("#161616", "#f2f2f2"), "quiet": ("#5c5c5c", "#ababab"),
    "faint": ("#6a6a6a", "#9a9a9a"), "line": ("#c4c4c4", "#555"), "edge": ("#767676", "#8f8f8f"),
    "node": ("#0f5c99", "#7cc0ff"), "glow": ("#ffe9a8", "#55470f"), "grad": ("#9c2d06", "#ffb088"),
    "good": ("#1d6b2f", "#8fd69f"), "bad": ("#b00020", "#ff8a8a"), "on-bad": ("#fff", "#1c1c1c"),
    "c0": ("#a9c7ec", "#2f5f95"), "c1": ("#f2b48f", "#95502c"), "c2": ("#b5d99c", "#4a7330"),
    "c3": ("#d3b5e6", "#6f4a85"), "c4": ("#f3dc82", "#7d6717"), "c5": ("#9fdcd5", "#21706a"),
    "c6": ("#f0aebb", "#8c3d4d"), "c7": ("#cfcfcf", "#666"),
}  # fmt: skip
"""Light and dark: of the page, of a step's state, and of classes in the decision boundary."""


def colour_rules() -> str:
    picture = {role: (light, THEMES["dark"][role]) for role, light in THEMES["light"].items()}
    pairs = PAGE | {f"p-{role}": pair for role, pair in picture.items()}
    light = "".join(f"--{name}:{pair[0]};" for name, pair in pairs.items())
    dark = "color-scheme:dark;" + "".join(f"--{name}:{pair[1]};" for name, pair in pairs.items())
    roles = "".join(
        f'#picture [{kind}="{pair[0]}"]{{{kind}:var(--p-{role})}}\n'
        for role, pair in picture.items()
        for kind in ("fill", "stroke")
    )
    return (
        f":root{{color-scheme:light;{light}}}\n"
        f'@media screen{{:root[data-theme="dark"]{{{dark}}}}}\n'
        f'@media screen and (prefers-color-scheme:dark){{:root[data-theme="auto"]{{{dark}}}}}\n{roles}'
    )
