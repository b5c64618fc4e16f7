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
ACTIVATION = "the derivative of the activation "

# The mistake: the inputs that are wrong, and the diagnosis of each group of them.
MISTAKES = {
    "tanh' missing in layer 1": (LAYER_1, {ACTIVATION + "missing": LAYER_1}),
    "tanh' twice in layer 1": (LAYER_1, {ACTIVATION + "taken twice": LAYER_1}),
    "σ' missing in layer 2": (LAYERS_1_2, {ACTIVATION + "missing": LAYERS_1_2}),
    "σ' twice in layer 2": (LAYERS_1_2, {ACTIVATION + "taken twice": LAYERS_1_2}),
    "σ' missing in layer 3": (ALL, {ACTIVATION + "missing": ALL}),
    "σ' twice in layer 3": (ALL, {ACTIVATION + "taken twice": ALL}),
    "the article's slip: twice in both hidden layers": (LAYERS_1_2, {ACTIVATION + "taken twice": LAYERS_1_2}),
    "no activation derivative anywhere": (ALL, {ACTIVATION + "missing": ALL}),
    "target minus output": (ALL, {"sign flipped": ALL}),
    "the factor 2 of a square not halved": (ALL, {"a constant factor 2": ALL}),
    "divided by the batch size": (ALL, {"a constant factor 1/5 (5 is the number of rows of": ALL}),
    "w2 transposed": ({"w2"}, {"transposed": {"w2"}}),
    "sign of w3": ({"w3"}, {"sign flipped": {"w3"}}),
    "sign of b1": ({"b1"}, {"sign flipped": {"b1"}}),
    "mean over the batch in b2": ({"b2"}, {"a constant factor 1/5 (5 is the number of rows of": {"b2"}}),
    "sum added twice in w1": ({"w1"}, {"a constant factor 2": {"w1"}}),
    "half of w3": ({"w3"}, {"a constant factor 1/2": {"w3"}}),
    "batch size too much in w2": ({"w2"}, {"a constant factor 5 (5 is the number of rows of": {"w2"}}),
    "rows of w1 off by one": ({"w1"}, {"off by one row": {"w1"}}),
    "columns of w2 off by one": ({"w2"}, {"off by one column": {"w2"}}),
    "entries of b1 off by one": ({"b1"}, {"off by one entry": {"b1"}}),
    "b1 and b2 exchanged": (
        {"b1", "b2"},
        {"the gradient of b2 given for it": {"b1"}, "the gradient of b1 given for it": {"b2"}},
    ),
    "b2's gradient given for b1": ({"b1"}, {"the gradient of b2 given for it": {"b1"}}),
    "w3 forgotten": ({"w3"}, {"no gradient arrives": {"w3"}}),
    "a learning rate left in": (ALL, {"a constant factor 0.01": ALL}),
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
    where, diagnoses = MISTAKES[mistake]
    report = check(mistake, seed)
    assert not report
    assert set(report.failing_inputs) == where
    assert len(report.diagnoses) == len(diagnoses)
    for kind, inputs in diagnoses.items():
        (found,) = [d for d in report.diagnoses if d.kind.startswith(kind)]
        assert set(found.inputs) == inputs
        assert found.evidence
        assert str(found) in repr(report)


def test_activation_diagnoses_name_the_layers():
    assert "tanh' of layer 1 of 3 taken twice" in check("tanh' twice in layer 1").diagnoses[0].evidence
    slip = check("the article's slip: twice in both hidden layers").diagnoses[0].evidence
    assert "tanh' of layer 1 of 3 and σ' of layer 2 of 3 taken twice" in slip


def test_a_mistake_of_no_known_kind_is_located_and_not_named():
    report = check("w2 transposed on the way back")
    assert set(report.failing_inputs) == LAYER_1
    assert report.diagnoses == []
    parameters, batch, targets = hand.problem()
    claimed = hand.backprop(parameters, batch, targets)
    claimed[2][1, 2] += 0.3
    report = tg.gradcheck(hand.loss_of(batch, targets), *parameters, gradient=claimed)
    assert report.failing_inputs == ["w2"]
    assert report.entries[0].index == (1, 2)
    assert report.diagnoses == []


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
    assert [(d.kind, tuple(d.inputs)) for d in report.diagnoses] == [("summed over the wrong axis", ("bias",))]


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
    assert [d.kind for d in report.diagnoses] == [ACTIVATION + "missing"]
    assert "activation 30 of 30 missing" in report.diagnoses[0].evidence
    assert tg.gradcheck(loss, w, gradient=rows.T @ (outputs * (1.0 - outputs)))


def test_relu_derivative_missing_is_named():
    rng = np.random.default_rng(3)
    x, w, v = rng.normal(size=(6, 3)), rng.normal(size=(4, 3)), rng.normal(size=4)
    z = x @ w.T
    claimed = (np.ones_like(z) * v).T @ x
    report = tg.gradcheck(lambda w: np.sum(tg.relu(tg.Value(x) @ w.T) @ v) if isinstance(w, tg.Value) else
                          float(np.sum(np.maximum(x @ w.T, 0.0) @ v)), w, gradient=claimed)  # fmt: skip
    assert report.diagnoses[0].kind == ACTIVATION + "missing"
    assert "relu'" in report.diagnoses[0].evidence


def test_a_wrong_rule_of_an_operation_of_your_own_is_diagnosed_too():
    wrong = tg.operation(np.sin, lambda g, out, x: (-g * np.cos(x),), name="wrong_sine")
    report = tg.gradcheck(lambda x: wrong(x).sum(), np.array([0.3, 0.7]))
    assert [d.kind for d in report.diagnoses] == ["sign flipped"]
    assert {entry.mode for entry in report.entries if not entry.holds} == {"reverse", "forward"}


def test_200_random_right_gradients_raise_no_alarm():
    for seed in range(200):
        parameters, batch, targets = hand.problem(seed)
        report = tg.gradcheck(
            hand.loss_of(batch, targets), *parameters, gradient=hand.backprop(parameters, batch, targets)
        )
        assert report, (seed, report)
        assert report.diagnoses == []
        assert report.kinks == []
