"""How well an embedding shows a latent state: from perfectly to not at all."""

import numpy as np
import pandas as pd
import pytest

from cell_synergy.studies.decoding import confusions

LEVELS, EACH = 3, 60


def confusion(x, state, train, test, probe):
    return confusions(x, pd.DataFrame({"state": state}), train, test, probe)["state"]


@pytest.fixture
def state():
    return np.repeat(np.arange(LEVELS), EACH)


@pytest.fixture
def train(state):
    return np.arange(len(state)) % 2 == 0


def test_an_embedding_that_is_the_state_is_decoded_up_to_half_a_unit(state, train, probe):
    x = np.eye(LEVELS, dtype=np.float32)[state]
    expected = (0.5 + (EACH / 2) * np.eye(LEVELS)) / (EACH / 2 + 0.5 * LEVELS)
    np.testing.assert_allclose(confusion(x, state, train, ~train, probe), expected)


def test_rows_are_distributions_over_decoded_levels(state, train, probe):
    rng = np.random.default_rng(0)
    x = (1.5 * np.eye(LEVELS)[state] + rng.standard_normal((len(state), LEVELS))).astype(np.float32)
    result = confusion(x, state, train, ~train, probe)
    assert (result > 0).all()
    np.testing.assert_allclose(result.sum(axis=1), 1)
    assert (result.diagonal() > 1 / LEVELS).all()
    assert (result.diagonal() < 0.95).all()


def test_noise_decodes_every_level_alike(probe):
    rng = np.random.default_rng(1)
    state = rng.integers(LEVELS, size=6000)
    train = np.arange(6000) < 3000
    x = rng.standard_normal((6000, 4)).astype(np.float32)
    result = confusion(x, state, train, ~train, probe)
    np.testing.assert_allclose(result, np.tile(result.mean(axis=0), (LEVELS, 1)), atol=0.06)


def test_an_unseen_and_an_untested_level_have_rows_too(state, train, probe):
    x = np.eye(LEVELS, dtype=np.float32)[state]
    result = confusion(x, state, train & (state != 2), ~train & (state != 0), probe)
    np.testing.assert_allclose(result.sum(axis=1), 1)
    np.testing.assert_allclose(result[0], 1 / LEVELS)
    assert result[2, 2] == pytest.approx(0.5 / (EACH / 2 + 1.5))


def test_each_state_has_its_own_confusion(state, train, probe):
    x = np.eye(LEVELS, dtype=np.float32)[state]
    states = pd.DataFrame({"shown": state, "hidden": np.tile([0, 0, 1, 1], len(state) // 4)})
    result = confusions(x, states, train, ~train, probe)
    np.testing.assert_array_equal(result["shown"], confusion(x, state, train, ~train, probe))
    assert result["shown"].shape == (LEVELS, LEVELS)
    assert result["hidden"].diagonal().min() < 0.6
