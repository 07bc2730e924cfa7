"""The shared losses against public implementations' numbers, and their limits."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from cell_synergy.networks import mlp, nt_xent

GOLDEN = Path(__file__).parent / "golden"
ROWS = [
    row
    for row in json.loads((GOLDEN / "contrastive_losses.json").read_text())["rows"]
    if row["loss"] == "ntxent"
]


@pytest.fixture(scope="module")
def arrays():
    with np.load(GOLDEN / "contrastive_losses.npz") as file:
        return dict(file)


def views(arrays, case, dtype):
    first, second = (
        torch.tensor(arrays[f"{case}__z{view}"], dtype=dtype, requires_grad=True) for view in (1, 2)
    )
    return first, second


@pytest.mark.parametrize(
    "row", ROWS, ids=lambda row: f"{row['case']}-{row['temperature']}-{row['peer'].split()[0]}"
)
def test_nt_xent_and_its_gradients_equal_the_published_ones(row, arrays):
    z1, z2 = views(arrays, row["case"], torch.float64)
    loss = nt_xent(z1, z2, row["temperature"])
    loss.backward()
    assert loss.item() == pytest.approx(row["f64"], rel=1e-9)
    norms = [x.grad.norm().item() for x in (z1, z2)]
    assert norms == pytest.approx(row["grad_norms_f64"], rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("row", [r for r in ROWS if r["f32"] is not None], ids=lambda r: r["case"])
def test_nt_xent_holds_in_single_precision(row, arrays):
    z1, z2 = views(arrays, row["case"], torch.float32)
    loss = nt_xent(z1, z2, row["temperature"])
    loss.backward()
    assert loss.item() == pytest.approx(row["f32"], rel=1e-4)
    norms = [x.grad.norm().item() for x in (z1, z2)]
    assert norms == pytest.approx(row["grad_norms_f64"], rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("row", [r for r in ROWS if r["f32"] is None], ids=lambda r: r["case"])
def test_nt_xent_is_right_where_a_softmax_without_shift_overflows(row, arrays):
    z1, z2 = views(arrays, row["case"], torch.float32)
    loss = nt_xent(z1, z2, row["temperature"])
    assert loss.item() == pytest.approx(row["f64"], rel=1e-4)


def test_nt_xent_of_equal_views_is_the_logarithm_of_the_candidates():
    z = torch.ones(8, 5, dtype=torch.float64)
    assert nt_xent(z, z, 0.5).item() == pytest.approx(np.log(15))


def test_nt_xent_does_not_depend_on_lengths_rotations_or_the_order_of_views():
    generator = torch.Generator().manual_seed(0)
    z1, z2 = (torch.randn(10, 6, dtype=torch.float64, generator=generator) for _ in range(2))
    rotation = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64, generator=generator))[0]
    expected = nt_xent(z1, z2, 0.1).item()
    lengths = torch.arange(1, 11, dtype=torch.float64)[:, None]
    assert nt_xent(lengths * z1, z2 / lengths, 0.1).item() == pytest.approx(expected)
    assert nt_xent(z1 @ rotation, z2 @ rotation, 0.1).item() == pytest.approx(expected)
    assert nt_xent(z2, z1, 0.1).item() == pytest.approx(expected)
    order = torch.randperm(10, generator=generator)
    assert nt_xent(z1[order], z2[order], 0.1).item() == pytest.approx(expected)
    assert nt_xent(z1, z2[order], 0.1).item() != pytest.approx(expected)


def test_an_mlp_has_one_hidden_layer_of_the_given_sizes():
    network = mlp(5, 7, 3)
    assert [tuple(p.shape) for p in network.parameters()] == [(7, 5), (7,), (7,), (3, 7), (3,)]
    assert network(torch.zeros(4, 5)).shape == (4, 3)
