"""Training in batches, shuffled, with validation and metrics; source by default, where nobody can notice."""

import itertools
import signal
import sys
import weakref
from dataclasses import dataclass

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu.nn import compiled as nn_compiled

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(23, 4)), RNG.integers(0, 3, 23)
UPDATES = {
    "sgd": lambda: tg.nn.SGD(0.1),
    "momentum": lambda: tg.nn.SGD(0.1, momentum=0.9),
    "adam": lambda: tg.nn.Adam(0.01),
    "schedule": lambda: tg.nn.Adam(lambda step: 0.1 / (1 + step)),
}


def network(kind="dense", seed=0, sizes=(4, 5, 3)):
    return tg.Network.create(sizes, kind=kind, seed=seed, activation=tg.tanh, start="scaled")


def bits(network):
    return [np.asarray(p.data).tobytes() for p in network.parameters()]


def figures(history):
    return history.loss, history.metrics, history.validation, history.validation_metrics


@pytest.mark.parametrize(
    ("kind", "batch_size", "update"), list(itertools.product(["scalar", "dense"], [1, 5, 23], UPDATES))
)
def test_compiled_training_leaves_the_same_bits(kind, batch_size, update):
    for loss in (tg.nn.cross_entropy, tg.nn.half_squared_error):
        options = {
            "batch_size": batch_size,
            "shuffle": 3,
            "loss": loss,
            "metrics": "accuracy",
            "validation": (X[:7], Y[:7]),
        }
        eager, ours = network(kind), network(kind)
        first = eager.train(X, Y, 3, update=UPDATES[update](), compiled=False, **options)
        second = ours.train(X, Y, 3, update=UPDATES[update](), compiled=True, **options)
        assert bits(eager) == bits(ours)
        assert figures(first) == figures(second)
        assert repr(eager) == repr(ours)  # neurons show the last batch


def test_a_batch_is_one_update_for_the_mean_of_its_rows():
    ours, by_hand = network(), network()
    ours.train(X, Y, 1, batch_size=23, loss=tg.nn.cross_entropy, update=tg.nn.SGD(0.5))
    tg.nn.cross_entropy(by_hand(X), Y).backward()
    for p, q in zip(ours.parameters(), by_hand.parameters(), strict=True):
        np.testing.assert_array_equal(p.data, q.data - 0.5 * q.grad)


def test_history_has_the_mean_over_rows_whatever_the_batches_are():
    rate = tg.nn.SGD(1e-300)  # so small that no weight changes
    found = [
        network(kind).train(X, Y, 1, batch_size=size, loss=loss, update=rate, metrics="accuracy", compiled=compiled)
        for kind in ("scalar", "dense")
        for size in (1, 4, 23)
        for compiled in (False, True)
        for loss in (tg.nn.mean_squared_error,)
    ]
    for history in found[1:]:
        assert history.loss == pytest.approx(found[0].loss, rel=1e-14)
        assert history.metrics["accuracy"] == pytest.approx(found[0].metrics["accuracy"], rel=1e-14)
    assert found[0].accuracy[0] == np.mean(network().predict(X) == Y)


def test_shuffling_takes_every_row_once_in_an_order_of_its_seed():
    def orders(seed):
        rows = []
        spy = tg.operation(lambda x: (rows.append(float(x.ravel()[0])), x)[1], lambda g, out, x: (g,), name="spy")
        tg.Network([lambda x: spy(tg.Value(x)), tg.Dense(np.ones((1, 1)), [0.0])]).train(
            np.arange(6.0)[:, None], np.zeros((6, 1)), 2, shuffle=seed
        )
        return rows[-12:-6], rows[-6:]

    first, second = orders(1)
    assert sorted(first) == sorted(second) == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert first != second
    assert orders(1) == (first, second) != orders(2)


def test_validation_is_the_loss_of_rows_that_are_not_trained_on():
    ours = network()
    history = ours.train(X, Y, 4, loss=tg.nn.cross_entropy, validation=(X[:5], Y[:5]), metrics="accuracy")
    assert history.validation[-1] == tg.nn.cross_entropy(tg.Value(ours.outputs(X[:5])), Y[:5]).item()
    assert history.validation_metrics["accuracy"][-1] == np.mean(ours.predict(X[:5]) == Y[:5])
    assert len(history.validation) == 4


def test_patience_stops_and_goes_back_to_the_best_epoch():
    seen = []
    ours = network()
    note = lambda epoch, history: seen.append(bits(ours))  # noqa: E731
    rising = tg.nn.SGD(lambda step: 0.01 if step < 3 * 23 else 30.0)
    history = ours.train(
        X, Y, 100, loss=tg.nn.cross_entropy, update=rising, validation=(X, Y), patience=2, on_epoch=note
    )
    best = int(np.argmin(history.validation))
    assert len(history) == best + 3 < 100
    assert bits(ours) == seen[best]


def test_a_network_that_ends_in_a_sigmoid_is_refused_by_losses_that_take_scores():
    for loss in (tg.nn.cross_entropy, tg.nn.binary_cross_entropy, tg.nn.hinge):
        with pytest.raises(ValueError, match="takes scores, but the network ends in sigmoid"):
            tg.Network.create([4, 3]).train(X, Y, 1, loss=loss)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1, got 0"),
        ({"batch_size": 2.5}, "batch_size must be"),
        ({"shuffle": -1}, "shuffle must be a seed"),
        ({"patience": 0}, "patience must be a whole number of at least 1"),
        ({"validation": (X[:, :2], Y)}, r"inputs must be rows of length 4, got shape \(23, 2\)"),
    ],
)
def test_bad_options_are_refused_before_a_weight_has_changed(options, message):
    ours = network()
    before = bits(ours)
    with pytest.raises(ValueError, match=message):
        ours.train(X, Y, 3, **options)
    assert bits(ours) == before


def test_training_within_no_grad_is_refused():
    with tg.no_grad(), pytest.raises(ValueError, match="within no_grad"):
        network().train(X, Y, 1)


# Generated source by default, where nobody can notice.


@pytest.fixture
def printed(monkeypatch):
    """How often an epoch was recorded."""
    count, original = [], nn_compiled.epoch_of
    monkeypatch.setattr(nn_compiled, "epoch_of", lambda *args, **more: count.append(1) or original(*args, **more))
    return count


@pytest.mark.parametrize("kind", ["scalar", "dense"])
def test_source_runs_by_itself_and_everything_is_seen_as_without(printed, kind):
    seen = {}
    for compiled in (False, None):
        ours, seen[compiled] = network(kind), []

        def note(epoch, history, ours=ours, seen=seen[compiled]):
            seen.append((repr(ours), [np.asarray(p.grad).tobytes() for p in ours.parameters()]))

        history = ours.train(X, Y, 12, on_epoch=note, record=True, compiled=compiled)
        seen[compiled] += [history.loss, [[np.asarray(x).tobytes() for x in s.gradients] for s in history.snapshots]]
        history = ours.train(X, Y, 30, compiled=compiled)
        seen[compiled] += [history.loss, repr(ours)]
    assert printed
    assert seen[False] == seen[None]


def test_source_is_kept_by_the_network_which_is_still_freed_at_once_and_pickles(printed):
    ours = tg.Network.create([4, 5, 3], seed=0)
    for _ in range(3):
        ours.train(X, Y, 10)
    assert len(printed) == 1
    gone = weakref.ref(ours)
    del ours
    assert gone() is None


@pytest.mark.parametrize(
    "options",
    [
        {"update": lambda parameters, counts: None},
        {"loss": lambda outputs, targets: tg.nn.half_squared_error(outputs, targets)},
        {"metrics": [lambda outputs, targets: 0.0]},
    ],
    ids=lambda options: next(iter(options)),
)
def test_functions_of_the_users_are_run_for_every_row(printed, options):
    tg.Network.create([4, 5, 3], seed=0).train(X, Y, 20, **options)
    assert not printed


def test_subclasses_activations_and_layers_of_the_users_are_run_for_every_row(printed):
    class Louder(tg.Network):
        pass

    class Own(tg.Dense):
        pass

    layers = tg.Network.create([4, 3], kind="dense", seed=0).layers
    Louder(layers).train(X, Y, 20)
    tg.Network([Own(np.ones((3, 4)), np.zeros(3))]).train(X, Y, 20)
    tg.Network([tg.Dense(np.ones((3, 4)), np.zeros(3), activation=lambda x: x)]).train(X, Y, 20)
    hooked = tg.Network.create([4, 3], kind="dense", seed=0)
    hooked.layers[0].feed_forward = lambda x, original=hooked.layers[0].feed_forward: original(x)
    hooked.train(X, Y, 20)
    assert not printed
    tg.Network.create([4, 3], kind="dense", seed=0).train(X, Y, 2)
    assert not printed, "so few rows would not repay it"


def test_tied_weights_train_alike():
    def tied():
        shared = tg.Value(np.eye(4) * 0.5, name="shared")
        return tg.Network([tg.Dense(shared, np.zeros(4)), tg.Dense(shared, np.zeros(4))])

    targets = RNG.random((23, 4))
    eager, ours = tied(), tied()
    eager.train(X, targets, 10, compiled=False)
    ours.train(X, targets, 10)
    assert len(ours.parameters()) == 3
    assert bits(eager) == bits(ours)


class Scale:
    def __init__(self):
        self.factor = tg.Value(np.array([0.5, 1.5, 1.0]), name="factor")

    def __call__(self, x):
        return x * self.factor

    def parameters(self):
        return [self.factor]


MIXED = {
    "neurons, a function, neurons": lambda new: [new(tg.Layer), tg.tanh, new(tg.Layer)],
    "a network of neurons, neurons": lambda new: [tg.Network([new(tg.Layer)]), new(tg.Layer)],
    "neurons, a network": lambda new: [new(tg.Layer), tg.Network([new(tg.Layer), tg.nn.Dropout(0.2, 1)])],
    "a dropout, neurons": lambda new: [tg.nn.Dropout(0.2, 1), new(tg.Layer), Scale()],
    "matrices, neurons": lambda new: [new(tg.Dense), new(tg.Layer)],
    "neurons, matrices": lambda new: [new(tg.Layer), Scale(), new(tg.Dense)],
}


@pytest.mark.parametrize("batch_size", [1, 5])
@pytest.mark.parametrize("make", MIXED.values(), ids=MIXED)
def test_neurons_among_other_layers_train_alike_compiled(make, batch_size):
    found = []
    for compiled in (False, True, None):
        rng = np.random.default_rng(0)
        ours = tg.Network(make(lambda kind, rng=rng: kind.create(3, 3, rng, tg.tanh, "scaled")))
        for loss in (tg.nn.half_squared_error, tg.nn.huber):
            history = ours.train(X[:, :3], Y, 8, batch_size=batch_size, loss=loss, compiled=compiled)
        found.append((bits(ours), history.loss, repr(ours.units())))
    assert found[0] == found[1] == found[2]


def test_a_network_of_neurons_within_another_computes_what_its_layers_do():
    flat = network("scalar")
    nested = tg.Network([flat.layers[0], tg.Network(flat.layers[1:])])
    assert [x.data for x in nested(X[0].tolist())] == [x.data for x in flat(X[0].tolist())]


@pytest.mark.parametrize("update", [lambda: tg.nn.ArticleUpdate(0.1), lambda: own_update], ids=["article", "old form"])
def test_updates_with_counts_take_any_layers(update):
    ours = tg.Network([tg.Dense.create(4, 3, np.random.default_rng(0)), Scale(), tg.nn.Dropout(0.1), tg.tanh])
    assert len(ours.train(X, Y, 2, update=update())) == 2


def own_update(parameters, counts):
    assert counts == [1, 4, 1]
    for p in parameters:
        p.data = p.data - 0.1 * p.grad


def test_a_weight_that_stands_in_two_places_is_counted_once():
    shared = tg.Value(np.eye(2), name="shared")
    ours = tg.Network([tg.Dense(shared, np.zeros(2)), tg.Dense(shared, np.zeros(2))])
    assert tg.article.update_counts(ours) == [1, 2, 2]


def changing(what):
    """A network whose source depends on something, and what changes that."""
    rng = np.random.default_rng(0)
    last = tg.Dense.create(8, 3, rng, tg.nn.identity, "scaled")
    if what == "convolution":
        layers = [tg.nn.Conv2d.create(1, 2, 1, rng, tg.tanh), lambda x: x.reshape((-1, 8)), last]
        return tg.Network(layers), lambda: setattr(layers[0], "activation", tg.relu)
    drop, inner = tg.nn.Dropout(0.0, 1), tg.Network([tg.Dense.create(4, 8, rng, tg.nn.identity, "scaled"), tg.tanh])
    if what == "dropout":
        return tg.Network([inner, drop, last]), lambda: setattr(drop, "rate", 0.5)
    if what == "layer within":
        return tg.Network([inner, last]), lambda: inner.layers.__setitem__(1, tg.relu)
    return tg.Network([inner, last]), lambda: setattr(inner.layers[0], "activation", tg.relu)


@pytest.mark.parametrize("options", [{}, {"batch_size": 5}], ids=["rows", "batches"])
def test_a_parameter_that_the_loss_does_not_depend_on_stays(options, monkeypatch):
    class Unused(Scale):
        def parameters(self):
            return [self.factor, self.other]

    found = []
    for compiled, rows in ((False, 256), (True, 256), (None, 256), (None, 3)):
        monkeypatch.setattr("tinygrad_edu.nn.training.ROWS", rows)
        layer = Unused()
        layer.other = tg.Value(3.0, name="other")
        history = tg.Network([layer]).train(X[:, :3], X[:, 1:], 20, compiled=compiled, **options)
        found.append(history.loss[-1])
        assert layer.other.data == 3.0
    assert found[0] == found[1] == found[2]


def test_a_network_trained_with_a_penalty_is_freed_at_once_and_its_source_kept(printed):
    ours = tg.Network.create([4, 5, 3], seed=0)
    for _ in range(2):
        ours.train(X, Y, 10, loss=tg.nn.half_squared_error + tg.nn.penalty(ours, l2=0.1))
    assert len(printed) == 1
    gone = weakref.ref(ours)
    del ours
    assert gone() is None


@pytest.mark.parametrize("shards", [False, True])
@pytest.mark.parametrize("what", ["convolution", "dropout", "layer within", "activation within"])
def test_what_is_changed_between_epochs_or_runs_is_followed(what, shards, monkeypatch):
    monkeypatch.setattr("tinygrad_edu.nn.training.ROWS", 3 if shards else 256)
    found = []
    for compiled in (False, None, True, "trainer"):
        ours, change = changing(what)
        rows = X.reshape(-1, 1, 2, 2) if what == "convolution" else X
        run = ours.compile().train if compiled == "trainer" else ours.train
        options = {"batch_size": 5, "loss": tg.nn.cross_entropy}
        options |= {} if compiled == "trainer" else {"compiled": compiled}
        run(rows, Y, 10, on_epoch=lambda epoch, history, change=change: change() if epoch == 4 else None, **options)
        ours, change = changing(what) if what != "dropout" else (ours, change)
        run = ours.compile().train if compiled == "trainer" else ours.train
        run(rows, Y, 20, **options)
        change()
        run(rows, Y, 20, **options)
        found.append(bits(ours))
    assert found[0] == found[1] == found[2] == found[3]


@pytest.mark.parametrize("compiled", [False, None])
def test_other_parameters_in_on_epoch_are_refused(compiled):
    ours = network()

    def exchange(epoch, history):
        ours.layers[0].weights = tg.Value(np.ones((5, 4)))

    with pytest.raises(ValueError, match="on_epoch has given the network other parameters"):
        ours.train(X, Y, 30, on_epoch=exchange, compiled=compiled)


@pytest.mark.parametrize("kind", ["scalar", "dense"])
def test_a_method_of_an_instance_is_called_and_followed(kind):
    found = []
    for compiled in (False, True, None):
        ours = network(kind)
        part = ours.units()[0]

        def double(epoch, history, part=part):
            if epoch == 5:
                original = part.feed_forward
                part.feed_forward = lambda *args: original(*args) * 2.0

        ours.train(X, Y, 20, on_epoch=double, compiled=compiled, update=tg.nn.SGD(0.01))
        found.append(bits(ours))
    plain = network(kind)
    plain.train(X, Y, 20, update=tg.nn.SGD(0.01))
    assert found[0] == found[1] == found[2] != bits(plain)


def test_layers_and_losses_without_a_hash_compile():
    @dataclass
    class Times:
        factor: object

        def __call__(self, x, *targets):
            return (x * self.factor).sum() if targets else x * self.factor

        def parameters(self):
            return [self.factor]

    ours = tg.Network([Times(tg.Value(np.ones(4)))])
    assert len(ours.train(X, X, 2, loss=Times(2.0), compiled=True)) == 2


@pytest.mark.parametrize("kind", ["scalar", "dense"])
def test_a_recording_that_fails_changes_nothing_that_shows(kind):
    ours = network(kind)
    ours(X[0].tolist())
    before = repr(ours)
    with pytest.raises(TypeError, match="only this way would be recorded"):
        ours.train(X, Y, 1, loss=lambda o, t: tg.sum(tg.stack(o)) if o[0] > 0.0 else tg.sum(o[1]), compiled=True)
    assert repr(ours) == before


def test_where_patience_ends_gradients_are_those_of_the_last_row():
    found = []
    for compiled in (False, None):
        ours = network()
        history = ours.train(X, Y, 200, update=tg.nn.SGD(3.0), patience=1, compiled=compiled)
        found.append((len(history), [np.asarray(p.grad).tobytes() for p in ours.parameters()], repr(ours)))
    assert found[0] == found[1]
    assert found[0][0] < 199


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_loss_that_diverges_stops_where_it_stops_without_source():
    found = []
    for compiled in (False, None, True):
        ours = tg.Network([tg.Dense(np.full((1, 2), 3.0), [0.0], activation=tg.nn.identity)])
        with pytest.raises(FloatingPointError, match="the loss is") as error:
            ours.train(X[:, :2], X[:, :1], 400, update=tg.nn.SGD(40.0), compiled=compiled)
        found.append((str(error.value), bits(ours)))
    assert found[0] == found[1] == found[2]


def test_ctrl_c_leaves_the_weights_of_a_finished_update(monkeypatch):
    """An interrupt that comes while weights are handed over doesn't leave half of them."""

    class Interrupted(tg.Value):
        __slots__ = ()

    ours, reference = network(), network()
    reference.train(X, Y, 1, batch_size=23, compiled=False)
    parameters, calls = ours.parameters(), []

    def interrupt():
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt

    new = [p.data for p in reference.parameters()]
    with pytest.raises(KeyboardInterrupt):
        tg.nn.update.assign(parameters, new, interrupt)
    assert bits(ours) == bits(reference)


@pytest.mark.parametrize("moment", [0.0, 1e9])
def test_source_hands_over_weights_after_every_moment(monkeypatch, moment):
    monkeypatch.setattr(nn_compiled, "AT_MOST", moment)
    monkeypatch.setattr("tinygrad_edu.nn.training.AT_MOST", moment)
    seen, original = [], tg.nn.training.assign
    monkeypatch.setattr("tinygrad_edu.nn.training.assign", lambda *args: seen.append(1) or original(*args))
    eager, ours = (tg.Network.create([4, 5, 3], seed=0) for _ in range(2))
    ours.train(X, Y, 10)
    eager.train(X, Y, 10, compiled=False)
    assert bits(eager) == bits(ours)
    assert len(seen) - 10 * len(X) == (9 + 2 if moment == 0.0 else 1 + 2)  # the last row is run by the network


@pytest.mark.parametrize("compiled", [True, None])
def test_where_a_rate_fails_all_updates_before_it_are_done(compiled):
    def rate(step):
        if step == 37:
            raise KeyError("no rate")
        return 0.1

    ours, eager = network(), network()
    for one, how in ((ours, compiled), (eager, False)):
        with pytest.raises(KeyError, match="no rate"):
            one.train(X, Y, 60, update=tg.nn.SGD(rate), compiled=how)
    assert bits(ours) == bits(eager)


@pytest.mark.parametrize("batch_size", [1, 4])
def test_source_hands_over_within_an_epoch_that_takes_longer_than_a_moment(monkeypatch, batch_size):
    monkeypatch.setattr("tinygrad_edu.nn.training.AT_ONCE", 0)
    monkeypatch.setattr("tinygrad_edu.nn.training.AT_MOST", 0.0)
    ours, eager, seen = network(), network(), []
    original = tg.nn.training.Run.take_over
    monkeypatch.setattr(tg.nn.training.Run, "take_over", lambda *args: seen.append(args[2]) or original(*args))
    rows, labels = np.tile(X, (20, 1)), np.tile(Y, 20)
    ours.train(rows, labels, 3, batch_size=batch_size)
    eager.train(rows, labels, 3, batch_size=batch_size, compiled=False)
    assert bits(ours) == bits(eager)
    assert max(seen) <= 64


def test_dropout_drops_while_training_only_the_same_in_every_run_and_compiled():
    def make():
        rng = np.random.default_rng(0)
        return tg.Network(
            [
                tg.Dense.create(4, 8, rng, tg.tanh, "scaled"),
                tg.nn.Dropout(0.5, seed=7),
                tg.Dense.create(8, 3, rng, tg.nn.identity, "scaled"),
            ]
        )

    plain, ours, again = make(), make(), make()
    options = {"batch_size": 5, "loss": tg.nn.cross_entropy, "update": tg.nn.SGD(0.1), "shuffle": 0}
    plain.train(X, Y, 3, compiled=False, **options)
    ours.train(X, Y, 3, compiled=True, **options)
    again.train(X, Y, 3, **options)
    assert bits(plain) == bits(ours) == bits(again)
    without = tg.Network([make().layers[0], make().layers[2]])
    without.train(X, Y, 3, **options)
    assert bits(without) != bits(ours)
    assert np.array_equal(ours.outputs(X), ours.outputs(X))
    masks = {
        tg.nn.Dropout(0.5, seed=7).mask((3,), step, shard, 1).tobytes() for step in range(20) for shard in range(3)
    }
    assert len(masks) > 4


def test_networks_of_functions_networks_embeddings_and_convolutions_train_compiled_too():
    rng = np.random.default_rng(0)
    words = rng.integers(0, 5, size=(12, 3))
    images = rng.normal(size=(12, 1, 4, 4))

    def embedded():
        rng = np.random.default_rng(0)
        return tg.Network(
            [
                tg.nn.Embedding.create(5, 2, rng),
                lambda x: x.reshape((-1, 6)),
                tg.Dense.create(6, 3, rng, tg.nn.identity, "scaled"),
            ]
        )

    def convolution():
        rng = np.random.default_rng(0)
        inner = tg.Network([tg.nn.Conv2d.create(1, 2, 3, rng), lambda x: x.reshape((-1, 8))])
        return tg.Network([inner, tg.Dense.create(8, 3, rng, tg.nn.identity, "scaled"), tg.relu])

    for make, inputs in ((embedded, words), (convolution, images)):
        eager, ours = make(), make()
        options = {"batch_size": 4, "loss": tg.nn.cross_entropy}
        first = eager.train(inputs, Y[:12], 8, compiled=False, **options)
        second = ours.train(inputs, Y[:12], 8, compiled=True, **options)
        assert bits(eager) == bits(ours)
        assert first.loss == second.loss
        assert first.loss[-1] < first.loss[0]
    assert convolution().named_parameters()[0][0] == "layers[0].layers[0].weights"


@pytest.mark.parametrize("compiled", [False, True])
def test_sequences_are_trained_on_a_label_for_each_place(compiled):
    class Scores:
        def __init__(self):
            self.weights = tg.Value(np.random.default_rng(1).normal(size=(4, 5)), name="weights")

        def __call__(self, x):
            return x @ self.weights

        def parameters(self):
            return [self.weights]

    ours = tg.Network([tg.nn.Embedding.create(5, 4, np.random.default_rng(0)), Scores()])
    letters = np.random.default_rng(2).integers(0, 5, (12, 4))
    before = np.mean(ours.predict(letters[:, :3]) == letters[:, 1:])
    still, options = tg.nn.SGD(1e-300), {"batch_size": 4, "loss": tg.nn.cross_entropy, "compiled": compiled}
    history = ours.train(letters[:, :3], letters[:, 1:], 1, update=still, metrics="accuracy", **options)
    assert history.accuracy[0] == pytest.approx(before)
    with pytest.raises(ValueError, match="whole numbers from 0 to 4"):
        ours.train(letters[:, :3], letters[:, 1:] + 3, 1, **options)
    with pytest.raises(ValueError, match=r"inputs\[0\]\[\d\] is \d\.0: symbols must be whole numbers from 0 to 4"):
        ours.train(letters[:, :3] + 3, letters[:, 1:], 1, **options)


def test_a_bar_shows_where_it_is_asked_for_and_nothing_in_a_pipe(capsys, monkeypatch):
    network().train(X, Y, 3)
    assert capsys.readouterr() == ("", "")
    pytest.importorskip("tqdm", reason='needs the extra "progress"')
    history = network().train(X, Y, 3, metrics="accuracy", progress=True)
    shown = capsys.readouterr().err
    assert "3/3" in shown
    assert f"loss {history.loss[-1]:.4g}, accuracy {history.accuracy[-1]:.4g}" in shown
    for module in ("tqdm.auto", "tqdm.std"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r'pip install "tinygrad_edu\[progress\]"'):
        network().train(X, Y, 3, progress=True)


def test_plot_shows_what_is_there():
    pytest.importorskip("matplotlib", reason='needs the extra "plot"')
    history = network().train(X, Y, 3, loss=tg.nn.cross_entropy, metrics="accuracy", validation=(X, Y))
    losses, accuracies = history.plot().axes
    assert [line.get_label() for line in losses.lines] == ["training", "validation"]
    assert [line.get_label() for line in accuracies.lines] == ["accuracy", "accuracy of the validation"]
    assert losses.lines[1].get_ydata().tolist() == history.validation


def test_within_debug_every_operation_is_run(printed):
    with tg.debug():
        network().train(X, Y, 20)
        network().train(X, Y, 2, compiled=True)
    assert not printed


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it came while Python freed something
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="timers of POSIX")
@pytest.mark.parametrize("compiled", [False, True, None])
@pytest.mark.parametrize("kind", ["scalar", "dense"])
def test_whenever_ctrl_c_comes_the_weights_are_those_after_a_whole_number_of_updates(kind, compiled):
    options = {"loss": tg.nn.cross_entropy, "update": tg.nn.SGD(0.01, momentum=0.9)}
    watched = network(kind)
    states = {tuple(bits(watched))}

    by_hand = tg.nn.SGD(0.01, momentum=0.9)

    def note(parameters, needed):
        by_hand(parameters)
        states.add(tuple(bits(watched)))

    watched.train(X, Y, 60, loss=tg.nn.cross_entropy, update=note)
    interrupted = 0
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        for delay in np.random.default_rng(0).uniform(0.001, 0.02, 12):
            ours = network(kind)
            try:
                signal.setitimer(signal.ITIMER_REAL, delay)
                ours.train(X, Y, 60, compiled=compiled, **options)
            except KeyboardInterrupt:
                interrupted += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            assert tuple(bits(ours)) in states
    finally:
        signal.signal(signal.SIGALRM, before)
    assert interrupted
