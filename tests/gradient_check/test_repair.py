"""Repairs: a line that is offered can be pasted, and computes what the place should give."""

import sys

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu.gradient_check.search.recording import record
from tinygrad_edu.gradient_check.search.repair import BLOCKS, can_be_pasted, formula_and_repair
from tinygrad_edu.gradient_check.search.scene import Scene
from tinygrad_edu.gradient_check.search.tape import Tape

RNG = np.random.default_rng(0)
Y = np.array([0, 1, 2, 1, 0])


def dense(x, W, b):
    z = x @ W + b
    h = np.tanh(z)
    return np.mean(h * h)


def svm(x, W, y):
    n = len(y)
    s = x @ W
    m = np.maximum(0, s - s[np.arange(n), y][:, None] + 1.0)
    return np.sum(m) / n + 0.1 * np.sum(W**2)


def softmax(x, W, y):
    s = x @ W
    e = np.exp(s)
    p = e / e.sum(axis=1, keepdims=True)
    return -np.mean(np.log(p[np.arange(len(y)), y]))


def normalised(x, gamma, epsilon):
    mu = x.mean(axis=0)
    v = np.mean((x - mu) ** 2, axis=0)
    xn = (x - mu) / np.sqrt(v + epsilon)
    return gamma * xn


def overwritten(x, W, b):
    z = x @ W
    z = np.tanh(z) + b
    z[0] = 0.0
    z = z * z
    return np.sum(z)


def sigmoid(u):
    return 1 / (1 + np.exp(-u))


def with_a_helper(x, W, b):
    a = sigmoid(x @ W + b)
    c = a[1:] - a[:-1]
    return np.sum(c**2)


CASES = {
    "dense": (dense, (RNG.normal(size=(5, 4)), RNG.normal(size=(4, 3)), RNG.normal(size=3)), 3),
    "svm": (svm, (RNG.normal(size=(5, 4)), RNG.normal(size=(4, 3)), Y), 2),
    "softmax": (softmax, (RNG.normal(size=(5, 4)), RNG.normal(size=(4, 3)), Y), 2),
    "normalised": (normalised, (RNG.normal(size=(5, 4)), RNG.normal(size=4), 1e-5), 2),
    "overwritten": (overwritten, (RNG.normal(size=(5, 4)), RNG.normal(size=(4, 3)), RNG.normal(size=3)), 3),
    "with a helper": (with_a_helper, (RNG.normal(size=(5, 4)), RNG.normal(size=(4, 3)), RNG.normal(size=3)), 3),
}


def locals_at_the_end(function, args):
    found = {}

    def look(frame, event, result):
        if event == "return" and frame.f_code is function.__code__:
            found.update(frame.f_locals)

    sys.setprofile(look)
    try:
        out = function(*args)
    finally:
        sys.setprofile(None)
    return found, out


def pasted(line, names, target):
    """The gradient that a line gives, in the user's function and with the right gradients there."""
    scope = {"np": np, "sigmoid": sigmoid, **names}
    if " += " in line or line.startswith("np.add.at"):
        scope[target[0]] = np.zeros(target[1])
    exec(line, scope)
    return scope[target[0]]


def gradients_from(scene, i):
    """The right gradients by their names; of a variable that is bound anew, as it is at node i."""
    nodes = [k for k in sorted(scene.tape.cot, reverse=True) if k >= i and scene.name(k).isidentifier()]
    return {f"d{scene.name(k)}": np.asarray(scene.tape.cot[k]) for k in nodes}


@pytest.mark.parametrize("case", CASES)
def test_every_line_that_is_offered_runs_and_gives_what_the_place_should_give(case):
    function, args, n = CASES[case]
    names, out = locals_at_the_end(function, args)
    seed = RNG.normal(size=np.shape(out)) if np.ndim(out) else 1.0
    tape = Tape(record(function, args, range(n)), [seed], list(names)[:n])
    scene = Scene(tape, range(n))
    known = {**names, **({"dout": seed} if np.ndim(out) else {})}
    offered = 0
    for i, j in sorted(tape.part):
        _, line = formula_and_repair(scene, i, j)
        if not line:
            continue
        known.update(gradients_from(scene, i))
        offered += 1
        p = tape.edges[i][j]
        if tape.ops[i] == "index" or line.startswith("np.add.at") or "] += " in line:
            where = line.removeprefix("np.add.at(").split("[")[0].split(",")[0]
            source = tape.edges[i][0] if tape.ops[i] == "index" else tape.edges[p][0]
            got = pasted(line, known, (where, tape.shapes[source]))
            want = tape.part[i, j] if tape.ops[i] == "index" else tape.fit(tape.rule(p, tape.part[i, j])[0], source)
        else:
            got, want = pasted(line, known, (line.split(" ")[0], tape.shapes[p])), tape.part[i, j]
            if tape.ops[i] == "multiply":  # of a square, both at once
                want = sum(tape.part[e] for e in tape.consumers[p] if e[0] == i)
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-14, err_msg=line)
    assert offered or case == "overwritten"
    for found in [*scene.rows, *(block for block in scene.blocks if block.name in BLOCKS)]:
        _, line = formula_and_repair(scene, found.last, None)
        if line and {i for i, _ in tape.consumers[found.source]} <= {*found.inside, found.last}:
            known.update(gradients_from(scene, found.last))
            got = pasted(line, known, (line.split(" ")[0], tape.shapes[found.source]))
            np.testing.assert_allclose(got, tape.cot[found.source], rtol=1e-9, atol=1e-12, err_msg=line)


def test_the_line_of_a_normalisation_has_the_users_own_divisor():
    _, (x, gamma, epsilon), _ = CASES["normalised"]

    def backward(dout, cache):
        gamma, xn, sd = cache
        return dout * gamma / sd, np.sum(dout * xn, axis=0)  # mean and variance taken for constants

    def forward(x, gamma, epsilon):
        mu = x.mean(axis=0)
        v = np.mean((x - mu) ** 2, axis=0)
        xn = (x - mu) / np.sqrt(v + epsilon)
        return gamma * xn, (gamma, xn, np.sqrt(v + epsilon))

    report = tg.check_layer(forward, backward, x, gamma, epsilon)
    assert report.diagnoses
    assert all("var + eps" not in found.repair for found in report.diagnoses)


def test_a_name_that_is_bound_anew_is_not_used():
    function, args, n = CASES["overwritten"]
    tape = Tape(record(function, args, range(n)), [1.0], ["x", "W", "b"])
    scene = Scene(tape, range(n))
    last = len(tape.nodes) - 1
    assert can_be_pasted(scene, last, "dW = x.T @ dz")
    assert not can_be_pasted(scene, last, "dz = dz * z")
    assert not can_be_pasted(scene, last, "dz = dz * unknown")
    assert not can_be_pasted(scene, last, "dz = dz * (")


def test_where_both_passes_are_one_function_its_gradients_have_its_own_names():
    def loss(W, X, y):
        s = X @ W
        m = np.maximum(0, s - s[np.arange(len(y)), y][:, None] + 1.0)
        mask = (m > 0).astype(float)  # what the right entries lose is forgotten
        dW = X.T @ mask
        return np.sum(m), dW

    _, (X, W, y), _ = CASES["svm"]
    found = tg.check_loss(loss, W, X, y).diagnoses[0]
    assert "s[np.arange" in found.expression
    assert "dm" not in found.repair
    assert "+=" not in found.repair
