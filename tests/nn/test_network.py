"""Network: training, predicting, and what is refused before a weight has changed."""

import math
import pickle

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu.article import XOR_DATASET, XOR_TARGETS, article_printed_error, update_counts

KINDS = ("scalar", "dense")


def weights_of(network):
    return [np.array(p.data).tolist() for p in network.parameters()]


@pytest.mark.parametrize("kind", KINDS)
def test_training_lowers_the_error_and_history_says_so(kind):
    network = tg.Network.create([2, 3, 2], kind=kind, seed=1)
    history = network.train(XOR_DATASET, [0, 1, 1, 0], epochs=200)
    assert len(history) == 200
    assert history.metrics == {}
    assert history.mean_squared_error[-1] < history.mean_squared_error[0]


@pytest.mark.parametrize("kind", KINDS)
def test_history_holds_the_true_error_and_the_printed_figure(kind):
    network = tg.Network.create([2, 2], kind=kind, seed=1)
    rows, labels = [[0.0, 1.0], [1.0, 1.0], [1.0, 0.0]], [1, 0, 1]
    outputs, before = [], weights_of(network)
    rate = 1e-300  # so small that no weight changes, and outputs after training are those of training
    history = network.train(rows, labels, epochs=1, update=tg.nn.SGD(rate), metrics=[article_printed_error])
    assert weights_of(network) == before
    for row in rows:
        out = network.feed_forward(row)
        outputs.append(out.data if kind == "dense" else np.array([o.data for o in out]))
    true = np.mean([(o - np.eye(2)[label]) ** 2 for o, label in zip(outputs, labels, strict=True)])
    printed = sum(np.mean((o - np.array([1.0, 0.0])) ** 2) for o in outputs)  # against the first two labels
    assert history.mean_squared_error == pytest.approx([true], rel=1e-15)
    assert history.article_printed_error == pytest.approx([printed], rel=1e-15)
    assert history.metrics == {"article_printed_error": history.article_printed_error}


def test_the_printed_figure_is_nan_where_the_article_would_have_no_label_to_compare_with():
    history = tg.Network.create([1, 3], seed=0).train([[1.0]], [2], epochs=1, update=tg.nn.ArticleUpdate(0.5))
    assert math.isnan(history.article_printed_error[0])
    assert math.isfinite(history.mean_squared_error[0])


@pytest.mark.parametrize("kind", KINDS)
def test_labels_and_one_hot_rows_train_alike(kind):
    networks = [tg.Network.create([2, 3, 2], kind=kind, seed=4) for _ in range(2)]
    networks[0].train(XOR_DATASET, [0, 1, 1, 0], epochs=3)
    networks[1].train(np.array(XOR_DATASET), np.array(XOR_TARGETS), epochs=3)
    assert weights_of(networks[0]) == weights_of(networks[1])


def test_a_batch_gives_what_its_rows_give():
    network = tg.Network.create([2, 3, 2], kind="dense", seed=2)
    batch = network.feed_forward(XOR_DATASET)
    assert batch.shape == (4, 2)
    assert np.allclose(batch.data, [network.feed_forward(row).data for row in XOR_DATASET], rtol=1e-15, atol=0)
    assert network.predict(XOR_DATASET).tolist() == [network.predict(row) for row in XOR_DATASET]
    assert type(network.predict(XOR_DATASET[0])) is int


def test_scalar_and_dense_layers_chain():
    rng = np.random.default_rng(0)
    for first, second in ((tg.Layer, tg.Dense), (tg.Dense, tg.Layer)):
        network = tg.Network([first.create(2, 3, rng), second.create(3, 2, rng)])
        history = network.train(XOR_DATASET, XOR_TARGETS, epochs=2)
        assert len(history) == 2
        assert network.predict([0, 1]) in (0, 1)


def test_parameters_are_named_by_their_path_unless_the_user_named_them():
    named = tg.Value(0.5, name="mine")
    network = tg.Network([tg.Layer([tg.Neuron([named, 1.0], 0.0)]), tg.Dense([[1.0]], [0.0])])
    names = [p.name for p in network.parameters()]
    neuron = "layers[0].neurons[0]"
    assert names == ["mine", f"{neuron}.weights[1]", f"{neuron}.bias", "layers[1].weights", "layers[1].bias"]
    assert [p for _, p in network.named_parameters()] == network.parameters()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("inputs", "targets", "epochs", "message"),
    [
        ([[1.0, 2.0, 3.0]], [0], 1, r"inputs must be rows of length 2, got shape \(1, 3\)"),
        ([1.0, 2.0], [0], 1, r"inputs must be rows of length 2, got shape \(2,\)"),
        ([[1.0, 2.0]], [2], 1, r"targets\[0\] is 2.0: labels must be whole numbers from 0 to 1"),
        ([[1.0, 2.0]], [-1], 1, r"targets\[0\] is -1.0: labels must be"),
        ([[1.0, 2.0]], [0.5], 1, r"targets\[0\] is 0.5: labels must be"),
        ([[1.0, 2.0]], [[1.0, 0.0, 0.0]], 1, r"targets must be rows of length 2, got shape \(1, 3\)"),
        ([[1.0, 2.0]], [0, 1], 1, "inputs has 1 rows, but targets has 2"),
        ([], [], 1, "inputs is empty"),
        ([[1.0, math.nan]], [0], 1, r"inputs\[0\]\[1\] is nan: all numbers must be finite"),
        ([[1.0, math.inf]], [0], 1, r"inputs\[0\]\[1\] is inf"),
        ([[1.0, 2.0]], [[math.nan, 0.0]], 1, r"targets\[0\]\[0\] is nan"),
        ([[1.0, 2.0]], [math.nan], 1, r"targets\[0\] is nan"),
        ([[1.0], [1.0, 2.0]], [0, 1], 1, "inputs: data is a ragged list"),
        ([[1.0, 2.0]], [0], -1, "epochs must be a whole number of at least 0, got -1"),
        ([[1.0, 2.0]], [0], 1.5, "epochs must be a whole number of at least 0, got 1.5"),
    ],
)
def test_bad_data_is_refused_before_a_weight_has_changed(kind, inputs, targets, epochs, message):
    network = tg.Network.create([2, 2], kind=kind, seed=0)
    before = weights_of(network)
    with pytest.raises(ValueError, match=message):
        network.train(inputs, targets, epochs)
    assert weights_of(network) == before


def test_data_that_is_not_numeric_names_the_argument():
    with pytest.raises(TypeError, match="inputs: data must be real numbers"):
        tg.Network.create([1, 1]).train([["a"]], [0], 1)


@pytest.mark.parametrize("rate", [0.0, -1.0, math.nan, math.inf, "fast", None])
def test_a_learning_rate_that_is_not_finite_and_positive_is_refused(rate):
    with pytest.raises(ValueError, match="learning_rate must be finite and positive, got"):
        tg.Network.create([2, 2], learning_rate=rate)
    with pytest.raises(ValueError, match="rate must be finite and positive, got"):
        tg.nn.SGD(rate)


def test_bad_networks_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"layers\[0\] has 3 outputs, but layers\[1\] takes 2 inputs"):
        tg.Network([tg.Layer.create(2, 3, rng), tg.Dense.create(2, 2, rng)])
    with pytest.raises(ValueError, match="layers is empty"):
        tg.Network([])
    with pytest.raises(ValueError, match="sizes must name the inputs and at least one layer"):
        tg.Network.create([2])
    with pytest.raises(ValueError, match="n_inputs must be a whole number of at least 1, got 0"):
        tg.Network.create([0, 2])
    with pytest.raises(ValueError, match='kind must be "scalar" or "dense"'):
        tg.Network.create([2, 2], kind="sparse")


def test_a_row_of_the_wrong_length_is_refused_by_every_way_in():
    for kind in KINDS:
        network = tg.Network.create([2, 2], kind=kind, seed=0)
        with pytest.raises(ValueError, match="inputs"):
            network.feed_forward([1.0, 2.0, 3.0])
        with pytest.raises(ValueError, match="inputs"):
            network.predict([1.0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_loss_that_is_not_finite_stops_training_with_the_weights_from_before_that_row(kind):
    network = tg.Network.create([1, 1], kind=kind, seed=0)
    seen = []

    def loss(outputs, goal):
        seen.append(weights_of(network))
        error = tg.nn.half_squared_error(outputs, goal)
        return error * (math.inf if len(seen) == 6 else 1.0)

    with pytest.raises(FloatingPointError, match="the loss is inf at epoch 1, row 1"):
        network.train([[0.1], [0.2], [0.3], [0.4]], [[0.0], [1.0], [0.0], [1.0]], epochs=3, loss=loss)
    assert weights_of(network) == seen[-1]
    assert seen[-1] != seen[-2]


@pytest.mark.parametrize("kind", KINDS)
def test_mean_squared_error_trains_two_outputs_like_the_half_squared_error_to_the_bit(kind):
    networks = [tg.Network.create([2, 3, 2], kind=kind, seed=9) for _ in range(2)]
    for network, loss in zip(networks, (tg.nn.half_squared_error, tg.nn.mean_squared_error), strict=True):
        network.train(XOR_DATASET, XOR_TARGETS, epochs=10, loss=loss)
    assert weights_of(networks[0]) == weights_of(networks[1])


def test_losses_refuse_shapes_that_would_broadcast():
    outputs = tg.Value(np.ones((3, 1)))
    with pytest.raises(ValueError, match=r"targets has shape \(3,\), but the outputs have shape \(3, 1\)"):
        tg.nn.half_squared_error(outputs, np.ones(3))
    with pytest.raises(ValueError, match="targets has length 1, but there are 2 outputs"):
        tg.nn.mean_squared_error([tg.Value(1.0), tg.Value(2.0)], [1.0])


def test_updates_need_gradients_and_change_nothing_without_them():
    network = tg.Network.create([1, 1], seed=0)
    before = weights_of(network)
    network.parameters()[0].grad = 1.0
    with pytest.raises(ValueError, match=r"layers\[0\]\.neurons\[0\]\.bias has no gradient"):
        tg.nn.SGD(0.5)(network.parameters())
    assert weights_of(network) == before


@pytest.mark.parametrize("kind", KINDS)
def test_the_article_update_moves_a_bias_once_per_input(kind):
    plain, article = (tg.Network.create([3, 1], kind=kind, seed=0) for _ in range(2))
    bias = float(np.squeeze(plain.parameters()[-1].data))
    for network, update in ((plain, tg.nn.SGD(0.5)), (article, tg.nn.ArticleUpdate(0.5))):
        network.train([[1.0, 2.0, 3.0]], [[0.0]], epochs=1, update=update)
    step = bias - float(np.squeeze(plain.parameters()[-1].data))
    assert float(np.squeeze(article.parameters()[-1].data)) == ((bias - step) - step) - step
    assert weights_of(plain)[:-1] == weights_of(article)[:-1]


def test_a_users_own_network_computes_no_article_figures():
    for compiled in (False, True):
        history = tg.Network.create([2, 3, 2], seed=0).train(XOR_DATASET, XOR_TARGETS, 2, compiled=compiled)
        with pytest.raises(AttributeError, match="no 'article_printed_error': it has loss"):
            history.article_printed_error  # noqa: B018
    source = tg.Network.create([2, 3, 2], seed=0).printed_epoch().source
    assert "label" not in source
    assert "printed" not in source


def test_an_update_gets_what_its_attribute_says_that_it_needs():
    given = []
    network = tg.Network.create([2, 3, 2], seed=0)

    class Update:
        needs = staticmethod(lambda network: ("all of", network))

        def __call__(self, parameters, needed):
            given.append(needed)

    network.train(XOR_DATASET[:1], XOR_TARGETS[:1], 1, update=Update())
    network.train(XOR_DATASET[:1], XOR_TARGETS[:1], 1, update=lambda parameters, counts: given.append(counts))
    assert given == [("all of", network), update_counts(network)]


@pytest.mark.parametrize("kind", KINDS)
def test_metrics_are_means_over_rows_of_what_the_outputs_were(kind):
    def largest_error(outputs, targets):
        return tg.max(abs(tg.stack(outputs) - tg.stack(targets)) if kind == "scalar" else abs(outputs - targets))

    history = [
        tg.Network.create([2, 3, 2], kind=kind, seed=0).train(
            XOR_DATASET, XOR_TARGETS, 3, metrics=[largest_error, tg.nn.half_squared_error], compiled=compiled
        )
        for compiled in (False, True)
    ]
    assert history[0].metrics == history[1].metrics
    assert history[0].half_squared_error == history[0].loss == history[0].mean_squared_error
    assert all(0.0 < error < 1.0 for error in history[0].metrics["largest_error"])


def test_an_update_of_your_own_is_a_function():
    network = tg.Network.create([1, 1], seed=0)

    def sign_descent(parameters, counts):
        for p in parameters:
            p.data -= math.copysign(0.1, p.grad)

    before = weights_of(network)
    network.train([[1.0]], [[0.0]], epochs=1, update=sign_descent)
    assert weights_of(network) == [w - 0.1 for w in before]


def test_on_epoch_sees_each_epoch():
    seen = []
    tg.Network.create([1, 1], seed=0).train(
        [[1.0]], [[0.0]], 3, on_epoch=lambda epoch, history: seen.append((epoch, len(history)))
    )
    assert seen == [(0, 1), (1, 2), (2, 3)]


def test_what_a_network_shows_is_what_one_may_use():
    network = tg.Network.create([2, 3, 2], seed=0)
    shown = {name for name in dir(network) if not name.startswith("_")}
    assert not shown & {"advice", "know_layers", "known", "recordings", "copied"}
    again = pickle.loads(pickle.dumps(network))
    assert "_known" not in network.__getstate__()
    assert again.outputs([0.0, 1.0]).tolist() == network.outputs([0.0, 1.0]).tolist()
