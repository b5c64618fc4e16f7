"""`python -m benchmarks.memory WHO ACTIVATION`: by how many megabytes three training steps make this process larger.

The one thing to know: torch's memory isn't Python's, so that only the process shows both alike (Linux).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROWS, WIDTH, CLASSES = 4096, 256, 10


def with_torch(activation: str) -> Callable[[], Any]:
    import torch
    from torch import nn

    name = {"tanh": "Tanh", "relu": "ReLU", "sigmoid": "Sigmoid"}[activation]
    layers = [layer for _ in range(3) for layer in (nn.Linear(WIDTH, WIDTH), getattr(nn, name)())]
    model, loss = nn.Sequential(*layers, nn.Linear(WIDTH, CLASSES)).double(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    rows, labels = map(torch.tensor, data())

    def step() -> None:
        optimizer.zero_grad()
        loss(model(rows), labels).backward()
        optimizer.step()

    return step


def data() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(ROWS, WIDTH)), rng.integers(0, CLASSES, ROWS)


def loss_of(activation: str) -> tuple[Callable[..., Any], Any]:
    """The loss as a function of parameters, rows and labels, and a network with the same layers."""
    import tinygrad_edu as tg

    curve, sizes = getattr(tg, activation), [WIDTH] * 4 + [CLASSES]
    network = tg.Network.create(sizes, "dense", activation=curve, last=tg.nn.identity, start="scaled", seed=0)

    def loss(parameters: Any, rows: Any, labels: Any) -> Any:
        x = rows
        for i in range(0, len(parameters), 2):
            x = tg.affine(parameters[i], x, parameters[i + 1])
            x = curve(x) if i + 2 < len(parameters) else x
        return tg.nn.cross_entropy(x, labels)

    return loss, network


def with_backward(activation: str) -> Callable[[], Any]:
    import tinygrad_edu as tg

    loss, network = loss_of(activation)
    rows, labels = data()
    update = tg.nn.SGD(0.01)

    def step() -> None:
        network.zero_grad()
        loss(network.parameters(), rows, labels).backward()
        update(network.parameters())

    return step


def with_value_and_grad(activation: str) -> Callable[[], Any]:
    import tinygrad_edu as tg

    loss, network = loss_of(activation)
    rows, labels = data()
    parameters, slopes_of = [p.data for p in network.parameters()], tg.value_and_grad(loss)

    def step() -> None:
        _, slopes = slopes_of(parameters, rows, labels)
        parameters[:] = [p - 0.01 * g for p, g in zip(parameters, slopes, strict=True)]

    return step


def recorded(activation: str) -> Callable[[], Any]:
    """The recording at first, then two compiled steps."""
    import tinygrad_edu as tg

    loss, network = loss_of(activation)
    rows, labels = data()
    parameters, update = [p.data for p in network.parameters()], tg.nn.SGD(0.01)

    @tg.compile
    def compiled(parameters: Any, rows: Any, labels: Any) -> Any:
        return update.rule(parameters, tg.gradients(loss(parameters, rows, labels), parameters))[0]

    def step() -> None:
        parameters[:] = compiled(parameters, rows, labels)

    return step


def trained(activation: str) -> Callable[[], Any]:
    import tinygrad_edu as tg

    _, network = loss_of(activation)
    rows, labels = data()
    update = tg.nn.SGD(0.01)
    return lambda: network.train(rows, labels, 1, batch_size=ROWS, loss=tg.nn.cross_entropy, update=update)


MEMORY: dict[str, Callable[[str], Callable[[], Any]]] = {
    "torch": with_torch,
    "value_and_grad": with_value_and_grad,
    "Network.train": trained,
    "backward": with_backward,
    "compiled, with recording": recorded,
}


def status(name: str) -> float:
    """Megabytes by /proc: VmRSS is what the process has now, VmHWM the most that it had."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) / 1024


if __name__ == "__main__":
    step = MEMORY[sys.argv[1]](sys.argv[2])
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the most is counted from now on
    for _ in range(3):
        step()
    print(status("VmHWM") - before)
