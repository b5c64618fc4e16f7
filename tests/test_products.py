"""Products that reach BLAS: convolutions, einsum, tensordot and stacks of matrices, forward and back."""

import itertools

import numpy as np
import pytest

import tinygrad_edu as tg

RNG = np.random.default_rng(5)


def naive_conv2d(x, weights, bias, stride, padding):
    x = np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    n, _, high, wide = x.shape
    kernels, _, h, w = weights.shape
    out = np.zeros((n, kernels, (high - h) // stride[0] + 1, (wide - w) // stride[1] + 1))
    for i, j in np.ndindex(out.shape[2:]):
        window = x[:, :, i * stride[0] : i * stride[0] + h, j * stride[1] : j * stride[1] + w]
        out[:, :, i, j] = (window[:, None] * weights).sum(axis=(2, 3, 4)) + bias
    return out


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 1), ((1, 2), (2, 0)), ((3, 1), (0, 1))])
def test_conv2d_is_the_sum_over_windows(stride, padding, assert_compiles):
    x, weights, bias = RNG.normal(size=(2, 3, 5, 6)), RNG.normal(size=(4, 3, 3, 2)), RNG.normal(size=4)
    f = lambda x, w, b: tg.conv2d(x, w, b, stride=stride, padding=padding)  # noqa: E731
    pairs = [(k, k) if isinstance(k, int) else k for k in (stride, padding)]
    assert np.allclose(f(x, weights, bias), naive_conv2d(x, weights, bias, *pairs), rtol=1e-12)
    assert tg.gradcheck(lambda *xs: tg.sum(tg.tanh(0.1 * f(*xs))), x, weights, bias)
    assert tg.gradcheck(lambda w: tg.sum(tg.tanh(0.1 * f(x, w, bias))), weights, order=2)
    assert_compiles(f, [x, weights, bias])


def test_conv1d_is_the_sum_over_windows():
    x, weights, bias = RNG.normal(size=(2, 3, 7)), RNG.normal(size=(4, 3, 2)), RNG.normal(size=4)
    right = naive_conv2d(x[:, :, None], weights[:, :, None], bias, (1, 2), (0, 1))[:, :, 0]
    assert np.allclose(tg.conv1d(x, weights, bias, stride=2, padding=1), right, rtol=1e-12)
    assert tg.gradcheck(lambda *xs: tg.sum(tg.tanh(0.1 * tg.conv1d(*xs, stride=2, padding=1))), x, weights, bias)
    with pytest.raises(ValueError, match=r"conv1d: x must have shape \(N, C, L\)"):
        tg.conv1d(x[0], weights)


@pytest.mark.parametrize(("size", "stride"), [(2, None), ((2, 3), None), (2, 1), ((1, 2), (2, 3))])
def test_pools_reduce_windows(size, stride):
    x = RNG.normal(size=(2, 3, 6, 6))
    (h, w), (down, across) = ((k, k) if isinstance(k, int) else k for k in (size, size if stride is None else stride))
    places = itertools.product(range(0, 6 - h + 1, down), range(0, 6 - w + 1, across))
    windows = np.stack([x[:, :, i : i + h, j : j + w].reshape(2, 3, -1) for i, j in places], axis=2)
    assert np.array_equal(tg.max_pool2d(x, size, stride).reshape(2, 3, -1), windows.max(axis=-1))
    assert np.allclose(tg.avg_pool2d(x, size, stride).reshape(2, 3, -1), windows.mean(axis=-1))
    for pool in (tg.max_pool2d, tg.avg_pool2d):
        assert tg.gradcheck(lambda x, pool=pool: tg.sum(tg.tanh(pool(x, size, stride))), x)


def test_convolutions_of_no_images_and_of_float32():
    weights = RNG.normal(size=(4, 3, 3, 3))
    assert tg.conv2d(np.zeros((0, 3, 5, 5)), weights).shape == (0, 4, 3, 3)
    assert tg.grad(lambda w: tg.sum(tg.conv2d(np.zeros((0, 3, 5, 5)), w)))(weights).shape == weights.shape
    single = tg.Value(np.ones((1, 3, 5, 5), np.float32))
    out = tg.conv2d(single, weights.astype(np.float32), padding=1)
    out.backward(np.ones(out.shape, np.float32))
    assert out.dtype == single.grad.dtype == np.float32


LARGE = {
    "ij,jk->ik": [(20, 30), (30, 25)],
    "ij,kj->ki": [(20, 30), (25, 30)],
    "bij,bjk->bik": [(4, 10, 12), (4, 12, 11)],
    "bij,jk->bik": [(4, 10, 12), (12, 11)],
    "bhqd,bhkd->bhqk": [(2, 3, 8, 10), (2, 3, 9, 10)],
    "ijk,jil->kl": [(12, 10, 11), (10, 12, 9)],
    "i,j->ij": [(80,), (70,)],
    "ij,ij->": [(80,) * 2, (80,) * 2],
    "ij,ij->j": [(80,) * 2, (80,) * 2],
    "ijm,jk->ik": [(20, 12, 5), (12, 15)],
    "ab,bc,cd->ad": [(10, 12), (12, 14), (14, 9)],
    "a,abc,c->b": [(20,), (20, 15, 18), (18,)],
    "ab,ac,ad->bcd": [(20, 5), (20, 6), (20, 7)],
    "...ij,...jk->...ik": [(3, 2, 10, 12), (2, 12, 11)],
    "iij,jk->ik": [(20, 20, 10), (10, 12)],
    "aij,bij->ij": [(4, 20, 21), (1, 1, 21)],
}


@pytest.mark.parametrize("subscripts", LARGE)
def test_large_einsums_by_matrix_products_are_numpys(subscripts, assert_compiles):
    operands = [RNG.normal(size=shape) for shape in LARGE[subscripts]]
    f = lambda *xs: np.einsum(subscripts, *xs)  # noqa: E731
    values = [tg.Value(x) for x in operands]
    out = f(*values)
    assert np.allclose(out.data, f(*operands), rtol=1e-10, atol=1e-10)
    seed = RNG.normal(size=out.shape)
    out.backward(seed if out.ndim else float(seed))
    for i, x in enumerate(operands):  # the derivative along a direction, which is exact: f is linear in each operand
        direction = RNG.normal(size=x.shape)
        rise = np.sum(seed * f(*[direction if k == i else y for k, y in enumerate(operands)]))
        assert np.isclose(np.sum(values[i].grad * direction), rise, rtol=1e-9, atol=1e-9)
    assert_compiles(f, operands)


def test_einsum_takes_lists_of_numbers():
    a, b, c = RNG.normal(size=(2, 3)), RNG.normal(size=(3, 4)), RNG.normal(size=(4, 2))
    for arguments in ((a, [0, 1], b, [1, 2], [0, 2]), (a, [0, 1], b, [1, 2]), (a, [5, 1], b, [1, 2], c, [2, 5])):
        values = [tg.Value(x) if isinstance(x, np.ndarray) else x for x in arguments]
        assert np.allclose(np.einsum(*values).data, np.einsum(*arguments))
    assert np.allclose(np.einsum(tg.Value(a), [..., 0], [0, ...]).data, np.einsum(a, [..., 0], [0, ...]))


@pytest.mark.parametrize(
    "shapes", [((5, 4, 3), (3, 6)), ((2, 5, 4, 3), (3, 6)), ((5, 4, 3), (5, 3, 6)), ((4, 3), (5, 3, 6))]
)
@pytest.mark.parametrize("scattered", [False, True])
def test_stacks_of_matrices_have_their_derivatives_in_any_layout(shapes, scattered, assert_compiles):
    operands = [RNG.normal(size=(*shape, 2))[..., 0] if scattered else RNG.normal(size=shape) for shape in shapes]
    assert np.allclose(np.matmul(*map(tg.Value, operands)).data, np.matmul(*operands), rtol=1e-13)
    assert tg.gradcheck(lambda a, b: np.sum(np.tanh(0.3 * (a @ b))), *operands, order=2)
    assert_compiles(np.matmul, operands)


def test_large_products_of_scattered_arrays_are_numpys(assert_compiles):
    a, b = RNG.normal(size=(6, 20, 30, 2))[..., 0], RNG.normal(size=(30, 25, 2))[..., 1]
    assert np.allclose((tg.Value(a) @ b).data, a @ b, rtol=1e-12)
    assert np.allclose(
        np.tensordot(tg.Value(a), b, axes=([2], [0])).data, np.tensordot(a, b, axes=([2], [0])), rtol=1e-12
    )
    assert_compiles(np.matmul, [a, b])
