"""A recorded computation as a list of arithmetic steps, and what may be done to it without changing a bit.

The one thing to know: every law below holds for all floats: signed zeros, infinities, nan and subnormals included.
A law that doesn't, such as x - x = 0 or x·0 = 0, has no place here. Nor may a law change how an array lies in memory:
on that depends the last bit of a later sum or matrix product.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from tinygrad_edu.compiler.lowering import Earlier, Input, Part, Place, function_of, parts_of, with_module
from tinygrad_edu.compiler.traced import Made
from tinygrad_edu.core.operation import Operation
from tinygrad_edu.core.value import NO_PARAMS, Value


@dataclass(eq=False, slots=True)
class Step:
    """One step: an input of the program, an expression of earlier steps and constants, or a call of an operation.

    Attributes:
        text: The expression as a template, such as "{0} * {1}"; empty for an input and for a call.
        inputs: Steps, and plain numbers and arrays.
        data: What it was when recorded, of large arrays no more than their form (see `Lines.blank`). Of the parts of a
            scalar expression any float: only the kind is asked for.
        operation: What is called; None for an input and for an expression.
        params: The operation's other arguments.
        name: What the source calls it; empty where nothing suggests a name.
        hint: What to call it if a name turns out to be needed.
        group: The layer and neuron that it belongs to.
        shows: The input whose memory the result lies in, where it is a view of one.
    """

    text: str
    inputs: Sequence[Any]
    data: Any
    operation: Operation | None = None
    params: Mapping[str, Any] = field(default_factory=lambda: NO_PARAMS)
    name: str = ""
    hint: str = ""
    group: tuple[str, ...] = ()
    shows: Step | None = None

    @property
    def scalar(self) -> bool:
        return type(self.data) is float

    @property
    def is_input(self) -> bool:
        return not self.text and self.operation is None


@dataclass
class Program:
    """Inputs, steps in order, and results, which are steps or constants.

    `copied` are the places of results that must be new arrays, and would else be an argument or another result.
    """

    inputs: list[Step]
    steps: list[Step]
    results: list[Any]
    copied: set[int]


KEPT = 2**16
"""Bytes up to which a program keeps what was computed; of larger arrays it keeps the form."""

HINTS = {
    "{0} + {1}": "total",
    "{0} - {1}": "difference",
    "{0} * {1}": "product",
    "{0} / {1}": "quotient",
    "{0} @ {1}": "product",
    "{0}.dot({1})": "product",
    "-{0}": "negative",
}
"""What to call a step that needs a name and has none."""


def program_of(
    inputs: Sequence[Value],
    results: Sequence[Any],
    order: Iterable[Value],
    names: Mapping[Value, str],
    hints: Mapping[Value, str] = NO_PARAMS,  # type: ignore[assignment]
    tape: Mapping[Value, Made] | None = None,
    given_data: Sequence[Any] | None = None,
) -> Program:
    """The computation of `results` from `inputs`, simplified, its nodes in the given order.

    `names` are for Values that stand in statements of their own, `hints` for those that may. `tape` has how each was
    made, where the nodes themselves don't know all. `given_data` are the inputs as the caller gives them, where those
    are whole numbers.
    """
    lines = Lines()
    table: dict[Value, Any] = {}
    given: list[Step] = []
    for value, data in zip(inputs, given_data or [value._data for value in inputs], strict=True):
        step = Step("", (), data, name=names.get(value, ""), hint="x")
        given.append(step)
        table[value] = lines.as_floats(step, value)
    for node in order:
        made = tape[node] if tape is not None else Made(node.operation, node.parents, node.primals, node.params)
        operands = [table.get(p, p._data) if isinstance(p, Value) else p for p in made.inputs]
        if made.operation is None:
            table[node] = operands[0]
            if isinstance(operands[0], Step) and not operands[0].is_input:
                operands[0].name = operands[0].name or names.get(node, "")
            continue
        if getattr(made.operation, "of_whole_numbers", False):
            operands = [operands[0], *map(lines.as_indices, operands[1:])]
        table[node] = lines.result_of(node, made, operands, names.get(node, ""), hints.get(node, ""))
    final = [lines.as_result(r, table.get(r, r._data)) if isinstance(r, Value) else r for r in results]
    for step in final:
        if is_made_by("{0} - {1}", step) and isinstance(step.inputs[0], Step) and step.inputs[0].is_input:
            step.hint = f"new_{step.inputs[0].name}"  # what an update gives back
    return Program(given, alive(lines.steps, final), final, to_copy(final, table))


def to_copy(final: Sequence[Any], table: Mapping[Value, Any]) -> set[int]:
    """The results that lie in memory of an argument, of another result, of a constant, or of a user's own function."""
    copied: set[int] = set()
    given = {root_of(step) for value, step in table.items() if isinstance(step, Step) and root_of(step).is_input}
    taken: dict[Step, Any] = {}
    for i, step in enumerate(final):
        if not isinstance(data_of_operand(step), np.ndarray):
            continue
        root = root_of(step) if isinstance(step, Step) else None
        if root is None or root in given or taken.setdefault(root, i) != i or is_of_users(root):
            copied.add(i)
    return copied


def is_of_users(step: Step) -> bool:
    """Whether a step calls a function of the user's own, which may keep what it gives."""
    return step.operation is not None and not is_ours(step.operation)


class Blank:
    """The owner of a blank, which tells its views from others': all of a size lie in the same zeros, never changed."""

    def __init__(self, zeros: Any, like: Any, start: int) -> None:
        self.zeros = zeros
        place = zeros.__array_interface__["data"][0] + start
        form = {"shape": like.shape, "strides": like.strides, "typestr": like.dtype.str}
        self.__array_interface__ = {**form, "data": (place, False), "version": 3}


class Lines:
    """The steps so far, no two of them alike."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.known: dict[Any, Step] = {}
        self.zeros: dict[int, Any] = {}

    def blank(self, x: Any) -> Any:
        """Zeros that lie as x does, in place of a large array: of that only the form is needed, and not its memory."""
        if not isinstance(x, np.ndarray) or x.nbytes <= KEPT:
            return x
        low, high = byte_bounds(x)
        if high - low not in self.zeros:
            self.zeros[high - low] = np.zeros(high - low, np.uint8)
        return np.asarray(Blank(self.zeros[high - low], x, x.__array_interface__["data"][0] - low))

    def as_floats(self, step: Step, value: Value) -> Step:
        """An input as the floats that a Value has: of whole numbers they are made where they are needed."""
        if type(step.data) is float or (isinstance(step.data, np.ndarray) and step.data.dtype.kind == "f"):
            return step
        text = "{0}.astype(float)" if isinstance(step.data, np.ndarray) else "float({0})"
        return self.placed(Step(text, [step], value._data, hint="numbers"))

    def as_indices(self, x: Any) -> Any:
        """An operand as whole numbers: those it was made of, or made of it."""
        if not isinstance(x, Step):
            return x if np.ndim(x) == 0 and type(x) is not float else np.asarray(x).astype(int)[()]
        if is_made_by("{0}.astype(float)", x) or is_made_by("float({0})", x):
            kind = np.asarray(data_of_operand(x.inputs[0])).dtype.kind
            if kind in "iu":
                return x.inputs[0]
        if x.scalar:
            return self.placed(Step("int({0})", [x], int(x.data), hint="index"))
        return self.placed(Step("{0}.astype(int)", [x], x.data.astype(int), hint="index"))

    def as_result(self, value: Value, step: Any) -> Any:
        """A result as the caller gets it: whole numbers and truths as such."""
        kind = getattr(value, "kind", None)
        if kind is None or not isinstance(step, Step):
            return step
        if step.text in ("{0}.astype(float)", "float({0})") and isinstance(step.inputs[0], Step):
            inner = step.inputs[0]
            if inner.is_input or (np.dtype(kind).kind == "b" and not inner.text.startswith("{0}.astype(")):
                return inner
        name = np.dtype(kind).name
        if step.scalar:
            text = "{0} != 0.0" if name == "bool" else "int({0})"
            return self.placed(Step(text, [step], int(step.data), hint="whole"))
        text = "{0}.astype(bool)" if name == "bool" else f"{{0}}.astype(np.{name})"
        return self.placed(Step(text, [step], step.data.astype(kind), hint="whole"))

    def result_of(self, node: Value, made: Made, operands: Sequence[Any], name: str, hint: str) -> Any:
        """The step that a node becomes, or a constant."""
        operation, params = made.operation, made.params
        own = is_ours(operation)
        if own and not any(isinstance(x, Step) for x in operands) and node.size <= sum(np.size(x) for x in operands):
            return node._data  # constants: the operation's own result
        template = printed(operation, operands, params)
        if template is None or "@" in template:
            operands = self.apart(node, made, operands)
        found = self.expression_of(node, operation, parts_of(template), operands, name, hint) if template else None
        if found is not None:
            return found
        shows = shown(node._data, operands, made.data)
        called = hint or operation.name
        call = Step("", operands, node._data, operation, params, name, called, node.group, shows)
        if own:
            return self.placed(call)
        call.data = self.blank(call.data)
        self.steps.append(call)  # a function of the user's may be random: two calls are two results
        return call

    def expression_of(
        self, node: Value, operation: Operation, parts: Sequence[Part], operands: Sequence[Any], name: str, hint: str
    ) -> Step | None:
        """The last of the steps that an operation is printed as; None where it isn't of the same form as the node."""
        made: list[Step] = []
        for part in parts:
            inputs = [
                operands[x.place] if isinstance(x, Input) else made[x.place] if isinstance(x, Earlier) else x
                for x in part.operands
            ]
            last = len(made) == len(parts) - 1
            step = Step(part.text, inputs, 0.0, name=name if last else "", group=node.group)
            step.hint = (last and hint) or (operation.name if last and len(parts) > 1 else hint_of(part.text))
            if type(node._data) is not float or not all(map(is_scalar, inputs)):
                step.data, step.shows = recorded_part(part.text, inputs)
            if last and not same_form(step.data, node._data):
                return None
            made.append(self.placed(step))
        return made[-1]

    def apart(self, node: Value, made: Made, operands: Sequence[Any]) -> list[Any]:
        """The operands, with a copy where two lie in the same memory that don't in the eager run.

        numpy multiplies a matrix with its own transpose by another routine, which differs in the last bit.
        """
        found: list[Any] = []
        for i, x in enumerate(operands):
            for j, y in enumerate(found):
                merged = isinstance(x, Step) and isinstance(y, Step) and not x.scalar and root_of(x) is root_of(y)
                if merged and not np.may_share_memory(made.data[i], made.data[j]):
                    x = self.copied(x)
            found.append(x)
        return found

    def copied(self, x: Step) -> Step:
        """A step with the same numbers in other memory: of a view that of a copy, which lies as the view does."""
        if x.shows is None:
            data = x.data.copy(order="K")
            return self.placed(Step('{0}.copy(order="K")', [x], data, hint="copy", group=x.group))
        shown_by = self.copied(x.shows)
        inputs = [shown_by if y is x.shows else y for y in x.inputs]
        return self.placed(replace(x, inputs=inputs, name="", shows=shown_by))

    def placed(self, step: Step) -> Step:
        """The step, or what there is already that gives the same bits."""
        found = simplified(step)
        if found is step:  # common subexpression: the same step on the same inputs gives the same bits
            found = self.known.setdefault(key_of(step), step)
        if found is step:
            step.data = self.blank(step.data)
            self.steps.append(step)
        elif not found.is_input:
            found.name = found.name or step.name
        return found


def data_of_operand(x: Any) -> Any:
    return x.data if isinstance(x, Step) else x


def root_of(step: Step) -> Step:
    """The step in whose memory the numbers of a step lie: itself, or of a view, what it is a view of."""
    while step.shows is not None:
        step = step.shows
    return step


def hint_of(text: str) -> str:
    """What to call a step by what it does."""
    if text in HINTS:
        return HINTS[text]
    if " if " in text:
        return "choice"
    called = re.search(r"\w+(?=\()", text)
    return called[0] if called else "part" if "[" in text else "condition"


def is_ours(operation: Operation) -> bool:
    """Whether an operation is the library's: a function of its inputs alone, which keeps none of them."""
    return str(getattr(operation.forward, "__module__", "")).partition(".")[0] == "tinygrad_edu"


def printed(operation: Operation, operands: Sequence[Any], params: Mapping[str, Any]) -> str | None:
    """An operation as a template, where it has one for such operands."""
    prints = operation.prints
    if not callable(prints):
        return prints
    places = [
        Place(i, x.data, False) if isinstance(x, Step) else Place(i, x, True)  # a constant
        for i, x in enumerate(operands)
    ]
    return prints(*places, **params)


def recorded_part(text: str, inputs: Sequence[Any]) -> tuple[Any, Step | None]:
    """What a part of an expression was when recorded, for its form, and the input that it is a view of."""
    data = [x.data if isinstance(x, Step) else x for x in inputs]
    if all(map(is_scalar, inputs)):
        return 0.0, None
    with np.errstate(all="ignore"):
        result = function_of(with_module(text, np))(*data)
    return result, shown(result, inputs, data)


def shown(result: Any, inputs: Sequence[Any], data: Sequence[Any]) -> Step | None:
    """The input whose memory a result lies in."""
    for x, of in zip(inputs, data, strict=True):
        arrays = isinstance(result, np.ndarray) and isinstance(of, np.ndarray)
        if isinstance(x, Step) and arrays and lies_in(result, of):
            return x
    return None


def lies_in(result: Any, of: Any) -> bool:
    """Whether a result is a view of an operand."""
    if isinstance(of.base, Blank):
        while result is not None and result is not of:
            result = getattr(result, "base", None)
        return result is of
    return bool(np.may_share_memory(result, of))


def is_scalar(x: Any) -> bool:
    return x.scalar if isinstance(x, Step) else type(x) is float


def simplified(step: Step) -> Step:
    """The step, or something that gives the same bits for less: an earlier step, or another expression."""
    if not step.scalar and step.text in ELEMENTWISE:  # one number at every place is that number
        rewritten(step, step.text, [number_of(x) for x in step.inputs])
    text, inputs = step.text, step.inputs
    if text == "+{0}" and is_same(inputs[0], step):  # +x = x
        return inputs[0]  # type: ignore[no-any-return]
    if text == "{0} * {1}":  # x · 1 = x, for nan and signed zeros too
        for x, other in ((inputs[0], inputs[1]), (inputs[1], inputs[0])):
            if is_one(other) and is_same(x, step):
                return x  # type: ignore[no-any-return]
    if text == "{0} / {1}" and is_one(inputs[1]) and is_same(inputs[0], step):  # x / 1 = x
        return inputs[0]  # type: ignore[no-any-return]
    if text == "{0} + {1}":  # x + (-y) = x - y: IEEE 754 defines subtraction so
        if is_made_by("-{0}", inputs[1]):
            rewritten(step, "{0} - {1}", [inputs[0], inputs[1].inputs[0]])
        elif type(inputs[1]) is float and inputs[1] < 0.0:
            rewritten(step, "{0} - {1}", [inputs[0], -inputs[1]])
    if text == "{0}.dot({1})" and is_made_by("{0}.T", inputs[0]) and np.ndim(inputs[0].data) == 2:
        rewritten(step, text, [inputs[1], inputs[0].inputs[0]])  # Wᵀ·v = v·W: one and the same call of BLAS
    if text in TRUTHS:  # float(a > b) is true where a > b is
        step.inputs = [unwrapped(x) if i in TRUTHS[text] and is_truth(x) else x for i, x in enumerate(inputs)]
    if text == "{0} != 0.0" and is_truth(inputs[0]):
        return unwrapped(inputs[0])  # (a > b).astype(float) isn't 0 where a > b is true
    for own_inverse in ("-{0}", "{0}.T"):  # -(-x) = x, (xᵀ)ᵀ = x
        if text == own_inverse and is_made_by(own_inverse, inputs[0]) and is_same(inputs[0].inputs[0], step):
            return inputs[0].inputs[0]  # type: ignore[no-any-return]
    return step


ELEMENTWISE = ("{0} + {1}", "{0} - {1}", "{0} * {1}", "{0} / {1}")


def rewritten(step: Step, text: str, inputs: Sequence[Any]) -> None:
    """Give a step another expression, unless an array would lie in memory differently."""
    if step.scalar or same_form(recorded_part(text, inputs)[0], step.data):
        step.text, step.inputs = text, inputs


def number_of(x: Any) -> Any:
    """The constant number of which an operand is copies; else the operand itself."""
    of = x
    while isinstance(of, Step) and of.text.startswith(("broadcast_to({0}, ", "{0}.reshape(")):
        of = of.inputs[0]
    return x if isinstance(of, Step) or np.ndim(of) else of


TRUTHS = {"{1} if {0} else {2}": (0,)} | dict.fromkeys(
    ("{0} and {1}", "{0} or {1}", "logical_and({0}, {1})", "logical_or({0}, {1})"), (0, 1)
)
"""Where an expression asks for no more than whether an operand is true."""


def is_truth(x: Any) -> bool:
    """Whether an operand is a number made of a comparison: 1.0 or 0.0."""
    return isinstance(x, Step) and (x.text == "float({0})" or x.text.startswith("{0}.astype("))


def unwrapped(number: Step) -> Step:
    """The comparison that was made a number of; it takes over the name."""
    condition: Step = number.inputs[0]
    condition.name = condition.name or number.name
    return condition


def is_one(x: Any) -> bool:
    if isinstance(x, Step):
        return False
    return x == 1.0 if type(x) is float else np.ndim(x) == 0 and bool(x == 1.0)


def is_made_by(text: str, x: Any) -> bool:
    return isinstance(x, Step) and x.text == text


def is_same(x: Any, step: Step) -> bool:
    """Whether an operand may stand in a step's place, as far as its form goes."""
    return isinstance(x, Step) and same_form(x.data, step.data)


def same_form(x: Any, y: Any) -> bool:
    """Whether data is of one kind, shape, dtype and layout."""
    if type(x) is float or type(y) is float:
        return type(x) is type(y)
    return bool(x.shape == y.shape and x.dtype == y.dtype and layout(x) == layout(y))


def layout(x: Any) -> list[int]:
    return [stride for stride, n in zip(x.strides, x.shape, strict=True) if n > 1]


def key_of(step: Step) -> Any:
    """What two steps with the same result have in common. Constants by their bits: 0.0 is not -0.0."""
    params = sorted((k, repr(v) if is_plain(v) else id(v)) for k, v in step.params.items()) if step.params else ()
    return (step.text, id(step.operation), *map(identity_of, step.inputs), *params)


def is_plain(x: Any) -> bool:
    """Whether the text of a parameter says all of it."""
    if isinstance(x, tuple):
        return all(map(is_plain, x))
    return x is None or x is Ellipsis or isinstance(x, (bool, int, float, str, slice))


def identity_of(x: Any) -> Any:
    return struct.pack("<d", x) if type(x) is float else id(x)


def alive(steps: Sequence[Step], results: Iterable[Any]) -> list[Step]:
    """The steps that some result needs, in order."""
    needed = {r for r in results if isinstance(r, Step)}
    kept = []
    for step in reversed(steps):
        if step in needed:
            kept.append(step)
            needed |= {x for x in step.inputs if isinstance(x, Step)}
    return kept[::-1]
