"""Pictures of computations in a call: draw one, save one, show one in a notebook.

The one thing to know: Graphviz is imported when the first picture is drawn. `view.py` and `cards.py` decide what a
picture shows, `dot.py` and `card_labels.py` how it looks.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tinygrad_edu.core.value import Value

if TYPE_CHECKING:
    import graphviz


def draw(
    *outputs: Value,
    direction: Literal["LR", "TB", "RL", "BT"] = "LR",
    theme: Literal["light", "dark", "print"] = "light",
    show: Collection[Literal["data", "grad", "local", "shape"]] = ("data", "grad", "shape"),
    depth: int | None = None,
    max_nodes: int = 400,
    heat: bool = False,
    names: Mapping[str, Any] | None = None,
) -> graphviz.Digraph:
    """The computation of one or several Values.

    Values are boxes with name, shape, data and gradient (four digits; larger arrays as least, largest and mean), and
    operations are ellipses with their symbol. Parameters have a bold border, other leaves round corners, constants a
    dashed border, results a double one. Groups (network layers, neurons, `with tg.group(...)`) are frames around what
    was made in them. The result is a `graphviz.Digraph`: `.render("picture")`, `.pipe("svg")` and `.source` work.

    Args:
        outputs: The Values whose computation is drawn.
        direction: Left to right, top to bottom, or the other way round.
        theme: Colours on white, colours on dark, or lines only.
        show: What boxes show; with "local" operations show their formula, and arrows the local derivative.
        depth: Groups deeper than this are folded into one box each, which says what it holds; 0 folds every group. Many
            folded boxes that are alike become one, with a count.
        max_nodes: More boxes than this are folded, and a line under the picture says so.
        heat: Colour values by the size of their gradient, from white to orange over four powers of ten.
        names: Names for Values that have none: `names=locals()`.

    Raises:
        TypeError: An output isn't a Value.
        ValueError: No outputs, or an option that there isn't.
        RuntimeError: On rendering, where there is no `dot` program; the message says how to get one.

    >>> import tinygrad_edu as tg
    >>> x = tg.Value(2.0)
    >>> picture = tg.draw(x * 3.0, names={"x": x})
    >>> "<B>x</B>" in picture.source
    True
    """
    from tinygrad_edu.drawing.dot import SHOWN, THEMES, digraph

    if not outputs:
        raise ValueError("draw needs at least one Value")
    for output in outputs:
        if not isinstance(output, Value):
            raise TypeError(f"draw needs Values, got {type(output).__name__}")
    for name, given, allowed in (("direction", direction, ("LR", "TB", "RL", "BT")), ("theme", theme, tuple(THEMES))):
        if given not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {given!r}")
    if unknown := sorted(set(show) - set(SHOWN)):
        raise ValueError(f"show may hold {', '.join(SHOWN)}, got {', '.join(map(repr, unknown))}")
    if (depth is not None and depth < 0) or max_nodes < 1:
        raise ValueError(f"depth must be at least 0 and max_nodes at least 1, got {depth} and {max_nodes}")
    return digraph(outputs, direction, theme, show, depth, max_nodes, heat, names)


def save(value: Value, path: str | Path, **options: Any) -> Path:
    """Write the picture of a computation to a file, in the format that its name ends with: svg, png, pdf, dot or html.

    SVG is the same, byte for byte, for the same computation, and says what a box is when it is pointed at. The options
    are those of `draw`. (The pip-installed program has no PDF.)

    Raises:
        ValueError: Another ending. RuntimeError: there is no `dot` program.
    """
    target = Path(path)
    kind = target.suffix.removeprefix(".").lower()
    if kind not in ("svg", "png", "pdf", "dot", "html"):
        raise ValueError(f"path must end with .svg, .png, .pdf, .dot or .html, got {target.name!r}")
    from tinygrad_edu.drawing.renderer import write_whole
    from tinygrad_edu.drawing.stepper import stepper

    if kind == "html":
        write_whole(target, stepper(value, **options).encode())
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


def mimebundle(value: Value) -> dict[str, str]:
    """What a notebook shows: text, and the picture where a `dot` program is there."""
    from tinygrad_edu.drawing.renderer import find_dot

    bundle = {"text/plain": repr(value)}
    if find_dot() is not None:
        picture: Any = draw(value)
        bundle["image/svg+xml"] = picture.svg()
    return bundle
