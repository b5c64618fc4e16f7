"""The table of diagnoses: each entry's example is explained by it, and nothing right is."""

import ast
import linecache
import textwrap
from pathlib import Path

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu.gradient_check import search
from tinygrad_edu.gradient_check.search.chinese import CHINESE
from tinygrad_edu.gradient_check.search.table import TABLE


def made(name, arguments, body, file):
    """A function of source text that tracebacks and reports can show."""
    source = f"def {name}({', '.join(arguments)}):\n{textwrap.indent(body, '    ')}\n"
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)
    names = {"np": np, "__name__": "example"}
    exec(compile(source, file, "exec"), names)
    return names[name]


def explained(forward, inputs, claimed, names):
    right = tg.vjp(tg.follow(forward), *inputs)[1](1.0)
    by_name = dict(zip(names, right, strict=True))
    return search.explain(
        forward, inputs, range(len(inputs)), [1.0], dict(zip(names, claimed, strict=True)), by_name, names
    )


@pytest.mark.parametrize("entry", TABLE, ids=[entry.kind for entry in TABLE])
def test_an_entry_explains_its_own_example(entry):
    example = entry.example
    rng = np.random.default_rng(5)
    inputs = [rng.normal(size=shape) for shape in example.shapes.values()]
    forward = made("forward", example.shapes, example.forward, f"<{entry.kind}: forward>")
    backward = made("backward", example.shapes, example.backward, f"<{entry.kind}: backward>")
    claimed = backward(*[x.copy() for x in inputs])
    found = explained(forward, inputs, claimed if isinstance(claimed, tuple) else (claimed,), list(example.shapes))
    assert found.followed
    assert not found.unexplained
    finding = found.findings[0]
    assert finding.kind == entry.kind
    assert finding.file == f"<{entry.kind}: forward>"
    assert finding.expression in " ".join(example.forward.split())
    assert finding.hint == entry.hint
    assert "gives the claimed number" in finding.evidence
    assert finding.sentence("zh") != finding.sentence("en")


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
    from tinygrad_edu.gradient_check.search import activations, rules

    yield from (
        row[1] for row in [*activations.VARIANTS, *activations.SOFTMAX, *activations.NORMALISATION, *rules.UNDO]
    )
    yield from (row[0] for row in rules.EXTRA)


@pytest.mark.parametrize("template", sorted(set(templates())))
def test_every_sentence_has_a_chinese_one_with_the_same_words(template):
    def fields(text):
        return {part.split("}")[0] for part in text.split("{")[1:]}

    assert fields(CHINESE[template]) <= fields(template)
