"""Timing side by side: rounds are interleaved, so that a slow moment of the machine falls on all alike."""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter


@dataclass
class Row:
    """One line of the table: what was measured, and what is wanted of it."""

    work: str
    who: str
    figure: str
    reach: str = ""


def interleaved(rounds: int, sides: Mapping[str, Callable[[], object]], warmup: int = 2) -> dict[str, float]:
    """The median seconds of each side, over rounds in which every side runs once."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for i in range(warmup + rounds):
        for name, run in sides.items():
            gc.collect()
            start = perf_counter()
            run()
            if i >= warmup:
                seconds[name].append(perf_counter() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def ratios(
    work: str, rounds: int, sides: Mapping[str, Callable[[], object]], reach: str | Mapping[str, str]
) -> list[Row]:
    """Every side's time over the first one's; a single `reach` belongs to the second, the library's."""
    medians = interleaved(rounds, sides)
    first, ours, *_ = medians
    unit = medians[first]
    wanted = {ours: reach} if isinstance(reach, str) else reach
    rows = [Row(work, first, f"1 ({unit * 1e3:.3g} ms)")]
    rows += [Row(work, who, figure(t / unit), wanted.get(who, "")) for who, t in medians.items() if who != first]
    return rows


def figure(ratio: float) -> str:
    """With two decimals, or where it is small with three."""
    return f"{ratio:.3f}" if ratio < 0.1 else f"{ratio:.2f}"


def table(rows: list[Row]) -> str:
    """As Markdown, in aligned columns."""
    cells = [("work", "who", "figure", "reach")] + [(r.work, r.who, r.figure, r.reach) for r in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["| " + " | ".join(f"{c:{w}}" for c, w in zip(line, widths, strict=True)) + " |" for line in cells]
    lines.insert(1, "| " + " | ".join("-" * w for w in widths) + " |")
    return "\n".join(lines)
