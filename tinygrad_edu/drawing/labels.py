"""Labels: what stands in a box, as Graphviz's HTML-like markup, with every text of a user's escaped.

The one thing to know: all text goes through `text`, which leaves no markup, entity or control character of a user's.
"""

from __future__ import annotations

import html
import math
import unicodedata
from collections.abc import Collection
from typing import Any

import numpy as np

from tinygrad_edu.core.value import Value, data_of
from tinygrad_edu.drawing.calls import params_text, symbol_of
from tinygrad_edu.drawing.view import Box, Row, name_of

NODE_SIZE = 11
"""Points of text where single operations are shown."""

MOST = 100
"""Numbers of an array that are written out where a heat map is pointed at, or stepped to."""

BARRED = ("Cc", "Cs", "Zl", "Zp")
TURNING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufffe\uffff"


def label_of(box: Box, show: Collection[str]) -> str:
    """The label of a box, as an HTML-like string without its outer angle brackets."""
    if box.kind == "operation":
        return operation_label(box, show)
    rows = []
    if box.name or box.kind == "folded":
        title = f"<B>{text(box.name)}</B>" + (f"&#160;× {box.times}" if box.times > 1 else "")
        rows.append(f'<TR><TD COLSPAN="2" WIDTH="{text_width(box.name, NODE_SIZE, bold=True)}">{title}</TD></TR>')
    if box.kind == "folded":
        rows.append(f'<TR><TD COLSPAN="2">{text(box.holds)}{" each" if box.times > 1 else ""}</TD></TR>')
    elif box.kind == "constant":
        rows.append(f'<TR><TD COLSPAN="2" WIDTH="{number_width(box.data)}">{number_cell(box.data)}</TD></TR>')
    else:
        assert box.node is not None
        rows += value_rows(box.node, box.grad, show)
    return table(rows)


def value_rows(node: Value, grad: Any, show: Collection[str]) -> list[str]:
    rows = []
    if "shape" in show and node.ndim:
        shape = f"{node.shape} {node.dtype}"
        rows.append(f'<TR><TD COLSPAN="2" WIDTH="{text_width(shape, NODE_SIZE)}">{text(shape)}</TD></TR>')
    if "data" in show:
        rows.append(number_row("data", node.data))
    if "grad" in show and grad is not None:
        rows.append(number_row("grad", data_of(grad)))
    return rows or ["<TR><TD> </TD></TR>"]


def number_row(word: str, data: Any) -> str:
    first = f'<TD ALIGN="LEFT" WIDTH="{text_width(word, NODE_SIZE) + 6}">{word}</TD>'
    return f'<TR>{first}<TD ALIGN="LEFT" WIDTH="{number_width(data)}">{number_cell(data)}</TD></TR>'


def number_width(data: Any) -> int:
    """The width of what `number_cell` writes; 0 for a table, whose cells have their own."""
    if np.ndim(data) == 0:
        return text_width(digits(float(data)), NODE_SIZE)
    return 0 if is_small(np.atleast_2d(data)) else text_width(summary(np.asarray(data)), NODE_SIZE)


def is_small(array: Any) -> bool:
    return bool(array.ndim == 2 and max(array.shape) <= 3 and array.size > 0)


def text_width(words: str, size: float = 12, bold: bool = False) -> int:
    """About the width in points of the widest line, in a font as wide as browsers may take for Helvetica."""
    return math.ceil(max(sum(map(em, part)) for part in words.split("\n")) * size * (1.08 if bold else 1.0))


def em(c: str) -> float:
    """About the width of a character in parts of the size."""
    if ord(c) > 0x2E7F or ord(c) < 0x20:  # control characters are shown as a replacement
        return 1.1
    if c in " .,:;'|!ijl[]()":
        return 0.36
    return 0.95 if c in "mwMW@%…↑→=+×÷−<>~^" else 0.8 if c.isupper() else 0.64


def box_width(box: Box, show: Collection[str]) -> int:
    """About how wide a box of a single operation or Value is, in points."""
    if box.kind == "operation":
        assert box.node is not None
        assert box.node.operation is not None
        formula = box.node.operation.formula if "local" in show else ""
        words = max(text_width(symbol_of(box.node), NODE_SIZE), text_width(formula, 10))
        return math.ceil(1.4 * words) + 10  # an ellipse around it
    shown = [box.data] if box.kind == "constant" or box.node is None else [box.node.data, box.grad]
    numbers = [number_width(x) or 3 * text_width("−0.0001234", NODE_SIZE) for x in shown if x is not None]
    words = max(text_width(box.name, NODE_SIZE, bold=True), text_width(box.holds, NODE_SIZE))
    return max(words, max(numbers, default=0) + 40) + 10


def operation_label(box: Box, show: Collection[str]) -> str:
    assert box.node is not None
    assert box.node.operation is not None
    rows = [f"<TR><TD>{text(symbol_of(box.node))}</TD></TR>"]
    if "local" in show and box.node.operation.formula:
        rows.append(f'<TR><TD><FONT POINT-NODE_SIZE="10">{text(box.node.operation.formula)}</FONT></TD></TR>')
    return table(rows)


def table(rows: list[str]) -> str:
    return f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="2">{"".join(rows)}</TABLE>'


def number_cell(data: Any) -> str:
    """Four significant digits; arrays up to 3 by 3 as a small table, larger ones as least, mean and largest number."""
    if np.ndim(data) == 0:
        return text(digits(float(data)))
    array = np.atleast_2d(data)
    if not is_small(array):
        return text(summary(array))
    cells = "".join(f"<TR>{''.join(map(small_cell, row))}</TR>" for row in array.tolist())
    return f'<TABLE BORDER="0" CELLBORDER="1" CELLSPACING="0" CELLPADDING="2" COLOR="#7d8590">{cells}</TABLE>'


def small_cell(x: float) -> str:
    return f'<TD WIDTH="{text_width(digits(x), NODE_SIZE) + 4}">{text(digits(x))}</TD>'


def summary(array: Any) -> str:
    if array.size == 0:
        return "empty"
    with np.errstate(all="ignore"):
        return f"{range_of(array)}, mean {digits(array.mean())}"


def range_of(array: Any) -> str:
    """The least and the largest number; of those that are none how many there are."""
    n = int(np.isnan(array).sum())
    if n == array.size:
        return "all nan"
    words = f"{digits(float(np.nanmin(array)))} … {digits(float(np.nanmax(array)))}"
    return f"{words}, {n} nan" if n else words


def entries_of(x: Any) -> list[list[str]] | None:
    """The numbers of an array of up to 100, row by row, its first axes one after the other; None for any other."""
    array = np.asarray(x)
    if array.ndim == 0 or not 0 < array.size <= MOST:
        return None
    return [[digits(entry) for entry in row] for row in array.reshape(-1, array.shape[-1]).tolist()]


def digits(x: float) -> str:
    """Four significant digits as they are written in print: its minus sign, no sign before 0, and ∞."""
    return f"{x or 0.0:.4g}".replace("-", "−").replace("inf", "∞")


def text(words: str) -> str:
    """A user's text as it stands: no markup, no entities; what XML can't hold is replaced; lines kept."""
    lines = [printable(line) for line in words.split("\n")]
    # Backslashes doubled: in a label one before an N would stand for the node's name.
    escaped = [html.escape(line).replace("\\", "&#92;&#92;") or " " for line in lines]
    return "<BR/>".join(escaped)


def printable(words: str) -> str:
    """Without what XML can't hold, and what would turn the letters around it: control characters, lone surrogates …"""
    return "".join("\ufffd" if unicodedata.category(c) in BARRED or c in TURNING else c for c in words)


def plain_text(box: Box) -> str:
    """What a box is, in a line: the title that a browser shows over it."""
    if box.kind == "folded":
        times = f" × {box.times}" if box.times > 1 else ""
        return f"{box.name}{times}: {box.holds}"
    if box.kind == "constant":
        return f"constant {short(box.data)}"
    if box.kind in ("neuron", "dense", "inputs"):
        return ".".join([*box.path, box.name])
    assert box.node is not None
    if box.kind == "operation":
        assert box.node.operation is not None
        told = params_text(box.node)
        return f"{box.node.operation.name}{f'({told})' if told else ''}: {box.node.operation.formula}"
    return plain_value(name_of(box.node) or box.name or box.kind, box.node.data, box.grad)


def plain_row(row: Row) -> str:
    """What a row of a card shows, under its whole name."""
    assert row.node is not None
    return plain_value(name_of(row.node) or row.name or row.label, row.node.data, row.node.grad)


def plain_entries(array: Any) -> str:
    """The numbers of an array, a line for each row; "" where there are too many."""
    return "\n".join("  ".join(row) for row in entries_of(array) or [])


def plain_value(name: str, data: Any, grad: Any) -> str:
    parts = [name, f"data {short(data)}"]
    if grad is not None:
        parts.append(f"grad {short(data_of(grad))}")
    return ", ".join(parts)


def short(data: Any) -> str:
    return digits(float(data)) if np.ndim(data) == 0 else f"{np.shape(data)}: {summary(np.asarray(data))}"


def heat(grad: Any, largest: float) -> str:
    """The role of the colour for a gradient's size: from white to orange, a step for each power of ten."""
    size = float(np.max(np.abs(data_of(grad)), initial=0.0)) if grad is not None else 0.0
    if not (size > 0.0 and largest > 0.0 and math.isfinite(size)):
        return "value"
    step = 4 + math.floor(math.log10(size / largest) + 0.5)
    return f"plus{step}" if step > 0 else "value"
