import numpy as np
import pandas as pd
import pytest

from cell_synergy.core.errors import DataError
from tests.data import native


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("folded", [True, False])
def test_visium_spots_lie_where_space_ranger_says(tmp_path, ask, header, folded):
    barcodes, pixels, counts = native.visium(tmp_path / "A1", header=header, folded=folded)
    section = native.one(tmp_path, ask("visium"))
    assert (section.name, section.donor, str(section.image)) == ("A1", "A", "A1/he.tif")
    assert section.mpp == pytest.approx(native.VISIUM_MPP)
    assert section.counts.obs_names.tolist() == barcodes.tolist()
    assert section.counts.var_names.tolist() == native.GENES
    np.testing.assert_array_equal(section.counts.X.toarray(), counts)
    np.testing.assert_allclose(section.counts.obsm["spatial"], pixels * native.VISIUM_MPP)
    assert section.cells is None


def _lose(column):
    def change(folder):
        path = folder / "outs/spatial/tissue_positions.csv"
        pd.read_csv(path).drop(columns=column).to_csv(path, index=False)

    return change


def _positions(change):
    def write(folder):
        path = folder / "outs/spatial/tissue_positions.csv"
        table = pd.read_csv(path)
        change(table).to_csv(path, index=False)

    return write


VISIUM = {
    r"spatial: no tissue_positions\.csv \(or _list\.csv, or \.parquet\); put it there":
        lambda folder: (folder / "outs/spatial/tissue_positions.csv").unlink(),
    r"tissue_positions\.csv: no column 'array_row' \(did you mean 'array_col'": _lose("array_row"),
    r"the row of barcode '0+-1' is not of six columns with numbers":
        _positions(lambda table: table.astype(object).replace({"array_col": {0: "left"}})),
    r"\d+ of \d+ barcodes of the matrix \(e\.g\. \d+-1\) have no tissue position":
        _positions(lambda table: table.iloc[:200]),
    r"no scale from the tissue positions: .* lie on one line":
        _positions(lambda table: table.assign(array_row=0)),
    r"\d+ of \d+ spots lie outside the image of 60 x 40 pixels":
        lambda folder: native.image(folder / "he.tif", (60, 40)),
}  # fmt: skip


@pytest.mark.parametrize("message", VISIUM)
def test_what_is_wrong_in_a_space_ranger_folder_is_named(tmp_path, ask, message):
    native.visium(tmp_path / "A1")
    VISIUM[message](tmp_path / "A1")
    with pytest.raises(DataError, match=message):
        native.one(tmp_path, ask("visium"))
