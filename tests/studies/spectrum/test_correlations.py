"""Correlations, their null and their correction, against closed forms and simulations."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize

from cell_synergy.core.errors import DataError
from cell_synergy.studies.spectrum.correlations import (
    CentredPairs,
    held_out_correlations,
    permutation_null,
    population_correlations,
    spectrum,
    wachter_edge,
)
from cell_synergy.training.cca import covariances, solve

GOLDEN = Path(__file__).parents[2] / "golden"


def drawn(rho, p, q, n, seed=0, donors=1, turned=True):
    """Draw pairs whose leading population correlations are `rho`, in coordinates of any kind."""
    rng = np.random.default_rng(seed)
    x, y = (rng.standard_normal((n, d)) for d in (p, q))
    for place, r in enumerate(rho):
        y[:, place] = r * x[:, place] + np.sqrt(1 - r**2) * y[:, place]
    if turned:
        x, y = (z @ rng.standard_normal((z.shape[1],) * 2) for z in (x, y))
    return CentredPairs.of(x, y, np.repeat(np.arange(donors).astype(str), n // donors))


def edge_of(pairs, axes, permutations=100):
    result = spectrum(pairs, axes)
    return max(
        result.edge,
        permutation_null(pairs, axes, permutations, np.random.default_rng(1))[:, 0].max(),
    )


@pytest.mark.parametrize(
    ("share", "edge"), [(0.01, 1.0), (0.0316, 0.995), (0.1, 0.686), (0.316, 0.404), (1, 0.231)]
)
def test_the_edge_of_noise_is_that_of_the_papers_sizes(share, edge):
    """Worked out by hand for 1536 and 512 features of 71,000 pairs (Wachter 1980)."""
    assert wachter_edge(1536, 512, round(71_000 * share)) == pytest.approx(edge, abs=1e-3)


@pytest.mark.parametrize(("p", "q", "n"), [(3, 4, 7), (3, 4, 6), (100, 1, 101)])
def test_without_more_pairs_than_features_noise_correlates_fully(p, q, n):
    assert wachter_edge(p, q, n) == 1


@pytest.mark.parametrize("donors", [1, 5])
def test_correlations_are_those_of_the_closed_form_within_donors(donors):
    pairs = drawn([0.8, 0.5], 12, 9, 400, donors=donors)
    result, expected = spectrum(pairs, None), solve(covariances(pairs.image, pairs.expression), 0.0)
    np.testing.assert_allclose(result.correlations, expected.correlations, atol=1e-10)
    np.testing.assert_allclose(result.image, expected.image, atol=1e-8)
    np.testing.assert_allclose(result.expression, expected.expression, atol=1e-8)
    assert (result.p, result.q, result.freedom) == (12, 9, 400 - donors)


def test_projections_have_variance_one():
    pairs = drawn([0.8], 12, 9, 400)
    result = spectrum(pairs, 5)
    for x, directions in ((pairs.image, result.image), (pairs.expression, result.expression)):
        np.testing.assert_allclose((x @ directions).var(axis=0), 1, atol=1e-10)
        assert directions.shape[1] == 5


def test_axes_are_those_along_which_an_embedding_varies_most():
    pairs = drawn([], 6, 5, 300)
    image = pairs.image.copy()
    image[:, :2] *= 100
    image[:, 0] += 100 * pairs.expression[:, 0]
    result = spectrum(CentredPairs.of(image, pairs.expression, pairs.donor), 2)
    share = np.linalg.norm(result.image[:2], axis=0) / np.linalg.norm(result.image, axis=0)
    assert share.min() > 0.99


def test_means_of_donors_are_no_correlation():
    rng = np.random.default_rng(0)
    donor = np.repeat(np.arange(8).astype(str), 50)
    shift = np.repeat(10 * rng.standard_normal((8, 1)), 50, axis=0)
    x, y = rng.standard_normal((400, 4)) + shift, rng.standard_normal((400, 3)) + shift
    result = spectrum(CentredPairs.of(x, y, donor), None)
    assert result.correlations[0] < 0.2
    assert spectrum(CentredPairs.of(x, y, np.full(400, "one")), None).correlations[0] > 0.9


@pytest.mark.parametrize(("p", "q", "n"), [(60, 40, 400), (300, 20, 600), (5, 5, 50)])
def test_the_correction_inverts_the_relation_of_sample_and_population(p, q, n):
    """Bao et al. 2019, theorem 1.8: r^2 (1 - c1 + c1/r^2) (1 - c2 + c2/r^2)."""
    c1, c2 = p / n, q / n
    least = (c1 * c2 / ((1 - c1) * (1 - c2))) ** 0.25
    rho = np.linspace(least + 1e-3, 1, 20)[::-1]
    sample = rho * np.sqrt((1 - c1 + c1 / rho**2) * (1 - c2 + c2 / rho**2))
    np.testing.assert_allclose(population_correlations(sample, p, q, n), rho, atol=1e-8)
    at_least = least * np.sqrt((1 - c1 + c1 / least**2) * (1 - c2 + c2 / least**2))
    assert at_least == pytest.approx(wachter_edge(p, q, n))
    assert population_correlations(np.array([0.99 * at_least]), p, q, n) == 0


def test_corrected_correlations_are_near_the_populations_and_the_samples_are_not():
    result = [spectrum(drawn([0.9, 0.7, 0.5], 60, 40, 600, seed), None) for seed in range(20)]
    corrected = np.mean([f.corrected(f.edge)[:2] for f in result], axis=0)
    raw = np.mean([f.correlations[:2] for f in result], axis=0)
    np.testing.assert_allclose(corrected, [0.9, 0.7], atol=0.01)
    assert (raw - [0.9, 0.7] > 0.015).all()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("n", "axes"), [(150, None), (150, 10), (1000, None), (60, 10)])
def test_the_corrected_ceiling_of_shuffled_pairs_is_zero_and_the_samples_is_not(n, axes, seed):
    pairs = drawn([0.9, 0.8], 40, 30, n, seed, donors=2)
    shuffled = pairs.permuted(np.random.default_rng(seed))
    edge = edge_of(pairs, axes)
    result = spectrum(shuffled, axes)
    assert (result.correlations**2).sum() > 0.5
    assert not result.corrected(edge).any()
    assert spectrum(pairs, axes).estimable


@pytest.mark.parametrize("n", [4, 40, 60, 70])
def test_with_too_few_pairs_nothing_is_estimable_whatever_the_sample_shows(n):
    result = spectrum(drawn([], 40, 30, n, donors=2), None)
    assert not result.estimable
    assert np.isnan(result.corrected(result.edge)).all()
    assert result.correlations[0] == pytest.approx(1)
    assert spectrum(drawn([], 40, 30, 74, donors=2), None).estimable


def test_shuffles_have_the_spectrum_of_noise():
    pairs = drawn([0.95, 0.9], 60, 30, 500, donors=5)
    noise = permutation_null(pairs, None, 200, np.random.default_rng(0))
    assert noise.shape == (200, 30)
    assert (np.diff(noise, axis=1) <= 0).all()
    assert noise[:, 0].mean() == pytest.approx(wachter_edge(60, 30, 495), abs=0.03)
    again = permutation_null(pairs, None, 200, np.random.default_rng(0))
    np.testing.assert_array_equal(noise, again)


def test_one_shuffle_of_the_null_is_the_spectrum_of_these_shuffled_pairs():
    pairs = drawn([0.9], 8, 12, 200, donors=4)
    (noise,) = permutation_null(pairs, None, 1, np.random.default_rng(7))
    expected = spectrum(pairs.permuted(np.random.default_rng(7)), None).correlations
    np.testing.assert_allclose(noise, expected, atol=1e-7)


def test_shuffles_stay_within_donors():
    pairs = drawn([0.9], 8, 12, 200, donors=4)
    order = pairs.permuted(np.random.default_rng(0)).expression
    for donor in "0123":
        own = pairs.donor == donor
        np.testing.assert_array_equal(
            np.sort(order[own], axis=0), np.sort(pairs.expression[own], axis=0)
        )
    assert not np.allclose(order, pairs.expression)


def test_what_is_shared_is_found_on_other_units_and_noise_is_not():
    whole = drawn([0.9, 0.7], 20, 15, 2000, donors=4)
    train, test = (
        whole.subset(np.flatnonzero(np.isin(whole.donor, list(d)))) for d in ("01", "23")
    )
    values = held_out_correlations(spectrum(train, None), test)
    assert set(values) == {"2", "3"}
    means = np.mean(list(values.values()), axis=0)
    np.testing.assert_allclose(means[:2], [0.9, 0.7], atol=0.05)
    assert abs(means[2:]).max() < 0.15


def test_only_directions_above_the_edge_are_shared():
    pairs = drawn([0.9, 0.8], 20, 15, 500)
    shared = spectrum(pairs, None).shared(edge_of(pairs, None))
    assert len(shared.correlations) == 2
    variates = shared.variates(pairs.image, pairs.expression)
    assert variates.shape == (500, 5)
    assert abs(np.corrcoef(variates[:, 0], variates[:, 2])[0, 1]) > 0.85
    nothing = spectrum(pairs, None).shared(0.999)
    assert nothing.variates(pairs.image, pairs.expression).shape == (500, 1)


@pytest.mark.parametrize("side", [0, 1])
def test_a_modality_that_does_not_vary_within_donors_is_refused(side):
    donor = np.repeat(["A", "B"], 10)
    sides = [np.random.default_rng(0).standard_normal((20, 3)) for _ in range(2)]
    sides[side] = np.repeat([[1.0, 2.0], [3.0, 4.0]], 10, axis=0)
    with pytest.raises(DataError, match=f"{['image', 'expression'][side]}: none of its 2 features"):
        spectrum(CentredPairs.of(sides[0], sides[1], donor), None)


def test_the_linear_ceiling_sees_nothing_of_the_hermite_task():
    with np.load(GOLDEN / "hermite.npz") as file:
        train = CentredPairs.of(file["Xtr"], file["Ytr"], np.zeros(len(file["Xtr"])).astype(str))
    result = spectrum(train, None)
    published = json.loads((GOLDEN / "spectral.json").read_text())["hermite"]["linear_cca"]
    assert result.correlations[:2] == pytest.approx(published["train"], abs=6e-5)
    assert len(result.shared(edge_of(train, None)).correlations) == 0


def test_no_linear_map_of_the_variates_sees_their_product():
    """Products of variates that are not paired are Hermite polynomials of degree two."""
    pairs = drawn([0.9, 0.8], 10, 10, 20_000)
    result = spectrum(pairs, None).shared(0.5)
    z = result.variates(pairs.image, pairs.expression)[:, :4]
    product = z[:, 0] * z[:, 3]
    said = z @ np.linalg.lstsq(z, product, rcond=None)[0]
    assert 1 - ((product - said) ** 2).sum() / (product**2).sum() < 0.01
    assert product.var() > 0.5


@pytest.mark.parametrize("k", [1, 3, 6])
def test_descending_the_spectral_contrastive_loss_ends_at_the_cut_spectrum(k):
    """HaoChen et al. 2021, for two modalities: minus the sum of the k largest squares."""
    pairs = drawn([0.9, 0.7, 0.5], 8, 6, 300, turned=False)
    moments = covariances(pairs.image, pairs.expression)

    def loss(flat):
        a, b = np.split(flat, [8 * k])
        a, b = a.reshape(8, k), b.reshape(6, k)
        left, right = moments.image @ a, moments.expression @ b
        across = moments.cross @ b
        value = -2 * (a * across).sum() + ((a.T @ left) * (b.T @ right)).sum()
        slopes = left @ (b.T @ right) - across, right @ (a.T @ left) - moments.cross.T @ a
        return value, 2 * np.concatenate([slope.ravel() for slope in slopes])

    start = 0.1 * np.random.default_rng(0).standard_normal(14 * k)
    result = minimize(loss, start, jac=True, method="BFGS", options={"gtol": 1e-9, "maxiter": 5000})
    expected = -(spectrum(pairs, None).correlations[:k] ** 2).sum()
    assert result.fun == pytest.approx(expected, abs=1e-9)
