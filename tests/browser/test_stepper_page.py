"""The stepper's page in a real browser: every step shows the numbers of the Python pass, by keys and by clicks."""

import json
import re
import shutil

import pytest

import tinygrad_edu as tg
from tinygrad_edu.article import DATASET, TARGETS, network_from, recovered_start
from tinygrad_edu.drawing.labels import digits
from tinygrad_edu.drawing.stepper.recording import record

playwright = pytest.importorskip("playwright.sync_api", reason='needs the extra "browser"')
PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="there is no Chromium on the PATH")

HOSTILE = [
    "</script><script>window.hacked=1</script>",
    '"><img src=x onerror="window.hacked=1">',
    "{{SCRIPT}}",
    "<!--",
    "'\\\"",
]


def article_loss():
    network = network_from(recovered_start())
    loss = tg.nn.half_squared_error(network.feed_forward(DATASET[-1]), TARGETS[-1])
    loss.name = "loss"
    return network, loss


@pytest.fixture(scope="module")
def browser():
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with playwright.sync_playwright() as p:
        running = p.chromium.launch(executable_path=PROGRAM, args=flags)
        yield running
        running.close()


@pytest.fixture
def opened(browser, tmp_path):
    """A function that opens the page of a loss; after the test, that nothing was asked for and nothing failed."""
    troubles, asked, contexts = [], [], []

    def open_page(loss, fragment="", **options):
        path = tg.save(loss, tmp_path / "page.html", language=options.pop("language", "en"))
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.on("console", lambda message: troubles.append(message.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on(
            "request", lambda request: troubles.append(request.url) if not request.url.startswith("file:") else None
        )
        page.goto(path.as_uri() + fragment)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert troubles == []
    assert all(url.startswith("file:") and url.split("#")[0].endswith("/page.html") for url in asked)


def count(page):
    return page.inner_text("#count")


def wait_until(page, holds):
    """Look again for 5 seconds. (Playwright's own waiting evaluates text, which the page's policy forbids.)"""
    for _ in range(100):
        if holds():
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"still at {count(page)}")


def gradients_shown(page):
    """The picture's gradients that are visible, by the id of their box."""
    return page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll("svg .node")].flatMap((node) => {
            const cells = [...node.querySelectorAll("text.gradient")];
            const seen = cells.length && getComputedStyle(cells.at(-1)).visibility === "visible";
            return seen ? [[node.id, cells.at(-1).textContent]] : [];
        }))"""
    )


def test_every_step_shows_the_numbers_of_the_pass(opened):
    network, loss = article_loss()
    steps = record(loss, 0.5, 400).data["steps"]
    page = opened(loss)
    assert count(page) == f"Step 0 of {len(steps)}"
    expected = {}
    for i, step in enumerate(steps, 1):
        page.keyboard.press("ArrowRight")
        assert count(page) == f"Step {i} of {len(steps)}"
        assert page.url.endswith(f"#step={i}")
        sentence = page.inner_text("#sentence")
        if step["phase"] == "forward":
            assert step["result"] in sentence
        if "target" in step:
            expected[step["target"]] = step["sum"]
            assert step["sum"] in sentence or step["phase"] == "seed"
        assert gradients_shown(page) == expected
        lit = page.evaluate("[...document.querySelectorAll('svg .lit')].map((e) => e.id)")
        assert set(step["boxes"]) | set(step["arrows"]) == set(lit)
    loss.backward()
    final = {row["name"]: row["grad"] for row in steps[-1]["rows"]}
    assert final == {p.name: digits(p.grad) for p in network.parameters()}
    rows = page.evaluate(
        "[...document.querySelectorAll('#rows tr')].map((r) => [...r.cells].map((c) => c.textContent))"
    )
    assert [row[2] for row in rows] == [row["grad"] for row in steps[-1]["rows"]]
    assert [row[3] for row in rows] == [digits(row["number"]) for row in steps[-1]["rows"]]


def test_the_recorded_gradients_are_those_of_the_backward_pass_to_the_bit():
    network, loss = article_loss()
    data = record(loss, 0.5, 400).data
    assert all(p.grad is None for p in network.parameters())
    loss.backward()
    last = {step["target"]: step["number"] for step in data["steps"] if "target" in step}
    by_name = {p["name"]: last[p["id"]] for p in data["parameters"]}
    assert by_name == {p.name: p.grad for p in network.parameters()}


def test_buttons_keys_slider_and_clicks_move(opened):
    _, loss = article_loss()
    page = opened(loss)
    total = int(count(page).split()[-1])
    page.click("#next")
    page.click("#next")
    page.click("#previous")
    assert count(page).startswith("Step 1 ")
    page.click("#last")
    assert count(page).startswith(f"Step {total} ")
    assert page.is_disabled("#next")
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
    page.click("#value0")
    assert "loss = half_squared_error" in page.inner_text("#sentence")


def test_play_goes_on_by_itself_and_space_stops_it(opened):
    _, loss = article_loss()
    page = opened(loss)
    page.select_option("#speed", "150")
    page.click("h1")
    page.keyboard.press(" ")
    wait_until(page, lambda: int(count(page).split()[1]) >= 3)
    page.keyboard.press(" ")
    stopped = count(page)
    page.wait_for_timeout(400)
    assert count(page) == stopped


def test_the_step_is_in_the_address(opened):
    _, loss = article_loss()
    page = opened(loss, "#step=17")
    assert count(page).startswith("Step 17 ")
    page.evaluate("location.hash = '#step=4'")
    wait_until(page, lambda: count(page).startswith("Step 4 "))


def test_the_language_switches(opened):
    _, loss = article_loss()
    page = opened(loss, "#step=17")
    assert page.inner_text("h1") == "Backpropagation, step by step"
    english = page.inner_text("#sentence")
    page.click("#language")
    assert page.inner_text("h1") == "一步一步看反向传播"
    assert page.get_attribute("html", "lang") == "zh-Hans"
    assert page.inner_text("#sentence") != english
    assert page.get_attribute("#next", "aria-label") == "下一步"
    assert opened(loss, language="zh").inner_text("h1") == "一步一步看反向传播"


def test_a_phone_scrolls_in_one_direction_only(opened):
    _, loss = article_loss()
    page = opened(loss, "#step=20", viewport={"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.click("#last")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_what_a_screen_reader_needs_is_there(opened):
    _, loss = article_loss()
    page = opened(loss)
    assert page.get_attribute("#sentence", "aria-live") == "polite"
    named = "e.getAttribute('aria-label') || e.textContent.trim()"
    unnamed = page.evaluate(f"[...document.querySelectorAll('button, input')].filter((e) => !({named})).length")
    assert unnamed == 0
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "language"


def test_reduced_motion_and_dark_mode_are_respected(opened):
    _, loss = article_loss()
    page = opened(loss, reduced_motion="reduce", color_scheme="dark")
    transition = page.evaluate("getComputedStyle(document.querySelector('svg .node')).transitionDuration")
    assert transition in ("0s", "")
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == "rgb(28, 28, 28)"


def test_the_picture_zooms_and_fits(opened):
    _, loss = article_loss()
    page = opened(loss)
    box = "document.querySelector('#picture svg').viewBox.baseVal.width"
    width = page.evaluate(box)
    page.click("#larger")
    assert page.evaluate(box) < width
    page.click("#fit")
    assert page.evaluate(box) == pytest.approx(width)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_shown_and_do_nothing(opened, name):
    x = tg.Value(2.0, name=name)
    with tg.group(name):
        y = x * x
    y.name = name + "!"
    page = opened(y)
    page.keyboard.press("End")
    assert page.evaluate("window.hacked") is None
    assert page.evaluate("document.querySelectorAll('script').length") == 2
    assert page.evaluate("document.querySelectorAll('img').length") == 0
    assert name in page.inner_text("#rows")


def test_arrays_step_too(opened):
    w = tg.Value([[1.0, 2.0], [0.5, -1.0]], name="w")
    loss = tg.sigmoid(w @ [1.0, 2.0]).sum()
    page = opened(loss)
    page.keyboard.press("End")
    assert "[[" in page.inner_text("#rows")


def test_a_second_slider_moves_through_the_epochs(browser, tmp_path):
    network = network_from(recovered_start())
    history = network.train(DATASET, TARGETS, 12, record=True)
    loss = tg.nn.half_squared_error(network.feed_forward(DATASET[-1]), TARGETS[-1])
    page = browser.new_page()
    page.goto(tg.save(loss, tmp_path / "page.html", history=history).as_uri())
    seen = []
    for epoch in (0, 5, 11):
        page.fill("#epoch", str(epoch))
        rows = page.evaluate("[...document.querySelectorAll('#epochRows tr')].map((r) => r.cells[1].textContent)")
        assert rows == [digits(w) for w in history.snapshots[epoch].weights]
        assert f"Epoch {epoch + 1} / 12" in page.inner_text("#epochCount")
        classes = page.evaluate("[...document.querySelectorAll('#boundary rect')].map((r) => r.getAttribute('class'))")
        with history.at(epoch):
            expected = history.boundary(20).labels[::-1].ravel()
        assert classes == [f"class{k}" for k in expected]
        seen.append(tuple(classes))
    assert len(set(seen)) == 3
    page.close()


def test_the_policy_allows_only_the_pages_own_style_and_script():
    _, loss = article_loss()
    page = tg.stepper(loss)
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page).group(1)
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "://" not in re.sub(r"http://www\.w3\.org/\d+/\w+", "", page)


def test_the_articles_page_is_small_and_its_data_is_json():
    _, loss = article_loss()
    page = tg.stepper(loss)
    assert len(page.encode()) <= 150_000
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL).group(1))
    assert len(data["steps"]) == 9 + 1 + 22 + 1


def test_what_cannot_be_stepped_through_is_refused():
    with pytest.raises(ValueError, match="needs a number made by an operation"):
        tg.stepper(tg.Value(1.0))
    with pytest.raises(ValueError, match="needs a number made by an operation"):
        tg.stepper(tg.Value([1.0, 2.0]) * 2.0)
    y = tg.Value(1.0)
    for _ in range(300):
        y = y * 1.0
    with pytest.raises(ValueError, match="more than max_nodes=400"):
        tg.stepper(y)
    with pytest.raises(ValueError, match='language must be "en" or "zh", got \'fr\''):
        tg.stepper(y, language="fr")
