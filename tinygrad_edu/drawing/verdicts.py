"""A gradient written by hand on the cards of a picture: what it says of each number, and where it parts from the right.

The one thing to know: the comparison is the stepper's. A number is wrong "here" where the hand-written numbers of its
consumers don't make it, and "follows" where they do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tinygrad_edu.core.backward import cotangents, starting_seed
from tinygrad_edu.core.value import Value, data_of
from tinygrad_edu.drawing.stepper.by_hand import by_value, from_consumers, tolerances_of, verdict_of
from tinygrad_edu.drawing.stepper.recording import scene_of
from tinygrad_edu.drawing.view import View

WORDS = {"right": "right", "here": "wrong here", "follows": "follows"}


def add_verdicts(
    view: View, loss: Value, gradient: Mapping[Any, Any] | Callable[..., Any], names: Mapping[str, Any] | None
) -> None:
    """Write the hand-written numbers and their verdicts into the rows of a view, beside the right gradients.

    Raises:
        ValueError: `loss` isn't a number, or the gradient names what isn't there, or has another shape.
        TypeError: The gradient is neither a mapping nor a function.
    """
    if loss.ndim:
        raise ValueError(f"gradient needs a number to differentiate, got shape {loss.shape}")
    hand = by_value(gradient, scene_of(loss, view, names or {}))
    right = cotangents([loss], [starting_seed(loss, None, False)], False)
    expected, tolerances = from_consumers(loss, hand), tolerances_of(loss)
    for box in view.boxes.values():
        for row in box.rows:
            node = row.node
            if node is None:
                continue
            row.grad = data_of(right.get(node, np.zeros(node.shape)))
            if node in hand and view.homes[node] == (box.id, row.id):
                row.hand = hand[node]
                row.verdict = WORDS[
                    verdict_of(
                        hand[node], row.grad, expected.get(node, np.zeros(node.shape)), tolerances.get(node, 0.0)
                    )
                ]
