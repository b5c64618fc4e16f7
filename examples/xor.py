"""XOR: not separable by a line, so a hidden layer is needed. Trained until it is learned."""

import tinygrad_edu as tg
from tinygrad_edu.article import XOR_DATASET

LABELS = [0, 1, 1, 0]

network = tg.Network.create([2, 3, 2], seed=3, learning_rate=1.0)


def report(epoch: int, history: tg.nn.History) -> None:
    if (epoch + 1) % 500 == 0:
        print(f"epoch {epoch + 1}: mean squared error {history.mean_squared_error[-1]:.4f}")


network.train(XOR_DATASET, LABELS, epochs=1500, on_epoch=report)
for row, label in zip(XOR_DATASET, LABELS, strict=True):
    print(f"{row[0]:.0f} xor {row[1]:.0f}: expected {label}, got {network.predict(row)}")
