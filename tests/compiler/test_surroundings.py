"""What a compiled function reads beside its arguments counts at every call, or is refused with the line."""

import enum
import functools
import importlib
import itertools
import json
import operator
import os
import pickle
import random
import sys
import time
import weakref
from argparse import Namespace
from collections import OrderedDict, defaultdict
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

import tinygrad_edu as tg

SCALE = 2.0
draws = np.random.default_rng(0)
counting = itertools.count()


def with_scale(x):
    return x * SCALE


class Model:
    """An object with settings, which methods read."""

    rate = 3.0

    def __init__(self):
        self.slope = 2.0
        self.inner = SimpleNamespace(shift=1.0)

    @property
    def doubled(self):
        return 2.0 * self.slope

    def line(self, x):
        return x * self.slope + self.inner.shift

    def steep(self, x):
        return x * self.doubled * self.rate


class Shifted(Model):
    """Whose method calls the one that it hides."""

    def line(self, x):
        return super().line(x) * self.rate


def bits(x):
    return [np.asarray(tg.core.value.data_of(part)).tobytes() for part in tg.tree.leaves_of(x)]


def assert_follows(make, *changes, x=2.0):
    """A compiled function gives after each change what the function itself gives; `make` gives it and its state."""
    function, state = make()
    compiled = tg.compile(function)
    for change in (lambda _: None, *changes):
        change(state)
        assert bits(compiled(x)) == bits(function(tg.Value(x))) == bits(compiled(x))
    return compiled


def with_cell():
    k = 2.0

    def set_to(number):
        nonlocal k
        k = number

    return lambda x: x * k, set_to


def around(**state):
    """A function's maker: the state, and a function of both."""

    def make(function):
        space = SimpleNamespace(**state)
        return lambda: (lambda x: function(space, x), space)

    return make


STATES = {
    "a number in a cell": (with_cell, lambda s: s(5.0), lambda s: s(7)),
    "an attribute": (around(k=2.0)(lambda s, x: x * s.k), lambda s: setattr(s, "k", 5.0)),
    "an attribute by name": (around(k=2.0)(lambda s, x: x * getattr(s, "k")), lambda s: setattr(s, "k", 5.0)),  # noqa: B009
    "parsed options": (lambda: (lambda o: (lambda x: x * o.k, o))(Namespace(k=2.0)), lambda o: setattr(o, "k", 5.0)),
    "a list": (around(k=[2.0])(lambda s, x: x * s.k[0] + s.k[-1]), lambda s: s.k.append(5.0), lambda s: s.k.pop(0)),
    "a dict": (around(k={})(lambda s, x: x * s.k.get("a", 3.0)), lambda s: s.k.update(a=1.0)),
    "an array": (around(k=np.arange(3.0))(lambda s, x: x * s.k), lambda s: s.k.sort(), lambda s: s.k.fill(4.0)),
    "nan and signed zeros": (around(k=0.0)(lambda s, x: tg.arctan2(s.k * x, -x)), lambda s: setattr(s, "k", -0.0)),
    "another function": (around(k=lambda x: x)(lambda s, x: s.k(x)), lambda s: setattr(s, "k", lambda x: 2.0 * x)),
    "an operation": (around(k=tg.tanh)(lambda s, x: s.k(x)), lambda s: setattr(s, "k", tg.sin)),
    "a partial function": (
        around(k=functools.partial(tg.leaky_relu, slope=0.1))(lambda s, x: s.k(-x)),
        lambda s: setattr(s, "k", functools.partial(tg.leaky_relu, slope=0.2)),
    ),
    "a method": (lambda: (lambda m: (m.line, m))(Model()), lambda m: setattr(m, "slope", 5.0)),
    "an object in an object": (lambda: (lambda m: (m.line, m))(Model()), lambda m: setattr(m.inner, "shift", 5.0)),
    "what super leads to": (
        lambda: (lambda m: (m.line, m))(Shifted()),
        lambda m: setattr(m.inner, "shift", 5.0),
        lambda m: setattr(m, "rate", 7.0),
    ),
    "a property": (lambda: (lambda m: (m.steep, m))(Model()), lambda m: setattr(m, "slope", 5.0)),
    "an attribute that hides its class's": (
        lambda: (lambda m: (m.steep, m))(Model()),
        lambda m: setattr(m, "rate", 5.0),
    ),
    "a default": (lambda: (lambda f: (f, f))(lambda x, k=2.0: x * k), lambda f: setattr(f, "__defaults__", (5.0,))),
    "a Value's number": (around(w=tg.Value(2.0))(lambda s, x: x * s.w), lambda s: setattr(s.w, "data", 5.0)),
    "a Value's form": (around(w=tg.Value(2.0))(lambda s, x: x * s.w), lambda s: setattr(s.w, "data", np.ones(2))),
    "another Value": (around(w=tg.Value(2.0))(lambda s, x: x * s.w), lambda s: setattr(s, "w", tg.Value(5.0))),
    "a Value's slope": (
        around(w=tg.Value(2.0))(lambda s, x: tg.gradients(x * s.w * s.w, [s.w])[0]),
        lambda s: setattr(s.w, "data", 5.0),
    ),
}


@pytest.mark.parametrize("name", STATES)
def test_a_change_counts_at_the_next_call(name):
    make, *changes = STATES[name]
    assert_follows(make, *changes)


def test_globals_of_the_function_and_of_those_it_calls_count(monkeypatch):
    compiled = tg.compile(lambda x: with_scale(x) + 1.0)
    assert compiled(3.0) == 7.0
    monkeypatch.setitem(globals(), "SCALE", 4.0)
    assert compiled(3.0) == 13.0
    monkeypatch.setitem(globals(), "with_scale", lambda x: -x)
    assert compiled(3.0) == -2.0


def test_a_networks_weights_layers_and_activations_count():
    def make():
        network = tg.Network.create([2, 3, 1], kind="dense", seed=0)
        return network.feed_forward, network

    assert_follows(
        make,
        lambda n: setattr(n.layers[0].weights, "data", np.ones((3, 2))),
        lambda n: setattr(n.layers[0], "activation", tg.relu),
        lambda n: setattr(n.layers[0], "activation", functools.partial(tg.leaky_relu, slope=0.1)),
        lambda n: setattr(n.layers[0], "activation", functools.partial(tg.leaky_relu, slope=0.2)),
        lambda n: setattr(n.layers[0], "weights", tg.Value(np.full((3, 2), 0.5))),
        lambda n: n.layers.__setitem__(1, tg.Dense(np.ones((1, 3)), np.ones(1), tg.tanh)),
        x=np.array([0.5, 0.25]),
    )


def test_a_value_from_outside_is_an_input_and_not_a_reason_to_record_anew():
    w = tg.Value(2.0, "w")
    compiled = tg.compile(lambda x: x * w)
    for number in (2.0, 3.0, 4.0):
        w.data = number
        assert compiled(5.0) == 5.0 * number
    assert len(compiled.made) == 1
    assert "def compiled(x, w):" in compiled.source


def counted(x):
    global SCALE
    SCALE += 1.0
    return x if SCALE > 99.0 else 2.0 * x


def kept():
    state = SimpleNamespace(velocity=None)

    def momentum(x):
        state.velocity = x if state.velocity is None else 0.9 * state.velocity + x
        return state.velocity

    return momentum


def appending(x, seen=[]):  # noqa: B006
    seen.append(x)
    return 2.0 * x


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x * np.random.rand(),
        lambda x: x * draws.random(),
        lambda x: x * 2.0 if draws.random() < 1e-9 else x,
        lambda x: x * 2.0 if random.random() < 1e-9 else x,
        lambda x: x * float(next(counting)),
        lambda x: x * time.perf_counter(),
        lambda x: x * np.random.default_rng().random(),
        counted,
        kept(),
        appending,
    ],
    ids=[
        "numpy",
        "a generator",
        "a rare branch",
        "Python",
        "counting",
        "a clock",
        "a new generator",
        "a global",
        "kept",
        "a list",
    ],
)
def test_what_is_drawn_counted_or_kept_is_an_error_that_names_the_line(function, monkeypatch):
    monkeypatch.setitem(globals(), "SCALE", 2.0)
    with pytest.raises(TypeError, match=r"test_surroundings\.py:\d+: while compiling, "):
        tg.compile(function)(2.0)


def test_a_draw_with_a_fixed_seed_is_a_constant():
    compiled = tg.compile(lambda x: x * np.random.default_rng(0).random(3))
    for x in (1.0, 2.0):
        assert compiled(x).tolist() == (x * np.random.default_rng(0).random(3)).tolist()


@pytest.mark.parametrize("read", [lambda w: w if w > 0.0 else -w, lambda w: w.item(), lambda w: w.data * 2.0])
def test_reading_a_value_from_outside_is_refused_as_an_arguments_is(read):
    w = tg.Value(2.0)
    with pytest.raises(TypeError, match=r"test_surroundings\.py:\d+: while compiling, Python reads"):
        tg.compile(lambda x: x * read(w))(1.0)


def test_a_large_array_from_outside_is_refused_and_one_in_a_value_is_an_input():
    large = np.zeros(2**18)
    with pytest.raises(TypeError, match=r"the array large of 2.1 MB from outside"):
        tg.compile(lambda x: x * large)(1.0)
    held = tg.Value(large)
    compiled = tg.compile(lambda x: (x * held).sum())
    assert compiled(1.0) == 0.0
    held.data = np.ones(2**18)
    assert compiled(1.0) == 2.0**18


def test_arguments_that_are_no_numbers_are_part_of_the_key():
    compiled = tg.compile(lambda f, x, mode="plain": f(x) if mode == "plain" else -f(x))
    double = SimpleNamespace(k=2.0)
    assert compiled(tg.tanh, 1.0) == float(np.tanh(1.0))
    assert compiled(lambda x: 3.0 * x, 1.0) == 3.0
    assert compiled(lambda x: x * double.k, 1.0, mode="other") == -2.0
    double.k = 5.0
    assert compiled(lambda x: x * double.k, 1.0, mode="other") == -5.0


@pytest.mark.parametrize(
    ("function", "calls"),
    [
        (lambda x, a=1.0, b=2.0: x * a + b, [{}, {"b": 5.0}, {"a": 3.0}]),
        (lambda x, *, scale=1.0, shift=2.0: x * scale + shift, [{"shift": 5.0}, {"scale": 3.0}, {}]),
        (lambda x, **options: x * options.get("scale", 1.0), [{"scale": 5.0}, {"other": 3.0}, {}]),
        (lambda x, *, mask=None: x if mask is None else x * mask, [{}, {"mask": np.ones(2)}, {"mask": None}]),
    ],
    ids=["after a default", "keyword-only", "**options", "None or an array"],
)
def test_arguments_by_name_count(function, calls):
    compiled = tg.compile(function)
    for named in calls:
        assert bits(compiled(2.0, **named)) == bits(function(tg.Value(2.0), **named))


def test_a_gradient_goes_through_a_compiled_function_with_keywords():
    assert tg.grad(tg.compile(lambda x, *, scale=1.0: x * x * scale))(3.0, scale=2.0) == 12.0


def no_grad_inside(x):
    with tg.no_grad():
        y = x * 2.0
    return y + x


@pytest.mark.parametrize(
    "function",
    [
        no_grad_inside,
        lambda x: x * x.detach(),
        lambda x: tg.gradients(x * tg.stop_gradient(x * x), [x])[0],
        lambda x: tg.gradients(x * x, [x], create_graph=False)[0] * 2.0,
        lambda x: tg.grad(lambda z: z * x)(2.0),
        lambda x: tg.jvp(lambda z: z * z * x, (x,), (1.0,))[1],
        lambda x: tg.vjp(lambda z: z * z * x, x)[1](1.0)[0],
        lambda x: tg.hessian(lambda z: z * z * x)(x),
        lambda x: np.linalg.slogdet(np.eye(2) * x)[0],
        lambda x: np.linalg.lstsq(np.array([[1.0], [2.0]]) * x, np.array([1.0, 1.0]), rcond=None)[1],
    ],
    ids=[
        "no_grad",
        "detach",
        "stop_gradient",
        "create_graph",
        "a closure",
        "jvp",
        "vjp",
        "hessian",
        "slogdet",
        "lstsq",
    ],
)
def test_derivatives_and_what_has_none_are_those_of_each_call(function):
    compiled = tg.compile(function)
    with tg.no_grad():  # which is no matter
        compiled(-1.5)
    for x in (2.0, -3.0):
        assert bits(compiled(x)) == bits(function(tg.Value(x)))
    assert len(compiled.made) == 1


def by_backward(x):
    y = x * x
    y.backward()
    return x.grad


def test_backward_and_checkpoints_are_refused():
    with pytest.raises(TypeError, match=r"test_surroundings\.py:\d+: while compiling, backward\(\).*tg\.gradients"):
        tg.compile(by_backward)(2.0)
    with pytest.raises(TypeError, match="a checkpoint can't be compiled"):
        tg.compile(lambda x: tg.checkpoint(tg.sin)(x))(2.0)


def test_the_same_value_twice_is_one_variable():
    def slope(a, b):
        return tg.gradients(a * b, [a])[0]

    compiled, v, w = tg.compile(slope), tg.Value(3.0), tg.Value(4.0)
    assert (compiled(v, v), compiled(v, w), compiled(w, w)) == (6.0, 4.0, 8.0)
    assert (compiled(3.0, 3.0), compiled(v, v)) == (3.0, 6.0)


def test_no_result_shares_memory_with_an_argument_or_another_result():
    held, keep = tg.Value(np.ones((2, 2))), []
    keeps = tg.operation(lambda x, /: keep.append(x * 1.0) or keep[-1], lambda g, out, x: (g,), name="keeps")
    compiled = tg.compile(lambda x: (x, x.T, x[0], held, (x * 1.0).T.reshape(-1), tg.sin(x), tg.sin(x).T, keeps(x)))
    x = np.ones((2, 2))
    for _ in range(2):
        results = compiled(x)
        for a, b in itertools.combinations([x, held.data, *keep, *results], 2):
            assert not np.may_share_memory(a, b)
    assert [np.shape(r) for r in results] == [(2, 2), (2, 2), (2,), (2, 2), (4,), (2, 2), (2, 2), (2, 2)]


def test_a_result_that_hides_its_numbers_is_refused():
    with pytest.raises(TypeError, match="a compiled function returns numbers"):
        tg.compile(lambda x: SimpleNamespace(x=x))(1.0)


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """A module of the user's, which functions import when they run."""
    (tmp_path / "settings_of_test.py").write_text("rate = 2.0\ndef scaled(x):\n    return x * rate\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "settings_of_test"
    sys.modules.pop("settings_of_test", None)


def import_module(x):
    import settings_of_test

    return x * settings_of_test.rate


def import_name(x):
    from settings_of_test import rate

    return x * rate


def import_function(x):
    from settings_of_test import scaled as f

    return f(x)


@pytest.mark.parametrize("function", [import_module, import_name, import_function])
def test_a_module_that_is_imported_within_the_function_counts_at_every_call(function, settings):
    compiled = tg.compile(function)
    assert compiled(3.0) == 6.0
    sys.modules[settings].rate = 5.0
    assert compiled(3.0) == 15.0


def test_environment_getters_references_and_shadowed_names_count_at_every_call(monkeypatch):
    monkeypatch.setenv("RATE", "2.0")
    assert_follows(lambda: (lambda x: x * float(os.environ["RATE"]), None), lambda _: monkeypatch.setenv("RATE", "4.0"))
    rate, twice = operator.attrgetter("inner.shift"), operator.methodcaller("line", 2.0)

    def of_model():
        model = Model()
        reference = weakref.ref(model)
        return lambda x: x * rate(model) * twice(model) * reference().slope, model

    assert_follows(
        of_model, lambda model: setattr(model.inner, "shift", 7.0), lambda model: setattr(model, "slope", 9.0)
    )

    def shadowed():
        space = {}
        exec("f = lambda x: abs(x)", space)
        return space["f"], space

    assert_follows(shadowed, lambda space: space.update(abs=lambda x: x * 3.0), x=-2.0)


class Permissive:
    """An object that has every attribute."""

    def __getattr__(self, name):
        return SCALE


def test_an_object_with_every_attribute_is_followed(monkeypatch):
    anything = Permissive()
    compiled = tg.compile(lambda x: x * anything.rate)
    assert compiled(3.0) == 6.0
    monkeypatch.setitem(globals(), "SCALE", 5.0)
    assert compiled(3.0) == 15.0


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (lambda x: x * globals()["SCALE"], "globals"),
        (lambda x: x * eval("SCALE"), "eval"),
        (lambda x: x * importlib.import_module("math").pi, "import_module"),
        (lambda x: x * sys.modules["math"].pi, "modules"),
        (lambda x: x * with_scale.__globals__["SCALE"], "__globals__"),
    ],
)
def test_names_by_which_anything_may_be_read_are_refused(function, name):
    with pytest.raises(TypeError, match=rf"test_surroundings\.py:\d+: while compiling, <lambda> uses {name}"):
        tg.compile(function)(1.0)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: float(f"{x:.1f}"), "is to become a text"),
        (lambda x: pickle.loads(pickle.dumps(x)), "while compiling"),
        (lambda x: np.std([x, 2.0 * x]), r"while compiling, .*tg\.std"),
        (lambda x: np.float64(x), "leave float64"),
        (lambda x: json.loads(json.dumps(x)), r"while compiling, .*v\.item"),
        (lambda x: np.add(x, 1.0, out=np.zeros(())), r"while compiling, np\.add with out="),
    ],
)
def test_what_numpy_or_python_makes_of_an_error_names_the_line_and_what_to_write(function, message):
    with pytest.raises(TypeError, match=rf"test_surroundings\.py:\d+: .*{message}"):
        tg.compile(function)(3.14)


def test_an_error_of_the_functions_own_stays_as_it_is():
    def checked(x, n):
        if n < 0:
            raise ValueError("n must not be negative")
        return x * n

    with pytest.raises(ValueError, match=r"^n must not be negative$"):
        tg.compile(checked)(1.0, -1)


def test_whole_numbers_that_floats_do_not_tell_apart_are_compared_by_python():
    compiled = tg.compile(lambda x, n: np.where(n == 2**53, x, -x))
    assert [compiled(3.0, n) for n in (2**53 + 1, 2**53, 5)] == [-3.0, 3.0, -3.0]


def test_what_another_thread_computes_is_refused():
    with ThreadPoolExecutor(1) as pool, pytest.raises(TypeError, match=r"while compiling, <lambda> computes .* thread"):
        tg.compile(lambda x: pool.submit(lambda: x * x).result())(3.0)


def test_a_value_from_outside_may_be_made_of_an_argument():
    w = tg.Value(3.0)
    made = w * w
    function = lambda v: tg.gradients(made * v, [v])[0]  # noqa: E731
    assert bits(tg.compile(function)(w)) == bits(function(w))


def test_no_number_is_none_or_a_text():
    compiled = tg.compile(lambda x: x if x == None else 2.0 * x if x != "a" else 0.0)  # noqa: E711
    assert (compiled(1.0), compiled(3.0)) == (2.0, 6.0)


def test_shapes_and_names_of_values_from_outside_classes_and_code_count_at_every_call():
    def of_value(make):
        w = tg.Value(np.ones(2), "w")
        return lambda: (make(w), w)

    longer = lambda w: setattr(w, "data", np.ones(4))  # noqa: E731
    assert_follows(of_value(lambda w: lambda x: x * w.shape[0] * len(w)), longer)
    assert_follows(of_value(lambda w: lambda x: x * w.dtype.itemsize), lambda w: setattr(w, "data", np.float32([1, 1])))
    assert_follows(of_value(lambda w: lambda x: x * len(w.name)), lambda w: setattr(w, "name", "weight"))

    def of_model():
        model = Model()
        return lambda x: model.line(x), model

    assert_follows(of_model, lambda model: setattr(model, "__class__", Shifted))

    def of_code():
        def inner(x, times=1.0):
            return x * times

        return lambda x: inner(x), inner

    assert_follows(
        of_code,
        lambda inner: setattr(inner, "__defaults__", (3.0,)),
        lambda inner: setattr(inner, "__code__", (lambda x, times=1.0: x - times).__code__),
    )


class Kind(enum.IntEnum):
    ROUND = 1
    FLAT = 2


class Metres(float):
    """A number of a class of the user's."""


@pytest.mark.parametrize(
    ("function", "calls"),
    [
        (lambda x, kind: x * kind if kind is Kind.ROUND else -x, [(1.0, Kind.ROUND), (1.0, Kind.FLAT)]),
        (lambda x: 2.0 * x, [(Metres(2.0),), (Metres(3.0),)]),
        (lambda d: d["a"] + d.get("b", 1.0), [(defaultdict(float, a=1.0),), (defaultdict(float, a=3.0),)]),
        (lambda d: d["a"] * next(iter(reversed(d.values()))), [(OrderedDict(a=1.0, b=5.0),)]),
    ],
)
def test_numbers_dicts_and_enums_of_other_classes_are_arguments(function, calls):
    compiled = tg.compile(function)
    assert [compiled(*arguments) for arguments in calls] == [function(*arguments) for arguments in calls]


def test_an_argument_that_is_none_of_what_is_taken_is_named():
    with pytest.raises(TypeError, match=r"s: data must be real numbers, got set.*; a compiled function takes numbers"):
        tg.compile(lambda x, s: x * len(s))(1.0, {1, 2})
