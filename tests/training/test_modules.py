"""Networks that several methods share: MLP, two towers, and the averaged target network."""

import pytest
import torch

from cell_synergy.training.modules import TwoTowerContrastive, mlp, update_target


def test_the_target_becomes_the_average_and_nothing_else_changes():
    params = {"a": torch.tensor([4.0]), "b": torch.tensor([1.0])}
    buffers = {"target.a": torch.tensor([0.0]), "other.b": torch.tensor([0.0])}
    update_target(params, buffers, 0.75)
    assert buffers == {"target.a": torch.tensor([1.0]), "other.b": torch.tensor([0.0])}
    assert params == {"a": torch.tensor([4.0]), "b": torch.tensor([1.0])}


def test_an_mlp_has_one_hidden_layer_of_the_given_sizes():
    network = mlp(5, 7, 3)
    assert [tuple(p.shape) for p in network.parameters()] == [(7, 5), (7,), (7,), (3, 7), (3,)]
    assert network(torch.zeros(4, 5)).shape == (4, 3)


def test_batch_norm_keeps_its_precision_where_the_network_is_halved():
    network = mlp(5, 7, 3)
    x = torch.randn(64, 5, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = network[0](x)
        normed = network[1](half)
    assert (half.dtype, normed.dtype) == (torch.bfloat16, torch.float32)
    assert normed.mean(dim=0).abs().max() < 1e-6
    assert network.double()(x.double()).dtype == torch.float64


def test_projections_enter_the_loss_and_projectors_are_not_in_the_weights():
    inputs = torch.randn(6, 5), torch.randn(6, 4)
    towers = TwoTowerContrastive(5, 4, 7, 8, lambda z1, z2: (z1 - z2).square().mean()).eval()
    with torch.no_grad():
        h1, h2 = (encoder(x) for encoder, x in zip(towers.encoders, inputs, strict=True))
        assert torch.equal(towers.joint(inputs), torch.cat([h1, h2], dim=1))
        z1, z2 = (projector(h) for projector, h in zip(towers.projectors, (h1, h2), strict=True))
        assert towers.loss([inputs]).item() == pytest.approx((z1 - z2).square().mean().item())
    assert {name.split(".")[0] for name in towers.inference_state(towers.state_dict())} == {
        "encoders"
    }
