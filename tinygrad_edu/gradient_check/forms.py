"""The forms in which courses write forward and backward passes, each as leaves, outputs and returned gradients.

The one thing to know: every form becomes the same thing, a `Form`: numbers and arrays to be varied ("leaves"), a
function from them to outputs, and one from cotangents of the outputs to the gradients that the user's code claims.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np

from tinygrad_edu.core.data import Array, Data
from tinygrad_edu.core.value import data_of
from tinygrad_edu.gradient_check.check import one_number
from tinygrad_edu.gradient_check.layer_objects import (
    Globals,
    Model,
    Parameters,
    as_function,
    globals_of,
    kept_as,
    parameters_of,
)
from tinygrad_edu.gradient_check.plain_data import (
    as_data_tree,
    as_output,
    cast,
    changes,
    copied,
    float_arrays,
    is_float,
    named_leaves,
)
from tinygrad_edu.gradient_check.returned import Claims, as_numbers, by_names, described
from tinygrad_edu.gradient_check.search.recording import GENERATED
from tinygrad_edu.gradient_check.signatures import (
    argument_names,
    call_of_backward,
    is_gradient_of,
    may_be_a_gradient,
    needs_no_dout,
    returned_names,
    stands_for,
)
from tinygrad_edu.tree import rebuilt

Wrt: TypeAlias = int | str | Sequence[int | str] | None
OUTPUTS = ("output", "out", "outputs", "y", "a")
INPUT_GRADIENTS = ("dinputs", "dinput", "dx", "dX", "grad_input", "input_grad")
"""Where layers keep a result that they don't return."""
DOUTS = 3
"""How many random cotangents a backward pass is checked with."""
SEED = 6133
"""Of these cotangents; data are often drawn with 0 or 1, and what is checked must not be one of its own inputs."""


FormT = TypeVar("FormT", bound="Form")


class WrtError(ValueError):
    """Nothing is chosen to be differentiated, or what there isn't."""


class Leaf(NamedTuple):
    """One number or array that is varied: its name, and its data as given."""

    name: str
    given: Data


class Run(NamedTuple):
    """What one pass there and back gave: the gradients as they were returned, and notes on what was changed."""

    returned: Any
    changed: Sequence[tuple[str, str, str]]


class Explained(NamedTuple):
    """What a search for the wrong line is given: the user's forward code, its arguments, and which are varied.

    Of its `results` the outputs begin at `first`; the others are a cache, or the gradients of a loss.
    """

    function: Callable[..., Any]
    args: list[Any]
    wanted: list[int]
    results: int = 1
    first: int = 0

    def cotangents(self, douts: Sequence[Any]) -> list[Any]:
        """The cotangent of each result; None for what is no output."""
        after = self.results - self.first - len(douts)
        return [*[None] * self.first, *douts, *[None] * after]


class Form:
    """What is checked; `outputs` and `run` are each form's own."""

    who = "the backward pass"
    masks: Sequence[str] = ()
    constants: Sequence[str] = ()
    beside: Sequence[str] = ()
    leaves: list[Leaf]
    arguments: Arguments
    shapes: Sequence[Array]
    dout: Any = None
    n_out = 1
    without_dout = False
    explained: Explained | None = None

    def split(self, result: Any) -> tuple[list[Array], Any]:
        """The outputs among what the forward pass gave, and its cache."""
        if not isinstance(result, (tuple, list)):
            return [as_output(result)], None
        rest = result[self.n_out :]
        return [as_output(out) for out in result[: self.n_out]], rest[-1] if rest else None

    def call_backward(self, backward: Callable[..., Any], douts: list[Any], result: Any, args: list[Any]) -> Any:
        """Call the backward pass with what it takes, after a forward pass with this result."""
        has_cache = isinstance(result, (tuple, list)) and len(result) > self.n_out
        given = [] if self.without_dout else douts
        return call_of_backward(backward, given, self.split(result)[1], args, self.arguments.names, has_cache)

    def find_outputs(self, result: Any, forward: Callable[..., Any], backward: Callable[..., Any]) -> None:
        """Tell the outputs from the cache, and whether it is a loss whose backward pass needs no cotangent."""
        self.n_out = outputs_in(result, forward, backward)
        self.shapes = [np.asarray(out) for out in self.split(result)[0]]
        has_cache = isinstance(result, (tuple, list)) and len(result) > self.n_out
        if self.dout is None and [out.shape for out in self.shapes] == [()]:
            self.without_dout = needs_no_dout(backward, self.arguments.names, has_cache)

    def douts(self) -> list[list[Any]]:
        """The cotangents of the outputs, for each backward pass that is made."""
        return [[1.0]] if self.without_dout else cotangents(self.shapes, self.dout)

    def outputs(self, leaves: Sequence[Any]) -> list[Array]:
        """The outputs for these leaves, which are copies that may be changed."""
        raise NotImplementedError

    def run(self, douts: Sequence[Any]) -> Run:
        """The gradients that the user's code gives for these cotangents."""
        raise NotImplementedError

    def claims(self, returned: Any) -> Claims:
        """The returned gradients, matched with the leaves."""
        raise NotImplementedError

    def in_double(self) -> Form | None:
        """The same with float64 in place of float32; None where parameters are a model's own."""
        return None


class Arguments:
    """A function's positional arguments, and which of them are varied; of a dict it may be some `entries`."""

    def __init__(
        self,
        function: Callable[..., Any],
        args: Sequence[Any],
        chosen: Sequence[int],
        entries: dict[int, list[Any]] | None = None,
    ) -> None:
        self.names = argument_names(function, len(args))
        self.args, self.chosen = list(args), sorted({*chosen, *(entries or {})})
        parts = {i: {key: args[i][key] for key in keys} for i, keys in (entries or {}).items()}
        self.given = {i: as_data_tree(parts.get(i, args[i]), self.names[i]) for i in self.chosen}
        self.beside = {i: {k: x for k, x in args[i].items() if k not in keys} for i, keys in (entries or {}).items()}
        paths = [pair for i in self.chosen for pair in named_leaves(self.given[i], self.names[i])]
        self.leaves = [Leaf(name, leaf) for name, leaf in paths]

    def with_leaves(self, leaves: Sequence[Any]) -> list[Any]:
        """The arguments with these leaves; everything else is copied."""
        parts = iter(leaves)
        args = []
        for i, x in enumerate(self.args):
            own = rebuilt(self.given[i], parts) if i in self.given else copied(x)
            args.append({**copied(x), **own} if isinstance(x, dict) and i in self.given else own)
        return args

    def alone(self, function: Callable[..., Any]) -> tuple[Callable[..., Any], list[Any]]:
        """A function whose dicts hold the varied entries alone, and its arguments; the others are put in by itself."""
        args, beside = self.fresh(), {i: rest for i, rest in self.beside.items() if rest}
        if not beside:
            return function, args
        merged = [f"{{**beside[{i}], **inputs[{i}]}}" if i in beside else f"inputs[{i}]" for i in range(len(args))]
        names: dict[str, Any] = {"function": function, "beside": beside}
        exec(compile(f"def call(*inputs):\n    return function({', '.join(merged)})", GENERATED, "exec"), names)
        names["call"].__wrapped__ = function
        alone = [{k: v for k, v in x.items() if k not in beside[i]} if i in beside else x for i, x in enumerate(args)]
        return names["call"], alone

    def in_double(self) -> Arguments:
        """The same arguments with float64 in place of float32."""
        other = copy.copy(self)
        other.leaves = [Leaf(name, x if isinstance(x, float) else x.astype(np.float64)) for name, x in self.leaves]
        return other

    def fresh(self) -> list[Any]:
        """The arguments as given, all of them copies."""
        return self.with_leaves([x if isinstance(x, float) else x.copy() for _, x in self.leaves])


class PairForm(Form):
    """`forward(*args) -> out, cache` and `backward(dout, cache) -> gradients`."""

    def __init__(
        self, forward: Callable[..., Any], backward: Callable[..., Any], args: Sequence[Any], wrt: Wrt, dout: Any
    ) -> None:
        self.forward, self.backward, self.dout = forward, backward, dout
        names = argument_names(forward, len(args))
        chosen = chosen_by(wrt, names) if wrt is not None else float_arrays(args)
        if not chosen:
            raise WrtError(nothing_chosen(args, names))
        self.arguments = Arguments(forward, args, chosen)
        first = forward(*self.arguments.fresh())
        self.find_outputs(first, forward, backward)
        if wrt is None:
            self.fit_to_what_is_returned()
        self.leaves = self.arguments.leaves
        results = len(first) if isinstance(first, (tuple, list)) else 1
        self.explained = Explained(*self.arguments.alone(forward), self.arguments.chosen, results)

    def fit_to_what_is_returned(self) -> None:
        """Vary the entries of dicts for which gradients are returned by key; leave out masks, for which none are.

        A mask is an argument that holds only 0 and 1.
        """
        returned, args = self.run(self.douts()[0]).returned, self.arguments.args
        chosen = self.arguments.chosen
        if isinstance(returned, dict):
            entries = {i: entries_of(x, returned) for i, x in enumerate(args) if isinstance(x, dict)}
            entries = {i: keys for i, keys in entries.items() if keys}
            if entries:
                self.arguments = Arguments(self.forward, args, chosen, entries)
            return
        n = len(returned) if isinstance(returned, (tuple, list)) else 1
        masks = [i for i in chosen if np.all(np.isin(args[i], (0.0, 1.0)))]
        if n < len(chosen) and len(chosen) - len(masks) == n:
            self.masks = [self.arguments.names[i] for i in masks]
            self.arguments = Arguments(self.forward, args, [i for i in chosen if i not in masks])

    def outputs(self, leaves: Sequence[Any]) -> list[Array]:
        return self.split(self.forward(*self.arguments.with_leaves(leaves)))[0]

    def run(self, douts: Sequence[Any]) -> Run:
        args = self.arguments.fresh()
        before = self.arguments.fresh()
        result = self.forward(*args)
        changed = changes("changes inputs", "the forward pass", self.arguments.names, before, args)
        outs, cache = self.split(result)
        own = [cast(d, out) for d, out in zip(douts, outs, strict=True)]
        kept = [copied(d) for d in own], copied(cache), copied(args)
        returned = copied(self.call_backward(self.backward, own, result, args))
        changed += changes("changes dout", self.who, ["dout"] * len(own), kept[0], own)
        changed += changes("changes cache", self.who, ["cache"], [kept[1]], [cache])
        if not changed:
            changed += changes("changes inputs", self.who, self.arguments.names, kept[2], args)
        return Run(returned, changed)

    def claims(self, returned: Any) -> Claims:
        return by_names(returned, self.arguments, returned_names(self.backward))

    def in_double(self) -> Form | None:
        return with_arguments_in_double(self)


class LossForm(Form):
    """`loss(*args) -> loss, gradients`, a function or a model's method."""

    who = "the gradient function"
    left_out: Sequence[int] = ()

    def __init__(self, function: Callable[..., Any], args: Sequence[Any], wrt: Wrt) -> None:
        self.function = function
        names = argument_names(function, len(args))
        result = function(*[copied(x) for x in args])
        loss, gradients = loss_and_gradients(result)
        first = 0 if loss is result[0] else len(result) - 1
        self.returned = returned_names(function)[1:]
        self.model: Model | Globals | None = None
        if wrt is None:
            self.model = parameters_of(getattr(function, "__self__", None), gradients)
            self.model = self.model or globals_of(function, gradients, self.returned, names)
            if isinstance(self.model, Globals):
                self.beside = [g for k, g in enumerate(self.returned) if g and k not in self.model.positions]
        if self.model:
            self.leaves = [Leaf(name, x.copy()) for name, x in self.model.given.items()]
            self.args = list(args)
            call, inputs, wanted = self.model.as_function(function, args)
            self.explained = Explained(call, inputs, wanted, len(result), first)
            return
        if wrt is None:
            self.leave_out_others(gradients, names)
            gradients = self.gradients_in(result)
        chosen, entries = (chosen_by(wrt, names), {}) if wrt is not None else self.guess(gradients, args, names)
        if not chosen and not entries:
            raise WrtError(nothing_chosen(args, names))
        self.arguments = Arguments(function, args, chosen, entries)
        self.leaves = self.arguments.leaves
        self.explained = Explained(*self.arguments.alone(function), self.arguments.chosen, len(result), first)

    def leave_out_others(self, gradients: Any, names: Sequence[str]) -> None:
        """Leave out what is returned beside gradients that are named for their arguments, such as a count."""
        if not isinstance(gradients, (tuple, list)) or len(self.returned) != len(gradients):
            return
        if any(is_gradient_of(g, name) for g in self.returned for name in names):
            self.left_out = [k for k, g in enumerate(self.returned) if not may_be_a_gradient(g)]
            self.beside = [self.returned[k] for k in self.left_out]
            self.returned = [g for g in self.returned if may_be_a_gradient(g)]

    def gradients_in(self, result: Any) -> Any:
        """The gradients among what was returned, without what was left out."""
        gradients = loss_and_gradients(result)[1]
        if not self.left_out:
            return gradients
        kept = tuple(g for k, g in enumerate(gradients) if k not in self.left_out)
        return kept if len(kept) != 1 else kept[0]

    def guess(
        self, gradients: Any, args: Sequence[Any], names: Sequence[str]
    ) -> tuple[list[int], dict[int, list[Any]]]:
        """The arguments, and entries of dicts, that the gradients belong to.

        By their keys or names; by the shapes, in order; else the first arrays of floats.
        """
        keys = list(gradients) if isinstance(gradients, dict) else self.returned
        found = [i for i, name in enumerate(names) if any(stands_for(str(key), name) for key in keys)]
        if isinstance(gradients, dict):
            entries = {i: entries_of(x, gradients) for i, x in enumerate(args) if isinstance(x, dict)}
            entries = {i: own for i, own in entries.items() if own}
            if entries:
                return [i for i in found if i not in entries], entries
        parts = list(gradients) if isinstance(gradients, (tuple, list, dict)) else [gradients]
        if len(found) == len(parts):
            return found, {}
        by_shape = positions_by_shape(parts, args) if not isinstance(gradients, dict) else []
        of_one = [i for i, x in enumerate(args) if is_list_of(len(parts), x)] if len(parts) > 1 else []
        if not by_shape and len(of_one) == 1:
            return of_one, {}
        numbers = float_arrays(args) or [i for i, x in enumerate(args) if isinstance(x, float)]
        return by_shape or numbers[: len(parts)], {}

    def outputs(self, leaves: Sequence[Any]) -> list[Array]:
        return [np.asarray(one_number(loss_and_gradients(self.call(leaves)[0])[0]))]

    def call(self, leaves: Sequence[Any]) -> tuple[Any, list[Any]]:
        if self.model:
            args = [copied(x) for x in self.args]
            return self.model.method(self.function, leaves)(*args), args
        args = self.arguments.with_leaves(leaves)
        return self.function(*args), args

    def douts(self) -> list[list[Any]]:
        return [[1.0]]

    def run(self, douts: Sequence[Any]) -> Run:
        leaves = [x if isinstance(x, float) else x.copy() for _, x in self.leaves]
        result, args = self.call(leaves)
        before = [copied(x) for x in self.args] if self.model else self.arguments.fresh()
        names = argument_names(self.function, len(args))
        return Run(copied(self.gradients_in(result)), changes("changes inputs", self.who, names, before, args))

    def claims(self, returned: Any) -> Claims:
        if self.model:
            return self.model.claims(returned)
        return by_names(returned, self.arguments, self.returned)

    def in_double(self) -> Form | None:
        return None if self.model else with_arguments_in_double(self)


class LayerForm(Form):
    """An object with `forward` and `backward`, and parameters of its own."""

    entry = "forward"
    kept = ""

    def __init__(self, layer: Any, args: Sequence[Any], wrt: Wrt, dout: Any) -> None:
        self.layer, self.dout = layer, dout
        names = argument_names(layer.forward, len(args))
        chosen = chosen_by(wrt, names) if wrt is not None else float_arrays(args)
        self.arguments = Arguments(layer.forward, args, chosen)
        try:
            tried, first, returned = self.first_passes()
        except Exception:
            if not callable(layer):
                raise
            self.entry = "__call__"  # it may do more than forward, such as keep what backward needs
            tried, first, returned = self.first_passes()
        self.kept_gradient = kept_as(tried, INPUT_GRADIENTS) if returned is None else ""
        self.parameters = Parameters(layer, tried, returned, len(self.arguments.leaves))
        self.constants = self.parameters.without_gradient
        self.leaves = self.arguments.leaves + [Leaf(name, x) for name, x in self.parameters.given.items()]
        if not self.leaves:
            raise ValueError("neither an argument nor a parameter of the layer is an array of floats")
        call = as_function(layer, self.entry, self.parameters.given, len(args), self.kept)
        inputs = [*self.arguments.fresh(), *self.parameters.given.values()]
        wanted = [*self.arguments.chosen, *range(len(args), len(inputs))]
        self.explained = Explained(call, inputs, wanted, len(first) if isinstance(first, (tuple, list)) else 1)

    def first_passes(self) -> tuple[Any, Any, Any]:
        """A copy of the layer after a pass there and back, its result, and what the backward pass returned."""
        tried = copy.deepcopy(self.layer)
        first = getattr(tried, self.entry)(*self.arguments.fresh())
        self.kept = kept_as(tried, OUTPUTS) if first is None else ""
        first = getattr(tried, self.kept) if self.kept else first
        self.find_outputs(first, self.layer.forward, tried.backward)
        own = [cast(d, out) for d, out in zip(self.douts()[0], self.shapes, strict=True)]
        return tried, first, self.call_backward(tried.backward, own, first, self.arguments.fresh())

    def outputs(self, leaves: Sequence[Any]) -> list[Array]:
        n = len(self.arguments.leaves)
        layer = self.parameters.copy_with(leaves[n:])
        return self.split(self.forward(layer, self.arguments.with_leaves(leaves[:n])))[0]

    def forward(self, layer: Any, args: Sequence[Any]) -> Any:
        """The layer's result: what it returns, or the attribute that it keeps it in."""
        result = getattr(layer, self.entry)(*args)
        return getattr(layer, self.kept) if self.kept else result

    def run(self, douts: Sequence[Any]) -> Run:
        layer, args, before = self.parameters.copy_with(None), self.arguments.fresh(), self.arguments.fresh()
        result = self.forward(layer, args)
        changed = changes("changes inputs", "the forward pass", self.arguments.names, before, args)
        own = [cast(d, out) for d, out in zip(douts, self.split(result)[0], strict=True)]
        kept = [copied(d) for d in own]
        returned = copied(self.call_backward(layer.backward, own, result, args))
        if self.kept_gradient:
            returned = copied(getattr(layer, self.kept_gradient))
        changed += changes("changes dout", self.who, ["dout"] * len(own), kept, own)
        return Run((returned, self.parameters.gradients(layer, returned)), changed)

    def claims(self, returned: Any) -> Claims:
        of_args, of_parameters = returned
        n, own = len(self.arguments.leaves), len(self.parameters.given)
        names = [leaf.name for leaf in self.leaves]
        if isinstance(of_args, (tuple, list)) and len(of_args) == n + own and self.parameters.returned:
            of_args = of_args[:n] if n != 1 else of_args[0]
        claims = by_names(of_args, self.arguments, returned_names(self.layer.backward))
        parts = [*claims.parts, *of_parameters]
        return Claims(names, parts, claims.findings, claims.unchecked)

    def in_double(self) -> Form | None:
        other = with_arguments_in_double(self)
        double = {name: x.astype(np.float64) for name, x in self.parameters.given.items()}
        other.parameters = copy.copy(self.parameters)
        other.parameters.layer = self.parameters.copy_with(list(double.values()))
        other.leaves = other.leaves + [Leaf(name, x) for name, x in double.items()]
        return other


def with_arguments_in_double(form: FormT) -> FormT:
    other = copy.copy(form)
    other.arguments = form.arguments.in_double()
    other.leaves = other.arguments.leaves
    return other


def outputs_in(result: Any, forward: Callable[..., Any], backward: Callable[..., Any]) -> int:
    """How many of the forward pass's results are outputs: all but the cache, which comes last.

    Where the backward pass names the gradients that it takes, dh and dc for h and c, the outputs are those: what
    stands between them and the cache is only looked at, and without a cache there may be nothing more.
    """
    if not isinstance(result, (tuple, list)):
        return 1
    n, takes = len(result) - 1, argument_names(backward, None)
    names = returned_names(forward)
    named = 0
    while named < min(len(takes), len(names)) and is_gradient_of(takes[named], names[named]):
        named += 1
    if named and len(names) == len(result) and len(takes) - named <= 1:
        return named
    if n > 1 and len(takes) == 2:  # backward(dout, cache): what stands between output and cache is only looked at
        return 1
    arrays = 0
    while arrays < len(result) and is_float(result[arrays]):
        arrays += 1
    return max(min(n, arrays), 1)


def cotangents(outputs: Sequence[Any], dout: Any) -> list[list[Any]]:
    """The given cotangent, or random ones. Raises ValueError where one hasn't its output's shape."""
    if dout is None:
        generators = [np.random.default_rng([SEED, k]) for k in range(DOUTS)]
        return [[rng.normal(size=np.shape(out)) for out in outputs] for rng in generators]
    given = list(dout) if isinstance(dout, (tuple, list)) and len(outputs) > 1 else [dout]
    shapes = [np.shape(d) for d in given]
    wanted = [np.shape(out) for out in outputs]
    if shapes != wanted:
        raise ValueError(f"dout has the shapes {shapes}, and the outputs have {wanted}")
    return [[np.asarray(d, dtype=np.float64) for d in given]]


def chosen_by(wrt: Any, names: Sequence[str]) -> list[int]:
    """Positions of arguments. Raises ValueError for one that there isn't."""
    found = []
    for which in [wrt] if isinstance(wrt, (int, str)) else wrt:
        position = names.index(which) if which in names else which
        if not isinstance(position, int) or not -len(names) <= position < len(names):
            raise WrtError(f"wrt names {which!r}, and the arguments are {', '.join(names)}")
        found.append(position % len(names))
    return found


def entries_of(parameters: dict[Any, Any], gradients: dict[Any, Any]) -> list[Any]:
    """The keys of a dict's float numbers and arrays that a dict of gradients has keys for: W where it has dW."""
    floats = [key for key, x in parameters.items() if is_float(x)]
    return [key for key in floats if any(stands_for(str(g), str(key)) for g in gradients)]


def positions_by_shape(gradients: Sequence[Any], args: Sequence[Any]) -> list[int]:
    """For each gradient the next argument of floats with its shape; none where one has no such argument."""
    found: list[int] = []
    at = 0
    for g in gradients:
        while at < len(args) and not same_form(g, args[at]):
            at += 1
        if at == len(args):
            return []
        found.append(at)
        at += 1
    return found


def same_form(gradient: Any, x: Any) -> bool:
    """Whether a gradient has the shape of an argument of floats; of lists, each part that of its own."""
    if isinstance(x, (list, tuple)) and isinstance(gradient, (list, tuple)):
        return 0 < len(x) == len(gradient) and all(map(same_form, gradient, x))
    array = as_numbers(gradient)
    return array is not None and is_float(x) and np.shape(x) == array.shape


def is_list_of(n: int, x: Any) -> bool:
    """Whether an argument is a list or tuple of n numbers and arrays of floats."""
    return isinstance(x, (list, tuple)) and len(x) == n and all(map(is_float, x))


def nothing_chosen(args: Sequence[Any], names: Sequence[str]) -> str:
    """Why there is nothing to differentiate."""
    whole = [name for name, x in zip(names, args, strict=True) if isinstance(x, np.ndarray) and x.dtype.kind in "iu"]
    what = f" ({', '.join(whole)} hold integers: write 1.0, not 1)" if whole else ""
    return f"no argument is an array of floats{what}: choose what is differentiated with wrt="


def loss_and_gradients(result: Any) -> tuple[Any, Any]:
    """The loss and the gradients of what a loss function returned. Raises TypeError for anything else."""
    if not isinstance(result, (tuple, list)) or len(result) < 2:
        raise TypeError(
            f"check_loss needs a function that gives (loss, gradients), got {described(result)}; "
            "for a loss alone there is gradcheck"
        )
    first, rest = result[0], result[1] if len(result) == 2 else tuple(result[1:])
    parts = rest if isinstance(rest, tuple) else ()
    named = [g for g in parts if isinstance(g, dict) and g and all(may_be_a_gradient(str(key)) for key in g)]
    if len(named) == 1:  # a dict of gradients, and what is returned beside it
        rest = named[0]
    if (len(result) == 2 and np.size(data_of(first)) != 1) or isinstance(first, dict):
        first, rest = rest, first  # (gradients, loss), as some have it
    return first, rest
