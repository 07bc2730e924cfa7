"""Evaluation on a tiny data set: which scores there are, and that test donors change no fit."""

import re

import numpy as np
import pandas as pd
import pytest

from cell_synergy.core.errors import DataError
from cell_synergy.downstream.evaluate import (
    COLUMNS,
    FIT_COLUMNS,
    FoldEvaluator,
    baseline_representations,
    evaluate,
)
from cell_synergy.downstream.probes.tasks import Prediction, Selection, task_targets

CLASSES = ["accuracy", "balanced_accuracy", "bits", "macro_f1"]
VALUES = ["bits", "pearson", "r2"]
REGION = {"region": {"kind": "classification"}}
COMPOSITION = {"composition": {"kind": "composition"}}


def mean(judged, metric, task="region"):
    scores = judged.scores
    return scores[(scores.metric == metric) & (scores.task == task)].value.mean()


def test_there_is_one_score_per_task_metric_fold_donor_and_seed(run):
    scores = run(seeds=(3, 4)).scores
    assert list(scores.columns) == COLUMNS
    found = {tuple(row) for row in scores[["task", "metric", "fold", "donor", "seed"]].to_numpy()}
    per_task = {"region": CLASSES, "composition": VALUES, "gene_panel": VALUES}
    assert found == {
        (task, metric, donor, donor, seed)
        for task, metrics in per_task.items()
        for metric in metrics
        for donor in "ABCD"
        for seed in (3, 4)
    }
    assert len(scores) == len(found)
    assert (scores[["dataset", "method", "probe"]] == ["tiny", "image", "linear"]).all(axis=None)
    assert (scores.n == 40).all()
    assert (scores.classes == np.where(scores.task == "region", 3, 0)).all()
    assert np.isfinite(scores.value).all()
    assert (scores.gradient_norm <= 1e-5).all()
    assert ((scores.iterations > 0) == (scores.task == "region")).all()
    assert (scores.sensitivity > 0).all()


def test_labels_that_the_embedding_shows_are_predicted(run):
    judged = run()
    assert mean(judged, "accuracy") > 0.9
    assert mean(judged, "bits") > 1.1
    assert mean(judged, "r2", "composition") > 0.5
    assert mean(judged, "pearson", "gene_panel") > 0.4


def test_in_a_holdout_each_test_donor_has_its_own_scores(run):
    roles = {"train": ["A", "B"], "test": ["C", "D"]}
    scores = run(split="holdout", roles=roles, tasks=REGION).scores
    assert set(scores.fold) == {"holdout"}
    assert sorted(scores[scores.metric == "bits"].donor) == ["C", "D"]


def of_fold(judged, fold):
    """Return a fold's scores without what test labels determine, and its posteriors."""
    scores = judged.scores[judged.scores.fold == fold].drop(columns=["value", "entropy"])
    said = {k: v for k, v in judged.posteriors.items() if f"/{fold}" in k}
    return scores.to_csv(index=False), {k: v.tobytes() for k, v in said.items()}


@pytest.mark.parametrize("mode", ["train", "donor"])
def test_labels_of_a_test_donor_change_its_scores_and_no_probe(mode, run, relabel, codes, units):
    swapped = codes.copy()
    swapped[:40] = (swapped[:40] + 1) % 3
    changed = relabel(swapped)
    changed.obsm["cell_type_ratio"].iloc[:40] = np.roll(
        units.obsm["cell_type_ratio"].to_numpy()[:40], 1, axis=1
    )
    first, second = (run(labelled, standardise=mode) for labelled in (units, changed))
    assert of_fold(first, "A") == of_fold(second, "A")
    assert of_fold(first, "B") != of_fold(second, "B")
    values = [
        judged.scores.query("fold == 'A' and metric == 'bits' and task == 'region'")
        for judged in (first, second)
    ]
    assert values[0].value.item() > 0.5
    assert values[1].value.item() < 0


@pytest.mark.parametrize("mode", ["train", "donor"])
def test_permuted_labels_give_chance(mode, run, relabel, codes):
    permuted = np.random.default_rng(4).permutation(codes)
    judged = run(relabel(permuted), tasks=REGION, standardise=mode)
    assert mean(judged, "balanced_accuracy") == pytest.approx(1 / 3, abs=0.1)
    assert mean(judged, "bits") < 0.05


def test_posteriors_are_of_every_test_unit_and_the_first_seed(run, relabel, codes):
    embeddings = np.random.default_rng(5).standard_normal((2, 160, 4)).astype(np.float32)

    def embed(_, seed):
        return embeddings[seed]

    codes[:20] = -1
    both = run(relabel(codes), seeds=(1, 0), embed=embed)
    first = run(relabel(codes), seeds=(1,), embed=embed)
    keys = [f"region/{fold}" for fold in "ABCD"]
    assert both.posteriors.keys() == {*keys, *(f"{key}/probe" for key in keys)}
    for key in keys:
        array = both.posteriors[key]
        assert array.shape == (40, 3)
        assert array.dtype == np.uint8
        np.testing.assert_array_equal(array, first.posteriors[key])
    np.testing.assert_allclose(both.posteriors["region/A"].sum(axis=1), 255, atol=2)
    assert set(both.scores.query("task == 'region' and fold == 'A'").n) == {20}


def test_a_representation_is_asked_for_once_per_fold_and_seed(run):
    asked = []

    def embed(fold, seed):
        asked.append((fold.name, seed))
        return np.random.default_rng(seed).standard_normal((160, 4)).astype(np.float32)

    run(seeds=(1, 2), embed=embed, tasks=REGION)
    assert asked == [(fold, seed) for fold in "ABCD" for seed in (1, 2)]


def test_embeddings_of_a_test_donor_change_none_of_its_probes(run):
    rng = np.random.default_rng(7)
    z = rng.standard_normal((160, 5)).astype(np.float32)
    moved = z.copy()
    moved[:40] = 7 + 3 * z[:40]
    first, second = (run(embed=lambda *_, x=x: x).scores.query("fold == 'A'") for x in (z, moved))
    fitted = ["task", "strength", "gradient_norm", "iterations"]
    pd.testing.assert_frame_equal(first[fitted], second[fitted])
    assert (first.value != second.value).any()


def test_a_class_missing_from_training_is_an_error_of_the_probe_not_of_the_run(run, relabel, codes):
    codes[40:][codes[40:] == 1] = 0  # only donor A has edges
    judged = run(relabel(codes), tasks=REGION)
    assert (judged.posteriors["region/A"][:, 1] == 0).all()
    scores = judged.scores[judged.scores.fold == "A"].set_index("metric").value
    assert scores["balanced_accuracy"] == pytest.approx(2 / 3, abs=0.15)
    assert scores["bits"] > 0  # of the classes that training had


def test_an_unlabelled_test_donor_is_absent_not_zero(run, relabel, codes):
    codes[:40] = -1
    scores = run(relabel(codes), tasks=REGION).scores
    assert sorted(set(scores.donor)) == ["B", "C", "D"]


def test_an_embedding_that_is_not_finite_is_refused(run):
    broken = np.full((160, 2), np.nan, dtype=np.float32)
    with pytest.raises(DataError, match="image: the embedding of fold 'A', seed 3 is not finite"):
        run(seeds=(3,), embed=lambda *_: broken)


@pytest.mark.usefixtures("any_shape")
@pytest.mark.parametrize("shape", [(2, 160), (159, 2), (160,), (160, 2, 1)])
def test_an_embedding_without_a_row_per_observation_is_refused(run, shape):
    broken = np.zeros(shape, dtype=np.float32)
    message = rf"image: transform returns an array of shape {re.escape(str(shape))}, not one row"
    with pytest.raises(DataError, match=message):
        run(embed=lambda *_: broken)


def test_tasks_are_judged_alike_alone_and_beside_others(run, relabel, codes):
    """Tasks share the axes of their units; another task's labels change none of its scores."""
    together = run().scores
    for task in (REGION, COMPOSITION):
        alone = run(tasks=task).scores
        same = together[together.task == next(iter(task))].reset_index(drop=True)
        pd.testing.assert_frame_equal(alone, same, check_exact=True)
    codes[150:] = -1
    partly = run(relabel(codes)).scores
    regression = [s[s.task == "composition"].reset_index(drop=True) for s in (together, partly)]
    pd.testing.assert_frame_equal(regression[0], regression[1], check_exact=True)


def test_the_same_inputs_give_the_same_bytes(run):
    first, second = run(), run()
    pd.testing.assert_frame_equal(first.scores, second.scores, check_exact=True)
    assert all((first.posteriors[k] == second.posteriors[k]).all() for k in first.posteriors)


def test_the_nonlinear_probe_judges_the_first_seed_of_every_task(run_all):
    scores = run_all(seeds=(2, 3)).scores
    mlp = scores[scores["probe"] == "mlp"]
    assert set(mlp["seed"]) == {2}
    assert set(mlp["task"]) == {"region", "composition", "gene_panel"}
    fitted = mlp.dropna(subset=["strength"])
    assert (fitted["iterations"] > 0).all()
    assert np.isfinite(fitted[FIT_COLUMNS].to_numpy(float)).all()


def test_late_fusion_is_of_both_embeddings_side_by_side_alone(
    units, make_tissue, make_dataset, probe
):
    dataset = make_dataset(tasks=REGION)
    paired = make_tissue(units, dataset)
    shown = baseline_representations(paired)
    kinds = {
        name: set(evaluate(name, paired, dataset.tasks, [0], represent, probe).scores["probe"])
        for name, represent in shown.items()
    }
    assert kinds["concat"] == {"linear", "mlp", "late fusion"}
    assert kinds["image"] == kinds["expression"] == {"linear", "mlp"}


@pytest.mark.parametrize("mode", ["train", "donor"])
def test_posteriors_are_of_the_probe_with_the_best_inner_likelihood(
    mode, units, make_tissue, make_dataset, probe
):
    dataset = make_dataset(tasks=REGION, standardise=mode)
    paired = make_tissue(units, dataset)
    evaluator = FoldEvaluator(paired, task_targets(paired, dataset.tasks), paired.folds[0], probe)
    shares = np.eye(3)[np.arange(40) % 3]
    cv_predicted = np.full((120, 3), 1 / 3)
    for scores, best in ((-0.3, -0.5), "linear"), ((-0.9, -0.5), "own estimator"):
        predictions = {
            name: {"region": Prediction(p, Selection(1.0, score, 0.0, cv_predicted), 0.0, 0)}
            for name, p, score in zip(
                ("linear", "own estimator"), (shares, shares[:, ::-1]), scores, strict=True
            )
        }
        found = evaluator.posteriors(predictions)
        expected = 255 * predictions[best]["region"].predicted
        np.testing.assert_array_equal(found["region/A"], expected)
        suffix = "" if mode == "train" else ", transductive"
        assert found["region/A/probe"] == best + suffix
        rows = pd.DataFrame(evaluator.scores(predictions))
        assert found["region/A/probe"].item() in set(rows["probe"])


def test_inner_is_the_mean_of_each_metric_over_training_donors(run):
    scores = run(tasks=REGION, seeds=(0, 1)).scores
    filled = scores.dropna(subset=["inner"]).query("fold == 'A'")
    assert set(filled["metric"]) == set(CLASSES)
    assert filled.groupby("metric")["inner"].nunique().eq(1).all()  # later seeds have it too
    inner = filled.set_index("metric")["inner"]
    others = scores[(scores["fold"] != "A") & (scores["metric"] == "accuracy")]["value"].mean()
    assert inner["accuracy"].iloc[0] == pytest.approx(others, abs=0.1)
    assert inner["bits"].iloc[0] > 1


def test_without_a_task_there_is_the_control_alone(units, make_tissue, make_dataset, probe):
    paired = make_tissue(units, make_dataset())
    found = evaluate("image", paired, {}, [0], lambda fold, seed: paired.image, probe)  # noqa: ARG005
    assert set(found.scores["task"]) == {"donor"}
    assert not found.posteriors
