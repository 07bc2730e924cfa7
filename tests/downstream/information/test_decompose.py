"""Logic gates recovered from embeddings of their inputs; intervals, notes and errors."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax

from cell_synergy.core.errors import DataError
from cell_synergy.downstream.information.decompose import (
    COLUMNS,
    PAIR,
    HeldOutPosteriors,
    InformationConfig,
    decompose,
)

GATES = json.loads((Path(__file__).parents[2] / "golden" / "pid_gates.json").read_text())["gates"]
PARTS = ["R", "U_image", "U_expression", "S"]


def truth(gate):
    joint = np.zeros(GATES[gate]["shape"])
    for cell, probability in GATES[gate]["cells"]:
        joint[tuple(cell)] = probability
    return joint


def embedded(joint, donors, units, rng, spread=0.25):
    """Draw units whose inputs are seen as Gaussian clusters, with posteriors stored in 255ths."""
    states = np.unravel_index(rng.choice(joint.size, donors * units, p=joint.ravel()), joint.shape)
    seen = []
    for state, levels in zip(states[:2], joint.shape, strict=False):
        z = np.eye(levels)[state] + spread * rng.standard_normal((len(state), levels))
        seen.append(softmax(z / spread**2, axis=1))  # of equally wide clusters
    image, expression, joint_one = (
        np.round(255 * p / p.sum(axis=1, keepdims=True)) / 255
        for p in (
            seen[0] @ joint.sum(1),
            seen[1] @ joint.sum(0),
            np.einsum("ua,ub,aby->uy", *seen, joint),
        )
    )
    names = np.repeat([f"d{i}" for i in range(donors)], units)
    methods = {"z3": joint_one, "worse": image}
    return HeldOutPosteriors(
        states[2], names, names, image, expression, joint_one, methods, cross_validated=False
    )


def part(case, rows):
    """Return some of the units."""
    arrays = {
        name: value[rows] for name, value in vars(case).items() if isinstance(value, np.ndarray)
    }
    return replace(case, methods={n: p[rows] for n, p in case.methods.items()}, **arrays)


def bits(table):
    return table.set_index(["method", "quantity"])["bits"]


@pytest.fixture(scope="module")
def case():
    """Noisy AND of six donors, with what an expert alone cannot know."""
    return embedded(truth("AND_noise0.05"), 6, 200, np.random.default_rng(0))


@pytest.fixture(scope="module")
def table(case):
    return decompose(case, 8)


@pytest.mark.parametrize(
    "gate", ["XOR_noise0.1", "AND", "COPY_CAT", "UNIQUE1_noise0.1", "REDUNDANT_noise0.1", "RDN_XOR"]
)
def test_a_gate_is_recovered_from_embeddings_of_its_inputs(gate):
    found = bits(decompose(embedded(truth(gate), 8, 400, np.random.default_rng(1)), 12))
    assert found[PAIR][PARTS].to_numpy() == pytest.approx(GATES[gate]["decomposition"], abs=0.05)
    assert found["z3", "certified_synergy"] == pytest.approx(max(0, found[PAIR, "S"]), abs=1e-12)
    assert found["worse", "certified_synergy"] == pytest.approx(0, abs=1e-6)


def test_the_parts_add_up_to_what_each_expert_knows(table):
    found = bits(table)
    pair, own = found[PAIR], found["z3"]
    assert pair["R"] + pair["U_image"] == pytest.approx(pair["I_image"], abs=1e-8)
    assert pair["R"] + pair["U_expression"] == pytest.approx(pair["I_expression"], abs=1e-8)
    assert pair[PARTS].sum() == pytest.approx(pair["I_joint"], abs=1e-8)
    assert own["complementarity"] == pytest.approx(
        own["I"] - max(pair["I_image"], pair["I_expression"])
    )
    assert own["I"] == pair["I_joint"]


def test_every_quantity_has_an_interval_over_donors(table):
    assert list(table.columns) == COLUMNS
    assert not table.duplicated(["method", "quantity"]).any()
    assert (table["n_donors"] == 6).all()
    shown = table["quantity"].isin(["I", "I_image", "I_joint", "R", "S", "certified_synergy"])
    rows = table[shown & (table["method"] != "worse")]
    assert (rows["low"] < rows["bits"]).all()
    assert (rows["bits"] < rows["high"]).all()
    assert (rows.loc[rows["quantity"].isin(["R", "certified_synergy"]), "low"] >= 0).all()


def test_intervals_are_as_wide_as_donors_differ(case):
    """An expert that is right in some donors only: the interval is that of the donors' gains."""
    sure = np.where(np.isin(case.donors, ["d0", "d1"])[:, None], np.eye(2)[case.y], 0.5)
    wide = decompose(replace(case, joint=np.abs(sure - 0.001)), 8).set_index("quantity").loc["S"]
    narrow = decompose(case, 8).set_index("quantity").loc["S"]
    assert wide["high"] - wide["low"] > 3 * (narrow["high"] - narrow["low"])


def test_intervals_are_wider_where_donors_are_held_out_in_turn(case, table):
    turned = decompose(replace(case, cross_validated=True), 8)
    widths = [t["high"] - t["low"] for t in (table, turned)]
    joint = table["quantity"] == "I_joint"
    assert widths[1][joint].item() == pytest.approx(widths[0][joint].item() * np.sqrt(5 / 4))


def test_of_nothing_there_is_nothing_to_split(case):
    rng = np.random.default_rng(2)
    noise = [softmax(rng.standard_normal((len(case.y), 2)), axis=1) for _ in range(3)]
    image, expression, joint = noise
    blind = replace(case, image=image, expression=expression, joint=joint, methods={})
    found = decompose(blind, 8)
    known = found[found["quantity"] != "H"]
    assert known["bits"].abs().max() < 0.01
    assert not (known["low"] > 0).any()


def test_an_expert_that_is_always_right_knows_the_entropy_however_shares_differ(case):
    rng = np.random.default_rng(3)
    share = np.linspace(0.1, 0.9, 6)[np.searchsorted([f"d{i}" for i in range(6)], case.donors)]
    y = (rng.uniform(size=len(share)) < share).astype(int)
    right, chance = np.eye(2)[y], np.full((len(y), 2), 0.5)
    found = bits(decompose(replace(case, y=y, image=right, expression=chance, joint=right), 8))[
        PAIR
    ]
    assert found["I_image"] == pytest.approx(found["H"], abs=0.01)
    assert found["I_expression"] == pytest.approx(0, abs=1e-6)
    assert found[["U_image", "S"]].to_numpy() == pytest.approx([found["H"], 0], abs=0.01)


def test_a_probe_that_is_worse_than_the_experts_shows_as_negative_synergy(case):
    chance = np.full((len(case.y), 2), 0.5)
    found = bits(decompose(replace(case, joint=chance), 8))[PAIR]
    assert found["S"] == pytest.approx(-found[["R", "U_image", "U_expression"]].sum(), abs=1e-6)


def test_the_order_of_units_changes_nothing(case, table):
    order = np.random.default_rng(4).permutation(len(case.y))
    np.testing.assert_allclose(decompose(part(case, order), 8)["bits"], table["bits"], atol=2e-3)


def test_a_donor_with_half_its_units_weighs_the_same(case, table):
    rows = (case.donors != "d0") | (np.arange(len(case.y)) % 2 == 0)
    assert bits(decompose(part(case, rows), 8))[PAIR, "I_joint"] == pytest.approx(
        bits(table)[PAIR, "I_joint"], abs=0.02
    )


def test_a_class_that_some_donors_lack_is_no_error(case):
    y = np.where((case.donors == "d0") & (case.y == 1), 2, case.y)
    wider = {
        name: np.pad(getattr(case, name), ((0, 0), (0, 2)))
        for name in ("image", "expression", "joint")
    }
    found = decompose(replace(case, y=y, methods={}, **wider), 8)
    assert np.isfinite(found["bits"]).all()
    assert np.isfinite(found.set_index("quantity").loc["S", ["low", "high"]].astype(float)).all()


@pytest.mark.parametrize(("donors", "counted"), [(4, "4 donors"), (1, "1 donor")])
def test_under_five_donors_there_are_points_and_no_interval(case, donors, counted):
    some = part(case, np.isin(case.donors, ["d0", "d1", "d2", "d3"]))
    if donors == 1:  # of four sections
        some = replace(some, donors=np.full(len(some.y), "d0"))
    found = decompose(some, 8)
    assert found["low"].isna().all()
    assert np.isfinite(found["bits"]).all()
    tested = found[~found["quantity"].str.startswith("lost")]
    assert (tested["note"] == f"not testable: {counted}, 5 needed").all()


def test_too_few_clusters_for_the_information_are_noted():
    found = decompose(embedded(truth("TRIFEATURE_SHARE_10"), 5, 200, np.random.default_rng(5)), 4)
    noted = found[found["note"].str.contains("raise information.cells")]
    assert set(noted["quantity"]) > {"R", "U_image", "S", "certified_synergy", "lost_image"}
    assert noted["note"].str.contains(r"cells hold [12]\.\d+ of 3\.\d+ bits").all()
    assert not found.loc[found["quantity"] == "I_joint", "note"].item()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda c: {"y": np.zeros_like(c.y)},
            r"of one class only \(0\): drop the task",
        ),
        (lambda c: {"y": c.y[1:]}, "y has 1199 observations, the image posterior 1200"),
        (lambda c: {"donors": c.donors[1:]}, "donors has 1199 observations"),
        (lambda c: {"y": c.y - 1}, "of classes 0 to 1 only"),
        (lambda c: {"y": c.y + 1}, "of classes 0 to 1 only"),
        (lambda c: {"groups": np.full(len(c.y), "d0")}, r"observations of one group only \(d0\)"),
        (lambda c: {"groups": np.arange(len(c.y)) % 7}, "groups: not the 6 donors"),
        (lambda c: {"joint": c.joint[1:]}, "posterior I_joint of pair: shape"),
        (
            lambda c: {"image": np.where(np.arange(len(c.y))[:, None] == 7, np.nan, c.image)},
            "observation 7",
        ),
        (
            lambda c: {"expression": 2 * c.expression},
            "observation 0 has no probabilities",
        ),
        (lambda c: {"methods": {"z3": -c.joint}}, "posterior I of z3: observation 0"),
    ],
)
def test_posteriors_that_cannot_be_decomposed_are_refused(case, change, reason):
    with pytest.raises(DataError, match=reason):
        decompose(replace(case, **change(case)), 8)


def test_a_single_cluster_is_refused():
    with pytest.raises(ValueError, match="cells"):
        InformationConfig(cells=1)
