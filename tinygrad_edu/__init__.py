"""tinygrad_edu: backpropagation to learn, teach and check.

`Value` is a number or an array that remembers how it was computed; `backward` gives its derivatives. The functions
(`exp`, `sigmoid`, `matmul` …; all are in `tinygrad_edu/ops/__init__.py`) take numbers, arrays and Values alike.
`tinygrad_edu.nn` builds networks on them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tinygrad_edu import ops
from tinygrad_edu.core.context import group as group
from tinygrad_edu.core.context import no_grad as no_grad
from tinygrad_edu.core.operation import Operation, operation
from tinygrad_edu.core.value import Value
from tinygrad_edu.graph import gradients

if TYPE_CHECKING:
    from tinygrad_edu import nn as nn
    from tinygrad_edu.compiler import compile as compile
    from tinygrad_edu.debugging import debug as debug
    from tinygrad_edu.drawing import draw as draw
    from tinygrad_edu.drawing import explain as explain
    from tinygrad_edu.drawing import save as save
    from tinygrad_edu.drawing.stepper import stepper as stepper
    from tinygrad_edu.following import follow as follow
    from tinygrad_edu.gradient_check import GradientReport as GradientReport
    from tinygrad_edu.gradient_check import check_backprop as check_backprop
    from tinygrad_edu.gradient_check import check_layer as check_layer
    from tinygrad_edu.gradient_check import check_loss as check_loss
    from tinygrad_edu.gradient_check import gradcheck as gradcheck
    from tinygrad_edu.nn import Dense as Dense
    from tinygrad_edu.nn import Layer as Layer
    from tinygrad_edu.nn import Network as Network
    from tinygrad_edu.nn import Neuron as Neuron
    from tinygrad_edu.ops.activation import *
    from tinygrad_edu.ops.arithmetic import *
    from tinygrad_edu.ops.comparison import *
    from tinygrad_edu.ops.convolution import *
    from tinygrad_edu.ops.exponential import *
    from tinygrad_edu.ops.indexing import *
    from tinygrad_edu.ops.linear_algebra import *
    from tinygrad_edu.ops.reduction import *
    from tinygrad_edu.ops.sampling import *
    from tinygrad_edu.ops.shaping import *
    from tinygrad_edu.ops.statistics import *
    from tinygrad_edu.ops.trigonometric import *
    from tinygrad_edu.transforms import checkpoint as checkpoint
    from tinygrad_edu.transforms import custom_gradient as custom_gradient
    from tinygrad_edu.transforms import elementwise_grad as elementwise_grad
    from tinygrad_edu.transforms import grad as grad
    from tinygrad_edu.transforms import hessian as hessian
    from tinygrad_edu.transforms import hessian_vector_product as hessian_vector_product
    from tinygrad_edu.transforms import jacobian as jacobian
    from tinygrad_edu.transforms import jvp as jvp
    from tinygrad_edu.transforms import linearize as linearize
    from tinygrad_edu.transforms import stop_gradient as stop_gradient
    from tinygrad_edu.transforms import value_and_grad as value_and_grad
    from tinygrad_edu.transforms import vjp as vjp

__version__ = "0.1.0"

LOADED_WHEN_USED = {
    "Dense": "nn",
    "GradientReport": "gradient_check",
    "Layer": "nn",
    "Network": "nn",
    "Neuron": "nn",
    "check_backprop": "gradient_check",
    "check_layer": "gradient_check",
    "check_loss": "gradient_check",
    "checkpoint": "transforms",
    "compile": "compiler",
    "custom_gradient": "transforms",
    "debug": "debugging",
    "draw": "drawing",
    "elementwise_grad": "transforms",
    "explain": "drawing",
    "follow": "following",
    "grad": "transforms",
    "gradcheck": "gradient_check",
    "hessian": "transforms",
    "hessian_vector_product": "transforms",
    "jacobian": "transforms",
    "jvp": "transforms",
    "linearize": "transforms",
    "nn": "nn",
    "save": "drawing",
    "stepper": "drawing.stepper",
    "stop_gradient": "transforms",
    "value_and_grad": "transforms",
    "vjp": "transforms",
}
"""Public names whose module is imported at their first use, so that importing the library stays quick."""


def __getattr__(name: str) -> Any:
    if name == "nn":
        found: Any = import_module(f"{__name__}.nn")
    elif name in LOADED_WHEN_USED:
        found = getattr(import_module(f"{__name__}.{LOADED_WHEN_USED[name]}"), name)
    elif name in ops.FAMILY_OF or name in ops.NUMPY_ALIASES:
        found = getattr(ops, name)
    else:
        from tinygrad_edu.misspelt import no_attribute

        raise no_attribute(__name__, name)
    globals()[name] = found
    return found


__all__ = ["Operation", "Value", "gradients", "group", "no_grad", "operation", *LOADED_WHEN_USED, *ops.FAMILY_OF]


def __dir__() -> list[str]:
    return sorted({"__version__", *__all__, *ops.NUMPY_ALIASES})
