"""Logic gates recovered from embeddings of their inputs; intervals, notes and errors."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax

from cell_synergy.core.errors import DataError
from cell_synergy.downstream.information import decompose as module
from cell_synergy.downstream.information.decompose import COLUMNS, decompose
from cell_synergy.downstream.information.held_out import PAIR, HeldOutPosteriors

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
    prior = np.tile(joint.sum((0, 1)), (len(names), 1))
    methods = {"z3": joint_one, "worse": image}
    probes = {(PAIR, "I_image"): "linear", (PAIR, "I_joint"): "mlp", ("z3", "I"): "linear / mlp"}
    return HeldOutPosteriors(
        states[2], names, names, prior, image, expression, joint_one, methods, probes,
        cross_validated=False,
    )  # fmt: skip


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


def test_every_posteriors_rows_name_its_probe_and_parts_name_none(table):
    named = table.set_index(["method", "quantity"])["probe"]
    assert named[PAIR, "I_image"] == "linear"
    assert named[PAIR, "I_joint"] == "mlp"
    assert set(named["z3"]) == {"linear / mlp"}
    assert set(named[PAIR].drop(["I_image", "I_joint"])) == {""}


def test_limits_of_parts_are_moved_outwards_by_the_allowance(case, monkeypatch):
    """As far as the square root of the observations per donor says, and those of bits not."""
    found = decompose(case, 8).set_index(["method", "quantity"])
    monkeypatch.setattr(module, "_ALLOWANCE", 0.0)
    bare = decompose(case, 8).set_index(["method", "quantity"])
    moved = found["high"] - bare["high"]
    parts = moved.index.get_level_values("quantity").isin([*PARTS, "certified_synergy"])
    clipped = bare["high"] == 0
    np.testing.assert_allclose(moved[parts & ~clipped], 0.28 / np.sqrt(200))
    np.testing.assert_allclose(moved[~parts].dropna(), 0, atol=1e-12)
    lower = bare["low"] - found["low"]
    assert lower[PAIR, "S"] == pytest.approx(0.28 / np.sqrt(200))
    assert (found["low"].drop([(PAIR, "S")])[parts[found.index != (PAIR, "S")]] >= 0).all()


def test_a_part_that_no_donor_changes_has_the_allowance_as_its_interval(case):
    blind = replace(case, image=case.prior, methods={})
    found = decompose(blind, 8).set_index("quantity")
    unique = found.loc["U_image"]
    assert unique["bits"] == 0
    assert (unique["low"], unique["high"]) == pytest.approx((0, 0.28 / np.sqrt(200)))
    assert unique["note"].startswith("the same without any donor: the interval is the allowance")
    assert found["low"].isna()["I_image"]
    assert found.loc["I_image", "note"] == "the same without any donor: no interval"


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


def test_an_expert_that_is_always_right_knows_h_however_shares_differ(case):
    """Label shares that differ between donors, and from those of the training rows."""
    rng = np.random.default_rng(3)
    share = np.linspace(0.1, 0.7, 6)[np.searchsorted([f"d{i}" for i in range(6)], case.donors)]
    y = (rng.uniform(size=len(share)) < share).astype(int)
    prior = np.tile([0.3, 0.7], (len(y), 1))
    right = replace(
        case, y=y, prior=prior, image=np.eye(2)[y], expression=prior, joint=np.eye(2)[y]
    )
    found = bits(decompose(right, 8))[PAIR]
    loss = -np.log2(prior[0])[y].reshape(6, -1).mean(axis=1)
    assert found["H"] == pytest.approx(loss.mean())
    assert found["I_image"] == pytest.approx(found["H"], abs=0.01)
    assert found["I_expression"] == pytest.approx(0, abs=1e-6)
    assert found[["U_image", "S"]].to_numpy() == pytest.approx([found["H"], 0], abs=0.01)


@pytest.fixture(scope="module")
def shifted():
    """Exact posteriors of a noisy AND under training shares that no test donor has."""
    rng = np.random.default_rng(6)
    case = embedded(truth("AND_noise0.05"), 6, 400, rng, spread=0.1)
    keep = np.zeros(len(case.y), dtype=bool)
    for donor, share in zip(np.unique(case.donors), np.linspace(0.4, 0.9, 6), strict=True):
        keep |= (case.donors == donor) & (
            rng.uniform(size=len(keep)) < np.where(case.y == 1, share, 1 - share)
        )
    return part(case, keep)


def test_bits_are_the_log_likelihood_gained_over_the_training_shares(shifted):
    """What the score table calls bits: the mean over donors, without any recalibration."""
    found = bits(decompose(shifted, 8))
    own = np.arange(len(shifted.y)), shifted.y
    for key, posterior in shifted.posteriors.items():
        gain = np.log2(posterior[own]) - np.log2(shifted.prior[own])
        means = [gain[shifted.donors == donor].mean() for donor in np.unique(shifted.donors)]
        assert found[key] == pytest.approx(np.mean(means), abs=0.02)
    share = [shifted.y[shifted.donors == donor].mean() for donor in np.unique(shifted.donors)]
    assert np.ptp(share) > 0.4


def test_parts_add_up_in_usable_bits_where_shares_differ(shifted):
    pair = bits(decompose(shifted, 8))[PAIR]
    entropy = -sum(q * np.log2(q) for q in (shifted.y.mean(), 1 - shifted.y.mean()))
    assert pair["H"] > 1.05 * entropy
    for expert in ("image", "expression"):
        assert pair["R"] + pair[f"U_{expert}"] == pytest.approx(pair[f"I_{expert}"], abs=1e-8)
    assert pair[PARTS].sum() == pytest.approx(pair["I_joint"], abs=1e-8)
    assert pair[PARTS].min() > -0.01


def test_a_donor_of_one_class_is_no_error_even_where_the_others_have_the_other(case):
    y = np.where(case.donors == "d0", 1, 0)
    found = decompose(replace(case, y=y), 8)
    assert np.isfinite(found["bits"]).all()


def test_a_probe_that_is_worse_than_the_experts_shows_as_negative_synergy(case):
    found = bits(decompose(replace(case, joint=case.prior), 8))[PAIR]
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
    wider["prior"] = np.pad(0.9 * case.prior, ((0, 0), (0, 2)), constant_values=0.05)
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
        (lambda c: {"y": np.zeros_like(c.y)}, r"of one class only \(0\): drop the task"),
        (lambda c: {"y": c.y[1:]}, "y has 1199 observations, the image posterior 1200"),
        (lambda c: {"donors": c.donors[1:]}, "donors has 1199 observations"),
        (lambda c: {"y": c.y + 1}, "of classes 0 to 1 only"),
        (lambda c: {"groups": np.full(len(c.y), "d0")}, r"observations of one group only \(d0\)"),
        (lambda c: {"groups": np.arange(len(c.y)) % 7}, "groups: not the 6 donors"),
        (lambda c: {"joint": c.joint[1:]}, "posterior I_joint of pair: shape"),
        (
            lambda c: {"image": np.where(np.arange(len(c.y))[:, None] == 7, np.nan, c.image)},
            "observation 7",
        ),
        (lambda c: {"expression": 2 * c.expression}, "observation 0 has no probabilities"),
        (lambda c: {"methods": {"z3": -c.joint}}, "posterior I of z3: observation 0"),
        (lambda c: {"prior": 2 * c.prior}, "prior: observation 0 has no probabilities"),
        (
            lambda c: {"prior": np.where(np.arange(len(c.y))[:, None] == 3, [0, 1], c.prior)},
            "observation 3 is of class 0, which no training row of its fold has: leave it out",
        ),
    ],
)
def test_posteriors_that_cannot_be_decomposed_are_refused(case, change, reason):
    with pytest.raises(DataError, match=reason):
        decompose(replace(case, **change(case)), 8)
