"""CoMM: its loss against the authors' numbers, its mask, and the control with shuffled pairs."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from cell_synergy.models import Pairs
from cell_synergy.models.comm import comm_loss, shuffled

GOLDEN = Path(__file__).parents[1] / "golden"
ROWS = [
    row
    for row in json.loads((GOLDEN / "contrastive_losses.json").read_text())["rows"]
    if row["loss"].startswith("comm")
]
PARTS = [f"aug{view}_{part}" for view in (1, 2) for part in ("m1", "m2", "fused")]


def embeddings(case, dtype):
    with np.load(GOLDEN / "contrastive_losses.npz") as file:
        return [torch.tensor(file[f"{case}__{p}"], dtype=dtype, requires_grad=True) for p in PARTS]


def loss(row, z):
    """Return the whole loss, or the term of one modality (0 image, 1 expression, 2 fused)."""
    sets = [int(row["loss"][-1]), 2] if row["loss"] != "comm" else [0, 1, 2]
    first, second = ([z[i] for i in sets], [z[3 + i] for i in sets])
    if len(sets) == 3:
        return comm_loss(first, second, row["temperature"])
    fused = comm_loss(first[1:], second[1:], row["temperature"])
    return 2 * comm_loss(first, second, row["temperature"]) - fused  # the mean of two terms


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['loss']}-{row['temperature']}")
def test_loss_and_gradients_equal_the_authors(row):
    z = embeddings(row["case"], torch.float64)
    value = loss(row, z)
    value.backward()
    assert value.item() == pytest.approx(row["f64"], rel=1e-9)
    norms = [0.0 if x.grad is None else x.grad.norm().item() for x in z]
    expected = [norm or 0.0 for norm in row["grad_norms_f64"]]
    assert norms == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert loss(row, embeddings(row["case"], torch.float32)).item() == pytest.approx(
        row["f32"], rel=1e-4
    )


@pytest.fixture
def network(load):
    torch.manual_seed(0)
    return load("comm").network(48, 40).eval()


@pytest.fixture
def inputs(pairs):
    return torch.from_numpy(pairs.image), torch.from_numpy(pairs.expression)


@pytest.mark.parametrize("hidden", [0, 1])
def test_a_hidden_modality_has_no_influence(network, inputs, hidden):
    other = [x.clone() for x in inputs]
    other[hidden] = torch.randn_like(other[hidden]) * 100
    with torch.inference_mode():
        assert torch.equal(network.fuse(inputs, hidden), network.fuse(tuple(other), hidden))


@pytest.mark.parametrize("hidden", [0, 1])
def test_the_shown_modality_matters_when_the_other_is_hidden(network, inputs, hidden):
    other = [x.clone() for x in inputs]
    other[1 - hidden] += 1
    with torch.inference_mode():
        difference = network.fuse(inputs, hidden) - network.fuse(tuple(other), hidden)
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
            [network.projector(network.fuse(view, hidden)) for view in views]
            for hidden in (1, 0, None)
        )
        z1, z2 = zip(image_only, expression_only, fused, strict=True)
        expected = comm_loss(list(z1), list(z2), network.model.temperature)
        assert network.loss(views).item() == pytest.approx(expected.item(), rel=1e-6)


def test_shuffled_pairs_keep_images_and_move_expression_within_donors(pairs):
    mixed = shuffled(pairs, 3)
    np.testing.assert_array_equal(mixed.image, pairs.image)
    np.testing.assert_array_equal(mixed.donor, pairs.donor)
    for donor in np.unique(pairs.donor):
        own = pairs.donor == donor
        before, after = (x[own][:, 0] for x in (pairs.expression, mixed.expression))
        np.testing.assert_array_equal(np.sort(after), np.sort(before))
        assert (after == before).mean() < 0.2


def test_shuffled_rows_stay_whole(pairs):
    rows = {row.tobytes() for row in pairs.expression}
    assert {row.tobytes() for row in shuffled(pairs, 0).expression} == rows


def test_the_shuffling_follows_the_seed(pairs):
    first, again, other = (shuffled(pairs, seed).expression for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_shuffled_is_comm_on_shuffled_pairs(load, pairs, run):
    control = load("shuffled").fit(pairs, run)
    by_hand = load("comm").fit(shuffled(pairs, run.seed), run)
    for name, array in control.items():
        np.testing.assert_array_equal(array, by_hand[name])


def test_a_donor_of_one_unit_keeps_its_pair(pairs):
    donor = np.array(["A", *["B"] * (len(pairs.donor) - 1)])
    mixed = shuffled(Pairs(pairs.image, pairs.expression, donor), 0)
    np.testing.assert_array_equal(mixed.expression[0], pairs.expression[0])
