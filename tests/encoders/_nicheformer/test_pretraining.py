import os
import signal

import numpy as np
import pytest
import torch

from cell_synergy.core.errors import ConfigError, DataError
from cell_synergy.encoders._nicheformer import pretraining
from cell_synergy.encoders._nicheformer.configuration import NicheformerConfig
from cell_synergy.encoders._nicheformer.pretraining import (
    PretrainingConfig,
    build,
    mask_tokens,
    pretrain,
)
from cell_synergy.encoders._nicheformer.tokenizer import TokenSequences
from tests import broken

GENES = 20
SETTINGS = PretrainingConfig(epochs=3, batch_size=8, lr=0.01, weight_decay=0.0, seed=0)


def _sequences(cells, seed=0):
    """Two kinds of cells: genes 0 to 9, or 10 to 19; six of them in any order."""
    rng = np.random.default_rng(seed)
    genes = [30 + 10 * (cell % 2) + rng.permutation(10)[:6] for cell in range(cells)]
    tokens = np.concatenate([[5, 9, 4, *cell] for cell in genes]).astype(np.int32)
    return TokenSequences(tokens, np.arange(cells + 1) * 9)


def _pretrained(config, folder, settings=SETTINGS):
    return pretrain(config, _sequences(40), _sequences(10, 1), settings, folder, "lab small")


def test_genes_are_labelled_and_masked_as_in_the_paper():
    rng = np.random.default_rng(0)
    tokens = np.tile([5, 9, 4, *range(30, 60), 1, 1], (20_000, 1))
    inputs, labels = mask_tokens(tokens, 30, rng)
    is_labelled = labels != -100
    assert not is_labelled[:, :3].any()
    assert not is_labelled[:, -2:].any()
    np.testing.assert_array_equal(labels[is_labelled], tokens[is_labelled])
    np.testing.assert_array_equal(inputs[~is_labelled], tokens[~is_labelled])
    assert is_labelled[:, 3:-2].mean() == pytest.approx(0.15, abs=0.002)
    assert (inputs[is_labelled] == 0).mean() == pytest.approx(0.8, abs=0.005)
    unchanged = inputs[is_labelled] == tokens[is_labelled]
    assert unchanged.mean() == pytest.approx(0.1 + 0.1 / 30, abs=0.005)
    others = inputs[is_labelled][(inputs[is_labelled] != 0) & ~unchanged]
    assert set(others) == set(range(30, 60))


def test_at_least_one_gene_is_labelled():
    rng = np.random.default_rng(0)
    tokens = np.array([[5, 9, 4, 31, 32, 1]])
    assert all((mask_tokens(tokens, 5, rng)[1] != -100).any() for _ in range(50))


def test_cells_without_genes_are_refused():
    with pytest.raises(DataError, match="no cell has a count of a gene in the gene list"):
        mask_tokens(np.array([[5, 9, 4, 1]]), 5, np.random.default_rng(0))


def test_pretraining_learns_which_genes_are_coexpressed(small, tmp_path):
    changes = {"hidden_size": 16, "num_hidden_layers": 1, "initializer_range": 0.3}
    config = NicheformerConfig(**{**small.to_dict(), **changes})
    pretrained = _pretrained(config, tmp_path, SETTINGS.model_copy(update={"epochs": 30}))
    assert pretrained.train_loss[0] > np.log(GENES)
    assert min(pretrained.validation_loss) < np.log(GENES) - 0.3
    ids = torch.tensor([[5, 9, 4, 41, 42, 0, 43, 44, 45]])
    shares = pretrained.model(ids).logits[0, 5].softmax(dim=0)
    assert shares[40:50].sum() > 0.8


def test_an_interrupted_run_ends_its_epoch_and_continues_bit_for_bit(small, tmp_path, monkeypatch):
    whole = _pretrained(small, tmp_path / "whole")
    epoch = pretraining._Run.epoch
    done: list[int] = []

    def counted(self, number):
        if number == 1 and not done.count(1):
            os.kill(os.getpid(), signal.SIGINT)
        epoch(self, number)
        done.append(number)

    monkeypatch.setattr(pretraining._Run, "epoch", counted)
    with pytest.raises(KeyboardInterrupt):
        _pretrained(small, tmp_path / "work")
    again = _pretrained(small, tmp_path / "work")
    assert done == [0, 1, 2]
    assert (again.train_loss, again.validation_loss) == (whole.train_loss, whole.validation_loss)
    for one, two in zip(again.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(one, two)
    assert not list((tmp_path / "work").glob("*.pt"))


@pytest.mark.parametrize("damage", ["cut", "code", "other"])
def test_an_invalid_checkpoint_is_set_aside(small, tmp_path, monkeypatch, damage):
    whole = _pretrained(small, tmp_path / "whole")
    epoch = pretraining._Run.epoch

    def interrupted(self, number):
        if number == 1:
            os.kill(os.getpid(), signal.SIGINT)
        epoch(self, number)

    monkeypatch.setattr(pretraining._Run, "epoch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _pretrained(small, tmp_path / "work")
    monkeypatch.setattr(pretraining._Run, "epoch", epoch)
    (path,) = (tmp_path / "work").glob("*.pt")
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:5000])
    elif damage == "code":
        torch.save({"model": broken.bomb(tmp_path)[0]}, path)
    else:
        content = torch.load(path, weights_only=True)
        torch.save({**content, "best": {"a": torch.zeros(1)}}, path)
    again = _pretrained(small, tmp_path / "work")
    assert (again.train_loss, again.validation_loss) == (whole.train_loss, whole.validation_loss)
    assert len(list((tmp_path / "work").glob("*.pt.broken"))) == 1
    assert not (tmp_path / "boom").exists()


def test_a_checkpoint_is_of_one_network_and_its_cells(small):
    def key(cells=40, seed=0, config=small):
        settings = SETTINGS.model_copy(update={"seed": seed})
        return pretraining._checkpoint_key(config, _sequences(cells), _sequences(10), settings)

    wider = NicheformerConfig(**{**small.to_dict(), "hidden_size": 16})
    assert key() == key()
    assert len({key(), key(cells=41), key(seed=1), key(config=wider)}) == 4


def test_the_epoch_with_the_lowest_validation_loss_is_selected(small, tmp_path, monkeypatch):
    losses, states = iter([3.0, 1.0, 2.0]), []

    def validate(run):
        states.append(run._weights())
        return next(losses)

    monkeypatch.setattr(pretraining._Run, "_validate", validate)
    pretrained = _pretrained(small, tmp_path)
    assert pretrained.validation_loss == [3.0, 1.0, 2.0]
    state = pretrained.model.state_dict()
    assert all(torch.equal(state[name], states[1][name]) for name in state)
    assert not all(torch.equal(state[name], states[2][name]) for name in state)


def test_equal_seeds_give_equal_weights(small, tmp_path):
    first, second = (_pretrained(small, tmp_path).model.state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    other = _pretrained(small, tmp_path, SETTINGS.model_copy(update={"seed": 1}))
    assert other.validation_loss != _pretrained(small, tmp_path).validation_loss


def test_a_killed_run_continues_bit_for_bit(small, tmp_path, monkeypatch):
    expected = _pretrained(small, tmp_path)
    monkeypatch.setattr(pretraining, "SECONDS_BETWEEN_CHECKPOINTS", -1.0)
    epoch = pretraining._Run.epoch

    def killed(run, number):
        if number == 2:
            raise KeyboardInterrupt
        epoch(run, number)

    with monkeypatch.context() as patch:
        patch.setattr(pretraining._Run, "epoch", killed)
        with pytest.raises(KeyboardInterrupt):
            _pretrained(small, tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    done = []

    def counted(run, number):
        done.append(number)
        epoch(run, number)

    monkeypatch.setattr(pretraining._Run, "epoch", counted)
    pretrained = _pretrained(small, tmp_path)
    assert done == [2]
    assert pretrained.validation_loss == expected.validation_loss
    assert pretrained.train_loss == expected.train_loss
    state = expected.model.state_dict()
    assert all(torch.equal(state[k], v) for k, v in pretrained.model.state_dict().items())
    assert list(tmp_path.iterdir()) == []


def test_initial_weights_are_of_the_seed(small):
    first, same, other = (build(small, seed).nicheformer.embeddings.weight for seed in (0, 0, 1))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_a_loss_that_is_not_finite_is_reported(small, tmp_path):
    with pytest.raises(ConfigError, match=r"epoch .; lower the expert's lr"):
        _pretrained(small, tmp_path, SETTINGS.model_copy(update={"lr": 1e30}))
