"""The estimators do what scikit-learn expects, and have its solutions and the study's penalties."""

import inspect
import pickle

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import cell_synergy
from cell_synergy.core.config import read_section
from cell_synergy.data.splits import inner_folds
from cell_synergy.downstream.probes.config import LinearConfig
from cell_synergy.downstream.probes.estimators import LogisticProbe, RidgeProbe
from cell_synergy.downstream.probes.linear import LinearProbe
from cell_synergy.downstream.probes.tasks import ProbeTask


@pytest.mark.usefixtures("any_shape")
@parametrize_with_checks([LogisticProbe(), RidgeProbe(), LogisticProbe(0.1), RidgeProbe(0.1)])
def test_scikit_learn_checks_pass_without_exception(estimator, check):
    check(estimator)


ROWS, WIDTH = 240, 6


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).standard_normal((ROWS, WIDTH))


@pytest.fixture(scope="module")
def values(x):
    noise = np.random.default_rng(1).standard_normal((ROWS, 3))
    return x @ np.random.default_rng(2).standard_normal((WIDTH, 3)) + 2 * noise + 5


@pytest.fixture(scope="module", params=[2, 4])
def labels(request, values):
    """Labels of two classes, and of four."""
    edges = np.quantile(values[:, 0], np.linspace(0, 1, request.param + 1)[1:-1])
    return np.array(["core", "edge", "rim", "stroma"])[np.digitize(values[:, 0], edges)]


@pytest.fixture(scope="module")
def donor():
    """Five donors with different numbers of rows."""
    return np.repeat(list("EDCBA"), [20, 40, 50, 60, 70])


def test_logistic_regression_has_scikit_learns_solution(x, labels):
    ours = LogisticProbe(0.02, tolerance=1e-8).fit(x, labels)
    theirs = LogisticRegression(C=ours.C_, tol=1e-10, max_iter=10_000).fit(x, labels)
    np.testing.assert_allclose(ours.predict_proba(x), theirs.predict_proba(x), atol=1e-6)
    np.testing.assert_array_equal(ours.predict(x), theirs.predict(x))
    assert (ours.coef_.shape, ours.intercept_.shape) == (
        theirs.coef_.shape,
        theirs.intercept_.shape,
    )
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-5)
    np.testing.assert_allclose(ours.decision_function(x), theirs.decision_function(x), atol=1e-4)
    assert ours.gradient_norm_ <= 1e-8
    assert ours.n_iter_.shape == (1,)


@pytest.mark.parametrize("outputs", [slice(0, 3), slice(0, 1), 0])
def test_ridge_has_scikit_learns_solution(x, values, outputs):
    y = values[:, outputs]
    ours = RidgeProbe(0.3).fit(x, y)
    theirs = Ridge(alpha=ours.alpha_).fit(x, y)
    np.testing.assert_allclose(ours.coef_.ravel(), theirs.coef_.ravel(), rtol=1e-9)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, rtol=1e-9, atol=1e-9)
    assert np.shape(ours.predict(x)) == y.shape
    np.testing.assert_allclose(ours.predict(x), theirs.predict(x).reshape(y.shape), rtol=1e-9)


@pytest.mark.parametrize("kind", [LogisticProbe, RidgeProbe])
def test_penalty_is_that_of_the_studys_probe_on_the_same_groups(kind, x, labels, values, donor):
    config = LinearConfig(
        weakest=1e-4,
        strongest=10.0,
        strengths=11,
        block_steps=0,
        inner_folds=3,
        tolerance=1e-4,
        iterations=200,
    )
    folds = inner_folds(donor, np.zeros((ROWS, 2)), 3)
    present, codes = np.unique(labels, return_inverse=True)
    y = codes if kind is LogisticProbe else values
    classes = np.arange(len(present)) if kind is LogisticProbe else np.zeros(0, dtype=int)
    task = ProbeTask(np.arange(ROWS), folds, np.arange(5), classes, y)
    probe = LinearProbe(x.astype(np.float32), config)
    selection = probe.select(task)
    assert selection.penalty in config.penalties()[1:-1]  # a choice that could be another one
    arguments = config.model_dump(include={*inspect.signature(kind).parameters})
    ours = kind(**arguments).fit(x, labels if kind is LogisticProbe else values, groups=donor)
    assert ours.penalty_ == selection.penalty
    predicted = ours.predict_proba(x[:5]) if kind is LogisticProbe else ours.predict(x[:5])
    np.testing.assert_allclose(predicted, probe.predict(task, selection).predicted, atol=1e-4)


@pytest.mark.parametrize("grouped", [True, False])
@pytest.mark.parametrize("kind", [LogisticProbe, RidgeProbe])
def test_the_order_of_rows_does_not_matter(kind, grouped, x, labels, values, donor):
    y = labels if kind is LogisticProbe else values
    order = np.random.default_rng(3).permutation(ROWS)
    first = kind(strengths=9).fit(x, y, groups=donor if grouped else None)
    second = kind(strengths=9).fit(x[order], y[order], groups=donor[order] if grouped else None)
    assert second.penalty_ == first.penalty_
    np.testing.assert_allclose(second.coef_, first.coef_, atol=1e-5)


def test_groups_change_the_selection_where_their_rows_are_alike(donor):
    rng = np.random.default_rng(4)
    marks, means = rng.standard_normal((5, 60)), 3 * rng.standard_normal(5)
    number = np.unique(donor, return_inverse=True)[1]
    x = marks[number] + 0.1 * rng.standard_normal((ROWS, 60))
    y = means[number] + 0.1 * rng.standard_normal(ROWS)
    inside, between = (RidgeProbe().fit(x, y, groups=g) for g in (None, donor))
    assert inside.penalty_ != between.penalty_


def test_a_single_group_is_divided_like_rows_without_groups(x, values):
    alone, one = (RidgeProbe().fit(x, values, groups=g) for g in (None, np.zeros(ROWS)))
    assert alone.penalty_ == one.penalty_


@pytest.mark.usefixtures("any_shape")
def test_groups_without_a_name_are_refused(x, values, donor):
    groups = donor.astype(object)
    groups[7] = None
    with pytest.raises(ValueError, match="groups: row 7 has none"):
        RidgeProbe().fit(x, values, groups=groups)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        RidgeProbe().fit(x, values, groups=groups[:5])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"penalty": 0.0}, "LogisticProbe.penalty: 0.0 is no number above 0, nor None"),
        ({"penalty": "l2"}, "LogisticProbe.penalty: 'l2' is no number above 0, nor None"),
        ({"penalty": np.inf}, "LogisticProbe.penalty: inf is no number above 0, nor None"),
        ({"weakest": -1.0}, r"LogisticProbe.weakest: .*greater than 0, got -1.0"),
        ({"inner_folds": 1}, r"LogisticProbe.inner_folds: .*greater than or equal to 2, got 1"),
    ],
)
@pytest.mark.usefixtures("any_shape")
def test_parameters_out_of_range_are_refused(changed, message, x, labels):
    with pytest.raises(ValueError, match=message):
        LogisticProbe(**changed).fit(x, labels)


def test_too_few_steps_are_a_warning(x, labels):
    with pytest.warns(ConvergenceWarning, match="after 1 steps; set iterations higher"):
        LogisticProbe(1e-3, iterations=1).fit(x, labels)


def test_one_class_is_refused(x):
    with pytest.raises(ValueError, match="LogisticProbe: one class only, 'core'; give two"):
        LogisticProbe().fit(x, np.full(ROWS, "core"))


def test_it_works_in_a_pipeline_with_donors_held_out(x, labels, donor):
    pipeline = make_pipeline(StandardScaler(), LogisticProbe())
    scores = cross_val_score(pipeline, x, labels, groups=donor, cv=GroupKFold(5))
    assert scores.mean() > 1.3 / len(np.unique(labels))
    pipeline.fit(x, labels, logisticprobe__groups=donor)
    copied = pickle.loads(pickle.dumps(pipeline))  # noqa: S301 - our own bytes
    np.testing.assert_array_equal(copied.predict_proba(x), pipeline.predict_proba(x))


@pytest.mark.parametrize("kind", [LogisticProbe, RidgeProbe])
def test_defaults_are_those_of_the_study(kind):
    block = read_section("probe")
    signature = inspect.signature(kind).parameters
    given = {name: each.default for name, each in signature.items() if name != "penalty"}
    assert given == {name: block[name] for name in given}
    assert {*given} <= {*LinearConfig.model_fields}


def test_both_are_imported_from_the_top():
    assert cell_synergy.LogisticProbe is LogisticProbe
    assert cell_synergy.RidgeProbe is RidgeProbe
