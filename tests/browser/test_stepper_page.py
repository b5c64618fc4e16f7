"""The stepper's page in a real browser: every step shows the numbers of the Python pass, by keys and by clicks."""

import json
import re

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu.article import DATASET, TARGETS
from tinygrad_edu.drawing.labels import digits
from tinygrad_edu.drawing.stepper.recording import record

HOSTILE = [
    "</script><script>window.hacked=1</script>",
    '"><img src=x onerror="window.hacked=1">',
    "{{SCRIPT}}",
    "<!--",
    "'\\\"",
    "constructor.prototype",
]


def count(page):
    return page.inner_text("#count")


def wait_until(page, holds):
    """Look again for 5 seconds. (Playwright's own waiting evaluates text, which the page's policy forbids.)"""
    for _ in range(100):
        if holds():
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"still at {count(page)}")


def gradients_shown(page, data):
    """The picture's gradients that are visible, by the id of their Value."""
    texts = page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll("#picture text.gradient")].map((text) =>
            [text.parentElement.id, getComputedStyle(text).visibility === "visible" ? text.textContent : null]))"""
    )
    shown = {name: {texts.get(cell) for cell in value["grad"]} - {None} for name, value in data["values"].items()}
    assert all(len(found) <= 1 for found in shown.values())
    return {name: next(iter(found)).removesuffix(" = δ") for name, found in shown.items() if found}


def table(page, body="rows"):
    """The rows of a table, without the lines that only name a frame."""
    rows = page.evaluate(
        f"[...document.querySelectorAll('#{body} tr')].map((r) => [...r.cells].map((c) => c.innerText))"
    )
    return [row for row in rows if len(row) > 1]


def leaf_names(rows):
    return [f"{row['frame']}.{row['name']}" if row["frame"] else row["name"] for row in rows]


def test_every_step_shows_the_numbers_of_the_pass(opened, article):
    network, loss = article
    data = record(loss, 0.5, 400).data
    steps = data["steps"]
    page = opened(loss)
    assert count(page) == f"Step 0 of {len(steps)}"
    expected = {}
    for i, step in enumerate(steps, 1):
        page.keyboard.press("ArrowRight")
        assert count(page) == f"Step {i} of {len(steps)}"
        sentence = page.inner_text("#sentence")
        if step["phase"] == "forward":
            assert step["result"] in sentence
        for target, total in step["gains"].items():
            expected[target] = total["text"]
            assert total["text"] in sentence
        assert gradients_shown(page, data) == expected
        lit = page.evaluate("[...document.querySelectorAll('#picture .lit')].map((e) => e.id)")
        assert {*step["boxes"], *step["arrows"], *(f"{row}mark" for row in step["rows"])} == set(lit)
    loss.backward()
    rows = steps[-1]["leaves"]
    assert dict(zip(leaf_names(rows), [row["grad"] for row in rows], strict=True)) == {
        p.name: digits(p.grad) for p in network.parameters()
    }
    assert [row[1:] for row in table(page)] == [[row["old"], row["grad"], row["step"], row["new"]] for row in rows]
    assert [row["new"] for row in rows] == [digits(row["number"]) for row in rows]


def test_the_recorded_gradients_are_those_of_the_backward_pass_to_the_bit(article):
    network, loss = article
    data = record(loss, 0.5, 400).data
    assert all(p.grad is None for p in network.parameters())
    loss.backward()
    last = {target: step["number"] for step in data["steps"] for target in step["gains"]}
    by_name = dict(zip(leaf_names(data["parameters"]), [last[p["id"]] for p in data["parameters"]], strict=True))
    assert by_name == {p.name: p.grad for p in network.parameters()}


def test_an_input_that_a_rule_gives_nothing_for_has_no_step():
    half = tg.operation(lambda a, b: a * b, lambda g, out, a, b: (g * b, None), name="half")
    x = tg.Value(2.0, name="x")
    constant = x * 3.0
    steps = record(half(x, constant), 0.5, 400).data["steps"]
    assert [step["name"] for step in steps if step["phase"] == "backward"] == ["x"]
    assert steps[-1]["leaves"][0]["grad"] == "6"


UPDATES = {
    "the article's": tg.nn.ArticleUpdate(0.5),
    "momentum": tg.nn.SGD(lambda step: 0.5 / (1 + step), 0.9),
    "adam": tg.nn.Adam(0.1),
}


@pytest.mark.parametrize("kind", ["scalar", "dense"])
@pytest.mark.parametrize("update", UPDATES.values(), ids=UPDATES)
def test_the_update_of_a_run_is_the_one_that_the_run_makes_next_to_the_bit(opened, kind, update):
    """The last row as a data set of its own: the run goes on with it, and moves the parameters by that one update."""
    network = tg.Network.create([2, 2, 2], kind=kind, seed=0)
    history = network.train(DATASET[-1:], TARGETS[-1:], 3, update=update, record=True)
    loss = tg.nn.half_squared_error(network.feed_forward(DATASET[-1]), TARGETS[-1])
    before = [np.copy(p.data) for p in network.parameters()]
    page = opened(loss, "#step=999", page={"history": history})
    recording = record(loss, None, 400, history=history)
    assert all(np.array_equal(p.data, old) for p, old in zip(network.parameters(), before, strict=True))
    found = history.settings.next_update(history, recording.gradients)
    assert type(update).__name__ in page.inner_text("#sentence")
    assert (type(update).__doc__.splitlines()[0]) in page.inner_text("#rule")
    assert [row[4] for row in table(page)] == [row["new"] for row in recording.data["steps"][-1]["leaves"]]
    history.train(DATASET[-1:], TARGETS[-1:], 1)
    assert all(np.array_equal(p.data, found[p]) for p in network.parameters())


def test_another_update_is_called_plain_gradient_descent(opened, article, article_run):
    network, loss = article  # of another network than the run's, or with a rate of one's own, or of a plain function
    own = network.train(DATASET, TARGETS, 1, record=True)
    plain = network.train(DATASET, TARGETS, 1, record=True, update=lambda parameters, needed: None)
    loss = tg.nn.half_squared_error(network.feed_forward(DATASET[-1]), TARGETS[-1])
    for options in ({"history": article_run}, {"history": own, "learning_rate": 0.25}, {"history": plain}, {}):
        page = opened(loss, "#step=999", page=options)
        assert "plain gradient descent" in page.inner_text("#sentence")


def test_a_zero_is_written_without_a_sign():
    x = tg.Value(0.0, name="x")
    loss = x * -1.0 + 3.0 * tg.Value(-0.0, name="y")
    rows = record(loss, 0.0, 400).data["steps"][-1]["leaves"]
    assert rows
    assert all(row[key] != "−0" for row in rows for key in ("old", "grad", "step", "new"))


def test_infinite_numbers_are_written_as_such():
    x = tg.Value([np.inf, -np.inf, 1.0], name="x")
    (row,) = record((x * x).sum(), 0.5, 400).data["steps"][-1]["leaves"]
    assert (row["old"], row["step"], row["new"]) == ("[∞, −∞, 1]", "[−∞, ∞, −1]", "[nan, nan, 0]")


def test_buttons_keys_slider_and_clicks_move(opened, article):
    page = opened(article[1])
    total = int(count(page).split()[-1])
    page.click("#next")
    page.click("#next")
    page.click("#previous")
    assert count(page).startswith("Step 1 ")
    page.click("#last")
    assert count(page).startswith(f"Step {total} ")
    page.click("#next", force=True)
    assert count(page).startswith(f"Step {total} ")
    page.click("#first")
    assert count(page).startswith("Step 0 ")
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    assert count(page).startswith(f"Step {total - 1} ")
    page.keyboard.press("Home")
    page.evaluate(
        "() => { const s = document.getElementById('slider'); s.value = 7; s.dispatchEvent(new Event('input')); }"
    )
    assert count(page).startswith("Step 7 ")
    page.keyboard.press("f")
    page.wait_for_timeout(300)
    page.locator("#card0row2 text").first.click()
    assert "loss = half_squared_error" in page.inner_text("#sentence")


def test_play_goes_on_by_itself_and_space_stops_it(opened, article):
    page = opened(article[1])
    page.select_option("#speed", "150")
    page.click("h1")
    page.keyboard.press(" ")
    wait_until(page, lambda: int(count(page).split()[1]) >= 3)
    page.keyboard.press(" ")
    stopped = count(page)
    page.wait_for_timeout(400)
    assert count(page) == stopped


def test_the_step_is_in_the_address(opened, article):
    page = opened(article[1], "#step=17")
    assert count(page).startswith("Step 17 ")
    page.evaluate("location.hash = '#step=4'")
    wait_until(page, lambda: count(page).startswith("Step 4 "))
    page.keyboard.press("ArrowRight")
    wait_until(page, lambda: page.url.endswith("#step=5"))


def test_the_language_switches(opened, article):
    page = opened(article[1], "#step=17")
    assert page.inner_text("h1") == "Backpropagation, step by step"
    english = page.inner_text("#sentence")
    page.click("#language")
    assert page.inner_text("h1") == "一步一步看反向传播"
    assert page.get_attribute("html", "lang") == "zh-Hans"
    assert page.inner_text("#sentence") != english
    assert page.get_attribute("#next", "aria-label") == "下一步"
    assert opened(article[1], page={"language": "zh"}).inner_text("h1") == "一步一步看反向传播"


def test_both_languages_say_the_same_things():
    from tinygrad_edu.drawing.stepper.page import part

    words = json.loads(part("words.json"))
    assert words["en"].keys() == words["zh"].keys()
    for key, english in words["en"].items():
        if isinstance(english, str):
            assert set(re.findall(r"\{\w+\}", english)) == set(re.findall(r"\{\w+\}", words["zh"][key])), key
    page = part("page.html")
    assert set(re.findall(r'data-(?:word|label)="(\w+)"', page)) <= words["en"].keys()
    scripts = "".join(map(part, ("stepper.js", "run.js", "camera.js")))
    assert set(re.findall(r'\bword\("(\w+)"\)', scripts)) <= words["en"].keys()


def test_what_is_done_is_quiet_and_what_is_to_come_is_faint(opened, article):
    page = opened(article[1])

    def look(state):
        return page.evaluate(f"[...document.querySelectorAll('#picture .card.{state}')].map((e) => e.id)")

    hidden, output, loss = ["card8", "card9"], ["card1", "card2"], ["card0"]
    assert look("faint") == [*hidden, *output, *loss]
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert (look("lit"), look("faint")) == (hidden[1:], [*output, *loss])
    page.keyboard.press("End")
    assert look("faint") == []
    assert look("lit") == [*hidden, *output]


def test_the_heads_of_arrows_are_seen_in_the_frames_of_layers_in_which_they_end(opened, article):
    _, loss = article
    page = opened(loss, page={"theme": "light"})
    page.keyboard.press("f")
    page.wait_for_timeout(300)  # of the movement
    found = page.evaluate("""() => [...document.querySelectorAll("#picture .edge polygon")].map((head) => {
        const corners = [...head.points].slice(0, 3);
        const mean = (key) => corners.reduce((sum, corner) => sum + corner[key] / 3, 0);
        const at = new DOMPoint(mean("x"), mean("y")).matrixTransform(head.getScreenCTM());
        const seen = document.elementFromPoint(at.x, at.y);
        return seen.tagName === "polygon" && Boolean(seen.closest(".edge"));
    })""")
    assert len(found) == 10  # one of the two that end at the result may lie below its thick border
    assert sum(found) >= 9


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_shown_and_do_nothing(opened, name):
    x = tg.Value(2.0, name=name)
    with tg.group(name):
        y = x * x
    y.name = name + "!"
    page = opened(y, page={"gradient": {x: 3.0}})
    page.keyboard.press("End")
    assert page.evaluate("window.hacked") is None
    assert page.evaluate("document.querySelectorAll('script').length") == 2
    assert page.evaluate("document.querySelectorAll('img').length") == 0
    assert name in page.inner_text("#rows")
    assert name in page.inner_text("#handRows")


def test_each_sum_so_far_of_an_array_is_shown_entry_by_entry(opened):
    w = tg.Value([1.0, 2.0], name="w")
    loss = (w * [3.0, 5.0] + w * [10.0, 20.0]).sum()
    gains = [step["gains"] for step in record(loss, 0.5, 400).data["steps"]]
    mine = [next(iter(gain.values()))["cells"] for gain in gains if gain and "[" in next(iter(gain.values()))["text"]][
        -2:
    ]
    assert mine == [["3", "5"], ["13", "25"]]
    page = opened(loss)
    page.keyboard.press("End")
    seen = []
    for _ in range(2):
        page.keyboard.press("ArrowLeft")
        node = page.locator("#picture .node.lit", has_text="w").last
        seen.insert(0, node.locator("text.gradient").all_text_contents())
    assert seen == mine


def test_arrays_step_too(opened):
    w = tg.Value([[1.0, 2.0], [0.5, -1.0]], name="w")
    page = opened(tg.sigmoid(w @ [1.0, 2.0]).sum())
    page.keyboard.press("End")
    assert "[[" in page.inner_text("#rows")


def test_the_numbers_of_an_array_that_is_shown_as_squares_stand_beside_it(opened):
    """In the panel at the step that makes them, and where the squares are pointed at."""
    w = tg.Value(np.arange(10.0).reshape(2, 5), name="w")
    loss = (w * 0.5).sum()
    page = opened(loss)
    title = page.evaluate("document.querySelector('#picture [id$=row0data] title').textContent")
    assert title == "0  0.5  1  1.5  2\n2.5  3  3.5  4  4.5"
    assert page.locator("#entries").is_hidden()
    page.keyboard.press("ArrowRight")
    shown = lambda: [row.split("\t") for row in page.inner_text("#entryRows").split("\n")]  # noqa: E731
    assert shown() == [["0", "0.5", "1", "1.5", "2"], ["2.5", "3", "3.5", "4", "4.5"]]
    assert page.inner_text("#entriesTitle").startswith("All numbers of v")
    page.keyboard.press("End")
    assert page.locator("#entries").is_hidden()
    page.keyboard.press("ArrowLeft")
    assert page.inner_text("#entriesTitle") == "The gradient of w so far"
    assert shown() == [["0.5"] * 5] * 2


def test_names_show_depth_direction_and_theme_are_those_of_draw(opened):
    x = tg.Value(2.0)
    with tg.group("inside"):
        y = x * x
        z = y * 3.0
    loss = z + 1.0
    page = opened(loss, page={"names": {"x": x, "loss": loss}, "show": ("data",), "theme": "dark", "direction": "TB"})
    assert page.locator("#picture text", has_text="grad").count() == 0
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(28, 28, 28)"
    page.keyboard.press("End")
    assert [row[:2] for row in table(page)] == [["x", "2"]]
    folded = record(loss, 0.5, 400, depth=0).data["steps"]
    assert [step["phase"] for step in folded] == ["forward", "forward", "seed", "backward", "backward", "update"]
    assert folded[0]["count"] == 2
    assert folded[0]["boxes"] == ["fold0"]
    page = opened(loss, "#step=1", page={"depth": 0})
    assert "2 operations end in v" in page.inner_text("#sentence")
    assert page.locator("#picture .node.lit").count() == 1


def test_a_page_has_no_heat_and_says_so(tmp_path):
    x = tg.Value(2.0)
    with pytest.raises(TypeError, match=r"a page .* has no heat"):
        tg.save(x * x, tmp_path / "page.html", heat=True)


def test_a_second_slider_moves_through_the_epochs(opened, article, article_run):
    page = opened(article[1], page={"history": article_run})
    seen = []
    for epoch in (0, 5, 11):
        page.fill("#epoch", str(epoch))
        assert [row[1] for row in table(page, "epochRows")] == [digits(w) for w in article_run.snapshots[epoch].weights]
        assert f"Epoch {epoch} (0–11)" in page.inner_text("#epochCount")
        classes = page.evaluate("[...document.querySelectorAll('#boundary rect')].map((r) => r.getAttribute('class'))")
        with article_run.at(epoch):
            expected = article_run.boundary(20).labels[::-1].ravel()
        assert classes == [f"class{k}" for k in expected]
        seen.append(tuple(classes))
    assert len(set(seen)) == 3


def test_the_error_curve_has_axes_and_the_boundary_a_legend_in_colours(opened, article, article_run):
    for scheme in ("light", "dark"):
        page = opened(article[1], page={"history": article_run}, color_scheme=scheme)
        assert page.locator("#errors .axis").count() > 5
        for figure, titles in (("errors", ["epoch", "mean squared error"]), ("boundary", ["input 0", "input 1"])):
            assert page.locator(f"#{figure} .title").all_text_contents() == titles
        assert page.locator("#legend li").all_inner_texts() == ["class 0", "class 1"]
        assert page.locator("#errors text", has_text="10").count() == 1
        fills = page.evaluate(
            "[...document.querySelectorAll('#boundary rect, #boundary path[class^=class], #legend rect')]"
            ".map((e) => getComputedStyle(e).fill)"
        )
        assert len(set(fills)) == 2
        assert "rgb(0, 0, 0)" not in fills


def test_the_page_says_which_moment_its_numbers_are_of(opened, article_run):
    """The picture's parameters are those of a recorded epoch, or of none, and the page says so only where it is so."""
    loss = tg.nn.half_squared_error(article_run.network.feed_forward(DATASET[-1]), TARGETS[-1])
    assert "with the parameters after epoch 11." in opened(loss, page={"history": article_run}).inner_text("#moment")
    with article_run.at(3):
        page = opened(loss, page={"history": article_run})
    assert "with the parameters after epoch 3." in page.inner_text("#moment")
    other = tg.Value(2.0) * 3.0
    words = opened(other, page={"history": article_run}).inner_text("#moment")
    assert words.startswith("Parameters after the epoch's last update")
    assert "picture" not in words


def test_numbers_of_a_history_that_are_infinite_are_shown_as_such(opened, article):
    network = tg.Network.create([2, 2, 2], seed=0)
    history = network.train(DATASET, TARGETS, 4, record=True)
    history.loss[1:3] = [float("inf"), float("nan")]
    history.snapshots[2].weights[0] = float("-inf")
    page = opened(article[1], page={"history": history})
    page.fill("#epoch", "1")
    assert "∞" in page.inner_text("#epochCount")
    assert page.locator("#errors text", has_text="∞").count() == 1
    page.fill("#epoch", "2")
    assert "nan" in page.inner_text("#epochCount")
    assert table(page, "epochRows")[0][1] == "−∞"
    assert "rgb(0, 0, 0)" not in page.evaluate(
        "[...document.querySelectorAll('#boundary rect')].map((e) => getComputedStyle(e).fill)"
    )


def test_the_policy_allows_only_the_pages_own_style_and_script(article):
    page = tg.stepper(article[1])
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page).group(1)
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "://" not in re.sub(r"http://www\.w3\.org/\d+/\w+", "", page)


def test_the_articles_page_is_small_and_its_data_is_json(article, article_run):
    page = tg.stepper(article[1], history=article_run)
    assert len(page.encode()) <= 150_000
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL).group(1))
    assert len(data["steps"]) == 9 + 1 + 22 + 1


def test_what_cannot_be_stepped_through_is_refused_with_a_way_out():
    with pytest.raises(ValueError, match="needs a number made by an operation"):
        tg.stepper(tg.Value(1.0))
    with pytest.raises(ValueError, match="needs a number made by an operation"):
        tg.stepper(tg.Value([1.0, 2.0]) * 2.0)
    with pytest.raises(TypeError, match="needs a Value, got float"):
        tg.stepper(1.0)
    x = y = tg.Value(1.0)
    with tg.group("chain"):
        for _ in range(500):
            y = y * 1.0
    with pytest.raises(ValueError, match=r"more than max_nodes=400: fold its groups with depth=0 \(that leaves 1\)"):
        tg.stepper(y)
    assert len(record(y, 0.5, 400, depth=0).data["steps"]) < 10
    for _ in range(500):
        x = x * 1.0
    with pytest.raises(ValueError, match=r"tg\.group.*allow more with max_nodes"):
        tg.stepper(x)
    for options in ({"language": "fr"}, {"theme": "pink"}, {"direction": "UP"}):
        name, value = next(iter(options.items()))
        with pytest.raises(ValueError, match=f"{name} must be .*, got '{value}'"):
            tg.stepper(tg.Value(1.0) * 2.0, **options)


def test_a_long_pass_is_recorded_whole():
    x = tg.Value(np.float64(0.5).item(), name="x")
    y = x
    for _ in range(1200):
        y = y * 1.0
    assert len(record(y, 0.5, 10**6).data["steps"]) == 2402
