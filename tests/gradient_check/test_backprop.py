"""`check_backprop`: every hand-written gradient is judged by its own line; what follows from a slip is inherited."""

from pathlib import Path

import numpy as np
import pytest

import tinygrad_edu as tg

N, V, E, H = 6, 5, 3, 4
RNG = np.random.default_rng(0)
TOKENS, TARGETS = RNG.integers(0, V, size=(N, 2)), RNG.integers(0, V, size=N)
INPUTS = {
    "C": RNG.normal(size=(V, E)),
    "W1": RNG.normal(size=(2 * E, H)),
    "b1": RNG.normal(size=H),
    "gain": RNG.normal(size=(1, H)),
    "shift": RNG.normal(size=(1, H)),
    "W2": RNG.normal(size=(H, V)),
    "b2": RNG.normal(size=V),
}


def forward(C, W1, b1, gain, shift, W2, b2):
    embedded = C[TOKENS]
    joined = embedded.reshape(N, -1)
    z = joined @ W1 + b1
    mean = z.sum(0, keepdims=True) / N
    centred = z - mean
    variance = (centred**2).sum(0, keepdims=True) / (N - 1)
    scale = (variance + 1e-5) ** -0.5
    unit = centred * scale
    act = gain * unit + shift
    h = np.tanh(act)
    logits = h @ W2 + b2
    top = logits.max(1, keepdims=True)
    shifted = logits - top
    counts = np.exp(shifted)
    total = counts.sum(1, keepdims=True)
    share = total**-1
    probs = counts * share
    logprobs = np.log(probs)
    return -logprobs[np.arange(N), TARGETS].mean()


def backward(C, W1, b1, gain, shift, W2, b2, slips=()):
    embedded = C[TOKENS]
    joined = embedded.reshape(N, -1)
    z = joined @ W1 + b1
    centred = z - z.mean(0, keepdims=True)
    variance = (centred**2).sum(0, keepdims=True) / (N - 1)
    scale = (variance + 1e-5) ** -0.5
    unit = centred * scale
    h = np.tanh(gain * unit + shift)
    logits = h @ W2 + b2
    counts = np.exp(logits - logits.max(1, keepdims=True))
    total = counts.sum(1, keepdims=True)
    probs = counts / total
    dlogprobs = np.zeros((N, V))
    dlogprobs[np.arange(N), TARGETS] = -1 / N
    dprobs = dlogprobs / probs
    dshare = (counts * dprobs).sum(1, keepdims=True)
    dtotal = (1 if "total" in slips else -1) * total**-2.0 * dshare
    dcounts = dprobs / total + dtotal
    dshifted = counts * dcounts
    dtop = -dshifted.sum(1, keepdims=True)
    dlogits = dshifted.copy()
    dlogits[np.arange(N), logits.argmax(1)] += dtop[:, 0]
    dh, dW2, db2 = dlogits @ W2.T, h.T @ dlogits, dlogits.sum(0)
    dact = dh * (1 - h) if "act" in slips else dh * (1 - h**2)
    dgain, dshift = (unit * dact).sum(0, keepdims=True), dact.sum(0, keepdims=True)
    dunit = dact if "unit" in slips else gain * dact
    dscale = (centred * dunit).sum(0, keepdims=True)
    dvariance = -0.5 * (variance + 1e-5) ** -1.5 * dscale
    dcentred = scale * dunit + 2 * centred * dvariance / (N - 1)
    dmean = -dcentred.sum(0, keepdims=True)
    dz = dcentred + dmean / N
    djoined, dW1, db1 = dz @ W1.T, joined.T @ dz, dz.sum(0)
    dembedded = djoined.reshape(embedded.shape)
    dC = np.zeros_like(C)
    if "C" in slips:
        dC[TOKENS] += dembedded
    else:
        np.add.at(dC, TOKENS, dembedded)
    return {name: value for name, value in locals().items() if name.startswith("d")}


def verdicts(report):
    return {v.name: v.verdict for v in report.verdicts}


def test_right_gradients_of_every_variable_pass():
    report = tg.check_backprop(forward, INPUTS, backward(**INPUTS))
    assert report, report
    assert set(verdicts(report).values()) == {"right"}
    assert len(report.verdicts) == 25
    assert [v.name for v in report.verdicts][:3] == ["logprobs", "probs", "share"]
    assert report.first_wrong is None


@pytest.mark.parametrize(
    ("slips", "says"),
    [
        (("act",), "tanh"),
        (("unit",), "factor `gain`"),
        (("total", "C"), "sign"),
        (("act", "unit", "C"), "occurs several"),
    ],
)
def test_each_slip_is_blamed_on_its_own_line_and_what_follows_is_inherited(slips, says):
    report = tg.check_backprop(forward, INPUTS, backward(**INPUTS, slips=slips))
    assert not report
    wrong = {name for name, verdict in verdicts(report).items() if verdict == "wrong here"}
    assert wrong == set(slips)
    assert verdicts(report)["logprobs"] == "right"
    assert verdicts(report)["z"] == "inherited"
    assert report.first_wrong.name == slips[0]
    assert report.first_wrong.expression in Path(__file__).read_text("utf-8")
    assert says in repr(report)
    assert "wrong here" in report._repr_html_()
    assert report.to_dict()["verdicts"][0]["verdict"] == "right"


def test_variables_of_a_loop_take_a_list_and_plain_loops_are_followed():
    steps, W = RNG.normal(size=(3, 2)), RNG.normal(size=(2, 2))

    def recurrent(W):
        h = np.zeros(2)
        for t in range(3):
            z = steps[t] + W @ h
            h = np.tanh(z)
        return np.sum(h * h)

    def by_hand(W, carried=True):
        hs = [np.zeros(2)]
        for t in range(3):
            hs.append(np.tanh(steps[t] + W @ hs[-1]))
        dh, dhs, dzs, dW = 2 * hs[-1], [], [], np.zeros_like(W)
        for t in (2, 1, 0):
            dhs.insert(0, dh)
            dz = dh * (1 - hs[t + 1] ** 2)
            dzs.insert(0, dz)
            dW += np.outer(dz, hs[t])
            dh = W.T @ dz if carried else 0.0 * dz
        return {"dh": dhs, "dz": dzs, "dW": dW}

    report = tg.check_backprop(recurrent, [W], by_hand(W))
    assert report, report
    assert verdicts(report).keys() == {"h[0]", "h[1]", "h[2]", "z[0]", "z[1]", "z[2]", "W"}
    wrong = verdicts(tg.check_backprop(recurrent, [W], by_hand(W, carried=False)))
    assert [name for name, verdict in wrong.items() if verdict == "wrong here"] == ["h[1]"]
    assert wrong["h[2]"] == "right"


def test_variables_filled_in_place_and_returned_by_helpers_are_found():
    def affine(x, w):
        return x * w, (x, w)

    def loss(x, w):
        out, _ = affine(x, w)
        padded = np.zeros(5)
        padded[1:4] = out
        total = 0.0
        total += np.sum(padded**2)
        return total

    x, w = np.array([1.0, -2.0, 0.5]), np.array([0.3, 0.2, -1.0])
    dout = 2 * x * w
    hand = {"dpadded": np.pad(dout, 1), "dout": dout, "dx": dout * w, "dtotal": 1.0}
    assert set(verdicts(tg.check_backprop(loss, [x, w], hand)).values()) == {"right"}


def test_what_is_not_found_or_cannot_be_compared_is_said():
    report = tg.check_backprop(forward, INPUTS, {"dnothing": np.ones(2), "dh": np.ones(3), "dz": None})
    assert not report
    assert verdicts(report) == {"dnothing": "not found"}
    assert report.unchecked == ["dnothing", "h", "z"]
    assert "the forward code assigns no variable of this name; it has C, W1" in repr(report)
    assert "its gradient has shape (3,); it should have shape (6, 4)" in repr(report)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="gradients is empty"):
        tg.check_backprop(forward, INPUTS, {})
    with pytest.raises(ValueError, match="inputs lacks W1"):
        tg.check_backprop(forward, {"C": INPUTS["C"], "w": 1.0}, {"dC": INPUTS["C"]})
    with pytest.raises(TypeError, match="has another derivative than the function, for x"):
        tg.check_backprop(lambda x: np.sum(tg.stop_gradient(x) * x), [np.ones(2)], {"dx": np.ones(2)})
    with pytest.raises(TypeError, match="has no number in it that depends on the inputs: return the loss"):
        tg.check_backprop(lambda x: x, [np.ones(2)], {"dx": np.ones(2)})


def test_the_first_line_names_what_was_not_found_and_verdicts_say_what_their_figure_is():
    def forward(x, w):
        z = x * w
        return np.sum(np.tanh(z))

    x, w = np.array([0.5, -1.0]), np.array([2.0, 0.3])
    report = tg.check_backprop(forward, [x, w], {"dq": x})
    assert not report
    assert report.verdict == "gradient check FAILED: not compared: dq"
    report = tg.check_backprop(forward, [x, w], {"dz": x, "dq": x})
    assert report.verdict == "gradient check FAILED: 2 of 2 entries are wrong, in z; not compared: dq"
    assert "of its largest entry)" in repr(report)
