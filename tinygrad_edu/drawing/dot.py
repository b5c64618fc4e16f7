"""A view as a `graphviz.Digraph`.

The one thing to know: kinds of boxes differ in shape and line, not only in colour: parameters have a bold border, other
leaves round corners, constants a dashed border, the result a double one; operations are ellipses, folded groups tabs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import graphviz
import numpy as np

from tinygrad_edu.core.value import Value, data_of
from tinygrad_edu.drawing.card_labels import card_label, card_width, column_label, grad_of, has_one_cell
from tinygrad_edu.drawing.cards import cards_of
from tinygrad_edu.drawing.labels import box_width, digits, heat, label_of, plain_entries, plain_row, plain_text, text
from tinygrad_edu.drawing.layers import HELD, Layer, frames_of, gates_of, hold_columns, layers_of, weights_of
from tinygrad_edu.drawing.options import Direction
from tinygrad_edu.drawing.renderer import Picture
from tinygrad_edu.drawing.slopes import local_slopes
from tinygrad_edu.drawing.themes import THEMES, Theme
from tinygrad_edu.drawing.view import Arrow, Box, Path, View, ranks_of, shared_start, short_name, view_of
from tinygrad_edu.ops.linear_algebra import weighted_sum_of

SHAPES = {
    "output": {"shape": "box", "peripheries": "2"},
    "value": {"shape": "box"},
    "leaf": {"shape": "box", "style": "rounded"},
    "parameter": {"shape": "box", "style": "bold"},
    "constant": {"shape": "box", "style": "dashed"},
    "operation": {"shape": "ellipse", "margin": "0.02,0.01"},
    "folded": {"shape": "tab"},
}


def digraph(
    outputs: Sequence[Value],
    direction: Direction | None = None,
    theme: Theme = "auto",
    show: Collection[str] = ("data", "grad", "shape"),
    depth: int | None = None,
    max_nodes: int = 400,
    heat_by_gradient: bool = False,
    names: Mapping[str, Any] | None = None,
    view: View | None = None,
) -> Picture:
    """See `tinygrad_edu.drawing.draw`, whose arguments are checked by now; or of a view that is there."""
    if view is None:
        view = (view_of if "nodes" in show else cards_of)(outputs, depth, max_nodes, names)
    colours = THEMES[theme]
    direction = direction or fitting_direction(view, show)
    single = not any(box.rows for box in view.boxes.values())
    layers = layers_of(view) if direction in ("LR", "TB") and single else {}
    if direction == "TB" and any(layer.neurons for layer in layers.values()):
        layers = {}
    graph = Picture("computation", **attributes_of(view, direction, colours))
    if layers:
        graph.attr(**HELD)
    elif len(view.boxes) > MANY:
        graph.attr(nslimit="1")
    graph.titles = titles_of(view)
    graph.columns = {column.id: column.boxes for column in view.columns}
    graph.theme = theme
    look = Look(show, colours, largest_gradient(view) if heat_by_gradient else None, set(outputs), direction)
    clusters: dict[Path, Any] = {(): graph}
    holders = add_columns(view, clusters, look)
    frames = frames_of(layers)
    for box in view.boxes.values():
        if box.id not in holders:
            add_box(cluster_for(frames.get(box.id, box.path), clusters, colours), box, look)
    if layers:
        hold_columns(graph, clusters, view, layers)
    for path in sorted(clusters, key=len, reverse=True)[:-1]:
        clusters[path[:-1]].subgraph(clusters[path])
    add_arrows(graph, view, holders, layers, show, direction)
    align(graph, view, holders)
    if not layers:
        keep_groups_apart(graph, view, holders)
    return graph


def add_arrows(
    graph: Any,
    view: View,
    holders: Mapping[str, str],
    layers: Mapping[Path, Layer],
    show: Collection[str],
    direction: Direction,
) -> None:
    """The arrows of a view; what enters a neuron of single operations enters it at its heading."""
    boxes = view.boxes.values()
    narrow = {row.id for box in boxes for row in box.rows if has_one_cell(row, box, show)}
    weights, gates = weights_of(layers, view), gates_of(layers, view)
    slopes = local_derivatives(view) if "local" in show else {}
    for arrow in view.arrows.values():
        slope = slopes.get((arrow.target, arrow.place))
        start, end = ends_of(arrow, holders, direction, narrow)
        extra = {"label": digits(slope)} if slope is not None else {}
        if (arrow.source, arrow.target) in weights:
            extra["weight"] = weights[arrow.source, arrow.target]
        elif not layers and view.boxes[arrow.source].kind in ("operation", "value"):
            extra["weight"] = "2"  # what is computed stands in a line, numbers and leaves beside it
        graph.edge(start, gates.get((arrow.source, arrow.target), end), id=arrow.id, **extra)
    for gate, target in sorted({(gate, target) for (_, target), gate in gates.items()}):
        graph.edge(gate, target)


@dataclass(frozen=True)
class Look:
    """What boxes show, in which colours, and which way the picture goes."""

    show: Collection[str]
    colours: Mapping[str, str]
    largest: float | None
    outputs: set[Value]
    direction: Direction


def attributes_of(view: View, direction: Direction, colours: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The attributes of the graph, of its nodes and its edges."""
    cards = any(box.rows for box in view.boxes.values())
    fonts = {"fontname": "Helvetica", "fontsize": "12" if cards else "11", "fontcolor": colours["ink"]}
    graph = {"rankdir": direction, "nodesep": "0.15", "ranksep": "0.35", "bgcolor": colours["page"], **fonts}
    edge = {"arrowsize": "0.6", "color": colours["arrow"], **fonts, "fontsize": "10"}
    if cards:
        graph |= {"nodesep": "0.3", "ranksep": "0.55" if view.columns else "0.5"}
    if view.columns:
        graph["splines"] = "line"
    if view.note:
        graph |= {"label": f"<{text(view.note)}>", "labelloc": "b"}
    node = {"color": colours["ink"], "margin": "0.06,0.03", "height": "0.3", "width": "0.3", **fonts}
    return {"graph_attr": graph, "node_attr": node, "edge_attr": edge}


MANY = 150
"""Boxes from which on `dot` doesn't look for the very best places: around a value used 100 times it takes minutes."""

WIDEST = 940
"""Points: a picture as wide as this has text of 9 px in a column of 850 px, as notebooks and README pages have."""


def fitting_direction(view: View, show: Collection[str]) -> Direction:
    """Left to right; of what would be too wide so, and has no neurons in layers, the way that is less wide."""
    boxes = view.boxes.values()
    if view.columns or any(
        box.node is not None and box.node.operation is weighted_sum_of for box in boxes if not box.rows
    ):
        return "LR"
    ranks = near_ranks(view)
    gaps = (45, 22) if any(box.rows for box in boxes) else (30, 11)
    thick: dict[int, int] = {}
    beside: dict[int, int] = {}
    for box in boxes:
        rank, width = ranks[box.id], (card_width if box.rows else box_width)(box, show)
        thick[rank] = max(thick.get(rank, 0), width + gaps[0])
        beside[rank] = beside.get(rank, 0) + width + gaps[1]
    across, widest = sum(thick.values()), max(beside.values(), default=0)
    return "LR" if across <= max(WIDEST, widest) else "TB"


def near_ranks(view: View) -> dict[str, int]:
    """Where each box stands along the arrows; what no arrow leads to stands just before what it leads to."""
    ends = [(arrow.source, arrow.target) for arrow in view.arrows.values()]
    ranks = ranks_of(view.boxes, ends)
    reached = {target for _, target in ends}
    firsts: dict[str, int] = {}
    for source, target in ends:
        if source not in reached:
            firsts[source] = min(firsts.get(source, ranks[target]), ranks[target])
    return ranks | {name: rank - 1 for name, rank in firsts.items()}


def titles_of(view: View) -> dict[str, str]:
    titles = {box.id: plain_text(box) for box in view.boxes.values()}
    for row in [row for box in view.boxes.values() for row in box.rows]:
        if row.node is not None:
            titles[row.id] = plain_row(row)
            for kind, x in (("data", row.node.data), ("grad", grad_of(row))):
                if np.ndim(x) and (words := plain_entries(x)):
                    titles[f"{row.id}{kind}"] = words
    return titles | {column.id: column.name or "layer" for column in view.columns}


def add_columns(view: View, clusters: dict[Path, Any], look: Look) -> dict[str, str]:
    """The layers, each of which is one node with its neurons in it: so no program puts them in another order.

    Returns for each box in a layer the layer's id.
    """
    for column in view.columns:
        cards = {name: card_of(view.boxes[name], look) for name in column.boxes}
        label = column_label(column, cards, look.colours, look.direction in ("LR", "RL"))
        cluster_for(column.path, clusters, look.colours).node(column.id, f"<{label}>", id=column.id, shape="plain")
    return {name: column.id for column in view.columns for name in column.boxes}


def align(graph: Any, view: View, holders: Mapping[str, str]) -> None:
    """Layers stand with their middles at one height: unseen arrows between the middles outweigh those between rows."""
    layers = {name for name, box in view.boxes.items() if box.kind == "dense"} | set(graph.columns)
    ends = {tuple(holders.get(x, x) for x in (arrow.source, arrow.target)) for arrow in view.arrows.values()}
    for source, target in sorted(ends):
        if source in layers or target in layers:
            graph.edge(source, target, style="invis", weight="1000")


def keep_groups_apart(graph: Any, view: View, holders: Mapping[str, str]) -> None:
    """A group that reads what another one made stands behind it with all that is in it, by unseen arrows.

    Else its parameters would stand beside the other group, and the frames of a recurrent network in a staircase.
    """
    made: dict[tuple[Path, Path], str] = {}
    waiting: dict[Path, dict[str, None]] = {}  # of each group the boxes that no other one in it leads to
    for box in view.boxes.values():
        for end in range(len(box.path)):
            waiting.setdefault(box.path[: end + 1], {})[box.id] = None
    for arrow in view.arrows.values():
        a, b = view.boxes[arrow.source].path, view.boxes[arrow.target].path
        n = len(shared_start(a, b))
        for end in range(n):
            waiting[b[: end + 1]].pop(arrow.target, None)
        if len(a) > n and len(b) > n:
            made.setdefault((a[: n + 1], b[: n + 1]), arrow.source)
    for (before, behind), source in made.items():
        for name in waiting[behind] if (behind, before) not in made else ():
            graph.edge(holders.get(source, source), holders.get(name, name), style="invis")


def card_of(box: Box, look: Look) -> str:
    is_result = box.node in look.outputs and box.kind in ("neuron", "dense", "chain")
    return card_label(box, look.show, look.colours, is_result, look.largest)


def ends_of(arrow: Arrow, holders: Mapping[str, str], direction: Direction, narrow: Collection[str]) -> tuple[str, str]:
    """Where an arrow starts and ends: at the side of a row, or at a box where the picture goes down or up.

    `narrow` are rows of one cell; of others the last cell has a port of its own.
    """
    sides = {"LR": ("e", "w"), "RL": ("w", "e"), "TB": ("s", "n"), "BT": ("n", "s")}[direction]
    flat = direction in ("LR", "RL")
    start, end = holders.get(arrow.source, arrow.source), holders.get(arrow.target, arrow.target)
    for_left, for_right = ("", "o") if direction == "LR" else ("o", "")
    if arrow.from_row and (flat or arrow.source in holders):
        start += f":{arrow.from_row}{'' if arrow.from_row in narrow else for_right}:{sides[0]}"
    if arrow.to_row and (flat or arrow.target in holders):
        end += f":{arrow.to_row}{'' if arrow.to_row in narrow else for_left}:{sides[1]}"
    return start, end


def add_box(graph: Any, box: Box, look: Look) -> None:
    if box.rows:
        graph.node(box.id, f"<{card_of(box, look)}>", id=box.id, shape="plain")
        return
    shape = dict(SHAPES[box.kind])
    fill = look.colours.get(box.kind)
    if look.largest is not None and box.kind in ("value", "leaf", "parameter", "output"):
        fill = look.colours.get(heat(box.grad, look.largest), fill)
    if fill:
        shape["style"] = ",".join(filter(None, [shape.get("style", ""), "filled"]))
        shape["fillcolor"] = fill
    graph.node(box.id, f"<{label_of(box, look.show)}>", id=box.id, tooltip=" ", **shape)


def cluster_for(path: Path, clusters: dict[Path, Any], colours: Mapping[str, str]) -> Any:
    """The frame of a group, made with those around it when first asked for."""
    for end in range(1, len(path) + 1):
        if path[:end] not in clusters:
            attributes = {
                "label": f"<{text(short_name(path[end - 1]))}>",
                "labelloc": "t",
                "labeljust": "l",
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
