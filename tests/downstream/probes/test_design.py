"""Coordinates of the linear probes, and ridge regression against scikit-learn."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from cell_synergy.downstream.probes import design as probes
from cell_synergy.downstream.probes.design import Design
from tests.downstream.probes.conftest import GRID, ITERATIONS, TOLERANCE, data, logistic


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("penalty", [1e-4, 0.1, 10.0])
@pytest.mark.parametrize(("units", "features"), [(200, 15), (20, 60)])
def test_the_ridge_probe_equals_scikit_learn(units, features, penalty):
    x = data(units, features, 2)[0]
    y = np.random.default_rng(5).standard_normal((units, 3)) + x[:, :3] + 7
    (probe,) = Design.of(x).ridge(y, [penalty])
    peer = Ridge(alpha=penalty * units, solver="cholesky").fit(x, y)
    np.testing.assert_allclose(probe.coefficients, peer.coef_.T, rtol=0, atol=1e-8)
    np.testing.assert_allclose(probe.scores(x), peer.predict(x), rtol=0, atol=1e-8)
    assert probe.gradient_norm < 1e-10
    assert probe.iterations == 0


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize(("units", "features"), [(200, 15), (60, 90)])
def test_a_part_is_fitted_as_if_it_were_all(units, features, grouped):
    """The axes of all units serve a part, and sums over groups serve whole groups."""
    x, y = data(units, features, 3)
    group = np.arange(units) % 3
    x += group[:, None]
    rows = group > 0
    design = Design.of(x, group if grouped else None).part(rows)
    for probe, penalty in zip(
        design.logistic(y[rows], 3, GRID, TOLERANCE, ITERATIONS), GRID, strict=True
    ):
        alone = logistic(x[rows], y[rows], 3, penalty)
        np.testing.assert_allclose(probe.coefficients, alone.coefficients, rtol=0, atol=1e-5)
        np.testing.assert_allclose(probe.probabilities(x), alone.probabilities(x), atol=1e-5)
    target = x[rows, :2] ** 2
    for probe, alone in zip(
        design.ridge(target, GRID), Design.of(x[rows]).ridge(target, GRID), strict=True
    ):
        np.testing.assert_allclose(probe.coefficients, alone.coefficients, rtol=0, atol=1e-9)
        np.testing.assert_allclose(probe.scores(x), alone.scores(x), rtol=0, atol=1e-8)


def test_a_part_may_cut_through_groups():
    x, _ = data(90, 6, 3)
    rows = np.arange(90) < 40
    parts = Design.of(x, np.arange(90) // 30).part(rows), Design.of(x[rows])
    cut, alone = (part.ridge(x[rows, :2] ** 2, [0.1])[0] for part in parts)
    np.testing.assert_allclose(cut.scores(x), alone.scores(x), rtol=0, atol=1e-9)


def test_a_part_of_a_part_is_fitted_as_if_it_were_all():
    x, _ = data(90, 6, 3)
    group = np.arange(90) // 30
    inner = Design.of(x, group).part(group > 0).part(group[group > 0] > 1)
    target = x[group > 1, :2] ** 2
    (probe,), (alone,) = (d.ridge(target, [0.1]) for d in (inner, Design.of(x[group > 1])))
    np.testing.assert_allclose(probe.scores(x), alone.scores(x), rtol=0, atol=1e-9)


@pytest.mark.parametrize("features", [12, 150])
def test_single_precision_gives_the_fit_of_the_same_numbers_in_double(features):
    x, y = data(100, features, 3)
    x = x.astype(np.float32)
    single, double = (
        [*d.ridge(x[:, :2], GRID), *d.logistic(y, 3, GRID, TOLERANCE, ITERATIONS)]
        for d in (Design.of(x), Design.of(x.astype(np.float64)))
    )
    for one, other in zip(single, double, strict=True):
        np.testing.assert_array_equal(one.coefficients, other.coefficients)
        assert one.coefficients.dtype == np.float64


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("part", [False, True])
def test_many_units_of_many_features_are_not_rotated_to_their_axes(monkeypatch, part):
    """Rotating them costs more than it saves; a sample shows the axes, here not well."""
    x, y = data(400, 20, 4)
    rows = np.arange(400) % 4 > 0
    rotated = Design.of(x)
    monkeypatch.setattr(probes, "_MAX_ROTATION", 0)
    design = Design.of(x)
    assert design.frame.axes is None
    assert rotated.frame.axes is not None
    if part:
        rotated, design, y = rotated.part(rows), design.part(rows), y[rows]
    pairs = [d.logistic(y, 4, GRID, TOLERANCE, ITERATIONS) for d in (rotated, design)]
    for probe, other in zip(*pairs, strict=True):
        np.testing.assert_allclose(other.probabilities(x), probe.probabilities(x), atol=1e-5)
        assert other.iterations < 2 * probe.iterations
    pairs = [d.ridge(x[rows] if part else x, GRID) for d in (rotated, design)]
    for probe, other in zip(*pairs, strict=True):
        np.testing.assert_allclose(other.scores(x), probe.scores(x), atol=1e-9)


@pytest.mark.usefixtures("library")
def test_bytes_do_not_depend_on_where_features_lie_in_memory():
    x, y = data(150, 33, 3)
    memory = np.empty(x.nbytes + 8, np.uint8)
    found = []
    for start in (0, 8):
        moved = memory[start : start + x.nbytes].view(np.float64).reshape(x.shape)
        moved[:] = x
        design = Design.of(moved, y)
        fits = [*design.ridge(moved[:, :2], GRID), *design.logistic(y, 3, GRID, 1e-4, ITERATIONS)]
        found.append(np.concatenate([fit.coefficients.ravel() for fit in fits]).tobytes())
    assert found[0] == found[1]


@pytest.mark.parametrize(("units", "features"), [(80, 6), (20, 40)])
def test_a_constant_feature_has_no_coefficient(units, features):
    x, y = data(units, features, 3)
    x[:, 1] = 0
    for probe in (logistic(x, y, 3, 0.01), *Design.of(x).ridge(x[:, :1], [0.01])):
        np.testing.assert_allclose(probe.coefficients[1], 0, atol=1e-12)
        rest = np.delete(x, 1, axis=1)
        without = (
            logistic(rest, y, 3, 0.01)
            if probe.iterations
            else Design.of(rest).ridge(x[:, :1], [0.01])[0]
        )
        np.testing.assert_allclose(probe.scores(x), without.scores(rest), atol=1e-6)


@pytest.mark.parametrize("units", [1, 5, 30])
def test_units_that_are_all_alike_leave_the_prior_and_the_mean(units):
    x, y = np.full((units, 8), 0.7), np.arange(units) % 3
    shares = logistic(x, y, 3, 0.1).probabilities(x)
    if units > 1:
        np.testing.assert_allclose(shares, np.tile(np.bincount(y) / units, (units, 1)), atol=1e-6)
    assert np.isfinite(shares).all()
    (ridge,) = Design.of(x).ridge(y[:, None].astype(float), [0.1])
    np.testing.assert_allclose(ridge.scores(x), y.mean(), atol=1e-9)


def test_fits_of_one_design_do_not_disturb_each_other():
    x, y = data(100, 6, 3)
    design = Design.of(x)
    first = design.logistic(y, 3, GRID, TOLERANCE, ITERATIONS)
    design.ridge(x[:, :2], GRID)
    design.part(y > 0).logistic(y[y > 0], 3, GRID, TOLERANCE, ITERATIONS)
    again = design.logistic(y, 3, GRID, TOLERANCE, ITERATIONS)
    fresh = Design.of(x).logistic(y, 3, GRID, TOLERANCE, ITERATIONS)
    for one, other, third in zip(first, again, fresh, strict=True):
        np.testing.assert_array_equal(one.coefficients, other.coefficients)
        np.testing.assert_array_equal(one.coefficients, third.coefficients)


def test_shifting_the_features_changes_only_the_intercept():
    x, y = data(100, 6, 3)
    first, moved = (logistic(a, y, 3, 0.1) for a in (x, x + 100))
    np.testing.assert_allclose(moved.coefficients, first.coefficients, atol=1e-5)
    np.testing.assert_allclose(moved.probabilities(x + 100), first.probabilities(x), atol=1e-5)


@pytest.mark.parametrize(("units", "features"), [(100, 6), (20, 40)])
def test_rotating_the_features_rotates_the_coefficients(units, features):
    x, y = data(units, features, 3)
    rotation = np.linalg.qr(np.random.default_rng(7).standard_normal((features, features)))[0]
    first, rotated = (logistic(a, y, 3, 0.1) for a in (x, x @ rotation))
    np.testing.assert_allclose(rotation @ rotated.coefficients, first.coefficients, atol=1e-6)
