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


class Gives:
    """A layer whose parameters are what it is given."""

    def __init__(self, given):
        self.parameters = lambda: given

    def __call__(self, x):
        return x


KERNELS = np.ones((2, 1, 3, 3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tg.Network.create(3), "sizes must be a list of whole numbers, inputs first"),
        (lambda: tg.Network.create([2, 2], kind=[]), 'kind must be "scalar" or "dense"'),
        (lambda: tg.Network.create([2, 2], seed="a"), "seed must be a whole number of at least 0, got 'a'"),
        (
            lambda: tg.Network.create([2, 2], activation=tg.maximum),
            "activation must be a function of the weighted sums",
        ),
        (lambda: tg.Network(tg.Dense([[1.0]], [0.0])), "layers must be a list of layers"),
        (lambda: tg.Dense("ab", [0.0]), "weights: data must be real numbers"),
        (lambda: tg.Dense([[1.0]], [None]), "bias: data must be real numbers"),
        (lambda: tg.Dense.create(2, 2, 0), r"rng must be a generator of numpy's, got 0: write rng=np\.random"),
        (lambda: tg.nn.Embedding.create(2, 2, None), "rng must be a generator"),
        (lambda: tg.nn.Conv2d.create(1, 1, 3, 0), "rng must be a generator"),
        (lambda: tg.Layer([tg.tanh]), r"neurons\[0\] must be a neuron, got <operation tanh>"),
        (lambda: tg.Layer(3), "neurons must be a list of neurons, got 3"),
        (lambda: tg.Network([Gives(3)]), r"Gives\.parameters\(\) must give a list of Values, got 3"),
        (lambda: tg.Network([Gives([[tg.Value(1.0)]])]), "must give a list of Values"),
        (lambda: tg.Network([Gives(tg.Value([1.0]))]), "must give a list of Values"),
        (lambda: tg.Network([tg.tanh]).train([[1.0]], [[1.0]], 1), "the network has no parameters"),
        (lambda: tg.Neuron(3, 0.0), "weights must be a list of numbers, got 3"),
        (lambda: tg.Neuron([1.0], None), "bias: data must be real numbers"),
        (lambda: tg.nn.Conv2d(KERNELS, [0.0, 0.0], stride=0), "stride must be a whole number of at least 1, got 0"),
        (lambda: tg.nn.Conv2d(KERNELS, [0.0, 0.0], stride=(1, 1, 1)), "stride must be a whole number, or a pair"),
        (lambda: tg.nn.Conv2d(KERNELS, [0.0, 0.0], padding="same"), "padding must be a whole number of at least 0"),
        (lambda: tg.nn.Embedding(np.empty((0, 2))), "table must have shape"),
        (lambda: tg.nn.Dropout(0.5, seed=1.5), "seed must be a whole number of at least 0, got 1.5"),
        (lambda: tg.nn.SGD("0.1"), "rate must be finite and positive, got '0.1'"),
        (lambda: tg.nn.SGD(tg.nn.SGD), "rate must be finite and positive, got <class"),
        (lambda: tg.nn.penalty(3, 1.0), "network must be a network, got 3"),
        (lambda: tg.nn.penalty(tg.Network.create([2, 2]), "a"), "l2 must be finite and at least 0, got 'a'"),
        (lambda: tg.nn.cross_entropy + tg.Dense, "unsupported operand"),
        (lambda: tg.nn.huber(tg.Value([1.0]), [1.0], delta="a"), "delta must be finite and positive, got 'a'"),
        (lambda: tg.nn.half_squared_error([tg.Value(1.0)], 3.0), "targets must be 1 numbers, one for each output"),
        (lambda: tg.nn.binary_cross_entropy(tg.Value([1.0]), [-1.0]), r"targets must be from 0 to 1 for .*, got -1\.0"),
        (
            lambda: tg.nn.cross_entropy(tg.Value([1.0, 2.0]), [0.0, 3.0]),
            "targets must be from 0 to 1 for cross_entropy",
        ),
        (lambda: tg.Network.create([2, 2]).predict([None, None]), "inputs: data must be real numbers"),
        (lambda: tg.Network.create([2, 2]).predict([1.0, np.nan]), "outputs has nan, which is no class"),
        (lambda: tg.Network.create([2, 2], kind="dense")([1.0, "a"]), "inputs: data must be real numbers"),
        (lambda: tg.Network.create([2, 2]).printed_epoch(backend="c"), 'backend must be "python" or "numba"'),
    ],
)
def test_an_error_names_the_argument_what_came_and_what_was_expected(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"compiled": "jit"}, "compiled must be True, False, None"),
        ({"record": "yes"}, "record must be True or False, got 'yes'"),
        ({"progress": "no"}, "progress must be True or False, got 'no'"),
        ({"epochs": -1}, "epochs must be"),
        ({"validation": ([[1.0]], [0])}, "inputs must be rows of length 2"),
        ({"inputs": [[1.0]]}, "inputs must be rows of length 2"),
    ],
)
def test_a_call_that_is_refused_leaves_network_and_history_as_they_were(options, message):
    network = tg.Network.create([2, 2], seed=0)
    history = network.train([[0.0, 1.0]], [1], 2)
    before = repr(network), dict(vars(history)), repr(history.progress)
    given = {"inputs": [[5.0, 6.0]], "targets": [[0.3, 0.7]], "epochs": 1, **options}
    with pytest.raises((ValueError, TypeError), match=message):
        history.train(**given)
    with pytest.raises((ValueError, TypeError), match=message):
        network.train(**given)
    assert network.predict([0.0, 1.0]) in (0, 1)
    network([0.0, 1.0])
    assert (repr(network)[:20], dict(vars(history)), repr(history.progress)) == (before[0][:20], *before[1:])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": lambda o, t: 1.0}, "the loss must be computed from the outputs, as a Value, got 1.0"),
        ({"loss": lambda o, t: None}, "<lambda> must give one number, got None"),
        ({"metrics": [lambda o, t: "a"]}, "<lambda> must give one number, got 'a'"),
    ],
)
def test_what_a_function_gives_that_is_no_number_is_named(options, message):
    with pytest.raises(TypeError, match=message):
        tg.Network.create([2, 2], seed=0).train([[0.0, 1.0]], [1], 1, **options)


def test_labels_of_hinge_are_refused_by_losses_that_take_probabilities():
    network = tg.Network.create([2, 1], last=tg.nn.identity, seed=0)
    before = repr(network)
    for loss in (tg.nn.binary_cross_entropy, tg.nn.binary_cross_entropy + tg.nn.penalty(network, l2=0.1)):
        with pytest.raises(ValueError, match="write 0 and 1 for two classes"):
            network.train([[0.0, 1.0], [1.0, 0.0]], [-1, 1], 1, loss=loss)
    assert repr(network) == before


def test_a_layer_takes_a_batch_of_rows():
    layer = tg.Network.create([2, 3], seed=0).layers[0]
    rows = [[0.0, 1.0], [2.0, 3.0]]
    assert layer(rows).data.tolist() == [[output.data for output in layer(row)] for row in rows]
    assert tg.Network.create([2, 3], seed=0).outputs(np.empty((0, 2))).shape == (0, 3)


def test_a_rate_that_is_changed_meanwhile_is_checked_and_keeps_single_precision():
    for compiled in (False, None):
        network = tg.Network([tg.Dense(np.ones((1, 2), np.float32), np.zeros(1, np.float32))])
        update = tg.nn.SGD(0.1)
        change = lambda epoch, history: setattr(update, "rate", np.float64(0.05))  # noqa: B023, E731
        network.train(np.ones((1, 2)), [[1.0]], 3, update=update, on_epoch=change, compiled=compiled)
        assert {p.dtype for p in network.parameters()} == {np.dtype(np.float32)}
        update.rate = -1
        with pytest.raises(ValueError, match="rate must be finite and positive, got -1"):
            network.train(np.ones((1, 2)), [[1.0]], 3, update=update, compiled=compiled)
