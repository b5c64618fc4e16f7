"""Drawn programs with all that a compiled function may meet: each call gives the function's own bits, or an error.

A program is a list of steps, each of earlier results and of what is around: indices, masks, whole numbers, flags,
captured numbers, arrays, Values and objects, keywords. It is called several times with everything changed. A few
seconds by default; `pytest --fuzz=MINUTES` goes on drawing for so long.
"""

import re
from time import monotonic
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu.compiler import memory

N = 4
SEEDS = 300
CLEAR = re.compile("compil|record")


class Around:
    """What a program may use beside its arguments; each call of `change` gives it other numbers."""

    def __init__(self, rng):
        self.rng = rng
        self.settings = SimpleNamespace(rate=0.5, turns=2, power=2.0)
        self.table = {"scale": 2.0}
        self.parts = [0.5, 1.5]
        self.constant = np.linspace(-1.0, 1.0, N)
        self.w = tg.Value(0.75)
        self.matrix = tg.Value(np.linspace(-0.5, 0.5, N * N).reshape(N, N))

    def change(self):
        rng = self.rng
        change = rng.integers(0, 8)
        if change == 0:
            self.settings.rate = float(rng.normal())
        elif change == 1:
            self.settings.turns = int(rng.integers(0, 4))
        elif change == 2:
            self.table["scale"] = float(rng.normal())
        elif change == 3:
            self.parts[int(rng.integers(0, 2))] = float(rng.normal())
        elif change == 4:
            self.constant[int(rng.integers(0, N))] = rng.normal()
        elif change == 5:
            self.w.data = float(rng.normal())
        elif change == 6:
            self.matrix.data = layout(rng, rng.normal(size=(N, N)))
        else:
            self.settings.power = float(rng.choice([0.5, 1.0, 2.0, 3.0, -1.0, 1.7]))


def layout(rng, x):
    """The same numbers, lying in memory in one of several ways."""
    kind = rng.integers(0, 5)
    if kind == 1:
        return np.asfortranarray(x)
    if kind == 2:
        return np.ascontiguousarray(x[::-1])[::-1]
    if kind == 3:
        return np.repeat(x, 2, axis=-1)[..., ::2]
    return x.T if kind == 4 else x


def loss_of(x):
    return (x * x).sum() if x.ndim else x * x


STEPS = [
    lambda e, c, a, b: a + b,
    lambda e, c, a, b: a - b,
    lambda e, c, a, b: a * b,
    lambda e, c, a, b: a / (1.5 + b * b),
    lambda e, c, a, b: -a,
    lambda e, c, a, b: tg.tanh(a),
    lambda e, c, a, b: tg.sigmoid(a - b),
    lambda e, c, a, b: np.exp(-a * a),
    lambda e, c, a, b: np.maximum(a, b),
    lambda e, c, a, b: a * 1.0,
    lambda e, c, a, b: a @ b if a.ndim and b.ndim else a,
    lambda e, c, a, b: a.T @ a if a.ndim == 2 else a,
    lambda e, c, a, b: a.T,
    lambda e, c, a, b: a.reshape(-1) if a.ndim else a,
    lambda e, c, a, b: a.reshape(-1) @ a.reshape(-1)[::-1] if a.ndim else a,
    lambda e, c, a, b: a.sum() ** e.settings.power if a.ndim else a,
    lambda e, c, a, b: (a * a).sum(axis=0) ** 0.5 if a.ndim else a,
    lambda e, c, a, b: np.linalg.norm(a, ord=e.settings.power if a.ndim == 1 else None) if a.ndim else a,
    lambda e, c, a, b: np.linalg.norm(a.reshape(-1), ord=3) if a.ndim else a,
    lambda e, c, a, b: a.mean(axis=-1) if a.ndim else a,
    lambda e, c, a, b: a[::-1] if a.ndim else a,
    lambda e, c, a, b: a[np.int64(1)] if a.ndim else a,
    lambda e, c, a, b: a.sum(axis=np.int64(0)) if a.ndim else a,
    lambda e, c, a, b: tg.leaky_relu(a, slope=np.float64(0.1)),
    lambda e, c, a, b: np.clip(a, -0.5, 0.5),
    lambda e, c, a, b: np.concatenate([a, b]) if a.ndim == b.ndim == 1 else a,
    lambda e, c, a, b: tg.softmax(a) if a.ndim else a,
    lambda e, c, a, b: -tg.log_softmax(a, axis=1)[np.arange(N), c.index].mean() if a.shape == (N, N) else a,
    # indices, masks and whole numbers
    lambda e, c, a, b: a[c.index] if a.ndim else a,
    lambda e, c, a, b: a[c.index, c.i] if a.ndim == 2 else a,
    lambda e, c, a, b: a[c.i] if a.ndim else a,
    lambda e, c, a, b: np.take(a, c.index, axis=0) if a.ndim else a,
    lambda e, c, a, b: a[c.index + 1 - 1] if a.ndim else a,
    lambda e, c, a, b: tg.where(c.mask, a, b),
    lambda e, c, a, b: np.where(~c.mask | (b > 0.0), a, 0.5 * b),
    lambda e, c, a, b: (a > b) * a,
    lambda e, c, a, b: ((a > 0.0) + (b > 0.5)) * a,
    lambda e, c, a, b: c.mask * a,
    lambda e, c, a, b: a * c.i,
    lambda e, c, a, b: a / (1.0 + c.i),
    lambda e, c, a, b: a * (c.i + 2) * (c.i - 1),
    lambda e, c, a, b: a * (1.0 - 0.9**c.i),
    lambda e, c, a, b: a * (c.i % 3),
    lambda e, c, a, b: a * c.index.sum(),
    lambda e, c, a, b: (c.index[:, None] == np.arange(N)) * a if a.ndim else a,
    lambda e, c, a, b: a if c.flag else -a,
    lambda e, c, a, b: a * c.flag,
    lambda e, c, a, b: a[: c.i + 1] if a.ndim else a,
    lambda e, c, a, b: sum([a] * c.i, 0.0),
    # captured and by keyword
    lambda e, c, a, b: a * e.settings.rate,
    lambda e, c, a, b: a * e.table["scale"] + e.parts[-1],
    lambda e, c, a, b: a * e.constant,
    lambda e, c, a, b: a * e.w,
    lambda e, c, a, b: e.matrix @ a if a.ndim else a,
    lambda e, c, a, b: [a := a + b for _ in range(e.settings.turns)][-1] if e.settings.turns else a,
    lambda e, c, a, b: a * c.options.get("scale", 3.0),
    lambda e, c, a, b: a + c.options["shift"] if "shift" in c.options else a,
    # derivatives
    lambda e, c, a, b: tg.gradients(loss_of(a * b), [b])[0],
    lambda e, c, a, b: tg.gradients(loss_of(a * b), [b], create_graph=False)[0],
    lambda e, c, a, b: tg.gradients(loss_of(a * e.w), [e.w])[0] * b,
    lambda e, c, a, b: tg.grad(lambda z: loss_of(z * b))(a),
    lambda e, c, a, b: tg.jvp(lambda z: tg.sin(z) * e.w, (a,), (a,))[1],
    lambda e, c, a, b: a.detach() * b,
    lambda e, c, a, b: tg.stop_gradient(a) + b,
    lambda e, c, a, b: without_gradient(a, b),
]


def without_gradient(a, b):
    with tg.no_grad():
        c = a * b
    return c + b


def program_of(rng, around):
    """A function of a matrix, a vector and a number, and what it is called with beside them."""
    steps = [(int(rng.integers(0, len(STEPS))), *rng.integers(0, 99, 2).tolist()) for _ in range(rng.integers(2, 9))]
    wants = bool(rng.integers(0, 2))

    def program(x, v, s, *, index, mask, i, flag, **options):
        given = SimpleNamespace(index=index, mask=mask, i=i, flag=flag, options=options)
        made = [x, v, s]
        for kind, first, second in steps:
            a, b = made[first % len(made)], made[second % len(made)]
            made.append(STEPS[kind](around, given, a, b))
        result = made[-1], made[-2]
        return (*result, *tg.gradients(loss_of(made[-1]), [x, v, s])) if wants else result

    program.steps = steps
    return program


def call_of(rng):
    arguments = layout(rng, rng.normal(size=(N, N))), layout(rng, rng.normal(size=N)), float(rng.normal())
    if rng.integers(0, 4) == 0:
        arguments = (*(x.astype(np.float32) for x in arguments[:2]), arguments[2])
    if rng.integers(0, 4) == 0:
        arguments = tuple(map(tg.Value, arguments))
    named = {
        "index": rng.integers(0, N - 1, N).astype(rng.choice([np.int64, np.int32])),
        "mask": rng.random(N) < 0.5,
        "i": int(rng.integers(0, N - 1)),
        "flag": bool(rng.integers(0, 2)),
    }
    if rng.integers(0, 3) == 0:
        named["scale"] = float(rng.normal())
    if rng.integers(0, 3) == 0:
        named["shift"] = layout(rng, rng.normal(size=N))
    return arguments, named


def as_value(x):
    floats = isinstance(x, float) or (isinstance(x, np.ndarray) and x.dtype.kind == "f")
    return tg.Value(x) if floats else x


def bits(results):
    data = [np.asarray(tg.core.value.data_of(x), dtype=None) for x in results]
    return [(x.shape, x.dtype.str, np.where(np.isnan(x), np.nan, x).tobytes()) for x in data]


def own_answer(program, arguments, named):
    """The bits that the function itself gives; None where it raises an error."""
    try:
        named = {k: as_value(x) for k, x in named.items()}
        return bits(program(*map(as_value, arguments), **named))
    except (TypeError, ValueError, IndexError, ZeroDivisionError, AttributeError):
        return None


def check(seed):
    """Whether a drawn program was compiled: not, where it is an error itself, or refused with a clear one."""
    rng = np.random.default_rng(seed)
    around = Around(rng)
    program = program_of(rng, around)
    compiled = tg.compile(program)
    for _ in range(5):
        arguments, named = call_of(rng)
        want = own_answer(program, arguments, named)
        if want is None:
            return False
        try:
            got = compiled(*arguments, **named)
        except (TypeError, ValueError, IndexError) as error:
            if not CLEAR.search(str(error)):
                raise
            return False
        assert bits(got) == want, (seed, program.steps, compiled.source)
        around.change()
    return True


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("large", [memory.LARGE, 0])
def test_a_drawn_program_gives_its_own_bits_at_every_call_or_an_error_that_says_why(large, request):
    minutes = request.config.getoption("--fuzz")
    end, seed, done = monotonic() + 30.0 * minutes, 1 if large else 2, 0
    drawn = np.random.SeedSequence().entropy if minutes else 0
    with mock.patch.object(memory, "LARGE", large):
        while seed < SEEDS or monotonic() < end:
            done += check([seed, drawn])
            seed += 2
    print(f"{seed // 2} programs drawn, {done} compiled")
    assert done > seed // 8
