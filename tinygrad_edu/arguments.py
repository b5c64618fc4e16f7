"""The arguments of a function: their names, and how many of them are inputs of an operation."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np


def arguments_of(function: Callable[..., Any]) -> tuple[tuple[str, ...], int]:
    """The names of a function's arguments, and how many are inputs.

    Inputs are those before a `/` or, where there is none, those without a default; of `*inputs` there is no limit.
    """
    if not isinstance(function, FunctionType):
        return arguments_by_inspection(function)
    code = function.__code__  # `inspect` would be a good part of the time that importing this library takes
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    if code.co_flags & VARARGS:
        return names, sys.maxsize
    return names, code.co_posonlyargcount or code.co_argcount - len(function.__defaults__ or ())


VARARGS = 4  # inspect.CO_VARARGS


def arguments_by_inspection(function: Callable[..., Any]) -> tuple[tuple[str, ...], int]:
    """The same for what isn't a plain Python function: numpy's, methods, partial functions …"""
    import inspect

    if isinstance(function, np.ufunc):
        return (), function.nin
    try:
        parameters = inspect.signature(function).parameters
    except ValueError:  # some compiled functions tell nothing of their arguments
        return (), sys.maxsize
    kinds = [p.kind for p in parameters.values()]
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        return tuple(parameters), sys.maxsize
    required = [p for p in parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD and p.default is p.empty]
    return tuple(parameters), kinds.count(inspect.Parameter.POSITIONAL_ONLY) or len(required)
