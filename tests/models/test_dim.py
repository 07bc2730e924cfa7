"""Deep InfoMax: closed forms of both bounds, over all pairs in both directions."""

from math import exp, log

import pytest
import torch

from cell_synergy.core.errors import ConfigError
from cell_synergy.models.dim import candidate_cross_entropy, infonce, jensen_shannon

N = 8


def scored(matrix):
    """Return projections whose critic has the given scores."""
    return matrix, torch.eye(len(matrix), dtype=matrix.dtype)


def test_a_constant_critic_gives_no_information():
    z = torch.zeros(N, 5, dtype=torch.float64)
    assert jensen_shannon(z, z).item() == pytest.approx(0, abs=1e-12)
    assert infonce(z, z).item() == pytest.approx(log(N))


def test_a_sure_and_right_critic_reaches_the_most_that_each_bound_allows():
    right = 50 * (2 * torch.eye(N, dtype=torch.float64) - 1)
    assert jensen_shannon(*scored(right)).item() == pytest.approx(-2 * log(2))
    assert infonce(*scored(right)).item() == pytest.approx(0, abs=1e-12)


def test_the_jensen_shannon_bound_weighs_joint_and_product_alike():
    scores = torch.full((N, N), -1.5, dtype=torch.float64).fill_diagonal_(0.5)
    expected = log(1 + exp(-0.5)) + log(1 + exp(-1.5)) - 2 * log(2)
    assert jensen_shannon(*scored(scores)).item() == pytest.approx(expected)


def test_infonce_is_the_mean_of_both_directions():
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(N, N, dtype=torch.float64, generator=generator)
    rows, columns = (-s.log_softmax(dim=1).diagonal().mean().item() for s in (scores, scores.T))
    assert rows != pytest.approx(columns, rel=1e-3)
    assert infonce(*scored(scores)).item() == pytest.approx((rows + columns) / 2)
    assert candidate_cross_entropy(scores).item() == pytest.approx(rows)


@pytest.mark.parametrize(
    ("bound", "function"), [("jensen-shannon", jensen_shannon), ("infonce", infonce)]
)
def test_the_bound_of_the_parameters_compares_the_projections(load, pairs, bound, function):
    inputs = torch.from_numpy(pairs.image), torch.from_numpy(pairs.expression)
    torch.manual_seed(0)
    network = load("dim", bound=bound).network(48, 40).eval()
    with torch.inference_mode():
        expected = function(*network.project(inputs)).item()
        assert network.loss([inputs]).item() == pytest.approx(expected, rel=1e-6)


def test_an_unknown_bound_is_refused_with_those_that_exist(load):
    with pytest.raises(
        ConfigError,
        match=r"models\.dim\.bound: no 'donsker-varadhan'; valid: infonce, jensen-shannon",
    ):
        load("dim", bound="donsker-varadhan")
