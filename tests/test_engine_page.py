"""The listing of docs/the-engine-in-50-lines.md runs, and lands on the article's numbers to the last bit."""

import re
from pathlib import Path

import tinygrad_edu as tg
from tinygrad_edu.article import DATASET, TARGETS, recovered_start
from tinygrad_edu.article.by_hand import HandNetwork

PAGE = Path(__file__).parent.parent / "docs" / "the-engine-in-50-lines.md"
BLOCKS = re.findall(r"^```py\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def listing():
    names = {}
    for block in BLOCKS:
        exec(block, names)
    return names


def test_the_listing_has_at_most_50_lines_of_code():
    without_docs = re.sub(r'^\s*""".*?"""\n', "", BLOCKS[0], flags=re.MULTILINE | re.DOTALL)
    assert len([line for line in without_docs.splitlines() if line.strip()]) <= 50


def test_the_listing_trains_the_articles_network_to_the_same_bits():
    engine = listing()
    value = engine["Value"]
    layers = [[([value(w) for w in weights], value(bias)) for weights, bias in layer] for layer in recovered_start()]
    by_hand = HandNetwork(recovered_start())
    for _ in range(40):
        for row, target in zip(DATASET, TARGETS, strict=True):
            engine["train_row"](layers, row, target, 0.5)
        by_hand.train_epoch(DATASET, TARGETS)
    ours = [[([w.data for w in weights], bias.data) for weights, bias in layer] for layer in layers]
    assert ours == [[(neuron.weights, neuron.bias) for neuron in layer] for layer in by_hand.layers]


def test_the_listings_second_derivatives_are_the_librarys():
    engine = listing()
    x = engine["Value"](0.7)
    (first,) = [g for v, g in engine["gradients"](engine["sigmoid"](x * x)).items() if v is x]
    second = engine["gradients"](first)[x]
    assert first.data == tg.grad(lambda x: tg.sigmoid(x * x))(0.7)
    assert abs(second.data - tg.grad(tg.grad(lambda x: tg.sigmoid(x * x)))(0.7)) < 1e-15
