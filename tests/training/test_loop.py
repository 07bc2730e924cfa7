"""The training loop: bit-for-bit resumption, refused settings, and the moments of augmentation."""

import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from cell_synergy.core.config import validate
from cell_synergy.core.errors import ConfigError
from cell_synergy.training import loop
from cell_synergy.training.loop import Trained, TrainingConfig, augment
from cell_synergy.training.method import FitSpec, RunContext
from cell_synergy.training.modules import Network, TwoTowerContrastive
from tests import broken


class Curve:
    """Record what is logged; raise KeyboardInterrupt at the first entry of epoch `stop`."""

    def __init__(self, stop=None):
        self.stop, self.entries = stop, []

    def __call__(self, name, number, epoch):
        if epoch == self.stop:
            raise KeyboardInterrupt
        self.entries.append((name, number, epoch))


@pytest.fixture
def context(training, tmp_path):
    return lambda log: RunContext(training, log, tmp_path / "checkpoint.pt", "lung test")


def fit(method, pairs, context, seeds=(0,)):
    """Fit a fold of these pairs with each seed; return the weights."""
    return method.fit([FitSpec(f"A-{seed}", pairs, pairs, seed) for seed in seeds], context)


class Noisy(Network):
    """A network whose loss draws from torch's global generator, as dropout does."""

    def __init__(self, d1):
        super().__init__()
        self.linear = nn.Linear(d1, 3)

    def loss(self, views):
        return (self.joint(views[0]) + torch.randn(3)).square().mean()

    def joint(self, inputs):
        return self.linear(inputs[0])


class NoisyMethod(Trained):
    def network(self, d1, d2):  # noqa: ARG002
        return Noisy(d1)


def content(fits):
    return [{name: array.tobytes() for name, array in weights.items()} for weights in fits]


@pytest.mark.parametrize("name", ["simclr", "comm", "noisy"])
@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_a_run_that_is_interrupted_twice_continues_bit_for_bit(
    name, seeds, load, pairs, context, monkeypatch
):
    method = NoisyMethod(lr=0.01) if name == "noisy" else load(name)
    whole = Curve()
    expected = fit(method, pairs, context(whole), seeds)
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_CHECKPOINTS", -1)
    for epoch in (1, 4):
        with pytest.raises(KeyboardInterrupt):
            fit(method, pairs, context(Curve(stop=epoch)), seeds)
        torch.manual_seed(99)
    resumed = Curve()
    assert content(fit(method, pairs, context(resumed), seeds)) == content(expected)
    assert resumed.entries == whole.entries


def test_a_resumed_run_does_not_repeat_finished_epochs(load, pairs, context, monkeypatch):
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_CHECKPOINTS", -1)
    with pytest.raises(KeyboardInterrupt):
        fit(load("simclr"), pairs, context(Curve(stop=3)))
    steps = []

    def counted(*args):
        steps.append(1)
        return augment(*args)

    monkeypatch.setattr(loop, "augment", counted)
    fit(load("simclr"), pairs, context(Curve()))
    assert len(steps) == 2 * (
        4 + 4
    )  # two remaining epochs of four training and four validation batches


def _broken(path, how, tmp_path):
    """Make another thing of a checkpoint."""
    whole = path.read_bytes()
    if how == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "a flipped bit":
        path.write_bytes(whole[:-9000] + bytes([whole[-9000] ^ 1]) + whole[-8999:])
    elif how == "code":
        torch.save({"replicas": broken.bomb(tmp_path)[0]}, path)
    else:
        content = torch.load(path, weights_only=True)
        torch.save(how(content), path)


@pytest.mark.parametrize(
    "how",
    [
        "cut", "empty", "a flipped bit", "code", lambda _: [1], lambda c: {**c, "curves": 3},
        lambda c: {**c, "curves": [{"train": [1.0, 2.0, 3.0]}]}, lambda c: {**c, "generators": []},
        lambda c: {**c, "replicas": dict(list(c["replicas"].items())[1:])},
        lambda c: {**c, "replicas": {n: t[..., :1] for n, t in c["replicas"].items()}},
        lambda c: {**c, "optimiser": {**c["optimiser"], "param_groups": []}},
        lambda c: {**c, "global_generator": torch.zeros(3)},
    ],
)  # fmt: skip
def test_a_checkpoint_that_cannot_be_restored_is_set_aside(
    how, load, pairs, context, monkeypatch, tmp_path, capsys
):
    expected = content(fit(load("simclr"), pairs, context(Curve())))
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_CHECKPOINTS", -1)
    log = context(Curve(stop=2))
    log.checkpoint.unlink(missing_ok=True)
    with pytest.raises(KeyboardInterrupt):
        fit(load("simclr"), pairs, log)
    _broken(log.checkpoint, how, tmp_path)
    torch.manual_seed(99)
    capsys.readouterr()
    assert content(fit(load("simclr"), pairs, context(Curve()))) == expected
    printed = capsys.readouterr()
    assert "checkpoint.pt: this checkpoint " in printed.out + printed.err
    assert "set aside as checkpoint.pt.broken" in printed.out + printed.err
    assert log.checkpoint.with_name("checkpoint.pt.broken").exists()
    assert not (tmp_path / "boom").exists()


def test_another_users_checkpoint_is_not_read(load, pairs, context, monkeypatch, tmp_path):
    expected = content(fit(load("simclr"), pairs, context(Curve())))
    log = context(Curve())
    torch.save({"replicas": broken.bomb(tmp_path)[0]}, log.checkpoint)
    monkeypatch.setattr("os.getuid", lambda: log.checkpoint.stat().st_uid + 1)
    monkeypatch.setattr(torch, "load", None)
    assert content(fit(load("simclr"), pairs, log)) == expected


def test_an_interrupt_ends_the_epoch_and_leaves_a_checkpoint(load, pairs, context):
    expected = content(fit(load("simclr"), pairs, context(Curve())))
    taken = []

    def interrupts(*entry):
        taken.append(entry)
        if entry[0] == "validation/A-0" and entry[2] == 1:
            os.kill(os.getpid(), signal.SIGINT)

    log = context(interrupts)
    log.checkpoint.unlink(missing_ok=True)
    with pytest.raises(KeyboardInterrupt):
        fit(load("simclr"), pairs, log)
    assert taken[-1][2] == 1
    resumed = Curve()
    assert content(fit(load("simclr"), pairs, context(resumed))) == expected
    assert resumed.entries[: len(taken)] == taken


def test_without_time_for_a_checkpoint_none_is_written(load, pairs, context):
    log = context(Curve())
    fit(load("simclr"), pairs, log)
    assert not log.checkpoint.exists()


def test_one_loss_is_logged_per_epoch_and_it_falls(load, pairs, context, training):
    training |= {"max_epochs": 20, "noise_std": 0.0, "feature_dropout": 0.0}
    curve = Curve()
    fit(load("simclr"), pairs, context(curve))
    for part in ("train/A-0", "validation/A-0"):
        assert [epoch for name, _, epoch in curve.entries if name == part] == list(range(20))
    losses = [number for name, number, _ in curve.entries if name == "train/A-0"]
    assert losses[-1] < 0.5 * losses[0]


def test_the_step_size_ends_at_zero(load, pairs, context, monkeypatch):
    rates = []
    step = torch.optim.AdamW.step

    def watched(self, *args):
        rates.append(self.param_groups[0]["lr"])
        return step(self, *args)

    monkeypatch.setattr(torch.optim.AdamW, "step", watched)
    fit(load("simclr"), pairs, context(Curve()))
    expected = load("simclr").lr * (1 + np.cos(np.pi * np.arange(20) / 20)) / 2
    assert rates == pytest.approx(expected.tolist())


@pytest.mark.parametrize("modality", ["image", "expression"])
def test_a_loss_that_is_not_finite_is_an_error_naming_the_run(modality, load, pairs, context):
    broken = getattr(pairs, modality).copy()
    broken[:, 3] = np.nan
    with pytest.raises(ConfigError, match=r"lung test A-0: the loss is nan in epoch 0; lower"):
        fit(load("simclr"), replace(pairs, **{modality: broken}), context(Curve()))


@pytest.mark.usefixtures("any_shape")
@pytest.mark.parametrize(
    ("loss", "returned"),
    [
        (lambda z1, z2: (z1 - z2).square().mean(dim=1), r"a tensor of shape \(16,\)"),
        (lambda *_: None, "None"),
    ],
)
def test_a_loss_that_is_not_one_number_is_refused(
    loss, returned, load, pairs, context, monkeypatch
):
    method = load("simclr")
    towers = TwoTowerContrastive(12, 10, 4, 4, loss)
    monkeypatch.setattr(type(method), "network", lambda *_: towers)
    message = rf"TwoTowerContrastive\.loss returns {returned}, not one number"
    with pytest.raises(ConfigError, match=message):
        fit(method, pairs, context(Curve()))


def test_a_batch_larger_than_the_data_is_refused(load, pairs, context, training):
    training["batch_size"] = 71
    with pytest.raises(ConfigError, match=r"training\.batch_size: 71 is more than the 70 training"):
        fit(load("simclr"), pairs, context(Curve()))
    training["batch_size"] = 70
    fit(load("simclr"), pairs, context(Curve()))


def test_an_unknown_training_parameter_is_refused(load, pairs, context, training):
    training["epochs"] = 3
    with pytest.raises(ConfigError, match=r"training\.epochs: unknown parameter.*max_epochs"):
        fit(load("simclr"), pairs, context(Curve()))


@pytest.mark.parametrize("name", ["simclr", "comm"])
def test_projectors_are_not_saved_and_not_needed(name, load, pairs, context):
    (weights,) = fit(load(name), pairs, context(Curve()))
    assert weights
    assert not [key for key in weights if key.startswith("projectors")]
    torch.manual_seed(1)
    first = load(name).transform(weights, pairs.image, pairs.expression)
    torch.manual_seed(2)
    second = load(name).transform(weights, pairs.image, pairs.expression)
    np.testing.assert_array_equal(first, second)


def test_weights_of_another_network_are_refused_by_name(load, pairs, context):
    (weights,) = fit(load("simclr"), pairs, context(Curve()))
    key = "encoders.0.0.weight"
    less = {name: array for name, array in weights.items() if name != key}
    more = weights | {"other": weights[key]}
    wider = weights | {key: np.zeros((17, 12), np.float32)}
    for wrong, name in ((less, key), (more, "other"), (wider, key)):
        with pytest.raises(ConfigError, match=f"weights of another network: {name}; align again"):
            load("simclr").transform(wrong, pairs.image, pairs.expression)


@pytest.fixture
def batch():
    return torch.full((4000, 10), 2.0), torch.full((4000, 7), -1.0)


def settings(training, dropout, noise):
    changed = {"feature_dropout": dropout, "noise_std": noise}
    return validate(TrainingConfig, training | changed, "training")


def test_an_augmented_view_has_the_moments_of_its_parameters(training, batch):
    p, noise = 0.3, 0.5
    generator = torch.Generator().manual_seed(0)
    views = augment(batch, settings(training, p, noise), generator)
    for view, x in zip(views, batch, strict=True):
        value = x[0, 0].item()
        assert view.mean().item() == pytest.approx((1 - p) * value, abs=0.02)
        assert view.var().item() == pytest.approx(p * (1 - p) * value**2 + noise**2, rel=0.03)


def test_two_views_share_no_draws(training, batch):
    generator = torch.Generator().manual_seed(0)
    first, second = (augment(batch, settings(training, 0.3, 0.5), generator) for _ in range(2))
    samples = [first[0][:, :7], first[1], second[0][:, :7], second[1]]
    correlations = torch.corrcoef(torch.stack([view.flatten() for view in samples]))
    assert (correlations - torch.eye(4)).abs().max() < 0.03


def test_without_noise_and_dropout_a_view_is_the_batch(training, batch):
    views = augment(batch, settings(training, 0.0, 0.0), torch.Generator().manual_seed(0))
    assert all(torch.equal(view, x) for view, x in zip(views, batch, strict=True))
