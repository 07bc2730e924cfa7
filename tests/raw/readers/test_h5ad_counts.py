"""Counts of the reader `h5ad`."""

import h5py
import numpy as np
import pytest
from scipy import sparse

from cell_synergy.core.errors import DataError
from tests.raw.readers.conftest import read_own


def test_raw_counts_of_the_layer_come_before_x(tmp_path, table, write):
    table.layers["counts"] = table.X.toarray()
    table.X = table.X * 0.3
    write(table)
    (section,) = read_own(tmp_path)
    np.testing.assert_array_equal(section.adata.X.toarray(), table.layers["counts"])


@pytest.mark.parametrize("value", [np.nan, -1.0, 0.69])
def test_values_that_are_no_counts_are_refused(tmp_path, table, write, value):
    table.X = table.X.astype(np.float64)
    table.X[1, 1] = value
    write(table)
    with pytest.raises(DataError, match=r"gene 'GAPDH' in observation 'u2'.*give raw counts"):
        read_own(tmp_path)


def test_a_file_without_counts_is_refused(tmp_path, table, write):
    table.X = None
    write(table)
    with pytest.raises(DataError, match=r"neither layers\['counts'\] nor X"):
        read_own(tmp_path)


@pytest.mark.parametrize(("shift", "message"), [(-1, "must be >= 0"), (1, "must be < 2")])
def test_sparse_counts_that_point_outside_are_refused(tmp_path, table, write, shift, message):
    write(table)
    with h5py.File(tmp_path / "S1.h5ad", "r+") as file:
        file["X/indices"][:] += shift
    with pytest.raises(DataError, match=f"X: not a matrix of counts .*{message}"):
        read_own(tmp_path)


def test_entries_that_repeat_or_are_not_sorted_mean_the_same(tmp_path, table, write):
    table.X = sparse.csr_matrix(
        (np.array([1, 2, 3, 4, 5]), np.array([1, 0, 1, 1, 0]), np.array([0, 3, 5, 5, 5])), (4, 2)
    )
    write(table)
    (section,) = read_own(tmp_path)
    np.testing.assert_array_equal(section.adata.X.toarray(), [[2, 4], [5, 4], [0, 0], [0, 0]])
    assert section.adata.X.nnz == 4


@pytest.mark.parametrize("value", [True, 1 + 0j])
def test_values_of_another_kind_are_no_counts(tmp_path, table, write, value):
    table.X = np.full((4, 2), value)
    write(table)
    with pytest.raises(DataError, match=r"S1\.h5ad: X: a matrix of type .*, not of counts"):
        read_own(tmp_path)


def test_counts_in_raw_are_pointed_at(tmp_path, table, write):
    table.raw = table.copy()
    table.X = table.X * 0.5
    write(table)
    with pytest.raises(DataError, match=r"if raw\.X has the raw counts, store them: .*to_adata"):
        read_own(tmp_path)
