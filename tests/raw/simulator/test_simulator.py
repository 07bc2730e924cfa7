import subprocess
import sys

import numpy as np
import pytest
import tifffile
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import scale

from cell_synergy.core.errors import DataError
from cell_synergy.data.config import DatasetConfig
from cell_synergy.raw import readers
from cell_synergy.raw.simulator import cells, expression, simulate, states
from cell_synergy.studies import truth

ROLES = {
    "R1": "reference",
    **{f"A{i}": "train" for i in range(6)},
    **{f"P{i}": "probe" for i in range(2)},
    **{f"T{i}": "test" for i in range(6)},
}


PATCHES: dict[str, object] = {
    "units": "patches", "least": 1, "origin_um": 40.0, "keep_cells": True,
    "labels": "labels.csv.gz", "cell_type": "cell_type",
}  # fmt: skip
SPOTS: dict[str, object] = {
    "units": "spots", "labels": "labels.csv.gz", "composition": "composition.csv.gz"
}  # fmt: skip
PLATFORMS = {"xenium": PATCHES, "visium": SPOTS}


def _write(config, out, roles=ROLES):
    simulate("lung", config, roles, out, lambda donors: donors)
    return out


@pytest.fixture(scope="module")
def raw(simulator, tmp_path_factory):
    return _write(simulator(), tmp_path_factory.mktemp("raw"))


@pytest.fixture(scope="module")
def spots(simulator, tmp_path_factory):
    out = tmp_path_factory.mktemp("spots")
    return _write(simulator(platform="visium"), out, {"R1": "reference", "T0": "test"})


def _read(folder, platform):
    """Return the sections that the platform's reader finds, by name."""
    dataset = DatasetConfig.model_validate({
        "source": "manifest", "reader": {"kind": platform, **PLATFORMS[platform]},
        "unit_um": 100.0, "standardise": "train", "split": "holdout",
        "tasks": {"niche": {"kind": "classification"}}, "roles": {"train": ["R1"], "test": ["T0"]},
    })  # fmt: skip
    return {section.name: section for section in readers.read(folder, dataset)}


@pytest.fixture(scope="module")
def sections(raw, spots):
    """The sections of both platforms, by name."""
    return {"xenium": _read(raw, "xenium"), "visium": _read(spots, "visium")}


def test_every_donor_is_a_section_in_its_platforms_layout(raw, spots):
    def names(folder):
        return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}

    files = {"cell_feature_matrix.h5", "cells.csv.gz", "experiment.xenium", "he_imagealignment.csv"}
    tables = {"labels.csv.gz", "latent.csv.gz", "visible.json"}
    donor_files = {f"{donor}/{name}" for donor in ROLES for name in {*files, f"{donor}.tif"}}
    assert names(raw) == donor_files | tables
    files = {
        "filtered_feature_bc_matrix.h5", "spatial/tissue_positions.csv",
        "spatial/scalefactors_json.json",
    }  # fmt: skip
    donor_files = {f"{donor}/{name}" for donor in ("R1", "T0") for name in {*files, f"{donor}.tif"}}
    assert names(spots) == donor_files | tables | {"composition.csv.gz"}


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_reader_returns_what_was_simulated(simulator, sections, platform):
    config = simulator(platform=platform)
    section = sections[platform]["T0"]
    genes = expression.draw_genes(config, states.stream(config, "lung", "genes"))
    latent = states.sample(config, "test", states.stream(config, "lung", "T0", "states"))
    lattice = config.lattice("test")
    placed = cells.sample(config, lattice, latent, states.stream(config, "lung", "T0", "cells"))
    count = cells.count_types(placed, 64, config.cell_types)
    share = count / count.sum(axis=1, keepdims=True)
    stream = states.stream(config, "lung", "T0", "counts")
    counts = expression.sample_counts(config, genes, latent, share, stream)
    np.testing.assert_array_equal(section.adata.X.toarray(), counts.toarray())
    np.testing.assert_allclose(section.adata.obsm["spatial"], lattice.centres, atol=1.5)
    assert section.mpp == pytest.approx(config.mpp, rel=1e-3)
    assert section.adata.var_names[:2].tolist() == ["SIM0000", "SIM0001"]
    ratio = section.adata.obsm["cell_type_ratio"][list(cells.TYPES[: config.cell_types])]
    np.testing.assert_allclose(ratio, share, atol=1e-6)
    assert (ratio.idxmax(axis=1) == section.adata.obs["cell_type"]).mean() > 0.95  # but for ties
    for task, label in states.labels(latent, config, "test").items():
        assert section.adata.obs[task].tolist() == label.tolist(), task
    if platform == "xenium":
        sums = section.cells.to_df().groupby(section.cells.obs["unit"], observed=True).sum()
        np.testing.assert_array_equal(sums.loc[section.adata.obs_names], counts.toarray())


@pytest.mark.parametrize("platform", PLATFORMS)
def test_latent_states_are_joined_to_their_observations(simulator, raw, spots, sections, platform):
    folder = spots if platform == "visium" else raw
    config, section = simulator(platform=platform), sections[platform]["T0"]
    adata = section.adata[::-1].copy()
    adata.obs["section"] = "T0"
    latent, visible = truth.read(folder, adata, 100.0)
    drawn = states.sample(config, "test", states.stream(config, "lung", "T0", "states"))
    expected = drawn.drop(columns="shared_type").iloc[::-1]
    np.testing.assert_array_equal(latent.drop(columns="shared_type"), expected)
    cell_types = np.asarray(cells.TYPES)[latent["shared_type"]]
    np.testing.assert_array_equal(cell_types, adata.obs["cell_type"])
    assert visible["niche"] == {"image": ["image_nuclei"], "expression": ["expression_programme"]}
    adata.obsm["spatial"] = adata.obsm["spatial"] + 40
    with pytest.raises(DataError, match=r"section T0: no true state at .* not the simulator's"):
        truth.read(folder, adata, 100.0)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_all_observations_lie_inside_the_image(raw, spots, sections, platform):
    section = sections[platform]["T0"]
    folder = spots if platform == "visium" else raw
    height, width, _ = tifffile.imread(folder / section.image).shape
    spatial = section.adata.obsm["spatial"]
    assert (spatial - 56).min() >= 0
    assert (spatial + 56 <= np.array([width, height]) * section.mpp).all()


def _bytes(folder):
    return {
        file.relative_to(folder): file.read_bytes() for file in folder.rglob("*") if file.is_file()
    }


def test_the_same_seed_gives_the_same_bytes_in_another_process(simulator, tmp_path):
    code = (
        "import ast, sys; from pathlib import Path; from cell_synergy.raw.simulator.config "
        "import SimulatorConfig;"
        "from cell_synergy.raw.simulator import simulate;"
        "[simulate('lung', SimulatorConfig(**config), {'R1': 'reference'}, Path(name), list)"
        " for name, config in ast.literal_eval(sys.argv[1]).items()]"
    )
    configs = {platform: simulator(platform=platform) for platform in PLATFORMS}
    words = repr({name: config.model_dump() for name, config in configs.items()})
    there = tmp_path / "there"
    there.mkdir()
    subprocess.run([sys.executable, "-c", code, words], check=True, cwd=there)
    for platform, config in configs.items():
        here = _write(config, tmp_path / "here" / platform, {"R1": "reference"})
        assert _bytes(there / platform) == _bytes(here)


def test_another_seed_or_donor_gives_other_tissue(simulator, raw, tmp_path):
    _write(simulator(seed=8), tmp_path, {"R1": "reference", "R2": "reference"})
    for kind in ("cell_feature_matrix.h5", "cells.csv.gz", "{}.tif"):
        first, second = (tmp_path / donor / kind.format(donor) for donor in ("R1", "R2"))
        assert first.read_bytes() != (raw / "R1" / kind.format("R1")).read_bytes()
        assert first.read_bytes() != second.read_bytes()


def _patch_statistics(picture, x, y, half):
    """Return mean, gradients and a histogram of a patch's colours."""
    patch = picture[y - half : y + half, x - half : x + half]
    edges = [np.abs(patch[step:] - patch[:-step]).mean((0, 1)) for step in (1, 2, 4)]
    bins = (patch.reshape(-1, 3) // 43).astype(int) @ [36, 6, 1]
    return [*patch.mean((0, 1)), *np.ravel(edges), *np.sqrt(np.bincount(bins, minlength=216))]


@pytest.fixture(scope="module")
def features(simulator, tmp_path_factory):
    """Return each donor's standardised log-normalised counts, image statistics and states.

    The tissue has no synergy, so that every state of one modality is independent of all states of
    the other, and shows its states well.
    """
    config = simulator(
        synergy=False, penetrance=1.0, jpeg_quality=80, library_size=1000.0, fold_change=4.0
    )
    folder = _write(config, tmp_path_factory.mktemp("independent"))
    by_donor = {}
    for donor, section in _read(folder, "xenium").items():
        adata = section.adata.copy()
        adata.obs["section"] = donor
        counts = adata.X.toarray().astype(float)
        picture, half = tifffile.imread(folder / section.image).astype(float), round(50 / 2)
        pixels = (adata.obsm["spatial"] / section.mpp).astype(int)
        statistics = [_patch_statistics(picture, x, y, half) for x, y in pixels]
        by_donor[donor] = {
            "expression": scale(np.log1p(1e3 * counts / counts.sum(axis=1, keepdims=True))),
            "image": scale(np.array(statistics)),
            "states": truth.read(folder, adata, 100.0)[0],
        }
    return by_donor


def _accuracy(features, modality, state):
    """Return the accuracy of a linear probe on each test donor."""
    rows = {role: [features[d] for d in ROLES if ROLES[d] == role] for role in set(ROLES.values())}
    fitted = rows["train"] + rows["probe"]
    probe = LogisticRegression(C=0.01, max_iter=500).fit(
        np.vstack([row[modality] for row in fitted]),
        np.hstack([r["states"][state] for r in fitted]),
    )
    return np.array([probe.score(row[modality], row["states"][state]) for row in rows["test"]])


@pytest.mark.parametrize(
    ("state", "levels", "seen", "blind"),
    [
        ("image_nuclei", 2, "image", "expression"),
        ("image_stroma", 4, "image", "expression"),
        ("image_deposits", 4, "image", "expression"),
        ("expression_programme", 2, "expression", "image"),
        ("expression_stroma", 4, "expression", "image"),
        ("expression_deposits", 4, "expression", "image"),
    ],
)
def test_a_state_of_one_modality_is_at_chance_from_the_other(features, state, levels, seen, blind):
    assert _accuracy(features, seen, state).mean() > 1 / levels + 0.25
    chance = _accuracy(features, blind, state) - 1 / levels
    assert abs(chance.mean()) < 3 * chance.std(ddof=1) / np.sqrt(len(chance))
    assert abs(chance.mean()) < 0.08
