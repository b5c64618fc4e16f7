"""One pass, recorded: what is computed at each step, for a page to replay.

The one thing to know: numbers are recorded as the backward walk makes them, from the same rules in the same order; the
page adds nothing up. Whatever asks where a Value stands in the picture asks `Scene`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tinygrad_edu.core.backward import cotangents, starting_seed
from tinygrad_edu.core.context import Observer, observing
from tinygrad_edu.core.value import Value, data_of
from tinygrad_edu.drawing.cards import cards_of
from tinygrad_edu.drawing.labels import digits, entries_of, is_small, summary
from tinygrad_edu.drawing.slopes import local_slopes
from tinygrad_edu.drawing.view import Place, View, groups_of, name_of, number_nodes, stand_in, view_of
from tinygrad_edu.graph import forward_order

if TYPE_CHECKING:
    from tinygrad_edu.nn import History

RATE = 0.5
"""Of the update that is shown where nobody says another, as in the article."""

Step = dict[str, Any]


@dataclass
class Recording:
    """A loss, its view with final gradients, the data that the page replays, and for whoever compares the gradients."""

    loss: Value
    view: View
    data: dict[str, Any]
    scene: Scene
    gradients: dict[Value, Any]


@dataclass
class Scene:
    """What each Value is called, and where it stands in the picture.

    Attributes:
        view: The picture's boxes, rows and arrows.
        numbers: The Values, numbered as in the view.
        names: What they are called.
        frames: Of a name the part that says the group, where a table may say it once for several; else "".
    """

    view: View
    numbers: dict[Value, int]
    names: dict[Value, str]
    frames: dict[Value, str]

    def id_of(self, node: Value) -> str:
        return f"value{self.numbers[node]}"

    def called(self, node: Value) -> dict[str, str]:
        """The name for a table, where rows of one frame stand together."""
        frame = self.frames[node]
        return {"name": self.names[node].removeprefix(f"{frame}.") if frame else self.names[node], "frame": frame}

    def home(self, node: Value) -> Place:
        return self.view.homes[node]

    def entry(self, node: Value, place: int) -> Place:
        """Where an input of the operation that made `node` leads to."""
        return self.view.entries.get((node, place), self.home(node))

    def source(self, node: Value, place: int) -> Place | None:
        """Where that input comes from."""
        parent = node.parents[place]
        return self.home(parent) if isinstance(parent, Value) else self.view.constants.get((node, place))

    def lit(self, places: Iterable[Place], ends: Iterable[tuple[Place | None, Place]]) -> dict[str, Any]:
        """The boxes, rows and arrows of a step; the last place is what it is about."""
        places = list(places)
        found = [(a[1] or a[0], b[1] or b[0]) for a, b in ends if a is not None]
        return {
            "boxes": list(dict.fromkeys(box for box, _ in places)),
            "rows": list(dict.fromkeys(row for _, row in places if row)),
            "arrows": list(dict.fromkeys(self.view.arrows[x].id for x in found if x in self.view.arrows)),
        }


def record(
    loss: Value,
    learning_rate: float | None,
    max_nodes: int,
    names: Mapping[str, Any] | None = None,
    show: Collection[str] = frozenset({"cards", "data", "grad", "shape"}),
    depth: int | None = None,
    history: History | None = None,
) -> Recording:
    """Record forward and backward pass. No gradient of any Value is touched.

    The update at the end is plain gradient descent; that of `history` where no learning rate is given.
    """
    if loss.ndim or loss.operation is None:
        hint = "a leaf: there is nothing to step through" if loss.operation is None else "sum it, or take one entry"
        raise ValueError(f"the stepper needs a number made by an operation, got {loss!r}: {hint}")
    view = whole_view(loss, depth, names, show)
    if size_of(view) > max_nodes:
        raise ValueError(too_many(loss, view, max_nodes, names, show))
    scene = scene_of(loss, view, names or {})
    backward, gradients = backward_steps(loss, scene)
    label(view, scene, gradients)
    leaves = [node for node in scene.numbers if node.operation is None]
    parameters = [{"id": scene.id_of(node)} | scene.called(node) for node in leaves]
    values = values_of(scene, show)
    ids = {*values, *(parameter["id"] for parameter in parameters)}
    steps = folded([forward_step(node, scene) for node in forward_order([loss])], view, ids)
    settings: Any = history.settings if history is not None and learning_rate is None else None
    new = settings.next_update(history, gradients) if settings is not None else None
    steps += folded(backward, view, ids)
    if new is None:
        steps.append(update_step(leaves, gradients, scene, RATE if learning_rate is None else learning_rate))
    else:
        steps.append(run_step(settings.update, new, gradients, scene))
    rows = {box.id: [row.id for row in box.rows] for box in view.boxes.values() if box.rows}
    data = {"steps": steps, "values": values, "parameters": parameters, "rows": rows}
    return Recording(loss, view, data, scene, gradients)


def whole_view(loss: Value, depth: int | None, names: Mapping[str, Any] | None, show: Collection[str]) -> View:
    """The view in which nothing is folded but what `depth` folds."""
    return (view_of if "nodes" in show else cards_of)([loss], depth, 10**9, names)


def size_of(view: View) -> int:
    return sum(max(len(box.rows), 1) for box in view.boxes.values())


def too_many(loss: Value, view: View, max_nodes: int, names: Mapping[str, Any] | None, show: Collection[str]) -> str:
    """The message for a picture that is too large, with a way out."""
    problem = f"the picture has {size_of(view)} boxes and rows, more than max_nodes={max_nodes}"
    deepest = max((len(path) for path in groups_of(number_nodes([loss])).values()), default=0)
    for depth in range(deepest - 1, -1, -1):
        n = size_of(whole_view(loss, depth, names, show))
        if n <= max_nodes:
            return f"{problem}: fold its groups with depth={depth} (that leaves {n}), or allow more with max_nodes"
    return (
        f"{problem}: put parts of it into groups (`with tg.group(...)`) and fold them with depth=0, step through a "
        "part of it, or allow more with max_nodes"
    )


class Contribution(NamedTuple):
    """What an input of an operation gets in the backward walk: `g`, made of `incoming`; it comes to `total` so far."""

    node: Value
    place: int
    incoming: Any
    g: Any
    total: Any

    @property
    def target(self) -> Value:
        """The Value that gets it."""
        parent = self.node.parents[self.place] if self.place >= 0 else self.node
        assert isinstance(parent, Value)
        return parent


class Listener(Observer):
    """Writes down the contributions of a backward walk as they come."""

    def __init__(self) -> None:
        self.heard: list[Contribution] = []

    def contributed(self, node: Value, place: int, incoming: Any, g: Any, total: Any) -> None:
        self.heard.append(Contribution(node, place, incoming, g, total))


def contributions(loss: Value) -> list[Contribution]:
    """The backward walk, term by term; the first is the seed's, which has no place (-1)."""
    seed = starting_seed(loss, None, False)
    listener = Listener()
    with observing(listener):
        cotangents([loss], [seed], False)
    return [Contribution(loss, -1, None, seed, seed), *listener.heard]


def backward_steps(loss: Value, scene: Scene) -> tuple[list[Step], dict[Value, Any]]:
    """The seed, then for each operation and each of its inputs one contribution; and the gradients that they make."""
    gradients: dict[Value, Any] = {}
    slopes: dict[Value, list[float | None]] = {}
    steps = []
    for term in contributions(loss):
        target = term.target
        if term.place < 0:
            steps.append(seed_step(term.node, term.total, scene))
        else:
            if term.node not in slopes:
                slopes = {term.node: local_slopes(term.node)}
            slope = slopes[term.node][term.place]
            steps.append(backward_step(term, gradients.get(target), slope, scene))
        gradients[target] = term.total
    return steps, gradients


def seed_step(loss: Value, one: Any, scene: Scene) -> Step:
    return scene.lit([scene.home(loss)], []) | {
        "phase": "seed",
        "shows": [],
        "gains": {scene.id_of(loss): sum_data(one)},
        "name": scene.names[loss],
        "number": 1.0,
    }


def backward_step(term: Contribution, before: Any, slope: float | None, scene: Scene) -> Step:
    """One input of an operation gets what the chain rule gives it."""
    node, parent = term.node, term.target
    assert node.operation is not None
    target, source = scene.entry(node, term.place), scene.home(parent)
    return scene.lit([target, source], [(source, target)]) | {
        "phase": "backward",
        "shows": [],
        "gains": {scene.id_of(parent): sum_data(term.total)},
        "name": scene.names[parent],
        "from": scene.names[node],
        "operation": node.operation.name,
        "formula": node.operation.formula,
        "incoming": written(term.incoming),
        "slope": None if slope is None else written(slope),
        "product": written(term.g),
        "before": None if before is None else written(before),
        "sum": written(term.total),
        "number": exact(term.total),
        "entries": many(term.total),
    }


def forward_step(node: Value, scene: Scene) -> Step:
    """A value appears."""
    assert node.operation is not None
    home, places = scene.home(node), range(len(node.parents))
    entries = [scene.entry(node, place) for place in places]
    ends = [(scene.source(node, place), entries[place]) for place in places]
    boxes = [(box, "") for box, _ in entries]  # rows of inputs aren't what is made
    return scene.lit([*boxes, home], [*ends, *((entry, home) for entry in entries)]) | {
        "phase": "forward",
        "near": list(dict.fromkeys(source[0] for source, _ in ends if source is not None)),
        "shows": [scene.id_of(node)],
        "gains": {},
        "name": scene.names[node],
        "operation": node.operation.name,
        "inputs": [scene.names[p] if isinstance(p, Value) else written(p) for p in node.parents],
        "result": written(node.data),
        "number": exact(node.data),
        "entries": many(node.data),
    }


def folded(steps: list[Step], view: View, shown: Collection[str]) -> list[Step]:
    """Steps one after the other that all happen in one folded box, as one; of the Values only those `shown`."""
    merged: list[Step] = []
    for boxes, run in groupby(steps, key=lambda step: tuple(step["boxes"])):
        found = list(run)
        if len(boxes) > 1 or not boxes[0].startswith("fold"):
            merged += found
            continue
        last = found[-1]
        merged.append(
            last
            | {
                "folded": True,
                "arrows": list(dict.fromkeys(arrow for step in found for arrow in step["arrows"])),
                "shows": [name for step in found for name in step["shows"] if name in shown],
                "gains": {name: total for step in found for name, total in step["gains"].items() if name in shown},
                "count": len(found),
                "name": view.boxes[boxes[0]].name,
                "last": last["name"],
            }
        )
    return merged


def update_step(leaves: list[Value], gradients: Mapping[Value, Any], scene: Scene, rate: float) -> Step:
    """Where every leaf would go by one step of gradient descent."""
    rows, reached = [], [leaf for leaf in leaves if gradients.get(leaf) is not None]
    for leaf in reached:
        with np.errstate(all="ignore"):  # what is infinite is shown as that
            step = -rate * gradients[leaf]
            rows.append(moved(leaf, gradients[leaf], step, leaf.data + step, scene))
    return update_of(reached, rows, scene) | {"rate": written(rate)}


def run_step(update: Any, new: Mapping[Value, Any], gradients: Mapping[Value, Any], scene: Scene) -> Step:
    """Where every parameter would go by the training run's own update."""
    with np.errstate(all="ignore"):
        leaves = [leaf for leaf in scene.numbers if leaf in new]
        rows = [moved(leaf, gradients[leaf], new[leaf] - leaf.data, new[leaf], scene) for leaf in leaves]
    about = (type(update).__doc__ or "").strip().partition("\n")[0]
    return update_of(leaves, rows, scene) | {"byRun": True, "update": repr(update), "formula": about}


def moved(leaf: Value, g: Any, step: Any, new: Any, scene: Scene) -> dict[str, Any]:
    """The row of a leaf that is updated."""
    row = {"old": written(leaf.data), "grad": written(g), "step": written(step), "new": written(new)}
    return scene.called(leaf) | row | {"number": exact(new)}


def update_of(leaves: list[Value], rows: list[dict[str, Any]], scene: Scene) -> Step:
    found: Step = {"phase": "update", "shows": [], "gains": {}, "number": None, "leaves": rows}
    return scene.lit([scene.home(leaf) for leaf in leaves], []) | found


def scene_of(loss: Value, view: View, given: Mapping[str, Any]) -> Scene:
    """The Values of a computation by the view's numbers, with their names.

    In a neuron or layer the results are called after their rows: `layers[0].neurons[1].sum`.
    """
    numbers = number_nodes([loss])
    called = {id(value): name for name, value in given.items() if isinstance(value, Value)}
    rows = {row.node: row for box in view.boxes.values() if box.kind in ("neuron", "dense") for row in box.rows}
    names, frames = {}, {}
    for node, number in numbers.items():
        own, row = name_of(node) or called.get(id(node)), rows.get(node)
        if not own and row is not None and node.operation is not None and node.group:
            own = ".".join([*node.group, row.label.split(" ")[0]])
        names[node] = own or stand_in(node, number, {loss})
        frame, _, last = names[node].rpartition(".")
        frames[node] = frame if re.fullmatch(r"weights(\[\d+\])?|bias|sum|output", last) else ""
    return Scene(view, numbers, names, frames)


def label(view: View, scene: Scene, gradients: Mapping[Value, Any]) -> None:
    """Names and final gradients for the picture."""
    for box in view.boxes.values():
        if box.node is not None and not box.rows and box.kind not in ("operation", "constant"):
            box.grad, box.name = gradients.get(box.node), box.name or scene.names[box.node]
        for row in box.rows:
            if row.node is None:
                continue
            row.grad = gradients.get(row.node)
            if box.kind == "chain" and row.kind == "value":
                row.name = row.name or scene.names[row.node]


def values_of(scene: Scene, show: Collection[str]) -> dict[str, dict[str, Any]]:
    """What the page needs to show each value: whether it is there from the start, and where its numbers stand.

    A number stands in an element of the picture, by its id; or in some of a box's texts, counted from their end.
    """
    found: dict[Value, dict[str, Any]] = {
        node: {"leaf": node.operation is None, "home": list(scene.home(node)), "data": [], "grad": []}
        for node in scene.numbers
    }
    for box in scene.view.boxes.values():
        for row in box.rows:
            if row.node is not None:
                found[row.node]["data"].append(f"{row.id}data")
                found[row.node]["grad"].append(f"{row.id}grad")
        if box.node is not None and not box.rows and box.kind not in ("operation", "constant"):
            n_grad = cells_in(box.grad) if "grad" in show and box.grad is not None else 0
            if n_grad:
                found[box.node]["grad"].append([box.id, -n_grad, 0])
            if "data" in show:
                word = n_grad + bool(n_grad)  # the word before the gradient
                found[box.node]["data"].append([box.id, -word - cells_in(box.node.data), -word])
    for (node, place), (_, row_id) in scene.view.entries.items():
        parent = node.parents[place]
        if row_id and isinstance(parent, Value) and scene.home(parent)[1] != row_id:
            found[parent]["data"].append(f"{row_id}input")
    return {scene.id_of(node): value for node, value in found.items() if value["data"] or value["grad"]}


def sum_data(x: Any) -> dict[str, Any]:
    """A gradient so far: in a line, and for an array that stands as a table in the picture its cells."""
    x = data_of(x)
    if np.ndim(x) and is_small(np.atleast_2d(x)):
        return {"text": written(x), "cells": [digits(float(entry)) for entry in np.ravel(x)]}
    if np.ndim(x):
        return {"text": written(x), "cells": [summary(np.asarray(x))]}
    return {"text": written(x)}


def cells_in(data: Any) -> int:
    """How many texts `labels.number_cell` writes for it."""
    return int(np.size(data)) if np.ndim(data) and is_small(np.atleast_2d(data_of(data))) else 1


def written(x: Any) -> str:
    """As it stands in the picture: four digits, or an array in short."""
    x = data_of(x)
    if np.ndim(x) == 0:
        return digits(float(x))
    if np.size(x) <= 9:
        return np.array2string(
            np.asarray(x), formatter={"float_kind": lambda x: digits(float(x))}, separator=", "
        ).replace("\n", "")
    return f"{np.shape(x)}: {summary(np.asarray(x))}"


def many(x: Any) -> list[list[str]] | None:
    """The numbers of an array that the sentence has no room for."""
    return entries_of(data_of(x)) if np.size(data_of(x)) > 9 else None


def exact(x: Any) -> Any:
    """The number itself, for whoever compares; None for arrays, and where JSON has no word for it."""
    x = data_of(x)
    return float(x) if np.ndim(x) == 0 and math.isfinite(float(x)) else None
