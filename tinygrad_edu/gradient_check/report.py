"""What a gradient check found: entries, verdict and diagnoses, as text and as a table in a notebook."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One number of one gradient.

    Attributes:
        name: The input it belongs to.
        index: Where in that input, () for a scalar.
        value: The input's number there.
        numerical: The numerical derivative, and `error` about how far off it may be.
        computed: The gradient that is checked.
        holds: Whether the two agree within the tolerance.
        kink: The slopes on the left and on the right, where the function has a kink there and the computed gradient
            lies between them; such an entry holds.
        mode: "reverse", "forward", or "hand-written": where the gradient came from.
        order: 1, or 2 for the derivative of a derivative.
    """

    name: str
    index: tuple[int, ...]
    value: float
    numerical: float
    error: float
    computed: float
    holds: bool
    kink: tuple[float, float] | None = None
    mode: str = "reverse"
    order: int = 1

    @property
    def relative_error(self) -> float:
        """|computed - numerical| / max(|computed|, |numerical|); 0 where both are equal."""
        distance, size = abs(self.computed - self.numerical), max(abs(self.computed), abs(self.numerical))
        return distance / size if distance else 0.0

    @property
    def ratio(self) -> float:
        """computed / numerical; nan where the numerical derivative is no larger than its error."""
        return self.computed / self.numerical if abs(self.numerical) > self.error else math.nan


@dataclass(frozen=True)
class Diagnosis:
    """What kind of mistake it looks like.

    Attributes:
        kind: A short name, such as "sign flipped".
        inputs: The inputs whose gradients have it.
        evidence: The figures that say so.
    """

    kind: str
    inputs: tuple[str, ...]
    evidence: str

    def __str__(self) -> str:
        return f"{', '.join(self.inputs)}: {self.kind} ({self.evidence})"


@dataclass(frozen=True)
class GradientReport:
    """The outcome of a gradient check: true when every entry holds.

    As text it is the verdict, the diagnoses, and for each input the worst entries; in a notebook a table and heat maps.

    Attributes:
        entries: All of them, the worst first.
        inputs: The names of the inputs, in order.
        diagnoses: What wrong gradients look like, where that is plain from the figures.
    """

    entries: Sequence[Entry]
    inputs: Sequence[str]
    diagnoses: Sequence[Diagnosis] = ()

    def __bool__(self) -> bool:
        return all(entry.holds for entry in self.entries)

    @property
    def failing_inputs(self) -> list[str]:
        """The names of the inputs with at least one wrong entry."""
        wrong = {entry.name for entry in self.entries if not entry.holds}
        return [name for name in self.inputs if name in wrong]

    @property
    def kinks(self) -> list[Entry]:
        """The entries at which the function has a kink."""
        return [entry for entry in self.entries if entry.kink]

    @property
    def verdict(self) -> str:
        """Whether it holds; how many entries are wrong, of how many, and where."""
        modes = {entry.mode for entry in self.entries}
        total = f"{len(numbers(self.entries))} entries" + (f" in {len(modes)} modes" if len(modes) > 1 else "")
        kinks = f", {len(numbers(self.kinks))} at a kink" if self.kinks else ""
        if self:
            return f"gradient check passed: {total}{kinks}"
        wrong = [entry for entry in self.entries if not entry.holds]
        failing = {entry.mode for entry in wrong}
        only = f" in {failing.pop()} mode" if len(failing) == 1 < len(modes) else ""
        where = ", ".join(self.failing_inputs)
        return f"gradient check FAILED: {len(numbers(wrong))} of {total} are wrong{only}, in {where}{kinks}"

    def shown(self, each: int = 4) -> list[Entry]:
        """The worst entries of each input, each number once, those of wrong inputs first."""
        chosen: list[Entry] = []
        for name in sorted(self.inputs, key=lambda name: name not in self.failing_inputs):
            own = [entry for entry in self.entries if entry.name == name]
            chosen += list({(entry.index, entry.order): entry for entry in reversed(own)}.values())[::-1][:each]
        return chosen

    def __repr__(self) -> str:
        lines = [self.verdict, *(f"  {diagnosis}" for diagnosis in self.diagnoses)]
        if self.entries:
            cells = [HEADER, *(cells_of(entry) for entry in self.shown())]
            widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
            used = [i for i, column in enumerate(zip(*cells[1:], strict=True)) if any(column)]
            lines += ["  ".join(row[i].ljust(widths[i]) for i in used).rstrip() for row in cells]
        hidden = len(numbers(self.entries)) - len(self.shown())
        if hidden:
            lines.append(f"… and {hidden} more entries, none worse than those of their input")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """The report as a table, with a picture of the relative errors of each input."""
        parts = [f"<p><b>{html.escape(self.verdict)}</b></p>"]
        if self.diagnoses:
            parts.append("<ul>" + "".join(f"<li>{html.escape(str(d))}</li>" for d in self.diagnoses) + "</ul>")
        rows = [cells_of(entry) for entry in self.shown()]
        head = "".join(f"<th>{html.escape(name)}</th>" for name in HEADER)
        body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
        parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")
        parts += [heat_map(name, self.entries) for name in self.inputs]
        return "\n".join(parts)


def numbers(entries: Sequence[Entry]) -> set[tuple[str, tuple[int, ...], int]]:
    """The numbers that entries are about, each once however many modes computed it."""
    return {(entry.name, entry.index, entry.order) for entry in entries}


HEADER = ("input", "index", "value", "numerical", "± error", "computed", "ratio", "relative error", "note")


def cells_of(entry: Entry) -> tuple[str, ...]:
    notes = [] if entry.mode == "hand-written" or (entry.mode == "reverse" and entry.order == 1) else [entry.mode]
    if entry.order == 2:
        notes.append("2nd order")
    if entry.kink:
        notes.append(f"kink: slopes {entry.kink[0]:.4g} and {entry.kink[1]:.4g}")
    if not entry.holds:
        notes.append("wrong")
    ratio = "" if math.isnan(entry.ratio) else f"{entry.ratio:.6g}"
    return (
        entry.name,
        str(list(entry.index)),
        f"{entry.value:.6g}",
        f"{entry.numerical:.9g}",
        f"{entry.error:.0e}",
        f"{entry.computed:.9g}",
        ratio,
        f"{entry.relative_error:.1e}",
        ", ".join(notes),
    )


def heat_map(name: str, entries: Sequence[Entry]) -> str:
    """A picture of one input's relative errors: a square for each entry, the redder the larger, at most 40 by 40."""
    own = {entry.index: entry for entry in reversed(entries) if entry.name == name and entry.order == 1}
    if not own:
        return ""
    rows: dict[tuple[int, ...], list[Entry]] = {}
    for index in sorted(own):
        rows.setdefault(index[:-1], []).append(own[index])
    squares = "".join(
        f'<rect x="{12 * i}" y="{12 * j}" width="11" height="11" fill="{colour(entry)}">'
        f"<title>{html.escape(f'{name}{list(entry.index)}')}: {entry.relative_error:.1e}</title></rect>"
        for j, row in enumerate(list(rows.values())[:40])
        for i, entry in enumerate(row[:40])
    )
    width, height = 12 * min(max(map(len, rows.values())), 40), 12 * min(len(rows), 40)
    label = html.escape(f"relative errors of {name}")
    return f'<figure><figcaption>{label}</figcaption><svg width="{width}" height="{height}">{squares}</svg></figure>'


def colour(entry: Entry) -> str:
    """From white at 1e-12 over orange to dark red at 1; grey where nothing can be said."""
    if math.isnan(entry.relative_error):
        return "#999999"
    depth = min(max((math.log10(entry.relative_error or 1e-12) + 12.0) / 12.0, 0.0), 1.0)
    return (
        f"rgb({255 - round(90 * max(depth - 0.5, 0.0))},{round(250 * (1.0 - depth))},{round(240 * (1.0 - depth) ** 2)})"
    )
