"""A view as a `graphviz.Digraph`.

The one thing to know: kinds of boxes differ in shape and line, not only in colour: parameters have a bold border, other
leaves round corners, constants a dashed border, the result a double one; operations are ellipses, folded groups tabs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import graphviz
import numpy as np

from tinygrad_edu.core.value import Value, data_of
from tinygrad_edu.drawing.labels import digits, heat, label_of, plain_text, text
from tinygrad_edu.drawing.renderer import Picture
from tinygrad_edu.drawing.slopes import local_slopes
from tinygrad_edu.drawing.view import Box, Path, View, view_of

Direction: TypeAlias = Literal["LR", "TB", "RL", "BT"]
Theme: TypeAlias = Literal["light", "dark", "print"]
SHOWN = ("data", "grad", "local", "shape")

SHAPES = {
    "output": {"shape": "box", "peripheries": "2"},
    "value": {"shape": "box"},
    "leaf": {"shape": "box", "style": "rounded"},
    "parameter": {"shape": "box", "style": "bold"},
    "constant": {"shape": "box", "style": "dashed"},
    "operation": {"shape": "ellipse", "margin": "0.02,0.01"},
    "folded": {"shape": "tab"},
}
THEMES: dict[str, dict[str, str]] = {
    "light": {
        "page": "white", "ink": "#222222", "frame": "#8a8a8a", "output": "#fde9d9", "value": "#ffffff",
        "leaf": "#e8f4e8", "parameter": "#e3edfb", "constant": "#f4f4f4", "operation": "#fff7d6", "folded": "#efe8f7",
    },
    "dark": {
        "page": "#1e1e1e", "ink": "#e8e8e8", "frame": "#777777", "output": "#5b3a1e", "value": "#2a2a2a",
        "leaf": "#21402a", "parameter": "#23364f", "constant": "#333333", "operation": "#4a431d", "folded": "#3c3050",
    },
    "print": {"page": "white", "ink": "black", "frame": "#666666"},
}  # fmt: skip


def digraph(
    outputs: Sequence[Value],
    direction: Direction = "LR",
    theme: Theme = "light",
    show: Collection[str] = ("data", "grad", "shape"),
    depth: int | None = None,
    max_nodes: int = 400,
    heat_by_gradient: bool = False,
    names: Mapping[str, Any] | None = None,
    view: View | None = None,
) -> Picture:
    """See `tinygrad_edu.drawing.draw`, whose arguments are checked by now; or of a view that is there."""
    view = view or view_of(outputs, depth, max_nodes, names)
    colours = THEMES[theme]
    fonts = {"fontname": "Helvetica", "fontsize": "11", "fontcolor": colours["ink"]}
    attributes = {"rankdir": direction, "nodesep": "0.15", "ranksep": "0.35", "bgcolor": colours["page"], **fonts}
    if view.note:
        attributes |= {"label": f"<{text(view.note)}>", "labelloc": "b"}
    graph = Picture(
        "computation",
        graph_attr=attributes,
        node_attr={"color": colours["ink"], "margin": "0.06,0.03", "height": "0.3", "width": "0.3", **fonts},
        edge_attr={"arrowsize": "0.6", "color": colours["ink"], **fonts, "fontsize": "9"},
    )
    graph.titles = {box.id: plain_text(box) for box in view.boxes.values()}
    largest = largest_gradient(view) if heat_by_gradient else None
    clusters: dict[Path, Any] = {(): graph}
    for box in view.boxes.values():
        add_box(cluster_for(box.path, clusters, colours), box, show, colours, largest)
    for path in sorted(clusters, key=len, reverse=True)[:-1]:
        clusters[path[:-1]].subgraph(clusters[path])
    slopes = local_derivatives(view) if "local" in show else {}
    for arrow in view.arrows.values():
        slope = slopes.get((arrow.target, arrow.place))
        graph.edge(arrow.source, arrow.target, id=arrow.id, **({"label": digits(slope)} if slope is not None else {}))
    return graph


def add_box(graph: Any, box: Box, show: Collection[str], colours: Mapping[str, str], largest: float | None) -> None:
    look = dict(SHAPES[box.kind])
    fill = colours.get(box.kind)
    if largest is not None and box.kind in ("value", "leaf", "parameter", "output") and box.node is not None:
        fill = heat(box.grad, largest)
        look["fontcolor"] = "#222222"
    if fill:
        look["style"] = ",".join(filter(None, [look.get("style", ""), "filled"]))
        look["fillcolor"] = fill
    graph.node(box.id, f"<{label_of(box, show)}>", id=box.id, tooltip=" ", **look)


def cluster_for(path: Path, clusters: dict[Path, Any], colours: Mapping[str, str]) -> Any:
    """The frame of a group, made with those around it when first asked for."""
    for end in range(1, len(path) + 1):
        if path[:end] not in clusters:
            attributes = {
                "label": f"<{text(path[end - 1])}>",
                "labelloc": "t",
                "style": "rounded",
                "color": colours["frame"],
            }
            attributes["id"] = f"frame{len(clusters)}"
            clusters[path[:end]] = graphviz.Digraph(f"cluster_{len(clusters)}", graph_attr=attributes)
    return clusters[path]


def largest_gradient(view: View) -> float:
    grads = [
        data_of(box.node.grad) for box in view.boxes.values() if box.node is not None and box.node.grad is not None
    ]
    return max((float(np.max(np.abs(g), initial=0.0)) for g in grads), default=0.0)


def local_derivatives(view: View) -> dict[tuple[str, int | None], float]:
    """For each operation of numbers and each of its inputs the derivative, by the operation's own rule."""
    found: dict[tuple[str, int | None], float] = {}
    for box in view.boxes.values():
        if box.kind == "operation" and box.node is not None:
            for place, slope in enumerate(local_slopes(box.node)):
                if slope is not None:
                    found[box.id, place] = slope
    return found
