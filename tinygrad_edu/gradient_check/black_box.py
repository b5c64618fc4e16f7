"""A form as a black box, for the experiments that come where no line of code explains a wrong gradient."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tinygrad_edu.core.data import Array
from tinygrad_edu.gradient_check.forms import Arguments, Form, LossForm, PairForm
from tinygrad_edu.gradient_check.search import Search
from tinygrad_edu.gradient_check.search.experiments import Box, experiment


def with_experiments(search: Search, form: Form, douts: Sequence[Any]) -> Search:
    """The search, and what experiments tell of the inputs that it leaves unexplained."""
    box = box_of(form, douts)
    if box is None or not search.unexplained:
        return search
    wrong = [k for k in box.wanted if box.names[k] in search.unexplained]
    told = experiment(box, wrong)
    named = {name for finding in told for name in finding.inputs}
    rest = tuple(name for name in search.unexplained if name not in named)
    return replace(search, findings=[*search.findings, *told], unexplained=rest)


def box_of(form: Form, douts: Sequence[Any]) -> Box | None:
    """The form's two passes as functions of all arguments; None where its leaves aren't whole arguments."""
    if not isinstance(form, (PairForm, LossForm)) or form.explained is None:
        return None
    if isinstance(form, LossForm) and form.model:
        return None
    function = form.forward if isinstance(form, PairForm) else form.function
    if len(form.leaves) != len(form.arguments.chosen):
        return None
    chosen = form.arguments.chosen

    def at(arguments: Sequence[Any]) -> Form:
        other = copy.copy(form)
        other.arguments = Arguments(function, arguments, chosen)
        return other

    def outputs(arguments: Sequence[Any]) -> list[Array]:
        other = at(arguments)
        return other.outputs([leaf.given for leaf in other.arguments.leaves])

    def backward(arguments: Sequence[Any], cotangents: Sequence[Array]) -> Sequence[Any]:
        other = at(arguments)
        return other.claims(other.run(cotangents).returned).parts

    no_dout = isinstance(form, LossForm) or form.without_dout
    return Box(outputs, backward, form.arguments.args, chosen, form.arguments.names, douts, no_dout)
