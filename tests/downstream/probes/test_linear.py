"""The linear probe: its predictions on inner folds are those of models without these rows."""

import numpy as np
import pytest

from cell_synergy.core.config import load
from cell_synergy.downstream.probes import metrics
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.downstream.probes.design import Design
from cell_synergy.downstream.probes.linear import LinearProbe
from cell_synergy.downstream.probes.tasks import ProbeTask, make_probe_task, task_targets


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


@pytest.fixture(scope="module")
def noise():
    """Return features that know nothing, and train/test problems of four classes and of values."""
    rng = np.random.default_rng(3)
    z = rng.standard_normal((1200, 400)).astype(np.float32)
    y, values = rng.integers(4, size=1200), rng.standard_normal((1200, 3))
    train, test = np.arange(700), np.arange(700, 1200)
    cv_folds = train % 3
    labels = ProbeTask(train, cv_folds, test, np.arange(4), y[train])
    regression = ProbeTask(train, cv_folds, test, np.zeros(0, dtype=np.int64), values[train])
    return z, labels, regression, y[test], values[test]


@pytest.mark.parametrize("blocks", [1, 2])
def test_a_representation_without_information_scores_none(noise, blocks):
    """With the grid of the study; one that ended at 1 let noise lose a tenth of a bit."""
    z, labels, regression, y, values = noise
    study = load(ProbeConfig, "probe")
    short = study.model_copy(update={"strongest": 1.0, "strengths": 4})
    bits, r2 = {}, {}
    for name, probe in (("study", study), ("short", short)):
        linear = LinearProbe(np.split(z, [320], axis=1) if blocks > 1 else z, probe)
        for_labels, for_values = linear.select_each([labels, regression])
        prediction = linear.predict(labels, for_labels)
        assert prediction.gradient_norm <= probe.tolerance
        bits[name] = np.log2(4 * prediction.predicted[np.arange(len(y)), y]).mean()
        predicted = linear.predict(regression, for_values).predicted
        r2[name] = metrics.regression(values, predicted)["r2"]
        assert for_labels.sensitivity >= 0
    assert abs(bits["study"]) < 0.01
    assert abs(r2["study"]) < 0.02
    assert bits["short"] < -0.04
    assert r2["short"] < -0.08
