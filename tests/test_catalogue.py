"""The page of all operations is made from the entries, and the one in docs is current."""

from pathlib import Path

from tinygrad_edu import cli, ops
from tinygrad_edu.core.operation import Operation
from tinygrad_edu.ops import catalogue

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
        named = f"### {name}\n" in page or f"- `{name}`:" in page
        assert named or f"### {getattr(function, 'name', name)}\n" in page, name


def test_every_entry_has_formula_shapes_and_documentation():
    for name in ops.FAMILY_OF:
        entry = getattr(ops, name)
        if isinstance(entry, Operation):
            assert entry.formula, name
            assert entry.shapes, name
            assert entry.__doc__, name
        assert getattr(ops, name).__doc__, name


def test_rules_are_shown_as_they_are_written():
    assert catalogue.rules_source(ops.exp.rules) == "g * out"
    assert catalogue.rules_source(ops.add.rules) == "(g, g)"
    assert catalogue.rules_source(ops.sigmoid.rules) == "g * (out * (1.0 - out))"
