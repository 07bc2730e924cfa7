from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cell_synergy.core.errors import DataError
from cell_synergy.downstream.evaluate import COLUMNS
from cell_synergy.downstream.spatial.config import BAND_COLUMNS, SpatialConfig
from cell_synergy.downstream.spatial.distance import curves
from cell_synergy.downstream.spatial.scores import SpatialTasks, evaluate
from cell_synergy.downstream.spatial.targets import composition, majority
from cell_synergy.scoring.tables import sis_table

PARAMS = {
    "neighbours": [6, 18], "least": 5, "targets": ["region", "composition"], "probes": ["linear"],
    "seed": 0, "consistency": {"nearest": 3, "farthest": 0.8, "pairs": 20},
}  # fmt: skip


@pytest.fixture
def judged(units, make_tissue, make_dataset, probe):
    """Judge a representation of the tiny data set; `change` may change the units after it."""

    def run(embed, change=None, seeds=(0,), name="image", **params):
        dataset, spatial = make_dataset(), SpatialConfig.model_validate(PARAMS | params)
        changed = units.copy()
        if change:
            change(changed)
        paired = replace(make_tissue(units, dataset), adata=changed)
        spatial_tasks = SpatialTasks.of(paired, dataset.tasks, spatial)

        def represent(fold, seed):  # noqa: ARG001
            return embed(paired, spatial_tasks).astype(np.float32)

        kinds = spatial.probes
        return evaluate(name, paired, spatial_tasks, list(seeds), represent, probe, kinds)

    return run


def of_neighbours(number):
    """Embed a unit by the label and the composition of its neighbours in a band."""

    def embed(paired, spatial_tasks):
        band = next(t.band for t in spatial_tasks.targets if t.number == number)
        codes = paired.adata.obs["region"].cat.codes.to_numpy().astype(np.int64)
        shares = composition(paired.adata.obsm["cell_type_ratio"].to_numpy(), band)
        return np.concatenate([np.eye(3)[majority(codes, 3, band)], np.nan_to_num(shares)], axis=1)

    return embed


def means(scores):
    return scores.groupby(["task", "metric"])["value"].mean()


def test_who_knows_the_neighbours_is_right_in_their_band_alone(judged):
    scores = judged(of_neighbours(2))
    mean = means(scores)
    assert mean["neighbours region 2", "macro_f1"] > 0.95
    assert mean["neighbours composition 2", "r2"] > 0.95
    assert mean["neighbours region 1", "macro_f1"] < 0.6
    assert mean["neighbours composition 1", "r2"] < 0.3


def test_rows_are_those_of_the_stage_probe_with_the_band(judged):
    scores = judged(of_neighbours(1), seeds=(0, 1))
    assert scores.columns.tolist() == [*COLUMNS, *BAND_COLUMNS]
    labels, pairs = {"macro_f1", "balanced_accuracy", "bits"}, {"f1", "accuracy", "roc_auc"}
    assert set(scores["metric"]) == {*labels, "r2", *pairs}
    assert set(scores["donor"]) == set("ABCD")
    assert set(scores["seed"]) == {0, 1}
    key = ["task", "metric", "probe", "fold", "donor", "seed"]
    assert not scores.duplicated(key).any()
    first = scores[scores["task"] == "neighbours region 1"].iloc[0]
    assert (first["target"], first["band"], first["inner_um"]) == ("region", 1, 0)
    assert 100 < first["outer_um"] < 400
    assert first["neighbours"] == pytest.approx(6, rel=0.1)
    assert np.isfinite(first["inner"])
    pairs = scores[scores["task"] == "consistency"]
    assert pairs["band"].isna().all()
    assert (pairs["chance"] == 0.5).all()
    assert pairs["entropy"].to_numpy() == pytest.approx(1)
    assert (pairs["target"] == "consistency").all()


@pytest.mark.slow
def test_spatial_scores_enter_the_sis_table(judged):
    scores = pd.concat(
        judged(of_neighbours(band), name=name)
        for name, band in (("image", 1), ("expression", 2), ("concat", 2))
    )
    table = sis_table(scores)
    assert set(table["task"]) == {
        *(f"neighbours {target} {band}" for target in ("region", "composition") for band in (1, 2)),
        "consistency",
    }


def test_labels_of_test_donors_change_no_fit(judged):
    def noise(paired, _):
        return np.random.default_rng(5).standard_normal((paired.adata.n_obs, 4))

    def permuted(units):
        own = (units.obs["donor"] == "A").to_numpy()
        codes = units.obs["region"].cat.codes.to_numpy().copy()
        codes[own] = np.roll(codes[own], 7)
        names = units.obs["region"].cat.categories
        units.obs["region"] = pd.Categorical.from_codes(codes, names)

    fits = []
    for change in (None, permuted):
        scores = judged(noise, change)
        own = scores[(scores["fold"] == "A") & (scores["target"] == "region")]
        fits.append(own[["inner", "strength", "gradient_norm", "iterations"]].dropna())
    assert len(fits[0]) > 0
    pd.testing.assert_frame_equal(fits[0], fits[1])


def test_a_band_that_sections_are_too_small_for_is_absent(judged):
    scores = judged(of_neighbours(1), neighbours=[6, 50])  # 40 units in a section
    assert set(scores["task"]) == {
        "neighbours region 1", "neighbours composition 1", "consistency",
    }  # fmt: skip


@pytest.mark.slow
def test_nonlinear_probes_judge_neighbours_where_they_are_asked_for(judged):
    scores = judged(of_neighbours(1), probes=["linear", "mlp"], seeds=(0, 1))
    nonlinear = scores[scores["probe"] == "mlp"]
    assert set(nonlinear["target"]) == {"region", "composition"}
    assert set(nonlinear["seed"]) == {0}


def test_tasks_of_other_data_sets_alone_leave_the_pairs(judged, capsys):
    scores = judged(lambda paired, _: paired.image, targets=["layer"])
    assert set(scores["task"]) == {"consistency"}
    assert "tiny: spatial.targets names none of its tasks (region, " in capsys.readouterr().out


def test_where_nothing_can_be_asked_there_are_columns_and_no_rows(judged):
    few = {"nearest": 20, "farthest": 0.8, "pairs": 5}
    scores = judged(of_neighbours(1), least=1000, consistency=few)
    some = [judged(of_neighbours(1), name=name) for name in ("image", "expression", "concat")]
    assert scores.empty
    assert list(scores.columns) == list(some[0].columns)
    found = curves(scores)
    assert found.empty
    assert list(found.columns) == list(curves(pd.concat(some)).columns)


def test_embeddings_that_are_not_finite_are_refused(judged):
    with pytest.raises(DataError, match="image: the embedding of fold 'A', seed 0 is not finite"):
        judged(lambda paired, _: np.full((paired.adata.n_obs, 2), np.nan))
