"""`tg.compile`: results equal the eager run to the bit, the source reads as written by a person and runs by itself."""

import gc
import itertools
import linecache
import math
import subprocess
import sys
import threading
import traceback

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_edu as tg
from tinygrad_edu.article import DATASET, TARGETS, network_from, recovered_start

SPECIAL = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -2.5,
    5e-324,
    -5e-324,
    1e-310,
    1e308,
    -1e308,
    math.inf,
    -math.inf,
    math.nan,
    710.0,
]
UNARY = [tg.negative, tg.exp, tg.log, tg.tanh, tg.sigmoid, tg.sin, tg.square, tg.sqrt, tg.softplus, tg.floor, tg.silu]
UNARY += [tg.relu, tg.absolute, tg.leaky_relu, tg.elu, tg.sinc, tg.sign, tg.logsumexp, tg.max, tg.prod]
BINARY = [tg.add, tg.subtract, tg.multiply, tg.divide, tg.arctan2, tg.maximum, tg.minimum, tg.power, tg.hypot]
BINARY += [tg.logaddexp, tg.remainder, tg.heaviside]


def bits(x):
    """What tells numbers apart to the last bit; every nan is one nan."""
    x = np.asarray(tg.core.value.data_of(x))
    return (x.shape, x.dtype.str, np.where(np.isnan(x), np.nan, x).tobytes())


def assert_same(compiled, function, *args):
    eager = function(*(tg.Value(a) for a in args))
    for _ in range(2):  # recorded, then replayed
        results = compiled(*args)
        for ours, theirs in zip(tg.tree.leaves_of(results), tg.tree.leaves_of(eager), strict=True):
            assert bits(ours) == bits(theirs)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("operation", [*UNARY, *BINARY], ids=lambda op: op.name)
def test_operations_and_their_gradients_equal_the_eager_run_on_special_values(operation):
    binary = operation in BINARY

    def f(*inputs):
        out = operation(*inputs)
        return out, tg.gradients(out, inputs)

    compiled = tg.compile(f)
    for a in SPECIAL:
        for b in SPECIAL if binary else [0.0]:
            assert_same(compiled, f, *((a, b) if binary else (a,)))


def test_a_rule_that_looks_at_numbers_is_refused_and_never_recorded_for_one_case():
    def rule(g, out, x):
        return tg.concatenate([g[k : k + 1] for k in np.argsort(np.argsort(x.data))])

    order = tg.operation(np.sort, (rule,), name="order")
    f = tg.compile(lambda x: tg.gradients(order(x)[0], [x]))
    with pytest.raises(TypeError, match="while compiling, Python reads the data of"):
        f(np.array([2.0, 1.0]))
    forward_only = tg.compile(lambda x: order(x))
    for x in (np.array([2.0, 1.0]), np.array([1.0, 2.0])):
        assert forward_only(x).tolist() == [1.0, 2.0]


def test_where_chooses_anew_at_each_call():
    f = lambda x, y: tg.where(x > y, x * x, -y)  # noqa: E731

    def slopes(x, y):
        out = tg.where(x > y, x * x, -y)
        return tg.gradients(out.sum() if out.ndim else out, [x, y])

    for a, b in ((1.0, 2.0), (3.0, 2.0), (2.0, 2.0), (0.0, -1.0), (-1.0, 0.0)):
        assert_same(tg.compile(f), f, a, b)
        assert_same(tg.compile(slopes), slopes, a, b)
    compiled, of_slopes = tg.compile(f), tg.compile(slopes)
    assert [compiled(a, 2.0) for a in (1.0, 3.0)] == [-2.0, 9.0]
    assert [of_slopes(a, 2.0) for a in (1.0, 3.0)] == [[0.0, -1.0], [6.0, 0.0]]
    x, y = np.array([1.0, 3.0]), np.array([2.0, 2.0])
    assert compiled(x, y).tolist() == [-2.0, 9.0]
    assert compiled(y, x).tolist() == [4.0, -3.0]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    "law",
    [
        lambda x, y: x * 1.0,
        lambda x, y: 1.0 * x,
        lambda x, y: x / 1.0,
        lambda x, y: x + (-y),
        lambda x, y: tg.negative(tg.negative(x)),
        lambda x, y: x * y + x * y,
        lambda x, y: x - y - (x - y),
        lambda x, y: x * 0.0 + 0.0 * y,
        lambda x, y: (x + y) + 0.0,
        lambda x, y: x * 2.0 * (3.0 * y),
        lambda x, y: x - (y - x),
        lambda x, y: x / (y / x),
        lambda x, y: -x * y - -(x * y),
        lambda x, y: -(x + y),
        lambda x, y: x + -2.5 + (y + -0.0),
        lambda x, y: x**3.0 - y**2.0 / x**1.0,
        lambda x, y: tg.gradients((x * y * tg.ones_like(x)).sum() if x.ndim else x * y, [x, y])[0],
        lambda x, y: tg.sigmoid(x * y) * tg.exp(-(x - y)),
    ],
)
def test_rewrites_and_parentheses_change_no_bit_on_special_values(law):
    compiled = tg.compile(law)
    for x in SPECIAL:
        for y in SPECIAL:
            assert_same(compiled, law, x, y)
    array = np.array(SPECIAL)
    assert_same(compiled, law, array, array[::-1].copy())


@st.composite
def programs(draw):
    """A program of shared nodes: at each step an operation of two earlier results."""
    return draw(
        st.lists(st.tuples(st.sampled_from(range(6)), st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=30)
    )


def run_program(steps, inputs):
    made = list(inputs)
    for kind, i, j in steps:
        x, y = made[i % len(made)], made[j % len(made)]
        made.append([x + y, x - y, x * y, tg.sigmoid(x), tg.tanh(x - y), -x][kind])
    return made[-1]


@settings(max_examples=60)
@given(
    programs(),
    st.lists(st.floats(-3, 3), min_size=3, max_size=3),
    st.sampled_from(["float", "array", "broadcast", "float32"]),
)
def test_drawn_programs_and_their_gradients_equal_the_eager_run(steps, numbers, kind):
    inputs = {
        "float": numbers,
        "array": [np.linspace(x, 1.0, 4) for x in numbers],
        "broadcast": [np.full((2, 1), numbers[0]), np.linspace(numbers[1], 1.0, 3), numbers[2]],
        "float32": [np.linspace(x, 1.0, 4, dtype=np.float32) for x in numbers],
    }[kind]

    def f(*xs):
        out = run_program(steps, xs)
        loss = out.sum() if out.ndim else out
        return out, tg.gradients(loss, xs)

    assert_same(tg.compile(f), f, *inputs)


def article_step(network, row, target):
    loss = tg.nn.half_squared_error(network(row), target)
    return loss, tg.gradients(loss, network.parameters())


@pytest.mark.parametrize("kind", ["scalar", "dense"])
def test_a_networks_step_equals_the_eager_one_and_follows_its_weights(kind):
    network = network_from(recovered_start(), kind)
    step = tg.compile(article_step)
    for row, target in zip(DATASET, TARGETS, strict=True):
        if kind == "dense":
            row, target = np.array(row), np.array(target)
        loss, slopes = step(network, row, target)
        eager = tg.nn.half_squared_error(network(row), target)
        network.zero_grad()
        eager.backward()
        assert bits(loss) == bits(eager)
        assert [bits(g) for g in slopes] == [bits(p.grad) for p in network.parameters()]
        tg.nn.SGD(0.5)(network.parameters())


def test_the_source_reads_as_backprop_by_hand():
    step = tg.compile(article_step)
    step(network_from(recovered_start()), DATASET[0], TARGETS[0])
    lines = [line.strip() for line in step.source.splitlines()]
    assert "sum_0_0 = bias_0_0 + weights_0_0_0 * row_0 + weights_0_0_1 * row_1" in lines
    assert "output_1_1 = 1.0 / (1.0 + math.exp(-sum_1_1))" in lines
    assert "d_sum_1_0 = d_output_1_0 * (output_1_0 * (1.0 - output_1_0))" in lines
    assert "d_output_0_0 = d_sum_1_0 * weights_1_0_0 + d_sum_1_1 * weights_1_1_0" in lines


@pytest.mark.parametrize("kind", ["scalar", "dense"])
def test_the_source_runs_by_itself(tmp_path, kind):
    network = network_from(recovered_start(), kind)
    row, target = (DATASET[0], TARGETS[0]) if kind == "scalar" else (np.array(DATASET[0]), np.array(TARGETS[0]))
    step = tg.compile(article_step)
    expected, _ = step(network, row, target)
    arguments = [p.data for p in network.parameters()] + ([*row, *target] if kind == "scalar" else [row, target])
    written = ", ".join(repr(a) if isinstance(a, float) else f"np.array({a.tolist()})" for a in arguments)
    program = f"import numpy as np\n{step.source}\nprint(float(article_step({written})[0]).hex())\n"
    (tmp_path / "copied.py").write_text(program, "utf-8")
    done = subprocess.run([sys.executable, "copied.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == float(expected).hex()


def test_recorded_once_for_each_signature():
    f = tg.compile(lambda x: tg.sum(x * x))
    for x in (np.ones(3), np.ones(3), np.ones(4), np.ones(3, np.float32), 2.0, 3.0):
        f(x)
    assert len(f.made) == 4


def test_a_network_is_recorded_for_itself_and_not_for_another_in_its_place():
    step = tg.compile(lambda network, x: network(x)[0])
    for activation in (tg.tanh, tg.sigmoid, tg.relu) * 3:
        network = tg.Network([tg.Layer([tg.Neuron([0.5], 0.25, activation=activation)])])
        assert step(network, [1.0]) == network([1.0])[0].data
        del network


def test_nested_structures_come_and_go():
    @tg.compile
    def f(p):
        return {"product": p["w"] * p["x"][0], "parts": (p["x"][1] + 1.0, 5.0)}

    assert f({"w": 2.0, "x": [3.0, 4.0]}) == {"product": 6.0, "parts": (5.0, 5.0)}
    assert f({"w": 3.0, "x": [3.0, 4.0]}) == {"product": 9.0, "parts": (5.0, 5.0)}


def test_a_result_is_not_changed_by_a_later_call():
    f = tg.compile(lambda x: (x * 2.0, x))
    first = f(np.ones(3))
    f(np.full(3, 7.0))
    assert first[0].tolist() == [2.0, 2.0, 2.0]


@pytest.mark.parametrize(
    "branch",
    [
        lambda x: x if x > 0.0 else -x,
        lambda x: -x if x else x,
        lambda x: x * np.argmax(tg.stack([x, x])),
        lambda x: x * np.isnan(x),
    ],
)
def test_a_branch_on_data_is_an_error_that_names_the_line(branch):
    with pytest.raises(TypeError, match=r"test_compile\.py:\d+: while compiling.*static=True"):
        tg.compile(branch)(1.0)
    assert tg.Value(1.0) > 0.0


@pytest.mark.parametrize("function", [lambda x: x * float(x), lambda x: x * max(range(int(x))), math.exp])
def test_a_value_that_is_to_become_a_plain_number_is_an_error_that_says_what_to_write(function):
    with pytest.raises(TypeError, match=r"while compiling, .* is to become a plain number: .*v\.item\(\)"):
        tg.compile(function)(1.0)


def test_asking_for_the_shape_is_no_branch():
    f = tg.compile(lambda x: x * float(np.size(x) + np.ndim(x)) + np.ones_like(x))
    assert f(np.array([1.0, 2.0])).tolist() == [4.0, 7.0]
    assert f(np.array([2.0, 3.0])).tolist() == [7.0, 10.0]


def test_names_are_written_as_python_reads_them():
    f = tg.compile(lambda x: tg.operation(lambda x: x * 2.0, lambda g, out, x: (g * 2.0,), name="xᵀ²")(x))
    assert f(3.0) == 6.0
    assert "xT2" in f.source


def test_static_records_the_way_that_was_taken():
    f = tg.compile(lambda x: x if x > 0.0 else -x, static=True)
    assert f(2.0) == 2.0
    assert f(-2.0) == -2.0


def test_an_operation_of_your_own_is_called_as_a_function():
    cube = tg.operation(lambda x: x * x * x, lambda g, out, x: (g * (3.0 * x * x),), name="cube")
    f = tg.compile(lambda x: tg.gradients(cube(x), [x])[0] + cube(x))
    assert f(2.0) == 20.0
    assert "cube(x)" in f.source


def test_errors_in_the_source_show_its_line_and_the_users():
    def solved(a, b):
        x = tg.solve(a, b)
        return x * 2.0

    f = tg.compile(solved)
    f(np.eye(2), np.ones(2))
    with pytest.raises(np.linalg.LinAlgError) as error:
        f(np.zeros((2, 2)), np.ones(2))
    shown = "".join(traceback.format_exception(error.value))
    assert "x = solve(a, b)" in shown  # of the source
    assert "x = tg.solve(a, b)" in shown  # of the function above


def test_sources_for_error_messages_go_with_their_functions():
    before = set(linecache.cache)
    f = tg.compile(lambda x: x * 2.0)
    f(1.0)
    assert [linecache.getline(name, 2) for name in set(linecache.cache) - before] == ["    product = x * 2.0\n"]
    del f
    gc.collect()
    assert set(linecache.cache) <= before


def test_compiled_functions_may_be_called_from_many_threads():
    f = tg.compile(lambda x: tg.sigmoid(x) * x)
    wrong = []

    def work(k):
        for i in range(200):
            x = k + i / 200.0
            if f(x) != tg.sigmoid(x) * x:
                wrong.append(x)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert wrong == []


def test_graph_is_the_picture_of_the_recording():
    f = tg.compile(lambda x: tg.sigmoid(x) * 2.0)
    with pytest.raises(ValueError, match="call the function first"):
        f.graph()
    f(1.0)
    assert "σ" in f.graph().source
    slope = tg.compile(lambda w: tg.gradients(tg.sigmoid(w * w), [w]))
    slope(0.5)
    assert "d_w" in slope.graph().source


def test_not_of_a_comparison_is_recorded_for_arrays_and_refused_for_numbers_where_it_is_a_number_in_python():
    f = tg.compile(lambda x: tg.where(~(x > 1.0), x, 0.0))
    assert f(np.array([0.5, 2.0])).tolist() == [0.5, 0.0]
    with pytest.raises(TypeError, match=r"~ of a truth of Python's: write np\.logical_not"):
        f(0.5)


def test_comparisons_and_what_is_made_of_them_are_recorded():
    def f(x, y):
        inside = (x > 0.0) & np.less(x, y) | np.logical_not(y >= 1.0)
        out = tg.where(inside, x * y, -x)
        return out, tg.gradients(out.sum() if out.ndim else out, [x, y])

    scalar, array = tg.compile(f), tg.compile(f)
    pairs = [(2.0, 3.0), (2.0, 1.5), (-1.0, 0.5), (3.0, 2.0), (0.0, -1.0), (1.0, 1.0)]
    for x, y in pairs:
        inside = (0.0 < x < y) or not y >= 1.0
        assert scalar(x, y) == (x * y if inside else -x, [y, x] if inside else [-1.0, 0.0])
    assert "inside = (x > 0.0 and x < y) or float(y >= 1.0) == 0.0" in scalar.source
    columns = np.array(pairs).T.copy()
    assert array(*columns)[0].tolist() == [scalar(x, y)[0] for x, y in pairs]
    assert "np.where(inside, x * y, -x)" in array.source
    for ufunc in (np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal, np.logical_and):
        g = tg.compile(lambda x, y, ufunc=ufunc: tg.where(ufunc(x, y), x, y))
        for x, y in itertools.product([0.0, 1.0, 2.0], repeat=2):
            assert g(x, y) == (x if ufunc(x, y) else y)
            assert g(np.array([x, y]), np.array([y, y])).tolist() == np.where(ufunc([x, y], y), [x, y], y).tolist()
    with pytest.raises(TypeError, match="unsupported operand"):
        tg.Value(1.0) & True
    with pytest.raises(TypeError, match="~ is for the results of comparisons"):
        ~tg.Value(1.0)


def test_names_come_from_variables_of_the_function():
    @tg.compile
    def step(layers, x):
        (w1, b1), (w2, b2) = layers
        hidden = tg.tanh(w1 * x + b1)
        loss = w2 * hidden + b2
        return loss, tg.gradients(loss, [w1, b2])

    step([(0.5, 0.25), (2.0, -1.0)], 3.0)
    lines = [line.strip() for line in step.source.splitlines()]
    assert "def step(w1, b1, w2, b2, x):" in lines
    assert "hidden = math.tanh(w1 * x + b1)" in lines
    assert "loss = w2 * hidden + b2" in lines
    assert any(line.startswith("d_w1 = ") for line in lines)


def test_a_classifier_is_printed_without_the_library():
    rng = np.random.default_rng(0)

    @tg.compile
    def classify(w, b, rows, targets):
        loss = -(targets * tg.log_softmax(rows @ w + b, axis=1)).sum()
        return loss, tg.gradients(loss, [w, b])

    classify(rng.normal(size=(4, 3)), np.zeros(3), rng.normal(size=(5, 4)), np.eye(3)[rng.integers(0, 3, 5)])
    assert "tinygrad_edu" not in classify.source


@pytest.mark.parametrize("function", [lambda x: tg.cbrt(x) + 1.0, lambda x: tg.sort(tg.stack([x, -x]))[0]])
def test_a_source_that_calls_operations_says_where_they_are(function, tmp_path):
    f = tg.compile(function)
    expected = float(f(2.0))
    (tmp_path / "copied.py").write_text(f"{f.source}\nprint(float(compiled(2.0)[0]).hex())\n", "utf-8")
    done = subprocess.run([sys.executable, "copied.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected.hex()


def test_a_compiled_function_may_be_a_part_of_another():
    inner = tg.compile(lambda x: tg.sigmoid(x) * x)
    assert inner(1.0) == inner.function(tg.Value(1.0)).data

    @tg.compile
    def outer(x):
        return tg.gradients(inner(x * 2.0), [x])[0]

    for x in (0.5, -1.5):
        v = tg.Value(x)
        tg.multiply(tg.sigmoid(v * 2.0), v * 2.0).backward()
        assert outer(x) == v.grad


def test_arguments_may_be_named_and_bad_ones_are():
    @tg.compile
    def f(rate, point, scale=2.0):
        return rate * point["x"] * scale

    assert f(3.0, {"x": 2.0}) == 12.0
    assert f(point={"x": 2.0}, rate=3.0, scale=1.0) == 6.0
    with pytest.raises(TypeError, match=r"^point: data must be real numbers, got str"):
        f(3.0, {"x": "two"})
    with pytest.raises(TypeError, match="missing a required argument: 'rate'"):
        f(point={"x": 2.0})


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_products_of_matrices_and_vectors_have_the_same_bits_on_special_values(dtype):
    rng = np.random.default_rng(0)
    f = tg.compile(lambda w, v, u: (w.T @ v, w @ u, v @ w, w.T.T @ u, tg.gradients((w @ u).sum(), [w, u])))
    for m, n in itertools.product([1, 2, 3, 8, 33], repeat=2):
        for special in (False, True):
            w, v, u = (
                (rng.choice(SPECIAL[:9], shape) if special else rng.normal(size=shape)).astype(dtype)
                for shape in ((m, n), m, n)
            )
            for matrix in (w, np.asfortranarray(w), np.repeat(w, 2, axis=1)[:, ::2]):
                assert_same(f, f.function, matrix, v, u)


def test_a_compiled_function_may_be_differentiated_and_checked():
    f = tg.compile(lambda x: tg.sigmoid(x) * x)
    slope = tg.grad(f.function)(1.0)
    f(1.0)
    assert tg.grad(f)(1.0) == slope == tg.grad(lambda x: f(x) * 1.0)(1.0) == tg.compile(tg.grad(f))(1.0)
    assert tg.jvp(f, (1.0,), (1.0,)) == (f(1.0), slope)
    assert tg.gradcheck(f, 1.0)
    assert isinstance(f(1.0), float)


def test_a_method_may_be_compiled():
    class Model:
        def __init__(self, slope):
            self.slope = tg.Value(slope, "slope")

        def parameters(self):
            return [self.slope]

        @tg.compile
        def step(self, x):
            loss = tg.square(self.slope * x - 1.0)
            return loss, tg.gradients(loss, self.parameters())

    model = Model(2.0)
    assert model.step(3.0) == (25.0, [30.0])
    model.slope.data = 1.0
    assert model.step(3.0) == (4.0, [12.0])
    assert Model(0.0).step(3.0) == (1.0, [-6.0])
    assert "d_slope = " in model.step.source
    with pytest.raises(TypeError, match=r"^self: data must be real numbers"):
        Model.step(object(), 3.0)


def test_powers_of_arrays_of_shape_0_have_the_bits_of_the_eager_run():
    def slope(x, b):
        return tg.gradients((x.sum() + 0.4) ** b * 1.7 ** x.mean(), [x, b])

    compiled = tg.compile(slope)
    for seed in range(200):
        x, b = np.random.default_rng(seed).uniform(0.1, 2.0, size=(2, 3))
        expected = slope(tg.Value(x), tg.Value(b[0]))
        for ours, theirs in zip(compiled(x, float(b[0])), expected, strict=True):
            assert np.array_equal(ours, theirs.data)


def test_an_index_is_printed_as_python_writes_it_and_an_empty_one_still_computes():
    x = np.arange(6.0).reshape(2, 3)
    compiled = tg.compile(lambda x: x[0, 1:] * 2.0)
    assert compiled(x).tolist() == [2.0, 4.0]
    assert "x[0, 1:]" in compiled.source
    assert np.array_equal(tg.compile(lambda x: x[()] * 2.0)(x), x * 2.0)


def test_an_array_of_values_is_a_result_like_any_other():
    pair = lambda x: (np.array([x[0] * x[1], x[2]]), np.array(np.hsplit(x[:4], 2)))  # noqa: E731
    x = np.arange(5.0) + 0.5
    for got, wanted in zip(tg.compile(pair)(x), pair(x), strict=True):
        assert type(got) is np.ndarray
        assert got.tolist() == wanted.tolist()


def test_variables_named_like_pythons_functions_leave_the_source_its_own():
    def f(x):
        slice = x[1:3] * 2.0
        range = slice * slice
        return range * x[2:4]

    slope = lambda x: tg.grad(lambda x: f(x).sum())(x)  # noqa: E731
    x = np.arange(5.0)
    assert tg.compile(f)(x).tolist() == f(x).tolist()
    assert tg.compile(slope)(x).tolist() == slope(x).tolist()
