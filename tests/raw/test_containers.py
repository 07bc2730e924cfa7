import gzip
import hashlib
import re
import zipfile

import numpy as np
import pandas as pd
import pytest
import rdata
from rdata.conversion.to_r import build_r_object
from rdata.parser import RObjectType

from cell_synergy.core.errors import DataError
from cell_synergy.raw import containers
from cell_synergy.raw.containers import checksum, unpack
from tests import broken

# Genes x spots, as in R; the text is that of the original release.
TABLE = pd.DataFrame(
    [[1, 0], [2, 5], [0, 10]],
    index=["Nop58", "X0610007N19Rik", "Gm1"],
    columns=["17.002x8.987", "9x10.5"],
)
TEXT = "\tNop58\tX0610007N19Rik\tGm1\n17.002x8.987\t1\t2\t0\n9x10.5\t0\t5\t10\n"


class _Matrix(pd.DataFrame):
    """A table to be written as an R matrix with row and column names."""


def _write_matrix(data, converter):
    attributes = converter.convert_to_r_attributes(
        {
            "dim": np.array(data.shape, dtype=np.int32),
            "dimnames": [np.array(data.index, dtype=str), np.array(data.columns, dtype=str)],
        }
    )
    values = np.asarray(data, dtype=np.int32).flatten(order="F")
    return build_r_object(RObjectType.INT, value=values, attributes=attributes)


def _text(path):
    return gzip.decompress(path.read_bytes()).decode()


def _workspace(path, **objects):
    constructors = {**rdata.conversion.to_r.DEFAULT_CLASS_MAP, _Matrix: _write_matrix}
    rdata.write_rda(path, objects, constructor_dict=constructors)
    return path


@pytest.mark.parametrize(
    "table",
    [
        TABLE,
        TABLE.astype(float),
        TABLE.set_axis([f"X{spot}" for spot in TABLE], axis=1),
        TABLE.T,
        _Matrix(TABLE),
        _Matrix(TABLE.T),
    ],
    ids=["integers", "doubles", "R's X before spots", "spots x genes", "matrix", "turned matrix"],
)
def test_an_r_table_becomes_the_text_of_the_original_release(tmp_path, table):
    source = _workspace(tmp_path / "MOB.RData", MOB1=table, MOB2=TABLE + 1)
    unpack(source, "rdata:MOB1", tmp_path / "Rep1.tsv.gz")
    assert _text(tmp_path / "Rep1.tsv.gz") == TEXT


@pytest.mark.parametrize("table", [TABLE, TABLE.T, TABLE.astype(float)])
def test_a_gzipped_table_becomes_the_text_of_the_original_release(tmp_path, table):
    table.to_csv(tmp_path / "mob.tsv.gz", sep="\t")
    unpack(tmp_path / "mob.tsv.gz", "table:", tmp_path / "out.gz")
    assert _text(tmp_path / "out.gz") == TEXT


def test_the_same_table_is_rewritten_to_the_same_bytes(tmp_path):
    TABLE.to_csv(tmp_path / "mob.tsv.gz", sep="\t")
    for name in ("a.gz", "b.gz"):
        unpack(tmp_path / "mob.tsv.gz", "table:", tmp_path / name)
    header = (tmp_path / "a.gz").read_bytes()[3:8]
    assert header == bytes(5), "the header of a gzip holds neither a name nor the time"
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


@pytest.mark.parametrize("value", [0.5, -1.0, np.nan])
def test_a_value_that_is_no_count_is_refused_and_named(tmp_path, value):
    table = TABLE.astype(float)
    table.loc["Gm1", "9x10.5"] = value
    source = _workspace(tmp_path / "MOB.RData", MOB1=table)
    with pytest.raises(DataError, match=r"for spot 9x10.5, gene Gm1, which is not a count"):
        unpack(source, "rdata:MOB1", tmp_path / "out.gz")


def test_an_object_that_is_missing_or_no_table_is_refused(tmp_path):
    source = _workspace(tmp_path / "MOB.RData", MOB1=TABLE, size=np.array([1, 2], dtype=np.int32))
    with pytest.raises(DataError, match=r"no 'MOB3' \(did you mean 'MOB1'"):
        unpack(source, "rdata:MOB3", tmp_path / "out.gz")
    with pytest.raises(DataError, match="size is a ndarray, not a named matrix"):
        unpack(source, "rdata:size", tmp_path / "out.gz")


def test_a_table_without_spots_is_refused(tmp_path):
    TABLE.set_axis(["a", "b"], axis=1).to_csv(tmp_path / "mob.tsv.gz", sep="\t")
    with pytest.raises(DataError, match="no axis of spots"):
        unpack(tmp_path / "mob.tsv.gz", "table:", tmp_path / "out.gz")


def test_a_member_of_a_zip_is_copied_byte_by_byte(tmp_path):
    with zipfile.ZipFile(tmp_path / "major.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("major/A1-proportion.tsv", b"\tB-cells\r\n10x13\t1\n")
    unpack(tmp_path / "major.zip", "zip:major/A1-proportion.tsv", tmp_path / "A1.tsv")
    assert (tmp_path / "A1.tsv").read_bytes() == b"\tB-cells\r\n10x13\t1\n"
    with pytest.raises(DataError, match=r"no 'major/A2-proportion.tsv'"):
        unpack(tmp_path / "major.zip", "zip:major/A2-proportion.tsv", tmp_path / "A2.tsv")


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("how", ["zip:a", "rdata:MOB1", "table:"])
def test_a_damaged_container_is_refused(tmp_path, how):
    (tmp_path / "damaged").write_bytes(b"<html>rate limit</html>")
    with pytest.raises(DataError, match=r"the container of out is a web page, .*; run again, or"):
        unpack(tmp_path / "damaged", how, tmp_path / "out")


def test_the_checksum_of_a_rewritten_file_is_of_its_text(tmp_path):
    for level in (1, 9):
        (tmp_path / "a.gz").write_bytes(gzip.compress(TEXT.encode(), level))
        assert checksum(tmp_path / "a.gz", text=True) == hashlib.sha256(TEXT.encode()).hexdigest()
    packed = hashlib.sha256((tmp_path / "a.gz").read_bytes()).hexdigest()
    assert checksum(tmp_path / "a.gz", text=False) == packed
    (tmp_path / "a.gz").write_bytes((tmp_path / "a.gz").read_bytes()[:-9])
    assert not checksum(tmp_path / "a.gz", text=True)


@broken.each(broken.COMMON, broken.OTHERS)
@pytest.mark.parametrize("how", ["zip:a.tsv", "rdata:a", "table:"])
def test_a_container_that_is_something_else_is_one_sentence(tmp_path, how, given, said):
    (container := tmp_path / "c").write_bytes(given)
    with pytest.raises(DataError, match=r".") as raised:
        unpack(container, how, tmp_path / "a.tsv")
    assert "\n" not in str(raised.value).strip()
    if given in {content for content, _ in broken.COMMON.values()}:
        assert re.search(said, str(raised.value))


def test_a_member_that_would_fill_the_disk_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(containers, "_MAX_BYTES", 10**6)
    with zipfile.ZipFile(tmp_path / "c", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.tsv", bytes(2 * 10**6))
    with pytest.raises(DataError, match=r"a\.tsv: would be 0 GB out of its zip, over the limit"):
        unpack(tmp_path / "c", "zip:a.tsv", tmp_path / "a.tsv")
    assert not (tmp_path / "a.tsv").exists()


def test_a_member_is_written_where_it_was_asked_for_and_nowhere_else(tmp_path):
    with zipfile.ZipFile(tmp_path / "c", "w") as archive:
        archive.writestr("../../evil.tsv", b"1")
    (tmp_path / "x/y").mkdir(parents=True)
    unpack(tmp_path / "c", "zip:../../evil.tsv", tmp_path / "x/y/a.tsv")
    assert (tmp_path / "x/y/a.tsv").read_bytes() == b"1"
    assert not list(tmp_path.rglob("evil.tsv"))
