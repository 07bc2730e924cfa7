import subprocess
import sys

import anndata
import numpy as np
import pytest
import tifffile
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import scale

from cell_synergy.data.simulator import simulate

ROLES = {
    "R1": "reference",
    **{f"A{i}": "train" for i in range(6)},
    **{f"P{i}": "probe" for i in range(2)},
    **{f"T{i}": "test" for i in range(6)},
}


def _write(config, out, roles=ROLES):
    simulate("lung", config, roles, out, lambda donors: donors)
    return out


@pytest.fixture(scope="module")
def raw(twin, tmp_path_factory):
    return _write(twin(), tmp_path_factory.mktemp("raw"))


def test_every_donor_has_a_table_and_an_image_and_nothing_else_is_there(raw):
    expected = {f"{donor}.{kind}" for donor in ROLES for kind in ("h5ad", "tif")}
    assert {path.name for path in raw.iterdir()} == expected


def test_a_section_is_a_file_like_a_users_own(raw, twin):
    section, config = anndata.read_h5ad(raw / "T0.h5ad"), twin()
    assert section.shape == (64, config.genes)
    assert section.X.format == "csr"
    assert section.X.dtype == np.float32
    assert (section.X.data % 1 == 0).all()
    assert section.obs_names.is_unique
    assert section.var_names[:2].tolist() == ["SIM0000", "SIM0001"]
    assert (section.obs["donor"] == "T0").all()
    assert all(section.obs[column].dtype == "category" for column in section.obs)
    ratio = section.obsm["cell_type_ratio"]
    np.testing.assert_allclose(ratio.sum(axis=1), 1)
    assert (ratio.idxmax(axis=1) == section.obs["cell_type"].astype(str)).all()
    assert section.uns["simulated"]
    assert section.uns["mpp"] == config.mpp
    assert section.uns["visible"]["niche"]["image"].tolist() == ["image_nuclei"]
    assert set(section.obsm["latent"].columns) >= {"image_nuclei", "expression_stroma"}


def test_every_unit_lies_inside_the_image(raw, twin):
    config = twin()
    height, width, _ = tifffile.imread(raw / "T0.tif").shape
    spatial = anndata.read_h5ad(raw / "T0.h5ad").obsm["spatial"]
    half = 56 / config.mpp
    assert (spatial - half).min() >= 0
    assert (spatial + half <= [width, height]).all()
    assert np.diff(spatial[:2, 0]) * config.mpp == config.pitch_um


def test_the_same_seed_gives_the_same_bytes_in_another_process(twin, raw, tmp_path):
    code = (
        "import ast, sys; from pathlib import Path; from cell_synergy.data.simulator.settings "
        "import Simulator;"
        "from cell_synergy.data.simulator import simulate;"
        "simulate('lung', Simulator(**ast.literal_eval(sys.argv[1])), {'R1': 'reference'},"
        " Path(sys.argv[2]), list)"
    )
    subprocess.run([sys.executable, "-c", code, repr(twin().model_dump()), tmp_path], check=True)
    for kind in ("h5ad", "tif"):
        assert (tmp_path / f"R1.{kind}").read_bytes() == (raw / f"R1.{kind}").read_bytes()


def test_another_seed_or_donor_gives_other_tissue(twin, raw, tmp_path):
    _write(twin(seed=8), tmp_path, {"R1": "reference", "R2": "reference"})
    for kind in ("h5ad", "tif"):
        first, second = (tmp_path / f"{donor}.{kind}" for donor in ("R1", "R2"))
        assert first.read_bytes() != (raw / f"R1.{kind}").read_bytes()
        assert first.read_bytes() != second.read_bytes()


def _look(picture, x, y, half):
    """Return mean, spread, gradient and deciles of a patch's colours."""
    patch = picture[y - half : y + half, x - half : x + half]
    flat = np.sort(patch.reshape(-1, 3), axis=0)
    deciles = flat[(np.array([0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.95]) * len(flat)).astype(int)]
    edges = np.abs(np.diff(patch, axis=0)).mean((0, 1))
    return [*flat.mean(0), *flat.std(0), *edges, *deciles.ravel()]


@pytest.fixture(scope="module")
def features(raw):
    """Return each donor's standardised log-normalised counts, image statistics and states."""
    found = {}
    for donor in ROLES:
        section = anndata.read_h5ad(raw / f"{donor}.h5ad")
        counts = section.X.toarray().astype(float)
        picture, half = tifffile.imread(raw / f"{donor}.tif").astype(float), round(50 / 2)
        looks = [_look(picture, x, y, half) for x, y in section.obsm["spatial"].astype(int)]
        found[donor] = {
            "expression": scale(np.log1p(1e3 * counts / counts.sum(axis=1, keepdims=True))),
            "image": scale(np.array(looks)),
            "states": section.obsm["latent"],
        }
    return found


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
    ("state", "seen", "blind"),
    [
        ("image_nuclei", "image", "expression"),
        ("expression_programme", "expression", "image"),
    ],
)
def test_a_state_of_one_modality_is_at_chance_from_the_other(features, state, seen, blind):
    assert _accuracy(features, seen, state).mean() > 0.7
    chance = _accuracy(features, blind, state) - 0.5
    assert abs(chance.mean()) < 3 * chance.std(ddof=1) / np.sqrt(len(chance))
    assert abs(chance.mean()) < 0.08
