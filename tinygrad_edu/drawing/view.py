"""What a picture shows of a computation: which nodes, which folded into one, and in which frames.

The one thing to know: nothing here knows of Graphviz. A view is boxes, frames and arrows with stable ids; the same
graph gives the same view. Nothing recurses. Values are numbered from the outputs on, inputs in order (`number_nodes`),
and ids say these numbers. In an SVG there is an element with each of these ids:

    value5          the box of a Value: of a leaf, or, where single operations are shown, of any
    operation5      the ellipse of the operation that made Value 5 (single operations only)
    constant5x1     the box of a number: input 1 of operation 5 (single operations only)
    card5           a card, whose result is Value 5: a neuron, a dense layer, a chain of operations
    inputs0         the card of the numbers that a network was given
    fold0           a group folded into one box
    card5row2       a row of a card, from 0; `card5row2data` and `card5row2grad` its numbers, `card5row2input` the input
                    beside a weight or the target beside an output, `card5row2hand` a gradient by hand. The row of a
                    leaf is `value5row0`. Rows left out have one in their place, `card5more`.
    column0         the frame around the neurons of a layer, `column0fold` those of them that are folded; frame1 the
                    frame around a group
    edge0           an arrow

`Box.rows` says which Value each row shows, so that whoever looks for the place of a Value finds it there.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from tinygrad_edu.core.value import Value
from tinygrad_edu.ops.linear_algebra import weighted_sum_of

Path: TypeAlias = tuple[str, ...]
Kind: TypeAlias = Literal[
    "output", "value", "leaf", "parameter", "constant", "operation", "folded", "neuron", "dense", "chain", "inputs"
]

Place: TypeAlias = tuple[str, str]
"""The ids of a box and of one of its rows; the row is empty where the box has none."""

LAYER = re.compile(r"(?:layers|neurons)\[(\d+)\]$")
"""What the groups of layers and neurons are called."""

SIBLINGS = 4
"""Folded neurons or layers that are alike, in one frame: more than so many become one box with a count."""

LONGEST = 32
"""Letters of a name that are shown."""


@dataclass
class Row:
    """One line of a card.

    Attributes:
        id: Stable and unique.
        label: What stands first: an operation, `w₀`.
        name: What the Value is called, where a user named it or another row speaks of it.
        kind: "weight" (input, weight, gradient), "pair" (output, target, gradient), "value", or "more": rows left out.
        node: The Value whose data and gradient it shows.
        grad: The gradient to show where it isn't the Value's own.
        data: What it shows where that is no Value: a constant.
        input: For a weight the input that it is multiplied by, for an output its target.
        delta: Whether its gradient is a neuron's delta.
        uses: How often the Value is used, where that is worth a word.
        hand: The gradient that somebody wrote by hand, with a verdict in words.
    """

    id: str
    label: str = ""
    name: str = ""
    kind: Literal["weight", "pair", "value", "more"] = "value"
    node: Value | None = None
    data: Any = None
    input: Any = None
    grad: Any = None
    delta: bool = False
    uses: int = 0
    hand: Any = None
    verdict: str = ""


@dataclass(frozen=True)
class Arrow:
    """An arrow between two boxes, from row to row where they have rows; `place` is the input that it leads to."""

    id: str
    source: str
    target: str
    place: int | None = None
    from_row: str = ""
    to_row: str = ""


@dataclass
class Column:
    """The neurons of a layer, one below the other in their order, in one frame."""

    id: str
    path: Path
    name: str
    boxes: list[str] = field(default_factory=list)


@dataclass
class Box:
    """One box of a picture: a value, a constant, an operation, a card, or a group folded into one.

    Attributes:
        id: Stable and unique, made of letters and digits.
        kind: What it is, which decides its look.
        path: The frames that it stands in, outermost first.
        node: The Value that it shows, or whose operation it shows.
        data: A constant's number or array.
        grad: The gradient that a value's box shows.
        name: What stands above.
        holds: What a folded box holds.
        times: For how many alike it stands.
        rows: The lines of a card.
    """

    id: str
    kind: Kind
    path: Path = ()
    node: Value | None = None
    data: Any = None
    grad: Any = None
    name: str = ""
    holds: str = ""
    times: int = 1
    rows: list[Row] = field(default_factory=list)


@dataclass
class View:
    """What a picture shows, and where in it each Value is found.

    Attributes:
        boxes: By their ids.
        arrows: By the rows, or boxes without rows, that they join.
        columns: The frames of layers.
        note: A line about what was folded.
        homes: For each Value the box and the row that show it; the row is empty where the box has none.
        entries: For inputs of operations, by the operation's result and the place, where they lead to; those that
            aren't there lead to the result's home.
        constants: For inputs that are numbers, by the same key, where they stand, if anywhere.
    """

    boxes: dict[str, Box] = field(default_factory=dict)
    arrows: dict[tuple[str, str], Arrow] = field(default_factory=dict)
    columns: list[Column] = field(default_factory=list)
    note: str = ""
    homes: dict[Value, Place] = field(default_factory=dict)
    entries: dict[tuple[Value, int], Place] = field(default_factory=dict)
    constants: dict[tuple[Value, int], Place] = field(default_factory=dict)

    def join(self, source: str, target: str, place: int | None = None, from_row: str = "", to_row: str = "") -> None:
        """An arrow, unless there is one between the two."""
        key = (from_row or source, to_row or target)
        self.arrows.setdefault(key, Arrow(f"edge{len(self.arrows)}", source, target, place, from_row, to_row))


def view_of(
    outputs: Sequence[Value], depth: int | None = None, max_nodes: int = 400, names: Mapping[str, Any] | None = None
) -> View:
    """The view of a computation: groups deeper than `depth` are folded, and more, down to `max_nodes` boxes."""
    numbers = number_nodes(outputs)
    groups = groups_of(numbers)
    given = {id(value): name for name, value in (names or {}).items() if isinstance(value, Value)}
    deepest = max(map(len, groups.values()), default=0)
    levels = [deepest if depth is None else depth]
    while levels[-1] > 0:
        levels.append(max(min(levels[-1], deepest) - 1, 0))
    for level in levels:
        view = folded_view(numbers, groups, level, given, set(outputs))
        if len(view.boxes) <= max_nodes:
            if level != levels[0]:
                view.note = f"folded at depth {level}, to show no more than {max_nodes} boxes"
            return view
    near = set(list(numbers)[: max(max_nodes // 3, 1)])
    view = folded_view(numbers, groups, levels[0], given, set(outputs), near)
    view.note = f"{len(numbers)} values: the {len(near)} nearest to the result are shown, the others folded"
    return view


def folded_view(
    numbers: Mapping[Value, int],
    groups: Mapping[Value, Path],
    level: int,
    given: Mapping[int, str],
    outputs: set[Value],
    near: set[Value] | None = None,
) -> View:
    """The view in which groups deeper than `level`, and Values that aren't `near`, are folded."""
    keys = fold_keys(numbers, groups, level, near)
    view = View()
    given_once = shared_inputs(numbers, groups)
    members: dict[Path, list[Value]] = {}
    for node, number in numbers.items():
        key = keys.get(node)
        if key is None:
            add_boxes(view, node, number, groups[node], given, outputs, given_once)
        else:
            members.setdefault(key, []).append(node)
    ids = {key: f"fold{i}" for i, key in enumerate(members)}
    view.homes = {node: (ids[keys[node]] if node in keys else f"value{number}", "") for node, number in numbers.items()}
    for key, nodes in members.items():
        view.boxes[ids[key]] = folded_box(ids[key], key, nodes, keys, groups)
    for node, number in numbers.items():
        target = ids[keys[node]] if node in keys else f"operation{number}"
        for place, parent in enumerate(node.parents):
            view.entries[node, place] = (target, "")
            if not isinstance(parent, Value):
                continue
            source = view.homes[parent][0]
            if source != target:
                view.join(source, target, place if node not in keys else None)
    return view


def shared_inputs(numbers: Mapping[Value, int], groups: Mapping[Value, Path]) -> dict[tuple[Value, int], str]:
    """For each number that neurons of one layer are given the box that it has once, for all of them."""
    found: dict[tuple[Value, int], str] = {}
    first: dict[Any, Value] = {}
    for node in numbers:
        if node.operation is weighted_sum_of and groups[node] and groups[node][-1].startswith("neurons["):
            n = len(node.parents) // 2
            given = tuple(x if isinstance(x, Value) else float(x) for x in node.parents[n + 1 :])
            owner = first.setdefault((groups[node][:-1], given), node)
            for place in range(n + 1, 2 * n + 1):
                if not isinstance(node.parents[place], Value):
                    found[node, place] = f"constant{numbers[owner]}x{place}"
    return found


def add_boxes(
    view: View,
    node: Value,
    number: int,
    path: Path,
    given: Mapping[int, str],
    outputs: set[Value],
    given_once: Mapping[tuple[Value, int], str],
) -> None:
    """The boxes of one Value: itself, its operation, and the constants among its inputs."""
    name = name_of(node) or given.get(id(node), "")
    kind: Kind = "output" if node in outputs and node.operation else "value" if node.operation else "leaf"
    if kind == "leaf" and is_parameter(name):
        kind = "parameter"
    name = short_name(name, path) or (stand_in(node, number, outputs) if kind == "output" else "")
    view.boxes[f"value{number}"] = Box(f"value{number}", kind, path, node, grad=node.grad, name=name)
    if node.operation is None:
        return
    view.boxes[f"operation{number}"] = Box(f"operation{number}", "operation", path, node)
    view.join(f"operation{number}", f"value{number}")
    for place, parent in enumerate(node.parents):
        if not isinstance(parent, Value):
            constant = given_once.get((node, place), f"constant{number}x{place}")
            where = outer_path(path) if (node, place) in given_once else path
            view.boxes.setdefault(constant, Box(constant, "constant", where, node, data=parent))
            view.constants[node, place] = (constant, "")
            view.join(constant, f"operation{number}", place)


def stand_in(node: Value, number: int, outputs: set[Value]) -> str:
    """What a Value without a name is called: the result, numbered where there are several, or `v` with its number."""
    if node not in outputs or node.operation is None:
        return f"v{number}"
    return "result" if len(outputs) == 1 else f"result{number}"


def name_of(node: Value) -> str:
    """What a user called it; "" where that is nothing, or blank."""
    return str(node.name) if node.name and str(node.name).strip() else ""


def short_name(name: str, path: Path = ()) -> str:
    """A name as it is shown: without the frames around it, the middle of a long one left out."""
    own = name.removeprefix(".".join(path) + ".")
    return own if len(own) <= LONGEST else f"{own[: LONGEST - 12]}…{own[-11:]}"


def outer_path(path: Path) -> Path:
    """The groups around a network: those without a layer's or a neuron's name."""
    return tuple(name for name in path if not LAYER.match(name))


def is_parameter(name: str) -> bool:
    """Whether a leaf is called as a layer's parameters are."""
    return re.search(r"(^|\.)(weights(\[\d+\])?|bias)$", name) is not None


def fold_keys(
    numbers: Mapping[Value, int], groups: Mapping[Value, Path], level: int, near: set[Value] | None
) -> dict[Value, Path]:
    """For each Value that is folded the path of the box it is folded into; alike siblings share one."""
    keys = {node: path[: level + 1] for node, path in groups.items() if len(path) > level}
    if near is not None:
        keys |= {node: ("…",) for node in numbers if node not in near}
    members: dict[Path, Counter[str]] = {}
    for node, key in keys.items():
        members.setdefault(key, Counter())[node.operation.name if node.operation else "leaf"] += 1
    alike: dict[tuple[Path, str, frozenset[tuple[str, int]]], list[Path]] = {}
    for key, counts in members.items():
        stem = re.sub(r"\[\d+\]$", "", key[-1])
        alike.setdefault((key[:-1], stem, frozenset(counts.items())), []).append(key)
    merged: dict[Path, Path] = {}
    for (parent, stem, _), siblings in alike.items():
        if len(siblings) > SIBLINGS:
            indices = sorted(int(m.group(1)) for key in siblings if (m := re.search(r"\[(\d+)\]$", key[-1])))
            name = f"{stem}[{indices[0]}…{indices[-1]}]" if len(indices) == len(siblings) else stem
            merged |= dict.fromkeys(siblings, (*parent, name))
    return {node: merged.get(key, key) for node, key in keys.items()}


def folded_box(
    box_id: str, key: Path, nodes: list[Value], keys: Mapping[Value, Path], groups: Mapping[Value, Path]
) -> Box:
    """A box that stands for many Values, and says what it holds."""
    operations = sum(node.operation is not None for node in nodes)
    parameters = sum([node.size for node in nodes if node.operation is None])
    times = len({groups[node][: len(key)] for node in nodes}) if len(key) and key != ("…",) else 1
    each = max(times, 1)
    parts = [f"{operations // each} operation{'s' if operations // each != 1 else ''}"]
    if parameters:
        parts.append(f"{parameters // each} parameter{'s' if parameters // each != 1 else ''}")
    return Box(box_id, "folded", key[:-1], name=short_name(key[-1]), holds=", ".join(parts), times=times)


def ranks_of(boxes: Iterable[str], ends: Iterable[tuple[str, str]]) -> dict[str, int]:
    """For each box how many arrows lead to it at most, one after the other; only those between the boxes count."""
    ranks = dict.fromkeys(boxes, 0)
    targets: dict[str, list[str]] = {name: [] for name in ranks}
    waiting = dict.fromkeys(ranks, 0)
    for source, target in dict.fromkeys(ends):
        if source in ranks and target in ranks:
            targets[source].append(target)
            waiting[target] += 1
    ready = [name for name, count in waiting.items() if count == 0]
    while ready:
        name = ready.pop()
        for target in targets[name]:
            ranks[target] = max(ranks[target], ranks[name] + 1)
            waiting[target] -= 1
            if waiting[target] == 0:
                ready.append(target)
    return ranks


def number_nodes(outputs: Iterable[Value]) -> dict[Value, int]:
    """All Values that the outputs were made of, numbered from the outputs on, nearest first, inputs in order."""
    numbers: dict[Value, int] = {}
    level = list(dict.fromkeys(outputs))
    while level:
        for node in level:
            numbers.setdefault(node, len(numbers))
        behind = [parent for node in level for parent in node.parents if isinstance(parent, Value)]
        level = [node for node in dict.fromkeys(behind) if node not in numbers]
    return numbers


def groups_of(numbers: Mapping[Value, int]) -> dict[Value, Path]:
    """The group of each node. A leaf has none of its own: it stands in the innermost that all its consumers share."""
    groups: dict[Value, Path] = {node: node.group for node in numbers if node.operation}
    for node in numbers:
        for parent in node.parents:
            if isinstance(parent, Value) and parent.operation is None:
                groups[parent] = shared_start(groups[parent], node.group) if parent in groups else node.group
    return {node: groups.get(node, ()) for node in numbers}


def shared_start(a: Path, b: Path) -> Path:
    n = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    return a[:n]
