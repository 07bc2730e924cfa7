"""Drawn twins: states and counts of the simulator, image embeddings of a linear model."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from cell_synergy.core.config import load, read_section, validate
from cell_synergy.core.errors import ConfigError, DataError
from cell_synergy.data.source_config import SimulatorSource
from cell_synergy.encoders.pca import Expert
from cell_synergy.raw.simulator import states
from cell_synergy.studies.config import DrawnTwinConfig
from cell_synergy.studies.decoding import confusions
from cell_synergy.studies.drawn_twin import draw_twin, simulator_config

SIZES = {
    "reference": 2, "train": 3, "probe": 2, "test": 2, "width": 16, "visibility": 4.0,
    "donor_sd": 0.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def simulator():
    return simulator_config(read_section("simulator"), load(SimulatorSource, "data.lung.source"))


@pytest.fixture(scope="module")
def expert():
    values = read_section("encoders.pca") | {"components": 8}
    return validate(Expert, values, "encoders.pca")


def drawn(simulator, expert, **changed):
    return draw_twin(DrawnTwinConfig(**SIZES | changed), simulator, expert)


@pytest.fixture(scope="module")
def twin(simulator, expert):
    return drawn(simulator, expert)


def test_a_twin_has_the_states_labels_and_donors_of_the_simulator(twin, simulator):
    paired = twin.paired
    assert sorted(set(paired.donor)) == ["A1", "A2", "A3", "P1", "P2", "T1", "T2"]
    assert list(twin.latent) == list(states.n_levels(simulator))
    assert len(twin.latent) == paired.adata.n_obs == len(paired.image) == len(paired.expression)
    assert set(twin.tasks) == set(states.visible(simulator)) == set(twin.visible)
    (fold,) = paired.folds
    assert fold.align.sum() == 3 * 200
    labels = paired.adata.obs["image_state"].cat.codes
    np.testing.assert_array_equal(labels, twin.latent["image_nuclei"])
    assert (paired.adata.obs["matched_niche"].isna() == fold.align).all()
    assert paired.adata.obs["mixed_niche"].notna().all()


def test_equal_seeds_draw_equal_twins_and_others_do_not(twin, simulator, expert):
    again = drawn(simulator, expert)
    np.testing.assert_array_equal(again.paired.image, twin.paired.image)
    np.testing.assert_array_equal(again.paired.expression, twin.paired.expression)
    pd.testing.assert_frame_equal(again.latent, twin.latent)
    other = drawn(simulator.model_copy(update={"seed": 99}), expert)
    assert not np.array_equal(other.latent, twin.latent)


def test_further_donors_leave_the_others_as_they_are(twin, simulator, expert):
    more = drawn(simulator, expert, test=3).paired
    rows = more.donor != "T3"
    np.testing.assert_array_equal(more.image[rows], twin.paired.image)


@pytest.mark.parametrize("visibility", [1.5, 3.0])
def test_visibility_says_how_well_a_binary_state_is_read(visibility, simulator, expert, probe):
    accuracies = []
    for seed in range(3):
        seeded = simulator.model_copy(update={"seed": seed})
        twin = drawn(seeded, expert, visibility=visibility, train=8, test=4, width=64)
        (fold,) = twin.paired.folds
        state = twin.latent[["image_nuclei"]]
        matrix = confusions(twin.paired.image, state, fold.probe, fold.test, probe)
        accuracies.append(matrix["image_nuclei"].diagonal().mean())
    assert np.mean(accuracies) == pytest.approx(norm.cdf(visibility / 2), abs=0.06)


def test_images_show_no_state_of_expression_alone(twin, probe):
    (fold,) = twin.paired.folds
    state = twin.latent[["expression_programme"]]
    matrix = confusions(twin.paired.image, state, fold.probe, fold.test, probe)
    assert matrix["expression_programme"].diagonal().mean() == pytest.approx(0.5, abs=0.08)


def test_a_donor_shifts_all_of_its_observations(simulator, expert, twin):
    shifted = drawn(simulator, expert, donor_sd=0.5).paired.image - twin.paired.image
    for donor in ("A1", "T1"):
        rows = shifted[twin.paired.donor == donor]
        np.testing.assert_allclose(rows, np.broadcast_to(rows[0], rows.shape), atol=1e-5)
    assert 0.3 < shifted.std() < 0.8


def test_the_smallest_twin_can_be_drawn(simulator, expert):
    units = dict.fromkeys(("train", "probe", "test"), (1, 2)) | {"reference": (4, 5)}
    tiny = simulator.model_copy(update={"units": units})
    smallest = {"reference": 1, "train": 1, "probe": 1, "test": 1}
    twin = drawn(tiny, expert, **smallest)
    assert len(twin.latent) == 6
    assert np.isfinite(twin.paired.image).all()
    assert np.isfinite(twin.paired.expression).all()


def test_too_few_reference_observations_are_an_error(simulator, expert):
    tiny = simulator.model_copy(update={"units": dict.fromkeys(simulator.units, (1, 2))})
    with pytest.raises(DataError, match="PCA with 8 components needs more reference observations"):
        drawn(tiny, expert)


def test_only_simulated_data_sets_can_be_drawn():
    with pytest.raises(ConfigError, match="kind"):
        validate(SimulatorSource, {"kind": "manifest"}, "data.her2st.source")
