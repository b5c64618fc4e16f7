"""The article's second program: a layer is a matrix. Computed gradients against backpropagation by hand, bit by bit."""

import numpy as np

from tinygrad_edu.article import DATASET, TARGETS, network_from
from tinygrad_edu.article.by_hand import HandDenseNetwork

rng = np.random.default_rng(1)
start = [[(rng.random(n).tolist(), rng.random()) for _ in range(m)] for n, m in ((2, 3), (3, 2))]
network, by_hand = network_from(start, "dense"), HandDenseNetwork(start)

history = network.train(DATASET, TARGETS, epochs=40)
for _ in range(40):
    by_hand.train_epoch(np.array(DATASET), np.array(TARGETS))

print(f"mean squared error: {history.mean_squared_error[0]:.6f}, after 40 epochs {history.mean_squared_error[-1]:.6f}")
for i, (layer, hand) in enumerate(zip(network.layers, by_hand.layers, strict=True)):
    print(f"layers[{i}].weights equal to the last bit:", np.array_equal(layer.weights.data, hand.weights))
    print(f"layers[{i}].delta   equal to the last bit:", np.array_equal(layer.delta, hand.deltas))
