"""Forward and backward passes as students of courses write them, right ones; `slip` makes one mistake in some."""

import numpy as np


def affine_forward(x, w, b):
    out = x.reshape(x.shape[0], -1) @ w + b
    return out, (x, w, b)


def affine_backward(dout, cache, slip=""):
    x, w, b = cache
    dx = (dout @ w.T).reshape(x.shape)
    dw = x.reshape(x.shape[0], -1).T @ dout
    db = dout.mean(axis=0) if slip == "mean" else dout.sum(axis=0)
    return dx, dw, db


def relu_forward(x):
    return np.maximum(x, 0), x


def relu_backward(dout, cache):
    return dout * (cache > 0)


def tanh_forward(x):
    return np.tanh(x), x


def tanh_backward(dout, x):  # given the input, not a cache
    return dout * (1 - np.tanh(x) ** 2)


def sigmoid_alone(x):
    return 1 / (1 + np.exp(-x))


def sigmoid_alone_backward(dout, x):
    s = sigmoid_alone(x)
    return dout * s * (1 - s)


def batchnorm_forward(x, gamma, beta, bn_param):
    eps, momentum = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    running = bn_param.setdefault("running_mean", np.zeros(x.shape[1]))
    mean, var = x.mean(axis=0), x.var(axis=0)
    bn_param["running_mean"] = momentum * running + (1 - momentum) * mean
    xhat = (x - mean) / np.sqrt(var + eps)
    return gamma * xhat + beta, (x, mean, var, xhat, gamma, eps)


def batchnorm_backward(dout, cache, slip=""):
    x, mean, var, xhat, gamma, eps = cache
    n = x.shape[0]
    dxhat = dout * gamma
    dvar = np.sum(dxhat * (x - mean) * -0.5 * (var + eps) ** -1.5, axis=0)
    dmean = np.sum(-dxhat / np.sqrt(var + eps), axis=0)
    if slip == "no mean":
        dmean = 0
    dx = dxhat / np.sqrt(var + eps) + dvar * 2 * (x - mean) / n + dmean / n
    return dx, np.sum(dout * xhat, axis=0), np.sum(dout, axis=0)


def layernorm_forward(x, gamma, beta):
    mean, var = x.mean(axis=1, keepdims=True), x.var(axis=1, keepdims=True)
    xhat = (x - mean) / np.sqrt(var + 1e-5)
    return gamma * xhat + beta, (xhat, gamma, var)


def layernorm_backward(dout, cache):
    xhat, gamma, var = cache
    d = dout * gamma
    dx = (d - d.mean(axis=1, keepdims=True) - xhat * (d * xhat).mean(axis=1, keepdims=True)) / np.sqrt(var + 1e-5)
    return dx, (dout * xhat).sum(axis=0), dout.sum(axis=0)


def dropout_forward(x, param):
    mask = None
    if param["mode"] == "train":
        rng = np.random.default_rng(param["seed"]) if "seed" in param else np.random
        mask = (rng.random(x.shape) < param["p"]) / param["p"]
        x = x * mask
    return x, (param, mask)


def dropout_backward(dout, cache):
    param, mask = cache
    return dout * mask if param["mode"] == "train" else dout


def conv_forward(x, w, b, conv_param):
    stride, pad = conv_param["stride"], conv_param["pad"]
    n, c, h, wd = x.shape
    f, _, hh, ww = w.shape
    xp = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    ho, wo = 1 + (h + 2 * pad - hh) // stride, 1 + (wd + 2 * pad - ww) // stride
    out = np.zeros((n, f, ho, wo))
    for i in range(ho):
        for j in range(wo):
            window = xp[:, :, i * stride : i * stride + hh, j * stride : j * stride + ww]
            out[:, :, i, j] = np.tensordot(window, w, axes=([1, 2, 3], [1, 2, 3])) + b
    return out, (x, w, b, conv_param)


def conv_backward(dout, cache, slip=""):
    x, w, b, conv_param = cache
    stride, pad = conv_param["stride"], conv_param["pad"]
    f, _, hh, ww = w.shape
    xp = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    dxp, dw = np.zeros_like(xp), np.zeros_like(w)
    for i in range(dout.shape[2]):
        for j in range(dout.shape[3]):
            rows, columns = slice(i * stride, i * stride + hh), slice(j * stride, j * stride + ww)
            dw += np.tensordot(dout[:, :, i, j], xp[:, :, rows, columns], axes=(0, 0))
            share = np.tensordot(dout[:, :, i, j], w, axes=(1, 0))
            if slip == "overwritten":
                dxp[:, :, rows, columns] = share
            else:
                dxp[:, :, rows, columns] += share
    end = -pad if pad else None
    if slip == "empty":
        end = -pad
    return dxp[:, :, pad:end, pad:end], dw, dout.sum(axis=(0, 2, 3))


def max_pool_forward(x, pool_param):
    p = pool_param["size"]
    n, c, h, w = x.shape
    windows = x.reshape(n, c, h // p, p, w // p, p)
    return windows.max(axis=(3, 5)), (x, p)


def max_pool_backward(dout, cache, slip=""):
    x, p = cache
    n, c, h, w = x.shape
    dx = np.zeros_like(x)
    for i in range(h // p):
        for j in range(w // p):
            window = x[:, :, i * p : i * p + p, j * p : j * p + p].reshape(n, c, -1)
            best = window.argmax(axis=2)
            share = np.zeros_like(window)
            np.put_along_axis(share, best[..., None], dout[:, :, i, j][..., None], axis=2)
            if slip == "ties":
                share = (window == window.max(axis=2, keepdims=True)) * dout[:, :, i, j][..., None]
            dx[:, :, i * p : i * p + p, j * p : j * p + p] = share.reshape(n, c, p, p)
    return dx


def rnn_step_forward(x, prev_h, Wx, Wh, b):
    next_h = np.tanh(x @ Wx + prev_h @ Wh + b)
    return next_h, (x, prev_h, Wx, Wh, next_h)


def rnn_step_backward(dnext_h, cache):
    x, prev_h, Wx, Wh, next_h = cache
    da = dnext_h * (1 - next_h**2)
    return da @ Wx.T, da @ Wh.T, x.T @ da, prev_h.T @ da, da.sum(axis=0)


def lstm_step_forward(x, prev_h, prev_c, Wx, Wh, b):
    h = prev_h.shape[1]
    a = x @ Wx + prev_h @ Wh + b
    i, f, o = (1 / (1 + np.exp(-a[:, k * h : (k + 1) * h])) for k in range(3))
    g = np.tanh(a[:, 3 * h :])
    next_c = f * prev_c + i * g
    next_h = o * np.tanh(next_c)
    return next_h, next_c, (x, prev_h, prev_c, Wx, Wh, i, f, o, g, next_c)


def lstm_step_backward(dnext_h, dnext_c, cache, slip=""):
    x, prev_h, prev_c, Wx, Wh, i, f, o, g, next_c = cache
    t = np.tanh(next_c)
    dc = dnext_h * o * (1 - t**2) + (0 if slip == "no dnext_c" else dnext_c)
    di, df, do, dg = dc * g, dc * prev_c, dnext_h * t, dc * i
    da = np.hstack([di * i * (1 - i), df * f * (1 - f), do * o * (1 - o), dg * (1 - g**2)])
    return da @ Wx.T, da @ Wh.T, dc * f, x.T @ da, prev_h.T @ da, da.sum(axis=0)


def embedding_forward(x, W):
    return W[x], (x, W.shape)


def embedding_backward(dout, cache):
    x, shape = cache
    dW = np.zeros(shape)
    np.add.at(dW, x, dout)
    return dW


def linear_forward(A, W, b):  # columns are examples
    return W @ A + b, (A, W, b)


def linear_backward(dZ, cache):
    A_prev, W, b = cache
    return W.T @ dZ, dZ @ A_prev.T, np.sum(dZ, axis=1, keepdims=True)


def cell_forward(xt, a_prev, parameters):
    a_next = np.tanh(parameters["Wax"] @ xt + parameters["Waa"] @ a_prev + parameters["ba"])
    return a_next, (a_next, a_prev, xt, parameters)


def cell_backward(da_next, cache):
    a_next, a_prev, xt, parameters = cache
    d = (1 - a_next**2) * da_next
    return {"dxt": parameters["Wax"].T @ d, "da_prev": parameters["Waa"].T @ d, "dWax": d @ xt.T}


def softmax_loss(x, y):
    shifted = x - x.max(axis=1, keepdims=True)
    logp = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    n = x.shape[0]
    dx = np.exp(logp)
    dx[np.arange(n), y] -= 1
    return -logp[np.arange(n), y].mean(), dx / n


def svm_loss(W, X, y, reg, slip=""):
    scores, n = X @ W, X.shape[0]
    margins = np.maximum(0, scores - scores[np.arange(n), y][:, None] + 1)
    margins[np.arange(n), y] = 0
    loss = margins.sum() / n + reg * np.sum(W * W)
    active = (margins > 0).astype(float)
    active[np.arange(n), y] = -active.sum(axis=1)
    return loss, X.T @ active / n + (0 if slip == "penalty" else 2 * reg * W)


def two_layer_loss(W1, b1, W2, b2, X, y):
    h = np.maximum(0, X @ W1 + b1)
    loss, d = softmax_loss(h @ W2 + b2, y)
    dh = d @ W2.T * (h > 0)
    return loss, {"W1": X.T @ dh, "b1": dh.sum(axis=0), "W2": h.T @ d, "b2": d.sum(axis=0)}


def logistic_propagate(w, b, X, Y):
    A, m = 1 / (1 + np.exp(-(w.T @ X + b))), X.shape[1]
    cost = -np.mean(Y * np.log(A) + (1 - Y) * np.log(1 - A))
    return {"dw": X @ (A - Y).T / m, "db": np.sum(A - Y) / m}, cost


class Affine:
    """Parameters as attributes, gradients beside them."""

    def __init__(self, W, b):
        self.W, self.b = W, b

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dout):
        self.dW, self.db = self.x.T @ dout, dout.sum(axis=0)
        return dout @ self.W.T


class AffineWithLists:
    """Parameters and gradients in lists, which hold the very arrays that the passes use."""

    def __init__(self, W, b):
        self.params = [W, b]
        self.grads = [np.zeros_like(W), np.zeros_like(b)]

    def forward(self, x):
        W, b = self.params
        self.x = x
        return x @ W + b

    def backward(self, dout):
        self.grads[0][...] = self.x.T @ dout
        self.grads[1][...] = dout.sum(axis=0)
        return dout @ self.params[0].T


class AffineWithDicts:
    def __init__(self, W, b):
        self.params, self.grads = {"W": W, "b": b}, {}

    def forward(self, x):
        self.x = x
        return x @ self.params["W"] + self.params["b"]

    def backward(self, dout):
        self.grads["W"], self.grads["b"] = self.x.T @ dout, dout.sum(axis=0)
        return dout @ self.params["W"].T


class TwoLayerNet:
    def __init__(self, rng):
        self.params = {
            "W1": rng.normal(size=(3, 4)),
            "b1": np.zeros(4),
            "W2": rng.normal(size=(4, 2)),
            "b2": np.zeros(2),
        }

    def loss(self, X, y):
        return two_layer_loss(*self.params.values(), X, y)


def layers(rng):
    """Every layer with its arguments, drawn anew: name, forward, backward, arguments."""
    n = rng.normal
    x, w, b = n(size=(4, 5)), n(size=(5, 3)), n(size=3)
    image, kernel = n(size=(2, 2, 4, 4)), n(size=(3, 2, 3, 3))
    h, c = n(size=(4, 3)), n(size=(4, 3))
    return [
        ("affine", affine_forward, affine_backward, (n(size=(4, 5, 1)), w, b)),
        ("relu", relu_forward, relu_backward, (x,)),
        ("tanh", tanh_forward, tanh_backward, (x,)),
        ("sigmoid", sigmoid_alone, sigmoid_alone_backward, (x,)),
        ("batchnorm", batchnorm_forward, batchnorm_backward, (x, n(size=5), n(size=5), {"mode": "train"})),
        ("layernorm", layernorm_forward, layernorm_backward, (x, n(size=5), n(size=5))),
        ("dropout", dropout_forward, dropout_backward, (x, {"mode": "train", "p": 0.6, "seed": 1})),
        ("conv", conv_forward, conv_backward, (image, kernel, b, {"stride": 1, "pad": 1})),
        ("strided conv", conv_forward, conv_backward, (n(size=(1, 2, 5, 5)), kernel, b, {"stride": 2, "pad": 0})),
        ("max pool", max_pool_forward, max_pool_backward, (image, {"size": 2})),
        ("rnn step", rnn_step_forward, rnn_step_backward, (x, h, w, n(size=(3, 3)), b)),
        (
            "lstm step",
            lstm_step_forward,
            lstm_step_backward,
            (x, h, c, n(size=(5, 12)), n(size=(3, 12)), n(size=12)),
        ),
        ("embedding", embedding_forward, embedding_backward, (np.array([[0, 2, 2], [1, 0, 2]]), n(size=(4, 3)))),
        ("linear", linear_forward, linear_backward, (n(size=(3, 4)), n(size=(2, 3)), n(size=(2, 1)))),
    ]


def losses(rng):
    """Every loss with its arguments, drawn anew: name, function, arguments."""
    n = rng.normal
    y = np.array([0, 2, 1, 2])
    X = n(size=(4, 5))
    return [
        ("softmax loss", softmax_loss, (n(size=(4, 3)), y)),
        ("svm loss", svm_loss, (n(size=(5, 3)), X, y, 0.1)),
        ("two layers", two_layer_loss, (n(size=(5, 6)), n(size=6), n(size=(6, 3)), n(size=3), X, y)),
        ("logistic", logistic_propagate, (n(size=(5, 1)), 0.3, X.T, np.array([[0, 1, 1, 0]]))),
    ]
