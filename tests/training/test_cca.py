"""Canonical correlations against another implementation, eigenvalues, invariances and limits."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.linalg import eigh, subspace_angles

from cell_synergy.core.errors import DataError
from cell_synergy.training.cca import BLOCK_SIZE, covariances, solve

GOLDEN = Path(__file__).parents[1] / "golden"
DATA = json.loads((GOLDEN / "cca.json").read_text())["data"]
SPECTRAL = json.loads((GOLDEN / "spectral.json").read_text())["data"]
WITH_TEST_ROWS = [case for case in DATA if "peer_test" in DATA[case]]
PRECISIONS = [np.float32, np.float64]


@pytest.fixture(scope="module")
def inputs():
    with np.load(GOLDEN / "cca.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def xy():
    """Two embeddings of 400 observations with three shared directions."""
    rng = np.random.default_rng(0)
    shared = rng.standard_normal((400, 3)) * [3, 2, 1]
    return [shared @ rng.standard_normal((3, d)) + rng.standard_normal((400, d)) for d in (12, 9)]


def moments(inputs, case, dtype=np.float64):
    return covariances(*(inputs[f"{case}__{side}"].astype(dtype) for side in "XY"))


def blended(moments, share, ridge):
    """Return covariances multiplied by `share`, plus an absolute ridge (denominator n - 1)."""
    ridge *= (moments.n_obs - 1) / moments.n_obs
    image, expression = (
        share * c + ridge * np.eye(len(c)) for c in (moments.image, moments.expression)
    )
    return replace(moments, image=image, expression=expression)


def correlations(solution, x, y):
    projected = x @ solution.image, y @ solution.expression
    return [np.corrcoef(a, b)[0, 1] for a, b in zip(*(z.T for z in projected), strict=True)]


def test_covariances_are_those_of_all_observations_however_many_blocks_they_fill():
    rng = np.random.default_rng(1)
    x, y = (
        rng.standard_normal((2 * BLOCK_SIZE + 7, 5)) + 100,
        rng.standard_normal((2 * BLOCK_SIZE + 7, 3)),
    )
    expected = np.cov(np.concatenate([x, y], axis=1).T, ddof=0)
    result = covariances(x, y)
    assert result.n_obs == 2 * BLOCK_SIZE + 7
    rows = [[result.image, result.cross], [result.cross.T, result.expression]]
    np.testing.assert_allclose(np.block(rows), expected, atol=1e-12)
    single = covariances(x.astype(np.float32), y.astype(np.float32))
    np.testing.assert_allclose(single.cross, result.cross, atol=1e-6)
    assert single.precision > result.precision


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("case", DATA)
def test_train_correlations_equal_the_published_ones(case, dtype, inputs):
    result = solve(moments(inputs, case, dtype), 0.0).correlations
    np.testing.assert_allclose(result, DATA[case]["train"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(result[:8], DATA[case]["peer_train"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("case", WITH_TEST_ROWS)
def test_test_correlations_equal_the_published_ones(case, dtype, inputs):
    result = solve(moments(inputs, case, dtype), 0.0, components=8)
    test = correlations(result, inputs[f"{case}__Xte"], inputs[f"{case}__Yte"])
    np.testing.assert_allclose(test, DATA[case]["peer_test"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("case", DATA)
def test_an_absolute_ridge_gives_the_published_singular_values(case, dtype, inputs):
    result = solve(blended(moments(inputs, case, dtype), 1, 0.01), 0.0).correlations
    np.testing.assert_allclose(result, DATA[case]["ridge_0.01"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("shrinkage", ["0.1", "0.5", "1.0"])
@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("case", DATA)
def test_shrunk_covariances_give_the_published_correlations(case, dtype, shrinkage, inputs):
    share = float(shrinkage)
    result = solve(blended(moments(inputs, case, dtype), 1 - share, share), 0.0, components=8)
    published = DATA[case]["peer_shrinkage"][shrinkage]
    train = correlations(result, inputs[f"{case}__X"], inputs[f"{case}__Y"])
    np.testing.assert_allclose(train, published["train"], rtol=0, atol=1e-6)
    if "test" in published:
        test = correlations(result, inputs[f"{case}__Xte"], inputs[f"{case}__Yte"])
        np.testing.assert_allclose(test, published["test"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("k", [2, 4, 8])
@pytest.mark.parametrize("case", SPECTRAL)
def test_squared_correlations_are_the_minimum_of_the_spectral_contrastive_loss(case, k, inputs):
    """HaoChen et al. 2021: -2 E f(x)g(y) + E (f(x)g(y'))^2 over linear maps f and g."""
    result = solve(moments(inputs, case), 0.0, components=k)
    published = SPECTRAL[case][f"spectral_contrastive_min_k{k}"]
    assert -(result.correlations**2).sum() == pytest.approx(published["closed_form"], abs=1e-10)
    x, y = (inputs[f"{case}__{side}"].astype(np.float64) for side in "XY")
    f = (x - x.mean(axis=0)) @ (result.image * np.sqrt(result.correlations))
    g = (y - y.mean(axis=0)) @ (result.expression * np.sqrt(result.correlations))
    loss = -2 * (f * g).sum() / len(f) + ((f.T @ f) * (g.T @ g)).sum() / len(f) ** 2
    assert loss == pytest.approx(published["closed_form"], abs=1e-10)


@pytest.mark.parametrize("ridge", [0.0, 0.01, 1.0])
def test_directions_solve_the_generalised_eigenvalue_problem(ridge, xy):
    x, y = (a - a.mean(axis=0) for a in xy)
    c11, c22 = (a.T @ a / 400 + ridge * a.var(axis=0).mean() * np.eye(a.shape[1]) for a in (x, y))
    c12 = x.T @ y / 400
    squares, _ = eigh(c12.T @ np.linalg.solve(c11, c12), c22)
    result = solve(covariances(x, y), ridge)
    np.testing.assert_allclose(result.correlations, np.sqrt(squares[::-1]), atol=1e-12)
    np.testing.assert_allclose(result.image.T @ c11 @ result.image, np.eye(9), atol=1e-12)
    np.testing.assert_allclose(result.expression.T @ c22 @ result.expression, np.eye(9), atol=1e-12)
    across = result.image.T @ c12 @ result.expression
    np.testing.assert_allclose(across, np.diag(result.correlations), atol=1e-12)


def test_invertible_maps_change_neither_correlations_nor_projections(xy):
    rng = np.random.default_rng(2)
    x, y = xy
    mapped = [a @ rng.standard_normal((a.shape[1],) * 2) + 3 for a in xy]
    plain, moved = solve(covariances(x, y), 0.0), solve(covariances(*mapped), 0.0)
    np.testing.assert_allclose(moved.correlations, plain.correlations, atol=1e-10)
    for before, after in (
        (x @ plain.image, mapped[0] @ moved.image),
        (y @ plain.expression, mapped[1] @ moved.expression),
    ):
        centred = [z - z.mean(axis=0) for z in (before, after)]
        np.testing.assert_allclose(np.abs(centred[0]), np.abs(centred[1]), atol=1e-8)
        assert np.sin(subspace_angles(centred[0][:, :3], centred[1][:, :3])).max() < 1e-8


def test_scale_does_not_matter_to_a_relative_ridge(xy):
    x, y = xy
    expected = solve(covariances(x, y), 0.3).correlations
    result = solve(covariances(1e4 * x, 1e-4 * y), 0.3).correlations
    np.testing.assert_allclose(result, expected, atol=1e-12)


def test_the_order_of_observations_does_not_matter(xy):
    order = np.random.default_rng(3).permutation(400)
    plain, moved = (solve(covariances(*z), 0.1) for z in (xy, [a[order] for a in xy]))
    np.testing.assert_allclose(moved.correlations, plain.correlations, atol=1e-12)
    np.testing.assert_allclose(moved.image, plain.image, atol=1e-9)
    np.testing.assert_allclose(moved.expression, plain.expression, atol=1e-9)


def test_exchanging_the_modalities_exchanges_the_directions(xy):
    x, y = xy
    plain, moved = solve(covariances(x, y), 0.1), solve(covariances(y, x), 0.1)
    np.testing.assert_allclose(moved.correlations, plain.correlations, atol=1e-12)
    np.testing.assert_allclose(np.abs(moved.image), np.abs(plain.expression), atol=1e-9)


def test_signs_are_fixed_by_the_largest_entry_of_each_image_direction(xy):
    x, y = xy
    result, flipped = solve(covariances(x, y), 0.0), solve(covariances(x, -y), 0.0)
    assert (result.image.max(axis=0) >= -result.image.min(axis=0)).all()
    np.testing.assert_allclose(flipped.image, result.image, atol=1e-9)
    np.testing.assert_allclose(flipped.expression, -result.expression, atol=1e-9)


def test_fewer_components_are_the_leading_ones(xy):
    full, leading = (solve(covariances(*xy), 0.1, components) for components in (None, 4))
    assert full.correlations.shape == (9,)
    np.testing.assert_array_equal(leading.correlations, full.correlations[:4])
    np.testing.assert_allclose(leading.image, full.image[:, :4], atol=1e-12)
    np.testing.assert_allclose(leading.expression, full.expression[:, :4], atol=1e-12)


def test_equal_embeddings_correlate_fully_and_independent_ones_hardly():
    rng = np.random.default_rng(4)
    x, y = (rng.standard_normal((20_000, 4)) for _ in range(2))
    np.testing.assert_allclose(solve(covariances(x, x[:, ::-1]), 0.0).correlations, 1, atol=1e-12)
    assert solve(covariances(x, y), 0.0).correlations.max() < 0.04


@pytest.mark.parametrize("n_obs", [2, 6, 11, 15, 21])
def test_fewer_observations_than_features_need_a_ridge(n_obs, xy):
    few = covariances(*(a[:n_obs] for a in xy))
    result = solve(few, 0.01)
    assert np.isfinite(result.image).all()
    assert np.isfinite(result.expression).all()
    assert 0.5 < result.correlations[0] < 1
    with pytest.raises(
        DataError, match=rf"{n_obs} observations of 12 \+ 9 features: .*a ridge above 0"
    ):
        solve(few, 0.0)


def test_one_observation_more_than_features_needs_no_ridge(xy):
    result = solve(covariances(*(a[:22] for a in xy)), 0.0)
    assert result.correlations[-1] < 1 - 1e-6


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("side", [0, 1])
def test_dependent_features_need_a_ridge(side, dtype, xy):
    pair = [a.astype(dtype) for a in xy]
    extra = pair[side][:, :2] @ np.array([[0.7, 0.0], [-0.4, 0.0]], dtype)  # the second is constant
    pair[side] = np.concatenate([pair[side], extra], axis=1)
    result = covariances(*pair)
    modality = ("image", "expression")[side]
    with pytest.raises(DataError, match=rf"^{modality}: some .* combinations .* a larger ridge"):
        solve(result, 0.0)
    assert solve(result, 0.01).correlations[0] < 1


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("seed", range(6))
def test_the_rounding_error_of_a_dependent_feature_is_not_a_direction(seed, dtype, xy):
    x, y = (a.astype(dtype) for a in xy)
    y = np.concatenate([y, y @ np.random.default_rng(seed).standard_normal((9, 1))], axis=1)
    with pytest.raises(DataError, match=r"expression: some .* a larger ridge"):
        solve(covariances(x, y.astype(dtype)), 0.0)


@pytest.mark.parametrize("ridge", [0.0, 0.1])
def test_a_modality_that_does_not_vary_is_refused(ridge, xy):
    x, y = xy
    with pytest.raises(DataError, match="expression: none of its 9 features varies"):
        solve(covariances(x, np.full_like(y, 2.5)), ridge)
