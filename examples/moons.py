"""Two moons, told apart by a small network: trained, saved, loaded, and drawn where matplotlib is installed."""

import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import tinygrad_edu as tg

n = 100 if "--small" in sys.argv else 500
rng = np.random.default_rng(0)
angles = rng.uniform(0.0, np.pi, n)
upper = np.stack([np.cos(angles), np.sin(angles)], axis=1)
lower = np.stack([1.0 - np.cos(angles), 0.5 - np.sin(angles)], axis=1)
rows = np.concatenate([upper, lower]) + 0.08 * rng.normal(size=(2 * n, 2))
labels = np.repeat([0, 1], n)

network = tg.Network.create([2, 16, 16, 1], kind="dense", activation=tg.tanh, start="scaled", seed=0)
history = network.train(
    rows,
    labels,
    epochs=100,
    batch_size=20,
    shuffle=0,
    loss=tg.nn.binary_cross_entropy,
    update=tg.nn.Adam(0.01),
    metrics="accuracy",
)
print(history)
print(f"right: {np.mean(network.predict(rows) == labels):.1%}")

with tempfile.TemporaryDirectory() as folder:
    network.save(Path(folder) / "moons.npz")
    loaded = tg.Network.load(Path(folder) / "moons.npz")
    print(f"a saved network predicts the same: {np.array_equal(loaded.outputs(rows), network.outputs(rows))}")
    if find_spec("matplotlib"):
        history.plot().savefig(Path(folder) / "moons.png")
