"""Kinds of mistakes in short programs: each is named, at its line, for the inputs that are wrong; the right one passes.

The programs are whole functions as students write them; a mistake is one text replaced by another.
"""

import linecache
import re

import numpy as np
import pytest

import tinygrad_edu as tg

RNG = np.random.default_rng(5)
PROGRAMS = {
    "triplet": (
        """
def loss(a, p, n):
    dp = np.sum((a - p) ** 2, axis=1)
    dn = np.sum((a - n) ** 2, axis=1)
    cost = np.maximum(0, dp - dn + 0.5)
    active = (cost > 0)[:, None] / len(a)
    return np.mean(cost), (active * 2 * (n - p), active * -2 * (a - p), active * 2 * (a - n))
""",
        [(6, 3)] * 3,
        [("active * 2 * (a - n)", "2 * (a - n) / len(a)", r"n: relu' is left out, in the gradient of `n` alone")],
    ),
    "masked factors": (
        """
M = np.eye(4, 5) + np.eye(4, 5, 2) + np.eye(4, 5, -2)
def loss(U, V):
    E = (1.0 - U @ V.T) * M
    return 0.5 * np.sum(E**2), (-E @ V, -E.T @ U)
""",
        [(4, 2), (5, 2)],
        [("(-E @ V,", "(-(1.0 - U @ V.T) @ V,", r"U: `M` is left out \(taken as 1\).* alone")],
    ),
    "huber": (
        """
def loss(e):
    small = np.abs(e) <= 0.7
    cost = np.where(small, 0.5 * e**2, 0.7 * (np.abs(e) - 0.35))
    return np.sum(cost), np.where(small, e, 0.7 * np.sign(e))
""",
        [(9,)],
        [
            ("np.where(small, e,", "np.where(~small, e,", r"condition `small` is the wrong way round"),
            ("np.where(small, e, 0.7 * np.sign(e))", "e.copy()", r"`0\.5 \* e ?\*\* ?2` is taken everywhere"),
        ],
    ),
    "dropout": (
        """
def loss(x):
    mask = (np.random.default_rng(0).random(x.shape) < 0.6) / 0.6
    h = np.where(x > 0, x, np.exp(x) - 1)
    out = h * mask
    dh = 3 * out**2 * mask
    return np.sum(out**3), dh * np.where(x > 0, 1.0, h + 1)
""",
        [(4, 5)],
        [
            ("h + 1)", "h)", r"the value f\(z\) itself is multiplied in.*np\.exp\(x\) - 1"),
        ],
    ),
    "masked": (
        """
def loss(x):
    mask = (np.arange(20).reshape(4, 5) % 3 > 0) * 2.0
    h = np.tanh(x)
    return np.sum(h * mask), mask * (1 - h**2)
""",
        [(4, 5)],
        [(", mask * (1", ", (mask == 0) * (1", r"the mask `mask` is the wrong way round")],
    ),
    "rnn": (
        """
def loss(x, h0, W):
    hs = [h0]
    for t in range(4):
        hs.append(np.tanh(x[t] + hs[t] @ W))
    total = sum(np.sum(h**3) for h in hs[1:])
    dx, dW, carry = np.zeros_like(x), np.zeros_like(W), np.zeros_like(h0)
    for t in reversed(range(4)):
        dz = (3 * hs[t + 1] ** 2 + carry) * (1 - hs[t + 1] ** 2)
        dx[t] = dz
        dW += np.outer(hs[t], dz)
        carry = dz @ W.T
    return total, (dx, carry, dW)
""",
        [(4, 3), (3,), (3, 3)],
        [
            ("reversed(range(4))", "range(4)", r"x, h0, W: the loop of the backward pass goes forwards"),
            ("reversed(range(4))", "range(3, 0, -1)", r"x, h0, W: the first turn of the loop is left out"),
            ("carry = dz", "carry += dz", r"x, h0, W: what `.*` hands back is added up"),
        ],
    ),
    "sum": (
        """
def loss(w):
    a, b = w
    total = 0.0
    for x in (0.5, -1.2, 2.0, 0.7):
        total += (a * x + b) ** 2
    da = db = 0.0
    for x in (0.5, -1.2, 2.0, 0.7):
        da += 2 * (a * x + b) * x
        db += 2 * (a * x + b)
    return total, np.array([da, db])
""",
        [(2,)],
        [
            ("db += 2 * (a * x + b)", "return total, np.array([da, 2 * (a * x + b)])", r"first turn of the loop"),
            ("np.array([da, db])", "np.array([da // 1, db // 1])", r"rounded to whole numbers"),
        ],
    ),
    "convolution": (
        """
def loss(x, k):
    out = np.zeros((3, 3))
    dx, dk = np.zeros_like(x), np.zeros_like(k)
    for i in range(3):
        for j in range(3):
            out[i, j] = np.sum(x[2 * i : 2 * i + 3, 2 * j : 2 * j + 3] * k)
    weights = np.arange(9.0).reshape(3, 3)
    total = np.sum(out**2 * weights)
    dout = 2 * out * weights
    for i in range(3):
        for j in range(3):
            dk += dout[i, j] * x[2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
            dx[2 * i : 2 * i + 3, 2 * j : 2 * j + 3] += dout[i, j] * k
    return total, (dx, dk)
""",
        [(7, 7), (3, 3)],
        [
            ("dk += dout[i, j] * x[2 * i : 2 * i + 3, 2 * j : 2 * j + 3]", "dk += dout[i, j] * x[i : i + 3, j : j + 3]",
             r"k: .* is read at stride 1 along axes \(0, 1\)"),
            ("    dout = 2 * out * weights", "    dout = (2 * out * weights).T", r"last two indices exchanged"),
        ],
    ),
    "group norm": (
        """
def loss(x):
    mean = np.mean(x, axis=(1, 2), keepdims=True)
    var = np.var(x, axis=(1, 2), keepdims=True)
    y = (x - mean) / np.sqrt(var + 1e-5)
    g = 3 * y**2
    m1, m2 = np.mean(g, axis=(1, 2), keepdims=True), np.mean(g * y, axis=(1, 2), keepdims=True)
    return np.sum(y**3), (g - m1 - y * m2) / np.sqrt(var + 1e-5)
""",
        [(2, 3, 4)],
        [
            ("m1, m2 = np.mean(g, axis=(1, 2), keepdims=True), np.mean(g * y, axis=(1, 2), keepdims=True)",
             "m1, m2 = np.mean(g, axis=2, keepdims=True), np.mean(g * y, axis=2, keepdims=True)",
             r"means over axes \(2,\), not over \(1, 2\)"),
            ("- m1 - y * m2)", "- 2 * m1 - 2 * y * m2)", None),
            ("- m1 - y * m2)", "- 12 * m1 / 3 - y * 12 * m2 / 3)", r"divided by 3, not by 12, in the means"),
        ],
    ),
    "pool": (
        """
def loss(x):
    blocks = x.reshape(2, 4, 3)
    out, top = np.mean(blocks, axis=2), np.max(blocks, axis=1)
    d = np.repeat(2 * out, 3, axis=1) / 3
    at = (blocks == top[:, None, :]) * 3 * top[:, None, :] ** 2
    return np.sum(out**2) + np.sum(top**3), d + at.reshape(2, 12)
""",
        [(2, 12)],
        [
            ("np.repeat(2 * out, 3, axis=1)", "np.tile(2 * out, (1, 3))", r"np\.tile, not of np\.repeat"),
            ("(blocks == top[:, None, :])", "(blocks == blocks.min(axis=1, keepdims=True))", r"argmin for argmax"),
        ],
    ),
    "cosine": (
        """
def loss(a, b):
    na, nb = np.sqrt(np.sum(a**2)), np.sqrt(np.sum(b**2))
    c = np.dot(a, b) / (na * nb)
    return c, (b / (na * nb) - c * a / na**2, a / (na * nb) - c * b / nb**2)
""",
        [(5,), (5,)],
        [
            ("(b / (na * nb)", "(b / na", r"a: `nb` is left out of `na \* nb`"),
        ],
    ),
    "likelihood": (
        """
def loss(s, w):
    sigma = np.exp(s)
    r = w / sigma
    return np.sum(0.5 * r**2 + s), (1 - r**2, r / sigma)
""",
        [(4,), (4,)],
        [("(1 - r**2,", "((1 - r**2) / sigma,", r"s: it is the gradient by `sigma`, not by `s`")],
    ),
    "residual": (
        """
def loss(x, W, V):
    u = x @ W
    s = x + np.maximum(u, 0) @ V
    d = 3 * s**2
    du = d @ V.T * (u > 0)
    return np.sum(s**3), (d + du @ W.T, x.T @ du, np.maximum(u, 0).T @ d)
""",
        [(4, 3), (3, 3), (3, 3)],
        [("(d + du", "(d * (u > 0) + du", r"x: multiplied by relu' of .* which belongs to another line")],
    ),
    "rbf": (
        """
def loss(x, beta):
    phi = np.exp(-beta * x**2)
    return np.sum(phi**2), (2 * phi * phi * -beta * 2 * x, np.sum(2 * phi * phi * -(x**2), axis=0))
""",
        [(4, 3), (3,)],
        [("(2 * phi * phi * -beta * 2 * x", "(-2 * phi * phi * 2 * x", r"x: `-beta` is left out, but for its sign")],
    ),
    "maxout": (
        """
def loss(u, v):
    m = np.maximum(u, v)
    a, b = np.tanh(m[:2]), np.tanh(m[2:])
    out = np.concatenate([a, b])
    d = 3 * out**2
    da, db = d[:2] * (1 - a**2), d[2:] * (1 - b**2)
    dm = np.concatenate([da, db])
    return np.sum(out**3), (dm * (u > v), dm * (u <= v))
""",
        [(4, 3), (4, 3)],
        [
            ("(dm * (u > v), dm * (u <= v))", "(dm * (u < v), dm * (u >= v))", r"u, v: the mask of `maximum` is the"),
            ("d[:2] * (1 - a**2), d[2:]", "d[2:] * (1 - a**2), d[:2]", r"gradients of `a` and `b` are exchanged"),
            ("d[2:] * (1", "d[:2] * (1", r"`b` gets the gradient of `a`, another part"),
        ],
    ),
    "batch norm with n - 1": (
        """
def loss(x):
    n = len(x)
    c = x - x.mean(axis=0)
    var = (c * c).sum(axis=0) / (n - 1)
    y = c / np.sqrt(var + 1e-3)
    g = 3 * y**2
    dc = (g - y * (g * y).sum(axis=0) / (n - 1)) / np.sqrt(var + 1e-3)
    return np.sum(y**3), dc - dc.mean(axis=0)
""",
        [(6, 3)],
        [("(g * y).sum(axis=0) / (n - 1)", "(g * y).mean(axis=0)", r"1/6 in place of 1/5 in the variance's term")],
    ),
    "masked softmax": (
        """
def loss(s):
    keep = np.array([[1, 1, 0], [1, 1, 1], [1, 0, 1]], dtype=bool)
    e = np.exp(np.where(keep, s, -np.inf))
    p = e / e.sum(axis=1, keepdims=True)
    g = 3 * p**2
    return np.sum(p**3), p * (g - (g * p).sum(axis=1, keepdims=True))
""",
        [(3, 3)],
        [("(g * p).sum(axis=1", "(g * p).sum(axis=0", r"softmax' has its sum over axis 0, not axis 1")],
    ),
    "rotation": (
        """
A = np.linspace(0, 1, 12).reshape(4, 3)
def turned(x, sign=1):
    a, b = x[:, :3], x[:, 3:]
    return np.concatenate([a * np.cos(A) - sign * b * np.sin(A), sign * a * np.sin(A) + b * np.cos(A)], axis=1)
def loss(q, k):
    a, b = turned(q), turned(k)
    s = a @ b.T
    d = 3 * s**2
    return np.sum(s**3), (turned(d @ b, -1), turned(d.T @ a, -1))
""",
        [(4, 6), (4, 6)],
        [
            ("(turned(d @ b, -1), turned(d.T @ a, -1))", "(turned(d @ b), turned(d.T @ a))", r"q, k: `turned` itself"),
            ("(turned(d @ b, -1), turned(d.T @ a, -1))", "(d @ b, d.T @ a)", r"q, k: all that `turned` does"),
        ],
    ),
    "gates": (
        """
def loss(x, h0, W):
    h, c, kept = h0, np.zeros(2), []
    for t in range(3):
        xh = np.hstack([x[t], h])
        z = xh @ W
        f, g = 1 / (1 + np.exp(-z[:2])), np.tanh(z[2:])
        before = c
        c = f * before + (1 - f) * g
        h = np.tanh(c)
        kept.append((xh, f, g, before, h))
    total = np.sum(h**3) + sum(np.sum(step[4]) for step in kept)
    dx, dW, dh, dc = np.zeros_like(x), np.zeros_like(W), 3 * h**2, np.zeros(2)
    for t in reversed(range(3)):
        xh, f, g, before, h = kept[t]
        dc = dc + (dh + 1) * (1 - h**2)
        df, dg = dc * (before - g), dc * (1 - f)
        dz = np.concatenate([df * f * (1 - f), dg * (1 - g**2)])
        dW += np.outer(xh, dz)
        dxh = W @ dz
        dx[t], dh, dc = dxh[:2], dxh[2:], dc * f
    return total, (dx, dh, dW)
""",
        [(3, 2), (2,), (4, 4)],
        [
            ("([df * f * (1 - f), dg * (1 - g**2)])", "([dg * (1 - g**2), df * f * (1 - f)])",
             r"x, h0, W: the gradients of `z.* and `z.* are exchanged"),
            ("dxh[:2], dxh[2:], dc * f", "dxh[:2], dxh[:2], dc * f", r"`h` gets the gradient of `x\[t\]`"),
        ],
    ),
    "mean of gates": (
        """
def loss(x, W):
    h, c, kept = np.zeros(3), np.zeros(3), []
    for t in range(4):
        z = x[t] + h @ W
        before = h, c
        c = np.tanh(z) * c + z
        h = np.tanh(c)
        kept.append((*before, z, h))
    dx, dW, dh, dc = np.zeros_like(x), np.zeros_like(W), np.zeros(3), np.zeros(3)
    for t in reversed(range(4)):
        h_before, c_before, z, h = kept[t]
        dc = dc + (3 * h**2 + dh) * (1 - h**2)
        dx[t] = dc * ((1 - np.tanh(z) ** 2) * c_before + 1)
        dW += np.outer(h_before, dx[t])
        dh, dc = dx[t] @ W.T, np.tanh(z) * dc
    return sum(np.sum(step[3] ** 3) for step in kept), (dx, dW)
""",
        [(4, 3), (3, 3)],
        [("reversed(range(4))", "range(4)", r"x, W: the loop of the backward pass goes forwards")],
    ),
    "divergence": (
        """
def loss(m, s, u):
    v, w = np.exp(s), np.exp(u)
    return np.sum((v + m**2) / w + u), (2 * m / w, v / w, 1 - (v + m**2) / w)
""",
        [(4,)] * 3,
        [("1 - (v + m**2) / w)", "1 - m**2 / w)", r"u: multiplied by `m ?\*\* ?2`, not by `v \+ m ?\*\* ?2`")],
    ),
    "bias among the weights": (
        """
def loss(c):
    r = np.arange(12.0).reshape(3, 4) @ c - 1.0
    g = np.arange(12.0).reshape(3, 4).T @ (2 * r)
    g[:3] += 0.4 * c[:3]
    return r @ r + 0.2 * (c[:3] @ c[:3]), g
""",
        [(4,)],
        [
            ("g[:3] += 0.4 * c[:3]", "g += 0.4 * c", r"0\.4·c too much at 1 of its entries"),
            ("0.4 * c[:3]", "0.2 * c[:3]", r"factor 2 of the derivative of a square is left out"),
        ],
    ),
    "kernels": (
        """
def loss(K):
    X = np.arange(25.0).reshape(5, 5) / 9
    z = np.zeros((2, 3, 3))
    for a in range(3):
        for b in range(3):
            z += X[None, a : a + 3, b : b + 3] * K[:, a, b, None, None]
    d, g = 2 * z, np.zeros_like(K)
    for a in range(3):
        for b in range(3):
            g[:, a, b] = np.sum(d * X[None, a : a + 3, b : b + 3], axis=(1, 2))
    return np.sum(z**2), g
""",
        [(2, 3, 3)],
        [("g[:, a, b] =", "g[:, b, a] =", r"transposed in its last two axes")],
    ),
    "transitions": (
        """
def loss(E, T):
    alpha, kept = E[0], []
    for t in range(1, 4):
        m = alpha[:, None] + T
        kept.append(m)
        alpha = np.log(np.exp(m).sum(axis=0)) + E[t]
    total = np.sum(alpha**2) + T[0, 1] + T[1, 1]
    dE, dT, d = np.zeros_like(E), np.zeros_like(T), 2 * alpha
    for t in (3, 2, 1):
        dE[t] = d
        P = np.exp(kept[t - 1])
        P = P / P.sum(axis=0) * d
        dT += P
        d = P.sum(axis=1)
    dE[0] = d
    dT[0, 1] += 1
    dT[1, 1] += 1
    return total, (dE, dT)
""",
        [(4, 3), (3, 3)],
        [("dT += P", "dT = P.copy()", r"T: of 3 contributions of `alpha.* only that of the first turn")],
    ),
    "labels": (
        """
def loss(s):
    y = np.array([0, 2, 1, 1])
    e = np.exp(s)
    p = e / e.sum(axis=1, keepdims=True)
    d = p.copy()
    d[np.arange(4), y] -= 1
    total = -np.sum(np.log(p[np.arange(4), y]))
    return total, d
""",
        [(4, 3)],
        [
            ("d[np.arange(4), y] -= 1", "d[np.arange(4), (y + 1) % 3] -= 1", r"another label .*: one more"),
            ("d[np.arange(4), y] -= 1", "d[np.arange(4), np.roll(y, -1)] -= 1", r"that of the next row"),
        ],
    ),
    "labels in a loop": (
        """
def loss(h, V):
    y, total = [2, 0, 3], 0.0
    dh, dV = np.zeros_like(h), np.zeros_like(V)
    for t in range(3):
        e = np.exp(h[t] @ V)
        p = e / e.sum()
        total += -np.log(p[y[t]])
        d = p.copy()
        d[y[t]] -= 1
        dV += np.outer(h[t], d)
        dh[t] = V @ d
    return total, (dh, dV)
""",
        [(3, 2), (2, 4)],
        [("d[y[t]] -= 1", "d[y[t - 1]] -= 1", r"`p\[y\[t\]\]` has another label .*: that of the turn before")],
    ),
    "next states": (
        """
S, S_next = np.arange(12.0).reshape(4, 3) / 9, np.sin(np.arange(12.0)).reshape(4, 3)
def loss(W):
    td = np.tanh(S @ W) - S_next.max(axis=1)
    return np.sum(td**2), S.T @ (2 * td * (1 - np.tanh(S @ W) ** 2))
""",
        [(3,)],
        [("S.T @ (2", "S_next.T @ (2", r"multiplied by `S_next`, not by `S`")],
    ),
    "lists": (
        """
def loss(w):
    total, g = 0.0, np.zeros(3)
    for x in ([1.0, 0.5], [-0.3, 2.0], [0.7, -1.1]):
        z = w[0] + w[1] * x[0] + w[2] * x[1]
        total += np.tanh(z)
        d = 1 - np.tanh(z) ** 2
        g += np.array([d, d * x[0], d * x[1]])
    return total, g
""",
        [(3,)],
        [("[d, d * x[0], d * x[1]]", "[d, d * x[1], d * x[0]]", r"factors `x\[0\]` and `x\[1\]` of two products")],
    ),
    "slices of one matrix": (
        """
def loss(x, R):
    y = np.tanh(x[0] @ R[0] + x[1] @ R[1])
    d = 1 - y**2
    dx, dR = np.zeros_like(x), np.zeros_like(R)
    for k in range(2):
        dx[k], dR[k] = d @ R[k].T, x[k].T @ d
    return np.sum(y), (dx, dR)
""",
        [(2, 4, 3), (2, 3, 3)],
        [("d @ R[k].T", "d @ R[k]", r"x: a matrix isn't transposed.*in every such line")],
    ),
    "choice": (
        """
def loss(W):
    A = np.array([0, 1, 1, 0])
    q = W[np.arange(4), A]
    d = np.zeros((4, 2))
    d[np.arange(4), A] = 2 * q
    return np.sum(q**2), d
""",
        [(4, 2)],
        [("d[np.arange(4), A] = 2 * q", "d[:] = (2 * q)[:, None]", r"every entry of `W` gets the gradient")],
    ),
}  # fmt: skip


def checked(source, shapes, file):
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    names = {"np": np}
    exec(compile(source, file, "exec"), names)
    rng = np.random.default_rng(7)
    return tg.check_loss(names["loss"], *[rng.normal(size=shape) for shape in shapes])


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_right_program_passes(name):
    source, shapes, _ = PROGRAMS[name]
    assert checked(source, shapes, f"<{name}>")


@pytest.mark.parametrize(
    ("name", "slip"), [(name, k) for name, (_, _, slips) in PROGRAMS.items() for k in range(len(slips))]
)
def test_a_mistake_is_named_for_the_inputs_that_it_concerns(name, slip):
    source, shapes, slips = PROGRAMS[name]
    old, new, wording = slips[slip]
    assert source.count(old) == 1
    report = checked(source.replace(old, new), shapes, f"<{name}: {slip}>")
    assert not report
    explained = {i for found in report.diagnoses for i in found.inputs if found.kind != "experiment"}
    if wording is None:  # two mistakes at once: none may be named
        assert not explained
        return
    assert explained == set(report.failing_inputs)
    text = "\n".join(found.sentence() for found in report.diagnoses)
    assert re.search(wording, text), text


def test_an_infinite_derivative_is_no_mistake_of_a_sum():
    def slope(W):
        return np.where(W > 0, 0.5 / np.sqrt(np.where(W > 0, W, 1.0)), 0.0)

    report = tg.gradcheck(
        lambda W, b: np.sum(np.sqrt(W)) + np.sum(np.tanh(b)),
        np.array([0.0, 1.0]),
        np.ones(2),
        gradient=lambda W, b: (slope(W), np.ones(2)),
    )
    assert [found.kind for found in report.diagnoses] == ["no finite derivative", "derivative left out"]
    assert "np.sqrt(W)" in report.diagnoses[0].expression


def test_a_slip_in_the_gradient_of_one_number_alone_is_named():
    def loss(w, b):
        return 0.5 * (np.tanh(w * 1.5 + b) - 0.3) ** 2

    h = np.tanh(0.4 * 1.5 - 0.2)
    dh = h - 0.3
    report = tg.gradcheck(loss, 0.4, -0.2, gradient=(dh * (1.0 - h) * 1.5, dh * (1.0 - h**2)))
    assert "1 - tanh(z) is multiplied in" in str(report)
    assert "in the gradient of `w` alone" in str(report)
