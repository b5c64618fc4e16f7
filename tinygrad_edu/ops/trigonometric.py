"""Trigonometric and hyperbolic functions, and their inverses."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_edu.core.operation import Operation, operation
from tinygrad_edu.ops.arithmetic import absolute, divide, hypot, sqrt
from tinygrad_edu.ops.comparison import choose, less_mask
from tinygrad_edu.ops.entry import ELEMENTWISE, binary, unary

sin: Operation = unary(
    np.sin,
    math.sin,
    lambda g, out, x: g * cos(x),
    "∂sin(x) = cos(x)·∂x",
    "The sine, elementwise. ∂/∂x = cos(x).",
)
cos: Operation = unary(
    np.cos,
    math.cos,
    lambda g, out, x: -g * sin(x),
    "∂cos(x) = −sin(x)·∂x",
    "The cosine, elementwise. ∂/∂x = -sin(x).",
)
tan = unary(
    np.tan,
    math.tan,
    lambda g, out, x: g * (1.0 + out * out),
    "∂tan(x) = (1 + tan(x)²)·∂x",
    "The tangent, elementwise. ∂/∂x = 1 + tan(x)².",
)
arcsin = unary(
    np.arcsin,
    math.asin,
    lambda g, out, x: divide(g, sqrt(1.0 - x * x)),
    "∂arcsin(x) = ∂x/√(1−x²)",
    "The angle from -π/2 to π/2 whose sine is x, elementwise. ∂/∂x = 1/√(1 - x²).",
)
arccos = unary(
    np.arccos,
    math.acos,
    lambda g, out, x: divide(-g, sqrt(1.0 - x * x)),
    "∂arccos(x) = −∂x/√(1−x²)",
    "The angle from 0 to π whose cosine is x, elementwise. ∂/∂x = -1/√(1 - x²).",
)
arctan = unary(
    np.arctan,
    math.atan,
    lambda g, out, x: divide(g, 1.0 + x * x),
    "∂arctan(x) = ∂x/(1+x²)",
    "The angle from -π/2 to π/2 whose tangent is x, elementwise. ∂/∂x = 1/(1 + x²).",
)
sinh: Operation = unary(
    np.sinh,
    math.sinh,
    lambda g, out, x: g * cosh(x),
    "∂sinh(x) = cosh(x)·∂x",
    "The hyperbolic sine, elementwise. ∂/∂x = cosh(x).",
)
cosh: Operation = unary(
    np.cosh,
    math.cosh,
    lambda g, out, x: g * sinh(x),
    "∂cosh(x) = sinh(x)·∂x",
    "The hyperbolic cosine, elementwise. ∂/∂x = sinh(x).",
)
tanh = unary(
    np.tanh,
    math.tanh,
    lambda g, out, x: g * (1.0 - out * out),
    "∂tanh(x) = (1 − tanh(x)²)·∂x",
    "The hyperbolic tangent, elementwise. ∂/∂x = 1 - tanh(x)².",
)
arcsinh = unary(
    np.arcsinh,
    math.asinh,
    lambda g, out, x: divide(g, sqrt(x * x + 1.0)),
    "∂arcsinh(x) = ∂x/√(x²+1)",
    "The number whose hyperbolic sine is x, elementwise. ∂/∂x = 1/√(x² + 1).",
)
arccosh = unary(
    np.arccosh,
    math.acosh,
    lambda g, out, x: divide(g, sqrt(x * x - 1.0)),
    "∂arccosh(x) = ∂x/√(x²−1)",
    "The number from 0 on whose hyperbolic cosine is x, elementwise; nan below 1. ∂/∂x = 1/√(x² - 1).",
)
arctanh = unary(
    np.arctanh,
    math.atanh,
    lambda g, out, x: divide(g, 1.0 - x * x),
    "∂arctanh(x) = ∂x/(1−x²)",
    "The number whose hyperbolic tangent is x, elementwise. ∂/∂x = 1/(1 - x²).",
)
deg2rad = unary(
    np.deg2rad,
    None,
    lambda g, out, x: g * (math.pi / 180.0),
    "∂rad(x) = π/180·∂x",
    "Degrees to radians, elementwise. ∂/∂x = π/180.",
)
rad2deg = unary(
    np.rad2deg,
    None,
    lambda g, out, x: g * (180.0 / math.pi),
    "∂deg(x) = 180/π·∂x",
    "Radians to degrees, elementwise. ∂/∂x = 180/π.",
)


def over_squares(x: Any, a: Any, b: Any) -> Any:
    """x/(a² + b²), also where the squares over- or underflow."""
    length = hypot(a, b)
    return divide(divide(x, length), length)


arctan2 = binary(
    np.arctan2,
    math.atan2,
    (lambda g, out, a, b: g * over_squares(b, a, b), lambda g, out, a, b: g * over_squares(-a, a, b)),
    "∂arctan2(a, b) = (b·∂a − a·∂b)/(a²+b²)",
    "The angle from -π to π of the point (b, a), elementwise. ∂/∂a = b/(a² + b²), ∂/∂b = -a/(a² + b²).",
)


def angle(z: Any, deg: bool = False) -> Any:
    """The angle of a number, which is real, in the complex plane: 0 for a positive one, π or 180 degrees for others.

    ∂/∂z = 0, and nan at z = 0.
    """
    found = arctan2(0.0, z)
    return rad2deg(found) if deg else found


def _sinc(x: Any, /) -> Any:
    """sin(πx)/(πx), elementwise; 1 at 0. ∂/∂x = (cos(πx) - sinc(x))/x, 0 at 0."""
    return float(np.sinc(x)) if type(x) is float else np.sinc(x)


def _sinc_rule(g: Any, out: Any, x: Any) -> Any:
    # Near 0 the quotient loses all its digits; three terms of its power series are exact there, and differentiable.
    small = less_mask(absolute(x), 0.01)
    away = choose(small, 1.0, x)
    near = choose(small, x, 0.0)
    square = (math.pi * near) * (math.pi * near)
    series = math.pi**2 * near * (-1.0 / 3.0 + square * (1.0 / 30.0 - square * (1.0 / 840.0)))
    quotient = divide(cos(math.pi * away) - sinc(away), away)
    return g * choose(small, series, quotient)


sinc: Operation = operation(
    _sinc,
    (_sinc_rule,),
    formula="∂sinc(x) = (cos(πx) − sinc(x))/x·∂x",
    shapes=ELEMENTWISE,
    analytic=True,
)
