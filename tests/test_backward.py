"""The backward walk: seeds, accumulation and its order, and derivatives of derivatives."""

import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_edu as tg
from tinygrad_edu.core.backward import backward_order
from tinygrad_edu.graph import forward_order


def test_every_node_gets_its_gradient():
    x, y = tg.Value(2.0), tg.Value(5.0)
    product = x * y
    total = product + x
    total.backward()
    assert (total.grad, product.grad, x.grad, y.grad) == (1.0, 1.0, 6.0, 2.0)


def test_leaves_accumulate_over_passes_and_inner_nodes_do_not():
    x = tg.Value(3.0)
    inner = x * x
    y = inner * 2.0
    y.backward()
    y.backward()
    assert (x.grad, inner.grad, y.grad) == (24.0, 2.0, 1.0)
    x.zero_grad()
    assert x.grad is None
    y.backward()
    assert x.grad == 12.0


def test_an_array_needs_a_seed_of_its_shape():
    x = tg.Value(np.ones((2, 3)))
    y = x * 2.0
    with pytest.raises(ValueError, match=r"shape \(2, 3\) needs a seed"):
        y.backward()
    with pytest.raises(ValueError, match=r"seed has shape \(3,\), but the output has shape \(2, 3\)"):
        y.backward(seed=np.ones(3))
    with pytest.raises(TypeError, match="real numbers"):
        y.backward(seed="one")
    assert x.grad is None
    assert y.grad is None
    seed = np.arange(6.0).reshape(2, 3)
    y.backward(seed=seed)
    assert np.array_equal(x.grad, 2.0 * seed)


def test_a_seed_scales_a_scalar():
    x = tg.Value(3.0)
    (x * x).backward(seed=0.5)
    assert x.grad == 3.0


def test_gradients_of_leaves_share_no_memory():
    a, b, seed = tg.Value(np.zeros(3)), tg.Value(np.zeros(3)), np.ones(3)
    (a + b).backward(seed=seed)
    a.grad *= 5.0
    assert b.grad.tolist() == [1.0, 1.0, 1.0]
    assert seed.tolist() == [1.0, 1.0, 1.0]


def test_the_callers_arrays_are_never_written_to():
    w, x, b = np.ones((2, 3)), np.ones(3), np.ones(2)
    kept = [array.copy() for array in (w, x, b)]
    layer = tg.Dense(w, b)
    layer(x).sum().backward()
    tg.nn.SGD(0.5)(layer.parameters())
    for array, before in zip((w, x, b), kept, strict=True):
        assert np.array_equal(array, before)


def test_contributions_are_added_first_consumer_first():
    """Three numbers whose sum depends on the order: (1 + 1e16) - 1e16 is 0, and 1 + (1e16 - 1e16) is 1."""
    x = tg.Value(1.0)
    products = [x * w for w in (1.0, 1e16, -1e16)]
    total = products[0] + products[1] + products[2]
    total.backward()
    assert x.grad == (1.0 + 1e16) - 1e16
    x.zero_grad()
    (x * 1e16 + x * -1e16 + x * 1.0).backward()
    assert x.grad == (1e16 - 1e16) + 1.0


def test_both_orders_are_topological_and_visit_each_node_once():
    x = tg.Value(1.5)
    nodes = [x * x]
    for k in range(30):
        nodes.append(nodes[-1] * nodes[k // 2] + nodes[k // 3])
    for order in (backward_order([nodes[-1]])[::-1], forward_order([nodes[-1]])):
        place = {node: i for i, node in enumerate(order)}
        assert len(place) == len(order)
        for node in order:
            for parent in node.parents:
                assert parent.operation is None or place[parent] < place[node]


def test_updating_data_after_the_forward_pass_does_not_change_the_gradient():
    w, x = tg.Value(2.0), tg.Value(3.0)
    y = w * x
    w.data = 100.0
    y.backward()
    assert x.grad == 2.0


def test_constants_get_no_gradient_and_cost_no_rule():
    matrix, x = np.ones((2, 3)), tg.Value(np.ones(3))
    y = tg.matmul(matrix, x)
    y.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0, 2.0]
    assert isinstance(y.parents[0], np.ndarray)


def test_an_error_in_a_rule_leaves_every_gradient_as_it_was():
    def fail(g, out, x):
        raise RuntimeError("no")

    x = tg.Value(1.0)
    x.grad = 7.0
    y = x * 2.0 + tg.operation(lambda v: v * 1.0, fail, name="failing")(x)
    with pytest.raises(RuntimeError, match="no"):
        y.backward()
    assert x.grad == 7.0
    assert y.grad is None


def test_create_graph_gives_gradients_that_have_gradients():
    x = tg.Value(2.0)
    y = x**3.0
    y.backward(create_graph=True)
    first = x.grad
    assert isinstance(first, tg.Value)
    assert first.data == 12.0
    x.zero_grad()
    first.backward()
    assert x.grad == 12.0


@given(st.floats(-2.0, 2.0))
def test_third_derivatives_of_a_polynomial(number):
    x = tg.Value(number)
    y = x * x * x * x
    for expected in (4.0 * number**3, 12.0 * number**2, 24.0 * number):
        (y,) = tg.gradients(y, [x])
        assert y.data == pytest.approx(expected, abs=1e-12)


def test_gradients_touch_no_grad_and_give_zeros_for_what_does_not_matter():
    x, y, z = tg.Value(2.0), tg.Value(np.ones((2, 2), np.float32)), tg.Value(1.0)
    found = tg.gradients(x * x, [x, y, z])
    assert [g.data if isinstance(g.data, float) else g.data.tolist() for g in found] == [4.0, [[0.0] * 2] * 2, 0.0]
    assert found[1].dtype == np.float32
    assert (x.grad, y.grad) == (None, None)
    assert tg.gradients(x * x, [x], create_graph=False) == [4.0]


def test_float32_stays_float32():
    w, x = tg.Value(np.ones((2, 3), np.float32)), np.ones(3, np.float32)
    loss = tg.sigmoid(w @ x).sum()
    loss.backward()
    assert loss.dtype == np.float32
    assert w.grad.dtype == np.float32


def test_backward_from_a_leaf_sets_its_own_gradient():
    x = tg.Value(2.0)
    x.backward()
    assert x.grad == 1.0


def test_each_input_may_have_a_rule_of_its_own_and_only_those_asked_for_run():
    asked = []

    def rule_of(name, slope):
        return lambda g, out, a, b: asked.append(name) or g * slope(a, b)

    area = tg.operation(lambda a, b: a * b, (rule_of("a", lambda a, b: b), rule_of("b", lambda a, b: a)), name="area")
    assert tg.grad(area, (0, 1))(2.0, 5.0) == (5.0, 2.0)
    assert asked == ["a", "b"]
    asked.clear()
    assert tg.grad(area)(2.0, 5.0) == 5.0
    assert asked == ["a"]
    assert area.vjp(1.0, 10.0, 2.0, 5.0) == [5.0, 2.0]


def test_an_input_whose_rule_is_none_has_no_gradient():
    scaled = tg.operation(lambda x, factor: x * factor, (lambda g, out, x, factor: g * factor, None), name="scaled")
    assert tg.grad(scaled, (0, 1))(2.0, 5.0) == (5.0, 0.0)


def test_as_many_rules_as_inputs_are_asked_for():
    with pytest.raises(ValueError, match="area: 1 rules for 2 inputs"):
        tg.operation(lambda a, b: a * b, (lambda g, out, a, b: g * b,), name="area")


def test_a_rule_for_all_inputs_that_gives_no_tuple_is_named():
    twice = tg.operation(lambda x: 2.0 * x, lambda g, out, x: g * 2.0, name="twice")
    for x in (3.0, np.array([1.0, 2.0])):
        with pytest.raises(TypeError, match=r"twice: the rule gave a .*, but one rule for all inputs gives a tuple"):
            tg.grad(lambda x: tg.sum(twice(x)))(x)


def test_gradients_take_a_list_of_values_and_nothing_else():
    x = tg.Value(np.array([1.0, 2.0]))
    loss = (x * x).sum()
    assert tg.gradients(loss, [x])[0].tolist() == [2.0, 4.0]
    with pytest.raises(TypeError, match=r"got one Value: write \[x\]"):
        tg.gradients(loss, x)
    with pytest.raises(TypeError, match="must be Values, got a str: 'x'"):
        tg.gradients(loss, ["x"])
    with pytest.raises(TypeError, match="must be Values, got a float"):
        tg.gradients(2.0, [x])


def test_grad_lets_go_of_a_cotangent_once_it_is_used():
    alive, peak = [], []

    def rule(g, out, x):
        alive[:] = [ref for ref in alive if ref() is not None]
        peak.append(len(alive))
        made = g * 2.0
        alive.append(weakref.ref(made))
        return (made,)

    twice = tg.operation(lambda x: x * 2.0, rule, name="twice")

    def chain(x):
        for _ in range(20):
            x = twice(x)
        return x.sum()

    assert tg.grad(chain)(np.ones(3)).tolist() == [2.0**20] * 3
    assert max(peak) <= 2
