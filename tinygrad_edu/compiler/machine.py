"""The backend "numba": the printed source of a scalar program as machine code, where that gives the same bits.

The one thing to know: nothing is allowed to be rearranged or fused (no fastmath), and every function of `math` that the
source calls is first compared with Python's own, number by number, on this machine.
"""

from __future__ import annotations

import inspect
import math
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from tinygrad_edu.compiler.program import Program, Step
from tinygrad_edu.extras import how_to_install


def machine_code(program: Program, name: str, source: Callable[[], str]) -> Callable[..., Any] | None:
    """The function of a printed source as machine code; None, with a warning, where it would give other bits.

    Raises:
        ImportError: numba isn't installed.
    """
    numba = installed()
    if reason := refusal(program):
        text = f"numba can't run {name} with the same bits: {reason}; Python runs it"
        warnings.warn(text, RuntimeWarning, stacklevel=frames_of_ours())
        return None
    return compiled(numba, source(), name)


def frames_of_ours() -> int:
    """How far up the user's call is, for a warning."""
    frame, depth = sys._getframe(1), 1
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("tinygrad_edu"):
        frame, depth = frame.f_back, depth + 1
    return depth


def installed() -> Any:
    try:
        import numba
    except ImportError as error:
        raise ImportError(f'backend="numba" needs numba: {how_to_install("numba")}') from error
    return numba


def refusal(program: Program) -> str:
    """Why a program's machine code would not give the same bits; empty where it would."""
    for step in program.steps:
        if step.operation is not None:
            return f"the operation {step.operation.name} is a function that isn't printed"
    kept = [*program.inputs, *program.steps, *program.results, *(x for step in program.steps for x in step.inputs)]
    for x in kept:
        if not isinstance(x.data if isinstance(x, Step) else x, float):
            return "it computes with arrays"
    if any(" ** " in step.text for step in program.steps):
        return "numba's power isn't Python's in the last bit"
    calls = {(step.text.partition("(")[0], len(step.inputs)) for step in program.steps if "(" in step.text}
    for function, n_arguments in sorted(calls):
        if hasattr(math, function) and not agrees(function, n_arguments):
            return f"numba's {function} isn't Python's in the last bit"
    return ""


@cache
def compiled(numba: Any, source: str, name: str) -> Callable[..., Any]:
    """Machine code made of a source, once for each source. A division by zero is inf or nan, as in numpy."""
    space: dict[str, Any] = {"math": math, "float": truth}
    exec(compile(source, f"<numba {name}>", "exec"), space)
    for key, value in space.items():
        if inspect.isfunction(value):
            space[key] = numba.njit(error_model="numpy")(value)
    return space[name]  # type: ignore[no-any-return]


def truth(holds: bool) -> float:
    """What `float` is in a printed source, where it is applied to comparisons only: numba's takes numbers alone."""
    return 1.0 if holds else 0.0


@cache
def agrees(name: str, n_arguments: int) -> bool:
    """Whether numba's function gives Python's bits, or where Python raises numpy's, on some 20,000 numbers."""
    numba, function = installed(), getattr(math, name)
    if numba.config.USING_SVML:  # Intel's vector library rounds otherwise
        return False
    arguments = ", ".join("xyz"[:n_arguments])
    ours = compiled(numba, f"def f({arguments}):\n    return math.{name}({arguments})\n", "f")
    for numbers in zip(*(samples(seed) for seed in range(n_arguments)), strict=True):
        try:
            expected = float(function(*numbers))
        except (ValueError, OverflowError):
            with np.errstate(all="ignore"):
                expected = float(getattr(np, name)(*numbers))
        try:
            found = ours(*numbers)
        except numba.core.errors.NumbaError:  # it has no such function
            return False
        if expected.hex() != found.hex():
            return False
    return True


def samples(seed: int) -> list[float]:
    """Numbers of all sizes, with the special ones."""
    rng = np.random.default_rng(seed)
    special = [0.0, -0.0, 1.0, -1.0, math.inf, -math.inf, math.nan, 5e-324, -5e-324, 1e308, -1e308, 709.0, 710.0]
    sizes = 2.0 ** rng.uniform(-1074.0, 1024.0, 5000) * rng.choice([-1.0, 1.0], 5000)
    near = rng.normal(size=10000) * rng.choice([0.1, 1.0, 10.0, 100.0], 10000)
    return [*rng.permutation(special), *sizes.tolist(), *near.tolist(), *rng.uniform(-1.0, 1.0, 5000).tolist()]


def epochs_source(source: str, sizes: Sequence[int], n_sums: int, n_weights: int) -> str:
    """A printed epoch with its weights in an array, and a loop of epochs behind it.

    An array, since numba's compiler takes long over functions with hundreds of variables. `kept` has the weights from
    before an epoch that raises. `sizes` are those of a row, a target, and what else the epoch is given as rows.
    """

    def entries(name: str, n: int) -> str:
        return "".join(f"{name}[{i}], " for i in range(n))

    head = re.search(r"def epoch\((.*)\):", source)
    assert head is not None
    names = head[1].split(", ")
    given, weights = ", ".join(names[:-n_weights]), ", ".join(names[-n_weights:])
    rate = names[-n_weights - 2]
    places = {name: f"weights[{i}]" for i, name in enumerate(names[-n_weights:])}
    body = source.replace(head[0], f"def epoch({given}, weights):")
    body = body.replace(f", ({weights}{',' * (n_weights == 1)})\n", "\n")
    body = re.sub(r"[^\W\d]\w*", lambda word: places.get(word[0], word[0]), body)
    further = "".join(f"({entries(f'fixed[{i}]', n)}), " for i, n in enumerate(sizes[2:]))
    return f"""{body}

def epochs(count, rows, targets, fixed, {rate}, sums, weights, kept, found, done):
    rows_as_tuples = [({entries("row", sizes[0])}) for row in rows]
    targets_as_tuples = [({entries("target", sizes[1])}) for target in targets]
    for i in range(count):
        kept[:] = weights
        totals = epoch(rows_as_tuples, targets_as_tuples, {further}{rate}, ({entries("sums", n_sums)}), weights)
        for k in range({n_sums}):
            found[i, k] = totals[k]
        done[0] = i + 1
"""
