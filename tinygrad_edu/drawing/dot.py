"""The graph of a Value as a `graphviz.Digraph`.

The one thing to know: everything shown is text that a user may have chosen, so it is escaped on its way in, by
`text`, and node names are numbers in order of the walk: the same graph gives the same bytes.
"""

from __future__ import annotations

import unicodedata
from typing import Any

import graphviz
import numpy as np

from tinygrad_edu.drawing.renderer import Picture
from tinygrad_edu.value import Value


def digraph(value: Value) -> Picture:
    """See `tinygrad_edu.drawing.draw`."""
    if not isinstance(value, Value):
        raise TypeError(f"draw needs a Value, got {type(value).__name__}")
    font = {"fontname": "Helvetica", "fontsize": "11"}
    graph = Picture(
        "computation",
        graph_attr={"rankdir": "LR", "nodesep": "0.15", "ranksep": "0.35", **font},
        node_attr=font,
        edge_attr={"arrowsize": "0.6"},
    )
    numbers = number_nodes(value)
    groups = groups_of(numbers)
    clusters: dict[tuple[str, ...], graphviz.Digraph] = {(): graph}
    for node, number in numbers.items():
        add_node(cluster_for(groups[node], clusters), node, number, groups[node])
    for path in sorted(clusters, key=len, reverse=True)[:-1]:
        clusters[path[:-1]].subgraph(clusters[path])
    for node, number in numbers.items():
        for parent in node.parents:
            if isinstance(parent, Value):
                graph.edge(f"value{numbers[parent]}", f"operation{number}")
    return graph


def number_nodes(output: Value) -> dict[Value, int]:
    """All Values that `output` was made of, numbered from the output on, inputs in order. No recursion."""
    numbers: dict[Value, int] = {}
    stack = [output]
    while stack:
        node = stack.pop()
        if node not in numbers:
            numbers[node] = len(numbers)
            stack += [parent for parent in reversed(node.parents) if isinstance(parent, Value)]
    return numbers


def groups_of(numbers: dict[Value, int]) -> dict[Value, tuple[str, ...]]:
    """The group of each node. A leaf has none of its own: it stands in the innermost that all its consumers share."""
    groups: dict[Value, tuple[str, ...]] = {node: node.group for node in numbers if node.operation}
    for node in numbers:
        for parent in node.parents:
            if isinstance(parent, Value) and parent.operation is None:
                groups[parent] = shared_start(groups[parent], node.group) if parent in groups else node.group
    return {node: groups.get(node, ()) for node in numbers}


def shared_start(a: tuple[str, ...], b: tuple[str, ...]) -> tuple[str, ...]:
    n = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    return a[:n]


def cluster_for(path: tuple[str, ...], clusters: dict[tuple[str, ...], Any]) -> Any:
    """The subgraph of a group, made with those around it when first asked for."""
    for end in range(1, len(path) + 1):
        if path[:end] not in clusters:
            attributes = {"label": text(path[end - 1]), "style": "rounded", "color": "gray50"}
            clusters[path[:end]] = graphviz.Digraph(f"cluster_{len(clusters)}", graph_attr=attributes)
    return clusters[path]


def add_node(graph: Any, node: Value, number: int, path: tuple[str, ...]) -> None:
    style = "solid" if node.operation else "bold"
    graph.node(f"value{number}", text(label(node, path)), shape="box", style=style, margin="0.14,0.06")
    if node.operation:
        graph.node(f"operation{number}", text(node.operation.symbol), shape="circle", margin="0.02", width="0.35")
        graph.edge(f"operation{number}", f"value{number}")
    for i, parent in enumerate(node.parents):
        if not isinstance(parent, Value):
            graph.node(f"constant{number}_{i}", text(show(parent)), shape="box", style="dashed", margin="0.14,0.06")
            graph.edge(f"constant{number}_{i}", f"operation{number}")


def label(node: Value, path: tuple[str, ...]) -> str:
    """Name, data and gradient; of a name that is a path, what the frames around the node don't say already."""
    lines = [node.name.removeprefix(".".join(path) + ".")] if node.name else []
    lines.append(f"data {show(node.data)}")
    if node.grad is not None:
        lines.append(f"grad {show(node.grad.data if isinstance(node.grad, Value) else node.grad)}")
    return "\n".join(lines)


def show(data: Any) -> str:
    """Four significant digits; a large array as its shape."""
    if isinstance(data, float):
        return f"{data:.4g}"
    if data.size > 9:
        return f"shape {data.shape}"
    return np.array2string(data, formatter={"float_kind": lambda x: f"{x:.4g}"}, separator=", ")


def text(label: str) -> str:
    """A label that Graphviz shows as it stands: no markup, no escapes, no entities; control characters replaced."""
    lines = ["".join("\ufffd" if unicodedata.category(c) in ("Cc", "Cs") else c for c in s) for s in label.split("\n")]
    return graphviz.nohtml("\\n".join(s.replace("\\", "\\\\").replace("&", "&amp;") for s in lines))  # type: ignore[no-any-return]
