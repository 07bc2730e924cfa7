"""Coverage by design, of parts above 0 and of zeros apart."""

import numpy as np
import pandas as pd
import pytest

from cell_synergy.studies.coverage import coverage


@pytest.fixture
def table():
    """Two designs: of the first, one of two parts and one of two zeros are covered."""
    rows = [
        (5, 50, 0.4, 0.5, 0.3, 0.7),
        (5, 50, 0.4, 0.1, 0.0, 0.2),
        (5, 50, 0.0, 0.1, 0.0, 0.2),
        (5, 50, 0.0, 0.3, 0.1, 0.5),
        (5, 50, 0.9, 0.2, np.nan, np.nan),  # a Gaussian target
        (8, 50, 1e-9, 0.0, 0.0, 0.0),
    ]
    return pd.DataFrame(rows, columns=["donors", "units", "truth", "estimate", "low", "high"])


def test_parts_above_zero_and_zeros_are_counted_apart(table):
    first, second = coverage(table).to_dict("records")
    assert (first["donors"], first["units"], first["intervals"]) == (5, 50, 4)
    assert (first["above_zero"], first["zeros"]) == (2, 2)
    assert first["coverage"] == first["coverage_above_zero"] == first["coverage_zeros"] == 0.5
    assert first["width"] == pytest.approx((0.4 + 0.2 + 0.2 + 0.4) / 4)
    assert first["absolute_error"] == pytest.approx((0.1 + 0.3 + 0.1 + 0.3) / 4)
    assert first["error"] == pytest.approx((0.1 - 0.3 + 0.1 + 0.3) / 4)
    assert (second["zeros"], second["coverage_zeros"], second["above_zero"]) == (1, 1, 0)
    assert np.isnan(second["coverage_above_zero"])


def test_a_limit_at_the_truth_holds_it_up_to_rounding(table):
    table = table.iloc[:1].assign(low=0.4 + 5e-7)
    assert coverage(table)["coverage"].item() == 1
    assert coverage(table.assign(low=0.401))["coverage"].item() == 0
