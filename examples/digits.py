"""Handwritten digits of 8 x 8 pixels (from scikit-learn, the extra `sklearn`) by a network of two layers."""

import sys
from time import perf_counter

import numpy as np
from sklearn.datasets import load_digits

import tinygrad_edu as tg

small = "--small" in sys.argv
images, labels = load_digits(return_X_y=True)
order = np.random.default_rng(0).permutation(len(images))
rows, labels = images[order] / 16.0, labels[order]
n = 1437  # four fifths
network = tg.Network.create([64, 64, 10], kind="dense", activation=tg.relu, start="scaled", seed=0)

start = perf_counter()
history = network.train(
    rows[:n],
    labels[:n],
    epochs=5 if small else 60,
    batch_size=32,
    shuffle=0,
    loss=tg.nn.cross_entropy + tg.nn.penalty(network, l2=1e-4),
    update=tg.nn.Adam(0.002),
    metrics="accuracy",
    compiled=True,
)
seconds = perf_counter() - start
print(history)
print(f"test accuracy: {np.mean(network.predict(rows[n:]) == labels[n:]):.1%} after {seconds:.1f} s")
