"""A 3-layer network in plain numpy with backprop written out by hand, and 24 mistakes that can be planted in it."""

import numpy as np

NAMES = ("w1", "b1", "w2", "b2", "w3", "b3")
BATCH = 5


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def problem(seed=0):
    """Parameters of a 3-4-4-2 network (tanh, sigmoid, sigmoid), a batch and its targets."""
    rng = np.random.default_rng(seed)
    shapes = [(4, 3), (4,), (4, 4), (4,), (2, 4), (2,)]
    return [rng.normal(size=s) for s in shapes], rng.normal(size=(BATCH, 3)), rng.random((BATCH, 2))


def loss_of(batch, targets):
    def loss(w1, b1, w2, b2, w3, b3):
        h1 = np.tanh(batch @ w1.T + b1)
        h2 = sigmoid(h1 @ w2.T + b2)
        return 0.5 * np.sum((sigmoid(h2 @ w3.T + b3) - targets) ** 2)

    return loss


def backprop(parameters, batch, targets, mistake=None):
    """The gradients of all parameters; right, unless a mistake is planted."""
    w1, b1, w2, b2, w3, b3 = parameters
    h1 = np.tanh(batch @ w1.T + b1)
    h2 = sigmoid(h1 @ w2.T + b2)
    out = sigmoid(h2 @ w3.T + b3)
    slope1, slope2, slope3 = 1.0 - h1 * h1, h2 * (1.0 - h2), out * (1.0 - out)
    slope1 = {"tanh' missing in layer 1": 1.0, "tanh' twice in layer 1": slope1**2}.get(mistake, slope1)
    slope2 = {"σ' missing in layer 2": 1.0, "σ' twice in layer 2": slope2**2}.get(mistake, slope2)
    slope3 = {"σ' missing in layer 3": 1.0, "σ' twice in layer 3": slope3**2}.get(mistake, slope3)
    if mistake == "the article's slip: twice in both hidden layers":
        slope1, slope2 = slope1**2, slope2**2
    if mistake == "no activation derivative anywhere":
        slope1 = slope2 = slope3 = 1.0
    error = targets - out if mistake == "target minus output" else out - targets
    if mistake == "the factor 2 of a square not halved":
        error = 2.0 * error
    if mistake == "divided by the batch size":
        error = error / BATCH
    d3 = error * slope3
    d2 = d3 @ w3 * slope2
    d1 = d2 @ (w2.T if mistake == "w2 transposed on the way back" else w2) * slope1
    g = {
        "w1": d1.T @ batch,
        "b1": d1.sum(axis=0),
        "w2": d2.T @ h1,
        "b2": d2.sum(axis=0),
        "w3": d3.T @ h2,
        "b3": d3.sum(axis=0),
    }
    plant(g, mistake)
    return [g[name] for name in NAMES]


def plant(g, mistake):
    """Mistakes in single gradients."""
    if mistake == "w2 transposed":
        g["w2"] = g["w2"].T
    if mistake == "sign of w3":
        g["w3"] = -g["w3"]
    if mistake == "sign of b1":
        g["b1"] = -g["b1"]
    if mistake == "mean over the batch in b2":
        g["b2"] = g["b2"] / BATCH
    if mistake == "sum added twice in w1":
        g["w1"] = 2.0 * g["w1"]
    if mistake == "half of w3":
        g["w3"] = 0.5 * g["w3"]
    if mistake == "batch size too much in w2":
        g["w2"] = BATCH * g["w2"]
    if mistake == "rows of w1 off by one":
        g["w1"] = np.roll(g["w1"], 1, axis=0)
    if mistake == "columns of w2 off by one":
        g["w2"] = np.roll(g["w2"], -1, axis=1)
    if mistake == "entries of b1 off by one":
        g["b1"] = np.roll(g["b1"], 1)
    if mistake == "b1 and b2 exchanged":
        g["b1"], g["b2"] = g["b2"], g["b1"]
    if mistake == "b2's gradient given for b1":
        g["b1"] = g["b2"]
    if mistake == "w3 forgotten":
        g["w3"] = np.zeros_like(g["w3"])
    if mistake == "a learning rate left in":
        for name in g:
            g[name] = 0.01 * g[name]
