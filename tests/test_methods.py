"""A Value's methods are the functions of their names; lists of Values are joined; what can't be is refused clearly."""

import inspect

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu.ops import methods
from tinygrad_edu.testing import assert_gradients

X = np.array([[0.3, -1.2, 0.7], [1.4, 0.2, -0.5]])
POSITIVE = abs(X) * 0.6
NUMPYS = {
    "dot": lambda x: x.dot(np.ones(3, x.dtype)),
    "flatten": lambda x: x.flatten(),
    "flatten F": lambda x: x.flatten("F"),
    "ravel": lambda x: x.ravel(),
    "reshape": lambda x: x.reshape(3, 2),
    "reshape tuple": lambda x: x.reshape((3, -1)),
    "reshape F": lambda x: x.reshape(3, 2, order="F"),
    "squeeze": lambda x: x[:, None].squeeze(1),
    "transpose": lambda x: x.transpose(1, 0),
    "transpose tuple": lambda x: x.transpose((1, 0)),
    "transpose of all": lambda x: x.transpose(),
    "swapaxes": lambda x: x.swapaxes(0, 1),
    "T": lambda x: x.T,
    "mT": lambda x: x.mT,
    "real": lambda x: x.real + x.imag,
    "conj": lambda x: x.conj() + x.conjugate(),
    "copy": lambda x: x.copy(),
    "astype": lambda x: x.astype(x.dtype),
    "sum": lambda x: x.sum(0),
    "mean": lambda x: x.mean(axis=1, keepdims=True),
    "std": lambda x: x.std(0),
    "var": lambda x: x.var(1, ddof=1),
    "prod": lambda x: x.prod(axis=1),
    "max": lambda x: x.max(1),
    "min": lambda x: x.min(),
    "cumsum": lambda x: x.cumsum(1),
    "cumprod": lambda x: x.cumprod(0),
    "clip": lambda x: x.clip(-0.6, 1.0),
    "clip one": lambda x: x.clip(min=0.0),
    "trace": lambda x: x.trace(1),
    "diagonal": lambda x: x.diagonal(1),
    "repeat": lambda x: x.repeat(2, axis=1),
    "take": lambda x: x.take([0, 2], 1),
    "compress": lambda x: x.compress([True, False, True], axis=1),
    "round": lambda x: x.round(1) + x,
    "modulo": lambda x: x % 0.37,
    "reflected modulo": lambda x: 2.0 % (x * x + 0.7),
    "floor division": lambda x: x // 0.37 + x,
    "divmod": lambda x: divmod(x, 0.37)[1] + divmod(2.0, x * x + 0.7)[0],
}


@pytest.mark.parametrize("name", NUMPYS)
def test_methods_are_numpys_and_have_gradients(name, assert_compiles):
    f = NUMPYS[name]
    ours = f(tg.Value(X))
    assert isinstance(ours, tg.Value)
    assert np.allclose(ours.data, f(X), rtol=1e-14)
    assert_gradients(lambda x: (f(x) * f(x)).sum(), X, order=2, rtol=1e-4, atol=1e-7)
    single = f(tg.Value(X.astype(np.float32)))
    assert single.dtype == np.float32
    assert_compiles(f, [X])
    assert len(tg.draw(ours).source) > 100


def test_sort_gives_a_new_value():
    x = tg.Value(X)
    assert np.array_equal(x.sort().data, np.sort(X))
    assert np.array_equal(x.sort(axis=0).data, np.sort(X, 0))
    assert np.array_equal(x.data, X)


ELEMENTWISE = [
    name for name, x in vars(methods.Methods).items() if getattr(x, "__qualname__", "").startswith("Value.") and
    getattr(x, "__code__", None) is methods.elementwise("exp").__code__
]  # fmt: skip


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise_methods_are_the_functions_of_their_names(name):
    x = 1.5 + POSITIVE if name == "arccosh" else POSITIVE
    assert np.array_equal(getattr(tg.Value(x), name)().data, getattr(tg, name)(x))
    number = float(x[0, 0])
    assert getattr(tg.Value(number), name)().data == getattr(tg, name)(number)


def test_activations_are_methods_too():
    v = tg.Value(X)
    assert np.array_equal(v.softmax(axis=0).data, tg.softmax(X, axis=0))
    assert np.array_equal(v.log_softmax().data, tg.log_softmax(X))
    assert np.array_equal(v.logsumexp(1).data, tg.logsumexp(X, axis=1))
    assert np.array_equal(v.leaky_relu(0.2).data, tg.leaky_relu(X, 0.2))
    assert np.array_equal(v.elu(0.5).data, tg.elu(X, 0.5))
    assert {"exp", "log", "tanh", "relu", "sigmoid", "sqrt", "sin"} <= set(ELEMENTWISE)


def test_what_has_no_gradient_is_plain():
    v = tg.Value(X)
    for ours, theirs in (
        (v.argmax(1), X.argmax(1)),
        (v.argmin(), X.argmin()),
        (v.argsort(0), X.argsort(0)),
        (v.nonzero(), X.nonzero()),
        (v.any(axis=0), X.any(axis=0)),
        (v.all(), X.all()),
        (v[0].searchsorted(0.5), X[0].searchsorted(0.5)),
    ):
        assert not isinstance(ours, tg.Value)
        assert np.array_equal(ours, theirs)
    assert v.tolist() == X.tolist()
    assert tg.Value(2.0).tolist() == 2.0
    for name in ("isreal", "isrealobj", "iscomplexobj", "flatnonzero", "result_type", "nanargmax"):
        ours, theirs = getattr(np, name)(v), getattr(np, name)(X)
        assert np.array_equal(ours, theirs), name
    assert np.allclose(v, X)
    assert np.array_equiv(v, X)
    assert np.zeros_like(v, dtype=int).dtype == int


def is_refused(member):
    return getattr(getattr(member, "fget", None), "__name__", "") == "refuse"


METHODS = sorted(name for name, member in vars(methods.Methods).items() if name[0] != "_" and not is_refused(member))


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_documented_and_has_a_signature(name):
    method = inspect.getattr_static(tg.Value, name)
    function = method.fget if isinstance(method, property) else method
    assert function.__doc__
    signature = inspect.signature(function)
    assert "self" in signature.parameters
    assert signature.return_annotation in ("Value", "Any")  # which a type checker sees
    assert name in dir(tg.Value(1.0))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fill", r"tg\.full_like"),
        ("partition", r"would change it in place: use tg\.partition"),
        ("no_such_thing", "has no attribute 'no_such_thing'"),
    ],
)
def test_a_method_that_there_is_not_is_refused_with_what_to_write(name, message):
    with pytest.raises(AttributeError, match=message):
        getattr(tg.Value(X), name)
    assert not hasattr(tg.Value(X), name)


V = tg.Value([1.0, 2.0, 4.0])
JOINED = {
    "exp": lambda a: tg.exp(a),
    "mean": lambda a: tg.mean(a),
    "std": lambda a: tg.std(a),
    "var": lambda a: tg.var(a),
    "norm": lambda a: tg.norm(a),
    "average": lambda a: tg.average(a),
    "median": lambda a: tg.median(a),
    "dot": lambda a: np.dot(a, V),
    "product": lambda a: V * a,
    "append": lambda a: np.append(V, a),
    "logsumexp": lambda a: tg.logsumexp(a),
}


@pytest.mark.parametrize("name", JOINED)
@pytest.mark.parametrize("kind", [list, tuple, lambda values: np.array([*values, None], dtype=object)[:-1]])
def test_lists_of_values_are_joined(name, kind):
    f = JOINED[name]
    assert np.allclose(f(kind([V[0], V[1] * 3.0, V[2]])).data, f(tg.Value([1.0, 6.0, 4.0])).data)
    slopes = tg.grad(lambda x: tg.sum(f(kind([x[0], x[1] * 3.0, x[2]]))))(np.array([1.0, 2.0, 4.0]))
    right = tg.grad(lambda x: tg.sum(f(x)))(np.array([1.0, 6.0, 4.0]))
    assert np.allclose(slopes, right * [1.0, 3.0, 1.0])


def test_a_value_may_stand_where_whole_numbers_are_wanted():
    v = tg.Value(X)
    assert np.array_equal(np.tile(v[0], tg.Value(2.0)).data, np.tile(X[0], 2))
    assert np.array_equal(np.roll(v, tg.Value(1.0)).data, np.roll(X, 1))
    assert np.array_equal(v.take(tg.Value([2.0, 0.0]), axis=1).data, X[:, [2, 0]])
    places = tg.Value([[0.0], [1.0]])
    assert np.array_equal(np.take_along_axis(v, places, axis=1).data, [[X[0, 0]], [X[1, 1]]])
    for call in (lambda: np.tile(v, tg.Value(1.5)), lambda: v.take([0.5]), lambda: v.take(tg.Value([0.5]))):
        with pytest.raises((TypeError, IndexError), match="must be whole numbers"):
            call()


def test_the_sign_of_a_determinant_has_no_gradient_and_compiles():
    a, swapped = np.eye(2), np.array([[0.0, 1.0], [1.0, 0.0]])
    sign = tg.compile(lambda a: np.linalg.slogdet(a)[0] * np.linalg.slogdet(a)[1].exp())
    assert (float(sign(a)), float(sign(swapped))) == (1.0, -1.0)
    assert np.array_equal(tg.grad(lambda a: np.linalg.slogdet(a)[0] * 2.0)(a), np.zeros((2, 2)))


def test_full_like_takes_a_value():
    like = tg.Value(np.ones((2, 2)))
    assert tg.grad(lambda v: np.sum(np.full_like(like, v) * [[1.0, 2.0], [3.0, 4.0]]))(2.0) == 10.0
    with pytest.raises(TypeError, match=r"tg\.full_like.*tg\.broadcast_to"):
        np.full_like(np.ones(3), tg.Value(2.0))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda v: np.copyto(np.ones(3), v), r"tg\.broadcast_to"),
        (lambda v: np.place(v, [True], 0.0), r"tg\.where"),
        (lambda v: np.putmask(v, [True], 0.0), r"tg\.where"),
        (lambda v: np.fft.fft(v), r"value\.data.*tg\.operation"),
        (lambda v: np.linalg.eig(v), r"np\.linalg\.eigh"),
        (lambda v: np.unique(v), r"value\[positions\]"),
        (lambda v: np.apply_along_axis(np.sum, 0, v), r"tg\.stack"),
        (lambda v: np.maximum.accumulate(v), r"np\.maximum\.accumulate isn't supported"),
        (lambda v: np.nanmax(v, initial=0.0), r"initial= isn't supported.*np\.maximum"),
        (lambda v: v.astype(int), r"astype: int64 has no gradient; v\.data\.astype"),
    ],
)
def test_refusals_name_what_to_write(call, message):
    with pytest.raises(TypeError, match=message):
        call(tg.Value([1.0, 2.0, 3.0]))


def test_item_assignment_is_refused_with_the_line_to_write():
    y, mask = tg.Value([1.0, -2.0, 3.0]), np.array([False, True, False])
    with pytest.raises(TypeError, match=r"instead of `y\[mask\] = 0.0` write `y = tg\.where\(mask, 0.0, y\)`"):
        y[mask] = 0.0
    with pytest.raises(TypeError, match=r"mask\[0\] = True; y = tg\.where\(mask, 5.0, y\)`"):
        y[0] = 5.0
    assert np.array_equal(tg.where(mask, 0.0, y).data, [1.0, 0.0, 3.0])


def test_an_error_of_numpys_about_objects_says_how_to_join_values():
    with pytest.raises(TypeError, match=r"tg\.stack"):
        tg.grad(lambda x: np.linalg.det(np.array([[x[0], x[1]], [x[1], x[0]]])))(np.array([1.0, 2.0]))


class Labelled:
    """An array of another library: numbers with something beside them."""

    def __array__(self, dtype=None, copy=None):
        return np.ones(3)


@pytest.mark.parametrize("other", [Labelled(), np.ma.array([1.0, 2.0, 3.0], mask=[False, True, False])])
def test_another_librarys_array_beside_a_value_is_refused(other):
    v = tg.Value([1.0, 2.0, 3.0])
    for call in (lambda: v * other, lambda: v @ other, lambda: tg.maximum(v, other), lambda: np.add(v, other)):
        with pytest.raises(TypeError, match="beside a Value would lose what it knows beyond its numbers"):
            call()


def test_a_pandas_series_beside_a_value_is_refused_on_either_side():
    pandas = pytest.importorskip("pandas")
    v, series = tg.Value([1.0, 2.0, 3.0]), pandas.Series([1.0, 2.0, 3.0])
    for call in (
        lambda: v * series,
        lambda: series * v,
        lambda: series + v,
        lambda: pandas.DataFrame({"a": series}) * v,
    ):
        with pytest.raises(TypeError, match=r"pandas\.\w+ beside a Value.*to_numpy"):
            call()
    assert np.array_equal((v * series.to_numpy()).data, [1.0, 4.0, 9.0])
