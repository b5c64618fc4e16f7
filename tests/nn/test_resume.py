"""Checkpoints: a resumed run has the bits of one that never stopped, and nothing but the last moment is ever lost."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import tinygrad_edu as tg

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(23, 4)), RNG.integers(0, 3, 23)


def make(kind="dense"):
    rng = np.random.default_rng(0)
    layer = {"dense": tg.Dense, "scalar": tg.Layer}[kind]
    return tg.Network([layer.create(4, 5, rng, tg.tanh, "scaled"), layer.create(5, 3, rng, tg.nn.identity, "scaled")])


def bits(network):
    return [np.asarray(p.data).tobytes() for p in network.parameters()]


@pytest.mark.parametrize("kind", ["dense", "scalar"])
@pytest.mark.parametrize(
    "update", [lambda: tg.nn.Adam(0.01), lambda: tg.nn.SGD(0.1, momentum=0.5)], ids=["adam", "momentum"]
)
def test_a_resumed_run_has_the_bits_of_one_that_never_stopped(kind, update, tmp_path):
    options = {
        "batch_size": 4,
        "shuffle": 5,
        "loss": tg.nn.cross_entropy,
        "metrics": "accuracy",
        "validation": (X[:6], Y[:6]),
    }
    whole = make(kind)
    history = whole.train(X, Y, 6, update=update(), **options)
    part = make(kind).train(X, Y, 2, update=update(), **options)
    part.checkpoint(tmp_path / "run.npz")
    resumed = tg.nn.resume(tmp_path / "run.npz", validation=(X[:6], Y[:6]))
    assert resumed.loss == history.loss[:2]
    resumed.train(X, Y, 4)
    assert bits(resumed.network) == bits(whole)
    assert (resumed.loss, resumed.metrics, resumed.validation) == (history.loss, history.metrics, history.validation)
    part.train(X, Y, 4)  # without a file, too
    assert bits(part.network) == bits(whole)


def own_loss(outputs, targets):
    return tg.nn.cross_entropy(outputs, targets)


def test_what_a_file_cannot_name_must_be_given_again(tmp_path):
    path = tmp_path / "run.npz"
    make().train(X, Y, 1, loss=own_loss, update=tg.nn.SGD(lambda step: 0.1)).checkpoint(path)
    with pytest.raises(ValueError, match="update of the user's own: give update= again"):
        tg.nn.resume(path)
    with pytest.raises(ValueError, match="loss of the user's own: give loss= again"):
        tg.nn.resume(path, update=tg.nn.SGD(lambda step: 0.1))
    resumed = tg.nn.resume(path, update=tg.nn.SGD(lambda step: 0.1), loss=own_loss)
    assert len(resumed.train(X, Y, 2)) == 3
    make().save(tmp_path / "network.npz")
    with pytest.raises(ValueError, match="is no tinygrad_edu run"):
        tg.nn.resume(tmp_path / "network.npz")


def test_a_loss_with_a_penalty_comes_back_and_so_does_a_number_of_numpy(tmp_path):
    def trained(epochs, then=lambda history: history):
        network = make()
        loss = tg.nn.cross_entropy + tg.nn.penalty(network, l2=0.1, l1=0.01)
        return then(network.train(X, Y, epochs, batch_size=np.int64(4), shuffle=np.int64(5), loss=loss))

    trained(3, lambda history: history.checkpoint(tmp_path / "run.npz"))
    resumed = tg.nn.resume(tmp_path / "run.npz").train(X, Y, 3)
    assert resumed.loss == trained(6).loss


def test_what_does_not_fit_the_run_is_refused(tmp_path):
    path = tmp_path / "run.npz"
    make().train(X, Y, 2, loss=tg.nn.cross_entropy, validation=(X, Y)).checkpoint(path)
    for name, given in (("update", 3), ("loss", "mse"), ("validation", 3)):
        with pytest.raises(TypeError, match=f"{name} must be"):
            tg.nn.resume(path, **{name: given})
    with pytest.raises(ValueError, match=r"update Adam.* doesn't fit the state of the run"):
        tg.nn.resume(path, update=tg.nn.Adam(0.1))
    with pytest.raises(ValueError, match=r"this run was validated so far: give validation="):
        tg.nn.resume(path).train(X, Y, 2, patience=1)
    assert len(tg.nn.resume(path, update=tg.nn.SGD(0.3)).train(X, Y, 2, validation=(X, Y)).validation) == 4


def test_a_run_that_was_read_has_no_rows_to_draw_yet(tmp_path):
    tg.Network.create([2, 2], seed=0).train([[0.0, 1.0]], [1], 3).checkpoint(tmp_path / "run.npz")
    resumed = tg.nn.resume(tmp_path / "run.npz")
    assert repr(resumed).startswith("History(3 epochs, mean squared error")
    with pytest.raises(ValueError, match="there are none yet: train first"):
        resumed.boundary()
    pytest.importorskip("matplotlib", reason='needs the extra "plot"')
    assert len(resumed.plot().axes) == 1


def test_a_metric_of_the_users_is_never_taken_for_one_of_the_library(tmp_path):
    def accuracy(outputs, targets):
        return 7.0

    make().train(X, Y, 1, metrics=[accuracy]).checkpoint(tmp_path / "run.npz")
    with pytest.raises(ValueError, match="metrics of the user's own: give metrics= again"):
        tg.nn.resume(tmp_path / "run.npz")
    assert tg.nn.resume(tmp_path / "run.npz", metrics=[accuracy]).train(X, Y, 1).accuracy == [7.0, 7.0]


@pytest.mark.parametrize("stopped_at", [1, 4, -1])
def test_an_interrupted_run_goes_on_waiting_where_it_was(stopped_at, tmp_path):
    path = tmp_path / "run.npz"
    options = {"loss": tg.nn.cross_entropy, "update": tg.nn.SGD(4.0), "batch_size": 4}

    def stop(epoch, history):
        history.checkpoint(path)
        if epoch == stopped_at:
            raise KeyboardInterrupt

    whole = make()
    history = whole.train(X, Y, 50, patience=4, **options)
    stopped_at %= len(history)
    assert stopped_at < len(history) < 50
    with pytest.raises(KeyboardInterrupt):
        make().train(X, Y, 50, patience=4, on_epoch=stop, **options)
    resumed = tg.nn.resume(path).train(X, Y, 50 - stopped_at - 1, patience=4)  # none, where patience was over already
    assert resumed.loss == history.loss
    assert bits(resumed.network) == bits(whole)


PROGRAM = """
import sys
sys.path.insert(0, {here!r})
from test_resume import X, Y, make, tg
options = dict(batch_size=4, shuffle=5, loss=tg.nn.cross_entropy, update=tg.nn.Adam(0.01))
make().train(X, Y, 100_000, on_epoch=lambda epoch, history: history.checkpoint({path!r}), **options)
"""


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX's")
def test_a_killed_run_loses_no_finished_epoch(tmp_path):
    path = tmp_path / "run.npz"
    program = PROGRAM.format(here=os.path.dirname(__file__), path=str(path))
    running = subprocess.Popen([sys.executable, "-c", program])
    while not path.exists() and running.poll() is None:
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    resumed = tg.nn.resume(path)
    n = len(resumed)
    assert n >= 1
    resumed.train(X, Y, 2)
    whole = make()
    whole.train(X, Y, n + 2, batch_size=4, shuffle=5, loss=tg.nn.cross_entropy, update=tg.nn.Adam(0.01))
    assert bits(resumed.network) == bits(whole)


INTERRUPTED = """
import sys, time
sys.path.insert(0, {here!r})
from test_resume import X, Y, bits, make, np, tg
network = make({kind!r})
print("ready", flush=True)
try:
    network.train(np.tile(X, (50, 1)), np.tile(Y, 50), 1_000_000, loss=tg.nn.cross_entropy, compiled={compiled!r})
except KeyboardInterrupt:
    print("stopped", len({{np.ndim(p.data) for p in network.parameters()}}) > 0)
    again = make({kind!r})
"""


@pytest.mark.skipif(os.name == "nt", reason="SIGINT to a child is POSIX's")
@pytest.mark.parametrize("compiled", [False, None])
def test_ctrl_c_returns_control(compiled):
    program = INTERRUPTED.format(here=os.path.dirname(__file__), kind="dense", compiled=compiled)
    running = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert running.stdout.readline() == "ready\n"
    time.sleep(0.3)
    running.send_signal(signal.SIGINT)
    assert running.communicate(timeout=60)[0] == "stopped True\n"
