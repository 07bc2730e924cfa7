"""Where methods stand to the ceiling."""

import numpy as np
import pandas as pd
import pytest

from cell_synergy.core.errors import DataError
from cell_synergy.studies.spectrum.ceiling_scores import ceiling_scores, compare


def scores(method, values, **changed):
    """Return tidy scores, one per donor."""
    row = {"task": "t", "metric": "macro_f1", "probe": "linear", "fold": "holdout", "seed": 0}
    donors = [f"D{i}" for i in range(len(values))]
    return pd.DataFrame({"method": method, "donor": donors, "value": values} | row | changed)


def verdicts(*tables, ceiling):
    result = compare(scores("ceiling", ceiling), pd.concat(tables))
    over = result[result["quantity"] == "over_ceiling"].set_index("method")
    return over["verdict"].to_dict(), over


@pytest.fixture
def ceiling():
    return np.linspace(0.6, 0.7, 8)


def test_methods_stand_above_at_or_below(ceiling):
    noise = np.random.default_rng(0).normal(0, 0.01, 8)
    result, over = verdicts(
        scores("comm", ceiling + 0.1 + noise), scores("cca", ceiling + noise - noise.mean()),
        scores("byol", ceiling - 0.1 + noise), ceiling=ceiling,
    )  # fmt: skip
    assert result == {"comm": "above", "cca": "at", "byol": "below"}
    assert over.loc["comm", "value"] == pytest.approx(0.1 + noise.mean())
    assert (over["low"] < over["value"]).all()
    assert over.loc["comm", "p_corrected"] == 1 / 2**8


def test_controls_and_single_experts_are_not_corrected_for(ceiling):
    noise = np.random.default_rng(0).normal(0, 0.01, 8)
    result, over = verdicts(
        *(scores(m, ceiling + 0.1 + noise) for m in ("image", "random", "comm_image")),
        scores("comm", ceiling + noise), ceiling=ceiling,
    )  # fmt: skip
    assert result["image"] == result["random"] == result["comm_image"] == "above"
    assert over.index[over["p_corrected"].notna()].tolist() == ["comm"]


def test_under_five_donors_nothing_is_said():
    result, over = verdicts(scores("comm", np.ones(4)), ceiling=np.zeros(4))
    assert result == {"comm": ""}
    assert over.loc["comm", "note"] == "not testable: 4 donors, 5 needed"
    assert over["low"].isna().all()


def test_seeds_and_folds_are_averaged_within_donors(ceiling):
    tables = [scores("comm", ceiling + d, seed=s) for s, d in ((0, 0.1), (1, 0.3))]
    _, over = verdicts(*tables, ceiling=ceiling)
    assert over.loc["comm", "value"] == pytest.approx(0.2)


def test_donors_held_out_in_turn_have_wider_intervals(ceiling):
    noise = np.random.default_rng(0).normal(0, 0.01, 8)
    own = {"fold": [f"F{i}" for i in range(8)]}
    plain = compare(scores("ceiling", ceiling), scores("comm", ceiling + noise))
    turned = compare(scores("ceiling", ceiling, **own), scores("comm", ceiling + noise, **own))
    widths = [float((t["high"] - t["low"]).max()) for t in (plain, turned)]
    assert widths[1] / widths[0] == pytest.approx(np.sqrt(7 / 6))


def test_only_linear_probes_and_tasks_count(ceiling):
    rest = [
        scores("comm", ceiling, probe="mlp"), scores("comm", ceiling, task="donor"),
        scores("comm", ceiling, metric="accuracy"), scores("comm", ceiling),
    ]  # fmt: skip
    result = compare(scores("ceiling", ceiling), pd.concat(rest))
    assert len(result) == 3  # a gain, and both scores


def test_a_method_that_was_scored_on_other_donors_is_refused(ceiling):
    with pytest.raises(DataError, match=r"not the same donors .* at task t, metric macro_f1"):
        compare(scores("ceiling", ceiling), scores("comm", ceiling[:7]))


def test_the_ceiling_is_scored_like_a_method(paired, dataset, probe):
    both = np.concatenate([paired.image, paired.expression], axis=1)
    table = ceiling_scores(paired, dataset.tasks, lambda *_: both, probe)
    means = table[table["metric"] == "macro_f1"].groupby("task")["value"].mean()
    assert means["both"] > 0.9
    assert means["image_only"] > 0.9
    assert means["product"] < 0.6
    assert set(table["donor"]) == set("TUVWX")
    assert set(table["method"]) == {"ceiling"}
