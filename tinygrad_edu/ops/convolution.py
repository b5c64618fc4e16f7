"""Convolution and pooling for images in the order NCHW: batch, channels, height, width.

The one thing to know: all of it is sliding windows, and then a sum of products, a maximum or a mean over each window.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.core.value import data_of
from tinygrad_edu.ops.indexing import sliding_windows
from tinygrad_edu.ops.linear_algebra import einsum
from tinygrad_edu.ops.reduction import max, mean
from tinygrad_edu.ops.shaping import pad, reshape


def conv2d(x: Any, weights: Any, bias: Any = None, stride: int = 1, padding: int = 0) -> Any:
    """out[n, o, i, j] = Σ x[n, c, i·stride + h, j·stride + w] · weights[o, c, h, w] + bias[o].

    Args:
        x: Images, shape (N, C, H, W).
        weights: Kernels, shape (O, C, h, w).
        bias: Shape (O,), or None.
        stride: How far the window moves.
        padding: Zeros added on each side.

    Raises:
        ValueError: Shapes that don't fit, or a kernel larger than the padded image.
    """
    check_images(x, "conv2d")
    kernel = np.shape(data_of(weights))
    if len(kernel) != 4 or kernel[1] != x.shape[1]:
        raise ValueError(f"conv2d: weights must have shape (O, {x.shape[1]}, h, w), got {kernel}")
    windows = windows_of(x, kernel[2:], stride, padding, "conv2d")
    out = einsum("ncijhw,ochw->noij", windows, weights)
    return out if bias is None else out + reshape(bias, shape=(1, -1, 1, 1))


def max_pool2d(x: Any, size: int, stride: int | None = None) -> Any:
    """The largest number of each size-by-size window, the windows `stride` apart (as far as they are wide)."""
    check_images(x, "max_pool2d")
    return max(windows_of(x, (size, size), stride or size, 0, "max_pool2d"), axis=(-2, -1))


def average_pool2d(x: Any, size: int, stride: int | None = None) -> Any:
    """The mean of each size-by-size window, the windows `stride` apart (as far as they are wide)."""
    check_images(x, "average_pool2d")
    return mean(windows_of(x, (size, size), stride or size, 0, "average_pool2d"), axis=(-2, -1))


def windows_of(x: Any, size: tuple[int, ...], stride: int, padding: int, name: str) -> Any:
    if stride < 1 or padding < 0:
        raise ValueError(f"{name}: stride must be at least 1 and padding at least 0, got {stride} and {padding}")
    if padding:
        x = pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    if min(size) < 1 or size[0] > x.shape[2] or size[1] > x.shape[3]:
        raise ValueError(f"{name}: windows of {size} don't fit into images of {x.shape[2:]}")
    return sliding_windows(x, height=size[0], width=size[1], stride=stride)


def check_images(x: Any, name: str) -> None:
    shape = np.shape(data_of(x))
    if len(shape) != 4:
        raise ValueError(f"{name}: x must have shape (N, C, H, W), got {shape}")
