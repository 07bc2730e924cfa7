"""What was done is kept to the last digit, under a name that code, settings and inputs make."""

import json

import numpy as np
import pytest

from cell_synergy.studies.scaling import unfinished
from cell_synergy.studies.scaling.unfinished import Unfinished, resumed

ROW = {"task": "region", "value": np.float64(0.1) + 0.2, "n": np.int64(3), "note": "", "r2": None}


def never():
    pytest.fail("made again")


def test_rows_come_back_as_they_were(tmp_path):
    first = Unfinished(tmp_path).rows("A", lambda: iter([ROW]))
    again = Unfinished(tmp_path).rows("A", never)
    assert again == first
    assert repr(again[0]["value"]) == repr(0.1 + 0.2)
    assert type(again[0]["n"]) is int


def test_a_half_written_part_is_made_again(tmp_path):
    known = Unfinished(tmp_path)
    known.rows("A", lambda: [ROW])
    known.rows("B", lambda: [ROW])
    file = tmp_path / "rows"
    file.write_text(file.read_text()[:-9])
    known = Unfinished(tmp_path)
    known.rows("A", never)
    with pytest.raises(pytest.fail.Exception):
        known.rows("B", never)
    known.rows("B", lambda: [ROW])
    assert [json.loads(line)[0] for line in file.read_text().splitlines()] == ["A", "B"]


@pytest.fixture
def kept(scratch, tmp_path):
    """Begin a study that is interrupted; return the names of what is kept."""
    (tmp_path / "weights").mkdir()
    for name in ("pairs.h5ad", "weights/A-0"):
        (tmp_path / name).write_text("1")

    def begin(settings=("simclr", {"lr": 0.1})):
        with (
            pytest.raises(KeyboardInterrupt),
            resumed(settings, [tmp_path / "pairs.h5ad", tmp_path / "weights"]),
        ):
            raise KeyboardInterrupt
        return {path.name for path in scratch.iterdir()}

    return begin


def test_what_is_kept_is_of_one_code_one_setting_and_its_inputs(kept, tmp_path, monkeypatch):
    assert len(kept()) == len(kept()) == 1
    assert len(kept(("simclr", {"lr": 0.2}))) == 2
    (tmp_path / "weights/A-0").write_text("2")
    assert len(kept()) == 3
    (tmp_path / "code.py").write_text("other")
    monkeypatch.setattr(unfinished, "__file__", str(tmp_path / "code.py"))
    assert len(kept()) == 4
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert len(kept()) == 5


def test_nothing_is_kept_of_what_ended_well(scratch, tmp_path):
    (tmp_path / "in").touch()
    with resumed((), [tmp_path / "in"]) as known:
        known.rows("A", lambda: [ROW])
        assert list(scratch.iterdir())
    assert not list(scratch.iterdir())


def test_two_at_a_time_leave_each_other_alone(scratch, tmp_path):
    (tmp_path / "in").touch()
    with resumed((), [tmp_path / "in"]) as first:
        first.rows("A", lambda: [ROW])
        with resumed((), [tmp_path / "in"]) as second:
            assert second.folder != first.folder
            assert len(second.rows("A", lambda: [ROW])) == 1
        assert not second.folder.exists()
        assert len(Unfinished(first.folder).rows("A", never)) == 1
    assert not list(scratch.iterdir())
