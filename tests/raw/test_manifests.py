"""Manifests of public files, and mistakes in them."""

from pathlib import Path

import pytest

import cell_synergy.raw
from cell_synergy.core.errors import DataError
from cell_synergy.raw.download import read_manifest
from tests import broken


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("../1.tsv,{sha},http://x/1,", "leaves the raw folder"),
        ("/1.tsv,{sha},http://x/1,", "leaves the raw folder"),
        ("1.tsv,abc,http://x/1,", "64 lower-case hexadecimal digits"),
        ("1.tsv,{sha},http://x/1,tar:a", "does not begin with one of zip, rdata, table"),
        ("1.tsv,{sha},http://x/1,\n1.tsv,{sha},http://x/2,", "listed twice"),
    ],
)
def test_a_mistake_in_a_manifest_is_named_with_its_line(tmp_path, row, message):
    manifest = tmp_path / "toy.csv"
    manifest.write_text("path,sha256,url,unpack\n" + row.format(sha="0" * 64) + "\n")
    with pytest.raises(DataError, match=rf"toy\.csv, line 2: .*{message}"):
        read_manifest(manifest)


def test_a_manifest_needs_its_columns(tmp_path):
    (tmp_path / "toy.csv").write_text("file,sha256\n")
    with pytest.raises(DataError, match="name them path,sha256,url,unpack"):
        read_manifest(tmp_path / "toy.csv")


@pytest.mark.parametrize(("dataset", "files"), [("her2st", 70), ("mob", 9)])
def test_our_manifests_pin_every_address_to_a_commit(dataset, files):
    folder = Path(next(iter(cell_synergy.raw.__path__))) / "manifests"
    entries = read_manifest(folder / f"{dataset}.csv")
    assert len(entries) == files
    for entry in entries:
        owner, repository, commit = entry.url.split("/")[3:6]
        assert owner
        assert repository
        assert len(commit) == 40


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path,sha256,url,unpack\na,b\n", r"line 2: has 2 cells, not 4; write path,sha256,url"),
        ("path,sha256,url,unpack\na,b,c,d,e\n", r"line 2: has 5 cells, not 4"),
        ("path,sha256,url,unpack\n\n", r"line 2: has 0 cells, not 4"),
        ("\n", r"the columns are \[\]; name them"),
        (broken.POINTER, "is a pointer of Git LFS"),
        ("<html></html>", "is a web page, not a manifest"),
        (f"path,sha256,url,unpack\na,{'0' * 64},file:///etc/passwd,\n", "is not a web address"),
    ],
)
def test_a_manifest_of_another_form_is_named(tmp_path, text, said):
    (manifest := tmp_path / "toy.csv").write_text(text)
    with pytest.raises(DataError, match=rf"toy\.csv.*: .*{said}|toy\.csv, {said}"):
        read_manifest(manifest)


def test_a_manifest_in_another_encoding_is_named(tmp_path):
    (manifest := tmp_path / "toy.csv").write_bytes(
        "path,sha256,url,unpack\n\u00fc".encode("latin1")
    )
    with pytest.raises(DataError, match=r"toy\.csv: cannot be read as a manifest \(CSV of UTF-8\)"):
        read_manifest(manifest)
