import json

import pytest

from cell_synergy.core.errors import DataError
from cell_synergy.raw.external_files import fingerprint, located, record


@pytest.fixture
def raw(tmp_path):
    """Return a raw folder that names one with a small and a large file."""
    folder, raw = tmp_path / "own", tmp_path / "mine"
    for place in (folder, raw):
        place.mkdir()
    (folder / "a.csv").write_text("a")
    with (folder / "slide.tif").open("wb") as file:
        file.truncate(40 * 2**20)
    record(folder, folder.iterdir(), raw)
    return raw


def test_files_are_found_where_they_were_recorded(raw, tmp_path):
    assert located(raw) == tmp_path / "own"
    assert located(tmp_path / "own") == tmp_path / "own"  # a folder that holds its files itself
    assert set(json.loads((raw / "sources.json").read_text())["files"]) == {"a.csv", "slide.tif"}


def test_the_record_has_the_same_bytes_whatever_the_order(raw, tmp_path):
    before = (raw / "sources.json").read_bytes()
    record(tmp_path / "own", sorted((tmp_path / "own").iterdir(), reverse=True), raw)
    assert (raw / "sources.json").read_bytes() == before


def _write(path, place, text):
    with path.open("r+b") as file:
        file.seek(place)
        file.write(text)


@pytest.mark.parametrize(("name", "place"), [("a.csv", 0), ("slide.tif", 0),
    ("slide.tif", 40 * 2**20 - 1), ("slide.tif", 40 * 2**20)])  # fmt: skip
def test_a_changed_file_is_refused_until_it_is_recorded_again(raw, tmp_path, name, place):
    folder = tmp_path / "own"
    _write(folder / name, place, b"x")
    message = rf"own/{name}: was changed since .*run `dvc repro -f download@mine`"
    with pytest.raises(DataError, match=message):
        located(raw)
    record(folder, folder.iterdir(), raw)
    assert located(raw) == folder


def test_a_lost_file_is_refused(raw, tmp_path):
    (tmp_path / "own/a.csv").unlink()
    with pytest.raises(DataError, match=r"own/a\.csv: does not exist any more; put it back or run"):
        located(raw)


def test_of_a_large_file_sixteen_pieces_count(tmp_path):
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(100 * 2**20)
    before = fingerprint(path)
    _write(path, 2 * 2**20, b"x")  # between two pieces, which lie 6.6 MiB apart
    assert fingerprint(path) == before
    _write(path, 7 * 2**20, b"x")
    assert fingerprint(path) != before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ('{"folder": "', "cannot be read as the record of a folder"),
        ('{"folder": "/x"}', "does not name a folder and its files"),
        ('{"folder": "/x", "files": []}', "does not name a folder and its files"),
    ],
)
def test_a_broken_record_is_refused(tmp_path, text, message):
    (tmp_path / "sources.json").write_text(text)
    with pytest.raises(DataError, match=rf"sources\.json: {message}"):
        located(tmp_path)
