"""Products of vectors and matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_edu.operation import BOTH, apply, operation
from tinygrad_edu.value import Operand, Value, data_of


def _matmul(a: Any, b: Any, /) -> Any:
    """a @ b for vectors, matrices and stacks of matrices. With matrices ∂/∂a = g @ bᵀ and ∂/∂b = aᵀ @ g."""
    return np.matmul(a, b)


def _matmul_rule(g: Any, out: Any, a: Any, b: Any, needs: tuple[bool, bool] = BOTH) -> tuple[Any, Any]:
    if a.ndim == b.ndim == 1:
        return g * b if needs[0] else None, g * a if needs[1] else None
    if b.ndim == 1:
        return g[..., None] * b if needs[0] else None, matrix_times_vector(swap(a), g) if needs[1] else None
    if a.ndim == 1:
        return matrix_times_vector(b, g) if needs[0] else None, a[:, None] * g[..., None, :] if needs[1] else None
    return g @ swap(b) if needs[0] else None, times(swap(a), g, like=b) if needs[1] else None


matmul = operation(_matmul, _matmul_rule, symbol="@", formula="∂(a@b) = ∂a@b + a@∂b")


def _weighted_sum(bias: Any, /, *weights_and_inputs: Any) -> Any:
    """b + w₀·x₀ + w₁·x₁ + …, added from the left. ∂/∂b = 1, ∂/∂wᵢ = xᵢ, ∂/∂xᵢ = wᵢ. Source: the article's neuron."""
    n = len(weights_and_inputs) // 2
    for i in range(n):
        bias = bias + weights_and_inputs[i] * weights_and_inputs[n + i]
    return bias


def _weighted_sum_rule(g: Any, out: Any, bias: Any, *weights_and_inputs: Any) -> list[Any]:
    n = len(weights_and_inputs) // 2
    cotangents = [g]
    for x in weights_and_inputs[n:]:
        cotangents.append(g * x)
    for weight in weights_and_inputs[:n]:
        cotangents.append(g * weight)
    return cotangents


weighted_sum_of = operation(
    _weighted_sum,
    _weighted_sum_rule,
    name="weighted_sum",
    symbol="Σ",
    formula="∂(b + Σwᵢ·xᵢ) = ∂b + Σ(xᵢ·∂wᵢ + wᵢ·∂xᵢ)",
)


def weighted_sum(weights: Sequence[Operand], inputs: Sequence[Operand], bias: Operand = 0.0) -> Value:
    """b + w₀·x₀ + w₁·x₁ + …, added one product at a time from the bias on: what a neuron does before its activation.

    Raises:
        ValueError: There are not as many inputs as weights.

    >>> import tinygrad_edu as tg
    >>> w = tg.Value(0.5, name="w")
    >>> z = tg.weighted_sum([w, -1.0], [2.0, 1.0], bias=0.25)
    >>> z.backward()
    >>> z.data, w.grad
    (0.25, 2.0)
    """
    if len(inputs) != len(weights):
        raise ValueError(f"inputs has length {len(inputs)}, but there are {len(weights)} weights")
    total: Value = apply(weighted_sum_of, (bias, *weights, *inputs))
    return total


def _affine(weights: Any, inputs: Any, bias: Any, /) -> Any:
    """W @ x + b for one row, X @ Wᵀ + b for a batch of rows. ∂/∂W = gᵀ @ X, ∂/∂X = g @ W, ∂/∂b = g summed over rows.

    Shapes: W (n_outputs, n_inputs), x (n_inputs,) or X (rows, n_inputs), b (n_outputs,).
    """
    out = weights @ inputs if inputs.ndim == 1 else inputs @ weights.T
    out += bias
    return out


def _affine_rule(
    g: Any, out: Any, weights: Any, inputs: Any, bias: Any, needs: Sequence[bool] = (True, True, True)
) -> tuple[Any, Any, Any]:
    if inputs.ndim == 1:
        return g[:, None] * inputs if needs[0] else None, weights.T @ g if needs[1] else None, g
    return g.T @ inputs if needs[0] else None, g @ weights if needs[1] else None, g.sum(axis=0) if needs[2] else None


affine = operation(_affine, _affine_rule, symbol="W·x+b", formula="∂(W@x + b) = ∂W@x + W@∂x + ∂b")


def swap(x: Any) -> Any:
    """A matrix transposed; of a stack, each matrix."""
    return x.T if x.ndim == 2 else x.transpose((*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


def matrix_times_vector(a: Any, v: Any) -> Any:
    """a @ v; of stacks, pair by pair."""
    return a @ v if a.ndim == 2 and v.ndim == 1 else (a @ v[..., None])[..., 0]


def times(a: Any, b: Any, like: Any) -> Any:
    """a @ b, laid out in memory as `like` is, so that weights that entered transposed get a gradient in their order."""
    layout = data_of(like).flags
    return swap(swap(b) @ swap(a)) if layout.f_contiguous and not layout.c_contiguous else a @ b
