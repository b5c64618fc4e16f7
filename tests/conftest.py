"""What all tests share. Hypothesis draws without a deadline, since the machine may be busy."""

import shutil
from unittest import mock

import numpy as np
import pytest
from hypothesis import settings

import tinygrad_edu as tg
from tinygrad_edu.compiler import memory, program


def pytest_addoption(parser):
    parser.addoption(
        "--fuzz", type=float, default=0.0, metavar="MINUTES", help="draw new random programs for so many minutes"
    )


settings.register_profile("default", deadline=None)
settings.load_profile("default")


@pytest.fixture
def assert_compiles():
    """That a function and its gradients, recorded for some inputs, equal the eager run of others to the bit."""

    def curved(f):
        def function(*inputs):
            out = f(*inputs)
            return out, tg.gradients((out * out).sum() if out.ndim else out * out, inputs)

        return function

    def same_bits(x, y):
        x, y = np.asarray(tg.core.value.data_of(x)), np.asarray(tg.core.value.data_of(y))
        return x.shape == y.shape and x.dtype == y.dtype and x.tobytes() == y.tobytes()

    def check(f, inputs):
        function = curved(f)
        expected = tg.tree.leaves_of(function(*map(tg.Value, inputs)))
        for large in (memory.LARGE, 0):  # as expressions, and every array in memory that is used again
            with mock.patch.object(memory, "LARGE", large), mock.patch.object(program, "KEPT", large):
                compiled = tg.compile(function)
                compiled(*(np.flip(x) if isinstance(x, np.ndarray) else x for x in inputs))
                for ours, theirs in zip(tg.tree.leaves_of(compiled(*inputs)), expected, strict=True):
                    assert same_bits(ours, theirs)

    return check


@pytest.fixture(name="program", params=["dot", "graphviz-pure"])
def program_that_draws(request, monkeypatch):
    """Pictures are drawn by this program."""
    if request.param == "dot" and shutil.which("dot") is None:
        pytest.skip("no system dot")
    if request.param == "graphviz-pure":
        found = shutil.which
        monkeypatch.setattr(shutil, "which", lambda name, path=None: None if name == "dot" else found(name, path=path))
    return request.param
