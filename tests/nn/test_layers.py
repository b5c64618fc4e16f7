"""Neurons and layers: what they compute, show and refuse."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_edu as tg

numbers = st.floats(-2.0, 2.0)


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=5), numbers)
def test_a_neuron_adds_from_the_bias_on_and_squashes(pairs, bias):
    weights, inputs = zip(*pairs, strict=True)
    total = bias
    for w, x in pairs:
        total += w * x
    neuron = tg.Neuron(weights, bias)
    output = neuron(inputs)
    assert output.data == neuron.output == 1.0 / (1.0 + math.exp(-total))
    output.backward()
    assert neuron.delta == neuron.output * (1.0 - neuron.output)
    assert [w.grad for w in neuron.weights] == [neuron.delta * x for x in inputs]
    assert neuron.bias.grad == neuron.delta


def test_a_neuron_takes_values_and_other_activations():
    w = tg.Value(2.0, name="shared")
    neuron = tg.Neuron([w, -1.0], tg.Value(0.5), activation=tg.tanh)
    x = tg.Value(0.25)
    neuron([x, 1]).backward()
    assert neuron.output == math.tanh(0.5 + 2.0 * 0.25 - 1.0)
    assert w.grad == neuron.delta * 0.25
    assert x.grad == neuron.delta * 2.0
    assert w.name == "shared"


def test_a_neurons_repr_shows_weights_bias_delta_and_output():
    neuron = tg.Neuron([0.5, 1.0], 0.25)
    assert repr(neuron) == "Neuron(weights=[0.5, 1.0], bias=0.25, delta=None, output=None)"
    neuron([0.0, 0.0]).backward()
    assert repr(neuron) == f"Neuron(weights=[0.5, 1.0], bias=0.25, delta={neuron.delta}, output={neuron.output})"


def test_a_delta_after_create_graph_is_a_float():
    neuron = tg.Neuron([0.5], 0.25)
    neuron([1.0]).backward(create_graph=True)
    assert type(neuron.delta) is float
    dense = tg.Dense([[0.5]], [0.25])
    dense([1.0]).backward(seed=[1.0], create_graph=True)
    assert type(dense.delta) is np.ndarray


def test_bad_neurons_are_refused():
    with pytest.raises(ValueError, match="weights is empty"):
        tg.Neuron([], 0.0)
    with pytest.raises(ValueError, match=r"weights\[1\] must be a number, but has shape \(2,\)"):
        tg.Neuron([1.0, [1.0, 2.0]], 0.0)
    with pytest.raises(ValueError, match=r"bias must be a number"):
        tg.Neuron([1.0], [0.0])
    with pytest.raises(TypeError, match="real numbers"):
        tg.Neuron(["a"], 0.0)
    with pytest.raises(ValueError, match="inputs has length 3, but the neuron has 2 weights"):
        tg.Neuron([1.0, 2.0], 0.0)([1.0, 2.0, 3.0])


def test_layers_show_outputs_and_deltas():
    layer = tg.Layer([tg.Neuron([1.0], 0.0), tg.Neuron([-1.0], 0.0)])
    assert (layer.output, layer.delta) == ([None, None], [None, None])
    outputs = layer([0.5])
    (outputs[0] + outputs[1]).backward()
    assert layer.output == [o.data for o in outputs]
    assert layer.delta == [o.data * (1.0 - o.data) for o in outputs]


def test_bad_layers_are_refused():
    with pytest.raises(ValueError, match="neurons is empty"):
        tg.Layer([])
    with pytest.raises(ValueError, match=r"differ in their number of inputs: \[1, 2\]"):
        tg.Layer([tg.Neuron([1.0], 0.0), tg.Neuron([1.0, 2.0], 0.0)])
    with pytest.raises(ValueError, match="n_neurons must be a whole number of at least 1, got 0"):
        tg.Layer.create(2, 0, np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"weights must have shape \(n_outputs, n_inputs\), got \(2,\)"):
        tg.Dense([1.0, 2.0], [0.0])
    with pytest.raises(ValueError, match=r"bias must have shape \(1,\) to fit the weights, got \(2,\)"):
        tg.Dense([[1.0, 2.0]], [0.0, 0.0])
    with pytest.raises(ValueError, match=r"inputs must have shape \(2,\) or \(rows, 2\), got \(3,\)"):
        tg.Dense([[1.0, 2.0]], [0.0])([1.0, 2.0, 3.0])


def test_dense_equals_its_formula_to_the_bit_for_rows_and_batches():
    rng = np.random.default_rng(3)
    w, b, rows = rng.normal(size=(4, 3)), rng.normal(size=4), rng.normal(size=(5, 3))
    layer = tg.Dense(w, b)
    assert np.array_equal(layer(rows[0]).data, 1 / (1 + np.exp(-(w @ rows[0] + b))))
    assert np.array_equal(layer(rows).data, 1 / (1 + np.exp(-(rows @ w.T + b))))
    layer(rows).sum().backward()
    deltas = layer.output * (1.0 - layer.output)
    assert np.array_equal(layer.delta, deltas)
    assert np.array_equal(layer.weights.grad, deltas.T @ rows)
    assert np.array_equal(layer.bias.grad, deltas.sum(axis=0))


def test_dense_takes_a_list_of_values():
    x = [tg.Value(1.0), tg.Value(2.0)]
    tg.Dense([[0.5, 0.25]], [0.0], activation=lambda z: z)(x).backward(seed=[1.0])
    assert [v.grad for v in x] == [0.5, 0.25]


def test_both_kinds_draw_the_same_weights_from_a_generator():
    layer = tg.Layer.create(3, 2, np.random.default_rng(5))
    dense = tg.Dense.create(3, 2, np.random.default_rng(5))
    assert dense.weights.data.tolist() == [[w.data for w in n.weights] for n in layer.neurons]
    assert dense.bias.data.tolist() == [n.bias.data for n in layer.neurons]
    assert np.all((dense.weights.data >= 0.0) & (dense.weights.data < 1.0))


@pytest.mark.parametrize("one", [2.0, 2, tg.Value(2.0), np.array(2.0), np.float64(2.0)])
def test_one_number_in_place_of_a_row_is_refused_with_what_to_write(one):
    for unit in (tg.Neuron([1.0], bias=0.0), tg.Layer([tg.Neuron([1.0], 0.0)]), tg.Network.create([1, 2])):
        with pytest.raises(TypeError, match=r"inputs must be a row of 1 number, got .*2.*: write \[.*2.*\]$"):
            unit(one)
    for unit in (tg.Neuron([1.0, 2.0], bias=0.0), tg.Network.create([2, 2])):
        with pytest.raises(TypeError, match=r"inputs must be a row of 2 numbers, got .*2.*: write a list of 2$"):
            unit(one)
