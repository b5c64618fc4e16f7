"""`follow`: plain numpy code that changes arrays in place has the derivatives that differences say; nothing is lost."""

import abc
import math
import random
import sys
import types
from collections import OrderedDict
from types import SimpleNamespace

import numpy as np
import pytest

import tinygrad_edu as tg

RNG = np.random.default_rng(1)
WEIGHTS = RNG.normal(size=(3, 4))
TABLE = {"scale": np.array([1.0, 2.0, 3.0]), "picks": [0, 2, 2]}


def conv_naive(x, k):
    h, w = x.shape
    out = np.zeros((h - 2, w - 2))
    for i in range(h - 2):
        for j in range(w - 2):
            out[i, j] = np.sum(x[i : i + 3, j : j + 3] * k)
    out[out < 0] = 0
    return np.sum(out**2)


def max_pool(x):
    n, c, h, w = x.shape
    out = np.zeros((n, c, h // 2, w // 2))
    for a in range(n):
        for b in range(c):
            for i in range(h // 2):
                for j in range(w // 2):
                    out[a][b][i][j] = np.max(x[a, b, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2])
    return np.sum(out.reshape(n, -1) ** 2)


def softmax_loss(x):
    e = np.exp(x - np.max(x, axis=1, keepdims=True))
    e /= e.sum(axis=1, keepdims=True)
    p = e.copy()
    p[np.arange(3), [0, 1, 2]] -= 1
    return np.sum(p**2) - np.log(e[range(3), [1, 1, 0]]).mean()


def views_of_one_array(x):
    a = np.zeros((2, 3))
    flat, turned = a.reshape(-1), a.T
    a[0] = x[:3]
    flat[3:] = x[3:] ** 2
    turned[0, 1] = x[0] * x[1]
    before = flat[2] + turned[2, 1]
    a *= 2
    row = a[1]
    row -= row.mean()
    return np.sum(flat * flat) + before + np.sum(turned)


def overwritten_and_added(x):
    out = np.zeros(6)
    for i in range(4):
        out[i : i + 3] += x[i] * np.arange(3)
    out[[0, 0, 1]] = x[:3]
    np.add.at(out, [5, 5, 4], x[1:])
    return np.sum(out**2)


def math_and_floats(x):
    total, seen = 0.0, []
    for number in x:
        seen.append(1 / (1 + math.exp(-number)))
        total += seen[-1] ** 2
    return float(total) + np.array(seen).sum() + WEIGHTS.dot(x).sum() + max(x[0], x[1]) + abs(x[2])


def masks_and_out(x):
    y = x.copy()
    y[y < 0] *= 0.1
    z = np.zeros_like(x)
    z[x > 0] = x[x > 0]
    np.maximum(y, 0.2, out=y)
    np.copyto(z, x * 2, where=x > 1)
    for i, number in enumerate(x):
        z[i] += number * number
    return (y * z).sum()


def lists_and_vectorize(x):
    elu = np.vectorize(lambda a: a if a > 0 else math.exp(a) - 1)
    total = 0.0
    for (i, j), number in np.ndenumerate(x):
        total += number**2 * (i + 2 * j)
    rows = [[x[0, 0], x[0, 1]], [x[1, 0], 2.0]]
    return total + elu(x).sum() + np.array(rows).dot(x).sum() + np.float64(x[0, 0])


def globals_and_dicts(x):
    parameters = {"a": x * TABLE["scale"]}
    parameters["a"][0] = 1.0
    return parameters["a"] @ x + np.sum(x[TABLE["picks"]] ** 2) + isinstance(x, np.ndarray)


def recurrent(x, w):
    h = np.zeros(3)
    states = np.zeros((len(x), 3))
    for t in range(len(x)):
        h = np.tanh(x[t] + h @ w)
        states[t] = h
    return np.sum(states[1:] * states[:-1])


FUNCTIONS = [
    (conv_naive, (6, 6), (3, 3)),
    (max_pool, (2, 2, 4, 4)),
    (softmax_loss, (3, 4)),
    (views_of_one_array, (6,)),
    (overwritten_and_added, (4,)),
    (math_and_floats, (4,)),
    (masks_and_out, (6,)),
    (lists_and_vectorize, (2, 2)),
    (globals_and_dicts, (3,)),
    (recurrent, (4, 3), (3, 3)),
]


def differences(f, args, i):
    g = np.zeros_like(args[i])
    for at in np.ndindex(g.shape):
        ends = []
        for h in (1e-6, -1e-6):
            moved = [x.copy() for x in args]
            moved[i][at] += h
            ends.append(f(*moved))
        g[at] = (ends[0] - ends[1]) / 2e-6
    return g


@pytest.mark.parametrize(
    ("f", "shapes"), [(f, shapes) for f, *shapes in FUNCTIONS], ids=lambda x: getattr(x, "__name__", "")
)
def test_followed_gradients_equal_differences_and_nothing_is_changed(f, shapes):
    args = [RNG.normal(size=shape) for shape in shapes]
    kept = [x.copy() for x in args]
    gradients = tg.grad(tg.follow(f), tuple(range(len(args))))(*args)
    for i, g in enumerate(gradients):
        np.testing.assert_allclose(g, differences(f, args, i), rtol=1e-6, atol=1e-7)
    for x, before in zip(args, kept, strict=True):
        np.testing.assert_array_equal(x, before)
    assert type(TABLE["scale"]) is type(WEIGHTS) is np.ndarray


def test_a_followed_function_gives_its_own_results_on_plain_numbers():
    x = RNG.normal(size=(3, 4))
    assert tg.follow(softmax_loss)(x) == softmax_loss(x)


def test_second_derivatives_go_through_what_was_filled():
    def f(x):
        out = np.zeros(3)
        for i in range(3):
            out[i] = x[i] ** 3
        return np.sum(out)

    x = np.array([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(tg.hessian(tg.follow(f))(x), np.diag(6 * x))


class Layer:
    def __init__(self, weights):
        self.weights, self.cache = weights, None

    def relu(self, z):
        return np.maximum(z, 0)

    def forward(self, x):
        self.cache = x
        return self.relu(x.dot(self.weights)).sum() ** 2


def test_methods_of_objects_are_followed_and_the_objects_stay_as_they_are():
    layer, x = Layer(RNG.normal(size=(4, 3))), RNG.normal(size=(5, 4))
    g = tg.grad(tg.follow(layer.forward))(x)
    np.testing.assert_allclose(g, differences(lambda x: Layer(layer.weights).forward(x), [x], 0), rtol=1e-6)
    assert type(layer.weights) is np.ndarray
    assert layer.cache is None or type(layer.cache) is np.ndarray


class Step(abc.ABC):
    @abc.abstractmethod
    def __call__(self, x): ...


class Doubled(Step):
    __slots__ = ("factor",)

    def __init__(self, factor):
        self.factor = factor

    def __call__(self, x):
        out = np.zeros(len(x))
        out[:] = x * self.factor
        return out


class Named(dict):
    def __getattr__(self, name):
        return self[name]


def settings_of(names):
    """A module with a parameter, a function that reads it, and objects of all sorts that hold others."""
    module = types.ModuleType("settings")
    vars(module).update(names, np=np, __file__="settings.py")
    exec("def product(x):\n    out = np.zeros(2)\n    out[:] = x * w\n    return out", vars(module))
    sys.modules["settings"] = module
    return module


@pytest.mark.parametrize("where", ["module", "slots", "dict", "ordered", "namespace", "objects"])
def test_what_a_followed_function_sets_is_what_the_code_that_it_calls_reads(where):
    module, x = settings_of({"w": np.ones(2)}), np.array([3.0, -4.0])
    step, named, ordered = Doubled(np.ones(2)), Named(w=np.ones(2)), OrderedDict(step=Doubled(np.ones(2)))
    space, objects = SimpleNamespace(w=np.ones(2)), np.array([np.ones(2), np.ones(3)], dtype=object)

    def f(w):
        if where == "module":
            module.w = w
            return np.sum(module.product(x) ** 2)
        if where == "slots":
            step.factor = w
            return np.sum(step(x) ** 2)
        if where == "dict":
            named["w"] = w
            return np.sum((x * named.w) ** 2)
        if where == "namespace":
            space.w = w
            return np.sum((x * space.w) ** 2)
        if where == "objects":
            objects[0] = w
            return np.sum((x * objects[0]) ** 2)
        ordered["step"].factor = w
        return sum(np.sum(part(x) ** 2) for part in ordered.values())

    w = np.array([2.0, 0.5])
    try:
        np.testing.assert_array_equal(tg.grad(tg.follow(f))(w), 2 * w * x**2)
        held = [module.w, step.factor, named.w, ordered["step"].factor, space.w, objects[0]]
        assert [type(part) for part in held] == [np.ndarray] * 6
    finally:
        del sys.modules["settings"]


def test_a_name_that_is_set_in_a_module_past_its_copy_is_refused_and_the_module_is_left_as_it_was():
    module = settings_of({"w": np.ones(2)})

    def f(w):
        sys.modules["settings"].w = w
        return np.sum(module.product(np.ones(2)))

    try:
        with pytest.raises(TypeError, match=r"settings\.w is set by a way that isn't seen"):
            tg.grad(tg.follow(f))(np.ones(2))
        assert type(module.w) is np.ndarray
    finally:
        del sys.modules["settings"]


def test_arrays_of_float32_round_what_is_written_into_them_as_numpy_does():
    def f(x):
        out = np.empty((2, 2), dtype="f")
        for i in range(2):
            out[i] = np.tanh(x) * (i + 1.3)
        out *= 1.7
        return np.sum(out.astype(float) * 1.1) + np.sum(x.astype(np.float32) ** 2.0) + np.array(x, dtype="f")[0] ** 3

    x = np.array([0.3, -1.1])
    assert tg.follow(f)(x) == f(x)
    exact = 1.7 * 1.1 * 3.6 * (1 - np.tanh(x) ** 2) + 2 * x + np.array([3 * x[0] ** 2, 0.0])
    np.testing.assert_allclose(tg.grad(tg.follow(f))(x), exact, rtol=1e-6)


def rows(x):
    shares = np.apply_along_axis(lambda row: row / row.sum(), 0, x)
    return np.sum(shares**2) + np.sum(np.apply_along_axis(np.max, 1, x) ** 2)


def strided(x):
    y = np.tanh(x)
    rows, columns = y.strides
    windows = np.lib.stride_tricks.as_strided(y, (2, 2, 2, 2), (rows, columns, rows, columns))
    flat = np.lib.stride_tricks.as_strided(x, shape=(4,), strides=x.itemsize * np.array([2]))
    return np.sum(windows**2) + np.sum(flat**3)


def test_windows_made_by_strides_are_followed_and_what_leaves_the_array_is_refused():
    x = RNG.normal(size=(3, 3))
    np.testing.assert_allclose(tg.grad(tg.follow(strided))(x.copy()), differences(strided, [x], 0), rtol=1e-6)
    with pytest.raises(TypeError, match="leave the array"):
        tg.grad(tg.follow(lambda x: np.lib.stride_tricks.as_strided(x, (2,), (8,)).sum()))(np.ones(1))


def test_functions_applied_along_an_axis_are_followed():
    x = np.array([[1.0, 2.0, 0.5], [4.0, 3.0, 2.5]])
    np.testing.assert_allclose(tg.grad(tg.follow(rows))(x), differences(rows, [x], 0), rtol=1e-6)


def test_random_numbers_are_drawn_alike_in_both_runs():
    generator = np.random.default_rng(5)

    def dropout(x):
        mask = (np.random.rand(4) > 0.5) * (generator.random(4) > 0.2) * (random.random() + 1)
        x = x * mask
        x[0] = 3.0
        return np.sum(x**2)

    assert tg.grad(tg.follow(dropout))(np.ones(4))[0] == 0.0


def reads_a_number(x):
    return int(x[0]) + x.sum()


def asks_for_frequencies(x):
    return np.abs(np.fft.rfft(x)).sum()


@pytest.mark.parametrize("f", [reads_a_number, asks_for_frequencies])
def test_what_cannot_be_followed_is_said_with_its_line(f):
    with pytest.raises(TypeError, match=rf"test_follow.py:{f.__code__.co_firstlineno + 1}: .*can't be followed"):
        tg.grad(tg.follow(f))(np.array([1.5, 2.0]))


def test_a_function_that_gives_another_result_each_time_is_refused():
    state = SimpleNamespace(calls=iter(range(9)))

    def f(x):
        return np.sum(x) * next(state.calls)

    with pytest.raises(ValueError, match="other numbers than by itself"):
        tg.grad(tg.follow(f))(np.ones(2))


def test_the_functions_own_errors_are_its_own():
    def f(x):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        tg.follow(f)(1.0)


def test_a_followed_function_is_compiled_where_no_way_depends_on_numbers():
    def windows(x, w):
        out = np.empty((np.shape(x)[0] - 1, 2))
        for i in range(3):
            for j in range(2):
                out[i, j] = np.sum(x[i : i + 2] * w[j]) + np.max(x[i : i + 2])
        out += 1.0
        return out

    def loss(x, w):
        return (tg.follow(windows)(x, w) ** 2).sum()

    first, w = np.array([1.0, -2.0, 0.5, 3.0]), np.array([[1.0, 2.0], [-1.0, 0.5]])
    values, slopes = tg.compile(tg.follow(windows)), tg.compile(lambda x, w: tg.grad(loss, (0, 1))(x, w))
    for x in (first, -first, first[::-1].copy()):
        np.testing.assert_allclose(values(x, w), windows(x, w), rtol=1e-15)
        for got, wanted in zip(slopes(x, w), tg.grad(loss, (0, 1))(x, w), strict=True):
            assert got.tolist() == wanted.tolist()


def test_a_followed_function_that_branches_on_numbers_is_not_compiled():
    def masked(x):
        out = x * 1.0
        out[x < 0] = 0.0
        return out

    with pytest.raises(TypeError, match="while compiling, Python reads the data"):
        tg.compile(tg.follow(masked))(np.array([1.0, -1.0]))


@pytest.mark.parametrize("mode", ["valid", "full", "same"])
@pytest.mark.parametrize("name", ["correlate2d", "convolve2d"])
def test_images_and_kernels_of_scipys_convolutions_have_gradients(name, mode):
    signal = pytest.importorskip("scipy.signal")
    function = getattr(signal, name)
    followed = tg.follow(lambda image, kernel: function(image, kernel, mode=mode))
    for shape in ((3, 3), (2, 4)):  # odd and even: where "same" begins
        image, kernel = np.random.default_rng(0).normal(size=(5, 6)), np.random.default_rng(1).normal(size=shape)
        assert tg.gradcheck(lambda a, b: (followed(a, b) ** 2).sum(), image, kernel)
    with pytest.raises(TypeError, match="zeros outside only"):
        tg.grad(tg.follow(lambda image: function(image, kernel, mode, "wrap").sum()))(image)


def test_scipys_softmax_and_logsumexp_are_followed():
    special = pytest.importorskip("scipy.special")
    x = np.random.default_rng(2).normal(size=(2, 3))
    for f in (
        lambda x: special.softmax(x)[0].sum(),
        lambda x: special.softmax(x, axis=0)[0].sum(),
        lambda x: special.log_softmax(x, axis=1)[:, 0].sum(),
        lambda x: special.logsumexp(x, axis=1, keepdims=True).sum(),
    ):
        assert tg.gradcheck(tg.follow(f), x)


def test_putmask_writes_one_number_or_as_many_as_there_are():
    def leaky(x):
        out = x * 2.0
        np.putmask(out, x < 0, 0.5 * x)
        np.putmask(out, x > 2, 7.0)
        return out.sum()

    assert tg.grad(tg.follow(leaky))(np.array([1.0, -1.0, 3.0])).tolist() == [2.0, 0.5, 0.0]
    with pytest.raises(TypeError, match="another shape"):
        tg.grad(tg.follow(lambda x: np.putmask(x, x > 0, [1.0, 2.0])))(np.array([1.0, -1.0, 3.0]))
