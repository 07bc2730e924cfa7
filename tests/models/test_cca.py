"""CCA as a method: its weights and projections; tests/training/test_cca.py has the numbers."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.linalg import subspace_angles

from cell_synergy.core.errors import ConfigError
from cell_synergy.training.cca import covariances, solve
from cell_synergy.training.method import Pairs

GOLDEN = Path(__file__).parents[1] / "golden"
CASE = "C_n200_p40_q30_small_n"
TINY = 1e-12


def pair(x, y):
    return Pairs(x.astype(np.float32), y.astype(np.float32), np.zeros(len(x), dtype=int))


@pytest.fixture
def solved(context, fit_one):
    return lambda method, pairs: fit_one(method, pairs, context)


def test_train_and_test_correlations_equal_the_published_ones(load, solved):
    published = json.loads((GOLDEN / "cca.json").read_text())["data"][CASE]
    with np.load(GOLDEN / "cca.npz") as file:
        x, y, test_x, test_y = (file[f"{CASE}__{part}"] for part in ("X", "Y", "Xte", "Yte"))
    method = load("cca", components=8, ridge=TINY)
    weights = solved(method, pair(x, y))
    np.testing.assert_allclose(weights["correlations"], published["peer_train"], rtol=0, atol=1e-6)
    joint = method.transform(weights, test_x, test_y)
    correlations = [np.corrcoef(joint[:, i], joint[:, 8 + i])[0, 1] for i in range(8)]
    np.testing.assert_allclose(correlations, published["peer_test"], rtol=0, atol=1e-5)


def test_weights_are_the_closed_form_with_the_ridge_of_the_parameters(load, solved, pairs):
    weights = solved(load("cca", components=5, ridge=0.3), pairs)
    expected = solve(covariances(pairs.image, pairs.expression), 0.3, 5)
    for name, array in weights.items():
        np.testing.assert_array_equal(array, getattr(expected, name).astype(np.float32))


def test_canonical_variates_are_white_with_the_stated_correlations(load, solved, pairs):
    method = load("cca", components=6, ridge=TINY)
    weights = solved(method, pairs)
    z = method.transform(weights, pairs.image, pairs.expression)
    expected = np.eye(12)
    expected[np.arange(6), np.arange(6, 12)] = weights["correlations"]
    expected[np.arange(6, 12), np.arange(6)] = weights["correlations"]
    np.testing.assert_allclose(np.cov(z.T, ddof=0), expected, atol=1e-4)


@pytest.mark.parametrize("side", ["image", "expression"])
def test_invertible_maps_of_a_modality_leave_correlations_and_span(side, load, solved, pairs):
    rng = np.random.default_rng(5)
    d = getattr(pairs, side).shape[1]
    rotations = [np.linalg.qr(rng.standard_normal((d, d)))[0] for _ in range(2)]
    stretched = rotations[0] * np.linspace(0.3, 3, d) @ rotations[1]
    mapped = replace(pairs, **{side: (getattr(pairs, side) @ stretched + 1).astype(np.float32)})
    method = load("cca", components=5, ridge=TINY)
    before, after = (solved(method, rows) for rows in (pairs, mapped))
    np.testing.assert_allclose(before["correlations"], after["correlations"], atol=1e-5)
    z1, z2 = (
        method.transform(weights, rows.image, rows.expression)
        for weights, rows in ((before, pairs), (after, mapped))
    )
    centred = [z - z.mean(axis=0) for z in (z1, z2)]
    assert np.sin(subspace_angles(*centred)).max() < 1e-3
    for i in range(10):
        assert abs(np.corrcoef(z1[:, i], z2[:, i])[0, 1]) == pytest.approx(1, abs=1e-5)


def test_fewer_observations_than_features_are_enough(load, solved, pairs):
    few = Pairs(pairs.image[:12], pairs.expression[:12], pairs.donor[:12])
    method = load("cca", components=8, ridge=0.1)
    weights = solved(method, few)
    assert np.isfinite(method.transform(weights, pairs.image, pairs.expression)).all()
    assert (weights["correlations"] < 1).all()


def test_the_order_of_observations_does_not_matter(load, solved, pairs):
    method = load("cca", components=4)
    order = np.random.default_rng(7).permutation(len(pairs.donor))
    moved = replace(pairs, image=pairs.image[order], expression=pairs.expression[order])
    first, second = solved(method, pairs), solved(method, moved)
    for name, array in first.items():
        np.testing.assert_allclose(second[name], array, atol=1e-5)


def test_more_components_than_features_are_refused_with_the_number_allowed(load, solved, pairs):
    with pytest.raises(ConfigError, match=r"models\.cca\.components: 41, the data allow 40"):
        solved(load("cca", components=41), pairs)


def test_a_ridge_of_zero_is_refused(load):
    with pytest.raises(ConfigError, match=r"models\.cca\.ridge: .*greater than 0"):
        load("cca", ridge=0)
