"""Diagnoses: planted mistakes are found, named and located; right gradients raise no alarm; nothing is guessed."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import tinygrad_edu as tg

spec = importlib.util.spec_from_file_location("hand_written", Path(__file__).with_name("hand_written.py"))
hand = importlib.util.module_from_spec(spec)
spec.loader.exec_module(hand)

ALL = set(hand.NAMES)
LAYER_1, LAYERS_1_2 = {"w1", "b1"}, {"w1", "b1", "w2", "b2"}

# The mistake, and the diagnosis of each group of wrong inputs: its kind, the inputs, and what it says.
MISTAKES = {
    "tanh' missing in layer 1": [("derivative left out", LAYER_1, "tanh' is left out")],
    "tanh' twice in layer 1": [("derivative twice", LAYER_1, "tanh' is multiplied in twice")],
    "σ' missing in layer 2": [("derivative left out", LAYERS_1_2, "sigmoid' is left out, in the call `sigmoid(h1 @")],
    "σ' twice in layer 2": [("derivative twice", LAYERS_1_2, "sigmoid' is multiplied in twice")],
    "σ' missing in layer 3": [("derivative left out", ALL, "sigmoid' is left out, in the call `sigmoid(h2 @")],
    "σ' twice in layer 3": [("derivative twice", ALL, "sigmoid' is multiplied in twice")],
    "the article's slip: twice in both hidden layers": [
        ("derivative twice", {"w2", "b2"}, "sigmoid' is multiplied in twice"),
        ("derivative twice", LAYER_1, "tanh' is multiplied in twice"),
    ],
    "no activation derivative anywhere": [("derivative left out", ALL, "tanh' and sigmoid' is left out")],
    "target minus output": [("sign", ALL, "the sign of the whole gradient is flipped (target - output")],
    "the factor 2 of a square not halved": [("factor", ALL, "the factor 0.5 of this line is left out")],
    "divided by the batch size": [("factor", ALL, "a constant factor 1/5 too much (5 is the number of rows of")],
    "w2 transposed": [("transposed", {"w2"}, "the gradient is transposed")],
    "sign of w3": [("sign", {"w3"}, "the sign of the gradient is flipped")],
    "sign of b1": [("sign", {"b1"}, "the sign of the gradient is flipped")],
    "mean over the batch in b2": [("broadcasting", {"b2"}, "the mean over the rows is taken, not the sum")],
    "sum added twice in w1": [("factor", {"w1"}, "the gradient has a constant factor 2 too much")],
    "half of w3": [("factor", {"w3"}, "the gradient has a constant factor 1/2 too much")],
    "batch size too much in w2": [("factor", {"w2"}, "factor 5 too much (5 is the number of rows of")],
    "rows of w1 off by one": [("shifted", {"w1"}, "off by one row")],
    "columns of w2 off by one": [("shifted", {"w2"}, "off by one column")],
    "entries of b1 off by one": [("shifted", {"b1"}, "off by one entry")],
    "b1 and b2 exchanged": [
        ("other input's gradient", {"b1"}, "it is the gradient of b2"),
        ("other input's gradient", {"b2"}, "it is the gradient of b1"),
    ],
    "b2's gradient given for b1": [("other input's gradient", {"b1"}, "it is the gradient of b2")],
    "w3 forgotten": [("path missing", {"w3"}, "no gradient arrives")],
    "a learning rate left in": [("factor", ALL, "a constant factor 0.01 too much")],
    "w2 transposed on the way back": [("matrix not transposed", LAYER_1, "a matrix isn't transposed")],
}


def check(mistake, seed=0):
    parameters, batch, targets = hand.problem(seed)
    claimed = hand.backprop(parameters, batch, targets, mistake)
    return tg.gradcheck(hand.loss_of(batch, targets), *parameters, gradient=claimed)


def test_at_least_20_mistakes_are_planted():
    assert len(MISTAKES) >= 20


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_planted_mistake_is_found_located_and_named(mistake, seed):
    report = check(mistake, seed)
    assert not report
    assert set(report.failing_inputs) == set().union(*(inputs for _, inputs, _ in MISTAKES[mistake]))
    assert len(report.diagnoses) == len(MISTAKES[mistake])
    for kind, inputs, text in MISTAKES[mistake]:
        (found,) = [d for d in report.diagnoses if d.kind == kind and set(d.inputs) == inputs]
        assert text in found.text
        assert found.evidence
        assert found.file.endswith("hand_written.py")
        assert found.sentence() in repr(report)


def test_a_mistake_of_no_known_kind_is_located_and_not_named():
    parameters, batch, targets = hand.problem()
    claimed = hand.backprop(parameters, batch, targets)
    claimed[2][1, 2] += 0.3
    report = tg.gradcheck(hand.loss_of(batch, targets), *parameters, gradient=claimed)
    assert report.failing_inputs == ["w2"]
    assert report.entries[0].index == (1, 2)
    assert list(report.diagnoses) == []
    assert "In the order of a backward pass it goes wrong first at w2." in report.tried


def test_a_bias_summed_over_the_wrong_axis_is_named():
    rng = np.random.default_rng(2)
    batch, weights, bias = rng.normal(size=(4, 3)), rng.normal(size=(4, 3)), rng.normal(size=4)

    def loss(weights, bias):
        return np.sum(np.tanh(batch @ weights.T + bias) ** 2)

    out = np.tanh(batch @ weights.T + bias)
    deltas = 2.0 * out * (1.0 - out * out)
    right = [deltas.T @ batch, deltas.sum(axis=0)]
    assert tg.gradcheck(loss, weights, bias, gradient=right)
    report = tg.gradcheck(loss, weights, bias, gradient=[right[0], deltas.sum(axis=1)])
    assert [(d.kind, tuple(d.inputs)) for d in report.diagnoses] == [("broadcasting", ("bias",))]
    assert "summed over the wrong axis" in report.diagnoses[0].text


def test_many_activations_do_not_make_a_diagnosis_take_forever():
    rng = np.random.default_rng(4)
    rows, w = rng.normal(size=(30, 3)), rng.normal(size=3)

    def loss(w):
        total = 0.0
        for row in rows:
            total = total + 1 / (1 + np.exp(-(row @ w)))
        return total

    outputs = 1 / (1 + np.exp(-(rows @ w)))
    report = tg.gradcheck(loss, w, gradient=rows.T @ np.ones(30))
    assert [d.kind for d in report.diagnoses] == ["derivative left out"]
    assert "sigmoid' is left out (30 times)" in report.diagnoses[0].text
    assert tg.gradcheck(loss, w, gradient=rows.T @ (outputs * (1.0 - outputs)))


def test_relu_derivative_missing_is_named():
    rng = np.random.default_rng(3)
    x, w, v = rng.normal(size=(6, 3)), rng.normal(size=(4, 3)), rng.normal(size=4)
    z = x @ w.T
    claimed = (np.ones_like(z) * v).T @ x
    report = tg.gradcheck(lambda w: np.sum(tg.relu(tg.Value(x) @ w.T) @ v) if isinstance(w, tg.Value) else
                          float(np.sum(np.maximum(x @ w.T, 0.0) @ v)), w, gradient=claimed)  # fmt: skip
    assert report.diagnoses[0].kind == "derivative left out"
    assert "relu'" in report.diagnoses[0].text


def test_the_operation_and_the_input_whose_rule_is_wrong_are_named():
    scale = tg.operation(lambda a, b: a * b, lambda g, out, a, b: (g * b, g * a * a), name="scale")
    f = lambda x, y: tg.tanh(scale(x, y) + tg.relu(x)).sum()  # noqa: E731
    report = tg.gradcheck(f, np.array([1.5, 2.0]), np.array([0.5, 0.1]))
    rules = [d.text for d in report.diagnoses if d.kind == "wrong rule"]
    assert len(rules) == 1
    assert rules[0].startswith("the gradient rule of the operation `scale` is wrong for its input b")
    assert tg.gradcheck(lambda x, y: tg.tanh(x * y + tg.relu(x)).sum(), np.array([1.5, 2.0]), np.array([0.5, 0.1]))


def test_a_wrong_rule_of_an_operation_of_your_own_is_diagnosed_too():
    wrong = tg.operation(np.sin, lambda g, out, x: (-g * np.cos(x),), name="wrong_sine")
    report = tg.gradcheck(lambda x: wrong(x).sum(), np.array([0.3, 0.7]))
    assert [d.kind for d in report.diagnoses] == ["wrong rule", "sign"]
    assert {entry.mode for entry in report.entries if not entry.holds} == {"reverse", "forward"}


def test_200_random_right_gradients_raise_no_alarm():
    for seed in range(200):
        parameters, batch, targets = hand.problem(seed)
        report = tg.gradcheck(
            hand.loss_of(batch, targets), *parameters, gradient=hand.backprop(parameters, batch, targets)
        )
        assert report, (seed, report)
        assert list(report.diagnoses) == []
        assert report.kinks == []


# --- losses that give their gradient along


def softmax_loss(W, X, y, reg, slip=""):
    n = len(y)
    scores = X @ W
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    p = p / p.sum(axis=1, keepdims=True)
    loss = -np.mean(np.log(p[np.arange(n), y])) + reg * np.sum(W**2)
    dscores = p.copy()
    if slip != "no label":
        dscores[np.arange(n), y] -= -1 if slip == "label added" else 1
    if slip != "no mean":
        dscores /= n
    dW = -X.T @ dscores if slip == "sign" else X.T @ dscores
    dW += (1 if slip == "penalty" else 2) * reg * W
    return loss, dW


def gradient_first(W, X, y, reg, slip=""):
    return softmax_loss(W, X, y, reg, slip)[::-1]


def softmax_inputs():
    rng = np.random.default_rng(0)
    return 0.5 * rng.normal(size=(4, 3)), rng.normal(size=(5, 4)), np.array([0, 1, 2, 1, 0]), 0.1


@pytest.mark.parametrize("function", [softmax_loss, gradient_first])
@pytest.mark.parametrize("slip", ["no label", "label added", "no mean", "sign"])
def test_a_loss_with_its_gradient_is_told_what_its_forward_code_alone_is_told(slip, function):
    W, *data = softmax_inputs()
    report = tg.check_loss(function, W, *data, slip)
    alone = tg.gradcheck(lambda W: softmax_loss(W, *data)[0], W, gradient=softmax_loss(W, *data, slip)[1])
    assert [str(found) for found in report.diagnoses] == [str(found) for found in alone.diagnoses]
    assert report.diagnoses[0].line
    assert tg.check_loss(function, W, *data)


def test_a_loss_is_never_told_of_a_dout_it_has_not():
    def unfollowed(w, x):
        z = np.frombuffer(np.sin(x @ w).tobytes())  # bytes can't be followed
        return float(np.sum(z**2)), np.cos(x @ w) @ x

    report = tg.check_loss(unfollowed, np.array([0.3, -0.5, 0.7]), np.eye(4, 3) + 0.1)
    assert not report
    assert not any(found.line for found in report.diagnoses)
    assert "dout" not in repr(report)
    assert "two passes" not in repr(report)


# --- hints and places


@pytest.mark.parametrize(("function", "name"), [(lambda z: np.maximum(0, z), "relu"), (np.tanh, "tanh")])
def test_the_hint_speaks_of_the_function_at_hand(function, name):
    def forward(x, w):
        z = x @ w
        return function(z), (x, w)

    def backward(dout, cache):
        x, w = cache
        dz = dout * ((dout > 0) if name == "relu" else 1 - np.tanh(dout) ** 2)
        return dz @ w.T, x.T @ dz

    rng = np.random.default_rng(1)
    hint = tg.check_layer(forward, backward, rng.normal(size=(5, 4)), rng.normal(size=(4, 3))).diagnoses[0].hint
    assert f"{name}'(z) = " in hint
    assert ("tanh" in hint) == (name == "tanh")


@pytest.mark.parametrize("squares", [lambda W: np.sum(W**2), lambda W: np.sum(W * W), lambda W: np.sum(np.square(W))])
@pytest.mark.parametrize("factor", [0.0, 1.0, 4.0])
def test_a_penaltys_mistake_is_told_at_the_penaltys_own_line(factor, squares):
    def loss(W, X):
        scores = X @ W
        penalty = 0.05 * squares(W)
        return np.sum(np.tanh(scores)) + penalty

    rng = np.random.default_rng(0)
    W, X = rng.normal(size=(4, 3)), rng.normal(size=(5, 4))
    gradient = X.T @ (1 - np.tanh(X @ W) ** 2) + factor * 0.05 * W
    first = tg.gradcheck(lambda W: loss(W, X), W, gradient=gradient).diagnoses[0]
    assert first.kind == "penalty"
    assert "X @ W" not in first.expression
    assert "W" in first.expression or "squares" in first.expression or "penalty" in first.expression
