"""The methods of a Value: numpy's, and those that users of other engines know, such as `v.tanh()` and `v.relu()`.

The one thing to know: a method is the function of its name, `tg.std(v)` as `v.std()`; what it does stands there. What
has numpy's arguments beyond the library's is called as numpy's function is.
"""

from __future__ import annotations

import operator as op
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tinygrad_edu import advice, ops
from tinygrad_edu.core.context import depth

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from tinygrad_edu.core.value import Operand, Value

Axes = int | tuple[int, ...] | None


def call(name: str, value: Any, *args: Any, **options: Any) -> Value:
    """The function of that name on a Value."""
    result: Value = getattr(ops, name)(value, *args, **options)
    return result


def numpys(name: str, value: Any, *args: Any, **options: Any) -> Value:
    """numpy's function of that name on a Value, with all of numpy's arguments, by position too."""
    from tinygrad_edu.ops import numpy_protocol  # which is built on Value

    given = {k: v for k, v in options.items() if v is not None}
    result: Value = numpy_protocol.called(getattr(ops, name), name, (value, *args), given, getattr(np, name))
    return result


def elementwise(name: str) -> Callable[[Any], Value]:
    """A method without arguments, from the function of its name."""

    def method(self: Any) -> Value:
        return call(name, self)

    method.__name__ = name
    method.__qualname__ = f"Methods.{name}"
    method.__doc__ = f"`tg.{name}` of it, elementwise."
    return method


def in_place(operator: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The operator with `=`, which gives the name on its left a new Value: refused where another name would tell."""

    def method(self: Any, other: Any) -> Any:
        result = operator(self, other)
        if self.ndim and depth.get():
            advice.refuse_second_name(self)
        return result

    return method


def refused(name: str, instead: str) -> property:
    """A method that there isn't, and what to write in its place."""

    def refuse(self: Any) -> Any:
        raise AttributeError(f"a Value has no .{name}(…), which would change it in place: use {instead}, a new one")

    return property(refuse, doc=f"There isn't one: use {instead}, a new Value.")


class Methods:
    """What `Value` inherits: each method is the function of its name."""

    __slots__ = ()

    exp, exp2, expm1 = elementwise("exp"), elementwise("exp2"), elementwise("expm1")
    log, log2, log10, log1p = elementwise("log"), elementwise("log2"), elementwise("log10"), elementwise("log1p")
    sqrt, cbrt, square, reciprocal = map(elementwise, ("sqrt", "cbrt", "square", "reciprocal"))
    sin, cos, tan, sinh, cosh, tanh = map(elementwise, ("sin", "cos", "tan", "sinh", "cosh", "tanh"))
    arcsin, arccos, arctan = elementwise("arcsin"), elementwise("arccos"), elementwise("arctan")
    arcsinh, arccosh, arctanh = elementwise("arcsinh"), elementwise("arccosh"), elementwise("arctanh")
    floor, ceil, rint, trunc, sign = map(elementwise, ("floor", "ceil", "rint", "trunc", "sign"))
    deg2rad, rad2deg, degrees, radians = map(elementwise, ("deg2rad", "rad2deg", "degrees", "radians"))
    sigmoid, relu, softplus, silu, gelu = map(elementwise, ("sigmoid", "relu", "softplus", "silu", "gelu"))
    abs, conj, conjugate = map(elementwise, ("abs", "conj", "conjugate"))

    def copy(self, order: str = "C") -> Value:
        """A Value with the same numbers, through which the gradient flows."""
        return call("copy", self)

    def leaky_relu(self, slope: float = 0.01) -> Value:
        """x where it is above 0, else slope·x."""
        return call("leaky_relu", self, slope=slope)

    def elu(self, alpha: float = 1.0) -> Value:
        """x where it is above 0, else α·(eˣ - 1)."""
        return call("elu", self, alpha=alpha)

    def softmax(self, axis: int = -1) -> Value:
        """eˣⁱ / Σₖ eˣᵏ along an axis."""
        return call("softmax", self, axis=axis)

    def log_softmax(self, axis: int = -1) -> Value:
        """The logarithm of the softmax along an axis."""
        return call("log_softmax", self, axis=axis)

    def logsumexp(self, axis: Axes = None, keepdims: bool = False) -> Value:
        """log Σ eˣⁱ over the axes, without overflow."""
        return call("logsumexp", self, axis=axis, keepdims=keepdims)

    # Reductions.

    def sum(
        self,
        axis: Axes = None,
        dtype: DTypeLike | None = None,
        out: None = None,
        keepdims: bool = False,
        initial: Any = None,
        where: Any = True,
    ) -> Value:
        """The sum over the axes, all where None."""
        if dtype is out is initial is None and where is True:
            return call("sum", self, axis=axis, keepdims=keepdims)
        return numpys("sum", self, axis, dtype, out, keepdims, initial, where)

    def mean(
        self, axis: Axes = None, dtype: DTypeLike | None = None, out: None = None, keepdims: bool = False
    ) -> Value:
        """The mean over the axes, all where None."""
        if dtype is out is None:
            return call("mean", self, axis=axis, keepdims=keepdims)
        return numpys("mean", self, axis, dtype, out, keepdims)

    def prod(
        self,
        axis: Axes = None,
        dtype: DTypeLike | None = None,
        out: None = None,
        keepdims: bool = False,
        initial: Any = None,
        where: Any = True,
    ) -> Value:
        """The product over the axes, all where None."""
        if dtype is out is initial is None and where is True:
            return call("prod", self, axis=axis, keepdims=keepdims)
        return numpys("prod", self, axis, dtype, out, keepdims, initial, where)

    def max(
        self, axis: Axes = None, out: None = None, keepdims: bool = False, initial: Any = None, where: Any = True
    ) -> Value:
        """The largest over the axes, all where None; ties share the gradient."""
        if out is initial is None and where is True:
            return call("max", self, axis=axis, keepdims=keepdims)
        return numpys("max", self, axis, out, keepdims, initial, where)

    def min(
        self, axis: Axes = None, out: None = None, keepdims: bool = False, initial: Any = None, where: Any = True
    ) -> Value:
        """The smallest over the axes, all where None; ties share the gradient."""
        if out is initial is None and where is True:
            return call("min", self, axis=axis, keepdims=keepdims)
        return numpys("min", self, axis, out, keepdims, initial, where)

    def ptp(self, axis: Axes = None, out: None = None, keepdims: bool = False) -> Value:
        """The largest less the smallest over the axes."""
        return numpys("ptp", self, axis, out, keepdims)

    def var(
        self, axis: Axes = None, dtype: DTypeLike | None = None, out: None = None, ddof: int = 0, keepdims: bool = False
    ) -> Value:
        """The variance over the axes: Σ(xᵢ - mean)² / (n - ddof)."""
        if dtype is out is None:
            return call("var", self, axis=axis, ddof=ddof, keepdims=keepdims)
        return numpys("var", self, axis, dtype, out, ddof, keepdims)

    def std(
        self, axis: Axes = None, dtype: DTypeLike | None = None, out: None = None, ddof: int = 0, keepdims: bool = False
    ) -> Value:
        """The standard deviation over the axes: √var."""
        if dtype is out is None:
            return call("std", self, axis=axis, ddof=ddof, keepdims=keepdims)
        return numpys("std", self, axis, dtype, out, ddof, keepdims)

    def cumsum(self, axis: int | None = None, dtype: DTypeLike | None = None, out: None = None) -> Value:
        """Running sums along an axis, over all numbers in order where None."""
        return numpys("cumsum", self, axis, dtype, out)

    def cumprod(self, axis: int | None = None, dtype: DTypeLike | None = None, out: None = None) -> Value:
        """Running products along an axis, over all numbers in order where None."""
        return numpys("cumprod", self, axis, dtype, out)

    def __getitem__(self: Any, key: Any) -> Value:
        return call("entries", self, key)

    def __setitem__(self: Any, key: Any, value: Any) -> None:
        raise advice.in_place(mask=isinstance(key, np.ndarray) and key.dtype.kind == "b" and key.shape == self.shape)

    def __len__(self: Any) -> int:
        if self.ndim == 0:
            raise TypeError("a Value of shape () has no length")
        return self.shape[0]  # type: ignore[no-any-return]

    def __iter__(self: Any) -> Iterator[Value]:
        if self.ndim == 0:
            raise TypeError("a Value of shape () cannot be iterated over")
        return (self[i] for i in range(len(self)))

    # numpy's functions come here when they are given a Value.

    def __array_ufunc__(self, function: Any, method: str, *inputs: Any, **options: Any) -> Any:
        from tinygrad_edu.ops import numpy_protocol  # which is built on Value

        return numpy_protocol.ufunc(function, method, inputs, options)

    def __array_function__(self, function: Any, types: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        from tinygrad_edu.ops import numpy_protocol

        return numpy_protocol.function(function, args, options)

    # Python's functions.

    __iadd__, __isub__, __imul__, __itruediv__ = map(in_place, (op.add, op.sub, op.mul, op.truediv))
    __ifloordiv__, __imod__, __ipow__, __imatmul__ = map(in_place, (op.floordiv, op.mod, op.pow, op.matmul))

    def as_integer_ratio(self: Any) -> Any:
        """Refused, as `float(v)` is: modules of Python's ask for it. Raises TypeError that says what to write."""
        raise advice.lost_gradient(self.data, "a fraction")

    def __abs__(self) -> Value:
        return call("absolute", self)

    def __round__(self, decimals: int = 0) -> Value:
        return call("round", self, decimals=decimals)

    def __divmod__(self: Any, other: Operand) -> tuple[Value, Value]:
        return self // other, self % other

    def __rdivmod__(self, other: Operand) -> tuple[Value, Value]:
        return call("floor_divide", other, self), call("remainder", other, self)

    # Shape.

    @property
    def T(self) -> Value:  # noqa: N802 - numpy's name
        """The axes in reverse order."""
        return call("transpose", self)

    @property
    def mT(self) -> Value:  # noqa: N802 - numpy's name
        """The last two axes exchanged."""
        return call("matrix_transpose", self)

    @property
    def real(self) -> Value:
        """Itself: data is real."""
        return call("real", self)

    @property
    def imag(self) -> Value:
        """Zeros: data is real."""
        return call("imag", self)

    def transpose(self, *axes: Any) -> Value:
        """The axes in another order, reversed where none are named: `v.transpose(1, 0)` or `v.transpose((1, 0))`."""
        return call("transpose", self, axes=spread_out(axes))

    def reshape(self, *shape: Any, order: Literal["C", "F", "A"] = "C", copy: bool | None = None) -> Value:
        """The same numbers in another shape: `v.reshape(2, 3)` or `v.reshape((2, 3))`."""
        to = shape[0] if len(shape) == 1 else shape
        return call("reshape", self, to) if order == "C" else call("reshape_in_order", self, to, order)

    def ravel(self, order: Literal["C", "F", "A", "K"] = "C") -> Value:
        """All numbers in one row, the last index moving fastest or, for "F", the first; "K": as in memory."""
        return call("ravel", self, order)

    def flatten(self, order: Literal["C", "F", "A", "K"] = "C") -> Value:
        """The same as `ravel`."""
        return call("ravel", self, order)

    def squeeze(self, axis: Axes = None) -> Value:
        """Without axes of length 1, all or those named."""
        return call("squeeze", self, axis=axis)

    def swapaxes(self, axis1: int, axis2: int) -> Value:
        """Two axes exchanged."""
        return call("swapaxes", self, axis1, axis2)

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Value:
        """The entries on a diagonal."""
        return call("diagonal", self, offset=offset, axis1=axis1, axis2=axis2)

    def trace(
        self, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: DTypeLike | None = None, out: None = None
    ) -> Value:
        """The sum of a diagonal."""
        return numpys("trace", self, offset, axis1, axis2, dtype, out)

    def repeat(self, repeats: Any, axis: int | None = None) -> Value:
        """Each entry repeated."""
        return call("repeat", self, repeats=repeats, axis=axis)

    def take(self, indices: Any, axis: int | None = None, out: None = None, mode: str = "raise") -> Value:
        """The entries at `indices` along an axis, of all numbers in order where None."""
        return call("take", self, indices, axis, mode) if out is None else numpys("take", self, indices, axis, out)

    def compress(self, condition: Any, axis: int | None = None, out: None = None) -> Value:
        """The entries along an axis at which the condition holds."""
        return (
            call("compress", condition, self, axis) if out is None else numpys("compress", condition, self, axis, out)
        )

    def sort(
        self, axis: int | None = -1, kind: str | None = None, order: None = None, *, stable: bool | None = None
    ) -> Value:
        """A Value with the numbers in ascending order; unlike an array, a Value isn't changed in place.

        Raises:
            TypeError: The result isn't used: `v.sort()` as a statement changes nothing.
        """
        if advice.result_is_dropped():
            raise TypeError("a Value can't be sorted in place, so that v.sort() alone does nothing: write v = v.sort()")
        return numpys("sort", self, axis, kind, order)

    def dot(self, other: Operand, out: None = None) -> Value:
        """Of vectors the inner product, of matrices `@`, with a scalar the product."""
        return call("dot", self, other) if out is None else numpys("dot", self, other, out=out)

    def clip(self, min: Any = None, max: Any = None, out: None = None) -> Value:
        """No less than min and no more than max."""
        return call("clip", self, min, max) if out is None else numpys("clip", self, min, max, out)

    def round(self, decimals: int = 0, out: None = None) -> Value:
        """Rounded to so many decimals; the derivative is 0."""
        return numpys("round", self, decimals, out)

    def astype(
        self, dtype: DTypeLike, order: str = "K", casting: str = "unsafe", subok: bool = True, copy: bool = True
    ) -> Value:
        """With numbers of another float dtype. Raises TypeError for a dtype that isn't float."""
        return call("astype", self, dtype=dtype)

    @property
    def flat(self) -> Value:
        """All numbers in one row, to index and to go through."""
        return call("ravel", self)

    # Plain results: positions, and what is true. They have no gradient.

    def argmax(self, axis: int | None = None, out: Any = None, *, keepdims: bool = False) -> Any:
        """The position of the largest along an axis: plain whole numbers."""
        return call("argmax", self, axis=axis, out=out, keepdims=keepdims)

    def argmin(self, axis: int | None = None, out: Any = None, *, keepdims: bool = False) -> Any:
        """The position of the smallest along an axis: plain whole numbers."""
        return call("argmin", self, axis=axis, out=out, keepdims=keepdims)

    def argsort(self, axis: int | None = -1, kind: Any = None, order: None = None, *, stable: Any = None) -> Any:
        """The positions in the order that sorts: plain whole numbers."""
        return call("argsort", self, axis=axis, kind=kind, order=order, stable=stable)

    def argpartition(self, kth: Any, axis: int | None = -1, kind: Any = "introselect") -> Any:
        """The positions in the order that parts at kth: plain whole numbers."""
        return call("argpartition", self, kth, axis=axis, kind=kind)

    def searchsorted(self, v: Any, side: Literal["left", "right"] = "left", sorter: Any = None) -> Any:
        """Where numbers would be inserted to keep the order: plain whole numbers."""
        return call("searchsorted", self, v, side=side, sorter=sorter)

    def nonzero(self) -> Any:
        """The positions of what isn't 0: plain whole numbers."""
        return call("nonzero", self)

    def any(self, axis: Axes = None, out: Any = None, keepdims: bool = False, **options: Any) -> Any:
        """Whether any isn't 0: plain booleans."""
        return call("any", self, axis=axis, out=out, keepdims=keepdims, **options)

    def all(self, axis: Axes = None, out: Any = None, keepdims: bool = False, **options: Any) -> Any:
        """Whether none is 0: plain booleans."""
        return call("all", self, axis=axis, out=out, keepdims=keepdims, **options)

    def tolist(self) -> Any:
        """The numbers as a float, or nested lists of floats, without a gradient."""
        data = self.data
        return data if isinstance(data, float) else data.tolist()

    if TYPE_CHECKING:

        @property
        def data(self) -> Any: ...

    # What would change a Value in place. A `__getattr__` could say this of any name, and would slow every attribute.

    fill, itemset = refused("fill", "tg.full_like(v, number)"), refused("itemset", "tg.where(mask, new, v)")
    partition, put = refused("partition", "tg.partition(v, kth)"), refused("put", "tg.where(mask, new, v)")
    resize, setfield = refused("resize", "tg.reshape(v, shape)"), refused("setfield", "tg.where(mask, new, v)")


for _name, _method in vars(Methods).items():
    if hasattr(_method, "__qualname__"):
        _method.__qualname__ = f"Value.{_name}"  # as errors are to name it


def spread_out(axes: tuple[Any, ...]) -> Any:
    """Axes that were named one by one, or in a tuple, or not at all."""
    if len(axes) == 1 and not isinstance(axes[0], (int, np.integer)):
        return None if axes[0] is None else tuple(axes[0])
    return axes or None
