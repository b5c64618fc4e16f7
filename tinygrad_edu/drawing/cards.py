"""A computation as cards: a neuron, a dense layer or a straight chain of operations is one box; layers are columns.

The one thing to know: every Value gets a home, the box and row that show it, and every input of an operation an entry,
the row that it leads to. Arrows follow from these alone, and folding only moves homes and entries.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_edu.core.value import Value
from tinygrad_edu.drawing.calls import call_text, params_text, symbol_of
from tinygrad_edu.drawing.labels import digits
from tinygrad_edu.drawing.view import (
    LAYER,
    Box,
    Column,
    Path,
    Place,
    Row,
    View,
    fold_keys,
    folded_box,
    groups_of,
    is_parameter,
    name_of,
    number_nodes,
    outer_path,
    short_name,
    stand_in,
)
from tinygrad_edu.graph import forward_order
from tinygrad_edu.ops.linear_algebra import affine, weighted_sum_of
from tinygrad_edu.ops.loss import half_squared_error, mean_squared_error

HEADS = (weighted_sum_of, affine)
PAIRED = (half_squared_error, mean_squared_error)
INFIX = ("add", "subtract", "multiply", "divide", "matmul", "power")
LONG = 12
"""A list with more rows than this may be folded to its first two and its last."""


@dataclass
class Graph:
    """What was asked for: Values by number, in forward order, with their groups, consumers and names."""

    numbers: dict[Value, int]
    groups: dict[Value, Path]
    order: list[Value]
    consumers: dict[Value, list[Value]]
    names: dict[Value, str]
    outputs: set[Value]

    def made_inputs(self, node: Value) -> list[Value]:
        """The distinct inputs that operations made."""
        return list(dict.fromkeys(p for p in node.parents if isinstance(p, Value) and p.operation is not None))

    def stand_in(self, node: Value) -> str:
        """What it is called where it has no name, and a row speaks of it."""
        return stand_in(node, self.numbers[node], self.outputs)


@dataclass
class Unit:
    """Operations that share a card, in forward order; `head` is a neuron's weighted sum, or a dense layer's."""

    nodes: list[Value]
    head: Value | None = None

    @property
    def result(self) -> Value:
        return self.nodes[-1]


@dataclass
class Plan:
    """The view in the making: where each Value stands, where inputs lead, and who needs a name, or no arrow."""

    graph: Graph
    limit: int | None
    view: View = field(default_factory=View)
    homes: dict[Value, Place] = field(default_factory=dict)
    entries: dict[tuple[Value, int], Place] = field(default_factory=dict)
    constants: dict[tuple[Value, int], Place] = field(default_factory=dict)
    rows: dict[Value, Row] = field(default_factory=dict)
    shown: set[tuple[Value, int]] = field(default_factory=set)
    named: set[Value] = field(default_factory=set)


def cards_of(
    outputs: Sequence[Value], depth: int | None = None, max_nodes: int = 400, names: Mapping[str, Any] | None = None
) -> View:
    """The view as cards: groups deeper than `depth` are folded, and more, down to `max_nodes` rows.

    Columns are folded where one has more than a quarter of `max_nodes`: nobody reads on below the fourth screen.
    """
    graph = graph_of(outputs, names)
    deepest = max(map(len, graph.groups.values()), default=0)
    keys = {} if depth is None else fold_keys(graph.numbers, graph.groups, depth, None)
    whole = planned(graph, keys, None)
    needed = rows_needed(whole)
    if needed <= max_nodes:
        return finished(whole)
    folded = planned(graph, keys, max_nodes)
    if rows_in(folded) <= max_nodes:
        folded.view.note = f"folded, to show no more than {max_nodes} rows: max_nodes={needed} shows all"
        return finished(folded)
    for level in range(min(deepest, deepest if depth is None else depth) - 1, -1, -1):
        plan = planned(graph, fold_keys(graph.numbers, graph.groups, level, None), max_nodes)
        if rows_in(plan) <= max_nodes:
            plan.view.note = f"folded at depth {level}, to show no more than {max_nodes} rows; max_nodes= shows more"
            return finished(plan)
    near = set(list(graph.numbers)[: max(max_nodes // 3, 1)])
    plan = planned(graph, fold_keys(graph.numbers, graph.groups, deepest, near), max_nodes)
    plan.view.note = f"{len(graph.numbers)} values: the {len(near)} nearest to the result are shown, the others folded"
    return finished(plan)


def graph_of(outputs: Sequence[Value], names: Mapping[str, Any] | None) -> Graph:
    numbers = number_nodes(outputs)
    given = {value: name for name, value in (names or {}).items() if isinstance(value, Value)}
    consumers: dict[Value, list[Value]] = {node: [] for node in numbers}
    order = forward_order(outputs)
    for node in sorted(order, key=numbers.__getitem__):
        for parent in dict.fromkeys(p for p in node.parents if isinstance(p, Value)):
            consumers[parent].append(node)
    called = {node: name_of(node) or given.get(node, "") for node in numbers}
    return Graph(numbers, groups_of(numbers), order, consumers, called, set(outputs))


def planned(graph: Graph, keys: Mapping[Value, Path], limit: int | None) -> Plan:
    """Boxes, rows, homes and entries; at most about `limit` rows, where there is one."""
    plan = Plan(graph, limit)
    fold_groups(plan, keys)
    units = units_of(graph, keys)
    for unit in sorted(units, key=lambda unit: graph.numbers[unit.result]):
        if unit.head is None:
            add_chain(plan, unit)
        elif unit.head.operation is weighted_sum_of:
            add_neuron(plan, unit)
        else:
            add_dense(plan, unit)
    add_columns(plan, [unit for unit in units if unit.head is not None and unit.head.operation is weighted_sum_of])
    if limit is not None:
        fold_rows(plan)
    add_inputs(plan, [unit for unit in units if unit.head is not None])
    for leaf in graph.numbers:
        if leaf not in plan.homes:
            add_leaf(plan, leaf)
    return plan


def finished(plan: Plan) -> View:
    """The view with its arrows, and with names for those that a row speaks of."""
    view, graph = plan.view, plan.graph
    view.homes, view.entries, view.constants = plan.homes, plan.entries, plan.constants
    for node in graph.numbers:
        for place, parent in enumerate(node.parents):
            start = plan.homes[parent] if isinstance(parent, Value) else plan.constants.get((node, place))
            target, to_row = plan.entries.get((node, place), plan.homes[node])
            if start is not None and start[0] != target and (node, place) not in plan.shown:
                view.join(start[0], target, place, start[1], to_row)
    for node in graph.order:
        row = plan.rows.get(node)
        if row is None:
            continue
        box = view.boxes[plan.homes[node][0]]
        is_result = node in graph.outputs and box.kind == "chain"
        name = short_name(graph.names[node], graph.groups[node])
        row.name = name = name or (graph.stand_in(node) if node in plan.named or is_result else "")
        if box.kind in ("neuron", "dense") and not name and row.label in ("Σ", box.rows[-1].label):
            row.label = f"{'sum' if row.delta else 'output'} {row.label}"
    for box in view.boxes.values():
        if box.kind in ("leaf", "parameter") and box.node in plan.named and box.node is not None:
            box.rows[0].name = box.rows[0].name or graph.stand_in(box.node)
    return view


# What belongs into one card.


def units_of(graph: Graph, folded: Mapping[Value, Path]) -> list[Unit]:
    """All operations that aren't folded, parted into cards."""
    owner: dict[Value, Unit] = {}
    units: list[Unit] = []
    for node in graph.order:
        if node in folded:
            continue
        unit = owner_for(node, graph, owner)
        if unit is None:
            unit = Unit([node], node if node.operation in HEADS and is_plain_head(node) else None)
            units.append(unit)
        else:
            unit.nodes.append(node)
        owner[node] = unit
    return units


def is_plain_head(node: Value) -> bool:
    """Whether a weighted sum is a neuron's: of numbers, with as many weights as inputs."""
    return node.operation is affine or (node.ndim == 0 and len(node.parents) > 2)


def owner_for(node: Value, graph: Graph, owner: Mapping[Value, Unit]) -> Unit | None:
    """The card that a node goes on with, if any: its neuron's, or that of the chain that it is the next link of."""
    if node.operation in HEADS and is_plain_head(node):
        return None
    made = graph.made_inputs(node)
    path = graph.groups[node]
    around = {id(owner[p]): owner[p] for p in made if p in owner and graph.groups[p] == path}
    if len(around) != 1:
        return None
    (unit,) = around.values()
    if unit.head is not None:
        if path and LAYER.match(path[-1]):
            return unit
        return unit if is_activation(node, unit, graph) else None
    straight = len(made) == 1 and made[0] is unit.result and len(graph.consumers[made[0]]) == 1
    return unit if straight and made[0] not in graph.outputs else None


def is_activation(node: Value, unit: Unit, graph: Graph) -> bool:
    """Whether a node is what a neuron without a layer applies to its weighted sum: elementwise, of this input only."""
    alone = len(node.parents) == 1 and node.parents[0] is unit.head and node.shape == unit.result.shape
    return alone and len(graph.consumers[node.parents[0]]) == 1 and node.parents[0] not in graph.outputs


# Cards.


def add_neuron(plan: Plan, unit: Unit) -> None:
    """Rows: each weight with its input, the bias, the weighted sum with the delta, and what the activation makes."""
    graph, head = plan.graph, unit.head
    assert head is not None
    box = new_card(plan, unit, "neuron", "neuron")
    n = len(head.parents) // 2
    bias, weights = head.parents[0], head.parents[1 : n + 1]
    data = head.primals[n + 1 :]
    for i, weight in enumerate(weights):
        node = weight if isinstance(weight, Value) else None
        name = graph.names[weight] if isinstance(weight, Value) else ""
        label = f"w{subscript(i)}" if not name or re.search(r"(^|\.)weights\[\d+\]$", name) else short_name(name)
        row = add_row(box, label, "weight", node, head.primals[1 + i], data[i])
        settle(plan, head, 1 + i, weight, (box.id, row.id))
        plan.entries[head, 1 + n + i] = (box.id, row.id)
    name = graph.names[bias] if isinstance(bias, Value) else ""
    label = "bias" if not name or re.search(r"(^|\.)bias$", name) else short_name(name)
    row = add_row(box, label, "value", bias if isinstance(bias, Value) else None, head.primals[0])
    settle(plan, head, 0, bias, (box.id, row.id))
    add_results(plan, box, unit)


def add_dense(plan: Plan, unit: Unit) -> None:
    """Rows: weights and bias, the weighted sums with the deltas, and what the activation makes."""
    head = unit.head
    assert head is not None
    box = new_card(plan, unit, "dense", "dense")
    outputs, inputs = np.shape(head.primals[0])
    batch = np.ndim(head.primals[1]) == 2
    box.name += f"   {inputs} → {outputs}"
    box.holds = "X·Wᵀ + b" if batch else "W·x + b"
    for node in unit.nodes[1:]:
        if len(node.parents) == 1 and node.operation is not None:
            box.holds = f"{symbol_of(node)}({box.holds})"
    for place, label in ((0, "W"), (2, "b")):
        parent = head.parents[place]
        row = add_row(box, label, "value", parent if isinstance(parent, Value) else None, head.primals[place])
        settle(plan, head, place, parent, (box.id, row.id))
    add_results(plan, box, unit)


def add_results(plan: Plan, box: Box, unit: Unit) -> None:
    """The rows of a neuron or layer from its weighted sum on."""
    previous = None
    for node in unit.nodes:
        label = (
            "Σ"
            if node is unit.head
            else symbol_of(node)
            if node.parents == (unit.head,) and not params_text(node)
            else expression(plan, node, previous)
        )
        plan.rows[node] = row = add_row(box, label, "value", node)
        row.delta = node is unit.head
        enter(plan, node, (box.id, row.id))
        previous = node


def add_chain(plan: Plan, unit: Unit) -> None:
    """A row for each operation; of very many the first and the last."""
    graph, first = plan.graph, unit.nodes[0]
    box = new_card(plan, unit, "chain", "")
    previous = None
    for node in unit.nodes:
        if node is first and node.operation in PAIRED:
            add_pairs(plan, box, node)
        plan.rows[node] = row = add_row(box, expression(plan, node, previous), "value", node)
        enter(plan, node, (box.id, row.id))
        previous = node
    uses = len(graph.consumers[unit.result])
    box.rows[-1].uses = uses if uses > 1 else 0
    if plan.limit is not None and len(box.rows) > chain_limit(plan.limit):
        keep = chain_limit(plan.limit) // 5
        hide(plan, box, keep, len(box.rows) - keep, "operations")


def add_pairs(plan: Plan, box: Box, loss: Value) -> None:
    """Of a loss: a row for each output with its target."""
    n = len(loss.parents) // 2
    for k in range(n):
        output = loss.parents[k]
        row = add_row(
            box,
            f"o{subscript(k)}" if n > 1 else "o",
            "pair",
            output if isinstance(output, Value) else None,
            loss.primals[k],
        )
        row.input = loss.primals[n + k]
        plan.entries[loss, k] = plan.entries[loss, n + k] = (box.id, row.id)


def add_leaf(plan: Plan, leaf: Value) -> None:
    graph = plan.graph
    number, path = graph.numbers[leaf], graph.groups[leaf]
    box = Box(f"value{number}", "parameter" if is_parameter(graph.names[leaf]) else "leaf", path, leaf, grad=leaf.grad)
    plan.view.boxes[box.id] = box
    row = add_row(box, "", "value", leaf)
    row.name = short_name(graph.names[leaf], path)
    row.uses = len(graph.consumers[leaf]) if len(graph.consumers[leaf]) > 1 else 0
    plan.homes[leaf] = (box.id, row.id)


def add_columns(plan: Plan, units: Iterable[Unit]) -> None:
    """Neurons of a layer that have the same inputs, one below the other in their order."""
    found: dict[Any, list[Unit]] = {}
    for unit in units:
        path = plan.graph.groups[unit.nodes[0]]
        if path and path[-1].startswith("neurons[") and LAYER.match(path[-1]):
            found.setdefault((path[:-1], inputs_of(unit)), []).append(unit)
    for (path, _), members in found.items():
        members.sort(key=lambda unit: neuron_index(plan, unit))
        column = Column(f"column{len(plan.view.columns)}", path[:-1], path[-1] if path else "")
        column.boxes = [f"card{plan.graph.numbers[unit.result]}" for unit in members]
        plan.view.columns.append(column)
        if plan.limit is not None and len(members) > 3 and rows_in(plan, column.boxes) > plan.limit // 4:
            fold_column(plan, column)


def neuron_index(plan: Plan, unit: Unit) -> int:
    match = LAYER.match(plan.graph.groups[unit.nodes[0]][-1])
    assert match is not None
    return int(match.group(1))


def inputs_of(unit: Unit) -> tuple[Any, ...]:
    """What a neuron or layer is given, told apart by identity; numbers by what they are."""
    head = unit.head
    assert head is not None
    given = [head.parents[1]] if head.operation is affine else head.parents[len(head.parents) // 2 + 1 :]
    return tuple(x if isinstance(x, Value) or type(x) is float else id(x) for x in given)


def add_inputs(plan: Plan, units: Iterable[Unit]) -> None:
    """What the first layers are given and no operation made: once, for all neurons that are given it."""
    graph = plan.graph
    cards: dict[Any, dict[int, Place]] = {}
    for unit in sorted(units, key=lambda unit: graph.numbers[unit.result]):
        head, key = unit.head, inputs_of(unit)
        assert head is not None
        first = 1 if head.operation is affine else len(head.parents) // 2 + 1
        if key not in cards:
            cards[key] = input_card(plan, head, first, len(key))
        for i, place in cards[key].items():
            plan.constants[head, first + i] = place


def input_card(plan: Plan, head: Value, first: int, n: int) -> dict[int, Place]:
    """A card with a row for each input that no operation made and that has no place yet; where each is found."""
    given = list(range(n))
    wanted = [
        i for i in given if not isinstance(head.parents[first + i], Value) or is_free(plan, head.parents[first + i])
    ]
    if not wanted:
        return {}
    count = sum(box.kind == "inputs" for box in plan.view.boxes.values())
    box = Box(f"inputs{count}", "inputs", outer_path(plan.graph.groups[head]), name="inputs")
    if head.operation is affine:
        box.name = "input"
    plan.view.boxes[box.id] = box
    found = {}
    for i in wanted:
        parent = head.parents[first + i]
        node = parent if isinstance(parent, Value) else None
        label = ("x" if np.ndim(head.primals[1]) < 2 else "X") if head.operation is affine else f"x{subscript(i)}"
        row = add_row(box, (short_name(plan.graph.names[node]) if node else "") or label, "value", node)
        row.data = head.primals[first + i]
        found[i] = (box.id, row.id)
        if node is not None:
            plan.homes[node] = found[i]
    if plan.limit is not None and len(box.rows) > LONG:
        more = hide(plan, box, 2, len(box.rows) - 1, "inputs")
        kept = {row.id for row in box.rows}
        found = {i: place if place[1] in kept else (box.id, more.id) for i, place in found.items()}
    return found


def is_free(plan: Plan, x: Value) -> bool:
    return x.operation is None and x not in plan.homes


# Rows.


def new_card(plan: Plan, unit: Unit, kind: Any, name: str) -> Box:
    """A box for a unit; the frames that it stands in don't count its own name."""
    path = plan.graph.groups[unit.nodes[0]]
    if unit.head is not None and path and LAYER.match(path[-1]):
        path, name = path[:-1], path[-1]
        if kind == "neuron":
            path = path[:-1]  # the layer's frame is the column's
    result = unit.result
    box = Box(f"card{plan.graph.numbers[result]}", kind, path, result, name=name)
    plan.view.boxes[box.id] = box
    return box


def add_row(
    box: Box, label: str, kind: Any = "value", node: Value | None = None, data: Any = None, beside: Any = None
) -> Row:
    row = Row(f"{box.id}row{len(box.rows)}", label, "", kind, node, data if node is None else None, beside)
    box.rows.append(row)
    return row


def settle(plan: Plan, node: Value, place: int, parent: Any, where: Place) -> None:
    """A parameter that is a leaf is at home in the first row that shows it; what was made elsewhere comes by an arrow.

    A row of another card that shows it too (of a network used twice) needs no arrow.
    """
    plan.entries[node, place] = where
    if isinstance(parent, Value) and parent.operation is None:
        plan.homes.setdefault(parent, where)
        plan.shown.add((node, place))


def enter(plan: Plan, node: Value, where: Place) -> None:
    """A made Value is at home in its row, and its inputs lead there where they don't have rows of their own."""
    plan.homes[node] = where
    for place in range(len(node.parents)):
        plan.entries.setdefault((node, place), where)


def expression(plan: Plan, node: Value, previous: Value | None) -> str:
    """What a row says of its operation, applied to what it is applied to: `↑ + b`, ↑ being the row above.

    Of a loss with rows for its outputs above only the symbol; of more than three inputs the first and the last.
    """
    assert node.operation is not None
    if node.operation in PAIRED and previous is None:
        return symbol_of(node)
    parents = node.parents
    shown = list(range(len(parents)))
    if len(parents) > 3:
        above = [i for i in (0, shown[-1], *shown) if parents[i] is previous]
        shown = sorted({0, *above[:1], shown[-1]})
    words = []
    for i, last in zip(shown, [-1, *shown], strict=False):
        words += ["…"] * (i > last + 1) + [operand_text(plan, node, parents[i], previous)]
    if node.operation.name in INFIX:
        return f"{words[0]} {symbol_of(node)} {words[1]}"
    return applied(symbol_of(node), words[0]) if len(parents) == 1 and not params_text(node) else call_text(node, words)


def operand_text(plan: Plan, node: Value, parent: Any, previous: Value | None) -> str:
    if not isinstance(parent, Value):
        return short_number(parent)
    if parent is previous:
        return "↑"
    plan.named.add(parent)
    return short_name(plan.graph.names[parent], plan.graph.groups[node]) or plan.graph.stand_in(parent)


def applied(symbol: str, x: str) -> str:
    """An operation of one input, with the input: `tanh(x)`, `−x`, `xᵀ`, `|x|`, `x²`."""
    if not x:
        return symbol
    if symbol == "x":
        return x
    if symbol in ("ᵀ", "⁻¹", "⁺"):
        return x + symbol
    if symbol in ("−", "+", "√", "∛"):
        return symbol + x
    if "·" in symbol:
        return symbol.replace("·", x)
    if symbol in ("x²", "1/x", "log(1+x)"):
        return symbol.replace("x", x)
    return f"{symbol}({x})"


def short_number(x: Any) -> str:
    """A constant in a row: its digits, or its shape where there are many."""
    if np.ndim(x) == 0:
        return digits(float(x))
    return f"[{', '.join(digits(float(e)) for e in x)}]" if np.ndim(x) == 1 and np.size(x) <= 3 else str(np.shape(x))


def subscript(i: int) -> str:
    return str(i).translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))


# Folding.


def fold_groups(plan: Plan, keys: Mapping[Value, Path]) -> None:
    """Groups that are folded into one box each."""
    members: dict[Path, list[Value]] = {}
    for node in plan.graph.numbers:
        if node in keys:
            members.setdefault(keys[node], []).append(node)
    for i, (key, nodes) in enumerate(members.items()):
        box = folded_box(f"fold{i}", key, nodes, keys, plan.graph.groups)
        plan.view.boxes[box.id] = box
        plan.homes |= dict.fromkeys(nodes, (box.id, ""))


def fold_column(plan: Plan, column: Column) -> None:
    """All neurons of a layer but the first and the last become one box with a count."""
    boxes = plan.view.boxes
    inner = column.boxes[1:-1]
    first, last = boxes[inner[0]].name, boxes[inner[-1]].name
    fold = Box(f"{column.id}fold", "folded", boxes[inner[0]].path, name=f"{first} … {last}", times=len(inner))
    row = Row(f"{fold.id}row0", f"{len(inner)} more neurons", kind="more")
    fold.rows.append(row)
    for name in inner:
        del boxes[name]
    boxes[fold.id] = fold
    column.boxes[1:-1] = [fold.id]
    gone = set(inner)
    move(plan, lambda place: place[0] in gone, (fold.id, row.id))


def fold_rows(plan: Plan) -> None:
    """Of neurons with many inputs the first two and the last."""
    for box in plan.view.boxes.values():
        n = sum(row.kind == "weight" for row in box.rows)
        if n > LONG:
            hide(plan, box, 2, n - 1, "inputs")


def hide(plan: Plan, box: Box, start: int, end: int, what: str) -> Row:
    """One row in the place of those from `start` to before `end`, and of the leaves that only they use."""
    gone = box.rows[start:end]
    more = Row(f"{box.id}more", f"… {len(gone)} more {what}", kind="more")
    box.rows[start:end] = [more]
    ids = {row.id for row in gone}
    move(plan, lambda place: place[1] in ids, (box.id, more.id))
    here = (box.id, more.id)
    for row in gone:
        for parent in row.node.parents if row.node is not None else ():
            only_here = isinstance(parent, Value) and parent not in plan.homes and parent.operation is None
            if only_here and all(plan.homes.get(user) == here for user in plan.graph.consumers[parent]):
                plan.homes[parent] = here
    return more


def move(plan: Plan, gone: Any, where: Place) -> None:
    for table in (plan.homes, plan.entries, plan.constants):
        for key, place in table.items():
            if gone(place):
                table[key] = where  # type: ignore[index]


def chain_limit(max_nodes: int) -> int:
    return max(max_nodes // 10, 10)


def rows_needed(plan: Plan) -> int:
    """For what `max_nodes` everything is shown: rows in all, four times a column's, ten times a chain's."""
    view = plan.view
    chains = [10 * len(box.rows) for box in view.boxes.values() if box.kind == "chain" and len(box.rows) > 10]
    return max([rows_in(plan), *(4 * rows_in(plan, column.boxes) for column in view.columns), *chains])


def rows_in(plan: Plan, boxes: Iterable[str] | None = None) -> int:
    """How many lines a picture has, or some of its boxes."""
    found = plan.view.boxes.values() if boxes is None else [plan.view.boxes[name] for name in boxes]
    return sum(max(len(box.rows), 1) for box in found)
