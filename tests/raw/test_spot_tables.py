from pathlib import Path

import numpy as np
import pytest

from cell_synergy.core.errors import DataError
from cell_synergy.raw.spot_tables import array_positions, grid_names, read_counts, read_table

SOURCE = Path("Rep1.tsv")


def test_spots_of_one_section_meet_at_their_array_position():
    exact = array_positions(["17.002x8.987", "6.786x25.001"], "x", SOURCE)
    whole = array_positions(["17x9", "7x25"], "x", SOURCE)
    marked = array_positions(["17_9", "7_25"], "_", SOURCE)
    assert list(exact) == list(whole) == list(marked) == ["17x9", "7x25"]


def test_two_spots_at_one_array_position_are_refused():
    with pytest.raises(DataError, match=r"Rep1\.tsv: 1 array positions occur twice \(17x9\)"):
        grid_names(np.array([[17.0, 9.0], [17.2, 8.9]]), SOURCE)


def test_a_spot_just_before_the_first_column_is_in_column_0():
    assert list(grid_names(np.array([[-0.3, 5.0], [2.0, -0.1]]), SOURCE)) == ["0x5", "2x0"]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_position_that_is_not_finite_is_refused(value):
    with pytest.raises(DataError, match=r"1 spots have no array position, first that of row 2 \("):
        grid_names(np.array([[17.0, 9.0], [value, 9.0]]), SOURCE)
    with pytest.raises(DataError, match=r"row 1 \(nan, 9\.0\)"):
        array_positions(["nanx9"], "x", SOURCE)


@pytest.mark.parametrize("name", ["17-9", "17x9x1", "x"])
def test_a_name_that_is_no_position_is_refused(name):
    with pytest.raises(DataError, match="spots are not all named <x>x<y>"):
        array_positions(["17x9", name], "x", SOURCE)


def test_counts_are_read_sparse_with_the_names_of_the_file(tmp_path):
    (tmp_path / "a.tsv").write_text("\tNop58\tGm1\n9x8\t1\t0\n9x10\t0\t70000\n")
    counts = read_counts(tmp_path / "a.tsv")
    assert list(counts.obs_names) == ["9x8", "9x10"]
    assert list(counts.var_names) == ["Nop58", "Gm1"]
    assert counts.X.dtype == np.float32
    assert counts.X.nnz == 2
    np.testing.assert_array_equal(counts.X.toarray(), [[1, 0], [0, 70000]])


def test_text_among_counts_is_refused(tmp_path):
    (tmp_path / "a.tsv").write_text("\tNop58\n9x8\tone\n")
    with pytest.raises(DataError, match=r"a\.tsv: .*one.*not a count"):
        read_counts(tmp_path / "a.tsv")


def test_a_file_that_is_missing_or_damaged_is_named(tmp_path):
    with pytest.raises(DataError, match=r"a\.tsv: no such file.*dvc repro download"):
        read_table(tmp_path / "a.tsv")
    (tmp_path / "a.tsv.gz").write_text("no gzip")
    with pytest.raises(DataError, match=r"a\.tsv\.gz: not a tab-separated table"):
        read_table(tmp_path / "a.tsv.gz")
