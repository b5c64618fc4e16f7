"""Pictures of computations in a call: draw one, save one, show one in a notebook.

The one thing to know: Graphviz is imported when the first picture is drawn. `view.py` and `cards.py` decide what a
picture shows, `dot.py` and `card_labels.py` how it looks.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tinygrad_edu.core.value import Value
from tinygrad_edu.drawing.options import DIRECTIONS, Direction, Part, check_limits, check_value, parts_of
from tinygrad_edu.files import file_name, target_of, write_whole

if TYPE_CHECKING:
    import graphviz

THEMES = ("light", "dark", "auto", "print")


def draw(
    *outputs: Value | Sequence[Value],
    direction: Direction | None = None,
    theme: Literal["light", "dark", "auto", "print"] = "auto",
    show: Part | Collection[Part] = "cards",
    depth: int | None = None,
    max_nodes: int = 400,
    heat: bool = False,
    names: Mapping[str, Any] | None = None,
    gradient: Mapping[Any, Any] | Callable[..., Any] | None = None,
) -> graphviz.Digraph:
    """The computation of one or several Values.

    A neuron is a card: a row for each input with its weight and the weight's gradient, then bias, weighted sum with
    the delta, and output. A dense layer is a card too, and so is a straight chain of operations, a row for each (`↑`
    is the row above). Layers stand in columns, their neurons in order. Gradients are there after `backward()`. Arrays
    up to 3 by 3 are shown by their numbers; larger ones are heat maps whose squares say their sign, with least and
    largest number; in an SVG, pointing at a map of up to 100 numbers shows them. Print `value.data` and `value.grad`
    for all, or draw a part, `tg.draw(value[:3, :3])`. The result is a `graphviz.Digraph`: `.render("picture")`,
    `.pipe("svg")` and `.source` work.

    With `show="nodes"` every operation is an ellipse with its symbol, and every Value a box: parameters have a bold
    border, other leaves round corners, constants a dashed border, results a double one; groups (layers, neurons,
    `with tg.group(...)`) are frames.

    Args:
        outputs: The Values whose computation is drawn, or lists of them: `tg.draw(network(row))`.
        direction: Left to right, top to bottom, or the other way round. Left out: left to right, and top to bottom what
            would be too wide to read in a column of a page, unless it has neurons in layers.
        theme: Colours on white, colours on dark, either as the reader's browser has it (in an SVG; light elsewhere),
            or lines only ("print").
        show: "cards", or "nodes" for single operations. Or what boxes show: of "data", "grad", "shape" those wanted,
            and "nodes"; with "local", single operations show their formula, and arrows the local derivative.
        depth: Groups deeper than this are folded into one box each, which says what it holds; 0 folds every group. Many
            folded boxes that are alike become one, with a count.
        max_nodes: More rows than this, or more boxes, are folded: of a layer all neurons but the first and the last,
            then whole groups. A line under the picture says so, and how to unfold.
        heat: Colour gradients by their size, from white to orange over four powers of ten.
        names: Names for Values that have none: `names=locals()`.
        gradient: A gradient that somebody wrote by hand, to be judged on the cards: numbers by Values or names, or a
            function of the data of the Values that its parameters are named after. "wrong here" is said of a number
            that doesn't come out of those by hand behind it, "follows" where only they are wrong.

    Raises:
        TypeError: An output isn't a Value.
        ValueError: No outputs, or an option that there isn't; a gradient for several outputs, or for single operations.
        RuntimeError: On rendering, where there is no `dot` program; the message says how to get one.

    >>> import tinygrad_edu as tg
    >>> x = tg.Value(2.0)
    >>> picture = tg.draw(x * 3.0, names={"x": x})
    >>> "x × 3" in picture.source
    True
    """
    from tinygrad_edu.drawing.dot import digraph

    drawn: list[Any] = []
    for output in outputs:
        drawn += output if isinstance(output, (list, tuple)) else [output]
    if not drawn:
        raise ValueError("draw needs at least one Value")
    for output in drawn:
        check_value(output, "draw needs Values", "tg.draw({})")
    for name, given, allowed in (("direction", direction or "LR", DIRECTIONS), ("theme", theme, THEMES)):
        if given not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {given!r}")
    check_limits(depth, max_nodes, names)
    parts = parts_of(show)
    if gradient is None:
        return digraph(drawn, direction, theme, parts, depth, max_nodes, heat, names)
    if len(drawn) > 1 or "nodes" in parts:
        raise ValueError("gradient needs one output, and cards")
    from tinygrad_edu.drawing.cards import cards_of
    from tinygrad_edu.drawing.verdicts import add_verdicts

    view = cards_of(drawn, depth, max_nodes, names)
    add_verdicts(view, drawn[0], gradient, names)
    return digraph(drawn, direction, theme, parts, heat_by_gradient=heat, view=view)


def save(value: Value | Sequence[Value], path: str | Path, **options: Any) -> Path:
    """Write the picture of a computation to a file, in the format that its name ends with: svg, png, pdf, dot or html.

    SVG is the same, byte for byte, for the same computation, and says what a box is when it is pointed at. The options
    are those of `draw`; of a page (.html) those of `stepper`, which takes all of `draw`'s but `heat`. (The
    pip-installed program has no PDF.)

    Raises:
        ValueError: Another ending. FileNotFoundError: there is no such folder. TypeError: an option that this kind of
            file doesn't take, such as `heat` for a page. RuntimeError: there is no `dot` program.
    """
    if isinstance(path, Value):
        raise TypeError("path must be the name of a file, got a Value: tg.save(value, path)")
    target = Path(file_name(path))
    kind = target.suffix.removeprefix(".").lower()
    if kind not in ("svg", "png", "pdf", "dot", "html"):
        raise ValueError(f"path must end with .svg, .png, .pdf, .dot or .html, got {target.name!r}")
    from tinygrad_edu.drawing.stepper import stepper

    check_saving_options(kind, options, draw, stepper)
    target_of(target)
    if kind == "html":
        one: Any = value
        write_whole(target, stepper(one, **options).encode())
        return target
    picture: Any = draw(value, **options)
    if kind == "dot":
        content = picture.source.encode()
    elif kind == "svg":
        content = picture.svg().encode()
    else:
        content = picture.pipe(kind, quiet=True)
    write_whole(target, content)
    return target


def check_saving_options(kind: str, options: Mapping[str, Any], draw: Any, stepper: Any) -> None:
    """Raise TypeError for an option that this kind of file doesn't take, with those kinds that do."""
    pictures, pages = (set(inspect.signature(f).parameters) - {"outputs", "loss"} for f in (draw, stepper))
    takes, others, file = (pages, pictures, "a page") if kind == "html" else (pictures, pages, "a picture")
    for name in options:
        if name not in takes:
            where = " (.svg, .png, .pdf and .dot have it)" if kind == "html" else " (.html has it)"
            known = f"; it takes {', '.join(sorted(takes))}"
            raise TypeError(f"{file} (.{kind}) has no {name}{where if name in others else known}")


def mimebundle(value: Value) -> dict[str, str]:
    """What a notebook shows: text, and the picture where a `dot` program is there."""
    from tinygrad_edu.drawing.renderer import find_dot

    bundle = {"text/plain": repr(value)}
    if find_dot() is not None:
        picture: Any = draw(value)
        bundle["image/svg+xml"] = picture.svg()
    return bundle
