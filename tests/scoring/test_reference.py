"""Which single modality a score stands beside, and what of it is tested."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from cell_synergy.core.errors import DataError
from cell_synergy.scoring.gains import largest_p, smaller_gain
from cell_synergy.scoring.inference import ratio_interval
from cell_synergy.scoring.reference import with_reference
from cell_synergy.scoring.tables import INFERENCE_COLUMNS, sis_table


def rows(probe, values, *, inner=None, metric="macro_f1", donors=7):
    """Return the scores of one probe; donor d adds d per cent, and half of it to concat's."""
    return pd.DataFrame(
        {
            "dataset": "toy", "method": method, "task": "region", "metric": metric,
            "probe": probe, "fold": "0", "donor": f"d{donor}", "seed": 0,
            "value": value + donor * (0.015 if method == "concat" else 0.01),
            "n": 10, "inner": (inner or values)[method], "chance": 0.0, "entropy": 1.5,
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
    assert set(found.best) == {"expression"}
    rows_of_concat = found.long()
    np.testing.assert_allclose(rows_of_concat["best_score"], 0.5 + 0.01 * np.arange(7))
    np.testing.assert_allclose(rows_of_concat["image_score"], 0.6 + 0.01 * np.arange(7))


def test_the_better_modality_may_differ_between_metrics():
    first = {"image": 0.2, "expression": 0.1, "concat": 0}
    second = {"image": 0.1, "expression": 0.2, "concat": 0}
    scores = [
        rows("linear", LINEAR, inner=first),
        rows("linear", LINEAR, inner=second, metric="bits"),
    ]
    best = sis_table(pd.concat(scores)).set_index("metric")["best"]
    assert best.to_dict() == {"macro_f1": "image", "bits": "expression"}


def test_an_expert_without_inner_scores_is_refused_with_the_remedy():
    scores = rows("linear", LINEAR)
    scores.loc[scores["method"] == "expression", "inner"] = np.nan
    expected = (
        "column 'inner' has no number for method 'expression' at dataset toy, task region, metric "
        "macro_f1, probe linear; fill in"
    )
    with pytest.raises(DataError, match=expected):
        sis_table(scores)


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


def expected_columns(scores, methods, compared, *, shares, cross_validated):
    """Return the columns of inference, from the functions that compute them."""
    wide = scores.pivot_table("value", index="donor", columns="method")
    experts = wide[["image", "expression"]].to_numpy()
    both = (wide[methods].to_numpy()[:, None] - experts[:, :, None]).transpose(1, 0, 2)
    entropy = scores.groupby("donor")["entropy"].first().to_numpy() if shares else None
    gain = smaller_gain(both, entropy, cross_validated=cross_validated)
    all_three = np.concatenate([both, wide[methods].to_numpy()[None]])
    p = largest_p(all_three, compared, cross_validated=cross_validated)
    ratio = ratio_interval(both[1], experts[:, 1], cross_validated=cross_validated)
    limits = gain.value, gain.interval.low, gain.interval.high
    return np.column_stack([*limits, p.uncorrected, p.corrected, ratio.low, ratio.high])


@pytest.mark.parametrize("metric", ["r2", "bits"])
@pytest.mark.parametrize("cross_validated", [False, True])
def test_donors_are_inferred_from_and_folds_are_not(cross_validated, metric):
    scores = many_donors(cross_validated=cross_validated).assign(metric=metric)
    scores["entropy"] = 1 + scores["donor"].str[1:].astype(int) / 10
    table = sis_table(scores).set_index(["method", "fold"])
    methods = ["cca", "comm", "pca"]
    expected = expected_columns(
        scores,
        methods,
        np.array([True, True, False]),
        shares=metric == "bits",
        cross_validated=cross_validated,
    )
    columns = ["gain", "gain_low", "gain_high", "p", "p_corrected", "low", "high"]
    found = table.xs("all", level="fold").loc[methods, columns]
    np.testing.assert_allclose(found.to_numpy(dtype=float), expected)
    assert found["p_corrected"].isna().tolist() == [False, False, True]
    per_fold = table[table.index.get_level_values("fold") != "all"]
    assert len(per_fold) == (21 if cross_validated else 0)
    assert per_fold[INFERENCE_COLUMNS].isna().to_numpy().all()
    assert set(table["note"]) == {""}


@pytest.mark.parametrize("metric", ["macro_f1", "balanced_accuracy", "accuracy", "pearson"])
def test_other_metrics_have_intervals_and_no_p(metric):
    table = sis_table(many_donors().assign(metric=metric))
    assert table[["gain_low", "gain_high", "low", "high"]].notna().to_numpy().all()
    assert table[["p", "p_corrected"]].isna().to_numpy().all()


def test_bits_of_a_regression_are_plain_and_not_tested():
    r2, bits = many_donors(), many_donors(seed=1).assign(metric="bits", entropy=np.nan)
    table: Any = sis_table(pd.concat([r2, bits])).set_index(["metric", "method"])
    assert table.loc["r2", "p_corrected"].notna().sum() == 2
    assert table.loc["bits", "p"].isna().all()
    row = table.loc[("bits", "comm")]
    assert row["gain"] == pytest.approx(
        row["score"] - max(row["image_score"], row["expression_score"])
    )


def test_a_gain_is_over_the_expert_that_is_better_here_whichever_was_chosen():
    inner = {"image": 0.9, "expression": 0.1, "comm": 0, "cca": 0, "pca": 0}
    scores = many_donors()
    chosen = sis_table(scores.assign(inner=scores["method"].map(inner)))
    usual = sis_table(scores)
    columns = ["gain", "gain_low", "gain_high", "p", "p_corrected"]
    pd.testing.assert_frame_equal(chosen[columns], usual[columns])
    assert set(chosen["best"]) == {"image"}
    assert set(chosen["note"]) == {"expression is better on the scored donors"}
    assert (chosen["sis"] > usual["sis"]).all()


def test_losing_less_than_two_experts_without_information_is_no_star():
    scores = many_donors(donors=8).assign(metric="bits")
    scores["value"] = scores["method"].map({"image": -0.3, "expression": -0.2}).fillna(-0.05)
    scores["value"] += np.random.default_rng(0).normal(0, 0.01, len(scores))
    row = sis_table(scores).set_index("method").loc["comm"]
    assert row["gain_low"] > 0
    assert row["p"] > 0.5
    assert row["p_corrected"] > 0.5
    assert np.isnan(row["sis"])
    assert row["note"] == "no single expert is above chance"


def test_controls_can_be_named_and_change_nothing_for_others():
    scores = many_donors()
    with_pca = sis_table(scores, controls=()).set_index("method")
    assert with_pca["p_corrected"].notna().all()
    without = sis_table(scores[scores["method"] != "pca"]).set_index("method")
    usual = sis_table(scores).set_index("method")
    pd.testing.assert_frame_equal(usual.drop(index="pca"), without)
    pd.testing.assert_frame_equal(with_pca.drop(index="pca"), without)  # of another family


def test_a_method_stands_beside_itself_trained_on_one_expert():
    scores = many_donors()
    image, expression = (
        scores[scores["method"] == "comm"].assign(
            method=f"comm_{expert}", value=lambda t, gain=gain: t["value"] - gain
        )
        for expert, gain in (("image", 0.02), ("expression", 0.01))
    )
    noise = np.random.default_rng(5).normal(0, 0.01, len(image))
    image = image.assign(value=image["value"] + noise)
    table: Any = sis_table(pd.concat([scores, image, expression])).set_index("method")
    usual: Any = sis_table(scores).set_index("method")
    np.testing.assert_allclose(table.loc["comm", "alone_gain"], min(0.02 - noise.mean(), 0.01))
    assert table.loc[["cca", "pca", "comm_image"], "alone_gain"].isna().all()
    assert table.loc[["comm_image", "comm_expression"], "p_corrected"].isna().all()
    assert table.loc["cca", "p_corrected"] == usual.loc["cca", "p_corrected"]
    one = sis_table(pd.concat([scores, image])).set_index("method").loc["comm"]
    assert one["alone_gain"] == pytest.approx(0.02 - noise.mean())
    assert one["alone_low"] < one["alone_gain"] < one["alone_high"]


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


def test_few_donors_have_a_ratio_only_to_an_expert_above_chance():
    table = sis_table(many_donors(donors=3).assign(chance=0.9, metric="macro_f1"))
    assert table["sis"].isna().all()
    expected = {"not testable: 3 donors, 5 needed; no single expert is above chance"}
    assert set(table["note"]) == expected


@pytest.mark.parametrize("low", [-0.5, 0.0, 1e-300])
def test_without_a_ratio_the_gain_is_still_tested(low):
    scores = many_donors(low=low)
    if low == 1e-300:
        scores.loc[scores["method"].isin(["image", "expression"]), "value"] = low
    row = sis_table(scores).set_index("method").loc["comm"]
    assert row["note"] == "no single expert is above chance"
    assert row[["sis", "low", "high"]].isna().all()
    assert row[["gain", "gain_low", "gain_high", "p", "p_corrected"]].notna().all()


def test_a_ratio_needs_an_expert_clearly_above_chance_not_above_zero():
    scores = many_donors().assign(metric="balanced_accuracy")
    assert sis_table(scores.assign(chance=0.25))["sis"].notna().all()
    table = sis_table(scores.assign(chance=0.42))
    assert table[["sis", "low", "high"]].isna().to_numpy().all()
    assert set(table["note"]) == {"no single expert is above chance"}


def test_a_guess_above_chance_in_macro_f1_has_no_ratio_where_bits_know_nothing():
    f1 = many_donors().assign(metric="macro_f1", chance=0.3)
    bits = many_donors(low=-0.1).assign(metric="bits")
    assert (alone := sis_table(f1))["sis"].notna().all()
    table = sis_table(pd.concat([f1, bits])).query("metric == 'macro_f1'")
    assert table[["sis", "low", "high"]].isna().to_numpy().all()
    assert set(table["note"]) == {"no single expert is above chance in bits"}
    assert table["gain"].tolist() == alone["gain"].tolist()
    other = sis_table(pd.concat([f1, bits.assign(probe="mlp")]))
    assert other.loc[other["metric"] == "macro_f1", "sis"].notna().all()


def test_a_perfect_score_of_everyone_is_no_gain():
    scores = many_donors().assign(value=1.0)  # as where donors have one class only
    row = sis_table(scores).set_index("method").loc["comm"]
    assert list(row[["sis", "gain", "p", "p_corrected"]]) == [0, 0, 1, 1]
    assert row["note"] == (
        "no interval of the gain: it is the same without any donor; "
        "no interval of sis: it is the same without any donor"
    )
