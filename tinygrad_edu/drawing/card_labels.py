"""How cards look: tables in Graphviz's HTML-like markup, a cell for each number, heat maps for matrices.

The one thing to know: a table or cell with an ID becomes an SVG group with that id (see `svg.py`), and a cell with a
PORT is where an arrow starts or ends. Widths are given, since programs that lay out don't have the viewer's fonts.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from tinygrad_edu.core.value import data_of
from tinygrad_edu.drawing.labels import digits, heat, printable, range_of, text, text_width
from tinygrad_edu.drawing.themes import shade
from tinygrad_edu.drawing.view import Box, Column, Row

SIZE, SMALL = 12, 10
"""Points of text: numbers and names, and what explains them."""

MAP = 8
"""A heat map has at most so many squares a side."""

Colours = Mapping[str, str]


def column_label(column: Column, cards: Mapping[str, str], colours: Colours, upright: bool) -> str:
    """The frame of a layer, its cards below each other, or side by side."""
    cells = [f'<TD CELLPADDING="0">{cards[name]}</TD>' for name in column.boxes]
    rows = [f"<TR>{cell}</TR>" for cell in cells] if upright else [f"<TR>{''.join(cells)}</TR>"]
    span = "" if upright else f' COLSPAN="{len(cells)}"'
    if column.name:
        width = text_width(column.name) + 8
        rows.insert(0, f'<TR><TD{span} CELLPADDING="0" WIDTH="{width}">{text(column.name)}</TD></TR>')
    return (
        f'<TABLE BORDER="1" STYLE="ROUNDED" CELLBORDER="0" CELLSPACING="8" COLOR="{colours["frame"]}"'
        f"{fill(colours, 'column')}>{''.join(rows)}</TABLE>"
    )


def card_label(
    box: Box, show: Collection[str], colours: Colours, is_result: bool = False, largest: float | None = None
) -> str:
    """A card: a title, what the columns are, and its rows. `largest` colours gradients by their size beside it."""
    columns = columns_of(box, show)
    rows = [f'<TR><TD COLSPAN="{len(columns)}" WIDTH="{width}">{words}</TD></TR>' for words, width in titles(box)]
    if len(columns) > 2 or box.kind not in ("inputs", "folded"):
        rows.append(f"<TR>{''.join(heading(word, colours) for _, word in columns)}</TR>")
    for row in box.rows:
        is_last = row is box.rows[-1] and row.kind == "value" and box.kind not in ("inputs", "leaf", "parameter")
        rows.append(line(row, columns, show, colours, is_last, largest))
    return (
        f'<TABLE ID="{box.id}card" HREF=" " {border(box, is_result)} CELLBORDER="0" CELLSPACING="0" CELLPADDING="2" '
        f'COLOR="{colours["frame"]}"{fill(colours, "output" if is_result else box.kind)}>{"".join(rows)}</TABLE>'
    )


def columns_of(box: Box, show: Collection[str]) -> list[tuple[str, str]]:
    """What each column holds, and the word for it."""
    weights, pairs = (any(row.kind == kind for row in box.rows) for kind in ("weight", "pair"))
    found = [("label", "")]
    if weights:
        found.append(("input", "input"))
    if "data" in show:
        found.append(("data", "weight" if weights else "output" if pairs else "data"))
    if pairs:
        found.append(("input", "target"))
    if "grad" in show and any(grad_of(row) is not None for row in box.rows):
        found.append(("grad", "grad"))
    if any(row.verdict for row in box.rows):
        found.append(("hand", "by hand"))
    return found


def border(box: Box, is_result: bool) -> str:
    """Kinds differ in line as well as in colour."""
    looks = {"neuron": "ROUNDED", "dense": "ROUNDED", "leaf": "ROUNDED", "inputs": "DASHED", "folded": "DASHED"}
    style = f' STYLE="{looks[box.kind]}"' if box.kind in looks else ""
    return f'BORDER="{3 if is_result else 2 if box.kind == "parameter" else 1}"{style}'


def fill(colours: Colours, role: str) -> str:
    return f' BGCOLOR="{colours[role]}"' if role in colours else ""


def titles(box: Box) -> list[tuple[str, int]]:
    """What stands above the rows, with its width: the name, and what else there is to say of the whole."""
    found = []
    if box.name:
        name = f"{box.name}  × {box.times}" if box.times > 1 else box.name
        found.append((f"<B>{text(name)}</B>", text_width(name, bold=True) + 6))
    if box.holds:
        found.append((text(box.holds), text_width(box.holds) + 6))
    return found


def heading(word: str, colours: Colours) -> str:
    return f'<TD ALIGN="LEFT" WIDTH="{text_width(word, SMALL) + 4}">{small(word, colours)}</TD>'


def small(words: str, colours: Colours, role: str = "quiet") -> str:
    return f'<FONT POINT-SIZE="{SMALL}" COLOR="{colours[role]}">{text(words)}</FONT>' if words else ""


def line(
    row: Row,
    columns: list[tuple[str, str]],
    show: Collection[str],
    colours: Colours,
    is_last: bool,
    largest: float | None,
) -> str:
    """One row of a card: arrows come in at its first cell and go out from its last.

    What has nothing beside it takes the room; the name of a heat map stands above it.
    """
    if row.kind == "more":
        cell = f'<TD ID="{row.id}" HREF=" " PORT="{row.id}" COLSPAN="{len(columns)}" ALIGN="LEFT"'
        return f'<TR>{cell} WIDTH="{text_width(row.label, SMALL) + 6}">{small(row.label, colours)}</TD></TR>'
    data = row.node.data if row.node is not None else row.data
    kinds = [kind for kind, _ in columns[1:]]
    if row.input is None and "input" in kinds:
        kinds.remove("input")
    cells = [number_of(row, kind, colours, is_last, largest) for kind in kinds]
    if cells:
        cells[-1] = cells[-1].replace("<TD", f'<TD PORT="{row.id}o"', 1)
    left = len(columns) - len(cells)
    if np.ndim(data) and cells and not is_few(np.asarray(data)):
        name = label_cell(row, show, colours, len(columns))
        cells[0] = cells[0].replace("<TD", f'<TD COLSPAN="{left + 1}"', 1)
        return f"<TR>{name}</TR><TR>{''.join(cells)}</TR>"
    return f"<TR>{label_cell(row, show, colours, left)}{''.join(cells)}</TR>"


def has_one_cell(row: Row, box: Box, show: Collection[str]) -> bool:
    """Whether arrows go out from the cell that they come in at."""
    return row.kind == "more" or len(columns_of(box, show)) == 1


def number_of(row: Row, kind: str, colours: Colours, is_last: bool, largest: float | None) -> str:
    """The cell of a row in a column: its data, its gradient, or what stands beside its data."""
    if kind == "data":
        return number(f"{row.id}data", row.node.data if row.node is not None else row.data, colours, bold=is_last)
    if kind == "input":
        sign = " ×" if row.kind == "weight" else ""
        return "<TD></TD>" if row.input is None else number(f"{row.id}input", row.input, colours, sign=sign)
    if kind == "hand":
        return hand_cell(row, colours) if row.verdict else "<TD></TD>"
    grad = grad_of(row)
    if grad is None:
        return "<TD></TD>"
    role = heat(grad, largest) if largest is not None and np.ndim(grad) == 0 else "value"
    cell = number(
        f"{row.id}grad",
        grad,
        colours,
        "grad" if role == "value" else "ink",
        " = δ" if row.delta and np.ndim(grad) == 0 else "",
    )
    return cell.replace("<TD", f"<TD{fill(colours, role)}", 1) if role != "value" else cell


def hand_cell(row: Row, colours: Colours) -> str:
    """A number that somebody wrote by hand, with what there is to say of it."""
    role = "quiet" if row.verdict == "right" else "mark"
    word = small(row.verdict, colours, role)
    ground = fill(colours, "marked") if row.verdict == "wrong here" else ""
    if np.ndim(row.hand):
        shown, width = array_table(row.hand, colours, role), text_width(row.verdict, SMALL) + 6
        rows = f'<TR><TD ALIGN="LEFT">{shown}</TD></TR><TR><TD ALIGN="LEFT" WIDTH="{width}">{word}</TD></TR>'
        body = f'<TABLE ALIGN="LEFT" BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0">{rows}</TABLE>'
        return f'<TD ID="{row.id}hand" HREF=" " ALIGN="LEFT"{ground}>{body}</TD>'
    number = digits(float(row.hand))
    width = text_width(number) + text_width(row.verdict, SMALL) + 16
    shown = f'<FONT COLOR="{colours[role]}">{text(number)}</FONT>'
    gap = f'<FONT POINT-SIZE="{SMALL}">&#160;&#160;</FONT>'
    return f'<TD ID="{row.id}hand" HREF=" " ALIGN="LEFT" WIDTH="{width}"{ground}>{shown}{gap}{word}</TD>'


def grad_of(row: Row) -> Any:
    grad = row.grad if row.node is None or row.grad is not None else row.node.grad
    return None if grad is None else data_of(grad)


def label_cell(row: Row, show: Collection[str], colours: Colours, span: int) -> str:
    """What a row is: an operation or a name, the shape of an array, and how often a shared value is used."""
    notes = []
    data = row.node.data if row.node is not None else row.data
    if "shape" in show and np.ndim(data):
        notes.append(f"{np.shape(data)}" + (" float32" if np.asarray(data).dtype == np.float32 else ""))
    if row.delta and np.ndim(data) and "grad" in show:
        notes.append("grad = δ")
    if row.uses:
        notes.append(f"used {row.uses} times")
    label = f"= {row.label}" if row.name and row.label else row.label
    parts = [
        (row.name, f"<B>{text(row.name)}</B>", text_width(row.name, bold=True)),
        (label, text(label), text_width(label)),
        ("  ".join(notes), small("  ".join(notes), colours), text_width("  ".join(notes), SMALL)),
    ]
    opening = f'<TD ID="{row.id}" HREF=" " PORT="{row.id}" ALIGN="LEFT"' + (f' COLSPAN="{span}"' if span > 1 else "")
    return side_by_side([part for part in parts if part[0]], opening)


def side_by_side(parts: list[tuple[str, str, int]], opening: str) -> str:
    """A cell with texts in a line, each given as its words, its markup and its width.

    A program puts one behind the other, so far as it knows the widths of letters; where it doesn't, they get cells.
    """
    width = sum(width + 4 for _, _, width in parts)
    known = all(words.isascii() and words.isprintable() for words, _, _ in parts[:-1])
    if known:
        gap = f'<FONT POINT-SIZE="{SMALL}">&#160;&#160;</FONT>'
        return f'{opening} WIDTH="{width}">{gap.join(markup for _, markup, _ in parts)}</TD>'
    cells = "".join(f'<TD ALIGN="LEFT" WIDTH="{width + 4}">{markup}</TD>' for _, markup, width in parts)
    lines = max(words.count("\n") + 1 for words, _, _ in parts)
    high = 16 if all(ord(c) < 0x2E80 for words, _, _ in parts for c in printable(words)) else 24
    size = f'FIXEDSIZE="TRUE" WIDTH="{width}" HEIGHT="{high * lines}"'
    table = f'<TABLE ALIGN="LEFT" BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0" {size}>'
    return f"{opening}>{table}<TR>{cells}</TR></TABLE></TD>"


def number(cell_id: str, data: Any, colours: Colours, role: str = "ink", sign: str = "", bold: bool = False) -> str:
    """A cell with a number and a sign behind it, a small table of numbers, or a heat map."""
    if np.ndim(data) == 0:
        words = digits(float(data)) + sign
        shown = f"<B>{text(words)}</B>" if bold else text(words)
        shown = f'<FONT COLOR="{colours[role]}">{shown}</FONT>' if role != "ink" else shown
        width = text_width(words, bold=bold) + 3
    else:
        shown, width = array_table(np.asarray(data), colours, role), 0
    return f'<TD ID="{cell_id}" HREF=" " ALIGN="LEFT" WIDTH="{width}">{shown}</TD>'


def is_few(array: Any) -> bool:
    """Whether an array is shown by its numbers."""
    return bool(array.size == 0 or (array.shape[-1] <= 3 and array.size <= 3 * array.shape[-1]))


def array_table(array: Any, colours: Colours, role: str) -> str:
    """An array: up to 3 by 3 its numbers, else a heat map whose squares say their sign, and its range in words."""
    if array.size == 0:
        return text("empty")
    few = is_few(array)
    flat = array.reshape(-1, 1 if few and array.ndim == 1 else array.shape[-1])
    squares = flat if few else sampled(flat)
    largest = float(np.abs(squares[np.isfinite(squares)]).max(initial=0.0))
    lines = ["".join(square(x, largest, colours, few) for x in values) for values in squares.tolist()]
    rows, columns = squares.shape
    fixed = "" if few else f' FIXEDSIZE="TRUE" WIDTH="{columns * 16 + 1}" HEIGHT="{rows * 16 + 1}"'
    body = "".join(f"<TR>{cells}</TR>" for cells in lines)
    table = f'<TABLE ALIGN="LEFT" BORDER="0" CELLBORDER="0" CELLSPACING="1" CELLPADDING="0"{fixed}>{body}</TABLE>'
    if few:
        return table
    words = range_text(array)
    below = f'<TD ALIGN="LEFT" BALIGN="LEFT" WIDTH="{text_width(words, SMALL) + 4}">'
    below += f"{small(words, colours, 'quiet' if role == 'ink' else role)}</TD>"
    cells = f'<TR><TD ALIGN="LEFT">{table}</TD></TR><TR>{below}</TR>'
    return f'<TABLE ALIGN="LEFT" BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0">{cells}</TABLE>'


def square(x: float, largest: float, colours: Colours, is_number: bool) -> str:
    """One entry: a number, or its sign, on a ground that says how large it is."""
    role = shade(x, largest)
    ground = f' BGCOLOR="{colours[role]}"' if role in colours else ""
    if is_number:
        return f'<TD CELLPADDING="2" WIDTH="{text_width(digits(x)) + 6}"{ground}>{text(digits(x))}</TD>'
    sign = "−" if x < 0.0 else "+" if x > 0.0 else "0" if x == 0.0 else "?"
    return f'<TD FIXEDSIZE="TRUE" WIDTH="15" HEIGHT="15"{ground}><FONT POINT-SIZE="{SMALL}">{sign}</FONT></TD>'


def card_width(box: Box, show: Collection[str]) -> int:
    """About how wide a card is, in points."""
    kinds = [kind for kind, _ in columns_of(box, show)]
    widths = dict.fromkeys(kinds, 0)
    across = [width for _, width in titles(box)]
    for row in box.rows:
        data = row.node.data if row.node is not None else row.data
        shown = {"data": data, "grad": grad_of(row), "input": row.input, "hand": row.hand}
        for kind in kinds[1:]:
            widths[kind] = max(widths[kind], number_width(shown[kind]) + 60 * (kind == "hand"))
        across.append(text_width(row.name + row.label) + 60)
        if np.ndim(data) == 0 or is_few(np.asarray(data)):
            widths["label"] = max(widths["label"], text_width(row.name + row.label) + 20 + 40 * bool(np.ndim(data)))
    return max([sum(widths.values()), *across])


def number_width(data: Any) -> int:
    if data is None:
        return 0
    if np.ndim(data) == 0:
        return text_width(digits(float(data))) + 10
    array = np.asarray(data)
    if is_few(array):
        widths = [text_width(digits(x)) + 8 for x in array.ravel().tolist()]
        return max(widths, default=0) * (1 if array.ndim == 1 else int(array.shape[-1]))
    return max(text_width(range_text(array), SMALL), 16 * min(int(array.shape[-1]), MAP)) + 8


def sampled(flat: Any) -> Any:
    """At most 8 by 8 entries: of each block the one that is largest."""
    with np.errstate(all="ignore"):
        rows = np.array_split(flat, min(MAP, flat.shape[0]), axis=0)
        return np.array(
            [[peak(part) for part in np.array_split(block, min(MAP, flat.shape[1]), axis=1)] for block in rows]
        )


def peak(part: Any) -> float:
    """The entry that is largest in size; one that is no number before all others."""
    entries = part.ravel()
    return float(entries[int(np.argmax(np.where(np.isnan(entries), np.inf, np.abs(entries))))])


def range_text(array: Any) -> str:
    """The least and the largest number, and how many entries a square stands for."""
    words = range_of(array)
    rows, columns = math.prod(array.shape[:-1]), array.shape[-1]
    if max(rows, columns) > MAP:
        words += f"\n{math.ceil(rows / min(MAP, rows))}×{math.ceil(columns / min(MAP, columns))} a square"
    return words
