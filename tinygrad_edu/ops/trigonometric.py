"""Trigonometric and hyperbolic functions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_edu.operation import operation


def _tanh(x: Any, /) -> Any:
    """The hyperbolic tangent, elementwise. ∂/∂x = 1 - tanh(x)²."""
    return math.tanh(x) if type(x) is float else np.tanh(x)


tanh = operation(_tanh, lambda g, out, x: (g * (1.0 - out * out),), formula="∂tanh(x) = (1 − tanh(x)²)·∂x")
