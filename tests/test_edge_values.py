"""Derivatives at kinks and singular points: the right number, a stated convention, or nan; never another number."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

import tinygrad_edu as tg

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
RNG = np.random.default_rng(11)
ORIGIN = np.zeros(2)


def second_derivatives(f, x):
    """The Hessian three ways: reverse over reverse, forward over reverse, and as `tg.hessian` has it."""
    x = np.asarray(x, dtype=float)
    rows = [tg.grad(lambda v, i=i: tg.grad(f)(v)[i])(x) for i in np.ndindex(x.shape)]
    columns = [tg.jvp(tg.grad(f), (x,), (e.reshape(x.shape),))[1] for e in np.eye(x.size)]
    yield np.reshape(rows, (x.size, x.size))
    yield np.reshape(columns, (x.size, x.size)).T
    yield tg.hessian(f)(x).reshape(x.size, x.size)


KINKS = {
    "norm": (lambda v: np.linalg.norm(v) ** 2, 2.0 * np.eye(2)),
    "norm to the fourth": (lambda v: np.linalg.norm(v) ** 4, np.zeros((2, 2))),
    "norm of order 3": (lambda v: np.linalg.norm(v, 3) ** 3, np.zeros((2, 2))),
    "norm of order 1": (lambda v: np.linalg.norm(v[:1], 1) ** 2, np.diag([2.0, 0.0])),
    "largest absolute value": (lambda v: np.linalg.norm(v[:1], np.inf) ** 2, np.diag([2.0, 0.0])),
    "hypot": (lambda v: np.hypot(v[0], v[1]) ** 2, 2.0 * np.eye(2)),
    "hypot with a constant": (lambda v: np.hypot(v[0], 0.0) ** 2, np.diag([2.0, 0.0])),
    "abs": (lambda v: np.sum(abs(v) ** 2), 2.0 * np.eye(2)),
    "fabs": (lambda v: np.sum(np.fabs(v) * np.fabs(v)), 2.0 * np.eye(2)),
    "the larger of x and -x": (lambda v: np.sum(np.maximum(v, -v) ** 2), 2.0 * np.eye(2)),
    "the smaller of x and -x": (lambda v: np.sum(np.minimum(v, -v) ** 2), 2.0 * np.eye(2)),
    "the largest of x and -x": (lambda v: np.max(np.stack([v[0], -v[0]])) ** 2, np.diag([2.0, 0.0])),
    "standard deviation": (lambda v: np.std(v) ** 2, np.array([[0.5, -0.5], [-0.5, 0.5]])),
}


@pytest.mark.parametrize("name", KINKS)
def test_a_smooth_function_of_one_with_a_kink_has_its_second_derivatives_or_nan(name):
    f, right = KINKS[name]
    for got in second_derivatives(f, ORIGIN):
        assert np.all(np.isnan(got) | (got == right)), got
    assert np.array_equal(tg.grad(f)(ORIGIN), [0.0, 0.0])


def test_a_kink_with_a_slope_on_both_sides_has_second_derivative_0_like_its_neighbours():
    for f in (lambda x: abs(x), lambda x: np.maximum(3.0 * x, -x), lambda x: tg.relu(x)):
        assert tg.grad(tg.grad(f))(0.0) == 0.0
        assert tg.jvp(tg.grad(f), (0.0,), (1.0,))[1] == 0.0


def test_second_derivatives_of_other_rows_stay_clean():
    x = np.array([[0.0, 0.0], [3.0, 4.0]])
    hessian = tg.hessian(lambda v: np.sum(np.linalg.norm(v, axis=1) ** 2))(x)
    assert np.allclose(hessian[1, :, 1], 2.0 * np.eye(2))
    assert np.array_equal(hessian[1, :, 0], np.zeros((2, 2)))


@pytest.mark.parametrize(("a", "b"), [(2.0, 0.0), (2.0, 1.0), (0.5, -1.0), (0.0, 2.0), (0.0, 3.0), (0.0, 1.5)])
def test_mixed_second_derivatives_of_a_power(a, b):
    log = math.log(a) if a else 0.0  # 0·log 0 is 0
    mixed = a ** (b - 1.0) * (1.0 + b * log)
    right = [[b * (b - 1.0) * a ** (b - 2.0) if a or b >= 2.0 else math.inf, mixed], [mixed, a**b * log**2]]
    for got in second_derivatives(lambda z: z[0] ** z[1], [a, b]):
        assert np.allclose(got, right, rtol=1e-12, atol=1e-14) or (np.isnan(got).any() and b == 1.5), got


def test_a_power_at_0_to_the_0_has_no_made_up_second_derivative():
    for point in ([0.0, 0.0], [0.0, 1.0]):
        for got in second_derivatives(lambda z: z[0] ** z[1], point):
            assert not np.isfinite(got[0, 1])
            assert not np.isfinite(got[1, 0])


@pytest.mark.parametrize("b", [0.3, 1.0, 2.5])
def test_a_power_of_0_is_flat_in_its_exponent(b):
    for f in (lambda y: tg.power(0.0, y), lambda y: tg.power(np.zeros(2), y)[0]):
        assert tg.grad(f)(b) == tg.grad(tg.grad(f))(b) == tg.grad(tg.grad(tg.grad(f)))(b) == 0.0
        assert tg.jvp(tg.grad(f), (b,), (1.0,))[1] == 0.0


def test_polynomials_have_their_derivatives_of_every_order_at_0():
    f = lambda x: sum(k * x**k for k in range(5))  # noqa: E731
    for order, right in enumerate((0.0, 1.0, 4.0, 18.0, 96.0)):
        assert f(0.0) == right
        if order:
            assert f(0.0) == right
        f = tg.grad(f)


SINGULAR = [
    np.zeros((1, 1)),
    np.zeros((3, 3)),
    np.ones((3, 3)),
    np.diag([1.0, 0.0, 2.0]),
    np.arange(16.0).reshape(4, 4),
]


def cofactors(a):
    n = len(a)
    minor = lambda i, j: np.delete(np.delete(a, i, 0), j, 1)  # noqa: E731
    return np.array([[(-1.0) ** (i + j) * np.linalg.det(minor(i, j)) for j in range(n)] for i in range(n)])


@pytest.mark.parametrize("a", [*SINGULAR, np.eye(3), RNG.normal(size=(5, 5)), np.eye(2) * 1e-9])
def test_the_gradient_of_det_is_the_matrix_of_cofactors(a):
    assert np.allclose(tg.grad(np.linalg.det)(a), cofactors(a), rtol=1e-9, atol=1e-9 * abs(a).max() ** (len(a) - 1))


@pytest.mark.parametrize("a", [*SINGULAR, np.eye(3), RNG.normal(size=(4, 4)), RNG.normal(size=(9, 9))])
def test_the_hessian_of_det_is_the_derivative_of_cofactors(a):
    hessian = tg.hessian(np.linalg.det)(a)
    for direction in RNG.normal(size=(3, *a.shape)):
        rise = (cofactors(a + 1e-5 * direction) - cofactors(a - 1e-5 * direction)) / 2e-5
        assert np.allclose(np.tensordot(hessian, direction), rise, rtol=1e-5, atol=1e-7)


def test_det_of_a_stack_with_a_singular_matrix_and_of_empty_ones():
    stack = np.stack([np.eye(2), np.ones((2, 2))])
    assert np.allclose(tg.grad(lambda a: np.sum(np.linalg.det(a)))(stack), [np.eye(2), [[1.0, -1.0], [-1.0, 1.0]]])
    assert tg.grad(np.linalg.det)(np.zeros((0, 0))).shape == (0, 0)
    single = tg.grad(lambda a: np.sum(np.linalg.det(a)))(stack.astype(np.float32))
    assert single.dtype == np.float32


@pytest.mark.parametrize("f", [np.linalg.eigvalsh, np.linalg.cholesky], ids=["eigvalsh", "cholesky"])
def test_of_a_symmetric_matrix_one_triangle_is_read_and_has_the_gradient(f):
    a = np.array([[2.0, 0.5, 0.25], [0.5, 1.0, 0.1], [0.25, 0.1, 3.0]])
    weights = RNG.normal(size=f(a).shape)
    loss = lambda a: np.sum(f(a) * weights)  # noqa: E731
    assert tg.gradcheck(loss, a)
    assert np.array_equal(np.triu(tg.grad(loss)(a), 1), np.zeros((3, 3)))
    other = a + np.triu(np.full((3, 3), 9.0), 1)  # what stands in the other triangle makes no difference
    assert np.array_equal(f(tg.Value(other)).data, f(a))


def test_eigh_reads_the_upper_triangle_where_it_is_told_to():
    a = RNG.normal(size=(3, 3))
    values, vectors = np.linalg.eigh(tg.Value(a), UPLO="U")
    assert np.array_equal(values.data, np.linalg.eigh(a, UPLO="U")[0])
    assert np.array_equal(vectors.data, np.linalg.eigh(a, UPLO="U")[1])
    loss = lambda a: np.sum(np.linalg.eigh(a, "U")[0] ** 3) + np.linalg.eigh(a, "U")[1][0, 0] ** 2  # noqa: E731
    assert tg.gradcheck(loss, a)
    assert np.array_equal(np.tril(tg.grad(loss)(a), -1), np.zeros((3, 3)))


@pytest.mark.parametrize("shape", [(2, 0), (0, 2), (0,), (2, 0, 3)])
@pytest.mark.parametrize("name", ["prod", "cumprod", "cumsum", "sum"])
def test_empty_arrays_have_empty_gradients(name, shape):
    f = getattr(np, name)
    for axis in (None, *range(len(shape))):
        assert np.array_equal(f(tg.Value(np.ones(shape)), axis=axis).data, f(np.ones(shape), axis=axis))
        assert tg.grad(lambda x, axis=axis: np.sum(f(x, axis=axis)))(np.ones(shape)).shape == shape
        assert tg.hessian(lambda x, axis=axis: np.sum(f(x, axis=axis)))(np.ones(shape)).shape == shape * 2


INFINITE = [(-math.inf, -math.inf), (math.inf, math.inf), (math.inf, 1.0), (-math.inf, 2.0), (-math.inf, math.inf)]


@pytest.mark.parametrize("pair", INFINITE)
def test_shares_of_infinite_sums_of_exponentials_add_up_to_1(pair):
    a, b = pair
    right = [0.5, 0.5] if a == b else [float(a > b), float(b > a)]
    assert tg.grad(tg.logsumexp)(np.array(pair)).tolist() == right
    assert tg.grad(lambda x: np.sum(tg.logsumexp(x, axis=1)))(np.array([pair, (0.0, 0.0)])).tolist() == [
        right,
        [0.5, 0.5],
    ]
    for f in (np.logaddexp, np.logaddexp2):
        assert list(tg.grad(f, (0, 1))(a, b)) == right
    assert tg.grad(tg.logsumexp)(a) == 1.0


@pytest.mark.parametrize(("low", "high"), [(2.0, 1.0), (-1.0, 1.0), (None, 1.0), (0.0, None), (1.0, 1.0)])
def test_clip_has_slope_1_between_its_bounds_and_on_them(low, high):
    x = np.array([-3.0, -1.0, 0.0, 1.0, 1.5, 2.0, 4.0])
    inside = (x >= (-math.inf if low is None else low)) & (x <= (math.inf if high is None else high))
    assert np.array_equal(np.clip(tg.Value(x), low, high).data, np.clip(x, low, high))
    assert np.array_equal(tg.elementwise_grad(lambda x: np.clip(x, low, high))(x), inside)


@pytest.mark.parametrize("places", [[4, 2, 10], [-2], [0, 0, 3], [], [7], (1, 3), np.array([2, 4])])
def test_split_cuts_at_any_places_as_numpy_does(places):
    for f in (np.split, np.array_split):
        ours, theirs = f(tg.Value(np.arange(6.0)), places), f(np.arange(6.0), places)
        assert [part.data.tolist() for part in ours] == [part.tolist() for part in theirs]


def test_nan_to_num_has_numpys_arguments_but_changes_nothing_in_place():
    x = np.array([math.nan, math.inf, -math.inf, 1.0])
    for args in ((), (True,), (True, 5.0), (True, 5.0, 6.0, 7.0)):
        assert np.array_equal(np.nan_to_num(tg.Value(x), *args).data, np.nan_to_num(x, *args))
    assert tg.elementwise_grad(lambda x: np.nan_to_num(x, nan=2.0))(x).tolist() == [0.0, 0.0, 0.0, 1.0]
    with pytest.raises(TypeError, match="copy=False would change x in place"):
        np.nan_to_num(tg.Value(x), copy=False)


@pytest.mark.parametrize("f", [tg.gelu, tg.silu, tg.elu, tg.softplus, tg.sigmoid, tg.tanh])
@pytest.mark.filterwarnings("error")
def test_activations_keep_their_slopes_for_huge_inputs(f):
    for x in (30.0, 1e5, 1e150, 1e300):
        right = {tg.sigmoid: 0.0, tg.tanh: 0.0}.get(f, 1.0)
        assert tg.grad(f)(x) == right or x == 30.0
        assert tg.grad(f)(-x) == 0.0 or x == 30.0
        assert np.array_equal(tg.elementwise_grad(f)(np.array([x, -x])), [tg.grad(f)(x), tg.grad(f)(-x)])
        assert f(x) == pytest.approx({tg.sigmoid: 1.0, tg.tanh: 1.0}.get(f, x))


def test_gelu_is_its_formula_to_the_bit():
    x = np.linspace(-19.0, 19.0, 401)
    formula = 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * (x * x * x))))
    assert np.array_equal(tg.gelu(x), formula)


ORDERS = (None, 0, 1, 2, 3, 0.5, -1, -2, np.inf, -np.inf)


@pytest.mark.parametrize("order", ORDERS)
def test_norms_of_vectors_of_every_order(order):
    x = RNG.normal(size=(3, 4))
    for axis, keepdims in itertools.product((0, -1), (False, True)):
        f = lambda x, axis=axis, keepdims=keepdims: np.linalg.norm(x, order, axis=axis, keepdims=keepdims)  # noqa: E731
        assert np.allclose(f(tg.Value(x)).data, f(x), rtol=1e-14)
        assert tg.gradcheck(lambda x, f=f: np.sum(f(x)), x)
    if order is None or order >= 1:
        assert tg.grad(lambda v: np.linalg.norm(v, order))(np.zeros(3)).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("order", [None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf])
def test_norms_of_matrices_of_every_order(order):
    x = RNG.normal(size=(2, 3, 4))
    for axis, keepdims in itertools.product([(0, 1), (1, 2), (2, 0), (-1, 0)], (False, True)):
        f = lambda x, axis=axis, keepdims=keepdims: np.linalg.norm(x, order, axis=axis, keepdims=keepdims)  # noqa: E731
        assert np.allclose(f(tg.Value(x)).data, f(x), rtol=1e-14)
        assert f(tg.Value(x)).shape == f(x).shape
    assert tg.gradcheck(lambda x: np.linalg.norm(x, order), x[0])
    assert np.allclose(np.linalg.norm(tg.Value(x[0]), order).data, np.linalg.norm(x[0], order))


def test_a_norm_that_there_is_not_is_refused():
    for order, axis in (("nuc", 0), (3, (0, 1)), ("fro", 1), (1, (0, 1, 2))):
        with pytest.raises(ValueError, match="norm"):
            np.linalg.norm(tg.Value(np.ones((2, 3, 4))), order, axis=axis)


def test_solve_takes_one_vector_for_a_stack_of_matrices():
    a, b = RNG.normal(size=(3, 2, 2)), RNG.normal(size=2)
    weights = RNG.normal(size=(3, 2))
    loss = lambda a, b: np.sum(np.linalg.solve(a, b) * weights)  # noqa: E731
    assert np.array_equal(np.linalg.solve(tg.Value(a), b).data, np.linalg.solve(a, b))
    assert tg.gradcheck(loss, a, b)


BRANCHES = {
    "root": (lambda x: np.where(x >= 0.0, x, np.sqrt(-x)), 1.0),
    "overflow": (lambda x: np.where(x <= 0.0, np.exp(x), 1.0 + x), 1000.0),
    "logarithm": (lambda x: np.where(x > 0.0, x, x * np.log(-x)), 2.0),
}


@pytest.mark.parametrize("name", BRANCHES)
def test_a_branch_that_is_not_taken_and_makes_a_nan_is_named(name):
    f, at = BRANCHES[name]
    for x in (at, np.full(3, at)):
        with pytest.warns(RuntimeWarning, match=r"where: a branch is nan or infinite where it isn't taken"):
            assert np.isnan(tg.elementwise_grad(f)(x)).all()


@pytest.mark.filterwarnings("error")
def test_a_branch_that_filters_nan_or_gets_harmless_numbers_is_not_blamed():
    x = np.array([math.nan, 2.0])
    assert tg.elementwise_grad(lambda x: np.where(np.isnan(x), 0.0, x * x))(x).tolist()[1] == 4.0
    safe = tg.elementwise_grad(lambda x: np.where(x > 0.0, np.log(np.where(x > 0.0, x, 1.0)), 0.0))
    assert safe(np.array([-1.0, 2.0])).tolist() == [0.0, 0.5]
    v = tg.Value(x)
    np.where(np.isnan(x), 0.0, v).sum().backward()
    assert v.grad.tolist() == [0.0, 1.0]


def test_singular_values_that_are_0_have_slope_0_and_leave_others_their_derivatives():
    assert np.array_equal(tg.grad(lambda a: np.linalg.norm(a, "nuc"))(np.zeros((2, 3))), np.zeros((2, 3)))
    twice = lambda x: np.linalg.norm(np.concatenate([x, x], axis=1), "nuc")  # noqa: E731 - of rank 2, whatever x is
    x = RNG.normal(size=(3, 2))
    assert tg.gradcheck(twice, x, order=2)
    assert np.allclose(twice(x), math.sqrt(2.0) * np.linalg.norm(x, "nuc"))


@pytest.mark.parametrize("unit", [1e-200, 1e200, 5e-324, 1e-160, 1.0])
@pytest.mark.parametrize("norm", [np.linalg.norm, lambda x: np.linalg.norm(x, 3), lambda x: np.linalg.norm(x, 1.5)])
def test_norms_have_their_slopes_where_powers_over_or_underflow(norm, unit):
    x = np.array([3.0, -4.0])
    np.testing.assert_allclose(tg.grad(norm)(x * unit), tg.grad(norm)(x), rtol=1e-12)
    if 1e-200 <= unit <= 1e150:
        np.testing.assert_allclose(tg.hessian(norm)(x * unit) * unit, tg.hessian(norm)(x), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("unit", [1e-200, 1e200])
def test_std_has_its_slope_where_squares_over_or_underflow(unit):
    x, std = np.array([1.0, 1.0, 2.0, 5.0]), lambda x: np.std(x)
    np.testing.assert_allclose(tg.grad(std)(x * unit), tg.grad(std)(x), rtol=1e-12)
    np.testing.assert_allclose(tg.compile(tg.grad(std))(x * unit), tg.grad(std)(x), rtol=1e-12)


def test_a_norm_of_negative_order_with_a_0_has_slope_0_beside_it():
    with np.errstate(all="ignore"):
        slopes = tg.grad(lambda x: np.linalg.norm(x, -1))(np.array([2.0, 0.0]))
    assert slopes[0] == 0.0
    assert np.isnan(slopes[1])


@pytest.mark.parametrize("x", [0.1, 0.3, -0.1, 0.01, 0.7])
@pytest.mark.parametrize("f", [np.mod, np.fmod, lambda a, b: divmod(a, b)[1]], ids=["mod", "fmod", "divmod"])
def test_the_slope_of_a_remainder_by_its_divisor_is_the_quotient_that_was_taken(f, x):
    """1.0 / 0.1 rounds to 10, but 0.1 is more than a tenth, so that it goes 9 times into 1."""
    quotient = (Fraction(1.0) - Fraction(float(f(1.0, x)))) / Fraction(x)
    assert tg.grad(lambda x: f(1.0, x))(x) == -round(quotient)


def test_the_sum_of_squared_singular_values_has_no_made_up_second_derivatives_where_one_is_0():
    """It is the sum of all squared entries, whose second derivatives are 2 on the diagonal."""
    squared = lambda a: np.sum(np.linalg.svd(a, full_matrices=False)[1] ** 2)  # noqa: E731
    for a in (
        [[1.0, 2.0], [2.0, 4.0]],
        [[1.0, 2.0], [3.0, 4.0]],
        [[0.0, 0.0, 0.0]],
        [[1.0, 2.0, 3.0], [2.0, 4.0, 6.0]],
    ):
        found = tg.hessian(squared)(np.array(a)).reshape(np.size(a), -1)
        assert np.all(np.isnan(found) | np.isclose(found, 2.0 * np.eye(np.size(a)), atol=1e-12))


def test_powers_of_0_leave_others_their_second_derivatives():
    found = tg.hessian(lambda x: np.sum(np.array([0.0, 2.0]) ** x))(np.ones(2))
    assert found[1, 0] == found[0, 1] == 0.0
    assert found[1, 1] == pytest.approx(2.0 * math.log(2.0) ** 2)


@pytest.mark.parametrize(
    "f", [np.linalg.norm, np.std, lambda x: np.linalg.norm(x[0], 3), lambda x: np.linalg.norm(x, "nuc")]
)
def test_norms_of_nothing_have_empty_gradients(f):
    x = np.zeros((2, 0))
    for order in (tg.grad(lambda x: np.sum(f(x))), tg.hessian(lambda x: np.sum(f(x)))):
        assert order(x).size == 0


@pytest.mark.parametrize("unit", [1e-300, 1e-200, 1e200, 1e300])
def test_an_angle_has_its_slopes_where_squares_over_or_underflow(unit):
    slopes = tg.grad(np.arctan2, (0, 1))(3.0 * unit, 4.0 * unit)
    np.testing.assert_allclose(np.array(slopes) * unit, [4.0 / 25.0, -3.0 / 25.0], rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_norm_of_all_entries_has_numpys_bits(dtype):
    for shape in ((4, 4), (7,), (3, 5, 2)):
        x = RNG.normal(size=shape).astype(dtype)
        for y in (x, x.T, x[::-1], x[..., ::2]):
            assert np.linalg.norm(tg.Value(y)).data == np.linalg.norm(y)
            assert np.linalg.norm(tg.Value(y), keepdims=True).data.tolist() == np.linalg.norm(y, keepdims=True).tolist()
