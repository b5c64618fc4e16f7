"""Random programs over all operations: numpy's value, central differences, forward mode, and the second order.

A few by default; `pytest --fuzz=MINUTES tests/test_random_programs.py` draws new ones for so long. A failure names the
seed, with which `program(seed)` makes the same program again.
"""

import os
import time

import numpy as np
import pytest

import tinygrad_edu as tg

PROGRAMS = 60  # a few seconds


def steps_of_one(rng, x):
    """Steps that fit one array: pairs of a name and a function."""
    ndim, shape = x.ndim, x.shape
    axis = int(rng.integers(-ndim, ndim)) if ndim else None
    some = None if ndim == 0 or rng.random() < 0.3 else axis
    keep = bool(rng.integers(2))
    c = float(rng.uniform(-0.8, 0.8))
    mask = rng.random(shape) < 0.5
    yield from {
        "tanh": np.tanh,
        "sin": np.sin,
        "cos": np.cos,
        "arctan": np.arctan,
        "arcsinh": np.arcsinh,
        "sinc": np.sinc,
        "sigmoid": tg.sigmoid,
        "softplus": tg.softplus,
        "gelu": tg.gelu,
        "silu": tg.silu,
        "relu": tg.relu,
        "leaky_relu": tg.leaky_relu,
        "elu": tg.elu,
        "absolute": np.abs,
        "negative": np.negative,
        "square": np.square,
        "exp": lambda x: np.exp(0.3 * x),
        "exp2": lambda x: np.exp2(0.3 * x),
        "expm1": lambda x: np.expm1(0.3 * x),
        "log": lambda x: np.log(x * x + 0.5),
        "log1p": lambda x: np.log1p(x * x),
        "log2": lambda x: np.log2(x * x + 0.7),
        "log10": lambda x: np.log10(x * x + 0.7),
        "sqrt": lambda x: np.sqrt(x * x + 0.3),
        "cbrt": lambda x: np.cbrt(x * x + 0.3),
        "reciprocal": lambda x: np.reciprocal(x * x + 0.8),
        "sinh": lambda x: np.sinh(0.5 * x),
        "cosh": lambda x: np.cosh(0.5 * x),
        "tan": lambda x: np.tan(0.3 * np.tanh(x)),
        "arcsin": lambda x: np.arcsin(0.8 * np.tanh(x)),
        "arccos": lambda x: np.arccos(0.8 * np.tanh(x)),
        "arctanh": lambda x: np.arctanh(0.7 * np.tanh(x)),
        "arccosh": lambda x: np.arccosh(1.3 + x * x),
        "deg2rad": np.deg2rad,
        "rad2deg": lambda x: np.rad2deg(0.02 * x),
        "power": lambda x: (x * x + 0.4) ** 1.7,
        "cube": lambda x: x**3,
        "reflected power": lambda x: 1.3**x,
        "clip": lambda x: np.clip(x, c - 0.5, c + 0.5),
        "nan_to_num": np.nan_to_num,
        "where": lambda x: np.where(mask, x, c * x * x),
        "remainder": lambda x: x % 0.83,
        "reshape": lambda x: np.reshape(x, (-1,)),
        "transpose": np.transpose,
        "ravel F": lambda x: np.ravel(x, order="F"),
        "copy": np.copy,
        "expand_dims": lambda x: np.expand_dims(x, 0),
        "squeeze": np.squeeze,
        "flip": np.flip,
        "tile": lambda x: np.tile(x, 2),
        "repeat": lambda x: np.repeat(x, 2),
        "pad": lambda x: np.pad(x, 1),
        "roll": lambda x: np.roll(x, 1),
        "cumsum flat": lambda x: np.cumsum(x),
        "sort flat": lambda x: np.sort(x, None),
        "atleast_2d": np.atleast_2d,
        "broadcast_to": lambda x: np.broadcast_to(x, (2, *shape)),
        "average": np.average,
        "norm": lambda x: np.linalg.norm(np.ravel(x)),
        "linspace": lambda x: np.linspace(x, c, 3),
        "outer": lambda x: np.outer(x, x),
        "sum of all": lambda x: np.sum(x),
    }.items()
    if ndim == 0 or 0 in shape:
        return
    k = int(rng.integers(shape[axis]))
    where = (*(slice(None),) * (axis % ndim),)
    yield from {
        "sum": lambda x: np.sum(x, axis=some, keepdims=keep),
        "mean": lambda x: np.mean(x, axis=some, keepdims=keep),
        "max": lambda x: np.max(x, axis=some, keepdims=keep),
        "min": lambda x: np.min(x, axis=some, keepdims=keep),
        "prod": lambda x: np.prod(x, axis=some),
        "var": lambda x: np.var(x, axis=some, keepdims=keep),
        "std": lambda x: np.std(x, axis=some),
        "ptp": lambda x: np.ptp(x, axis=some),
        "logsumexp": lambda x: tg.logsumexp(x, axis=some, keepdims=keep),
        "softmax": lambda x: tg.softmax(x, axis=axis),
        "log_softmax": lambda x: tg.log_softmax(x, axis=axis),
        "cumsum": lambda x: np.cumsum(x, axis=axis),
        "cumprod": lambda x: np.cumprod(x, axis=axis),
        "sort": lambda x: np.sort(x, axis=axis),
        "median": lambda x: np.median(x, axis=some),
        "quantile": lambda x: np.quantile(x, 0.3, axis=some),
        "nanmean": lambda x: np.nanmean(np.where(mask, np.nan, x), axis=some) if not mask.all(axis=some).any() else x,
        "nansum": lambda x: np.nansum(np.where(mask, np.nan, x), axis=some),
        "norms": lambda x: np.linalg.norm(x, 3, axis=axis),
        "norm 1": lambda x: np.linalg.norm(x, 1, axis=axis),
        "norm inf": lambda x: np.linalg.norm(x, np.inf, axis=axis),
        "take": lambda x: np.take(x, [k, -1, k], axis=axis),
        "index": lambda x: x[(*where, k)],
        "slice": lambda x: x[(*where, slice(None, None, -2))],
        "mask": lambda x: x[mask],
        "list": lambda x: x[[0, -1, 0]],
        "delete": lambda x: np.delete(x, k, axis=axis),
        "roll axis": lambda x: np.roll(x, k, axis=axis),
        "flip axis": lambda x: np.flip(x, axis=axis),
        "split": lambda x: np.array_split(x, [k, k + 1], axis=axis)[1],
        "unstack": lambda x: getattr(np, "unstack", tg.unstack)(x, axis=axis)[k],
        "stack": lambda x: np.stack([x, x * x], axis=axis),
        "moveaxis": lambda x: np.moveaxis(x, axis, 0),
        "rollaxis": lambda x: np.rollaxis(x, axis),
        "swapaxes": lambda x: np.swapaxes(x, axis, 0),
        "diff": lambda x: np.diff(x, axis=axis),
        "trapezoid": lambda x: np.trapezoid(x, axis=axis),
        "gradient": lambda x: np.gradient(x, 0.7, axis=axis) if shape[axis] > 1 else x,
        "repeat axis": lambda x: np.repeat(x, 2, axis=axis),
        "pad wrap": lambda x: np.pad(x, 1, mode="wrap"),
        "insert": lambda x: np.insert(x, k, c, axis=axis),
        "concatenate": lambda x: np.concatenate([x, x], axis=axis),
        "take_along_axis": lambda x: np.take_along_axis(x, np.argsort(rng_free(shape), axis), axis),
        "convolve": lambda x: np.convolve(np.ravel(x), [0.5, c, -0.3]),
        "resize": lambda x: np.resize(x, (2, 3)),
        "interp": lambda x: np.interp(x, [-2.0, -0.5, 0.4, 2.0], [0.3, -1.0, c, 1.0]),
        "append": lambda x: np.append(x, c),
        "compress": lambda x: np.compress([True], x, axis=axis),
    }.items()
    if ndim >= 2:
        low = int(rng.integers(-1, 2))
        yield from {
            "tril": lambda x: np.tril(x, low),
            "triu": lambda x: np.triu(x, low),
            "diagonal": lambda x: np.diagonal(x),
            "trace": np.trace,
            "linalg trace": np.linalg.trace,
            "matrix_transpose": np.matrix_transpose,
            "frobenius": lambda x: np.linalg.norm(x, axis=(-2, -1)),
            "gram": lambda x: x @ np.swapaxes(x, -1, -2),
            "einsum": lambda x: np.einsum("...ij,...kj->...ik", x, np.tanh(x)),
            "rot90": np.rot90,
            "windows": lambda x: tg.sliding_windows(x, height=1, width=1),
            "column norms": lambda x: np.linalg.norm(x, axis=-2),
            "nuclear": lambda x: np.linalg.norm(x, "nuc", axis=(-2, -1)) if len(set(shape[-2:])) > 1 else x,
            "median of axes": lambda x: np.median(x, axis=(0, 1)),
            "sum of axes": lambda x: np.sum(x, axis=(-1, 0)),
        }.items()
    if ndim >= 2 and shape[-1] == shape[-2] and shape[-1] > 0:
        n = shape[-1]

        def definite(x):
            x = np.tanh(x)
            return x @ np.swapaxes(x, -1, -2) + np.diag(np.arange(1.0, n + 1.0)).astype(x.dtype)

        yield from {
            "inv": lambda x: np.linalg.inv(definite(x)),
            "det": np.linalg.det,
            "cholesky": lambda x: np.linalg.cholesky(definite(x)),
            "slogdet": lambda x: np.linalg.slogdet(definite(x))[1],
            "eigvalsh": lambda x: np.linalg.eigvalsh(definite(x)),
            "eigh": lambda x: np.linalg.eigh(definite(x))[1] ** 2,
            "solve": lambda x: np.linalg.solve(definite(x), x),
            "qr": lambda x: np.linalg.qr(definite(x))[1],
            "svd": lambda x: np.linalg.svd(definite(x), full_matrices=False)[1],
            "pinv": lambda x: np.linalg.pinv(definite(x)),
            "matrix_power": lambda x: np.linalg.matrix_power(0.5 * x, 3),
            "cond": lambda x: np.linalg.cond(definite(x)),
        }.items()
    if ndim == 4:
        kernel = np.linspace(-0.5, 0.5, 2 * shape[1]).reshape(2, shape[1], 1, 1)
        yield "conv2d", lambda x: tg.conv2d(x, kernel.astype(x.dtype), padding=1, stride=(1, 2))
        yield "max_pool2d", lambda x: tg.max_pool2d(x, 1, (1, 2))
        yield "avg_pool2d", lambda x: tg.avg_pool2d(x, (1, 1))


def rng_free(shape):
    """Numbers of a shape, the same at each call."""
    return np.sin(np.arange(np.prod(shape, dtype=int))).reshape(shape)


def steps_of_two(rng, a, b):
    """Steps that fit two arrays."""
    try:
        np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        pass
    else:
        mask = rng.random(np.broadcast_shapes(a.shape, b.shape)) < 0.5
        yield from {
            "add": np.add,
            "subtract": np.subtract,
            "multiply": np.multiply,
            "divide": lambda a, b: a / (b * b + 0.6),
            "maximum": np.maximum,
            "minimum": np.minimum,
            "fmax": np.fmax,
            "fmin": np.fmin,
            "hypot": lambda a, b: np.hypot(a, b + 3.0),
            "arctan2": lambda a, b: np.arctan2(a, b * b + 0.5),
            "logaddexp": np.logaddexp,
            "logaddexp2": np.logaddexp2,
            "power of two": lambda a, b: (a * a + 0.5) ** np.tanh(b),
            "where of two": lambda a, b: np.where(mask, a, b),
            "mod": lambda a, b: np.mod(a, b * b + 0.7),
            "fmod": lambda a, b: np.fmod(a, b * b + 0.7),
            "where by value": lambda a, b: tg.where(a > b, a * b, a - b),
            "broadcast_arrays": lambda a, b: np.broadcast_arrays(a, b)[0] * b,
            "copysign": lambda a, b: np.copysign(a, rng_free(np.shape(b))),
        }.items()
    if a.ndim and b.ndim and a.shape[-1] == b.shape[-2 if b.ndim > 1 else 0] and 0 not in (*a.shape, *b.shape):
        if a.ndim <= 2 or b.ndim <= 2:
            yield "matmul", np.matmul
        yield "dot", np.dot
    if a.ndim and b.ndim and a.shape[-1] == b.shape[-1]:
        yield "inner", np.inner
        yield "vstack", lambda a, b: np.vstack([np.reshape(a, (-1, a.shape[-1])), np.reshape(b, (-1, a.shape[-1]))])
    if a.shape == b.shape:
        yield from {
            "stack two": lambda a, b: np.stack([a, b]),
            "vdot": np.vdot,
            "cov": lambda a, b: np.cov(np.ravel(a), np.ravel(b), ddof=0),
            "tensordot all": lambda a, b: np.tensordot(a, b, axes=a.ndim),
            "half squared error": tg.nn.half_squared_error,
        }.items()
    if a.ndim <= 2 and b.ndim <= 2:
        yield "kron", np.kron
        yield "multiply.outer", np.multiply.outer
    yield "append two", np.append
    if a.size and b.size and a.ndim and b.ndim:
        yield "convolve two", lambda a, b: np.convolve(np.ravel(a), np.ravel(b), "same")


SHAPES = [(), (1,), (3,), (4,), (2, 3), (3, 3), (3, 2), (1, 3), (2, 2, 3), (2, 3, 3), (2, 2, 3, 2), (0,), (2, 0)]


def program(seed):
    """A function, the inputs that it is for, and its steps by name."""
    rng = np.random.default_rng(seed)
    inputs = [np.array(rng.uniform(-1.3, 1.3, SHAPES[rng.integers(len(SHAPES))])) for _ in range(rng.integers(1, 4))]
    pool, steps = list(inputs), []
    while len(steps) < 7:
        i, j = (int(k) for k in rng.integers(len(pool), size=2))
        two = rng.random() < 0.4
        found = list(steps_of_two(rng, pool[i], pool[j]) if two else steps_of_one(rng, pool[i]))
        if not found:
            continue
        name, f = found[rng.integers(len(found))]
        with np.errstate(all="ignore"):
            try:
                out = np.asarray(f(pool[i], pool[j]) if two else f(pool[i]))
            except (ValueError, IndexError):  # numpy refuses these arguments
                continue
        if out.size > 60 or not np.all(np.isfinite(out)) or np.any(abs(out) > 50.0):
            continue
        pool.append(out)
        steps.append((name, f, (i, j) if two else (i,)))

    def run(*xs):
        values = list(xs)
        for _, f, places in steps:
            out = f(*(values[k] for k in places))
            values.append(np.asarray(out) if isinstance(out, float) else out)
        return sum(np.sum(np.tanh(0.3 * x)) * (1.0 + 0.1 * k) for k, x in enumerate(values))

    return run, inputs, [f"{name}{places}" for name, _, places in steps]


def slope(f, inputs, directions, h):
    """The derivative along directions by central differences of the fourth order, and how far two steps differ."""

    def rise(t):
        ahead = f(*(x + t * d for x, d in zip(inputs, directions, strict=True)))
        return ahead - f(*(x - t * d for x, d in zip(inputs, directions, strict=True)))

    fine, coarse = ((8.0 * rise(t) - rise(2.0 * t)) / (12.0 * t) for t in (h, 3.0 * h))
    return fine, float(np.max(abs(np.asarray(fine - coarse)), initial=0.0))


def dot(xs, ys):
    return sum(float(np.sum(np.asarray(x) * np.asarray(y))) for x, y in zip(xs, ys, strict=True))


def check(seed):
    """Run one program through all checks. False where a kink was too near for differences to tell."""
    f, inputs, steps = program(seed)
    rng = np.random.default_rng([seed, 1])
    directions = [np.array(rng.normal(size=x.shape)) for x in inputs]
    every = tuple(range(len(inputs)))
    story = f"seed {seed}: inputs of shapes {[x.shape for x in inputs]}, {steps}"
    value, gradient = tg.value_and_grad(f, every)(*inputs)
    assert np.isclose(value, f(*inputs), rtol=1e-10, atol=1e-10), story
    along = dot(gradient, directions)
    _, forward = tg.jvp(f, inputs, directions)
    assert np.isclose(forward, along, rtol=1e-8, atol=1e-9), f"{story}: forward mode {forward}, reverse {along}"
    numerical, doubt = slope(f, inputs, directions, 1e-4)
    smooth = doubt < 1e-6 * (1.0 + abs(numerical))
    if smooth:
        assert np.isclose(along, numerical, rtol=1e-5, atol=1e-6), f"{story}: {along}, by differences {numerical}"
    gradient_of = lambda *xs: tg.grad(f, every)(*xs)  # noqa: E731
    second = tg.grad(lambda *xs: sum(np.sum(g * d) for g, d in zip(gradient_of(*xs), directions, strict=True)), every)(
        *inputs
    )
    _, pushed = tg.jvp(gradient_of, inputs, directions)
    for a, b in zip(second, pushed, strict=True):
        assert np.allclose(a, b, rtol=1e-6, atol=1e-7, equal_nan=True), f"{story}: reverse twice {a}, forward after {b}"
    if not smooth or any(np.isnan(x).any() for x in second):  # nan is said where there is no second derivative
        return False
    curve = lambda *xs: dot(gradient_of(*xs), directions)  # noqa: E731
    bend, doubt = slope(curve, inputs, directions, 1e-4)
    if doubt > 1e-5 * (1.0 + abs(bend)):
        return False
    assert np.isclose(dot(second, directions), bend, rtol=1e-4, atol=1e-4), f"{story}: second order, differences {bend}"
    return True


def check_compiled(seed):
    """That a program and its gradients, compiled for other numbers, give the bits of the eager run."""
    f, inputs, steps = program(seed)
    both = lambda *xs: tg.tree.leaves_of(both_of(f, xs))  # noqa: E731
    compiled = tg.compile(both)
    try:
        compiled(*(0.5 * x for x in inputs))
    except TypeError as error:
        if "while compiling" not in str(error):
            raise
        return  # a step looks at numbers
    expected = both(*map(tg.Value, inputs))
    for ours, theirs in zip(compiled(*inputs), expected, strict=True):
        ours, theirs = (np.asarray(x.data if isinstance(x, tg.Value) else x) for x in (ours, theirs))
        story = f"seed {seed}: inputs of shapes {[x.shape for x in inputs]}, {steps}: compiled {ours}, eager {theirs}"
        assert np.array_equal(ours, theirs, equal_nan=True), story


def both_of(f, xs):
    out = f(*xs)
    return out, tg.gradients(out, xs)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_random_programs_have_numpys_values_and_right_derivatives(request, capsys):
    minutes = request.config.getoption("--fuzz")
    end = time.monotonic() + 60.0 * minutes
    first = int.from_bytes(os.urandom(4), "little") if minutes else 0
    seed, smooth = first, 0
    while seed < first + PROGRAMS or time.monotonic() < end:
        smooth += check(seed)
        if seed % 4 == 0:
            check_compiled(seed)
        seed += 1
    if minutes:
        with capsys.disabled():
            print(f"\n{seed - first} random programs from seed {first}, {smooth} of them without a kink nearby")
    assert smooth > 0.5 * (seed - first)
