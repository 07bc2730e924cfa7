"""The decomposition of Gaussians against a peer's numbers and its properties."""

import json
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest

from cell_synergy.core.errors import DataError
from cell_synergy.pid.gaussian import mmi, mutual_informations

GOLDEN = Path(__file__).parents[1] / "golden" / "pid_gaussian.json"
CASES = json.loads(GOLDEN.read_text())["cases"]
SCALAR = [name for name, case in CASES.items() if "decomposition" in case]


def case(name):
    return np.array(CASES[name]["covariance"]), tuple(CASES[name]["sizes"])


def random_case(seed, sizes):
    rows = np.random.default_rng(seed).standard_normal((sum(sizes), 2 * sum(sizes)))
    return rows @ rows.T / rows.shape[1], sizes


@pytest.mark.parametrize("name", CASES)
def test_informations_have_their_closed_form(name):
    # The noises of the redundant pair are the same but for 1e-9, which leaves 7 digits.
    exact = 2e-7 if name == "pure_redundant" else 1e-10
    assert mutual_informations(*case(name)) == pytest.approx(CASES[name]["informations"], abs=exact)


@pytest.mark.parametrize("name", SCALAR)
def test_of_one_variable_the_decomposition_is_the_one_that_the_peer_finds(name):
    assert astuple(mmi(*case(name))) == pytest.approx(CASES[name]["decomposition"], abs=1e-5)


@pytest.mark.parametrize("sizes", [(1, 1, 1), (2, 1, 3), (4, 3, 2), (3, 9, 1)])
def test_the_parts_are_consistent_and_not_negative(sizes):
    first, second, both = mutual_informations(*random_case(5, sizes))
    redundant, unique1, unique2, synergy = astuple(mmi(*random_case(5, sizes)))
    assert min(redundant, unique1, unique2, synergy) >= 0
    assert redundant + unique1 == pytest.approx(first, abs=1e-12)
    assert redundant + unique2 == pytest.approx(second, abs=1e-12)
    assert redundant + unique1 + unique2 + synergy == pytest.approx(both, abs=1e-12)


def test_swapping_the_sources_swaps_the_unique_parts():
    covariance, sizes = random_case(4, (2, 2, 3))
    order = [0, 1, 4, 5, 6, 2, 3]
    redundant, unique1, unique2, synergy = astuple(mmi(covariance, sizes))
    swapped = mmi(covariance[np.ix_(order, order)], (2, 3, 2))
    assert astuple(swapped) == pytest.approx((redundant, unique2, unique1, synergy), abs=3e-7)
    assert unique1 != pytest.approx(unique2, abs=1e-3)


@pytest.mark.parametrize(
    ("change", "sizes", "reason"),
    [
        ({}, (1, 1, 2), r"covariance of shape \(3, 3\), sizes \(1, 1, 2\)"),
        ({}, (0, 2, 1), "each at least one"),
        ({(0, 1): np.nan}, (1, 1, 1), "not finite; drop observations"),
        ({(0, 1): 0.3}, (1, 1, 1), r"not symmetric at \[0, 1\]; average it"),
        ({(0, 1): 1.0, (1, 0): 1.0}, (1, 1, 1), r"variables \[0, 1\] determine one another"),
        ({(2, 2): -1.0}, (1, 1, 1), "the variance of variable 2 is -1, so it is constant or"),
        ({(1, 1): 0.0}, (1, 1, 1), "the variance of variable 1 is 0, so it is constant or"),
        ({(0, 1): 2.0, (1, 0): 2.0}, (1, 1, 1), r"eigenvalue of their correlations is -1\)"),
        ({}, (1, 1), "of more than two sources put all but one together"),
        ({}, (1, 1, 1, 0), "of more than two sources put all but one together"),
        ({}, (1, 1.5, 0.5), "give the numbers of variables"),
    ],
)
def test_matrices_that_are_no_covariance_are_refused(change, sizes, reason):
    covariance = np.eye(3)
    for place, entry in change.items():
        covariance[place] = entry
    for function in (mutual_informations, mmi):
        with pytest.raises(DataError, match=reason):
            function(covariance, sizes)


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
@pytest.mark.parametrize("copied", [(0, 1), (1, 2), (0, 2)])
def test_a_variable_and_its_copy_are_refused_in_every_unit_of_measure(copied, scale):
    other = ({0, 1, 2} - set(copied)).pop()
    covariance = np.full((3, 3), 0.6)
    covariance[np.ix_(copied, copied)] = covariance[other, other] = 1
    units = np.diag([1.0, np.sqrt(scale), 1.0])
    for function in (mutual_informations, mmi):
        with pytest.raises(DataError, match=rf"variables \[{copied[0]}, {copied[1]}\] determine"):
            function(units @ covariance @ units, (1, 1, 1))


def test_a_sum_of_variables_is_refused_wherever_it_stands():
    covariance, _ = random_case(3, (2, 2, 1))
    mix = np.vstack([np.eye(5), [0, 1, 0, 1, 1]])
    for order in (np.arange(6), np.array([5, 0, 1, 2, 3, 4])):
        whole = (mix @ covariance @ mix.T)[np.ix_(order, order)]
        with pytest.raises(DataError, match="determine one another"):
            mmi(whole, (2, 2, 2))


@pytest.mark.parametrize("scale", [1e-12, 1e12, 1e-100])
def test_one_variable_in_another_unit_changes_nothing(scale):
    covariance = np.array([[1, 0.5, 0.3], [0.5, 1, 0.2], [0.3, 0.2, 1]])
    expected = astuple(mmi(covariance, (1, 1, 1)))
    units = np.diag([1.0, scale, 1.0])
    result = astuple(mmi(units @ covariance @ units, (1, 1, 1)))
    assert result == pytest.approx(expected, abs=1.5e-7)


@pytest.mark.parametrize("noise", [1e-10, 1e-8, 1e-5])
def test_nearly_a_copy_tells_what_its_noise_lets_it(noise):
    covariance = np.array([[1, 1, 0.6], [1, 1 + noise, 0.6], [0.6, 0.6, 1.0]])
    whole = mutual_informations(covariance, (1, 1, 1))[0]
    assert whole == pytest.approx(np.log2((1 + noise) / noise) / 2, abs=1e-5)
    redundant, unique1, unique2, synergy = astuple(mmi(covariance, (1, 1, 1)))
    assert redundant == pytest.approx(-np.log2(1 - 0.36) / 2, abs=1e-6)
    assert unique1 == pytest.approx(whole - redundant, abs=1e-5)
    assert (unique2, synergy) == pytest.approx((0, 0), abs=2e-5)
