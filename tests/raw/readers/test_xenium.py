from zipfile import ZipFile

import h5py
import numpy as np
import pandas as pd
import pytest

from cell_synergy.core.errors import DataError
from tests.raw import native, variants


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("folded", [True, False])
def test_xenium_cells_are_carried_into_the_image_without_controls(
    tmp_path, make_dataset, packed, folded
):
    names, pixels, counts = native.xenium(tmp_path / "A1", packed=packed, folded=folded)
    section = native.one(tmp_path, make_dataset("xenium", "cells"))
    assert str(section.image) == "A1/section_he_image.ome.tif"
    assert section.mpp == pytest.approx(native.MPP)
    assert section.adata.obs_names.tolist() == names
    assert section.adata.var_names.tolist() == native.GENES
    np.testing.assert_array_equal(section.adata.X.toarray(), counts)
    np.testing.assert_allclose(section.adata.obsm["spatial"], pixels * native.MPP, atol=1e-6)


def test_an_image_is_chosen_by_its_name(tmp_path, make_dataset):
    native.xenium(tmp_path / "A1")
    native.image(tmp_path / "A1/images/other.tif")
    section = native.one(tmp_path, make_dataset("xenium", "cells", image="images/*.tif"))
    assert str(section.image) == "A1/images/other.tif"


def test_cells_beyond_a_part_of_the_image_are_dropped_and_counted(tmp_path, make_dataset, capsys):
    _, pixels, _ = native.xenium(tmp_path / "A1")
    native.image(tmp_path / "A1/section_he_image.ome.tif", (native.SIZE[0], 300))
    below = int((pixels[:, 1] > 300).sum())
    assert native.one(tmp_path, make_dataset("xenium", "cells")).adata.n_obs == 300 - below
    assert f"{below} of 300 cells lie outside the image, dropped" in capsys.readouterr().out


def _replace(path, old, new):
    path.write_text(path.read_text().replace(old, new))


def _shift(path, by):
    table = pd.read_parquet(path)
    table["x_centroid"] += by
    table.to_parquet(path)


def _save(folder, numbers):
    np.savetxt(folder / "section_he_imagealignment.csv", numbers, delimiter=",")


def _matrix(numbers):
    return lambda folder: _save(folder, numbers)


def _controls_alone(folder):
    controls = {"NegControlProbe_1": "Negative Control Probe"}
    counts = np.zeros((3, 0), np.int32)
    native.matrix(folder, "cell_feature_matrix", ["a", "b", "c"], counts, [], controls)


XENIUM = {
    r"A1: no cell_feature_matrix\.h5 \(or the folder cell_feature_matrix\); put it there":
        lambda folder: (folder / "cell_feature_matrix.h5").unlink(),
    r"cell_feature_matrix\.h5: is text, not a 10x matrix .*copy it again":
        lambda folder: (folder / "cell_feature_matrix.h5").write_bytes(b"HDF"),
    r"no feature of type 'Gene Expression', only Negative Control Probe; give RNA": _controls_alone,
    r"A1: no cells\.parquet \(or \.csv\.gz\); put it there":
        lambda folder: (folder / "cells.parquet").unlink(),
    r"cells\.parquet: no column 'y_centroid' \(did you mean 'x_centroid'":
        lambda folder: native.drop_column(folder / "cells.parquet", "y_centroid"),
    r"cells\.parquet: cannot be read as a table":
        lambda folder: (folder / "cells.parquet").write_bytes(b"PAR1"),
    r"A1: no experiment\.xenium; put it there":
        lambda folder: (folder / "experiment.xenium").unlink(),
    r"experiment\.xenium: no number 'pixel_size'":
        lambda folder: _replace(folder / "experiment.xenium", "pixel_size", "size"),
    r"experiment\.xenium: 'pixel_size' is 0\.0, which is not a positive number":
        lambda folder: (folder / "experiment.xenium").write_text('{"pixel_size": 0}'),
    r"A1: no imagealignment\.csv \(or matrix\.csv.*\); put it there":
        lambda folder: (folder / "section_he_imagealignment.csv").unlink(),
    r"imagealignment\.csv: 2 x 3 numbers, not 3 x 3; export the alignment":
        _matrix(native.ALIGNMENT[:2]),
    r"imagealignment\.csv: not an affine map": _matrix(np.ones((3, 3))),
    r"imagealignment\.csv: not a matrix of numbers":
        lambda folder: (folder / "section_he_imagealignment.csv").write_text("fixedX,fixedY"),
    r"300 of 300 cells lie outside the image of 600 x 400 pixels .*; counts and image":
        lambda folder: _shift(folder / "cells.parquet", 5000),
    r"A1: needs one full-resolution H&E image, found none; put it there":
        lambda folder: (folder / "section_he_image.ome.tif").unlink(),
    r"found other\.png, section_he_image\.ome\.tif; .*reader\.image":
        lambda folder: (folder / "other.png").write_bytes(b""),
}  # fmt: skip


@pytest.mark.parametrize("message", XENIUM)
def test_faults_of_a_xenium_folder_are_named_with_a_remedy(tmp_path, make_dataset, message):
    native.xenium(tmp_path / "A1")
    XENIUM[message](tmp_path / "A1")
    with pytest.raises(DataError, match=message) as caught:
        native.one(tmp_path, make_dataset("xenium", "cells"))
    assert "\n" not in str(caught.value)


def _aligned(name, change=str):
    def edit(folder):
        path = folder / "section_he_imagealignment.csv"
        text = change(path.read_text())
        path.unlink()
        if name.endswith(".zip"):
            with ZipFile(folder / name, "w") as packed:
                packed.writestr("export/matrix.csv", text)
                packed.writestr("export/keypoints.csv", "fixedX,fixedY\n")
        else:
            (folder / name).write_text(text)

    return edit


ALIGNMENTS = {
    "matrix.csv": _aligned("matrix.csv"),
    "with the image's name": _aligned("S_he_image_matrix.csv"),
    "in the zip": _aligned("S_he_alignment_files.zip"),
    "a byte order mark": _aligned("he_imagealignment.csv", lambda text: "\ufeff" + text),
    "blanks": _aligned("matrix.csv", lambda text: text.replace(",", " , ") + "\n\n"),
    "tabs": _aligned("matrix.csv", lambda text: text.replace(",", "\t")),
    "semicolons and decimal commas":
        _aligned("matrix.csv", lambda text: text.replace(",", ";").replace(".", ",")),
}  # fmt: skip


@pytest.mark.parametrize("variant", ALIGNMENTS)
def test_alignments_are_found_by_every_name_of_the_explorer(plain_pairs, make_pairs, variant):
    root, plain = plain_pairs("xenium", "cells")
    for name in variants.NAMES:
        ALIGNMENTS[variant](root / name)
        with ZipFile(root / name / "analysis.zarr.zip", "w") as packed:
            packed.writestr("x/matrix.csv", "no alignment")
    variants.same(make_pairs(root, "xenium", "cells"), plain)


def _plain_csv(folder):
    table = pd.read_parquet(folder / "cells.parquet")
    table.to_csv(folder / "cells.csv", index=False)
    (folder / "cells.parquet").unlink()


def _bytes(folder):
    table = pd.read_parquet(folder / "cells.parquet")
    table.assign(cell_id=table["cell_id"].str.encode("utf-8")).to_parquet(folder / "cells.parquet")


def _numbers(as_csv):
    """Name cells by numbers, as Xenium did at first, here as `007`, `NA` and numbers."""

    def edit(folder):
        table = pd.read_parquet(folder / "cells.parquet")
        with h5py.File(folder / "cell_feature_matrix.h5", "r+") as file:
            names = [one.decode() for one in file["matrix/barcodes"][()]]
            new = {name: str(i + 1) for i, name in enumerate(names)}
            if as_csv:
                new |= {names[0]: "007", names[1]: "NA"}
            del file["matrix/barcodes"]
            file["matrix/barcodes"] = np.array([new[name] for name in names], dtype="S")
        table["cell_id"] = table["cell_id"].map(new)
        if as_csv:
            table.to_csv(folder / "cells.csv.gz", index=False)
            (folder / "cells.parquet").unlink()
        else:
            table.astype({"cell_id": int}).to_parquet(folder / "cells.parquet")

    return edit


@pytest.mark.parametrize("change", [_plain_csv, _bytes, _numbers(False), _numbers(True)])
def test_cells_are_named_in_every_way(plain_pairs, make_pairs, change):
    root, plain = plain_pairs("xenium", "patches")
    for name in variants.NAMES:
        change(root / name)
    variants.same(make_pairs(root, "xenium", "patches", least=3, keep_cells=True), plain)


def test_cells_without_a_centroid_are_called_so(write_sections, make_pairs):
    root = write_sections("xenium")
    table = pd.read_parquet(root / "B1/cells.parquet")
    table.loc[table.index[:3], "x_centroid"] = np.nan
    table.to_parquet(root / "B1/cells.parquet")
    with pytest.raises(DataError, match=r"3 of 300 cells .* no centroid: x_centroid or y_centroid"):
        make_pairs(root, "xenium", "cells")


def test_all_missing_parts_of_a_xenium_folder_are_told_at_once(write_sections, make_pairs):
    root = write_sections("xenium")
    for name in ("cells.parquet", "experiment.xenium", "section_he_imagealignment.csv"):
        (root / "A1" / name).unlink()
    message = r"A1: no cells\.parquet .*, no experiment\.xenium, no imagealignment\.csv .*put them"
    with pytest.raises(DataError, match=message + ".*a section of Xenium is a folder with"):
        make_pairs(root, "xenium", "cells")
