"""The figure of tissue finds the folds of every split in tables, as the configuration has them."""

from pathlib import Path

import jupytext
import numpy as np
import pandas as pd
import pytest

from cell_synergy.data.splits import folds

NOTEBOOK = Path(__file__).parents[1] / "notebooks/tissue.py"
BLOCKS = {"kind": "leave-one-block-out", "blocks": 2, "gap_um": 60.0}
STUDY = {"study": ["A", "B", "C"]}
DONORS = {"A": "A", "A2": "A", "B": "B", "C1": "C"}  # by section; A also has a section of its name
SINGLE = {"A": "A", "B1": "B", "C1": "C"}
SPLITS = {
    "holdout": (DONORS, {"train": ["A"], "probe": ["B"], "test": ["C"]}),
    "leave-one-donor-out": (DONORS, STUDY),
    "leave-one-section-out": (SINGLE, {"study": [*SINGLE]}),
    "leave-one-block-out": (DONORS, STUDY),
}


@pytest.fixture
def masks(tmp_path):
    """Return the notebook's function that makes masks of folds from tables in a folder."""
    cells = jupytext.read(NOTEBOOK).cells
    (source,) = [cell.source for cell in cells if "def test_masks" in cell.source]
    folders = {name: str(tmp_path / name) for name in ("scores", "pairs")}
    space = {"Path": Path, "np": np, "pd": pd, "focal": "comm", **folders}
    exec(source, space)  # noqa: S102 - what a kernel does
    return space["test_masks"]


@pytest.mark.parametrize("split", SPLITS)
def test_folds_from_tables_are_those_of_the_configuration(dataset, masks, tmp_path, split):
    donor_of, roles = SPLITS[split]
    is_cut = split == BLOCKS["kind"]
    config = dataset(split=BLOCKS if is_cut else split, roles=roles)
    obs = pd.DataFrame({"section": np.repeat([*donor_of], 6)})
    obs["donor"] = obs["section"].map(donor_of)
    if is_cut:
        obs["block"] = [f"{name}-block{row % 2}" for row, name in enumerate(obs["section"])]
    expected = folds(obs, config)
    (tmp_path / "scores/lab").mkdir(parents=True)
    (tmp_path / "pairs").mkdir()
    scores = pd.DataFrame({"fold": [fold.name for fold in expected] * 2})
    scores.to_csv(tmp_path / "scores/lab/comm.csv", index=False)
    counts = pd.DataFrame({"section": [*donor_of]})
    counts["role"] = counts["section"].map(donor_of).map(config.role_of).fillna("study")
    counts.to_csv(tmp_path / "pairs/lab.csv", index=False)
    result = masks("lab", obs)
    assert list(result) == [fold.name for fold in expected][::-1]
    for fold in expected:
        np.testing.assert_array_equal(result[fold.name], fold.test)


def test_without_scores_every_observation_is_drawn(masks, tmp_path):
    (tmp_path / "scores/lab").mkdir(parents=True)
    (tmp_path / "scores/lab/comm.csv").write_text("task,fold\n")
    (mask,) = masks("lab", pd.DataFrame({"section": ["A", "B"]})).values()
    assert mask.tolist() == [True, True]
