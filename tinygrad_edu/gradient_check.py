"""Gradient checks: numerical against computed, or against hand-written, gradients.

The one thing to know: the numerical side only calls the function; it knows nothing of rules. So the two sides share
no mistake.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_edu.backward import gradients
from tinygrad_edu.value import Array, Data, Operand, Value, as_data, data_of


@dataclass(frozen=True)
class Entry:
    """One number of one gradient.

    Attributes:
        name: The input it belongs to.
        index: Where in that input, () for a scalar.
        numerical: The central difference.
        computed: The gradient that is checked.
        relative_error: |computed - numerical| / max(|computed|, |numerical|); 0 where both are 0.
        holds: Whether |computed - numerical| <= atol + rtol * |numerical|.
    """

    name: str
    index: tuple[int, ...]
    numerical: float
    computed: float
    relative_error: float
    holds: bool


class GradientReport:
    """The outcome of a gradient check: true when every entry holds; as text, the verdict and the worst entries."""

    def __init__(self, entries: list[Entry], kind: str, shown: int = 8) -> None:
        self.entries = sorted(entries, key=lambda e: (e.holds, -e.relative_error))
        self.kind = kind
        self.shown = shown

    def __bool__(self) -> bool:
        return all(entry.holds for entry in self.entries)

    @property
    def failing_inputs(self) -> list[str]:
        """The names of the inputs with at least one wrong entry, in order of their worst entry."""
        return list(dict.fromkeys(entry.name for entry in self.entries if not entry.holds))

    def __repr__(self) -> str:
        wrong = sum(not entry.holds for entry in self.entries)
        if wrong:
            where = ", ".join(self.failing_inputs)
            verdict = f"gradient check FAILED: {wrong} of {len(self.entries)} entries are wrong, in {where}"
        else:
            verdict = f"gradient check passed: {len(self.entries)} entries"
        if not self.entries:
            return verdict
        header = ("input", "index", "numerical", self.kind, "relative error")
        rows = [
            (e.name, str(list(e.index)), f"{e.numerical:.9g}", f"{e.computed:.9g}", f"{e.relative_error:.1e}")
            for e in self.entries[: self.shown]
        ]
        widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
        pad = "  ".join(f"{{:{width}}}" for width in widths)
        lines = [pad.format(*row).rstrip() for row in (header, *rows)]
        more = len(self.entries) - self.shown
        return "\n".join([verdict, *lines, *([f"… and {more} more entries, none worse"] if more > 0 else [])])


def gradcheck(
    function: Callable[..., Any],
    *inputs: Operand,
    gradient: Any = None,
    eps: float = 1e-6,
    rtol: float = 1e-5,
    atol: float = 1e-8,
) -> GradientReport:
    """Compare gradients with central differences (f(x + h) - f(x - h)) / 2h.

    Args:
        function: Takes the inputs and gives one number. It is given Values; with `gradient`, plain numbers and
            arrays, and need know nothing of Values.
        inputs: Floats, arrays or Values. A report calls them by their Value's name, else by the function's argument.
        gradient: The gradient written by hand: one array or number for each input (alone where there is one input),
            or a function of the inputs that gives them.
        eps: The step for a number of size 1; larger ones take a step larger in proportion.
        rtol, atol: An entry holds if |computed - numerical| <= atol + rtol * |numerical|.

    Raises:
        ValueError: No inputs, a function value that isn't one number, or a gradient whose number or shapes don't fit.

    Source: Press et al., Numerical Recipes (3rd ed.), section 5.7.

    >>> import tinygrad_edu as tg
    >>> bool(tg.gradcheck(lambda x: tg.exp(x) * x, 0.5))
    True
    >>> tg.gradcheck(lambda x: x**3, 2.0, gradient=6.0)
    gradient check FAILED: 1 of 1 entries are wrong, in x
    input  index  numerical  hand-written  relative error
    x      []     12         6             5.0e-01
    """
    if not inputs:
        raise ValueError("inputs is empty: nothing to check the gradient against")
    data = [as_float64(x) for x in inputs]
    names = input_names(function, inputs)
    if gradient is None:
        claimed, kind = computed_gradients(function, data, names), "computed"
        evaluated = with_values(function)
    else:
        claimed, kind = claimed_gradients(gradient, data, names), "hand-written"
        evaluated = function
    entries = []
    for name, index, numerical in central_differences(evaluated, data, names, eps):
        computed = float(claimed[names.index(name)][index])
        distance, size = abs(computed - numerical), max(abs(computed), abs(numerical))
        holds = distance <= atol + rtol * abs(numerical) or computed == numerical
        entries.append(Entry(name, index, numerical, computed, distance / size if distance else 0.0, holds))
    return GradientReport(entries, kind)


def computed_gradients(function: Callable[..., Any], data: list[Data], names: list[str]) -> list[Array]:
    values = [Value(x, name) for x, name in zip(data, names, strict=True)]
    output = function(*values)
    if not isinstance(output, Value):
        one_number(output)
        return [np.zeros(v.shape) for v in values]
    one_number(output)
    return [np.asarray(g) for g in gradients(output.sum() if output.ndim else output, values, create_graph=False)]


def claimed_gradients(gradient: Any, data: list[Data], names: list[str]) -> list[Array]:
    """The hand-written gradient as one array for each input, checked against the inputs' shapes."""
    given = gradient(*data) if callable(gradient) else gradient
    given = list(given) if isinstance(given, (tuple, list)) and (len(data) > 1 or len(given) == 1) else [given]
    if len(given) != len(data):
        raise ValueError(f"gradient has {len(given)} parts, but there are {len(data)} inputs: {', '.join(names)}")
    arrays = [np.asarray(as_data(data_of(g))) for g in given]
    for name, g, x in zip(names, arrays, data, strict=True):
        if g.shape != np.shape(x):
            raise ValueError(f"the gradient of {name} has shape {g.shape}, but {name} has shape {np.shape(x)}")
    return arrays


def central_differences(
    function: Callable[..., Any], data: list[Data], names: list[str], eps: float
) -> Iterator[tuple[str, tuple[int, ...], float]]:
    for position, (name, x) in enumerate(zip(names, data, strict=True)):
        for index in np.ndindex(np.shape(x)):
            at = float(np.asarray(x)[index])
            step = eps * max(1.0, abs(at))
            above, below = at + step, at - step
            ends = [evaluate(function, replaced(data, position, index, end)) for end in (above, below)]
            yield name, index, (ends[0] - ends[1]) / (above - below)


def replaced(data: list[Data], position: int, index: tuple[int, ...], number: float) -> list[Data]:
    """The inputs with one number changed, all of them copies: a function may keep or change what it is given."""
    copies: list[Any] = [x if isinstance(x, float) else x.copy() for x in data]
    if isinstance(copies[position], float):
        copies[position] = number
    else:
        copies[position][index] = number
    return copies


def with_values(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, given Values for numbers and arrays: what it is given where its gradient is computed."""
    return lambda *data: function(*map(Value, data))


def evaluate(function: Callable[..., Any], data: list[Data]) -> float:
    return one_number(function(*data))  # recorded, since the function may ask for gradients itself


def one_number(output: Any) -> float:
    array = np.asarray(as_data(data_of(output)))
    if array.size != 1:
        raise ValueError(f"function must give one number, but gave shape {array.shape}")
    return float(array.item())


def as_float64(x: Operand) -> Data:
    data = as_data(data_of(x))
    return data if isinstance(data, float) else data.astype(np.float64)


def input_names(function: Callable[..., Any], inputs: tuple[Any, ...]) -> list[str]:
    """For each input its Value's name, else the name of the function's argument, else `input i`; each only once."""
    try:
        parameters = inspect.signature(function).parameters.values()
        named = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    except ValueError:
        named = []
    named += [f"input {i}" for i in range(len(named), len(inputs))]
    names: list[str] = []
    for x, name in zip(inputs, named, strict=False):
        name = (x.name if isinstance(x, Value) else None) or name
        names.append(f"{name} (input {len(names)})" if name in names else name)
    return names
