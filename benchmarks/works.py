"""The works that are timed. Peers (the extra `peers`) join in where they are installed."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from functools import partial
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any
from unittest import mock

import numpy as np

import tinygrad_edu as tg
from benchmarks import peers
from benchmarks.measure import Row, figure, ratios
from benchmarks.memory import MEMORY
from tinygrad_edu.article import DATASET, TARGETS, network_from, recovered_start
from tinygrad_edu.article.by_hand import HandDenseNetwork, HandNetwork

EPOCHS = 40
ROWS, GOALS = np.array(DATASET), np.array(TARGETS)


def with_peers(sides: dict[str, Callable[[], object]], others: Mapping[str, Any]) -> dict[str, Any]:
    """The sides, and those peers that are installed and run here, each made ready by its function."""
    found = dict(sides)
    for name, make in others.items():
        if find_spec(name.split()[0].partition(".")[0].lower()):
            try:
                found[name] = make()
                found[name]()
            except Exception as error:  # torch.compile needs a C++ compiler, for one
                del found[name]
                print(f"{name} doesn't run here: {error}", file=sys.stderr)
    return found


def article_scalar(rounds: int) -> list[Row]:
    """The article's run, of a millisecond or two: on its own, as a program runs it, most goes by until code and data
    are in the processor's caches, so that it is timed ten times in a row too.
    """
    by_hand, network = HandNetwork(recovered_start()), network_from(recovered_start())
    update = tg.nn.ArticleUpdate(0.5)

    def hand() -> None:
        for _ in range(EPOCHS):
            by_hand.train_epoch(DATASET, TARGETS)

    sides = {"hand-written": hand, **as_called(network, "scalar", (DATASET, TARGETS, EPOCHS), update=update)}
    reach = {"as called": "<= 0.35", "as called, a new network": "<= 1.6", "a graph for every row": "<= 6.3"}
    sides = with_peers(sides, {"micrograd": lambda: peers.micrograd_article(EPOCHS)})
    once = ratios("article, 40 epochs, scalar, once", rounds, sides, reach)
    few = {name: repeat(run, 10) for name, run in sides.items() if name.startswith(("hand", "as called"))}
    return once + ratios("the same 10 times in a row", rounds, few, reach)


def as_called(network: tg.Network, kind: Any, data: tuple[Any, ...], **options: Any) -> dict[str, Callable[[], object]]:
    """`Network.train` in its ways: of a network that was trained before, of a new one, and with graphs."""
    return {
        "as called": lambda: network.train(*data, **options),
        "as called, a new network": lambda: network_from(recovered_start(), kind).train(*data, **options),
        "a graph for every row": lambda: network.train(*data, **options, compiled=False),
    }


def article_compiled(rounds: int) -> list[Row]:
    """Trainers, which record at their first run; and what recording costs, against one eager row."""
    by_hand, network = HandNetwork(recovered_start()), network_from(recovered_start())
    update, epochs = tg.nn.ArticleUpdate(0.5), 4000

    def hand() -> None:
        for _ in range(epochs):
            by_hand.train_epoch(DATASET, TARGETS)

    def trained(backend: Any) -> Callable[[], object]:
        trainer = network_from(recovered_start()).compile(backend)
        return lambda: trainer.train(DATASET, TARGETS, epochs, update=update)

    compiled: dict[str, Callable[[], object]] = {"hand-written": hand, "compiled": trained("python")}
    compiled = with_peers(compiled, {"numba": lambda: trained("numba")})
    reach = {"compiled": "<= 0.13", "numba": "<= 0.02"}
    found = ratios("article, 4,000 epochs, scalar", min(rounds, 9), compiled, reach)
    sides = {
        "one eager row": repeat(lambda: network.train(DATASET[:1], TARGETS[:1], 1, update=update)),
        "recording and printing": repeat(lambda: network.printed_epoch(update, metrics=update.metrics)),
    }
    return found + ratios("the article's step, 20 times", rounds, sides, "<= 60")


def wide_compiled(rounds: int) -> list[Row]:
    rng = np.random.default_rng(0)
    rows, goals = rng.random((10, 16)).tolist(), np.eye(4)[rng.integers(0, 4, 10)].tolist()
    eager, compiled = (tg.Network.create([16, 16, 16, 4], seed=0) for _ in range(2))
    trainer = compiled.compile()
    sides = {
        "eager": lambda: eager.train(rows, goals, 100, compiled=False),
        "compiled": lambda: trainer.train(rows, goals, 100),
        "compiled, recorded each time": lambda: compiled.train(rows, goals, 100, compiled=True),
    }
    return ratios("16-16-16-4, 100 epochs, scalar", min(rounds, 7), sides, "<= 0.1")


def article_dense(rounds: int) -> list[Row]:
    by_hand, network = HandDenseNetwork(recovered_start()), network_from(recovered_start(), "dense")
    trainer = network_from(recovered_start(), "dense").compile()

    def hand(epochs: int) -> None:
        for _ in range(epochs):
            by_hand.train_epoch(ROWS, GOALS)

    sides: dict[str, Callable[[], object]] = {
        "hand-written": lambda: hand(EPOCHS),
        **as_called(network, "dense", (ROWS, GOALS, EPOCHS)),
    }
    others = {
        "MyGrad": lambda: peers.mygrad_article(EPOCHS),
        "autograd": lambda: peers.autograd_article(EPOCHS),
        "torch": lambda: peers.torch_article(EPOCHS),
        "torch.compile": lambda: peers.torch_article(EPOCHS, compiled=True),
        "JAX jit": lambda: peers.jax_article(EPOCHS),
    }
    reach = {"as called": "<= 0.70", "as called, a new network": "<= 1.0", "a graph for every row": "<= 2.7"}
    found = ratios("article, 40 epochs, dense", rounds, with_peers(sides, others), reach)
    sides = {"hand-written": lambda: hand(1000), "compiled": lambda: trainer.train(ROWS, GOALS, 1000)}
    return found + ratios("article, 1,000 epochs, dense", min(rounds, 9), sides, "<= 0.6")


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
    def step(network: tg.Network, batch: tg.Value, targets: tg.Value) -> list[Any]:
        loss = tg.nn.half_squared_error(network.feed_forward(batch), targets)
        parameters = network.parameters()
        return update.rule(parameters, tg.gradients(loss, parameters))[0]

    trained = tg.Network([tg.Dense(*parameters[:2]), tg.Dense(*parameters[2:])])

    def compiled() -> None:
        for p, new in zip(trained.parameters(), step(trained, batch, targets), strict=True):
            p.data = new

    sides = {"hand-written": repeat(hand), "tinygrad_edu": repeat(ours), "compiled": repeat(compiled)}
    others = {
        "MyGrad": lambda: repeat(peers.mygrad_step(parameters, batch, targets, rate)),
        "autograd": lambda: repeat(peers.autograd_step(parameters, batch, targets, rate)),
        "torch": lambda: repeat(peers.torch_step(parameters, batch, targets, rate)),
        "torch.compile": lambda: repeat(peers.torch_step(parameters, batch, targets, rate, compiled=True)),
        "JAX jit": lambda: repeat(peers.jax_step(parameters, batch, targets, rate)),
    }
    reach = {"tinygrad_edu": "<= 1.15", "compiled": "<= 0.95"}
    found = ratios("784-128-10, batch 128, 20 steps", rounds, with_peers(sides, others), reach)
    return [*found, *memory(ours, compiled, kept=step.source.count("np.empty((128, 128))") * 128 * 128 * 8)]


def memory(eager: Callable[[], object], compiled: Callable[[], object], kept: int) -> list[Row]:
    """The peak of one step; for the compiled one with the `kept` bytes of its buffers."""
    work, peaks = "784-128-10, memory of a step", []
    for run in (eager, compiled):
        run()
        tracemalloc.start()
        run()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    ratio = f"{(peaks[1] + kept) / peaks[0]:.2f}"
    return [Row(work, "tinygrad_edu", f"1 ({peaks[0] / 1e6:.3g} MB)"), Row(work, "compiled", ratio, "<= 0.6")]


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
    """A process each, with bytecode kept, as where it is installed: not where Python is told to write none."""
    sides: dict[str, Callable[[], object]] = {}
    with TemporaryDirectory() as folder:
        kept = {name: setting for name, setting in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        for statement in ("import numpy", "import tinygrad_edu"):
            run = partial(subprocess.run, env={**kept, "PYTHONPYCACHEPREFIX": folder}, check=True)
            sides[statement] = partial(run, [sys.executable, "-c", statement])
        return ratios("importing, a process each", rounds, sides, "<= 1.15")


def digits(rounds: int) -> list[Row]:
    """Three epochs of the digits, and predicting them all, against torch."""
    if not (find_spec("sklearn") and find_spec("torch")):
        return []
    from sklearn.datasets import load_digits

    rows, labels = load_digits(return_X_y=True)
    rows = rows / 16.0
    network = tg.Network.create([64, 64, 10], kind="dense", activation=tg.relu, start="scaled", seed=0)
    step, predict = peers.torch_digits(rows, labels)

    def ours(compiled: bool | None) -> Callable[[], object]:
        options = {"batch_size": 32, "loss": tg.nn.cross_entropy, "compiled": compiled}
        return lambda: network.train(rows, labels, 3, update=tg.nn.Adam(0.001), **options)

    sides = {"torch": repeat(step, 3), "as called": ours(None), "a graph for every batch": ours(False)}
    found = ratios("digits, 64-64-10, 3 epochs in batches of 32", rounds, sides, {"as called": "<= 0.5"})
    sides = {"torch": predict, "tinygrad_edu": lambda: network.predict(rows)}
    return found + ratios("digits, predicting 1,797", rounds, sides, "<= 1.0")


def convolutions(rounds: int) -> list[Row]:
    """Steps of the network in examples/digits_conv.py, of random images, against torch."""
    rng = np.random.default_rng(0)
    images, labels = rng.random((320, 1, 8, 8)), rng.integers(0, 10, 320)
    layers = [
        tg.nn.Conv2d.create(1, 8, 3, rng, padding=1),
        tg.nn.Conv2d.create(8, 16, 3, rng, padding=1),
        lambda images: tg.max_pool2d(images, 2),
        lambda images: images.reshape((-1, 256)),
        tg.nn.Dropout(0.2, seed=0),
        tg.Dense.create(256, 10, rng, activation=tg.nn.identity, start="scaled"),
    ]
    reach = {"eager": "<= 1.6", "compiled": "<= 1.3"}
    return steps("convolutions, 200 steps", rounds, layers, peers.torch_convolutions, images, labels, reach)


def transformer(rounds: int) -> list[Row]:
    """Steps of the network in examples/tiny_gpt.py, of random letters, against torch."""
    example = Path(__file__).parent.parent / "examples" / "tiny_gpt.py"
    with mock.patch.object(sys, "argv", [str(example), "--small"]), redirect_stdout(StringIO()):
        found = runpy.run_path(str(example))
    n = len(found["letters"])
    rows, following = np.random.default_rng(0).integers(0, n, (2, 320, found["LENGTH"]))
    layers, reach = found["network"].layers, {"eager": "<= 1.5", "compiled": "<= 1.0"}
    return steps("tiny GPT, 200 steps", rounds, layers, lambda: peers.torch_gpt(n), rows, following, reach)


def steps(
    work: str, rounds: int, layers: Any, model: Callable[[], Any], rows: Any, labels: Any, reach: Mapping[str, str]
) -> list[Row]:
    """20 epochs of 10 batches of 32 by Adam, against torch, where that is installed; recording included."""
    if not find_spec("torch"):
        return []
    theirs = peers.torch_epoch(model(), rows, labels)

    def ours(compiled: bool) -> Callable[[], object]:
        network, options = tg.Network(layers), {"batch_size": 32, "loss": tg.nn.cross_entropy, "compiled": compiled}
        return lambda: network.train(rows, labels, 20, update=tg.nn.Adam(0.001), **options)

    sides = {"torch": repeat(theirs, 20), "eager": ours(False), "compiled": ours(True)}
    return ratios(work, min(rounds, 7), sides, reach)


def resident(rounds: int) -> list[Row]:
    """Memory for steps of a wide network, in processes of their own, against torch; the least of three."""
    if not find_spec("torch") or not Path("/proc/self/clear_refs").exists():
        return []
    reach = {"value_and_grad": "<= 1.1", "Network.train": "<= 1.1"}
    found = []
    for activation in ("tanh", "relu", "sigmoid"):
        work, least = f"256 wide, batch 4,096, {activation}, memory", {}
        for who in MEMORY:
            command = [sys.executable, "-m", "benchmarks.memory", who, activation]
            runs = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(3)]
            least[who] = min(float(run.stdout) for run in runs)
        unit = least.pop("torch")
        found.append(Row(work, "torch", f"1 ({unit:.0f} MB)"))
        found += [Row(work, who, figure(mb / unit), reach.get(who, "")) for who, mb in least.items()]
    return found


def sharded(rounds: int) -> list[Row]:
    """A batch of 4,096 rows in 16 shards, by this process and by two workers."""
    rng = np.random.default_rng(0)
    rows, labels = rng.normal(size=(4096, 64)), rng.integers(0, 10, 4096)
    network = tg.Network.create([64, 1024, 10], kind="dense", activation=tg.relu, start="scaled", seed=0)

    def epochs(executor: Any) -> Callable[[], object]:
        options = {"batch_size": 4096, "loss": tg.nn.cross_entropy, "update": tg.nn.SGD(0.01), "executor": executor}
        return lambda: network.train(rows, labels, 5, **options)

    with ProcessPoolExecutor(1) as one, ProcessPoolExecutor(2) as two:
        sides = {"this process": epochs(None), "1 worker": epochs(one), "2 workers": epochs(two)}
        return ratios("64-1024-10, batch 4,096, 5 steps", min(rounds, 7), sides, {"2 workers": "0.5 and sending"})


WORKS = (
    article_scalar,
    article_compiled,
    wide_compiled,
    article_dense,
    large_step,
    digits,
    convolutions,
    transformer,
    resident,
    sharded,
    transforms,
    chain,
    importing,
)
