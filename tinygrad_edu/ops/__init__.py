"""The operations: one entry each, in a file for each family.

The one thing to know: an entry is all there is to an operation. Backward, second derivatives, drawing and checking
read it; to add an operation, add an entry and, to make it public, its name here.
"""

from tinygrad_edu.ops.activation import relu, sigmoid
from tinygrad_edu.ops.arithmetic import absolute, add, divide, multiply, negative, subtract
from tinygrad_edu.ops.comparison import maximum, where
from tinygrad_edu.ops.exponential import exp, log, power
from tinygrad_edu.ops.indexing import add_at, index
from tinygrad_edu.ops.linear_algebra import affine, matmul, weighted_sum, weighted_sum_of
from tinygrad_edu.ops.loss import half_squared_error, mean_squared_error
from tinygrad_edu.ops.reduction import mean, sum, sum_to
from tinygrad_edu.ops.shape import broadcast_to, reshape, stack, transpose
from tinygrad_edu.ops.trigonometric import tanh

__all__ = [
    "absolute",
    "add",
    "add_at",
    "affine",
    "broadcast_to",
    "divide",
    "exp",
    "half_squared_error",
    "index",
    "log",
    "matmul",
    "maximum",
    "mean",
    "mean_squared_error",
    "multiply",
    "negative",
    "power",
    "relu",
    "reshape",
    "sigmoid",
    "stack",
    "subtract",
    "sum",
    "sum_to",
    "tanh",
    "transpose",
    "weighted_sum",
    "weighted_sum_of",
    "where",
]
