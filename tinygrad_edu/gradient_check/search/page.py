"""The page of diagnoses: every entry of the table with its example and what the search says of it.

The one thing to know: `python -m tinygrad_edu.gradient_check.search.page` prints docs/diagnoses.md; a test compares.
"""

from __future__ import annotations

import linecache
import textwrap
from collections.abc import Iterator
from typing import Any

import numpy as np

from tinygrad_edu.following import follow
from tinygrad_edu.gradient_check.search.explaining import explain
from tinygrad_edu.gradient_check.search.findings import Search
from tinygrad_edu.gradient_check.search.table import TABLE, Hypothesis
from tinygrad_edu.transforms import vjp

HEAD = """# What a gradient check can say

When a hand-written gradient is wrong, the checks search for the line: each line's derivative is changed in every way in
this list, and what gives the claimed numbers at every entry is named. Each entry has code that makes the mistake, in a
line with a comment, and what the report says of it. The page is made from the table of diagnoses by
`python -m tinygrad_edu.gradient_check.search.page`.
"""


def page() -> str:
    """The page as Markdown."""
    return "\n".join([HEAD, *(line for entry in TABLE for line in section(entry))])


def section(entry: Hypothesis) -> Iterator[str]:
    what = entry.what.en
    yield f"## {entry.kind}\n"
    yield f"{what[0].upper()}{what[1:]}. {entry.hint}\n"
    yield f"```py\n{sources(entry)[0]}\n{sources(entry)[1]}```\n"
    finding = explained(entry).findings[0]
    yield "```text"
    yield finding.sentence()
    if finding.repair:
        yield f"    right: {finding.repair}"
    yield "```\n"


def sources(entry: Hypothesis) -> tuple[str, str]:
    """The example's forward and backward pass as functions."""
    names = ", ".join(entry.example.shapes)
    forward, backward = (textwrap.indent(body, "    ") for body in (entry.example.forward, entry.example.backward))
    return f"def forward({names}):\n{forward}\n\n", f"def backward({names}):\n{backward}\n"


def explained(entry: Hypothesis) -> Search:
    """What the search says of an entry's example, at random inputs."""
    rng = np.random.default_rng(5)
    inputs = [rng.normal(size=shape) for shape in entry.example.shapes.values()]
    forward, backward = (
        made(name, source, f"<{entry.kind}: {name}>")
        for name, source in zip(("forward", "backward"), sources(entry), strict=True)
    )
    claimed = backward(*[x.copy() for x in inputs])
    claimed = claimed if isinstance(claimed, tuple) else (claimed,)
    right = vjp(follow(forward), *inputs)[1](1.0)
    names = list(entry.example.shapes)
    given, numerical = (dict(zip(names, gradients, strict=True)) for gradients in (claimed, right))
    return explain(forward, inputs, range(len(inputs)), [1.0], given, numerical, names)


def made(name: str, source: str, file: str) -> Any:
    """A function from source text, which reports can quote."""
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    names: dict[str, Any] = {"np": np, "__name__": "example"}
    exec(compile(source, file, "exec"), names)
    return names[name]


if __name__ == "__main__":
    print(page(), end="")
