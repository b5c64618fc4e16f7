"""The best number of hidden units, searched by scikit-learn (the extra `sklearn`) over a network as an estimator."""

import sys

from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tinygrad_edu.sklearn import NetworkClassifier

small = "--small" in sys.argv
rows, labels = load_digits(return_X_y=True)
if small:
    rows, labels = rows[:300], labels[:300]
pipeline = make_pipeline(StandardScaler(), NetworkClassifier(epochs=5 if small else 30, random_state=0))
settings = {"networkclassifier__hidden": [(4,), (64,)], "networkclassifier__rate": [0.003, 0.01]}
search = GridSearchCV(pipeline, settings, cv=3).fit(rows, labels)
print(f"best: {search.best_params_}")
print(f"accuracy in cross-validation: {search.best_score_:.1%}")
