"""Probe tasks of a tiny data set, selection of penalties, and the control task `donor`."""

from dataclasses import replace

import numpy as np
import pytest

from cell_synergy.core.errors import DataError
from cell_synergy.downstream.probes.tasks import Selection, make_donor_task, task_targets

REGION = {"region": {"kind": "classification"}}
COMPOSITION = {"composition": {"kind": "composition"}}


def test_test_donors_do_not_choose_the_penalty(run, relabel, codes):
    """Labels of the training donors are noise, for which the largest penalty is best."""
    rng = np.random.default_rng(3)
    noise = np.concatenate([codes[:40], rng.integers(3, size=120)])
    scores = run(relabel(noise), tasks=REGION).scores
    assert set(scores[scores.fold == "A"].strength) == {1.0}
    assert set(run(tasks=REGION).scores.strength) != {1.0}


def test_the_first_seed_chooses_the_penalty_of_all(run, codes):
    rng = np.random.default_rng(6)
    noise = rng.standard_normal((160, 3)).astype(np.float32)
    shown = (np.eye(3)[codes] + 0.1 * noise).astype(np.float32)
    chosen = [
        set(run(seeds=(0, 1), embed=lambda _, s, z=z: z[s], tasks=REGION).scores.strength)
        for z in ((noise, shown), (shown, noise))
    ]
    assert chosen == [{1.0}, {0.01}]


def test_without_a_labelled_training_unit_the_task_is_refused_with_a_remedy(run, relabel, codes):
    codes[:80] = -1
    roles = {"train": ["A", "B"], "test": ["C", "D"]}
    with pytest.raises(DataError, match="task 'region': no training observation of fold"):
        run(relabel(codes), split="holdout", roles=roles, tasks=REGION)


@pytest.mark.parametrize("mode", ["train", "donor"])
def test_units_without_a_target_are_left_out_of_a_regression(mode, run, units):
    partly = units.copy()
    partly.obsm["cell_type_ratio"].iloc[::5] = np.nan
    judged = run(partly, tasks=COMPOSITION, standardise=mode)
    assert set(judged.scores.n) == {32}
    assert judged.scores.query("metric == 'r2'")["value"].mean() > 0.5


def test_donor_mode_ignores_what_shifts_and_scales_a_donors_target(run, units):
    shifted = units.copy()
    shifted.obsm["cell_type_ratio"].iloc[40:80] = 5 + 3 * units.obsm["cell_type_ratio"].iloc[40:80]
    first, second = (
        run(labelled, tasks=COMPOSITION, standardise="donor").scores
        for labelled in (units, shifted)
    )
    np.testing.assert_allclose(first.value, second.value, atol=1e-4)


def test_inner_donors_whose_target_never_varies_do_not_decide(run, units, probe):
    flat = units.copy()
    flat.obsm["cell_type_ratio"].iloc[40:80] = 1 / 3
    scores = run(flat, tasks=COMPOSITION, probe=probe.model_copy(update={"inner_folds": 3})).scores
    assert set(scores[scores.fold == "A"].strength) != {1.0}


def test_one_penalty_needs_no_choice(run, probe):
    only = probe.model_copy(update={"weakest": 0.3, "strongest": 0.3, "strengths": 1})
    scores = run(probe=only, tasks=REGION).scores
    assert set(scores.strength) == {0.3}
    assert scores.sensitivity.isna().all()


@pytest.mark.parametrize(
    ("scores", "strength", "sensitivity"),
    [
        ([-3.0, -1.0, -1.5, -9.0], 0.1, 2.0),
        ([-3.0, -2.0, -1.5, -9.0], 0.01, 7.5),
        ([0.5, 0.2, 0.9, 0.4], 0.01, 0.7),
        ([2.0, 1.5, 0.0, 0.0], 1.0, 0.5),
        ([0.0, 0.0, 1.0, 3.0], 0.001, 2.0),
        ([1.0, 1.0, 1.0, 1.0], 1.0, 0.0),
    ],
)
def test_sensitivity_is_what_the_worse_neighbour_of_the_best_penalty_costs(
    scores, strength, sensitivity
):
    penalties = [1.0, 0.1, 0.01, 0.001]
    predicted = np.array(penalties)[:, None, None] * np.ones((4, 3, 2))
    found = Selection.best(penalties, np.array(scores), predicted)
    assert (found.penalty, found.cv_score) == (strength, max(scores))
    assert (found.cv_predicted == strength).all()
    assert found.sensitivity == pytest.approx(sensitivity)


def test_goals_are_what_the_tasks_ask(units, make_tissue, make_dataset, relabel, codes):
    codes[7] = -1
    dataset = make_dataset()
    paired = replace(make_tissue(units, dataset), adata=relabel(codes))
    region, composition, panel = task_targets(paired, dataset.tasks)
    assert (region.name, region.classes) == ("region", ("core", "edge", "rim"))
    np.testing.assert_array_equal(region.codes, codes)
    np.testing.assert_array_equal(region.labelled, codes >= 0)
    np.testing.assert_array_equal(composition.outputs, units.obsm["cell_type_ratio"])
    counts = units.X.toarray()
    expected = np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True))[:, :4]
    np.testing.assert_allclose(panel.outputs, expected, rtol=1e-5)


def test_how_well_the_donor_shows_is_scored_on_training_donors(run_all):
    rng = np.random.default_rng(9)
    marked = rng.standard_normal((160, 4)).astype(np.float32)
    marked[:, 0] += 6 * np.repeat(np.arange(4), 40)
    free = rng.standard_normal((160, 4)).astype(np.float32)
    found = {}
    for name, z in (("marked", marked), ("free", free)):
        scores = run_all(embed=lambda *_, z=z: z, tasks=REGION).scores
        own = scores[(scores["task"] == "donor") & (scores["metric"] == "accuracy")]
        assert (own["donor"] != own["fold"]).all()
        assert set(own["probe"]) == {"linear"}
        found[name] = own["value"].mean()
    assert found["marked"] > 0.95
    assert found["free"] == pytest.approx(1 / 3, abs=0.15)


def test_with_one_training_donor_there_is_no_donor_to_tell(run_all):
    roles = {"train": ["A"], "test": ["B", "C", "D"]}
    scores = run_all(split="holdout", roles=roles, tasks=REGION).scores
    assert "donor" not in set(scores["task"])


def test_blocks_are_not_asked_whose_tissue_they_are(units, make_tissue, make_dataset):
    paired = make_tissue(units, make_dataset())
    blocks = np.array([f"{donor}-block{i % 2}" for i, donor in enumerate(paired.donor)])
    cut = units.copy()
    cut.obs["block"] = blocks
    asked = make_donor_task(paired.folds[0], replace(paired, adata=cut, groups=blocks), 2)
    assert asked is not None
    target, probe_task = asked
    assert target.classes == tuple("ABCD")
    assert probe_task.classes == 3
    one = replace(paired, adata=cut, groups=blocks, donor=np.full(len(blocks), "A"))
    assert make_donor_task(paired.folds[0], one, 2) is None
