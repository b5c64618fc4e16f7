"""What kind of mistake a wrong gradient looks like.

The one thing to know: a diagnosis is a hypothesis that was tested. Each makes the gradient that its mistake would give
(a flipped sign, a transpose, a backward pass in which one activation's derivative is left out or taken twice …) and is
named only if that equals what was claimed, at every entry of every wrong input it speaks of. Where none fits, none is.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tinygrad_edu.core.operation import Operation
from tinygrad_edu.core.value import Array, Value, data_of
from tinygrad_edu.gradient_check.complex_step import Graph
from tinygrad_edu.gradient_check.search import Finding, Search, explain
from tinygrad_edu.graph import forward_order, order_between, pull_back

if TYPE_CHECKING:
    from tinygrad_edu.gradient_check.comparison import Comparison


class Suspect(NamedTuple):
    """An input with its claimed and its numerical gradient, and how far off the numerical one may be."""

    name: str
    claimed: Array
    numerical: Array
    tolerance: Array
    wrong: bool


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
    if not wrong:
        return Search()
    k = comparison.worst
    error = max(float(np.max(e[:, k], initial=0.0)) for e in comparison.errors)
    size = max(float(np.max(np.abs(r), initial=0.0)) for r in right.values()) or 1.0
    precision = 1e-3 if comparison.single else min(max(error / size, 1e-6), 1e-3)
    search = explain(forward, inputs, wanted, cotangents, claimed, right, comparison.names, precision)
    if search.findings or search.followed:
        return search
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
    suspects = [
        Suspect(name, claimed[name], right[name], comparison.allowed(i, right[name], 0.0), name in wrong)
        for i, name in enumerate(comparison.names)
    ]
    found = diagnose(suspects, graph, lengths_of(comparison, graph))
    named = {name for one in found for name in one.inputs}
    return Search(found, [name for name in wrong if name not in named], tried, False)


def lengths_of(comparison: Comparison, graph: Graph | None) -> dict[int, str]:
    """Lengths of axes of the data that a function computes with, and what they are: batch sizes and the like."""
    lengths: dict[int, str] = {}
    for node in [] if graph is None else forward_order([graph.output]):
        for parent in node.parents:
            if not isinstance(parent, Value) and np.ndim(parent):
                for axis, n in enumerate(np.shape(parent)):
                    what = "the number of rows" if axis == 0 else f"the length of axis {axis}"
                    lengths.setdefault(n, f"{what} of an array of shape {np.shape(parent)}")
    for name, x in zip(comparison.names, comparison.data, strict=True):
        for axis, n in enumerate(np.shape(x)):
            lengths.setdefault(n, f"the length of axis {axis} of {name}")
        lengths.setdefault(np.size(x), f"the number of entries of {name}")
    return lengths


def described(kind: str, inputs: tuple[str, ...], evidence: str) -> Finding:
    return Finding(kind, inputs, kind, evidence=evidence)


def diagnose(suspects: Sequence[Suspect], graph: Graph | None, lengths: dict[int, str]) -> list[Finding]:
    """The diagnoses that fit, each for the inputs it explains; no input has two.

    `lengths` are lengths of axes that the function's data has, with what they are: candidates for a factor 1/n or n.
    """
    found: list[Finding] = []
    left = [s for s in suspects if s.wrong and np.all(np.isfinite(s.claimed))]
    for hypothesis in (zeros, signs, activations, other_inputs, transposes, shifts, bias_axes, factors):
        for diagnosis in hypothesis(left, suspects, graph, lengths):
            names = set(diagnosis.inputs)
            if names <= {s.name for s in left}:
                found.append(diagnosis)
                left = [s for s in left if s.name not in names]
    return found


def fits(suspect: Suspect, expected: Any) -> bool:
    """Whether the claimed gradient is what a hypothesis expects, to within what the numerical gradient can tell."""
    expected = np.asarray(expected)
    if expected.shape != suspect.claimed.shape:
        return False
    scale = np.max(np.abs(expected), initial=0.0)
    near = 10.0 * np.max(suspect.tolerance, initial=0.0) + 1e-5 * scale
    if suspect.wrong:  # what is left must be small beside the mistake, not beside the gradient
        near = min(near, 1e-3 * np.max(np.abs(suspect.claimed - suspect.numerical)) + 1e-9 * scale)
    return bool(scale > 0.0 and np.all(np.abs(suspect.claimed - expected) <= near))


def plain(suspect: Suspect) -> bool:
    """Whether the numerical gradient stands out from its own uncertainty, so that ratios mean something."""
    return bool(np.max(np.abs(suspect.numerical), initial=0.0) > 100.0 * np.max(suspect.tolerance, initial=0.0))


def zeros(left: list[Suspect], suspects: Any, graph: Any, lengths: Any) -> Iterator[Finding]:
    names = [s.name for s in left if not s.claimed.any() and plain(s)]
    if names:
        yield described("no gradient arrives", tuple(names), "all entries are 0, and the numerical ones are not")


def signs(left: list[Suspect], suspects: Any, graph: Any, lengths: Any) -> Iterator[Finding]:
    flipped = [s for s in left if plain(s) and fits(s, -s.numerical)]
    if flipped:
        yield described("sign flipped", names_of(flipped), f"the ratio is -1 at {entries_of(flipped)}")


def other_inputs(left: list[Suspect], suspects: Sequence[Suspect], graph: Any, lengths: Any) -> Iterator[Finding]:
    for s in left:
        for other in suspects:
            if other.name != s.name and s.claimed.size > 1 and plain(other) and fits(s, other.numerical):
                yield described(f"the gradient of {other.name} given for it", (s.name,), f"equal at {entries_of([s])}")
                break


def transposes(left: list[Suspect], suspects: Any, graph: Any, lengths: Any) -> Iterator[Finding]:
    for s in left:
        if s.claimed.ndim == 2 and plain(s) and fits(s, s.numerical.T):
            yield described("transposed", (s.name,), f"the transpose agrees at {entries_of([s])}")


def shifts(left: list[Suspect], suspects: Any, graph: Any, lengths: Any) -> Iterator[Finding]:
    kinds = {0: "row", 1: "column"}
    for s in left:
        for axis, by in itertools.product(range(s.claimed.ndim), (1, -1)):
            if s.claimed.shape[axis] > 2 and plain(s) and fits(s, np.roll(s.numerical, by, axis)):
                kind = "entry" if s.claimed.ndim == 1 else kinds.get(axis, f"axis {axis}")
                yield described(f"off by one {kind}", (s.name,), f"shifted back it agrees at {entries_of([s])}")
                break


def factors(left: list[Suspect], suspects: Any, graph: Any, lengths: dict[int, str]) -> Iterator[Finding]:
    """Inputs whose ratio is one constant: named where it is a known one, or one ratio at several entries."""
    groups: dict[float, list[Suspect]] = {}
    for s in left:
        if not plain(s):
            continue
        at = np.unravel_index(np.argmax(np.abs(s.numerical)), s.numerical.shape)
        ratio = float(s.claimed[at] / s.numerical[at])
        if ratio and fits(s, ratio * s.numerical):
            known = next((k for k in groups if math.isclose(k, ratio, rel_tol=1e-4)), ratio)
            groups.setdefault(known, []).append(s)
    for ratio, members in groups.items():
        name = name_of_factor(ratio, lengths)
        if name or sum(s.claimed.size for s in members) > 2:
            yield described(
                f"a constant factor {name or format(ratio, '.6g')}",
                names_of(members),
                f"the ratio is {ratio:.6g} at {entries_of(members)}",
            )


def name_of_factor(ratio: float, lengths: dict[int, str]) -> str:
    """2, 1/2, -2, or n or 1/n for a length n of the function's data; empty for any other number."""
    for n, what in {2: "", **lengths}.items():
        for factor, text in ((n, f"{n}"), (1.0 / n, f"1/{n}"), (-n, f"-{n}"), (-1.0 / n, f"-1/{n}")):
            if n > 1 and math.isclose(ratio, factor, rel_tol=1e-5):
                return f"{text} ({n} is {what})" if what else text
    return ""


def activations(
    left: list[Suspect], suspects: Sequence[Suspect], graph: Graph | None, lengths: Any
) -> Iterator[Finding]:
    """A backward pass in which the derivative of activations is missing, or taken twice: of one, of several, of all."""
    if graph is None or not left:
        return
    sites = activation_sites(graph)
    choices = itertools.chain.from_iterable(itertools.combinations(sites, n) for n in range(1, len(sites)))
    for chosen in [*itertools.islice(choices, MOST_CHOICES), *([tuple(sites)] if sites else [])]:
        for kind, power in (("missing", -1), ("taken twice", 1)):
            if explains(gradients_with(graph, chosen, power), left, suspects):
                slopes = " and ".join(f"{site.label} of {site.where}" for site in chosen)
                evidence = f"a backward pass with {slopes} {kind} gives these numbers at {entries_of(left)}"
                yield described(f"the derivative of the activation {kind}", names_of(left), evidence)
                return


MOST_CHOICES = 300
"""So many choices of activations are tried, single ones first; and all of them together."""


class Site(NamedTuple):
    """A node behind which an activation's derivative is multiplied in, and the values of that derivative."""

    node: Value
    slope: Any
    label: str
    where: str


def activation_sites(graph: Graph) -> list[Site]:
    """The activations of a computation: operations of that name, and sigmoids written out as 1 / (1 + exp(-z))."""
    sites: list[Site] = []
    for node in reversed(order_between([graph.output], graph.inputs)):
        assert node.operation is not None
        out, name = node.data, node.operation.name
        if name == "sigmoid":
            sites.append(Site(node, out * (1.0 - out), "σ'", ""))
        elif name == "tanh":
            sites.append(Site(node, 1.0 - out * out, "tanh'", ""))
        elif name == "relu":
            sites.append(Site(node, (np.asarray(node.primals[0]) > 0.0) * 1.0, "relu'", ""))
        elif (negated := negated_sum(node)) is not None:
            sites.append(Site(negated, out * (1.0 - out), "σ'", ""))
    kind = "layer" if all(site.node.ndim for site in sites) else "activation"
    return [site._replace(where=f"{kind} {i + 1} of {len(sites)}") for i, site in enumerate(sites)]


def negated_sum(node: Value) -> Value | None:
    """The node -z of a written-out sigmoid 1 / (1 + exp(-z)), given its last node."""
    for allowed in (("divide", "reciprocal"), ("add",), ("exp",), ("negative",)):
        if node.operation is None or node.operation.name not in allowed:
            return None
        if node.operation.name == "negative":
            return node
        behind = [parent for parent in node.parents if isinstance(parent, Value)]
        if len(behind) != 1 or any(np.any(np.asarray(p) != 1.0) for p in node.parents if not isinstance(p, Value)):
            return None
        node = behind[0]
    return None


def gradients_with(graph: Graph, sites: Sequence[Site], power: int) -> list[Array]:
    """The gradients of a backward pass in which each site's derivative has one power more, or less."""
    originals = [site.node.operation for site in sites]
    try:
        for site in sites:
            site.node.operation = changed(site, power)
        seed = 1.0 if isinstance(graph.output.data, float) else np.ones_like(graph.output.data)
        return [np.asarray(g) for g in pull_back([graph.output], [seed], graph.inputs, create_graph=False)]
    finally:
        for site, operation in zip(sites, originals, strict=True):
            site.node.operation = operation


def changed(site: Site, power: int) -> Operation:
    original = site.node.operation
    assert original is not None

    def rule(g: Any, out: Any, *inputs: Any, **params: Any) -> tuple[Any]:
        if power < 0 and original.name != "negative":
            return (g,)
        factor = site.slope if power > 0 else 1.0 / site.slope
        return (original.vjp(g, out, *inputs, **params)[0] * factor,)

    return Operation(original.forward, rule, name=original.name)


def explains(expected: list[Array], left: Sequence[Suspect], suspects: Sequence[Suspect]) -> bool:
    """Whether expected gradients are the claimed ones of all wrong inputs, and leave the right ones right."""
    wrong = {s.name for s in left}
    for s, e in zip(suspects, expected, strict=True):
        if s.name in wrong and not fits(s, e):
            return False
        if not s.wrong and plain(s) and not fits(s, e):
            return False
    return True


def bias_axes(left: list[Suspect], suspects: Sequence[Suspect], graph: Graph | None, lengths: Any) -> Iterator[Finding]:
    """A vector that was added to rows of a matrix, whose cotangent was summed over the other axis."""
    if graph is None:
        return
    by_name = dict(zip([s.name for s in suspects], graph.inputs, strict=True))
    for s in left:
        if s.claimed.ndim != 1:
            continue
        for node in reversed(order_between([graph.output], graph.inputs)):
            if any(parent is by_name[s.name] for parent in node.parents) and np.ndim(node.data) == 2:
                seed = 1.0 if isinstance(graph.output.data, float) else np.ones_like(graph.output.data)
                (cotangent,) = pull_back([graph.output], [seed], [node], create_graph=False)
                if fits(s, np.sum(data_of(cotangent), axis=1)):
                    yield described(
                        "summed over the wrong axis", (s.name,), f"the sum over axis 1 agrees at {entries_of([s])}"
                    )
                    break


def names_of(suspects: Sequence[Suspect]) -> tuple[str, ...]:
    return tuple(s.name for s in suspects)


def entries_of(suspects: Sequence[Suspect]) -> str:
    n = sum(s.claimed.size for s in suspects)
    return "its one entry" if n == 1 else f"all {n} entries"
