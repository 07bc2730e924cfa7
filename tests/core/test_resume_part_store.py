"""What was computed is stored to the last digit, and taken up to the first damage."""

import os
from contextlib import suppress

import numpy as np
import pytest

from cell_synergy.core.resume import part_store
from cell_synergy.core.resume.part_store import PartStore, resumable

ROW = {"task": "region", "value": np.float64(0.1) + 0.2, "n": np.int64(3), "note": "", "r2": None}
RNG = np.random.default_rng(0)
BATCHES = [RNG.normal(size=(n, 4)).astype(np.float32) for n in (3, 3, 2)]


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    """Return the scratch folder of the test."""
    monkeypatch.setenv("CELL_SYNERGY_SCRATCH", str(tmp_path / "scratch"))
    return tmp_path / "scratch"


def never():
    pytest.fail("computed again")


def interrupted(n_batches, *settings):
    """Return the batches of an interrupted run, and store further ones up to this number."""
    found: list[np.ndarray] = []
    with suppress(KeyboardInterrupt), resumable("embed", *settings) as store:
        found += store.batches()
        for batch in BATCHES[len(found) : n_batches]:
            store.add_batch(batch)
        raise KeyboardInterrupt
    return found


@pytest.fixture
def stored(scratch):
    """Store all batches; return the file."""
    interrupted(3)
    (file,) = scratch.rglob("parts")
    return file


def test_rows_come_back_as_they_were(tmp_path):
    first = PartStore(tmp_path).rows("A", lambda: iter([ROW]))
    again = PartStore(tmp_path).rows("A", never)
    assert again == first
    assert repr(again[0]["value"]) == repr(0.1 + 0.2)
    assert type(again[0]["n"]) is int


def test_batches_come_back_and_go_on():
    interrupted(2)
    np.testing.assert_equal(interrupted(0), BATCHES[:2])
    np.testing.assert_equal(interrupted(3), BATCHES[:2])
    np.testing.assert_equal(interrupted(0), BATCHES)
    assert interrupted(0)[0].dtype == np.float32


def test_rows_and_batches_of_one_store_are_apart(tmp_path):
    store = PartStore(tmp_path)
    store.add_batch(BATCHES[0])
    store.rows("batch 1", lambda: [ROW])
    store.add_batch(BATCHES[1])
    np.testing.assert_equal(list(PartStore(tmp_path).batches()), BATCHES[:2])
    assert len(PartStore(tmp_path).rows("batch 1", never)) == 1


def test_half_written_rows_are_computed_again(tmp_path):
    store = PartStore(tmp_path)
    store.rows("A", lambda: [ROW])
    store.rows("B", lambda: [ROW])
    file = tmp_path / "parts"
    whole = file.read_bytes()
    file.write_bytes(whole[:-9])
    store = PartStore(tmp_path)
    store.rows("A", never)
    with pytest.raises(pytest.fail.Exception):
        store.rows("B", never)
    store.rows("B", lambda: [ROW])
    assert file.read_bytes() == whole


@pytest.mark.parametrize("torn", [1, 15, 16, 17, 40, 160])
def test_a_batch_that_was_written_in_part_is_computed_again(stored, torn):
    whole = stored.read_bytes()
    start = whole.index(b"batch 2") - part_store._HEADER_SIZE
    os.truncate(stored, start + torn)
    np.testing.assert_equal(interrupted(3), BATCHES[:2])
    assert stored.read_bytes() == whole


@pytest.mark.parametrize("at", [-1, -40, 0, 5, 9, 13, 17])
def test_a_flipped_bit_ends_what_is_used(stored, at):
    content = bytearray(stored.read_bytes())
    start = content.index(b"batch 1") - part_store._HEADER_SIZE
    content[start + at] ^= 1
    stored.write_bytes(content)
    np.testing.assert_equal(interrupted(3), BATCHES[: 1 if at >= 0 else 0])
    np.testing.assert_equal(interrupted(0), BATCHES)


@pytest.mark.parametrize(
    "garbage", [b"\xff" * 40, b"\xff" * 8 + bytes(8), bytes(15), bytes(64), b"GIF89a" * 9]
)
def test_a_damaged_file_is_used_up_to_the_damage(stored, garbage):
    whole = stored.read_bytes()
    with stored.open("ab") as file:
        file.write(garbage)
    np.testing.assert_equal(interrupted(3), BATCHES)
    assert stored.read_bytes() == whole


def test_other_work_is_not_resumed(scratch):
    interrupted(2, {"weights": "ab", "obs": [1, 2]})
    assert not interrupted(0, {"weights": "cd", "obs": [1, 2]})
    assert len(interrupted(0, {"obs": [1, 2], "weights": "ab"})) == 2  # in any order of the keys
    assert len(list(scratch.iterdir())) == 2


def test_nothing_is_left_after_success(scratch):
    with resumable("scaling") as store:
        store.rows("A", lambda: [ROW])
        assert list(scratch.iterdir())
    assert not list(scratch.iterdir())


def test_two_at_a_time_do_not_disturb_each_other(scratch, capsys):
    with resumable("scaling") as first:
        first.rows("A", lambda: [ROW])
        with resumable("scaling") as second:
            assert second.folder != first.folder
            assert len(second.rows("A", lambda: [ROW])) == 1
            assert not list(second.batches())
            second.add_batch(BATCHES[1])
        assert not second.folder.exists()
        assert len(PartStore(first.folder).rows("A", never)) == 1
    assert not list(scratch.iterdir())
    assert "another process works on it" in "".join(capsys.readouterr())


def test_another_users_work_is_not_read(stored, monkeypatch, capsys):
    monkeypatch.setattr("os.getuid", lambda: stored.stat().st_uid + 1)
    assert not interrupted(2)
    assert "it belongs to another user" in "".join(capsys.readouterr())
    monkeypatch.undo()
