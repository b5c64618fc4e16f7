"""Updates: their formulas step by step, their state, schedules, and rules of one's own."""

import math

import numpy as np
import pytest

import tinygrad_edu as tg


def sgd_by_hand(p, gradients, rate, momentum):
    """As the documentation of `torch.optim.SGD` has it, without dampening."""
    buffer = None
    for t, g in enumerate(gradients):
        buffer = g if buffer is None else momentum * buffer + g
        p = p - rate(t) * buffer
        yield p


def adam_by_hand(p, gradients, rate, beta1=0.9, beta2=0.999, epsilon=1e-8):
    """As the documentation of `torch.optim.Adam` has it."""
    m = v = 0.0
    for t, g in enumerate(gradients, 1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        p = p - rate(t - 1) * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + epsilon)
        yield p


def cases():
    def schedule(t):
        return 0.1 / (1 + t)

    def fixed(t):
        return 0.01

    return [
        (tg.nn.SGD(0.01), lambda p, g: sgd_by_hand(p, g, fixed, 0.0)),
        (tg.nn.SGD(0.01, momentum=0.9), lambda p, g: sgd_by_hand(p, g, fixed, 0.9)),
        (tg.nn.SGD(schedule, momentum=0.5), lambda p, g: sgd_by_hand(p, g, schedule, 0.5)),
        (tg.nn.Adam(0.01), lambda p, g: adam_by_hand(p, g, fixed)),
        (tg.nn.Adam(schedule, 0.8, 0.99, 1e-6), lambda p, g: adam_by_hand(p, g, schedule, 0.8, 0.99, 1e-6)),
    ]


@pytest.mark.parametrize(("update", "by_hand"), cases(), ids=["sgd", "momentum", "schedule", "adam", "settings"])
def test_100_steps_equal_those_by_hand(update, by_hand):
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=(3, 2)), list(rng.normal(size=(100, 3, 2)))
    p = tg.Value(start)
    for g, wanted in zip(gradients, by_hand(start, gradients), strict=True):
        p.grad = g
        update([p])
        np.testing.assert_allclose(p.data, wanted, rtol=0, atol=1e-12)


def test_100_steps_equal_those_of_torch():
    torch = pytest.importorskip("torch", reason='needs the extra "peers"')
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=(3, 2)), rng.normal(size=(100, 3, 2))
    for ours, make in (
        (tg.nn.SGD(0.01), lambda p: torch.optim.SGD([p], 0.01)),
        (tg.nn.SGD(0.01, momentum=0.9), lambda p: torch.optim.SGD([p], 0.01, momentum=0.9)),
        (tg.nn.Adam(), lambda p: torch.optim.Adam([p])),
    ):
        p, theirs = tg.Value(start), torch.tensor(start, requires_grad=True)
        optimizer = make(theirs)
        for g in gradients:
            p.grad, theirs.grad = g, torch.tensor(g)
            ours([p])
            optimizer.step()
        np.testing.assert_allclose(p.data, theirs.detach().numpy(), rtol=0, atol=1e-12)


def test_a_rule_is_pure():
    for update in (tg.nn.SGD(0.1), tg.nn.SGD(0.1, momentum=0.9), tg.nn.Adam(0.1)):
        data, gradients = [np.ones(3), 2.0], [np.full(3, 0.5), 0.25]
        state = update.start(data)
        first, again = (update.rule(data, gradients, state, 0.1) for _ in range(2))
        assert repr(first) == repr(again)
        assert repr((data, gradients, state)) == repr(([np.ones(3), 2.0], [np.full(3, 0.5), 0.25], update.start(data)))
        assert not np.shares_memory(first[0][0], data[0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tg.nn.SGD(0.1, momentum=1.0), "momentum must be at least 0 and below 1, got 1.0"),
        (lambda: tg.nn.Adam(-0.1), "rate must be finite and positive, got -0.1"),
        (lambda: tg.nn.Adam(0.1, beta1=1.5), "beta1 must be at least 0 and below 1, got 1.5"),
        (lambda: tg.nn.Adam(0.1, epsilon=0.0), "epsilon must be finite and positive, got 0.0"),
        (
            lambda: tg.Network.create([1, 1]).train([[1.0]], [[0.0]], 1, update=tg.nn.SGD(lambda t: math.nan)),
            r"rate\(0\) must be",
        ),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


class OldMomentum(tg.nn.SGD):
    """A rule of the old form, with a memory of its own."""

    velocity = None

    def rule(self, data, gradients, counts):
        old = self.velocity or [0.0 * g for g in gradients]
        self.velocity = [0.9 * v + g for v, g in zip(old, gradients, strict=True)]
        return [x - self.rate * v for x, v in zip(data, self.velocity, strict=True)]


def test_a_rule_of_the_old_form_works_uncompiled_and_is_refused_compiled():
    networks = [tg.Network.create([2, 3, 2], seed=0) for _ in range(2)]
    for network, update in zip(networks, (OldMomentum(0.5), tg.nn.SGD(0.5, momentum=0.9)), strict=True):
        network.train([[1.0, 2.0]], [0], 5, update=update)
    assert repr(networks[0]) == repr(networks[1])
    with pytest.raises(TypeError, match=r"needs a rule\(data, gradients, state, rate\)"):
        networks[0].train([[1.0, 2.0]], [0], 5, update=OldMomentum(0.5), compiled=True)


class WeightDecay(tg.nn.Adam):
    """An update of one's own: AdamW."""

    def rule(self, data, gradients, state, rate):
        new, state = super().rule(data, gradients, state, rate)
        return [n - rate * 0.1 * x for n, x in zip(new, data, strict=True)], state


def test_an_update_of_ones_own_trains_and_compiles():
    networks = [tg.Network.create([2, 3, 2], kind="dense", seed=0) for _ in range(2)]
    for network, compiled in zip(networks, (False, True), strict=True):
        network.train([[1.0, 2.0], [0.5, 1.0]], [0, 1], 5, update=WeightDecay(0.1), compiled=compiled)
    assert repr(networks[0]) == repr(networks[1])


class Rule(tg.nn.SGD):
    """SGD with another rule."""

    def __init__(self, rule):
        super().__init__(0.1)
        self.own = rule

    def rule(self, data, gradients, state=(), rate=None):
        return self.own(data, gradients, state)


def in_place(data, gradients, state):
    for x, g in zip(data, gradients, strict=True):
        x -= 0.1 * g
    return data, state


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (lambda data, gradients, state: data, "must give new data and new state, got"),
        (lambda data, gradients, state: None, "must give new data and new state, got None"),
        (
            lambda data, gradients, state: (data[:-1], state),
            r"must give data of shapes \[\(2, 2\), ",
        ),
        (lambda data, gradients, state: ([x.sum() for x in data], state), "must give data of shapes"),
    ],
)
def test_a_rule_that_gives_something_else_is_refused_and_weights_stay(rule, message, compiled):
    network = tg.Network.create([2, 2, 2], kind="dense", seed=0)
    before = [p.data.tobytes() for p in network.parameters()]
    with pytest.raises(TypeError, match=message):
        network.train([[0.0, 1.0]], [1], 3, update=Rule(rule), compiled=compiled)
    assert [p.data.tobytes() for p in network.parameters()] == before


def test_a_rule_that_changes_arrays_in_place_does_not_compile():
    network = tg.Network.create([2, 2], kind="dense", seed=0)
    with pytest.raises(TypeError, match=r"the rule of Rule changes arrays in place.*not x -= step"):
        network.train([[0.0, 1.0]], [1], 3, update=Rule(in_place), compiled=True)
    assert len(network.train([[0.0, 1.0]], [1], 3, update=Rule(in_place))) == 3


@pytest.mark.parametrize("what", ["layer", "loss", "metric", "update"])
def test_what_is_drawn_at_random_is_not_recorded_for_all_rows(what):
    rng = np.random.default_rng(0)

    def noisy(x, *others):
        return x + rng.normal()

    layers = tg.Network.create([2, 2], kind="dense", seed=0).layers
    options = {"loss": lambda o, t: noisy(((o - t) ** 2).sum())} if what == "loss" else {}
    if what == "metric":
        options["metrics"] = [lambda o, t: noisy(tg.sum(o))]
    if what == "update":
        options["update"] = Rule(lambda data, gradients, state: ([noisy(x) for x in data], state))
    network = tg.Network([*layers, noisy] if what == "layer" else layers)
    with pytest.raises(TypeError, match="didn't do the same when it ran twice on the same rows"):
        network.train([[0.0, 1.0]], [1], 3, compiled=True, **options)
    assert len(network.train([[0.0, 1.0]], [1], 3, **options)) == 3
