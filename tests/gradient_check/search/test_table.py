"""The table of diagnoses: each entry's example is explained by it, and nothing right is."""

import ast
from pathlib import Path

import pytest

from tinygrad_edu.gradient_check import search
from tinygrad_edu.gradient_check.search import page
from tinygrad_edu.gradient_check.search.chinese import CHINESE
from tinygrad_edu.gradient_check.search.table import TABLE


@pytest.mark.parametrize("entry", TABLE, ids=[entry.kind for entry in TABLE])
def test_an_entry_explains_its_own_example(entry):
    found = page.explained(entry)
    assert found.followed
    assert not found.unexplained
    finding = found.findings[0]
    assert finding.kind == entry.kind
    assert finding.file == f"<{entry.kind}: forward>"
    assert finding.expression in " ".join(entry.example.forward.split())
    assert finding.hint.startswith(entry.hint)
    assert "gives the claimed number" in finding.evidence
    assert finding.sentence("zh") != finding.sentence("en")
    assert finding.evidence_zh != finding.evidence
    assert finding.hint_zh.startswith(CHINESE[entry.hint])


def test_the_page_is_made_from_the_table():
    written = Path(__file__).parents[3] / "docs" / "diagnoses.md"
    command = "python -m tinygrad_edu.gradient_check.search.page > docs/diagnoses.md"
    assert written.read_text(encoding="utf-8") == page.page(), f"run: {command}"


def test_kinds_are_unique_and_stated_in_both_languages():
    kinds = [entry.kind for entry in TABLE]
    assert len(set(kinds)) == len(kinds)


def templates():
    """Every sentence that a diagnosis can be made of."""
    for path in Path(search.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Say" and node.args:
                argument = node.args[0]
                texts = [argument.body, argument.orelse] if isinstance(argument, ast.IfExp) else [argument]
                yield from (text.value for text in texts if isinstance(text, ast.Constant))
    from tinygrad_edu.gradient_check.search import activations, broadcasts, cotangents

    yield from (
        row[1] for row in [*activations.VARIANTS, *activations.SOFTMAX, *activations.NORMALISATION, *broadcasts.UNDO]
    )
    yield from (row[0] for row in cotangents.EXTRA)
    yield from (entry.hint for entry in TABLE)


@pytest.mark.parametrize("template", sorted(set(templates())))
def test_every_sentence_has_a_chinese_one_with_the_same_words(template):
    def fields(text):
        return {part.split("}")[0] for part in text.split("{")[1:]}

    assert fields(CHINESE[template]) <= fields(template)
