"""The examples run as a reader would run them, and show what they promise."""

import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
SHOWS = {
    "first_value.py": ["∂c/∂a = -1.259923"],
    "article_scalar.py": ["the same figure here:   3.77247873705", "predictions: [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]"],
    "article_dense.py": [
        "layers[0].weights equal to the last bit: True",
        "layers[1].delta   equal to the last bit: True",
    ],
    "xor.py": ["0 xor 1: expected 1, got 1", "1 xor 1: expected 0, got 0"],
    "compiled_classifier.py": ["right: 9", "d_weights = rows.T @ d_scores", "new_bias = bias - c_0_01 * d_bias"],
    "moons.py": ["right: 100.0%", "a saved network predicts the same: True"],
    "digits.py": ["test accuracy: 9"],
    "digits_conv.py": ["test accuracy: "],
    "characters.py": ["pairs of letters: loss 2.", "with batch normalisation: loss "],
    "tiny_gpt.py": ["200 letters: loss 3.", ", 1."],
    "grid_search.py": ["'networkclassifier__hidden': (64,)"],
    "on_jax.py": ["d_sum_1 = (product - targets)", "equal within 1e-12: True"],
    "two_workers.py": ["the same bits: True"],
    "find_the_slip.py": ["are wrong, in hidden_weights, hidden_bias", "gradient check passed: 17 entries"],
}


def test_every_example_is_tested():
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(SHOWS)


NEED_SKLEARN = ("digits.py", "digits_conv.py", "grid_search.py")


@pytest.mark.parametrize("name", SHOWS)
def test_example_shows(name, capsys, monkeypatch):
    if name == "on_jax.py":
        pytest.importorskip("jax", reason='needs the extra "jax"')
    if name in NEED_SKLEARN:
        pytest.importorskip("sklearn", reason='needs the extra "sklearn"')
    monkeypatch.setattr(sys, "argv", [name, "--small"])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    printed = capsys.readouterr().out
    for line in SHOWS[name]:
        assert line in printed
    assert "False" not in printed
