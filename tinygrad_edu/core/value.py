"""Value: a number or an array that remembers how it was computed.

The one thing to know: a Value refers to its parents, never to its children. So a graph is a chain of plain
references that `backward` walks from the result to the leaves, and that Python frees as soon as the result goes.
"""

from __future__ import annotations

import copy
import operator as op
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from tinygrad_edu import advice, core, ops
from tinygrad_edu.core.context import OBSERVED, Context, context, current, depth
from tinygrad_edu.core.data import KEPT, Data, as_data, as_result
from tinygrad_edu.ops.methods import Methods

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from tinygrad_edu.core.operation import Operation

Operand: TypeAlias = "Value | ArrayLike"

NO_PARAMS: Mapping[str, Any] = {}


def operators(name: str) -> tuple[Callable[[Any, Operand], Value], Callable[[Any, Operand], Value]]:
    """Of an operation the operator with a Value on its left, and the one with a Value on its right."""

    def left(self: Value, other: Operand) -> Value:
        return apply(getattr(ops, name), (self, other))

    def right(self: Value, other: Operand) -> Value:
        return apply(getattr(ops, name), (other, self))

    return left, right


def comparison(compare: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    return lambda self, other: compared(compare, self, other)


class Value(Methods):
    """A float or an array, its gradient, and the operation and parents that made it.

    Args:
        data: A number becomes a Python float, computed with `math`; anything array-like becomes an array, computed
            with numpy (float32 and float64 are kept, other real dtypes become float64). An array that already fits
            is not copied, and never written to.
        name: What pictures, reports and error messages call it.

    Attributes:
        data: The float or array.
        grad: None until a backward pass arrives; then the derivative of the output with respect to this value, with
            the kind and shape of `data` (a Value itself after `backward(create_graph=True)`). Leaves add up over
            passes until `zero_grad`; inner nodes are set anew by each pass.
        operation: The operation that made it, or None for a leaf.
        parents: The operation's inputs: Values, and plain numbers or arrays, which are constants and get no gradient.
        primals: The data of the parents when it was computed, which is what the gradient rule is given.
        params: The operation's other arguments, such as `axis`.
        group: The names of the groups (network, layer, neuron …) in which it was made, outermost first.

    Raises:
        TypeError: The data isn't real numbers.
        ValueError: The data is ragged, or has an integer that no float equals.

    >>> import tinygrad_edu as tg
    >>> x = tg.Value(3.0, name="x")
    >>> y = x * x + 1.0
    >>> y.backward()
    >>> y.data, x.grad
    (10.0, 6.0)
    """

    __pandas_priority__ = 10_000  # so that `series * value` asks the Value, whose error says what to write

    __slots__ = ("__weakref__", "_data", "grad", "group", "name", "operation", "params", "parents", "primals")
    _data: Data
    grad: Any
    name: str | None
    operation: Operation | None
    parents: tuple[Any, ...]
    primals: Sequence[Data]
    params: Mapping[str, Any]
    group: tuple[str, ...]

    def __init__(self, data: ArrayLike, name: str | None = None) -> None:
        if isinstance(data, Value):
            raise TypeError("data is a Value already; for a leaf with the same data use detach()")
        self._data = data if type(data) is float else advice.exact(data, as_data(data))
        self.grad = None
        self.name = name
        self.operation = None
        self.parents = ()
        self.primals = ()
        self.params = NO_PARAMS
        self.group = ()
        if OBSERVED[0] and (observer := current()[2]) is not None:
            observer.created(self)

    @property
    def data(self) -> Data:
        ask(self)
        return self._data

    @data.setter
    def data(self, data: ArrayLike) -> None:
        ask(self)
        self._data = Value(data)._data

    @property
    def shape(self) -> tuple[int, ...]:
        return () if isinstance(self._data, float) else self._data.shape

    @property
    def ndim(self) -> int:
        return 0 if isinstance(self._data, float) else self._data.ndim

    @property
    def size(self) -> int:
        return 1 if isinstance(self._data, float) else self._data.size

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(float) if isinstance(self._data, float) else self._data.dtype

    def item(self, *at: Any) -> float:
        """The one number in it, or the one at a place, as a Python float. Raises ValueError if there isn't just one."""
        data = np.asarray(self.data)
        if data.size != 1 and not at:
            raise ValueError(f"item() needs a single number, but the data has shape {self.shape}")
        return float(data.item(*at))

    def backward(self, seed: ArrayLike | Value | None = None, create_graph: bool = False) -> None:
        """Compute the gradient of this value with respect to every node it was made of, into their `grad`.

        Args:
            seed: The cotangent to start from, with the shape of this value; 1 where left out.
            create_graph: Record the pass itself, so that gradients are Values and can be differentiated again.

        Raises:
            ValueError: No seed for an array, or one of another shape. No gradient has changed then.
        """
        core.backward.backward(self, seed, create_graph)

    # Arithmetic: each operator is one operation, with the Value on the left or on the right; see ops/arithmetic.py.

    __add__, __radd__ = operators("add")
    __sub__, __rsub__ = operators("subtract")
    __mul__, __rmul__ = operators("multiply")
    __truediv__, __rtruediv__ = operators("divide")
    __floordiv__, __rfloordiv__ = operators("floor_divide")
    __mod__, __rmod__ = operators("remainder")
    __pow__, __rpow__ = operators("power")
    __matmul__, __rmatmul__ = operators("matmul")

    def __neg__(self) -> Value:
        return apply(ops.negative, (self,))

    def __pos__(self) -> Value:
        return self

    # Comparisons look at the data and give plain results. Identity is what hashes.

    __eq__, __ne__ = comparison(op.eq), comparison(op.ne)
    __lt__, __le__, __gt__, __ge__ = map(comparison, (op.lt, op.le, op.gt, op.ge))
    __and__, __rand__, __or__, __ror__ = map(comparison, (op.and_, op.and_, op.or_, op.or_))
    __hash__ = object.__hash__

    def __invert__(self) -> Any:
        return compared(op.invert, self, None)

    def zero_grad(self) -> None:
        """Forget the gradient."""
        self.grad = None

    def detach(self) -> Value:
        """A leaf with the same data and name: gradients stop there."""
        leaf = Value(self._data, self.name)
        if OBSERVED[0] and (observer := current()[2]) is not None:
            observer.copied(leaf, self)
        return leaf

    def __bool__(self) -> bool:
        return bool(self.data)

    # Taking a number out of the graph is refused, but where item(), data, tolist() or formatting say so.

    def __float__(self) -> float:
        raise advice.lost_gradient(self.data, "a float")

    def __int__(self) -> int:
        raise advice.lost_gradient(self.data, "an int")

    __index__ = __int__

    def __format__(self, spec: str) -> str:
        return format(self.data, spec) if spec else repr(self)

    # A copy of a leaf is independent of it; in a function that is being differentiated a copy is a node like any other.

    def __copy__(self) -> Value:
        return self.__deepcopy__({}) if self.operation is None else apply(ops.positive, (self,))

    def __deepcopy__(self, memo: dict[int, Any]) -> Value:
        if depth.get():
            return apply(ops.positive, (self,))
        value_from, (records,) = self.__reduce__()
        return value_from(copy.deepcopy(records, memo))  # type: ignore[no-any-return]

    def __reduce__(self) -> tuple[Any, ...]:
        return core.copying.value_from, (core.copying.records_of(advice.kept(self) if depth.get() else self),)

    def __repr__(self) -> str:
        shown = (
            self._data if isinstance(self._data, float) else np.array2string(self._data, separator=", ", threshold=20)
        )
        made = f", made by {self.operation.name}" if self.operation else ""
        name = f", name={self.name!r}" if self.name else ""
        return f"Value({shown}{name}{made})"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """In a notebook: the picture of the computation, or text where no `dot` program is there."""
        from tinygrad_edu.drawing import mimebundle

        return mimebundle(self)


def apply(
    operation: Operation,
    inputs: tuple[Any, ...],
    params: Mapping[str, Any] = NO_PARAMS,
    within: Context | None = None,
) -> Value:
    """Compute, then record: the result as a Value, or as plain data where no input is a Value.

    `within` is the context, for whoever knows it; else it is asked for.
    """
    data: list[Any] = []
    has_value = converted = False
    for x in inputs:
        if isinstance(x, Value):
            data.append(x._data)
            has_value = True
        elif type(x) is float:
            data.append(x)
        else:
            plain = x if type(x) is np.ndarray and x.dtype in KEPT else ops.joined(x, inputs)
            if isinstance(plain, Value):
                return apply(operation, tuple([ops.joined(x, inputs) for x in inputs]), params, within)
            plain = as_data(plain)
            data.append(plain)
            converted = converted or plain is not x
    try:
        out = operation.forward(*data, **params) if params else operation.forward(*data)
    except np.linalg.LinAlgError:
        raise
    except ValueError as error:
        shapes = " and ".join(str(np.shape(x)) for x in data)
        raise ValueError(f"{operation.name}: inputs of shape {shapes} don't fit: {error}") from error
    if not has_value:
        return out  # type: ignore[no-any-return]
    node = new_value(Value)
    kind = type(out)
    node._data = out if kind is float or (kind is np.ndarray and out.dtype in KEPT) else as_result(out, operation.name)
    node.grad = node.name = None
    recording, node.group, observer = within or around()
    if recording is None:
        recording, node.group, observer = current()
    if recording:
        if converted:
            inputs = tuple([x if isinstance(x, Value) else plain for x, plain in zip(inputs, data, strict=True)])
        node.operation, node.parents, node.primals, node.params = operation, inputs, data, params
    else:
        node.operation, node.parents, node.primals, node.params = None, (), (), NO_PARAMS
    if observer is not None:
        observer.made(node, operation, inputs, data, params)
    return node


new_value = Value.__new__  # a node skips Value's checks of what a user gave
around = context.get  # Python calls this faster than a method of something imported


def compared(compare: Callable[..., Any], a: Value, b: Any) -> Any:
    """A comparison by numbers, or what the observer makes of it."""
    observer = current()[2]
    if observer is not None and (found := observer.compared(compare, a, b)) is not NotImplemented:
        return found
    if compare is op.and_ or compare is op.or_:
        return NotImplemented
    if compare is op.invert:
        raise TypeError("~ is for the results of comparisons, which are booleans, and not for Values")
    return compare(a._data, data_of(b))


def ask(value: Value) -> None:
    """Tell the observer that numbers are read, or changed: it may refuse."""
    if (observer := current()[2]) is not None:
        observer.read(value)


def data_of(x: Any) -> Any:
    """The data of a Value, whose form the library asks for; anything else as it is."""
    return x._data if isinstance(x, Value) else x


def numbers_of(x: Any) -> Any:
    """The same where the numbers are read, so that the result depends on them without a gradient."""
    return x.data if isinstance(x, Value) else x
