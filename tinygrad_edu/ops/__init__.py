"""The operations: one entry each, in a file for each family.

The one thing to know: an entry is all there is to an operation. Backward, second derivatives, forward mode, numpy's own
functions, drawing and checking read it. To add an operation, write its entry, and its name in the table below; a family
is loaded when one of its names is first used.
"""

from importlib import import_module
from typing import Any

FAMILIES: dict[str, str] = {
    "arithmetic": "add subtract multiply divide negative positive absolute fabs sign reciprocal square sqrt cbrt "
    "remainder mod fmod floor_divide divmod modf floor ceil trunc rint round clip copysign hypot heaviside nan_to_num "
    "conjugate real imag real_if_close",
    "exponential": "exp exp2 expm1 log log2 log10 log1p logaddexp logaddexp2 power",
    "trigonometric": "sin cos tan arcsin arccos arctan arctan2 sinh cosh tanh arcsinh arccosh arctanh sinc deg2rad "
    "rad2deg angle",
    "activation": "sigmoid relu leaky_relu elu softplus silu gelu softmax log_softmax logsumexp",
    "comparison": "maximum minimum fmax fmin where select equal not_equal less less_equal greater greater_equal "
    "logical_and logical_or logical_not logical_xor isfinite isinf isnan isposinf isneginf signbit isreal iscomplex "
    "isrealobj iscomplexobj isclose allclose array_equal array_equiv isin any all argmax argmin nanargmax nanargmin "
    "argsort argpartition argwhere nonzero flatnonzero count_nonzero searchsorted digitize shape ndim size "
    "result_type zeros_like ones_like empty_like tril_indices_from triu_indices_from array2string array_repr array_str "
    "may_share_memory shares_memory",
    "reduction": "sum mean prod max min amax amin var std cumsum cumprod",
    "shaping": "reshape ravel flatten squeeze expand_dims atleast_1d atleast_2d atleast_3d transpose swapaxes moveaxis "
    "rollaxis matrix_transpose broadcast_to broadcast_arrays full_like astype copy stack concatenate append block "
    "vstack hstack dstack column_stack array split array_split vsplit hsplit dsplit unstack delete insert compress "
    "extract resize tile repeat roll flip fliplr flipud rot90 pad diag diagonal trace tril triu meshgrid outer kron "
    "sort partition",
    "indexing": "index take take_along_axis sliding_windows sliding_window_view",
    "linear_algebra": "matmul weighted_sum affine dot vdot inner vecdot cross tensordot einsum multi_dot inv solve "
    "pinv det slogdet cholesky eigh eigvalsh qr svd svdvals lstsq norm vector_norm matrix_norm cond matrix_power",
    "statistics": "average ptp median quantile percentile nansum nanprod nancumsum nanmean nanmax nanmin nanvar nanstd "
    "cov corrcoef",
    "sampling": "linspace diff gradient polyval trapezoid convolve correlate interp",
    "convolution": "conv1d conv2d max_pool2d avg_pool2d average_pool2d",
}
"""For each family, which is a file, its public functions: the operations, and what is composed of them."""

FAMILY_OF = {name: family for family, names in FAMILIES.items() for name in names.split()}

NUMPY_ALIASES = {
    "abs": "absolute",
    "around": "round",
    "conj": "conjugate",
    "fix": "trunc",
    "float_power": "power",
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
    "row_stack": "vstack",
    "radians": "deg2rad",
    "true_divide": "divide",
}
"""numpy's second names for the same functions."""


CALLED_BY_VALUE = {"entries": "indexing", "joined": "shaping", "reshape_in_order": "shaping"}
"""What Value calls beside the public functions, and the family that it is in."""


def __getattr__(name: str) -> Any:
    family = FAMILY_OF.get(NUMPY_ALIASES.get(name, name)) or CALLED_BY_VALUE.get(name)
    if family is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    function = getattr(import_module(f"{__name__}.{family}"), NUMPY_ALIASES.get(name, name))
    globals()[name] = function
    return function


def __dir__() -> list[str]:
    return sorted({*globals(), *FAMILY_OF, *NUMPY_ALIASES})
