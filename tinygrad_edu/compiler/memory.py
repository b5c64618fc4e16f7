"""Which steps of an array program write into memory that is used again, and whose.

The one thing to know: a large result goes into the memory of an operand that nobody reads afterwards, else into a
buffer that is free, else into a new buffer. What is handed to the caller is always new memory.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from typing import Any, NamedTuple

import numpy as np

from tinygrad_edu.compiler.program import Program, Step, is_ours, root_of

LARGE = 2**14
"""Bytes from which on an array is written into memory that is used again. Below, a new array costs less than a call
with `out=`, and an expression reads better."""

UFUNCS = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide", "@": "matmul"}


class Form(NamedTuple):
    """What memory must be like: the layout too, on which the last bit of a sum or a matrix product depends."""

    shape: tuple[int, ...]
    dtype: Any
    order: str


@dataclass(eq=False)
class Slot:
    """Memory that steps hold one after the other, each writing over the one before.

    Attributes:
        steps: Who holds it.
        end: The place in the program where it is last read.
        buffer: The number of the buffer that it is; None where the caller gets it.
    """

    form: Form
    steps: list[Step]
    start: int
    end: int = 0
    buffer: int | None = None


@dataclass
class Memory:
    """The slots of a program, by the steps that write into them, and the forms of its buffers."""

    slots: Mapping[Step, Slot]
    buffers: list[Form]
    large: set[Step]

    def before(self, step: Step) -> Step | None:
        """The step whose memory this one writes over."""
        holders = self.slots[step].steps
        place = holders.index(step)
        return holders[place - 1] if place else None


def with_large_steps_late(program: Program) -> Program:
    """The program with each large step right before the first that reads it, where no other's memory is held for that.

    What is computed between then needs no memory beside it.
    """
    steps = list(program.steps)
    large = {step for step in steps if form_of(step) is not None}
    if not large:
        return program
    end = last_reads(program)
    for i in range(len(steps) - 1, -1, -1):
        step = steps[i]
        if step not in large:
            continue
        readers = (k for k in range(i + 1, len(steps)) if any(x is step for x in steps[k].inputs))
        first = next(readers, i)
        held = [root_of(x) for x in step.inputs if isinstance(x, Step) and root_of(x) in large]
        if first > i + 1 and all(end[x] >= first for x in held):
            steps.insert(first - 1, steps.pop(i))
            end = last_reads(replace(program, steps=steps))
    return replace(program, steps=steps)


def memory_of(program: Program, targets: Container[Step] = ()) -> Memory:
    """Memory for every large result of a program; `targets` have theirs."""
    end = last_reads(program)
    forbidden = kept_by_users(program)
    slots: dict[Step, Slot] = {}
    found: list[Slot] = []
    for i, step in enumerate(program.steps):
        form = form_of(step)
        if form is None or step in forbidden or step in targets:
            continue
        taken = next((x for x in step.inputs if may_be_overwritten(x, step, form, i, slots, end)), None)
        if taken is not None:
            slot = slots[taken]
            slot.steps.append(step)
        else:
            slot = Slot(form, [step], i)
            found.append(slot)
        slots[step] = slot
        slot.end = end.get(step, i)
    large = {step for step in program.steps if root_of(step) in slots}
    return Memory(slots, assigned(found, len(program.steps)), large)


def may_be_overwritten(
    x: Any, step: Step, form: Form, i: int, slots: Mapping[Step, Slot], end: Mapping[Step, int]
) -> bool:
    """Whether a step may write over its operand: elementwise, in the same form, and nobody reads it afterwards."""
    if not isinstance(x, Step) or x not in slots or "@" in step.text:
        return False
    others = [y for y in step.inputs if isinstance(y, Step) and y is not x]
    return slots[x].form == form and end[x] == i and all(root_of(y) is not x for y in others)


def form_of(step: Step) -> Form | None:
    """The form of a large result that numpy can write where it is told to; None for any other."""
    data = step.data
    if not isinstance(data, np.ndarray) or data.nbytes < LARGE or ufunc_of(step.text) is None:
        return None
    if data.flags.c_contiguous:
        return Form(data.shape, data.dtype, "C")
    return Form(data.shape, data.dtype, "F") if data.flags.f_contiguous else None


def ufunc_of(text: str) -> str | None:
    """The numpy function that does what an expression says, and takes `out=`."""
    if match := re.fullmatch(r"\{0\} ([-+*/@]) \{1\}", text):
        return UFUNCS[match[1]]
    if text == "-{0}":
        return "negative"
    match = re.fullmatch(r"(\w+)\(\{0\}(, \{1\})?\)", text)
    name = match[1] if match else ""
    return name if isinstance(getattr(np, name, None), np.ufunc) else None


def last_reads(program: Program) -> dict[Step, int]:
    """The place in the program where each step's memory is last read; its length for what the caller gets."""
    end: dict[Step, int] = {}
    for i, step in enumerate(program.steps):
        for x in step.inputs:
            if isinstance(x, Step):
                end[root_of(x)] = i
        end.setdefault(root_of(step), i)
    for result in program.results:
        if isinstance(result, Step):
            end[root_of(result)] = len(program.steps)
    return end


def kept_by_users(program: Program) -> set[Step]:
    """The steps whose memory a function of the user's own gets to see, and might keep."""
    calls = [step for step in program.steps if step.operation is not None and not is_ours(step.operation)]
    return {root_of(x) for step in calls for x in step.inputs if isinstance(x, Step)}


def assigned(slots: list[Slot], length: int) -> list[Form]:
    """Give each slot a buffer, the first that is free and of its form; the forms of all buffers."""
    buffers: list[Form] = []
    busy: list[tuple[int, int]] = []  # until when, and which
    free: dict[Form, list[int]] = {}
    for slot in slots:
        if slot.end >= length:  # the caller gets it
            continue
        while busy and busy[0][0] < slot.start:
            _, i = heappop(busy)
            heappush(free.setdefault(buffers[i], []), i)
        if free.get(slot.form):
            slot.buffer = heappop(free[slot.form])
        else:
            slot.buffer = len(buffers)
            buffers.append(slot.form)
        heappush(busy, (slot.end, slot.buffer))
    return buffers
