"""A classifier in numpy: a training step is compiled, its backpropagation printed, and the printed source trains."""

import numpy as np

import tinygrad_edu as tg

rng = np.random.default_rng(0)
centres = np.array([[0.0, 2.0], [2.0, -1.0], [-2.0, -1.0]])
labels = rng.integers(0, 3, 150)
rows = centres[labels] + rng.normal(size=(150, 2))
targets = np.eye(3)[labels]


@tg.compile
def step(weights, bias, rows, targets):
    scores = rows @ weights + bias
    loss = -(targets * tg.log_softmax(scores, axis=1)).sum()
    d_weights, d_bias = tg.gradients(loss, [weights, bias])
    return loss, weights - 0.01 * d_weights, bias - 0.01 * d_bias


weights, bias = np.zeros((2, 3)), np.zeros(3)
for epoch in range(100):
    loss, weights, bias = step(weights, bias, rows, targets)
    if epoch % 33 == 0:
        print(f"epoch {epoch}: loss {loss / len(rows):.4f}")

print(f"right: {np.mean(np.argmax(rows @ weights + bias, axis=1) == labels):.0%}")
print()
print(step.source)
