"""Layers and losses as people write them by hand, with right backward passes and mistakes planted in them.

Each case: its name, the forward pass, all its arguments, the positions of those that are differentiated, the backward
pass (cotangents, arguments and the name of a slip), and the slips with a pattern of what a report has to say of each.
"""

import math

import numpy as np

RNG = np.random.default_rng(77)
CASES = []


def draw(*shape):
    return RNG.normal(size=shape)


def case(*parts):
    CASES.append(parts)


# 1 affine
def affine_forward(x, w, b):
    N = x.shape[0]
    return x.reshape(N, -1).dot(w) + b


def affine_backward(dout, x, w, b, slip=""):
    N = x.shape[0]
    xr = x.reshape(N, -1)
    dx = dout.dot(w.T).reshape(x.shape)
    dw = xr.T.dot(dout)
    db = dout.sum(axis=0)
    if slip == "db mean":
        db = dout.mean(axis=0)
    if slip == "dw/N":
        dw = dw / N
    if slip == "db axis1":
        db = np.full(b.shape, dout.sum())
    if slip == "dx zero":
        dx = dx * 0
    if slip == "dw sign":
        dw = -dw
    return dx, dw, db


case(
    "affine",
    affine_forward,
    [draw(4, 2, 3), draw(6, 5), draw(5)],
    [0, 1, 2],
    affine_backward,
    [
        ("db mean", "mean"),
        ("dw/N", "1/4|factor"),
        ("db axis1", "all axes|total"),
        ("dx zero", "missing|no gradient"),
        ("dw sign", "sign"),
    ],
)


# 2 relu + leaky
def relu_forward(x):
    out = x.copy()
    out[out < 0] = 0
    return out


def relu_backward(dout, x, slip=""):
    dx = dout.copy()
    dx[x < 0] = 0
    if slip == "dout mask":
        dx = dout.copy()
        dx[dout < 0] = 0
    if slip == "none":
        dx = dout.copy()
    if slip == "inv":
        dx = dout.copy()
        dx[x > 0] = 0
    if slip == "value":
        dx = dout * np.maximum(x, 0)
    return (dx,)


case(
    "relu",
    relu_forward,
    [draw(4, 5)],
    [0],
    relu_backward,
    [
        ("dout mask", "gradient"),
        ("none", "left out|missing"),
        ("inv", "wrong way|missing|1 minus"),
        ("value", "value|itself"),
    ],
)


# 3 batch normalisation, step by step
def batchnorm_forward(x, gamma, beta, bn_param):
    eps = bn_param.get("eps", 1e-5)
    mu = np.mean(x, axis=0)
    xmu = x - mu
    sq = xmu**2
    var = np.mean(sq, axis=0)
    sqrtvar = np.sqrt(var + eps)
    ivar = 1.0 / sqrtvar
    xhat = xmu * ivar
    gammax = gamma * xhat
    return gammax + beta


def batchnorm_backward(dout, x, gamma, beta, bn_param, slip=""):
    eps = bn_param["eps"]
    N = len(x)
    mu = x.mean(0)
    xmu = x - mu
    var = (xmu**2).mean(0)
    s = np.sqrt(var + eps)
    iv = 1 / s
    xh = xmu * iv
    dbeta = dout.sum(0)
    dgamma = (dout * xh).sum(0)
    if slip == "dgamma no xhat":
        dgamma = dout.sum(0)
    if slip == "dgamma x":
        dgamma = (dout * xmu).sum(0)
    dxh = dout * gamma
    if slip == "no gamma":
        dxh = dout
    divar = (dxh * xmu).sum(0)
    if slip == "divar mean":
        divar = (dxh * xmu).mean(0)
    dxmu = dxh * iv
    ds = -1 / s**2 * divar
    if slip == "ds sign":
        ds = -ds
    if slip == "ds s3":
        ds = -1 / s**3 * divar
    if slip == "ds s":
        ds = -1 / s * divar
    dvar = 0.5 / np.sqrt(var + eps) * ds
    if slip == "no half":
        dvar = 2 * dvar
    if slip == "no eps":
        dvar = 0.5 / np.sqrt(var) * ds
    dsq = np.ones_like(x) / N * dvar
    if slip == "no 1/N":
        dsq = dsq * N
    dxmu = dxmu + 2 * xmu * dsq
    if slip == "no 2":
        dxmu = dxmu - xmu * dsq
    dx = dxmu - dxmu.mean(0)
    if slip == "no mean path":
        dx = dxmu
    if slip == "mean sum":
        dx = dxmu - dxmu.sum(0)
    if slip == "mean sign":
        dx = dxmu + dxmu.mean(0)
    return dx, dgamma, dbeta


case(
    "batchnorm",
    batchnorm_forward,
    [draw(6, 4) * 2 + 1, draw(4), draw(4), {"eps": 1e-3}],
    [0, 1, 2],
    batchnorm_backward,
    [
        ("dgamma no xhat", "left out"),
        ("dgamma x", "xmu"),
        ("no gamma", "gamma"),
        ("divar mean", "mean|1/6"),
        ("ds sign", "sign"),
        ("ds s3", "power|sqrt"),
        ("ds s", "power|sqrt"),
        ("no half", "2"),
        ("no eps", "eps|0.001"),
        ("no 1/N", "mean|6"),
        ("no 2", "2|factor"),
        ("no mean path", "mean|mu|xmu"),
        ("mean sum", "sum|6"),
        ("mean sign", "sign"),
    ],
)


# 4 layernorm one formula
def layernorm_forward(x, gamma, beta):
    mean = x.mean(axis=1, keepdims=True)
    var = x.var(axis=1, keepdims=True)
    xhat = (x - mean) / np.sqrt(var + 1e-5)
    return gamma * xhat + beta


def layernorm_backward(dout, x, gamma, beta, slip=""):
    D = x.shape[1]
    mean = x.mean(1, keepdims=True)
    var = x.var(1, keepdims=True)
    s = 1 / np.sqrt(var + 1e-5)
    xh = (x - mean) * s
    d = dout * gamma
    dg = (dout * xh).sum(0)
    db = dout.sum(0)
    if slip == "axis":
        dg = (dout * xh).sum(0) * 0 + (dout * xh).sum()
    ax = 0 if slip == "N" else 1
    dx = s * (d - d.mean(ax, keepdims=True) - xh * (d * xh).mean(ax, keepdims=True))
    if slip == "const":
        dx = s * d
    if slip == "n-1":
        dx = s * (d - d.mean(1, keepdims=True) - xh * (d * xh).sum(1, keepdims=True) / (D - 1))
    if slip == "no s":
        dx = dx / s
    if slip == "plus":
        dx = s * (d - d.mean(1, keepdims=True) + xh * (d * xh).mean(1, keepdims=True))
    return dx, dg, db


case(
    "layernorm",
    layernorm_forward,
    [draw(4, 6), draw(6), draw(6)],
    [0, 1, 2],
    layernorm_backward,
    [
        ("axis", "all axes|total"),
        ("N", "axis|axes"),
        ("const", "constant"),
        ("n-1", "n - 1|1/5"),
        ("no s", "left out|sqrt"),
        ("plus", "sign"),
    ],
)


# 5 conv naive with pad & stride
def conv_forward(x, w, b, p):
    N, _C, H, W = x.shape
    F, _, HH, WW = w.shape
    s, pad = p["stride"], p["pad"]
    Ho = 1 + (H + 2 * pad - HH) // s
    Wo = 1 + (W + 2 * pad - WW) // s
    out = np.zeros((N, F, Ho, Wo))
    xp = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), mode="constant")
    for n in range(N):
        for f in range(F):
            for i in range(Ho):
                for j in range(Wo):
                    out[n, f, i, j] = np.sum(xp[n, :, i * s : i * s + HH, j * s : j * s + WW] * w[f]) + b[f]
    return out


def conv_backward(dout, x, w, b, p, slip=""):
    N, _C, H, W = x.shape
    F, _, HH, WW = w.shape
    s, pad = p["stride"], p["pad"]
    _, _, Ho, Wo = dout.shape
    xp = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    dxp = np.zeros_like(xp)
    dw = np.zeros_like(w)
    db = np.zeros_like(b)
    for n in range(N):
        for f in range(F):
            if slip == "db assign":
                db[f] = dout[n, f].sum()
            else:
                db[f] += dout[n, f].sum()
            for i in range(Ho):
                for j in range(Wo):
                    win = xp[n, :, i * s : i * s + HH, j * s : j * s + WW]
                    if slip == "dw assign":
                        dw[f] = win * dout[n, f, i, j]
                    else:
                        dw[f] += win * dout[n, f, i, j]
                    k = w[f][:, ::-1, ::-1] if slip == "flip" else w[0] if slip == "w0" else w[f]
                    if slip == "dx assign":
                        dxp[n, :, i * s : i * s + HH, j * s : j * s + WW] = k * dout[n, f, i, j]
                    elif slip == "stride1":
                        dxp[n, :, i : i + HH, j : j + WW] += k * dout[n, f, i, j]
                    else:
                        dxp[n, :, i * s : i * s + HH, j * s : j * s + WW] += k * dout[n, f, i, j]
    dx = dxp[:, :, pad : pad + H, pad : pad + W]
    if slip == "crop":
        dx = dxp[:, :, :H, :W]
    if slip == "db mean":
        db = db / N
    return dx, dw, db


case(
    "conv",
    conv_forward,
    [draw(2, 2, 5, 5), draw(2, 2, 3, 3), draw(2), {"stride": 2, "pad": 1}],
    [0, 1, 2],
    conv_backward,
    [
        ("db assign", "=|last|kept"),
        ("dw assign", "=|last|kept"),
        ("flip", "flip"),
        ("dx assign", "overlap|="),
        ("stride1", "stride"),
        ("crop", "shift|crop|padding|off"),
        ("db mean", "mean|2|factor"),
        ("w0", "first|turn|w"),
    ],
)


# 6 maxpool
def pool_forward(x, p):
    N, C, H, W = x.shape
    k, s = p["k"], p["s"]
    Ho = (H - k) // s + 1
    Wo = (W - k) // s + 1
    out = np.zeros((N, C, Ho, Wo))
    for i in range(Ho):
        for j in range(Wo):
            out[:, :, i, j] = np.max(x[:, :, i * s : i * s + k, j * s : j * s + k], axis=(2, 3))
    return out


def pool_backward(dout, x, p, slip=""):
    N, C, _H, _W = x.shape
    k, s = p["k"], p["s"]
    _, _, Ho, Wo = dout.shape
    dx = np.zeros_like(x)
    for n in range(N):
        for c in range(C):
            for i in range(Ho):
                for j in range(Wo):
                    win = x[n, c, i * s : i * s + k, j * s : j * s + k]
                    m = win == win.max()
                    if slip == "all":
                        m = np.ones_like(win)
                    if slip == "avg":
                        m = np.ones_like(win) / k / k
                    g = m * dout[n, c, i, j]
                    if slip == "value":
                        g = g * win.max()
                    if slip == "assign":
                        dx[n, c, i * s : i * s + k, j * s : j * s + k] = g
                    else:
                        dx[n, c, i * s : i * s + k, j * s : j * s + k] += g
    return (dx,)


case(
    "maxpool",
    pool_forward,
    [draw(2, 2, 5, 5), {"k": 3, "s": 2}],
    [0],
    pool_backward,
    [("all", "max|left out"), ("avg", "mean|max"), ("assign", "overlap|="), ("value", "value")],
)


# 7 LSTM step + through time
def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def lstm_step_forward(x, prev_h, prev_c, Wx, Wh, b):
    H = prev_h.shape[1]
    a = x.dot(Wx) + prev_h.dot(Wh) + b
    i = sigmoid(a[:, :H])
    f = sigmoid(a[:, H : 2 * H])
    o = sigmoid(a[:, 2 * H : 3 * H])
    g = np.tanh(a[:, 3 * H :])
    next_c = f * prev_c + i * g
    next_h = o * np.tanh(next_c)
    return next_h, next_c


def lstm_step_backward(dh, dc, x, prev_h, prev_c, Wx, Wh, b, slip=""):
    H = prev_h.shape[1]
    a = x @ Wx + prev_h @ Wh + b
    i, f, o, g = sigmoid(a[:, :H]), sigmoid(a[:, H : 2 * H]), sigmoid(a[:, 2 * H : 3 * H]), np.tanh(a[:, 3 * H :])
    c = f * prev_c + i * g
    t = np.tanh(c)
    do = dh * t
    dct = dc + dh * o * (1 - t**2)
    if slip == "no dc":
        dct = dh * o * (1 - t**2)
    if slip == "no tanh":
        dct = dc + dh * o
    if slip == "no o":
        dct = dc + dh * (1 - t**2)
    if slip == "do c":
        do = dh * c
    df = dct * prev_c
    di = dct * g
    dg = dct * i
    if slip == "swap":
        di, dg = dct * i, dct * g
    if slip == "df next":
        df = dct * c
    da = np.hstack([di * i * (1 - i), df * f * (1 - f), do * o * (1 - o), dg * (1 - g**2)])
    if slip == "g sigmoid":
        da[:, 3 * H :] = dg * g * (1 - g)
    if slip == "order":
        da = np.hstack([df * f * (1 - f), di * i * (1 - i), do * o * (1 - o), dg * (1 - g**2)])
    dpc = dct * f
    if slip == "dpc i":
        dpc = dct * i
    if slip == "dpc 1":
        dpc = dct
    dx = da @ Wx.T
    dph = da @ Wh.T
    if slip == "dph Wx":
        pass
    return dx, dph, dpc, x.T @ da, prev_h.T @ da, da.sum(0)


case(
    "lstm step",
    lstm_step_forward,
    [draw(3, 4), draw(3, 5), draw(3, 5), draw(4, 20), draw(5, 20), draw(20)],
    [0, 1, 2, 3, 4, 5],
    lstm_step_backward,
    [
        ("no dc", "missing|path|left out"),
        ("no tanh", "tanh"),
        ("no o", "o"),
        ("do c", "c|tanh|next_c"),
        ("swap", "g|i"),
        ("df next", "next_c|prev_c"),
        ("g sigmoid", "a·|1 -|slope|tanh"),
        ("order", "exchang"),
        ("dpc i", "i"),
        ("dpc 1", "f"),
    ],
)


# 8 rnn through time, outputs h
def rnn_forward(x, h0, Wx, Wh, b):
    N, T, _D = x.shape
    H = h0.shape[1]
    h = np.zeros((N, T, H))
    prev = h0
    for t in range(T):
        prev = np.tanh(x[:, t, :].dot(Wx) + prev.dot(Wh) + b)
        h[:, t, :] = prev
    return h


def rnn_backward(dh, x, h0, Wx, Wh, b, slip=""):
    _N, T, _D = x.shape
    h = rnn_forward(x, h0, Wx, Wh, b)
    dx = np.zeros_like(x)
    dWx, dWh, db = 0 * Wx, 0 * Wh, 0 * b
    carry = 0 * h0
    for t in reversed(range(T)):
        g = (dh[:, t] + carry) if slip != "no carry" else dh[:, t]
        if slip == "only carry" and t < T - 1:
            g = carry
        da = g * (1 - h[:, t] ** 2)
        if slip == "slope":
            da = g
        if slip == "slope prev":
            da = g * (1 - (h[:, t - 1] if t else h0) ** 2)
        prev = h[:, t - 1] if t else h0
        if slip == "late":
            prev = h[:, t]
        dx[:, t] = da @ Wx.T
        if slip == "=":
            dWx = x[:, t].T @ da
            dWh = prev.T @ da
            db = da.sum(0)
        else:
            dWx = dWx + x[:, t].T @ da
            dWh = dWh + prev.T @ da
            db = db + da.sum(0)
        carry = da @ (Wh if slip == "not T" else Wh.T)
    if slip == "dh0 zero":
        carry = 0 * carry
    if slip == "x0":
        dWx = sum(x[:, 0].T @ np.zeros_like(da) for t in range(T))
    return dx, carry, dWx, dWh, db


case(
    "rnn",
    rnn_forward,
    [draw(2, 4, 3), draw(2, 5), draw(3, 5), draw(5, 5) * 0.5, draw(5)],
    [0, 1, 2, 3, 4],
    rnn_backward,
    [
        ("no carry", "carried"),
        ("only carry", "path|missing"),
        ("slope", "tanh"),
        ("slope prev", "tanh|before|1-a"),
        ("late", "after|prev"),
        ("=", "kept|="),
        ("not T", "transposed"),
        ("dh0 zero", "no gradient|missing"),
    ],
)


# 9 softmax loss (x,y) -> loss
def softmax_loss(x, y):
    sh = x - np.max(x, axis=1, keepdims=True)
    Z = np.sum(np.exp(sh), axis=1, keepdims=True)
    logp = sh - np.log(Z)
    N = x.shape[0]
    return -np.sum(logp[np.arange(N), y]) / N


def softmax_back(d, x, y, slip=""):
    p = np.exp(x - x.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    N = len(x)
    g = p.copy()
    g[np.arange(N), y] -= 1
    if slip == "no N":
        return (g,)
    if slip == "no y":
        g = p
    if slip == "y-p":
        g = -g
    if slip == "p(1-p)":
        g = g * p * (1 - p)
    if slip == "C":
        return (g / x.shape[1],)
    return (g / N,)


Y = np.array([0, 3, 1, 2, 2])
case(
    "softmax loss",
    softmax_loss,
    [draw(5, 4), Y],
    [0],
    softmax_back,
    [("no N", "5|N"), ("no y", "label|missing|path"), ("y-p", "sign"), ("p(1-p)", "extra|1-p"), ("C", "5/4|factor|N")],
)


# 10 svm
def svm_loss_naive(W, X, y, reg):
    num_classes = W.shape[1]
    num_train = X.shape[0]
    loss = 0.0
    for i in range(num_train):
        scores = X[i].dot(W)
        correct = scores[y[i]]
        for j in range(num_classes):
            if j == y[i]:
                continue
            margin = scores[j] - correct + 1
            if margin > 0:
                loss += margin
    loss /= num_train
    loss += reg * np.sum(W * W)
    return loss


def svm_back(d, W, X, y, reg, slip=""):
    s = X @ W
    N = len(X)
    m = s - s[np.arange(N), y][:, None] + 1
    k = (m > 0) * 1.0
    k[np.arange(N), y] = 0
    k[np.arange(N), y] = -k.sum(1)
    if slip == "no correct":
        k[np.arange(N), y] = 0
    if slip == "once":
        k[np.arange(N), y] = -1
    dW = X.T @ k
    if slip != "no N":
        dW = dW / N
    r = {"no reg": 0, "reg 1": 1, "reg minus": -2}.get(slip, 2)
    return (dW + r * reg * W,)


case(
    "svm",
    svm_loss_naive,
    [draw(4, 3) * 0.3, draw(6, 4), np.array([0, 2, 1, 1, 0, 2]), 0.3],
    [0],
    svm_back,
    [
        ("no correct", "correct|missing|path"),
        ("no N", "6|num_train"),
        ("no reg", "penalty"),
        ("reg 1", "penalty|2"),
        ("reg minus", "penalty|sign"),
    ],
)


# 11 attention
def attention_forward(Q, K, V):
    d = Q.shape[-1]
    S = Q @ K.swapaxes(-1, -2) / np.sqrt(d)
    e = np.exp(S - S.max(-1, keepdims=True))
    A = e / e.sum(-1, keepdims=True)
    return A @ V


def attention_backward(dO, Q, K, V, slip=""):
    d = Q.shape[-1]
    S = Q @ K.swapaxes(-1, -2) / np.sqrt(d)
    e = np.exp(S - S.max(-1, keepdims=True))
    A = e / e.sum(-1, keepdims=True)
    dA = dO @ V.swapaxes(-1, -2)
    dV = A.swapaxes(-1, -2) @ dO
    dS = A * (dA - (dA * A).sum(-1, keepdims=True))
    if slip == "diag":
        dS = A * (1 - A) * dA
    if slip == "no soft":
        dS = dA
    if slip == "axis":
        dS = A * (dA - (dA * A).sum(-2, keepdims=True))
    if slip == "plus":
        dS = A * (dA + (dA * A).sum(-1, keepdims=True))
    sc = 1 if slip == "no scale" else 1 / d if slip == "1/d" else 1 / np.sqrt(d)
    dQ = dS @ K * sc
    dK = dS.swapaxes(-1, -2) @ Q * sc
    if slip == "dV A":
        dV = A @ dO
    if slip == "dK not T":
        dK = dS @ Q * sc
    return dQ, dK, dV


case(
    "attention",
    attention_forward,
    [draw(2, 4, 4), draw(2, 4, 4), draw(2, 4, 4)],
    [0, 1, 2],
    attention_backward,
    [
        ("diag", "diagonal"),
        ("no soft", "softmax"),
        ("axis", "axis"),
        ("plus", "sign"),
        ("no scale", "sqrt"),
        ("1/d", "2|factor|sqrt"),
        ("dV A", "transposed"),
        ("dK not T", "transposed"),
    ],
)


# 12 embedding
def embed_forward(x, W):
    return W[x, :]


IDX = np.array([[0, 3, 1], [3, 3, 2]])


def embed_backward(dout, x, W, slip=""):
    g = np.zeros_like(W)
    if slip == "once":
        g[x] += dout
    elif slip == "first":
        np.add.at(g, x[:1], dout[:1])
    else:
        np.add.at(g, x, dout)
    if slip == "sign":
        g = -g
    return (g,)


case("embedding", embed_forward, [IDX, draw(5, 3)], [1], embed_backward, [("once", "once"), ("sign", "sign")])


# 13 dropout
def dropout_forward(x, mask, p):
    return x * mask / p


def dropout_backward(dout, x, mask, p, slip=""):
    if slip == "no p":
        return (dout * mask,)
    if slip == "no mask":
        return (dout / p,)
    if slip == "times p":
        return (dout * mask * p,)
    return (dout * mask / p,)


case(
    "dropout",
    dropout_forward,
    [draw(4, 5), (draw(4, 5) > 0) * 1.0, 0.6],
    [0],
    dropout_backward,
    [("no p", "p|0.6"), ("no mask", "mask"), ("times p", "p|divid")],
)


# 14 two layer net loss with reg
def two_layer(X, W1, b1, W2, b2, y, reg):
    N = X.shape[0]
    h = np.maximum(0, X.dot(W1) + b1)
    scores = h.dot(W2) + b2
    scores -= np.max(scores, axis=1, keepdims=True)
    e = np.exp(scores)
    probs = e / np.sum(e, axis=1, keepdims=True)
    loss = np.sum(-np.log(probs[range(N), y])) / N
    loss += 0.5 * reg * (np.sum(W1 * W1) + np.sum(W2 * W2))
    return loss


def two_layer_back(d, X, W1, b1, W2, b2, y, reg, slip=""):
    N = len(X)
    z = X @ W1 + b1
    h = np.maximum(0, z)
    s = h @ W2 + b2
    p = np.exp(s - s.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    ds = p.copy()
    ds[np.arange(N), y] -= 1
    ds /= N
    if slip == "no N":
        ds *= N
    dW2 = h.T @ ds + reg * W2
    db2 = ds.sum(0)
    dh = ds @ W2.T
    if slip == "z for h":
        dW2 = z.T @ ds + reg * W2
    if slip != "no relu":
        dh = dh * (z > 0)
    if slip == "relu dh":
        dh = (ds @ W2.T) * ((ds @ W2.T) > 0)
    dW1 = X.T @ dh + reg * W1
    db1 = dh.sum(0)
    if slip == "reg W1 missing":
        dW1 = X.T @ dh
    if slip == "reg 2":
        dW1 = dW1 + reg * W1
        dW2 = dW2 + reg * W2
    if slip == "reg on b":
        db1 = db1 + reg * b1
    if slip == "b1 mean":
        db1 = dh.mean(0)
    if slip == "b2 for b1":
        db2 = ds.mean(0)
    return dW1, db1, dW2, db2


case(
    "two layer",
    two_layer,
    [draw(5, 4), draw(4, 6), draw(6), draw(6, 3), draw(3), np.array([0, 1, 2, 2, 1]), 0.1],
    [1, 2, 3, 4],
    two_layer_back,
    [
        ("no N", "5|N"),
        ("z for h", "relu|X.dot|\\+ b1|maximum|left out"),
        ("no relu", "relu|maximum"),
        ("relu dh", "mask|gradient"),
        ("reg W1 missing", "penalty"),
        ("reg 2", "penalty|factor|2"),
        ("reg on b", "penalty"),
        ("b1 mean", "mean"),
        ("b2 for b1", "mean"),
    ],
)


# 15 logistic regression plain python loops
def logistic(w, b, X, y):
    total = 0.0
    for i in range(len(X)):
        z = b
        for j in range(len(w)):
            z += w[j] * X[i][j]
        a = 1 / (1 + math.exp(-z))
        total += -(y[i] * math.log(a) + (1 - y[i]) * math.log(1 - a))
    return total / len(X)


LX = draw(5, 3)
LY = [1, 0, 1, 1, 0]


def logistic_back(d, w, b, X, y, slip=""):
    a = sigmoid(X @ w + b)
    e = a - np.array(y)
    if slip == "extra":
        e = e * a * (1 - a)
    if slip == "sign":
        e = -e
    n = 1 if slip == "no n" else len(X)
    db = e.sum() / n
    if slip == "db no n":
        db = e.sum()
    return X.T @ e / n, db


case(
    "logistic loops",
    logistic,
    [draw(3), 0.3, LX, LY],
    [0, 1],
    logistic_back,
    [("extra", "extra|a·|1-a|twice"), ("sign", "sign"), ("no n", "5|len"), ("db no n", "5|len|factor")],
)


# 16 spatial groupnorm-like / instance norm over (2,3)
def instnorm(x, g, b):
    m = x.mean(axis=(2, 3), keepdims=True)
    v = x.var(axis=(2, 3), keepdims=True)
    xh = (x - m) / np.sqrt(v + 1e-5)
    return g[None, :, None, None] * xh + b[None, :, None, None]


def instnorm_back(dout, x, g, b, slip=""):
    m = x.mean((2, 3), keepdims=True)
    v = x.var((2, 3), keepdims=True)
    s = 1 / np.sqrt(v + 1e-5)
    xh = (x - m) * s
    d = dout * g[None, :, None, None]
    dx = s * (d - d.mean((2, 3), keepdims=True) - xh * (d * xh).mean((2, 3), keepdims=True))
    dg = (dout * xh).sum((0, 2, 3))
    db = dout.sum((0, 2, 3))
    if slip == "const":
        dx = s * d
    if slip == "no g":
        d = dout
        dx = s * (d - d.mean((2, 3), keepdims=True) - xh * (d * xh).mean((2, 3), keepdims=True))
    if slip == "dg mean":
        dg = (dout * xh).mean((0, 2, 3))
    return dx, dg, db


case(
    "instance norm",
    instnorm,
    [draw(2, 3, 3, 3), draw(3), draw(3)],
    [0, 1, 2],
    instnorm_back,
    [("const", "constant"), ("no g", "g"), ("dg mean", "mean|factor|18")],
)


# 17 MSE net tanh with sharing
def auto(W, b, c, X):
    h = np.tanh(X @ W + b)
    out = h @ W.T + c
    return np.mean((out - X) ** 2)


def auto_back(d, W, b, c, X, slip=""):
    h = np.tanh(X @ W + b)
    e = h @ W.T + c - X
    de = 2 * e / e.size
    if slip == "no size":
        de = 2 * e
    if slip == "N only":
        de = 2 * e / len(X)
    if slip == "no 2":
        de = e / e.size
    dh = de @ W
    dz = dh * (1 - h**2)
    if slip == "1-h":
        dz = dh * (1 - h)
    if slip == "h for tanh":
        dz = dh * (1 - np.tanh(h) ** 2)
    dW = de.T @ h + X.T @ dz
    if slip == "decoder only":
        dW = de.T @ h
    if slip == "encoder only":
        dW = X.T @ dz
    return dW, dz.sum(0), de.sum(0)


case(
    "autoencoder",
    auto,
    [draw(4, 3) * 0.5, draw(3), draw(4), draw(5, 4)],
    [0, 1, 2],
    auto_back,
    [
        ("no size", "mean|20"),
        ("N only", "4|factor"),
        ("no 2", "2"),
        ("1-h", "1 -|slope"),
        ("h for tanh", "twice|result"),
        ("decoder only", "missing|path|kept"),
        ("encoder only", "missing|path|kept"),
    ],
)
