"""The linear probe: its predictions on inner folds are those of models without these rows."""

import numpy as np
import pytest

from cell_synergy.downstream.probes import metrics
from cell_synergy.downstream.probes.design import Design
from cell_synergy.downstream.probes.linear import LinearProbe
from cell_synergy.downstream.probes.tasks import make_probe_task, task_targets


@pytest.fixture
def asked(units, make_tissue, make_dataset, probe):
    """Return the image embedding, and train/test problems of the first fold by task."""
    dataset = make_dataset()
    paired = make_tissue(units, dataset)
    fold = paired.folds[0]
    tasks = {
        target.name: make_probe_task(target, fold, paired, probe.inner_folds)
        for target in task_targets(paired, dataset.tasks)
    }
    return paired.standardised(fold)[0], tasks


def test_inner_predictions_are_of_the_selected_penalty_without_the_predicted_rows(asked, probe):
    z, tasks = asked
    task = tasks["region"]
    found = LinearProbe(z, probe).select(task)
    expected = np.full((len(task.train), 3), np.nan)
    for number in np.unique(task.cv_folds):
        out = task.cv_folds == number
        (fit,) = Design.of(z[task.train[~out]]).logistic(
            task.y[~out], 3, [found.penalty], probe.tolerance, probe.iterations
        )
        expected[out] = fit.probabilities(z[task.train[out]])
    np.testing.assert_allclose(found.cv_predicted, expected, atol=1e-4)
    likelihood = found.cv_predicted[np.arange(len(task.y)), task.y]
    assert np.log(likelihood).mean() == pytest.approx(found.cv_score)


def test_inner_predictions_of_values_give_the_selecting_score(asked, probe):
    z, tasks = asked
    task = tasks["composition"]
    found = LinearProbe(z, probe).select(task)
    score = 0.0
    for number in np.unique(task.cv_folds):
        out = task.cv_folds == number
        score += out.mean() * metrics.regression(task.y[out], found.cv_predicted[out])["r2"]
    assert score == pytest.approx(found.cv_score)
