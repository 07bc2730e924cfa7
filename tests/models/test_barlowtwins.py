"""Barlow Twins: closed forms of the cross-correlation's distance from the identity."""

import pytest
import torch

from cell_synergy.models.barlowtwins import barlow_twins


@pytest.fixture
def white():
    """Return rows whose features are uncorrelated, of deviation 100: eps does not matter."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(40, 6, dtype=torch.float64, generator=generator)
    return 100 * 40**0.5 * torch.linalg.qr(z - z.mean(dim=0))[0]


def test_equal_features_that_share_nothing_have_no_loss(white):
    assert barlow_twins(white, white, 0.005).item() == pytest.approx(0, abs=1e-6)


def test_each_feature_that_does_not_vary_costs_one(white):
    still = white.clone()
    still[:, :2] = 7
    assert barlow_twins(still, still, 0.005).item() == pytest.approx(2, abs=1e-6)


def test_features_in_another_order_cost_on_and_off_the_diagonal(white):
    exchanged = white[:, [1, 0, 2, 3, 4, 5]]
    assert barlow_twins(white, exchanged, 0.25).item() == pytest.approx(2 + 0.25 * 2, rel=1e-6)


def test_opposite_features_cost_four_each(white):
    assert barlow_twins(white, -white, 0.25).item() == pytest.approx(24, rel=1e-6)


def test_affine_maps_of_each_feature_change_nothing(white):
    generator = torch.Generator().manual_seed(1)
    z1, z2 = (
        white + 50 * torch.randn(40, 6, dtype=torch.float64, generator=generator) for _ in range(2)
    )
    scale = torch.tensor([0.5, 1, 2, 3, 10, 100], dtype=torch.float64)
    shift = torch.tensor([-300, -5, 0, 1, 20, 1000], dtype=torch.float64)
    expected = barlow_twins(z1, z2, 0.1).item()
    assert expected > 0.1
    assert barlow_twins(scale * z1 + shift, z2, 0.1).item() == pytest.approx(expected, rel=1e-6)
    assert barlow_twins(z1, scale * z2 + shift, 0.1).item() == pytest.approx(expected, rel=1e-6)
    mixed = z1 @ torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64, generator=generator))[0]
    assert barlow_twins(mixed, z2, 0.1).item() != pytest.approx(expected, rel=0.01)


def test_the_weight_of_the_parameters_is_that_of_the_off_diagonal(load, pairs):
    inputs = torch.from_numpy(pairs.image), torch.from_numpy(pairs.expression)
    losses = []
    for weight in (1.0, 2.0, 3.0):
        torch.manual_seed(0)
        losses.append(load("barlowtwins", redundancy=weight).network(48, 40)([inputs]).item())
    assert losses[2] - losses[1] == pytest.approx(losses[1] - losses[0], rel=1e-3)
    assert losses[1] - losses[0] > 0.1
