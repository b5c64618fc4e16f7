"""Parameters of layer objects and models, and where their gradients are after a backward pass.

The one thing to know: a varied parameter is put in by copying the object, with the new array in place of the old one
wherever that is referred to. So `self.W` and `self.params[0]` stay one array.
"""

from __future__ import annotations

import copy
import dis
import inspect
from collections.abc import Callable, Iterator, Sequence
from types import FunctionType
from typing import Any

import numpy as np

from tinygrad_edu.core.value import data_of
from tinygrad_edu.gradient_check.returned import Claims
from tinygrad_edu.gradient_check.search.recording import GENERATED
from tinygrad_edu.gradient_check.signatures import PREFIXES, SUFFIXES, is_gradient_of, stands_for

CONTAINERS = ("params", "parameters", "weights", "weight", "theta", "p")
GRADIENTS = ("grads", "gradients", "dparams", "grad", "g", "d", "weight_grads", "weight_update", "dweights")
Getter = Callable[[Any], Any]


class Parameters:
    """The parameters of a layer: those whose gradients are found after a backward pass.

    Attributes:
        given: By name, the arrays as the layer has them.
        returned: Whether `backward` returns their gradients after those of the inputs.
        without_gradient: The names of the layer's other float arrays.
    """

    def __init__(self, layer: Any, after: Any, returned: Any, n_inputs: int) -> None:
        self.layer = layer
        found = list(candidates(layer))
        getters = {name: gradient_getter(after, name, k) for k, (name, _) in enumerate(found)}
        required = {name for name, _ in found if is_declared(layer, name)}
        self.given = {name: x for name, x in found if getters[name] or name in required}
        self.getters = [getters[name] for name in self.given]
        self.without_gradient = [name for name, _ in found if name not in self.given]
        n = len(returned) if isinstance(returned, (tuple, list)) else 1
        self.returned = False
        if n > n_inputs and (not self.given or not any(self.getters)):
            self.given = dict(found[: n - n_inputs])
            self.getters, self.returned = [None] * len(self.given), True
            self.without_gradient = [name for name, _ in found if name not in self.given]
        self.n_inputs = n_inputs

    def copy_with(self, values: Sequence[Any] | None) -> Any:
        """A copy of the layer with these parameters; of its own where None."""
        return copy_with(self.layer, self.given.values(), values)

    def gradients(self, layer: Any, returned: Any) -> list[Any]:
        """The gradient of each parameter after a backward pass, as copies; None where there is none."""
        if self.returned:
            return [copy.deepcopy(g) for g in returned[self.n_inputs :]]
        return [None if get is None else copy.deepcopy(get(layer)) for get in self.getters]


def copy_with(thing: Any, arrays: Any, values: Sequence[Any] | None) -> Any:
    if values is None:
        return copy.deepcopy(thing)
    return copy.deepcopy(thing, {id(x): value for x, value in zip(arrays, values, strict=True)})


def kept_as(layer: Any, names: Sequence[str]) -> str:
    """The attribute among these names in which a layer keeps what it doesn't return; "" for none."""
    return next((name for name in names if getattr(layer, name, None) is not None), "")


def as_function(thing: Any, method: str, given: dict[str, Any], n_args: int, kept: str = "") -> Callable[..., Any]:
    """The method of a copy of the object as a function of its arguments and then of these parameters.

    Its result is what the method returns, or what it keeps in the attribute `kept`.

    Its source is made of assignments such as `thing.W = inputs[1]`, so that it can be followed like the user's own.
    """
    lines = ["def call(*inputs):"]
    for k, x in enumerate(given.values()):
        lines += [f"    {target} = inputs[{n_args + k}]" for target in places_of(thing, x)]
    lines += [f"    result = thing.{method}(*inputs[:{n_args}])", f"    return {f'thing.{kept}' if kept else 'result'}"]
    source = "\n".join(lines)
    names: dict[str, Any] = {"thing": copy.deepcopy(thing)}
    exec(compile(source, GENERATED, "exec"), names)
    return names["call"]  # type: ignore[no-any-return]


def places_of(thing: Any, x: Any) -> Iterator[str]:
    """Every place in an object that holds this array, as code."""
    for name, part in vars(thing).items():
        if part is x:
            yield f"thing.{name}"
        held = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
        below = [(f"thing.{name}[{key!r}]", one) for key, one in held]
        for place, one in [(f"thing.{name}", part), *below]:
            if one is x and place != f"thing.{name}":
                yield place
            for attribute in ("data", "value"):
                if not isinstance(one, np.ndarray) and getattr(one, attribute, None) is x:
                    yield f"{place}.{attribute}"


def candidates(layer: Any) -> Iterator[tuple[str, Any]]:
    """The float arrays that an object holds: as attributes, in `params`, or in parameter objects; each once."""
    seen: set[int] = set()
    for name, part in list(getattr(layer, "__dict__", {}).items()):
        for below, x in arrays_in(name, part):
            if id(x) not in seen and not looks_like_gradient(below, layer):
                seen.add(id(x))
                yield below, x


def arrays_in(name: str, part: Any) -> Iterator[tuple[str, Any]]:
    if is_float_array(part):
        yield name, part
    elif name in CONTAINERS and isinstance(part, (dict, list, tuple)):
        for key, x in part.items() if isinstance(part, dict) else enumerate(part):
            below = key if isinstance(key, str) else f"{name}[{key}]"
            yield from ((below, x) for x in [parameter_data(x)] if x is not None)
    elif not isinstance(part, (dict, list, tuple)) and hasattr(part, "grad") and parameter_data(part) is not None:
        yield name, parameter_data(part)


def is_float_array(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.dtype.kind == "f"


def parameter_data(x: Any) -> Any:
    """The array of a parameter object, or the array itself; None for anything else."""
    for name in ("data", "value"):
        if not isinstance(x, np.ndarray) and is_float_array(getattr(x, name, None)):
            return getattr(x, name)
    return x if is_float_array(x) else None


def looks_like_gradient(name: str, layer: Any) -> bool:
    """Whether a name is that of another attribute's gradient, such as dW beside W."""
    others = [other for other in vars(layer) if other != name]
    return any(stands_for(name, other) or name in by_initial(layer, other) for other in others)


def by_initial(layer: Any, name: str) -> list[str]:
    """What a gradient is called after a parameter's first letter, as dw and w_grad for weights.

    Nothing where another array of the layer begins with that letter too.
    """
    letter = name[:1].lower()
    rivals = [other for other, x in vars(layer).items() if is_float_array(x) and other[:1].lower() == letter]
    own = [other for other in rivals if not other.lower().endswith("grad")]
    if own != [name]:
        return []
    return [f"{p}{c}" for c in (letter, letter.upper()) for p in PREFIXES] + [f"{letter}{s}" for s in SUFFIXES]


def is_declared(layer: Any, name: str) -> bool:
    """Whether a parameter stands in `params`, so that its gradient has to be there."""
    for container in CONTAINERS:
        held = getattr(layer, container, None)
        if (isinstance(held, dict) and name in held) or name.startswith(f"{container}["):
            return True
    return False


def gradient_getter(layer: Any, name: str, k: int) -> Getter | None:
    """Where an object keeps a parameter's gradient after a backward pass."""
    spellings = [*(f"{p}{name}" for p in PREFIXES), *(f"{name}{s}" for s in SUFFIXES), f"D{name}", f"delta_{name}"]
    short = [s for s in by_initial(layer, name) if np.shape(getattr(layer, s, 0.0)) == np.shape(getattr(layer, name))]
    for spelled in [*spellings, *short]:
        if getattr(layer, spelled, None) is not None:
            return lambda after, spelled=spelled: getattr(after, spelled)  # type: ignore[misc]
    for container in GRADIENTS:
        held = getattr(layer, container, None)
        if isinstance(held, dict):
            for key in [name, *spellings]:
                if key in held:
                    return lambda after, container=container, key=key: getattr(after, container)[key]  # type: ignore[misc]
        position = int(name.partition("[")[2][:-1]) if "[" in name else k
        if isinstance(held, (list, tuple)) and position < len(held):
            return lambda after, container=container, at=position: getattr(after, container)[at]  # type: ignore[misc]
    part = getattr(layer, name.partition("[")[0], None)
    if "[" in name and isinstance(part, (list, tuple)):
        part = part[int(name.partition("[")[2][:-1])]
    if part is not None and not isinstance(part, (np.ndarray, dict, list)) and hasattr(part, "grad"):
        return lambda after, name=name: owner(after, name).grad  # type: ignore[misc]
    return None


def owner(layer: Any, name: str) -> Any:
    part = getattr(layer, name.partition("[")[0])
    return part[int(name.partition("[")[2][:-1])] if "[" in name else part


class Model:
    """A model whose method gives a loss with a dict of gradients of its parameters."""

    def __init__(self, model: Any, given: dict[str, Any]) -> None:
        self.model, self.given = model, given

    def method(self, function: Callable[..., Any], leaves: Sequence[Any]) -> Callable[..., Any]:
        """The method of a copy of the model with these parameters."""
        changed = copy_with(self.model, self.given.values(), leaves)
        return getattr(changed, function.__name__)  # type: ignore[no-any-return]

    def as_function(self, function: Callable[..., Any], args: Sequence[Any]) -> tuple[Any, list[Any], list[int]]:
        """The method as a function of its arguments and of the parameters, with both, and which are varied."""
        inputs = [*map(copy.deepcopy, args), *self.given.values()]
        call = as_function(self.model, function.__name__, self.given, len(args))
        return call, inputs, list(range(len(args), len(inputs)))

    def claims(self, gradients: Any) -> Claims:
        names = list(self.given)
        claims = Claims(names, [gradients.get(key_for(gradients, name)) for name in names])
        for name in names:
            if key_for(gradients, name) is None:
                claims.say("keys", "missing part", [name], key=repr(name), got=", ".join(map(repr, gradients)))
        return claims


class Globals:
    """Arrays of a module that a loss reads by name, and returns the gradients of: dWxh for the module's Wxh.

    They are varied in place, and put back, so that whatever else holds them sees the same numbers.
    """

    def __init__(self, given: dict[str, Any], positions: Sequence[int]) -> None:
        self.given, self.positions = given, positions

    def method(self, function: Callable[..., Any], leaves: Sequence[Any]) -> Callable[..., Any]:
        """The function with these numbers in the module's arrays."""
        call = self.varied(function, 0)
        return lambda *args: call(*leaves, *args)

    def as_function(self, function: Callable[..., Any], args: Sequence[Any]) -> tuple[Any, list[Any], list[int]]:
        """The function of its arguments and of the module's arrays, with both, and which are varied."""
        inputs = [*map(copy.deepcopy, args), *(x.copy() for x in self.given.values())]
        return self.varied(function, len(args)), inputs, list(range(len(args), len(inputs)))

    def varied(self, function: Callable[..., Any], n_args: int) -> Callable[..., Any]:
        """With n_args, of the arguments and then the arrays; else of the arrays and then the arguments."""
        n = len(self.given)
        of_args = f":{n_args}" if n_args else f"{n}:"
        lines = ["def call(*inputs):", "    kept = [x.copy() for x in arrays]", "    try:"]
        lines += [f"        arrays[{k}][...] = inputs[{n_args + k}]" for k in range(n)]
        lines += [f"        return function(*inputs[{of_args}])", "    finally:"]
        lines += [f"        arrays[{k}][...] = kept[{k}]" for k in range(n)]
        names: dict[str, Any] = {"function": function, "arrays": list(self.given.values())}
        exec(compile("\n".join(lines), GENERATED, "exec"), names)
        return names["call"]  # type: ignore[no-any-return]

    def claims(self, gradients: Any) -> Claims:
        parts = list(gradients.values()) if isinstance(gradients, dict) else gradients
        parts = list(parts) if isinstance(parts, (tuple, list)) else [parts]
        return Claims(list(self.given), [parts[k] for k in self.positions])


def globals_of(function: Any, gradients: Any, returned: Sequence[str], arguments: Sequence[str]) -> Globals | None:
    """The arrays of a function's module whose gradients it returns, where it returns those of no argument."""
    names = list(map(str, gradients)) if isinstance(gradients, dict) else list(returned)
    n = len(gradients) if isinstance(gradients, (tuple, list, dict)) else 1
    if len(names) != n or any(is_gradient_of(g, name) for g in names for name in arguments):
        return None
    own = inspect.unwrap(function)
    own = getattr(own, "__func__", own)
    if not isinstance(own, FunctionType):
        return None
    read = {step.argval for step in dis.get_instructions(own) if step.opname == "LOAD_GLOBAL"}
    arrays = {name: x for name, x in own.__globals__.items() if name in read and is_float_array(x)}
    owners = [next((name for name in arrays if is_gradient_of(g, name)), None) for g in names]
    given = {name: arrays[name] for name in owners if name is not None}
    positions = [k for k, name in enumerate(owners) if name is not None]
    return Globals(given, positions) if given and len(given) == len(positions) else None


def key_for(gradients: dict[str, Any], name: str) -> str | None:
    return name if name in gradients else next((key for key in gradients if stands_for(key, name)), None)


def parameters_of(model: Any, gradients: Any) -> Model | None:
    """The parameters of the model that a method is bound to, where its gradients are a dict of theirs."""
    if model is None or not isinstance(gradients, dict) or not hasattr(model, "__dict__"):
        return None
    given = {name: data_of(x) for name, x in candidates(model)}
    matched = {name: x for name, x in given.items() if key_for(gradients, name) is not None or is_declared(model, name)}
    return Model(model, matched) if matched else None
