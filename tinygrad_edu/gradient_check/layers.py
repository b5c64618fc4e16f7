"""Gradient checks in the forms that courses use: forward and backward passes, losses that return gradients, layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_edu.core.data import Array, Data
from tinygrad_edu.gradient_check.black_box import with_experiments
from tinygrad_edu.gradient_check.comparison import Comparison, Sizes, checked_sizes
from tinygrad_edu.gradient_check.diagnosis import diagnoses_of
from tinygrad_edu.gradient_check.forms import Form, LayerForm, LossForm, PairForm, Wrt
from tinygrad_edu.gradient_check.numerical import Terms
from tinygrad_edu.gradient_check.plain_data import with_lists_as_arrays
from tinygrad_edu.gradient_check.report import GradientReport
from tinygrad_edu.gradient_check.search.findings import Language
from tinygrad_edu.gradient_check.sentences import finding, say


def check_layer(
    forward: Any,
    *backward_and_args: Any,
    wrt: Wrt = None,
    dout: Any = None,
    eps: float = 6e-6,
    rtol: float = 1e-5,
    atol: float | None = None,
    language: Language = "en",
) -> GradientReport:
    """Check a forward and a backward pass as courses have them, or a layer object with both.

    - `check_layer(forward, backward, x, w, b)`: `forward(x, w, b)` gives `out, cache` (or several outputs and the
      cache, or the output alone), `backward(dout, cache)` the gradients: `dx, dw, db`, or a dict of them. Of several
      results those are outputs whose gradients it names: `backward(dh, dc, cache)` for `h, c, y, cache`.
    - `check_layer(layer, x)`: `layer.forward(x)` gives the output, `layer.backward(dout)` the gradient of `x`. The
      layer's own parameters are checked too, where their gradients are found under the usual names: `W` and `dW`,
      `params` and `grads`, or parameter objects with `data` and `grad`.

    Where the output is one number, `backward` may take no `dout`, or have a default for it: it is called without then.

    Args:
        forward: The forward pass, or the layer.
        backward_and_args: The backward pass (not for a layer), then the arguments of the forward pass. Arrays of floats
            are differentiated, and lists of rows of floats, which become arrays; everything else (integers, masks of
            booleans, dicts, texts) is passed through, a copy for each call.
        wrt: The arguments that are differentiated, by position or name, where it isn't all arrays of floats.
        dout: The cotangent of the output (a tuple for several). Otherwise three random ones are taken.
        eps, rtol, atol, language: As in `gradcheck`.

    Returns:
        A report that is true where every gradient holds for every `dout`. It says which line of the forward code has a
        wrong derivative, where that can be told.

    Raises:
        TypeError: `forward` or `backward` isn't one, or the result of the forward pass isn't made of float arrays.
        ValueError: There is nothing to differentiate, or `wrt` names no argument.

    >>> import numpy as np
    >>> import tinygrad_edu as tg
    >>> def affine_forward(x, w, b):
    ...     return x @ w + b, (x, w, b)
    >>> def affine_backward(dout, cache):
    ...     x, w, b = cache
    ...     return dout @ w.T, x.T @ dout, dout.sum(axis=0)
    >>> x, w, b = np.ones((2, 3)), np.ones((3, 4)), np.zeros(4)
    >>> bool(tg.check_layer(affine_forward, affine_backward, x, w, b))
    True
    """
    sizes = checked_sizes(eps, rtol, atol)
    if hasattr(forward, "forward") and hasattr(forward, "backward"):
        return check(LayerForm(forward, with_lists_as_arrays(backward_and_args), wrt, dout), sizes, language)
    if not backward_and_args or not callable(forward) or not callable(backward_and_args[0]):
        raise TypeError(
            "check_layer takes (forward, backward, *arguments), or (layer, *arguments) for an object with the methods "
            f"forward and backward; got {', '.join(type(x).__name__ for x in (forward, *backward_and_args))}"
        )
    backward, args = backward_and_args[0], with_lists_as_arrays(backward_and_args[1:])
    return check(PairForm(forward, backward, args, wrt, dout), sizes, language)


def check_loss(
    function: Callable[..., Any],
    *args: Any,
    wrt: Wrt = None,
    eps: float = 6e-6,
    rtol: float = 1e-5,
    atol: float | None = None,
    language: Language = "en",
) -> GradientReport:
    """Check a loss that returns its gradient along: `loss(W, X, y, reg) -> loss, dW`.

    Args:
        function: Gives `loss, gradient`: an array, a tuple of them, or a dict. It may be a method of a model with
            parameters in `self.params`, of which it gives a dict of gradients, or give the gradients of arrays that
            it reads from its module: these are changed in place while it is checked, and put back.
        args: Its arguments. Which of them the gradients belong to is read from the names that are returned (`dW`, a key
            `"W"`), else from their shapes, in order; else they are the first arrays of floats. What is returned beside
            gradients that have names is left out, with a note.
        wrt: Those arguments, by position or name, where that guess is wrong.
        eps, rtol, atol, language: As in `gradcheck`.

    Returns:
        A report that is true where every gradient holds.

    Raises:
        TypeError: The result isn't a loss with its gradients.
        ValueError: There is nothing to differentiate, or `wrt` names no argument.

    >>> import numpy as np
    >>> import tinygrad_edu as tg
    >>> def half_square(w, x):
    ...     return 0.5 * np.sum((x @ w) ** 2), x.T @ (x @ w)
    >>> bool(tg.check_loss(half_square, np.ones(3), np.eye(3)))
    True
    """
    if not callable(function):
        raise TypeError(f"the first argument must be the loss function, got {type(function).__name__}")
    return check(LossForm(function, with_lists_as_arrays(args), wrt), checked_sizes(eps, rtol, atol), language)


def check(form: Form, sizes: Sizes, language: Language) -> GradientReport:
    """Compare what the form's backward pass gives with numerical derivatives of its outputs, for each cotangent."""
    if not any(np.size(leaf.given) for leaf in form.leaves):
        raise ValueError(f"the inputs are empty, {form.leaves[0].name} among them: nothing to check")
    douts = form.douts()
    weights = np.stack(
        [np.concatenate([np.ravel(np.asarray(d, dtype=np.float64)) for d in of_one]) for of_one in douts]
    )

    def parts(data: list[Data]) -> Array:
        return np.concatenate([np.ravel(out) for out in form.outputs(data)])

    def evaluate(data: list[Data]) -> Array:
        result: Array = weights @ parts(data)
        return result

    comparison = Comparison(
        [leaf.name for leaf in form.leaves],
        [leaf.given for leaf in form.leaves],
        evaluate,
        "central",
        False,
        sizes,
        language,
        Terms(parts, weights),
    )
    if comparison.refused:
        return comparison.report
    for name in form.masks:
        comparison.notes.append(say("passed through", language, name=name, why=say("a mask", language)))
    for name in form.constants:
        comparison.notes.append(say("passed through", language, name=name, why=say("no gradient beside", language)))
    for name in form.beside:
        comparison.notes.append(
            say("passed through", language, name=name, why=say("no gradient by its name", language))
        )
    gradients = []
    for k, of_one in enumerate(douts):
        run = form.run(of_one)
        if k == 0:
            for key, who, name in run.changed:
                comparison.note(key, who, name)
        gradients.append(form.claims(run.returned).checked(comparison, k))
    if comparison.gradient_is_random(
        gradients[0], lambda: form.claims(form.run(douts[0]).returned).checked(comparison, 0), "the backward pass"
    ):
        return comparison.report
    comparison.compare(gradients, "hand-written", 1, in_double_of(form, douts, comparison))
    if not comparison.report and form.explained:
        k = comparison.worst
        ignoring = that_ignore_dout(form, comparison, gradients)
        explained = [None if name in ignoring else g for name, g in zip(comparison.names, gradients[k], strict=True)]
        function, args, wanted, *_ = form.explained
        search = diagnoses_of(function, args, wanted, form.explained.cotangents(douts[k]), comparison, explained)
        comparison.explain(with_experiments(search, form, douts[k]))
    return comparison.report


def that_ignore_dout(
    form: Form, comparison: Comparison, gradients: Sequence[Sequence[Array | None]]
) -> tuple[str, ...]:
    """The inputs of a loss whose gradients are the same for each cotangent, with a finding; else no line explains them.

    Where the output is an array there is more to tell of them: whose derivative is given in place of what arrives.
    """
    if len(gradients) == 1 or [np.shape(out) for out in form.shapes] != [()]:
        return ()
    found = tuple(
        name
        for name, (first, *others) in zip(comparison.names, zip(*gradients, strict=True), strict=True)
        if first is not None and np.any(first) and all(np.array_equal(first, g) for g in others)
    )
    if found:
        comparison.findings.append(finding("ignores dout", "dout isn't used", found))
    return found


def in_double_of(
    form: Form, douts: Sequence[Sequence[Any]], comparison: Comparison
) -> Callable[[int], Sequence[Array | None]] | None:
    """What the form's code gives for a cotangent with float64 arguments; None where it can't be asked."""
    double = form.in_double()
    if double is None:
        return None

    def gradients(k: int) -> Sequence[Array | None]:
        return double.claims(double.run(douts[k]).returned).checked(comparison, k)

    return gradients
