import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cell_synergy.core.errors import DataError
from cell_synergy.data.config import DatasetConfig
from cell_synergy.raw import readers

DATASET = DatasetConfig.model_validate(
    {
        "source": "manifest", "reader": "mob", "unit_um": 100.0, "standardise": "donor",
        "split": "leave-one-section-out", "tasks": {}, "roles": {},
    }
)  # fmt: skip
FILES = {"Rep1": "01", "Rep2": "02", "Rep11": "11"}
LAYERS = [
    "Olfactory nerve layer",
    "Glomerular layer",
    "Outer Plexiform Layer",
    "Mitral Cell Layer",
    "Granular Cell Layer",
]


@pytest.fixture
def raw(tmp_path):
    """Write three spots per section in the layout of the originals, labels in another order."""
    for folder in ("counts", "annotations", "images"):
        (tmp_path / folder).mkdir()
    for name, number in FILES.items():
        (tmp_path / f"counts/{name}_MOB_count_matrix-1.tsv.gz").write_bytes(b"")
        counts = pd.DataFrame(
            [[1, 0, 2, 0], [0, 5, 0, 1], [0, 0, 1, 1]],
            index=["17.002x8.987", "1x1", "33x35"],
            columns=["X2010300C02Rik", "Xist", "Xkr4", "H2.Ke2"],
        )
        counts.to_csv(tmp_path / f"counts/{name}_MOB_count_matrix-1.tsv.gz", sep="\t")
        _annotate(tmp_path, number, {"33_35": 0, "17_9": 4, "1_1": 3})
        Image.new("RGB", (320, 680)).save(tmp_path / f"images/{number}.jpg")
    return tmp_path


def _annotate(raw, number, layers):
    marks = pd.DataFrame(0, index=LAYERS, columns=list(layers))
    for spot, layer in layers.items():
        if layer is not None:
            marks.loc[LAYERS[layer], spot] = 1
    marks.to_csv(raw / f"annotations/{number}_01.tsv", sep="\t")


def _read(raw):
    return list(readers.read(raw, DATASET))


def test_sections_and_their_sample_groups(raw):
    sections = _read(raw)
    assert [section.name for section in sections] == ["Rep1", "Rep2", "Rep11"]
    assert [section.donor for section in sections] == ["A", "A", "E"]
    assert [str(section.image) for section in sections] == [
        f"images/{n}.jpg" for n in FILES.values()
    ]
    assert {section.mpp for section in sections} == {2.75}


def test_labels_are_joined_on_rounded_positions_whatever_the_order(raw):
    layers = _read(raw)[0].adata.obs["layer"]
    assert layers.to_list() == [
        "granular cell layer",
        "mitral cell layer",
        "olfactory nerve layer",
    ]
    assert layers.cat.categories.to_list() == [layer.lower() for layer in LAYERS]


def test_places_are_exact_array_coordinates_times_the_pitch_of_the_image(raw):
    coords = _read(raw)[0].adata.obsm["spatial"] / 2.75
    # 320 / 32 = 10 and 680 / 34 = 20 pixels from spot to spot; the corners are spots.
    np.testing.assert_allclose(coords, [[160.02, 159.74], [0.0, 0.0], [320.0, 680.0]])


def test_only_the_x_that_r_put_before_digits_is_removed(raw):
    assert list(_read(raw)[0].adata.var_names) == ["2010300C02Rik", "Xist", "Xkr4", "H2.Ke2"]


def test_spots_without_a_mark_or_a_column_have_no_layer(raw):
    _annotate(raw, "01", {"17_9": None, "1_1": 3})
    layers = _read(raw)[0].adata.obs["layer"]
    assert layers.isna().to_list() == [True, False, True]


def test_a_spot_in_two_layers_and_an_unknown_layer_are_refused(raw):
    path = raw / "annotations/01_01.tsv"
    table = pd.read_csv(path, sep="\t", index_col=0)
    table.loc["Glomerular layer", "17_9"] = 1
    table.to_csv(path, sep="\t")
    with pytest.raises(DataError, match=r"01_01\.tsv: spot 17x9 is in more than one layer"):
        _read(raw)
    table.rename(index={"Glomerular layer": "Glomerular"}).to_csv(path, sep="\t")
    with pytest.raises(DataError, match=r"unknown layer 'glomerular'.*valid: glomerular layer"):
        _read(raw)


def test_a_file_that_was_not_downloaded_is_named(raw):
    (raw / "images/02.jpg").unlink()
    with pytest.raises(DataError, match=r"02\.jpg: no such image.*dvc repro download"):
        _read(raw)


@pytest.mark.realdata
def test_real_tissue_has_the_published_spots_and_layers():
    mirror = os.environ.get("CELL_SYNERGY_MIRROR")
    if not mirror:
        pytest.skip("CELL_SYNERGY_MIRROR names no folder of real tissue")
    raw = Path(mirror) / "mob"
    # The derived table says which files and sample group belong to which section.
    derived = pd.read_csv(raw / "metadata.tsv", sep="\t").set_index("sample_number")
    sizes, layers = {}, {}
    for section in _read(raw):
        row = derived.loc[int(section.name.removeprefix("Rep"))]
        assert section.donor == row["level_1"]
        assert str(section.image) == row["image_file"]
        sizes[section.name] = section.adata.shape
        layers[section.name] = section.adata.obs["layer"].value_counts(sort=False).to_list()
        assert section.adata.obs["layer"].notna().all()
        assert not section.adata.var_names.str.match(r"X\d").any()
        # The pitch of the array is 200 um in both directions.
        exact = np.array([spot.split("x") for spot in section.adata.obs_names], dtype=float)
        for axis in (0, 1):
            slope, _ = np.polyfit(
                np.rint(exact[:, axis]), section.adata.obsm["spatial"][:, axis], 1
            )
            assert abs(slope / 200 - 1) < 0.02
    assert sizes == {"Rep1": (267, 16573), "Rep2": (280, 15981), "Rep11": (262, 16218)}
    assert layers == {
        "Rep1": [43, 82, 42, 21, 79],
        "Rep2": [36, 86, 32, 27, 99],
        "Rep11": [40, 92, 19, 29, 82],
    }
