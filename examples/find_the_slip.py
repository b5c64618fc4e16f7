"""Finding a mistake in hand-written backprop: the article's numpy program multiplies hidden deltas by σ' twice."""

import numpy as np

import tinygrad_edu as tg
from tinygrad_edu.article import DATASET, TARGETS
from tinygrad_edu.article.by_hand import HandDenseNetwork

rng = np.random.default_rng(0)
start = [[(rng.random(n).tolist(), rng.random()) for _ in range(m)] for n, m in ((2, 3), (3, 2))]
row, target = np.array(DATASET[1]), np.array(TARGETS[1])


def loss(hidden_weights, hidden_bias, output_weights, output_bias):
    """Plain numpy: nothing here knows of gradients."""
    hidden = 1 / (1 + np.exp(-(hidden_weights @ row + hidden_bias)))
    output = 1 / (1 + np.exp(-(output_weights @ hidden + output_bias)))
    return 0.5 * np.sum((output - target) ** 2)


def by_hand(slip):
    network = HandDenseNetwork(start, slip=slip)
    network.feed_forward(row)
    network.set_deltas(target)
    hidden, output = network.layers
    return [np.outer(hidden.deltas, row), hidden.deltas, np.outer(output.deltas, hidden.outputs), output.deltas]


parameters = [array for layer in HandDenseNetwork(start).layers for array in (layer.weights, layer.bias)]
print("As the article prints it:")
print(tg.gradcheck(loss, *parameters, gradient=by_hand(slip=True)))
print()
print("With the slip mended:")
print(tg.gradcheck(loss, *parameters, gradient=by_hand(slip=False)))
