"""Pictures of computations, by Graphviz, which is imported when the first one is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinygrad_edu.value import Value

if TYPE_CHECKING:
    import graphviz


def draw(value: Value) -> graphviz.Digraph:
    """The computation of `value`, from left to right.

    Values are boxes with name, data and gradient (leaves bold, constants dashed), operations are circles with their
    symbol, and groups (network layers, neurons, `with tg.group(...)`) are frames around what was made in them.
    The result is a `graphviz.Digraph`: `.render("picture")`, `.pipe("svg")` and `.source` work.

    Raises:
        TypeError: `value` isn't a Value.
        RuntimeError: On rendering, where there is no `dot` program; the message says how to get one.

    >>> import tinygrad_edu as tg
    >>> picture = tg.draw(tg.Value(2.0, name="x") * 3.0)
    >>> "x" in picture.source
    True
    """
    from tinygrad_edu.drawing.dot import digraph

    return digraph(value)


def mimebundle(value: Value) -> dict[str, str]:
    """What a notebook shows: text, and the picture where a `dot` program is there."""
    from tinygrad_edu.drawing.renderer import find_dot

    bundle = {"text/plain": repr(value)}
    if find_dot() is not None:
        bundle["image/svg+xml"] = draw(value).pipe("svg", encoding="utf-8", quiet=True)
    return bundle
