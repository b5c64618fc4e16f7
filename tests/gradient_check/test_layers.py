"""`check_layer` and `check_loss`: code in the forms of courses is taken as it is, and wrong parts are told apart."""

import copy
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu.testing import assert_layer, assert_loss

spec = importlib.util.spec_from_file_location("course_code", Path(__file__).with_name("course_code.py"))
course = importlib.util.module_from_spec(spec)
spec.loader.exec_module(course)

RNG = np.random.default_rng
LAYERS = {name: parts for name, *parts in course.layers(RNG(0))}
LOSSES = {name: parts for name, *parts in course.losses(RNG(0))}


def as_single(args):
    return [x.astype(np.float32) if isinstance(x, np.ndarray) and x.dtype == np.float64 else x for x in args]


@pytest.mark.parametrize("name", LAYERS)
def test_right_layers_pass_in_both_precisions_and_keep_their_arguments(name):
    forward, backward, args = LAYERS[name]
    before = copy.deepcopy(args)
    for given in (args, as_single(args)):
        report = tg.check_layer(forward, backward, *given)
        assert report, report
        assert not report.diagnoses
    np.testing.assert_equal(args, before)


@pytest.mark.parametrize("name", LOSSES)
def test_right_losses_pass_in_both_precisions(name):
    loss, args = LOSSES[name]
    for given in (args, as_single(args)):
        report = tg.check_loss(loss, *given)
        assert report, report


@pytest.mark.parametrize(
    ("name", "slip", "wrong"),
    [
        ("affine", "mean", ["b"]),
        ("batchnorm", "no mean", ["x"]),
        ("conv", "overwritten", ["x"]),
        ("lstm step", "no dnext_c", ["x", "prev_h", "prev_c", "Wx", "Wh", "b"]),
    ],
)
def test_a_slip_is_found_in_its_inputs(name, slip, wrong):
    forward, backward, args = LAYERS[name]
    report = tg.check_layer(forward, lambda *given: backward(*given, slip), *args)
    assert report.failing_inputs == wrong


def test_the_inputs_of_a_loss_are_told_by_the_names_that_are_returned():
    assert tg.check_loss(*LOSSES["svm loss"][:1], *LOSSES["svm loss"][1]).inputs == ["W"]
    assert tg.check_loss(*LOSSES["logistic"][:1], *LOSSES["logistic"][1]).inputs == ["w", "b"]
    report = tg.check_loss(lambda *args: course.svm_loss(*args, "penalty"), *LOSSES["svm loss"][1])
    assert report.failing_inputs == ["input 0"]


@pytest.mark.parametrize("kind", [course.Affine, course.AffineWithLists, course.AffineWithDicts])
def test_objects_are_checked_with_their_parameters(kind):
    rng = RNG(1)
    layer, x = kind(rng.normal(size=(3, 2)), rng.normal(size=2)), rng.normal(size=(4, 3))
    report = tg.check_layer(layer, x)
    assert report, report
    assert len(report.inputs) == 3
    assert not hasattr(layer, "x")

    class Wrong(kind):
        def backward(self, dout):
            return super().backward(dout) + 0 * super().backward(2 * dout)

    wrong = tg.check_layer(Wrong(rng.normal(size=(3, 2)), rng.normal(size=2)), x)
    assert wrong.failing_inputs == report.inputs[1:]


def test_a_models_loss_is_checked_for_its_parameters():
    net = course.TwoLayerNet(RNG(2))
    report = tg.check_loss(net.loss, RNG(3).normal(size=(4, 3)), np.array([0, 1, 1, 0]))
    assert report, report
    assert report.inputs == ["W1", "b1", "W2", "b2"]


def test_gradients_in_a_dict_belong_to_arguments_and_to_entries_of_dicts():
    rng = RNG(4)
    parameters = {"Wax": rng.normal(size=(3, 2)), "Waa": rng.normal(size=(3, 3)), "ba": rng.normal(size=(3, 1))}
    report = tg.check_layer(
        course.cell_forward, course.cell_backward, rng.normal(size=(2, 4)), rng.normal(size=(3, 4)), parameters
    )
    assert report, report
    assert report.inputs == ["xt", "a_prev", "parameters['Wax']"]


def test_wrt_chooses_and_masks_pass_through():
    def forward(x, mask):
        return x * mask, mask

    x, mask = RNG(5).normal(size=4), np.array([1.0, 0.0, 1.0, 1.0])
    report = tg.check_layer(forward, lambda dout, mask: dout * mask, x, mask)
    assert report.inputs == ["x"]
    assert report.notes == ["mask is not differentiated: it holds only 0 and 1, and no gradient is returned for it"]
    report = tg.check_layer(forward, lambda dout, mask: dout * mask, x, mask + 0.5)
    assert report.unchecked == ["mask"]
    assert tg.check_layer(forward, lambda dout, mask: dout * mask, x, mask + 0.5, wrt="x").inputs == ["x"]
    assert tg.check_loss(lambda w, x: ((w * x).sum(), x), x, mask, wrt=0)
    with pytest.raises(ValueError, match="wrt names 'y', and the arguments are x, mask"):
        tg.check_layer(forward, lambda dout, mask: dout * mask, x, mask, wrt="y")


def test_a_gradient_that_is_right_for_one_dout_only_is_wrong():
    ones = np.ones((2, 3))
    report = tg.check_layer(lambda x: (2 * x, None), lambda dout, cache: 2 * dout**2, ones, dout=ones)
    assert report
    assert not tg.check_layer(lambda x: (2 * x, None), lambda dout, cache: 2 * dout**2, ones)
    with pytest.raises(ValueError, match="dout has the shapes"):
        tg.check_layer(lambda x: (2 * x, None), lambda dout, cache: dout, ones, dout=np.ones(3))


def test_what_a_backward_pass_changes_is_noted_and_judged_by_what_it_returned():
    def backward(dout, cache):
        dx = 3.0 * dout * cache["x"] ** 2
        dout *= 0.0
        cache["x"][...] = 0.0
        return dx

    report = tg.check_layer(lambda x: (x**3, {"x": x}), backward, RNG(6).normal(size=3))
    assert report
    assert any("changes the dout it is given" in note for note in report.notes)
    assert any("changes what is cached" in note for note in report.notes)


def test_a_layer_that_draws_a_mask_at_each_call_is_named():
    report = tg.check_layer(
        course.dropout_forward, course.dropout_backward, np.ones((4, 5)), {"mode": "train", "p": 0.5}
    )
    assert not report
    assert "gives two results for the same inputs" in repr(report)
    assert not report.entries


def test_none_wrong_shapes_and_missing_parts_are_lines_of_the_report():
    forward, _, args = LAYERS["affine"]

    def backward(dout, cache):
        _, dw, _ = course.affine_backward(dout, cache)
        return None, dw, dout.sum(axis=0, keepdims=True)

    report = tg.check_layer(forward, backward, *args)
    assert report.unchecked == ["x", "b"]
    assert all(entry.holds for entry in report.entries)
    assert {entry.name for entry in report.entries} == {"w"}
    assert "x: no gradient is returned for it (None)" in repr(report)
    assert "the numbers are right: keepdims or a reshape is missing" in repr(report)
    swapped = tg.check_layer(forward, lambda *given: course.affine_backward(*given)[::-1], *args)
    assert not swapped
    forward, backward, args = LAYERS["conv"]
    args = [*args[:3], {"stride": 1, "pad": 0}]
    report = tg.check_layer(forward, lambda *given: backward(*given, "empty"), *args)
    assert report.unchecked == ["x"]
    assert "empty: a slice p:-p with p = 0 is" in repr(report)


def test_ties_of_a_max_pool_may_go_to_one_or_be_shared_and_not_be_given_twice():
    forward, backward, _ = LAYERS["max pool"]
    x = RNG(7).integers(0, 3, size=(2, 2, 4, 4)).astype(float)
    assert tg.check_layer(forward, backward, x, {"size": 2})
    report = tg.check_layer(forward, lambda *given: backward(*given, "ties"), x, {"size": 2})
    assert not report
    assert "a tie's gradient is given more than once" in repr(report)


def test_bad_arguments_are_refused():
    with pytest.raises(TypeError, match=r"check_layer takes \(forward, backward, \*arguments\)"):
        tg.check_layer(np.sin, np.ones(2))
    with pytest.raises(ValueError, match=r"x hold integers: write 1.0, not 1\): choose what"):
        tg.check_layer(lambda x: (x, x), lambda dout, cache: dout, np.arange(3))
    with pytest.raises(ValueError, match="the inputs are empty"):
        tg.check_layer(lambda x: (x, x), lambda dout, cache: dout, np.ones(0))
    with pytest.raises(TypeError, match=r"must give an array of floats, then maybe a cache; got a str"):
        tg.check_layer(lambda x: ("a", x), lambda dout, cache: dout, np.ones(2))
    with pytest.raises(TypeError, match=r"check_loss needs a function that gives \(loss, gradients\), got a float"):
        tg.check_loss(lambda w: float(w.sum()), np.ones(2))


def test_a_report_is_a_dict_that_json_holds_a_table_and_chinese():
    forward, backward, args = LAYERS["affine"]
    wrong = lambda *given: backward(*given, "mean")  # noqa: E731
    report = tg.check_layer(forward, wrong, *args)
    known = json.loads(json.dumps(report.to_dict()))
    assert known["passed"] is False
    assert known["failing_inputs"] == ["b"]
    assert len(known["entries"]) == len(report.entries)
    page = report._repr_html_()
    assert page.count("background:#ffe0dc") == 3
    chinese = tg.check_layer(forward, wrong, *args, language="zh")
    assert repr(chinese).startswith("梯度检查未通过：38 个元素中有 3 个错误，出现在 b")
    assert "相对误差" in chinese._repr_html_()


def test_assertions_fail_with_the_report():
    forward, backward, args = LAYERS["affine"]
    assert_layer(forward, backward, *args)
    with pytest.raises(AssertionError, match="FAILED: 3 of 38 entries are wrong, in b"):
        assert_layer(forward, lambda *given: backward(*given, "mean"), *args)
    loss, args = LOSSES["svm loss"]
    assert_loss(loss, *args)
    with pytest.raises(AssertionError, match="FAILED: 15 of 15 entries are wrong"):
        assert_loss(lambda *given: loss(*given, "penalty"), *args)


def test_backward_passes_may_take_the_inputs_or_more_arguments_and_return_names_in_any_order():
    x, w, b = RNG(8).normal(size=(4, 3)), RNG(9).normal(size=(3, 2)), RNG(10).normal(size=2)

    def forward(x, w, b, kind):
        return x @ w + b, (x, w)

    def backward(dout, cache, kind):
        x, w = cache
        dw, db, dx = x.T @ dout, dout.sum(axis=0), dout @ w.T
        assert kind == "plain"
        return dw, db, dx

    assert tg.check_layer(forward, backward, x, w, b, "plain").inputs == ["x", "w", "b"]
    assert tg.check_layer(lambda x, w: x @ w, lambda dout, x, w: (dout @ w.T, x.T @ dout), x, w)
    assert tg.check_layer(lambda x, w: x @ w, lambda dout, *rest: (dout @ rest[1].T, rest[0].T @ dout), x, w)
    swapped = tg.check_layer(lambda x, w: (x @ w, (x, w)), lambda d, c: (c[0].T @ d, d @ c[1].T), x, w)
    assert swapped.unchecked == ["x", "w"]
    assert "is the gradient of w: two are swapped" in repr(swapped)


class SquaredLoss:
    """A loss whose backward pass takes no gradient; `forms_of_losses` makes others of it."""

    def __init__(self, wrong=1.0):
        self.wrong = wrong

    def forward(self, guess, wanted):
        self.off = guess - wanted
        return np.mean(self.off**2)

    def backward(self):
        return 2 * self.wrong * self.off / self.off.size


class DefaultDout(SquaredLoss):
    def backward(self, dout=1):
        return super().backward()


class NeedsDout(SquaredLoss):
    def backward(self, dout):
        return super().backward()


def loss_pass(guess, wanted):
    off = guess - wanted
    return np.mean(off**2), off


def forms_of_losses(k):
    yield SquaredLoss(k), ()
    yield DefaultDout(k), ()
    yield loss_pass, (lambda cache: 2 * k * cache / cache.size,)
    yield lambda guess, wanted: loss_pass(guess, wanted)[0], (lambda guess, wanted: 2 * k * (guess - wanted) / 6,)


def test_the_backward_pass_of_a_loss_needs_no_dout_and_one_that_asks_for_it_has_to_use_it():
    guess, wanted = RNG(0).normal(size=(2, 3)), np.arange(6).reshape(2, 3)
    for forward, backward in forms_of_losses(1.0):
        assert tg.check_layer(forward, *backward, guess, wanted)
    for forward, backward in forms_of_losses(0.5):
        assert not tg.check_layer(forward, *backward, guess, wanted)
    report = tg.check_layer(NeedsDout(), guess, wanted)
    assert [(d.kind, d.inputs) for d in report.diagnoses] == [("dout isn't used", ("guess",))]


def test_a_layer_with_several_results_has_no_cache_where_backward_takes_a_gradient_for_each():
    class Cell:
        def __init__(self, w):
            self.weights = w

        def forward(self, x, c):
            self.seen = x, c
            c_next = c * x
            h = c_next @ self.weights
            return h, c_next

        def backward(self, dh, dc_next):
            x, c = self.seen
            both = dh @ self.weights.T + dc_next
            self.w_grad = (c * x).T @ dh
            return both * c, both * x

    x, c, w = RNG(0).normal(size=(2, 3)), RNG(1).normal(size=(2, 3)), RNG(2).normal(size=(3, 3))
    report = tg.check_layer(Cell(w), x, c)
    assert report, report
    assert report.inputs == ["x", "c", "weights"]


@pytest.mark.parametrize("seed", range(4))
def test_inputs_drawn_with_a_small_seed_are_not_the_cotangent_itself(seed):
    x = RNG(seed).normal(size=(4, 3))
    report = tg.check_layer(lambda x: np.fmax(x, 0), lambda dout, *_: 1.0 * (x > 0), x)
    assert "the gradient that arrives is left out" in report.diagnoses[0].text
    report = tg.check_layer(lambda x: np.fmax(x, 0), lambda dout, *_: dout * (x < 0), x)
    assert "wrong way round" in report.diagnoses[0].text


def test_a_factor_of_an_assignment_in_place_is_called_as_it_is_written():
    kept = np.array([1, 0, 2, 1])

    def loss(x):
        terms = np.tanh(x)
        terms *= kept
        return terms.sum(), 1 - np.tanh(x) ** 2

    assert "the factor `kept` is left out" in tg.check_loss(loss, RNG(5).normal(size=4)).diagnoses[0].text


def test_the_slope_of_a_leaky_relu_taken_at_the_layers_input_is_named():
    def forward(x, w):
        z = x @ w
        return np.maximum(0.1 * z, z), (x, w)

    def backward(dout, cache):
        x, w = cache
        dz = dout * np.where(x > 0, 1, 0.1)
        return dz @ w.T, x.T @ dz

    report = tg.check_layer(forward, backward, RNG(3).normal(size=(4, 3)), RNG(4).normal(size=(3, 3)))
    assert "is taken at `x`" in report.diagnoses[0].text
    assert report.diagnoses[0].inputs == ("x", "w")
    assert not report.diagnoses[0].repair


def test_layers_that_keep_their_results_or_parameters_in_objects_are_read():
    class Parameter:
        def __init__(self, data):
            self.data, self.grad = data, None

    class Layer:
        def __init__(self):
            self.weight = Parameter(RNG(11).normal(size=(3, 2)))
            self.scale = np.ones(2)

        def forward(self, inputs):
            self.inputs = inputs
            self.output = inputs @ self.weight.data * self.scale

        def backward(self, dvalues, lr):
            self.weight.grad = self.inputs.T @ (dvalues * self.scale)
            self.dinputs = (dvalues * self.scale) @ self.weight.data.T
            self.scale -= lr * 1.0

    report = tg.check_layer(Layer(), RNG(12).normal(size=(4, 3)))
    assert report, report
    assert report.inputs == ["inputs", "weight"]
    assert report.notes[0].startswith("scale is not differentiated: the layer has no gradient for it")


def test_a_loss_may_take_a_dict_of_parameters_or_numbers():
    X = RNG(13).normal(size=(4, 3))

    def loss(p, X):
        error = X @ p["w"] + p["b"]
        return np.sum(error**2), {"db": 2 * np.sum(error), "dw": 2 * X.T @ error}

    assert tg.check_loss(loss, {"w": np.ones(3), "b": 0.5}, X).inputs == ["p['w']", "p['b']"]

    def of_numbers(*args):
        w, b, X = args
        error = X @ w + b
        return np.sum(error**2), 2 * X.T @ error, 2 * np.sum(error)

    assert tg.check_loss(of_numbers, np.ones(3), 0.3, X).inputs == ["input 0", "input 1"]


def test_what_only_float32_rounds_away_is_no_mistake():
    x = (100 + RNG(14).normal(size=(2, 5))).astype(np.float32)  # of two rows, a normalised batch has a gradient near 0
    gamma, beta = RNG(15).normal(size=(2, 5)).astype(np.float32)
    report = tg.check_layer(course.batchnorm_forward, course.batchnorm_backward, x, gamma, beta, {})
    assert report, report
    assert any("wrong in float32 only, by rounding" in note for note in report.notes)
    wrong = lambda *given: course.batchnorm_backward(*given, "no mean")  # noqa: E731
    assert tg.check_layer(course.batchnorm_forward, wrong, x, gamma, beta, {}).failing_inputs == ["x"]


def test_lists_of_floats_are_taken_as_arrays_and_settings_beside_arrays_are_not():
    def forward(x, betas=(1.0, 1.0)):
        return x * betas[0], betas

    def backward(dout, betas):
        return dout * betas[0]

    for x in ([[1.0, 2.0], [3.0, 4]], [1.0, 2.5]):
        assert tg.check_layer(forward, backward, x)
        assert tg.check_loss(lambda x: (np.sum(x**2), 2 * x), x)
        assert not tg.check_loss(lambda x: (np.sum(x**2), x), x)
    assert tg.check_layer(forward, backward, np.ones((2, 2)), [0.9, 0.999])
    with pytest.raises(ValueError, match="wrt="):
        tg.check_layer(forward, backward, [[1, 2], [3, 4]])


DRAWN = np.random.default_rng(11)


def cell(x, c, parameters):
    c_next = parameters["k"] * c + np.tanh(x)
    h = np.sin(c_next)
    return h, c_next, h * parameters["out"], (x, c, c_next, parameters)


def cell_back(dh, dc_next, cache, slope=np.cos):
    x, c, c_next, parameters = cache
    dc_next = dc_next + dh * slope(c_next)
    return {"dx": dc_next * (1 - np.tanh(x) ** 2), "dc": dc_next * parameters["k"], "dk": np.sum(dc_next * c)}


def test_results_whose_gradients_a_cell_does_not_take_and_entries_that_it_returns_none_of_are_only_looked_at():
    inputs = DRAWN.normal(size=(2, 3)), DRAWN.normal(size=(2, 3)), {"k": 0.7, "out": np.ones(3)}
    report = tg.check_layer(cell, cell_back, *inputs)
    assert report, report
    assert report.inputs == ["x", "c", "parameters['k']"]
    report = tg.check_layer(cell, lambda dh, dc_next, cache: cell_back(dh, dc_next, cache, np.sin), *inputs)
    assert [found.expression for found in report.diagnoses] == ["np.sin(c_next)"]


SCALE = np.array([0.5, -1.0, 2.0])
SHIFT = np.array([0.1, 0.2, 0.3])


def loss_of_globals(x):
    z = x * SCALE + SHIFT
    dz = 2 * z
    dSCALE, dSHIFT = (x * dz).sum(axis=0), dz.sum(axis=0)
    return np.sum(z**2), dSCALE, dSHIFT, z[-1]


def loss_of_globals_with_a_slip(x):
    z = x * SCALE + SHIFT
    dz = 2 * z
    dSCALE, dSHIFT = (x * z).sum(axis=0), dz.sum(axis=0)
    return np.sum(z**2), dSCALE, dSHIFT, z[-1]


def test_arrays_of_the_module_that_a_loss_reads_are_checked_where_it_returns_their_gradients():
    x, kept = DRAWN.normal(size=(4, 3)), SCALE.copy()
    assert tg.check_loss(loss_of_globals, x)
    report = tg.check_loss(loss_of_globals_with_a_slip, x)
    assert report.inputs == ["SCALE", "SHIFT"]
    assert report.failing_inputs == ["SCALE"]
    assert "factor 1/2" in report.diagnoses[0].text
    assert report.diagnoses[0].line
    np.testing.assert_array_equal(SCALE, kept)


def test_what_a_loss_returns_beside_named_gradients_is_left_out_with_a_note():
    def loss(scores, weights):
        n = np.sum(weights)
        d_scores = 2 * scores * weights[:, None]
        return np.sum(scores**2 * weights[:, None]), n, d_scores

    report = tg.check_loss(loss, DRAWN.normal(size=(3, 2)), np.ones(3))
    assert report, report
    assert report.inputs == ["scores"]
    assert any("n is not differentiated" in note for note in report.notes)


def test_what_a_loss_returns_beside_a_dict_of_gradients_is_left_out():
    def loss(x, parameters):
        h = np.tanh(x @ parameters["W"])
        return np.sum(h), {"dW": x.T @ (1 - h**2), "dh_next": h[-1]}, h[-1]

    report = tg.check_loss(loss, DRAWN.normal(size=(4, 3)), {"W": DRAWN.normal(size=(3, 2))})
    assert report, report
    assert report.inputs == ["parameters['W']"]


def test_a_gradient_of_a_wrong_shape_and_name_is_not_left_out():
    def loss(w, b):
        dw, dbias = 2 * w * b, np.sum(w**2)
        return np.sum(w**2 * b), dw, dbias

    report = tg.check_loss(loss, DRAWN.normal(size=(2, 3)), DRAWN.normal(size=3))
    assert not report


def test_lists_of_matrices_are_matched_with_lists_of_gradients():
    def loss(weights, biases, x):
        h = np.tanh(weights[0] @ x + biases[0])
        e = weights[1] @ h + biases[1]
        dz = weights[1].T @ e * (1 - h**2)
        return 0.5 * np.sum(e**2), [np.outer(dz, x), np.outer(e, h)], [dz, e]

    weights, biases = [DRAWN.normal(size=shape) for shape in ((4, 3), (2, 4))], [np.ones(4), np.zeros(2)]
    report = tg.check_loss(loss, weights, biases, DRAWN.normal(size=3))
    assert report, report
    assert report.inputs == ["weights[0]", "weights[1]", "biases[0]", "biases[1]"]


def test_named_gradients_of_which_one_has_a_wrong_shape_are_matched_by_their_names():
    def loss(w, b):
        z = w.sum(axis=0) * b
        dw, db = np.ones((2, 1)) * (2 * z * b), np.sum(2 * z * w.sum(axis=0))
        return np.sum(z**2), db, dw

    report = tg.check_loss(loss, DRAWN.normal(size=(2, 3)), DRAWN.normal(size=3))
    assert [found.inputs for found in report.diagnoses] == [("b",)]
    assert report.diagnoses[0].kind == "shape"


def test_a_tuple_of_parameters_is_matched_with_a_tuple_of_gradients_and_a_sum_over_too_much_is_told():
    def loss(parameters, x):
        w, b = parameters
        z = w @ x + b
        return np.sum(z**2), (2 * z @ x.T, 2 * np.sum(z))

    report = tg.check_loss(loss, (DRAWN.normal(size=(2, 3)), np.zeros((2, 1))), DRAWN.normal(size=(3, 4)))
    assert report.inputs == ["parameters[0]", "parameters[1]"]
    assert [found.inputs for found in report.diagnoses] == [("parameters[1]",)]
    assert "sum over the examples' axis only" in report.diagnoses[0].text


def logistic(z):
    out, low = np.empty_like(z), z < 0
    out[~low] = 1.0 / (1.0 + np.exp(-z[~low]))
    grown = np.exp(z[low])
    out[low] = grown / (1.0 + grown)
    return out


@pytest.mark.parametrize(
    ("slope", "kind"),
    [
        (lambda a, z: 1.0, "derivative left out"),
        (lambda a, z: a, "another slope"),
        (lambda a, z: z * (1 - z), "derivative at the wrong place"),
        (lambda a, z: 1 - a**2, "derivative at the wrong place"),
    ],
)
def test_a_sigmoid_that_is_made_of_cases_is_known_as_one(slope, kind):
    def loss(w, x):
        z = x @ w
        a = logistic(z)
        return np.sum(a**3), x.T @ (3 * a**2 * slope(a, z))

    report = tg.check_loss(loss, DRAWN.normal(size=(3, 2)), DRAWN.normal(size=(4, 3)))
    assert [found.kind for found in report.diagnoses] == [kind]
    assert "sigmoid" in report.diagnoses[0].text


def test_gradients_that_are_put_together_in_another_order_are_told_apart():
    def loss(p, x):
        w, b, v = p[:6].reshape(2, 3), p[6:8], p[8:]
        h = np.tanh(w @ x + b)
        dz = v * (1 - h**2)
        return v @ h, np.concatenate([dz, np.outer(dz, x).ravel(), h])

    report = tg.check_loss(loss, DRAWN.normal(size=10), DRAWN.normal(size=3))
    assert [found.kind for found in report.diagnoses] == ["other input's gradient"]
    assert report.diagnoses[0].text.startswith("entries 0 to 5 and 6 to 7 are in each other's place")


class Kept:
    """A layer that keeps what its backward pass needs only where it is called."""

    def __init__(self):
        self.weight, self.weight_update = {"w": DRAWN.normal(size=3)}, {}

    def __call__(self, x):
        self.x = x
        return self.forward(x)

    def forward(self, x):
        return x * self.weight["w"]

    def backward(self, dout):
        self.weight_update = {"w": (self.x * dout).sum(axis=0)}
        return dout * self.weight["w"]


def test_a_layer_that_keeps_its_cache_where_it_is_called_is_called():
    report = tg.check_layer(Kept(), DRAWN.normal(size=(2, 3)))
    assert report, report
    assert report.inputs == ["x", "w"]


def test_a_backward_pass_that_asks_for_what_there_is_not_is_told_what_it_is_given():
    layer = Kept()
    layer.backward = lambda x, target, output: None
    with pytest.raises(TypeError, match="takes x, target, output: it is given the gradient of each output"):
        tg.check_layer(layer, np.ones((2, 3)))


def test_an_eps_in_a_logarithm_that_the_backward_pass_has_not_is_named():
    def loss(z):
        p = 1 / (1 + np.exp(-z))
        return -np.sum(np.log(p + 1e-3)), p - 1

    assert [found.expression for found in tg.check_loss(loss, DRAWN.normal(size=5)).diagnoses] == ["p + 1e-3"]
