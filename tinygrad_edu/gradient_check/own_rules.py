"""Which operation's gradient rule is wrong, where the library's own gradient of a function is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tinygrad_edu.core.value import Value
from tinygrad_edu.gradient_check.complex_step import Graph
from tinygrad_edu.gradient_check.search.findings import Finding
from tinygrad_edu.gradient_check.sentences import finding
from tinygrad_edu.graph import order_between


def wrong_rules(graph: Graph, failing: Sequence[str]) -> list[Finding]:
    """A finding for each operation of the computation whose rule isn't the derivative of its forward function.

    Each rule is tried where it is used, with a random cotangent, against differences of the forward function alone.
    """
    found: dict[tuple[str, int], Finding] = {}
    for node in order_between([graph.output], graph.inputs):
        assert node.operation is not None
        for k, got, expected in wrong_inputs(node):
            name = node.operation.name
            names = node.operation.argument_names
            which = names[k] if k < len(names) else f"number {k}"
            parts = {"operation": name, "which": which, "got": f"{got:.6g}", "expected": f"{expected:.6g}"}
            found.setdefault((name, k), finding("rule", "wrong rule", tuple(failing), **parts))
    return list(found.values())


def wrong_inputs(node: Value) -> Iterator[tuple[int, float, float]]:
    """The inputs of a node for which its rule is wrong: position, what the rule gives along a line, what is right."""
    assert node.operation is not None
    rng = np.random.default_rng(0)
    primals = list(node.primals)
    cotangent = cast(rng.normal(size=np.shape(node.data)), node.data)
    rule = node.operation.vjp(cotangent, node.data, *primals, **node.params)
    for k, (parent, g) in enumerate(zip(node.parents, rule, strict=False)):
        if not isinstance(parent, Value) or g is None:
            continue
        direction = rng.normal(size=np.shape(primals[k]))
        got = along(g, direction)
        slopes = [slope(node, primals, k, direction, cotangent, h) for h in (1e-5, 1e-6, 1e-7)]
        off = [abs(got - s) for s in slopes]
        size = float(np.sum(np.abs(np.asarray(g)))) + max(map(abs, slopes))
        if np.all(np.isfinite(slopes)) and min(off) > 1e-4 * size:
            yield k, got, slopes[int(np.argmin(off))]


def along(g: Any, direction: Any) -> float:
    """What a cotangent is worth along a direction of its input, which may have been broadcast."""
    return float(np.sum(np.asarray(g) * direction))


def slope(node: Value, primals: list[Any], k: int, direction: Any, cotangent: Any, h: float) -> float:
    assert node.operation is not None
    ends = []
    for sign in (1.0, -1.0):
        moved = [cast(np.asarray(x) + sign * h * direction, x) if j == k else x for j, x in enumerate(primals)]
        with np.errstate(all="ignore"):
            ends.append(np.asarray(node.operation.forward(*moved, **node.params)))
    return float(np.sum(np.asarray(cotangent) * (ends[0] - ends[1]))) / (2.0 * h)


def cast(x: Any, like: Any) -> Any:
    return float(x) if isinstance(like, float) else np.asarray(x, dtype=np.float64)
