"""For test suites: gradient checks as assertions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinygrad_edu.gradient_check import gradcheck


def assert_gradients(function: Callable[..., Any], *inputs: Any, **options: Any) -> None:
    """Fail, with the report as the message, unless `tinygrad_edu.gradcheck` holds; it takes the same options.

    Raises:
        AssertionError: A gradient is wrong.

    >>> import tinygrad_edu as tg
    >>> from tinygrad_edu.testing import assert_gradients
    >>> assert_gradients(lambda x: tg.sin(x) * x, 0.5, order=2)
    """
    __tracebackhide__ = True
    report = gradcheck(function, *inputs, **options)
    if not report:
        raise AssertionError(repr(report))
