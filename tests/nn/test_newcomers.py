"""What someone new to the library types: it is understood, or the error says what to write."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

import tinygrad_edu as tg

RNG = np.random.default_rng(0)
ROWS, GOALS = RNG.normal(size=(20, 2)), RNG.normal(size=(20, 1))


def dense(seed=0):
    return tg.Network.create([2, 3, 1], kind="dense", seed=seed)


def own_loss(outputs, targets):
    return tg.mean((outputs - targets) ** 2) * 10.0


class RootMeanSquare:
    """An update that is no subclass of the library's."""

    def __init__(self, rate):
        self.rate = rate

    def start(self, data):
        return [p * 0.0 for p in data]

    def rule(self, data, gradients, state, rate):
        new = [0.9 * v + 0.1 * g * g for v, g in zip(state, gradients, strict=True)]
        return [p - rate * g / (tg.sqrt(v) + 1e-8) for p, g, v in zip(data, gradients, new, strict=True)], new


def test_a_history_tells_of_the_loss_that_was_trained():
    history = dense().train(ROWS, GOALS, 3, loss=own_loss, batch_size=5)
    assert history.curve == ("loss", history.loss)
    assert repr(history) == f"History(3 epochs, loss {history.loss[0]:.6g} at first, {history.loss[-1]:.6g} at last)"
    with pytest.raises(AttributeError, match=r"it has loss, validation .* metrics \['mean_squared_error'\]"):
        history.validation_loss  # noqa: B018 - the property itself is asked for


def test_a_layer_that_hides_its_values_is_told_of():
    class Gain:
        def __init__(self):
            self.gain = tg.Value(1.0)

        def __call__(self, x):
            return x * self.gain

    with pytest.warns(UserWarning, match=r"layers\[1\], a Gain, isn't trained: it has gain, but no method parameters"):
        tg.Network([dense().layers[0], tg.Dense.create(3, 1, RNG), Gain()][1:]).train(
            RNG.normal(size=(4, 3)), GOALS[:4], 1
        )


def test_accuracy_is_refused_for_targets_that_are_no_classes():
    network = dense()
    before = [p.data.copy() for p in network.parameters()]
    with pytest.raises(ValueError, match="accuracy is of classes"):
        network.train(ROWS, GOALS, 1, metrics="accuracy")
    assert all(np.array_equal(p.data, x) for p, x in zip(network.parameters(), before, strict=True))


def test_an_update_needs_a_rule_and_a_rate_and_no_base_class():
    runs = [dense().train(ROWS, GOALS, 5, update=RootMeanSquare(0.01), compiled=compiled) for compiled in (True, False)]
    assert runs[0].loss == runs[1].loss
    assert runs[0].loss[-1] < runs[0].loss[0]
    without = RootMeanSquare(0.1)
    del without.rate
    with pytest.raises(TypeError, match="update must have a rate"):
        dense().train(ROWS, GOALS, 1, update=without)


def test_functions_with_options_are_layers_that_files_keep(tmp_path):
    images, labels = RNG.normal(size=(12, 1, 4, 4)), RNG.integers(0, 3, 12)
    layers = [partial(tg.max_pool2d, size=(2, 2)), partial(tg.reshape, shape=(-1, 4)), tg.Dense.create(4, 3, RNG)]
    network = tg.Network(layers)
    network.train(images, labels, 2, batch_size=4)
    network.save(tmp_path / "network.npz")
    again = tg.Network.load(tmp_path / "network.npz")
    assert np.array_equal(again.outputs(images), network.outputs(images))
    assert again.layers[0].keywords == {"size": (2, 2)}
    with pytest.raises(TypeError, match=r"functools\.partial"):
        tg.Network([lambda x: x, *layers[2:]]).save(tmp_path / "other.npz")
    assert not (tmp_path / "other.npz").exists()


@pytest.mark.parametrize(
    ("make", "create"),
    [
        (lambda: tg.Dense(128, 10), r"Dense\.create\(n_inputs, n_outputs, rng\)"),
        (lambda: tg.nn.Conv2d(1, 8), r"Conv2d\.create\(n_inputs, n_outputs, size, rng\)"),
        (lambda: tg.nn.Embedding(28), r"Embedding\.create\(symbols, size, rng\)"),
    ],
)
def test_sizes_in_place_of_weights_are_answered_with_create(make, create):
    with pytest.raises(ValueError, match=create):
        make()


def test_a_metric_that_can_not_be_compiled_is_told_how_to_train_without():
    def wrong(outputs, targets):
        return float(np.mean(np.argmax(outputs, -1) != np.argmax(targets, -1)))

    with pytest.raises(TypeError) as caught:
        dense().train(ROWS, GOALS, 2, metrics=[wrong], compiled=True)
    assert "compiled=False trains without" in caught.value.__notes__[0]


@pytest.mark.parametrize("compiled", [None, True, False])
def test_layers_that_look_across_rows_see_the_whole_batch(compiled):
    rows = np.r_[np.zeros((256, 1)), np.ones((256, 1))]
    layer = tg.Dense([[1.0]], [0.0], tg.nn.identity)
    network = tg.Network([lambda x: x - tg.mean(x, axis=0), layer])
    history = network.train(rows, rows, 1, batch_size=512, loss=tg.nn.mean_squared_error, compiled=compiled)
    assert history.loss == [0.25]


def test_workers_take_layers_that_say_that_they_take_rows_by_themselves():
    def twice(x):
        return x * 2.0

    rows, labels = RNG.normal(size=(600, 2)), RNG.integers(0, 3, 600)
    options = {"batch_size": 600, "loss": tg.nn.cross_entropy}

    def trained(executor):
        network = tg.Network([twice, tg.Dense(np.ones((3, 2)), np.zeros(3), tg.nn.identity)])
        network.train(rows, labels, 2, **options, executor=executor)
        return [p.data.tobytes() for p in network.parameters()]

    with ThreadPoolExecutor(1) as executor:
        with pytest.raises(ValueError, match=r"of layers\[0\] this isn't known: set its attribute by_rows = True"):
            trained(executor)
        twice.by_rows = True
        assert trained(executor) == trained(None)


@pytest.mark.parametrize("batch_size", [1, 5, 20])
def test_a_sum_with_a_penalty_has_the_figure_of_the_sum(batch_size):
    options = {"batch_size": batch_size, "update": tg.nn.SGD(0.01)}
    first = dense().train(ROWS, GOALS, 2, **options)
    for compiled in (True, False):
        network = dense()
        loss = tg.nn.half_squared_error + tg.nn.penalty(network, l2=1e-12)
        second = network.train(ROWS, GOALS, 2, **options, loss=loss, compiled=compiled, validation=(ROWS, GOALS))
        assert second.loss == pytest.approx(first.loss, rel=1e-9)
        assert second.validation[-1] < 2.0 * second.loss[-1]


def test_metrics_have_names_that_source_and_history_can_take():
    lambdas = [lambda o, t: tg.mean(abs(o - t))]
    runs = [dense().train(ROWS, GOALS, 3, metrics=lambdas, compiled=compiled) for compiled in (True, False)]
    assert runs[0].metrics == runs[1].metrics
    for name in ("class", "None", "a b", "", "x'y\n", "rows", "loss_sum", "math", "weights_0", "sum"):
        lambdas[0].__name__ = name
        assert (
            dense().train(ROWS, GOALS, 3, metrics=lambdas, compiled=True).metrics[name] == runs[0].metrics["<lambda>"]
        )
    lambdas[0].__name__ = "<lambda>"
    network = dense()
    with pytest.raises(ValueError, match="two are called '<lambda>'"):
        network.train(ROWS, GOALS, 1, metrics=[*lambdas, lambda o, t: tg.mean(o)])


@pytest.mark.parametrize("compiled", [True, False])
def test_a_loss_of_shape_1_is_refused_before_anything_changes(compiled):
    network = dense()
    before = [p.data.copy() for p in network.parameters()]
    with pytest.raises(TypeError, match="must give one number"):
        network.train(ROWS, GOALS, 2, loss=lambda o, t: tg.reshape(tg.sum((o - t) ** 2), (1,)), compiled=compiled)
    assert all(np.array_equal(p.data, x) for p, x in zip(network.parameters(), before, strict=True))


def test_a_layer_can_not_change_the_callers_rows():
    def doubles(x):
        x *= 2.0
        return x

    network, rows = tg.Network([doubles, dense().layers[0]]), ROWS.copy()
    for run in (lambda: network.train(rows, np.zeros((20, 3)), 1), lambda: network.outputs(rows)):
        with pytest.raises(ValueError, match="read-only"):
            run()
    assert np.array_equal(rows, ROWS)


def test_a_function_that_updates_takes_the_parameters_alone_or_with_counts():
    def alone(parameters):
        for p in parameters:
            p.data = p.data - 0.1 * p.grad

    def with_counts(parameters, counts):
        assert len(counts) == len(parameters)
        alone(parameters)

    runs = [dense().train(ROWS, GOALS, 2, update=update) for update in (alone, with_counts, tg.nn.SGD(0.1))]
    assert runs[0].loss == runs[1].loss == runs[2].loss


def test_labels_that_are_words_are_answered_with_how_to_number_them():
    with pytest.raises(TypeError, match=r"^targets: .*np\.unique\(labels, return_inverse=True\)"):
        tg.Network.create([2, 3], kind="dense", seed=0).train(ROWS[:2], ["cat", "dog"], 1)
