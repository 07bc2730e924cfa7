"""Ridge regression from sums over donors, against fits and scores of their rows."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from cell_synergy.core.errors import DataError
from cell_synergy.downstream.probes import grams as grams_module
from cell_synergy.downstream.probes.design import Design
from cell_synergy.downstream.probes.grams import Grams
from cell_synergy.downstream.probes.metrics import regression
from tests.downstream.probes.conftest import GRID, data


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(("units", "features"), [(210, 15), (70, 90)])
@pytest.mark.parametrize("kept", [["a"], ["a", "c"], ["b", "c", "d"], ["a", "b", "c", "d"]])
def test_sums_over_donors_fit_any_set_of_them(units, features, kept):
    """Donors are shifted: their sums are about the mean of all, not their own."""
    x, _ = data(units, features, 2)
    donor = np.array(list("dbca"))[np.arange(units) % 4]
    x += 3 * (donor == "b")[:, None]
    y = 100 + x[:, :3] ** 2
    grams = Grams.of(x, y, donor)
    assert grams.names.tolist() == ["a", "b", "c", "d"]
    rows = np.isin(donor, kept)
    found = grams.ridge(GRID, np.isin(grams.names, kept))
    direct = Design.of(x[rows]).ridge(y[rows], GRID)
    for probe, alone, strength in zip(found, direct, GRID, strict=True):
        np.testing.assert_allclose(probe.coefficients, alone.coefficients, rtol=0, atol=1e-8)
        np.testing.assert_allclose(probe.scores(x), alone.scores(x), rtol=0, atol=1e-8)
        peer = Ridge(alpha=strength * rows.sum(), solver="cholesky").fit(x[rows], y[rows])
        np.testing.assert_allclose(probe.scores(x), peer.predict(x), rtol=0, atol=1e-7)
        assert probe.gradient_norm < 1e-10


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(("units", "features"), [(210, 15), (70, 90)])
@pytest.mark.parametrize("asked", [[2], [0, 2]])
def test_sums_over_donors_score_as_predictions_do(units, features, asked):
    x, _ = data(units, features, 2)
    donor = np.arange(units) % 4
    y = np.column_stack([x[:, :2] ** 2 + 7, donor, x[:, 3]])  # the third is constant in a donor
    grams = Grams.of(x, y, donor)
    kept, out = ~np.isin(grams.names, [2, 0]), np.isin(grams.names, asked)
    known = [
        regression(y[np.isin(donor, asked)], fit.scores(x[np.isin(donor, asked)]))["r2"]
        for fit in grams.ridge(GRID, kept)
    ]
    np.testing.assert_allclose(grams.r2(GRID, kept, out), known, rtol=1e-8)


def test_outputs_that_do_not_vary_have_no_score():
    x, _ = data(60, 5, 2)
    donor = np.arange(60) % 3
    grams = Grams.of(x, np.full((60, 2), 0.1), donor)
    assert np.isnan(grams.r2(GRID, grams.names > 0, grams.names == 0)).tolist() == [True] * 4


def test_sums_are_over_all_blocks(monkeypatch):
    x, _ = data(60, 5, 2)
    once = Grams.of(x, x[:, :2], np.arange(60) % 3).sums
    monkeypatch.setattr(grams_module, "_BLOCK", 35)
    for found, known in zip(Grams.of(x, x[:, :2], np.arange(60) % 3).sums, once, strict=True):
        np.testing.assert_allclose(found, known, rtol=0, atol=1e-12)


def test_sums_over_no_donor_are_refused():
    x, _ = data(60, 5, 2)
    grams = Grams.of(x, x[:, :2], np.arange(60) % 3)
    nobody = np.zeros(3, bool)
    with pytest.raises(DataError, match="one at least"):
        grams.ridge([0.1], nobody)
    with pytest.raises(DataError, match="one at least"):
        grams.r2([0.1], ~nobody, nobody)
