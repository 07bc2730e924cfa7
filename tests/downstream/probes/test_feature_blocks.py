"""Blocks of a representation: equal total variance, whatever their widths."""

from dataclasses import replace

import numpy as np
import pytest

from cell_synergy.downstream.probes.feature_blocks import as_blocks, equal_variance
from cell_synergy.downstream.probes.linear import LinearProbe
from cell_synergy.downstream.probes.tasks import ProbeTask


def standard_normal(*widths, rows=200, seed=0):
    rng = np.random.default_rng(seed)
    blocks = [rng.standard_normal((rows, width)).astype(np.float32) for width in widths]
    return [(b - b.mean(axis=0)) / b.std(axis=0) for b in blocks]


@pytest.mark.parametrize("widths", [(3, 3), (944, 64), (1, 5, 30)])
def test_blocks_have_equal_total_variance(widths):
    scaled = equal_variance(standard_normal(*widths))
    assert all(block.dtype == np.float32 for block in scaled)
    variances = [block.var(axis=0).sum() for block in scaled]
    assert variances == pytest.approx([sum(widths) / len(widths)] * len(widths), rel=1e-5)


def test_one_block_is_not_changed():
    (block,) = standard_normal(7)
    empty = block[:, :0]
    for blocks in ([block], [empty, block]):
        (same,) = equal_variance(blocks)
        np.testing.assert_array_equal(same, block)
    (none,) = equal_variance([empty, empty])
    assert none.shape == (200, 0)


def test_an_array_is_one_block_and_a_sequence_several():
    image, expression = standard_normal(4, 2)
    assert [b.shape[1] for b in as_blocks(image)] == [4]
    assert [b.shape[1] for b in as_blocks((image, expression))] == [4, 2]


@pytest.fixture(scope="module")
def beside():
    """Return two blocks, and tasks whose label is in the narrow one, in the wide one, in neither.

    16 of 64 features hold the first label, 16 of 944 features the second.
    """
    wide, narrow = standard_normal(944, 64, rows=900)
    rng = np.random.default_rng(1)
    train, test = np.arange(600), np.arange(600, 900)
    labels, tasks = {}, {}
    for name, x in (("narrow", narrow), ("wide", wide), ("neither", 0 * wide)):
        logits = 3 * x[:, :16] @ rng.standard_normal((16, 3))
        y = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
        labels[name], tasks[name] = y, ProbeTask(train, train % 2, test, np.arange(3), y[train])
    return wide, narrow, labels, tasks


def test_blocks_side_by_side_keep_what_each_one_knows(beside, probe):
    wide, narrow, labels, tasks = beside
    probe = probe.model_copy(update={"strongest": 100.0, "strengths": 5})
    one_penalty, two_penalties = (
        probe.model_copy(update={"block_steps": steps}) for steps in (0, 2)
    )
    probes = {
        "narrow": LinearProbe(narrow, probe),
        "wide": LinearProbe(wide, probe),
        "one block": LinearProbe(np.concatenate([wide, narrow], axis=1), probe),
        "one penalty": LinearProbe([wide, narrow], one_penalty),
        "two penalties": LinearProbe([wide, narrow], two_penalties),
    }
    bits = {}
    for name, linear in probes.items():
        for task, selection in zip(tasks, linear.select_each([*tasks.values()]), strict=True):
            predicted = linear.predict(tasks[task], selection).predicted
            right = predicted[np.arange(300), labels[task][600:]]
            bits[task, name] = np.log2(3 * right).mean()
    lost = {name: bits["narrow", "narrow"] - bits["narrow", name] for name in probes}
    assert lost["one block"] > 0.2
    assert lost["one penalty"] < lost["one block"] / 2
    assert lost["two penalties"] < lost["one penalty"] / 2
    lost = {name: bits["wide", "wide"] - bits["wide", name] for name in probes}
    assert lost["two penalties"] < lost["one penalty"] / 2
    assert bits["neither", "two penalties"] > -0.05


def test_tasks_are_selected_alike_alone_and_beside_others(beside, probe):
    wide, narrow, _, tasks = beside
    linear = LinearProbe([wide, narrow], probe)
    together = linear.select_each([*tasks.values()])
    for task, found in zip(tasks.values(), together, strict=True):
        alone = LinearProbe([wide, narrow], probe).select(task)
        assert alone.block_factors == found.block_factors
        assert (alone.penalty, alone.cv_score) == (found.penalty, found.cv_score)
        np.testing.assert_array_equal(alone.cv_predicted, found.cv_predicted)


def test_predictions_are_of_the_selected_factors(beside, probe):
    wide, narrow, _, tasks = beside
    task = tasks["narrow"]
    linear = LinearProbe([wide, narrow], probe)
    selection = linear.select(task)
    assert selection.block_factors == pytest.approx((1, 10**0.5))
    scaled = [block * f for block, f in zip(linear.blocks, selection.block_factors, strict=True)]
    z = np.concatenate(scaled, axis=1).astype(np.float32)
    one_block = replace(selection, block_factors=(1.0,))
    np.testing.assert_allclose(
        linear.predict(task, selection).predicted,
        LinearProbe(z, probe).predict(task, one_block).predicted,
        atol=1e-5,
    )


def test_one_block_has_one_penalty(beside, probe):
    wide, narrow, _, tasks = beside
    found = LinearProbe(np.concatenate([wide, narrow], axis=1), probe).select(tasks["narrow"])
    assert found.block_factors == (1,)
