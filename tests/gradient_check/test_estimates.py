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


def mixed_logistic(w, X, y, factor=1.0):
    """A logistic regression with a penalty, of which some is computed in float32 and some in float64."""
    z = X.astype(np.float32) @ w.astype(np.float32)
    p = 1.0 / (1.0 + np.exp(-z))
    loss = -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p)) + 0.2 * np.sum(np.abs(w))
    return loss, factor * (X.T.astype(np.float32) @ (p - y.astype(np.float32)) / np.float32(len(y))) + 0.2 * np.sign(w)


def test_float32_inside_is_seen_beside_float64():
    rng = np.random.default_rng(30)
    w, X, y = rng.normal(size=4), rng.normal(size=(9, 4)), (rng.random(9) > 0.5) * 1
    assert tg.check_loss(mixed_logistic, w, X, y, wrt="w")
    for factor in (-1.0, 0.5, 0.0, 1.1):
        assert not tg.check_loss(mixed_logistic, w, X, y, factor, wrt="w")


def test_rounding_is_that_of_all_terms_where_their_sum_nearly_cancels():
    rng = np.random.default_rng(45)
    x, w = 1e-3 * rng.normal(size=(4, 3)), 1e-3 * rng.normal(size=(3, 40))

    def forward(x, w):
        z = (x @ w) ** 2
        return 1.0 + z, (x, w)

    def backward(dout, cache):
        x, w = cache
        dz = dout * 2 * (x @ w)
        return dz @ w.T, x.T @ dz

    assert tg.check_layer(forward, backward, x, w)
    assert not tg.check_layer(forward, lambda dout, cache: [0.9 * g for g in backward(dout, cache)], x, w)


def test_a_layer_object_in_float32_is_asked_in_float64_where_rounding_leaves_little():
    class Elu:
        def __init__(self, W):
            self.W = W

        def forward(self, x):
            self.x = x
            self.h = np.exp(x) - 1
            return self.h @ self.W

        def backward(self, dout):
            self.dW = self.h.T @ dout
            return (dout @ self.W.T) * (self.h + 1)

    rng = np.random.default_rng(0)
    x, W = [(1e-4 * rng.normal(size=shape)).astype(np.float32) for shape in ((5, 4), (4, 3))]
    report = tg.check_layer(Elu(W), x)
    assert report
    assert any("wrong in float32 only" in note for note in report.notes)


def test_what_float32_inside_hides_altogether_is_neither_wrong_nor_passed():
    def loss(w):
        return float(np.float32(3.0) + np.float32(1e-9) * np.sum(w.astype(np.float32) ** 2)), 2e-9 * w

    report = tg.check_loss(loss, np.array([1.0, -2.0, 0.5]))
    assert not report
    assert all(entry.holds for entry in report.entries)
    assert report.unchecked == ["w"]
    assert "can't be judged" in report.diagnoses[0].text


@pytest.mark.parametrize("seed", [0, 6])  # 6: the slopes of its entries allow each, but not all of them together
def test_relus_of_weights_that_are_all_0_may_have_the_gradient_of_their_own_branch(seed):
    rng = np.random.default_rng(seed)
    x, V = rng.normal(size=(6, 4)), rng.normal(size=(3, 2))

    def forward(W):
        z = x @ W
        return np.where(z > 0, z, 0.2 * z) @ V, z

    def backward(dout, z):
        return x.T @ (dout @ V.T * np.where(z > 0, 1.0, 0.2))

    W = rng.normal(size=(4, 3))
    W[:, 0] = 0.0  # every row of x is at the kink at once, and no small change puts all of them on one side
    assert tg.check_layer(forward, backward, W)
    assert not tg.check_layer(forward, lambda dout, z: backward(dout, z) * [-3.0, 1.0, 1.0], W)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    ("f", "x", "slope"),
    [
        (lambda x: 1.0 / x, 1e-3, -1e6),
        (lambda x: np.abs(x).sum(), np.array([1e-3]), np.ones(1)),
        (np.linalg.norm, np.array([1e-4, 1e-4]), np.full(2, 0.5**0.5)),
        (np.log, 1e-3, 1e3),
    ],
    ids=["pole", "kink", "norm", "log"],
)
def test_extrapolation_stays_on_the_side_of_a_small_number(f, x, slope):
    assert tg.gradcheck(f, x, gradient=slope, method="extrapolated")
    for wrong in (0.0, 0.9, 1.001, -1.0):
        assert not tg.gradcheck(f, x, gradient=slope * wrong, method="extrapolated")
