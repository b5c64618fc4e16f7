"""Pictures: what they show, that any name is drawn as it is, and which program draws them."""

import html
import os
import re
import shutil
import subprocess
import sys
import xml.dom.minidom

import graphviz
import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu.article import DATASET, TARGETS, network_from, recovered_start
from tinygrad_edu.drawing import renderer

SCRIPTS = os.path.dirname(sys.executable)

HOSTILE = [
    '<b>"x"</b>\n{|}',
    "<script>alert(1)</script>",
    "a\\nb\\l\\N",
    "&lt;&amp;&#65;",
    '"; } digraph { evil -> node',
    "weights[0]",
    "<>",
    "\\",
    "a\\",
    "权重 ∂L/∂w",
]


def texts_of(svg):
    """All the text that an SVG shows."""
    return [html.unescape(text) for text in re.findall(r"<text[^>]*>(.*?)</text>", svg)]


@pytest.fixture(params=["dot", "graphviz-pure"])
def program(request):
    """The path of a program that draws."""
    found = shutil.which("dot") if request.param == "dot" else shutil.which("graphviz-pure", path=SCRIPTS)
    if found is None:
        pytest.skip(f"no {request.param}")
    return found


def draw_network(kind="scalar", show="nodes"):
    network = network_from(recovered_start(), kind)
    loss = tg.nn.half_squared_error(network.feed_forward(DATASET[0]), TARGETS[0])
    loss.backward()
    return network, tg.draw(loss, show=show)


def test_a_drawing_is_a_digraph_from_left_to_right():
    picture = tg.draw(tg.Value(1.0) * 2.0)
    assert isinstance(picture, graphviz.Digraph)
    assert "rankdir=LR" in picture.source


def test_boxes_show_name_data_and_gradient_and_circles_the_operation():
    x = tg.Value(3.0, name="x")
    y = x * 0.123456
    y.backward()
    picture = tg.draw(y, show="nodes")
    shown = texts_of(picture.pipe("svg", encoding="utf-8"))
    assert {"x", "data", "3", "grad", "0.1235", "×"} <= set(shown)
    source = picture.source
    assert len(re.findall("shape=ellipse", source)) == 1
    assert len(re.findall("shape=box", source)) == 3


def test_arrays_are_shown_in_full_while_small_and_by_shape_beyond():
    shown = texts_of(tg.draw(tg.Value(np.eye(2)) @ np.ones((2, 50)), show="nodes").pipe("svg", encoding="utf-8"))
    assert (shown.count("(2, 2) float64"), shown.count("0"), shown.count("1")) == (1, 2, 2)
    assert "1 … 1, mean 1" in shown
    assert "(2, 50) float64" in shown


def test_layers_are_frames_and_neurons_have_headings_with_their_parameters_below():
    _, picture = draw_network()
    assert len(re.findall("subgraph cluster", picture.source)) == 2
    shown = texts_of(picture.pipe("svg", encoding="utf-8"))
    assert {"layers[0]", "layers[1]", "neurons[0]", "neurons[1]", "weights[0]", "weights[1]", "bias"} <= set(shown)
    assert shown.count("bias") == shown.count("neurons[0]") + shown.count("neurons[1]") == 4


def test_every_node_and_edge_of_the_graph_is_drawn():
    network, picture = draw_network()
    edges = re.findall(r"-> \w+ \[.*id=edge\d+", picture.source)
    operations = 4 + 4 + 1
    constants, parameters, inner = 2 + 2, 12, 9
    assert len(re.findall("shape=ellipse", picture.source)) == operations
    assert len(re.findall("shape=box", picture.source)) == constants + parameters + inner
    assert len(edges) == operations + 4 * 5 + 4 * 1 + 4  # results; weighted sums; activations; the loss
    assert network


def test_the_same_graph_gives_the_same_bytes():
    for show in ("cards", "nodes"):
        assert draw_network(show=show)[1].source == draw_network(show=show)[1].source


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_is_drawn_as_that_text(name):
    x = tg.Value(1.0, name=name)
    with tg.group(name):
        y = x * 1.0
    shown = texts_of(tg.draw(y).pipe("svg", encoding="utf-8", quiet=True))
    for line in name.split("\n"):
        assert shown.count(line) >= 2, shown  # the box's and the frame's
    assert "<script>" not in tg.draw(y).pipe("svg", encoding="utf-8", quiet=True)


def test_a_long_chain_is_drawn_without_recursion():
    y = tg.Value(1.0)
    for _ in range(3000):
        y = y * 1.0
    assert len(re.findall("shape=ellipse", tg.draw(y, show="nodes", max_nodes=10_000).source)) == 3000


def test_draw_needs_a_value():
    with pytest.raises(TypeError, match="draw needs Values, got float"):
        tg.draw(1.0)


def test_a_value_shows_itself_in_a_notebook():
    bundle = (tg.Value(1.0, name="x") * 2.0)._repr_mimebundle_()
    assert bundle["text/plain"].startswith("Value(2.0")
    assert "<svg" in bundle["image/svg+xml"]


def test_without_dot_a_notebook_gets_text_and_rendering_names_both_ways(monkeypatch):
    monkeypatch.setattr(renderer.shutil, "which", lambda *args, **options: None)
    assert set((tg.Value(1.0) * 2.0)._repr_mimebundle_()) == {"text/plain"}
    with pytest.raises(RuntimeError, match=r"your system's packages.*pip install \"tinygrad_edu\[dot\]\""):
        tg.draw(tg.Value(1.0)).pipe("svg")
    with pytest.raises(RuntimeError, match=r"install Graphviz"):
        tg.draw(tg.Value(1.0)).render("nowhere")


def test_the_systems_dot_comes_first(monkeypatch):
    monkeypatch.setattr(renderer.shutil, "which", lambda name, path=None: f"/somewhere/{name}")
    assert renderer.find_dot().name == "dot"


def test_the_pip_installed_program_is_found_beside_an_interpreter_whose_environment_is_not_activated():
    found = subprocess.run(
        [sys.executable, "-c", "from tinygrad_edu.drawing.renderer import find_dot; print(find_dot())"],
        env={**os.environ, "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert os.path.basename(found).startswith("graphviz-pure")


@pytest.mark.skipif(shutil.which("dot") is None, reason="no system dot")
@pytest.mark.parametrize("show", ["cards", "nodes"])
def test_the_pip_installed_program_draws_what_dot_draws(monkeypatch, show):
    _, picture = draw_network(show=show)
    with_dot = texts_of(picture.pipe("svg", encoding="utf-8"))
    monkeypatch.setattr(renderer.shutil, "which", only_pure(renderer.shutil.which))
    with_pure = texts_of(picture.pipe("svg", encoding="utf-8", quiet=True))
    assert sorted(with_dot) == sorted(with_pure)


def only_pure(which):
    return lambda name, path=None: None if name == "dot" else which(name, path=path)


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        (lambda x: x[0], lambda x: x[1], "x[0]"),
        (lambda x: x[:, 0], lambda x: x[1:, 0], "x[:, 0]"),
        (lambda x: x[[0, 0]], lambda x: x[[1, 0]], "x[[0, 0]]"),
        (lambda x: x.sum(axis=0), lambda x: x.sum(axis=1), "sum(x, axis=0)"),
        (lambda x: x.reshape(4, 1), lambda x: x.reshape(1, 4), "reshape(x, 4, 1)"),
        (lambda x: x.transpose((0, 1)), lambda x: x.T, "transpose(x, axes=(0, 1))"),
    ],
)
def test_what_an_operation_was_told_is_shown_in_pictures_and_explanations(one, other, words):
    x = tg.Value(np.ones((2, 2)), name="x")
    words = f"= {words}"
    assert words in texts_of(tg.draw(one(x)).pipe("svg", encoding="utf-8"))
    assert words not in texts_of(tg.draw(other(x)).pipe("svg", encoding="utf-8"))
    first, second = (str(tg.explain(f(x).sum(), x)).split("sum:")[0] for f in (one, other))
    assert first != second


@pytest.mark.parametrize("name", ["a\x07b", "\ud800", "\x00", "\ufffe", "]]>", "a\r\nb", "\u2028", "a" * 300])
def test_whatever_a_value_is_called_the_svg_is_well_formed(name, tmp_path):
    x = tg.Value(2.0, name=name)
    with tg.group(name):
        y = tg.operation(lambda x: x * x, lambda g, out, x: (g * 2.0 * x,), name=name or "none", symbol=name)(x)
    xml.dom.minidom.parse(str(tg.save(y, tmp_path / "a.svg", names={name: y})))


def test_a_depth_below_the_groups_that_there_are_folds_to_what_is_nearest():
    y = tg.Value(1.0)
    for _ in range(20):
        y = tg.sin(y)
    assert "21 values: the 1 nearest to the result are shown" in tg.draw(y, show="nodes", depth=1, max_nodes=5).source


def test_programs_have_nothing_to_complain_of_in_labels_of_any_letters(program):
    x = tg.Value(np.ones((2, 4)), name="a\x07<b> 权重 ½Σ")
    y = tg.operation(lambda x: x * x, lambda g, out, x: (g * 2.0 * x,), name="double", symbol="∂½Σ×")(x) * x
    y.name = "=×÷<>"
    drawn = subprocess.run([program, "-Tsvg"], input=tg.draw(y).source.encode(), capture_output=True, check=True)
    complaints = [line for line in drawn.stderr.decode().splitlines() if line and "non-ASCII" not in line]
    assert complaints == []


def test_what_is_no_value_is_refused_with_what_to_give_instead():
    network, y = tg.Network.create([2, 2], seed=0), tg.Value(2.0, name="x") * 2.0
    for call in (tg.draw, tg.stepper, lambda loss: tg.explain(loss, y)):
        for wrong, words in (
            (network, r"got Network: give what it computes, tg\.\w+\(network\(row\)"),
            (network.layers[0].neurons[0], r"got Neuron: .*\(neuron\(row\)"),
            (np.tanh, r"got ufunc: .*\(tanh\(x\)"),
            ("y", "got str: give the Value itself, not its name 'y'"),
            (2.0, "got float$"),
        ):
            with pytest.raises(TypeError, match=words):
                call(wrong)
    for wrt, words in (
        ("x", "wrt must be one Value, got str: give the Value itself"),
        ([y], r"got list: .*values\[0\]"),
    ):
        with pytest.raises(TypeError, match=words):
            tg.explain(y, wrt=wrt)
    outputs = network([1.0, 2.0])
    assert tg.draw(outputs).source == tg.draw(*outputs).source


@pytest.mark.parametrize("kind", ["svg", "png", "dot", "html"])
def test_a_file_that_can_not_be_written_is_refused_by_the_users_own_words(tmp_path, kind):
    y = tg.Value(2.0) * 2.0
    with pytest.raises(FileNotFoundError, match=r"there is no directory '.*nodir' to write 'y."):
        tg.save(y, tmp_path / "nodir" / f"y.{kind}")
    wrong, words = ("heat", r"\(.svg, .*have it\)") if kind == "html" else ("history", r"\(.html has it\)")
    with pytest.raises(TypeError, match=rf"\(\.{kind}\) has no {wrong} {words}"):
        tg.save(y, tmp_path / f"y.{kind}", **{wrong: True})
    with pytest.raises(TypeError, match=rf"\(\.{kind}\) has no colour; it takes depth, "):
        tg.save(y, tmp_path / f"y.{kind}", colour="red")
    assert list(tmp_path.iterdir()) == []
