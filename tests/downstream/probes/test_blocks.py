"""Blocks of a representation: equal total variance, whatever their widths."""

import numpy as np
import pytest

from cell_synergy.downstream.probes.blocks import as_blocks, equal_variance
from cell_synergy.downstream.probes.linear import LinearProbe
from cell_synergy.downstream.probes.tasks import ProbeTask


def standard_normal(*widths, rows=200, seed=0):
    rng = np.random.default_rng(seed)
    blocks = [rng.standard_normal((rows, width)).astype(np.float32) for width in widths]
    return [(b - b.mean(axis=0)) / b.std(axis=0) for b in blocks]


@pytest.mark.parametrize("widths", [(3, 3), (944, 64), (1, 5, 30)])
def test_blocks_have_equal_total_variance(widths):
    z = equal_variance(standard_normal(*widths))
    assert z.dtype == np.float32
    variances = np.split(z.var(axis=0), np.cumsum(widths)[:-1])
    total = sum(widths)
    assert [v.sum() for v in variances] == pytest.approx([total / len(widths)] * len(widths))


def test_one_block_is_not_changed():
    (block,) = standard_normal(7)
    np.testing.assert_array_equal(equal_variance([block]), block)
    empty = block[:, :0]
    np.testing.assert_array_equal(equal_variance([empty, block]), block)
    assert equal_variance([empty]).shape == (200, 0)


def test_an_array_is_one_block_and_a_sequence_several():
    image, expression = standard_normal(4, 2)
    assert [b.shape[1] for b in as_blocks(image)] == [4]
    assert [b.shape[1] for b in as_blocks((image, expression))] == [4, 2]


def test_what_the_narrow_block_holds_is_not_lost_beside_a_wide_one(probe):
    """A label in 16 of 64 features, beside 944 features without information."""
    wide, narrow = standard_normal(944, 64, rows=900)
    rng = np.random.default_rng(1)
    logits = narrow[:, :16] @ rng.standard_normal((16, 3))
    y = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    train, test = np.arange(600), np.arange(600, 900)
    task = ProbeTask(train, train % 2, test, np.arange(3), y[train])
    likelihood = {}
    for name, z in {
        "narrow": narrow,
        "side by side": np.concatenate([wide, narrow], axis=1),
        "scaled": equal_variance([wide, narrow]),
    }.items():
        linear = LinearProbe(z, probe)
        predicted = linear.predict(task, linear.select(task)).predicted
        likelihood[name] = np.log2(predicted[np.arange(300), y[test]]).mean()
    loss = {name: likelihood["narrow"] - likelihood[name] for name in ("side by side", "scaled")}
    assert loss["side by side"] > 0.2
    assert loss["scaled"] < loss["side by side"] / 2
