"""What an estimate can tell decides: right code is not accused where a step is coarse, wrong code hides behind none."""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

import tinygrad_edu as tg

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
