"""tinygrad_edu: backpropagation to learn, teach and check.

`Value` is a number or an array that remembers how it was computed; `backward` gives its derivatives. The functions
(`exp`, `sigmoid`, `matmul` …) take numbers, arrays and Values alike. `tinygrad_edu.nn` builds networks on them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tinygrad_edu import ops, value
from tinygrad_edu.backward import backward, gradients
from tinygrad_edu.operation import Operation, apply, group, no_grad, operation
from tinygrad_edu.ops import (
    absolute,
    add,
    affine,
    broadcast_to,
    divide,
    exp,
    index,
    log,
    matmul,
    maximum,
    mean,
    multiply,
    negative,
    power,
    relu,
    reshape,
    sigmoid,
    stack,
    subtract,
    sum,
    tanh,
    transpose,
    weighted_sum,
    where,
)
from tinygrad_edu.value import Value

vars(value).update(ops=ops, apply=apply, backward=backward)  # here Value's operators and methods get what they call

if TYPE_CHECKING:
    from tinygrad_edu import nn
    from tinygrad_edu.drawing import draw
    from tinygrad_edu.gradient_check import GradientReport, gradcheck
    from tinygrad_edu.nn import Dense, Layer, Network, Neuron

__version__ = "0.1.0"

LOADED_WHEN_USED = {
    "Dense": "nn",
    "GradientReport": "gradient_check",
    "Layer": "nn",
    "Network": "nn",
    "Neuron": "nn",
    "draw": "drawing",
    "gradcheck": "gradient_check",
    "nn": "nn",
}
"""Public names whose module is imported at their first use, so that importing the library stays quick."""


def __getattr__(name: str) -> Any:
    if name not in LOADED_WHEN_USED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{LOADED_WHEN_USED[name]}")
    globals()[name] = found = module if name == "nn" else getattr(module, name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *LOADED_WHEN_USED})


__all__ = [
    "Dense",
    "GradientReport",
    "Layer",
    "Network",
    "Neuron",
    "Operation",
    "Value",
    "absolute",
    "add",
    "affine",
    "broadcast_to",
    "divide",
    "draw",
    "exp",
    "gradcheck",
    "gradients",
    "group",
    "index",
    "log",
    "matmul",
    "maximum",
    "mean",
    "multiply",
    "negative",
    "nn",
    "no_grad",
    "operation",
    "power",
    "relu",
    "reshape",
    "sigmoid",
    "stack",
    "subtract",
    "sum",
    "tanh",
    "transpose",
    "weighted_sum",
    "where",
]
