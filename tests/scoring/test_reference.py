"""Which single modality a score stands beside, and what of it is tested."""

import numpy as np
import pandas as pd
import pytest

from cell_synergy.scoring.inference import donor_inference
from cell_synergy.scoring.reference import INFERENCE_COLUMNS, with_reference
from cell_synergy.scoring.tables import sis_table


def rows(probe, values, *, inner=None, metric="macro_f1", donors=7):
    """Return the scores of one probe; donor d adds d per cent, and half of it to concat's."""
    return pd.DataFrame(
        {
            "dataset": "toy", "method": method, "task": "region", "metric": metric,
            "probe": probe, "fold": "0", "donor": f"d{donor}", "seed": 0,
            "value": value + donor * (0.015 if method == "concat" else 0.01),
            "n": 10, "inner": (inner or values)[method],
        }
        for method, value in values.items()
        for donor in range(donors)
    )  # fmt: skip


LINEAR = {"image": 0.6, "expression": 0.5, "concat": 0.65}
NONLINEAR = {"image": 0.6, "expression": 0.7, "concat": 0.75}


@pytest.fixture
def scores():
    """Under the MLP expression is better, under the linear probe the image."""
    return pd.concat([rows("linear", LINEAR), rows("mlp", NONLINEAR)], ignore_index=True)


def fused(suffix=""):
    return rows(f"late fusion{suffix}", {"concat": 0.72})


def test_the_better_modality_is_that_of_the_inner_scores_not_of_the_test_donors():
    found = with_reference(
        rows("linear", LINEAR, inner={"image": 0.1, "expression": 0.2, "concat": 0}),
        ("image", "expression"),
    )
    assert set(found["best"]) == {"expression"}
    np.testing.assert_allclose(found["best_score"], 0.5 + 0.01 * np.arange(7))


def test_late_fusion_stands_beside_the_mlp_s_better_modality(scores):
    table = sis_table(pd.concat([scores, fused()])).set_index("probe")
    assert table["best"].to_dict() == {
        "late fusion": "expression",
        "linear": "image",
        "mlp": "expression",
    }
    late = table.loc["late fusion"]
    assert late["method"] == "concat"
    assert late["best_score"] == pytest.approx(0.73)
    assert late["gain"] == pytest.approx(0.035)
    assert late["p_corrected"] == pytest.approx(2**-7)
    pd.testing.assert_frame_equal(
        table.drop(index="late fusion").reset_index(), sis_table(scores), check_like=True
    )


def test_late_fusion_has_the_reference_of_its_own_standardisation(scores):
    suffix = ", transductive"
    better = rows(f"mlp{suffix}", {"image": 0.9, "expression": 0.7, "concat": 0.8})
    table = sis_table(pd.concat([scores, better, fused(suffix)])).set_index("probe")
    assert table.loc[f"late fusion{suffix}", "best"] == "image"


def test_late_fusion_without_the_mlp_s_scores_is_refused(scores):
    expected = (
        "late fusion needs those of image and expression for dataset toy, task region, "
        "metric macro_f1, probe mlp, transductive; score them with this probe"
    )
    with pytest.raises(ValueError, match=expected):
        sis_table(pd.concat([scores, fused(", transductive")]))
    with pytest.raises(ValueError, match="metric bits, probe mlp"):
        sis_table(pd.concat([scores, fused(), fused().assign(metric="bits")]))


def test_late_fusion_on_fewer_donors_is_refused(scores):
    with pytest.raises(ValueError, match=r"'concat' has none for .*late fusion.*donor d6"):
        sis_table(pd.concat([scores, fused().query("donor != 'd6'")]))


def many_donors(*, probe="linear", seed=0, donors=7, cross_validated=False, low=0.4):
    """Return scores of seven donors, in which the methods gain a little."""
    rng = np.random.default_rng(seed)
    gains = {"image": -0.1, "expression": 0.0, "comm": 0.05, "cca": 0.02, "pca": 0.04}
    table = rows(probe, {method: low + gain for method, gain in gains.items()}, donors=donors)
    noise = rng.normal(0, 0.05, len(table))
    return table.assign(
        fold=table["donor"] if cross_validated else "0", value=table["value"] + noise, metric="r2"
    )


@pytest.mark.parametrize("cross_validated", [False, True])
def test_donors_are_inferred_from_and_folds_are_not(cross_validated):
    scores = many_donors(cross_validated=cross_validated)
    table = sis_table(scores).set_index(["method", "fold"])
    wide = scores.pivot_table("value", index="donor", columns="method")
    best = wide["expression"].to_numpy()
    methods = ["cca", "comm", "pca"]
    result = donor_inference(
        wide[methods].to_numpy() - best[:, None],
        best,
        np.array([True, True, False]),
        cross_validated=cross_validated,
    )
    limits = result.gain.low, result.gain.high, result.ratio.low, result.ratio.high
    expected = np.column_stack([*limits, result.p.uncorrected, result.p.corrected])
    found = table.xs("all", level="fold").loc[methods, INFERENCE_COLUMNS]
    np.testing.assert_allclose(found.to_numpy(dtype=float), expected)
    assert found["p_corrected"].isna().tolist() == [False, False, True]
    per_fold = table[table.index.get_level_values("fold") != "all"]
    assert len(per_fold) == (21 if cross_validated else 0)
    assert per_fold[INFERENCE_COLUMNS].isna().to_numpy().all()
    assert set(table["note"]) == {""}


def test_controls_can_be_named_and_change_nothing_for_others():
    scores = many_donors()
    with_pca = sis_table(scores, controls=()).set_index("method")
    assert with_pca["p_corrected"].notna().all()
    without = sis_table(scores[scores["method"] != "pca"]).set_index("method")
    usual = sis_table(scores).set_index("method")
    pd.testing.assert_frame_equal(usual.drop(index="pca"), without)
    assert (with_pca["p_corrected"] > usual["p_corrected"]).any()


def test_every_probe_is_a_case_of_its_own():
    linear, mlp = many_donors(), many_donors(probe="mlp", seed=1)
    mlp.loc[mlp["method"] == "image", ["value", "inner"]] += 0.3
    table = sis_table(pd.concat([linear, mlp]))
    best = table[["probe", "best"]].drop_duplicates()
    assert best.to_numpy().tolist() == [["linear", "expression"], ["mlp", "image"]]
    alone = table[table["probe"] == "linear"].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, sis_table(linear))


def test_few_donors_have_points_and_the_note():
    table = sis_table(many_donors(donors=3))
    assert set(table["note"]) == {"not testable: 3 donors, 5 needed"}
    assert table[INFERENCE_COLUMNS].isna().to_numpy().all()
    assert table[["gain", "sis"]].notna().to_numpy().all()


def test_without_a_ratio_the_gain_is_still_tested():
    row = sis_table(many_donors(low=-0.5)).set_index("method").loc["comm"]
    assert row["note"] == "best unimodal mean <= 0: no relative gain"
    assert row[["sis", "low", "high"]].isna().all()
    assert row[["gain", "gain_low", "gain_high", "p", "p_corrected"]].notna().all()


def test_a_perfect_score_of_everyone_is_no_gain():
    scores = many_donors().assign(value=1.0)  # as where donors have one class only
    row = sis_table(scores).set_index("method").loc["comm"]
    assert list(row[["sis", "gain", "p", "p_corrected"]]) == [0, 0, 1, 1]
    assert row["note"] == (
        "no interval of the gain: it is the same for every donor; "
        "no interval of sis: it is the same without any donor"
    )
