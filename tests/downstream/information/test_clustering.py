"""Clusters of posteriors: the information that they lose, and tables tempered to have some."""

import numpy as np
import pytest
from scipy.special import softmax

from cell_synergy.downstream.information.clustering import cluster_posteriors, temper_to_information
from cell_synergy.pid.discrete import mutual_information


@pytest.fixture
def posterior():
    return softmax(2 * np.random.default_rng(0).standard_normal((400, 4)), axis=1)


def loss(posterior, weights, cluster):
    joint = weights[:, None] * posterior
    clustered = np.eye(cluster.max() + 1)[cluster].T @ joint
    return mutual_information(joint) - mutual_information(clustered)


def test_observations_share_a_cluster_if_their_posteriors_are_equal():
    kinds = np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]])
    kind = np.random.default_rng(1).integers(3, size=100)
    cluster = cluster_posteriors(kinds[kind], np.full(100, 0.01), 8)
    assert len(np.unique(cluster)) == 3
    assert len(np.unique(np.stack([cluster, kind]), axis=1).T) == 3


def test_equal_posteriors_are_one_cluster():
    assert not cluster_posteriors(np.full((50, 3), 1 / 3), np.full(50, 0.02), 8).any()


def test_more_clusters_lose_less_information(posterior):
    weights = np.full(400, 1 / 400)
    losses = [
        loss(posterior, weights, cluster_posteriors(posterior, weights, n)) for n in (2, 4, 8, 16)
    ]
    assert losses == sorted(losses, reverse=True)
    assert losses[2] < 0.25 * mutual_information(posterior / 400)


def test_no_observation_would_lose_less_in_another_cluster(posterior):
    weights = np.random.default_rng(2).dirichlet(np.ones(400))
    cluster = cluster_posteriors(posterior, weights, 6)
    best = loss(posterior, weights, cluster)
    for row in range(0, 400, 40):
        for other in range(6):
            moved = cluster.copy()
            moved[row] = other
            assert loss(posterior, weights, moved) > best - 1e-5


def test_the_order_of_units_changes_nothing_but_names(posterior):
    weights, order = np.full(400, 1 / 400), np.random.default_rng(3).permutation(400)
    one, other = (
        cluster_posteriors(posterior, weights, 6)[order],
        cluster_posteriors(posterior[order], weights, 6),
    )
    assert len(np.unique(np.stack([one, other]), axis=1).T) == 6


TABLE = np.random.default_rng(4).dirichlet(np.full(15, 0.4)).reshape(5, 3)
SHARES = np.array([0.5, 0.3, 0.2])


@pytest.mark.parametrize("bits", [0.01, 0.3, 0.9])
def test_a_tempered_table_has_the_given_information_and_its_margins(bits):
    table = temper_to_information(bits, TABLE, SHARES)
    assert mutual_information(table) == pytest.approx(bits, abs=1e-9)
    assert table.sum(axis=0) == pytest.approx(SHARES, abs=1e-12)
    assert table.sum(axis=1) == pytest.approx(TABLE.sum(axis=1), abs=1e-3)


@pytest.mark.parametrize("bits", [0.0, -0.1])
def test_a_table_without_bits_is_independent(bits):
    expected = np.outer(TABLE.sum(axis=1), SHARES)
    assert temper_to_information(bits, TABLE, SHARES) == pytest.approx(expected, abs=1e-12)


def test_tempering_to_the_present_information_changes_nothing():
    table = temper_to_information(mutual_information(TABLE), TABLE, TABLE.sum(axis=0))
    assert table == pytest.approx(TABLE, abs=1e-6)


def test_information_out_of_reach_gives_a_nearly_certain_table():
    assert 1.0 < mutual_information(temper_to_information(5.0, TABLE, SHARES)) < np.log2(3)
