"""The same works in other libraries, written as their documentation writes such things."""

# mypy: ignore-errors
from __future__ import annotations

import math

import numpy as np

from tinygrad_edu.article import DATASET, TARGETS, recovered_start

ROWS, GOALS = np.array(DATASET), np.array(TARGETS)


def arrays_of(start):
    return [np.array(x) for layer in start for x in ([w for w, _ in layer], [b for _, b in layer])]


def micrograd_article(epochs):
    from micrograd.engine import Value

    def sigmoid(x):
        s = 1.0 / (1.0 + math.exp(-x.data))
        out = Value(s, (x,), "sigmoid")

        def backward():
            x.grad += s * (1.0 - s) * out.grad

        out._backward = backward
        return out

    layers = [[([Value(w) for w in ws], Value(b)) for ws, b in layer] for layer in recovered_start()]
    parameters = [p for layer in layers for ws, b in layer for p in (*ws, b)]

    def step(row, goal):
        outputs = row
        for layer in layers:
            outputs = [sigmoid(sum((w * x for w, x in zip(ws, outputs, strict=True)), b)) for ws, b in layer]
        loss = 0.5 * sum((o - t) ** 2 for o, t in zip(outputs, goal, strict=True))
        for p in parameters:
            p.grad = 0.0
        loss.backward()
        for p in parameters:
            p.data -= 0.5 * p.grad

    return lambda: [step(row, goal) for _ in range(epochs) for row, goal in zip(DATASET, TARGETS, strict=True)]


def mygrad_article(epochs):
    step = mygrad_rows(arrays_of(recovered_start()), 0.5)
    return lambda: [step(row, goal) for _ in range(epochs) for row, goal in zip(ROWS, GOALS, strict=True)]


def mygrad_rows(parameters, rate):
    import mygrad as mg
    from mygrad.nnet.activations import sigmoid

    w1, b1, w2, b2 = (mg.tensor(p) for p in parameters)

    def step(row, goal):
        hidden = sigmoid(mg.matmul(w1, row) + b1)
        loss = 0.5 * mg.sum((sigmoid(mg.matmul(w2, hidden) + b2) - goal) ** 2)
        loss.backward()
        for p in (w1, b1, w2, b2):
            p.data -= rate * p.grad
            p.null_grad()

    return step


def mygrad_step(parameters, batch, targets, rate):
    import mygrad as mg
    from mygrad.nnet.activations import sigmoid

    w1, b1, w2, b2 = (mg.tensor(p.copy()) for p in parameters)

    def step():
        hidden = sigmoid(mg.matmul(batch, w1.T) + b1)
        loss = 0.5 * mg.sum((sigmoid(mg.matmul(hidden, w2.T) + b2) - targets) ** 2)
        loss.backward()
        for p in (w1, b1, w2, b2):
            p.data -= rate * p.grad
            p.null_grad()

    return step


def autograd_article(epochs):
    import autograd.numpy as anp
    from autograd import grad

    parameters = arrays_of(recovered_start())

    def loss(parameters, row, goal):
        w1, b1, w2, b2 = parameters
        hidden = 1 / (1 + anp.exp(-(anp.dot(w1, row) + b1)))
        return 0.5 * anp.sum((1 / (1 + anp.exp(-(anp.dot(w2, hidden) + b2))) - goal) ** 2)

    slope = grad(loss)

    def step(row, goal):
        for p, g in zip(parameters, slope(parameters, row, goal), strict=True):
            p -= 0.5 * g

    return lambda: [step(row, goal) for _ in range(epochs) for row, goal in zip(ROWS, GOALS, strict=True)]


def autograd_step(parameters, batch, targets, rate):
    import autograd.numpy as anp
    from autograd import grad

    parameters = [p.copy() for p in parameters]

    def loss(parameters):
        w1, b1, w2, b2 = parameters
        hidden = 1 / (1 + anp.exp(-(anp.dot(batch, w1.T) + b1)))
        return 0.5 * anp.sum((1 / (1 + anp.exp(-(anp.dot(hidden, w2.T) + b2))) - targets) ** 2)

    slope = grad(loss)

    def step():
        for p, g in zip(parameters, slope(parameters), strict=True):
            p -= rate * g

    return step


def autograd_transforms(row, goal, matrix):
    import autograd.numpy as anp
    from autograd import grad, hessian, jacobian

    def article_loss(parameters):
        w1, b1, w2, b2 = parameters
        hidden = 1 / (1 + anp.exp(-(anp.dot(w1, row) + b1)))
        return 0.5 * anp.sum((1 / (1 + anp.exp(-(anp.dot(w2, hidden) + b2))) - goal) ** 2)

    def network_loss(weights):
        hidden = anp.tanh(anp.dot(anp.reshape(weights[:16], (8, 2)), row) + weights[16:24])
        return anp.sum(anp.tanh(hidden[:6] * weights[24:]) ** 2)

    return {
        "grad": grad(article_loss),
        "jacobian": jacobian(lambda x: anp.tanh(anp.dot(matrix, x))),
        "hessian": hessian(network_loss),
    }


def torch_article(epochs, compiled=False):
    import torch

    step = torch_rows(arrays_of(recovered_start()), 0.5, compiled)
    rows = [(torch.tensor(row), torch.tensor(goal)) for row, goal in zip(ROWS, GOALS, strict=True)]
    return lambda: [step(row, goal) for _ in range(epochs) for row, goal in rows]


def torch_step(parameters, batch, targets, rate, compiled=False):
    import torch

    step = torch_rows(parameters, rate, compiled)
    batch, targets = torch.tensor(batch), torch.tensor(targets)
    return lambda: step(batch, targets)


def torch_rows(parameters, rate, compiled):
    import torch

    w1, b1, w2, b2 = parameters = [torch.tensor(p, requires_grad=True) for p in parameters]

    def loss_of(row, goal):
        hidden = torch.sigmoid(row @ w1.T + b1)
        return 0.5 * ((torch.sigmoid(hidden @ w2.T + b2) - goal) ** 2).sum()

    if compiled:
        loss_of = torch.compile(loss_of)

    def step(row, goal):
        loss_of(row, goal).backward()
        with torch.no_grad():
            for p in parameters:
                p -= rate * p.grad
                p.grad = None

    return step


def jax_article(epochs):
    import jax.numpy as jnp

    step = jax_update(0.5)
    rows = [(jnp.array(row), jnp.array(goal)) for row, goal in zip(ROWS, GOALS, strict=True)]
    parameters = [jnp.array(p) for p in arrays_of(recovered_start())]

    def run():
        nonlocal parameters
        for _ in range(epochs):
            for row, goal in rows:
                parameters = step(parameters, row, goal)
        parameters[0].block_until_ready()

    return run


def jax_step(parameters, batch, targets, rate):
    import jax.numpy as jnp

    step = jax_update(rate)
    parameters = [jnp.array(p) for p in parameters]
    batch, targets = jnp.array(batch), jnp.array(targets)

    def run():
        nonlocal parameters
        parameters = step(parameters, batch, targets)
        parameters[0].block_until_ready()

    return run


def jax_update(rate):
    import jax

    jax.config.update("jax_enable_x64", True)

    def loss(parameters, row, goal):
        w1, b1, w2, b2 = parameters
        hidden = jax.nn.sigmoid(row @ w1.T + b1)
        return 0.5 * ((jax.nn.sigmoid(hidden @ w2.T + b2) - goal) ** 2).sum()

    slope = jax.grad(loss)

    @jax.jit
    def step(parameters, row, goal):
        return [p - rate * g for p, g in zip(parameters, slope(parameters, row, goal), strict=True)]

    return step


def torch_digits(rows, labels):
    """An epoch in batches of 32, and predictions."""
    import torch

    layers = torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10)
    model = torch.nn.Sequential(*layers).double()

    def predict():
        with torch.no_grad():
            return model(torch.tensor(rows)).argmax(1)

    return torch_epoch(model, rows, labels), predict


def torch_epoch(model, rows, labels, batch_size=32):
    """An epoch of a model in double precision, by cross-entropy and Adam."""
    import torch

    optimizer, loss = torch.optim.Adam(model.parameters(), 0.001), torch.nn.CrossEntropyLoss()
    rows, labels = torch.tensor(rows), torch.tensor(labels)

    def epoch():
        for i in range(0, len(rows), batch_size):
            optimizer.zero_grad()
            scores = model(rows[i : i + batch_size])
            loss(scores.flatten(0, -2), labels[i : i + batch_size].flatten()).backward()
            optimizer.step()

    return epoch


def torch_convolutions():
    """The network of examples/digits_conv.py."""
    from torch import nn

    first, second = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 16, 3, padding=1)
    pooled = nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.2)
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), *pooled, nn.Linear(256, 10)).double()


def torch_gpt(letters, length=16, size=32, heads=2):
    """The network of examples/tiny_gpt.py."""
    import torch
    from torch.nn import functional

    def linear(n, m):
        return torch.nn.Linear(n, m, bias=False)

    class Transformer(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.table = torch.nn.Embedding(letters, size)
            self.places = torch.nn.Parameter(torch.randn(length, size))
            self.query, self.key, self.value, self.out = (linear(size, size) for _ in range(4))
            self.up, self.down, self.scores = linear(size, 4 * size), linear(4 * size, size), linear(size, letters)
            self.future = torch.triu(torch.full((length, length), -1e9, dtype=torch.float64), 1)

        def forward(self, numbers):
            x = self.table(numbers) + self.places
            x = x + self.attention(normalised(x))
            x = x + self.down(functional.gelu(self.up(normalised(x)), approximate="tanh"))
            return self.scores(normalised(x))

        def attention(self, x):
            def split(layer):
                return layer(x).reshape(len(x), length, heads, size // heads).transpose(1, 2)

            scores = split(self.query) @ split(self.key).transpose(2, 3) / (size / heads) ** 0.5 + self.future
            mixed = torch.softmax(scores, -1) @ split(self.value)
            return self.out(mixed.transpose(1, 2).reshape(x.shape))

    def normalised(x):
        return functional.layer_norm(x, x.shape[-1:])

    return Transformer().double()
