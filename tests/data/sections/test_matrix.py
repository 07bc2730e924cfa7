import gzip

import numpy as np
import pytest

from cell_synergy.core.errors import DataError
from cell_synergy.data.sections.matrix import read_matrix
from tests.data import native

COUNTS = np.array([[1, 0, 4], [0, 2, 0]], dtype=np.int32)


@pytest.mark.parametrize("folded", [True, False])
def test_genes_that_share_a_symbol_are_added_and_controls_are_no_genes(tmp_path, folded):
    genes = ["TBCE", "ACTB", "TBCE"]
    native.matrix(tmp_path, "m", ["u1", "u2"], COUNTS, genes, native.CONTROLS, folded)
    found = read_matrix(tmp_path, "m")
    assert found.obs_names.tolist() == ["u1", "u2"]
    assert found.var_names.tolist() == ["TBCE", "ACTB"]
    np.testing.assert_array_equal(found.X.toarray(), [[5, 0], [0, 2]])
    assert found.X.dtype == np.float32


def test_a_data_set_name_may_stand_before_the_file_name_but_once(tmp_path):
    native.matrix(tmp_path, "V1_m", ["u1", "u2"], COUNTS, list("abc"))
    assert read_matrix(tmp_path, "m").shape == (2, 3)
    native.matrix(tmp_path, "V2_m", ["u1", "u2"], COUNTS, list("abc"))
    with pytest.raises(DataError, match=r"V1_m\.h5, V2_m\.h5 match '\*m\.h5'; keep one"):
        read_matrix(tmp_path, "m")


def test_names_that_do_not_fit_the_matrix_are_refused(tmp_path):
    native.matrix(tmp_path, "m", ["u1", "u2"], COUNTS, list("abc"), folded=True)
    (tmp_path / "m/barcodes.tsv.gz").write_bytes(gzip.compress(b"u1\n"))
    with pytest.raises(DataError, match="3 features and 2 barcodes, but 3 features and 1 barcodes"):
        read_matrix(tmp_path, "m")
    (tmp_path / "m/matrix.mtx.gz").unlink()
    with pytest.raises(DataError, match=r"not a 10x matrix of barcodes\.tsv\.gz"):
        read_matrix(tmp_path, "m")
