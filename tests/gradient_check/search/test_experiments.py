"""Experiments on black boxes say what goes away with what, and nothing of what they can't tell."""

import numpy as np
import pytest

from tinygrad_edu.gradient_check.search.experiments import Box, experiment

RNG = np.random.default_rng(11)
X, W, DOUT = RNG.normal(size=(4, 3)), RNG.normal(size=(3, 2)), RNG.normal(size=(4, 2))


def affine(arguments):
    x, w, scale = arguments
    return [x @ w * scale]


def box(backward, forward=affine, arguments=(X, W, 3.0), cotangents=(DOUT,), names=("x", "w", "scale")):
    return Box(forward, backward, arguments, (0, 1), names, cotangents)


def right(arguments, douts):
    x, w, scale = arguments
    return [douts[0] @ w.T * scale, x.T @ douts[0] * scale]


def centred(arguments):
    x, w = arguments
    return [(x - x.mean(axis=0)) @ w]


CASES = {
    "dout isn't used": (box(lambda a, d: [np.ones_like(d[0]) @ a[1].T, right(a, d)[1]]), "isn't used"),
    "dout squared": (box(lambda a, d: [d[0] ** 2 @ a[1].T, right(a, d)[1]]), "not linear in dout"),
    "scale forgotten": (box(lambda a, d: [d[0] @ a[1].T, right(a, d)[1]]), "right with scale = 1"),
    "rows mixed": (
        box(lambda a, d: [right(a, d)[0] + right(a, d)[0].sum(axis=0), right(a, d)[1]]),
        "gets something from out[n]",
    ),
    "mean constant": (
        box(lambda a, d: [d[0] @ a[1].T, (a[0] - a[0].mean(axis=0)).T @ d[0]], centred, (X, W), names=("x", "w")),
        "gets nothing from out[n]",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_an_experiment_tells_what_is_wrong(name):
    one, text = CASES[name]
    (finding,) = experiment(one, [0])
    assert text in finding.text
    assert finding.inputs == ("x",)
    assert finding.text_zh != finding.text


def test_the_output_through_which_a_mistake_comes_is_told():
    def both(arguments):
        x, w = arguments
        return [np.tanh(x @ w), x.sum(axis=1)]

    def backward(arguments, douts):
        x, w = arguments
        d = douts[0] * (1 - np.tanh(x @ w) ** 2)
        return [d @ w.T + douts[1][:, None] * np.arange(3.0), x.T @ d]  # ones

    (finding,) = experiment(Box(both, backward, (X, W), (0, 1), ("x", "w"), (DOUT, DOUT[:, 0])), [0])
    assert "right where the dout of output 2 is 0" in finding.text


def test_code_that_does_not_stand_other_arguments_gives_no_finding():
    def fragile(arguments, douts):
        if arguments[2] != 3.0 or not np.array_equal(douts[0], DOUT):
            raise RuntimeError("no other numbers, please")
        return [np.zeros_like(X), np.zeros_like(W)]

    assert experiment(box(fragile), [0]) == []


def windows(arguments):
    (x,) = arguments
    return [np.stack([x[:, k : k + 3].sum(axis=1) for k in range(4)], axis=1)]


def put_back(places, shifted=0):
    def backward(arguments, douts):
        g = np.zeros_like(arguments[0])
        for k in places:
            first = max(k - shifted, 0)
            g[:, first : first + 3] += douts[0][:, [k]]
        return [g]

    return backward


@pytest.mark.parametrize(
    ("backward", "text"),
    [
        (put_back(range(2)), "right but for what arrives at out[:, 2:4], of which nothing is passed back"),
        (put_back(range(4), shifted=1), "right but for what arrives at out[:, 1:4]"),
    ],
)
def test_a_loop_that_ends_early_and_a_window_at_the_wrong_place_are_located_in_the_output(backward, text):
    x = RNG.normal(size=(3, 6))
    (finding,) = experiment(Box(windows, backward, (x,), (0,), ("x",), (RNG.normal(size=(3, 4)),)), [0])
    assert finding.text == text
    assert finding.text_zh != finding.text
