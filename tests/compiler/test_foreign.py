"""Objects of installed modules count in what a compiled function reads: which object it is, and what is in it."""

import array
import contextvars
import functools
from datetime import timedelta
from types import SimpleNamespace

import numpy as np
import pytest

import tinygrad_edu as tg

READ = None


def from_outside(get, first, second):
    """The results of one compiled function that reads a global, which is rebound between its calls."""
    global READ
    compiled = tg.compile(lambda x: x * get(READ))
    results = []
    for held in (first, second, first):
        READ = held
        results.append(compiled(3.0))
    return results


@pytest.mark.parametrize(
    "hold",
    [
        lambda f: f,
        lambda f: SimpleNamespace(act=f).act,
        lambda f: functools.partial(f),
        lambda f: {"f": f}["f"],
        lambda f: lambda x, f=f: f(x),
    ],
)
def test_functions_of_numpys_are_told_apart(hold):
    global READ
    compiled = tg.compile(lambda x: READ(x))
    given = tg.compile(lambda f, x: f(x))
    for f in (np.sin, np.cos, np.sin):
        READ = hold(f)
        assert compiled(3.0) == given(READ, 3.0) == f(3.0)


@pytest.mark.parametrize(
    ("get", "first", "second"),
    [
        (lambda p: float(p(2.0)), np.poly1d([1.0, 2.0]), np.poly1d([3.0, 2.0])),
        (lambda d: d.total_seconds(), timedelta(seconds=2), timedelta(seconds=5)),
        (lambda a: a[0], array.array("d", [2.0]), array.array("d", [5.0])),
        (lambda a: float(a["w"][0]), np.array([(2.0,)], [("w", float)]), np.array([(5.0,)], [("w", float)])),
        (lambda a: a[0], np.array([2.0, None], object), np.array([5.0, None], object)),
    ],
)
def test_another_object_of_a_library_counts(get, first, second):
    assert from_outside(get, first, second) == [3.0 * get(first), 3.0 * get(second), 3.0 * get(first)]


def change_polynomial(p):
    p.coeffs[0] = 7.0


def change_entry(a):
    a[0] = 7


def change_field(a):
    a["w"][0] = 7.0


@pytest.mark.parametrize(
    ("get", "held", "change"),
    [
        (lambda p: float(p(2.0)), np.poly1d([1.0, 2.0]), change_polynomial),
        (lambda a: a[0], array.array("d", [2.0]), change_entry),
        (lambda a: float(a[0]), bytearray(b"ab"), change_entry),
        (lambda a: float(a[0]), memoryview(bytearray(b"ab")), change_entry),
        (lambda a: float(a["w"][0]), np.array([(2.0,)], [("w", float)]), change_field),
        (lambda a: a[0], np.array([2.0, None], object), change_entry),
        (lambda a: float(a.sum()), np.ma.array([2.0, 3.0]), lambda a: a.__setitem__(0, np.ma.masked)),
        (lambda v: v.get(), contextvars.ContextVar("v", default=2.0), lambda v: v.set(7.0)),
    ],
)
def test_what_changes_in_place_in_an_object_of_a_library_counts(get, held, change):
    compiled = tg.compile(lambda x: x * get(held))
    before = compiled(3.0)
    assert before == 3.0 * get(held)
    change(held)
    assert compiled(3.0) == 3.0 * get(held) != before
