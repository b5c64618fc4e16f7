"""Folding, names and files: what a picture shows of large computations, and what is written."""

import re

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu.drawing import renderer
from tinygrad_edu.drawing.view import view_of


def loss_of(sizes, kind="scalar"):
    network = tg.Network.create(sizes, kind=kind, seed=0, start="scaled")
    loss = tg.nn.half_squared_error(network.feed_forward(np.linspace(0, 1, sizes[0])), np.eye(sizes[-1])[0])
    loss.name = "loss"
    loss.backward()
    return loss


def kinds(view):
    return [box.kind for box in view.boxes.values()]


def test_kinds_of_boxes_are_told_apart_by_shape_and_line_as_well_as_by_colour():
    loss = loss_of([2, 2])
    x = tg.Value(1.0, name="x")
    source = tg.draw(loss * x, theme="print", show="nodes").source
    looks = {re.sub(r"label=<.*?>(?= )|id=\w+|value\d+|operation\d+|constant\w+", "", line).strip()
             for line in source.splitlines() if "shape=" in line}  # fmt: skip
    styles = {tuple(re.findall(r"(shape|style|peripheries)=\"?([\w,]+)", look)) for look in looks}
    assert len(styles) == 7  # output, value, leaf, parameter, constant, operation, a heading


def test_depth_folds_groups_into_boxes_that_say_what_they_hold():
    loss = loss_of([2, 3, 2])
    layers = view_of([loss], depth=0)
    folded = {box.name: box.holds for box in layers.boxes.values() if box.kind == "folded"}
    assert folded == {"layers[0]": "6 operations, 9 parameters", "layers[1]": "4 operations, 8 parameters"}
    neurons = view_of([loss], depth=1)
    assert kinds(neurons).count("folded") == 5
    assert {box.path for box in neurons.boxes.values() if box.kind == "folded"} == {("layers[0]",), ("layers[1]",)}
    assert "folded" not in kinds(view_of([loss], depth=2))


def test_alike_neurons_fold_into_one_with_a_count():
    view = view_of([loss_of([20, 64, 3])], depth=1)
    boxes = {box.name: box for box in view.boxes.values() if box.kind == "folded"}
    assert boxes["neurons[0…63]"].times == 64
    assert boxes["neurons[0…63]"].holds == "2 operations, 21 parameters"
    assert {name for name in boxes if name.startswith("neurons[")} == {f"neurons[{i}]" for i in range(3)} | {
        "neurons[0…63]"
    }
    assert "neurons[0…63]</B>&#160;× 64" in tg.draw(loss_of([20, 64, 3]), show="nodes").source


def test_more_boxes_than_wanted_are_folded_and_a_line_says_so():
    loss = loss_of([20, 64, 10])
    picture = tg.draw(loss, show="nodes")
    assert "folded at depth 1, to show no more than 400 boxes" in picture.source
    assert len(re.findall("shape=", picture.source)) <= 400
    assert tg.draw(loss_of([2, 2])).source.count("folded at depth") == 0


def test_groups_of_a_user_are_frames_and_fold():
    x = tg.Value(2.0, name="x")
    with tg.group("encoder"):
        y = tg.exp(x * 0.5)
    z = y + 1.0
    assert "<encoder>" in tg.draw(z).source
    view = view_of([z], depth=0)
    assert [box.holds for box in view.boxes.values() if box.kind == "folded"] == ["2 operations, 1 parameter"]


def test_ten_thousand_nodes_fold_and_may_be_drawn_in_full():
    y = tg.Value(1.0)
    for _ in range(5000):
        y = y * 1.0 + 0.5
    folded = tg.draw(y, show="nodes").source
    assert "10001 values: the 133 nearest to the result are shown, the others folded" in folded
    assert len(re.findall("shape=ellipse", folded)) == 133
    full = tg.draw(y, show="nodes", max_nodes=50_000).source
    assert len(re.findall("shape=ellipse", full)) == 10_000


def test_names_come_from_locals_where_values_have_none():
    first = tg.Value(1.0)
    second = tg.Value(2.0, name="own")
    product = first * second
    source = tg.draw(product, names=locals()).source
    assert "<B>first</B>" in source
    assert "<B>own</B>" in source
    assert "<B>product</B>" in source


def test_several_outputs_share_one_picture():
    x = tg.Value(1.0, name="x")
    source = tg.draw(x * 2.0, x * 3.0).source
    assert source.count("<B>x</B>") == 1
    assert source.count('BORDER="3"') == 2
    source = tg.draw(x * 2.0, x * 3.0, show="nodes").source
    assert source.count("<B>x</B>") == 1
    assert source.count("peripheries=2") == 2


def test_local_derivatives_stand_at_the_arrows_and_formulas_in_the_operations():
    z = tg.Value(0.3, name="z")
    source = tg.draw(tg.sigmoid(z), show=("data", "local")).source
    slope = tg.sigmoid(0.3) * (1.0 - tg.sigmoid(0.3))
    assert f'label="{slope:.4g}"' in source or f"label={slope:.4g}" in source
    assert "σ(x)·(1 − σ(x))" in source
    assert "grad" not in source


def test_heat_colours_by_the_size_of_the_gradient():
    x, y = tg.Value(1.0), tg.Value(1.0)
    z = x * 1000.0 + y * 0.001
    z.backward()
    nodes = re.findall(r'fillcolor="(#ff\w{4})"', tg.draw(z, heat=True, show="nodes").source)
    cards = re.findall(r'BGCOLOR="(#ff\w{4})"', tg.draw(z, heat=True).source)
    assert "#ffa564" in nodes
    assert "#ffa564" in cards
    assert len(set(nodes)) > 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"direction": "UP"}, "direction must be one of LR, TB, RL, BT, got 'UP'"),
        ({"theme": "pink"}, "theme must be one of light, dark, auto, print, got 'pink'"),
        ({"show": ("data", "colour")}, "show may hold cards, nodes, data, grad, local, shape, got 'colour'"),
        ({"depth": -1}, "depth must be at least 0"),
        ({"max_nodes": 0}, "max_nodes must be at least 1"),
    ],
)
def test_options_that_there_are_not_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        tg.draw(tg.Value(1.0), **options)


def test_draw_needs_an_output():
    with pytest.raises(ValueError, match="at least one Value"):
        tg.draw()


@pytest.mark.parametrize(
    ("name", "start"), [("a.svg", b"<?xml"), ("a.PNG", b"\x89PNG"), ("a.dot", b"digraph computation")]
)
def test_save_writes_the_format_of_the_ending(tmp_path, name, start):
    path = tg.save(loss_of([2, 2]), tmp_path / name)
    assert path.read_bytes().startswith(start)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_the_same_computation_gives_the_same_bytes(tmp_path):
    files = [tg.save(loss_of([2, 3, 2]), tmp_path / f"{i}.svg").read_bytes() for i in range(2)]
    assert files[0] == files[1]


def test_svg_boxes_have_stable_ids_and_say_what_they_are(tmp_path):
    svg = tg.save(loss_of([2, 2]), tmp_path / "a.svg", show="nodes").read_text("utf-8")
    assert '<g id="value0" class="node">' in svg
    assert re.search(r"<title>loss, data [\d.]+, grad 1</title>", svg)
    assert "<title>sigmoid: ∂σ(x) = σ(x)·(1 − σ(x))·∂x</title>" in svg


def test_titles_are_escaped(tmp_path):
    svg = tg.save(tg.Value(1.0, name="</title><script>alert(1)</script>") * 1.0, tmp_path / "a.svg").read_text("utf-8")
    assert "<script>" not in svg


def test_save_refuses_other_endings_and_leaves_no_half_file(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"path must end with \.svg, \.png, \.pdf, \.dot or \.html, got 'a\.gif'"):
        tg.save(tg.Value(1.0), tmp_path / "a.gif")
    (tmp_path / "a.svg").write_text("kept")
    monkeypatch.setattr(renderer.os, "replace", lambda *args: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        tg.save(tg.Value(1.0), tmp_path / "a.svg")
    assert [p.name for p in tmp_path.iterdir()] == ["a.svg"]
    assert (tmp_path / "a.svg").read_text() == "kept"
