"""How well single states of the twins are read: the scan, and the values chosen from its table."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import visibility
from cell_synergy.core.config import load, read_section
from cell_synergy.core.yaml import mapping_of
from cell_synergy.downstream.probes.config import ProbeConfig

ROOT = Path(__file__).parents[1]
SETTING = ["penetrance", "deposits", "jpeg_quality", "library_size", "fold_change"]
TWINS = ("lung", "breast", "thymus")


def _source(twin):
    return read_section(f"data.{twin}.source")


@pytest.fixture(scope="module")
def table():
    return pd.read_csv(ROOT / "benchmarks/visibility.csv")


@pytest.fixture(scope="module")
def chosen(table):
    """The rows of each twin's values in params.yaml, with the state as the index."""
    rows = {}
    for twin in TWINS:
        source = _source(twin)
        same = (table[SETTING] == [source[name] for name in SETTING]).all(axis=1)
        of_twin = table[same & (table["twin"] == twin)]
        rows[twin] = of_twin[~of_twin["state"].str.startswith("shared")].set_index("state")
    return rows


def test_the_table_has_every_setting_of_the_file_and_no_seed_of_the_study(table):
    settings = mapping_of(ROOT / "benchmarks/visibility.yaml")
    listed = [(twin, *(s[name] for name in SETTING)) for twin in settings for s in settings[twin]]
    measured = table[["twin", *SETTING]].drop_duplicates()
    assert listed == list(measured.itertuples(index=False, name=None))
    assert not set(table["seed"]) & {_source(twin)["seed"] for twin in TWINS}


@pytest.mark.parametrize("twin", ["lung", "thymus"])
def test_states_are_well_seen_where_the_study_says_so(chosen, twin):
    rows = chosen[twin]
    assert rows["balanced_accuracy"].loc[["image_nuclei", "expression_programme"]].min() > 0.95
    pairs = rows.filter(regex="stroma|deposits", axis=0)
    assert len(pairs) == 4
    assert pairs["bits"].min() > 0.7 * 2


def test_states_are_badly_seen_in_breast_and_yet_seen(chosen):
    bits = chosen["breast"]["bits"]
    assert bits["image_nuclei"] == pytest.approx(0.45, abs=0.1)
    assert bits["expression_programme"] == pytest.approx(0.45, abs=0.1)
    for pair in ("stroma", "deposits"):
        shares = bits[[f"image_{pair}", f"expression_{pair}"]] / 2
        assert 0.2 < shares.min() < 0.5


@pytest.mark.slow
def test_a_state_is_read_if_the_expert_shows_it_and_only_then(monkeypatch, tmp_path):
    args = visibility.Args(settings=tmp_path, seed=1, train=3, test=2, out=tmp_path)
    tissue = visibility.reference_tissue("lung", {"jpeg_quality": 30}, args, tmp_path)
    pairs = tissue[0]
    assert set(pairs.obs["donor"]) == {"S1", "S2", "S3", "S4", "S5"}
    assert set(tissue[1].obs["donor"]) == {"R1", "R2", "R3", "R4"}

    def embedded(modality, *_):
        noise = np.random.default_rng(0).standard_normal((pairs.n_obs, 8)).astype(np.float32)
        if modality == "image":
            noise[:, :4] += 20 * np.eye(4)[pairs.obs["image_stroma"].astype(int)]
        return noise

    monkeypatch.setattr(visibility, "embedded", embedded)
    rows = pd.DataFrame(visibility.read_states(*tissue, tmp_path, load(ProbeConfig, "probe")))
    bits = rows.set_index(["state", "expert"])["bits"].to_dict()
    assert bits.pop(("image_stroma", "image")) > 1.8
    assert max(bits.values()) < 0.05
    assert {("shared_type", "image"), ("shared_type", "expression")} < set(bits)
    assert ("expression_stroma", "image") not in bits
