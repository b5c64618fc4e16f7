"""Large batches in shards: the same bits by one process or many, and errors that name the shard."""

from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu.nn import shards

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(1400, 6)), RNG.integers(0, 3, 1400)


def make():
    rng = np.random.default_rng(0)
    return tg.Network(
        [
            tg.Dense.create(6, 8, rng, tg.tanh, "scaled"),
            tg.nn.Dropout(0.2, 1),
            tg.Dense.create(8, 3, rng, tg.nn.identity, "scaled"),
        ]
    )


def bits(network):
    return [np.asarray(p.data).tobytes() for p in network.parameters()]


def trained(**options):
    network = make()
    settings = {"batch_size": 700, "loss": tg.nn.cross_entropy, "metrics": "accuracy", "shuffle": 1, **options}
    history = network.train(X, Y, 2, update=tg.nn.Adam(0.01), **settings)
    return bits(network), history.loss, history.metrics


class AtOnce(Executor):
    """Runs what is submitted at once; `fails` says which submissions fail, by their number."""

    def __init__(self, fails=(), error=RuntimeError):
        self.fails, self.error, self.count = set(fails), error, 0

    def submit(self, function, /, *args):
        future, self.count = Future(), self.count + 1
        if self.count - 1 in self.fails:
            future.set_exception(self.error("lost"))
        else:
            future.set_result(function(*args))
        return future


@pytest.mark.parametrize("loss", [tg.nn.cross_entropy, tg.nn.half_squared_error], ids=["mean", "sum"])
def test_the_bits_are_the_same_whoever_computes_them(loss):
    expected = trained(compiled=False, loss=loss)
    assert trained(loss=loss) == trained(compiled=True, loss=loss) == expected
    assert trained(executor=AtOnce(), loss=loss) == expected
    with ThreadPoolExecutor(2) as threads:
        assert trained(executor=threads, loss=loss) == expected


def test_processes_give_the_same_bits():
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes:  # JAX, say, doesn't take a fork
        assert trained(executor=processes) == trained()


def test_several_shards_at_a_time_give_the_same_bits():
    options = {"batch_size": 1400, "loss": tg.nn.cross_entropy}
    one, two = make(), make()
    with ThreadPoolExecutor(1) as worker:  # 6 shards, in blocks of 2
        one.train(X, Y, 1, **options, executor=worker)
    two.train(X, Y, 1, **options)
    assert bits(one) == bits(two)


def test_a_sharded_gradient_is_that_of_the_batch():
    network, by_hand = (tg.Network([make().layers[0], make().layers[2]]) for _ in range(2))
    network.train(X, Y, 1, batch_size=1400, loss=tg.nn.cross_entropy, update=tg.nn.SGD(0.5))
    tg.nn.cross_entropy(by_hand(X), Y).backward()
    for p, q in zip(network.parameters(), by_hand.parameters(), strict=True):
        np.testing.assert_allclose(p.data, q.data - 0.5 * q.grad, rtol=1e-12, atol=1e-15)


def test_a_shard_that_fails_is_tried_once_more():
    assert trained(executor=AtOnce(fails={1, 4})) == trained()


def test_a_shard_that_fails_twice_is_named_with_weights_as_before_its_batch():
    network = make()
    with pytest.raises(
        RuntimeError, match=r"shard 1 of batch 0: it failed twice \(lost\); the weights are those from before"
    ):
        network.train(X, Y, 1, batch_size=700, loss=tg.nn.cross_entropy, executor=AtOnce(fails={1, 3}))
    assert bits(network) == bits(make())


def test_a_worker_that_dies_is_named():
    network, broken = make(), AtOnce(fails={0, 1, 2, 3}, error=BrokenProcessPool)
    with pytest.raises(RuntimeError, match="shard 0 of batch 0: its worker died"):
        network.train(X, Y, 1, batch_size=700, loss=tg.nn.cross_entropy, executor=broken)
    assert bits(network) == bits(make())


@pytest.mark.parametrize(
    "spoil",
    [
        lambda found: None,
        lambda found: found[:-1],
        lambda found: [*found[:-1], 1.0],
        lambda found: [*found[:-1], found[-1].astype(np.float32)],
        lambda found: [found[-1], *found[1:]],
    ],
    ids=["nothing", "too few", "a number", "single precision", "an array for a sum"],
)
def test_a_result_of_another_form_is_a_failure(spoil):
    class Spoils(AtOnce):
        def submit(self, function, /, *args):
            return super().submit(lambda *args: spoil(function(*args)), *args)

    network = make()
    with pytest.raises(RuntimeError, match=r"shard 0 of batch 0: it failed twice \(its result is no list of sums and"):
        network.train(X, Y, 1, batch_size=700, loss=tg.nn.cross_entropy, executor=Spoils())
    assert bits(network) == bits(make())


def test_a_dropout_that_cannot_be_sent_is_refused_before_the_first_batch():
    class Local(tg.nn.Dropout):
        by_rows = True

    network = make()
    network.layers[1] = Local(0.2, 1)
    with pytest.raises(TypeError, match="Local can't be sent to a worker"):
        network.train(X, Y, 1, batch_size=700, loss=tg.nn.cross_entropy, executor=AtOnce())
    network.layers[1] = tg.nn.Dropout(0.2, 1)
    network.layers[1].note = lambda: "kept here"  # what no worker needs stays
    history = network.train(X, Y, 1, batch_size=700, loss=tg.nn.cross_entropy, executor=AtOnce())
    assert len(history) == 1


def test_what_workers_cannot_do_is_refused_before_the_first_batch():
    own = tg.operation(lambda x: x * 2.0, lambda g, out, x: (g * 2.0,), name="double")
    own.by_rows = True
    network = tg.Network([tg.Dense(np.ones((3, 6)), np.zeros(3), tg.nn.identity), own])
    options = {"batch_size": 700, "loss": tg.nn.cross_entropy, "executor": AtOnce()}
    with pytest.raises(TypeError, match="double can't be sent to a worker"):
        network.train(X, Y, 1, **options)
    with pytest.raises(ValueError, match="over_rows"):
        make().train(X, Y, 1, **{**options, "loss": lambda o, t: tg.nn.cross_entropy(o, t)})
    with pytest.raises(ValueError, match="batches of more than 256 rows"):
        make().train(X, Y, 1, **{**options, "batch_size": 32})
    with pytest.raises(ValueError, match="compiled=False can't be used"):
        make().train(X, Y, 1, compiled=False, **options)


def test_dask_gives_the_same_bits():
    distributed = pytest.importorskip("distributed", reason='needs the extra "distributed"')
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        assert trained(executor=client.get_executor()) == trained()


@pytest.mark.parametrize("n", range(1, 20))
@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_blocks_that_are_added_up_already_give_the_same_bits(n, size):
    rng = np.random.default_rng(n)
    parts = [[float(rng.normal()), rng.normal(size=3)] for _ in range(n)]
    whole = shards.added_up(parts)
    by_blocks = shards.added_up([shards.added_up(parts[i : i + size]) for i in range(0, n, size)])
    assert whole[0] == by_blocks[0]
    assert whole[1].tobytes() == by_blocks[1].tobytes()


def test_a_worker_gets_several_shards_at_a_time():
    class Pool:
        def __init__(self, workers):
            self._max_workers = workers

    def sizes(n, workers):
        return [len(block) for block in shards.blocks(list(range(n)), Pool(workers))]

    assert sizes(16, 2) == [4, 4, 4, 4]
    assert sizes(17, 2) == [4, 4, 4, 4, 1]
    assert sizes(16, 16) == sizes(16, None) == [1] * 16
