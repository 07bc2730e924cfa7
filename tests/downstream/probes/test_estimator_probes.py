"""Estimators of one's own beside the study's probes: which rows they add, and what they refuse."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.cluster import KMeans
from sklearn.ensemble import GradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cell_synergy.core.errors import DataError
from cell_synergy.downstream.evaluate import evaluate
from cell_synergy.downstream.probes.estimators import LogisticProbe, RidgeProbe
from tests.downstream.conftest import make_dataset, make_tissue, units

__all__ = ["make_dataset", "make_tissue", "units"]  # fixtures of the tiny data set

KEYS = ["task", "metric", "fold", "donor", "seed"]


@pytest.fixture
def run(units, make_tissue, make_dataset, probe):
    """Evaluate the image embedding of the tiny data set, with estimators."""

    def judged(estimators, seeds=(0,), settings=probe, **changed):
        dataset = make_dataset(**changed)
        paired = make_tissue(units, dataset)
        return evaluate(
            "image", paired, dataset.tasks, list(seeds), lambda *_: paired.image, settings,
            estimators,
        )  # fmt: skip

    return judged


def rows(found, probe):
    return found.scores[found.scores["probe"] == probe].set_index(KEYS).sort_index()


def test_they_add_rows_and_change_no_other(run):
    without = run(None, seeds=(0, 1))
    found = run({"mine": LogisticProbe(), "values": RidgeProbe()}, seeds=(0, 1))
    others = ~found.scores["probe"].isin(["mine", "values"])
    pd.testing.assert_frame_equal(
        found.scores[others].reset_index(drop=True), without.scores.reset_index(drop=True)
    )
    assert {k: v.tobytes() for k, v in found.posteriors.items()} == {
        k: v.tobytes() for k, v in without.posteriors.items()
    }
    mine, values = (found.scores[found.scores["probe"] == name] for name in ("mine", "values"))
    assert set(mine["task"]) == {"region"}
    assert set(values["task"]) == {"composition", "gene_panel"}
    assert set(mine["seed"]) == set(values["seed"]) == {0}
    assert mine["strength"].isna().all()


def test_the_studys_probes_as_estimators_have_the_studys_scores(run, probe):
    one = probe.model_copy(update={"weakest": 0.1, "strongest": 0.1, "strengths": 1})
    logistic = LogisticProbe(0.1, tolerance=one.tolerance, iterations=one.iterations)
    found = run({"mine": logistic, "values": RidgeProbe(0.1)}, settings=one)
    linear = rows(found, "linear")
    for name, tasks in (("mine", ["region"]), ("values", ["composition", "gene_panel"])):
        own = rows(found, name)
        theirs = linear[linear.index.get_level_values("task").isin(tasks)]
        theirs = theirs[theirs["value"].notna()].reindex(own.index)
        for column in ("value", "inner", "chance", "entropy"):
            np.testing.assert_allclose(own[column], theirs[column], atol=2e-4)
        assert (own["n"] == theirs["n"]).all()


def test_a_penalty_is_selected_on_the_inner_folds_of_the_study(run, probe):
    mine = LogisticProbe(weakest=0.01, strongest=1.0, strengths=3, inner_folds=2, tolerance=1e-5)
    found = run({"mine": mine})
    own, linear = rows(found, "mine"), rows(found, "linear")
    np.testing.assert_allclose(own["value"], linear["value"].reindex(own.index), atol=2e-4)
    assert (probe.weakest, probe.strengths, probe.inner_folds) == (0.01, 3, 2)


def test_rows_of_a_donor_that_is_held_out_are_never_fitted(run):
    seen = []

    class Watching(KNeighborsClassifier):  # type: ignore[misc]
        def fit(self, x, y):
            seen.append(len(x))
            return super().fit(x, y)

    run({"watching": Watching()}, tasks={"region": {"kind": "classification"}})
    assert sorted(seen) == [40, 40, 40, 40, 80, 80, 80, 80, 120, 120, 120, 120]


@pytest.mark.parametrize(
    "estimator",
    [
        RandomForestClassifier(5), KNeighborsClassifier(3), make_pipeline(StandardScaler(),
        RandomForestClassifier(5)), GradientBoostingRegressor(n_estimators=3, subsample=0.5),
    ],
    ids=lambda estimator: type(estimator).__name__,
)  # fmt: skip
def test_any_estimator_has_finite_scores_that_are_the_same_again(run, estimator):
    before = repr(estimator.get_params())
    first, second = (rows(run({"own": estimator}), "own") for _ in range(2))
    assert np.isfinite(first["value"]).all()
    assert np.isfinite(first["inner"].dropna()).all()
    assert first["inner"].notna().any()
    pd.testing.assert_frame_equal(first, second)
    assert repr(estimator.get_params()) == before
    bits = first.xs("bits", level="metric")["value"]
    assert bits.min() > -10  # a leaf without a class does not cost 1022 bits


def test_labels_that_the_embedding_shows_are_predicted(run):
    scores = rows(run({"forest": RandomForestClassifier(50)}), "forest")
    assert scores.xs("accuracy", level="metric")["value"].mean() > 0.85
    assert scores.xs("bits", level="metric")["value"].mean() > 0.7


def test_features_scaled_per_donor_are_in_the_name(run):
    found = run({"forest": RandomForestClassifier(5)}, standardise="donor")
    assert "forest, transductive" in set(found.scores["probe"])


class Wrong(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier that predicts what it is given."""

    def __init__(self, predicted=0.5):
        self.predicted = predicted

    def fit(self, x, y):  # noqa: ARG002
        if self.predicted is None:
            raise ValueError("needs more rows")
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, x):
        return np.full((len(x), 3), self.predicted)


REGION = {"region": {"kind": "classification"}}


@pytest.mark.parametrize(
    ("name", "estimator", "message"),
    [
        ("linear", LogisticProbe(), "'linear': this name is taken; choose another one"),
        ("mlp, transductive", LogisticProbe(), "this name is taken"),
        ("", LogisticProbe(), "'': this name is taken"),
        ("own", LogisticProbe, "'own': <class .*> is no estimator; give an object"),
        ("own", "LogisticProbe", "'own': 'LogisticProbe' is no estimator; give an object"),
        ("own", RidgeClassifier(), "neither a regressor nor a classifier with predict_proba"),
        ("own", KMeans(), "neither a regressor nor a classifier"),
        ("own", RidgeProbe(), "'own': no task is a regression; name another task or estimator"),
        ("own", LogisticProbe(-1.0), r"'own': LogisticProbe.penalty: -1.0 is no number above 0"),
        ("own", Wrong(None), "'own': needs more rows"),
        ("own", Wrong(0.5), "'own': rows of predict_proba do not sum to one"),
        ("own", Wrong(np.nan), r"'own': predictions of shape \(\d+, 3\), where 3 finite numbers"),
    ],
)
def test_what_cannot_be_scored_is_one_sentence(run, name, estimator, message):
    with pytest.raises(DataError, match=f"^estimator .*{message}") as raised:
        run({name: estimator}, tasks=REGION)
    assert "\n" not in str(raised.value)
