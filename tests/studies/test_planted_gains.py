"""Gains that are planted have the size they should, and are found as often as predicted."""

import numpy as np
import pytest

from cell_synergy import models
from cell_synergy.core.config import load, read_section, validate
from cell_synergy.core.errors import ConfigError
from cell_synergy.data.source_config import SimulatorSource
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.encoders.pca import Expert
from cell_synergy.studies.config import DrawnTwinConfig, PlantedConfig
from cell_synergy.studies.drawn_twin import simulator_config
from cell_synergy.studies.planted_gains import COLUMNS, Population, planted_gains
from cell_synergy.studies.reach import Settings

GRID = {
    "seed": 0, "seeds": 1, "tasks": ["cell_type"], "donors": [8], "effects": [0.0, 0.05, 0.2],
    "studies": 80,
}  # fmt: skip


@pytest.fixture
def population():
    """Probabilities of the true class of 30 donors with 40 observations, of two methods."""
    rng = np.random.default_rng(0)
    probability = {
        name: rng.beta(a, 2, 1200)
        for name, a in (("image", 2.0), ("expression", 3.0), ("comm", 2.5), ("cca", 4.0))
    }
    return Population(np.repeat(np.arange(30), 40), np.full(1200, 0.25), probability)


@pytest.mark.parametrize("method", ["comm", "cca"])
@pytest.mark.parametrize("effect", [0.0, 0.05, 0.2])
def test_a_planted_gain_has_its_size_over_the_better_expert(population, method, effect):
    assert population.entropy == pytest.approx(2.0)
    gain = population.planted(method, effect).mean() - population.experts.mean(axis=0).max()
    assert gain / population.entropy == pytest.approx(effect, abs=1e-9)


def test_a_gain_that_the_experts_do_not_leave_is_an_error(population):
    with pytest.raises(ConfigError, match=r"effects: the experts leave less than 0\.99 of"):
        population.planted("comm", 0.99)


@pytest.fixture(scope="module")
def settings():
    source = load(SimulatorSource, "data.lung.source")
    return Settings(
        simulator=simulator_config(read_section("simulator"), source),
        expert=validate(Expert, read_section("encoders.pca") | {"components": 16}, "pca"),
        methods={
            "concat": models.load("concat", {}),
            "cca": models.load("cca", {"components": 8, "ridge": 1.0}),
        },
        axes=64,
        training=read_section("training"),
        probe=load(ProbeConfig, "probe"),
    )


def config(**changed):
    twin = DrawnTwinConfig(
        reference=4, train=4, probe=1, test=16, width=16, visibility=3.0, donor_sd=0.2
    )
    return PlantedConfig(twin=twin, **GRID | changed)


def test_found_shares_stand_beside_the_predicted_power(settings):
    table = planted_gains(config(), settings, correlation=0.5)
    assert list(table.columns) == COLUMNS
    assert len(table) == 2 * 3  # methods and effects
    assert set(table["methods"]) == {2}
    by_effect = table.groupby("effect")[["power", "predicted_power", "promised_power"]].mean()
    assert by_effect.loc[0.0].max() < 0.1
    assert by_effect.loc[0.2].min() > 0.9
    assert (by_effect.diff().dropna() >= 0).all(axis=None)
    assert planted_gains(config(), settings, correlation=0.5).equals(table)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"donors": [17]}, "donors: 17 of a study, the twin has 16 test donors"),
        ({"tasks": ["nich"]}, "tasks: drawn twins have no 'nich'"),
    ],
)
def test_what_the_twin_does_not_have_is_named(changed, message, settings):
    with pytest.raises(ConfigError, match=message):
        planted_gains(config(**changed), settings, correlation=0.5)
