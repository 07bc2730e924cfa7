"""What readers reach of the ceiling: more with pairs and labels, never above by much."""

import numpy as np
import pytest

from cell_synergy import models
from cell_synergy.core.config import load, read_section, validate
from cell_synergy.core.errors import ConfigError, DataError
from cell_synergy.data.source_config import SimulatorSource
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.encoders.pca import Expert
from cell_synergy.studies.config import DrawnTwinConfig, ReachConfig
from cell_synergy.studies.drawn_twin import simulator_config
from cell_synergy.studies.reach import COLUMNS, Settings, reach_table

TWIN = {
    "reference": 4, "train": 6, "probe": 4, "test": 5, "width": 16, "visibility": 6.0,
    "donor_sd": 0.1,
}  # fmt: skip
GRID = {"seed": 0, "seeds": 1, "tasks": ["matched_niche"], "pairs": [200, 1200], "labels": [600]}


@pytest.fixture(scope="module")
def settings():
    """Settings in which both experts show all states, with bilinear as the only method."""
    source = load(SimulatorSource, "data.lung.source")
    simulator = simulator_config(read_section("simulator"), source)
    values = {"components": 8, "ridge": 0.1}
    return Settings(
        simulator=simulator.model_copy(update={"fold_change": 8.0, "library_size": 2000.0}),
        expert=validate(Expert, read_section("encoders.pca") | {"components": 24}, "pca"),
        methods={"bilinear": models.load("bilinear", values)},
        axes=64,
        training=read_section("training"),
        probe=load(ProbeConfig, "probe"),
    )


def config(twin=None, **changed):
    return ReachConfig(twin=DrawnTwinConfig(**TWIN | (twin or {})), **GRID | changed)


@pytest.fixture(scope="module")
def table(settings):
    return reach_table(config(), settings)


def test_every_reader_has_a_row_per_cell_of_the_grid(table):
    assert list(table.columns) == COLUMNS
    assert table[["method", "probe"]].value_counts().to_dict() == {
        ("bilinear", "linear"): 2, ("concat", "mlp"): 1,
    }  # fmt: skip
    assert table.loc[table["method"] == "bilinear", "pairs"].tolist() == [200, 1200]
    assert table.loc[table["method"] == "concat", "pairs"].isna().all()
    assert set(table["donors"]) == {5}


def test_more_pairs_reach_more_of_a_ceiling_that_is_the_same_for_all(table):
    few, many = table.loc[table["method"] == "bilinear", "reached"]
    assert 0.15 < many < 1.1
    assert many > few
    assert table["ceiling"].nunique() == 1
    assert 0.5 < table["ceiling"].iloc[0] <= 1
    np.testing.assert_allclose(table["reached"], table["information"] / table["ceiling"])
    assert (table["low"] <= table["information"]).all()
    assert (table["information"] <= table["high"]).all()


def test_equal_seeds_give_equal_tables(table, settings):
    assert reach_table(config(), settings).equals(table)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"tasks": ["nich"]}, r"reach\.tasks: drawn twins have no task 'nich'"),
        ({"pairs": [5000]}, r"reach\.pairs: 5000 pairs asked for, the twin has 1200; raise"),
        ({"labels": [5000]}, r"reach\.labels: 5000 labels of 'matched_niche' asked for"),
        ({"tasks": ["region"], "labels": [60]}, r"reach\.tasks: a single expert has .* 'region'"),
    ],
)
def test_a_grid_that_the_twin_does_not_have_is_named(changed, message, settings):
    with pytest.raises(ConfigError, match=message):
        reach_table(config(**changed), settings)


def test_labels_of_one_class_are_an_error(settings):
    with pytest.raises(DataError, match=r"reach: 1 labels of 'matched_niche' are all of one class"):
        reach_table(config(labels=[1]), settings)


def test_the_smallest_twin_gives_an_error_that_says_what_to_raise(settings):
    units = dict.fromkeys(("train", "probe", "test"), (1, 2)) | {"reference": (8, 10)}
    tiny = settings.simulator.model_copy(update={"units": units})
    small = Settings(**vars(settings) | {"simulator": tiny})
    smallest = {"reference": 1, "train": 1, "probe": 1, "test": 1}
    with pytest.raises(DataError, match=r"all of one class of 'matched_niche'; raise reach\.twin"):
        reach_table(config(smallest, pairs=[2], labels=[2]), small)
