"""The paper's ten methods are tested together, and lose no power to rows beyond them."""

import numpy as np
import pandas as pd
import pytest

from cell_synergy.core.names import PAPER_METHODS
from cell_synergy.scoring.families import (
    BEYOND,
    NO_FAMILY,
    PAPER,
    corrected_within,
    family,
)
from cell_synergy.scoring.inference import sign_flip
from cell_synergy.scoring.tables import sis_table


@pytest.mark.parametrize("name", PAPER_METHODS)
def test_the_papers_ten_are_one_family(name):
    assert family(name) == PAPER
    assert len(PAPER_METHODS) == 10


@pytest.mark.parametrize("name", ["bilinear", "bilinear_full", "comm_products", "concat_full", "x"])
def test_further_methods_and_a_users_own_are_another_one(name):
    assert family(name) == BEYOND


@pytest.mark.parametrize(
    "name", ["image", "expression", "random", "pca_products", "shuffled", "cca_image"]
)
def test_experts_and_controls_are_in_none(name):
    assert family(name) == NO_FAMILY


def test_each_family_is_corrected_by_itself():
    gain = np.random.default_rng(0).normal(0.3, 1, (7, 4))
    families = [PAPER, BEYOND, NO_FAMILY, PAPER]

    def test(mask):
        return sign_flip(gain, mask, 1.0)

    together = corrected_within(families, test)
    np.testing.assert_array_equal(together.uncorrected, test(np.ones(4, dtype=bool)).uncorrected)
    paper = test(np.array([True, False, False, True])).corrected
    np.testing.assert_array_equal(together.corrected[[0, 3]], paper[[0, 3]])
    assert together.corrected[1] == together.uncorrected[1]  # alone in its family
    assert np.isnan(together.corrected[2])


def test_without_a_family_nothing_is_corrected():
    gain = np.random.default_rng(0).normal(0.3, 1, (7, 2))
    p = corrected_within([NO_FAMILY] * 2, lambda mask: sign_flip(gain, mask, 1.0))
    assert np.isnan(p.corrected).all()
    assert (p.uncorrected > 0).all()


def table_of(names):
    """Return the SIS table of methods with random gains over two equal experts."""
    noise = {n: np.random.default_rng([0, *n.encode()]).normal(0.02, 0.03, 8) for n in names}
    rows = pd.DataFrame(
        {"dataset": "toy", "method": n, "task": "t", "metric": "bits", "probe": "linear",
         "fold": "holdout", "donor": f"d{i}", "seed": 0, "value": 0.5 + v, "n": 9, "inner": 0.5,
         "chance": 0.0, "entropy": 1.0}
        for n, values in noise.items()
        for i, v in enumerate(values)
    )  # fmt: skip
    return sis_table(rows).set_index("method")


def test_a_further_row_changes_no_p_value_of_the_papers_methods():
    names = ["image", "expression", "comm", "cca", "concat"]
    before, after = table_of(names), table_of([*names, "bilinear", "bilinear_full", "mine"])
    pd.testing.assert_frame_equal(after.loc[before.index], before)
    assert after["p_corrected"].notna().all()
