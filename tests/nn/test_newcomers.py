"""What someone new to the library types: it is understood, or the error says what to write."""

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
