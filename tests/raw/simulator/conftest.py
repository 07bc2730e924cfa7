import pytest

from cell_synergy.raw.simulator.config import SimulatorConfig

SETTINGS = {
    "platform": "xenium",
    "genes": 240,
    "programme_genes": 10,
    "regions": 13,
    "cell_types": 5,
    "synergy": True,
    "units": {"reference": [4, 6], "train": [8, 8], "probe": [8, 8], "test": [8, 8]},
    "pitch_um": 100.0,
    "margin_um": 40.0,
    "correlation_um": 120.0,
    "cells": 40.0,
    "purity": 0.65,
    "concentration": 12.0,
    "penetrance": 0.75,
    "deposits": 12.0,
    "mpp": 2.0,
    "stain_sd": 0.08,
    "jpeg_quality": 30,
    "library_size": 400.0,
    "library_sd": 0.2,
    "marker_fold_change": 8.0,
    "fold_change": 3.0,
    "dispersion": 0.2,
    "batch_sd": 0.1,
    "seed": 7,
}


@pytest.fixture(scope="session")
def simulator():
    """Return a function that makes the configuration of a small data set, with changes."""

    def make(**changes):
        return SimulatorConfig.model_validate({**SETTINGS, **changes})

    return make
