"""The search names mistakes in layers as people write them, and neither right gradients nor what has no such cause."""

import copy
import importlib.util
import inspect
import re
from pathlib import Path

import numpy as np
import pytest

from tinygrad_edu.gradient_check import search
from tinygrad_edu.gradient_check.search.recording import record
from tinygrad_edu.gradient_check.search.tape import Tape

spec = importlib.util.spec_from_file_location("by_hand", Path(__file__).with_name("by_hand.py"))
by_hand = importlib.util.module_from_spec(spec)
spec.loader.exec_module(by_hand)

LAYERS = {name: parts for name, *parts in by_hand.CASES}
SLIPS = [(name, slip, pattern) for name, *_, slips in by_hand.CASES for slip, pattern in slips]


def cotangents(forward, arguments):
    out = forward(*copy.deepcopy(arguments))
    rng = np.random.default_rng(3)
    return [1.0 if np.ndim(o) == 0 else rng.normal(size=o.shape) for o in (out if isinstance(out, tuple) else (out,))]


def explained(name, claimed=None, slip=""):
    forward, arguments, wanted, backward, _ = LAYERS[name]
    seeds = cotangents(forward, arguments)
    names = [list(inspect.signature(forward).parameters)[k] for k in wanted]
    right = dict(zip(names, Tape(record(forward, arguments, wanted), seeds, names).true, strict=True))
    claimed = backward(*seeds, *arguments, slip) if claimed is None else claimed(right.values())
    claimed = dict(zip(names, [np.asarray(g, dtype=float) for g in claimed], strict=True))
    return search.explain(forward, arguments, wanted, seeds, claimed, right, names)


@pytest.mark.parametrize(("name", "slip", "pattern"), SLIPS, ids=[f"{name}: {slip}" for name, slip, _ in SLIPS])
def test_a_slip_is_named(name, slip, pattern):
    found = explained(name, slip=slip)
    assert not found.unexplained
    assert re.search(pattern, "\n".join(map(str, found.findings)))
    for finding in found.findings:
        assert finding.file.endswith("by_hand.py")
        assert finding.expression.rstrip("…") in " ".join(Path(finding.file).read_text(encoding="utf-8").split())


@pytest.mark.parametrize("name", LAYERS)
def test_a_right_backward_pass_is_not_accused(name):
    found = explained(name)
    assert found.followed
    assert not found.findings
    assert not found.unexplained


def one_entry(g, rng):
    g = g.copy()
    g[tuple(rng.integers(n) for n in g.shape)] += 1.0 + np.max(np.abs(g))
    return g


NOT_OF_A_LINE = {
    "one entry": one_entry,
    "noise": lambda g, rng: g + 0.1 * np.max(np.abs(g)) * rng.normal(size=g.shape),
    "a little noise": lambda g, rng: g + 1e-4 * np.max(np.abs(g)) * rng.normal(size=g.shape),
    "rows by different factors": lambda g, rng: g * rng.uniform(0.5, 2.0, size=(len(g),) + (1,) * (g.ndim - 1)),
    "squared": lambda g, rng: 3.3 * np.sign(g) * g**2,
    "an offset": lambda g, rng: g + 0.37 * np.max(np.abs(g)),
    "other numbers": lambda g, rng: rng.normal(size=g.shape),
    "bent": lambda g, rng: np.tanh(3.0 * g),
}


@pytest.mark.parametrize("way", NOT_OF_A_LINE)
@pytest.mark.parametrize("name", LAYERS)
def test_what_has_no_cause_in_a_line_is_not_named(name, way):
    def spoiled(right):
        rng = np.random.default_rng(8)
        return [NOT_OF_A_LINE[way](g, rng) if k == 0 else g for k, g in enumerate(right)]

    found = explained(name, claimed=spoiled)
    assert not found.findings
    assert len(found.unexplained) == 1
    assert found.tried


def test_the_work_grows_with_the_number_of_nodes_and_not_faster():
    """Tries are counted, and what each costs at most: a walk over the graph."""

    def chain(n):
        def forward(x):
            out = np.zeros(n)
            for i in range(n):
                out[i] = np.tanh(x[i]) * 2.0
            return np.sum(out**2)

        x = np.linspace(-1.0, 1.0, n)
        claimed = {"x": 8.0 * np.tanh(x) * (1 - np.tanh(x) ** 2) + x**3}
        tape = Tape(record(forward, [x], [0]), [1.0], ["x"])
        return search.explain(forward, [x], [0], [1.0], claimed, {"x": tape.true[0]}, ["x"]).tried[0], len(tape.nodes)

    (few, small), (many, large) = chain(20), chain(200)
    assert large > 9 * small
    assert int(many.split()[0]) <= int(few.split()[0]) + 5


RNG = np.random.default_rng(21)
X, W, V = RNG.normal(size=(4, 3)), RNG.normal(size=(3, 5)), RNG.normal(size=(5, 2))


def explain(forward, inputs, claimed, right=None):
    names = list(inspect.signature(forward).parameters)
    true = Tape(record(forward, inputs, range(len(inputs))), [1.0], names).true if right is None else right
    tables = (dict(zip(names, gradients, strict=True)) for gradients in (claimed, true))
    given, numerical = tables
    return search.explain(forward, inputs, range(len(inputs)), [1.0], given, numerical, names)


def two_layers(W, V):
    h = np.tanh(X @ W)
    return np.sum(np.tanh(h @ V) ** 2)


def test_two_mistakes_are_split_where_an_input_shows_only_one():
    h = np.tanh(X @ W)
    o = np.tanh(h @ V)
    dz = 2 * o  # tanh' of the output is missing
    dh = dz @ V.T * (1 - h)  # and the square
    found = explain(two_layers, [W, V], [X.T @ dh, h.T @ dz])
    assert not found.unexplained
    assert {f.inputs: f.kind for f in found.findings} == {("V",): "derivative left out", ("W",): "another slope"}
    assert {f.expression for f in found.findings} == {"np.tanh(h @ V)", "np.tanh(X @ W)"}


def test_mistakes_with_the_same_numbers_are_all_said():
    def forward(W):
        return np.sum((X @ W) ** 2) / 4

    (finding,) = explain(forward, [W], [2 * X.T @ (X @ W)]).findings
    texts = [finding.text, *(other.text for other in finding.same_numbers)]
    assert any("factor 4 of this line" in text for text in texts)
    assert any("4 is the number of rows of" in text for text in texts)


def test_a_single_entry_is_called_ambiguous():
    (finding,) = explain(lambda w: np.sum(np.tanh(X * w)), [0.3], [np.sum(X)]).findings
    assert "one entry" in finding.evidence


def test_a_numerical_gradient_that_is_another_makes_the_recording_unproved():
    found = explain(two_layers, [W, V], [W, V], right=[W + 1.0, V])
    assert not found.followed
    assert "for W" in found.tried[0]


def test_code_that_cannot_be_followed_is_said_with_its_line():
    def forward(w):
        return float(np.sum(np.fft.rfft(w).real))

    found = explain(forward, [np.ones(4)], [np.ones(4)], right=[np.ones(4)])
    assert not found.followed
    assert f"test_search.py:{forward.__code__.co_firstlineno + 1}" in found.tried[0]
    assert found.unexplained == ("w",)


def test_an_operation_of_the_users_own_is_searched_by_its_own_rule():
    import tinygrad_edu as tg

    cube = tg.operation(lambda x: x**3, lambda g, out, x: (g * 3.0 * x**2,), name="cube")

    def forward(W):
        return np.sum(cube(X @ W))

    (finding,) = explain(forward, [W], [X.T @ np.ones((4, 5))]).findings
    assert "the derivative of `cube` is left out" in finding.text
    (finding,) = explain(forward, [W], [X.T @ (3 * (X @ W))]).findings
    assert finding.expression == "cube(X @ W)"
    assert finding.sentence("zh").startswith("W: ")
