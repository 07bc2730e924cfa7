import numpy as np
import pandas as pd
import pytest

from cell_synergy.core.errors import DataError
from tests.raw import native, variants


def test_spots_and_cells_have_the_counts_and_coordinates_of_their_files(tmp_path, make_dataset):
    names, pixels, counts = native.hest(tmp_path, "A1")
    spots = native.one(tmp_path, make_dataset("hest"))
    assert spots.adata.var_names.tolist() == native.GENES
    np.testing.assert_allclose(spots.adata.obsm["spatial"], pixels[:40] * native.MPP)
    np.testing.assert_array_equal(spots.adata.X.toarray(), counts[:40])
    cells = native.one(tmp_path, make_dataset("hest", "cells"))
    assert set(cells.adata.obs_names) == set(names)
    order = [names.index(name) for name in cells.adata.obs_names]
    np.testing.assert_array_equal(cells.adata.to_df()[native.GENES], counts[order])
    np.testing.assert_allclose(cells.adata.obsm["spatial"], pixels[order] * native.MPP)
    assert str(cells.image) == "wsis/A1.tif"


def test_transcripts_are_read_in_pieces_and_cells_may_be_numbers(
    tmp_path, make_dataset, monkeypatch
):
    native.hest(tmp_path, "A1")
    whole = native.one(tmp_path, make_dataset("hest", "cells")).adata
    monkeypatch.setattr("cell_synergy.raw.sections.transcripts._BATCH_ROWS", 97)
    path = tmp_path / "transcripts/A1_transcripts.parquet"
    table = pd.read_parquet(path)
    table["cell_id"] = (
        table["cell_id"].fillna("cell-1").replace("UNASSIGNED", "cell-1").str[4:].astype("int64")
    )
    table["feature_name"] = table["feature_name"].str.encode("utf-8")
    table.drop(columns="is_gene").to_parquet(path)
    pieces = native.one(tmp_path, make_dataset("hest", "cells")).adata
    names = [str(int(name[4:])) for name in whole.obs_names]
    result = pieces[names, whole.var_names]
    np.testing.assert_array_equal(result.X.toarray(), whole.X.toarray())
    np.testing.assert_allclose(result.obsm["spatial"], whole.obsm["spatial"])


HEST = {
    r"A1\.json: no number 'pixel_size_um_estimated'":
        lambda root: (root / "metadata/A1.json").write_text('{"pixel_size_um_estimated": null}'),
    r"A1_transcripts\.parquet; .*only Xenium sections have transcripts, .*reader\.units to spots":
        lambda root: (root / "transcripts/A1_transcripts.parquet").unlink(),
    r"transcripts\.parquet: no column 'he_y' \(did you mean 'he_x'":
        lambda root: native.drop_column(root / "transcripts/A1_transcripts.parquet", "he_y"),
    r"transcripts\.parquet: cannot be read as Parquet":
        lambda root: (root / "transcripts/A1_transcripts.parquet").write_bytes(b"PAR1"),
    r"\d+ of 300 cells lie outside the image of 60 x 40 pixels":
        lambda root: native.image(root / "wsis/A1.tif", (60, 40)),
    r"lacks wsis/A1\.tif; put what is missing there":
        lambda root: (root / "wsis/A1.tif").unlink(),
}  # fmt: skip


@pytest.mark.parametrize("message", HEST)
def test_faults_of_hest_files_are_named_with_a_remedy(tmp_path, make_dataset, message):
    native.hest(tmp_path, "A1")
    HEST[message](tmp_path)
    with pytest.raises(DataError, match=message):
        native.one(tmp_path, make_dataset("hest", "cells"))


def test_hest_spots_are_counts_with_places(tmp_path, make_dataset):
    native.hest(tmp_path, "A1")
    (tmp_path / "st/A1.h5ad").write_bytes(b"HDF")
    with pytest.raises(DataError, match=r"A1\.h5ad: is text, not an \.h5ad file; fetch it again"):
        native.one(tmp_path, make_dataset("hest"))


def test_all_missing_parts_of_hest_are_told_at_once(tmp_path, make_pairs):
    for name in variants.NAMES:
        native.hest(tmp_path, name)
    (tmp_path / "st/A1.h5ad").unlink()
    (tmp_path / "metadata/B1.json").unlink()
    message = r"lacks st/A1\.h5ad, metadata/B1\.json; put what is missing there"
    with pytest.raises(DataError, match=message):
        make_pairs(tmp_path, "hest", "spots")
    for old, new in (("st", "h5ad"), ("wsis", "image"), ("metadata", "meta")):
        (tmp_path / old).rename(tmp_path / new)
    message = (
        r"no folder st, no folder wsis, no folder metadata \(folders there: h5ad, image, meta, "
        r"transcripts\); the layout of HEST-1k is st/ID\.h5ad, wsis/ID\.tif, metadata/ID\.json"
    )
    with pytest.raises(DataError, match=message):
        make_pairs(tmp_path, "hest", "spots")


def test_spots_of_reference_donors_need_no_slide(tmp_path, make_pairs):
    for name in variants.NAMES:
        native.hest(tmp_path, name)
    expected = make_pairs(tmp_path, "hest", "spots")
    (tmp_path / "wsis/R1.tif").unlink()
    study, reference = make_pairs(tmp_path, "hest", "spots")
    assert reference.uns["images"] == {"R1": ""}
    np.testing.assert_array_equal(study.X.toarray(), expected[0].X.toarray())
    assert set(expected[1].obs_names) <= set(reference.obs_names)
    (tmp_path / "wsis/A1.tif").unlink()
    with pytest.raises(DataError, match=r"lacks wsis/A1\.tif; put what is missing there"):
        make_pairs(tmp_path, "hest", "spots")
    with pytest.raises(DataError, match=r"lacks wsis/A1\.tif; put"):  # nor do cells of R1
        make_pairs(tmp_path, "hest", "cells")
    with pytest.raises(DataError, match=r"lacks wsis/A1\.tif, wsis/R1\.tif; put"):
        make_pairs(tmp_path, "hest", "patches", keep_cells=True, least=1)
