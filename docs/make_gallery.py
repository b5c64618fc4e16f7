"""The gallery: `python docs/make_gallery.py` draws its pictures anew into docs/gallery/."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import tinygrad_edu as tg
from tinygrad_edu.article import DATASET, TARGETS, network_from, recovered_start


def first() -> tg.Value:
    w, x = tg.Value(0.5, name="w"), tg.Value(2.0, name="x")
    return finished(tg.sigmoid(w * x + 1.0), "y")


def article(kind: str = "scalar") -> tg.Value:
    network = network_from(recovered_start(), "dense" if kind == "dense" else "scalar")
    network.train(DATASET, TARGETS, 1)
    network.zero_grad()
    return finished(tg.nn.half_squared_error(network.feed_forward(DATASET[-1]), TARGETS[-1]))


def deeper() -> tg.Value:
    network = tg.Network.create([3, 4, 3, 2], seed=0)
    return finished(tg.nn.half_squared_error(network.feed_forward([0.1, 0.2, 0.3]), [1.0, 0.0]))


def slip() -> tuple[tg.Value, dict[tg.Value, float]]:
    """The article's backpropagation by hand with σ′ left out at one neuron: the loss, and the gradient so written."""
    network = network_from(recovered_start())
    network.train(DATASET, TARGETS, 1)
    network.zero_grad()
    inputs = DATASET[-1]
    loss = finished(tg.nn.half_squared_error(network.feed_forward(inputs), TARGETS[-1]))
    hidden, last = (layer.neurons for layer in network.layers)
    deltas = {n: (n.output - t) * n.output * (1.0 - n.output) for n, t in zip(last, TARGETS[-1], strict=True)}
    for i, n in enumerate(hidden):
        deltas[n] = sum(m.weights[i].data * deltas[m] for m in last)
        if i > 0:  # here is the slip: also the first neuron's delta needs the slope of its σ
            deltas[n] *= n.output * (1.0 - n.output)
    by_hand = {n.weighted_sum: delta for n, delta in deltas.items()} | {n.bias: delta for n, delta in deltas.items()}
    for neurons, given in ((hidden, inputs), (last, [n.output for n in hidden])):
        by_hand |= {w: deltas[n] * x for n in neurons for w, x in zip(n.weights, given, strict=True)}
    return loss, by_hand


def neuron() -> tg.Value:
    return finished(tg.Neuron([0.5, -1.0], bias=0.25)([2.0, 1.0]), "output")


def digits_network() -> tg.Value:
    network = tg.Network.create([784, 32, 10], kind="dense", seed=0, start="scaled")
    row = np.random.default_rng(0).random(784)
    return finished(tg.nn.half_squared_error(network.feed_forward(row), np.eye(10)[3]))


def wide_network() -> tg.Value:
    network = tg.Network.create([20, 64, 10], seed=0, start="scaled")
    return finished(tg.nn.half_squared_error(network.feed_forward(np.linspace(0.0, 1.0, 20)), np.eye(10)[3]))


def attention() -> tg.Value:
    """One head of attention over four words of six numbers each."""
    rng = np.random.default_rng(0)
    x = tg.Value(rng.normal(size=(4, 6)), name="X")
    q, k, v = (x @ tg.Value(rng.normal(size=(6, 3)), name=f"W{name}") for name in "qkv")
    q.name, k.name, v.name = "Q", "K", "V"
    weights = tg.softmax(q @ k.T / np.sqrt(3.0), axis=1)
    weights.name = "A"
    return finished(((weights @ v) ** 2.0).mean())


def softmax_loss() -> tg.Value:
    """The loss of a softmax classifier, step by step as a course writes it."""
    rng = np.random.default_rng(0)
    x = tg.Value(rng.normal(size=(5, 4)), name="X")
    w, b = tg.Value(rng.normal(size=(4, 3)), name="W"), tg.Value(np.zeros(3), name="b")
    labels = np.array([0, 2, 1, 1, 0])
    scores = x @ w + b
    exps = tg.exp(scores - scores.max(axis=1, keepdims=True))
    probabilities = exps / exps.sum(axis=1, keepdims=True)
    scores.name, exps.name, probabilities.name = "scores", "exps", "p"
    return finished(-tg.log(probabilities[np.arange(5), labels]).mean())


def compiled() -> str:
    """The picture of a compiled gradient: forward and backward pass are one computation."""

    def loss_of(w: tg.Value, x: tg.Value) -> tg.Value:
        loss = 0.5 * (tg.sigmoid(w * x) - 1.0) ** 2.0
        loss.name = "loss"
        return loss

    program = tg.compile(tg.value_and_grad(loss_of))
    program(0.5, 2.0)
    svg: str = program.graph().svg()
    return svg


def finished(result: tg.Value, name: str = "loss") -> tg.Value:
    result.name = name
    result.backward()
    return result


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tg.save(first(), folder / "first.svg")
    tg.save(article(), folder / "article.svg")
    tg.save(deeper(), folder / "deeper.svg")
    tg.save(neuron(), folder / "neuron-nodes.svg", show=("nodes", "data", "grad", "local"))
    tg.save(article(), folder / "article-nodes.svg", show="nodes")
    tg.save(article("dense"), folder / "article-dense.svg")
    tg.save(digits_network(), folder / "digits.svg")
    tg.save(wide_network(), folder / "wide.svg")
    tg.save(deeper(), folder / "layers.svg", depth=0)
    tg.save(attention(), folder / "attention.svg")
    tg.save(softmax_loss(), folder / "softmax.svg")
    loss, by_hand = slip()
    tg.save(loss, folder / "by-hand.svg", gradient=by_hand)
    (folder / "compiled.svg").write_text(compiled(), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "gallery")
