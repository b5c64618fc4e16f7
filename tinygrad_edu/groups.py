"""Sibling groups, such as the neurons of a layer."""

from __future__ import annotations

from collections.abc import Sequence

from tinygrad_edu.core.context import Context


class Groups:
    """Sibling groups that are entered again and again, such as the neurons of a layer for every row.

    `contexts` are made once for each surrounding context.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.made: tuple[Context | None, list[Context]] = (None, [])

    def contexts(self, outer: Context) -> list[Context]:
        around, made = self.made
        if around is not outer:
            made = [(outer[0], (*outer[1], name), outer[2]) for name in self.names]
            self.made = (outer, made)
        return made
