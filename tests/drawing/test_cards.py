"""Cards: what stands on them, which operations share one, what folds, and that ids and arrows are where they say."""

import itertools
import re
import xml.dom.minidom
from pathlib import Path

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu.drawing.cards import cards_of
from tinygrad_edu.drawing.labels import digits
from tinygrad_edu.drawing.stepper.recording import record
from tinygrad_edu.drawing.view import view_of


def network_loss(sizes, kind="scalar"):
    network = tg.Network.create(sizes, kind=kind, seed=0, start="scaled")
    loss = tg.nn.half_squared_error(network.feed_forward(np.linspace(0.1, 1.0, sizes[0])), np.eye(sizes[-1])[0])
    loss.name = "loss"
    loss.backward()
    return network, loss


def texts_in(svg, element_id):
    """The texts in the element of an SVG with this id."""
    document = xml.dom.minidom.parseString(svg)
    found = [e for e in document.getElementsByTagName("g") if e.getAttribute("id") == element_id]
    assert len(found) == 1, f"{len(found)} elements have the id {element_id}"
    return [e.firstChild.data for e in found[0].getElementsByTagName("text") if e.firstChild]


def labels(box):
    return [(row.name + " = " if row.name and row.label else row.name) + row.label for row in box.rows]


def test_a_neuron_is_one_card_with_a_row_for_each_number_that_the_article_prints(program):
    network, loss = network_loss([2, 3, 2])
    svg = tg.draw(loss).pipe("svg", encoding="utf-8", quiet=True)
    view = cards_of([loss])
    for column, layer in zip(view.columns, network.layers, strict=True):
        for name, neuron in zip(column.boxes, layer.neurons, strict=True):
            rows = view.boxes[name].rows
            assert [row.kind for row in rows] == ["weight"] * len(neuron.weights) + ["value"] * 3
            for row, value in zip(rows, [*neuron.parameters(), neuron.weighted_sum, neuron.activated], strict=True):
                assert row.node is value
                assert texts_in(svg, f"{row.id}data") == [digits(value.data)]
                grad = digits(value.grad)
                assert texts_in(svg, f"{row.id}grad") == [f"{grad} = δ" if value is neuron.weighted_sum else grad]
    inner = view.boxes[view.columns[1].boxes[0]].rows
    assert [texts_in(svg, f"{row.id}input") for row in inner[:3]] == [
        [f"{digits(neuron.output)} ×"] for neuron in network.layers[0].neurons
    ]


def test_every_id_of_the_view_is_in_the_svg_once_and_is_well_formed(program):
    _, loss = network_loss([2, 3, 2])
    view = cards_of([loss])
    svg = tg.draw(loss).pipe("svg", encoding="utf-8", quiet=True)
    rows = [row.id for box in view.boxes.values() for row in box.rows]
    ids = [*view.boxes, *(column.id for column in view.columns), *(a.id for a in view.arrows.values()), *rows]
    document = xml.dom.minidom.parseString(svg)
    found = [e.getAttribute("id") for e in document.getElementsByTagName("g")]
    assert {name: found.count(name) for name in ids} == dict.fromkeys(ids, 1)


def test_arrows_lead_from_a_neurons_output_to_the_row_that_it_feeds():
    network, loss = network_loss([2, 3, 2])
    view = cards_of([loss])
    row_of = {row.node: row.id for box in view.boxes.values() for row in box.rows if row.kind != "pair"}
    arrows = {(arrow.from_row, arrow.to_row) for arrow in view.arrows.values()}
    first, second = network.layers
    expected = {
        (row_of[n.activated], row_of[m.weights[i]]) for i, n in enumerate(first.neurons) for m in second.neurons
    }
    expected |= {(f"inputs0row{i}", row_of[n.weights[i]]) for n in first.neurons for i in range(2)}
    expected |= {(row_of[n.activated], f"card0row{k}") for k, n in enumerate(second.neurons)}
    assert arrows == expected


def test_inputs_stand_once_in_both_kinds_of_picture():
    _, loss = network_loss([3, 4, 2])
    assert [len(box.rows) for box in cards_of([loss]).boxes.values() if box.kind == "inputs"] == [3]
    nodes = tg.draw(loss, show="nodes").source
    assert len(re.findall(r"^\tconstant\w+ \[", nodes, re.M)) == 3 + 2  # inputs, targets


def test_inputs_that_are_values_have_their_gradient_in_the_inputs_card():
    x = [tg.Value(0.5, name="a"), tg.Value(-1.0, name="b")]
    loss = tg.Network.create([2, 2], seed=0)(x)[0]
    loss.backward()
    view = cards_of([loss])
    assert [(row.name or row.label, row.node) for row in view.boxes["inputs0"].rows] == [("a", x[0]), ("b", x[1])]


def test_a_network_used_twice_has_its_layers_twice():
    network = tg.Network.create([2, 2, 1], seed=0)
    loss = network([0.0, 1.0])[0] + network([1.0, 0.0])[0]
    view = cards_of([loss])
    columns = sorted((column.name, len(column.boxes)) for column in view.columns)
    assert columns == [("layers[0]", 2), ("layers[0]", 2), ("layers[1]", 1), ("layers[1]", 1)]
    assert sum(box.kind == "inputs" for box in view.boxes.values()) == 2
    columns = {name: column.id for column in view.columns for name in column.boxes}
    feeds = {(columns.get(a.source, a.source), columns.get(a.target, a.target)) for a in view.arrows.values()}
    assert len(feeds) == 2 * 3  # inputs, layer, layer, result: no arrow for weights, which stand on both cards


def test_an_activation_of_several_operations_stands_on_the_neurons_card():
    network = tg.Network([tg.Layer([tg.Neuron([0.5], 0.25, activation=lambda z: z * tg.sigmoid(z))])])
    (output,) = network([2.0])
    (card,) = [box for box in cards_of([output]).boxes.values() if box.kind == "neuron"]
    assert [row.node.operation.name for row in card.rows[2:]] == ["weighted_sum", "sigmoid", "multiply"]


def test_a_dense_layer_is_one_card_with_shapes_and_equation():
    _, loss = network_loss([3, 4, 2], "dense")
    cards = {box.name: box for box in cards_of([loss]).boxes.values() if box.kind == "dense"}
    assert set(cards) == {"layers[0]   3 → 4", "layers[1]   4 → 2"}
    assert {box.holds for box in cards.values()} == {"σ(W·x + b)"}
    source = tg.draw(loss).source
    for shape in ("(4, 3)", "(4,)", "(2, 4)", "(2,)"):
        assert shape in source


def test_a_heat_map_says_signs_in_signs_and_its_range_in_numbers(program):
    x = tg.Value(np.array([[1.0, -2.0, 0.0, 4.0], [0.5, -0.5, 3.0, np.nan]]), name="x")
    svg = tg.draw(x).pipe("svg", encoding="utf-8", quiet=True)
    assert texts_in(svg, "value0row0data") == ["+", "−", "0", "+", "+", "−", "+", "?", "−2 … 4, 1 nan"]


def test_the_range_of_an_array_counts_what_is_no_number():
    nan, inf = np.nan, np.inf
    for numbers, words in (([nan] * 4, "all nan"), ([-inf, inf, nan, 1.0], "−∞ … ∞, 1 nan"), ([0.0] * 4, "0 … 0")):
        assert f">{words}<" in tg.draw(tg.Value(np.array(numbers))).source


@pytest.mark.parametrize("shape", [(9, 20), (784,), (1, 1), (3, 0), (2, 3, 4), (5, 5)])
def test_arrays_of_any_shape_are_drawn(shape):
    svg = tg.draw(tg.Value(np.ones(shape)) * 2.0).pipe("svg", encoding="utf-8", quiet=True)
    xml.dom.minidom.parseString(svg)


def test_a_straight_chain_shares_a_card_and_a_shared_value_ends_it():
    x = tg.Value(3.0, name="x")
    h = tg.tanh(x * 0.5)
    y = h * h + tg.exp(-h)
    cards = [box for box in cards_of([y]).boxes.values() if box.kind == "chain"]
    operations = {tuple(row.node.operation.name for row in box.rows) for box in cards}
    assert operations == {("multiply", "tanh"), ("multiply",), ("negative", "exp"), ("add",)}
    (shared,) = [row for box in cards for row in box.rows if row.uses]
    assert shared.node is h
    assert shared.uses == 2
    assert "used 2 times" in tg.draw(y).source


def test_rows_are_written_as_their_operations_are():
    x, w = tg.Value(np.ones((2, 3)), name="x"), tg.Value(np.ones((3, 2)), name="w")
    y = (-((1.0 - (x @ w).T) ** 2.0) / 4.0).sum(axis=0)[1]
    (card,) = [box for box in cards_of([y]).boxes.values() if box.kind == "chain"]
    assert labels(card) == ["x @ w", "↑ᵀ", "1 − ↑", "↑ ^ 2", "−↑", "↑ ÷ 4", "sum(↑, axis=0)", "result = ↑[1]"]


APPLIED = {
    "an index of arrays": (lambda p: p[[0, 1], [2, 0]], "{}[[0, 1], [2, 0]]"),
    "a setting": (lambda p: tg.softmax(p, axis=1), "softmax({}, axis=1)"),
    "a shape": (lambda p: p.reshape(3, 2), "reshape({}, 3, 2)"),
    "a sign": (lambda p: -p, "−{}"),
    "four inputs": (lambda p: tg.concatenate([p, p, p, p]), "concatenate({}, …, {}, axis=0)"),
}


@pytest.mark.parametrize(("function", "words"), APPLIED.values(), ids=APPLIED)
def test_every_row_says_what_its_operation_is_applied_to(function, words):
    for name, called in (("p", "p"), ("", "v1")):
        (card,) = [
            b for b in cards_of([function(tg.Value(np.ones((2, 3)), name=name))]).boxes.values() if b.kind == "chain"
        ]
        assert card.rows[-1].label == words.format(called, called)
    (card,) = [
        b for b in cards_of([function(tg.exp(np.ones((2, 3)) * tg.Value(1.0)))]).boxes.values() if b.kind == "chain"
    ]
    assert card.rows[-1].label in (words.format("↑", "↑"), words.replace(", …, {}", ", …, ↑").format("↑"))


def test_the_row_above_is_said_among_many_inputs():
    a, b, c = (tg.Value(np.ones(2), name=name) for name in "abc")
    (card,) = [box for box in cards_of([tg.concatenate([a, b, tg.exp(a), b, c])]).boxes.values() if box.kind == "chain"]
    assert card.rows[-1].label == "concatenate(a, …, ↑, …, c, axis=0)"


def test_values_without_a_name_get_one_where_another_card_speaks_of_them():
    x = tg.Value(2.0)
    a, b = tg.exp(x), tg.sin(x)
    view = cards_of([a - b])
    named = {row.name for box in view.boxes.values() for row in box.rows}
    (result,) = [row.label for row in view.boxes["card0"].rows]
    left, right = result.split(" − ")
    assert {left, right} <= named
    assert left != right


def test_a_result_without_a_name_is_called_the_same_wherever_it_is_shown():
    x, t = tg.Value(2.0, name="x"), [1.0]
    for y in (x * 3.0, tg.nn.half_squared_error([x], t)):
        (row,) = [row for box in cards_of([y]).boxes.values() for row in box.rows if row.node is y]
        assert row.name == "result"
        assert view_of([y]).boxes["value0"].name == "result"
        assert record(y, 0.5, 400).scene.names[y] == "result"
        assert "∂result/∂x" in str(tg.explain(y, x))
    a, b = tg.exp(x), tg.sin(x)
    rows = {row.name: row for box in cards_of([a, a - b]).boxes.values() for row in box.rows}
    assert rows["result0"].node is a
    assert rows["result1"].label.startswith("result0 − ")


def test_the_picture_of_a_compiled_gradient_names_its_results_and_no_copy_of_an_argument():
    def loss_of(w, x):
        loss = tg.tanh(w * x) ** 2.0
        loss.name = "loss"
        return loss

    program = tg.compile(tg.value_and_grad(loss_of, argnum=(0, 1)))
    program(0.5, 2.0)
    source = program.graph().source
    for name in ("loss", "d_w", "d_x"):
        assert f"<B>{name}</B>" in source
    for name in ("w", "x"):
        assert source.count(f"<B>{name}</B>") == 1
        assert f"= {name}<" not in source
    assert program.graph().source == source


def test_wide_layers_fold_to_first_last_and_a_count_and_the_note_says_how_to_unfold():
    _, loss = network_loss([20, 64, 10])
    view = cards_of([loss])
    assert [len(column.boxes) for column in view.columns] == [3, 3]
    folded = [box for box in view.boxes.values() if box.kind == "folded"]
    assert {(box.name, box.times) for box in folded} == {
        ("neurons[1] … neurons[62]", 62),
        ("neurons[1] … neurons[8]", 8),
    }
    number = int(re.search(r"max_nodes=(\d+) shows all", view.note).group(1))
    unfolded = cards_of([loss], max_nodes=number)
    assert unfolded.note == ""
    assert sum(box.kind == "neuron" for box in unfolded.boxes.values()) == 74
    assert cards_of([loss], max_nodes=number - 1).note != ""
    assert cards_of([network_loss([6, 8, 6, 3])[1]]).note == ""


def test_depth_folds_groups_as_among_single_operations():
    _, loss = network_loss([2, 3, 2])
    layers = cards_of([loss], depth=0)
    assert {box.name for box in layers.boxes.values() if box.kind == "folded"} == {"layers[0]", "layers[1]"}
    x = tg.Value(2.0, name="x")
    with tg.group("encoder"):
        y = tg.exp(x * 0.5)
    assert "<encoder>" in tg.draw(y + 1.0).source
    assert [box.holds for box in cards_of([y + 1.0], depth=0).boxes.values() if box.kind == "folded"] == [
        "2 operations, 1 parameter"
    ]


def test_long_chains_fold_in_their_card_with_the_leaves_that_only_they_use():
    y = tg.Value(1.0, name="x")
    for i in range(5000):
        y = y * 1.0 + tg.Value(0.5, name=f"b{i}")
    view = cards_of([y])
    assert [row.label for row in view.boxes["card0"].rows if row.kind == "more"] == ["… 9984 more operations"]
    assert sum(box.kind == "leaf" for box in view.boxes.values()) == 1 + 8
    assert "max_nodes=100000 shows all" in view.note


def test_a_large_computation_without_groups_shows_what_is_nearest():
    leaves = [tg.Value(float(i)) for i in range(5000)]
    view = cards_of([tg.stack([tg.sin(leaf) for leaf in leaves]).sum()])
    assert sum(max(len(box.rows), 1) for box in view.boxes.values()) <= 400
    assert "10002 values: the 133 nearest to the result are shown" in view.note


@pytest.mark.parametrize("max_nodes", [1, 2, 10, 50])
@pytest.mark.parametrize("sizes", [[1, 1], [3, 4, 3, 2], [30, 20, 2]])
def test_however_little_is_shown_every_arrow_joins_boxes_and_rows_that_are_there(sizes, max_nodes):
    view = cards_of([network_loss(sizes)[1]], max_nodes=max_nodes)
    places = {(name, row.id) for name, box in view.boxes.items() for row in box.rows}
    places |= {(name, "") for name in view.boxes}
    for arrow in view.arrows.values():
        assert (arrow.source, arrow.from_row) in places
        assert (arrow.target, arrow.to_row) in places


def test_neurons_stand_in_their_order_and_layers_in_columns(program):
    for sizes in ([3, 4, 3, 2], [6, 8, 6, 3], [2, 5, 2]):
        _, loss = network_loss(sizes)
        for show in ("cards", "nodes"):
            svg = tg.draw(loss, show=show).pipe("svg", encoding="utf-8", quiet=True)
            found = re.findall(r'<text[^>]* x="([-\d.]+)" y="([-\d.]+)"[^>]*>neurons\[(\d+)\]<', svg)
            columns = {}
            for x, y, j in sorted(((float(x), float(y), int(j)) for x, y, j in found), key=lambda t: t[0]):
                columns.setdefault(next((c for c in columns if abs(c - x) < 40.0), x), []).append((y, j))
            assert [[j for _, j in sorted(column)] for column in columns.values()] == [
                list(range(n)) for n in sizes[1:]
            ]


def test_the_boxes_of_a_layer_are_left_of_the_next_ones(program):
    _, loss = network_loss([2, 3, 3, 2])
    for show in ("cards", "nodes"):
        svg = tg.draw(loss, show=show).pipe("svg", encoding="utf-8", quiet=True)
        frames = frames_in(svg, r"layers\[(\d)\]", 0)
        assert sorted(frames) == [0, 1, 2]
        for (_, right), (left, _) in itertools.pairwise(frames[k] for k in range(3)):
            assert right < left


def frames_in(svg, number, axis):
    """For each frame, by the number in its name, where it starts and ends along an axis."""
    found = {}
    for frame in re.findall(r'class="cluster">\s*<title>[^<]*</title>(.*?)</g>', svg, re.S):
        corners = re.findall(r"([-\d.]+),([-\d.]+)", re.search(r' (?:d|points)="([^"]+)"', frame)[1])
        along = [float(corner[axis]) for corner in corners]
        found[int(re.search(number, frame).group(1))] = min(along), max(along)
    return found


@pytest.mark.parametrize("show", ["cards", "nodes"])
def test_the_steps_of_a_recurrent_network_stand_one_behind_the_other(show, program):
    """Also where a step has parts that wait for nothing of the step before."""
    w, u, h = tg.Value(np.eye(2), name="w"), tg.Value(np.ones((2, 2)), name="u"), tg.Value(np.ones(2), name="h")
    for k in range(3):
        with tg.group(f"step {k}"):
            h = tg.tanh(w @ h + u @ np.ones(2))
    frames = frames_in(tg.draw(h.sum(), show=show, direction="TB").svg(), r"step (\d)", 1)
    for (_, bottom), (top, _) in itertools.pairwise(frames[k] for k in range(3)):
        assert bottom <= top


def chain_loss(n):
    x = tg.Value(0.9, name="x")
    for _ in range(n):
        x = tg.sin(x) * 1.01
    return x


def leaves_loss(n):
    total = tg.Value(0.0, name="x0")
    for i in range(1, n):
        total = total + tg.Value(float(i), name=f"x{i}")
    return total


@pytest.mark.parametrize(
    ("loss", "show", "direction"),
    [
        (chain_loss(20), "nodes", "TB"),
        (chain_loss(2), "nodes", "LR"),
        (leaves_loss(14), "cards", "LR"),
        (network_loss([3, 4, 3, 2], "dense")[1], "cards", "TB"),
        (network_loss([3, 4, 3, 2], "dense")[1], "nodes", "TB"),
    ],
    ids=["chain", "short chain", "leaves", "matrices", "matrices, nodes"],
)
def test_a_picture_goes_the_way_in_which_its_text_has_nine_pixels_in_a_column_of_850(loss, show, direction, program):
    picture = tg.draw(loss, show=show)
    assert f"rankdir={direction}" in picture.source
    points = float(re.search(r' width="([\d.]+)pt"', picture.svg()).group(1))
    assert 10 * 850 / points >= 9.0


def test_of_many_boxes_the_program_is_told_not_to_look_for_the_best_places():
    assert "nslimit" in tg.draw(chain_loss(60), show="nodes").source
    assert "nslimit" not in tg.draw(chain_loss(20), show="nodes").source


def test_neurons_in_layers_go_from_left_to_right_however_wide():
    for show in ("cards", "nodes"):
        assert "rankdir=LR" in tg.draw(network_loss([3, 4, 3, 2])[1], show=show).source


def test_long_names_are_cut_in_the_middle_and_whole_in_the_title_and_blank_ones_are_none():
    long = "the rate of the second layer, " * 3 + "in the encoder"
    a, b, c = (tg.Value(float(i), name=name) for i, name in enumerate((long, " \n", "ab\u202ecd")))
    for show in ("cards", "nodes"):
        svg = tg.draw(a * b + a * c, show=show).svg()
        shown = "".join(re.sub(r"<title>[^<]*</title>", "", svg))
        assert "the rate of the seco…the encoder" in shown
        assert long in svg
        assert long not in shown
        assert "ab\ufffdcd" in svg
        assert "\u202e" not in svg
    assert "× v" in tg.draw(a * b, show="cards").source


@pytest.mark.parametrize("direction", ["LR", "TB", "RL", "BT"])
@pytest.mark.parametrize("kind", ["scalar", "dense"])
def test_cards_are_drawn_in_every_direction(direction, kind, program):
    _, loss = network_loss([2, 3, 2], kind)
    picture = tg.draw(loss, direction=direction)
    assert f"rankdir={direction}" in picture.source
    xml.dom.minidom.parseString(picture.pipe("svg", encoding="utf-8", quiet=True))


def test_what_would_be_too_wide_goes_from_top_to_bottom_unless_asked_otherwise():
    y = x = tg.Value(np.ones((4, 4)), name="x")
    for _ in range(8):
        y = tg.tanh(y @ x) * y
    assert "rankdir=TB" in tg.draw(y).source
    assert "rankdir=LR" in tg.draw(y, direction="LR").source
    assert "rankdir=LR" in tg.draw(tg.exp(x)).source


def test_parts_are_shown_as_asked():
    _, loss = network_loss([2, 2])
    assert ">grad<" not in tg.draw(loss, show=("data",)).source
    assert ">weight<" not in tg.draw(loss, show=("grad",)).source
    assert "(2, 2)" not in tg.draw(network_loss([2, 2], "dense")[1], show=("data", "grad")).source
    assert "shape=ellipse" in tg.draw(loss, show=("nodes", "data")).source
    assert tg.draw(loss, show="cards").source == tg.draw(loss).source


def test_a_picture_is_rendered_to_a_file_as_it_is_piped(tmp_path):
    picture = tg.draw(network_loss([2, 2])[1])
    path = picture.render("picture", directory=tmp_path, format="svg", quiet=True)
    assert Path(path).read_text("utf-8").split() == picture.pipe("svg", encoding="utf-8", quiet=True).split()


def neuron_and_gradient(slip):
    """A neuron's squared output, and its gradient by hand, a factor of one number wrong."""
    neuron = tg.Neuron([0.5, -1.0], bias=0.25)
    output = neuron([2.0, 1.0])
    loss = output * output
    delta = 2.0 * neuron.output * neuron.output * (1.0 - neuron.output) * slip
    w0, w1 = neuron.weights
    return loss, {neuron.weighted_sum: delta, neuron.bias: delta, w0: delta * 2.0, w1: delta * 1.0}, neuron


@pytest.mark.parametrize(
    ("slip", "verdicts"), [(1.0, ["right"] * 4), (2.0, ["follows", "follows", "follows", "wrong here"])]
)
def test_a_gradient_by_hand_is_judged_where_it_parts(slip, verdicts, program):
    loss, by_hand, neuron = neuron_and_gradient(slip)
    svg = tg.draw(loss, gradient=by_hand).pipe("svg", encoding="utf-8", quiet=True)
    view = cards_of([loss])
    rows = [view.homes[value][1] for value in (*neuron.weights, neuron.bias, neuron.weighted_sum)]
    assert [texts_in(svg, f"{row}hand")[-1] for row in rows] == verdicts
    assert [texts_in(svg, f"{row}hand")[0] for row in rows] == [
        digits(by_hand[v]) for v in (*neuron.weights, neuron.bias, neuron.weighted_sum)
    ]
    assert loss.grad is None


def test_a_gradient_by_hand_of_arrays_and_by_names_is_judged_too():
    w = tg.Value(np.array([[1.0, 2.0], [3.0, 4.0]]), name="w")
    source = tg.draw((w * w).sum(), gradient={"w": w.data}).source
    assert "wrong here" in source
    assert "wrong here" not in tg.draw((w * w).sum(), gradient=lambda w: 2.0 * w).source


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"gradient": {"nobody": 1.0}}, ValueError, "no Value is called 'nobody'"),
        ({"gradient": {"w": [1.0]}}, ValueError, "w has shape"),
        ({"gradient": 3.0}, TypeError, "gradient must be a mapping"),
        ({"gradient": {"w": 1.0}, "show": "nodes"}, ValueError, "needs one output, and cards"),
    ],
)
def test_a_gradient_by_hand_that_fits_nothing_is_refused(options, error, message):
    w = tg.Value(2.0, name="w")
    with pytest.raises(error, match=message):
        tg.draw(w * w, **options)
