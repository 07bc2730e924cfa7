"""BYOL: which modality predicts which, and a target that is averaged and takes no gradient."""

import numpy as np
import pytest
import torch

from cell_synergy.core.errors import ConfigError
from cell_synergy.models.byol import byol
from cell_synergy.training.replicas import Replicas


@pytest.fixture
def networks(load):
    torch.manual_seed(0)
    return [load("byol", tau_base=0.9).network(48, 40) for _ in range(2)]


@pytest.fixture
def inputs(pairs):
    return torch.from_numpy(pairs.image), torch.from_numpy(pairs.expression)


def targets(replicas):
    """Return, by the name of each trained parameter, the name of its average."""
    names = {name: f"target.{name}" for name in replicas.params}
    return {name: target for name, target in names.items() if target in replicas.buffers}


def test_the_target_starts_as_a_copy_of_encoders_and_projectors(networks):
    replicas = Replicas(networks)
    averages = targets(replicas)
    assert {name.split(".")[0] for name in averages} == {"encoders", "projectors"}
    assert {name.split(".")[0] for name in replicas.params.keys() - averages.keys()} == {
        "predictors"
    }
    for name, averaged in averages.items():
        assert torch.equal(replicas.params[name], replicas.buffers[averaged])


def test_each_modality_predicts_the_target_of_the_other(networks, inputs):
    network = networks[0].eval()
    with torch.no_grad():
        network.target.encoders[1][3].bias += 1.0
        z1, z2 = network.target.project(inputs)
        p1, p2 = (
            predictor(z)
            for predictor, z in zip(network.predictors, network.project(inputs), strict=True)
        )
        expected = byol(p1, z2) + byol(p2, z1)
        assert network.loss([inputs]).item() == pytest.approx(expected.item(), rel=1e-6)
        assert network.loss([inputs]).item() != pytest.approx((byol(p1, z1) + byol(p2, z2)).item())


def test_the_target_takes_no_gradient_and_the_online_network_does(networks, inputs):
    networks[0].loss([inputs]).backward()
    for name, parameter in networks[0].named_parameters():
        assert (parameter.grad is None) == name.startswith("target.")


@pytest.mark.parametrize(("progress", "tau"), [(0.0, 0.9), (0.5, 0.95), (2 / 3, 0.975), (1.0, 1.0)])
def test_after_a_step_each_target_keeps_the_share_of_the_schedule(networks, progress, tau):
    replicas = Replicas(networks)
    with torch.no_grad():
        for parameter in replicas.params.values():
            parameter.add_(torch.randn_like(parameter))
    before = {name: buffer.clone() for name, buffer in replicas.buffers.items()}
    replicas.network.after_step(replicas.params, replicas.buffers, progress)
    for name, averaged in targets(replicas).items():
        expected = tau * before.pop(averaged) + (1 - tau) * replicas.params[name]
        torch.testing.assert_close(replicas.buffers[averaged], expected.detach())
    for name, buffer in before.items():
        assert torch.equal(buffer, replicas.buffers[name]), name


def test_training_moves_the_target_after_the_online_network(
    load, pairs, context, fit_one, monkeypatch
):
    seen = []
    method = load("byol", tau_base=0.9)
    cls = type(method.network(4, 4))
    step = cls.after_step

    def watched(self, params, buffers, progress):
        old = buffers["target.encoders.0.0.weight"].clone()
        step(self, params, buffers, progress)
        new, online = buffers["target.encoders.0.0.weight"], params["encoders.0.0.weight"]
        seen.append((progress, ((new - old).norm() / (online - old).norm()).item()))

    monkeypatch.setattr(cls, "after_step", watched)
    fit_one(method, pairs, context)
    progress, moved = zip(*seen, strict=True)
    assert progress == pytest.approx([(k + 1) / len(seen) for k in range(len(seen))])
    expected = [0.1 * (np.cos(np.pi * share) + 1) / 2 for share in progress]
    assert moved == pytest.approx(expected, abs=1e-3)


def test_weights_hold_neither_target_nor_predictors(fitted):
    assert {name.split(".")[0] for name in fitted("byol")} == {"encoders"}


@pytest.mark.parametrize("share", [0, 1])
def test_a_target_that_copies_or_stands_still_is_refused(load, share):
    with pytest.raises(ConfigError, match=r"models\.byol\.tau_base: .* than"):
        load("byol", tau_base=share)
