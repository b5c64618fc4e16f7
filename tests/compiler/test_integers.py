"""Whole numbers and truths among the arguments: read at every call, as numpy and Python compute with them."""

import numpy as np
import pytest

import tinygrad_edu as tg

X = np.linspace(-1.0, 1.0, 12).reshape(4, 3)
SMALL = np.array([250, 255, 3, 9], np.uint8)
SINGLE = X.astype(np.float32)
UP, DOWN = X > 0.0, X < 0.5


def as_value(x):
    floats = isinstance(x, float) or (isinstance(x, np.ndarray) and x.dtype.kind == "f")
    return tg.Value(x) if floats else x


def bits(x):
    x = np.asarray(tg.core.value.data_of(x))
    return (x.shape, x.astype(float).tobytes())


def assert_own_answers(function, *calls):
    """Each call gives the function's own bits; how many recordings that took."""
    compiled = tg.compile(function)
    for args in calls:
        own, got = function(*map(as_value, args)), compiled(*args)
        assert [bits(x) for x in tg.tree.leaves_of(got)] == [bits(x) for x in tg.tree.leaves_of(own)]
    return len(compiled.made)


ONCE = {
    "an index": (lambda c, i: c[i], (X, 1), (X, -2)),
    "an array of indices": (lambda c, i: c[i], (X, np.array([0, 1])), (X, np.array([3, -1]))),
    "of 32 bits": (lambda c, i: c[i] * 2.0, (X, np.array([0, 1], np.int32)), (X, np.array([3, 2], np.int32))),
    "rows and columns": (lambda c, i: c[np.arange(4), i], (X, np.array([0, 1, 2, 0])), (X, np.array([2, 2, 2, 1]))),
    "computed indices": (lambda c, i: c[i + 1 - 2], (X, np.array([1, 2])), (X, np.array([0, 3]))),
    "np.take": (lambda c, i: np.take(c, i, axis=1), (X, np.array([0, 2])), (X, np.array([1, 1]))),
    "each of them": (lambda c, y: sum(c[i].sum() for i in y), (X, np.array([0, 1])), (X, np.array([3, 3]))),
    "labels": (
        lambda c, y: -tg.log_softmax(c, axis=1)[np.arange(4), y].mean(),
        (X, np.array([0, 1, 2, 0])),
        (X, np.array([2, 2, 1, 1])),
    ),
    "slopes of what is indexed": (
        lambda c, y: tg.gradients((c[y] ** 2.0).sum(), [c])[0],
        (X, np.array([0, 1, 0])),
        (X, np.array([2, 2, 2])),
    ),
    "second derivatives": (
        lambda c, y: tg.hessian(lambda z: (z[y] ** 3.0).sum())(c),
        (X, np.array([0, 1, 0])),
        (X, np.array([2, 2, 2])),
    ),
    "one row of ones and zeros for each label": (
        lambda c, y: ((y[:, None] == np.arange(3)) * c).sum(),
        (X, np.array([0, 1, 2, 0])),
        (X, np.array([2, 2, 1, 1])),
    ),
    "a mask that chooses": (lambda c, m: np.where(m, c, -c), (X, UP), (X, DOWN)),
    "a mask that isn't": (lambda c, m: tg.where(~m, c, 0.0), (X, UP), (X, DOWN)),
    "two masks": (lambda c, m, k: tg.where(m & k | ~m, c, 0.0), (X, UP, DOWN), (X, DOWN, UP)),
    "masks add up to a mask": (lambda c, m, k: (m + k) * c, (X, UP, UP), (X, DOWN, UP)),
    "a masked mean": (lambda c, m: (m * c).sum() / m.sum(), (X, UP), (X, DOWN)),
    "comparisons add up to a mask": (lambda c: ((c > 0.0) + (c > 0.5)) * 1.0, (X,), (-X,)),
    "comparisons of numbers are counted": (lambda x: ((x > 0.0) + (x > 0.5)) * 1.0, (1.0,), (0.2,), (-1.0,)),
    "masks make doubles": (lambda c: (c > 0.0) * c, (SINGLE,), (-SINGLE,)),
    "numbers of numpy are weak": (
        lambda c, i: c * i.sum() * (c > 0.0).mean(),
        (SINGLE, np.arange(3)),
        (SINGLE, np.ones(3, int)),
    ),
    "an exponent": (lambda x, n: x**n, (2.0, 3), (-2.0, 2)),
    "a step's count": (lambda x, t: x / (1.0 - 0.9**t), (2.0, 1), (2.0, 2)),
    "zero has no sign": (lambda x, n: tg.arctan2((n * -1) * 1.0 + 0.0 * x, -x), (1.0, 0), (1.0, 3)),
    "a number negated": (lambda x, n: tg.arctan2(0.0 * x + (-n), -x), (1.0, 0), (1.0, 3)),
    "a flag as a number": (lambda x, on: x * on, (2.0, True), (2.0, False)),
    "a picture's bytes": (lambda c, p: (p / 255.0) @ c, (X, SMALL), (X, SMALL[::-1].copy())),
    "more than floats tell apart": (lambda x, n: x * (n + 1), (2.0, 3), (2.0, 2**53), (2.0, 2**60)),
    "whole results": (lambda x, n, m: (x, n, n + 1, m), (2.0, 3, UP), (2.0, 5, DOWN)),
}


@pytest.mark.parametrize("name", ONCE)
def test_recorded_once_they_are_read_at_every_call(name):
    function, *calls = ONCE[name]
    assert assert_own_answers(function, *calls) == 1


EACH = {
    "a flag": (lambda x, on: x * 2.0 if on else x, (2.0, True), (2.0, False)),
    "a count of turns": (lambda x, n: sum(x for _ in range(n)), (2.0, 3), (2.0, 5)),
    "a key": (lambda x, n: x * {1: 2.0, 2: 3.0}.get(n, 9.0), (2.0, 1), (2.0, 2), (2.0, 3)),
    "one of several": (lambda x, n: x * 2.0 if n in (1, 2) else x, (2.0, 1), (2.0, 5)),
    "a text": (lambda x, n: x * {"w1": 2.0, "w2": 3.0}[f"w{n}"], (2.0, 1), (2.0, 2)),
    "an axis": (lambda c, n: c.sum(axis=n), (X, 0), (X, 1)),
    "a slice": (lambda c, n: c[:n].sum(), (X, 2), (X, 3)),
    "a remainder": (lambda x, n: x * (n // 2) + n % 2, (2.0, 3), (2.0, 8)),
    "a list of indices": (lambda c, i: c[i], (X, [0, 1]), (X, [2, 3])),
}


@pytest.mark.parametrize("name", EACH)
def test_a_number_that_python_reads_is_recorded_for_each(name):
    function, *calls = EACH[name]
    assert assert_own_answers(function, *calls) == len(calls)


def test_what_a_number_is_to_isinstance_stays():
    assert_own_answers(lambda x, n: x * 2.0 if isinstance(n, int) else x, (2.0, 1), (2.0, 2))


@pytest.mark.parametrize(
    ("function", "other", "reason"),
    [
        (lambda c, m: c[m].sum(), UP, "decides how many entries"),
        (lambda c, m: c.sum() if m.any() else -c.sum(), UP, "while compiling, Python reads"),
        (lambda c, m: c * (m ^ m), UP, "while compiling, Python reads"),
        (lambda c, y: np.eye(3)[y] * c, np.array([0, 1, 2, 0]), "whole numbers"),
        (lambda c, p: ((p + p) / 1.0) @ c, SMALL, "whole numbers"),
        (lambda c, y: np.take_along_axis(c, y, axis=1), np.zeros((4, 1), int), "whole numbers"),
    ],
    ids=["a mask as index", "any", "exclusive or", "an index of a plain array", "bytes that run over", "along an axis"],
)
def test_what_is_not_the_same_in_floats_is_refused_with_the_line(function, other, reason):
    with pytest.raises(TypeError, match=rf"test_integers\.py:\d+: while compiling.*{reason}|{reason}"):
        tg.compile(function)(X, other)


def test_indices_are_printed_as_indices():
    pick = tg.compile(lambda scores, labels: scores[np.arange(4), labels].sum())
    pick(X, np.array([0, 1, 2, 0]))
    assert "scores[constant, labels].sum()" in pick.source
    choose = tg.compile(lambda x, mask: np.where(mask, x, 0.0))
    choose(X, UP)
    assert "np.where(mask, x, 0.0)" in choose.source


def test_a_wrong_index_raises_the_functions_own_error():
    pick = tg.compile(lambda c, i: c[i])
    pick(X, 1)
    with pytest.raises(IndexError, match="index 9 is out of bounds"):
        pick(X, 9)
