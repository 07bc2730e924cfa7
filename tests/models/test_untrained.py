"""The methods without training: the experts alone, side by side, and two linear controls."""

import numpy as np
import pytest
from sklearn.decomposition import PCA


def test_the_unimodal_methods_return_their_expert(load, pairs):
    for name, expert in (("image", pairs.image), ("expression", pairs.expression)):
        joint = load(name).transform({}, pairs.image, pairs.expression)
        np.testing.assert_array_equal(joint, expert)


@pytest.mark.parametrize("name", ["concat", "concat_full"])
def test_concat_is_both_experts_side_by_side(name, load, pairs):
    joint = load(name).transform({}, pairs.image, pairs.expression)
    np.testing.assert_array_equal(joint[:, :48], pairs.image)
    np.testing.assert_array_equal(joint[:, 48:], pairs.expression)


def test_pca_finds_the_principal_axes(load, fitted, pairs):
    both = np.concatenate([pairs.image, pairs.expression], axis=1)
    joint = load("pca").transform(fitted("pca"), pairs.image, pairs.expression)
    reference = PCA(64, svd_solver="full").fit(both)
    np.testing.assert_allclose(joint.var(axis=0, ddof=1), reference.explained_variance_, rtol=1e-4)
    cosines = np.abs((fitted("pca")["axes"].T * reference.components_).sum(axis=1))
    np.testing.assert_allclose(cosines, 1, atol=1e-3)


def test_pca_keeps_all_distances_at_full_width(load, pairs, context, fit_one):
    method = load("pca", width=88)
    joint = method.transform(fit_one(method, pairs, context), pairs.image, pairs.expression)
    both = np.concatenate([pairs.image, pairs.expression], axis=1)
    np.testing.assert_allclose(joint @ joint.T, both @ both.T, rtol=1e-4, atol=1e-3)


def test_the_random_control_keeps_squared_lengths_on_average(load, pairs, context, fit_one):
    method = load("random", width=20_000)
    joint = method.transform(fit_one(method, pairs, context), pairs.image, pairs.expression)
    both = np.concatenate([pairs.image, pairs.expression], axis=1)
    ratio = (joint**2).sum(axis=1) / (both**2).sum(axis=1) * both.shape[1] / joint.shape[1]
    assert ratio == pytest.approx(np.ones(len(both)), rel=0.06)


def test_the_random_control_does_not_depend_on_the_pairs(fitted, load, pairs, context, fit_one):
    other = type(pairs)(pairs.image + 1, pairs.expression * 2, pairs.donor)
    first, second = (
        load("random").transform(weights, pairs.image, pairs.expression)
        for weights in (fit_one(load("random"), other, context), fitted("random"))
    )
    np.testing.assert_array_equal(first, second)
