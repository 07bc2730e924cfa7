"""Columns of a score table: metrics by donor, inner scores, chance and entropy."""

import numpy as np
import pandas as pd
import pytest

from cell_synergy.core.names import DONOR
from cell_synergy.downstream.probes import metrics
from cell_synergy.downstream.probes.scorers import scorer, scores_by_donor
from cell_synergy.downstream.probes.tasks import Prediction, ProbeTask, Selection, Target

DONORS = np.repeat(list("ABCDE"), 8)  # donors D and E are tested
TRAIN, TEST = np.arange(24), np.arange(24, 40)
CV_FOLDS = np.repeat([0, 1, 2], 8)


def classification(name="region"):
    """Return a target of four classes, its problem, and a prediction that donor C has no part in.

    Classes 0 and 1 have shares 3/4 and 1/4 in training, 2 occurs in donor E only, and 3 nowhere.
    """
    codes = np.tile([0, 0, 0, 1], 10)
    codes[32:34] = 2
    target = Target(name, np.ones(40, dtype=bool), codes, tuple("abcd"), np.zeros((40, 0)))
    probe_task = ProbeTask.of(target, TRAIN, CV_FOLDS, TEST)
    share = np.linspace(0.9, 0.2, 24)
    cv_predicted = np.stack([share, 1 - share], axis=1)
    cv_predicted[16:] = np.nan
    selection = Selection(0.1, -0.7, 0.2, cv_predicted)
    predicted = np.tile([0.8, 0.2], (16, 1))
    return target, probe_task, Prediction(predicted, selection, 1e-6, 7)


def table(target, probe_task, prediction, labelled=None):
    labelled = target.labelled if labelled is None else labelled
    rows = scores_by_donor(
        scorer(target, probe_task, prediction), probe_task, prediction, DONORS, labelled
    )
    return pd.DataFrame(rows).set_index(["donor", "metric"])


def test_inner_is_the_mean_of_the_metric_over_training_donors_that_were_predicted():
    target, probe_task, prediction = classification()
    found = table(target, probe_task, prediction)
    prior = np.array([0.75, 0.25])
    predicted = prediction.selection.cv_predicted
    by_donor = [
        metrics.classification(target.codes[rows], predicted[rows], prior)
        for rows in (np.arange(8), np.arange(8, 16))
    ]
    for metric in ("macro_f1", "balanced_accuracy", "accuracy", "bits"):
        mean = np.mean([scores[metric] for scores in by_donor])
        assert found.loc[("D", metric), "inner"] == pytest.approx(mean)
    assert found["inner"].groupby("metric").nunique().max() == 1
    assert found["inner"].groupby("donor").nunique().min() > 1


def test_without_a_prediction_on_inner_folds_there_is_no_inner_score():
    target, probe_task, prediction = classification()
    prediction.selection.cv_predicted[:] = np.nan
    assert table(target, probe_task, prediction)["inner"].isna().all()


def test_chance_is_what_no_information_scores():
    found = table(*classification())["chance"]
    assert found["D"].to_dict() == {
        "macro_f1": 1 / 2, "balanced_accuracy": 1 / 2, "accuracy": 3 / 4, "bits": 0,
    }  # fmt: skip
    assert found["E"].to_dict() == found["D"].to_dict() | {
        "macro_f1": 1 / 3, "balanced_accuracy": 1 / 3,
    }  # fmt: skip


def test_always_the_most_frequent_class_scores_chance():
    target, probe_task, prediction = classification()
    found = table(target, probe_task, prediction).loc["D"]
    for metric in ("balanced_accuracy", "accuracy"):
        assert found.loc[metric, "value"] == pytest.approx(found.loc[metric, "chance"])


def test_entropy_is_the_bits_of_perfect_predictions():
    target, probe_task, prediction = classification()
    perfect = np.eye(4)[target.codes[TEST]][:, :2]
    prediction = Prediction(perfect, prediction.selection, 0.0, 0)
    found = table(target, probe_task, prediction)
    for donor in "DE":
        bits = found.loc[(donor, "bits"), "value"]
        np.testing.assert_allclose(found.loc[donor, "entropy"], bits, rtol=1e-12)
    assert found.loc[("D", "bits"), "value"] == pytest.approx(2 * 0.75 - 0.75 * np.log2(3) + 0.5)
    assert found.loc["D", "classes"].eq(2).all()
    assert found.loc["E", "classes"].eq(3).all()


def test_the_control_task_has_its_accuracy_alone():
    found = table(*classification(DONOR)).reset_index()
    assert set(found["metric"]) == {"accuracy"}
    assert np.isfinite(found["inner"]).all()


def test_rows_without_labels_are_not_scored():
    target, probe_task, prediction = classification()
    labelled = np.arange(40) < 28
    found = table(target, probe_task, prediction, labelled)
    assert set(found.index.get_level_values("donor")) == {"D"}
    assert (found["n"] == 4).all()


def regression():
    rng = np.random.default_rng(0)
    outputs = rng.standard_normal((40, 2))
    outputs[8:16] = 1.0  # the values of donor B do not vary
    target = Target("panel", np.ones(40, dtype=bool), np.full(40, -1), (), outputs)
    probe_task = ProbeTask.of(target, TRAIN, CV_FOLDS, TEST)
    noisy = outputs + 0.5 * rng.standard_normal((40, 2))
    selection = Selection(0.1, 0.6, 0.2, noisy[TRAIN])
    return target, probe_task, Prediction(noisy[TEST], selection, 1e-6, 0)


def test_donors_for_which_a_metric_is_undefined_are_left_out_of_its_mean():
    target, probe_task, prediction = regression()
    found = table(target, probe_task, prediction)
    predicted, y = prediction.selection.cv_predicted, probe_task.y
    r2 = [metrics.regression(y[r], predicted[r])["r2"] for r in (slice(8), slice(16, 24))]
    assert found.loc[("D", "r2"), "inner"] == pytest.approx(np.mean(r2))
    bits = [
        metrics.gaussian_bits(y[r], predicted[r], y.mean(axis=0), y.var(axis=0), 0.4)
        for r in (slice(8), slice(8, 16), slice(16, 24))
    ]
    assert found.loc[("D", "bits"), "inner"] == pytest.approx(np.mean(bits))


def test_a_regression_has_chance_zero_and_no_entropy():
    found = table(*regression())
    assert (found["chance"] == 0).all()
    assert found["entropy"].isna().all()
    assert (found["classes"] == 0).all()
