"""A compiled function that would change an argument is refused with the line: a recorded call changes none."""

import inspect
import operator

import numpy as np
import pytest

import tinygrad_edu as tg


def subtracts(w, g):
    w -= 0.1 * g
    return (w**2).sum()


def by_operator(w, g):
    return (operator.isub(w, g) ** 2).sum()


def through_another_name(w, g):
    h = w
    h += g
    return h.sum()


def through_a_view(w, g):
    row = w.reshape(-1)
    row *= g
    return w.sum()


def in_a_dict(p, g):
    p["w"] -= 0.1 * g
    return p["w"].sum()


def appends(a, g):
    a.append(g)
    return a[0] * g


def pops(p, g):
    p.pop("w")
    return g * 2.0


def deep_in_a_tree(p, g):
    p["a"]["w"] = g
    return g * 2.0


@pytest.mark.parametrize(
    ("function", "argument"),
    [
        (subtracts, np.ones(2)),
        (by_operator, np.ones(2)),
        (through_another_name, np.ones(2)),
        (through_another_name, np.ones(2, int)),
        (through_a_view, np.ones(2)),
        (in_a_dict, {"w": np.ones(2)}),
        (in_a_dict, {"w": 1.0}),
        (appends, [1.0]),
        (pops, {"w": 1.0}),
        (deep_in_a_tree, {"a": {"w": 1.0}}),
    ],
)
def test_a_function_that_changes_its_argument_is_refused_with_the_line(function, argument):
    first = inspect.getsourcelines(function)[1]
    line = first + (2 if function in (through_another_name, through_a_view) else 1)
    with pytest.raises(TypeError, match=rf"test_arguments_stay\.py:{line}: .* changes (the|its) argument"):
        tg.compile(function)(argument, 2.0)


def test_in_place_operators_on_what_the_function_made_are_recorded():
    @tg.compile
    def step(w, g, rate):
        rate *= 2.0
        new = w * 1.0
        new -= rate * g
        w = w + 1.0
        w += new
        return w

    assert step(np.ones(2), np.ones(2), 0.25).tolist() == [2.5, 2.5]


def test_a_value_that_is_bound_anew_is_no_changed_argument():
    def step(w):
        w -= np.ones(2)
        return w

    assert tg.compile(step)(tg.Value(np.ones(2), "w")).tolist() == [0.0, 0.0]
