"""`tg.debug()` names operation, place and line where a number first goes wrong; outside it nothing is said."""

import numpy as np
import pytest

import tinygrad_edu as tg


def test_the_first_nan_of_the_forward_pass_is_named():
    x = tg.Value(np.array([4.0, -1.0]), name="x")
    with (
        np.errstate(all="ignore"),
        tg.debug(),
        pytest.raises(FloatingPointError, match=r"test_debugging\.py:\d+: log of shape \(2,\): .* is nan at \[1\]"),
    ):
        tg.exp(tg.log(x))


def test_an_infinity_that_the_user_brings_in_is_no_mistake_but_a_nan_is():
    mask = np.array([0.0, -np.inf])
    with tg.debug():
        assert tg.softmax(tg.Value(np.ones(2)) + mask).data.tolist() == [1.0, 0.0]
        with pytest.raises(FloatingPointError, match=r"multiply: w, shape \(2,\), is nan at \[0\]"):
            tg.Value(np.array([np.nan, 1.0]), name="w") * 2.0


def test_the_first_infinity_of_the_backward_pass_is_named():
    x = tg.Value(np.array([1.0, 0.0]), name="x")
    with np.errstate(all="ignore"), tg.debug():
        loss = tg.sqrt(x).sum()
        with pytest.raises(FloatingPointError, match=r"backward of sqrt: the cotangent of x, .* is inf at \[1\]"):
            loss.backward()
    assert x.grad is None


def test_a_branch_of_where_that_is_not_taken_is_named():
    x = tg.Value(np.array([1.0, 0.0]), name="x")
    with np.errstate(all="ignore"), tg.debug():
        loss = tg.where(x.data > 0.0, tg.sqrt(x), 0.0).sum()
        with pytest.raises(FloatingPointError, match=r"tg\.where doesn't take.*tg\.where\(c, f\(tg\.where\(c, x"):
            loss.backward()


@pytest.mark.parametrize("which", ["input", "result"])
def test_an_array_that_is_changed_in_place_between_forward_and_backward_is_found(which):
    a = np.array([1.0, 2.0])
    x = tg.Value(a, name="x")
    with tg.debug():
        y = tg.exp(x)
        loss = (y * x).sum()
        (a if which == "input" else y.data)[0] = 7.0
        with pytest.raises(RuntimeError, match=r"test_debugging\.py:\d+: .* was changed in place"):
            loss.backward()
    assert x.grad is None


def test_right_code_passes_and_transforms_are_watched():
    with tg.debug():
        assert tg.grad(lambda x: tg.sum(x * x))(np.array([1.0, 2.0])).tolist() == [2.0, 4.0]
        assert tg.hessian(lambda x: x**3)(2.0) == 12.0
        with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match="log"):
            tg.grad(lambda x: tg.log(x - x))(1.0)


def test_the_operations_inside_a_checkpoint_are_watched():
    checkpointed = tg.checkpoint(lambda x: tg.exp(1000.0 * x))
    with tg.debug(), np.errstate(over="ignore"), pytest.raises(FloatingPointError, match="exp"):
        checkpointed(tg.Value(1.0))
