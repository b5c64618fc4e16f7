"""Pictures in a real browser: text can be read, neurons stand in order, layers in columns, by both programs."""

import itertools

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu.article import DATASET, TARGETS, network_from, recovered_start

SMALLEST = 10.0
"""Pixels: no text is shown smaller in a page of 1280."""


def network(sizes, kind="scalar"):
    made = tg.Network.create(sizes, kind=kind, seed=0, start="scaled")
    return finished(tg.nn.half_squared_error(made(np.linspace(0.1, 1.0, sizes[0])), np.eye(sizes[-1])[0]))


def article():
    made = network_from(recovered_start())
    return finished(tg.nn.half_squared_error(made.feed_forward(DATASET[0]), TARGETS[0]))


def attention():
    rng = np.random.default_rng(0)
    x = tg.Value(rng.normal(size=(4, 6)), name="X")
    q, k, v = (x @ tg.Value(rng.normal(size=(6, 3)), name=f"W{name}") for name in "qkv")
    return finished((tg.softmax(q @ k.T / np.sqrt(3.0), axis=1) @ v).sum())


def softmax_loss():
    rng = np.random.default_rng(0)
    w, b = tg.Value(rng.normal(size=(4, 3)), name="W"), tg.Value(np.zeros(3), name="b")
    z = rng.normal(size=(5, 4)) @ w + b
    e = tg.exp(z - z.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    return finished(-tg.log(p[np.arange(5), np.array([0, 2, 1, 1, 0])]).mean())


def chain():
    y = tg.Value(0.5, name="x")
    for _ in range(100):
        y = tg.sin(y) * 2.0
    return finished(y)


def finished(loss):
    loss.name = "loss"
    loss.backward()
    return loss


PICTURES = {
    "article": article,
    "2-3-2": lambda: network([2, 3, 2]),
    "3-4-3-2": lambda: network([3, 4, 3, 2]),
    "6-8-6-3": lambda: network([6, 8, 6, 3]),
    "dense": lambda: network([20, 12, 3], "dense"),
    "wide": lambda: network([20, 64, 10]),
    "attention": attention,
    "softmax": softmax_loss,
    "chain": chain,
}

READ = """() => [...document.querySelectorAll("svg text")].filter((t) => t.textContent.trim()).map((t) => {
    const box = t.getBoundingClientRect();
    const scale = t.getScreenCTM().a;
    return {text: t.textContent, size: parseFloat(getComputedStyle(t).fontSize) * scale,
            x: box.x, y: box.y, width: box.width, height: box.height};
})"""

BEHIND = """() => [...document.querySelectorAll("svg text")].filter((t) => t.textContent.trim()).map((t) => {
    const box = t.getBoundingClientRect();
    const x = box.x + box.width / 2, y = box.y + box.height / 2;
    const before = [...document.querySelectorAll("svg polygon, svg path, svg ellipse")].filter((e) => {
        if (!(t.compareDocumentPosition(e) & Node.DOCUMENT_POSITION_PRECEDING)) return false;
        const fill = getComputedStyle(e).fill;
        if (fill === "none" || /, 0\\)$/.test(fill)) return false;
        const r = e.getBoundingClientRect();
        return r.x <= x && x <= r.right && r.y <= y && y <= r.bottom;
    });
    return {text: t.textContent, ink: getComputedStyle(t).fill, ground: getComputedStyle(before.at(-1)).fill};
})"""

LINES = """() => ["g.edge path", "g.cluster path", "g.node path", "g.node polygon"]
    .flatMap((kind) => [...document.querySelectorAll(`svg ${kind}`)])
    .map((e) => getComputedStyle(e).stroke).filter((c) => c !== "none" && !/, 0\\)$/.test(c))"""


def opened(browser, svg, scheme="light", width=1280):
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    style = "<style>body { margin: 0 } svg { max-width: 100%; height: auto }</style>"
    page.set_content(style + svg[svg.index("<svg") :])
    return page


def svg_of(loss, **options):
    return tg.draw(loss, **options).pipe("svg", encoding="utf-8", quiet=True)


def luminance(colour):
    parts = [int(x) / 255 for x in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", PICTURES)
def test_text_has_ten_pixels_where_a_picture_is_first_seen_and_nothing_overlaps(browser, program, name):
    page = opened(browser, svg_of(PICTURES[name]()))
    texts = page.evaluate(READ)
    assert len(texts) > 10
    assert min(t["size"] for t in texts) >= SMALLEST
    assert page.evaluate("document.querySelector('svg').getBoundingClientRect().width") <= 1280
    left, top, width, height = (np.array([t[key] for t in texts]) for key in ("x", "y", "width", "height"))
    across = np.minimum.outer(left + width, left + width) - np.maximum.outer(left, left)
    down = np.minimum.outer(top + height, top + height) - np.maximum.outer(top, top)
    overlap = (across > 1.0) & (down > 0.3 * np.minimum.outer(height, height))
    np.fill_diagonal(overlap, False)
    assert [(texts[i], texts[j]) for i, j in zip(*np.nonzero(overlap), strict=True)] == []
    page.close()


@pytest.mark.parametrize("width", [390, 1280])
def test_single_operations_are_readable_too_and_scroll_where_they_are_wide(browser, program, width):
    page = opened(browser, svg_of(network([3, 4, 3, 2]), show=("nodes", "data", "local")), width=width)
    assert min(t["size"] for t in page.evaluate(READ)) >= SMALLEST
    page.close()


@pytest.mark.parametrize(
    ("theme", "scheme"), [("light", "dark"), ("dark", "light"), ("auto", "light"), ("auto", "dark")]
)
@pytest.mark.parametrize("show", ["cards", "nodes"])
def test_text_frames_and_arrows_stand_out_in_every_theme(browser, theme, scheme, show):
    for loss in (article(), network([9, 12, 3], "dense"), *([network([20, 64, 10])] if show == "cards" else [])):
        page = opened(browser, svg_of(loss, theme=theme, show=show, heat=True), scheme)
        for t in page.evaluate(BEHIND):
            assert contrast(t["ink"], t["ground"]) >= 4.5, t
        ground = page.evaluate("getComputedStyle(document.querySelector('svg .graph > polygon')).fill")
        assert [line for line in set(page.evaluate(LINES)) if contrast(line, ground) < 3.0] == []
        is_dark = luminance(ground) < 0.2
        assert is_dark == (theme == "dark" or (theme == "auto" and scheme == "dark"))
        page.close()


PLACES = """() => Object.fromEntries([...document.querySelectorAll("svg g[id]")].map((g) => {
    const box = g.getBoundingClientRect();
    return [g.id, [box.left, box.right, box.top, box.bottom]];
}))"""


@pytest.mark.parametrize("sizes", [[2, 2, 2], [3, 4, 3, 2], [6, 8, 6, 3], [1, 5, 1, 4]])
def test_neurons_stand_top_to_bottom_and_layers_left_to_right(browser, program, sizes):
    from tinygrad_edu.drawing.cards import cards_of

    loss = network(sizes)
    page = opened(browser, svg_of(loss))
    places = page.evaluate(PLACES)
    columns = sorted(cards_of([loss]).columns, key=lambda column: column.name)
    assert [len(column.boxes) for column in columns] == sizes[1:]
    for column in columns:
        for above, below in itertools.pairwise(places[name] for name in column.boxes):
            assert above[3] < below[2]
    stages = [["inputs0"], *(column.boxes for column in columns), ["card0"]]
    for left, right in itertools.pairwise(stages):
        assert max(places[name][1] for name in left) < min(places[name][0] for name in right)
    page.close()


def test_two_pictures_on_one_page_keep_their_colours(browser):
    light, auto = svg_of(article(), theme="light"), svg_of(article(), theme="auto")
    page = opened(browser, light[light.index("<svg") :] + auto[auto.index("<svg") :], "dark")
    grounds = page.evaluate(
        "[...document.querySelectorAll('svg .graph > polygon')].map((e) => getComputedStyle(e).fill)"
    )
    assert [luminance(ground) < 0.2 for ground in grounds] == [False, True]
    page.close()


def test_a_picture_in_an_img_element_follows_the_readers_scheme(browser, tmp_path):
    path = tg.save(article(), tmp_path / "a.svg")
    (tmp_path / "page.html").write_text(f"<body style='margin:0'><img src='{path.name}'>")
    seen = {}
    for scheme in ("light", "dark"):
        page = browser.new_page(color_scheme=scheme)
        page.goto((tmp_path / "page.html").as_uri())
        seen[scheme] = page.screenshot()
        page.close()
    assert seen["light"] != seen["dark"]
