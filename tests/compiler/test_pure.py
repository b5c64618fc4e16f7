"""A pure source: nothing is written in place, so that it runs under another library's functions too."""

import re
from unittest import mock

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu.compiler import memory


def step(network, rows, targets):
    loss = tg.nn.half_squared_error(network(rows), targets)
    slopes = tg.gradients(loss, network.parameters())
    return loss, [p - 0.1 * slope for p, slope in zip(network.parameters(), slopes, strict=True)], rows


def case():
    rng = np.random.default_rng(0)
    network = tg.Network.create([20, 16, 4], kind="dense", seed=0)
    return network, rng.normal(size=(200, 20)) * 100.0, rng.random((200, 4))


def flat(results):
    return [np.asarray(x) for x in tg.tree.leaves_of(results)]


@pytest.mark.parametrize("large", [memory.LARGE, 0])
def test_a_pure_source_gives_the_same_bits_and_writes_nothing_in_place(large):
    with mock.patch.object(memory, "LARGE", large):
        pure, usual = tg.compile(step, pure=True), tg.compile(step)
        args = case()
        for ours, theirs in zip(flat(pure(*args)), flat(usual(*args)), strict=True):
            assert ours.tobytes() == theirs.tobytes()
            assert not np.may_share_memory(ours, args[1])
    assert "out=" in usual.source
    assert not re.search(r"out=|[-+*/]=|np.empty|tinygrad_edu", pure.source)


def test_what_is_no_function_of_numpys_is_refused_by_name():
    with pytest.raises(TypeError, match="cumsum is a function that isn't printed: the source can't be pure"):
        tg.compile(tg.cumsum, pure=True)(np.ones(3))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_pure_source_runs_under_jax():
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    pure, (network, rows, targets) = tg.compile(step, pure=True), case()
    rows = rows / 100.0
    expected = flat(pure(network, rows, targets))
    space = {}
    exec(pure.source.replace("import numpy as np", "import jax.numpy as np"), space)
    found = jax.jit(space["step"])(*(p.data for p in network.parameters()), rows, targets)
    for ours, theirs in zip(flat(found), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)
