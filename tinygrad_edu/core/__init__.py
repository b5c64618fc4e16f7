"""The whole idea: values that remember how they were computed, operations with their rules, and the backward walk.

Read `value.py`, `operation.py` and `backward.py`, in this order. Value's operators and methods call the operations and
the walk, which are built on Value: that circle is the recursion of differentiation itself, and the library's only one.
"""

from tinygrad_edu.core import backward, context, copying, operation, value

__all__ = ["backward", "context", "copying", "operation", "value"]
