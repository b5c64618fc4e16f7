"""The search for the wrong line of a hand-written backward pass.

A mistake in hand-written backprop is a small change of one line of the right backward pass. So the forward code is
recorded as a graph, with the source expression that made each node; every line's derivative is changed in every
plausible way, and what comes out is compared with what was claimed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tinygrad_edu.core.value import Array
from tinygrad_edu.gradient_check.search.findings import Finding, Search

__all__ = ["Finding", "Search", "explain"]


def explain(
    forward: Callable[..., Any],
    inputs: Sequence[Any],
    wanted: Sequence[int],
    cotangents: Sequence[Any],
    claimed: Mapping[str, Array],
    right: Mapping[str, Array],
    names: Sequence[str],
    precision: float = 1e-6,
) -> Search:
    """The mistakes that give the claimed gradients, where the right ones are others.

    Args:
        forward: The user's forward function: `forward(*inputs)` gives the outputs, one or a tuple or list of them.
        inputs: All its positional arguments.
        wanted: Which of them are differentiated: positions in `inputs`, of numbers or float arrays, or nested
            structures of them.
        cotangents: The cotangent of each output, 1.0 for a loss.
        claimed, right: The gradients that were given, and the numerical ones, by the names of the inputs.
        names: The names of the differentiated numbers and arrays, in order: one for each leaf of the `wanted` inputs.
        precision: How far `right` may be off, relative to its largest entry. The search itself uses the exact
            gradient of its recording, which has to agree with `right` to within this.

    Returns:
        A `Search`. It never raises for what the user's function does: where that can't be followed, `followed` is
        False and `tried` says why, with the line.
    """
    return Search(unexplained=tuple(names), tried=("nothing was tried",), followed=False)
