"""Compiled functions among threads, profilers and processes; what they let go; and names, which are never code."""

import cProfile
import gc
import os
import signal
import sys
import threading
import weakref
from types import SimpleNamespace

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu.compiler.compiled import MOST


def test_networks_objects_and_values_are_let_go_with_their_recordings():
    compiled = tg.compile(lambda holder, x: x * holder.w if hasattr(holder, "w") else holder(x))
    holders = [tg.Network.create([2, 1], kind="dense", seed=0), SimpleNamespace(w=tg.Value(2.0))]
    for holder in holders:
        compiled(holder, np.ones(2))
        compiled(holder, np.ones(2))
    gone = [weakref.ref(holders[0]), weakref.ref(holders[0].layers[0].weights), weakref.ref(holders[1].w)]
    holders.clear()
    del holder
    compiled(tg.sin, np.ones(2))
    gc.collect()
    assert [ref() for ref in gone] == [None] * 3
    assert len(compiled.made) == 1


def test_of_many_shapes_those_used_last_are_kept():
    compiled = tg.compile(lambda x: x * 2.0)
    for n in range(1, 2 * MOST):
        compiled(np.ones(n))
        compiled(2.0)
    assert len(compiled.made) == MOST
    recordings = set(map(id, compiled.made.values()))
    compiled(2.0)
    assert recordings == set(map(id, compiled.made.values()))


def test_the_first_call_may_run_under_a_profiler():
    profile = cProfile.Profile()
    profile.enable()
    compiled = tg.compile(lambda x: tg.sin(x) * 2.0)
    assert compiled(0.0) == 0.0
    profile.disable()
    events = []
    sys.setprofile(lambda *event: events.append(event))
    try:
        assert tg.compile(lambda x: x * 3.0)(1.0) == 3.0
        still = sys.getprofile()
    finally:
        sys.setprofile(None)
    assert still is not None
    assert events


def test_the_first_call_may_come_from_several_threads():
    for _ in range(5):
        compiled, results = tg.compile(lambda x, n: sum(tg.sin(x) * float(i) for i in range(6)) * n), []

        def run(x, compiled=compiled, results=results):
            eager = sum(tg.sin(tg.Value(x)) * float(i) for i in range(6)) * 2  # of floats Python 3.12's sum is exact
            results.append(compiled(x, 2) == eager.item())

        threads = [threading.Thread(target=run, args=(float(x),)) for x in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [True] * 6


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_process_may_be_forked_while_a_thread_records():
    recording, go_on = threading.Event(), threading.Event()

    def slow(x):
        recording.set()
        go_on.wait(0.2)
        return x * 2.0

    compiled = tg.compile(slow, static=True)  # which runs once
    thread = threading.Thread(target=compiled, args=(1.0,))
    thread.start()
    assert recording.wait(10.0)
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        os._exit(0 if compiled(3.0) == 6.0 else 1)
    go_on.set()
    _, status = os.waitpid(child, 0)
    thread.join()
    assert status == 0


NAMES = [
    "a\nb",
    "'''",
    '"',
    "class",
    "None",
    "math",
    "np",
    "exp",
    "float",
    "int",
    "import os",
    "ｐｒｉｎｔ",
    "ﬁ",
    "x\r\u2028y",
]
NAMES += [
    "layers[0\nprint()\n#]",
    "layers[0]\n",
    "#",
    "{0}",
    "%s",
    "",
    "1x",
    "x\\",
    "lambda",
    "tinygrad_edu",
    "constant",
]


def in_a_group(name):
    def f(x):
        with tg.group(name):
            return tg.exp(x) * tg.sigmoid(x)

    return f


def named_values(name):
    def f(x):
        y = tg.exp(x)
        z = tg.sin(y) * y
        y.name = z.name = name
        return z + y

    return f


def named_function(name):
    def f(x):
        return tg.exp(x) + tg.maximum(x, 0.1)

    f.__name__ = name
    return f


def named_outside(name):
    w = tg.Value(0.5, name)
    return lambda x: tg.exp(w * x) * w


def named_operation(name):
    double = tg.operation(lambda x, /, **options: 2.0 * x, lambda g, out, x, **options: (2.0 * g,), name=name)
    return lambda x: tg.gradients(tg.sum(double(tg.exp(x), **{name: 1.0})), [x])[0]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_names_are_never_code(name, capsys):
    for make in (in_a_group, named_values, named_function, named_outside, named_operation):
        for x in (0.5, np.array([0.25, 0.75]), np.full(2**11, 0.5)):
            f = make(name)
            compiled = tg.compile(f)
            assert np.asarray(compiled(x)).tobytes() == np.asarray(f(tg.Value(x)).data).tobytes()
            if make is not named_operation:
                exec(compiled.source, {})  # it can be read, and runs by itself
    f = tg.compile(lambda **named: tg.exp(named[name]))
    assert f(**{name: 0.5}) == float(np.exp(0.5)) == tg.compile(lambda d: tg.exp(d[name]))({name: 0.5})
    assert capsys.readouterr().out == ""


def turns(n):
    def f(x):
        for i in range(n):
            with tg.group(f"turn {i // 10}"), tg.group(f"step {i}"):
                x = x + 0.1 * (1 - x * x)
        return x

    return f


@pytest.mark.parametrize("x", [0.5, np.full(10, 0.5), np.full(2**11, 0.5)], ids=["number", "small", "large"])
def test_source_grows_with_the_program_and_no_faster(x):
    sizes = []
    for n in (100, 200, 400):
        compiled = tg.compile(turns(n))
        assert np.asarray(compiled(x)).tobytes() == np.asarray(turns(n)(tg.Value(x)).data).tobytes()
        sizes.append(len(compiled.source))
    assert sizes[2] - sizes[1] < 2.2 * (sizes[1] - sizes[0])


def test_parameters_that_are_numpys_numbers_are_printed_so_that_they_run():
    x = np.linspace(-1.0, 1.0, 6).reshape(2, 3)

    def f(x):
        picked = x[np.int64(1)].sum(axis=np.int64(0)) * tg.leaky_relu(x, slope=np.float64(0.1))
        return tg.cumsum(picked, axis=np.int64(1))

    compiled = tg.compile(f)
    expected = f(tg.Value(x)).data
    assert compiled(x).tobytes() == expected.tobytes()
    space = {}
    exec(compiled.source, space)
    assert space["f"](x)[0].tobytes() == expected.tobytes()
