"""What a gradient check found: entries, verdict and diagnoses, as text and as a table in a notebook."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from tinygrad_edu.gradient_check.search import Finding
from tinygrad_edu.gradient_check.search.findings import Language
from tinygrad_edu.gradient_check.sentences import say

Diagnosis = Finding


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

    def fails(self) -> Entry:
        """The same entry, wrong."""
        return replace(self, holds=False, kink=None)

    @property
    def ratio(self) -> float:
        """computed / numerical; nan where the numerical derivative is no larger than its error."""
        return self.computed / self.numerical if abs(self.numerical) > self.error else math.nan


@dataclass(frozen=True)
class Verdict:
    """One hand-written gradient of a chain of them, as `check_backprop` judges it.

    Attributes:
        name: The variable of the forward code, with a number where it is assigned several times (`h[2]`).
        verdict: "right"; "wrong here": its own line is wrong; "inherited": its line is right, what it is given isn't;
            or "not found": the forward code has no such variable.
        off: The largest difference from the right gradient, relative to the largest right entry.
        file, line, expression: Where the forward code computes the variable.
    """

    name: str
    verdict: Literal["right", "wrong here", "inherited", "not found"]
    off: float = math.nan
    file: str = ""
    line: int = 0
    expression: str = ""


@dataclass(frozen=True)
class GradientReport:
    """The outcome of a gradient check: true when every entry holds, and every input was compared.

    As text it is the verdict, the diagnoses, and for each input the worst entries; in a notebook a table and heat maps.

    Attributes:
        entries: All of them, the worst first.
        inputs: The names of the inputs, in order.
        diagnoses: What wrong gradients look like: findings with kind, inputs, file, line, expression, evidence, hint.
        unchecked: The names of inputs that could not be compared: no gradient, a wrong shape, a random function.
        notes: What was noticed beside, such as a backward pass that changes its `dout`.
        tried: What a diagnosis was looked for with, where none was found.
        verdicts: From `check_backprop`: each hand-written gradient in backward order.
        language: "en" or "zh", of the text.
    """

    entries: Sequence[Entry]
    inputs: Sequence[str]
    diagnoses: Sequence[Finding] = ()
    unchecked: Sequence[str] = ()
    notes: Sequence[str] = ()
    tried: Sequence[str] = ()
    verdicts: Sequence[Verdict] = ()
    language: Language = "en"

    def __bool__(self) -> bool:
        wrong = any(verdict.verdict in ("wrong here", "not found") for verdict in self.verdicts)
        return all(entry.holds for entry in self.entries) and not self.unchecked and not wrong

    @property
    def failing_inputs(self) -> list[str]:
        """The names of the inputs with at least one wrong entry, or with nothing to compare."""
        wrong = {entry.name for entry in self.entries if not entry.holds} | set(self.unchecked)
        return [name for name in self.inputs if name in wrong]

    @property
    def kinks(self) -> list[Entry]:
        """The entries at which the function has a kink."""
        return [entry for entry in self.entries if entry.kink]

    @property
    def first_wrong(self) -> Finding | Verdict | None:
        """The place in the forward code whose derivative goes wrong first in the backward pass; None if none is known.

        Its `file`, `line` and `expression` say where; a picture may mark it.
        """
        wrong = [verdict for verdict in self.verdicts if verdict.verdict == "wrong here"]
        placed = [finding for finding in self.diagnoses if finding.line]
        if wrong:
            return wrong[0]
        return max(placed, key=lambda finding: finding.line) if placed else None

    def say(self, key: str, **parts: Any) -> str:
        return say(key, self.language, **parts)

    @property
    def verdict(self) -> str:
        """Whether it holds; how many entries are wrong, of how many, and where."""
        modes = {entry.mode for entry in self.entries}
        total = self.say("entries", n=len(numbers(self.entries)))
        total += self.say("modes", n=len(modes)) if len(modes) > 1 else ""
        kinks = self.say("kinks", n=len(numbers(self.kinks))) if self.kinks else ""
        if self:
            return self.say("passed", total=total, kinks=kinks)
        unchecked = ", ".join(self.unchecked)
        wrong = [entry for entry in self.entries if not entry.holds]
        if not wrong and unchecked:
            return self.say("not compared", where=unchecked)
        failing = {entry.mode for entry in wrong}
        only = self.say("only", mode=failing.pop()) if len(failing) == 1 < len(modes) else ""
        where = ", ".join(name for name in self.failing_inputs if name not in self.unchecked)
        text = self.say("failed", wrong=len(numbers(wrong)), total=total, only=only, where=where, kinks=kinks)
        return text + (self.say("and not compared", where=unchecked) if unchecked else "")

    def shown(self, each: int = 4) -> list[Entry]:
        """The worst entries of each input, each number once, those of wrong inputs first."""
        chosen: list[Entry] = []
        for name in sorted(self.inputs, key=lambda name: name not in self.failing_inputs):
            own = [entry for entry in self.entries if entry.name == name]
            chosen += list({(entry.index, entry.order): entry for entry in reversed(own)}.values())[::-1][:each]
        return chosen

    def remarks(self) -> list[str]:
        """Notes, and what was tried, each as a line."""
        lines = [f"{self.say('note')}: {note}" for note in self.notes]
        return lines + [f"{self.say('tried')}: {what}" for what in self.tried]

    def __repr__(self) -> str:
        lines = [self.verdict, *("  " + text_of(d, self.language) for d in self.diagnoses)]
        lines += ["  " + remark for remark in self.remarks()]
        lines += [line_of(verdict, self.language) for verdict in self.verdicts]
        if self.entries:
            cells = [HEADER[self.language], *(cells_of(entry, self.language) for entry in self.shown())]
            widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
            used = [i for i, column in enumerate(zip(*cells[1:], strict=True)) if any(column)]
            lines += ["  ".join(row[i].ljust(widths[i]) for i in used).rstrip() for row in cells]
        hidden = len(numbers(self.entries)) - len(self.shown())
        if hidden:
            lines.append(self.say("more", n=hidden))
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain dicts, lists, texts and numbers, as JSON can hold them; nan and infinity become texts."""
        return {
            "passed": bool(self),
            "verdict": self.verdict,
            "inputs": list(self.inputs),
            "failing_inputs": self.failing_inputs,
            "unchecked": list(self.unchecked),
            "diagnoses": [plain(asdict(d)) for d in self.diagnoses],
            "notes": list(self.notes),
            "tried": list(self.tried),
            "verdicts": [plain(asdict(v)) for v in self.verdicts],
            "entries": [
                plain({**asdict(e), "relative_error": e.relative_error, "ratio": e.ratio}) for e in self.entries
            ],
        }

    def _repr_html_(self) -> str:
        """The report as a table with the wrong places marked, and a picture of the relative errors of each input."""
        parts = [f"<p><b>{html.escape(self.verdict)}</b></p>"]
        texts = [*(text_of(d, self.language) for d in self.diagnoses), *self.remarks()]
        if texts:
            items = (marked_up(text) for text in texts)
            parts.append("<ul>" + "".join(f"<li>{item}</li>" for item in items) + "</ul>")
        if self.verdicts:
            parts.append("<ol>" + "".join(item_of(verdict, self.language) for verdict in self.verdicts) + "</ol>")
        if self.entries:
            head = "".join(f"<th>{html.escape(name)}</th>" for name in HEADER[self.language])
            rows = "".join(row_of(entry, self.language) for entry in self.shown())
            parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>")
        parts += [heat_map(name, self.entries, self.language) for name in self.inputs]
        return "\n".join(parts)


def text_of(finding: Finding, language: Language) -> str:
    """A finding as a sentence, with what proves it and what to do on lines of their own."""
    if language == "en":
        hint = f"\n    {finding.hint}" if finding.hint else ""
        return str(finding) + hint
    lines = [finding.sentence("zh")]
    lines += [f"    {say('right', 'zh')}：{finding.repair}"] if finding.repair else []
    lines += [f"    {text}" for text in (finding.evidence_zh, finding.hint_zh) if text]
    return "\n".join(lines)


def line_of(verdict: Verdict, language: Language) -> str:
    """`dh2  wrong here (off by 1.0e+00 of its largest entry), line 12: `h @ W2`"""
    word = say("right here" if verdict.verdict == "right" else verdict.verdict, language)
    wrong = verdict.verdict in ("wrong here", "inherited")
    off = say("off", language, off=f"{verdict.off:.1e}") if wrong and math.isfinite(verdict.off) else ""
    place = f", line {verdict.line}: `{verdict.expression}`" if verdict.verdict == "wrong here" and verdict.line else ""
    return f"{verdict.name:<12}  {word}{off}{place}"


def item_of(verdict: Verdict, language: Language) -> str:
    style = f' style="{WRONG}"' if verdict.verdict == "wrong here" else ""
    return f"<li{style}>{marked_up(line_of(verdict, language))}</li>"


def marked_up(text: str) -> str:
    """A text for a notebook: code between backticks as code, lines as lines."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", html.escape(text)).replace("\n", "<br>")


def plain(x: Any) -> Any:
    """Tuples as lists, and floats that JSON lacks as texts, at any depth."""
    if isinstance(x, dict):
        return {key: plain(part) for key, part in x.items()}
    if isinstance(x, (list, tuple)):
        return [plain(part) for part in x]
    return x if not isinstance(x, float) or math.isfinite(x) else str(x)


def numbers(entries: Sequence[Entry]) -> set[tuple[str, tuple[int, ...], int]]:
    """The numbers that entries are about, each once however many modes computed it."""
    return {(entry.name, entry.index, entry.order) for entry in entries}


HEADER: dict[Language, tuple[str, ...]] = {
    "en": ("input", "index", "value", "numerical", "± error", "computed", "ratio", "relative error", "note"),
    "zh": ("输入", "下标", "数值", "数值导数", "± 误差", "给出的梯度", "比值", "相对误差", "备注"),
}
WRONG = "background:#ffe0dc"
"""How a wrong place is marked in a notebook."""


def row_of(entry: Entry, language: Language) -> str:
    style = "" if entry.holds else f' style="{WRONG}"'
    return f"<tr{style}>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells_of(entry, language)) + "</tr>"


def cells_of(entry: Entry, language: Language = "en") -> tuple[str, ...]:
    notes = [] if entry.mode == "hand-written" or (entry.mode == "reverse" and entry.order == 1) else [entry.mode]
    if entry.order == 2:
        notes.append(say("2nd order", language))
    if entry.kink:
        notes.append(say("kink", language, left=f"{entry.kink[0]:.4g}", right=f"{entry.kink[1]:.4g}"))
    if not entry.holds:
        notes.append(say("wrong", language))
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


def heat_map(name: str, entries: Sequence[Entry], language: Language) -> str:
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
    label = html.escape(say("errors of", language, name=name))
    return f'<figure><figcaption>{label}</figcaption><svg width="{width}" height="{height}">{squares}</svg></figure>'


def colour(entry: Entry) -> str:
    """From white at 1e-12 over orange to dark red at 1; grey where nothing can be said."""
    if math.isnan(entry.relative_error):
        return "#999999"
    depth = min(max((math.log10(entry.relative_error or 1e-12) + 12.0) / 12.0, 0.0), 1.0)
    return (
        f"rgb({255 - round(90 * max(depth - 0.5, 0.0))},{round(250 * (1.0 - depth))},{round(240 * (1.0 - depth) ** 2)})"
    )
