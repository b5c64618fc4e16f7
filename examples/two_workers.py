"""Large batches on two processes: the same bits as on one."""

import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from time import perf_counter

import numpy as np

import tinygrad_edu as tg


def trained(executor=None, n=4096, epochs=3):
    """A network's parameters after some epochs, and how long they took."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(2 * n, 64))
    labels = np.argmax(rows @ rng.normal(size=(64, 10)), axis=1)
    network = tg.Network.create([64, 256, 10], kind="dense", activation=tg.relu, start="scaled", seed=0)
    start = perf_counter()
    network.train(
        rows, labels, epochs, batch_size=n, loss=tg.nn.cross_entropy, update=tg.nn.Adam(0.01), executor=executor
    )
    return [p.data for p in network.parameters()], perf_counter() - start


if __name__ == "__main__":
    sizes = {"n": 512, "epochs": 2} if "--small" in sys.argv else {"n": 4096, "epochs": 5}
    alone, seconds = trained(**sizes)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        together, by_two = trained(executor, **sizes)
    print(f"the same bits: {all(map(np.array_equal, alone, together))}")
    print(f"one process {seconds:.2f} s, two workers {by_two:.2f} s")
