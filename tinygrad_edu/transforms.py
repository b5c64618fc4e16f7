"""Functions of functions: gradients, Jacobians and Hessians of a function as functions, in reverse and forward mode.

The one thing to know: each call makes variables of its own from its arguments, and differentiates with respect to those
very nodes. So nested transforms can't take one another's variables for their own. A call inside another transform, or
with a Value among its arguments, records its derivatives, so that they can be differentiated in turn; any other call
gives plain numbers and arrays.

Forward mode comes from the same rules: a vjp is linear in its cotangent, so the transpose of the transpose, the vjp of
the vjp with respect to a placeholder cotangent, is the jvp. That keeps one rule for each operation.

Source: Griewank and Walther, Evaluating Derivatives (2nd ed.), chapter 3; for the transpose of the transpose,
J. Townsend, A new trick for calculating Jacobian vector products, 2017.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeAlias

import numpy as np

from tinygrad_edu import advice
from tinygrad_edu.core.backward import backward_order, cotangents, fit
from tinygrad_edu.core.context import Observer, current, depth, observing, recording
from tinygrad_edu.core.data import Data, as_data
from tinygrad_edu.core.operation import Operation, operation
from tinygrad_edu.core.value import Value, apply, data_of
from tinygrad_edu.graph import entries_of, order_between, pull_back
from tinygrad_edu.ops.shaping import array, check_own, has_value, reshape, stack
from tinygrad_edu.tree import leaves_of, mapped, rebuilt, same_structure

Function: TypeAlias = Callable[..., Any]
P = ParamSpec("P")
Argnum: TypeAlias = int | tuple[int, ...]


def grad(f: Callable[P, Any], argnum: Argnum = 0) -> Callable[P, Any]:
    """The gradient of `f`, a function of one number as result: ∂f/∂x for the argument `argnum`.

    Args:
        f: A function of numbers, arrays, and nested tuples, lists and dicts of them, that gives one number.
        argnum: Which argument, or a tuple of several, for which a tuple comes back.

    Returns:
        A function of the same arguments that gives the gradient in the structure of the argument.

    Raises:
        TypeError: When called: there is no such argument. ValueError: the result isn't one number.

    >>> import tinygrad_edu as tg
    >>> tg.grad(lambda x: x**3)(2.0)
    12.0
    >>> tg.grad(tg.grad(lambda x: x**3))(2.0)
    12.0
    >>> tg.grad(lambda p: p["w"] * p["x"])({"w": 2.0, "x": 5.0})
    {'w': 5.0, 'x': 2.0}
    """

    check(f, "grad", argnum)
    both = value_and_grad(f, argnum)

    @wraps(f)
    def gradient(*args: Any, **options: Any) -> Any:
        return both(*args, **options)[1]

    return gradient


def value_and_grad(f: Callable[P, Any], argnum: Argnum = 0) -> Callable[P, tuple[Any, Any]]:
    """As `grad`, with the result of `f`: a function that gives the pair of both.

    >>> import tinygrad_edu as tg
    >>> tg.value_and_grad(lambda x: x**3)(2.0)
    (8.0, 12.0)
    """

    check(f, "value_and_grad", argnum)

    @wraps(f)
    def both(*args: Any, **options: Any) -> tuple[Any, Any]:
        with Trace(args, argnum) as trace:
            out = f(*trace.args, **options)
            out = out if isinstance(out, Value) else the_result("grad", out)
        if out.size != 1:
            raise ValueError(
                f"grad needs a function of one number as result, got shape {out.shape}; "
                "for arrays there are jacobian, vjp and elementwise_grad"
            )
        return trace.result(out), trace.cotangents([out], [1.0 if type(out._data) is float else np.ones(out.shape)])

    return both


def the_result(transform: str, out: Any) -> Value:
    """What a function gave as one Value: a number or an array, of Values too, or a list of Values."""
    if isinstance(out, (list, tuple, dict)):
        raise ValueError(f"{transform} needs a function with one array as result, got a {type(out).__name__}")
    if out is None:
        raise TypeError(f"{transform} needs a function with a result, but it gave None: does its `return` miss?")
    if np.asarray(data_of(out)).dtype.kind == "b":
        raise TypeError(f"{transform} needs a function of numbers, but it gave {out}: a truth has no derivative")
    return results_of(out)[0]


def results_of(out: Any) -> list[Value]:
    """The leaves of what a function gave as Values: numbers become floats, and arrays of Values are joined."""
    return [as_value(leaf) for leaf in leaves_of(out)]


def as_value(leaf: Any) -> Value:
    joined = array(leaf) if has_value(leaf) else leaf
    return joined if isinstance(joined, Value) else Value(joined)


def elementwise_grad(f: Callable[P, Any], argnum: Argnum = 0) -> Callable[P, Any]:
    """The gradient of Σ f(x): for an elementwise f the derivative at each entry.

    >>> import numpy as np
    >>> import tinygrad_edu as tg
    >>> tg.elementwise_grad(np.square)(np.array([1.0, 2.0, 3.0]))
    array([2., 4., 6.])
    """

    check(f, "elementwise_grad", argnum)

    @wraps(f)
    def derivative(*args: Any, **options: Any) -> Any:
        with Trace(args, argnum) as trace:
            outputs = results_of(f(*trace.args, **options))
        return trace.cotangents(outputs, [np.ones_like(out._data) for out in outputs])

    return derivative


def vjp(f: Function, *primals: Any) -> tuple[Any, Function]:
    """f(*primals), and the function that pulls a cotangent of the result back: one cotangent for each primal, a tuple.

    >>> import tinygrad_edu as tg
    >>> out, pullback = tg.vjp(lambda x, y: x * y, 2.0, 5.0)
    >>> out, pullback(1.0)
    (10.0, (5.0, 2.0))
    """
    check(f, "vjp")
    with Trace(primals, tuple(range(len(primals)))) as trace:
        out = f(*trace.args)
        outputs = results_of(out)

    def pullback(cotangent: Any) -> Any:
        if not same_structure(out, cotangent):
            raise ValueError("vjp: the cotangent hasn't the structure of the result")
        return trace.cotangents(outputs, leaves_of(cotangent))

    return rebuilt(out, map(trace.result, outputs)), pullback


def jvp(f: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """f(*primals), and the change of the result along `tangents`, one for each primal: forward mode.

    >>> import tinygrad_edu as tg
    >>> tg.jvp(lambda x, y: x * y, (2.0, 5.0), (1.0, 0.0))
    (10.0, 5.0)
    """
    check(f, "jvp")
    for name, given in (("primals", primals), ("tangents", tangents)):
        if not isinstance(given, (tuple, list)):
            raise TypeError(f"jvp: {name} must be a tuple with one for each argument of f, got {given!r}")
    out, push_forward = linearize(f, *primals)
    return out, push_forward(*tangents)


def linearize(f: Function, *primals: Any) -> tuple[Any, Function]:
    """f(*primals), and its linear approximation there: a function from tangents, one for each primal, to changes of f.

    `f` runs once; the approximation can be called many times.

    >>> import tinygrad_edu as tg
    >>> out, push_forward = tg.linearize(lambda x: x**2, 3.0)
    >>> out, push_forward(1.0), push_forward(0.5)
    (9.0, 6.0, 3.0)
    """
    check(f, "linearize")
    with Trace(primals, tuple(range(len(primals)))) as trace:
        out = f(*trace.args)
        outputs = results_of(out)
        placeholders = [Value(np.zeros_like(o._data) if o.ndim else 0.0) for o in outputs]
        pulled = trace.pull_back(outputs, placeholders, nested=True)
    order = order_between(pulled, placeholders, independent=True)

    def push_forward(*tangents: Any) -> Any:
        if not same_structure(tuple(primals), tangents):
            raise ValueError("the tangents haven't the structure of the primals")
        given = leaves_of(tangents)
        for x, t in zip(trace.variables, given, strict=True):
            if np.shape(data_of(t)) != x.shape:
                raise ValueError(f"a tangent has shape {np.shape(data_of(t))}, but its primal has shape {x.shape}")
        nested = trace.nested or any_values(given)
        seeds = [as_seed(t, p._data, nested) for p, t in zip(pulled, given, strict=True)]
        changes = pull_back(pulled, seeds, placeholders, nested, order)
        return rebuilt(out, iter(changes))

    return rebuilt(out, map(trace.result, outputs)), push_forward


def jacobian(f: Callable[P, Any], argnum: Argnum = 0) -> Callable[P, Any]:
    """The derivatives of all results with respect to all inputs: shape (*shape of f, *shape of x), for each leaf of x.

    Row by row in reverse mode or, where there are fewer inputs than results, column by column in forward mode.

    >>> import numpy as np
    >>> import tinygrad_edu as tg
    >>> tg.jacobian(lambda x: np.array([[1.0, 2.0], [3.0, 4.0]]) @ x)(np.zeros(2))
    array([[1., 2.],
           [3., 4.]])
    """

    check(f, "jacobian", argnum)

    @wraps(f)
    def derivative(*args: Any, **options: Any) -> Any:
        with Trace(args, argnum) as trace:
            out = the_result("jacobian", f(*trace.args, **options))
            n_inputs = sum(x.size for x in trace.variables)
            parts = jacobian_rows(trace, out) if out.size <= n_inputs else jacobian_columns(trace, out)
        return trace.in_structure(parts)

    return derivative


def jacobian_rows(trace: Trace, out: Value) -> list[Any]:
    """In reverse mode: for each entry of the result the cotangents of all inputs."""
    order = order_between([out], trace.variables, independent=True)
    wanted = {*order, *trace.variables}
    rows = []
    for seed in unit_arrays(out._data):
        table = cotangents([out], [Value(seed) if trace.nested else seed], trace.nested, order, wanted)
        rows.append(entries_of(table, trace.variables, trace.nested))
    return [
        joined([row[i] for row in rows], 0, (*out.shape, *x.shape), trace.nested) for i, x in enumerate(trace.variables)
    ]


def jacobian_columns(trace: Trace, out: Value) -> list[Any]:
    """In forward mode: for each entry of an input the change of all results."""
    placeholder = Value(np.zeros_like(out._data) if out.ndim else 0.0)
    parts = []
    for x, pulled in zip(trace.variables, trace.pull_back([out], [placeholder], nested=True), strict=True):
        order = order_between([pulled], [placeholder], independent=True)
        columns = []
        for tangent in unit_arrays(x._data):
            tangent = Value(tangent) if trace.nested else tangent
            columns += pull_back([pulled], [tangent], [placeholder], trace.nested, order)
        parts.append(joined(columns, -1, (*out.shape, *x.shape), trace.nested))
    return parts


def unit_arrays(x: Data) -> Iterator[Any]:
    """For each entry of x an array of its shape that is 1 there and 0 elsewhere."""
    if isinstance(x, float):
        yield 1.0
        return
    for index in np.ndindex(x.shape):
        unit = np.zeros_like(x)
        unit[index] = 1.0
        yield unit


def joined(parts: list[Any], axis: int, shape: tuple[int, ...], nested: bool) -> Any:
    """Parts stacked along an axis, as an array of the given shape; a float where that is ()."""
    if shape == ():
        return parts[0]
    if nested:
        return reshape(stack(parts, axis=axis), shape=shape) if parts else Value(np.zeros(shape))
    return np.stack(parts, axis=axis).reshape(shape) if parts else np.zeros(shape)


def hessian(f: Callable[P, Any], argnum: int = 0) -> Callable[P, Any]:
    """The second derivatives of a function of one number as result: shape (*shape of x, *shape of x).

    >>> import numpy as np
    >>> import tinygrad_edu as tg
    >>> tg.hessian(lambda x: x[0] ** 2 * x[1])(np.array([1.0, 3.0]))
    array([[6., 2.],
           [2., 0.]])
    """
    check(f, "hessian", argnum)
    second = jacobian(grad(f, argnum), argnum)

    @wraps(f)
    def derivative(*args: Any, **options: Any) -> Any:
        (place,) = places_of(argnum, len(args))
        if isinstance(args[place], (list, tuple, dict)):
            raise ValueError(
                f"hessian needs a number or an array, got a {type(args[place]).__name__}: write np.array([…])"
            )
        return second(*args, **options)

    return derivative


def hessian_vector_product(f: Function, argnum: int = 0) -> Function:
    """A function of f's arguments and a vector v, shaped as x, that gives ∂²f/∂x² · v without making the Hessian.

    >>> import numpy as np
    >>> import tinygrad_edu as tg
    >>> tg.hessian_vector_product(lambda x: x[0] ** 2 * x[1])(np.array([1.0, 3.0]), np.array([1.0, 0.0]))
    array([6., 2.])
    """
    check(f, "hessian_vector_product", argnum)
    gradient = grad(f, argnum)

    @wraps(f)
    def product(*args: Any, **options: Any) -> Any:
        *args_of_f, v = args
        (place,) = places_of(argnum, len(args_of_f))

        def along(x: Any) -> Any:
            return gradient(*args_of_f[:place], x, *args_of_f[place + 1 :], **options)

        return jvp(along, (args_of_f[place],), (v,))[1]

    return product


def checkpoint(f: Function) -> Function:
    """`f` again, but its intermediate results are not kept: the backward pass computes them once more. Memory for time.

    Values that `f` reads from outside, such as weights that it closes over, get their gradients too.

    Args:
        f: A function of numbers and arrays with one number or array as result.

    Raises:
        RuntimeError: In the backward pass: a Value that `f` reads from outside has other data than in the forward pass.

    >>> import tinygrad_edu as tg
    >>> x = tg.Value(0.5)
    >>> y = tg.checkpoint(lambda x: tg.exp(tg.sin(x)))(x)
    >>> y.backward()
    >>> y.parents == (x,), round(x.grad, 6)
    (True, 1.417424)
    """
    check(f, "checkpoint")
    name = getattr(f, "__name__", "checkpoint").strip("<>")

    @wraps(f)
    def checkpointed(*inputs: Any) -> Any:
        recorded, _, observer = current()
        if observer is not None and observer.differentiates:
            raise TypeError("a checkpoint can't be compiled, whose source has a plan of its memory: call the function")
        if not recorded or observer is not None:
            return f(*inputs)
        made = MadeNodes()
        with observing(made):
            given = [Value(data_of(x)) for x in inputs]
            out = the_result("checkpoint", f(*given))
        outside = made.read_from_outside(out, given)
        first = [out._data]

        def forward(*data: Any) -> Any:
            if first:
                return first.pop()
            with recording(False):
                return data_of(f(*map(Value, data[: len(given)])))

        def rule(g: Any, out: Any, *inputs: Any) -> Any:
            of_f, read = inputs[: len(given)], inputs[len(given) :]
            for value, before in zip(outside, read, strict=True):
                if not isinstance(before, Value) and before is not value._data:
                    raise RuntimeError(f"{name}: {value!r} has other data than in the forward pass of the checkpoint")
            with Trace(of_f, tuple(range(len(given)))) as trace:
                again = the_result("checkpoint", f(*trace.args))
            if not same_numbers(data_of(out), again._data):
                raise RuntimeError(
                    f"{name}: computed again it gives another result: it draws, counts, or reads what changed"
                )
            trace.variables += outside
            trace.nested = isinstance(g, Value)
            return trace.pull_back([again], [g], trace.nested)

        once_more = operation(forward, rule, name=name, formula="computed again")
        return apply(once_more, (*inputs, *outside))

    return checkpointed


def same_numbers(x: Any, y: Any) -> bool:
    return np.shape(x) == np.shape(y) and bool(np.array_equal(x, y, equal_nan=True))


class MadeNodes(Observer):
    """Notes the nodes that are made, to tell them from those that a function reads from outside."""

    def __init__(self) -> None:
        self.nodes: set[Value] = set()

    def made(self, node: Value, *how: Any) -> None:
        self.nodes.add(node)

    def read_from_outside(self, out: Value, given: list[Value]) -> list[Value]:
        """What `out` was made of, but neither here nor of what was given."""
        inside = {*self.nodes, *given}
        found = {out: None} if out not in inside else {}
        for node in backward_order([out], [*found]):
            if node in inside:
                found |= {x: None for x in node.parents if isinstance(x, Value) and x not in inside}
        return [*found]


def custom_gradient(f: Function) -> Operation:
    """Decorator for a function that brings its own gradient rule: it returns its result and the rule.

    The rule takes the cotangent of the result, and returns that of the input, or a tuple with one for each input.

    >>> import tinygrad_edu as tg
    >>> @tg.custom_gradient
    ... def clipped_gradient(x):
    ...     return x, lambda g: tg.clip(g, -1.0, 1.0)
    >>> tg.grad(lambda x: 100.0 * clipped_gradient(x))(2.0)
    1.0
    """

    check(f, "custom_gradient")

    def forward(*inputs: Any) -> Any:
        return f(*inputs)[0]

    def rule(g: Any, out: Any, *inputs: Any) -> Any:
        cotangents = f(*inputs)[1](g)
        return cotangents if isinstance(cotangents, (tuple, list)) else (cotangents,)

    forward.__doc__, forward.__module__ = f.__doc__, f.__module__  # it is the user's, and may read anything
    return operation(forward, rule, name=getattr(f, "__name__", "custom").strip("<>"), formula="a rule of its own")


def stop_gradient(tree: Any) -> Any:
    """The same numbers, as constants: no gradient flows through. In nested structures, of each leaf.

    >>> import tinygrad_edu as tg
    >>> tg.grad(lambda x: x * tg.stop_gradient(x))(3.0)
    3.0
    """
    return mapped(lambda x: x.detach() if isinstance(x, Value) else x, tree)


def _variable(x: Any, /) -> Any:
    """x itself, as a new node: what a transform differentiates with respect to. ∂/∂x = 1."""
    return x


variable = operation(
    _variable, lambda g, out, x: (g,), name="variable", symbol="x", formula="∂x = ∂x", prints="+{0}", analytic=True
)


class Trace:
    """One call of a transformed function: its arguments, with variables in place of those it is differentiated by.

    Within `with` the function runs recorded, also inside `no_grad`.
    """

    def __init__(self, args: Sequence[Any], argnum: Argnum) -> None:
        self.single = not isinstance(argnum, (tuple, list))
        numbers = places_of(argnum, len(args))
        self.args = list(args)
        self.chosen = [args[i] for i in numbers]
        self.variables: list[Value] = []
        for i in numbers:
            self.args[i] = mapped(self.make_variable, args[i])
        others = [arg for i, arg in enumerate(args) if i not in numbers]
        self.nested = (
            depth.get() > 0
            or any(x.operation is not None for x in self.variables)
            or (bool(others) and any_values(leaves_of(others)))
        )

    def make_variable(self, leaf: Any) -> Value:
        if isinstance(leaf, Value):
            with recording(True):
                made: Value = apply(variable, (leaf,))
        else:
            check_own(leaf, "as an argument")
            made = Value(leaf)
        self.variables.append(made)
        return made

    def __enter__(self) -> Trace:
        self.token = depth.set(depth.get() + 1)
        self.recorded = recording(True)
        self.recorded.__enter__()
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self.recorded.__exit__()
        depth.reset(self.token)
        if error is not None and (lost := advice.behind(error)) is not None:
            raise lost.with_traceback(error.__traceback__) from None

    def result(self, out: Value) -> Any:
        """What the caller gets of a result: a Value where it may be differentiated in turn, else plain data."""
        return out if self.nested else out._data

    def cotangents(self, outputs: Sequence[Value], seeds: Sequence[Any]) -> Any:
        """The cotangents of the variables, in the structure of the arguments."""
        nested = self.nested or any_values(seeds)
        fitted = [as_seed(seed, out._data, nested) for out, seed in zip(outputs, seeds, strict=True)]
        if not nested:
            return self.in_structure(self.pull_back(outputs, fitted, nested))
        with recording(True):
            return self.in_structure(self.pull_back(outputs, fitted, nested))

    def pull_back(self, outputs: Sequence[Value], seeds: Sequence[Any], nested: bool) -> list[Any]:
        """The cotangents of the variables."""
        order = order_between(outputs, self.variables, independent=True)
        return pull_back(outputs, seeds, self.variables, nested, order)

    def in_structure(self, leaves: Sequence[Any]) -> Any:
        parts = iter(leaves)
        trees = tuple([rebuilt(chosen, parts) for chosen in self.chosen])
        return trees[0] if self.single else trees


def check(f: Any, transform: str, argnum: Argnum = 0) -> None:
    """Raise TypeError unless a transform is given a function, and places of arguments."""
    advice.check_function(f, transform)
    for i in argnum if isinstance(argnum, (tuple, list)) else (argnum,):
        if not isinstance(i, (int, np.integer)):
            raise TypeError(
                f"argnum must be a whole number, or several, got {i!r}: arguments come in a call of their own, "
                f"tg.{transform}(f)(x)"
            )


def places_of(argnum: Argnum, n_args: int) -> list[int]:
    """The places of the arguments that `argnum` names, counted from the front. Raises as the transforms do."""
    numbers = argnum if isinstance(argnum, (tuple, list)) else (argnum,)
    places = []
    for i in numbers:
        place = operator.index(i)
        if not -n_args <= place < n_args:
            raise TypeError(f"argnum is {i}, but there are {n_args} positional arguments, counted from 0")
        places.append(place % n_args)
    if len(set(places)) < len(places):
        raise ValueError(f"argnum is {argnum}, which names an argument twice")
    return places


def as_seed(seed: Any, data: Any, nested: bool) -> Any:
    """A cotangent or tangent of the kind and dtype of the data it belongs to. Raises ValueError for another shape."""
    given = seed._data if isinstance(seed, Value) else as_data(seed)
    if type(given) is type(data) is np.ndarray and given.dtype == data.dtype and given.shape == data.shape:
        return seed if isinstance(seed, Value) or not nested else Value(given)
    if np.shape(given) != np.shape(data):
        raise ValueError(f"a cotangent has shape {np.shape(given)}, but the result has shape {np.shape(data)}")
    if nested and isinstance(seed, Value):
        return seed if type(given) is type(data) else fit(seed, data, "seed", True)
    plain = float(given) if isinstance(data, float) else np.asarray(given, dtype=data.dtype)
    return Value(plain) if nested else plain


def any_values(leaves: Sequence[Any]) -> bool:
    return any(isinstance(x, Value) for x in leaves)
