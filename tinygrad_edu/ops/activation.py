"""Activation functions. All are stable: no overflow or warning, however large the input."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_edu.core.data import Array
from tinygrad_edu.core.operation import Operation, operation
from tinygrad_edu.ops.arithmetic import clip
from tinygrad_edu.ops.comparison import choose, greater_mask
from tinygrad_edu.ops.entry import ELEMENTWISE, axes_of, by_kind
from tinygrad_edu.ops.exponential import exp
from tinygrad_edu.ops.reduction import REDUCED, Axis, spread, sum
from tinygrad_edu.ops.trigonometric import tanh


def _sigmoid(x: Any, /) -> Any:
    """σ(x) = 1 / (1 + e⁻ˣ), elementwise; 0 where e⁻ˣ overflows (x < -709). ∂/∂x = σ(x)·(1 - σ(x)).

    Source: the article's activation, in its order of operations: equal to `1 / (1 + exp(-x))` to the last bit.
    """
    if type(x) is not float:
        return sigmoid_of_array(x)
    try:
        return 1.0 / (1.0 + math.exp(-x))
    except OverflowError:
        return 0.0


@np.errstate(over="ignore")
def sigmoid_of_array(x: Array) -> Array:
    out = np.asarray(-x)
    np.exp(out, out=out)  # one buffer for all steps
    out += 1.0
    np.reciprocal(out, out=out)
    return out


sigmoid: Operation = operation(
    _sigmoid,
    (lambda g, out, x: g * (out * (1.0 - out)),),
    symbol="σ",
    formula="∂σ(x) = σ(x)·(1 − σ(x))·∂x",
    shapes=ELEMENTWISE,
    prints="1.0 / (1.0 + exp(-{0}))",
    analytic=True,
)


def _relu(x: Any, /) -> Any:
    """max(x, 0), elementwise. ∂/∂x = 1 where x > 0, else 0 (at 0 too, by convention)."""
    if type(x) is float:
        return 0.0 if x <= 0.0 else x
    return np.maximum(x, 0.0)


relu = operation(
    _relu,
    (lambda g, out, x: choose(greater_mask(x, 0.0), g, 0.0),),
    formula="∂relu(x) = ∂x where x > 0, else 0",
    shapes=ELEMENTWISE,
    prints=by_kind("0.0 if {0} <= 0.0 else {0}", "maximum({0}, 0.0)"),
    analytic=True,
)


def _leaky_relu(x: Any, /, slope: float = 0.01) -> Any:
    """x where x > 0, else slope·x, elementwise. ∂/∂x = 1 where x > 0, else the slope."""
    if type(x) is float:
        return x if x > 0.0 else slope * x
    return np.where(x > 0.0, x, slope * x)


leaky_relu = operation(
    _leaky_relu,
    (lambda g, out, x, slope=0.01: choose(greater_mask(x, 0.0), g, slope * g),),
    formula="∂leaky_relu(x) = ∂x where x > 0, else slope·∂x",
    shapes=ELEMENTWISE,
    prints=lambda x, slope=0.01: f"{x} if {x} > 0.0 else {slope!r} * {x}" if type(x.data) is float else None,
    analytic=True,
)


def _elu(x: Any, /, alpha: float = 1.0) -> Any:
    """x where x > 0, else α·(eˣ - 1), elementwise. ∂/∂x = 1 where x > 0, else α·eˣ. Source: Clevert et al., 2015."""
    out = np.where(x > 0.0, x, alpha * np.expm1(np.minimum(x, 0.0)))
    return float(out) if type(x) is float else out.astype(x.dtype, copy=False)


def _elu_rule(g: Any, out: Any, x: Any, alpha: float = 1.0) -> Any:
    above = greater_mask(x, 0.0)
    return choose(above, g, g * (alpha * exp(choose(above, 0.0, x))))


elu = operation(
    _elu,
    (_elu_rule,),
    formula="∂elu(x) = ∂x where x > 0, else α·eˣ·∂x",
    shapes=ELEMENTWISE,
    analytic=True,
)


def _softplus(x: Any, /) -> Any:
    """log(1 + eˣ), elementwise. ∂/∂x = σ(x)."""
    return float(np.logaddexp(x, 0.0)) if type(x) is float else np.logaddexp(x, 0.0)


softplus = operation(
    _softplus,
    (lambda g, out, x: g * sigmoid(x),),
    formula="∂softplus(x) = σ(x)·∂x",
    shapes=ELEMENTWISE,
    prints=by_kind(None, "logaddexp({0}, 0.0)"),
    analytic=True,
)


def _silu(x: Any, /) -> Any:
    """x·σ(x), elementwise. ∂/∂x = σ(x) + x·σ(x)·(1 - σ(x)). Source: Elfwing et al., 2017."""
    return x * _sigmoid(x)


def _silu_rule(g: Any, out: Any, x: Any) -> Any:
    s = sigmoid(x)
    return g * (s + out * (1.0 - s))


silu = operation(
    _silu,
    (_silu_rule,),
    formula="∂(x·σ(x)) = (σ + x·σ·(1 − σ))·∂x",
    shapes=ELEMENTWISE,
    prints="{0} * (1.0 / (1.0 + exp(-{0})))",
    analytic=True,
)


def gelu(x: Any) -> Any:
    """½·x·(1 + tanh(√(2/π)·(x + 0.044715·x³))), elementwise: composed of others, whose rules give its derivative.

    Above 20 it is x, below -20 it is -0, to the last bit. Source: the tanh approximation of Hendrycks and Gimpel, 2016.
    """
    small = clip(x, -20.0, 20.0)  # x³ would overflow
    inner = math.sqrt(2.0 / math.pi) * (small + 0.044715 * (small * small * small))
    return choose(greater_mask(x, 20.0), x, 0.5 * small * (1.0 + tanh(inner)))


def _logsumexp(x: Any, /, axis: Axis = None, keepdims: bool = False) -> Any:
    """log Σ eˣⁱ over the axes, all where None, without overflow. ∂/∂xᵢ = eˣⁱ⁻ᵒ, the softmax.

    Where the result is infinite, the xᵢ that equal it have equal shares: of n that are all -inf 1/n each.
    """
    top = np.max(x, axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0).astype(np.asarray(x).dtype)
    with np.errstate(divide="ignore"):
        out = np.log(np.sum(np.exp(x - top), axis=axis, keepdims=True)) + top
    if not keepdims:
        out = np.squeeze(out, axis=axes_of(axis, np.ndim(x)))
    return float(out) if type(x) is float else out


logsumexp = operation(
    _logsumexp,
    (
        lambda g, out, x, axis=None, keepdims=False: (
            spread(g, x, axis, keepdims) * exp_share(x, spread(out, x, axis, keepdims), axis=axis)
        ),
    ),
    formula="∂log Σeˣⁱ = Σ eˣⁱ⁻ᵒ·∂xᵢ",
    shapes=REDUCED,
    analytic=True,
)


def _exp_share(x: Any, total: Any, /, axis: Axis = None) -> Any:
    """eˣ⁻ᵗ for t = log Σ eˣ over the axes; where t is infinite, equal shares for the x that equal it.

    ∂/∂x = eˣ⁻ᵗ, ∂/∂t = -eˣ⁻ᵗ.
    """
    if np.isfinite(total).all():
        return np.exp(x - total) if type(x) is not float else math.exp(x - total)
    largest = np.equal(x, total)
    with np.errstate(invalid="ignore"):
        shares = np.exp(np.where(largest, 0.0, x - total))
    ties = np.sum(largest, axis=axis, keepdims=True)
    out = (shares / np.where(np.isinf(total), np.maximum(ties, 1), 1)).astype(np.asarray(x).dtype, copy=False)
    return float(out) if type(x) is float else out


exp_share: Operation = operation(
    _exp_share,
    (lambda g, out, x, total, axis=None: g * out, lambda g, out, x, total, axis=None: -g * out),
    formula="∂eˣ⁻ᵗ = eˣ⁻ᵗ·(∂x − ∂t)",
    shapes="two that broadcast → their common shape",
    analytic=True,
)


def _softmax(x: Any, /, axis: int = -1) -> Any:
    """eˣⁱ / Σₖ eˣᵏ along an axis. ∂/∂x = s·(g - Σ g·s) for a cotangent g."""
    shifted = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return shifted / np.sum(shifted, axis=axis, keepdims=True)


def printed_shifted(x: Any, axis: int) -> str:
    return f"({x} - {x}.max(axis={axis}, keepdims=True))"


def printed_softmax(x: Any, axis: int = -1) -> str | None:
    if type(x.data) is float:
        return None
    exponentials = f"exp({printed_shifted(x, axis)})"
    return f"{exponentials} / {exponentials}.sum(axis={axis}, keepdims=True)"


def printed_log_softmax(x: Any, axis: int = -1) -> str | None:
    if type(x.data) is float:
        return None
    shifted = printed_shifted(x, axis)
    return f"{shifted} - log(exp({shifted}).sum(axis={axis}, keepdims=True))"


softmax: Operation = operation(
    _softmax,
    (lambda g, out, x, axis=-1: out * (g - sum(g * out, axis=axis, keepdims=True)),),
    formula="∂sᵢ = sᵢ·(∂xᵢ − Σₖ sₖ·∂xₖ)",
    shapes=ELEMENTWISE,
    prints=printed_softmax,
    analytic=True,
)


def _log_softmax(x: Any, /, axis: int = -1) -> Any:
    """xᵢ - log Σₖ eˣᵏ along an axis. ∂/∂x = g - softmax(x)·Σ g for a cotangent g."""
    shifted = x - np.max(x, axis=axis, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))


log_softmax = operation(
    _log_softmax,
    (lambda g, out, x, axis=-1: g - exp(out) * sum(g, axis=axis, keepdims=True),),
    formula="∂log sᵢ = ∂xᵢ − Σₖ sₖ·∂xₖ",
    shapes=ELEMENTWISE,
    prints=printed_log_softmax,
    analytic=True,
)
