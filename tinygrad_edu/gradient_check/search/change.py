"""A change of the right backward pass, and the sentence that says it.

The one thing to know: a hypothesis of the table proposes changes; a change says how one place's rule is written
otherwise. The search works out what that gives at the inputs, and knows nothing of the mistake itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from tinygrad_edu.gradient_check.search.chinese import CHINESE
from tinygrad_edu.gradient_check.search.scene import Scene
from tinygrad_edu.gradient_check.search.tape import Edge, Site


class Say:
    """A part of a sentence, in English, with words to put in; in Chinese by the table in `chinese.py`.

    Words are texts, numbers, or parts of sentences themselves.
    """

    __slots__ = ("parts",)

    def __init__(self, template: str = "", **words: Any) -> None:
        self.parts: tuple[tuple[str, dict[str, Any]], ...] = ((template, words),) if template else ()

    def __add__(self, other: Say) -> Say:
        new = Say()
        new.parts = self.parts + other.parts
        return new

    @property
    def en(self) -> str:
        return "".join(
            template.format(**{k: w.en if isinstance(w, Say) else w for k, w in words.items()})
            for template, words in self.parts
        )

    @property
    def zh(self) -> str:
        return "".join(
            CHINESE.get(template, template).format(**{k: w.zh if isinstance(w, Say) else w for k, w in words.items()})
            for template, words in self.parts
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Say) and self.en == other.en

    def __hash__(self) -> int:
        return hash(self.en)


class Edges(NamedTuple):
    """Another rule at some edges, in all of them."""

    edges: tuple[Edge, ...]
    rule: Callable[[Site], Any]


class Scaled(NamedTuple):
    """A constant factor at some edges, which is solved for."""

    edges: tuple[Edge, ...]
    whole_node: bool


class Leaps(NamedTuple):
    """For some nodes what is handed on to another one behind them at once: (source, cotangent -> contribution)."""

    leaps: Mapping[int, tuple[int, Callable[[Any], Any]]]


class Gathers(NamedTuple):
    """For some nodes what is made of their contributions (consumer, input, contribution) in place of the sum."""

    gathers: Mapping[int, Callable[[list[tuple[int, int, Any]]], Any]]


class Deltas(NamedTuple):
    """Deltas of cotangents, worked out by the hypothesis itself."""

    deltas: Callable[[], Mapping[int, Any]]


class Solved(NamedTuple):
    """The inputs' deltas as a function of an unknown number, which is solved for from a first guess."""

    deltas: Callable[[float], list[Any]]
    start: float
    step: float
    say: Callable[[float], Say | None]


How = Edges | Scaled | Leaps | Gathers | Deltas | Solved


class Change(NamedTuple):
    """One thing written otherwise.

    Attributes:
        rank: How plausible: smaller is simpler.
        say: What is wrong, as a part of a sentence.
        node, input: Where: the node whose rule it is, and which of its inputs; None for all of them.
        how: What is written otherwise.
        kind: The entry of the table that proposes it, filled in there.
        times: How many nodes are changed.
    """

    rank: float
    say: Say
    node: int
    input: int | None
    how: How
    kind: str = ""
    times: int = 1


Propose = Callable[[Scene], Iterator[Change]]
