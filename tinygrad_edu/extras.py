"""How to install what the library doesn't bring along: its optional extras, listed in pyproject.toml."""

from __future__ import annotations


def how_to_install(extra: str) -> str:
    """The command that installs an extra, from a clone of the project and elsewhere."""
    return f'python -m pip install ".[{extra}]" in a clone, elsewhere python -m pip install "tinygrad_edu[{extra}]"'
