"""VICReg: closed forms of its three terms, each with its own weight."""

import pytest
import torch

from cell_synergy.models.vicreg import vicreg


@pytest.fixture
def white():
    """Return rows whose features have variance 4 and do not covary."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(40, 6, dtype=torch.float64, generator=generator)
    return 2 * 39**0.5 * torch.linalg.qr(z - z.mean(dim=0))[0]


def test_equal_rows_that_vary_and_do_not_covary_have_no_loss(white):
    assert vicreg(white, white, 25.0, 25.0, 1.0).item() == pytest.approx(0, abs=1e-12)


def test_invariance_is_the_mean_squared_difference(white):
    assert vicreg(white, white + 0.2, 25.0, 25.0, 1.0).item() == pytest.approx(25 * 0.04)


@pytest.mark.parametrize("still", [1, 2])
def test_variance_falls_short_by_one_less_the_root_of_eps_averaged_over_the_views(white, still):
    zeros = torch.zeros_like(white)
    loss = vicreg(zeros, white if still == 1 else zeros, 0.0, 25.0, 1.0).item()
    assert loss == pytest.approx(25 * 0.99 * still / 2)


def test_covariance_is_the_sum_of_squares_off_the_diagonal_per_feature(white):
    mixed = white.clone()
    mixed[:, 1] = white[:, 0]
    assert vicreg(mixed, mixed, 25.0, 25.0, 1.0).item() == pytest.approx(2 * (2 * 4**2) / 6)
    assert vicreg(mixed, white, 0.0, 25.0, 1.0).item() == pytest.approx(2 * 4**2 / 6)


def test_the_weights_of_the_parameters_reach_their_terms(load, pairs):
    inputs = torch.from_numpy(pairs.image), torch.from_numpy(pairs.expression)

    def loss(**weights):
        torch.manual_seed(0)
        return load("vicreg", **weights).network(48, 40)([inputs]).item()

    torch.manual_seed(0)
    z1, z2 = load("vicreg").network(48, 40).project(inputs)
    for name, alone in (
        ("invariance", vicreg(z1, z2, 1.0, 0.0, 0.0)),
        ("variance", vicreg(z1, z2, 0.0, 1.0, 0.0)),
        ("covariance", vicreg(z1, z2, 0.0, 0.0, 1.0)),
    ):
        more, less = (loss(**{name: weight}) for weight in (3.0, 1.0))
        assert more - less == pytest.approx(2 * alone.item(), rel=1e-3)
