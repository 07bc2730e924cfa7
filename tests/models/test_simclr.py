"""SimCLR: the loss is between the two modalities' projections."""

import pytest
import torch

from cell_synergy.core.errors import ConfigError
from cell_synergy.training.losses import nt_xent


@pytest.fixture
def network(load):
    torch.manual_seed(0)
    return load("simclr").network(48, 40).eval()


@pytest.fixture
def inputs(pairs):
    return torch.from_numpy(pairs.image), torch.from_numpy(pairs.expression)


def test_the_loss_is_between_the_projected_modalities(network, inputs, load):
    with torch.inference_mode():
        h1, h2 = network.joint(inputs).chunk(2, dim=1)
        z1, z2 = (projector(h) for projector, h in zip(network.projectors, (h1, h2), strict=True))
        expected = nt_xent(z1, z2, load("simclr").temperature)
        assert network.loss((inputs, inputs)).item() == pytest.approx(expected.item(), rel=1e-6)


def test_an_odd_width_cannot_be_halved_and_is_refused(load):
    with pytest.raises(ConfigError, match=r"models\.simclr\.width: .*multiple of 2, got 63"):
        load("simclr", width=63)
