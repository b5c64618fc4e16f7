"""What is the article's own in training: its update, the counts that this needs, and the error figure that it prints.

The one thing to know: nothing in `nn` knows of these. The update says by attributes what it needs and which figure
belongs to it; a run with another update computes none of this.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_edu.core.data import Array
from tinygrad_edu.core.value import Value
from tinygrad_edu.nn.layer import Dense, Layer
from tinygrad_edu.nn.loss import as_one, mean_squared_error
from tinygrad_edu.nn.network import Network
from tinygrad_edu.nn.neuron import Neuron
from tinygrad_edu.nn.update import SGD, rate_at


def update_counts(part: Network | Layer | Dense | Neuron) -> list[int]:
    """For each parameter how often the article's loop updates it: a weight once, a bias once per input of its neuron.

    >>> import tinygrad_edu as tg
    >>> update_counts(tg.Network.create([3, 1]))
    [1, 1, 1, 3]
    """
    found: dict[Value, int] = {}
    for p, count in counted(part):
        found.setdefault(p, count)  # one that stands in several places is one parameter
    return list(found.values())


def counted(part: Any) -> list[tuple[Value, int]]:
    """Each parameter with its count: what isn't a neuron's or a dense layer's bias is updated once."""
    if isinstance(part, (Network, Layer)):
        inner: Sequence[Any] = part.layers if isinstance(part, Network) else part.neurons
        return [pair for one in inner for pair in counted(one)]
    biases = (
        [(part.bias, part.n_inputs if isinstance(part, Dense) else len(part.weights))]
        if isinstance(part, (Dense, Neuron))
        else []
    )
    known = dict(biases)
    return [(p, known.get(p, 1)) for p in (part.parameters() if hasattr(part, "parameters") else [])]


class PrintedError:
    """What the article's plain Python program prints as "Mean squared error", as a metric of a training run.

    It is the sum over rows of mean((output[k] - labels[k])²), where labels is the list of all rows' labels. So it
    compares with the first labels of the data set, not with the row's own target, and may rise while the error falls;
    nan where there are fewer rows than outputs. (The numpy program prints `mean_squared_error` times rows.)
    """

    __name__ = "article_printed_error"
    plain = True
    summed = True
    fixed_name = "label"

    def fixed(self, targets: Array) -> Array:
        """The labels of the first rows, as many as there are outputs; nan where there are fewer rows."""
        labels = np.full(targets.shape[1], np.nan)
        found = np.argmax(targets, axis=1)[: len(labels)]
        labels[: len(found)] = found
        return labels

    def __call__(self, outputs: Any, targets: Any, labels: Any) -> Any:
        if isinstance(outputs, (np.ndarray, Value)) and outputs.ndim == 2:  # a batch
            labels = as_one([labels] * len(outputs))
        return mean_squared_error(outputs, labels)


article_printed_error = PrintedError()


class ArticleUpdate(SGD):
    """The article's update: as SGD for weights, but a bias moves once for each input of its neuron.

    In the article the line that changes the bias stands inside the loop over the weights. So a bias moves n_inputs
    times as far as gradient descent would move it; the printed figures come about in no other way. Which parameters
    are biases, of how many inputs, is told by `counts` (see `update_counts`); left out, it is SGD.

    >>> import tinygrad_edu as tg
    >>> from tinygrad_edu.article import update_counts
    >>> neuron = tg.Neuron([1.0, 1.0], bias=0.5, activation=lambda z: z)
    >>> neuron([3.0, 4.0]).backward()
    >>> tg.nn.ArticleUpdate(0.5)(neuron.parameters(), update_counts(neuron))
    >>> neuron.bias.data
    -0.5
    """

    needs = staticmethod(update_counts)
    metrics = (article_printed_error,)

    plain = True

    def __init__(self, rate: float | Callable[[int], float]) -> None:
        super().__init__(rate)

    def rule(
        self,
        data: Sequence[Any],
        gradients: Sequence[Any],
        state: Any = (),
        rate: Any = None,
        counts: Sequence[int] | None = None,
    ) -> Any:
        """The new data of all parameters, each after as many steps by the same gradient as `counts` says."""
        rate, new = rate_at(self, 0) if rate is None else rate, []
        for x, gradient, count in zip(data, gradients, counts or [1] * len(data)):  # noqa: B905 - time
            step = rate * gradient
            while count:
                x = x - step
                count -= 1
            new.append(x)
        return new, state
