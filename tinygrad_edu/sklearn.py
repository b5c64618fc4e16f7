"""Networks as scikit-learn's estimators, for pipelines, grid searches and cross-validation (the extra `sklearn`).

The one thing to know: an estimator keeps its settings as they were given; all checks, and the network, come with `fit`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_edu import ops
from tinygrad_edu.core.data import Array
from tinygrad_edu.extras import how_to_install
from tinygrad_edu.nn import (
    SGD,
    Adam,
    Loss,
    Network,
    binary_cross_entropy,
    cross_entropy,
    identity,
    mean_squared_error,
    penalty,
)
from tinygrad_edu.nn.checks import listed
from tinygrad_edu.nn.data import check_count
from tinygrad_edu.nn.history import History
from tinygrad_edu.nn.loss import check_strength
from tinygrad_edu.nn.training import Run, Settings
from tinygrad_edu.nn.update import check_fraction, check_rate

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets, unique_labels
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError(f"tinygrad_edu.sklearn needs scikit-learn: {how_to_install('sklearn')}") from error


class NetworkEstimator(BaseEstimator):  # type: ignore[misc]
    """What both estimators have: settings, and training."""

    def __init__(
        self,
        hidden: Sequence[int] = (32,),
        activation: str = "relu",
        update: str = "adam",
        rate: float = 0.01,
        momentum: float = 0.9,
        l2: float = 1e-4,
        epochs: int = 100,
        batch_size: int = 32,
        patience: int | None = None,
        validation_fraction: float = 0.1,
        random_state: Any = None,
    ) -> None:
        self.hidden = hidden
        self.activation = activation
        self.update = update
        self.rate = rate
        self.momentum = momentum
        self.l2 = l2
        self.epochs = epochs
        self.batch_size = batch_size
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.random_state = random_state

    def check_settings(self) -> None:
        """Raise ValueError or TypeError where a setting is out of its range, before anything has changed."""
        for i, size in enumerate(listed(self.hidden, "hidden", "numbers of units, one for each layer")):
            check_count(size, f"hidden[{i}]", 1)
        if self.activation not in [*ops.FAMILIES["activation"].split(), "tanh"]:
            raise ValueError(f"activation must be the name of one of tg's activations, got {self.activation!r}")
        if self.update not in ["adam", "sgd"]:
            raise ValueError(f'update must be "adam" or "sgd", got {self.update!r}')
        SGD(check_rate(self.rate, "rate"), self.momentum)
        check_strength(self.l2, "l2")
        check_count(self.epochs, "epochs", 0)
        check_count(self.batch_size, "batch_size", 1)
        if self.patience is not None:
            check_count(self.patience, "patience", 1)
        if not check_fraction(self.validation_fraction, "validation_fraction"):
            raise ValueError(f"validation_fraction must be above 0, got {self.validation_fraction!r}")

    def begin(self, n_inputs: int, n_outputs: int) -> None:
        """A new network, and an empty history."""
        random = check_random_state(self.random_state)
        seed, self.shuffle_seed_ = (int(s) for s in random.randint(np.iinfo(np.int32).max, size=2))
        activation = getattr(ops, self.activation)
        sizes = [n_inputs, *self.hidden, n_outputs]
        self.network_ = Network.create(
            sizes, kind="dense", seed=seed, activation=activation, last=identity, start="scaled"
        )
        self.history_ = History(self.network_)

    def train(self, X: Array, goals: Array, epochs: int, patience: int | None) -> None:
        """Some epochs more."""
        update = Adam(self.rate) if self.update == "adam" else SGD(self.rate, self.momentum)
        loss = self.loss(goals.shape[1])
        if self.l2:
            loss = loss + penalty(self.network_, l2=self.l2)
        validation = None
        if patience is not None:
            n = max(1, round(self.validation_fraction * len(X)))
            if n >= len(X):
                raise ValueError(f"{len(X)} samples are too few to hold back a fraction of {self.validation_fraction}")
            places = np.random.default_rng(self.shuffle_seed_).permutation(len(X))
            validation = X[places[:n]], goals[places[:n]]
            X, goals = X[places[n:]], goals[places[n:]]
        size = min(self.batch_size, len(X))
        settings = Settings(size, self.shuffle_seed_, update, loss, validation, ())
        Run(self.network_, X, goals, self.history_, settings).train(epochs, patience, compiled=True)

    def loss(self, n_outputs: int) -> Loss:
        raise NotImplementedError

    @property
    def loss_curve_(self) -> list[float]:
        """The training loss of each epoch."""
        check_is_fitted(self, "history_")
        return list(self.history_.loss)

    @property
    def n_iter_(self) -> int:
        """How many epochs were run."""
        check_is_fitted(self, "history_")
        return len(self.history_)

    def scores(self, X: Any) -> Array:
        """The network's outputs."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        outputs: Array = self.network_.outputs(X)
        return outputs


class NetworkClassifier(ClassifierMixin, NetworkEstimator):  # type: ignore[misc]
    """A network of dense layers that tells classes apart, by cross-entropy.

    Args:
        hidden: The numbers of units of the hidden layers.
        activation: The name of their activation.
        update, rate, momentum: "adam" or "sgd", its learning rate, and for "sgd" its momentum.
        l2: The strength of the penalty on weights.
        epochs, batch_size: As for `Network.train`.
        patience: Stop where so many epochs bring no smaller loss on held-back samples; None never stops.
        validation_fraction: Which part is held back for that.
        random_state: As for scikit-learn.

    Attributes:
        classes_: The classes, in order.
        network_: The trained `tg.Network`.
        loss_curve_: The training loss of each epoch.

    >>> from tinygrad_edu.sklearn import NetworkClassifier
    >>> model = NetworkClassifier(hidden=(8,), epochs=200, random_state=0)
    >>> model.fit([[0, 0], [0, 1], [1, 0], [1, 1]], ["no", "yes", "yes", "no"]).predict([[0, 1], [1, 1]]).tolist()
    ['yes', 'no']
    """

    def fit(self, X: Any, y: Any) -> NetworkClassifier:
        """Train a new network."""
        self.check_settings()
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        self.classes_ = at_least_two(unique_labels(y), "y")
        self.begin(X.shape[1], 1 if len(self.classes_) == 2 else len(self.classes_))
        self.train(X, self.goals(y), self.epochs, self.patience)
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> NetworkClassifier:
        """One epoch more, without forgetting; the first call needs all `classes`."""
        self.check_settings()
        first = not hasattr(self, "network_")
        X, y = validate_data(self, X, y, dtype=np.float64, reset=first)
        check_classification_targets(y)
        if first:
            if classes is None:
                raise ValueError("classes must be given in the first call of partial_fit")
            self.classes_ = at_least_two(unique_labels(classes), "classes")
            self.begin(X.shape[1], 1 if len(self.classes_) == 2 else len(self.classes_))
        elif classes is not None and not np.array_equal(self.classes_, unique_labels(classes)):
            raise ValueError(f"classes are {classes}, but were {self.classes_} before")
        self.train(X, self.goals(y), 1, None)
        return self

    def goals(self, y: Array) -> Array:
        """A row of numbers for each label."""
        places = np.searchsorted(self.classes_, y)
        places = np.minimum(places, len(self.classes_) - 1)
        if not np.array_equal(self.classes_[places], y):
            raise ValueError(f"y has classes that aren't among {self.classes_}")
        return places[:, None].astype(float) if len(self.classes_) == 2 else np.eye(len(self.classes_))[places]

    def loss(self, n_outputs: int) -> Loss:
        return binary_cross_entropy if n_outputs == 1 else cross_entropy

    def decision_function(self, X: Any) -> Array:
        """The scores: of two classes that of the second, else one for each."""
        scores = self.scores(X)
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def predict_proba(self, X: Any) -> Array:
        """The probability of each class."""
        scores = self.scores(X)
        if scores.shape[1] > 1:
            return np.asarray(ops.softmax(scores, axis=1))
        second = np.asarray(ops.sigmoid(scores))
        return np.concatenate([1.0 - second, second], axis=1)

    def predict(self, X: Any) -> Any:
        """The most probable class of each sample."""
        scores = self.scores(X)
        places = (scores[:, 0] > 0.0).astype(int) if scores.shape[1] == 1 else scores.argmax(axis=1)
        return self.classes_[places]


def at_least_two(classes: Array, name: str) -> Array:
    if len(classes) < 2:
        raise ValueError(f"{name} needs more than one class, got only {classes[0]!r}")
    return classes


class NetworkRegressor(RegressorMixin, NetworkEstimator):  # type: ignore[misc]
    """A network of dense layers that predicts numbers, by the squared error. Targets are scaled while training.

    Its settings are those of `NetworkClassifier`.

    >>> import numpy as np
    >>> from tinygrad_edu.sklearn import NetworkRegressor
    >>> x = np.linspace(-1.0, 1.0, 50)[:, None]
    >>> NetworkRegressor(random_state=0).fit(x, x[:, 0] ** 2).score(x, x[:, 0] ** 2) > 0.95
    True
    """

    def fit(self, X: Any, y: Any) -> NetworkRegressor:
        """Train a new network."""
        self.check_settings()
        X, y = validate_data(self, X, y, dtype=np.float64, multi_output=True, y_numeric=True)
        columns = self.scaled(np.asarray(y, dtype=float))
        self.begin(X.shape[1], columns.shape[1])
        self.train(X, (columns - self.mean_) / self.scale_, self.epochs, self.patience)
        return self

    def partial_fit(self, X: Any, y: Any) -> NetworkRegressor:
        """One epoch more, without forgetting; the first call decides how targets are scaled."""
        self.check_settings()
        first = not hasattr(self, "network_")
        X, y = validate_data(self, X, y, dtype=np.float64, multi_output=True, y_numeric=True, reset=first)
        y = np.asarray(y, dtype=float)
        if first:
            self.begin(X.shape[1], self.scaled(y).shape[1])
        columns = y.reshape(len(y), -1)
        if columns.shape[1] != len(self.mean_):
            raise ValueError(f"y has {columns.shape[1]} outputs, but had {len(self.mean_)} before")
        self.train(X, (columns - self.mean_) / self.scale_, 1, None)
        return self

    def scaled(self, y: Array) -> Array:
        """Targets as columns, by whose mean and deviation they are scaled from now on."""
        columns = y.reshape(len(y), -1)
        with np.errstate(over="ignore", invalid="ignore"):
            mean, scale = columns.mean(axis=0), columns.std(axis=0)
        if not np.isfinite(scale).all():
            raise ValueError("y has numbers so large that their variance is infinite: scale it")
        scale[scale == 0.0] = 1.0
        self.mean_, self.scale_, self.one_ = mean, scale, y.ndim == 1
        return columns

    def loss(self, n_outputs: int) -> Loss:
        return mean_squared_error

    def predict(self, X: Any) -> Array:
        """The predicted number, or numbers, of each sample."""
        found = self.scores(X) * self.scale_ + self.mean_
        return np.asarray(found[:, 0] if self.one_ else found)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
