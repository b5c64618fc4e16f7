"""What kind of mistake a wrong gradient looks like: the line search where the code can be followed, else the figures.

The one thing to know: a diagnosis is a hypothesis that was tested. It is named only if it gives what was claimed, at
every entry of every wrong input that it speaks of.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_edu.core.data import Array
from tinygrad_edu.core.value import Value
from tinygrad_edu.gradient_check.complex_step import Graph
from tinygrad_edu.gradient_check.search import Search, explain
from tinygrad_edu.gradient_check.search.explaining import from_numbers
from tinygrad_edu.gradient_check.search.whole import Whole
from tinygrad_edu.graph import forward_order

if TYPE_CHECKING:
    from tinygrad_edu.gradient_check.comparison import Comparison


def diagnoses_of(
    forward: Callable[..., Any],
    inputs: Sequence[Any],
    wanted: Sequence[int],
    cotangents: Sequence[Any],
    comparison: Comparison,
    gradients: Sequence[Array | None],
    graph: Graph | None = None,
) -> Search:
    """The line of the forward code whose derivative is wrong; by the figures alone where it can't be followed.

    An input without a gradient to compare is taken for right here.
    """
    if comparison.fast:
        return Search()
    claimed, right, wrong = figures_of(comparison, gradients)
    tied = {name for found in comparison.findings if found.kind == "ties" for name in found.inputs}
    if not wrong and not tied:
        return Search()
    claimed = {name: g if name in wrong or name in tied else right[name] for name, g in claimed.items()}
    precision = 1e-3 if comparison.single else 1e-6
    known = {n: np.where(comparison.at_kinks(i), np.nan, right[n]) for i, n in enumerate(comparison.names)}
    given = {name: known[name] if g is right[name] else g for name, g in claimed.items()}
    search = explain(forward, inputs, wanted, cotangents, given, known, comparison.names, precision)
    if search.findings or search.followed:
        findings = [found for found in search.findings if not tied.issuperset(found.inputs)]  # it is said already
        return replace(search, findings=findings, unexplained=[n for n in search.unexplained if n not in tied])
    return by_figures(comparison, claimed, right, wrong, graph, search.tried)


def figures_of(
    comparison: Comparison, gradients: Sequence[Array | None]
) -> tuple[dict[str, Array], dict[str, Array], list[str]]:
    """The claimed and the right gradients by name, and the names of those to be explained."""
    k = comparison.worst
    shapes = [np.shape(x) for x in comparison.data]
    right = {n: v[:, k].reshape(s) for n, v, s in zip(comparison.names, comparison.values, shapes, strict=True)}
    claimed = {
        name: right[name] if g is None else np.asarray(g, dtype=np.float64)
        for name, g in zip(comparison.names, gradients, strict=True)
    }
    wrong = [e.name for e in comparison.entries if not e.holds and np.all(np.isfinite(claimed[e.name]))]
    said = {name for found in comparison.findings for name in found.inputs if found.kind in ("ties", "nan or infinity")}
    return claimed, right, [name for name in dict.fromkeys(wrong) if name not in said]


def by_figures(
    comparison: Comparison,
    claimed: dict[str, Array],
    right: dict[str, Array],
    wrong: Sequence[str],
    graph: Graph | None,
    tried: Sequence[str] = (),
) -> Search:
    """What the numbers alone tell, where the code can't be followed."""
    names = comparison.names
    allowed = [float(np.max(comparison.allowed(k, right[name], 0.0), initial=0.0)) for k, name in enumerate(names)]

    def near(k: int, expected: Any) -> bool:
        """Whether a gradient is the claimed one: what is left is small beside the mistake, not beside the gradient."""
        name, scale = names[k], float(np.max(np.abs(expected), initial=0.0))
        mistake = float(np.max(np.abs(claimed[name] - right[name]), initial=0.0))
        slack = min(10.0 * allowed[k] + 1e-5 * scale, 1e-3 * mistake + 1e-9 * scale)
        off = np.max(np.abs(claimed[name] - expected), initial=0.0)
        return np.shape(expected) == np.shape(claimed[name]) and bool(off <= slack)

    plain = [name for name in wrong if np.max(np.abs(right[name]), initial=0.0) > 100.0 * allowed[names.index(name)]]
    whole = Whole(
        names,
        comparison.data,
        [claimed[name] for name in names],
        [right[name] for name in names],
        [names.index(name) for name in plain],
        lengths_of(comparison, graph),
        frozenset(),
        near,
    )
    return from_numbers(whole, [names.index(name) for name in wrong], tried)


def lengths_of(comparison: Comparison, graph: Graph | None) -> dict[float, list[str]]:
    """Lengths of axes of the data that a function computes with, and what they are: batch sizes and the like."""
    lengths: dict[float, list[str]] = {}
    for node in [] if graph is None else forward_order([graph.output]):
        for parent in node.parents:
            if not isinstance(parent, Value) and np.ndim(parent):
                for axis, n in enumerate(np.shape(parent)):
                    what = "the number of rows" if axis == 0 else f"the length of axis {axis}"
                    lengths.setdefault(n, []).append(f"{what} of an array of shape {np.shape(parent)}")
    for name, x in zip(comparison.names, comparison.data, strict=True):
        for axis, n in enumerate(np.shape(x)):
            lengths.setdefault(n, []).append(f"the length of axis {axis} of {name}")
        lengths.setdefault(np.size(x), []).append(f"the number of entries of {name}")
    return {n: list(dict.fromkeys(texts)) for n, texts in lengths.items()}
