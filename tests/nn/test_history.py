"""Histories, and how networks show themselves: tables, plots and recorded epochs."""

import sys

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu.article import DATASET, LABELS, XOR_DATASET


def trained(kind="scalar", epochs=4, **options):
    network = tg.Network.create([2, 3, 2], kind=kind, seed=0)
    return network, network.train(DATASET, LABELS, epochs, **options)


@pytest.mark.parametrize("kind", ["scalar", "dense"])
def test_recorded_epochs_are_the_weights_after_each(kind):
    seen = []
    network = tg.Network.create([2, 3, 2], kind=kind, seed=0)
    record_now = lambda epoch, history: seen.append([np.array(p.data).tolist() for p in network.parameters()])  # noqa: E731
    history = network.train(DATASET, LABELS, 3, on_epoch=record_now, record=True)
    assert [[np.array(w).tolist() for w in s.weights] for s in history.snapshots] == seen
    assert len(seen) == 3
    assert seen[0] != seen[1]


def test_a_network_can_be_looked_at_as_it_was_after_an_epoch():
    network, history = trained(record=True)
    now = [p.data for p in network.parameters()]
    with history.at(0) as earlier:
        assert [p.data for p in earlier.parameters()] == history.snapshots[0].weights != now
    assert [p.data for p in network.parameters()] == now
    with pytest.raises(ZeroDivisionError), history.at(0):
        1 / 0  # noqa: B018
    assert [p.data for p in network.parameters()] == now


def test_nothing_is_recorded_unless_asked_for():
    _, history = trained()
    assert history.snapshots == []
    with pytest.raises(ValueError, match="train with record=True"), history.at(0):
        pass
    with pytest.raises(ValueError, match="train with record=True"):
        tg.stepper(tg.Value(1.0) * 2.0, history=history)


def test_the_boundary_is_what_the_network_predicts():
    network, history = trained(epochs=30)
    boundary = history.boundary(size=7)
    assert boundary.labels.shape == (7, 7)
    for j, i in ((0, 0), (3, 5), (6, 6)):
        assert boundary.labels[j, i] == network.predict([boundary.x[i], boundary.y[j]])
    assert boundary.x[0] < min(row[0] for row in DATASET)
    three = tg.Network.create([3, 2], seed=0)
    with pytest.raises(ValueError, match="needs 2 inputs, and the network has 3"):
        three.train([[0, 0, 1]], [0], 1).boundary()


def test_plot_draws_the_errors_and_for_two_inputs_the_boundary():
    pytest.importorskip("matplotlib", reason='needs the extra "plot"')
    _, history = trained(epochs=5)
    figure = history.plot()
    assert len(figure.axes) == 2
    assert figure.axes[0].lines[0].get_ydata().tolist() == history.mean_squared_error
    one = tg.Network.create([1, 2], seed=0).train([[0.0], [1.0]], [0, 1], 3).plot()
    assert len(one.axes) == 1


def test_plot_without_matplotlib_names_the_extra(monkeypatch):
    _, history = trained(epochs=1)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'pip install "tinygrad_edu\[plot\]"'):
        history.plot()


def test_histories_show_themselves():
    _, history = trained(epochs=3)
    first, last = history.mean_squared_error[0], history.mean_squared_error[-1]
    assert repr(history) == f"History(3 epochs, mean squared error {first:.6g} at first, {last:.6g} at last)"
    assert "<polyline" in history._repr_html_()
    _, empty = trained(epochs=0)
    assert repr(empty) == "History(no epochs)"
    assert "no epochs" in empty._repr_html_()


def test_print_of_a_network_is_a_short_table():
    network = tg.Network(
        [tg.Layer.create(2, 3, np.random.default_rng(0)), tg.Dense(np.ones((1, 3)), [0.0], activation=tg.tanh)]
    )
    assert str(network).splitlines() == [
        "layer      shape  parameters  activation",
        "layers[0]  2 → 3  9           sigmoid",
        "layers[1]  3 → 1  4           tanh",
    ]
    assert "<td>2 → 3</td>" in network._repr_html_()


@pytest.mark.parametrize("kind", ["scalar", "dense"])
def test_layers_show_a_table_of_their_neurons(kind):
    network = tg.Network.create([2, 3, 2], kind=kind, seed=0)
    layer = network.layers[0]
    assert layer._repr_html_().count("<tr>") == 1 + 3
    network.train(XOR_DATASET, [0, 1, 1, 0], 1)
    delta = layer.delta[0]
    assert f"<td>{delta:.4g}</td>" in layer._repr_html_()


def test_a_neuron_shows_its_last_computation():
    neuron = tg.Neuron([0.5, 1.0], 0.0)
    assert set(neuron._repr_mimebundle_()) == {"text/plain"}
    neuron([1.0, 2.0])
    bundle = neuron._repr_mimebundle_()
    assert bundle["text/plain"].startswith("Neuron(")
    assert "weights[0]" in bundle["image/svg+xml"]


@pytest.mark.parametrize("kind", ["scalar", "dense"])
@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("compiled", [None, False, True])
@pytest.mark.parametrize("validated", [False, True])
@pytest.mark.parametrize("loss", [tg.nn.half_squared_error, tg.nn.binary_cross_entropy, tg.nn.huber])
def test_every_figure_is_a_plain_float(kind, batch_size, compiled, validated, loss):
    network = tg.Network.create([2, 2, 1], kind=kind, activation=tg.tanh, seed=0)
    rows, labels = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), np.array([0, 1, 1])
    options = {"metrics": ["accuracy", tg.nn.mean_absolute_error]}
    validation = (rows, labels) if validated else None
    history = network.train(
        rows, labels, 60, loss=loss, batch_size=batch_size, compiled=compiled, validation=validation, **options
    )
    history.train(rows, labels, 60)
    lists = [history.loss, history.validation, *history.metrics.values(), *history.validation_metrics.values()]
    assert {type(x) for figures in lists for x in figures} == {float}
