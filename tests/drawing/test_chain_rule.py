"""`tg.explain`: every path is there, its product is right, and the sum is the gradient to the last bit."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_edu as tg
from tinygrad_edu.article import DATASET, TARGETS, network_from, recovered_start
from tinygrad_edu.drawing.chain_rule import product_of


def article_loss():
    network = network_from(recovered_start())
    loss = tg.nn.half_squared_error(network.feed_forward(DATASET[0]), TARGETS[0])
    loss.name = "loss"
    loss.backward()
    return network, loss


def test_the_sum_equals_the_gradient_to_the_bit_for_every_parameter():
    network, loss = article_loss()
    for p in network.parameters():
        explanation = tg.explain(loss, wrt=p)
        assert explanation.total == p.grad
        assert sum(map(product_of, explanation.paths)) == pytest.approx(p.grad, rel=1e-12)
        assert len(explanation.paths) == (2 if p.name.startswith("layers[0]") else 1)


@given(st.floats(0.1, 2.0), st.floats(0.1, 2.0))
def test_the_products_sum_up_to_the_gradient(a, b):
    x, y = tg.Value(a, name="x"), tg.Value(b, name="y")
    z = tg.exp(x * y) + x * tg.sin(x) / y
    z.backward()
    for value in (x, y):
        explanation = tg.explain(z, value, limit=100)
        assert explanation.total == value.grad
        assert sum(map(product_of, explanation.paths)) == pytest.approx(value.grad, rel=1e-10, abs=1e-12)


def test_paths_beyond_the_limit_are_counted_and_summed():
    x = tg.Value(1.01, name="x")
    y = x
    for _ in range(60):
        y = y * y**0.001 + y * 0.001
    explanation = tg.explain(y, x, limit=5)
    assert len(explanation.paths) == 5
    assert explanation.hidden == 3**60 - 5
    assert explanation.hidden_sum + sum(map(product_of, explanation.paths)) == pytest.approx(explanation.total)
    assert f"and {3**60 - 5} more paths, together" in str(explanation)


def test_a_deep_computation_does_not_recurse():
    x = tg.Value(1.0, name="x")
    y = x
    for _ in range(5000):
        y = y * 1.0
    assert tg.explain(y, x).total == 1.0


def test_text_names_rules_numbers_and_products():
    network, loss = article_loss()
    text = str(tg.explain(loss, network.layers[1].neurons[0].bias))
    lines = text.splitlines()
    assert lines[0] == "∂loss/∂layers[1].neurons[0].bias, by the chain rule over 1 path:"
    assert lines[1].startswith("1.  loss = half_squared_error(v1, …)")
    assert "∂σ(x) = σ(x)·(1 − σ(x))·∂x" in text
    assert lines[-1].startswith("sum: ∂loss/∂layers[1].neurons[0].bias = ")
    assert math.isclose(
        float(lines[-1].split("= ")[1].replace("−", "-")), network.layers[1].neurons[0].bias.grad, rel_tol=1e-5
    )


def test_markdown_and_latex():
    x = tg.Value(2.0, name="x_1")
    y = tg.sigmoid(x * 3.0)
    y.name = "y"
    markdown = str(tg.explain(y, x, format="markdown"))
    assert "| path 1 | local derivative | rule |" in markdown
    explanation = tg.explain(y, x)
    latex = explanation.latex()
    assert r"\frac{\partial y}{\partial \mathrm{x\_1}}" in latex
    assert latex.count("{") == latex.count("}")
    assert explanation._repr_latex_().startswith("$$")


def test_arrays_are_explained_with_matrices_and_the_total_is_exact():
    w = tg.Value(np.array([[1.0, 2.0], [3.0, 4.0]]), name="w")
    y = tg.tanh(w @ np.ones(2)).sum()
    y.name = "y"
    y.backward()
    explanation = tg.explain(y, w)
    assert np.array_equal(explanation.total, w.grad)
    assert "matrix, (2, 2) to (2,)" in str(explanation)
    assert r"\begin{bmatrix}" in explanation.latex()


def test_what_cannot_be_explained_is_refused():
    x, y = tg.Value(1.0), tg.Value(2.0)
    with pytest.raises(ValueError, match="loss doesn't depend on wrt"):
        tg.explain(x * 2.0, y)
    with pytest.raises(ValueError, match="format must be"):
        tg.explain(x * 2.0, x, format="html")
    with pytest.raises(ValueError, match=r"loss must be a number, got shape \(2,\)"):
        tg.explain(tg.Value([1.0, 2.0]) * x, x)


def test_names_of_several_lines_and_numbers_that_are_none_keep_a_line_a_line():
    x, y = tg.Value(-0.0, name="a\nb\x07"), tg.Value(np.inf, name="  ")
    explanation = tg.explain(x * y, x)
    assert "v1 = " not in explanation.text()
    assert "result = multiply(a b\ufffd, v1)   ∂result/∂a b\ufffd = ∞" in explanation.text()
    assert len([line for line in explanation.markdown().split("\n") if line.startswith("|")]) == 3
    assert r"\infty" in explanation.latex()
    assert "sum: ∂result/∂x = 0" in tg.explain(tg.Value(1.0) * 1.0 + (z := tg.Value(2.0, name="x")) * -0.0, z).text()


def test_a_large_matrix_in_latex_says_that_there_is_more():
    for shape, dots, stacked in (((20,), 1, 0), ((7, 2), 0, 2), ((2, 2, 2), 0, 0), ((0,), 0, 0), ((6, 6), 0, 0)):
        x = tg.Value(np.ones(shape), name="x")
        latex = tg.explain((x * x).sum(), x).latex()
        assert (latex.count(r"\cdots"), latex.count(r"\vdots")) == (dots, stacked)
