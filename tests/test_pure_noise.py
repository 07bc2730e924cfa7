"""The benchmark of pure noise counts stars and ratios, and finds what is there."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from benchmarks import pure_noise
from benchmarks.pure_noise import Size
from cell_synergy.core.config import load
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.scoring.tables import sis_table

SIZE = Size(donors=5, units=30, expert=3, joint=4)


@pytest.fixture
def scores(monkeypatch):
    """Scores of a data set in which one fused embedding shows the label."""
    drawn = pure_noise.noise

    def told(size, seed):
        adata = drawn(size, seed)
        adata.obsm["j0"][:, 0] += 4 * (adata.obs["y"] == "a").to_numpy()
        return adata

    monkeypatch.setattr(pure_noise, "JOINT", 2)
    monkeypatch.setattr(pure_noise, "noise", told)
    return pure_noise.library_scores(SIZE, 0, load(ProbeConfig, "probe"))


def test_every_metric_is_tested_and_those_without_a_test_are_named(scores):
    table = sis_table(scores)
    found: Any = pure_noise.outcomes(table, scores).set_index(["task", "metric"])
    used = {key: row["used"] for key, row in found.iterrows()}
    assert used == {
        ("composition", "pearson"): "not used",
        ("composition", "r2"): "used",
        ("y", "accuracy"): "not used",
        ("y", "balanced_accuracy"): "not used",
        ("y", "bits"): "used",
        ("y", "macro_f1"): "not used",
    }
    assert found.loc["y", "star"].all()
    assert not found.loc["composition", "star"].any()
    of_bits = table[(table["metric"] == "bits") & (table["task"] == "y") & (table["fold"] == "all")]
    assert found.loc[("y", "bits"), "gain"] == of_bits["gain"].max() > 0.3
    assert not found["ratio"].any()


def test_a_metric_without_a_test_gets_the_p_value_of_the_same_test(scores):
    in_f1 = scores[scores["metric"] == "macro_f1"]
    as_r2 = sis_table(in_f1.assign(metric="r2"))
    found = pure_noise.outcomes(sis_table(in_f1), in_f1).iloc[0]
    assert found["star"] == (as_r2["p_corrected"] < 0.05).any()
    assert found["gain"] == as_r2.loc[as_r2["fold"] == "all", "gain"].max()


def test_noise_is_the_same_again_and_another_with_another_seed():
    first, again, other = (pure_noise.noise(SIZE, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.obsm["image"], again.obsm["image"])
    assert (first.obs == again.obs).all(axis=None)
    assert not np.allclose(first.obsm["image"], other.obsm["image"])
    assert not np.allclose(first.obsm["image"], first.obsm["expr"])


@pytest.mark.parametrize("stars", [0, 1, 20])
def test_the_limit_is_that_of_clopper_and_pearson(stars):
    case = {"task": "y", "probe": "linear", "metric": "bits", "used": "used", "gain": 0.1}
    case |= {"through": "library", "size": "few donors", "ratio": False}
    found = pd.DataFrame([case | {"star": number < stars} for number in range(20)])
    table = pure_noise.summary(found)
    assert table["size"].tolist() == ["all", "few donors"]
    exact = binomtest(stars, 20).proportion_ci(0.95, method="exact")
    assert table["share"].tolist() == [stars / 20] * 2
    np.testing.assert_allclose(table["upper"], exact.high)
