"""Gradient checks: numerical against computed, or against hand-written, gradients, with a diagnosis.

The one thing to know: the numerical side (`numerical.py`) only calls the function, so the two sides share no mistake.
`comparison.py` holds one against the other, `returned.py` takes gradients in the forms in which people return them,
`search/` says what is wrong, `report.py` shows it. `layers.py` has the same for forward and backward passes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np

from tinygrad_edu.core.context import depth
from tinygrad_edu.core.data import Array, Data, as_data
from tinygrad_edu.core.value import Value, data_of
from tinygrad_edu.gradient_check.comparison import Comparison, Method, Sizes, checked_sizes
from tinygrad_edu.gradient_check.complex_step import Graph, complex_steps
from tinygrad_edu.gradient_check.diagnosis import by_figures, diagnoses_of, figures_of
from tinygrad_edu.gradient_check.numerical import copies_of, random_direction
from tinygrad_edu.gradient_check.own_rules import wrong_rules
from tinygrad_edu.gradient_check.report import GradientReport
from tinygrad_edu.gradient_check.returned import Claims, by_structure
from tinygrad_edu.gradient_check.search.findings import Language
from tinygrad_edu.transforms import grad, linearize, unit_arrays, vjp
from tinygrad_edu.tree import leaves_of, leaves_with_paths, rebuilt

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
    atol: float | None = None,
    language: Language = "en",
) -> GradientReport:
    """Compare gradients with numerical derivatives.

    Args:
        function: A function of numbers, arrays, and nested tuples, lists and dicts of them. It is given Values; with
            `gradient`, plain numbers and arrays, and need know nothing of Values. Its result is one number, or (without
            `gradient`) arrays, whose sum with fixed random weights is then checked.
        inputs: Numbers, arrays, Values, or nested structures of them. A report calls each by its Value's name, else by
            the function's argument and the way to it (`parameters[0]['w']`). float32 inputs are computed with as they
            are, and compared with numerical derivatives in float64 at a relative tolerance of 1e-3.
        gradient: The gradient written by hand, in the structure of the inputs (of the one input, where there is one),
            or a function of the inputs that gives it. What can't be compared (None, another shape, a missing part) is
            a line of the report; the other inputs are checked.
        order: 2 checks the derivatives of the derivatives as well.
        modes: Which ways of computing the gradient are checked.
        method: "central" differences; "extrapolated" to step 0, whose error estimate is the tolerance; or "complex"
            steps, exact to the last digits, for functions of which every operation is marked analytic.
        fast: Compare each input in one random direction, and not entry by entry: for large inputs.
        eps: The step of differences for a number of size 1; larger ones take a step larger in proportion. Another is
            taken for inputs where it tells more.
        rtol, atol: An entry holds if |computed - numerical| <= atol + rtol * |numerical| + the numerical error. atol is
            1e-8 of the input's largest derivative (1e-5 for float32) unless it is given.
        language: Of the report: "en" or "zh".

    Returns:
        A report that is true where all holds. Where the function has a kink and the gradient lies between the slopes on
        both sides, it holds, and the report says so. A function that gives two results for the same inputs fails.

    Raises:
        TypeError: `function` can't be called, or its result isn't a number. ValueError: No inputs, an empty input, a
            result that isn't one number, or an operation that has no complex step.

    Source: Press et al., Numerical Recipes (3rd ed.), section 5.7; for complex steps Squire and Trapp, 1998.

    >>> import tinygrad_edu as tg
    >>> bool(tg.gradcheck(lambda x: tg.exp(x) * x, 0.5))
    True
    >>> print(tg.gradcheck(lambda x: x * x * x, 2.0, gradient=6.0).verdict)
    gradient check FAILED: 1 of 1 entries are wrong, in x
    """
    if not callable(function):
        raise TypeError(f"the first argument must be the function, got {type(function).__name__}")
    if not leaves_of(inputs):
        raise ValueError("inputs is empty: nothing to check the gradient against")
    if order not in (1, 2):
        raise ValueError(f"order must be 1 or 2, got {order!r}")
    if method not in ("central", "extrapolated", "complex"):
        raise ValueError(f'method must be "central", "extrapolated" or "complex", got {method!r}')
    check = Check(function, inputs, method, fast, checked_sizes(eps, rtol, atol), language)
    if gradient is not None:
        return check.hand_written(gradient)
    return check.computed(modes, order)


class Check:
    """One function of nested inputs at one point, and what is found there."""

    def __init__(
        self,
        function: Callable[..., Any],
        inputs: tuple[Any, ...],
        method: Method,
        fast: bool,
        tolerances: Sizes,
        language: Language,
    ) -> None:
        self.function, self.inputs, self.language = function, inputs, language
        self.given = [as_data(data_of(x)) for x in leaves_of(inputs)]
        self.data: list[Data] = [x if isinstance(x, float) else x.astype(np.float64) for x in self.given]
        self.names = input_names(function, inputs)
        self.method, self.fast, self.tolerances = method, fast, tolerances

    def call(self, leaves: Sequence[Any]) -> Any:
        """The function of inputs with these leaves."""
        token = depth.set(depth.get() + 1)
        try:
            return self.function(*rebuilt(self.inputs, iter(leaves)))
        finally:
            depth.reset(token)

    def comparison(self, evaluate: Callable[[list[Data]], Array]) -> Comparison:
        return Comparison(self.names, self.given, evaluate, self.method, self.fast, self.tolerances, self.language)

    def computed(self, modes: Sequence[Mode], order: int) -> GradientReport:
        """Check the library's own gradient of the function."""
        weights = result_weights(self.call([Value(x) for x in self.data]))

        def scalar(*leaves: Any) -> Any:
            return weighted(self.call(leaves), weights)

        comparison = self.compare_modes(scalar, modes, order=1)
        if comparison.report and order == 2:
            comparison.add(self.compare_modes(slope_function(scalar, self.given), modes, order=2))
        return comparison.report

    def compare_modes(self, scalar: Callable[..., Any], modes: Sequence[Mode], order: int) -> Comparison:
        comparison = self.comparison(lambda data: np.array([one_number(scalar(*map(Value, data)))]))
        if comparison.refused:
            return comparison
        if self.method == "complex":
            comparison.use(complex_steps(self.record(scalar)))
        for mode in modes:
            gradients = (directional if self.fast else entry_by_entry)(scalar, self.given, mode)
            comparison.compare([gradients], mode, order)
            if not comparison.report and not comparison.findings and order == 1 and not self.fast:
                claimed, right, wrong = figures_of(comparison, gradients)
                graph = self.record(scalar)
                comparison.findings += wrong_rules(graph, wrong)
                comparison.explain(by_figures(comparison, claimed, right, wrong, graph))
        return comparison

    def hand_written(self, gradient: Any) -> GradientReport:
        """Check a gradient that was written by hand."""
        if not any(map(np.size, self.data)):
            raise ValueError(
                f"the inputs are empty, {self.names[0]} of shape {np.shape(self.data[0])}: nothing to check"
            )
        comparison = self.comparison(lambda data: np.array([one_number(self.call(data))]))
        if comparison.refused:
            return comparison.report
        claims = self.claims(gradient, comparison)
        if self.method == "complex":
            comparison.use(complex_steps(self.record(lambda *leaves: self.call(leaves))))
        gradients = claims.checked(comparison, 0)
        if callable(gradient) and comparison.gradient_is_random(
            gradients, lambda: self.claims(gradient, comparison).checked(comparison, 0), "the gradient function"
        ):
            return comparison.report
        comparison.compare([gradients], "hand-written", 1, self.in_double(gradient, comparison))
        if not comparison.report:
            everything, graph = tuple(range(len(self.inputs))), self.try_to_record()
            comparison.explain(
                diagnoses_of(self.function, self.inputs, everything, [1.0], comparison, gradients, graph)
            )
        return comparison.report

    def claims(self, gradient: Any, comparison: Comparison) -> Claims:
        """What the gradient is, or what its function returns."""
        if not callable(gradient):
            return by_structure(gradient, self.inputs, self.names)
        leaves = copies_of(self.given)
        claims = by_structure(gradient(*rebuilt(self.inputs, iter(leaves))), self.inputs, self.names)
        for name, x, now in zip(self.names, self.given, leaves, strict=True):
            if not np.array_equal(x, now, equal_nan=True):
                comparison.note("changes inputs", "the gradient function", name)
        return claims

    def in_double(self, gradient: Any, comparison: Comparison) -> Callable[[int], Sequence[Array | None]] | None:
        """What a gradient function gives for the inputs in float64; None for a gradient that was given as numbers."""
        if not callable(gradient):
            return None

        def gradients(k: int) -> Sequence[Array | None]:
            returned = gradient(*rebuilt(self.inputs, iter(copies_of(self.data))))
            return by_structure(returned, self.inputs, self.names).checked(comparison, k)

        return gradients

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


def entry_by_entry(scalar: Callable[..., Any], data: list[Data], mode: Mode) -> list[Array | None]:
    """The gradient of each input, computed in this mode."""
    if mode == "reverse":
        return reverse_gradients(scalar, data)
    _, push_forward = linearize(scalar, *data)
    zeros = zeros_of(data)
    found: list[Array | None] = []
    for i, x in enumerate(data):
        changes = np.zeros(np.shape(x))
        for at, unit in zip(np.ndindex(np.shape(x)), unit_arrays(x), strict=True):
            changes[at] = float(np.sum(data_of(push_forward(*zeros[:i], unit, *zeros[i + 1 :]))))
        found.append(changes)
    return found


def directional(scalar: Callable[..., Any], data: list[Data], mode: Mode) -> list[Array | None]:
    """The derivative in one random direction of each input, computed in this mode."""
    directions = random_direction(data)
    if mode == "reverse":
        gradients = reverse_gradients(scalar, data)
        return [np.sum(g * d) for g, d in zip(gradients, directions, strict=True)]
    _, push_forward = linearize(scalar, *data)
    zeros = zeros_of(data)
    return [
        np.asarray(np.sum(data_of(push_forward(*zeros[:i], cast(d, x), *zeros[i + 1 :]))))
        for i, (d, x) in enumerate(zip(directions, data, strict=True))
    ]


def cast(direction: Any, x: Data) -> Any:
    return direction if isinstance(x, float) else np.asarray(direction, dtype=x.dtype)


def zeros_of(data: Sequence[Data]) -> list[Any]:
    return [0.0 if isinstance(x, float) else np.zeros_like(x) for x in data]


def reverse_gradients(scalar: Callable[..., Any], data: list[Data]) -> list[Any]:
    out, pullback = vjp(scalar, *data)
    seed = 1.0 if np.ndim(data_of(out)) == 0 else np.ones_like(data_of(out))
    return [np.asarray(data_of(g)) for g in pullback(seed)]


def slope_function(scalar: Callable[..., Any], data: list[Data]) -> Callable[..., Any]:
    """The sum of all first derivatives with fixed random weights: a function whose gradient is made of second ones."""
    weights = random_direction(data)

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
    if any(leaf is None for leaf in leaves):
        raise TypeError("the function's result is None, or has None in it: is a `return` missing?")
    return random_direction([as_data(data_of(leaf)) for leaf in leaves])


def weighted(result: Any, weights: list[Any] | None) -> Any:
    """The sum of a result's numbers with the given weights."""
    if weights is None:
        return leaves_of(result)[0]
    total: Any = 0.0
    for leaf, w in zip(leaves_of(result), weights, strict=True):
        term = leaf * (w.astype(leaf.dtype) if isinstance(w, np.ndarray) and isinstance(leaf, Value) else w)
        total = total + (term.sum() if np.ndim(data_of(term)) else term)
    return total


def one_number(output: Any) -> float:
    """The function's result as a float. Raises TypeError or ValueError, with what came, where it is no one number."""
    if output is None:
        raise TypeError("the function's result is None: is its `return` missing?")
    if isinstance(output, (tuple, list, dict)):
        raise TypeError(
            f"function must give one number, but its result is a {type(output).__name__} of {len(output)} parts; "
            "for (loss, gradient) there is check_loss, for (out, cache) check_layer"
        )
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
