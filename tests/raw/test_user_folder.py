import json

import pytest

from cell_synergy.core.errors import DataError
from cell_synergy.data.source_config import HubSource
from cell_synergy.raw.external_files import located
from cell_synergy.raw.user_folder import fetch_hub, record_folder

FOLDER = {"kind": "folder", "folder": "own"}


@pytest.fixture
def user_dataset(dataset):
    """Return a function that makes a data set of one's own sections."""

    def make(reader, **changes):
        block = {"kind": reader, "units": "patches", "least": 1, "keep_cells": True}
        block |= {"donors": {"A": ["S1", "S2"]}} | changes
        return dataset(source=FOLDER, reader=block, roles={"study": ["A"]})

    return make


def test_a_users_folder_stays_in_its_place_and_is_recorded(tmp_path, dataset):
    folder, out = tmp_path / "own", tmp_path / "raw"
    folder.mkdir()
    config = dataset(source=FOLDER)
    with pytest.raises(DataError, match=r"own: no \.h5ad file there .*; set `source.folder`"):
        record_folder(folder, config, out)
    for name in ("a.h5ad", "a.tif", "notes.txt"):
        (folder / name).write_text(name)
    record_folder(folder, config, out)
    assert [file.name for file in out.iterdir()] == ["sources.json"]
    assert located(out) == folder
    recorded = json.loads((out / "sources.json").read_text())
    assert list(recorded["files"]) == ["a.h5ad", "a.tif"]


def test_a_platforms_folder_is_recorded_as_far_as_its_sections_have_donors(tmp_path, user_dataset):
    folder, out = tmp_path / "own", tmp_path / "raw"
    folder.mkdir()
    with pytest.raises(
        DataError, match=r"own: no file there of the sections S1, S2; set `source.folder`"
    ):
        record_folder(folder, user_dataset("xenium"), out)
    for name in ("S1/outs/cells.parquet", "S2/he.tif", "S3/he.tif", "labels.csv"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    with pytest.raises(DataError, match=r"own/regions\.csv: no such file; `reader\.labels`"):
        record_folder(folder, user_dataset("xenium", labels="regions.csv"), out)
    record_folder(folder, user_dataset("xenium", labels="labels.csv"), out)
    recorded = json.loads((out / "sources.json").read_text())
    assert list(recorded["files"]) == ["S1/outs/cells.parquet", "S2/he.tif", "labels.csv"]


def test_without_a_list_of_donors_every_folder_is_recorded(tmp_path, user_dataset):
    folder, out = tmp_path / "own", tmp_path / "raw"
    folder.mkdir()
    with pytest.raises(DataError, match=r"own: no section there; set `source.folder`"):
        record_folder(folder, user_dataset("xenium", donors=None), out)
    for name in ("A/cells.parquet", "B/he.tif", "notes.txt"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(name)
    record_folder(folder, user_dataset("xenium", donors=None), out)
    recorded = json.loads((out / "sources.json").read_text())
    assert list(recorded["files"]) == ["A/cells.parquet", "B/he.tif"]


@pytest.mark.parametrize(("units", "counts"), [("spots", "st/S1.h5ad"),
    ("patches", "transcripts/S1_transcripts.parquet")])  # fmt: skip
def test_of_hest_only_what_the_units_need_is_fetched(
    tmp_path, user_dataset, monkeypatch, units, counts
):
    calls = []
    monkeypatch.setattr("cell_synergy.core.hub.fetch_many", lambda *args: calls.append(args))
    patches = {} if units == "patches" else {"least": None, "keep_cells": None}
    config = user_dataset("hest", units=units, **patches).reader
    source = HubSource(kind="hub", repo="o/hest", revision="abc", folder=str(tmp_path))
    fetch_hub(source, config)
    ((repo, files, revision, kind, folder),) = calls
    assert (repo, revision, kind, folder) == ("o/hest", "abc", "dataset", tmp_path)
    assert files[:3] == [counts, "wsis/S1.tif", "metadata/S1.json"]
    assert len(files) == 6


def test_tables_stay_below_the_folder(tmp_path, user_dataset):
    folder, out = tmp_path / "own", tmp_path / "raw"
    (folder / "S1").mkdir(parents=True)
    (folder / "S1/he.tif").write_text("x")
    (tmp_path / "labels.csv").write_text("x")
    for name in ("../labels.csv", str(tmp_path / "labels.csv")):
        with pytest.raises(DataError, match=r"reader\.labels: .* leads out of .*own; put the"):
            record_folder(folder, user_dataset("xenium", labels=name), out)


def test_files_of_linked_folders_are_recorded_and_hidden_folders_are_no_sections(
    tmp_path, user_dataset
):
    folder, out, place = (tmp_path / name for name in ("own", "raw", "elsewhere"))
    place.mkdir()
    (place / "cells.parquet").write_text("x")
    (folder / "S[1]").mkdir(parents=True)
    (folder / "S[1]/outs").symlink_to(place)
    (folder / ".ipynb_checkpoints").mkdir()
    (folder / ".ipynb_checkpoints/he.tif").write_text("x")
    record_folder(folder, user_dataset("xenium", donors=None), out)
    recorded = json.loads((out / "sources.json").read_text())
    assert list(recorded["files"]) == ["S[1]/outs/cells.parquet"]
