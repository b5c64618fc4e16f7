"""A browser for all tests here, and pages opened in it: nothing may be asked for from outside, nothing may fail."""

import shutil

import pytest

import tinygrad_edu as tg
from tinygrad_edu.article import DATASET, TARGETS, network_from, recovered_start

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)


@pytest.fixture(scope="session")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason='needs the extra "browser"')
    if PROGRAM is None:
        pytest.skip("there is no Chromium on the PATH")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with playwright.sync_playwright() as p:
        running = p.chromium.launch(executable_path=PROGRAM, args=flags)
        yield running
        running.close()


@pytest.fixture
def shown(browser, tmp_path):
    """A function that opens HTML in a context of its own; after the test, no page has complained or asked for more."""
    troubles, contexts = [], []

    def open_html(html, fragment="", **options):
        path = tmp_path / f"page{len(contexts)}.html"
        path.write_text(html, "utf-8")
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.on("console", lambda message: troubles.append(message.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", lambda request: request.url.split("#")[0] == path.as_uri() or troubles.append(request.url))
        page.goto(path.as_uri() + fragment)
        return page

    yield open_html
    for context in contexts:
        context.close()
    assert troubles == []


@pytest.fixture
def opened(shown):
    """A function that opens the stepper's page of a loss; `page` holds options of the stepper."""
    return lambda loss, fragment="", page=None, **options: shown(tg.stepper(loss, **(page or {})), fragment, **options)


@pytest.fixture
def article():
    """The article's network, and its loss for the last row."""
    network = network_from(recovered_start())
    loss = tg.nn.half_squared_error(network.feed_forward(DATASET[-1]), TARGETS[-1])
    loss.name = "loss"
    return network, loss


@pytest.fixture(scope="session")
def article_run():
    """Twelve epochs of the article's network, recorded."""
    return network_from(recovered_start()).train(DATASET, TARGETS, 12, record=True)
