"""A gradient written by hand, beside the right one on the stepper's page."""

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu.drawing.stepper.by_hand import compared
from tinygrad_edu.drawing.stepper.recording import record


def rows_of(loss, gradient, **options):
    return compared(record(loss, 0.5, 400, **options), gradient)


def verdicts(loss, gradient, **options):
    return {row["whole"]: row["verdict"] for row in rows_of(loss, gradient, **options)}


def chain():
    """loss = (exp(x)·w)²: the right numbers by hand, by their names."""
    x, w = tg.Value(0.5, name="x"), tg.Value(3.0, name="w")
    e = tg.exp(x)
    e.name = "e"
    p = e * w
    p.name = "p"
    loss = p * p
    dp = 2.0 * p.data
    return loss, {"p": dp, "e": dp * 3.0, "w": dp * e.data, "x": dp * 3.0 * e.data}


def test_a_right_gradient_is_right_everywhere():
    loss, hand = chain()
    assert set(verdicts(loss, hand).values()) == {"right"}


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"p": 1.0}, {"p": "here", "e": "here", "w": "here", "x": "right"}),
        ({"x": 7.0}, {"p": "right", "e": "right", "w": "right", "x": "here"}),
    ],
)
def test_a_number_is_wrong_here_where_its_consumers_do_not_make_it(wrong, expected):
    loss, hand = chain()
    found = verdicts(loss, hand | wrong)
    if "p" in wrong:  # right numbers made of a wrong one are right all the same
        expected = expected | {"e": "right", "w": "right"}
    assert found == expected


def test_what_is_only_made_from_a_wrong_number_follows():
    loss, hand = chain()
    slip = {"p": hand["p"], "e": hand["e"] * 2.0, "w": hand["w"], "x": hand["x"] * 2.0}
    assert verdicts(loss, slip) == {"p": "right", "e": "here", "w": "right", "x": "follows"}


def test_rows_stand_in_the_order_of_the_backward_pass():
    loss, hand = chain()
    assert [row["whole"] for row in rows_of(loss, dict(reversed(hand.items())))] == ["p", "e", "w", "x"]


def test_a_shared_value_is_judged_by_the_sum_of_its_contributions():
    x = tg.Value(0.3, name="x")
    loss = tg.sin(x) * x + x
    right = float(np.cos(0.3) * 0.3 + np.sin(0.3) + 1.0)
    assert verdicts(loss, {"x": right}) == {"x": "right"}
    assert verdicts(loss, {"x": right - 1.0}) == {"x": "here"}


def test_the_last_bits_of_a_sum_in_another_order_do_not_matter():
    w = tg.Value([1e8, 1.0, -1e8], name="w")
    loss = (w * w * w).sum()
    assert verdicts(loss, {"w": 3.0 * w.data**2 * (1.0 + 1e-13)}) == {"w": "right"}
    assert verdicts(loss, {"w": 3.0 * w.data**2 * [1.0, 1.0, 1.001]}) == {"w": "here"}


def test_a_function_by_hand_is_called_with_the_data_of_what_its_parameters_are_named_after():
    loss, hand = chain()

    def by_hand(w, x):
        dp = 2.0 * np.exp(x) * w
        return dp * np.exp(x), dp * w * np.exp(x)

    assert set(verdicts(loss, by_hand).values()) == {"right"}
    assert verdicts(loss, lambda x: {"x": hand["x"], "w": 0.0}) == {"w": "here", "x": "right"}
    assert verdicts(loss, lambda x: -hand["x"]) == {"x": "here"}


def test_names_of_the_caller_can_be_used():
    a = tg.Value(2.0)
    assert verdicts(a * a, {"a": 4.0}, names={"a": a}) == {"a": "right"}


def test_different_numbers_look_different():
    x = tg.Value(2.0, name="x")
    (row,) = rows_of(x * x, {"x": 4.0001})
    assert (row["hand"], row["right"], row["verdict"]) == ("4.0001", "4", "here")


def test_what_can_not_be_compared_is_refused():
    loss, _ = chain()
    twins = tg.Value(1.0, name="t") * tg.Value(2.0, name="t")
    for wrong, message in (
        ({"q": 1.0}, "no Value is called 'q'; there are e, p, result, w, x"),
        ({"x": [1.0, 2.0]}, r"x has shape \(\), and the number written by hand \(2,\)"),
        ({tg.Value(1.0): 1.0}, "is no part of the computation"),
        ({}, "holds no numbers"),
        (lambda x, w: (1.0,), "gave 1 results for 2 parameters"),
    ):
        with pytest.raises(ValueError, match=message):
            tg.stepper(loss, gradient=wrong)
    with pytest.raises(ValueError, match="2 Values are called 't'"):
        tg.stepper(twins, gradient={"t": 1.0})
    with pytest.raises(TypeError, match=r"must be a mapping .* got float"):
        tg.stepper(loss, gradient=1.0)


def test_the_page_opens_at_the_first_wrong_number_and_marks_it(opened):
    loss, hand = chain()
    page = opened(loss, page={"gradient": hand | {"e": hand["e"] * 2.0, "x": hand["x"] * 2.0}})
    (first,) = (row for row in rows_of(loss, hand | {"e": hand["e"] * 2.0}) if row["verdict"] == "here")
    assert page.inner_text("#count").startswith(f"Step {first['step']} ")
    assert "the first number that is wrong by itself is e: by hand" in page.inner_text("#handSentence")
    assert page.locator(".badge").all_text_contents() == ["✓", "✗ 1", "✓", "(✗)"]
    assert page.locator("#handRows tr.lit").inner_text().split("\t")[0] == "e"
    page.click("#handRows tr:last-child button")
    assert page.locator("#handRows tr.lit").inner_text().split("\t")[0] == "x"
    assert "gradient of x is now" in page.inner_text("#sentence")


def test_a_right_gradient_is_said_to_be_right(opened):
    loss, hand = chain()
    page = opened(loss, page={"gradient": hand})
    assert page.inner_text("#count").startswith("Step 0 ")
    assert page.inner_text("#handSentence") == "All numbers written by hand are right."


def test_a_folded_place_has_one_mark_the_first_wrong_number_in_it(opened):
    with tg.group("inside"):
        x, w = tg.Value(0.5, name="x"), tg.Value(3.0, name="w")
        p = tg.exp(x) * w
    loss = p * 2.0
    page = opened(loss, page={"gradient": {"x": 0.0, "w": 0.0}, "depth": 0})
    assert page.locator(".badge").all_text_contents() == ["✗ 1"]
    page.keyboard.press("End")
    assert [row.split("\t")[:2] for row in page.locator("#rows tr").all_inner_texts()] == [["w", "3"], ["x", "0.5"]]


def test_on_a_phone_every_verdict_is_in_view(opened):
    network = tg.Network.create([2, 2, 2], seed=0)
    loss = tg.nn.half_squared_error(network([0.5, -1.0]), [1.0, 0.0])
    loss.backward()
    hand = {p: 1.1 * p.grad for p in network.parameters()}
    page = opened(loss, page={"gradient": hand}, viewport={"width": 360, "height": 740})
    ends = page.evaluate("""() => [...document.querySelectorAll("#handRows td:last-child:not(.frame)")].map((cell) => {
        const text = document.createRange();
        text.selectNodeContents(cell);
        return text.getBoundingClientRect().right;
    })""")
    assert len(ends) == len(hand)
    assert max(ends) <= 360
