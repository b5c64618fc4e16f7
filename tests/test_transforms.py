"""Transforms: each agrees with its definition, they nest without confusion, and forward mode agrees with reverse."""

import itertools
from collections import namedtuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_edu as tg

numbers = st.floats(-2.0, 2.0)
RNG = np.random.default_rng(1)
A = RNG.normal(size=(3, 2))


def network(parameters, x):
    for layer in parameters:
        x = np.tanh(layer["w"] @ x + layer["b"])
    return (x * x).sum()


def parameters_of(*sizes):
    return [{"w": RNG.normal(size=(m, n)), "b": RNG.normal(size=m)} for n, m in itertools.pairwise(sizes)]


@given(numbers)
def test_grad_of_a_number_is_a_float_and_derivatives_nest_to_any_order(x):
    f = lambda x: tg.sin(x) * x  # noqa: E731
    first = tg.grad(f)
    assert type(first(x)) is float
    assert first(x) == pytest.approx(np.cos(x) * x + np.sin(x), abs=1e-12)
    assert tg.grad(first)(x) == pytest.approx(2 * np.cos(x) - x * np.sin(x), abs=1e-12)
    assert tg.grad(tg.grad(tg.grad(f)))(x) == pytest.approx(-3 * np.sin(x) - x * np.cos(x), abs=1e-12)
    assert tg.grad(tg.grad(tg.grad(tg.grad(f))))(x) == pytest.approx(-4 * np.cos(x) + x * np.sin(x), abs=1e-12)


def test_gradients_come_back_in_the_structure_of_the_argument():
    Point = namedtuple("Point", "x y")
    result = tg.grad(lambda p: p.x * p.y[0] + p.y[1]["z"].sum())(Point(2.0, [3.0, {"z": np.ones(2)}]))
    assert isinstance(result, Point)
    assert result.x == 3.0
    assert result.y[0] == 2.0
    assert result.y[1]["z"].tolist() == [1.0, 1.0]
    assert type(tg.grad(lambda t: t[0] * t[1])((2.0, 3.0))) is tuple


def test_a_whole_network_in_nested_structures():
    parameters, x = parameters_of(3, 4, 2), RNG.normal(size=3)
    value, gradient = tg.value_and_grad(network)(parameters, x)
    assert type(value) is np.ndarray or type(value) is float
    assert float(value) == pytest.approx(float(network(parameters, x)))
    for layer, slope in zip(parameters, gradient, strict=True):
        assert slope.keys() == layer.keys()
        for key in layer:
            assert slope[key].shape == layer[key].shape
    eps, direction = 1e-6, parameters_of(3, 4, 2)
    moved = [
        [{k: p[k] + s * eps * d[k] for k in p} for p, d in zip(parameters, direction, strict=True)] for s in (1, -1)
    ]
    numerical = (network(moved[0], x) - network(moved[1], x)) / (2 * eps)
    along = sum((g[k] * d[k]).sum() for g, d in zip(gradient, direction, strict=True) for k in g)
    assert along == pytest.approx(numerical, rel=1e-7)
    assert tg.jvp(lambda p: network(p, x), (parameters,), (direction,))[1] == pytest.approx(along, rel=1e-12)


def test_argnums_choose_arguments():
    f = lambda a, b, c=1.0: a * b * b * c  # noqa: E731
    assert tg.grad(f, 1)(2.0, 3.0) == 12.0
    assert tg.grad(f, (0, 1))(2.0, 3.0) == (9.0, 12.0)
    assert tg.grad(f, (1,))(2.0, 3.0, c=2.0) == (24.0,)
    assert tg.grad(f, -1)(2.0, 3.0) == 12.0
    with pytest.raises(TypeError, match="argnum is 2, but there are 2 positional arguments"):
        tg.grad(f, 2)(2.0, 3.0)


def test_grad_needs_one_number_as_result():
    with pytest.raises(ValueError, match=r"got shape \(3,\).*jacobian, vjp and elementwise_grad"):
        tg.grad(lambda x: x * 2.0)(np.ones(3))
    with pytest.raises(TypeError, match="real numbers"):
        tg.grad(lambda x: x)("a")


def test_results_that_do_not_depend_on_the_input_give_zeros_of_its_shape():
    x = np.ones((2, 3), np.float32)
    for f in (lambda x: 1.0, lambda x: tg.Value(2.0), lambda x: np.floor(x).sum(), lambda x: tg.stop_gradient(x).sum()):
        slope = tg.grad(f)(x)
        assert slope.shape == (2, 3)
        assert not slope.any()
        assert slope.dtype == np.float32
    assert tg.grad(lambda x: 1.0)(3.0) == 0.0
    assert tg.jvp(lambda x: 5.0, (2.0,), (1.0,)) == (5.0, 0.0)
    assert tg.jacobian(lambda x: np.ones(4))(np.ones(3)).tolist() == np.zeros((4, 3)).tolist()
    assert tg.hessian(lambda x: x.sum())(np.ones(3)).tolist() == np.zeros((3, 3)).tolist()
    assert tg.grad(tg.grad(lambda x: 3.0 * x))(1.0) == 0.0


# The examples of Siskind and Pearlmutter (2005 and 2008) and of Manzyuk et al. (2019), and relatives.


def test_perturbations_are_not_confused_in_reverse_mode():
    d = tg.grad
    assert d(lambda x: x * d(lambda y: x + y)(1.0))(1.0) == 1.0
    assert d(lambda x: x * d(lambda y: x * y)(2.0))(3.0) == 6.0
    assert d(lambda x: x * d(lambda y: y * d(lambda z: x * y * z)(1.0))(2.0))(3.0) == 2.0 * 2.0 * 2.0 * 3.0
    assert d(lambda x: d(lambda x: x * x)(x) * x)(3.0) == 12.0
    assert d(lambda x: d(lambda y: x)(1.0) + x)(5.0) == 1.0


def test_perturbations_are_not_confused_in_forward_mode():
    def d(f):
        return lambda x: tg.jvp(f, (x,), (1.0,))[1]

    assert d(lambda x: x * d(lambda y: x + y)(1.0))(1.0) == 1.0
    assert d(lambda x: x * d(lambda y: x * y)(2.0))(3.0) == 6.0
    assert d(lambda x: d(lambda x: x * x)(x) * x)(3.0) == 12.0
    shift = lambda f: lambda u: lambda x: f(x + u)  # noqa: E731 - the Amazing Bug: a derivative that is a function
    s_hat = d_of_function(shift)
    assert s_hat(s_hat(np.exp))(1.0) == pytest.approx(np.exp(1.0))


def d_of_function(shift):
    """For s(u)(f)(x) = f(x + u): the derivative by u at 0, a function of functions."""
    return lambda f: lambda y: tg.jvp(lambda u: shift(f)(u)(y), (0.0,), (1.0,))[1]


def test_perturbations_are_not_confused_when_modes_mix():
    forward = lambda f: lambda x: tg.jvp(f, (x,), (1.0,))[1]  # noqa: E731
    for outer, inner in itertools.product((tg.grad, forward), repeat=2):
        assert outer(lambda x, inner=inner: x * inner(lambda y: x + y)(1.0))(1.0) == 1.0
        assert outer(lambda x, inner=inner: inner(lambda y: x * x * y)(7.0))(3.0) == 6.0


def test_a_call_with_values_gives_values_that_can_be_differentiated():
    w = tg.Value(3.0)
    slope = tg.grad(lambda x: w * x * x * x)(tg.Value(2.0))
    assert isinstance(slope, tg.Value)
    slope.backward()
    assert w.grad == 12.0
    plain = tg.grad(lambda x: w * x * x)(2.0)
    assert plain == 12.0
    assert type(plain) is float


def test_transforms_work_inside_no_grad_and_leave_it_as_it_was():
    with tg.no_grad():
        assert tg.grad(lambda x: x**2)(3.0) == 6.0
        assert tg.jvp(np.sin, (0.0,), (1.0,)) == (0.0, 1.0)
        assert (tg.Value(1.0) * 2.0).operation is None


@given(st.lists(numbers, min_size=3, max_size=3), st.lists(numbers, min_size=3, max_size=3))
def test_forward_and_reverse_mode_agree(x, v):
    x, v = np.array(x), np.array(v)

    def f(x):
        return np.stack([np.sin(x[0]) * x[1], np.exp(x[1] * x[2]), x[0] ** 2 - x[2]])

    out, change = tg.jvp(f, (x,), (v,))
    assert np.allclose(out, f(tg.Value(x)).data, rtol=1e-15)
    jacobian = tg.jacobian(f)(x)
    assert np.allclose(change, jacobian @ v, atol=1e-12)
    out, pullback = tg.vjp(f, x)
    assert np.allclose(pullback(v)[0], v @ jacobian, atol=1e-12)
    assert np.dot(pullback(v)[0], v) == pytest.approx(np.dot(v, change), abs=1e-10)


def test_vjp_and_jvp_take_and_give_nested_structures():
    def f(p, y):
        return {"sum": p[0] + p[1] * y, "parts": (p[1] * p[1], 7.0)}

    out, pullback = tg.vjp(f, (2.0, 3.0), 5.0)
    assert out == {"sum": 17.0, "parts": (9.0, 7.0)}
    assert pullback({"sum": 1.0, "parts": (10.0, 0.0)}) == ((1.0, 65.0), 3.0)
    out, change = tg.jvp(f, ((2.0, 3.0), 5.0), ((1.0, 10.0), 100.0))
    assert change == {"sum": 1.0 + 50.0 + 300.0, "parts": (60.0, 0.0)}


def test_shapes_of_cotangents_and_tangents_are_checked():
    _, pullback = tg.vjp(lambda x: A @ x, np.ones(2))
    with pytest.raises(ValueError, match=r"a cotangent has shape \(2,\), but the result has shape \(3,\)"):
        pullback(np.ones(2))
    with pytest.raises(ValueError, match="structure"):
        pullback((np.ones(3),))
    with pytest.raises(ValueError, match=r"a tangent has shape \(3,\), but its primal has shape \(2,\)"):
        tg.jvp(lambda x: A @ x, (np.ones(2),), (np.ones(3),))
    with pytest.raises(ValueError, match="structure"):
        tg.jvp(lambda x: A @ x, (np.ones(2),), ())


def test_linearize_runs_the_function_once():
    calls = []

    def f(x):
        calls.append(1)
        return np.sin(x) * x

    x = np.linspace(0.0, 1.0, 4)
    _, push_forward = tg.linearize(f, x)
    for k in range(4):
        v = np.eye(4)[k]
        assert np.allclose(push_forward(v), (np.cos(x) * x + np.sin(x)) * v)
    assert len(calls) == 1


def test_jacobians_have_the_shape_of_the_result_then_of_the_input():
    f = lambda x: np.outer(x, x)  # noqa: E731 - more results than inputs: forward mode
    x = np.array([1.0, 2.0, 3.0])
    expected = np.zeros((3, 3, 3))
    for i, j in np.ndindex(3, 3):
        expected[i, j, i] += x[j]
        expected[i, j, j] += x[i]
    assert np.array_equal(tg.jacobian(f)(x), expected)
    g = lambda m: m.sum(axis=0)  # noqa: E731 - fewer results than inputs: reverse mode
    assert tg.jacobian(g)(np.ones((2, 3))).shape == (3, 2, 3)
    assert tg.jacobian(lambda x: x**2)(3.0) == 6.0
    assert tg.jacobian(lambda x: x * np.ones(2))(3.0).tolist() == [1.0, 1.0]
    assert tg.jacobian(lambda x: x.sum())(np.ones(2)).tolist() == [1.0, 1.0]
    both = tg.jacobian(lambda p: A @ p["x"] + p["b"])({"x": np.ones(2), "b": np.ones(3)})
    assert np.array_equal(both["x"], A)
    assert np.array_equal(both["b"], np.eye(3))
    with pytest.raises(ValueError, match="one array as result, got a tuple"):
        tg.jacobian(lambda x: (x, x))(1.0)


def test_hessians_agree_with_hessian_vector_products_and_central_differences():
    parameters, x = parameters_of(2, 3, 2), RNG.normal(size=2)
    f = lambda x: network(parameters, x)  # noqa: E731
    hessian = tg.hessian(f)(x)
    assert np.allclose(hessian, hessian.T, atol=1e-12)
    eps = 1e-5
    numerical = [(tg.grad(f)(x + eps * e) - tg.grad(f)(x - eps * e)) / (2 * eps) for e in np.eye(2)]
    assert np.allclose(hessian, numerical, atol=1e-8)
    v = RNG.normal(size=2)
    assert np.allclose(tg.hessian_vector_product(f)(x, v), hessian @ v, atol=1e-12)
    assert tg.hessian(lambda x: x**3)(2.0) == 12.0
    assert tg.hessian_vector_product(lambda a, x: a * x**3, 1)(2.0, 3.0, 1.0) == 36.0


def test_jacobian_of_jacobian_is_the_third_derivative():
    third = tg.jacobian(tg.hessian(lambda x: (x**3).sum()))(np.array([1.0, 2.0]))
    expected = np.zeros((2, 2, 2))
    expected[0, 0, 0] = expected[1, 1, 1] = 6.0
    assert np.allclose(third, expected)


def test_checkpoint_gives_the_same_gradients_to_the_bit_and_recomputes():
    calls = []

    def block(x, w):
        calls.append(1)
        return np.tanh(w @ x)

    x, w = RNG.normal(size=3), RNG.normal(size=(3, 3))
    kept = tg.grad(lambda x, w: (block(block(x, w), w) ** 2).sum(), (0, 1))(x, w)
    calls.clear()
    again = tg.checkpoint(block)
    recomputed = tg.grad(lambda x, w: (again(again(x, w), w) ** 2).sum(), (0, 1))(x, w)
    assert len(calls) == 4
    for a, b in zip(kept, recomputed, strict=True):
        assert np.array_equal(a, b)
    second = tg.hessian(lambda x: (again(x, w) ** 2).sum())(x)
    assert np.allclose(second, tg.hessian(lambda x: (block(x, w) ** 2).sum())(x), atol=1e-13)


def test_custom_gradient_replaces_the_rule_and_nests():
    @tg.custom_gradient
    def log1pexp(x):
        """log(1 + eˣ)."""
        e = np.exp(x)
        return np.log(1.0 + e), lambda g: g * (1.0 - 1.0 / (1.0 + e))

    assert tg.grad(log1pexp)(0.0) == 0.5
    assert tg.grad(tg.grad(log1pexp))(0.0) == 0.25
    assert log1pexp.__doc__ == "log(1 + eˣ)."
    with np.errstate(over="ignore"):
        assert tg.grad(log1pexp)(np.array(1000.0)) == 1.0

    @tg.custom_gradient
    def product(a, b):
        return a * b, lambda g: (g * b, -g * a)

    assert tg.grad(product, (0, 1))(2.0, 3.0) == (3.0, -2.0)


def test_stop_gradient_of_nested_structures():
    f = lambda p: p["a"] * tg.stop_gradient(p)["a"] + p["b"]  # noqa: E731
    assert tg.grad(f)({"a": 3.0, "b": 1.0}) == {"a": 3.0, "b": 1.0}


def test_gradients_with_respect_to_an_inner_node_and_its_own_input():
    x = tg.Value(3.0)
    h = x * x
    y = h * 2.0 + x
    assert [g.data for g in tg.gradients(y, [x, h])] == [13.0, 2.0]


def test_gradients_are_arrays_of_their_own_that_can_be_written_to():
    x, y = np.ones(3), np.ones(3)
    a, b = tg.grad(lambda x, y: (x + y).sum(), (0, 1))(x, y)
    a += 1.0
    assert b.tolist() == [1.0, 1.0, 1.0]
    seed = np.ones(3)
    (g,) = tg.vjp(lambda x: x, x)[1](seed)
    g += 1.0
    assert seed.tolist() == x.tolist() == [1.0, 1.0, 1.0]
    first, second = tg.gradients(
        (tg.Value(x) * 0.0).sum() + tg.Value(1.0), [tg.Value(x), tg.Value(y)], create_graph=False
    )
    first += 1.0
    assert not second.any()


def test_elementwise_grad_is_the_derivative_at_each_entry():
    x = np.linspace(-1.0, 1.0, 5)
    assert np.allclose(tg.elementwise_grad(np.tanh)(x), 1.0 - np.tanh(x) ** 2)
    assert np.allclose(tg.elementwise_grad(tg.elementwise_grad(np.sin))(x), -np.sin(x))


def test_a_transformed_function_keeps_its_name_and_options():
    def loss(x, scale=1.0):
        """A loss."""
        return scale * x * x

    assert tg.grad(loss).__name__ == "loss"
    assert tg.grad(loss)(3.0, scale=2.0) == 12.0
