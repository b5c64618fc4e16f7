"""The article's printout: reproduced from the recovered start, and consistent with one reading of the bias only."""

import math

import pytest

import tinygrad_edu as tg
from tinygrad_edu.article import DATASET, LABELS, PRINTED, TARGETS, network_from
from tinygrad_edu.article.by_hand import HandNetwork
from tinygrad_edu.article.replay import TOLERANCE, numbers_by_hand, numbers_of, replay

NEURONS = PRINTED["printed_neurons"]


@pytest.mark.parametrize("kind", ["scalar", "dense"])
def test_the_whole_printout_comes_back_from_the_recovered_start(kind):
    result = replay(kind)
    assert len(result.figures) == 5 + 2 * 2 * 5
    assert TOLERANCE == 1e-13
    for figure in result.figures:
        assert abs(figure.ours - figure.printed) <= 1e-13, figure
    assert result.predictions == PRINTED["printed_predictions"]
    assert result.equal
    assert result.holds


def test_figures_apply_only_to_runs_that_give_them():
    assert [figure.name for figure in replay(epochs=37).figures] == ["error of epoch 35", "error of epoch 36"]
    assert replay(epochs=3).figures == []
    assert replay(seed=1).figures == []
    assert replay(update="sgd").figures == []


def test_a_figure_beyond_the_tolerance_does_not_hold():
    from tinygrad_edu.article.replay import Figure

    assert Figure("x", 1.0, 1.0 + 9e-14).holds
    assert not Figure("x", 1.0, 1.0 + 2e-13).holds


def undone_start(updates_per_row):
    """The weights before the last row's update: the printed deltas' step taken back."""
    inputs, start = DATASET[-1], []
    for layer in NEURONS:
        neurons = []
        for neuron in layer:
            weights = [w + 0.5 * neuron["delta"] * x for w, x in zip(neuron["weights"], inputs, strict=True)]
            bias = neuron["bias"]
            for _ in range(updates_per_row or len(inputs)):
                bias += 0.5 * neuron["delta"]
            neurons.append((weights, bias))
        start.append(neurons)
        inputs = [neuron["output"] for neuron in layer]
    return start


def flat(numbers):
    return [x for layer in numbers for n in layer for x in (*n["weights"], n["bias"], n["delta"], n["output"])]


@pytest.mark.parametrize("which", ["by hand", "computed"])
def test_one_step_back_and_forward_at_the_printed_state_holds_to_1_ulp(which):
    start = undone_start(updates_per_row=None)
    if which == "by hand":
        by_hand = HandNetwork(start)
        by_hand.feed_forward(DATASET[-1])
        by_hand.set_deltas(TARGETS[-1])
        by_hand.update(DATASET[-1])
        numbers = numbers_by_hand(by_hand)
    else:
        network = network_from(start)
        network.train(DATASET[-1:], LABELS[-1:], 1, update=tg.nn.ArticleUpdate(0.5))
        numbers = numbers_of(network)
    for ours, printed in zip(flat(numbers), flat(NEURONS), strict=True):
        assert abs(ours - printed) <= math.ulp(printed)


def test_the_other_reading_of_the_bias_misses_the_deltas_by_more_than_1_percent():
    by_hand = HandNetwork(undone_start(updates_per_row=1), bias_updates="once")
    by_hand.feed_forward(DATASET[-1])
    by_hand.set_deltas(TARGETS[-1])
    misses = [
        abs(ours["delta"] / printed["delta"] - 1.0)
        for layer, printed_layer in zip(numbers_by_hand(by_hand), NEURONS, strict=True)
        for ours, printed in zip(layer, printed_layer, strict=True)
    ]
    assert max(misses) > 0.01
