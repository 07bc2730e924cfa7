"""Known answers: the truth of each case, and that the estimators come near it."""

import numpy as np
import pytest

from cell_synergy.core.config import read_section, validate
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.studies.calibration import (
    GATES,
    GAUSSIANS,
    PARTS,
    CalibrationConfig,
    Replicate,
    calibration_table,
    gate_truth,
    gaussian_truth,
    simulate,
)


@pytest.fixture
def settings():
    return CalibrationConfig(
        designs=("5x60",), train=3, repeats=1, width=6, spread=0.3, shift=0.2, noise=0.05, seed=0
    )


@pytest.fixture
def probe():
    return validate(ProbeConfig, read_section("probe"), "probe")


@pytest.mark.parametrize(
    ("gate", "parts"),
    [
        ("xor", (0, 0, 0, 1)),
        ("and", (0.3113, 0, 0, 0.5)),
        ("copy", (0, 1, 1, 0)),
        ("unique", (0, 1, 0, 0)),
        ("redundant", (1, 0, 0, 0)),
    ],
)
def test_without_noise_a_gate_has_its_textbook_parts(gate, parts):
    exact = gate_truth(gate, 1e-9)
    result = exact.redundant, exact.unique1, exact.unique2, exact.synergy
    np.testing.assert_allclose(result, parts, atol=1e-4)


def test_noisy_gates_have_their_known_informations():
    assert gate_truth("xor", 0.05).synergy == pytest.approx(0.7136030428840436, abs=1e-6)
    assert gate_truth("redundant", 0.1).redundant == pytest.approx(0.5310044064107188, abs=1e-6)


def test_gaussian_targets_have_their_closed_form():
    unique, shared, total = (gaussian_truth(w) for w in GAUSSIANS.values())
    assert (unique.unique1, unique.redundant) == pytest.approx((0.5, 0), abs=1e-3)
    assert (shared.redundant, shared.synergy) == pytest.approx((0.5, 0), abs=1e-3)
    assert total.redundant == pytest.approx(0.5, abs=1e-3)
    assert total.synergy == pytest.approx(0.5, abs=1e-3)


def test_each_side_shows_its_own_sources_alone(settings):
    quiet = settings.model_copy(update={"spread": 1e-3, "shift": 1e-3})
    paired = simulate(Replicate(quiet, donors=5, n_obs=60, repeat=0))
    first = paired.adata.obs["unique"].cat.codes.to_numpy()
    assert np.linalg.matrix_rank(paired.image - paired.image.mean(axis=0), tol=1.0) == 2
    distance = abs(np.corrcoef(paired.expression.T, first)[-1, :-1]).max()
    assert distance < 0.2
    assert abs(np.corrcoef(paired.image.T, first)[-1, :-1]).max() > 0.5


@pytest.mark.slow
def test_the_table_has_a_row_per_case_and_part_and_is_the_same_twice(settings, probe):
    first, second = (calibration_table(settings, probe, 8) for _ in range(2))
    assert len(first) == (len(GATES) + len(GAUSSIANS)) * len(PARTS)
    assert first.equals(second)
    xor = first[(first["case"] == "xor") & (first["quantity"] == "S")].iloc[0]
    assert xor["estimate"] == pytest.approx(xor["truth"], abs=0.25)
    assert xor["low"] < xor["estimate"] < xor["high"]
