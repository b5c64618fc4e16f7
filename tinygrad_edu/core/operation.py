"""Operation: one entry with everything that is known of it, and the act of applying it: compute, then record.

The one thing to know: forward and rule are written for floats and arrays, in the library's own functions. Given Values,
the same rule records itself; that is how derivatives of any order come about.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, overload

from tinygrad_edu.arguments import arguments_of
from tinygrad_edu.core.value import Operand, Value, apply

Rule: TypeAlias = Callable[..., Any]
Rules: TypeAlias = "tuple[Rule | None, ...] | Callable[..., Sequence[Any]]"


class Operation:
    """An operation: a function of numbers and arrays, and its gradient rule.

    Calling it with Values gives a Value that remembers this operation and its inputs; with plain numbers or arrays
    only, it gives the plain result.

    The inputs that get gradients are `forward`'s positional-only arguments (those before a `/`) or, where it has
    none, its arguments without a default; the others are parameters, handed to forward and rule alike.

    Attributes:
        name: What messages and reports call it.
        symbol: What a picture shows.
        formula: The derivative as a person would write it.
        forward: `forward(*inputs, **params)` on floats and arrays.
        shapes: The shapes of its inputs and of its result.
        analytic: Whether `forward` may be given complex numbers, and is then the analytic continuation. A gradient
            check by complex steps needs that; it can't be seen from outside (|x| takes them too), so you say it.
        prints: How compiled source writes it: a template such as "1.0 / (1.0 + exp(-{0}))", in which functions are
            `math`'s for floats and numpy's for arrays; or a function of places (texts such as "{0}", with the `data`
            that stood there when the call was recorded, and whether that is `fixed`) and parameters that gives one.
            None: it is called by name.
        rules: For each input its rule, `rule(g, out, *inputs, **params)`, which gives the input's cotangent, or None
            where there is none; a rule that is None stands for an input without a gradient. Where inputs share their
            work or have no fixed number, one rule that gives a sequence with a cotangent for each; if it has an
            argument `wanted`, that is a list of booleans, one for each input, and it may give None where False.
            Broadcasting is no concern of a rule: the backward walk sums a cotangent to its input's shape.

    Raises:
        ValueError: There are not as many rules as `forward` has inputs.

    >>> import tinygrad_edu as tg
    >>> area = tg.operation(lambda a, b: a * b, (lambda g, out, a, b: g * b, lambda g, out, a, b: g * a), name="area")
    >>> a, b = tg.Value(2.0), tg.Value(5.0)
    >>> area(a, b).backward()
    >>> a.grad, b.grad
    (5.0, 2.0)
    """

    def __init__(
        self,
        forward: Callable[..., Any],
        rules: Rules,
        *,
        name: str | None = None,
        symbol: str | None = None,
        formula: str = "",
        shapes: str = "",
        analytic: bool = False,
        prints: str | Callable[..., str | None] | None = None,
    ) -> None:
        self.forward = forward
        self.rules = rules
        self.name = self.__name__ = name or forward.__name__.strip("_<>")
        self.symbol = symbol or self.__name__
        self.formula = formula
        self.shapes = shapes
        self.analytic = analytic
        self.prints = prints
        self.__doc__ = f"{(forward.__doc__ or '').rstrip()}\n\n    Shapes: {shapes}" if shapes else forward.__doc__
        self.__wrapped__ = forward  # where `inspect` and `help` find the arguments
        self.argument_names, self.n_inputs = arguments_of(forward)
        self.takes_wanted = not isinstance(rules, tuple) and "wanted" in arguments_of(rules)[0]
        if isinstance(rules, tuple) and len(rules) != self.n_inputs:
            raise ValueError(f"{self.name}: {len(rules)} rules for {count_of(self.n_inputs)}")

    @overload
    def __call__(self, first: Value, /, *inputs: Operand, **params: Any) -> Value: ...
    @overload
    def __call__(self, first: Operand, second: Value, /, *inputs: Operand, **params: Any) -> Value: ...
    @overload
    def __call__(self, /, *inputs: Any, **params: Any) -> Any: ...

    def __call__(self, /, *inputs: Any, **params: Any) -> Any:
        if len(inputs) > self.n_inputs:
            inputs, params = self.split_params(inputs, params)
        return apply(self, inputs, params)

    def vjp(self, g: Any, out: Any, *inputs: Any, **params: Any) -> Sequence[Any]:
        """The cotangents of all inputs from that of the result; None where an input has none."""
        return self.cotangents(g, out, inputs, params, [True] * len(inputs))

    def cotangents(
        self, g: Any, out: Any, inputs: Sequence[Any], params: Mapping[str, Any], wanted: Sequence[bool]
    ) -> Sequence[Any]:
        """The same, where only those `wanted` need to be computed."""
        if isinstance(self.rules, tuple):
            asked = zip(self.rules, wanted, strict=True)
            return [rule(g, out, *inputs, **params) if rule and is_asked else None for rule, is_asked in asked]
        if self.takes_wanted and False in wanted:
            params = {**params, "wanted": wanted}
        found = self.rules(g, out, *inputs, **params)
        if not isinstance(found, (tuple, list)):
            raise TypeError(
                f"{self.name}: the rule gave a {type(found).__name__}, but one rule for all inputs gives a tuple, such "
                "as (g * 2.0,); or give each input a rule of its own: operation(forward, (rule,))"
            )
        if len(found) != len(inputs):
            raise ValueError(f"{self.name}: the rule gave {len(found)} cotangents for {len(inputs)} inputs")
        return found

    def split_params(self, args: tuple[Any, ...], params: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Give positional arguments beyond the inputs the names that `forward` has for them, as in `sum(x, 0)`."""
        names = self.argument_names[self.n_inputs : len(args)]
        extra = args[self.n_inputs :]
        if len(names) < len(extra) or params.keys() & set(names):
            takes = ", ".join(self.argument_names) or f"{self.n_inputs} inputs"
            raise TypeError(f"{self.name}({takes}) got {len(args)} positional arguments and {sorted(params)}")
        return args[: self.n_inputs], {**dict(zip(names, extra, strict=True)), **params}

    def __reduce__(self) -> str:
        """Pickled by the name that it has in a module of its package, as a function is."""
        package = str(self.forward.__module__).partition(".")[0]
        modules = [name for name in sys.modules if name.partition(".")[0] == package]
        for module, name in [(place, name) for place in modules for name in vars(sys.modules[place])]:
            if vars(sys.modules[module])[name] is self:
                self.__module__ = module
                return name
        raise TypeError(f"{self.name} can't be pickled: {package} has no name for it; assign the operation to one")

    def __deepcopy__(self, memo: Any) -> Operation:
        return self  # as of a function, there is no second one

    def __repr__(self) -> str:
        return f"<operation {self.name}>"


operation = Operation
"""The class by the name that reads best where one is made: `cube = tg.operation(…)`."""


def count_of(n_inputs: int) -> str:
    return "any number of inputs" if n_inputs == sys.maxsize else f"{n_inputs} inputs"
