"""The gallery: `python docs/make_gallery.py` draws its pictures anew into docs/gallery/."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import tinygrad_edu as tg
from tinygrad_edu.article import DATASET, TARGETS, network_from, recovered_start


def neuron() -> tg.Value:
    unit = tg.Neuron([0.5, -1.0], bias=0.25)
    output = unit([2.0, 1.0])
    output.name = "output"
    output.backward()
    return output


def article(kind: str) -> tg.Value:
    network = network_from(recovered_start(), "dense" if kind == "dense" else "scalar")
    network.train(DATASET, TARGETS, 1)
    network.zero_grad()
    return finished(tg.nn.half_squared_error(network.feed_forward(DATASET[-1]), TARGETS[-1]))


def digits_network() -> tg.Value:
    network = tg.Network.create([784, 32, 10], kind="dense", seed=0)
    for layer in network.layers:
        layer.weights.data = (layer.weights.data - 0.5) / 8.0
    row = np.random.default_rng(0).random(784)
    return finished(tg.nn.half_squared_error(network.feed_forward(row), np.eye(10)[3]))


def wide_network() -> tg.Value:
    network = tg.Network.create([20, 64, 10], seed=0)
    return finished(tg.nn.half_squared_error(network.feed_forward(np.linspace(0.0, 1.0, 20)), np.eye(10)[3]))


def finished(loss: tg.Value) -> tg.Value:
    loss.name = "loss"
    loss.backward()
    return loss


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tg.save(neuron(), folder / "neuron.svg", show=("data", "grad", "local"))
    tg.save(article("scalar"), folder / "article-scalar.svg")
    tg.save(article("dense"), folder / "article-dense-heat.svg", heat=True)
    tg.save(article("dense"), folder / "article-dense-dark.svg", theme="dark")
    tg.save(article("scalar"), folder / "article-layers.svg", depth=0)
    tg.save(digits_network(), folder / "digits.svg")
    tg.save(wide_network(), folder / "wide.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "gallery")
