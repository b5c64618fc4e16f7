"""Handwritten digits (scikit-learn's, the extra `sklearn`) by convolutions, with dropout and early stopping."""

import sys
from functools import partial

import numpy as np
from sklearn.datasets import load_digits

import tinygrad_edu as tg

small = "--small" in sys.argv
images, labels = load_digits(return_X_y=True)
order = np.random.default_rng(0).permutation(len(images))
rows, labels = images[order].reshape(-1, 1, 8, 8) / 16.0, labels[order]
train, valid, test = (
    (slice(0, 320), slice(320, 400), slice(400, 600))
    if small
    else (slice(0, 1257), slice(1257, 1437), slice(1437, 1797))
)

rng = np.random.default_rng(0)
network = tg.Network(
    [
        tg.nn.Conv2d.create(1, 8, 3, rng, padding=1),
        tg.nn.Conv2d.create(8, 16, 3, rng, padding=1),
        partial(tg.max_pool2d, size=2),
        partial(tg.reshape, shape=(-1, 256)),
        tg.nn.Dropout(0.2, seed=0),
        tg.Dense.create(256, 10, rng, activation=tg.nn.identity, start="scaled"),
    ]
)
history = network.train(
    rows[train],
    labels[train],
    epochs=2 if small else 30,
    batch_size=32,
    shuffle=0,
    loss=tg.nn.cross_entropy,
    update=tg.nn.Adam(0.002),
    validation=(rows[valid], labels[valid]),
    patience=6,
    metrics="accuracy",
    compiled=True,
)
print(history)
print(f"test accuracy: {np.mean(network.predict(rows[test]) == labels[test]):.1%}")
