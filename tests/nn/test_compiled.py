"""Compiled training leaves the same bits as the eager one, and its source is a page that a person can read."""

import itertools
import math
import re
import traceback
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_edu as tg
from tinygrad_edu import cli
from tinygrad_edu.article import DATASET, LABELS, XOR_DATASET, XOR_TARGETS, network_from, recovered_start
from tinygrad_edu.compiler.surroundings import LAST, attributes_of
from tinygrad_edu.nn import compiled as nn_compiled

GOLDEN = Path(__file__).with_name("article_epoch.py.txt")
UPDATES = [tg.nn.SGD, tg.nn.ArticleUpdate]
LOSSES = [tg.nn.half_squared_error, tg.nn.mean_squared_error]


def state(network):
    return [np.asarray(p.data).tobytes() for p in network.parameters()] + [
        np.asarray(p.grad).tobytes() for p in network.parameters()
    ]


def assert_alike(make, inputs, targets, epochs, **options):
    eager, ours = make(), make()
    histories = [
        eager.train(inputs, targets, epochs, compiled=False, **options),
        ours.compile().train(inputs, targets, epochs, **options),
    ]
    assert state(eager) == state(ours)
    assert repr(eager) == repr(ours)
    first, second = histories
    assert first.mean_squared_error == second.mean_squared_error
    assert list(first.metrics) == list(second.metrics)
    for name in first.metrics:
        assert np.array_equal(first.metrics[name], second.metrics[name], equal_nan=True)


@pytest.mark.parametrize(("kind", "update", "loss"), list(itertools.product(["scalar", "dense"], UPDATES, LOSSES)))
def test_the_articles_run_and_xor_leave_the_same_bits(kind, update, loss):
    start = lambda: network_from(recovered_start(), kind)  # noqa: E731
    assert_alike(start, DATASET, LABELS, 40, update=update(0.5), loss=loss)
    xor = lambda: tg.Network.create([2, 3, 2], kind=kind, seed=1)  # noqa: E731
    assert_alike(xor, XOR_DATASET, XOR_TARGETS, 100, update=update(0.3), loss=loss)


@settings(max_examples=25)
@given(
    st.lists(st.integers(1, 5), min_size=2, max_size=5),
    st.integers(0, 999),
    st.integers(1, 3),
    st.sampled_from(["scalar", "dense"]),
)
def test_any_network_leaves_the_same_bits(sizes, seed, n_rows, kind):
    rng = np.random.default_rng(seed)
    rows, targets = rng.normal(size=(n_rows, sizes[0])), rng.random((n_rows, sizes[-1]))
    assert_alike(
        lambda: tg.Network.create(sizes, kind=kind, seed=seed), rows, targets, 3, update=tg.nn.ArticleUpdate(0.7)
    )


def test_scalar_and_dense_layers_mix():
    rng = lambda: np.random.default_rng(0)  # noqa: E731
    mixed = lambda: tg.Network([tg.Dense.create(2, 3, rng()), tg.Dense.create(3, 2, rng(), activation=tg.tanh)])  # noqa: E731
    assert_alike(mixed, XOR_DATASET, XOR_TARGETS, 5)


def test_numbers_out_of_pythons_range_are_left_to_the_network():
    big = lambda: tg.Network([tg.Layer([tg.Neuron([-2000.0], 0.0)]), tg.Layer([tg.Neuron([1.0], 0.0)])])  # noqa: E731
    assert_alike(big, [[1.0], [0.5], [2.0]], [[1.0], [0.0], [1.0]], 4)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("kind", ["scalar", "dense"])
def test_a_loss_that_is_not_finite_raises_the_networks_error_and_leaves_its_weights(kind):
    def make():
        network = tg.Network.create([1, 1], kind=kind, seed=0)
        for layer in network.layers:
            for unit in getattr(layer, "neurons", [layer]):
                unit.activation = lambda z: z * z
        return network

    found = []
    for compiled in (False, True):
        network = make()
        with pytest.raises(FloatingPointError, match="at epoch") as error:
            network.train([[10.0], [20.0], [30.0]], [[1.0], [2.0], [3.0]], 50, compiled=compiled)
        found.append((str(error.value), [np.asarray(p.data).tobytes() for p in network.parameters()]))
    assert found[0] == found[1]


def test_an_error_of_an_operation_shows_the_line_of_the_source_and_the_users():
    def no_large_numbers(x):
        if x > 100.0:
            raise RuntimeError("too large")
        return x * 1.0

    def activation(z):
        return careful(z * z)

    careful = tg.operation(no_large_numbers, lambda g, out, x: (g,), name="careful")
    network = tg.Network([tg.Layer([tg.Neuron([3.0], 1.0, activation=activation)])])
    with pytest.raises(RuntimeError, match="too large") as error:
        network.train([[1.0], [9.0]], [[0.0], [0.0]], 3, compiled=True)
    shown = "".join(traceback.format_exception(error.value))
    assert "= careful(output_0_0)" in shown
    assert "return careful(z * z)" in shown


def test_bad_data_and_updates_without_a_rule_are_refused():
    network = tg.Network.create([2, 2], seed=0)
    with pytest.raises(ValueError, match="inputs must be rows of length 2"):
        network.compile().train([[1.0]], [0], 1)
    with pytest.raises(TypeError, match="an update that is compiled needs a rule"):
        network.train([[1.0, 2.0]], [0], 1, update=lambda parameters, counts: None, compiled=True)


def test_an_activation_that_branches_on_data_is_named():
    network = tg.Network([tg.Layer([tg.Neuron([1.0], 0.0, activation=lambda z: z if z > 0.0 else 0.1 * z)])])
    with pytest.raises(TypeError, match=r"test_compiled\.py:\d+: while compiling"):
        network.train([[1.0]], [[0.0]], 2, compiled=True)
    assert math.isfinite(network.train([[1.0]], [[0.0]], 2).mean_squared_error[0])


def test_compiling_leaves_the_network_as_it_was():
    network = network_from(recovered_start())
    network.train(DATASET, LABELS, 1)
    before, shown = state(network), repr(network)
    assert network.printed_epoch().source.startswith("import math")
    assert (state(network), repr(network)) == (before, shown)


def test_the_articles_epoch_is_the_golden_page(capsys):
    assert cli.main(["compile", "article"]) == 0
    assert capsys.readouterr().out == GOLDEN.read_text("utf-8"), "tinygrad-edu compile article > " + GOLDEN.name


def test_the_command_prints_matrices_and_chinese_comments(capsys):
    assert cli.main(["compile", "article", "--kind", "dense", "--language", "zh"]) == 0
    printed = capsys.readouterr().out
    assert "# 前向：第 0 层" in printed
    assert "d_sum_1 = d_output_1 * (output_1 * (one - output_1))" in printed


def test_on_epoch_sees_the_weights_of_each_epoch():
    seen = {}
    for compiled in (False, True):
        network = network_from(recovered_start())
        seen[compiled] = []
        note = lambda epoch, history, n=network, c=compiled: seen[c].append([p.data for p in n.parameters()])  # noqa: E731
        network.train(DATASET, LABELS, 4, on_epoch=note, compiled=compiled)
    assert seen[False] == seen[True]


def test_a_trainer_prints_once_and_again_where_something_changed(monkeypatch):
    network = network_from(recovered_start())
    trainer, printed = network.compile(), []
    original = nn_compiled.epoch_of
    monkeypatch.setattr(nn_compiled, "epoch_of", lambda *args, **more: printed.append(1) or original(*args, **more))
    update = tg.nn.SGD(0.5)
    for _ in range(3):
        trainer.train(DATASET, LABELS, 2, update=update)
        trainer.train(DATASET, LABELS, 2)
    update.rate = 0.25  # the rate is an argument of the source
    trainer.train(DATASET, LABELS, 2, update=update)
    assert len(printed) == 1
    network.layers[0].neurons[0].activation = tg.tanh
    trainer.train(DATASET, LABELS, 2, update=update)
    assert len(printed) == 2
    assert "output_0_0 = math.tanh(sum_0_0)" in trainer.source
    trainer.train(DATASET, LABELS, 2, update=tg.nn.ArticleUpdate(0.25))
    trainer.train(DATASET, LABELS, 2, update=tg.nn.ArticleUpdate(0.25), loss=tg.nn.mean_squared_error)
    trainer.train(DATASET, LABELS, 2, update=tg.nn.SGD(0.25, momentum=0.5))
    assert len(printed) == 5


def test_the_table_in_the_docs_has_lines_of_both_programs():
    root = Path(__file__).parent.parent.parent
    by_hand = (root / "tinygrad_edu" / "article" / "by_hand.py").read_text("utf-8")
    printed = {line.strip() for line in GOLDEN.read_text("utf-8").splitlines()}
    table = (root / "docs" / "compiling.md").read_text("utf-8").partition("| by hand | compiled |")[2]
    rows = [line.split(" | ") for line in table.partition("\n\n")[0].splitlines()[2:]]
    assert len(rows) > 10
    for ours, compiled in rows:
        for line in re.findall(r"`([^`]+)`", ours):
            assert line in by_hand
        assert set(re.findall(r"`([^`]+)`", compiled)) <= printed


def test_what_a_network_keeps_of_its_last_run_is_known_to_the_compiler_by_its_names():
    network = tg.Network.create([2, 3, 2], kind="dense", seed=0)
    kept = {*vars(network), *vars(network.layers[0])}
    assert set(LAST) <= kept
    assert not set(LAST) & {name for x in (network, network.layers[0]) for name, _ in attributes_of(x, None)}
