"""A transformer of one block learns a text by heart: Python's own verse, letter by letter (`import this`)."""

import codecs
import contextlib
import io
import sys

import numpy as np

import tinygrad_edu as tg

with contextlib.redirect_stdout(io.StringIO()):
    import this

small = "--small" in sys.argv
text = codecs.decode(this.s, "rot13")[: 200 if small else None]
letters = sorted(set(text))
numbers = np.array([letters.index(letter) for letter in text])
LENGTH, SIZE, HEADS = 16, 32, 2
rng = np.random.default_rng(0)


def weights(*shape):
    return tg.Value(rng.normal(size=shape) / np.sqrt(shape[0]))


class Block:
    """x + attention(x), then x + a network of two layers, each on normalised numbers."""

    def __init__(self):
        self.query, self.key, self.value, self.out = (weights(SIZE, SIZE) for _ in range(4))
        self.up, self.down = weights(SIZE, 4 * SIZE), weights(4 * SIZE, SIZE)
        self.future = np.triu(np.full((LENGTH, LENGTH), -1e9), 1)

    def parameters(self):
        return [self.query, self.key, self.value, self.out, self.up, self.down]

    def __call__(self, x):
        x = x + self.attention(normalised(x))
        return x + tg.gelu(normalised(x) @ self.up) @ self.down

    def attention(self, x):
        n, length = x.shape[0], x.shape[1]

        def heads(matrix):
            return (x @ matrix).reshape((n, length, HEADS, SIZE // HEADS)).transpose((0, 2, 1, 3))

        query, key, value = heads(self.query), heads(self.key), heads(self.value)
        scores = query @ key.transpose((0, 1, 3, 2)) / np.sqrt(SIZE / HEADS) + self.future[:length, :length]
        mixed = tg.softmax(scores, axis=-1) @ value
        return mixed.transpose((0, 2, 1, 3)).reshape((n, length, SIZE)) @ self.out


class Positions:
    """A vector for each place in the sequence, added."""

    def __init__(self):
        self.table = weights(LENGTH, SIZE)

    def parameters(self):
        return [self.table]

    def __call__(self, x):
        return x + self.table[: x.shape[1]]


class Scores:
    """For each place a score for each letter."""

    def __init__(self):
        self.matrix = weights(SIZE, len(letters))

    def parameters(self):
        return [self.matrix]

    def __call__(self, x):
        return normalised(x) @ self.matrix


def normalised(x):
    difference = x - x.mean(axis=-1, keepdims=True)
    return difference / tg.sqrt((difference**2).mean(axis=-1, keepdims=True) + 1e-5)


starts = np.arange(len(numbers) - LENGTH)
rows = np.stack([numbers[i : i + LENGTH] for i in starts])
following = np.stack([numbers[i + 1 : i + LENGTH + 1] for i in starts])
network = tg.Network([tg.nn.Embedding.create(len(letters), SIZE, rng), Positions(), Block(), Scores()])
history = network.train(
    rows,
    following,
    epochs=3 if small else 15,
    batch_size=32,
    shuffle=0,
    loss=tg.nn.cross_entropy,
    update=tg.nn.Adam(0.003),
    compiled=True,
)
print(f"{len(text)} letters: loss {history.loss[0]:.2f} at first, {history.loss[-1]:.2f} at last")
found = list(numbers[:LENGTH])
for _ in range(60):
    found.append(int(np.argmax(network.outputs([found[-LENGTH:]])[0, -1])))
print("".join(letters[k] for k in found))
