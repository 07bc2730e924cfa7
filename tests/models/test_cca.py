"""CCA against another implementation's numbers, closed forms and its invariances."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cell_synergy.errors import ConfigError
from cell_synergy.models import Pairs

GOLDEN = Path(__file__).parents[1] / "golden"
DATA = json.loads((GOLDEN / "cca.json").read_text())["data"]
TINY = 1e-12


@pytest.fixture(scope="module")
def inputs():
    with np.load(GOLDEN / "cca.npz") as file:
        return dict(file)


def pair(x, y):
    return Pairs(x.astype(np.float32), y.astype(np.float32), np.zeros(len(x), dtype=int))


def augmented(x, y, ridge_x, ridge_y):
    """Return rows whose covariances are those of x and y with these ridges, up to one factor.

    The added rows lie on the axes of one modality where the other is zero, and sum to zero, so the
    cross-covariance and the means stay.
    """
    x, y = (np.asarray(a, np.float64) - a.mean(axis=0, dtype=np.float64) for a in (x, y))
    rows_x, rows_y = (
        np.sqrt(len(x) * ridge / 2) * np.concatenate([np.eye(a.shape[1]), -np.eye(a.shape[1])])
        for a, ridge in ((x, ridge_x), (y, ridge_y))
    )
    zeros = np.zeros((len(rows_x), y.shape[1])), np.zeros((len(rows_y), x.shape[1]))
    return pair(np.concatenate([x, rows_x, zeros[1]]), np.concatenate([y, zeros[0], rows_y]))


def correlations(method, pairs, run):
    return method.fit(pairs, run)["correlations"]


@pytest.mark.parametrize("case", DATA)
def test_train_correlations_equal_the_published_ones(case, inputs, load, run):
    expected = DATA[case]["train"]
    method = load("cca", components=len(expected), ridge=TINY)
    found = correlations(method, pair(inputs[f"{case}__X"], inputs[f"{case}__Y"]), run)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    np.testing.assert_allclose(found[:8], DATA[case]["peer_train"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("case", [case for case in DATA if "peer_test" in DATA[case]])
def test_test_correlations_equal_the_published_ones(case, inputs, load, run):
    expected = DATA[case]["peer_test"]
    k = len(expected)
    method = load("cca", components=k, ridge=TINY)
    weights = method.fit(pair(inputs[f"{case}__X"], inputs[f"{case}__Y"]), run)
    joint = method.transform(weights, inputs[f"{case}__Xte"], inputs[f"{case}__Yte"])
    found = [np.corrcoef(joint[:, i], joint[:, k + i])[0, 1] for i in range(k)]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("case", DATA)
def test_an_absolute_ridge_gives_the_published_singular_values(case, inputs, load, run):
    """The reference adds 0.01 to variances that have n - 1 in their denominator."""
    x, y = inputs[f"{case}__X"], inputs[f"{case}__Y"]
    ridge = 0.01 * (len(x) - 1) / len(x)
    expected = DATA[case]["ridge_0.01"]
    method = load("cca", components=len(expected), ridge=TINY)
    found = correlations(method, augmented(x, y, ridge, ridge), run)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("ridge", [0.01, 0.1, 1.0])
def test_the_ridge_is_a_share_of_each_modalitys_mean_variance(ridge, load, pairs, run):
    x, y = pairs.image * 3, pairs.expression / 5
    plain = load("cca", components=10, ridge=TINY)
    widened = augmented(x, y, ridge * x.var(axis=0).mean(), ridge * y.var(axis=0).mean())
    np.testing.assert_allclose(
        correlations(load("cca", components=10, ridge=ridge), pair(x, y), run),
        correlations(plain, widened, run),
        rtol=0,
        atol=1e-5,
    )


def test_invertible_maps_change_neither_correlations_nor_variates(load, pairs, run):
    rng = np.random.default_rng(5)
    a, b = (rng.standard_normal((d, d)) + 5 * np.eye(d) for d in (48, 40))
    mapped = pair(pairs.image @ a + 1, pairs.expression @ b - 2)
    method = load("cca", components=5, ridge=TINY)
    first, second = (method.fit(rows, run) for rows in (pairs, mapped))
    np.testing.assert_allclose(first["correlations"], second["correlations"], atol=1e-4)
    z1 = method.transform(first, pairs.image, pairs.expression)
    z2 = method.transform(second, mapped.image, mapped.expression)
    for i in range(10):
        assert abs(np.corrcoef(z1[:, i], z2[:, i])[0, 1]) == pytest.approx(1, abs=1e-3)


def test_canonical_variates_are_white_and_correlate_as_said(load, pairs, run):
    method = load("cca", components=6, ridge=TINY)
    weights = method.fit(pairs, run)
    z = method.transform(weights, pairs.image, pairs.expression)
    expected = np.eye(12)
    expected[np.arange(6), np.arange(6, 12)] = weights["correlations"]
    expected[np.arange(6, 12), np.arange(6)] = weights["correlations"]
    np.testing.assert_allclose(np.cov(z.T, ddof=0), expected, atol=1e-4)


def test_equal_embeddings_correlate_fully_and_independent_ones_hardly(load, run):
    rng = np.random.default_rng(6)
    x, y = (rng.standard_normal((20_000, 4)) for _ in range(2))
    method = load("cca", components=4, ridge=TINY)
    np.testing.assert_allclose(correlations(method, pair(x, x[:, ::-1]), run), 1, atol=1e-5)
    assert correlations(method, pair(x, y), run).max() < 0.04


def test_fewer_units_than_features_need_only_the_ridge(load, pairs, run):
    few = Pairs(pairs.image[:12], pairs.expression[:12], pairs.donor[:12])
    method = load("cca", components=8)
    weights = method.fit(few, run)
    assert np.isfinite(method.transform(weights, pairs.image, pairs.expression)).all()
    assert (weights["correlations"] < 1).all()


def test_the_order_of_units_does_not_matter(load, pairs, run):
    method = load("cca", components=4)
    order = np.random.default_rng(7).permutation(len(pairs.donor))
    moved = replace(pairs, image=pairs.image[order], expression=pairs.expression[order])
    first, second = method.fit(pairs, run), method.fit(moved, run)
    for name, array in first.items():
        np.testing.assert_allclose(second[name], array, atol=1e-5)


def test_too_many_components_are_refused_with_the_number_allowed(load, pairs, run):
    with pytest.raises(ConfigError, match=r"models\.cca\.components: 41, the data allow 40"):
        load("cca", components=41).fit(pairs, run)
