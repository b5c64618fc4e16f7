"""Value: what it holds, what it refuses, and that its operators are the operations."""

import gc
import math
import threading
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_edu as tg


@pytest.mark.parametrize("number", [3, 3.0, True, np.int32(3), np.float64(3.0)])
def test_numbers_become_python_floats(number):
    value = tg.Value(number)
    assert type(value.data) is float
    assert value.data == float(number)
    assert (value.shape, value.ndim, value.size, value.dtype) == ((), 0, 1, np.dtype(float))


@pytest.mark.parametrize(
    ("array", "dtype"),
    [
        (np.ones(3, np.float32), np.float32),
        (np.ones(3, np.float64), np.float64),
        (np.float32(3.0), np.float32),
        (np.ones(3, np.float16), np.float64),
        (np.ones(3, np.int64), np.float64),
        ([True, False], np.float64),
        ([[1, 2], [3, 4]], np.float64),
    ],
)
def test_arrays_keep_float32_and_float64_and_become_float64_otherwise(array, dtype):
    value = tg.Value(array)
    assert value.dtype == dtype
    assert np.array_equal(value.data, np.asarray(array))


@pytest.mark.parametrize("dtype", [np.int64, np.bool_, np.float16])
def test_a_result_of_another_dtype_becomes_float64(dtype):
    whole = tg.operation(lambda x: np.floor(x).astype(dtype), (None,), name="whole")
    result = whole(tg.Value(np.array([0.5, 1.5])))
    assert result.dtype == np.float64
    assert result.data.tolist() == [0.0, 1.0]


def test_a_fitting_array_is_not_copied():
    array = np.ones(3)
    assert tg.Value(array).data is array


@pytest.mark.parametrize("data", ["1.0", b"1", None, object(), [object()], {"a": 1}, ["x"]])
def test_data_that_is_not_numeric_is_refused(data):
    with pytest.raises(TypeError, match="data must be real numbers, got"):
        tg.Value(data)


@pytest.mark.parametrize("data", [1j, np.ones(2, complex), [1j]])
def test_complex_data_is_refused_as_unsupported(data):
    with pytest.raises(TypeError, match="complex numbers are not supported"):
        tg.Value(data)


def test_ragged_lists_are_refused():
    with pytest.raises(ValueError, match="ragged list"):
        tg.Value([[1.0, 2.0], [3.0]])


def test_an_integer_too_large_for_a_float_is_refused():
    with pytest.raises(ValueError, match="too large"):
        tg.Value(10**400)


def test_a_value_in_a_value_is_refused_with_the_way_out():
    with pytest.raises(TypeError, match="detach"):
        tg.Value(tg.Value(1.0))
    with pytest.raises(TypeError, match=r"tg\.stack"):
        tg.Value([tg.Value(1.0), tg.Value(2.0)])


def operands():
    numbers = st.floats(0.25, 4.0)
    return st.one_of(numbers, st.lists(numbers, min_size=3, max_size=3).map(np.array))


@given(operands(), operands())
def test_operators_compute_what_python_and_numpy_compute(a, b):
    for f in (
        lambda x, y: x + y,
        lambda x, y: x - y,
        lambda x, y: x * y,
        lambda x, y: x / y,
        lambda x, y: x**y,
    ):
        expected = f(a, b)
        for result in (f(tg.Value(a), tg.Value(b)), f(tg.Value(a), b), f(a, tg.Value(b))):
            assert isinstance(result, tg.Value)
            assert np.array_equal(result.data, expected)
            assert type(result.data) is type(expected)


def test_matmul_works_from_both_sides():
    a, b = np.arange(6.0).reshape(2, 3), np.arange(3.0)
    for result in (tg.Value(a) @ tg.Value(b), a @ tg.Value(b), tg.Value(a) @ b):
        assert np.array_equal(result.data, a @ b)


def test_unary_operators_and_integers_mix_in():
    x = tg.Value(-2.0)
    assert ((-x).data, (+x).data, abs(x).data) == (2.0, -2.0, 2.0)
    assert ((x + 1).data, (1 - x).data, (2 * x).data, (x / 4).data, (x**2).data) == (-1.0, 3.0, -4.0, -0.5, 4.0)


@given(st.floats(allow_nan=True), st.floats(allow_nan=True))
def test_comparisons_read_the_data(a, b):
    x, y = tg.Value(a), tg.Value(b)
    assert (x == y, x != y, x < y, x <= y, x > y, x >= y) == (a == b, a != b, a < b, a <= b, a > b, a >= b)
    assert (x == b, x < b, bool(x)) == (a == b, a < b, bool(a))


def test_values_hash_by_identity():
    x, y = tg.Value(1.0), tg.Value(1.0)
    assert {x: 1, y: 2} == {x: 1, y: 2}
    assert len({x, y}) == 2


def test_item_gives_the_one_number():
    assert tg.Value([[2.0]]).item() == 2.0
    with pytest.raises(ValueError, match=r"shape \(2,\)"):
        tg.Value([1.0, 2.0]).item()


def test_arrays_iterate_and_scalars_refuse():
    assert [row.data.tolist() for row in tg.Value([[1.0], [2.0]])] == [[1.0], [2.0]]
    with pytest.raises(TypeError, match="no length"):
        len(tg.Value(1.0))
    with pytest.raises(TypeError, match="iterated"):
        iter(tg.Value(1.0))


def test_detach_is_a_leaf_where_gradients_stop():
    x = tg.Value(3.0, name="x")
    y = x * (x * 2.0).detach()
    y.backward()
    assert x.grad == 6.0


def test_no_grad_records_nothing_and_ends_with_its_block():
    x = tg.Value(2.0)
    with tg.no_grad():
        inside = x * x
    outside = x * x
    assert (inside.data, inside.operation, inside.parents) == (4.0, None, ())
    assert outside.parents == (x, x)


def test_no_grad_does_not_reach_other_threads():
    x, seen = tg.Value(2.0), []
    with tg.no_grad():
        thread = threading.Thread(target=lambda: seen.append(x * x))
        thread.start()
        thread.join()
    assert seen[0].operation is not None


def test_groups_nest_and_end():
    x = tg.Value(1.0)
    with tg.group("outer"):
        with tg.group("inner"):
            deep = x * x
        shallow = x * x
    assert (deep.group, shallow.group, (x * x).group) == (("outer", "inner"), ("outer",), ())


def test_repr_shows_data_name_and_operation():
    x = tg.Value(1.5, name="x")
    assert repr(x) == "Value(1.5, name='x')"
    assert repr(x * 2.0) == "Value(3.0, made by multiply)"
    assert repr(tg.Value([1.0, 2.0])) == "Value([1., 2.])"


def test_a_graph_is_freed_with_its_last_node_and_without_the_collector():
    gc.disable()
    try:
        tracemalloc.start()
        x = tg.Value(np.ones(1000))
        before = tracemalloc.get_traced_memory()[0]
        y = (x * x + x).sum()
        y.backward()
        x.zero_grad()
        del y
        assert tracemalloc.get_traced_memory()[0] - before < 4000
    finally:
        tracemalloc.stop()
        gc.enable()


def test_a_chain_of_a_million_nodes_runs_backward_and_is_freed():
    x = tg.Value(1.0)
    y = x
    for _ in range(1_000_000):
        y = y + 1.0
    y.backward()
    assert (y.data, x.grad) == (1_000_001.0, 1.0)
    del y
    assert math.isfinite(x.grad)
