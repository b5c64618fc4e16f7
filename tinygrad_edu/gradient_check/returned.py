"""Gradients in the forms in which people return them, matched with the inputs that they belong to.

The one thing to know: nothing is refused. What can't be compared becomes a finding for its input, and the other inputs
are checked all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_edu.core.data import Array, Data
from tinygrad_edu.core.value import data_of
from tinygrad_edu.gradient_check.search.findings import Finding
from tinygrad_edu.gradient_check.sentences import finding, say
from tinygrad_edu.gradient_check.signatures import stands_for
from tinygrad_edu.tree import leaves_of, path_names

if TYPE_CHECKING:
    from tinygrad_edu.gradient_check.comparison import Comparison
    from tinygrad_edu.gradient_check.forms import Arguments


@dataclass
class Claims:
    """The gradient given for each input, as it came; None where none came. And what is to be said of that."""

    names: Sequence[str]
    parts: list[Any]
    findings: list[Finding] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    notes: list[dict[str, Any]] = field(default_factory=list)

    def say(self, sentence: str, kind: str, names_of: Iterable[str], checked: bool = False, **parts: Any) -> None:
        """A finding for these inputs, which then aren't compared (unless they are `checked`), but do not pass."""
        names = tuple(names_of)
        self.findings.append(finding(sentence, kind, names, **parts))
        self.unchecked += [name for name in names if name not in self.unchecked]
        for i, name in enumerate(self.names):
            if name in names and not checked:
                self.parts[i] = None

    def checked(self, comparison: Comparison, k: int) -> list[Array | None]:
        """The gradients as arrays in their inputs' shapes; None, and a finding, for what isn't one."""
        comparison.measure()
        arrays = [self.array(i, x, comparison, k) for i, x in enumerate(comparison.data)]
        said = {f.text for f in comparison.findings}
        comparison.findings += [f for f in self.findings if f.text not in said]
        comparison.unchecked += [name for name in self.unchecked if name not in comparison.unchecked]
        texts = [say("unknown keys", comparison.language, **parts) for parts in self.notes]
        comparison.notes += [text for text in texts if text not in comparison.notes]
        if not comparison.fast:
            return arrays
        from tinygrad_edu.gradient_check.numerical import random_direction

        directions = random_direction(comparison.data)
        return [None if g is None else np.sum(g * d) for g, d in zip(arrays, directions, strict=True)]

    def array(self, i: int, x: Data, comparison: Comparison, k: int) -> Array | None:
        name, part = self.names[i], self.parts[i]
        if name in self.unchecked and part is None:
            return None
        if part is None:
            self.say("none", "no gradient", [name])
            return None
        array = as_numbers(part)
        if array is None:
            self.say("no number", "no numbers", [name], what=described(part))
            return None
        if array.shape != np.shape(x):
            how = self.how_it_differs(i, array, x, comparison, k)
            self.say("shape", "shape", [name], got=array.shape, wanted=np.shape(x), how=how[0])
            last = self.findings[-1]
            self.findings[-1] = Finding(
                last.kind,
                last.inputs,
                last.text,
                finding("shape", "", (), got=array.shape, wanted=np.shape(x), how=how[1]).text_zh,
            )
            return None
        bad = int(array.size - np.count_nonzero(np.isfinite(array)))
        if bad:
            self.findings.append(finding("not finite", "nan or infinity", (name,), n=bad, of=array.size))
        return array

    def how_it_differs(self, i: int, got: Array, x: Data, comparison: Comparison, k: int) -> tuple[str, str]:
        """What the numbers tell of a wrong shape, in both languages; "" where they tell nothing."""
        key = ""
        parts: dict[str, Any] = {}
        if not comparison.fast:
            right = comparison.values[i][:, k].reshape(np.shape(x))
            key, parts = self.numbers_tell(i, got, right, comparison, k)
        if not key and got.ndim == 2 and got.shape == np.shape(x)[::-1]:
            key = "shape: transposed"
        if not key and got.size == 0:
            key = "shape: empty"
        if not key and got.ndim == np.ndim(x) and all(p >= q for p, q in zip(got.shape, np.shape(x), strict=True)):
            key = "shape: larger" if got.ndim > 1 else ""
        if not key and got.ndim == np.ndim(x) and all(p <= q for p, q in zip(got.shape, np.shape(x), strict=True)):
            key = "shape: smaller" if got.ndim > 1 else ""
        if not key:
            return "", ""
        said = finding(key, "", (), **parts)
        return said.text, said.text_zh

    def numbers_tell(
        self, i: int, got: Array, right: Array, comparison: Comparison, k: int
    ) -> tuple[str, dict[str, Any]]:
        if right.ndim == 2 and got.shape == right.shape[::-1] and close(got.T, right):
            return "shape: transposed", {}
        for j, name in enumerate(self.names):
            other = comparison.values[j][:, k].reshape(np.shape(comparison.data[j]))
            if j != i and other.shape == got.shape and close(got, other):
                return "shape: twin", {"twin": name}
        if got.size == right.size and close(got.reshape(right.shape), right):
            return "shape: right numbers", {}
        if got.size < right.size and any(near(got, part, right) for part in sums_of(right)):
            return "shape: summed too far", {}
        if got.ndim >= right.ndim and got.size > right.size:
            summed = summed_to(got, right.shape)
            if summed.shape == right.shape and close(summed, right):
                return "shape: summed", {}
        return "", {}


def sums_of(array: Array) -> Iterator[Array]:
    """The sums over each axis and over all, with the axes kept as ones and without."""
    for axis in (*range(array.ndim), None):
        yield np.asarray(array.sum(axis=axis))
        yield array.sum(axis=axis, keepdims=True)


def near(got: Array, part: Array, right: Array) -> bool:
    """Whether a gradient is a sum of the right one's entries, which may cancel."""
    largest = float(np.max(np.abs(right), initial=0.0))
    return got.shape == part.shape and largest > 0.0 and bool(np.all(np.abs(got - part) <= 1e-4 * largest))


def summed_to(array: Array, shape: tuple[int, ...]) -> Array:
    """The sum over the axes along which an array of this shape would be broadcast."""
    array = array.sum(axis=tuple(range(array.ndim - len(shape))))
    ones = tuple(axis for axis, n in enumerate(shape) if n == 1)
    summed: Array = array.sum(axis=ones, keepdims=True) if ones else array
    return summed


def close(a: Array, b: Array) -> bool:
    """Whether two gradients are one, as far as a numerical one can tell."""
    scale = float(np.max(np.abs(b), initial=0.0))
    return bool(np.all(np.abs(a - b) <= 1e-4 * scale)) and scale > 0.0


def as_numbers(part: Any) -> Array | None:
    """An array of floats (a copy: a function may change it later); None for what isn't made of numbers."""
    try:
        array = np.array(data_of(part))
    except (ValueError, TypeError):
        return None
    return array.astype(np.float64) if array.dtype.kind in "biuf" else None


def described(x: Any) -> str:
    """What came, for a message."""
    if isinstance(x, dict):
        return f"a dict with the keys {', '.join(map(repr, x))}"
    if isinstance(x, (tuple, list)):
        return f"a {type(x).__name__} of {len(x)} parts"
    return "None" if x is None else f"a {type(x).__name__}"


def by_structure(gradient: Any, inputs: tuple[Any, ...], names: Sequence[str]) -> Claims:
    """A gradient in the structure of the inputs; or of the one input, where there is one."""
    claims = Claims(names, [None] * len(names))
    if gradient is None:
        claims.say("none", "no gradient", names)
        return claims
    if len(inputs) == 1:
        gradient = taken_alone(gradient, inputs[0], claims)
    if isinstance(gradient, list):
        gradient = tuple(gradient)
    if not isinstance(gradient, tuple) or (isinstance(inputs[0], dict) and isinstance(gradient, dict)):
        gradient = (gradient,)
    paths = [path_names(argument, "") for argument in inputs]
    at = 0
    for n, argument in enumerate(inputs):
        own = list(names[at : at + len(paths[n])])
        if n < len(gradient):
            fill(claims, gradient[n], argument, at, own)
        else:
            what = f"{len(gradient)} gradients came for {len(inputs)} inputs"
            claims.say("missing", "missing part", own, what=what, names=", ".join(names))
        at += len(own)
    if len(gradient) > len(inputs):
        claims.say(
            "additional", "additional part", names, True, n=len(gradient), wanted=len(inputs), names=", ".join(names)
        )
    return claims


def taken_alone(gradient: Any, argument: Any, claims: Claims) -> tuple[Any, ...]:
    """The gradient of the only input as a tuple of one; (loss, gradient) gives its second part, and a finding."""
    nested = isinstance(argument, (tuple, list, dict))
    if nested:
        whole = isinstance(gradient, type(argument)) and len(gradient) == len(argument)
        return (
            (gradient,)
            if whole or not (isinstance(gradient, (tuple, list)) and len(gradient) == 1)
            else tuple(gradient)
        )
    if isinstance(gradient, (tuple, list)) and np.ndim(data_of(argument)):
        array = as_numbers(gradient)
        if array is not None and array.shape == np.shape(data_of(argument)):
            return (gradient,)
    if isinstance(gradient, (tuple, list)) and len(gradient) == 1:
        return tuple(gradient)
    first = as_numbers(gradient[0]) if isinstance(gradient, tuple) and len(gradient) == 2 else None
    if first is not None and first.size == 1:
        claims.say("loss and gradient", "loss along with the gradient", claims.names, True)
        return (gradient[1],)
    return (gradient,) if not isinstance(gradient, (tuple, list)) else tuple(gradient)


def fill(claims: Claims, gradient: Any, argument: Any, at: int, own: list[str]) -> None:
    """Put the gradient of one (nested) input among the claims, by keys where it is a dict."""
    if not isinstance(argument, (tuple, list, dict)):
        if isinstance(gradient, dict) or (isinstance(gradient, (tuple, list)) and as_numbers(gradient) is None):
            claims.say("structure", "structure", own, got=described(gradient), wanted=described(data_of(argument)))
        else:
            claims.parts[at] = gradient
            if gradient is None:
                claims.say("none", "no gradient", own)
        return
    parts = parts_of(argument)
    if (
        isinstance(argument, dict)
        and isinstance(gradient, dict)
        and (extra := [k for k in gradient if k not in argument])
    ):
        claims.notes.append({"got": ", ".join(map(repr, extra))})
    size = 0
    for key, part in parts:
        n = len(leaves_of(part))
        below = own[size : size + n]
        found, given = taken(gradient, key, argument)
        if found:
            fill(claims, given, part, at + size, below)
        elif isinstance(gradient, dict):
            claims.say("keys", "missing part", below, key=repr(key), got=", ".join(map(repr, gradient)))
        else:
            claims.say("structure", "structure", below, got=described(gradient), wanted=described(argument))
        size += n


def parts_of(argument: Any) -> list[tuple[Any, Any]]:
    return list(argument.items()) if isinstance(argument, dict) else list(enumerate(argument))


def taken(gradient: Any, key: Any, argument: Any) -> tuple[bool, Any]:
    """Whether a gradient has a part under this key, and the part."""
    if isinstance(argument, dict):
        return (True, gradient[key]) if isinstance(gradient, dict) and key in gradient else (False, None)
    sequence = isinstance(gradient, (tuple, list)) or (isinstance(gradient, np.ndarray) and gradient.ndim > 0)
    return (True, gradient[key]) if sequence and key < len(gradient) else (False, None)


def by_names(returned: Any, arguments: Arguments, names: Sequence[str]) -> Claims:
    """The gradients that a backward pass returned, for the arguments that are varied.

    A dict is matched by its keys (dW for W), a tuple by position; by the names in the source's `return` where there are
    fewer parts than arguments, or where the shapes fit those names only.
    """
    claims = Claims([leaf.name for leaf in arguments.leaves], [None] * len(arguments.leaves))
    wanted = [arguments.names[i] for i in arguments.chosen]
    trees = [arguments.given[i] for i in arguments.chosen]
    if returned is None:
        claims.say("none", "no gradient", claims.names)
        return claims
    parts = parts_for(returned, arguments, wanted, trees, names, claims)
    at = 0
    for tree, (found, part) in zip(trees, parts, strict=True):
        own = list(claims.names[at : at + len(leaves_of(tree))])
        if found:
            fill(claims, part, tree, at, own)
        else:
            what = f"{described(returned)} was returned"
            claims.say("missing", "missing part", own, what=what, names=", ".join(wanted))
        at += len(own)
    return claims


def parts_for(
    returned: Any, arguments: Arguments, wanted: list[str], trees: list[Any], names: Sequence[str], claims: Claims
) -> list[tuple[bool, Any]]:
    """For each varied argument whether a gradient was returned for it, and that gradient."""
    if isinstance(returned, dict):
        if len(trees) == 1 and isinstance(trees[0], dict) and (set(trees[0]) & set(returned)):
            return [(True, returned)]
        return [under_name(returned, name, tree) for name, tree in zip(wanted, trees, strict=True)]
    if len(trees) == 1 and isinstance(trees[0], (tuple, list)) and isinstance(returned, (tuple, list)):
        return [(True, returned[0] if len(returned) == 1 != len(trees[0]) else returned)]
    parts = list(returned) if isinstance(returned, (tuple, list)) and not fits_as_array(returned, trees) else [returned]
    others = [i for i in range(len(arguments.args)) if i not in arguments.chosen]
    if others and len(parts) == len(arguments.args) and all(parts[i] is None for i in others):
        return [(True, parts[i]) for i in arguments.chosen]
    by_name = [
        next((k for k, n in enumerate(names) if k < len(parts) and n and stands_for(n, name)), None) for name in wanted
    ]
    in_names_order = [parts[k] for k in by_name if k is not None]
    all_named = len(names) == len(parts) and len({k for k in by_name if k is not None}) == len(wanted)
    if all_named and (len(parts) != len(wanted) or fitting(in_names_order, trees) > fitting(parts, trees)):
        return [(True, part) for part in in_names_order]
    if len(parts) < len(wanted) and len(names) == len(parts) and any(k is not None for k in by_name):
        return [(k is not None, None if k is None else parts[k]) for k in by_name]
    if len(parts) > len(wanted):
        what = {"n": len(parts), "wanted": len(wanted), "names": ", ".join(wanted)}
        claims.say("additional", "additional part", claims.names, True, **what)
    return [(k < len(parts), parts[k] if k < len(parts) else None) for k in range(len(wanted))]


def under_name(returned: dict[Any, Any], name: str, tree: Any) -> tuple[bool, Any]:
    """The part of a dict of gradients that belongs to an argument, or to the entries of one that is a dict."""
    key = next((k for k in returned if stands_for(str(k), name)), None)
    if key is not None or not isinstance(tree, dict):
        return key is not None, returned.get(key)
    keys = {own: next((k for k in returned if stands_for(str(k), str(own))), None) for own in tree}
    return True, {own: returned[k] for own, k in keys.items() if k is not None}


def fitting(parts: Sequence[Any], trees: Sequence[Any]) -> int:
    """How many gradients have their arguments' shapes."""
    return sum(
        isinstance(t, (dict, list, tuple)) or np.shape(data_of(p)) == np.shape(t)
        for p, t in zip(parts, trees, strict=True)
    )


def fits_as_array(returned: Any, trees: list[Any]) -> bool:
    """Whether a list or tuple of numbers is the gradient of the one array that is varied."""
    if len(trees) != 1 or isinstance(trees[0], (tuple, list, dict)):
        return False
    array = as_numbers(returned)
    return array is not None and array.shape == np.shape(trees[0]) and np.ndim(trees[0]) > 0
