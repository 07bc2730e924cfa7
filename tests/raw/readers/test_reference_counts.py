"""Of a reference donor counts are enough: no image, whatever the reader."""

import numpy as np
import pytest

from cell_synergy.core.errors import DataError
from tests.raw import native, variants

READERS = {
    ("visium", "spots"): (native.visium, ("he.tif",), "200.0"),
    ("visium_hd", "spots"): (native.visium_hd, ("he.tif",), "50.0"),
    ("xenium", "cells"): (
        native.xenium,
        ("section_he_image.ome.tif", "section_he_imagealignment.csv"),
        "50.0",
    ),
}


def _write(folder, reader, units):
    write, images, side = READERS[reader, units]
    for seed, name in enumerate(variants.NAMES):
        write(folder / name, seed)
    return images, float(side)


@pytest.mark.parametrize(("reader", "units"), READERS)
def test_a_reference_donor_needs_no_image_and_a_scored_one_does(
    tmp_path, make_pairs, reader, units
):
    images, side = _write(tmp_path, reader, units)
    expected = make_pairs(tmp_path, reader, units, side=side)
    for name in images:
        (tmp_path / "R1" / name).unlink()
    study, reference = make_pairs(tmp_path, reader, units, side=side)
    variants.same([study], [expected[0]])
    assert reference.uns["images"] == {"R1": ""}
    shared = expected[1].obs_names
    assert set(shared) <= set(reference.obs_names)
    np.testing.assert_array_equal(reference[shared].X.toarray(), expected[1].X.toarray())
    for name in images:
        (tmp_path / "A1" / name).unlink()
    with pytest.raises(DataError, match=r"A1: (needs one full-res|no imagealignment)"):
        make_pairs(tmp_path, reader, units, side=side)


def test_patches_of_a_reference_donor_need_its_image(tmp_path, make_pairs):
    images, side = _write(tmp_path, "xenium", "cells")
    for name in images:
        (tmp_path / "R1" / name).unlink()
    with pytest.raises(DataError, match=r"R1: no imagealignment"):
        make_pairs(tmp_path, "xenium", "patches", side=side, keep_cells=True, least=1)


def test_an_image_of_a_reference_donor_is_used_with_its_alignment(tmp_path, make_pairs):
    images, side = _write(tmp_path, "xenium", "cells")
    (tmp_path / "R1" / images[1]).unlink()
    with pytest.raises(DataError, match=r"R1: no imagealignment"):
        make_pairs(tmp_path, "xenium", "cells", side=side)
