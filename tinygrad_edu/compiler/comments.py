"""The comments in printed source, in the languages that it can have."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from tinygrad_edu.compiler.printer import Line

COMMENTS = {
    "en": {
        "forward": "forward: layer {0}",
        "backward": "loss and backward: d_… is the loss's derivative by …, d_sum the delta",
        "update": "update",
        "errors": "errors, of the outputs before the update",
        "stop": "a loss that isn't finite: the caller takes over",
        "copies": "copies, which the updates change in place",
    },
    "zh": {
        "forward": "前向：第 {0} 层",
        "backward": "损失与反向：d_… 是损失对 … 的导数，d_sum 就是 delta",
        "update": "更新",
        "errors": "误差，用更新前的输出计算",
        "stop": "损失不是有限数：由调用者接手",
        "copies": "副本，更新时就地修改",
    },
}


@lru_cache(1000)
def layer_of(group: tuple[str, ...]) -> str:
    """The number of the layer that a group is in; empty for none."""
    return next((part[7:-1] for part in group if re.fullmatch(r"layers\[\d+\]", part)), "")


def with_comments(lines: Sequence[Line], comments: dict[str, str]) -> list[str]:
    """The statements, with a comment where a layer's forward pass begins, and where the backward pass does."""
    found: list[str] = []
    layer, backward = "", False
    for line in lines:
        place = layer_of(line.step.group)
        if place and place != layer and not backward:
            found.append(f"# {comments['forward'].format(place)}")
            layer = place
        if layer and not backward and (line.step.name.startswith("d_") or not place):
            found.append(f"# {comments['backward']}")
            backward = True
        found.append(line.text)
    return found
