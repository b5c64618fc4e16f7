"""Gradient checks: right gradients pass, wrong ones fail and are located, and the numbers are those of the formula."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_edu as tg
from tinygrad_edu.article import DATASET, TARGETS
from tinygrad_edu.article.by_hand import HandDenseNetwork


@given(st.floats(-3.0, 3.0), st.floats(0.1, 3.0))
def test_right_gradients_pass_for_floats(x, y):
    assert tg.gradcheck(lambda x, y: tg.sigmoid(x * y) / y + x**2 * tg.log(y), x, y)


def test_right_gradients_pass_for_arrays_and_values():
    w, x = tg.Value(np.linspace(-1, 1, 6).reshape(2, 3), name="weights"), np.array([0.5, -1.0, 2.0])
    report = tg.gradcheck(lambda w, x: tg.tanh(w @ x).sum(), w, x)
    assert report
    assert {entry.name for entry in report.entries} == {"weights", "x"}
    assert len(report.entries) == 2 * 9  # in both modes
    assert w.grad is None


def test_a_wrong_rule_fails_and_the_input_and_index_are_named():
    wrong = tg.operation(lambda a, b: a * b, lambda g, out, a, b: (g * b, g * a * 2.0), name="wrong")
    a, b = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    report = tg.gradcheck(lambda a, b: wrong(a, b).sum(), a, b, modes=("reverse",))
    assert not report
    assert report.failing_inputs == ["b"]
    assert [entry.holds for entry in report.entries] == [False, False, True, True]
    worst = report.entries[0]
    assert worst.computed == pytest.approx(2.0 * worst.numerical)
    assert "FAILED: 2 of 4 entries are wrong, in b" in repr(report)


def test_the_report_shows_the_worst_entries_in_aligned_columns():
    lines = repr(tg.gradcheck(lambda x: (x**2).sum(), np.arange(20.0), gradient=np.zeros(20))).split("\n")
    assert lines[0] == "gradient check FAILED: 19 of 20 entries are wrong, in x"
    assert lines[1] == "  x: no gradient arrives (all entries are 0, and the numerical ones are not)"
    assert lines[2].split("  ")[0] == "input"
    assert len(lines) == 3 + 4 + 1
    assert lines[-1] == "… and 16 more entries, none worse than those of their input"
    column = lines[2].index("numerical")
    assert all(line[column - 1] == " " and line[column] != " " for line in lines[3:-1])


def test_hand_written_gradients_may_be_numbers_arrays_or_a_function():
    square = lambda x: float(np.sum(np.asarray(x) ** 2))  # noqa: E731 - knows nothing of Values
    x = np.array([1.0, 2.0])
    assert tg.gradcheck(square, x, gradient=2.0 * x)
    assert tg.gradcheck(square, x, gradient=lambda x: 2.0 * x)
    assert tg.gradcheck(square, 3.0, gradient=6.0)
    assert not tg.gradcheck(square, x, gradient=x)
    assert tg.gradcheck(lambda a, b: a * b, 2.0, 3.0, gradient=(3.0, 2.0))
    assert not tg.gradcheck(lambda a, b: a * b, 2.0, 3.0, gradient=(2.0, 3.0))


def test_tolerances_decide():
    assert not tg.gradcheck(lambda x: x * 2.0, 1.0, gradient=2.001)
    assert tg.gradcheck(lambda x: x * 2.0, 1.0, gradient=2.001, rtol=1e-2)
    assert tg.gradcheck(lambda x: x * 2.0, 1.0, gradient=2.001, atol=1e-2)


def test_nan_and_missing_gradients_fail():
    assert not tg.gradcheck(lambda x: x * 2.0, 1.0, gradient=float("nan"))
    assert not tg.gradcheck(lambda x: x.detach() * x, 2.0)
    assert tg.gradcheck(lambda x: 1.0, 2.0)


def test_a_function_that_changes_its_input_does_no_harm():
    def doubles_in_place(x):
        x *= 2.0
        return float(x.sum())

    x = np.ones(3)
    assert tg.gradcheck(doubles_in_place, x, gradient=np.full(3, 2.0))
    assert x.tolist() == [1.0, 1.0, 1.0]


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="inputs is empty"):
        tg.gradcheck(lambda: 1.0)
    with pytest.raises(ValueError, match=r"function must give one number, but gave shape \(2,\)"):
        tg.gradcheck(lambda x: x * 2.0, np.ones(2), gradient=np.ones(2))
    with pytest.raises(
        ValueError, match=r"shape \(3, 2\), which is the shape of its transpose, but x has shape \(2, 3\)"
    ):
        tg.gradcheck(lambda x: x.sum(), np.ones((2, 3)), gradient=np.ones((3, 2)))
    with pytest.raises(ValueError, match="order must be 1 or 2, got 3"):
        tg.gradcheck(lambda x: x, 1.0, order=3)
    with pytest.raises(ValueError, match='method must be "central", "extrapolated" or "complex"'):
        tg.gradcheck(lambda x: x, 1.0, method="guess")
    with pytest.raises(ValueError, match=r"the gradient of x has shape \(3,\), but x has shape \(2,\)"):
        tg.gradcheck(lambda x: x.sum(), np.ones(2), gradient=np.ones(3))
    with pytest.raises(ValueError, match="gradient has 1 parts, but there are 2 inputs: a, b"):
        tg.gradcheck(lambda a, b: a * b, 1.0, 2.0, gradient=1.0)


def test_the_articles_numpy_backprop_as_printed_fails_and_the_hidden_layer_is_named():
    rng = np.random.default_rng(0)
    sizes = [(2, 3), (3, 2)]
    start = [[(rng.uniform(-1, 1, n).tolist(), float(rng.uniform(-1, 1))) for _ in range(m)] for n, m in sizes]
    row, target = np.array(DATASET[0]), np.array(TARGETS[0])

    def loss(hidden_weights, hidden_bias, output_weights, output_bias):
        hidden = tg.sigmoid(hidden_weights @ row + hidden_bias)
        return tg.nn.half_squared_error(tg.sigmoid(output_weights @ hidden + output_bias), target)

    def claimed(slip):
        by_hand = HandDenseNetwork(start, slip=slip)
        by_hand.feed_forward(row)
        by_hand.set_deltas(target)
        hidden, output = by_hand.layers
        return [np.outer(hidden.deltas, row), hidden.deltas, np.outer(output.deltas, hidden.outputs), output.deltas]

    inputs = [array for layer in HandDenseNetwork(start).layers for array in (layer.weights, layer.bias)]
    values = [tg.Value(array) for array in inputs]

    def plain_loss(*arrays):
        return loss(*(tg.Value(a) for a in arrays)).item()

    assert tg.gradcheck(loss, *values)
    names = ["hidden_weights", "hidden_bias", "output_weights", "output_bias"]
    named = [tg.Value(array, name) for array, name in zip(inputs, names, strict=True)]
    assert tg.gradcheck(plain_loss, *named, gradient=claimed(slip=False))
    report = tg.gradcheck(plain_loss, *named, gradient=claimed(slip=True))
    assert not report
    assert set(report.failing_inputs) == {"hidden_weights", "hidden_bias"}
    assert "hidden_weights" in repr(report).split("\n")[0]
