"""The operations: one entry each, in a file for each family.

The one thing to know: an entry is all there is to an operation. Backward, second derivatives, forward mode, numpy's own
functions, drawing and checking read it. To add an operation, write its entry, and its name in the table below; a family
is loaded when one of its names is first used.
"""

from importlib import import_module
from typing import Any

FAMILIES: dict[str, str] = {
    "arithmetic": "add subtract multiply divide negative positive absolute fabs sign reciprocal square sqrt cbrt "
    "remainder mod fmod floor_divide floor ceil trunc rint clip hypot heaviside nan_to_num",
    "exponential": "exp exp2 expm1 log log2 log10 log1p logaddexp logaddexp2 power",
    "trigonometric": "sin cos tan arcsin arccos arctan arctan2 sinh cosh tanh arcsinh arccosh arctanh sinc deg2rad "
    "rad2deg",
    "activation": "sigmoid relu leaky_relu elu softplus silu gelu softmax log_softmax logsumexp",
    "comparison": "maximum minimum fmax fmin where select equal not_equal less less_equal greater greater_equal "
    "logical_and logical_or logical_not logical_xor isfinite isinf isnan signbit isclose allclose array_equal any all "
    "argmax argmin argsort argpartition argwhere nonzero count_nonzero searchsorted shape ndim size zeros_like "
    "ones_like full_like empty_like",
    "reduction": "sum mean prod max min amax amin var std cumsum cumprod",
    "shaping": "reshape ravel flatten squeeze expand_dims atleast_1d atleast_2d atleast_3d transpose swapaxes moveaxis "
    "matrix_transpose broadcast_to stack concatenate vstack hstack column_stack array split array_split tile repeat "
    "roll flip fliplr flipud rot90 pad diag diagonal trace tril triu meshgrid outer kron sort partition",
    "indexing": "index take take_along_axis sliding_windows",
    "linear_algebra": "matmul weighted_sum affine dot vdot inner tensordot einsum inv solve pinv "
    "det slogdet cholesky eigh eigvalsh qr svd svdvals lstsq norm matrix_power",
    "convolution": "conv2d max_pool2d average_pool2d",
}
"""For each family, which is a file, its public functions: the operations, and what is composed of them."""

FAMILY_OF = {name: family for family, names in FAMILIES.items() for name in names.split()}

NUMPY_ALIASES = {
    "abs": "absolute",
    "acos": "arccos",
    "acosh": "arccosh",
    "asin": "arcsin",
    "asinh": "arcsinh",
    "atan": "arctan",
    "atan2": "arctan2",
    "atanh": "arctanh",
    "concat": "concatenate",
    "degrees": "rad2deg",
    "permute_dims": "transpose",
    "pow": "power",
    "radians": "deg2rad",
    "true_divide": "divide",
}
"""numpy's second names for the same functions."""


def __getattr__(name: str) -> Any:
    family = FAMILY_OF.get(NUMPY_ALIASES.get(name, name))
    if family is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    function = getattr(import_module(f"{__name__}.{family}"), NUMPY_ALIASES.get(name, name))
    globals()[name] = function
    return function


def __dir__() -> list[str]:
    return sorted({*globals(), *FAMILY_OF, *NUMPY_ALIASES})
