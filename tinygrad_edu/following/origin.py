"""Whose code it is: the user's own, which is followed, or a library's, which is called as it is."""

from __future__ import annotations

import functools
import sys
import sysconfig
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

LIFTED = ("numpy", "scipy", "tinygrad_edu")
"""Packages whose functions are called with Values, and know what to do with them or say that they don't."""

OURS = str(Path(__file__).parents[1])
CHECKS = str(Path(OURS) / "gradient_check")
STANDARD = sysconfig.get_path("stdlib")


@functools.cache
def library_file(name: str) -> bool:
    """Whether a file is this library's, Python's, or of an installed package."""
    return name.startswith((OURS, STANDARD, "<frozen")) or "site-packages" in name or "dist-packages" in name


def users_own(x: Any) -> bool:
    """Whether a function, class or module is of the user's own code, or one that only calls it, as a check's does."""
    if isinstance(x, FunctionType):
        return not library_file(x.__code__.co_filename) or x.__code__.co_filename.startswith(CHECKS)
    if not isinstance(x, (type, ModuleType)):
        return False
    name = x.__name__ if isinstance(x, ModuleType) else x.__module__
    if isinstance(x, type) and name.startswith("tinygrad_edu.gradient_check."):
        return True
    package = name.partition(".")[0]
    if package in LIFTED or package == "builtins" or package in sys.stdlib_module_names - {"__main__"}:
        return False
    return not library_file(getattr(sys.modules.get(name), "__file__", None) or "")


def package_of(x: Any) -> str:
    module = getattr(x, "__module__", None) or getattr(type(x), "__module__", None) or ""
    return str(module).partition(".")[0]
