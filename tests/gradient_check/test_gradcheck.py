"""Gradient checks: right gradients pass, wrong ones fail and are located, and the numbers are those of the formula."""

import re

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
    assert lines[1].startswith("  x: no gradient arrives: all entries are 0 (line")
    assert lines[2] == "    this gives the claimed numbers at all 19 entries that should not be 0"
    head = next(k for k, line in enumerate(lines) if line.startswith("input"))
    assert len(lines) == head + 1 + 4 + 1
    assert lines[-1] == "… and 16 more entries, none worse than those of their input"
    column = lines[head].index("numerical")
    assert all(line[column - 1] == " " and line[column] != " " for line in lines[head + 1 : -1])


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
    with pytest.raises(ValueError, match="order must be 1 or 2, got 3"):
        tg.gradcheck(lambda x: x, 1.0, order=3)
    with pytest.raises(ValueError, match='method must be "central", "extrapolated" or "complex"'):
        tg.gradcheck(lambda x: x, 1.0, method="guess")
    with pytest.raises(TypeError, match="the first argument must be the function, got ndarray"):
        tg.gradcheck(np.ones(2), lambda x: x)
    with pytest.raises(TypeError, match="result is None: is its `return` missing"):
        tg.gradcheck(lambda x: None, np.ones(2), gradient=np.ones(2))
    with pytest.raises(TypeError, match="its result is a tuple of 2 parts; for"):
        tg.gradcheck(lambda x: (x.sum(), x), np.ones(2), gradient=np.ones(2))
    with pytest.raises(ValueError, match=r"the inputs are empty, x of shape \(0,\)"):
        tg.gradcheck(lambda x: x.sum(), np.ones(0), gradient=np.ones(0))


@pytest.mark.parametrize(
    ("gradient", "what"),
    [
        (None, r"no gradient is returned for it \(None\)"),
        (np.ones((3, 2)), r"shape \(3, 2\), which is the shape of its transpose; it should have shape \(2, 3\)"),
        (np.ones(3), r"shape \(3,\); it should have shape \(2, 3\)"),
        (np.full(6, 2.0), "the numbers are right: keepdims or a reshape is missing"),
        (np.full((5, 2, 3), 0.4), "its sum over the broadcast axes is right"),
        (np.zeros((0, 3)), r"empty: a slice p:-p with p = 0 is"),
        ("twos", "its gradient is a str, not an array of numbers"),
    ],
)
def test_what_cannot_be_compared_is_a_line_for_its_input_and_the_others_are_checked(gradient, what):
    def loss(a, b):
        return float(2.0 * a.sum() + (b * b).sum())

    a, b = np.ones((2, 3)), np.arange(4.0)
    report = tg.gradcheck(loss, a, b, gradient=lambda a, b: (gradient, 2.0 * b))
    assert not report
    assert report.failing_inputs == report.unchecked == ["a"]
    assert [e.holds for e in report.entries] == 4 * [True]
    (found,) = report.diagnoses
    assert found.inputs == ("a",)
    assert re.search(what, found.text)
    assert not tg.gradcheck(loss, a, b, gradient=lambda a, b: (gradient, b)).entries[0].holds


def test_missing_additional_and_exchanged_parts_are_said():
    def loss(a, b):
        return float(2.0 * a.sum() + (b * b).sum())

    a, b = np.ones(3), np.arange(4.0)
    report = tg.gradcheck(loss, a, b, gradient=np.full(3, 2.0))
    assert report.unchecked == ["b"]
    assert "1 gradients came for 2 inputs" in repr(report)
    report = tg.gradcheck(loss, a, b, gradient=(np.full(3, 2.0), 2.0 * b, b))
    assert not report
    assert len(report.entries) == 7
    assert "3 gradients are returned for 2 inputs" in repr(report)
    report = tg.gradcheck(loss, a, b, gradient=(2.0 * b, np.full(3, 2.0)))
    assert "is the gradient of b: two are swapped" in repr(report)


def test_the_loss_along_with_the_gradient_is_said_and_the_gradient_is_checked():
    report = tg.gradcheck(lambda w: float((w * w).sum()), np.ones(3), gradient=lambda w: ((w * w).sum(), 2.0 * w))
    assert not report
    assert "a tuple of 2 parts came, (loss, gradient)" in repr(report)
    assert all(entry.holds for entry in report.entries)


def test_dicts_are_matched_by_key_in_any_order():
    def loss(p):
        return float((p["w"] ** 2).sum() + p["b"])

    parameters = {"w": np.arange(3.0), "b": 1.0}
    assert tg.gradcheck(loss, parameters, gradient=lambda p: {"b": 1.0, "w": 2.0 * p["w"]})
    report = tg.gradcheck(loss, parameters, gradient={"b": 1.0, "dw": np.zeros(3)})
    assert report.unchecked == ["p['w']"]
    assert "no gradient under the key 'w'; the gradient has the keys 'b', 'dw'" in repr(report)


def test_a_function_that_is_not_one_is_named_and_not_diagnosed():
    rng, calls = np.random.default_rng(0), []

    def counts(w):
        calls.append(1)
        return (w * w).sum() * (1.0 + 0.1 * len(calls))

    for loss in (lambda w: ((rng.random(5) > 0.5) * w * w).sum(), counts):
        for options in ({"gradient": lambda w: w}, {}):
            report = tg.gradcheck(loss, np.arange(1.0, 6.0), **options)
            assert not report
            assert not report.entries
            (found,) = report.diagnoses
            assert "gives two results for the same inputs" in found.text
            assert "draw the random mask once, outside" in found.hint
    mask = np.array([1.0, 0.0, 1.0])
    assert tg.gradcheck(lambda w: float((mask * w * w).sum()), np.ones(3), gradient=lambda w: 2.0 * mask * w)


def test_a_result_of_nan_is_named_and_not_compared():
    report = tg.gradcheck(
        lambda w: float(np.sum(np.sqrt(w) - np.inf * w[1] * 0.0)), np.array([1.0, 4.0]), gradient=lambda w: 1.0 / w
    )
    assert not report
    assert not report.entries
    assert report.diagnoses[0].text == "the function gives nan at these inputs"


def test_last_bits_may_differ_from_call_to_call():
    calls = []

    def loss(w):
        calls.append(1)
        return float(np.sum(w * w)) * (1.0 + 2.2e-16 * (len(calls) % 3))

    assert tg.gradcheck(loss, np.arange(1.0, 4.0), gradient=lambda w: 2.0 * w)


def test_a_gradient_function_that_changes_its_argument_is_noted_and_judged_by_what_it_returned():
    def gradient(w):
        result = 2.0 * w
        w[:] = 0.0
        return result

    w = np.ones(3)
    report = tg.gradcheck(lambda w: float((w * w).sum()), w, gradient=gradient)
    assert report
    assert "the gradient function changes its argument w" in repr(report)
    assert w.tolist() == [1.0, 1.0, 1.0]


def test_a_gradient_function_gets_the_dtype_that_was_given():
    seen = []

    def gradient(w):
        seen.append(w.dtype)
        return 2.0 * w

    assert tg.gradcheck(lambda w: float((w * w).sum()), np.ones(3, np.float32), gradient=gradient)
    assert set(seen) == {np.dtype(np.float32)}


@pytest.mark.parametrize("scale", [1e-9, 1e-6, 1.0, 1e6])
def test_scales_do_not_matter(scale):
    x = np.array([0.5, -1.5, 2.0])
    loss, slope = (lambda x: float(np.sum(x**3))), (lambda x: 3.0 * x * x)
    of_results = lambda x: scale * loss(x)  # noqa: E731
    assert tg.gradcheck(of_results, x, gradient=lambda x: scale * slope(x))
    of_inputs = lambda x: loss(x / scale)  # noqa: E731
    assert tg.gradcheck(of_inputs, scale * x, gradient=lambda x: slope(x / scale) / scale)
    for wrong in (-1.0, 0.0, 0.5, 1.001):
        assert not tg.gradcheck(of_results, x, gradient=lambda x, wrong=wrong: wrong * scale * slope(x))
        assert not tg.gradcheck(of_inputs, scale * x, gradient=lambda x, wrong=wrong: wrong * slope(x / scale) / scale)


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


@pytest.mark.parametrize("tolerance", [-1.0, float("nan")])
def test_a_tolerance_that_is_negative_or_nan_is_refused(tolerance):
    both = lambda w: (np.sum(w * w), 2.0 * w)  # noqa: E731
    for name in ("atol", "rtol", "eps"):
        with pytest.raises(ValueError, match=f"{name} must be .*positive.*, got {tolerance!r}"):
            tg.gradcheck(lambda x: x * x, 1.0, **{name: tolerance})
        with pytest.raises(ValueError, match=f"{name} must be .*positive.*, got {tolerance!r}"):
            tg.check_loss(both, np.ones(2), **{name: tolerance})


def test_parts_of_a_gradient_that_belong_to_no_input_are_named():
    report = tg.gradcheck(lambda p: float((p["w"] ** 2).sum()), {"w": np.ones(2)}, gradient={"w": [2.0, 2.0], "v": 3})
    assert report
    assert "under the keys 'v', which are no inputs" in repr(report)


def test_a_gradient_that_changes_from_call_to_call_is_named():
    calls = []

    def slope(w):
        calls.append(1)
        return 2.0 * w * (1.01 if len(calls) % 2 else 1.0)

    w = np.arange(1.0, 4.0)
    both = lambda w: (np.sum(w * w), slope(w))  # noqa: E731
    layer = (lambda w: (w * w, w), lambda dout, w: dout * slope(w))
    by_hand = tg.gradcheck(lambda w: float(np.sum(w * w)), w, gradient=slope)
    for report in (by_hand, tg.check_loss(both, w), tg.check_layer(*layer, w)):
        assert not report
        assert report.unchecked == ["w"]
        assert [found.kind for found in report.diagnoses] == ["random gradient"]
        assert "gives different gradients for the same inputs" in report.diagnoses[0].text
