"""SimSiam: predictors with a bottleneck, targets without a gradient."""

import pytest
import torch
from torch.nn.functional import cosine_similarity

from cell_synergy.core.errors import ConfigError


@pytest.fixture
def network(load):
    torch.manual_seed(0)
    return load("simsiam").network(48, 40).eval()


@pytest.fixture
def inputs(pairs):
    return torch.from_numpy(pairs.image), torch.from_numpy(pairs.expression)


def test_the_loss_is_the_mean_cosine_of_predictions_and_the_other_projections(network, inputs):
    with torch.no_grad():
        z1, z2 = network.project(inputs)
        p1, p2 = (predictor(z) for predictor, z in zip(network.predictors, (z1, z2), strict=True))
        cosines = (cosine_similarity(p1, z2) + cosine_similarity(p2, z1)) / 2
        assert network.loss([inputs]).item() == pytest.approx(-cosines.mean().item(), rel=1e-5)


def test_an_encoder_takes_gradients_through_its_own_prediction_alone(network, inputs):
    with torch.no_grad():  # the image's prediction no longer depends on the image
        network.predictors[0][0].weight.zero_()
    network.loss([inputs]).backward()
    image, expression = (
        sum(p.grad.abs().sum().item() for p in encoder.parameters()) for encoder in network.encoders
    )
    assert image == 0
    assert expression > 0


def test_predictors_are_a_quarter_as_wide_inside(network):
    widths = [p[0].out_features / p[0].in_features for p in network.predictors]
    assert widths == [0.25, 0.25]


def test_a_width_without_whole_quarters_is_refused(load):
    with pytest.raises(ConfigError, match=r"models\.simsiam\.width: .*multiple of 8, got 60"):
        load("simsiam", width=60)
