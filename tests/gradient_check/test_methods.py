"""The ways of computing numerical derivatives, and what a report says of kinks, modes, orders and precision."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_edu as tg
from tinygrad_edu.gradient_check.numerical import EPSILON, central, extrapolated, settle
from tinygrad_edu.testing import assert_gradients

FUNCTIONS = {
    "exp": (math.exp, math.exp),
    "sin": (math.sin, math.cos),
    "cubic": (lambda x: x**3 - 2.0 * x, lambda x: 3.0 * x * x - 2.0),
    "gauss": (lambda x: math.exp(-x * x), lambda x: -2.0 * x * math.exp(-x * x)),
    "steep": (lambda x: math.tanh(20.0 * x), lambda x: 20.0 / math.cosh(20.0 * x) ** 2),
}


@given(st.sampled_from(list(FUNCTIONS)), st.floats(-3.0, 3.0))
def test_the_error_estimates_are_estimates_of_the_error(name, x):
    f, slope = FUNCTIONS[name]
    for estimate in (central(f, x, 6e-6), extrapolated(f, x)):
        assert abs(estimate.value - slope(x)) <= 5.0 * estimate.error + 1e-13


@pytest.mark.parametrize("name", FUNCTIONS)
def test_extrapolation_is_more_exact_than_central_differences(name):
    f, slope = FUNCTIONS[name]
    points = np.linspace(-1.5, 1.5, 11)
    errors = [[abs(e.value - slope(x)) for e in (extrapolated(f, x), central(f, x, 6e-6))] for x in points]
    by_extrapolation, by_central = np.median(errors, axis=0)
    assert by_extrapolation < by_central


def test_extrapolation_keeps_within_the_functions_domain_where_it_can():
    with np.errstate(invalid="ignore"):
        estimate = extrapolated(lambda x: float(np.log(x)), 0.01)
    assert estimate.value == pytest.approx(100.0, abs=5.0 * estimate.error)
    assert estimate.error < 1e-5


def test_a_tolerance_from_the_estimate_finds_an_error_that_a_guessed_one_lets_pass():
    slightly_wrong = 3.0 * 2.0**2 * (1.0 + 1e-7)
    f = lambda x: x**3  # noqa: E731
    assert tg.gradcheck(f, 2.0, gradient=slightly_wrong)
    assert not tg.gradcheck(f, 2.0, gradient=slightly_wrong, method="extrapolated")
    assert not tg.gradcheck(f, 2.0, gradient=slightly_wrong, method="complex")
    assert tg.gradcheck(f, 2.0, gradient=12.0, method="extrapolated")


@pytest.mark.parametrize("method", ["central", "extrapolated", "complex"])
def test_every_method_passes_right_gradients_and_fails_wrong_ones(method):
    w, x = np.linspace(-1.0, 1.0, 6).reshape(2, 3), np.array([0.5, -1.0, 2.0])
    f = lambda w, x: (tg.sigmoid(w @ x) ** 2.0).sum() + tg.softmax(x)[0] * tg.sin(x).sum()  # noqa: E731
    assert tg.gradcheck(f, w, x, method=method)
    wrong = tg.operation(np.sin, lambda g, out, x: (g * np.cos(x) * 1.01,), name="wrong", analytic=True)
    assert not tg.gradcheck(lambda x: wrong(x).sum(), x, method=method)


def test_complex_steps_are_exact_to_the_last_digits_and_need_operations_that_allow_them():
    report = tg.gradcheck(
        lambda x: (np.exp(x) / np.sqrt(np.sin(x) ** 3 + np.cos(x) ** 3)).sum(), np.array([1.5]), method="complex"
    )
    assert report
    assert report.entries[0].relative_error < 1e-14
    for f, name in ((np.abs, "absolute"), (np.floor, "floor"), (tg.softplus, "softplus"), (np.linalg.pinv, "pinv")):
        with pytest.raises(ValueError, match=f"operation {name} has no complex step"):
            tg.gradcheck(lambda x, f=f: f(x).sum(), np.array([[1.5, 0.2]]), method="complex")


def test_an_operation_is_taken_for_analytic_only_where_it_says_so():
    root = tg.operation(
        lambda x: np.sqrt(np.abs(x)), lambda g, out, x: (g * tg.sign(x) / (2.0 * tg.sqrt(tg.absolute(x))),), name="root"
    )
    assert tg.gradcheck(root, 4.0)
    with pytest.raises(ValueError, match="operation root has no complex step: it is not marked analytic=True"):
        tg.gradcheck(root, 4.0, method="complex")


def test_fast_says_which_input_is_wrong_and_forward_mode_takes_one_pass_an_input():
    calls = []
    counted = tg.operation(
        lambda a, b: a * b, lambda g, out, a, b: calls.append(1) or (g * b, g * a), name="counted", analytic=True
    )
    a, b = np.linspace(0.1, 1.0, 400), np.linspace(1.0, 2.0, 400)
    assert tg.gradcheck(lambda a, b: counted(a, b).sum(), a, b, fast=True)
    assert len(calls) < 20
    report = tg.gradcheck(lambda a, b: float((a * b).sum()), a, b, gradient=(b, -a), fast=True)
    assert report.failing_inputs == ["b"]
    assert len(report.entries) == 2


def test_fast_compares_in_one_direction():
    calls = []

    def f(x):
        calls.append(1)
        return (tg.tanh(x) ** 2).sum()

    x = np.linspace(-1.0, 1.0, 1000)
    report = tg.gradcheck(f, x, fast=True)
    assert report
    assert len(calls) < 60
    wrong = 2.0 * np.tanh(x) * (1.0 - np.tanh(x) ** 2)
    wrong[17] += 0.1
    assert not tg.gradcheck(lambda x: float(np.sum(np.tanh(x) ** 2)), x, gradient=wrong, fast=True)


@pytest.mark.parametrize(
    ("f", "x", "n_kinks"),
    [
        (tg.relu, 0.0, 2),
        (lambda x: x * x + tg.leaky_relu(x - 3.0, 0.5), 3.0, 2),
        (lambda x: tg.maximum(x, 2.0 * x), 0.0, 0),  # a tie is shared, which is what the central difference gives too
        (lambda x: np.abs(x - 1.0), 1.0, 0),
    ],
)
def test_a_kink_is_recognised_and_is_no_failure(f, x, n_kinks):
    report = tg.gradcheck(f, x)
    assert report
    assert len(report.kinks) == n_kinks  # one in each mode
    for entry in report.kinks:
        left, right = entry.kink
        assert left < right
        assert left - 1e-3 <= entry.computed <= right + 1e-3
        assert "1 at a kink" in report.verdict
        assert "kink: slopes" in repr(report)


def test_relu_at_0_is_reported_as_a_kink_with_both_slopes():
    (entry, _) = tg.gradcheck(tg.relu, 0.0).kinks
    assert entry.kink == pytest.approx((0.0, 1.0))
    assert entry.computed == 0.0


def test_a_gradient_outside_the_slopes_of_a_kink_is_wrong():
    assert not tg.gradcheck(lambda x: float(np.maximum(x, 0.0)), 0.0, gradient=1.5)
    assert tg.gradcheck(lambda x: float(np.maximum(x, 0.0)), 0.0, gradient=1.0)


@given(st.floats(-2.0, 2.0), st.sampled_from(list(FUNCTIONS)))
def test_smooth_functions_have_no_kinks(x, name):
    f = FUNCTIONS[name][0]
    assert settle(f, x, [6e-6, 6e-7, 6e-8, 6e-9], EPSILON * abs(f(x))).slopes is None


def test_order_2_finds_a_rule_that_is_right_once_and_wrong_when_differentiated():
    frozen = tg.operation(lambda x: x * x, lambda g, out, x: (g * 2.0 * tg.stop_gradient(x),), name="frozen")
    f = lambda x: frozen(x).sum()  # noqa: E731
    x = np.array([1.0, 2.0])
    assert tg.gradcheck(f, x)
    report = tg.gradcheck(f, x, order=2)
    assert not report
    assert {entry.order for entry in report.entries if not entry.holds} == {2}
    assert "2nd order" in repr(report)


def test_modes_are_checked_apart():
    x = np.array([0.5, 1.5])
    assert {e.mode for e in tg.gradcheck(tg.sin, x).entries} == {"reverse", "forward"}
    assert {e.mode for e in tg.gradcheck(tg.sin, x, modes=("forward",)).entries} == {"forward"}


def test_a_rule_that_is_not_linear_in_its_cotangent_is_wrong_in_forward_mode_only():
    odd = tg.operation(lambda x: 2.0 * x, lambda g, out, x: (2.0 * g * tg.absolute(g),), name="odd")
    report = tg.gradcheck(lambda x: odd(x).sum(), np.array([1.0]))
    assert not report
    assert {e.mode for e in report.entries if not e.holds} == {"forward"}
    assert "wrong in forward mode" in report.verdict


def test_float32_is_compared_with_float64_at_a_looser_tolerance():
    x = np.linspace(0.1, 1.0, 5, dtype=np.float32)
    report = tg.gradcheck(lambda x: (np.exp(x) * x).sum(), x)
    assert report
    assert any(entry.relative_error > 1e-9 for entry in report.entries)
    assert not tg.gradcheck(lambda x: float((np.exp(x) * x).sum()), x, gradient=np.exp(x) * (1 + x) * np.float32(1.01))


def test_a_function_that_computes_in_float32_inside_is_checked_with_larger_steps():
    def loss(w):
        return float(np.sum(np.tanh(np.asarray(w, np.float32)) ** 2))

    def gradient(w):
        t = np.tanh(w)
        return 2.0 * t * (1.0 - t * t)

    w = np.linspace(0.2, 1.0, 30)
    report = tg.gradcheck(loss, w, gradient=gradient, rtol=2e-2)
    assert report, report
    assert any("computes in about" in note for note in report.notes)
    assert not tg.gradcheck(loss, w, gradient=lambda w: -gradient(w), rtol=2e-2)


def test_nested_inputs_are_named_by_their_path():
    parameters = [{"w": np.ones((2, 2)), "b": np.zeros(2)}]
    report = tg.gradcheck(lambda p: np.tanh(p[0]["w"] @ np.ones(2) + p[0]["b"]).sum(), parameters)
    assert report
    assert report.inputs == ["p[0]['w']", "p[0]['b']"]
    claimed = [{"w": np.zeros((2, 2)), "b": 1.0 - np.tanh(np.full(2, 2.0)) ** 2}]
    plain = tg.gradcheck(
        lambda p: float(np.tanh(p[0]["w"] @ np.ones(2) + p[0]["b"]).sum()), parameters, gradient=claimed
    )
    assert plain.failing_inputs == ["p[0]['w']"]


def test_results_that_are_arrays_or_nested_are_checked_as_a_whole():
    assert tg.gradcheck(lambda x: {"a": np.sin(x), "b": (x * x, 1.0)}, np.array([0.5, 1.0]))
    wrong = tg.operation(np.sin, lambda g, out, x: (g * np.cos(x) * np.array([1.0, 2.0]),), name="wrong")
    assert not tg.gradcheck(lambda x: wrong(x), np.array([0.5, 1.0]))


def test_assert_gradients_fails_with_the_report():
    assert_gradients(np.sin, np.array([0.5]))
    wrong = tg.operation(np.sin, lambda g, out, x: (g * -np.cos(x),), name="wrong")
    with pytest.raises(
        AssertionError,
        match="2 of 2 entries in 2 modes are wrong, in x\n  x: the gradient rule of the operation `wrong` is wrong",
    ):
        assert_gradients(lambda x: wrong(x), np.array([0.5, 1.0]))


def test_a_report_is_a_table_with_heat_maps_in_a_notebook_and_escapes_names():
    x = tg.Value(np.arange(6.0).reshape(2, 3), name="<script>alert(1)</script>")
    page = tg.gradcheck(
        lambda x: float(np.sum(x * x)), x, gradient=2.0 * np.arange(6.0).reshape(2, 3) + 1.0
    )._repr_html_()
    assert "<table>" in page
    assert page.count("<rect ") == 6
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "FAILED" in page
