"""What networks are made of and give: starts, any callable as a layer, conversions, outputs and predictions."""

import copy
import math

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu.drawing.stepper.epochs import epochs_of

ROWS = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]


def bits(network):
    return [np.asarray(p.data).tobytes() for p in network.parameters()]


def test_both_kinds_are_drawn_alike_from_every_start():
    for start in ("article", "scaled"):
        dense, scalar = (
            tg.Network.create([3, 4, 2], kind=k, seed=1, start=start, activation=tg.tanh) for k in ("dense", "scalar")
        )
        assert bits(scalar.as_dense()) == bits(dense)
        assert bits(dense.as_scalar()) == bits(scalar)
        np.testing.assert_allclose(scalar.outputs([1.0, 2.0, 3.0]), dense.outputs([1.0, 2.0, 3.0]), rtol=1e-14)


def test_conversions_are_copies():
    dense = tg.Network.create([2, 3, 2], kind="dense", seed=0)
    before = bits(dense)
    for other in (dense.as_dense(), dense.as_scalar()):
        other.train(ROWS, [0, 1, 1, 0], 3)
    assert bits(dense) == before
    mixed = tg.Network([tg.Layer([tg.Neuron([1.0], 0.0), tg.Neuron([1.0], 0.0, tg.tanh)])])
    with pytest.raises(ValueError, match=r"layers\[0\] has neurons with different activations: sigmoid, tanh"):
        mixed.as_dense()


def test_conversions_keep_what_is_one_and_copy_what_they_do_not_know():
    shared = tg.Value(np.eye(2) * 0.5, name="shared")
    network = tg.Network([tg.Dense(shared, np.zeros(2)), tg.Network([tg.Dense(shared, np.ones(2))])])
    assert len(network.as_dense().parameters()) == len(network.as_scalar().as_dense().parameters()) == 3
    assert len(network.as_scalar().parameters()) == 4 + 2 + 2
    weight = tg.Value(0.5)
    with pytest.raises(ValueError, match="stands where a matrix has numbers of its own"):
        tg.Network([tg.Layer([tg.Neuron([weight, 1.0], 0.0), tg.Neuron([2.0, weight], 0.0)])]).as_dense()

    class Twice(tg.Dense):
        def feed_forward(self, inputs, within=None):
            return super().feed_forward(inputs, within) * 2.0

        __call__ = feed_forward

    rng = np.random.default_rng(0)
    network = tg.Network([tg.nn.Embedding.create(3, 2, rng), Twice.create(2, 2, rng), tg.Dense.create(2, 2, rng)])
    for other in (network.as_dense(), network.as_scalar()):
        np.testing.assert_allclose(other.outputs([0, 2]), network.outputs([0, 2]), rtol=1e-14)
        assert not set(other.parameters()) & set(network.parameters())


def test_softmax_of_a_matrix_is_a_layer_of_its_own_over_neurons():
    network = tg.Network.create([2, 3], kind="dense", last=tg.softmax, seed=0)
    scalar = network.as_scalar()
    assert scalar.layers[1] is tg.softmax
    np.testing.assert_allclose(scalar.outputs(ROWS), network.outputs(ROWS), rtol=1e-14)


@pytest.mark.parametrize(("activation", "variance"), [(tg.relu, 2 / 400), (tg.tanh, 2 / (400 + 300))])
def test_a_scaled_start_has_the_variance_of_its_source(activation, variance):
    network = tg.Network.create([400, 300, 2], kind="dense", seed=0, activation=activation, start="scaled")
    weights, bias, *_ = (p.data for p in network.parameters())
    assert np.var(weights) == pytest.approx(variance, rel=0.02)
    assert not bias.any()


def test_a_network_that_will_saturate_says_so_once():
    network = tg.Network.create([64, 10], kind="dense")
    with pytest.warns(UserWarning, match=r'64 inputs with weights in \[0, 1\) will saturate sigmoid.*start="scaled"'):
        network.train(np.ones((1, 64)), [0], 1)
    network.train(np.ones((1, 64)), [0], 1)  # once; a warning would be an error here
    for options in ({"start": "scaled"}, {"activation": tg.relu}):
        tg.Network.create([64, 10], kind="dense", **options).train(np.ones((1, 64)), [0], 1)
    with pytest.raises(ValueError, match='start must be "article" or "scaled", got \'zeros\''):
        tg.Network.create([2, 2], start="zeros")


def test_the_last_activation_is_that_of_the_outputs():
    names = lambda **options: [row[3] for row in tg.Network.create([2, 3, 2], **options).summary()]  # noqa: E731
    assert names() == ["sigmoid", "sigmoid"]
    assert names(activation=tg.relu) == ["relu", "identity"]
    assert names(activation=tg.relu, last=tg.sigmoid) == ["relu", "sigmoid"]


@pytest.mark.parametrize("kind", ["scalar", "dense"])
@pytest.mark.parametrize("last", [tg.sigmoid, tg.nn.identity, tg.tanh])
def test_one_output_is_class_1_above_its_threshold(kind, last):
    """A neuron that has learnt `or`: x + y - 1/2, times ten."""
    network = tg.Network([tg.Dense([[10.0, 10.0]], [-5.0], last)])
    network = network.as_scalar() if kind == "scalar" else network
    assert [network.predict(row) for row in ROWS] == [0, 1, 1, 1]
    assert network.predict(ROWS).tolist() == network.predict(np.array(ROWS)).tolist() == [0, 1, 1, 1]
    assert type(network.predict(ROWS[0])) is int


@pytest.mark.parametrize("kind", ["scalar", "dense"])
def test_a_list_of_rows_is_rows_whatever_its_length(kind):
    network = tg.Network.create([2, 3, 2], kind=kind, seed=3)
    for n in (1, 2, 3):
        np.testing.assert_allclose(network.outputs(ROWS[:n]), [network.outputs(row) for row in ROWS[:n]], rtol=1e-15)
        assert network.predict(ROWS[:n]).shape == (n,)
    assert network.outputs(ROWS[0]).shape == (2,)
    for bad in ([1.0], [[1.0], [2.0]], np.ones((2, 2, 2))):
        with pytest.raises(ValueError, match="inputs"):
            network.predict(bad)


@pytest.mark.parametrize("kind", ["scalar", "dense"])
def test_a_network_is_differentiable_by_its_inputs_for_rows_and_batches(kind):
    network = tg.Network.create([2, 3, 2], kind=kind, seed=3)
    total = lambda x: tg.sum(tg.stack(network(x)) if kind == "scalar" and x.ndim == 1 else network(x))  # noqa: E731
    assert tg.gradcheck(total, np.array(ROWS[1]))
    assert tg.gradcheck(total, np.array(ROWS))


@pytest.mark.parametrize("kind", ["scalar", "dense"])
def test_rows_of_values_in_lists_are_rows(kind):
    network = tg.Network.create([2, 3, 2], kind=kind, seed=3)
    rows = [[tg.Value(x) for x in row] for row in ROWS]
    tg.sum(network(rows)).backward()
    assert all(x.grad is not None for row in rows for x in row)
    for given in (rows, [tg.stack(row) for row in rows], tg.Value(ROWS)):
        np.testing.assert_allclose(network.outputs(given), network.outputs(ROWS), rtol=1e-15)


def test_anything_that_can_be_called_is_a_layer():
    class Scale:
        def __init__(self):
            self.factor = tg.Value(2.0, name="factor")

        def __call__(self, x):
            return x * self.factor

        def parameters(self):
            return [self.factor]

    inner = tg.Network([tg.Dense(np.eye(2), np.zeros(2), tg.nn.identity)])
    network = tg.Network([inner, Scale(), tg.relu, lambda x: x + 1.0])
    assert network.outputs([1.0, -1.0]).tolist() == [3.0, 1.0]
    assert [path for path, _ in network.named_parameters()] == [
        "layers[0].layers[0].weights",
        "layers[0].layers[0].bias",
        "layers[1].factor",
    ]
    history = network.train(ROWS, ROWS, 3, update=tg.nn.SGD(0.1))
    assert history.loss[-1] < history.loss[0]
    with pytest.raises(TypeError, match=r"layers\[0\] is 3, which can't be called"):
        tg.Network([3])


def test_layers_that_are_added_later_count():
    network = tg.Network([tg.Dense(np.eye(2), np.zeros(2), tg.nn.identity)])
    network.layers.append(lambda x: x * 3.0)
    assert network.outputs([1.0, 2.0]).tolist() == [3.0, 6.0]
    assert len(network.summary()) == 2


def test_an_embedding_gives_rows_and_their_gradients_add_up():
    layer = tg.nn.Embedding(np.arange(6.0).reshape(3, 2))
    (layer([0, 2, 2]) * np.array([[1.0, 1.0], [10.0, 10.0], [100.0, 100.0]])).sum().backward()
    assert layer.table.grad.tolist() == [[1.0, 1.0], [0.0, 0.0], [110.0, 110.0]]
    assert tg.gradcheck(lambda table: (tg.nn.Embedding(table)([[0, 1], [1, 1]]) ** 2).sum(), np.ones((3, 2)))
    for bad in ([3], [-1], [0.5], [math.nan]):
        with (
            pytest.raises(ValueError, match="indices must be whole numbers from 0 to 2"),
            np.errstate(invalid="ignore"),
        ):
            layer(bad)


def test_a_convolution_takes_one_image_or_a_batch():
    layer = tg.nn.Conv2d.create(2, 3, 3, np.random.default_rng(0), padding=1)
    images = np.random.default_rng(1).normal(size=(4, 2, 5, 5))
    np.testing.assert_allclose(layer(images).data[1], layer(images[1]).data, rtol=1e-13)
    assert tg.gradcheck(lambda w: tg.nn.Conv2d(w, np.zeros(3), tg.tanh)(images).sum(), layer.weights.data)
    with pytest.raises(ValueError, match="weights must have shape"):
        tg.nn.Conv2d(np.ones((2, 2)), np.ones(2))


def test_dropout_divides_what_it_keeps():
    layer = tg.nn.Dropout(0.25, seed=1)
    mask = layer.mask((10_000,), 0, 0, 1)
    assert set(np.unique(mask)) == {0.0, 1.0 / 0.75}
    assert abs(np.mean(mask == 0.0) - 0.25) < 0.02
    assert np.array_equal(mask, tg.nn.Dropout(0.25, seed=1).mask((10_000,), 0, 0, 1))
    for bad in (1.0, -0.1, "half"):
        with pytest.raises(ValueError, match="rate must be at least 0 and below 1"):
            tg.nn.Dropout(bad)


def linear(kind="dense", **options):
    return tg.Network.create([2, 1], kind=kind, seed=0, last=tg.nn.identity, **options)


@pytest.mark.parametrize("loss", [tg.nn.half_squared_error, tg.nn.huber, lambda o, t: tg.nn.mean_squared_error(o, t)])
@pytest.mark.parametrize("targets", [[0.0, 0.5, 1.0, 1.5], [1.0, 2.0, 2.0, 1.0], [-1.0, 0.0, 1.0, 0.0]])
def test_a_regression_refuses_to_predict_classes_and_its_copies_do(loss, targets, tmp_path):
    network = linear(learning_rate=0.01)
    assert network.predict(ROWS).shape == (4,)
    network.train(ROWS, targets, 2, loss=loss)
    network.save(tmp_path / "a.npz")
    for one in (network, network.as_scalar(), tg.Network.load(tmp_path / "a.npz"), copy.deepcopy(network)):
        with pytest.raises(ValueError, match=r"use network\.outputs\(rows\)"):
            one.predict(ROWS)
        assert one.outputs(ROWS).shape == (4, 1)
    network.train(ROWS, [0, 1, 1, 0], 2)
    assert network.predict(ROWS).shape == (4,)


@pytest.mark.parametrize(
    ("make", "targets", "options"),
    [
        (linear, [0, 1, 1, 0], {}),
        (linear, [-1, 1, 1, -1], {"loss": tg.nn.hinge}),
        (linear, [-1, 1, 1, -1], {}),
        (linear, [0.1, 0.5, 0.9, 0.2], {"loss": tg.nn.binary_cross_entropy}),
        (lambda: tg.Network.create([2, 1], seed=0), [0.1, 0.9, 0.9, 0.1], {}),
        (lambda: tg.Network.create([2, 3], seed=0), [0, 1, 2, 0], {}),
        (lambda: tg.Network.create([2, 2], seed=0), [[0.1, 0.9], [0.9, 0.1], [0.9, 0.1], [0.1, 0.9]], {}),
    ],
)
def test_classes_are_predicted_however_they_are_written(make, targets, options):
    network = make()
    network.train(ROWS, targets, 2, **options)
    assert network.predict(ROWS).shape == (4,)


def test_the_pictures_of_a_regression_of_two_inputs_have_no_decision_boundary():
    history = linear(kind="scalar", learning_rate=0.01).train(ROWS, [0.0, 0.5, 1.0, 1.5], 2, record=True)
    with pytest.raises(ValueError, match="predict gives classes"):
        history.boundary()
    assert "boundaries" not in epochs_of(history, ())
    pytest.importorskip("matplotlib", reason='needs the extra "plot"')
    assert len(history.plot().axes) == 1
