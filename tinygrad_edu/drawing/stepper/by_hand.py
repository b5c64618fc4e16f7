"""A gradient written by hand, beside the right one: which numbers part from it, and which are wrong by themselves.

The one thing to know: each number is compared twice: with the right one, and with what the rules make of the numbers
that were written by hand for its consumers. So a mistake is blamed on the line that makes it, not on all that follow.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tinygrad_edu.core.backward import backward_order, cotangents
from tinygrad_edu.core.value import Value, data_of
from tinygrad_edu.drawing.labels import digits
from tinygrad_edu.drawing.stepper.recording import Recording, Scene, contributions, written

TOLERANCES = {"float32": 1e-4, "float64": 1e-7}
"""How far two numbers may be apart, in parts of the terms that they are the sum of."""


def compared(recording: Recording, gradient: Mapping[Any, Any] | Callable[..., Any]) -> list[dict[str, Any]]:
    """A row for each number written by hand, in the order in which the backward pass completes the right ones."""
    scene, loss = recording.scene, recording.loss
    hand = by_value(gradient, scene)
    expected, tolerances = from_consumers(loss, hand), tolerances_of(loss)
    steps = completed(hand, recording)
    order = {term.target: i for i, term in enumerate(contributions(loss))}
    rows = []
    for node in sorted(hand, key=lambda node: order.get(node, len(order))):  # last, what the loss doesn't depend on
        zeros = np.zeros(node.shape)
        numbers = hand[node], recording.gradients.get(node, zeros), expected.get(node, zeros)
        verdict = verdict_of(*numbers, tolerances.get(node, 0.0))
        texts = told_apart(list(numbers), verdict == "right")
        row = {"home": list(scene.home(node)), "step": steps[node], "whole": scene.names[node], "verdict": verdict}
        row |= scene.called(node) | dict(zip(("hand", "right", "expected"), texts, strict=True))
        rows.append(row | {"data": written(node.data)})
    return rows


def verdict_of(given: Any, right: Any, expected: Any, tolerance: float) -> str:
    """Right; wrong here, where the numbers of the consumers don't make it; or it follows from them."""
    if agree(given, right, tolerance):
        return "right"
    return "follows" if agree(given, expected, tolerance) else "here"


def completed(hand: Mapping[Value, Any], recording: Recording) -> dict[Value, int]:
    """For each Value the step at which its gradient is complete; the last where the loss doesn't depend on it."""
    scene, steps = recording.scene, recording.data["steps"]
    found = dict.fromkeys(hand, len(steps))
    for i, step in enumerate(steps[:-1], 1):
        folds = step["boxes"] if step.get("folded") and step["phase"] == "backward" else []
        for node in hand:
            if scene.id_of(node) in step["gains"] or scene.home(node)[0] in folds:
                found[node] = i
    return found


def by_value(gradient: Mapping[Any, Any] | Callable[..., Any], scene: Scene) -> dict[Value, Any]:
    """The hand-written numbers by their Values, as float64, checked."""
    called: dict[str, list[Value]] = {}
    for node, name in scene.names.items():
        called.setdefault(name, []).append(node)
        if node.name and node.name != name:
            called.setdefault(node.name, []).append(node)
    if callable(gradient):
        gradient = result_of(gradient, called)
    if not isinstance(gradient, Mapping):
        raise TypeError(f"gradient must be a mapping of names or Values to numbers, got {type(gradient).__name__}")
    found: dict[Value, Any] = {}
    for key, given in gradient.items():
        node = key if isinstance(key, Value) else one_called(key, called)
        if node not in scene.numbers:
            raise ValueError(f"gradient: {key!r} is no part of the computation")
        number = np.asarray(data_of(given), dtype=np.float64)
        if number.shape != node.shape:
            raise ValueError(
                f"gradient: {scene.names[node]} has shape {node.shape}, and the number written by hand {number.shape}"
            )
        found[node] = number
    if not found:
        raise ValueError("gradient holds no numbers to compare")
    return found


def one_called(name: Any, called: Mapping[str, list[Value]]) -> Value:
    found = called.get(name, [])
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(f"gradient: {len(found)} Values are called {name!r}; use the Values themselves as keys")
    known = ", ".join(sorted(called)[:20])
    raise ValueError(f"gradient: no Value is called {name!r}; there are {known} (names=locals() names more)")


def result_of(gradient: Callable[..., Any], called: Mapping[str, list[Value]]) -> Any:
    """What a function written by hand gives for the data of the Values that its parameters are named after."""
    nodes = [one_called(name, called) for name in inspect.signature(gradient).parameters]
    result = gradient(*(node.data for node in nodes))
    if isinstance(result, Mapping):
        return result
    numbers = result if isinstance(result, (tuple, list)) and len(nodes) != 1 else [result]
    if len(numbers) != len(nodes):
        raise ValueError(f"gradient gave {len(numbers)} results for {len(nodes)} parameters")
    return dict(zip(nodes, numbers, strict=True))


def from_consumers(loss: Value, hand: Mapping[Value, Any]) -> dict[Value, Any]:
    """For each Value its cotangent from those of its consumers, where these have them from `hand` if they stand there.

    Each operation is pulled back by itself, so that a number by hand replaces all that came from behind it.
    """
    table: dict[Value, Any] = {loss: np.ones(())}
    for node in backward_order([loss]):
        seed = hand.get(node, table.get(node))
        if seed is None:
            continue
        seed = float(seed) if isinstance(node.data, float) else np.asarray(seed, dtype=node.dtype)
        for parent, g in cotangents([node], [seed], False, [node]).items():
            if parent is not node:
                table[parent] = table[parent] + g if parent in table else g
    return table


def tolerances_of(loss: Value) -> dict[Value, Any]:
    """How far apart two numbers may be: in proportion to the sizes of their terms, as rounding errors of sums are."""
    found: dict[Value, Any] = {}
    for term in contributions(loss):
        part = TOLERANCES.get(str(term.target.dtype), 1e-7)
        found[term.target] = found.get(term.target, 0.0) + part * np.max(np.abs(data_of(term.g)), initial=0.0)
    return found


def agree(x: Any, y: Any, tolerance: Any) -> bool:
    with np.errstate(invalid="ignore"):
        near = np.abs(x - data_of(y)) <= tolerance
    return bool(np.all(near | (x == data_of(y)) | (np.isnan(x) & np.isnan(data_of(y)))))


def told_apart(numbers: list[Any], equal: bool) -> list[str]:
    """Numbers as they are written elsewhere; single ones with more digits where different ones would look alike."""
    texts = [written(x) for x in numbers]
    if equal or any(np.ndim(x) for x in numbers) or texts[0] != texts[1]:
        return texts
    for n in range(5, 18):
        longer = [f"{float(data_of(x)):.{n}g}".replace("-", "−") for x in numbers]
        if longer[0] != longer[1]:
            return longer
    return [digits(float(data_of(x))) for x in numbers]
