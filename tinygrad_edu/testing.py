"""For test suites: gradient checks as assertions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinygrad_edu.gradient_check import GradientReport, check_layer, check_loss, gradcheck


def assert_gradients(function: Callable[..., Any], *inputs: Any, **options: Any) -> None:
    """Fail, with the report as the message, unless `tinygrad_edu.gradcheck` holds; it takes the same options.

    Raises:
        AssertionError: A gradient is wrong.

    >>> import tinygrad_edu as tg
    >>> from tinygrad_edu.testing import assert_gradients
    >>> assert_gradients(lambda x: tg.sin(x) * x, 0.5, order=2)
    """
    __tracebackhide__ = True
    hold(gradcheck(function, *inputs, **options))


def assert_layer(forward: Any, *backward_and_args: Any, **options: Any) -> None:
    """Fail, with the report and its diagnosis as the message, unless `tinygrad_edu.check_layer` holds.

    It takes the same arguments: a forward and a backward pass, or a layer object, and the forward pass's arguments.

    Raises:
        AssertionError: A gradient is wrong, or can't be compared.

    >>> import numpy as np
    >>> from tinygrad_edu.testing import assert_layer
    >>> assert_layer(lambda x: (np.tanh(x), x), lambda dout, x: dout * (1 - np.tanh(x) ** 2), np.ones(3))
    """
    __tracebackhide__ = True
    hold(check_layer(forward, *backward_and_args, **options))


def assert_loss(function: Callable[..., Any], *args: Any, **options: Any) -> None:
    """Fail, with the report and its diagnosis as the message, unless `tinygrad_edu.check_loss` holds.

    It takes the same arguments: a function that gives a loss and its gradients, and that function's arguments.

    Raises:
        AssertionError: A gradient is wrong, or can't be compared.

    >>> import numpy as np
    >>> from tinygrad_edu.testing import assert_loss
    >>> assert_loss(lambda w: (np.sum(w * w), 2 * w), np.ones(3))
    """
    __tracebackhide__ = True
    hold(check_loss(function, *args, **options))


def hold(report: GradientReport) -> None:
    __tracebackhide__ = True
    if not report:
        raise AssertionError(repr(report))
