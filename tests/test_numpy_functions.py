"""numpy's functions on Values: they compute what numpy computes, and their rules agree with central differences."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_edu as tg
from tinygrad_edu import ops
from tinygrad_edu.testing import assert_gradients

RNG = np.random.default_rng(3)


def signed(*shape):
    return RNG.uniform(0.3, 1.5, shape) * RNG.choice([-1.0, 1.0], shape)


def positive(*shape):
    return RNG.uniform(0.5, 2.0, shape)


def within(*shape):
    return RNG.uniform(-0.8, 0.8, shape)


def above_one(*shape):
    return RNG.uniform(1.2, 2.0, shape)


def symmetric(n):
    a = signed(n, n)
    return a + a.T


def definite(*shape):
    a = signed(*shape)
    return a @ np.swapaxes(a, -1, -2) + 2.0 * np.eye(shape[-1])


MASK = np.array([[True, False, True], [False, False, True]])
HOLES = np.array([[False, True, False], [False, False, False]])
KNOTS = np.array([0.0, 1.0, 1.5, 4.0])
X, Y, V, M = signed(2, 3), signed(2, 3), signed(4), signed(3, 3)

# Each case is a function of Values that calls numpy itself, and inputs. numpy's answer on the data is the reference.
UNARY = {
    signed: "negative positive absolute fabs sign reciprocal square cbrt floor ceil trunc rint nan_to_num exp exp2 "
    "expm1 "
    "sin cos tan arctan sinh cosh tanh arcsinh sinc deg2rad rad2deg",
    positive: "sqrt log log2 log10 log1p",
    within: "arcsin arccos arctanh",
    above_one: "arccosh",
}
BINARY = (
    "add subtract multiply divide remainder fmod floor_divide maximum minimum fmax fmin hypot heaviside logaddexp "
    "logaddexp2 arctan2"
)
CASES = {}
for draw, names in UNARY.items():
    for name in names.split():
        for shape in [(2, 3), (0,), (1,)]:
            CASES[f"{name} {shape}"] = (getattr(np, name), [draw(*shape)])
for name in BINARY.split():
    for left, right in [((2, 3), (3,)), ((2, 1), (1, 3)), ((3,), ()), ((0, 3), (3,)), ((1,), (1, 1))]:
        CASES[f"{name} {left} {right}"] = (getattr(np, name), [np.array(signed(*left)), np.array(signed(*right))])
for name in ("sum", "mean", "prod", "max", "min", "amax", "amin", "var", "std"):
    f = getattr(np, name)
    CASES |= {
        f"{name}": (f, [X]),
        f"{name} axis": (lambda x, f=f: f(x, axis=1), [X]),
        f"{name} negative axis": (lambda x, f=f: f(x, axis=-2), [signed(2, 3, 4)]),
        f"{name} axes keepdims": (lambda x, f=f: f(x, axis=(0, 2), keepdims=True), [signed(2, 3, 4)]),
    }
for name, mode, lengths in itertools.product(
    ("convolve", "correlate"), ("full", "same", "valid"), [(5, 3), (2, 4), (4, 4)]
):
    f = getattr(np, name)
    CASES[f"{name} {mode} {lengths}"] = (lambda a, v, f=f, mode=mode: f(a, v, mode), [signed(n) for n in lengths])
CASES |= {
    "power": (np.power, [positive(2, 3), signed(3)]),
    "clip": (lambda x: np.clip(x, -1.0, 0.9), [X]),
    "clip one bound": (lambda x: np.clip(x, None, 0.5), [X]),
    "clip by values": (lambda x, lo: np.clip(x, lo, 1.0), [X, np.array([-0.5, -2.0, 0.0])]),
    "var ddof": (lambda x: np.var(x, axis=0, ddof=1), [X]),
    "std ddof": (lambda x: np.std(x, ddof=1), [X]),
    "prod with a zero": (lambda x: np.prod(x, axis=1), [np.array([[0.0, 2.0, 3.0], [1.5, 2.0, -1.0]])]),
    "prod with two zeros": (np.prod, [np.array([0.0, 2.0, 0.0])]),
    "cumsum": (np.cumsum, [X]),
    "cumsum axis": (lambda x: np.cumsum(x, axis=1), [X]),
    "cumprod": (np.cumprod, [X]),
    "cumprod axis": (lambda x: np.cumprod(x, axis=-1), [X]),
    "cumprod with zeros": (lambda x: np.cumprod(x), [np.array([1.5, 0.0, 2.0, 0.0, 3.0])]),
    "reshape": (lambda x: np.reshape(x, (3, 2)), [X]),
    "ravel": (np.ravel, [X]),
    "transpose": (np.transpose, [signed(2, 3, 4)]),
    "transpose axes": (lambda x: np.transpose(x, (2, 0, 1)), [signed(2, 3, 4)]),
    "swapaxes": (lambda x: np.swapaxes(x, 0, -1), [signed(2, 3, 4)]),
    "moveaxis": (lambda x: np.moveaxis(x, 0, -1), [signed(2, 3, 4)]),
    "moveaxis two": (lambda x: np.moveaxis(x, [0, 1], [-1, 0]), [signed(2, 3, 4)]),
    "squeeze": (np.squeeze, [signed(1, 3, 1)]),
    "squeeze axis": (lambda x: np.squeeze(x, axis=0), [signed(1, 3, 1)]),
    "expand_dims": (lambda x: np.expand_dims(x, (0, -1)), [X]),
    "broadcast_to": (lambda x: np.broadcast_to(x, (4, 2, 3)), [X]),
    "concatenate": (lambda x, y: np.concatenate([x, y, x]), [X, Y]),
    "concatenate axis": (lambda x, y: np.concatenate((x, y), axis=-1), [X, signed(2, 1)]),
    "concatenate flat": (lambda x, y: np.concatenate([x, y], axis=None), [X, V]),
    "stack": (lambda x, y: np.stack([x, y], axis=-1), [X, Y]),
    "vstack": (lambda x, v: np.vstack([x, v]), [X, signed(3)]),
    "hstack": (lambda x, y: np.hstack([x, y]), [X, signed(2, 1)]),
    "hstack vectors": (lambda v, w: np.hstack([v, w]), [V, signed(2)]),
    "column_stack": (lambda v, x: np.column_stack([v, x]), [signed(2), X]),
    "split": (lambda x: np.split(x, 3, axis=1)[1], [X]),
    "array_split": (lambda v: np.array_split(v, 3)[0], [V]),
    "array_split at": (lambda v: np.array_split(v, [1, 3])[1], [V]),
    "tile": (lambda x: np.tile(x, (2, 2)), [X]),
    "repeat": (lambda x: np.repeat(x, 2, axis=0), [X]),
    "repeat flat": (lambda x: np.repeat(x, [1, 0, 2, 1]), [V]),
    "roll": (lambda x: np.roll(x, 1, axis=1), [X]),
    "roll flat": (lambda x: np.roll(x, 2), [X]),
    "flip": (np.flip, [X]),
    "flip axis": (lambda x: np.flip(x, axis=1), [X]),
    "fliplr": (np.fliplr, [X]),
    "flipud": (np.flipud, [X]),
    "rot90": (lambda x: np.rot90(x, k=3), [X]),
    "pad": (lambda x: np.pad(x, 1), [X]),
    "pad widths": (lambda x: np.pad(x, ((1, 0), (2, 1)), constant_values=2.0), [X]),
    "pad edge": (lambda x: np.pad(x, ((1, 0), (2, 1)), mode="edge"), [X]),
    "pad reflect": (lambda x: np.pad(x, 1, mode="reflect"), [X]),
    "pad wrap": (lambda x: np.pad(x, (0, 2), mode="wrap"), [X]),
    "atleast_1d": (np.atleast_1d, [np.array(0.5)]),
    "atleast_2d": (np.atleast_2d, [V]),
    "atleast_3d": (np.atleast_3d, [X]),
    "diag vector": (lambda v: np.diag(v, k=1), [V]),
    "diag matrix": (lambda x: np.diag(x, k=1), [X]),
    "diagonal": (lambda x: np.diagonal(x, offset=1, axis1=1, axis2=2), [signed(2, 3, 4)]),
    "trace": (np.trace, [M]),
    "trace offset": (lambda x: np.trace(x, offset=-1), [M]),
    "tril": (lambda x: np.tril(x, k=-1), [signed(2, 3, 3)]),
    "triu": (lambda x: np.triu(x, k=1), [X]),
    "meshgrid": (lambda v, w: np.meshgrid(v, w)[0] * np.meshgrid(v, w)[1], [V, signed(3)]),
    "meshgrid ij": (lambda v, w: np.multiply(*np.meshgrid(v, w, indexing="ij")), [V, signed(3)]),
    "outer": (np.outer, [V, signed(3)]),
    "kron": (np.kron, [X, signed(2, 2)]),
    "kron vector": (np.kron, [V, signed(2, 2)]),
    "sort": (np.sort, [X]),
    "sort axis": (lambda x: np.sort(x, axis=0), [X]),
    "sort flat": (lambda x: np.sort(x, axis=None), [X]),
    "partition": (lambda x: np.sort(np.partition(x, 1)[:2]), [V]),
    "take": (lambda x: np.take(x, [0, 5, 5]), [X]),
    "take axis": (lambda x: np.take(x, [0, 2, 2], axis=1), [X]),
    "take_along_axis": (lambda x: np.take_along_axis(x, np.array([[0, 0], [2, 1]]), axis=1), [X]),
    "where": (lambda x, y: np.where(MASK, x, y), [X, signed(3)]),
    "select": (lambda x, y: np.select([MASK, ~MASK & (np.abs(X) > 1.0)], [x, y * y], 0.5), [X, Y]),
    "dot vectors": (np.dot, [V, signed(4)]),
    "dot matrices": (np.dot, [X, signed(3, 2)]),
    "dot scalar": (np.dot, [np.array(0.5), X]),
    "dot stack": (np.dot, [signed(2, 2, 3), signed(2, 3, 2)]),
    "dot stack vector": (np.dot, [signed(2, 2, 3), signed(3)]),
    "vdot": (np.vdot, [X, Y]),
    "inner": (np.inner, [X, signed(4, 3)]),
    "matmul stacks": (np.matmul, [signed(2, 1, 2, 3), signed(3, 3, 2)]),
    "matmul vector": (np.matmul, [V, signed(2, 4, 3)]),
    "tensordot": (lambda x, y: np.tensordot(x, y, axes=1), [X, signed(3, 2)]),
    "tensordot axes": (lambda x, y: np.tensordot(x, y, axes=([0, 1], [1, 0])), [X, signed(3, 2, 2)]),
    "tensordot outer": (lambda x, v: np.tensordot(x, v, axes=0), [X, V]),
    "einsum matmul": (lambda x, y: np.einsum("ij,jk", x, y), [X, signed(3, 2)]),
    "einsum trace": (lambda x: np.einsum("ii", x), [M]),
    "einsum diagonal": (lambda x: np.einsum("ii->i", x), [M]),
    "einsum transpose": (lambda x: np.einsum("ba", x), [X]),
    "einsum sum": (lambda x: np.einsum("ij->j", x), [X]),
    "einsum bilinear": (lambda v, m, w: np.einsum("i,ij,j->", v, m, w), [signed(3), M, signed(3)]),
    "einsum repeated operand": (lambda x: np.einsum("ij,kj->ik", x, x), [X]),
    "einsum diagonal product": (lambda m, v: np.einsum("iij,j->i", m, v), [signed(3, 3, 2), signed(2)]),
    "einsum ellipsis": (lambda x, y: np.einsum("...ij,...jk->...ik", x, y), [signed(2, 2, 3), signed(3, 2)]),
    "einsum ellipsis broadcast": (lambda x, y: np.einsum("...i,...i", x, y), [signed(2, 1, 3), signed(1, 4, 3)]),
    "inv": (np.linalg.inv, [definite(2, 3, 3)]),
    "pinv tall": (np.linalg.pinv, [signed(4, 2)]),
    "pinv wide": (np.linalg.pinv, [signed(2, 4)]),
    "solve vector": (np.linalg.solve, [definite(3, 3), signed(3)]),
    "solve matrix": (np.linalg.solve, [definite(2, 3, 3), signed(2, 3, 2)]),
    "det": (np.linalg.det, [definite(2, 3, 3)]),
    "slogdet": (lambda a: np.linalg.slogdet(a)[1], [definite(3, 3)]),
    "lstsq": (lambda a, b: np.linalg.lstsq(a, b, rcond=None)[0], [signed(4, 2), signed(4)]),
    "norm": (np.linalg.norm, [V]),
    "norm frobenius": (lambda x: np.linalg.norm(x, "fro"), [X]),
    "norm axis": (lambda x: np.linalg.norm(x, axis=1, keepdims=True), [X]),
    "norm 1": (lambda x: np.linalg.norm(x, 1, axis=0), [X]),
    "norm inf": (lambda v: np.linalg.norm(v, np.inf), [V]),
    "norm -inf": (lambda v: np.linalg.norm(v, -np.inf), [V]),
    "norm 3": (lambda v: np.linalg.norm(v, 3), [V]),
    "matrix_power": (lambda a: np.linalg.matrix_power(a, 5), [M]),
    "matrix_power 0": (lambda a: np.linalg.matrix_power(a, 0) + 0.0 * a, [M]),
    "matrix_power negative": (lambda a: np.linalg.matrix_power(a, -2), [definite(3, 3)]),
    "round": (lambda x: np.round(x, 1) + 0.0 * x, [np.array([0.12, -0.57, 1.48])]),
    "fix": (lambda x: np.fix(x) * x, [X]),
    "copysign": (lambda x: np.copysign(x, np.array([1.0, -1.0, -1.0], x.dtype)), [X]),
    "divmod": (lambda x, y: np.divmod(x, y)[1], [X, positive(2, 3)]),
    "modf": (lambda x: np.modf(3.0 * x)[0], [X]),
    "conjugate": (lambda x: np.conj(x) * np.real(x) + np.imag(x), [X]),
    "angle": (lambda x: np.real_if_close(x) * np.angle(x, deg=True), [X]),
    "astype": (lambda x: x.astype(x.dtype) * x, [X]),
    "copy": (lambda x: np.copy(x) * x, [X]),
    "ordered": (lambda x: np.sort(np.stack([x, x * x]), axis=0), [X]),
    "unordered": (lambda x: np.sort(x * x), [X]),
    "add.reduce": (lambda x: np.add.reduce(x), [X]),
    "add.reduce axis": (lambda x: np.add.reduce(x, 1), [X]),
    "multiply.accumulate": (lambda x: np.multiply.accumulate(x, axis=1), [X]),
    "subtract.outer": (np.subtract.outer, [X, V]),
    "full_like": (lambda x: np.full_like(x, 2.0) * x, [X]),
    "sum dtype": (lambda x: np.sum(x, 1, x.dtype), [X]),
    "std positions": (lambda x: np.std(x, 1, None, None, 1, True), [X]),
    "append": (lambda x, y: np.append(x, y, axis=0), [X, Y]),
    "sliding_window_view": (lambda x: np.lib.stride_tricks.sliding_window_view(x, (2, 2)), [X]),
    "sliding_window_view axis": (lambda x: np.lib.stride_tricks.sliding_window_view(x, 2, axis=1), [X]),
    "logaddexp.reduce": (lambda x: np.logaddexp.reduce(x), [X]),
    "block": (lambda x, v: np.block([[x, x], [v, v]]), [X, signed(3)]),
    "block vectors": (lambda x, v: np.block([x, v]), [V, signed(3)]),
    "polyval": (np.polyval, [signed(3), X]),
    "append flat": (lambda x, v: np.append(x, v), [X, V]),
    "dstack": (lambda x, y: np.dstack([x, y]), [X, Y]),
    "delete": (lambda x: np.delete(x, [0, 2], axis=1), [X]),
    "delete flat": (lambda x: np.delete(x, 4), [X]),
    "insert": (lambda x: np.insert(x, 1, 5.0, axis=1), [X]),
    "insert several": (lambda x, v: np.insert(x, [0, 2], v, axis=0), [X, signed(3)]),
    "insert flat": (lambda x, v: np.insert(x, [1, 3], v), [V, signed(2)]),
    "insert column": (lambda x, v: np.insert(x, 1, v, axis=1), [X, signed(2)]),
    "insert by a slice": (lambda x, v: np.insert(x, slice(0, 2), v, axis=1), [signed(2, 2), signed(2)]),
    "insert along the middle": (lambda x, v: np.insert(x, [0, 2], v, axis=1), [signed(2, 3, 2), signed(2)]),
    "insert a number along the middle": (lambda x: np.insert(x, [0, 2], 5.0, axis=1), [signed(2, 3, 2)]),
    "insert more at one place": (lambda x, v: np.insert(x, 1, v, axis=0), [signed(3), signed(2)]),
    "compress": (lambda x: np.compress([True, False, True], x, axis=1), [X]),
    "extract": (lambda x: np.extract(MASK, x), [X]),
    "resize": (lambda x: np.resize(x, (3, 3)), [X]),
    "broadcast_arrays": (lambda x, v: np.multiply(*np.broadcast_arrays(x, v)), [X, signed(3)]),
    "rollaxis": (lambda x: np.rollaxis(x, 2, 1), [signed(2, 3, 4)]),
    "rollaxis back": (lambda x: np.rollaxis(x, 0, 3), [signed(2, 3, 4)]),
    "vsplit": (lambda x: np.vsplit(x, 2)[1], [X]),
    "hsplit": (lambda x: np.hsplit(x, [1])[1], [X]),
    "dsplit": (lambda x: np.dsplit(x, 2)[0], [signed(2, 3, 4)]),
    "unstack": (lambda x: getattr(np, "unstack", tg.unstack)(x, axis=1)[2], [X]),
    "atleast_1d several": (lambda x, v: np.add(*np.atleast_2d(x, v)), [X, signed(3)]),
    "ravel order F": (lambda x: np.ravel(x, order="F"), [X]),
    "average": (lambda x, w: np.average(x, weights=w), [X, positive(2, 3)]),
    "average axis": (lambda x, w: np.average(x, axis=1, weights=w), [X, positive(3)]),
    "average plain": (lambda x: np.average(x, axis=-1, keepdims=True), [X]),
    "ptp": (lambda x: np.ptp(x, axis=1), [X]),
    "median": (np.median, [X]),
    "median axis": (lambda x: np.median(x, axis=1, keepdims=True), [X]),
    "median axes": (lambda x: np.median(x, axis=(0, -1)), [signed(2, 3, 3)]),
    "quantile": (lambda x: np.quantile(x, 0.3), [X]),
    "quantile several": (lambda x: np.quantile(x, [[0.0, 0.25], [0.8, 1.0]], axis=1, keepdims=True), [signed(2, 5)]),
    "quantile midpoint": (lambda x: np.quantile(x, 0.3, axis=0, method="midpoint"), [signed(4, 2)]),
    "quantile nearest": (lambda x: np.quantile(x, 0.3, axis=0, method="nearest"), [signed(4, 2)]),
    "quantile higher": (lambda x: np.quantile(x, 0.3, axis=0, method="higher"), [signed(4, 2)]),
    "percentile": (lambda x: np.percentile(x, [10, 75], axis=(0, 1)), [signed(2, 3, 2)]),
    "nansum": (lambda x: np.nansum(np.where(HOLES, np.nan, x), axis=1), [X]),
    "nanprod": (lambda x: np.nanprod(np.where(HOLES, np.nan, x), axis=0), [X]),
    "nancumsum": (lambda x: np.nancumsum(np.where(HOLES, np.nan, x), axis=1), [X]),
    "nanmean": (lambda x: np.nanmean(np.where(HOLES, np.nan, x), axis=1, keepdims=True), [X]),
    "nanmax": (lambda x: np.nanmax(np.where(HOLES, np.nan, x), axis=1), [X]),
    "nanmin": (lambda x: np.nanmin(np.where(HOLES, np.nan, x)), [X]),
    "nanvar": (lambda x: np.nanvar(np.where(HOLES, np.nan, x), axis=1), [X]),
    "nanstd": (lambda x: np.nanstd(np.where(HOLES, np.nan, x), ddof=1), [X]),
    "cov": (np.cov, [signed(3, 4)]),
    "cov of two": (lambda v, w: np.cov(v, w, bias=True), [V, signed(4)]),
    "cov columns": (lambda x: np.cov(x, rowvar=False, ddof=0), [signed(4, 2)]),
    "corrcoef": (np.corrcoef, [signed(3, 4)]),
    "linspace": (lambda v, w: np.linspace(v, w, 5), [V, signed(4)]),
    "linspace options": (lambda v: np.linspace(v, 2.0, num=4, endpoint=False, axis=-1), [V]),
    "diff": (lambda x: np.diff(x, 2), [X]),
    "diff ends": (lambda x: np.diff(x, axis=0, prepend=x[1:] * x[1:], append=x[:1]), [X]),
    "gradient": (lambda x: np.gradient(x, 0.5, axis=1), [X]),
    "gradient of all": (lambda x: np.gradient(x, 0.5, 2.0)[1], [signed(3, 4)]),
    "gradient second order": (lambda x: np.gradient(x, 0.5, edge_order=2), [signed(5)]),
    "gradient coordinates": (lambda x, t: np.gradient(x, t, axis=0), [signed(4, 2), np.array([0.0, 0.5, 2.0, 2.25])]),
    "gradient coordinates second order": (
        lambda x, t: np.gradient(x, t, axis=0, edge_order=2),
        [signed(4, 2), np.array([0.0, 0.5, 2.0, 2.25])],
    ),
    "trapezoid": (lambda x: np.trapezoid(x, dx=0.5, axis=0), [X]),
    "trapezoid coordinates": (lambda x, t: np.trapezoid(x, t), [X, np.array([0.0, 0.5, 2.0])]),
    "interp": (lambda x, f: np.interp(x, KNOTS.astype(x.dtype), f), [np.array([[-1.0, 0.3], [1.2, 9.0]]), signed(4)]),
    "interp knots": (
        lambda t, f: np.interp(np.array([0.3, 1.2, 9.0], t.dtype), t, f, left=0.0, right=2.0),
        [np.array([0.0, 1.0, 1.5, 4.0]), signed(4)],
    ),
    "cross": (np.cross, [X, signed(3)]),
    "cross axis": (lambda x, y: np.cross(x, y, axis=0), [signed(3, 2), signed(3, 2)]),
    "vecdot": (lambda x, y: np.linalg.vecdot(x, y, axis=0), [X, Y]),
    "multi_dot": (lambda x, y, v: np.linalg.multi_dot([x, y, v]), [X, signed(3, 4), V]),
    "linalg trace": (lambda x: np.linalg.trace(x, offset=1), [signed(2, 3, 3)]),
    "linalg diagonal": (lambda x: np.linalg.diagonal(x, offset=-1), [signed(2, 3, 3)]),
    "vector_norm": (lambda x: np.linalg.vector_norm(x, axis=(0, 2), ord=3, keepdims=True), [signed(2, 3, 2)]),
    "vector_norm of all": (lambda x: np.linalg.vector_norm(x, keepdims=True), [X]),
    "matrix_norm": (lambda x: np.linalg.matrix_norm(x, ord="nuc"), [signed(2, 3, 2)]),
    "cond": (np.linalg.cond, [definite(2, 2)]),
    "cond 1": (lambda x: np.linalg.cond(x, 1), [definite(2, 2)]),
    "norm p": (lambda x: np.linalg.norm(x, 3, axis=0), [X]),
    "root_mean_square": (lambda x: np.std(x, axis=0), [X]),
    "svdvals": (lambda x: np.linalg.svd(x, compute_uv=False), [signed(4, 3)]),
    "index mixture": (lambda x: x[:, [0, 2], None, ..., 1], [signed(2, 3, 4)]),
    "index mask": (lambda x: x[MASK], [X]),
    # Symmetric matrices are made inside, so that a single entry can be moved.
    "cholesky": (
        lambda a: np.linalg.cholesky(np.matmul(a, np.swapaxes(a, -1, -2)) + np.eye(3, dtype=a.dtype)),
        [signed(2, 3, 3)],
    ),
    "eigh values": (lambda a: np.linalg.eigh(a + np.swapaxes(a, -1, -2))[0], [signed(2, 3, 3)]),
    "eigvalsh": (lambda a: np.linalg.eigvalsh(a + np.swapaxes(a, -1, -2)), [signed(2, 3, 3)]),
    "eigh vectors": (lambda a: np.square(np.linalg.eigh(a + np.swapaxes(a, -1, -2))[1]), [signed(3, 3)]),
    "qr q": (lambda a: np.linalg.qr(a)[0], [signed(4, 3)]),
    "qr r": (lambda a: np.linalg.qr(a)[1], [signed(3, 3)]),
    "svd s": (lambda a: np.linalg.svd(a, full_matrices=False)[1], [signed(4, 3)]),
    "svd u": (lambda a: np.square(np.linalg.svd(a, full_matrices=False)[0]), [signed(4, 2)]),
    "svd v": (lambda a: np.square(np.linalg.svd(a, full_matrices=False)[2]), [signed(2, 4)]),
    "svd product": (
        lambda a: np.linalg.svd(a, full_matrices=False)[0] @ np.linalg.svd(a, full_matrices=False)[2],
        [signed(3, 3)],
    ),
}
LINEAR_ALGEBRA = (
    "eigh vectors",
    "svd",
    "qr",
    "pinv",
    "cholesky",
    "lstsq",
    "inv",
    "solve",
    "det",
    "matrix_power",
    "norm 3",
)


def curved(f):
    """A scalar function through `f`, weighted and curved, so that second derivatives are not all zero."""

    def scalar(*inputs):
        out = f(*inputs)
        n = max(np.size(out.data), 1)
        weights = np.linspace(0.5, 1.5, n)[: np.size(out.data)].reshape(out.shape)
        return (np.tanh(0.3 * out) * weights).sum()

    return scalar


@pytest.mark.filterwarnings("ignore:numpy.fix is deprecated")
@pytest.mark.parametrize("name", CASES)
def test_values_compute_what_numpy_computes(name):
    f, inputs = CASES[name]
    ours, expected = f(*map(tg.Value, inputs)), f(*inputs)
    assert isinstance(ours, tg.Value)
    assert ours.shape == np.shape(expected)
    tolerance = 1e-9 if name.startswith(LINEAR_ALGEBRA) else 1e-14
    assert np.allclose(ours.data, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", CASES)
def test_rules_agree_with_central_differences_in_both_modes_to_the_second_order(name):
    f, inputs = CASES[name]
    assert_gradients(curved(f), *inputs, order=2, rtol=1e-4, atol=2e-7)


@pytest.mark.parametrize("name", CASES)
def test_rules_take_arrays_in_any_layout_in_memory(name):
    f, inputs = CASES[name]
    scattered = [np.repeat(np.asarray(x)[..., None], 3, axis=-1)[..., 1] for x in inputs]
    reversed_twice = [
        x[tuple([slice(None, None, -1)] * x.ndim)].copy()[tuple([slice(None, None, -1)] * x.ndim)] for x in inputs
    ]
    expected = tg.grad(lambda *xs: curved(f)(*xs), tuple(range(len(inputs))))(*inputs)
    for other in (scattered, reversed_twice):
        found = tg.grad(lambda *xs: curved(f)(*xs), tuple(range(len(inputs))))(*other)
        for a, b in zip(expected, found, strict=True):
            assert np.allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_float32_stays_float32_forward_and_backward(name):
    f, inputs = CASES[name]
    if not name.startswith(LINEAR_ALGEBRA):  # which loses too many of its digits
        assert_gradients(f, *(x.astype(np.float32) for x in inputs))
    values = [tg.Value(x.astype(np.float32)) for x in inputs]
    out = f(*values)
    assert out.dtype == np.float32
    out.backward(seed=np.ones(out.shape, np.float32))
    for value in values:
        assert value.grad.dtype == np.float32
        assert value.grad.shape == value.shape


shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
broadcasting = hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, min_side=0, max_side=3)


def drawn(shape, seed, low=0.3, high=1.5):
    rng = np.random.default_rng(seed)
    return np.array(rng.uniform(low, high, shape))


@given(st.sampled_from([name for names in UNARY.values() for name in names.split()]), shapes, st.integers(0, 999))
def test_elementwise_rules_hold_for_any_shape(name, shape, seed):
    low, high = {"arccosh": (1.2, 2.0), "arcsin": (-0.8, 0.8), "arccos": (-0.8, 0.8), "arctanh": (-0.8, 0.8)}.get(
        name, (0.3, 1.4)
    )
    x = drawn(shape, seed, low, high)
    if name in ("floor", "ceil", "trunc", "rint"):
        x = np.floor(x) + 0.3
    assert_gradients(curved(getattr(np, name)), x, order=2, rtol=1e-4, atol=1e-6)


@settings(max_examples=60)
@given(
    st.sampled_from([n for n in BINARY.split() if n not in ("floor_divide", "remainder", "fmod")]),
    broadcasting,
    st.integers(0, 999),
)
def test_elementwise_rules_of_two_inputs_hold_for_any_shapes_that_broadcast(name, drawn_shapes, seed):
    left, right = drawn_shapes.input_shapes
    a, b = drawn(left, seed), drawn(right, seed + 1000, 1.6, 2.5)
    assert_gradients(curved(getattr(np, name)), a, b, order=2, rtol=1e-4, atol=1e-6)


FLOATS = [0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 2.0, -2.5, 1e4, -1e4, 1e308, math.inf, -math.inf, math.nan]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", [*" ".join(UNARY.values()).split(), *BINARY.split()])
def test_floats_and_arrays_of_shape_0_agree(name):
    f = getattr(tg, name)
    n_inputs = f.n_inputs
    for a in FLOATS:
        for b in FLOATS if n_inputs == 2 else [0.0]:
            inputs = (a, b)[:n_inputs]
            by_float, by_array = f(*inputs), float(f(*map(np.array, inputs)))
            assert type(by_float) is float
            assert by_float == pytest.approx(by_array, rel=1e-13, abs=1e-300, nan_ok=True), inputs
            assert type(f(*map(tg.Value, inputs)).data) is float


def test_every_operation_of_numpys_name_has_a_case():
    elsewhere = {"sign of det", "index", "weighted_sum", "affine", "sliding_windows"} | {
        op.__name__ for op in ACTIVATION_ENTRIES
    }
    for name in ops.FAMILY_OF:
        function = getattr(ops, name)
        if isinstance(function, tg.Operation) and function.name not in elsewhere:
            assert any(case.split()[0] in (name, function.name) for case in CASES), name


ACTIVATION_ENTRIES = [tg.sigmoid, tg.relu, tg.leaky_relu, tg.elu, tg.softplus, tg.silu, tg.softmax, tg.log_softmax]
ACTIVATION_ENTRIES += [tg.logsumexp]
ACTIVATIONS = {
    "sigmoid": tg.sigmoid,
    "relu": tg.relu,
    "leaky_relu": lambda x: tg.leaky_relu(x, 0.2),
    "elu": lambda x: tg.elu(x, alpha=0.7),
    "softplus": tg.softplus,
    "silu": tg.silu,
    "gelu": tg.gelu,
}
NORMALISING = {
    "softmax": tg.softmax,
    "softmax axis": lambda x: tg.softmax(x, axis=0),
    "log_softmax": tg.log_softmax,
    "logsumexp": tg.logsumexp,
    "logsumexp axis": lambda x: tg.logsumexp(x, axis=1, keepdims=True),
}


@pytest.mark.parametrize("name", [*ACTIVATIONS, *NORMALISING])
def test_activations_agree_with_central_differences_to_the_second_order(name):
    f = (ACTIVATIONS | NORMALISING)[name]
    assert_gradients(curved(f), X, order=2, rtol=1e-4, atol=1e-7)
    if name in ACTIVATIONS:
        assert tg.gradcheck(f, 0.7)
        assert tg.gradcheck(f, -0.7)
        assert type(f(0.5)) is float


@pytest.mark.parametrize("name", [*ACTIVATIONS, *NORMALISING])
def test_activations_are_stable_at_huge_inputs(name):
    f = (ACTIVATIONS | NORMALISING)[name]
    x = tg.Value(np.array([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4]]))
    out = f(x)
    out.sum().backward()
    assert np.all(np.isfinite(out.data))
    assert np.all(np.isfinite(x.grad))


def test_logsumexp_of_infinities():
    assert tg.logsumexp(np.array([-np.inf, -np.inf])) == -np.inf
    assert tg.logsumexp(np.array([np.inf, 0.0])) == np.inf


IMAGES, KERNELS = signed(2, 2, 5, 4), signed(3, 2, 2, 3)


def test_conv2d_is_the_sum_of_its_formula():
    bias = signed(3)
    out = tg.conv2d(IMAGES, KERNELS, bias, stride=2, padding=1)
    padded = np.pad(IMAGES, ((0, 0), (0, 0), (1, 1), (1, 1)))
    for n, o, i, j in np.ndindex(*out.shape):
        window = padded[n, :, 2 * i : 2 * i + 2, 2 * j : 2 * j + 3]
        assert out[n, o, i, j] == pytest.approx(np.sum(window * KERNELS[o]) + bias[o])
    assert out.shape == (2, 3, 3, 2)


def test_convolution_and_pooling_agree_with_central_differences():
    assert tg.gradcheck(
        curved(lambda x, w, b: tg.conv2d(x, w, b, stride=2, padding=1)),
        signed(1, 2, 4, 4),
        signed(2, 2, 2, 3),
        signed(2),
    )
    image = RNG.permutation(36).reshape(1, 1, 6, 6) / 10.0
    for f in (
        lambda x: tg.max_pool2d(x, 2),
        lambda x: tg.max_pool2d(x, 3, stride=1),
        lambda x: tg.average_pool2d(x, 2),
    ):
        assert_gradients(curved(f), image, order=2, rtol=1e-4, atol=1e-7)


def test_convolution_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match=r"conv2d: x must have shape \(N, C, H, W\), got \(3,\)"):
        tg.conv2d(np.ones(3), KERNELS)
    with pytest.raises(ValueError, match=r"weights must have shape \(O, 2, h, w\), got \(3, 1, 2, 2\)"):
        tg.conv2d(IMAGES, np.ones((3, 1, 2, 2)))
    with pytest.raises(ValueError, match=r"windows of \(7, 7\) don't fit"):
        tg.max_pool2d(IMAGES, 7)


def test_ties_of_max_share():
    x = tg.Value([[3.0, 3.0, 1.0], [2.0, 2.0, 2.0]])
    np.max(x, axis=1).sum().backward()
    assert x.grad.tolist() == [[0.5, 0.5, 0.0], [1 / 3, 1 / 3, 1 / 3]]


def test_comparisons_and_positions_give_plain_arrays():
    x = tg.Value([3.0, 1.0, 2.0])
    for result in (np.greater(x, 1.5), np.isfinite(x), np.argsort(x), np.logical_and(x > 1.0, True), x >= 2.0):
        assert type(result) is np.ndarray
    assert (np.argmax(x), np.argmin(x), np.count_nonzero(x), np.shape(x), np.ndim(x)) == (0, 1, 3, (3,), 1)
    assert np.allclose(x, [3.0, 1.0, 2.0])
    assert type(np.zeros_like(x)) is np.ndarray


def test_arrays_and_numbers_mix_with_values_from_both_sides():
    a, v = np.arange(3.0), tg.Value([1.0, 2.0, 3.0])
    for result, expected in (
        (a + v, a + v.data),
        (a * v, a * v.data),
        (a @ v, a @ v.data),
        (np.float64(2.0) * v, 2.0 * v.data),
        (a - v, a - v.data),
        (2**v, 2**v.data),
    ):
        assert isinstance(result, tg.Value)
        assert np.array_equal(result.data, expected)


def test_array_builds_from_nested_values():
    v, w = tg.Value(2.0), tg.Value(3.0)
    m = tg.array([[v, w], [0, 1]])
    (m @ m).sum().backward()
    assert m.data.tolist() == [[2.0, 3.0], [0.0, 1.0]]
    assert (v.grad, w.grad) == (2.0 * 2.0 + 3.0, 2.0 + 1.0)  # of v·v + v·w + w
    assert isinstance(tg.array([[0, 1]]), np.ndarray)
    with pytest.raises(ValueError, match="stack"):
        tg.array([[v, w], [v]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: np.fft.fft(x), r"numpy\.fft\.fft isn't supported for Values"),
        (lambda x: np.unwrap(x), r"numpy\.unwrap isn't supported for Values.*value\.data.*tg\.operation"),
        (lambda x: np.frexp(x), r"frexp isn't supported"),
        (lambda x: np.exp(x, out=np.empty(2)), r"np\.exp with out=.*use the result"),
        (lambda x: np.exp(x, where=[True, False]), r"np\.exp: where= isn't supported for Values: use tg\.where"),
        (lambda x: np.sum(x, dtype=int), r"np\.sum: dtype=int64 has no gradient"),
        (lambda x: np.mean(x, where=[True, False]), r"np\.mean: where= isn't supported"),
        (lambda x: np.mean(x, out=np.empty(())), r"np\.mean: out= isn't supported"),
        (lambda x: np.hypot.reduce(x), r"np\.hypot\.reduce isn't supported for Values: use .*np\.sum"),
        (lambda x: np.pad(x, 1, mode="mean"), r"pad: mode must be one of constant, edge, reflect"),
        (lambda x: np.linalg.svd(x.reshape(2, 1), full_matrices=True), "full_matrices=True has no gradient"),
    ],
)
def test_what_is_not_supported_says_so_and_what_to_use(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call(tg.Value([1.0, 2.0]))


def test_writing_into_values_and_arrays_is_refused():
    v, a = tg.Value([1.0, 2.0]), np.ones(2)
    with pytest.raises(TypeError, match="in-place operator"):
        a += v
    with pytest.raises(TypeError, match="can't be changed in place"):
        v[0] = 3.0
    before = v
    v += 1.0
    assert (before.data.tolist(), v.data.tolist()) == ([1.0, 2.0], [2.0, 3.0])


def test_a_value_as_index_must_be_whole_numbers():
    x = tg.Value([1.0, 2.0, 3.0])
    assert x[tg.Value([0.0, 2.0])].data.tolist() == [1.0, 3.0]
    with pytest.raises(IndexError, match="whole numbers"):
        x[tg.Value([0.5])]


def test_einsum_names_what_does_not_fit():
    with pytest.raises(ValueError, match="name 2 operands, but 1 were given"):
        np.einsum("ij,jk", tg.Value(X))
    with pytest.raises(ValueError, match=r"'ijk' don't fit an operand of shape \(2, 3\)"):
        tg.einsum("ijk->i", tg.Value(X))


def test_numpys_second_names_are_the_same_functions():
    assert tg.abs is tg.absolute
    assert tg.pow is tg.power
    assert np.array_equal(np.degrees(tg.Value([1.0])).data, np.degrees([1.0]))


@pytest.mark.parametrize("name", CASES)
def test_compiled_functions_and_gradients_equal_the_eager_run_to_the_bit(name, assert_compiles):
    if name.startswith("interp"):  # between which points x lies is looked up in numbers
        with pytest.raises(TypeError, match="while compiling, Python reads the data of"):
            assert_compiles(*CASES[name])
    else:
        assert_compiles(*CASES[name])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("ddof", [2, 3])
@pytest.mark.parametrize("name", ["var", "std"])
def test_what_spreads_is_infinite_where_no_degrees_of_freedom_are_left(name, ddof):
    x = np.array([1.0, 2.0])
    assert getattr(np, name)(tg.Value(x), ddof=ddof).data == getattr(np, name)(x, ddof=ddof) == math.inf


def test_arguments_have_numpys_names_too():
    x = np.array([[3.0, 1.0], [2.0, 5.0]])
    for call in (
        lambda x: np.sum(a=x, axis=0),
        lambda x: np.std(a=x, dtype=float, ddof=1),
        lambda x: np.tile(A=x, reps=2),
        lambda x: np.take(a=x, indices=[0, 9], axis=1, mode="clip"),
        lambda x: np.take(x, [0, 9], 1, None, "wrap"),
        lambda x: np.linalg.solve(a=x, b=x),
        lambda x: np.split(ary=x, indices_or_sections=2)[1],
        lambda x: np.sort(x, 0, "stable"),
        lambda x: np.copy(x, order="F"),
        lambda x: np.sum(x, where=x > 1.5, initial=2.0),
        lambda x: np.max(x, axis=1, initial=2.5),
        lambda x: x.sum(0, float, None, True),
        lambda x: x.var(0, None, None, 1),
        lambda x: x.take([0, 9], mode="clip"),
        lambda x: sum(x.flat) * x.item(1) * x.item((1, 0)),
        lambda x: (
            np.linalg.svd(x).S + np.linalg.qr(x).R + np.linalg.eigh(x).eigenvalues + np.linalg.slogdet(x).logabsdet
        ),
        lambda x: np.linalg.qr(x, mode="r"),
    ):
        np.testing.assert_allclose(tg.tree.leaves_of(call(tg.Value(x)))[0].data, call(x), rtol=1e-13)


@pytest.mark.parametrize("order", ["C", "F", "A", "K"])
def test_numbers_are_taken_in_the_order_in_which_they_lie_in_memory(order):
    base = np.arange(24.0).reshape(2, 3, 4)
    for x in (base, base.T, base.transpose(0, 2, 1), base[:, ::-1].T, base[:, :, 1]):
        np.testing.assert_array_equal(np.ravel(tg.Value(x), order=order).data, np.ravel(x, order=order))
        np.testing.assert_array_equal(tg.Value(x).flatten(order).data, x.flatten(order))
        if order != "K":
            wanted = np.reshape(x, (-1, 2), order=order)
            np.testing.assert_array_equal(np.reshape(tg.Value(x), (-1, 2), order=order).data, wanted)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda x: np.linalg.cholesky(x, upper=True),
            r"np\.linalg\.cholesky: upper= isn't supported for Values; it takes",
        ),
        (lambda x: np.linalg.pinv(x, 1e-3), r"np\.linalg\.pinv: rcond= isn't supported"),
        (lambda x: np.var(x, correction=1), r"np\.var: correction= isn't supported for Values; it takes x, axis, ddof"),
        (lambda x: np.interp(x, [0.0, 1.0], [1.0, 2.0], period=2.0), r"np\.interp: period="),
        (lambda x: np.linalg.svd(x[:, :1]), "numpy's default: write full_matrices=False"),
        (lambda x: np.linalg.lstsq(x, np.ones(2), rcond=0.9), r"rcond=0\.9 leaves out singular values"),
        (lambda x: np.linalg.qr(x, mode="complete"), "qr: mode must be"),
    ],
)
def test_an_argument_that_a_function_does_not_take_is_named(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call(tg.Value([[2.0, 0.5], [0.5, 1.0]]))


def test_elementwise_functions_of_scipy_are_the_librarys_own():
    special = pytest.importorskip("scipy.special")
    x = np.array([0.2, 0.7])
    for name in ("expit", "logit", "log_expit", "log1p", "expm1", "exp2"):
        assert tg.gradcheck(getattr(special, name), x), name
        np.testing.assert_allclose(getattr(special, name)(tg.Value(x)).data, getattr(special, name)(x), rtol=1e-14)
    with pytest.raises(TypeError, match=r"scipy\.special\.gammaln isn't supported"):
        special.gammaln(tg.Value(x))
