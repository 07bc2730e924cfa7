import gzip
import shutil
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pytest

from cell_synergy.core.errors import DataError
from cell_synergy.raw.sections.count_matrix import read_matrix
from tests.raw import native, variants

COUNTS = np.array([[1, 0, 4], [0, 2, 0]], dtype=np.int32)


@pytest.mark.parametrize("folded", [True, False])
def test_genes_that_share_a_symbol_are_added_and_controls_are_no_genes(tmp_path, folded):
    genes = ["TBCE", "ACTB", "TBCE"]
    native.matrix(tmp_path, "m", ["u1", "u2"], COUNTS, genes, native.CONTROLS, folded)
    result = read_matrix(tmp_path, "m")
    assert result.obs_names.tolist() == ["u1", "u2"]
    assert result.var_names.tolist() == ["TBCE", "ACTB"]
    np.testing.assert_array_equal(result.X.toarray(), [[5, 0], [0, 2]])
    assert result.X.dtype == np.float32


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
    with pytest.raises(DataError, match=r"not a 10x matrix of .*: no matrix\.mtx\.gz; put"):
        read_matrix(tmp_path, "m")


def _quoted(text):
    for name in ("barcodes.tsv", "features.tsv"):
        text[name] = ["\t".join(f'"{word}"' for word in line.split("\t")) for line in text[name]]


def _crlf(text):
    for name in ("barcodes.tsv", "features.tsv"):
        text[name] = [f"{line}\r" for line in text[name]]


def _twice(text):
    """Split one entry into two of the same place, which add up."""
    lines = text["matrix.mtx"]
    index, line = next((i, x) for i, x in enumerate(lines[3:], 3) if int(x.split()[2]) > 1)
    row, column, value = line.split()
    lines[index] = f"{row} {column} 1"
    lines.append(f"{row} {column} {int(value) - 1}")
    size = lines[2].split()
    lines[2] = f"{size[0]} {size[1]} {int(size[2]) + 1}"


MEX: dict[str, dict[str, Any]] = {
    "as Space Ranger writes it": {},
    "unpacked": {"zipped": False},
    "with the prefix of GEO": {"prefix": "GSM1_S1_"},
    "loose files of GEO": {"prefix": "GSM1_", "loose": True},
    "loose files without prefix": {"loose": True, "zipped": False},
    "two columns, as Cell Ranger 2": {"columns": 2},
    "two columns, unpacked": {"columns": 2, "zipped": False},
    "real numbers": {"field": "real"},
    "quoted by R": {"edit": _quoted},
    "line ends of Windows": {"edit": _crlf},
    "an entry in two parts": {"edit": _twice},
}


_OF_HDF5: dict[tuple[str, str], list[ad.AnnData]] = {}


@pytest.mark.parametrize(("reader", "units", "variant"), [
    *((*both, variant) for both in variants.ALL for variant in list(MEX)[:2]),
    *(("visium", "spots", variant) for variant in list(MEX)[2:]),
])  # fmt: skip
def test_counts_as_text_give_the_pairs_of_the_hdf5(
    write_sections, make_pairs, reader, units, variant
):
    genes = ["nan", "NA", "None", "1"]
    root = write_sections(reader, genes=genes)
    key = reader, units
    if key not in _OF_HDF5:
        _OF_HDF5[key] = make_pairs(root, reader, units, **variants.UNITS[reader][units])
    expected = _OF_HDF5[key]
    assert set(genes) <= set(expected[0].var_names)
    for name in variants.NAMES:
        variants.mex(root / name, variants.STEM[reader], **MEX[variant])
    variants.same(make_pairs(root, reader, units, **variants.UNITS[reader][units]), expected)


def test_labels_join_the_counts_of_either_form(write_sections, make_pairs):
    root = write_sections("visium", labels=True)
    expected = make_pairs(root, "visium", "spots", labels="labels.csv")
    variants.mex(root / "A1", variants.STEM["visium"])
    variants.same(make_pairs(root, "visium", "spots", labels="labels.csv"), expected)


def _cut(path):
    path.write_bytes(path.read_bytes()[:-40])


def _line(number, text):
    def edit(parts):
        parts["matrix.mtx"][number] = text

    return edit


def _untyped(text):
    text["features.tsv"] = [line.rpartition("\t")[0] + "\t" for line in text["features.tsv"]]


def _half_typed(text):
    text["features.tsv"][0] = text["features.tsv"][0].rpartition("\t")[0] + "\t"


BROKEN = {
    r"line 2 of features\.tsv\.gz has not 3 columns":
        lambda text: text["features.tsv"].__setitem__(1, "ENSG1\tCD3E"),
    r"matrix of 6 features and \d+ barcodes, but 5 features":
        lambda text: text["features.tsv"].pop(),
    r"1 barcodes occur more than once \(e\.g\. '\d+-1'\)":
        lambda text: text["barcodes.tsv"].__setitem__(1, text["barcodes.tsv"][0]),
    r"begins with '%%matrixmarket matrix coordinate pattern general', not":
        _line(0, "%%MatrixMarket matrix coordinate pattern general"),
    r"begins with 'a,b', not with '%%MatrixMarket": _line(0, "a,b"),
    r"matrix\.mtx\.gz is symmetric": _line(0, "%%MatrixMarket matrix coordinate integer symmetric"),
    r"not a 10x matrix of .*\(.*[Rr]ow index.*\); copy": _line(3, "99 1 1"),
    r"not a 10x matrix of .*\(.*\); copy it again": _line(3, "-1 1 1"),
    r"counts are missing, negative or not integers": _line(3, "1 1 -4"),
    r"1 of 6 features have no type; name it": _half_typed,
}  # fmt: skip


@pytest.mark.parametrize("message", BROKEN)
def test_faults_of_counts_as_text_are_named(write_sections, make_pairs, message):
    root = write_sections("visium")
    variants.mex(root / "A1", variants.STEM["visium"], edit=BROKEN[message])
    with pytest.raises(DataError, match=message) as caught:
        make_pairs(root, "visium", "spots")
    assert "\n" not in str(caught.value)


def test_truncated_counts_and_missing_files_are_named(write_sections, make_pairs):
    root = write_sections("visium")
    variants.mex(root / "A1", variants.STEM["visium"])
    folder = root / "A1" / variants.STEM["visium"]
    _cut(folder / "matrix.mtx.gz")
    with pytest.raises(DataError, match=r"not a 10x matrix of .*; copy it again"):
        make_pairs(root, "visium", "spots")
    for name in ("matrix.mtx.gz", "barcodes.tsv.gz"):
        (folder / name).unlink()
    with pytest.raises(DataError, match=r"no matrix\.mtx\.gz, no barcodes\.tsv\.gz; put"):
        make_pairs(root, "visium", "spots")
    shutil.rmtree(folder)
    (root / "A1" / f"{variants.STEM['visium']}.tar.gz").write_bytes(b"")
    with pytest.raises(DataError, match=r"; unpack filtered_feature_bc_matrix\.tar\.gz"):
        make_pairs(root, "visium", "spots")


def test_features_without_types_are_genes_but_for_controls(plain_pairs, make_pairs):
    root, plain = plain_pairs("xenium", "cells")
    assert plain[0].var_names.tolist() == sorted(native.GENES)
    for name in variants.NAMES:
        variants.mex(root / name, variants.STEM["xenium"], edit=_untyped)
    variants.same(make_pairs(root, "xenium", "cells"), plain)


def _hdf5(key, change):
    def edit(path):
        with h5py.File(path, "r+") as file:
            values = change(file["matrix"][key][()])
            del file["matrix"][key]
            file["matrix"][key] = values

    return edit


def test_an_hdf5_of_cell_ranger_2_is_read(plain_pairs, make_pairs):
    root, plain = plain_pairs("visium", "spots")
    with h5py.File(root / "A1" / f"{variants.STEM['visium']}.h5", "r+") as file:
        file.move("matrix", "GRCh38")
        file["GRCh38/genes"] = file["GRCh38/features/id"][()]
        file["GRCh38/gene_names"] = file["GRCh38/features/name"][()]
        del file["GRCh38/features"]
    variants.same(make_pairs(root, "visium", "spots"), plain)


def test_the_order_of_entries_in_an_hdf5_means_nothing(plain_pairs, make_pairs):
    root, plain = plain_pairs("visium", "spots")
    with h5py.File(root / "A1" / f"{variants.STEM['visium']}.h5", "r+") as file:
        group = file["matrix"]
        for start, end in zip(group["indptr"][:-1], group["indptr"][1:], strict=True):
            for part in ("data", "indices"):
                group[part][start:end] = group[part][start:end][::-1]
    variants.same(make_pairs(root, "visium", "spots"), plain)


@pytest.mark.parametrize(("key", "change", "message"), [
    ("indices", lambda x: x - 3, r"not a matrix of counts \(indices must be >= 0\)"),
    ("indices", lambda x: x + 3, r"not a matrix of counts \(indices must be < 6\)"),
    ("indptr", lambda x: x[::-1].copy(), r"be read as a 10x matrix \(HDF5\) \(.*\); copy it again"),
    ("indptr", lambda x: np.r_[x[0], x[2], x[1], x[3:]], "not a matrix of counts"),
    ("barcodes", lambda x: np.r_[x[1:2], x[1:]], "1 barcodes occur more than once"),
    ("shape", lambda _: np.array([2**40, 2**40]), "1099511627776 barcodes, but 6 features"),
])  # fmt: skip
def test_an_hdf5_that_points_outside_itself_is_refused(
    write_sections, make_pairs, key, change, message
):
    root = write_sections("visium")
    _hdf5(key, change)(root / "A1" / f"{variants.STEM['visium']}.h5")
    with pytest.raises(DataError, match=message):
        make_pairs(root, "visium", "spots")
