"""The works that are timed. Peers (the extra `peers`) join in where they are installed."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from importlib.util import find_spec
from time import perf_counter
from typing import Any

import numpy as np

import tinygrad_edu as tg
from benchmarks import peers
from benchmarks.measure import Row, ratios
from tinygrad_edu.article import DATASET, TARGETS, network_from, recovered_start
from tinygrad_edu.article.by_hand import HandDenseNetwork, HandNetwork

EPOCHS = 40
ROWS, GOALS = np.array(DATASET), np.array(TARGETS)


def with_peers(sides: dict[str, Callable[[], object]], **others: Callable[[], Callable[[], object]]) -> dict[str, Any]:
    """The sides, and those peers that are installed, each made ready by its function."""
    return sides | {name: make() for name, make in others.items() if find_spec(name)}


def article_scalar(rounds: int) -> list[Row]:
    by_hand, network = HandNetwork(recovered_start()), network_from(recovered_start())
    update = tg.nn.ArticleUpdate(0.5)

    def hand() -> None:
        for _ in range(EPOCHS):
            by_hand.train_epoch(DATASET, TARGETS)

    sides = {
        "hand-written": hand,
        "tinygrad_edu": lambda: network.train(DATASET, TARGETS, EPOCHS, update=update),
        "tinygrad_edu, compiled": lambda: network.train(DATASET, TARGETS, EPOCHS, update=update, compiled=True),
    }
    sides = with_peers(sides, micrograd=lambda: peers.micrograd_article(EPOCHS))
    return ratios("article, 40 epochs, scalar", rounds, sides, "<= 3.0")


def article_compiled(rounds: int) -> list[Row]:
    """A long run, in which recording and printing the epoch is a small part; and that part against one eager row."""
    by_hand, network = HandNetwork(recovered_start()), network_from(recovered_start())
    update, epochs = tg.nn.ArticleUpdate(0.5), 1000

    def hand() -> None:
        for _ in range(epochs):
            by_hand.train_epoch(DATASET, TARGETS)

    def compiled() -> None:
        network.train(DATASET, TARGETS, epochs, update=update, compiled=True)

    found = ratios(
        "article, 1,000 epochs, scalar", min(rounds, 7), {"hand-written": hand, "compiled": compiled}, "<= 0.13"
    )
    sides = {
        "one eager row": repeat(lambda: network.train(DATASET[:1], TARGETS[:1], 1, update=update)),
        "recording and printing": repeat(lambda: network.printed_epoch(update)),
    }
    return found + ratios("the article's step, 20 times", rounds, sides, "<= 60")


def wide_compiled(rounds: int) -> list[Row]:
    rng = np.random.default_rng(0)
    rows, goals = rng.random((10, 16)).tolist(), np.eye(4)[rng.integers(0, 4, 10)].tolist()
    eager, compiled = (tg.Network.create([16, 16, 16, 4], seed=0) for _ in range(2))
    sides = {
        "eager": lambda: eager.train(rows, goals, 200),
        "compiled": lambda: compiled.train(rows, goals, 200, compiled=True),
    }
    return ratios("16-16-16-4, 200 epochs, scalar", min(rounds, 7), sides, "<= 0.1")


def article_dense(rounds: int) -> list[Row]:
    by_hand, network = HandDenseNetwork(recovered_start()), network_from(recovered_start(), "dense")

    def hand() -> None:
        for _ in range(EPOCHS):
            by_hand.train_epoch(ROWS, GOALS)

    sides = {
        "hand-written": hand,
        "tinygrad_edu": lambda: network.train(ROWS, GOALS, EPOCHS),
        "tinygrad_edu, compiled": lambda: network.train(ROWS, GOALS, EPOCHS, compiled=True),
    }
    sides = with_peers(
        sides,
        mygrad=lambda: peers.mygrad_article(EPOCHS),
        autograd=lambda: peers.autograd_article(EPOCHS),
    )
    return ratios("article, 40 epochs, dense", rounds, sides, "<= 1.5")


def large_step(rounds: int) -> list[Row]:
    rng = np.random.default_rng(0)
    batch, targets = rng.random((128, 784)), np.eye(10)[rng.integers(0, 10, 128)]
    parameters = [rng.normal(size=s) * 0.05 for s in ((128, 784), (128,), (10, 128), (10,))]
    w1, b1, w2, b2 = (p.copy() for p in parameters)
    rate = 0.01

    def hand() -> None:
        nonlocal w1, b1, w2, b2
        hidden = 1 / (1 + np.exp(-(batch @ w1.T + b1)))
        output = 1 / (1 + np.exp(-(hidden @ w2.T + b2)))
        output_deltas = (output - targets) * (output * (1.0 - output))
        hidden_deltas = output_deltas @ w2 * (hidden * (1.0 - hidden))
        w2 -= output_deltas.T @ hidden * rate
        b2 -= output_deltas.sum(axis=0) * rate
        w1 -= hidden_deltas.T @ batch * rate
        b1 -= hidden_deltas.sum(axis=0) * rate

    network = tg.Network([tg.Dense(*parameters[:2]), tg.Dense(*parameters[2:])])
    update = tg.nn.SGD(rate)

    def ours() -> None:
        network.zero_grad()
        tg.nn.half_squared_error(network.feed_forward(batch), targets).backward()
        update(network.parameters())

    @tg.compile
    def gradients(network: tg.Network, batch: tg.Value, targets: tg.Value) -> list[tg.Value]:
        loss = tg.nn.half_squared_error(network.feed_forward(batch), targets)
        return tg.gradients(loss, network.parameters())

    def compiled() -> None:
        for p, g in zip(network.parameters(), gradients(network, batch, targets), strict=True):
            p.grad = g
        update(network.parameters())

    sides = with_peers(
        {"hand-written": repeat(hand), "tinygrad_edu": repeat(ours), "tinygrad_edu, compiled": repeat(compiled)},
        mygrad=lambda: repeat(peers.mygrad_step(parameters, batch, targets, rate)),
        autograd=lambda: repeat(peers.autograd_step(parameters, batch, targets, rate)),
    )
    return ratios("784-128-10, batch 128, 20 steps", rounds, sides, "<= 1.05")


def repeat(step: Callable[[], object], times: int = 20) -> Callable[[], None]:
    def run() -> None:
        for _ in range(times):
            step()

    return run


def transforms(rounds: int) -> list[Row]:
    """Gradients as functions, against autograd, where it is installed."""
    if not find_spec("autograd"):
        return []
    rng = np.random.default_rng(0)
    parameters = [rng.normal(size=s) for s in ((3, 2), (3,), (2, 3), (2,))]
    row, goal, matrix, x = ROWS[0], GOALS[0], rng.normal(size=(50, 80)), rng.normal(size=80)
    weights = rng.normal(size=30)

    def article_loss(parameters: Any) -> Any:
        w1, b1, w2, b2 = parameters
        return tg.nn.half_squared_error(tg.sigmoid(tg.affine(w2, tg.sigmoid(tg.affine(w1, row, b1)), b2)), goal)

    def network_loss(weights: Any) -> Any:
        hidden = tg.tanh(tg.affine(weights[:16].reshape(8, 2), row, weights[16:24]))
        return (tg.tanh(hidden[:6] * weights[24:]) ** 2).sum()

    def many(f: Callable[..., Any], *args: Any) -> Callable[[], None]:
        return repeat(lambda: f(*args), 20)

    theirs = peers.autograd_transforms(row, goal, matrix)
    found: list[Row] = []
    for work, name, f, args, reach in (
        ("grad of the article's loss", "grad", tg.grad(article_loss), parameters, "<= 0.2"),
        ("jacobian, 50 results, 80 inputs", "jacobian", tg.jacobian(lambda x: tg.tanh(matrix @ x)), x, "<= 0.5"),
        ("hessian, 30 parameters", "hessian", tg.hessian(network_loss), weights, "<= 0.5"),
    ):
        sides = {"autograd": many(theirs[name], args), "tinygrad_edu": many(f, args)}
        found += ratios(work, rounds, sides, reach)
    return found


def chain(rounds: int) -> list[Row]:
    n, work = 1_000_000, "chain of 1,000,000 nodes"
    tracemalloc.start()
    end = build_chain(n)
    size = tracemalloc.get_traced_memory()[0] / n
    tracemalloc.stop()
    del end
    found = []
    for _ in range(min(rounds, 7)):
        start = perf_counter()
        end = build_chain(n)
        built = perf_counter() - start
        start = perf_counter()
        end.backward()
        found.append((perf_counter() - start) / built)
        del end
    return [
        Row(work, "bytes a node after building", f"{size:.0f}", "<= 300"),
        Row(work, "backward against building", f"{sorted(found)[len(found) // 2]:.2f}", "<= 1.0"),
    ]


def build_chain(n: int) -> tg.Value:
    value = tg.Value(1.0)
    for _ in range(n):
        value = value * 1.0000001
    return value


def importing(rounds: int) -> list[Row]:
    import subprocess
    import sys

    def start(statement: str) -> Callable[[], object]:
        return lambda: subprocess.run([sys.executable, "-c", statement], check=True)

    sides = {"import numpy": start("import numpy"), "import tinygrad_edu": start("import tinygrad_edu")}
    return ratios("importing, a process each", rounds, sides, "<= 1.2")


WORKS = (article_scalar, article_compiled, wide_compiled, article_dense, large_step, transforms, chain, importing)
