"""The page of all operations is made from the entries, and the one in docs is current."""

import re
from importlib import import_module
from pathlib import Path

from tinygrad_edu import cli, ops
from tinygrad_edu.core.operation import Operation
from tinygrad_edu.ops import catalogue
from tinygrad_edu.ops.comparison import PLAIN

PAGE = Path(__file__).parent.parent / "docs" / "operations.md"


def test_the_page_in_docs_is_current():
    assert PAGE.read_text("utf-8") == catalogue.page(), "run: tinygrad-edu operations > docs/operations.md"


def test_the_command_prints_the_page(capsys):
    assert cli.main(["operations"]) == 0
    assert capsys.readouterr().out == catalogue.page()


def test_every_public_function_is_on_the_page():
    page = catalogue.page()
    for name in ops.FAMILY_OF:
        function = getattr(ops, name)
        named = f"### {name}\n" in page or f"- `{name}`:" in page or (function in PLAIN and f"`{name}`" in page)
        assert named or f"### {getattr(function, 'name', name)}\n" in page, name


def test_every_entry_has_formula_shapes_and_documentation():
    for name in ops.FAMILY_OF:
        entry = getattr(ops, name)
        if isinstance(entry, Operation):
            assert entry.formula, name
            assert entry.shapes, name
            assert entry.__doc__, name
        assert getattr(ops, name).__doc__, name


def test_rules_are_shown_as_they_are_written_each_under_its_input():
    page = catalogue.page()
    assert "- ∂a: `g * b`\n- ∂b: `g * a`\n" in page
    assert "- ∂x: `g * (out * (1.0 - out))`\n" in page
    assert "- ∂holds: `0`\n- ∂a: `choose(holds, g, not_taken(a, holds, True))`\n" in page
    assert "wanted" not in page
    assert not re.search(r"\bneeds\[", page)


def test_of_two_rules_on_one_line_each_is_found():
    rules = (lambda g, out, a, b: g * b, lambda g, out, a, b: g * a)  # as an entry has them
    assert [catalogue.rule_source(rule) for rule in rules] == ["g * b", "g * a"]


def test_no_heading_stands_twice():
    headings = re.findall(r"^### (.+)$", catalogue.page(), re.M)
    assert len(headings) > 100
    assert len(headings) == len(set(headings))


def test_every_name_in_a_rule_is_explained_on_the_page():
    page = catalogue.page()
    used = set()
    for family in [*ops.FAMILIES, "loss"]:
        for entry in catalogue.entries_of(import_module(f"tinygrad_edu.ops.{family}")).values():
            for _, rule in catalogue.labelled_rules(entry):
                used |= catalogue.words_of(rule).keys() if rule else set()
    assert {"choose", "put_back", "LOG_2"} <= used
    for word in used:
        explained = f"### {word}\n" in page or re.search(rf"^- `{word}`: .", page, re.M)
        assert explained, word
