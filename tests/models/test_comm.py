"""CoMM: what its loss contrasts, the mask of modalities, and the control with shuffled pairs."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cell_synergy.models.comm import comm_loss, permute_within_donor
from cell_synergy.training.method import FitSpec, Pairs


@pytest.fixture
def network(load):
    torch.manual_seed(0)
    return load("comm").network(48, 40).eval()


@pytest.fixture
def inputs(pairs):
    return torch.from_numpy(pairs.image), torch.from_numpy(pairs.expression)


VISIBLE = {0: [(False, True)], 1: [(True, False)], None: [(True, True)]}


def fuse(network, inputs, hidden):
    return network.fuse(inputs, VISIBLE[hidden])[0]


@pytest.mark.parametrize("hidden", [0, 1])
def test_a_hidden_modality_has_no_influence(network, inputs, hidden):
    other = [x.clone() for x in inputs]
    other[hidden] = torch.randn_like(other[hidden]) * 100
    with torch.inference_mode():
        assert torch.equal(fuse(network, inputs, hidden), fuse(network, tuple(other), hidden))


@pytest.mark.parametrize("hidden", [0, 1])
def test_the_visible_modality_matters_when_the_other_is_hidden(network, inputs, hidden):
    other = [x.clone() for x in inputs]
    other[1 - hidden] += 1
    with torch.inference_mode():
        difference = fuse(network, inputs, hidden) - fuse(network, tuple(other), hidden)
    assert (difference.abs().amax(dim=1) > 1e-4).all()


@pytest.mark.parametrize("changed", [0, 1])
def test_the_joint_embedding_depends_on_both_modalities(network, inputs, changed):
    other = [x.clone() for x in inputs]
    other[changed] += 1
    with torch.inference_mode():
        difference = network.joint(inputs) - network.joint(tuple(other))
    assert (difference.abs().amax(dim=1) > 1e-4).all()


def test_the_loss_contrasts_image_expression_and_fusion(network, inputs):
    views = (inputs, tuple(x + 0.1 for x in inputs))
    with torch.inference_mode():
        image_only, expression_only, fused = (
            [network.projectors(fuse(network, view, hidden)) for view in views]
            for hidden in (1, 0, None)
        )
        z1, z2 = zip(image_only, expression_only, fused, strict=True)
        expected = comm_loss(list(z1), list(z2), network.model.temperature)
        assert network.loss(views).item() == pytest.approx(expected.item(), rel=1e-6)


def test_shuffled_pairs_keep_images_and_move_expression_within_donors(pairs):
    mixed = permute_within_donor(pairs, 3)
    np.testing.assert_array_equal(mixed.image, pairs.image)
    np.testing.assert_array_equal(mixed.donor, pairs.donor)
    for donor in np.unique(pairs.donor):
        mask = pairs.donor == donor
        before, after = (x[mask][:, 0] for x in (pairs.expression, mixed.expression))
        np.testing.assert_array_equal(np.sort(after), np.sort(before))
        assert (after == before).mean() < 0.2


def test_shuffled_rows_stay_whole(pairs):
    rows = {row.tobytes() for row in pairs.expression}
    assert {row.tobytes() for row in permute_within_donor(pairs, 0).expression} == rows


def test_the_shuffling_follows_the_seed(pairs):
    first, again, other = (permute_within_donor(pairs, seed).expression for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_shuffled_is_comm_on_shuffled_pairs(load, pairs, context, fit_one):
    control = fit_one(load("shuffled"), pairs, context)
    by_hand = fit_one(load("comm"), permute_within_donor(pairs, 0), context)
    for name, array in control.items():
        np.testing.assert_array_equal(array, by_hand[name])


def test_each_seed_has_pairs_shuffled_by_itself_also_beside_others(load, pairs, context):
    """Fits of one image array share its memory, and each still has an expression of its own."""
    specs = [FitSpec(f"holdout-{seed}", pairs, pairs, seed) for seed in (0, 1)]
    runs = []
    for _ in range(2):
        losses: list[float] = []
        run = replace(context, log=lambda _, loss, __, to=losses: to.append(loss))
        load("shuffled").fit(specs, run)
        runs.append(losses)
        specs = [replace(spec, pairs=_copied(spec.pairs)) for spec in specs]
    assert runs[0] == runs[1]


def _copied(pairs):
    return Pairs(pairs.image.copy(), pairs.expression.copy(), pairs.donor)


def test_a_donor_of_one_observation_keeps_its_pair(pairs):
    donor = np.array(["A", *["B"] * (len(pairs.donor) - 1)])
    mixed = permute_within_donor(Pairs(pairs.image, pairs.expression, donor), 0)
    np.testing.assert_array_equal(mixed.expression[0], pairs.expression[0])
