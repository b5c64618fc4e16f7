"""Single operations in columns: every layer right of the one that it reads, its neurons from top to bottom in order.

The one thing to know: `dot` orders what it frames as it likes. Two things hold it: unseen points that stand between one
layer and the next, and unseen chains through what stands in one rank. Inside a frame a chain runs from the last neuron
to the first, and `dot` must not improve on it (`HELD`); both programs then draw the first on top. Since it reorders
frames within frames all the same, a neuron has a heading in place of a frame of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import graphviz

from tinygrad_edu.drawing.labels import text
from tinygrad_edu.drawing.view import Path, View, ranks_of
from tinygrad_edu.ops.linear_algebra import weighted_sum_of

HELD = {"mclimit": "0.001", "remincross": "false"}


@dataclass
class Layer:
    """A layer's frame, and the boxes in it by neuron; a dense layer's have no neuron."""

    path: Path
    boxes: list[str] = field(default_factory=list)
    neurons: dict[int, list[str]] = field(default_factory=dict)


def layers_of(view: View) -> dict[Path, Layer]:
    """The layers whose boxes stand singly; none where neurons are used more than once, which have no one column."""
    found: dict[Path, Layer] = {}
    heads: set[Path] = set()
    for box in view.boxes.values():
        at = next((i for i, name in enumerate(box.path) if re.fullmatch(r"layers\[\d+\]", name)), None)
        neuron = re.fullmatch(r"neurons\[(\d+)\]", box.path[-1]) if box.path else None
        if at is None and neuron is None:
            continue
        path = box.path[: at + 1] if at is not None else box.path[:-1]
        layer = found.setdefault(path, Layer(path))
        layer.boxes.append(box.id)
        if neuron is not None:
            layer.neurons.setdefault(int(neuron.group(1)), []).append(box.id)
        if box.kind == "operation" and box.node is not None and box.node.operation is weighted_sum_of:
            if box.path in heads:
                return {}
            heads.add(box.path)
    return found


def frames_of(layers: Mapping[Path, Layer]) -> dict[str, Path]:
    """For the boxes of neurons the frame that they stand in: their layer's."""
    return {name: layer.path for layer in layers.values() for names in layer.neurons.values() for name in names}


def hold_columns(graph: Any, frames: Mapping[Path, Any], view: View, layers: Mapping[Path, Layer]) -> None:
    """Add what keeps layers in columns and neurons in order, and the neurons' headings."""
    for i, layer in enumerate(layers.values()):
        for row in rows_of(layer, view):
            frames[layer.path].subgraph(chain(row))
        inside = set(layer.boxes)
        sources = list(dict.fromkeys(s for s, target in view.arrows if target in inside and s not in inside))
        graph.subgraph(chain([name for name in reversed(sources) if view.boxes[name].kind == "constant"]))
        if sources:
            keep_right_of(graph, sources, f"between{i}", layer, view)
        for j in layer.neurons:
            words = f"<<B>{text(f'neurons[{j}]')}</B>>"
            frames[layer.path].node(heading_of(layer, j), words, shape="plaintext", height="0", margin="0.05,0.03")


def keep_right_of(graph: Any, sources: list[str], point: str, layer: Layer, view: View) -> None:
    """All of a layer stands right of what it reads, with its middle at the height of that one's.

    Neurons do by the arrows to their headings; the parameters of matrices need an unseen point before them.
    """
    ranks = ranks_of(layer.boxes, view.arrows)
    middle = sources[len(sources) // 2]
    if layer.neurons:
        names = layer.neurons[sorted(layer.neurons)[len(layer.neurons) // 2]]
        starts = [name for name in names if ranks[name] == 0]
        graph.edge(middle, starts[len(starts) // 2], style="invis", weight="1000")
        return
    graph.node(point, "", shape="point", style="invis", width="0", height="0")
    for source in sources:
        graph.edge(source, point, style="invis")
    for name in layer.boxes:
        if ranks[name] == 0:
            graph.edge(point, name, style="invis")


def gates_of(layers: Mapping[Path, Layer], view: View) -> dict[tuple[str, str], str]:
    """What comes from outside enters a neuron at its heading, from which one arrow goes on: so lines pass no box."""
    found: dict[tuple[str, str], str] = {}
    for layer in layers.values():
        for j, names in layer.neurons.items():
            for source, target in view.arrows:
                if target in names and source not in names:
                    found[source, target] = heading_of(layer, j)
    return found


def weights_of(layers: Mapping[Path, Layer], view: View) -> dict[tuple[str, str], str]:
    """How straight each arrow is: what one neuron computes stands in a line, beside the middle of its parameters."""
    found: dict[tuple[str, str], str] = {}
    for layer in layers.values():
        for names in layer.neurons.values():
            inside = [ends for ends in view.arrows if ends[0] in names and ends[1] in names]
            leaves = [ends for ends in inside if view.boxes[ends[0]].kind in ("parameter", "leaf", "constant")]
            straight = [ends for ends in inside if ends not in leaves] + leaves[len(leaves) // 2 :][:1]
            found |= dict.fromkeys(straight, "100")
        across = [ends for ends in view.arrows if (ends[0] in layer.boxes) != (ends[1] in layer.boxes)]
        found |= dict.fromkeys(across, "0")
    return found


def heading_of(layer: Layer, neuron: int) -> str:
    return f"heading{'x'.join(re.findall('[0-9]+', ' '.join(layer.path)))}n{neuron}"


def rows_of(layer: Layer, view: View) -> list[list[str]]:
    """What stands in one rank: of each neuron, in order, what is equally many steps from its start."""
    steps = ranks_of(layer.boxes, view.arrows)
    rows: dict[int, list[str]] = {}
    for j in sorted(layer.neurons):
        rows.setdefault(0, []).append(heading_of(layer, j))
        for name in layer.neurons[j]:
            rows.setdefault(steps[name], []).append(name)
    return list(rows.values())


def chain(names: list[str]) -> graphviz.Digraph:
    """The boxes in one rank, the first on top."""
    row = graphviz.Digraph()
    row.attr(rank="same")
    for below, above in zip(names[:0:-1], names[-2::-1], strict=True):
        row.edge(below, above, style="invis")
    return row
