"""Names that sound right, letter by letter: from a table of pairs to a network with batch normalisation by hand.

The names are those of Python's own modules.
"""

import sys

import numpy as np

import tinygrad_edu as tg

small = "--small" in sys.argv
names = sorted(name.strip("_") for name in sys.stdlib_module_names if name.strip("_").isalpha() and name.islower())
letters = ".abcdefghijklmnopqrstuvwxyz"
CONTEXT = 3
contexts, following = [], []
for name in names:
    padded = [0] * CONTEXT + [letters.index(letter) for letter in name] + [0]
    for i in range(CONTEXT, len(padded)):
        contexts.append(padded[i - CONTEXT : i])
        following.append(padded[i])
contexts, following = np.array(contexts), np.array(following)
rng = np.random.default_rng(0)

# A table of scores: one letter says which may follow.
pairs = tg.Network([tg.nn.Embedding(0.01 * rng.normal(size=(27, 27))), lambda scores: scores.reshape((-1, 27))])
history = pairs.train(
    contexts[:, -1:],
    following,
    30,
    batch_size=32,
    shuffle=0,
    loss=tg.nn.cross_entropy,
    update=tg.nn.Adam(0.05),
    compiled=True,
)
print(f"pairs of letters: loss {history.loss[-1]:.3f}")


class BatchNorm:
    """Each unit shifted and scaled to mean 0 and variance 1 over the batch, then by two parameters."""

    def __init__(self, n):
        self.gain, self.shift = tg.Value(np.ones(n), "gain"), tg.Value(np.zeros(n), "shift")
        self.statistics = None

    def __call__(self, x):
        mean, variance = self.statistics or (x.mean(axis=0), ((x - x.mean(axis=0)) ** 2).mean(axis=0))
        return (x - mean) / tg.sqrt(variance + 1e-5) * self.gain + self.shift

    def parameters(self):
        return [self.gain, self.shift]


embedding = tg.nn.Embedding.create(27, 10, rng)
hidden = tg.Dense.create(10 * CONTEXT, 64, rng, activation=tg.nn.identity, start="scaled")
norm = BatchNorm(64)
network = tg.Network(
    [
        embedding,
        lambda vectors: vectors.reshape((-1, 10 * CONTEXT)),
        hidden,
        norm,
        tg.tanh,
        tg.Dense.create(64, 27, rng, activation=tg.nn.identity, start="scaled"),
    ]
)
history = network.train(
    contexts,
    following,
    10 if small else 60,
    batch_size=32,
    shuffle=0,
    loss=tg.nn.cross_entropy,
    update=tg.nn.Adam(0.01),
    compiled=True,
)
print(f"three letters, with batch normalisation: loss {history.loss[-1]:.3f}")

# For letters one by one, the statistics are those of all training rows.
sums = tg.Network(network.layers[:3]).outputs(contexts)
norm.statistics = sums.mean(axis=0), sums.var(axis=0)
for _ in range(5):
    found = [0] * CONTEXT
    while len(found) < 16 and (len(found) == CONTEXT or found[-1]):
        probabilities = tg.softmax(network.outputs([found[-CONTEXT:]])[0])
        found.append(int(rng.choice(27, p=probabilities)))
    print("".join(letters[k] for k in found if k))
