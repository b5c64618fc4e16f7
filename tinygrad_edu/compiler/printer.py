"""A program as Python source: statements that a person would write.

The one thing to know: parentheses are set so that Python evaluates in the recorded order; a value that is used once is
written where it is used, which changes nothing.
"""

from __future__ import annotations

import keyword
import math
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from tinygrad_edu import ops
from tinygrad_edu.compiler.lowering import with_module
from tinygrad_edu.compiler.memory import Form, Memory, Slot, memory_of, ufunc_of, with_large_steps_late
from tinygrad_edu.compiler.program import Program, Step, is_ours, is_plain, is_scalar
from tinygrad_edu.core.data import KEPT, as_result
from tinygrad_edu.core.operation import Operation
from tinygrad_edu.core.value import NO_PARAMS

ATOM, UNARY, PRODUCT, SUM, COMPARISON, LOOSE = 5, 4, 3, 2, 1, 0
BINARY = re.compile(r"\{0\} [-+*/@] \{1\}")
PLAIN = re.compile(r"\{0\} (?:[<>=!]=?|and|or) \{1\}|\{1\} if \{0\} else \{2\}")
CALL = re.compile(r"[\w.]+\(.*\)")
WIDEST = 96
"""An expression longer than this gets a name of its own for its part."""
RESERVED = ("math", "np", "tinygrad_edu", "float", "int", "abs", "slice", "range", "Ellipsis", "complex")
"""Names that the source uses itself."""
NUMBERS = {1.0: "one", 2.0: "two", 0.5: "half", 0.0: "zero", -1.0: "minus_one"}


class Written(NamedTuple):
    """An expression and how tightly it binds."""

    text: str
    binds: int = ATOM


class Line(NamedTuple):
    """A statement and the step that it computes."""

    text: str
    step: Step


class Printer:
    """Writes the steps of one program; `heading` is what must stand before its source, `space` what it finds there.

    A `pure` source writes into no memory, and calls functions of `math` and numpy only.
    """

    def __init__(self, program: Program, reserved: Sequence[str] = (), pure: bool = False) -> None:
        self.pure = pure
        self.program = program = program if pure else with_large_steps_late(program)
        self.memory = Memory({}, [], set())
        self.buffers: list[str] = []
        self.uses = Counter(x for step in program.steps for x in step.inputs if isinstance(x, Step))
        self.uses.update(r for r in program.results if isinstance(r, Step))
        self.named = {r for r in program.results if isinstance(r, Step)} | repeated(program)
        self.going_on = {s.inputs[0]: s for s in program.steps if is_sum(s) and self.is_beginning(s.inputs[0])}
        self.slopes = {f"d_{identifier(x.name)}" for x in program.inputs if x.name}  # which an update reads once
        self.taken = {*reserved, *RESERVED}
        self.variables: dict[Step, str] = {}
        self.numbers: Counter[str] = Counter()
        self.written: dict[Step, Written] = {}
        self.assigned_names: set[str] = set()
        self.formulas: dict[Step, Written] = {}
        self.nameless: set[Slot] = set()
        self.space: dict[str, Any] = {}
        self.operations: dict[str, Operation] = {}
        self.modules: set[str] = set()
        for step in program.inputs:
            self.written[step] = Written(self.variable(step))

    def statements(self, targets: Mapping[Step, str] = NO_PARAMS) -> list[Line]:  # type: ignore[assignment]
        """One line for each value that has a name; `targets` are names to assign to."""
        if not self.pure:
            self.memory = memory_of(self.program, targets)
        self.assigned_names = {"", *targets.values()}
        self.buffers = [self.fresh(f"buffer_{i}") for i in range(len(self.memory.buffers))]
        lines: list[Line] = []
        for step in self.program.steps:
            if step in self.memory.slots:
                text = self.in_memory(step)
            elif step in targets:
                text = self.assigned(step, targets[step])
            else:
                expression = self.expression(step)
                if self.stands_where_it_is_used(step, expression):
                    self.written[step] = expression
                    continue
                text = f"{self.variable(step)} = {expression.text}"
            self.written[step] = Written(self.variables[step])
            lines.append(Line(text, step))
        return lines

    def stands_where_it_is_used(self, step: Step, expression: Written) -> bool:
        """Whether an expression needs no name: it is used once, is short, and reads no memory that may change."""
        width = 0.75 * WIDEST if step in self.going_on else 0.5 * WIDEST
        if step in self.named or len(expression.text) >= width or (step.name and not self.is_slope_for_an_update(step)):
            return False
        if step.shows is not None:
            return step.text == "{0}.T" or self.uses[step] == 1
        reads_memory = any(isinstance(x, Step) and x in self.memory.large for x in step.inputs)
        return self.uses[step] == 1 and not reads_memory

    def is_slope_for_an_update(self, step: Step) -> bool:
        """Whether a number is the derivative by an input, made of what still stands when the update reads it."""
        inputs = [x for x in step.inputs if isinstance(x, Step)]
        stand = all(x.shows is None and self.variables.get(x, "") not in self.assigned_names for x in inputs)
        return step.scalar and step.name in self.slopes and stand and all(x in self.variables for x in inputs)

    def is_beginning(self, x: Any) -> bool:
        """Whether an operand of a sum is a sum that nothing else reads."""
        return is_sum(x) and not x.name and self.uses[x] == 1 and x not in self.named

    def assigned(self, step: Step, target: str) -> str:
        """A step that gives a variable its new value."""
        self.variables[step] = target
        if step.text == "{0} - {1}" and self.operand(step.inputs[0]).text == target:
            return f"{target} -= {self.operand(step.inputs[1], step).text}"
        return f"{target} = {self.expression(step).text}"

    def in_memory(self, step: Step) -> str:
        """A step that writes over an operand, into a buffer, or into the memory that the caller gets."""
        slot, before = self.memory.slots[step], self.memory.before(step)
        variable = self.variable(step)
        line = self.written_over(step, slot, before, variable)
        formula = self.formula(step)
        if before is not None and self.variables[before] == variable and step.name:
            return f"{line}  # {formula.text}"
        return line

    def formula(self, step: Step) -> Written:
        """A step that took several statements, as one expression of at most so many characters."""
        inputs = []
        for x in step.inputs:
            whole = self.formulas.get(x) if isinstance(x, Step) and not x.name else None
            inputs.append(whole or self.operand(x))
        found = filled(with_module(step.text, np), inputs)
        if len(found.text) > WIDEST:
            found = filled(with_module(step.text, np), [self.operand(x) for x in step.inputs])
        self.formulas[step] = found
        return found

    def written_over(self, step: Step, slot: Slot, before: Step | None, variable: str) -> str:
        operands = [self.operand(x, step).text for x in step.inputs]
        function = f"np.{ufunc_of(step.text)}"
        self.modules.add("np")
        if before is None and slot.buffer is None:
            return f"{variable} = {self.expression(step).text}"
        if before is None:
            assert slot.buffer is not None
            return f"{variable} = {function}({', '.join(operands)}, out={self.buffers[slot.buffer]})"
        if self.variables[before] != variable:
            return f"{variable} = {function}({', '.join(operands)}, out={self.variables[before]})"
        if BINARY.fullmatch(step.text) and operands[0] == variable:
            return f"{variable} {step.text[4]}= {operands[1]}"
        if step.text in ("{0} + {1}", "{0} * {1}") and operands[1] == variable and type(step.inputs[0]) is float:
            return f"{variable} {step.text[4]}= {operands[0]}"
        return f"{function}({', '.join(operands)}, out={variable})"

    def variable(self, step: Step) -> str:
        """The name of a step: its own, or of steps that write one over the other, that of the first that has one."""
        if step not in self.variables:
            slot = self.memory.slots.get(step)
            chain = [step]
            while chain[-1] in self.going_on:  # a long sum goes on under one name
                chain.append(self.going_on[chain[-1]])
            if slot is not None and slot not in self.nameless:
                for following in slot.steps[slot.steps.index(step) + 1 :]:
                    if chain[-1].name:
                        break
                    chain.append(following)
                if not chain[-1].name:
                    self.nameless.add(slot)
                    chain = [step]
            name = self.variables.get(chain[-1]) or self.fresh(chain[-1].name or chain[-1].hint)
            self.variables.update((s, name) for s in chain)
        return self.variables[step]

    def expression(self, step: Step) -> Written:
        """A step as it is written on the right of an assignment, or inside another's expression."""
        if step.operation is not None:
            return self.called(step, step.operation)
        text = with_module(step.text, math if all(map(is_scalar, step.inputs)) else np)
        self.modules |= {module for module in ("math", "np") if f"{module}." in text}
        return filled(text, [self.operand(x, step) for x in step.inputs])

    def called(self, step: Step, operation: Operation) -> Written:
        """An operation without a way to print: its own function, by name."""
        if self.pure:
            raise TypeError(f"{operation.name} is a function that isn't printed: the source can't be pure")
        function = operation.forward if is_ours(operation) else with_plain_result(operation)
        name = next((known for known, op in self.operations.items() if op is operation), "")
        if not name:
            name = self.constant(operation.name, function)
            self.operations[name] = operation
        params = [
            f"{key}={x}" if key.isidentifier() and not keyword.iskeyword(key) else f"**{{{key!r}: {x}}}"
            for key, value in step.params.items()
            for x in [repr(value) if is_plain(value) else self.constant(key, value)]
        ]
        self.modules |= {"np"} if any("np." in x for x in params) else set()
        return Written(f"{name}({', '.join([*(self.operand(x).text for x in step.inputs), *params])})")

    def operand(self, x: Any, of: Step | None = None) -> Written:
        """An operand as it is written. A number beside an array is an array too, which numpy takes in half the time."""
        if isinstance(x, Step):
            return self.written[x]
        if type(x) is not float:
            return Written(self.constant(name_of_number(float(x)) if is_number(x) else "constant", x))
        data = of.data if of is not None and ufunc_of(of.text) else None
        if isinstance(data, np.ndarray) and data.ndim and data.dtype in KEPT:
            with np.errstate(over="ignore"):
                return Written(self.constant(name_of_number(x), np.array(x, data.dtype)))
        written = number(x)
        self.modules |= {"math"} if "math." in written.text else set()
        return written

    def constant(self, name: str, value: Any) -> str:
        """A name by which the source finds something that isn't written in it."""
        for known, kept in self.space.items():
            if kept is value or (is_number(kept) and is_number(value) and same_bits(kept, value)):
                return known
        name = self.fresh(name)
        self.space[name] = value
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

    def heading(self) -> str:
        """What the source needs: imports, functions of operations that aren't printed, constants, and buffers."""
        made = [
            f"{name} = {written_constant(value)}" for name, value in self.space.items() if name not in self.operations
        ]
        places = {name: place_of(operation) for name, operation in self.operations.items()}
        called = [
            f"{name} = {'.'.join(place)}.forward" if place else f"# {name}: a function of your own, to be given here"
            for name, place in places.items()
        ]
        buffers = [
            f"{name} = {written_buffer(form)}" for name, form in zip(self.buffers, self.memory.buffers, strict=True)
        ]
        if buffers:
            buffers.insert(0, "# memory that every call works in; what a call returns is new")
        modules = self.modules | {"np" for line in [*made, *buffers] if "np." in line}
        imports = ["import math"] * ("math" in modules) + ["import numpy as np"] * ("np" in modules)
        imports += sorted({f"import {place[0]}" for place in places.values() if place})
        blocks = [block for block in (imports, [*called, *made], buffers) if block]
        return "".join("\n".join(block) + "\n\n" for block in blocks) + "\n" * bool(blocks)


def is_sum(x: Any) -> bool:
    return isinstance(x, Step) and x.scalar and x.text == "{0} + {1}"


def repeated(program: Program) -> set[Step]:
    """The steps that stand in some expression twice, as in `0.0 if x <= 0.0 else x`: they need names."""
    return {
        x
        for step in program.steps
        for i, x in enumerate(step.inputs)
        if isinstance(x, Step) and step.text.count(f"{{{i}}}") > 1
    }


def with_plain_result(operation: Operation) -> Callable[..., Any]:
    """An operation of the user's own as a function whose result is data, as that of `apply` is."""

    def function(*inputs: Any, **params: Any) -> Any:
        out = operation.forward(*inputs, **params)
        return out if type(out) is float else as_result(out, operation.name)

    return function


def place_of(operation: Operation) -> tuple[str, str] | None:
    """The module and the name by which a copied source finds an operation; None where it has no place."""
    if operation.name in ops.FAMILY_OF and getattr(ops, operation.name) is operation:
        return "tinygrad_edu", operation.name
    module = str(getattr(operation.forward, "__module__", ""))
    names = [name for name, value in vars(sys.modules.get(module, object)).items() if value is operation]
    return (module, names[0]) if names and module != "__main__" else None


def new_buffer(form: Form) -> Any:
    return np.empty(form.shape, form.dtype, "F" if form.order == "F" else "C")


def written_buffer(form: Form) -> str:
    dtype = "" if form.dtype == np.float64 else f", dtype=np.{form.dtype}"
    order = ', order="F"' if form.order == "F" else ""
    return f"np.empty({form.shape}{dtype}{order})"


def written_constant(x: Any) -> str:
    """A constant as Python source; the numbers of an array exactly."""
    if isinstance(x, np.ndarray) and x.dtype.kind in "fiub":
        numbers = re.sub(r"\b(nan|inf)\b", r'float("\1")', repr(x.tolist()))
        dtype = "" if x.dtype in (np.float64, np.int64, bool) else f", np.{x.dtype}"
        return f"np.array({numbers}{dtype})"
    if isinstance(x, np.dtype):
        return f"np.dtype({x.name!r})"
    if isinstance(x, (tuple, list)):
        items = "".join(f"{written_constant(item)}, " for item in x)
        return f"({items})" if isinstance(x, tuple) else f"[{items}]"
    return repr(x)


def name_of_number(x: float) -> str:
    return NUMBERS.get(x) or f"c_{x!r}".replace("-", "minus_")


def is_number(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.ndim == 0


def same_bits(x: Any, y: Any) -> bool:
    return bool(x.dtype == y.dtype and x.tobytes() == y.tobytes())


def filled(template: str, inputs: Sequence[Written]) -> Written:
    """A template such as "{0} * {1}" with its operands, in parentheses where they bind less tightly."""
    binds = binding(template)
    if CALL.fullmatch(template) and binds == ATOM:
        return Written(template.format(*(x.text for x in inputs)))
    if BINARY.fullmatch(template):
        return Written(template.format(bound(inputs[0], binds), bound(inputs[1], binds + 1)), binds)
    within = {COMPARISON: SUM, LOOSE: COMPARISON}.get(binds, ATOM) if PLAIN.fullmatch(template) else ATOM
    return Written(template.format(*(bound(x, within) for x in inputs)), binds)


@cache
def binding(template: str) -> int:
    """How tightly an operator's template binds; a call or a name as an atom."""
    inside, outside = "", template
    while inside != outside:  # parentheses go, the innermost first
        inside, outside = outside, re.sub(r"\([^()]*\)|\[[^\[\]]*\]", "", outside)
    if re.search(r" (if|and|or) ", outside):
        return LOOSE
    if re.search(r" [<>=!]=? ", outside):
        return COMPARISON
    if " + " in outside or " - " in outside:
        return SUM
    if " * " in outside or " / " in outside or " @ " in outside:
        return PRODUCT
    return UNARY if outside.startswith("-") or " ** " in outside else ATOM


def bound(x: Written, least: int) -> str:
    return x.text if x.binds >= least else f"({x.text})"


def number(x: float) -> Written:
    """A float as Python writes it."""
    text = repr(x) if math.isfinite(x) else "math.nan" if x != x else "math.inf" if x > 0.0 else "-math.inf"
    return Written(text, UNARY if text.startswith("-") else ATOM)


@cache
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
