"""Functions that networks and training are given, checked at once: activations, losses, updates.

The one thing to know: the error says what to write, also for the habits of other libraries, such as "relu" or "adam".
"""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from tinygrad_edu import ops
from tinygrad_edu.core.operation import Operation
from tinygrad_edu.core.value import Value
from tinygrad_edu.nn import loss as losses
from tinygrad_edu.nn.update import takes_state
from tinygrad_edu.ops.activation import log_softmax, softmax

SHORT = {
    "mse": "mean_squared_error",
    "mae": "mean_absolute_error",
    "bce": "binary_cross_entropy",
    "binary_crossentropy": "binary_cross_entropy",
    "categorical_crossentropy": "cross_entropy",
    "crossentropy": "cross_entropy",
}


def check_activation(given: Any, name: str) -> None:
    """Raise TypeError unless `given` can be an activation, a function of the weighted sums."""
    word = word_of(given)
    write = f"tg.{word}" if word in ops.FAMILY_OF else "tg.tanh"
    if given is None or word in ("linear", "identity", "none"):
        write = "tg.nn.identity"
    fits = not isinstance(given, losses.Loss) and not takes_state(given)
    fits = fits and not (isinstance(given, Operation) and given.n_inputs not in (1, sys.maxsize))
    check_function(given, fits, name, "a function of the weighted sums", write)


def check_not_alone(activation: Any, n_outputs: int) -> None:
    """Raise ValueError where softmax would be taken of one number: it is 1, whatever the number."""
    if n_outputs == 1 and activation in (softmax, log_softmax):
        raise ValueError(
            f"{activation.name} of one output is always the same: use tg.sigmoid; over a layer of neurons it is a "
            f"layer of its own, tg.Network([layer, tg.{activation.name}])"
        )


def check_loss(given: Any) -> None:
    """Raise TypeError unless `given` can be a loss, a function of outputs and targets."""
    word = word_of(given)
    word = SHORT.get(word, word)
    write = f"tg.nn.{word if isinstance(getattr(losses, word, None), losses.Loss) else 'cross_entropy'}"
    fits = not (isinstance(given, Operation) and given.n_inputs == 1) and not takes_state(given)
    check_function(given, fits, "loss", "a function of outputs and targets", write)


def check_update(given: Any) -> None:
    """Raise TypeError unless `given` can be an update, a function of the parameters."""
    word, rate = word_of(given), "0.1"
    write = f"tg.nn.SGD({rate})" if word == "sgd" else "tg.nn.Adam()"
    if isinstance(given, (int, float)) and not isinstance(given, bool) and math.isfinite(given) and given > 0:
        write = f"tg.nn.SGD({given})"
    if isinstance(given, type):
        place = "tg.nn." if given.__module__.startswith("tinygrad_edu.") else ""
        write = f"{place}{given.__name__}({rate if given.__name__ != 'Adam' else ''})"
    if takes_state(given) and not isinstance(given, type):
        if not hasattr(given, "rate"):
            raise TypeError(f"update must have a rate, a number or a function of the step, got {shown(given)}")
        return
    fits = not isinstance(given, (losses.Loss, Operation))
    check_function(given, fits, "update", "an update or a function of the parameters", write)


def valued(given: Any, name: str) -> Value:
    """A parameter: a Value as it is, numbers as a Value of that name. Raises as Value does, and names the argument."""
    if isinstance(given, Value):
        return given
    try:
        return Value(given, name)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: {error}") from None


def listed(given: Any, name: str, of: str) -> list[Any]:
    """A list of parts. Raises TypeError where it can't be one."""
    if isinstance(given, (str, bytes, dict, set)) or not hasattr(given, "__iter__"):
        raise TypeError(f"{name} must be a list of {of}, got {shown(given)}")
    return list(given)


def check_generator(rng: Any) -> None:
    if isinstance(rng, type) or not hasattr(rng, "normal"):
        raise TypeError(f"rng must be a generator of numpy's, got {shown(rng)}: write rng=np.random.default_rng(0)")


def check_parameters(network: Any, parameters: Sequence[Any]) -> None:
    """Raise TypeError where a plain number stands in the place of a parameter, which training couldn't change."""
    if all(isinstance(p, Value) for p in parameters):
        return
    for path, parameter in network.named_parameters():
        if not isinstance(parameter, Value):
            raise TypeError(f"{path} is {shown(parameter)}, and no Value any more: write {path}.data = …")


def tell_of_unlisted(layers: Sequence[Any]) -> None:
    """Warn of a layer that has Values, but no `parameters()` that would give them to training."""
    for i, layer in enumerate(layers):
        held = [name for name, x in getattr(layer, "__dict__", {}).items() if isinstance(x, Value)]
        if held and not hasattr(layer, "parameters"):
            warnings.warn(
                f"layers[{i}], a {type(layer).__name__}, isn't trained: it has {', '.join(held)}, but no method "
                "parameters() that returns them as a list",
                UserWarning,
                stacklevel=4,
            )


def check_function(given: Any, fits: bool, name: str, wanted: str, write: str) -> None:
    if fits and callable(given) and not isinstance(given, type):
        return
    raise TypeError(f"{name} must be {wanted}, got {shown(given)}: write {name}={write}")


def shown(given: Any) -> str:
    """What came, in short; a class that was meant to be called as such."""
    if isinstance(given, type):
        return f"the class {given.__name__}, without brackets"
    text = repr(given)
    return text if len(text) <= 60 else f"{text[:57]}..."


def word_of(given: Any) -> str:
    return given.strip().lower().replace("-", "_").replace(" ", "_") if isinstance(given, str) else ""
