import numpy as np
import pandas as pd
import pytest

from cell_synergy.core.errors import DataError
from tests.data import native


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("folded", [True, False])
def test_xenium_cells_are_carried_into_the_image_without_controls(tmp_path, ask, packed, folded):
    names, pixels, counts = native.xenium(tmp_path / "A1", packed=packed, folded=folded)
    section = native.one(tmp_path, ask("xenium", "cells"))
    assert str(section.image) == "A1/section_he_image.ome.tif"
    assert section.mpp == pytest.approx(native.MPP)
    assert section.counts.obs_names.tolist() == names
    assert section.counts.var_names.tolist() == native.GENES
    np.testing.assert_array_equal(section.counts.X.toarray(), counts)
    np.testing.assert_allclose(section.counts.obsm["spatial"], pixels * native.MPP, atol=1e-6)


def test_an_image_is_chosen_by_its_name(tmp_path, ask):
    native.xenium(tmp_path / "A1")
    native.image(tmp_path / "A1/images/other.tif")
    section = native.one(tmp_path, ask("xenium", "cells", image="images/*.tif"))
    assert str(section.image) == "A1/images/other.tif"


def test_cells_beyond_a_part_of_the_image_are_dropped_and_counted(tmp_path, ask, capsys):
    _, pixels, _ = native.xenium(tmp_path / "A1")
    native.image(tmp_path / "A1/section_he_image.ome.tif", (native.SIZE[0], 300))
    below = int((pixels[:, 1] > 300).sum())
    assert native.one(tmp_path, ask("xenium", "cells")).counts.n_obs == 300 - below
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
    r"cell_feature_matrix\.h5: not a 10x matrix .*copy it again":
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
    r"experiment\.xenium: 'pixel_size' is 0\.0, which is no scale":
        lambda folder: (folder / "experiment.xenium").write_text('{"pixel_size": 0}'),
    r"A1: no imagealignment\.csv; put it there":
        lambda folder: (folder / "section_he_imagealignment.csv").unlink(),
    r"imagealignment\.csv: 2 x 3 numbers, not 3 x 3; export the alignment":
        _matrix(native.ALIGNMENT[:2]),
    r"imagealignment\.csv: not an affine map": _matrix(np.ones((3, 3))),
    r"imagealignment\.csv: not a matrix of numbers":
        lambda folder: (folder / "section_he_imagealignment.csv").write_text("fixedX,fixedY"),
    r"300 of 300 cells lie outside the image of 600 x 400 pixels .*alignment":
        lambda folder: _shift(folder / "cells.parquet", 5000),
    r"A1: needs one full-resolution H&E image, found none; put it there":
        lambda folder: (folder / "section_he_image.ome.tif").unlink(),
    r"found other\.png, section_he_image\.ome\.tif; .*sections\.image":
        lambda folder: (folder / "other.png").write_bytes(b""),
}  # fmt: skip


@pytest.mark.parametrize("message", XENIUM)
def test_what_is_wrong_in_a_xenium_folder_is_named_with_the_remedy(tmp_path, ask, message):
    native.xenium(tmp_path / "A1")
    XENIUM[message](tmp_path / "A1")
    with pytest.raises(DataError, match=message) as caught:
        native.one(tmp_path, ask("xenium", "cells"))
    assert "\n" not in str(caught.value)
