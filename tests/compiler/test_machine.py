"""The backend "numba": machine code with the same bits as Python, and a warning where that can't be had."""

import itertools
import math
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_edu as tg
from tinygrad_edu.article import DATASET, LABELS, XOR_DATASET, XOR_TARGETS, network_from, recovered_start

pytest.importorskip("numba")

from tinygrad_edu.compiler import machine

SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 5e-324, 1e-310, 1e308, -1e308, math.inf, -math.inf, math.nan, 710.0, -710.0]


def bits(x):
    return "nan" if x != x else float(x).hex()


def in_machine_code(compiled):
    return all(hasattr(recording.run, "py_func") for recording in compiled.made.values())


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    "function",
    [
        lambda x, y: x + y - x * y,
        lambda x, y: tg.divide(x, y),
        lambda x, y: tg.sigmoid(x * y) - tg.tanh(x),
        lambda x, y: tg.exp(x) * tg.log(y),
        lambda x, y: tg.sqrt(x) / (y - 1.0),
        lambda x, y: tg.sin(x) + tg.cos(y),
        lambda x, y: tg.relu(x) + tg.leaky_relu(y) + tg.maximum(x, y) + tg.silu(x),
        lambda x, y: tg.where(x > y, x * x, -y),
    ],
)
def test_functions_and_gradients_have_the_bits_of_the_eager_run_on_special_values(function):
    def f(x, y):
        out = function(x, y)
        return out, tg.gradients(out, [x, y])

    compiled = tg.compile(f, backend="numba")
    for x, y in itertools.product(SPECIAL, SPECIAL):
        ours = tg.tree.leaves_of(compiled(x, y))
        eager = tg.tree.leaves_of(f(tg.Value(x), tg.Value(y)))
        assert [bits(v) for v in ours] == [bits(v.data) for v in eager], (x, y)
    assert in_machine_code(compiled)


def state(network):
    return [(bits(p.data), bits(p.grad)) for p in network.parameters()]


@pytest.mark.parametrize("update", [tg.nn.SGD, tg.nn.ArticleUpdate])
@pytest.mark.parametrize("loss", [tg.nn.half_squared_error, tg.nn.mean_squared_error])
def test_the_articles_run_and_xor_leave_the_same_bits(update, loss):
    for make, rows, targets, epochs in (
        (lambda: network_from(recovered_start()), DATASET, LABELS, 40),
        (lambda: tg.Network.create([2, 3, 2], seed=1), XOR_DATASET, XOR_TARGETS, 100),
    ):
        eager, ours = make(), make()
        first = eager.train(rows, targets, epochs, update=update(0.3), loss=loss)
        second = ours.compile(backend="numba").train(rows, targets, epochs, update=update(0.3), loss=loss)
        assert state(eager) == state(ours)
        assert first.mean_squared_error == second.mean_squared_error
        assert first.metrics == second.metrics


@settings(max_examples=4)
@given(st.lists(st.integers(1, 4), min_size=2, max_size=5), st.integers(0, 999), st.integers(1, 3))
def test_networks_of_1_to_4_layers_leave_the_same_bits(sizes, seed, n_rows):
    rng = np.random.default_rng(seed)
    rows, targets = rng.normal(size=(n_rows, sizes[0])), rng.random((n_rows, sizes[-1]))
    eager, ours = (tg.Network.create(sizes, seed=seed) for _ in range(2))
    eager.train(rows, targets, 3)
    ours.train(rows, targets, 3, compiled="numba")
    assert state(eager) == state(ours)


@pytest.mark.filterwarnings("ignore:.* encountered in:RuntimeWarning")
def test_a_loss_that_is_not_finite_raises_the_networks_error_and_leaves_its_weights():
    def make():
        return tg.Network([tg.Layer([tg.Neuron([0.5], 0.25, activation=lambda z: z * z)])])

    found = []
    for compiled in (False, "numba"):
        network, seen = make(), []
        note = lambda epoch, history, seen=seen: seen.append(epoch)  # noqa: E731
        with pytest.raises(FloatingPointError, match="at epoch") as error:
            network.train([[1.0], [2.0], [3.0]], [[1.0], [2.0], [3.0]], 50, on_epoch=note, compiled=compiled)
        found.append((str(error.value), seen, [bits(p.data) for p in network.parameters()]))
    assert found[0] == found[1]


cube = tg.operation(lambda x: x * x * x, lambda g, out, x: (g * (3.0 * x * x),), name="cube")


@pytest.mark.parametrize(
    ("function", "args", "reason"),
    [
        (lambda x: cube(x) + 1.0, (2.0,), "the operation cube is a function that isn't printed"),
        (lambda x: tg.logaddexp(x, 0.0), (2.0,), "the operation logaddexp is a function that isn't printed"),
        (lambda x: x * 2.0, (np.ones(2),), "it computes with arrays"),
        (lambda x: x**3, (2.0,), "numba's power isn't Python's in the last bit"),
        (lambda x, y: tg.hypot(x, y), (0.1, 0.7), "numba's hypot isn't Python's in the last bit"),
    ],
)
def test_what_would_not_have_the_same_bits_runs_in_python_with_a_warning(function, args, reason, monkeypatch):
    known = machine.agrees
    monkeypatch.setattr(machine, "agrees", lambda name, n: name != "hypot" and known(name, n))
    compiled = tg.compile(function, backend="numba")
    with pytest.warns(RuntimeWarning, match=reason) as warned:
        result = compiled(*args)
    assert warned[0].filename == __file__, "the warning names the user's call"
    assert np.array_equal(result, function(*map(tg.Value, args)).data)
    assert not in_machine_code(compiled)


def test_a_dense_network_is_trained_in_python_with_a_warning():
    eager, ours = (network_from(recovered_start(), "dense") for _ in range(2))
    eager.train(DATASET, LABELS, 3)
    with pytest.warns(RuntimeWarning, match="it computes with arrays") as warned:
        ours.train(DATASET, LABELS, 3, compiled="numba")
    assert warned[0].filename == __file__
    assert [p.data.tolist() for p in eager.parameters()] == [p.data.tolist() for p in ours.parameters()]


def test_functions_are_compared_number_by_number(monkeypatch):
    assert machine.agrees("exp", 1)
    assert machine.agrees("log", 1)
    ours = machine.compiled
    monkeypatch.setattr(machine, "compiled", lambda *args: lambda x: ours(*args)(x) * (1.0 + 2.0**-52 * (x > 9.0)))
    machine.agrees.cache_clear()
    assert not machine.agrees("exp", 1)
    machine.agrees.cache_clear()


def test_what_is_missing_or_unknown_is_named(monkeypatch):
    with pytest.raises(ValueError, match='backend must be "python" or "numba", got \'cuda\''):
        tg.compile(lambda x: x, backend="cuda")
    network = tg.Network.create([2, 2], seed=0)
    with pytest.raises(ValueError, match="backend must be"):
        network.compile(backend="cuda")
    before = state_of_weights(network)
    with pytest.raises(ValueError, match="compiled must be"):
        network.train([[1.0, 2.0]], [0], 1, compiled="cuda")
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(ImportError, match=r'pip install "tinygrad_edu\[numba\]"'):
        network.train([[1.0, 2.0]], [0], 1, compiled="numba")
    assert state_of_weights(network) == before


def state_of_weights(network):
    return [p.data for p in network.parameters()]


OPERATIONS = [
    lambda x, y: x + y,
    lambda x, y: x - y,
    lambda x, y: x * y,
    lambda x, y: tg.divide(x, y),
    lambda x, y: tg.sigmoid(x - y),
    lambda x, y: tg.tanh(x),
    lambda x, y: tg.maximum(x, -y),
    lambda x, y: tg.where(x > y, x, 0.5 * y),
]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@settings(max_examples=12)
@given(
    st.lists(st.tuples(st.sampled_from(range(8)), st.integers(0, 31), st.integers(0, 31)), min_size=5, max_size=30),
    st.lists(st.floats(-3.0, 3.0) | st.sampled_from(SPECIAL), min_size=2, max_size=2),
)
def test_drawn_programs_have_the_bits_of_the_eager_run(steps, numbers):
    def f(*inputs):
        made = list(inputs)
        for kind, i, j in steps:
            made.append(OPERATIONS[kind](made[i % len(made)], made[j % len(made)]))
        return made[-1], tg.gradients(made[-1], inputs)

    compiled = tg.compile(f, backend="numba")
    for k in range(3):
        args = [x + k for x in numbers]
        ours, eager = tg.tree.leaves_of(compiled(*args)), tg.tree.leaves_of(f(*map(tg.Value, args)))
        assert [bits(v) for v in ours] == [bits(v.data) for v in eager]
    assert in_machine_code(compiled)
