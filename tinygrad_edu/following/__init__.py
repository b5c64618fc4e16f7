"""Plain numpy code that changes arrays in place, made differentiable."""

from tinygrad_edu.following.function import follow

__all__ = ["follow"]
