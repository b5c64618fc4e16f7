"""A program as Python source: statements that a person would write.

The one thing to know: parentheses are set so that Python evaluates in the recorded order; a value that is used once is
written where it is used, which changes nothing.
"""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tinygrad_edu.compiler.program import Program, Step, is_plain

ATOM, UNARY, PRODUCT, SUM, LOOSE = 4, 3, 2, 1, 0
BINARY = re.compile(r"\{0\} [-+*/@] \{1\}")
OPERATOR = re.compile(rf"{BINARY.pattern}|-\{{0\}}")
WIDEST = 96
"""An expression longer than this gets a name of its own for its part."""


class Written(NamedTuple):
    """An expression and how tightly it binds."""

    text: str
    binds: int = ATOM


class Printer:
    """Writes the steps of one program; what its source needs is in `imports` and `constants` afterwards."""

    def __init__(self, program: Program, reserved: Sequence[str] = ()) -> None:
        self.program = program
        self.uses = Counter(id(x) for step in program.steps for x in step.inputs if isinstance(x, Step))
        self.uses.update(id(r) for r in program.results if isinstance(r, Step))
        self.results = {id(r) for r in program.results if isinstance(r, Step)}
        self.taken = {*reserved, "math", "np"}
        self.names: dict[int, str] = {}
        self.numbers: Counter[str] = Counter()
        self.written: dict[int, Written] = {}
        self.imports: set[str] = set()
        self.constants: dict[str, Any] = {}
        for step in program.inputs:
            self.names[id(step)] = self.fresh(step.name or "x")
            self.written[id(step)] = Written(self.names[id(step)])

    def statements(self, targets: Mapping[int, str] | None = None) -> list[tuple[str, Step]]:
        """One line for each value that has a name, with the step that it computes; `targets` are names to assign to."""
        lines = []
        for step in self.program.steps:
            expression = self.expression(step)
            if targets and id(step) in targets:
                lines.append((f"{targets[id(step)]} = {expression.text}", step))
                self.written[id(step)] = Written(targets[id(step)])
                continue
            once = self.uses[id(step)] == 1 and id(step) not in self.results
            if once and not step.name and len(expression.text) < WIDEST // 2:
                self.written[id(step)] = expression
                continue
            name = self.fresh(step.name or (step.operation.name if step.operation else "v"))
            self.names[id(step)] = name
            self.written[id(step)] = Written(name)
            lines.append((f"{name} = {expression.text}", step))
        return lines

    def expression(self, step: Step) -> Written:
        operation = step.operation
        assert operation is not None
        inputs = [self.operand(x) for x in step.inputs]
        prints = operation.prints
        if step.scalar and prints is not None and all(is_scalar(x) for x in step.inputs):
            if callable(prints):
                text = prints(*[bound(x, ATOM) for x in inputs])
                return Written(text, binding(text))
            if any(prints.count(f"{{{i}}}") > 1 and x.binds < ATOM for i, x in enumerate(inputs)):
                return self.called(step, inputs)
            written = filled(prints, inputs)
            if "math." in written.text:
                self.imports.add("math")
            return written
        if isinstance(prints, str) and OPERATOR.fullmatch(prints) and not step.scalar:  # numpy has the same operators
            return filled(prints, inputs)
        return self.called(step, inputs)

    def called(self, step: Step, inputs: Sequence[Written]) -> Written:
        """An operation without a way to print: its own function, by name."""
        assert step.operation is not None
        name = self.constant(identifier(step.operation.name), step.operation.forward)
        params = [f"{key}={self.parameter(key, value)}" for key, value in step.params.items()]
        return Written(f"{name}({', '.join([*(x.text for x in inputs), *params])})")

    def parameter(self, key: str, value: Any) -> str:
        return repr(value) if is_plain(value) else self.constant(key, value)

    def operand(self, x: Any) -> Written:
        if isinstance(x, Step):
            return self.written[id(x)]
        if type(x) is float:
            return number(x)
        return Written(self.constant("constant", x))

    def constant(self, name: str, value: Any) -> str:
        """A name by which the source finds something that isn't written in it."""
        for known, kept in self.constants.items():
            if kept is value:
                return known
        name = self.fresh(name)
        self.constants[name] = value
        return name

    def fresh(self, wanted: str) -> str:
        """The wanted name, with a number behind it where it is taken."""
        base = identifier(wanted)
        name = base
        while name in self.taken or keyword.iskeyword(name):
            self.numbers[base] += 1
            name = f"{base}_{self.numbers[base] + 1}"
        self.taken.add(name)
        return name


def filled(template: str, inputs: Sequence[Written]) -> Written:
    """A template such as "{0} * {1}" with its operands, in parentheses where they bind less tightly."""
    binds = binding(template)
    if binds == ATOM:
        return Written(template.format(*(x.text for x in inputs)))
    if BINARY.fullmatch(template):
        return Written(template.format(bound(inputs[0], binds), bound(inputs[1], binds + 1)), binds)
    return Written(template.format(*(bound(x, ATOM) for x in inputs)), binds)


def binding(template: str) -> int:
    """How tightly an operator's template binds; a call or a name as an atom."""
    inside, outside = "", template
    while inside != outside:  # parentheses go, the innermost first
        inside, outside = outside, re.sub(r"\([^()]*\)", "", outside)
    if " if " in outside:
        return LOOSE
    if " + " in outside or " - " in outside:
        return SUM
    if " * " in outside or " / " in outside or " @ " in outside:
        return PRODUCT
    return UNARY if outside.startswith("-") else ATOM


def bound(x: Written, least: int) -> str:
    return x.text if x.binds >= least else f"({x.text})"


def number(x: float) -> Written:
    """A float as Python writes it; infinities and nan by a call."""
    if x != x or x in (float("inf"), float("-inf")):
        return Written(f'float("{x}")')
    return Written(repr(x), ATOM if x > 0.0 or repr(x) == "0.0" else UNARY)


def is_scalar(x: Any) -> bool:
    return x.scalar if isinstance(x, Step) else type(x) is float


def identifier(words: str) -> str:
    """A Python name from any text: a path such as `layers[0].neurons[1].weights[0]` becomes `weights_0_1_0`."""
    if match := re.fullmatch(r"layers\[(\d+)\](?:\.neurons\[(\d+)\])?\.(\w+?)(?:\[(\d+)\])?", words):
        layer, neuron, kind, place = match.groups()
        return "_".join([kind, *(n for n in (layer, neuron, place) if n is not None)])
    words = unicodedata.normalize("NFKC", words.replace("∂", "d"))  # as Python reads names, in which ᵀ is T
    name = re.sub(r"\W+", "_", words).strip("_")
    if not name or not name.isidentifier():
        name = f"v_{name}" if name and f"v_{name}".isidentifier() else "v"
    return name
