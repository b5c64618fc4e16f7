"""The estimators keep scikit-learn's contract, in its own words and in its pipelines and searches."""

import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn", reason='needs the extra "sklearn"')

from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from tinygrad_edu.sklearn import NetworkClassifier, NetworkRegressor

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 2))
Y = (X[:, 0] * X[:, 1] > 0).astype(int)


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks([NetworkClassifier(epochs=30), NetworkRegressor(epochs=30)])
def test_the_contract_of_estimators(estimator, check):
    check(estimator)


def test_in_a_pipeline_a_search_and_cross_validation():
    pipeline = make_pipeline(StandardScaler(), NetworkClassifier(hidden=(16,), epochs=60, random_state=0))
    assert cross_val_score(pipeline, X, Y, cv=3).mean() > 0.85
    search = GridSearchCV(pipeline, {"networkclassifier__hidden": [(1,), (16,)]}, cv=3).fit(X, Y)
    assert search.best_params_ == {"networkclassifier__hidden": (16,)}


def test_the_same_random_state_gives_the_same_bits_and_a_pickle_predicts_the_same():
    models = [NetworkClassifier(epochs=5, random_state=3).fit(X, Y) for _ in range(2)]
    assert np.array_equal(models[0].predict_proba(X), models[1].predict_proba(X))
    assert len(models[0].loss_curve_) == models[0].n_iter_ == 5
    again = pickle.loads(pickle.dumps(models[0]))
    assert np.array_equal(again.predict_proba(X), models[0].predict_proba(X))


def test_partial_fit_goes_on():
    model = NetworkClassifier(random_state=0)
    with pytest.raises(ValueError, match="classes must be given in the first call"):
        model.partial_fit(X, Y)
    for _ in range(4):
        model.partial_fit(X, Y, classes=[0, 1])
    assert len(model.loss_curve_) == 4
    assert model.loss_curve_[-1] < model.loss_curve_[0]
    with pytest.raises(ValueError, match="classes that aren't among"):
        model.partial_fit(X, Y + 5)


def test_patience_ends_training_early():
    model = NetworkRegressor(patience=3, epochs=500, random_state=0).fit(X, X[:, 0])
    assert model.n_iter_ < 500
    assert model.score(X, X[:, 0]) > 0.95


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"update": "adagrad"}, "update must be"),
        ({"activation": "sin"}, "activation must be"),
        ({"hidden": 16}, "hidden must be a list of numbers of units, one for each layer, got 16"),
        ({"hidden": (4, 0)}, r"hidden\[1\] must be a whole number of at least 1, got 0"),
        ({"batch_size": "auto"}, "batch_size must be"),
        ({"l2": None}, "l2 must be"),
        ({"validation_fraction": 0.0}, "validation_fraction must be"),
        ({"validation_fraction": "a"}, "validation_fraction must be"),
        ({"momentum": 1.0}, "momentum must be"),
    ],
)
def test_unknown_settings_are_refused_at_fit_and_nothing_changes(settings, message):
    model = NetworkClassifier(epochs=2, random_state=0).fit(X, Y)
    before = model.predict_proba(X)
    with pytest.raises((ValueError, TypeError), match=message):
        model.set_params(**settings).fit(X, Y)
    assert np.array_equal(model.predict_proba(X), before)


def test_targets_that_do_not_fit_are_refused():
    model = NetworkRegressor().partial_fit(X, X)
    with pytest.raises(ValueError, match="y has 1 outputs, but had 2 before"):
        model.partial_fit(X, X[:, 0])
    with pytest.raises(ValueError, match="so large that their variance is infinite"):
        NetworkRegressor().fit(X, X[:, 0] * 1e300)
    with pytest.raises(ValueError, match="classes needs more than one class"):
        NetworkClassifier().partial_fit(X, np.zeros(len(X)), classes=[0.0])


@pytest.mark.filterwarnings("ignore")
def test_a_search_on_the_workers_of_dask_finds_what_one_process_finds(tmp_path):
    distributed = pytest.importorskip("distributed", reason='needs the extra "distributed"')
    joblib = pytest.importorskip("joblib")
    search = GridSearchCV(NetworkClassifier(epochs=10, random_state=0), {"hidden": [(1,), (16,)]}, cv=2)
    alone = search.fit(X, Y).cv_results_["mean_test_score"].tolist()
    with (
        distributed.Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address=None),
        joblib.parallel_config("dask"),
    ):
        assert search.fit(X, Y).cv_results_["mean_test_score"].tolist() == alone
    joblib.dump(search.best_estimator_, tmp_path / "model.joblib")
    loaded = joblib.load(tmp_path / "model.joblib")
    assert np.array_equal(loaded.predict_proba(X), search.best_estimator_.predict_proba(X))
