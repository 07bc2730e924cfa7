"""Linear probes against scikit-learn and closed forms."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression, Ridge

from cell_synergy.core.errors import DataError
from cell_synergy.downstream.probes import algebra
from cell_synergy.downstream.probes import design as probes
from cell_synergy.downstream.probes import grams as grams_module
from cell_synergy.downstream.probes import logistic as newton
from cell_synergy.downstream.probes.design import Design
from cell_synergy.downstream.probes.grams import Grams
from cell_synergy.downstream.probes.metrics import regression

TOLERANCE, ITERATIONS = 1e-9, 1000
GRID = [1.0, 0.1, 0.01, 0.001]


def data(units, features, classes, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((units, features)) @ rng.standard_normal((features, features))
    x = x / x.std(axis=0) + rng.standard_normal(features)
    logits = x @ rng.standard_normal((features, classes)) / np.sqrt(features)
    return x, (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)


@pytest.fixture(params=[np, torch], ids=["numpy", "torch"])
def library(request, monkeypatch):
    """Compute with either library; torch's arrays are on the GPU where there is one."""
    monkeypatch.setattr(algebra, "library", lambda: request.param)


def logistic(x, y, classes, strength, tolerance=TOLERANCE, iterations=ITERATIONS):
    (probe,) = Design.of(x).logistic(y, classes, [strength], tolerance, iterations)
    return probe


def objective(x, y, probe, strength):
    log_p = log_softmax(x @ probe.coefficients + probe.intercept, axis=1)
    return -log_p[np.arange(len(y)), y].mean() + strength / 2 * (probe.coefficients**2).sum()


def gradient(x, y, probe, strength):
    """Return the largest entry of the objective's gradient, features and intercept."""
    rest = (probe.probabilities(x) - np.eye(len(probe.intercept))[y]) / len(y)
    slope = x.T @ rest + strength * probe.coefficients
    return max(abs(slope).max(), abs(rest.sum(axis=0)).max())


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("strength", [0.001, 0.03, 1.0])
@pytest.mark.parametrize(("units", "features", "classes"), [(300, 12, 3), (200, 8, 6), (40, 90, 3)])
def test_the_logistic_probe_equals_scikit_learn(units, features, classes, strength):
    x, y = data(units, features, classes)
    probe = logistic(x, y, classes, strength)
    peer = LogisticRegression(C=1 / (strength * units), tol=1e-8, solver="newton-cg").fit(x, y)
    other = data(100, features, classes, seed=1)[0]
    np.testing.assert_allclose(
        probe.probabilities(other), peer.predict_proba(other), rtol=0, atol=1e-5
    )
    theirs = type(probe)(peer.coef_.T, peer.intercept_, 0.0, 0)
    assert objective(x, y, probe, strength) <= objective(x, y, theirs, strength) + 1e-12


def test_two_classes_share_the_penalty_of_one_binary_logit():
    """Both columns are penalised: b / 2 and -b / 2 cost half of what the one logit b does."""
    x, y = data(250, 6, 2)
    probe = logistic(x, y, 2, 0.05)
    peer = LogisticRegression(C=2 / (0.05 * 250), tol=1e-8, solver="newton-cg").fit(x, y)
    np.testing.assert_allclose(probe.probabilities(x), peer.predict_proba(x), rtol=0, atol=1e-4)


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("strength", [1e-4, 0.1, 10.0])
@pytest.mark.parametrize(("units", "features"), [(200, 15), (20, 60)])
def test_the_ridge_probe_equals_scikit_learn(units, features, strength):
    x = data(units, features, 2)[0]
    y = np.random.default_rng(5).standard_normal((units, 3)) + x[:, :3] + 7
    (probe,) = Design.of(x).ridge(y, [strength])
    peer = Ridge(alpha=strength * units, solver="cholesky").fit(x, y)
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
    for probe, strength in zip(
        design.logistic(y[rows], 3, GRID, TOLERANCE, ITERATIONS), GRID, strict=True
    ):
        alone = logistic(x[rows], y[rows], 3, strength)
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
def test_many_units_of_many_features_are_not_turned_along_their_axes(monkeypatch, part):
    """Turning them costs more than it saves; a sample shows the axes, here not well."""
    x, y = data(400, 20, 4)
    rows = np.arange(400) % 4 > 0
    turned = Design.of(x)
    monkeypatch.setattr(probes, "_CHEAP", 0)
    design = Design.of(x)
    assert design.frame.axes is None
    assert turned.frame.axes is not None
    if part:
        turned, design, y = turned.part(rows), design.part(rows), y[rows]
    pairs = [d.logistic(y, 4, GRID, TOLERANCE, ITERATIONS) for d in (turned, design)]
    for probe, other in zip(*pairs, strict=True):
        np.testing.assert_allclose(other.probabilities(x), probe.probabilities(x), atol=1e-5)
        assert other.iterations < 2 * probe.iterations
    pairs = [d.ridge(x[rows] if part else x, GRID) for d in (turned, design)]
    for probe, other in zip(*pairs, strict=True):
        np.testing.assert_allclose(other.scores(x), probe.scores(x), atol=1e-9)


def test_units_read_in_blocks_are_all_read(monkeypatch):
    x, y = data(100, 6, 3)
    once = logistic(x, y, 3, 0.01)
    monkeypatch.setattr(newton, "_BLOCK", 30 * 7)
    np.testing.assert_allclose(
        logistic(x, y, 3, 0.01).coefficients, once.coefficients, rtol=0, atol=1e-6
    )


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


@pytest.mark.parametrize("strengths", [GRID, GRID[::-1], [1e-4, 1e3, 1e-4]])
@pytest.mark.parametrize(("units", "features"), [(200, 15), (30, 90)])
def test_where_a_fit_starts_does_not_change_its_optimum(strengths, units, features):
    x, y = data(units, features, 4)
    path = Design.of(x).logistic(y, 4, strengths, TOLERANCE, ITERATIONS)
    for probe, strength in zip(path, strengths, strict=True):
        cold = logistic(x, y, 4, strength)
        np.testing.assert_allclose(probe.coefficients, cold.coefficients, rtol=0, atol=1e-5)
        np.testing.assert_allclose(probe.probabilities(x), cold.probabilities(x), atol=1e-5)


def test_a_path_takes_fewer_iterations_than_its_fits_alone():
    x, y = data(200, 30, 4)
    path = Design.of(x).logistic(y, 4, GRID, 1e-5, ITERATIONS)
    alone = [logistic(x, y, 4, strength, 1e-5) for strength in GRID]
    assert sum(p.iterations for p in path) < 0.9 * sum(p.iterations for p in alone)


@pytest.mark.parametrize("strength", [0.001, 0.1])
@pytest.mark.parametrize(("units", "features"), [(200, 15), (30, 90)])
def test_the_optimum_is_reached_to_double_precision(units, features, strength):
    """Directions of search are in single precision; that must not limit where the search ends."""
    x, y = data(units, features, 3)
    assert gradient(x, y, logistic(x, y, 3, strength, 1e-12), strength) < 1e-11


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


def test_one_class_is_certain():
    x = data(30, 4, 2)[0]
    probe = logistic(x, np.zeros(30, int), 1, 0.1)
    np.testing.assert_array_equal(probe.probabilities(x), 1)
    assert probe.gradient_norm == 0


def test_probabilities_sum_to_one_and_do_not_overflow():
    x, y = data(60, 5, 3)
    shares = logistic(x, y, 3, 0.01).probabilities(1e6 * x)
    assert np.isfinite(shares).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1)


@pytest.mark.parametrize("classes", [2, 4])
def test_a_strong_penalty_leaves_the_prior(classes):
    x, y = data(80, 5, classes)
    probe = logistic(x, y, classes, 1e6, 1e-10)
    prior = np.bincount(y, minlength=classes) / len(y)
    np.testing.assert_allclose(probe.probabilities(x), np.tile(prior, (80, 1)), atol=1e-4)


def test_a_converged_probe_reports_a_small_gradient():
    x, y = data(300, 20, 4)
    done = logistic(x, y, 4, 0.01, 1e-6)
    assert done.gradient_norm <= 1e-6
    assert 0 < done.iterations < ITERATIONS
    stopped = logistic(x, y, 4, 0.01, 1e-6, 2)
    assert stopped.iterations == 2
    assert stopped.gradient_norm > 1e-4
    assert objective(x, y, done, 0.01) < objective(x, y, stopped, 0.01)


@pytest.mark.parametrize(("strength", "most"), [(0.001, 30), (0.03, 28), (1.0, 20)])
def test_features_of_very_different_scale_take_few_iterations(strength, most):
    """Without preconditioning they take 997, 373 and 204; with one class at a time 120, 84, 41."""
    x, y = data(400, 30, 5)
    directions = np.linalg.qr(np.random.default_rng(6).standard_normal((30, 30)))[0]
    x = x @ directions @ np.diag(np.geomspace(0.01, 30, 30)) @ directions.T
    assert logistic(x, y, 5, strength, 1e-5).iterations < most


def test_separable_classes_converge():
    """Without a penalty the coefficients would grow without end."""
    y = np.arange(60) % 3
    x = 50 * np.eye(3)[y] + 0.01 * data(60, 3, 2)[0]
    probe = logistic(x, y, 3, 1e-4, 1e-6)
    assert probe.gradient_norm <= 1e-6
    assert (probe.probabilities(x).argmax(axis=1) == y).all()


def test_a_class_without_a_training_unit_is_hardly_ever_predicted():
    x, y = data(100, 6, 2)
    shares = logistic(x, y, 3, 0.01, 1e-5, 200).probabilities(x)
    assert np.isfinite(shares).all()
    assert shares[:, 2].max() < 0.01


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
    turn = np.linalg.qr(np.random.default_rng(7).standard_normal((features, features)))[0]
    first, turned = (logistic(a, y, 3, 0.1) for a in (x, x @ turn))
    np.testing.assert_allclose(turn @ turned.coefficients, first.coefficients, atol=1e-6)
