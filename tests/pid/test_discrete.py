"""The decomposition against closed forms, a search by hand, and its invariances."""

import json
from dataclasses import astuple
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize

from cell_synergy.pid.discrete import (
    bayes_sis,
    broja,
    decoded_joint,
    information_sis,
    mutual_information,
)

GATES = json.loads((Path(__file__).parents[1] / "golden" / "pid_gates.json").read_text())["gates"]


def table(name):
    joint = np.zeros(GATES[name]["shape"])
    for cell, probability in GATES[name]["cells"]:
        joint[tuple(cell)] = probability
    return joint


def random_table(seed, shape=(3, 4, 3), concentration=0.3):
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.full(np.prod(shape), concentration)).reshape(shape)


@pytest.mark.parametrize("name", GATES)
def test_a_gate_has_its_known_decomposition(name):
    assert astuple(broja(table(name))) == pytest.approx(GATES[name]["decomposition"], abs=1e-6)


@pytest.mark.parametrize("name", GATES)
def test_a_gate_has_its_known_informations(name):
    joint = table(name)
    pairs = [joint.sum(1), joint.sum(0), joint.reshape(-1, joint.shape[2])]
    result = [mutual_information(pair) for pair in pairs]
    assert result == pytest.approx(GATES[name]["informations"], abs=1e-12)


@pytest.mark.parametrize("name", GATES)
def test_a_gate_has_its_known_score_of_bayes_classifiers(name):
    assert bayes_sis(table(name)) == pytest.approx(GATES[name]["macro_f1_sis"], abs=1e-12)


@pytest.mark.parametrize("name", GATES)
def test_the_score_in_information_follows_from_the_decomposition(name):
    if GATES[name]["information_sis"] is None:
        with pytest.warns(UserWarning, match="neither source alone"):
            assert np.isnan(information_sis(table(name)))
        return
    redundant, unique1, unique2, synergy = astuple(broja(table(name)))
    score = (synergy + min(unique1, unique2)) / (redundant + max(unique1, unique2))
    assert information_sis(table(name)) == pytest.approx(score, abs=1e-6)
    assert information_sis(table(name)) == pytest.approx(GATES[name]["information_sis"], abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_the_parts_add_up_to_the_three_informations(seed):
    joint = random_table(seed)
    redundant, unique1, unique2, synergy = astuple(broja(joint))
    assert min(redundant, unique1, unique2, synergy) >= 0
    assert redundant + unique1 == pytest.approx(mutual_information(joint.sum(1)), abs=1e-12)
    assert redundant + unique2 == pytest.approx(mutual_information(joint.sum(0)), abs=1e-12)
    both = mutual_information(joint.reshape(-1, joint.shape[2]))
    assert redundant + unique1 + unique2 + synergy == pytest.approx(both, abs=1e-12)


def least_by_search(joint):
    """Least information of a 2 x 2 x 2 table: one free number per label, searched directly."""
    left, right = joint.sum(1), joint.sum(0)
    low = np.maximum(0, left[0] + right[0] - joint.sum((0, 1)))
    high = np.minimum(left[0], right[0])

    def information(share):
        corner = low + share * (high - low)
        q = np.array([[corner, left[0] - corner], [right[0] - corner, right[1] - left[0] + corner]])
        return mutual_information(np.maximum(q, 0).reshape(4, 2))

    starts = [(a, b) for a in (0.2, 0.5, 0.8) for b in (0.2, 0.5, 0.8)]
    return min(
        minimize(information, x, bounds=[(0, 1)] * 2, method="Nelder-Mead", tol=1e-10).fun
        for x in starts
    )


@pytest.mark.parametrize("seed", range(4))
def test_the_cone_program_finds_the_minimum_that_a_direct_search_finds(seed):
    joint = random_table(seed, (2, 2, 2), concentration=1.0)
    redundant, unique1, unique2, _ = astuple(broja(joint))
    assert redundant + unique1 + unique2 == pytest.approx(least_by_search(joint), abs=1e-7)


def test_r_u1_and_u2_depend_on_the_pair_marginals_only():
    joint = random_table(0)
    shift = np.zeros_like(joint)
    shift[:2, :2, 1] = 0.5 * joint[:2, :2, 1].min() * np.array([[1, -1], [-1, 1]])
    one, other = astuple(broja(joint)), astuple(broja(joint + shift))
    assert other[:3] == pytest.approx(one[:3], abs=1e-7)
    assert abs(other[3] - one[3]) > 1e-6


def test_swapping_the_inputs_swaps_the_unique_parts():
    joint = random_table(1)
    redundant, unique1, unique2, synergy = astuple(broja(joint))
    swapped = astuple(broja(joint.transpose(1, 0, 2).copy()))
    assert swapped == pytest.approx((redundant, unique2, unique1, synergy), abs=1e-7)
    assert unique1 != pytest.approx(unique2, abs=1e-3)


@pytest.mark.parametrize("axis", range(3))
def test_relabelling_states_changes_nothing(axis):
    joint = random_table(2, (3, 3, 3))
    for order in permutations(range(3)):
        assert astuple(broja(np.take(joint, order, axis))) == pytest.approx(
            astuple(broja(joint)), abs=1e-7
        )


def test_states_that_never_occur_change_nothing():
    joint = random_table(3)
    padded = np.pad(joint, ((0, 1), (1, 0), (1, 1)))
    assert astuple(broja(padded)) == pytest.approx(astuple(broja(joint)), abs=1e-7)
    assert bayes_sis(padded) == bayes_sis(joint)


def test_very_rare_states_are_solved():
    joint = random_table(4, (6, 5, 4), concentration=0.01)
    assert joint.min() < 1e-100
    assert min(astuple(broja(joint))) >= 0


def test_the_same_table_gives_the_same_bytes():
    joint = random_table(5, (6, 5, 4))
    assert astuple(broja(joint)) == astuple(broja(joint.copy()))


def test_a_noiseless_channel_leaves_the_table_unchanged():
    joint = random_table(6)
    assert np.array_equal(decoded_joint(joint, np.eye(3), np.eye(4)), joint)


def test_a_channel_that_erases_the_first_source_leaves_the_second_alone():
    joint = random_table(7)
    erased = decoded_joint(joint, np.full((3, 5), 0.2), np.eye(4))
    assert erased.shape == (5, 4, 3)
    second = mutual_information(joint.sum(0))
    assert astuple(broja(erased)) == pytest.approx((0, 0, second, 0), abs=1e-9)


def test_noise_in_a_channel_mixes_the_states_by_the_confusion():
    joint = table("XOR")
    confusion = np.array([[0.9, 0.1], [0.1, 0.9]])
    assert decoded_joint(joint, confusion, np.eye(2)) == pytest.approx(table("XOR_noise0.1"))


@pytest.mark.parametrize("function", [broja, bayes_sis, information_sis])
def test_every_public_function_checks_its_table(function):
    with pytest.raises(ValueError, match="sum to 2"):
        function(np.full((2, 2, 2), 0.25))


def test_a_confusion_whose_rows_do_not_sum_to_one_is_refused():
    with pytest.raises(ValueError, match=r"confusion2.*sum to one"):
        decoded_joint(table("XOR"), np.eye(2), np.full((2, 2), 0.6))


@pytest.mark.slow
def test_a_table_of_22_labels_is_solved_within_a_minute():
    redundant, unique1, unique2, synergy = astuple(broja(random_table(9, (25, 25, 22))))
    assert min(redundant, unique1, unique2, synergy) > 0
