"""Losses: their formulas, their gradients, what they refuse, and their sums."""

import functools
import math
import pickle

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu.nn.loss import Loss

RNG = np.random.default_rng(0)
SCORES, LABELS = RNG.normal(size=(5, 3)) * 3.0, np.array([0, 2, 1, 1, 0])
ONE_HOT = np.eye(3)[LABELS]
BY_DEFINITION = {
    "cross_entropy": lambda s, t: np.mean(
        [-math.log(math.exp(r[k]) / np.exp(r).sum()) for r, k in zip(s, t.argmax(1), strict=True)]
    ),
    "binary_cross_entropy": lambda s, t: np.mean(
        -(t * np.log(1 / (1 + np.exp(-s))) + (1 - t) * np.log(1 / (1 + np.exp(s))))
    ),
    "hinge": lambda s, t: np.mean(np.maximum(0, 1 - (2 * t - 1) * s)),
    "mean_absolute_error": lambda s, t: np.mean(np.abs(s - t)),
    "huber": lambda s, t: np.mean([0.5 * d * d if abs(d) <= 1 else abs(d) - 0.5 for d in (s - t).ravel()]),
    "mean_squared_error": lambda s, t: np.mean((s - t) ** 2),
    "half_squared_error": lambda s, t: 0.5 * np.sum((s - t) ** 2),
}


@pytest.mark.parametrize("name", BY_DEFINITION)
def test_a_loss_is_what_its_definition_says(name):
    loss = getattr(tg.nn, name)
    assert loss(tg.Value(SCORES), ONE_HOT).item() == pytest.approx(BY_DEFINITION[name](SCORES, ONE_HOT), rel=1e-13)
    row = loss([tg.Value(x) for x in SCORES[0].tolist()], ONE_HOT[0].tolist())
    assert row.item() == pytest.approx(BY_DEFINITION[name](SCORES[:1], ONE_HOT[:1]), rel=1e-13)


@pytest.mark.parametrize("name", BY_DEFINITION)
def test_gradients_of_first_and_second_order_pass_the_check(name):
    loss = getattr(tg.nn, name)
    assert tg.gradcheck(lambda s: loss(s, ONE_HOT), SCORES)
    assert tg.gradcheck(
        lambda s: (tg.gradients(loss(s, ONE_HOT), [s])[0] * np.arange(15.0).reshape(5, 3)).sum(), SCORES
    )
    if name != "hinge":  # whose targets say which side only
        assert tg.gradcheck(lambda t: loss(tg.Value(SCORES), t), ONE_HOT + 0.25)


def test_labels_are_one_hot_rows():
    assert tg.nn.cross_entropy(tg.Value(SCORES), LABELS).data == tg.nn.cross_entropy(tg.Value(SCORES), ONE_HOT).data
    column = tg.Value(SCORES[:, :1])
    for loss in (tg.nn.binary_cross_entropy, tg.nn.hinge, tg.nn.huber, tg.nn.mean_absolute_error):
        assert loss(column, LABELS > 0).data == loss(column, (LABELS > 0)[:, None]).data


def test_scores_too_large_for_exp_give_the_exact_loss():
    large = tg.Value([[1000.0, 0.0], [-1000.0, 0.0]])
    assert tg.nn.cross_entropy(large, [1, 1]).item() == 500.0
    assert tg.nn.binary_cross_entropy(large, [[0.0, 1.0], [0.0, 0.0]]).item() == pytest.approx(
        (1000 + 2 * math.log(2)) / 4
    )
    forbidden = tg.Value([[-math.inf, 1.0, 1.0]])
    assert tg.nn.cross_entropy(forbidden, [1]).item() == pytest.approx(math.log(2))


def test_shapes_and_labels_that_do_not_fit_are_refused():
    for loss in map(functools.partial(getattr, tg.nn), BY_DEFINITION):
        with pytest.raises(ValueError, match=r"targets has shape \(5, 2\), but the outputs have shape \(5, 3\)"):
            loss(tg.Value(SCORES), ONE_HOT[:, :2])
    for labels in ([0, 3, 0, 0, 0], [0, -1, 0, 0, 0], [0.5, 0, 0, 0, 0]):
        with pytest.raises(ValueError, match="labels must be whole numbers from 0 to 2"):
            tg.nn.cross_entropy(tg.Value(SCORES), labels)
    with pytest.raises(ValueError, match="delta must be finite and positive"):
        tg.nn.huber(tg.Value([1.0]), [0.0], delta=0.0)


def test_losses_and_penalties_add_up():
    network = tg.Network([tg.Dense([[3.0, -4.0]], [7.0]), tg.Dense([[1.0]], [1.0])])
    assert tg.nn.penalty(network, l2=0.5)(None, None).item() == 0.25 * (9 + 16 + 1)
    assert tg.nn.penalty(network, l1=0.5)(None, None).item() == 0.5 * (3 + 4 + 1)
    outputs, targets = tg.Value([0.5, 2.0]), [1.0, 1.0]
    both = tg.nn.mean_squared_error + tg.nn.penalty(network, l2=0.5)
    assert both(outputs, targets).item() == tg.nn.mean_squared_error(outputs, targets).item() + 6.5
    assert both.__name__ == "mean_squared_error + penalty(l2=0.5, l1=0.0)"
    with pytest.raises(ValueError, match="the penalty is that of another network"):
        tg.Network.create([2, 2]).train([[0.0, 1.0]], [[0.0, 1.0]], 1, loss=both)
    for bad in ({}, {"l2": -1.0}, {"l1": math.nan}):
        with pytest.raises(ValueError, match=r"l1|l2"):
            tg.nn.penalty(network, **bad)


@pytest.mark.parametrize("name", BY_DEFINITION)
def test_a_loss_pickles_by_its_name(name):
    loss = getattr(tg.nn, name)
    assert isinstance(loss, Loss)
    assert pickle.loads(pickle.dumps(loss)) is loss
    assert "∂" in loss.__doc__ or "mean" in loss.__doc__ or "Σ" in loss.__doc__


@pytest.mark.parametrize("name", BY_DEFINITION)
@pytest.mark.parametrize("shape", [(5, 3), (3,), (4, 6, 5)], ids=str)
def test_a_compiled_loss_and_its_gradient_have_the_same_bits_and_call_no_function_of_the_library(name, shape):
    loss = getattr(tg.nn, name)
    if name == "half_squared_error" and len(shape) > 2:
        pytest.skip("vdot of many axes is called by name")
    both = lambda s, t: (loss(s, t), tg.gradients(loss(s, t), [s])[0])  # noqa: E731
    rng = np.random.default_rng(1)
    scores, targets = rng.normal(size=shape) * 3.0, np.eye(shape[-1])[rng.integers(0, shape[-1], shape[:-1])]
    compiled = tg.compile(both)
    for ours, eager in zip(compiled(scores, targets), both(tg.Value(scores), tg.Value(targets)), strict=True):
        assert np.asarray(ours).tobytes() == np.asarray(eager.data).tobytes()
    assert f"{name} = " not in compiled.source.partition("def ")[0]


@pytest.mark.parametrize("kind", ["scalar", "dense"])
@pytest.mark.parametrize("batch_size", [1, 2])
@pytest.mark.parametrize("compiled", [None, False, True])
def test_cross_entropy_of_one_output_which_would_train_nothing_is_refused(kind, batch_size, compiled):
    network = tg.Network.create([2, 3, 1], kind=kind, activation=tg.tanh, seed=0)
    before = [np.copy(p.data) for p in network.parameters()]
    for loss in (tg.nn.cross_entropy, tg.nn.cross_entropy + tg.nn.penalty(network, l2=0.1)):
        with pytest.raises(ValueError, match=r"one output.* use tg\.nn\.binary_cross_entropy"):
            network.train([[0.0, 1.0], [1.0, 0.0]], [0, 1], 200, loss=loss, batch_size=batch_size, compiled=compiled)
    assert all(np.array_equal(a, p.data) for a, p in zip(before, network.parameters(), strict=True))
    with pytest.raises(ValueError, match="one output"):
        tg.nn.cross_entropy(tg.Value(2.0), 0)


def test_softmax_of_one_number_is_refused_and_over_neurons_it_is_a_layer():
    for make in (
        lambda: tg.Neuron([1.0], 0.0, tg.softmax),
        lambda: tg.Network.create([2, 3], last=tg.softmax),
        lambda: tg.Network.create([2, 1], kind="dense", last=tg.log_softmax),
    ):
        with pytest.raises(ValueError, match=r"softmax of one output is always the same: use tg\.sigmoid"):
            make()
    layer = tg.Network.create([2, 3], last=tg.nn.identity, seed=0).layers[0]
    assert tg.Network([layer, tg.softmax]).outputs([1.0, 2.0]).sum() == pytest.approx(1.0)
    assert tg.Network.create([2, 3], kind="dense", last=tg.softmax).outputs([1.0, 2.0]).sum() == pytest.approx(1.0)
