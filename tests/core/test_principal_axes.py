"""Principal axes: those of an independent implementation, with signs and zeros that are defined."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from cell_synergy.core.principal_axes import principal_axes


@pytest.fixture
def x():
    rng = np.random.default_rng(0)
    return (rng.standard_normal((200, 12)) * np.linspace(1, 4, 12) + 3).astype(np.float32)


def test_axes_are_those_of_pca_and_their_largest_entries_are_positive(x):
    axes, reference = principal_axes(x, 5), PCA(5, svd_solver="full").fit(x)
    assert axes.dtype == np.float32
    np.testing.assert_allclose(np.abs((axes.T * reference.components_).sum(axis=1)), 1, atol=1e-4)
    assert (axes[np.abs(axes).argmax(axis=0), range(5)] > 0).all()
    variances = (x @ axes).var(axis=0, ddof=1)
    np.testing.assert_allclose(variances, reference.explained_variance_, rtol=1e-4)


def test_negated_features_or_another_order_of_rows_give_the_same_axes_and_no_mean_matters(x):
    axes = principal_axes(x, 5)
    np.testing.assert_allclose(principal_axes(-x, 5), axes, atol=1e-5)
    np.testing.assert_allclose(principal_axes(x[::-1] + 100, 5), axes, atol=1e-4)
    assert principal_axes(x, 5).tobytes() == axes.tobytes()


def test_with_fewer_features_than_axes_all_are_rotated_and_no_distance_changes(x):
    axes = principal_axes(x, 64)
    assert axes.shape == (12, 12)
    np.testing.assert_allclose(axes.T @ axes, np.eye(12), atol=1e-5)


def test_axes_along_which_nothing_varies_are_zero_not_arbitrary(x):
    few = principal_axes(x[:4], 8)
    assert few.shape == (12, 8)
    assert (np.abs(few).max(axis=0) > 0).tolist() == [True] * 3 + [False] * 5
    assert not principal_axes(np.ones_like(x), 3).any()
