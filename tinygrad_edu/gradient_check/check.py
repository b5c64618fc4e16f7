"""Gradient checks: numerical against computed, or against hand-written, gradients, with a diagnosis.

The one thing to know: the numerical side (`numerical.py`) only calls the function, so the two sides share no mistake.
`diagnosis.py` says what a wrong gradient looks like, `report.py` shows it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np

from tinygrad_edu.core.backward import backward_order, order_between
from tinygrad_edu.core.context import depth
from tinygrad_edu.core.value import Array, Data, Value, as_data, data_of
from tinygrad_edu.gradient_check.diagnosis import Graph, Suspect, diagnose
from tinygrad_edu.gradient_check.numerical import (
    Estimate,
    Evaluate,
    along,
    central,
    extrapolated,
    kink,
    on_line,
    step_for,
)
from tinygrad_edu.gradient_check.report import Diagnosis, Entry, GradientReport
from tinygrad_edu.transforms import grad, linearize, unit_arrays, vjp
from tinygrad_edu.tree import leaves_of, leaves_with_paths, mapped, rebuilt, same_structure

Method: TypeAlias = Literal["central", "extrapolated", "complex"]
Mode: TypeAlias = Literal["reverse", "forward"]


def gradcheck(
    function: Callable[..., Any],
    *inputs: Any,
    gradient: Any = None,
    order: Literal[1, 2] = 1,
    modes: Sequence[Mode] = ("reverse", "forward"),
    method: Method = "central",
    fast: bool = False,
    eps: float = 6e-6,
    rtol: float = 1e-5,
    atol: float = 1e-8,
) -> GradientReport:
    """Compare gradients with numerical derivatives.

    Args:
        function: A function of numbers, arrays, and nested tuples, lists and dicts of them. It is given Values; with
            `gradient`, plain numbers and arrays, and need know nothing of Values. Its result is one number, or (without
            `gradient`) arrays, whose sum with fixed random weights is then checked.
        inputs: Numbers, arrays, Values, or nested structures of them. A report calls each by its Value's name, else by
            the function's argument and the way to it (`parameters[0]['w']`). float32 inputs are computed with as they
            are, and compared with numerical derivatives in float64 at a tolerance of 1e-3 and more.
        gradient: The gradient written by hand, in the structure of the inputs (of the one input, where there is one),
            or a function of the inputs that gives it.
        order: 2 checks the derivatives of the derivatives as well.
        modes: Which ways of computing the gradient are checked.
        method: "central" differences; "extrapolated" to step 0, whose error estimate is the tolerance; or "complex"
            steps, exact to the last digits, for functions of which every operation is defined for complex numbers.
        fast: Compare in one random direction, and not entry by entry.
        eps: The step of central differences for a number of size 1; larger ones take a step larger in proportion.
        rtol, atol: An entry holds if |computed - numerical| <= atol + rtol * |numerical| + the numerical error.

    Returns:
        A report that is true where all holds. Where the function has a kink and the gradient lies between the slopes on
        both sides, it holds, and the report says so.

    Raises:
        ValueError: No inputs, a result that isn't one number, a gradient whose structure or shapes don't fit, or an
            operation that has no complex step.

    Source: Press et al., Numerical Recipes (3rd ed.), section 5.7; for complex steps Squire and Trapp, 1998.

    >>> import tinygrad_edu as tg
    >>> bool(tg.gradcheck(lambda x: tg.exp(x) * x, 0.5))
    True
    >>> tg.gradcheck(lambda x: x * x * x, 2.0, gradient=6.0)
    gradient check FAILED: 1 of 1 entries are wrong, in x
      x: a constant factor 1/2 (the ratio is 0.5 at its one entry)
    input  index  value  numerical  ± error  computed  ratio  relative error  note
    x      []     2      12         4e-10    6         0.5    5.0e-01         wrong
    """
    if not leaves_of(inputs):
        raise ValueError("inputs is empty: nothing to check the gradient against")
    if order not in (1, 2):
        raise ValueError(f"order must be 1 or 2, got {order!r}")
    if method not in ("central", "extrapolated", "complex"):
        raise ValueError(f'method must be "central", "extrapolated" or "complex", got {method!r}')
    check = Check(function, inputs, method, fast, (eps, rtol, atol))
    if gradient is not None:
        return check.hand_written(gradient)
    return check.computed(modes, order)


class Check:
    """One function at one point, and what is found there."""

    def __init__(
        self,
        function: Callable[..., Any],
        inputs: tuple[Any, ...],
        method: Method,
        fast: bool,
        sizes: tuple[float, ...],
    ) -> None:
        self.function, self.inputs, self.method, self.fast = function, inputs, method, fast
        self.eps, self.rtol, self.atol = sizes
        self.given = [as_data(data_of(x)) for x in leaves_of(inputs)]
        self.data: list[Data] = [x if isinstance(x, float) else x.astype(np.float64) for x in self.given]
        self.names = input_names(function, inputs)
        if any(isinstance(x, np.ndarray) and x.dtype == np.float32 for x in self.given):
            self.rtol, self.atol = max(self.rtol, 1e-3), max(self.atol, 1e-4)

    def call(self, leaves: Sequence[Any]) -> Any:
        """The function of inputs with these leaves."""
        token = depth.set(depth.get() + 1)
        try:
            return self.function(*rebuilt(self.inputs, iter(leaves)))
        finally:
            depth.reset(token)

    def computed(self, modes: Sequence[Mode], order: int) -> GradientReport:
        """Check the library's own gradient of the function."""
        weights = result_weights(self.call([Value(x) for x in self.data]))

        def scalar(*leaves: Any) -> Any:
            return weighted(self.call(leaves), weights)

        def evaluate(data: list[Data]) -> float:
            return one_number(scalar(*map(Value, data)))

        graph = self.record(scalar)
        entries, diagnoses = self.compare_modes(scalar, evaluate, modes, graph, order=1)
        if order == 2:
            slope = slope_function(scalar, self.given)

            def evaluate_slope(data: list[Data]) -> float:
                return one_number(slope(*map(Value, data)))

            entries += self.compare_modes(slope, evaluate_slope, modes, self.record(slope), order=2)[0]
        return self.report(entries, diagnoses)

    def compare_modes(
        self, scalar: Callable[..., Any], evaluate: Evaluate, modes: Sequence[Mode], graph: Graph, order: int
    ) -> tuple[list[Entry], list[Diagnosis]]:
        estimates = self.estimates(evaluate, graph)
        entries: list[Entry] = []
        diagnoses: list[Diagnosis] = []
        for mode in modes:
            gradients = (reverse_gradients if mode == "reverse" else forward_gradients)(scalar, self.given)
            found = self.compare(gradients, estimates, evaluate, mode, order)
            entries += found
            if not diagnoses and order == 1:
                diagnoses = self.diagnose(gradients, estimates, found, graph)
        return entries, diagnoses

    def hand_written(self, gradient: Any) -> GradientReport:
        """Check a gradient that was written by hand."""
        claimed = self.claimed_gradients(gradient)
        one_number(self.call(copies_of(self.data)))

        def evaluate(data: list[Data]) -> float:
            return one_number(self.call(data))

        graph = None if self.method != "complex" else self.record(lambda *leaves: self.call(leaves))
        estimates = self.estimates(evaluate, graph)
        entries = self.compare(claimed, estimates, evaluate, "hand-written", order=1)
        if graph is None and not all(entry.holds for entry in entries):
            graph = self.try_to_record()
        return self.report(entries, self.diagnose(claimed, estimates, entries, graph))

    def report(self, entries: list[Entry], diagnoses: list[Diagnosis]) -> GradientReport:
        worst_first = sorted(entries, key=lambda e: (e.holds, -e.relative_error))
        return GradientReport(worst_first, [", ".join(self.names)] if self.fast else self.names, diagnoses)

    def record(self, function: Callable[..., Any]) -> Graph:
        """The function's computation as a graph."""
        values = [Value(x, name) for x, name in zip(self.data, self.names, strict=True)]
        output = function(*values)
        return Graph(output if isinstance(output, Value) else Value(one_number(output)), values)

    def try_to_record(self) -> Graph | None:
        """As `record`, for a function that may know nothing of Values; None where it can't be computed with them."""
        try:
            return self.record(lambda *leaves: self.call(leaves))
        except Exception:  # whatever a function that knows nothing of Values makes of them
            return None

    def estimates(self, evaluate: Evaluate, graph: Graph | None) -> list[list[Estimate]]:
        """The numerical derivative for each entry of each input; with `fast` one, in a random direction."""
        if self.fast:
            return [[self.estimate(on_line(evaluate, self.data, direction_for(self.data)), 0.0)]]
        if self.method == "complex":
            assert graph is not None
            return complex_steps(graph)
        return [
            [
                self.estimate(along(evaluate, self.data, i, at), float(np.asarray(x)[at]))
                for at in np.ndindex(np.shape(x))
            ]
            for i, x in enumerate(self.data)
        ]

    def estimate(self, f: Callable[[float], float], x: float) -> Estimate:
        return extrapolated(f, x) if self.method == "extrapolated" else central(f, x, step_for(x, self.eps))

    def compare(
        self, gradients: list[Array], estimates: list[list[Estimate]], evaluate: Evaluate, mode: str, order: int
    ) -> list[Entry]:
        if self.fast:
            direction = direction_for(self.data)
            along_it = float(sum(np.sum(g * d) for g, d in zip(gradients, direction, strict=True)))
            name = ", ".join(self.names)
            return [self.entry(name, (), 0.0, estimates[0][0], along_it, None, mode, order)]
        entries = []
        for i, (name, x, g) in enumerate(zip(self.names, self.data, gradients, strict=True)):
            for at, estimate in zip(np.ndindex(np.shape(x)), estimates[i], strict=True):
                f = along(evaluate, self.data, i, at)
                value = float(np.asarray(x)[at])
                entries.append(self.entry(name, at, value, estimate, float(g[at]), f, mode, order))
        return entries

    def entry(
        self,
        name: str,
        at: tuple[int, ...],
        value: float,
        estimate: Estimate,
        computed: float,
        f: Callable[[float], float] | None,
        mode: str,
        order: int,
    ) -> Entry:
        tolerance = self.tolerance(estimate)
        holds = abs(computed - estimate.value) <= tolerance or computed == estimate.value
        slopes = None if holds or f is None else kink(f, value)
        if slopes:
            slack = 1e-4 * (abs(slopes[0]) + abs(slopes[1])) + self.atol
            holds = min(slopes) - slack <= computed <= max(slopes) + slack
            slopes = slopes if holds else None
        return Entry(name, at, value, estimate.value, estimate.error, computed, holds, slopes, mode, order)

    def tolerance(self, estimate: Estimate) -> float:
        """How far from a numerical derivative a gradient may be: by its error alone where that is well known."""
        single = self.rtol >= 1e-3
        if self.method == "central" or single:
            return self.atol + self.rtol * abs(estimate.value) + min(estimate.error, 1e-3 * abs(estimate.value) + 1e-6)
        return 4.0 * estimate.error + 1e-12 * (1.0 + abs(estimate.value))

    def diagnose(
        self, gradients: list[Array], estimates: list[list[Estimate]], entries: list[Entry], graph: Graph | None
    ) -> list[Diagnosis]:
        if self.fast or all(entry.holds for entry in entries):
            return []
        wrong = {entry.name for entry in entries if not entry.holds}
        suspects = []
        for name, x, g, found in zip(self.names, self.data, gradients, estimates, strict=True):
            numerical = np.array([e.value for e in found]).reshape(np.shape(x))
            tolerance = np.array([self.tolerance(e) for e in found]).reshape(np.shape(x))
            suspects.append(Suspect(name, g, numerical, tolerance, name in wrong))
        return diagnose(suspects, graph, lengths_of(self, graph))

    def claimed_gradients(self, gradient: Any) -> list[Array]:
        """The hand-written gradient as one array for each input, checked against the inputs' shapes."""
        if callable(gradient):
            gradient = gradient(*rebuilt(self.inputs, iter(copies_of(self.data))))
        structure = mapped(lambda _: None, self.inputs)
        if len(self.inputs) == 1 and not same_structure(structure, gradient):
            gradient = (gradient,)
        if isinstance(gradient, list):
            gradient = tuple(gradient)
        if not same_structure(structure, gradient):
            parts = len(gradient) if isinstance(gradient, tuple) else 1
            names = ", ".join(self.names)
            raise ValueError(f"gradient has {parts} parts, but there are {len(self.data)} inputs: {names}")
        arrays = [np.asarray(as_data(data_of(g))) for g in leaves_of(gradient)]
        for name, g, x in zip(self.names, arrays, self.data, strict=True):
            if g.shape != np.shape(x):
                hint = ", which is the shape of its transpose" if g.shape == np.shape(x)[::-1] else ""
                raise ValueError(
                    f"the gradient of {name} has shape {g.shape}{hint}, but {name} has shape {np.shape(x)}"
                )
        return arrays


def reverse_gradients(scalar: Callable[..., Any], data: list[Data]) -> list[Array]:
    out, pullback = vjp(scalar, *data)
    seed = 1.0 if np.ndim(data_of(out)) == 0 else np.ones_like(data_of(out))
    return [np.asarray(data_of(g)) for g in pullback(seed)]


def forward_gradients(scalar: Callable[..., Any], data: list[Data]) -> list[Array]:
    """The gradient entry by entry: the change of the result along each."""
    _, push_forward = linearize(scalar, *data)
    zeros = [0.0 if isinstance(x, float) else np.zeros_like(x) for x in data]
    found = []
    for i, x in enumerate(data):
        changes = np.zeros(np.shape(x))
        for at, unit in zip(np.ndindex(np.shape(x)), unit_arrays(x), strict=True):
            changes[at] = float(np.sum(data_of(push_forward(*zeros[:i], unit, *zeros[i + 1 :]))))
        found.append(changes)
    return found


def slope_function(scalar: Callable[..., Any], data: list[Data]) -> Callable[..., Any]:
    """The sum of all first derivatives with fixed random weights: a function whose gradient is made of second ones."""
    weights = direction_for(data)

    def slope(*leaves: Any) -> Any:
        total: Any = 0.0
        for g, w in zip(grad(scalar, tuple(range(len(leaves))))(*leaves), weights, strict=True):
            total = total + weighted(g, [w])
        return total

    return slope


def result_weights(result: Any) -> list[Any] | None:
    """Fixed random weights for the numbers of a result that isn't one number; None for one number."""
    leaves = leaves_of(result)
    if len(leaves) == 1 and np.size(data_of(leaves[0])) == 1:
        return None
    return direction_for([as_data(data_of(leaf)) for leaf in leaves])


def weighted(result: Any, weights: list[Any] | None) -> Any:
    """The sum of a result's numbers with the given weights."""
    if weights is None:
        return result
    total: Any = 0.0
    for leaf, w in zip(leaves_of(result), weights, strict=True):
        term = leaf * (w.astype(leaf.dtype) if isinstance(w, np.ndarray) and isinstance(leaf, Value) else w)
        total = total + (term.sum() if np.ndim(data_of(term)) else term)
    return total


def direction_for(data: Sequence[Any]) -> list[Any]:
    """Random numbers from ½ to 1½ of either sign, the same at each call, in the shapes of the data."""
    rng = np.random.default_rng(0)
    drawn = [rng.uniform(0.5, 1.5, np.shape(x)) * rng.choice([-1.0, 1.0], np.shape(x)) for x in data]
    return [float(d) if np.ndim(d) == 0 else d for d in drawn]


def complex_steps(graph: Graph) -> list[list[Estimate]]:
    """Im f(x + ih) / h for a tiny h, by computing the recorded operations with complex numbers: exact to rounding.

    Raises:
        ValueError: An operation isn't defined for complex numbers.
    """
    h = 1e-30
    order = backward_order([graph.output])[::-1]
    dependent = set(order_between([graph.output], graph.inputs))
    for node in dependent:
        assert node.operation is not None
        if not node.operation.analytic:
            raise ValueError(
                f'method="complex": the operation {node.operation.name} has no complex step: it is not marked '
                "analytic=True. Use another method, or mark it if its forward is the same formula for complex numbers"
            )
    estimates = []
    for x in graph.inputs:
        found = []
        for at in np.ndindex(x.shape):
            table: dict[Value, Any] = {v: np.asarray(v.data, dtype=complex) for v in graph.inputs}
            table[x][at] += 1j * h
            for node in order:
                assert node.operation is not None
                primals = [table.get(p, data_of(p)) if isinstance(p, Value) else p for p in node.parents]
                if node in dependent:
                    try:
                        table[node] = node.operation.forward(*primals, **node.params)
                    except TypeError as error:
                        name = node.operation.name
                        raise ValueError(
                            f'method="complex": the operation {name} has no complex step: {error}'
                        ) from None
            slope = float(np.imag(table.get(graph.output, 0.0)).sum()) / h
            found.append(Estimate(slope, 1e-14 * abs(slope)))
        estimates.append(found)
    return estimates


def lengths_of(check: Check, graph: Graph | None) -> dict[int, str]:
    """Lengths of axes of the data that a function computes with, and what they are: batch sizes and the like."""
    lengths: dict[int, str] = {}
    if graph is not None:
        for node in backward_order([graph.output])[::-1]:
            for parent in node.parents:
                if not isinstance(parent, Value) and np.ndim(parent):
                    for axis, n in enumerate(np.shape(parent)):
                        what = "the number of rows" if axis == 0 else f"the length of axis {axis}"
                        lengths.setdefault(n, f"{what} of an array of shape {np.shape(parent)}")
    for name, x in zip(check.names, check.data, strict=True):
        for axis, n in enumerate(np.shape(x)):
            lengths.setdefault(n, f"the length of axis {axis} of {name}")
        lengths.setdefault(np.size(x), f"the number of entries of {name}")
    return lengths


def copies_of(data: list[Data]) -> list[Data]:
    return [x if isinstance(x, float) else x.copy() for x in data]


def one_number(output: Any) -> float:
    array = np.asarray(as_data(data_of(output)))
    if array.size != 1:
        raise ValueError(f"function must give one number, but gave shape {array.shape}")
    return float(array.item())


def input_names(function: Callable[..., Any], inputs: tuple[Any, ...]) -> list[str]:
    """For each leaf its Value's name, else the function's argument and the way to it; each only once."""
    names: list[str] = []
    for leaf, path in leaves_with_paths(function, inputs):
        name = (leaf.name if isinstance(leaf, Value) else None) or path
        names.append(f"{name} (input {len(names)})" if name in names else name)
    return names
