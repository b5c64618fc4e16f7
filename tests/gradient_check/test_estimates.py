"""What an estimate can tell decides: right code is not accused where a step is coarse, wrong code hides behind none."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import tinygrad_edu as tg
from tinygrad_edu.gradient_check.numerical import settle

SMALL_BESIDE_LARGE = {
    "log": (np.log, lambda w: 1.0 / w),
    "root": (np.sqrt, lambda w: 0.5 / np.sqrt(w)),
    "reciprocal": (lambda w: 1.0 / w, lambda w: -1.0 / (w * w)),
    "power": (lambda w: w**-1.5, lambda w: -1.5 * w**-2.5),
}


@given(st.sampled_from(list(SMALL_BESIDE_LARGE)), st.floats(-12.0, -3.0))
@example("log", -8.0)
def test_a_number_smaller_than_the_step_is_judged_by_steps_of_its_own_size(name, exponent):
    f, slope = SMALL_BESIDE_LARGE[name]
    w = np.array([10.0**exponent, 1.0])
    assert tg.gradcheck(lambda w: np.sum(f(w)), w)
    assert tg.check_loss(lambda w: (np.sum(f(w)), slope(w)), w)
    report = tg.check_loss(lambda w: (np.sum(f(w)), slope(w) * np.array([1.1, 1.0])), w)
    assert [entry.index for entry in report.entries if not entry.holds] == [(0,)]


def test_an_entry_without_a_finite_neighbour_is_neither_wrong_nor_passed():
    def only_there(w):
        return np.sum(w) + (0.0 if w[0] == 1.0 else np.nan)

    report = tg.gradcheck(only_there, np.array([1.0, 2.0]), gradient=np.ones(2))
    assert not report
    assert all(entry.holds for entry in report.entries)
    assert report.unchecked == ["w"]
    assert "can't be judged" in report.diagnoses[0].text


@pytest.mark.parametrize("large", [1e4, 1e6, 1e8])
def test_a_wrong_entry_does_not_hide_behind_larger_ones(large):
    def loss(factor):
        return lambda w: (large * w[0] ** 2 + w[1] ** 2, np.array([2.0 * large * w[0], factor * w[1]]))

    assert tg.check_loss(loss(2.0), np.ones(2))
    for factor in (3.0, -2.0, 0.0, 2.02):
        report = tg.check_loss(loss(factor), np.ones(2))
        assert [entry.index for entry in report.entries if not entry.holds] == [(1,)]
        assert not tg.gradcheck(lambda w: loss(2.0)(w)[0], np.ones(2), gradient=np.array([2.0 * large, factor]))


def test_rounding_of_a_gradient_that_cancels_to_0_is_no_mistake():
    rng = np.random.default_rng(0)
    x, bias = rng.normal(size=(6, 5)), rng.normal(size=5)

    def loss(bias):
        z = x + bias
        z = z - z.mean(axis=0)
        z = z / np.sqrt((z * z).mean(axis=0))
        return float(np.sum(z**3)) * 1e6

    assert tg.gradcheck(loss, bias, gradient=1e-9 * rng.normal(size=5))


def test_a_jump_that_only_the_double_step_sees_leaves_the_smaller_steps():
    settled = settle(lambda x: float(x > 1.5e-6), 0.0, [1e-6, 1e-7, 1e-8], 0.0)
    assert settled.value == 0.0
    assert settled.slopes is None


@pytest.mark.parametrize("levels", [300.0, 1000.0, 1e4])
@pytest.mark.parametrize("rounded", [np.floor, np.round, np.trunc])
def test_jumps_are_no_slopes(rounded, levels):
    w = np.random.default_rng(0).normal(size=(3, 2))
    loss = lambda w: float(np.sum(rounded(w * levels)))  # noqa: E731
    report = tg.gradcheck(loss, w, gradient=np.full((3, 2), levels))
    assert not report
    assert report.failing_inputs == ["w"]
    assert tg.gradcheck(loss, w, gradient=np.zeros((3, 2)))


def test_entries_that_only_jump_are_said_to_be_undecided():
    w = np.random.default_rng(0).normal(size=(3, 2))
    report = tg.gradcheck(lambda w: float(np.sum(np.floor(w * 1000.0))), w, gradient=np.full((3, 2), 1000.0))
    assert report.unchecked == ["w"]
    assert "can't be judged" in report.diagnoses[0].text


def test_a_flat_side_of_a_kink_is_no_jump():
    w = np.array([-1e-6, 1e-6, -0.5, 2.0])
    assert tg.gradcheck(lambda w: float(np.sum(np.maximum(w, 0.0))), w, gradient=(w > 0.0) * 1.0)
    report = tg.gradcheck(lambda w: float(np.sum(np.maximum(w, 0.0))), w, gradient=np.ones(4))
    assert {entry.index for entry in report.entries if not entry.holds} == {(0,), (2,)}
