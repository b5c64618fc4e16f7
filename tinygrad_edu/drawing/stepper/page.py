"""The stepper's page: one HTML file that asks for nothing from anywhere.

The one thing to know: `recording.py` records the pass in Python and the picture is laid out once; the page only replays
it. Its policy allows its own style and script, by their hashes, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Callable, Collection, Mapping
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tinygrad_edu.core.value import Value
from tinygrad_edu.drawing.dot import digraph
from tinygrad_edu.drawing.options import DIRECTIONS, Direction, Part, check_limits, check_value, parts_of
from tinygrad_edu.drawing.stepper.by_hand import compared
from tinygrad_edu.drawing.stepper.colours import colour_rules
from tinygrad_edu.drawing.stepper.epochs import epochs_of
from tinygrad_edu.drawing.stepper.recording import Recording, record
from tinygrad_edu.drawing.themes import THEMES, Theme

if TYPE_CHECKING:
    from tinygrad_edu.nn import History

Language = Literal["en", "zh"]
SCRIPTS = ("camera.js", "run.js", "stepper.js")


class Page(str):
    """A whole HTML page, as a string; a notebook shows it in a frame."""

    def __repr__(self) -> str:
        return f'<page of {len(self) // 1000} kB: a notebook shows it; tg.save(loss, "page.html") writes it>'

    def _repr_html_(self) -> str:
        return (
            '<iframe title="stepper" sandbox="allow-scripts" width="100%" height="680" style="border: 0" '
            f'srcdoc="{html.escape(self)}"></iframe>'
        )


def stepper(
    loss: Value,
    language: Language = "en",
    learning_rate: float | None = None,
    max_nodes: int = 400,
    history: History | None = None,
    gradient: Mapping[Any, Any] | Callable[..., Any] | None = None,
    *,
    names: Mapping[str, Any] | None = None,
    show: Part | Collection[Part] = "cards",
    depth: int | None = None,
    direction: Direction | None = None,
    theme: Theme = "auto",
) -> Page:
    """One self-contained HTML page that steps through the computation of `loss` and its backward pass.

    With `gradient`, the page compares a gradient that was written by hand with the right one, number beside number: it
    opens at the first number, going back from the loss, that is wrong by itself; what is wrong only since it was made
    from a wrong number is told apart. Numbers agree where they differ by at most 1e-7 of the terms that they are
    the sum of (float32: 1e-4).

    Args:
        loss: A number.
        language: In which language the page opens, "en" or "zh"; it has a switch.
        learning_rate: The last step shows plain gradient descent at this rate. Left out: the update of `history`, by
            its own rule; where there is none, or it can't be told, plain gradient descent at 0.5.
        max_nodes: A picture with more boxes and rows of cards than this is refused: nobody steps through it. `depth`
            folds it.
        history: A training run, made with `record=True`: a second slider moves through its epochs, and shows weights,
            gradients, the error curve and, for two inputs, the decision boundary.
        gradient: The derivatives of the loss as someone wrote them by hand: a mapping from Values, or their names, to
            numbers, for leaves and for results in between; or a function that gives such a mapping, or a tuple of the
            derivatives by its parameters in their order, when it is called with the data of the Values that its
            parameters are named after.
        names, show, depth, direction, theme: As `tinygrad_edu.draw` has them. What is folded is one step.

    Raises:
        TypeError: `loss` isn't a Value, or `gradient` isn't a mapping or a function.
        ValueError: `loss` isn't a number made by an operation, has too many boxes, an option has no such value, the
            history holds no recorded epochs, or `gradient` names what isn't there or has another shape.
        RuntimeError: There is no `dot` program; the message says how to get one.

    >>> import tinygrad_edu as tg
    >>> x = tg.Value(2.0, name="x")
    >>> page = tg.stepper(x * x + 1.0)
    >>> page.startswith("<!doctype html>")
    True
    >>> page = tg.stepper(x * x + 1.0, gradient={"x": 2.0})  # opens where the 2.0 should be 4.0
    """
    check_options(loss, language=language, theme=theme, direction=direction or "LR")
    check_limits(depth, max_nodes, names)
    check_run(learning_rate, history)
    parts = parts_of(show)
    recording = record(loss, learning_rate, max_nodes, names, parts, depth, history)
    if history is not None:
        recording.data["epochs"] = epochs_of(history, recording.scene.numbers)
    if gradient is not None:
        recording.data["hand"] = compared(recording, gradient)
    return Page(assemble(recording, language, theme, direction, parts))


def check_options(loss: Any, **given: Any) -> None:
    check_value(loss, "the stepper needs a Value", "tg.stepper({})")
    allowed = {"language": ("en", "zh"), "theme": tuple(THEMES), "direction": DIRECTIONS}
    for name, value in given.items():
        if value not in allowed[name]:
            raise ValueError(f"{name} must be {' or '.join(map(quoted, allowed[name]))}, got {value!r}")


def check_run(learning_rate: Any, history: Any) -> None:
    if learning_rate is not None and not isinstance(learning_rate, (int, float, np.number)):
        raise TypeError(f"learning_rate must be a number, got {learning_rate!r}")
    if history is not None and not hasattr(history, "snapshots"):
        raise TypeError(f"history must be what network.train(…, record=True) gave, got a {type(history).__name__}")


def quoted(word: str) -> str:
    return f'"{word}"'


def assemble(recording: Recording, language: str, theme: Theme, direction: Any, show: Collection[str]) -> str:
    """The page, from its parts in this folder."""
    style, script = colour_rules() + part("style.css"), '"use strict";\n' + "".join(map(part, SCRIPTS))
    words = json.loads(part("words.json"))
    data = recording.data | {"words": words, "language": language}
    policy = f"default-src 'none'; style-src '{digest(style)}'; script-src '{digest(script)}'; base-uri 'none'"
    pieces = {
        "LANGUAGE": {"en": "en", "zh": "zh-Hans"}[language],
        "THEME": theme,
        "POLICY": policy,
        "TITLE": html.escape(words[language]["title"]),
        "STYLE": style,
        "SVG": drawing_of(recording, theme, direction, show),
        "DATA": as_script_data(data),
        "SCRIPT": script,
    }
    return re.sub(r"\{\{([A-Z]+)\}\}", lambda match: pieces[match.group(1)], part("page.html"))


def drawing_of(recording: Recording, theme: Theme, direction: Any, show: Collection[str]) -> str:
    """The picture as an SVG element, without its prologue, comments and sizes.

    It is hidden from screen readers, to which it would be hundreds of numbers: the sentence says what it shows.
    """
    own: Theme = "print" if theme == "print" else "light"
    svg = digraph([recording.loss], direction, own, show, view=recording.view).svg()
    svg = re.sub(r"<!--.*?-->", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r"<svg [^>]*?(viewBox=\"[^\"]*\")[^>]*>", r'<svg aria-hidden="true" \1>', svg, count=1)
    svg = svg.replace('xml:space="preserve" ', "").replace(' font-family="Helvetica,sans-Serif"', "")
    return re.sub(r"\n\s*\n+", "\n", svg)


def as_script_data(data: Any) -> str:
    """JSON that can stand in a script element: no `<`, so that nothing in it can end the element."""
    written = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return written.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def digest(source: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()


def part(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")
