"""A page on which a reader steps through one computation: forward, then backward, then the update.

The one thing to know: `recording.py` records the pass in Python and the picture is laid out once; the page only replays
it. It is one file that asks for nothing from anywhere: its policy allows its own style and script, by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal

from tinygrad_edu.core.value import Value
from tinygrad_edu.drawing.dot import digraph
from tinygrad_edu.drawing.stepper.epochs import epochs_of
from tinygrad_edu.drawing.stepper.recording import Recording, record

if TYPE_CHECKING:
    from tinygrad_edu.nn import History

Language = Literal["en", "zh"]


class Page(str):
    """A whole HTML page, as a string; a notebook shows it in a frame."""

    def _repr_html_(self) -> str:
        return f'<iframe sandbox="allow-scripts" width="100%" height="640" srcdoc="{html.escape(self)}"></iframe>'


def stepper(
    loss: Value,
    language: Language = "en",
    learning_rate: float = 0.5,
    max_nodes: int = 400,
    history: History | None = None,
) -> Page:
    """One self-contained HTML page that steps through the computation of `loss` and its backward pass.

    Args:
        loss: A number.
        language: In which language the page opens, "en" or "zh"; it has a switch.
        learning_rate: The rate of the update that the last step shows.
        max_nodes: A computation with more boxes than this is refused: nobody steps through it.
        history: A training run, made with `record=True`: a second slider moves through its epochs, and shows weights,
            gradients, the error curve and, for two inputs, the decision boundary.

    Raises:
        ValueError: `loss` isn't a number made by an operation, has too many boxes, there is no such language, or the
            history holds no recorded epochs.
        RuntimeError: There is no `dot` program; the message says how to get one.

    >>> import tinygrad_edu as tg
    >>> x = tg.Value(2.0, name="x")
    >>> page = tg.stepper(x * x + 1.0)
    >>> page.startswith("<!doctype html>")
    True
    """
    if language not in ("en", "zh"):
        raise ValueError(f'language must be "en" or "zh", got {language!r}')
    recording = record(loss, learning_rate, max_nodes)
    if history is not None:
        recording.data["epochs"] = epochs_of(history)
    return Page(assemble(recording, language))


def assemble(recording: Recording, language: str) -> str:
    """The page, from its parts in this folder."""
    style, script = part("style.css"), part("stepper.js")
    words = json.loads(part("words.json"))
    data = recording.data | {"words": words, "language": language}
    policy = f"default-src 'none'; style-src '{digest(style)}'; script-src '{digest(script)}'; base-uri 'none'"
    pieces = {
        "LANGUAGE": {"en": "en", "zh": "zh-Hans"}[language],
        "POLICY": policy,
        "TITLE": html.escape(words[language]["title"]),
        "STYLE": style,
        "SVG": drawing_of(recording),
        "DATA": as_script_data(data),
        "SCRIPT": script,
    }
    return re.sub(r"\{\{([A-Z]+)\}\}", lambda match: pieces[match.group(1)], part("page.html"))


def drawing_of(recording: Recording) -> str:
    """The picture as an SVG element, without its prologue, and without links and comments of the program."""
    graph = digraph([recording.loss], theme="print", view=recording.view)
    svg = graph.svg()
    svg = re.sub(r"<!--.*?-->", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    return re.sub(
        r"\n\s*\n+",
        "\n",
        svg.replace('xml:space="preserve" ', "").replace(' fill="white" stroke="none"', ' fill="none"'),
    )


def as_script_data(data: Any) -> str:
    """JSON that can stand in a script element: no `<`, so that nothing in it can end the element."""
    written = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return written.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def digest(source: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()


def part(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")
