"""Every operation: its rule against central differences, to the second order, and its edges."""

import math
import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_edu as tg
from tinygrad_edu.testing import assert_gradients

RNG = np.random.default_rng(7)


def positive(*shape):
    return RNG.uniform(0.5, 2.0, shape) if shape else float(RNG.uniform(0.5, 2.0))


def signed(*shape):
    magnitude = RNG.uniform(0.3, 1.5, shape) * RNG.choice([-1.0, 1.0], shape)
    return magnitude if shape else float(magnitude)


PAIRS = [
    ((), ()),
    ((3,), (3,)),
    ((), (3,)),
    ((2, 3), (3,)),
    ((2, 1), (1, 3)),
    ((0,), ()),
    ((1,), (2, 3)),
    ((0, 3), (3,)),
]
UNARY = {
    "negative": (tg.negative, signed),
    "absolute": (tg.absolute, signed),
    "exp": (tg.exp, signed),
    "log": (tg.log, positive),
    "tanh": (tg.tanh, signed),
    "sigmoid": (tg.sigmoid, signed),
    "relu": (tg.relu, signed),
}
BINARY = {
    "add": (tg.add, signed),
    "subtract": (tg.subtract, signed),
    "multiply": (tg.multiply, signed),
    "divide": (tg.divide, positive),
    "power": (tg.power, positive),
    "maximum": (tg.maximum, signed),
}
X23, X234 = signed(2, 3), signed(2, 3, 4)
ARRAYS = {
    "sum": (lambda x: tg.sum(x), [X23]),
    "sum of a float": (lambda x: tg.sum(x), [0.7]),
    "sum axis": (lambda x: tg.sum(x, axis=1), [X23]),
    "sum axes keepdims": (lambda x: tg.sum(x, axis=(0, -1), keepdims=True), [X234]),
    "sum positional axis": (lambda x: tg.sum(x, 0), [X23]),
    "mean": (lambda x: tg.mean(x), [X23]),
    "mean axis": (lambda x: tg.mean(x, axis=0), [X23]),
    "mean axes keepdims": (lambda x: tg.mean(x, axis=(1, 2), keepdims=True), [X234]),
    "reshape": (lambda x: tg.reshape(x, (3, -1)), [X23]),
    "reshape method": (lambda x: x.reshape(6), [X23]),
    "transpose": (lambda x: tg.transpose(x), [X234]),
    "transpose axes": (lambda x: tg.transpose(x, (1, 2, 0)), [X234]),
    "transpose negative axes": (lambda x: x.transpose((-1, 0, 1)), [X234]),
    "T": (lambda x: x.T, [X23]),
    "broadcast_to": (lambda x: tg.broadcast_to(x, (4, 2, 3)), [X23]),
    "stack": (lambda x, y: tg.stack([x, y, 1.0], axis=0), [0.5, 0.25]),
    "stack axis": (lambda x, y: tg.stack([x, y, x], axis=1), [X23, signed(2, 3)]),
    "index integer": (lambda x: x[1], [X23]),
    "index two integers": (lambda x: x[1, -1], [X23]),
    "index slice": (lambda x: x[:, ::2], [X23]),
    "index reversed": (lambda x: x[::-1], [X23]),
    "index none and ellipsis": (lambda x: x[None, ..., 1], [X234]),
    "index array with repeats": (lambda x: x[np.array([0, 1, 0, 0])], [X23]),
    "index lists": (lambda x: x[[0, 1, 1], [2, 2, 2]], [X23]),
    "index boolean mask": (lambda x: x[np.array([[True, False, True], [False, True, True]])], [X23]),
    "where": (lambda x, y: tg.where(np.array([True, False, True]), x, y), [X23, signed(3)]),
    "weighted_sum": (lambda v, w, x, y, b: tg.weighted_sum([v, w], [x, y], b), [0.5, -1.5, 2.0, 0.3, 0.1]),
    "affine row": (lambda w, x, b: tg.affine(w, x, b), [signed(2, 3), signed(3), signed(2)]),
    "affine batch": (lambda w, x, b: tg.affine(w, x, b), [signed(2, 3), signed(4, 3), signed(2)]),
    "half squared error": (lambda o, t: tg.nn.half_squared_error(o, t), [X23, signed(2, 3)]),
    "half squared error of a list": (lambda o, p, t: tg.nn.half_squared_error([o, p], [t, 1.0]), [0.2, 0.7, 0.9]),
    "mean squared error": (lambda o, t: tg.nn.mean_squared_error(o, t), [X23, signed(2, 3)]),
    "mean squared error of a list": (lambda o, p, t: tg.nn.mean_squared_error([o, p], [1.0, t]), [0.2, 0.7, 0.9]),
}
MATMULS = [((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((2, 3), (3, 4)), ((5, 2, 3), (3, 4)), ((5, 2, 3), (5, 3, 1))]
MATMULS += [((2, 0), (0, 3)), ((5, 2, 3), (3,)), ((3,), (5, 3, 2))]

CASES = {}
for name, (f, draw) in UNARY.items():
    for shape in [(), (1,), (3,), (2, 3), (0,)]:
        CASES[f"{name} {shape}"] = (f, [draw(*shape)])
for name, (f, draw) in BINARY.items():
    for left, right in PAIRS:
        CASES[f"{name} {left} {right}"] = (f, [draw(*left), draw(*right)])
for left, right in MATMULS:
    CASES[f"matmul {left} {right}"] = (operator.matmul, [signed(*left), signed(*right)])
CASES |= ARRAYS


def scalar_of(f):
    """A scalar function through `f`, curved, so that second derivatives are not all zero."""

    def scalar(*inputs):
        out = f(*inputs)
        weights = np.linspace(0.5, 1.5, np.size(tg.core.value.data_of(out))).reshape(
            np.shape(tg.core.value.data_of(out))
        )
        return tg.sum(tg.tanh(out) * (float(weights) if weights.ndim == 0 else weights))

    return scalar


@pytest.mark.parametrize("name", CASES)
def test_rules_agree_with_central_differences_in_both_modes_to_the_second_order(name):
    f, inputs = CASES[name]
    assert_gradients(scalar_of(f), *inputs, order=2, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("name", CASES)
def test_rules_hold_in_float32(name):
    f, inputs = CASES[name]
    single = [x if isinstance(x, float) else x.astype(np.float32) for x in inputs]
    assert_gradients(f, *single)


@pytest.mark.parametrize("name", CASES)
def test_gradients_have_the_kind_shape_and_dtype_of_the_data(name):
    f, inputs = CASES[name]
    for cast in (lambda x: x, lambda x: x if isinstance(x, float) else x.astype(np.float32)):
        values = [tg.Value(cast(x)) for x in inputs]
        out = f(*values)
        out.backward(seed=np.ones(out.shape, out.dtype) if isinstance(out.data, np.ndarray) else 1.0)
        for value in values:
            assert type(value.grad) is type(value.data)
            assert np.shape(value.grad) == value.shape
            if value.ndim:
                assert value.grad.dtype == value.dtype


EDGES = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 709.0, 710.0, -746.0, 1e4, -1e4, 1e308, -1e308, math.inf, -math.inf, math.nan]


def same(a, b):
    a, b = float(a), float(b)
    return (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1.0, a) == math.copysign(1.0, b))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", [*UNARY, *BINARY])
def test_floats_and_arrays_of_shape_0_agree_on_every_edge(name):
    unary = name in UNARY
    f = (UNARY if unary else BINARY)[name][0]
    for a in EDGES:
        for b in EDGES if not unary else [0.0]:
            inputs = (a,) if unary else (a, b)
            by_float, by_array = f(*inputs), f(*map(np.array, inputs))
            assert type(by_float) is float
            if name == "power" and inputs == (-math.inf, 0.5) and np.isnan(by_array):
                continue  # numpy 2.0 takes a root
            if name in ("exp", "tanh", "sigmoid", "power", "log"):  # math and numpy may differ in the last bits
                assert same(by_float, by_array) or by_float == pytest.approx(float(by_array), rel=1e-14), inputs
            elif name == "maximum" and a == b == 0.0:  # which zero numpy picks differs from processor to processor
                assert by_float == by_array == 0.0
            else:
                assert same(by_float, by_array), inputs
            as_value = f(*map(tg.Value, inputs))
            assert same(as_value.data, by_float)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_float_edges_follow_ieee():
    assert tg.divide(1.0, 0.0) == math.inf
    assert tg.divide(-1.0, 0.0) == -math.inf
    assert tg.divide(1.0, -0.0) == -math.inf
    assert math.isnan(tg.divide(0.0, 0.0))
    assert (tg.Value(1.0) / 0.0).data == math.inf
    assert tg.log(0.0) == -math.inf
    assert math.isnan(tg.log(-1.0))
    assert tg.exp(1e4) == math.inf
    assert tg.power(0.0, -1.0) == math.inf
    assert math.isnan(tg.power(-8.0, 1.0 / 3.0))
    assert tg.power(10.0, 400.0) == math.inf


@given(st.floats(-700.0, 1e300))
def test_sigmoid_equals_its_formula_to_the_bit(x):
    assert tg.sigmoid(x) == 1.0 / (1.0 + math.exp(-x))
    assert tg.sigmoid(np.array([x]))[0] == (1 / (1 + np.exp(-np.array([x]))))[0]


def test_sigmoid_is_stable_without_a_warning():  # every warning fails a test here
    for x in (1e4, -1e4, math.inf, -math.inf):
        expected = 1.0 if x > 0 else 0.0
        value, array = tg.Value(x), tg.Value(np.array([x, x], np.float32))
        assert tg.sigmoid(value).data == expected
        assert np.array_equal(tg.sigmoid(array).data, [expected, expected])
        tg.sigmoid(value).backward()
        assert value.grad == 0.0
    assert math.isnan(tg.sigmoid(math.nan))


def test_relu_has_slope_0_at_0_and_maximum_shares_a_tie():
    x, y = tg.Value(0.0), tg.Value(0.0)
    tg.relu(x).backward()
    assert x.grad == 0.0
    x.zero_grad()
    tg.maximum(x, y).backward()
    assert (x.grad, y.grad) == (0.5, 0.5)
    a, b = tg.Value([1.0, 2.0, 3.0]), tg.Value([3.0, 2.0, 1.0])
    tg.maximum(a, b).sum().backward()
    assert (a.grad.tolist(), b.grad.tolist()) == ([0.0, 0.5, 1.0], [1.0, 0.5, 0.0])


def test_relu_passes_nan_on_in_floats_and_arrays():
    assert math.isnan(tg.relu(math.nan))
    assert math.isnan(tg.relu(np.array([math.nan]))[0])


def test_power_has_finite_slopes_at_zero():
    x = tg.Value(0.0)
    (x**2).backward()
    assert x.grad == 0.0
    x.zero_grad()
    (x**0).backward()
    assert x.grad == 0.0
    exponent = tg.Value(2.0)
    (tg.Value(0.0) ** exponent).backward()
    assert exponent.grad == 0.0


def test_repeated_indices_accumulate():
    x = tg.Value([1.0, 2.0, 3.0])
    x[[0, 0, 2, 0]].sum().backward()
    assert x.grad.tolist() == [3.0, 0.0, 1.0]


@given(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3, min_side=0))
def test_broadcasting_is_undone_by_summing(shapes):
    left, right = shapes.input_shapes
    a, b = tg.Value(np.ones(left)), tg.Value(np.ones(right))
    product = a * b
    product.backward(seed=np.ones(product.shape))
    for value in (a, b):
        repeats = np.prod(product.shape) / np.prod(value.shape) if np.prod(value.shape) else 0
        assert value.grad.shape == value.shape
        assert np.all(value.grad == repeats)


@pytest.mark.parametrize("f", [tg.add, tg.multiply, tg.maximum, tg.power, operator.matmul])
def test_shapes_that_do_not_fit_are_named_with_the_operation(f):
    name = "matmul" if f is operator.matmul else f.name
    with pytest.raises(ValueError, match=rf"{name}: inputs of shape \(2, 3\) and \(2, 4\) don't fit"):
        f(tg.Value(np.ones((2, 3))), tg.Value(np.ones((2, 4))))


def test_plain_data_gives_plain_results():
    assert tg.exp(0.0) == 1.0
    assert type(tg.add(1, 2)) is float
    assert isinstance(tg.exp([0.0, 1.0]), np.ndarray)


def test_every_operation_documents_its_formula():
    for entry in vars(tg.ops).values():
        if isinstance(entry, tg.Operation):
            assert "∂" in (entry.__doc__ or ""), entry
            assert entry.formula, entry
            assert entry.symbol, entry


def test_an_operation_of_your_own_is_like_any_other():
    square = tg.operation(lambda x: x * x, lambda g, out, x: (g * (x + x),), name="square", symbol="x²")
    x = tg.Value([1.0, -3.0], name="x")
    y = square(x).sum()
    (slope,) = tg.gradients(y, [x])
    assert slope.data.tolist() == [2.0, -6.0]
    assert tg.gradcheck(lambda v: square(v).sum(), np.array([1.0, -3.0]))
    assert tg.gradients(slope.sum(), [x])[0].data.tolist() == [2.0, 2.0]
    assert "x²" in tg.draw(y).source


def test_an_operation_of_your_own_takes_parameters_and_numpy_functions():
    scaled = tg.operation(lambda x, factor=2.0: factor * x, lambda g, out, x, factor=2.0: (g * factor,), name="scaled")
    x = tg.Value(3.0)
    assert scaled(x, 5.0).data == 15.0
    assert scaled(x, factor=4.0).params == {"factor": 4.0}
    scaled(x).backward()
    assert x.grad == 2.0
    sine = tg.operation(np.sin, lambda g, out, x: (g * np.cos(x),), name="sine")
    angle = tg.Value([0.5, 1.0])
    sine(angle).sum().backward()
    assert np.array_equal(angle.grad, np.cos([0.5, 1.0]))


def test_a_rule_with_the_wrong_number_of_cotangents_is_named():
    broken = tg.operation(lambda a, b: a * b, lambda g, out, a, b: (g,), name="broken")
    x = tg.Value(1.0)
    with pytest.raises(ValueError, match="broken: the rule gave 1 cotangents for 2 inputs"):
        broken(x, x).backward()
    assert x.grad is None


def test_a_rule_with_a_cotangent_of_the_wrong_shape_is_named():
    broken = tg.operation(lambda a: a * 1.0, lambda g, out, a: (np.ones(7),), name="broken")
    x = tg.Value(np.ones(3))
    with pytest.raises(ValueError, match=r"broken: a cotangent of shape \(7,\) came for an input of shape \(3,\)"):
        broken(x).sum().backward()
    assert x.grad is None


def test_arguments_that_no_operation_has_are_refused():
    with pytest.raises(TypeError, match="positional arguments"):
        tg.exp(tg.Value(1.0), 2.0)


@pytest.mark.parametrize("name", CASES)
def test_compiled_operations_and_gradients_equal_the_eager_run_to_the_bit(name, assert_compiles):
    assert_compiles(*CASES[name])
