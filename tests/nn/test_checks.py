"""What networks and training refuse as soon as they are given it, each with what to write."""

import re

import numpy as np
import pytest

import tinygrad_edu as tg

ROWS, LABELS = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 1, 1, 0]
RNG = np.random.default_rng(0)


class Own:
    def __call__(self, z):
        return z


@pytest.mark.parametrize(
    ("given", "came", "write"),
    [
        ("tanh", "'tanh'", "tg.tanh"),
        ("ReLU", "'ReLU'", "tg.relu"),
        ("linear", "'linear'", "tg.nn.identity"),
        ("swishy", "'swishy'", "tg.tanh"),
        (None, "None", "tg.nn.identity"),
        (0.5, "0.5", "tg.tanh"),
        (Own, "the class Own, without brackets", "tg.tanh"),
        (tg.nn.cross_entropy, "<loss cross_entropy>", "tg.tanh"),
    ],
)
def test_an_activation_is_a_function_wherever_it_is_given(given, came, write):
    makers = {
        "activation": [
            lambda: tg.Network.create([2, 8, 1], activation=given),
            lambda: tg.Network.create([2, 8, 1], kind="dense", activation=given),
            lambda: tg.Neuron([1.0], 0.0, given),
            lambda: tg.Dense([[1.0]], [0.0], given),
            lambda: tg.Layer.create(2, 2, RNG, given, "scaled"),
            lambda: tg.nn.Conv2d.create(1, 1, 3, RNG, given),
        ],
        "last": [] if given is None else [lambda: tg.Network.create([2, 8, 1], last=given)],
    }
    for name, calls in makers.items():
        message = f"{name} must be a function of the weighted sums, got {came}: write {name}={write}"
        for call in calls:
            with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
                call()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "cross_entropy"}, "got 'cross_entropy': write loss=tg.nn.cross_entropy"),
        ({"loss": "MSE"}, "got 'MSE': write loss=tg.nn.mean_squared_error"),
        ({"loss": None}, "got None: write loss=tg.nn.cross_entropy"),
        ({"loss": tg.nn.Adam()}, "loss must be a function of outputs and targets, got Adam("),
        ({"loss": tg.tanh}, "loss must be a function of outputs and targets"),
        ({"update": "adam"}, "got 'adam': write update=tg.nn.Adam()"),
        ({"update": "SGD"}, "got 'SGD': write update=tg.nn.SGD(0.1)"),
        ({"update": 0.1}, "got 0.1: write update=tg.nn.SGD(0.1)"),
        ({"update": 0}, "got 0: write update=tg.nn.Adam()"),
        ({"update": tg.nn.Adam}, "got the class Adam, without brackets: write update=tg.nn.Adam()"),
        ({"update": tg.nn.SGD}, "got the class SGD, without brackets: write update=tg.nn.SGD(0.1)"),
        ({"update": tg.nn.cross_entropy}, "update must be an update or a function of the parameters"),
        ({"metrics": 0.5}, 'metrics must be functions of outputs and targets, or "accuracy", got 0.5'),
        ({"metrics": [Own]}, "got the class Own, without brackets"),
        ({"validation": 0.2}, "validation must be (inputs, targets), got 0.2"),
        ({"on_epoch": "print"}, "on_epoch must be a function of epoch and history, got 'print'"),
        ({"executor": 2}, "executor must be an executor, got 2"),
    ],
)
@pytest.mark.parametrize("kind", ["scalar", "dense"])
def test_training_refuses_what_it_cannot_use_before_anything_has_changed(options, message, kind):
    network = tg.Network.create([2, 3, 2], kind=kind, seed=0)
    before = [np.copy(p.data) for p in network.parameters()]
    for compiled in (None, True):
        with pytest.raises(TypeError, match=re.escape(message)):
            network.train(ROWS, LABELS, 3, compiled=compiled, **options)
    assert all(np.array_equal(a, p.data) for a, p in zip(before, network.parameters(), strict=True))


def test_a_layer_that_is_a_class_is_refused():
    with pytest.raises(TypeError, match=r"layers\[1\] is the class Own, without brackets: write Own\(…\)"):
        tg.Network([tg.Dense([[1.0]], [0.0]), Own])


def test_a_long_thing_is_shown_in_short():
    with pytest.raises(TypeError) as caught:
        tg.Network.create([2, 1], activation=list(range(1000)))
    assert len(str(caught.value)) < 160


def test_functions_and_objects_of_ones_own_are_taken():
    network = tg.Network.create([2, 3, 2], activation=Own(), last=lambda z: z, seed=0)

    def half(parameters, counts):
        for p in parameters:
            p.data = p.data * 0.5

    history = network.train(ROWS, LABELS, 2, loss=lambda outputs, target: tg.nn.huber(outputs, target), update=half)
    assert len(history) == 2
