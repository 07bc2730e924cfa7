"""A small null study: limits are four standard errors wide, seeds fixed."""

import numpy as np
import pandas as pd
import pytest

from benchmarks import null_study as study
from cell_synergy.core.names import UNIMODAL
from cell_synergy.scoring.tables import sis_table


def rows(scores):
    return pd.DataFrame(study.report(scores)).set_index("methods")


def test_drawn_scores_are_covered_and_zeros_are_not_found():
    table = rows(study.drawn("normal", 60))
    zeros = table.loc["zeros"]
    for kind in ("covers_sis", "covers_gain"):
        assert 0.9 < zeros[kind] < 0.99
        assert table[kind].between(0.84, 1).all()
    assert abs(zeros["truth"]) < 0.01
    assert zeros["largest_sis"] == pytest.approx(0.021, abs=0.01)
    assert 0.01 < zeros["significant"] < 0.09
    assert zeros["significant_corrected"] < 0.16
    assert table["truth"].tolist()[1:] == pytest.approx([0.05, 0.1, 0.2], abs=0.01)
    assert table.loc["small", "significant_corrected"] < 0.5
    assert table.loc["middle", "significant_corrected"] > 0.5
    assert table.loc["large", "significant_corrected"] > 0.95


@pytest.mark.slow
@pytest.mark.parametrize("arm", ["holdout", "leave-one-donor-out"])
def test_refitted_probes_are_covered_and_zeros_are_not_found(arm, monkeypatch):
    zeros = study.ZEROS[:4]
    monkeypatch.setattr(study, "ZEROS", zeros)
    monkeypatch.setattr(study, "PLANTED", {"large": 0.2})
    monkeypatch.setattr(study, "METHODS", [*UNIMODAL, *zeros, "large"])
    monkeypatch.setattr(study, "QUIETER", {"r2": study.QUIETER["r2"][2:]})
    table = rows(study.fitted(arm, "r2", 25))
    zeros = table.loc["zeros"]
    assert zeros["covers_sis"] > 0.84
    assert zeros["covers_gain"] > 0.84
    assert zeros["significant"] < 0.15
    assert zeros["significant_corrected"] < 0.22
    assert table.loc["large", "truth"] == pytest.approx(0.2, abs=0.03)
    assert table.loc["large", "significant_corrected"] > 0.8


@pytest.mark.parametrize(("arm", "donors"), [("holdout", 10), ("leave-one-donor-out", 6)])
def test_scores_are_those_of_a_probe_that_has_not_seen_the_donor(arm, donors, monkeypatch):
    monkeypatch.setattr(study, "METHODS", study.METHODS[:2])
    monkeypatch.setattr(study, "QUIETER", {"r2": ()})
    monkeypatch.setattr(study, "ZEROS", [])
    fit, score = study.DonorFits.__init__, study.score
    seen: list[tuple[np.ndarray, list[np.ndarray]]] = []

    def trained(probe, metric, z, states):
        seen.append((states, []))
        fit(probe, metric, z, states)

    def scored(metric, linear, z, states):
        seen[-1][1].append(states)
        return score(metric, linear, z, states)

    monkeypatch.setattr(study.DonorFits, "__init__", trained)
    monkeypatch.setattr(study, "score", scored)
    scores = study.fitted(arm, "r2", 1)
    assert scores.cross_validated == (arm != "holdout")
    assert scores.value.shape == (1, 7, 2)
    assert sum(len(test) for _, test in seen) == 14
    for train, test in seen:
        assert len(train) == donors
        assert not any((a == b).all() for a in train for b in test)


def test_the_same_seed_draws_the_same_data_and_arms_differ():
    first, again, other = (study.drawn(arm, 5).value for arm in ("normal", "normal", "heavy"))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_the_table_is_that_of_the_study_s_own_scores():
    scores = study.drawn("normal", 2)
    table = sis_table(study.tidy(scores))
    assert table["dataset"].unique().tolist() == ["00000", "00001"]
    assert set(table["best"]) == {"expression"}
    row = table[(table["dataset"] == "00001") & (table["method"] == "large")].iloc[0]
    assert row["score"] == pytest.approx(scores.value[1, :, -1].mean())
    assert row["best_score"] == pytest.approx(scores.value[1, :, 1].mean())
    turns = sis_table(study.tidy(study.Scores(scores.value, scores.inner, cross_validated=True)))
    assert len(turns) == 8 * len(table)
