"""Convolution and pooling for images in the order NCHW: batch, channels, height, width.

The one thing to know: a convolution is one matrix product, of the kernels and of all patches as columns (`patches`).
Its images lie in memory as channels, places, batch: numbers that are handled alike lie side by side.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.core.operation import Operation, operation
from tinygrad_edu.core.value import data_of
from tinygrad_edu.ops.entry import shape_of
from tinygrad_edu.ops.linear_algebra import matmul
from tinygrad_edu.ops.reduction import max, mean
from tinygrad_edu.ops.shaping import pad, reshape, transpose

Pair = int | tuple[int, int]

PLACES, IMAGES = (1, 2, 3, 0), (3, 0, 1, 2)
"""The axes of images with the batch last, and back."""


def conv2d(x: Any, weights: Any, bias: Any = None, stride: Pair = 1, padding: Pair = 0) -> Any:
    """out[n, o, i, j] = Σ x[n, c, i·stride + h, j·stride + w] · weights[o, c, h, w] + bias[o].

    Args:
        x: Images, shape (N, C, H, W).
        weights: Kernels, shape (O, C, h, w).
        bias: Shape (O,), or None.
        stride: How far the window moves; a pair for height and width.
        padding: Zeros added on each side; a pair for height and width.

    Raises:
        ValueError: Shapes that don't fit, or a kernel larger than the padded image.
    """
    check_dimensions(x, 4, "(N, C, H, W)", "conv2d")
    kernel = np.shape(data_of(weights))
    if len(kernel) != 4 or kernel[1] != x.shape[1]:
        raise ValueError(f"conv2d: weights must have shape (O, {x.shape[1]}, h, w), got {kernel}")
    x, steps = padded(x, kernel[2:], stride, padding, "conv2d")
    columns = patches(x, height=kernel[2], width=kernel[3], stride=steps)
    rows, across, n = shape_of(columns)[3:]
    size = kernel[1] * kernel[2] * kernel[3]
    flat = reshape(columns, shape=(size, rows * across * n))
    out = matmul(reshape(weights, shape=(kernel[0], size)), flat)
    out = out if bias is None else out + reshape(bias, shape=(-1, 1))
    return transpose(reshape(out, shape=(kernel[0], rows, across, n)), axes=IMAGES)


def conv1d(x: Any, weights: Any, bias: Any = None, stride: int = 1, padding: int = 0) -> Any:
    """out[n, o, i] = Σ x[n, c, i·stride + k] · weights[o, c, k] + bias[o].

    Args:
        x: Signals, shape (N, C, L).
        weights: Kernels, shape (O, C, l).
        bias: Shape (O,), or None.
        stride: How far the window moves.
        padding: Zeros added on both sides.

    Raises:
        ValueError: Shapes that don't fit, or a kernel longer than the padded signal.
    """
    check_dimensions(x, 3, "(N, C, L)", "conv1d")
    check_dimensions(weights, 3, "(O, C, l)", "conv1d")
    n, channels, length = shape_of(x)
    kernels, inputs, width = shape_of(weights)
    image = reshape(x, shape=(n, channels, 1, length))
    out = conv2d(image, reshape(weights, shape=(kernels, inputs, 1, width)), bias, (1, stride), (0, padding))
    return reshape(out, shape=(n, kernels, shape_of(out)[-1]))


def max_pool2d(x: Any, size: Pair, stride: Pair | None = None) -> Any:
    """The largest number of each window, a square or of the given height and width; ties share the gradient.

    Args:
        x: Images, shape (N, C, H, W).
        size: How high and wide the windows are.
        stride: How far apart they are; as far as they are high and wide where None.

    Raises:
        ValueError: x has another number of axes, or the windows don't fit into it.
    """
    return transpose(max(windows_of(x, size, stride, "max_pool2d"), axis=(1, 2)), axes=IMAGES)


def avg_pool2d(x: Any, size: Pair, stride: Pair | None = None) -> Any:
    """The mean of each window, a square or of the given height and width.

    Args:
        x: Images, shape (N, C, H, W).
        size: How high and wide the windows are.
        stride: How far apart they are; as far as they are high and wide where None.

    Raises:
        ValueError: x has another number of axes, or the windows don't fit into it.
    """
    return transpose(mean(windows_of(x, size, stride, "avg_pool2d"), axis=(1, 2)), axes=IMAGES)


average_pool2d = avg_pool2d


def _patches(x: Any, /, height: int, width: int, stride: tuple[int, int]) -> Any:
    """All height-by-width patches of images, as (C, height, width, rows, columns, N): the columns of the matrix
    that kernels are multiplied with. ∂ adds up where patches overlap.
    """
    n, channels, rows, columns = patched(x.shape, height, width, stride)
    out = np.empty((channels, height, width, rows, columns, n), x.dtype)
    places = np.ascontiguousarray(x.transpose(PLACES))
    for i, j, key in offsets_of(height, width, rows, columns, stride):
        out[:, i, j] = places[key]
    return out


def _add_patches(x: Any, /, height: int, width: int, stride: tuple[int, int], shape: tuple[int, ...]) -> Any:
    """Images of zeros with each patch added where it came from: the transpose of `patches`. ∂/∂x = patches(g)."""
    n, channels, rows, columns = patched(shape, height, width, stride)
    out = np.zeros((channels, *shape[2:], n), x.dtype)
    for i, j, key in offsets_of(height, width, rows, columns, stride):
        out[key] += x[:, i, j]
    return out.transpose(IMAGES)


def patched(shape: tuple[int, ...], height: int, width: int, stride: tuple[int, int]) -> tuple[int, int, int, int]:
    """How many images and channels there are, and how many patches one below and one beside the other."""
    n, channels, high, wide = shape
    return n, channels, (high - height) // stride[0] + 1, (wide - width) // stride[1] + 1


def offsets_of(height: int, width: int, rows: int, columns: int, stride: tuple[int, int]) -> Any:
    """For each place in a patch the key of what stands there in all patches."""
    for i in range(height):
        below = slice(i, i + (rows - 1) * stride[0] + 1, stride[0])
        for j in range(width):
            yield i, j, (slice(None), below, slice(j, j + (columns - 1) * stride[1] + 1, stride[1]))


patches: Operation = operation(
    _patches,
    (lambda g, out, x, **form: add_patches(g, **form, shape=shape_of(x)),),
    formula="∂patches(x) = patches(∂x)",
    shapes="(N, C, H, W) → (C, height, width, rows, columns, N)",
    analytic=True,
)
add_patches: Operation = operation(
    _add_patches,
    (lambda g, out, x, height, width, stride, shape: patches(g, height=height, width=width, stride=stride),),
    formula="the transpose of patches",
    shapes="(C, height, width, rows, columns, N) → (N, C, H, W)",
    analytic=True,
)


def padded(x: Any, size: tuple[int, ...], stride: Pair, padding: Pair, name: str) -> tuple[Any, tuple[int, int]]:
    """The images with zeros around them, and the strides, checked against windows of that size."""
    down, across = pair(stride)
    high, wide = pair(padding)
    if min(down, across) < 1 or min(high, wide) < 0:
        raise ValueError(f"{name}: stride must be at least 1 and padding at least 0, got {stride} and {padding}")
    if high or wide:
        x = pad(x, ((0, 0), (0, 0), (high, high), (wide, wide)))
    if min(size) < 1 or size[0] > x.shape[2] or size[1] > x.shape[3]:
        raise ValueError(f"{name}: windows of {size} don't fit into images of {x.shape[2:]}")
    return x, (down, across)


def windows_of(x: Any, size: Pair, stride: Pair | None, name: str) -> Any:
    check_dimensions(x, 4, "(N, C, H, W)", name)
    height, width = pair(size)
    x, steps = padded(x, (height, width), size if stride is None else stride, 0, name)
    return patches(x, height=height, width=width, stride=steps)


def pair(x: Pair) -> tuple[int, int]:
    return (x, x) if isinstance(x, (int, np.integer)) else (x[0], x[1])


def check_dimensions(x: Any, n: int, expected: str, name: str) -> None:
    shape = np.shape(data_of(x))
    if len(shape) != n:
        raise ValueError(f"{name}: {'x' if 'N' in expected else 'weights'} must have shape {expected}, got {shape}")
