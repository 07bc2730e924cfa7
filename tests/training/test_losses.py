"""Losses that several methods share: closed forms, invariances and precision."""

import numpy as np
import pytest
import torch

from cell_synergy.training.losses import full_precision, negative_cosine, nt_xent, off_diagonal


def test_nt_xent_of_equal_views_is_the_logarithm_of_the_candidates():
    z = torch.ones(8, 5, dtype=torch.float64)
    assert nt_xent(z, z, 0.5).item() == pytest.approx(np.log(15))


def test_nt_xent_does_not_depend_on_lengths_rotations_or_the_order_of_views():
    generator = torch.Generator().manual_seed(0)
    z1, z2 = (torch.randn(10, 6, dtype=torch.float64, generator=generator) for _ in range(2))
    rotation = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64, generator=generator))[0]
    expected = nt_xent(z1, z2, 0.1).item()
    lengths = torch.arange(1, 11, dtype=torch.float64)[:, None]
    assert nt_xent(lengths * z1, z2 / lengths, 0.1).item() == pytest.approx(expected)
    assert nt_xent(z1 @ rotation, z2 @ rotation, 0.1).item() == pytest.approx(expected)
    assert nt_xent(z2, z1, 0.1).item() == pytest.approx(expected)
    order = torch.randperm(10, generator=generator)
    assert nt_xent(z1[order], z2[order], 0.1).item() == pytest.approx(expected)
    assert nt_xent(z1, z2[order], 0.1).item() != pytest.approx(expected)


@pytest.mark.parametrize(("angle", "expected"), [(0, -1), (60, -0.5), (90, 0), (180, 1)])
def test_the_negative_cosine_depends_on_the_angle_alone(angle, expected):
    unit_vector = [np.cos(np.radians(angle)), np.sin(np.radians(angle))]
    p, z = (
        torch.tensor([[3.0, 0.0], [0.0, 0.1]]),
        torch.tensor([unit_vector, unit_vector[::-1]]).float(),
    )
    assert negative_cosine(p, 7 * z).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("given", "computed"),
    [
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_full_precision_computes_in_single_precision_or_better(given, computed):
    seen = []

    @full_precision
    def loss(z1, z2, weight):
        product = z1 @ z2.T
        seen.extend([z1.dtype, z2.dtype, product.dtype, weight])
        return product.sum()

    z = torch.ones(3, 2, dtype=given)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert loss(z, z, 0.5).dtype == computed
        assert loss(z, z, weight=0.5).dtype == computed
        assert (z.float() @ z.float().T).dtype == torch.bfloat16
    assert seen == [computed, computed, computed, 0.5] * 2


def test_full_precision_lets_gradients_through_to_halved_inputs():
    z = torch.ones(3, 2, dtype=torch.bfloat16, requires_grad=True)
    nt_xent(z, 2 * z, 0.1).backward()
    assert z.grad is not None
    assert z.grad.dtype == torch.bfloat16


def test_the_diagonal_alone_is_replaced():
    square = torch.arange(9.0).view(3, 3)
    assert off_diagonal(square, -1.0).tolist() == [[-1, 1, 2], [3, -1, 5], [6, 7, -1]]
