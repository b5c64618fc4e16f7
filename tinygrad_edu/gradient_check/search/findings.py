"""What a search for the wrong line gives: findings, each a sentence with its place, its evidence and its repair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Language = Literal["en", "zh"]


@dataclass(frozen=True)
class Finding:
    """One mistake that explains the wrong gradients of some inputs at every entry.

    Attributes:
        kind: The entry of the table of diagnoses, such as "derivative left out".
        inputs: The names of the inputs whose gradients it explains.
        text: What is wrong, as a sentence without its full stop.
        text_zh: The same in Chinese.
        file, line: Where the forward code stands whose derivative is wrong; "" and 0 where that isn't known.
        expression: That code, as it is written.
        formula: The right rule, such as "∂tanh(x) = (1 - out²) · ∂out"; "" where there is none to state.
        evidence: The figures that say so.
        evidence_zh, hint_zh: As `evidence` and `hint`, in Chinese.
        hint: What to look for in the backward pass.
        repair: The right line as numpy, such as "dx = dout * (1 - h**2)"; "" where no single line says it.
        same_numbers: Other mistakes that would give the same numbers here.
    """

    kind: str
    inputs: tuple[str, ...]
    text: str
    text_zh: str = ""
    file: str = ""
    line: int = 0
    expression: str = ""
    formula: str = ""
    evidence: str = ""
    hint: str = ""
    repair: str = ""
    same_numbers: tuple[Finding, ...] = ()
    evidence_zh: str = ""
    hint_zh: str = ""

    @property
    def place(self) -> str:
        """ "line 12: `np.tanh(z)`"; the expression alone, or nothing, where no more is known."""
        code = f"`{self.expression}`" if self.expression else ""
        return f"line {self.line}: {code}".rstrip(": ") if self.line else code

    def sentence(self, language: Language = "en") -> str:
        """What is wrong, and where, in one sentence."""
        if language == "zh" and self.text_zh:
            code = f"`{self.expression}`" if self.expression else ""
            where = f"第 {self.line} 行 {code}".rstrip() if self.line else code
            return f"{', '.join(self.inputs)}: {self.text_zh}" + (f"({where})" if where else "")
        where = f" ({self.place})" if self.place else ""
        return f"{', '.join(self.inputs)}: {self.text}{where}"

    def __str__(self) -> str:
        lines = [self.sentence()]
        if self.repair:
            lines.append(f"    right: {self.repair}")
        if self.evidence:
            lines.append(f"    {self.evidence}")
        lines += [f"    the same numbers: {other.text} ({other.place})" for other in self.same_numbers[:3]]
        return "\n".join(lines)


@dataclass(frozen=True)
class Search:
    """What was found, and what was tried.

    Attributes:
        findings: The explanations, each for other inputs.
        unexplained: The names of the wrong inputs that no finding explains, the first in backward order first.
        tried: Sentences that say what was tried, and why something could not be.
        followed: Whether the forward code could be followed line by line.
        agreeing: The names of the inputs whose gradients are those of the recorded computation.
    """

    findings: Sequence[Finding] = ()
    unexplained: Sequence[str] = ()
    tried: Sequence[str] = field(default_factory=tuple)
    followed: bool = True
    agreeing: Sequence[str] = ()
