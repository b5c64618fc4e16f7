"""Networks in files: what comes back, what is refused, and that there is always a whole file."""

import copy
import json
import os
import pickle
import stat
import zipfile

import numpy as np
import pytest

import tinygrad_edu as tg


def bits(network):
    return [np.asarray(p.data).tobytes() for p in network.parameters()]


def everything():
    rng = np.random.default_rng(0)
    inner = tg.Network([tg.nn.Conv2d.create(1, 2, 3, rng, tg.tanh, stride=2, padding=1), tg.ravel])
    return tg.Network(
        [inner, tg.Dense.create(8, 3, rng, tg.relu), tg.nn.Dropout(0.25, 3), tg.Layer.create(3, 2, rng)], 0.25
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: tg.Network.create([2, 3, 2], seed=0),
        lambda: tg.Network.create([2, 3, 1], kind="dense", seed=0, activation=tg.relu, start="scaled"),
        lambda: tg.Network(
            [
                tg.nn.Embedding.create(5, 2, np.random.default_rng(0)),
                tg.Dense(np.ones((2, 2), np.float32), np.ones(2, np.float32), tg.softmax),
            ]
        ),
        everything,
    ],
    ids=["scalar", "dense", "float32", "everything"],
)
def test_a_saved_network_comes_back_to_the_bit(make, tmp_path):
    network = make()
    network.save(tmp_path / "a.npz")
    loaded = tg.Network.load(tmp_path / "a.npz")
    assert bits(loaded) == bits(network)
    assert [p.dtype for p in loaded.parameters()] == [p.dtype for p in network.parameters()]
    assert str(loaded) == str(network)
    assert [name for name, _ in loaded.named_parameters()] == [name for name, _ in network.named_parameters()]
    assert loaded.learning_rate == network.learning_rate


def test_the_file_is_plain_npz_without_pickle(tmp_path):
    tg.Network.create([2, 2], seed=0).save(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as found:
        assert '"format": "tinygrad_edu network"' in str(found["structure"])
        assert all(found[name].dtype.kind in "fU" for name in found.files)


def test_what_a_file_cannot_name_is_refused_with_its_place(tmp_path):
    network = tg.Network([tg.Dense([[1.0]], [0.0]), tg.Dense([[1.0]], [0.0], activation=lambda z: z)])
    with pytest.raises(TypeError, match=r"network\.layers\[1\]: <lambda> isn't a function or layer of the library"):
        network.save(tmp_path / "a.npz")
    assert list(tmp_path.iterdir()) == []


def damaged(path, how):
    content = path.read_bytes()
    if how == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "changed":
        with np.load(path) as found:
            middle = content.index(found["array_0"].tobytes()) + 3
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :])
    elif how == "text":
        path.write_text("hello")
    elif how == "another's":
        np.savez(path, x=np.ones(3))
    elif how == "pickle":
        np.save(path.with_suffix(".npy"), np.array([{}], dtype=object), allow_pickle=True)
        os.replace(path.with_suffix(".npy"), path)
    else:
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(path.with_suffix(".new"), "w") as new:
            for name in old.namelist():
                if name != "array_1.npy":
                    new.writestr(name, old.read(name))
        os.replace(path.with_suffix(".new"), path)


@pytest.mark.parametrize("how", ["cut", "empty", "changed", "text", "another's", "pickle", "array missing"])
def test_a_broken_or_foreign_file_is_refused(how, tmp_path):
    path = tmp_path / "a.npz"
    tg.Network.create([2, 2], seed=0).save(path)
    damaged(path, how)
    with pytest.raises(ValueError, match=r"a\.npz can't be read as a tinygrad_edu network"):
        tg.Network.load(path)


def test_a_file_of_another_version_or_none_is_named(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    with pytest.raises(FileNotFoundError, match="there is no file"):
        tg.Network.load(path)
    monkeypatch.setattr("tinygrad_edu.nn.saving.VERSION", 99)
    tg.Network.create([2, 2], seed=0).save(path)
    monkeypatch.undo()
    with pytest.raises(ValueError, match="has version 99; this library reads version 1"):
        tg.Network.load(path)


def test_an_error_while_writing_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    network = tg.Network.create([2, 2], seed=0)
    network.save(path)
    before = path.read_bytes()

    def full(descriptor):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        tg.Network.create([2, 2], seed=1).save(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.npz"]


def test_what_cannot_be_written_or_read_is_named(tmp_path):
    network = tg.Network.create([2, 2], seed=0)
    with pytest.raises(IsADirectoryError, match=r"path must be the name of a file, and '.*' is a directory"):
        network.save(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"there is no directory '.*nowhere' to write 'a.npz' in"):
        network.save(tmp_path / "nowhere" / "a.npz")
    for act in (network.save, tg.Network.load):
        with pytest.raises(TypeError, match="path must be the name of a file, got 3"):
            act(3)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(OSError, match="is no file that can be replaced"):
            network.save(tmp_path / "pipe")
        assert [entry.name for entry in tmp_path.iterdir()] == ["pipe"]

    class Louder(tg.Network):
        def feed_forward(self, x, within=None):
            return [2.0 * y for y in super().feed_forward(x, within)]

    with pytest.raises(TypeError, match="Louder is a class of your own, which a file can't name"):
        Louder(network.layers).save(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("steps", "x"),
        ("state", []),
        ("order", 3),
        ("best", [1.0]),
        ("batch_size", 0),
        ("loss", "Loss"),
        ("loss_figures", {}),
        ("update", {"kind": "SGD", "rate": 0.1, "rule": 3}),
        ("update", {"kind": "resume", "rate": 0.1}),
    ],
)
def test_a_run_whose_parts_do_not_fit_is_refused(name, part, tmp_path):
    path = tmp_path / "run.npz"
    network = tg.Network.create([2, 2], seed=0)
    network.train([[0.0, 1.0]], [1], 2, update=tg.nn.Adam(0.1), shuffle=1, patience=3).checkpoint(path)
    with np.load(path) as found:
        parts = dict(found)
    about = json.loads(str(parts["structure"]))
    about["structure"][name] = part
    np.savez(path, **{**parts, "structure": np.array(json.dumps(about))})
    with pytest.raises(ValueError, match=r"run\.npz is broken"):
        tg.nn.resume(path)


@pytest.mark.skipif(os.name == "nt", reason="modes and symbolic links of POSIX")
def test_mode_and_symbolic_link_of_an_existing_file_stay(tmp_path):
    real, link = tmp_path / "real.npz", tmp_path / "link.npz"
    network = tg.Network.create([2, 2], seed=0)
    network.save(real)
    real.chmod(0o640)
    link.symlink_to(real)
    network.save(link)
    assert link.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert bits(tg.Network.load(real)) == bits(network)


@pytest.mark.parametrize("copied", [lambda x: pickle.loads(pickle.dumps(x)), copy.deepcopy], ids=["pickle", "deepcopy"])
@pytest.mark.parametrize("kind", ["scalar", "dense"])
def test_a_trained_network_and_its_history_are_copied_whole(copied, kind):
    network = tg.Network.create([2, 3, 2], kind=kind, seed=0)
    history = network.train([[0.0, 1.0], [1.0, 0.0]], [0, 1], 60)
    twin, story = copied(network), copied(history)
    assert repr(twin) == repr(network), "outputs and deltas too"
    assert (story.loss, story.inputs.tolist()) == (history.loss, history.inputs.tolist())
    for trained in (network, twin):
        trained.train([[0.0, 1.0], [1.0, 0.0]], [0, 1], 60)
    assert bits(twin) == bits(network)
    assert twin.layers[0] is not network.layers[0]


def tied():
    shared = tg.Value(np.eye(2) * 0.5, name="shared")
    layer = tg.Dense(shared, np.ones(2), tg.tanh)
    return tg.Network([layer, tg.Network([tg.Dense(shared, np.zeros(2)), layer])])


def tied_neurons():
    weight = tg.Value(0.5)
    return tg.Network([tg.Layer([tg.Neuron([weight, 1.0], 0.0), tg.Neuron([2.0, weight], 0.25)])])


@pytest.mark.parametrize("make", [tied, tied_neurons])
def test_weights_that_are_one_stay_one_in_a_file(make, tmp_path):
    network = make()
    network.save(tmp_path / "a.npz")
    loaded = tg.Network.load(tmp_path / "a.npz")
    options = {"update": tg.nn.Adam(0.1)}
    for one in (network, loaded):
        one.train([[0.0, 1.0], [1.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]], 5, **options)
    assert bits(loaded) == bits(network)
    assert (
        len(loaded.parameters()) == len(network.parameters()) == len(pickle.loads(pickle.dumps(network)).parameters())
    )


@tg.compile
def half_square(x):
    return 0.5 * tg.sum(x * x)


def cube(x):
    return tg.sum(x * x * x)


@pytest.mark.parametrize("copied", [lambda x: pickle.loads(pickle.dumps(x)), copy.deepcopy], ids=["pickle", "deepcopy"])
def test_functions_trainers_and_histories_are_copied(copied):
    for function in (tg.argmax, tg.greater, tg.zeros_like, tg.any, tg.tanh, tg.nn.huber, half_square):
        assert copied(function) is function
    compiled = tg.compile(cube)
    assert compiled(np.ones(3)) == copied(compiled)(np.ones(3)) == 3.0
    network = tg.Network.create([2, 3, 2], seed=0)
    trainer = network.compile()
    rows, labels = [[0.0, 1.0], [1.0, 0.0]], [0, 1]
    trainer.train(rows, labels, 3)
    twin = copied(trainer)
    assert twin.train(rows, labels, 3).loss == trainer.train(rows, labels, 3).loss
    history = network.train(rows, labels, 3, update=tg.nn.Adam(0.1), shuffle=0)
    assert copied(history).train(rows, labels, 3).loss == history.train(rows, labels, 3).loss


def test_a_value_of_an_operation_without_a_name_is_copied():
    x = tg.Value(2.0)
    double = tg.operation(lambda x: x * 2.0, lambda g, out, x: (g * 2.0,), name="double")
    twin = copy.deepcopy(double(x))
    twin.backward()
    assert (twin.data, twin.parents[0].grad, x.grad) == (4.0, 2.0, None)
    history = tg.Network.create([2, 2], seed=0).train([[0.0, 1.0]], [0], 1, update=tg.nn.SGD(lambda step: 0.1))
    assert len(copy.deepcopy(history).train([[0.0, 1.0]], [0], 1)) == 2
    with pytest.raises(ValueError, match="has no settings of a run"):
        pickle.loads(pickle.dumps(history)).train([[0.0, 1.0]], [0], 1)
