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

from tinygrad_edu.drawing.view import Box
from tinygrad_edu.value import Value, data_of


def label_of(box: Box, show: Collection[str]) -> str:
    """The label of a box, as an HTML-like string without its outer angle brackets."""
    if box.kind == "operation":
        return operation_label(box, show)
    rows = []
    if box.name or box.kind == "folded":
        title = f"<B>{text(box.name)}</B>" + (f"&#160;× {box.times}" if box.times > 1 else "")
        rows.append(f'<TR><TD COLSPAN="2">{title}</TD></TR>')
    if box.kind == "folded":
        rows.append(f'<TR><TD COLSPAN="2">{text(box.holds)}{" each" if box.times > 1 else ""}</TD></TR>')
    elif box.kind == "constant":
        rows.append(f'<TR><TD COLSPAN="2">{number_cell(box.data)}</TD></TR>')
    else:
        assert box.node is not None
        rows += value_rows(box.node, box.grad, show)
    return table(rows)


def value_rows(node: Value, grad: Any, show: Collection[str]) -> list[str]:
    rows = []
    if "shape" in show and node.ndim:
        rows.append(f'<TR><TD COLSPAN="2">{text(f"{node.shape} {node.dtype}")}</TD></TR>')
    if "data" in show:
        rows.append(f'<TR><TD ALIGN="RIGHT">data</TD><TD ALIGN="LEFT">{number_cell(node.data)}</TD></TR>')
    if "grad" in show and grad is not None:
        rows.append(f'<TR><TD ALIGN="RIGHT">grad</TD><TD ALIGN="LEFT">{number_cell(data_of(grad))}</TD></TR>')
    return rows or ["<TR><TD> </TD></TR>"]


def operation_label(box: Box, show: Collection[str]) -> str:
    assert box.node is not None
    assert box.node.operation is not None
    rows = [f"<TR><TD>{text(box.node.operation.symbol)}</TD></TR>"]
    if "local" in show and box.node.operation.formula:
        rows.append(f'<TR><TD><FONT POINT-SIZE="9">{text(box.node.operation.formula)}</FONT></TD></TR>')
    return table(rows)


def table(rows: list[str]) -> str:
    return f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="2">{"".join(rows)}</TABLE>'


def number_cell(data: Any) -> str:
    """Four significant digits; arrays up to 3 by 3 as a small table, larger ones as least, mean and largest number."""
    if np.ndim(data) == 0:
        return text(digits(float(data)))
    array = np.atleast_2d(data)
    if array.ndim > 2 or max(array.shape) > 3 or array.size == 0:
        return text(summary(array))
    cells = "".join(f"<TR>{''.join(f'<TD>{text(digits(x))}</TD>' for x in row)}</TR>" for row in array.tolist())
    return f'<TABLE BORDER="0" CELLBORDER="1" CELLSPACING="0" CELLPADDING="2" COLOR="#a0a0a0">{cells}</TABLE>'


def summary(array: Any) -> str:
    if array.size == 0:
        return "empty"
    with np.errstate(all="ignore"):
        return f"{digits(array.min())} … {digits(array.max())}, mean {digits(array.mean())}"


def digits(x: float) -> str:
    """Four significant digits, with the sign as it is written in print."""
    return f"{x:.4g}".replace("-", "−")


def text(words: str) -> str:
    """A user's text as it stands: no markup, no entities; control characters replaced; lines kept."""
    lines = ["".join("\ufffd" if unicodedata.category(c) in ("Cc", "Cs") else c for c in s) for s in words.split("\n")]
    # Backslashes doubled: in a label one before an N would stand for the node's name.
    escaped = [html.escape(line).replace("\\", "&#92;&#92;") or " " for line in lines]
    return "<BR/>".join(escaped)


def plain_text(box: Box) -> str:
    """What a box is, in a line: the title that a browser shows over it."""
    if box.kind == "folded":
        times = f" × {box.times}" if box.times > 1 else ""
        return f"{box.name}{times}: {box.holds}"
    if box.kind == "constant":
        return f"constant {short(box.data)}"
    assert box.node is not None
    if box.kind == "operation":
        assert box.node.operation is not None
        return f"{box.node.operation.name}: {box.node.operation.formula}"
    parts = [box.name or box.kind, f"data {short(box.node.data)}"]
    if box.grad is not None:
        parts.append(f"grad {short(data_of(box.grad))}")
    return ", ".join(parts)


def short(data: Any) -> str:
    return digits(float(data)) if np.ndim(data) == 0 else f"{np.shape(data)}: {summary(np.asarray(data))}"


def heat(grad: Any, largest: float) -> str:
    """A light colour for a gradient's size, from white to orange on a logarithmic scale of four powers of ten."""
    size = float(np.max(np.abs(data_of(grad)), initial=0.0)) if grad is not None else 0.0
    if not (size > 0.0 and largest > 0.0 and math.isfinite(size)):
        return "#ffffff"
    depth = min(max(1.0 + math.log10(size / largest) / 4.0, 0.0), 1.0)
    return f"#ff{255 - round(90 * depth):02x}{255 - round(155 * depth):02x}"
