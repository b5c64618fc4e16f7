"""Computed gradients against backpropagation by hand: `==`, for every weight, bias, delta and output."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import tinygrad_edu as tg
from tinygrad_edu.article import (
    DATASET,
    TARGETS,
    XOR_DATASET,
    XOR_TARGETS,
    network_from,
    recovered_start,
    slipped_sigmoid,
)
from tinygrad_edu.article.by_hand import HandDenseNetwork, HandNetwork
from tinygrad_edu.article.replay import numbers_by_hand, numbers_of

UPDATES = {"per_input": tg.nn.ArticleUpdate, "once": tg.nn.SGD}


def assert_equal_after_every_epoch(network, by_hand, rows, targets, epochs, update):
    if isinstance(by_hand, HandDenseNetwork):
        rows, targets = np.array(rows), np.array(targets)
    compared = []

    def compare(epoch, history):
        by_hand.train_epoch(rows, targets)
        assert numbers_of(network) == numbers_by_hand(by_hand), epoch
        compared.append(epoch)

    network.train(rows, targets, epochs, update=update, on_epoch=compare)
    assert compared == list(range(epochs))


def start_for(sizes, draw):
    return [[([draw() for _ in range(n)], draw()) for _ in range(m)] for n, m in itertools.pairwise(sizes)]


@st.composite
def tasks(draw):
    """Sizes of 1 to 4 layers of 1 to 6 units, a start, and rows with targets."""
    sizes = draw(st.lists(st.integers(1, 6), min_size=2, max_size=5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    start = start_for(sizes, lambda: float(rng.uniform(-1.5, 1.5)))
    n_rows = draw(st.integers(1, 3))
    rows, targets = rng.normal(size=(n_rows, sizes[0])), rng.random((n_rows, sizes[-1]))
    return start, rows.tolist(), targets.tolist()


def by_hand_for(kind, start, **options):
    return HandNetwork(start, **options) if kind == "scalar" else HandDenseNetwork(start, **options)


@pytest.mark.parametrize("bias_updates", UPDATES)
@pytest.mark.parametrize("kind", ["scalar", "dense"])
def test_the_articles_run_equals_backprop_by_hand(kind, bias_updates):
    start = recovered_start()
    by_hand = by_hand_for(kind, start, bias_updates=bias_updates)
    update = UPDATES[bias_updates](0.5)
    assert_equal_after_every_epoch(network_from(start, kind), by_hand, DATASET, TARGETS, 40, update)


@pytest.mark.parametrize("bias_updates", UPDATES)
@pytest.mark.parametrize("kind", ["scalar", "dense"])
def test_xor_equals_backprop_by_hand(kind, bias_updates):
    rng = np.random.default_rng(11)
    start = start_for([2, 3, 2], rng.random)
    by_hand = by_hand_for(kind, start, bias_updates=bias_updates)
    update = UPDATES[bias_updates](0.5)
    assert_equal_after_every_epoch(network_from(start, kind), by_hand, XOR_DATASET, XOR_TARGETS, 100, update)


@settings(max_examples=60)
@given(tasks(), st.sampled_from(list(UPDATES)), st.sampled_from([0.5, 0.25, 2.0]), st.sampled_from(["scalar", "dense"]))
def test_any_network_equals_backprop_by_hand_at_rates_that_are_powers_of_two(task, bias_updates, rate, kind):
    start, rows, targets = task
    by_hand = by_hand_for(kind, start, learning_rate=rate, bias_updates=bias_updates)
    update = UPDATES[bias_updates](rate)
    assert_equal_after_every_epoch(network_from(start, kind), by_hand, rows, targets, 3, update)


@settings(max_examples=40)
@given(tasks(), st.floats(0.01, 1.0))
def test_any_rate_gives_equality_once_the_hand_multiplies_in_the_other_order(task, rate):
    start, rows, targets = task
    by_hand = HandNetwork(start, learning_rate=rate, bias_updates="once", gradient_first=True)
    assert_equal_after_every_epoch(network_from(start), by_hand, rows, targets, 3, tg.nn.SGD(rate))


@settings(max_examples=40)
@given(tasks(), st.floats(0.01, 1.0))
@example(  # where two roundings on either side make 2 ulp of a weight
    task=(
        [
            [
                ([0.1609854833962452, 0.7104068310330938, 1.2773144737121513], -0.2224792652987262),
                ([1.3059373682754867, -0.354557873952559, 0.8529022694405026], -1.0647417982178276),
                ([0.5555047401029634, -1.1776027191965572, 0.8957615787203079], 0.8750981391486299),
            ],
            [([0.16892143240555701, -0.01605577759172805, 0.8723833496096787], 0.9244268082921949)],
        ],
        [[1.4280662455531503, -0.9547973955137286, 1.0092209514386992]],
        [[0.6944255341882458]],
    ),
    rate=0.8069216554628127,
)
def test_any_rate_stays_within_the_roundings_of_a_step_of_the_articles_order(task, rate):
    """Both orders round twice: at first by less than 1 ulp of the step, then by half of one. That makes 3 together."""
    start, rows, targets = task
    network, by_hand = network_from(start), HandNetwork(start, learning_rate=rate, bias_updates="once")
    network.train(rows[:1], targets[:1], 1, update=tg.nn.SGD(rate))
    by_hand.train_epoch(rows[:1], targets[:1])
    for layer, hand_layer, first in zip(network.layers, by_hand.layers, start, strict=True):
        for neuron, hand, (weights, _) in zip(layer.neurons, hand_layer, first, strict=True):
            for ours, theirs, old in zip(neuron.weights, hand.weights, weights, strict=True):
                step = abs(theirs - old)
                allowed = 3 * math.ulp(step) + math.ulp(max(abs(theirs), abs(old)))  # and the subtraction's
                assert abs(ours.data - theirs) <= allowed
            assert neuron.delta == hand.delta


@pytest.mark.parametrize("sizes", [[2, 3, 2], [2, 4, 3, 2]])
def test_the_slip_through_a_custom_gradient_equals_the_articles_numpy_as_printed(sizes):
    rng = np.random.default_rng(5)
    start = start_for(sizes, rng.random)
    network = network_from(start, "dense")
    for layer in network.layers[:-1]:
        layer.activation = slipped_sigmoid
    by_hand = HandDenseNetwork(start, slip=True)
    rows, targets = np.array(DATASET), np.array(TARGETS)
    for _ in range(40):
        network.train(rows, targets, 1, update=tg.nn.SGD(0.5))
        by_hand.train_epoch(rows, targets)
        for layer, hand in zip(network.layers, by_hand.layers, strict=True):
            assert np.array_equal(layer.weights.data, hand.weights)
            assert np.array_equal(layer.bias.data, hand.bias)
            assert np.array_equal(layer.output, hand.outputs)
    # The hand's hidden delta holds the slip; at the library's weighted sum the same factors arrive in the same order.
    assert all(np.array_equal(a.delta, b.deltas) for a, b in zip(network.layers, by_hand.layers, strict=True))


def test_the_slip_changes_the_result():
    start = start_for([2, 3, 2], np.random.default_rng(5).random)
    right, slipped = HandDenseNetwork(start), HandDenseNetwork(start, slip=True)
    for by_hand in (right, slipped):
        by_hand.train_epoch(np.array(DATASET), np.array(TARGETS))
    assert not np.allclose(right.layers[0].weights, slipped.layers[0].weights, rtol=1e-3)


def test_the_numpy_program_prints_the_true_error_times_rows():
    start = start_for([2, 3, 2], np.random.default_rng(5).random)
    network, by_hand = network_from(start, "dense"), HandDenseNetwork(start)
    printed = [by_hand.train_epoch(np.array(DATASET), np.array(TARGETS)) for _ in range(5)]
    history = network.train(DATASET, TARGETS, 5)
    assert [error * len(DATASET) for error in history.mean_squared_error] == pytest.approx(printed, rel=1e-14)


def test_the_plain_program_prints_what_history_calls_the_articles_error():
    start = start_for([2, 3, 2], np.random.default_rng(5).random)
    by_hand = HandNetwork(start)
    printed = [by_hand.train_epoch(DATASET, TARGETS) for _ in range(5)]
    history = network_from(start).train(DATASET, TARGETS, 5, update=tg.nn.ArticleUpdate(0.5))
    assert history.article_printed_error == printed
