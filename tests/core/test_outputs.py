"""What a person has at the place of an output stays, whatever it is."""

import json
import os

import pytest

from cell_synergy.core.errors import ConfigError
from cell_synergy.core.outputs import OutputPath, folder_output, guarded_outputs, table_output
from tests.core.written import NAMES, content, write_folder, write_table


def test_a_table_and_what_stands_beside_it_are_written_and_written_again(tmp_path):
    for text in ("1\n", "2\n", "2\n"):
        write_table(tmp_path / "new" / "sis.csv", text)
        assert content(tmp_path / "new") == dict.fromkeys(NAMES, text)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        ".sis.csv.written.json",
        *NAMES,
    ]


def test_a_folder_is_written_and_written_again(tmp_path):
    for text in ("1\n", "2\n"):
        write_folder(tmp_path / "w", text)
        assert content(tmp_path) == {
            "w": None, "w/train": None, "w/train/a.tsv": text, "w/b.safetensors": text,
            "w/empty": None,
        }  # fmt: skip


KINDS = ("file", "folder", "link", "dangling", "pipe")

AT = [(name, kind) for name in NAMES for kind in KINDS if (name, kind) != ("sis.csv", "folder")]


@pytest.mark.parametrize(("name", "kind"), AT)
def test_anything_at_the_paths_of_a_table_stays(tmp_path, name, kind):
    path, elsewhere = tmp_path / name, tmp_path / "precious"
    elsewhere.write_text("mine")
    if kind == "file":
        path.write_text("mine")
    elif kind == "folder":
        path.mkdir()
        (path / "x").write_text("mine")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(elsewhere if kind == "link" else tmp_path / "gone")
    before = os.lstat(path)
    with pytest.raises(ConfigError, match=f"{name} is .*choose another out="):
        write_table(tmp_path / "sis.csv")
    assert os.lstat(path) == before
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["precious", name])
    assert elsewhere.read_text() == "mine"


def edit(folder):
    (folder / "b.safetensors").write_text("edited")


def add(folder):
    (folder / "train" / "notes.txt").write_text("mine")


def add_folder(folder):
    (folder / "mine").mkdir()


def link(folder):
    (folder / "empty" / "l").symlink_to("/")


@pytest.mark.parametrize("change", [edit, add, add_folder, link])
def test_a_folder_that_somebody_changed_stays(tmp_path, change):
    write_folder(tmp_path / "w")
    change(tmp_path / "w")
    before = content(tmp_path)
    with pytest.raises(ConfigError, match=r"which was added or changed since"):
        write_folder(tmp_path / "w", "2\n")
    assert content(tmp_path) == before


def test_a_folder_with_things_in_it_stays_and_an_empty_one_is_taken(tmp_path):
    (tmp_path / "home" / "photos").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"home is there already, and this command did not"):
        write_folder(tmp_path / "home")
    assert (tmp_path / "home" / "photos").is_dir()
    write_folder(tmp_path / "home" / "photos")
    assert (tmp_path / "home" / "photos" / "b.safetensors").is_file()


@pytest.mark.parametrize("out", [".", "..", "home/..", "../home", "home/."])
def test_the_folder_that_one_is_in_stays(tmp_path, monkeypatch, out):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "params.yaml").write_text("mine")
    monkeypatch.chdir(tmp_path / "home")
    (tmp_path / "home" / "home").mkdir()
    place = folder_output("out", out, tmp_path / "x")
    if out == "home/.":
        assert place.path.name == "home"
        return
    with (
        pytest.raises(ConfigError, match="is there already"),
        guarded_outputs("align", [place], {}),
    ):
        raise AssertionError
    assert content(tmp_path) == {"home": None, "home/params.yaml": "mine", "home/home": None}


def test_files_named_like_a_scratch_folder_stay(tmp_path):
    for name in (".w.original", ".w.backup_1", ".w.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_text("mine")
    write_folder(tmp_path / "w")
    assert content(tmp_path).items() >= {f".w.{n}/x": "mine" for n in ("original", "old")}.items()
    assert (tmp_path / ".w.backup_1" / "x").is_file()


def test_an_edited_table_and_another_commands_table_stay(tmp_path):
    out = write_table(tmp_path / "sis.csv")
    with pytest.raises(ConfigError, match="was written by judge"):
        write_table(out, command="spatial")
    (tmp_path / "sis-scores.csv").write_text("edited")
    with pytest.raises(ConfigError, match=r"sis-scores\.csv was changed since this command"):
        write_table(out)
    assert out.read_text() == "1\n"
    assert (tmp_path / "sis-scores.csv").read_text() == "edited"


@pytest.mark.parametrize(
    "record",
    ["", "{", "[]", '{"command": "judge"}', '{"command": "judge", "files": {"sis.csv": 3}}'],
)
def test_a_record_that_says_nothing_proves_nothing(tmp_path, record):
    (tmp_path / "sis.csv").write_text("mine")
    (tmp_path / ".sis.csv.written.json").write_text(record)
    with pytest.raises(ConfigError, match="is there already"):
        write_table(tmp_path / "sis.csv")
    assert (tmp_path / "sis.csv").read_text() == "mine"


def test_a_deleted_output_is_written_again(tmp_path):
    write_table(tmp_path / "sis.csv")
    (tmp_path / "sis.safetensors").unlink()
    write_table(tmp_path / "sis.csv", "2\n")
    assert content(tmp_path) == dict.fromkeys(NAMES, "2\n")


def test_a_folder_takes_the_table_under_its_usual_name(tmp_path):
    usual = tmp_path / "runs" / "sis.csv"
    assert table_output("out", str(tmp_path), usual, ()).path == tmp_path / "sis.csv"
    assert table_output("out", f"{tmp_path}/new/", usual, ()).path == tmp_path / "new" / "sis.csv"
    assert table_output("out", None, usual, ()).path == usual
    assert table_output("out", "", usual, ()).path == usual


@pytest.mark.parametrize("name", ["my.h5ad", "sis", "sis.tsv", "a.csv.gz", ".csv"])
def test_a_table_of_another_name_is_refused(tmp_path, name):
    with pytest.raises(ConfigError, match=r"a table's name ends in \.csv"):
        table_output("out", str(tmp_path / name), tmp_path / "x.csv", ())


def test_the_home_folder_is_known(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert table_output("out", "~/x.csv", tmp_path, ()).path == tmp_path / "x.csv"
    assert folder_output("out", "~/w", tmp_path).path == tmp_path / "w"


@pytest.mark.parametrize(
    ("out", "curves"), [("w", "w"), ("w", "w/c"), ("w/o", "w"), ("w", "x/../w"), ("l/w", "w")]
)
def test_outputs_in_each_other_are_refused(tmp_path, out, curves):
    (tmp_path / "l").symlink_to(tmp_path)
    places = [OutputPath("out", tmp_path / out), OutputPath("curves", tmp_path / curves)]
    with (
        pytest.raises(ConfigError, match="give each output another path"),
        guarded_outputs("align", places, {}),
    ):
        raise AssertionError
    assert [path.name for path in tmp_path.iterdir()] == ["l"]


@pytest.mark.parametrize("kind", ["itself", "beside", "symbolic", "hard", "inside", "around"])
def test_an_input_is_no_place_for_an_output(tmp_path, kind):
    read = tmp_path / "in" / "units.csv"
    read.parent.mkdir()
    read.write_text("mine")
    out = {
        "itself": read, "beside": tmp_path / "in" / "units", "inside": tmp_path / "in" / "x.csv",
    }.get(kind, tmp_path / "out.csv")  # fmt: skip
    inputs = {"units": read.parent if kind == "inside" else read}
    place = OutputPath("out", out, (".csv",) if kind == "beside" else ())
    if kind == "symbolic":
        out.symlink_to(read)
    elif kind == "hard":
        out.hardlink_to(read)
    elif kind == "around":
        place = OutputPath("out", read.parent)
    with (
        pytest.raises(ConfigError, match=r"units=.*which is read"),
        guarded_outputs("judge", [place], inputs),
    ):
        raise AssertionError
    assert read.read_text() == "mine"


@pytest.mark.parametrize("letters", [232, 237, 242, 251, 300])
def test_a_name_that_is_too_long_for_the_record_is_told_before_anything_runs(tmp_path, letters):
    out = tmp_path / ("x" * (letters - 4) + ".csv")
    with pytest.raises(OSError, match="too long") as caught:
        write_table(out, text=None)  # what runs would fail with a TypeError
    assert caught.value.filename == str(out)
    assert not list(tmp_path.iterdir())


def test_links_in_a_circle_are_no_place(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "x.csv").symlink_to("x.csv")
    with pytest.raises(ConfigError, match="is a link to another path"):
        write_table(tmp_path / "x.csv", text=None, inputs={"units": tmp_path / "my.h5ad"})
    with pytest.raises(OSError, match=r"Too many levels|File exists"):
        write_table(tmp_path / "loop" / "x.csv", None, inputs={"units": tmp_path / "my.h5ad"})
    with pytest.raises((OSError, ConfigError), match=r"Too many levels|File exists|link"):
        write_folder(tmp_path / "loop" / "..", text=None)


def test_a_place_below_a_file_is_refused_before_anything_runs(tmp_path):
    (tmp_path / "f").write_text("mine")
    for path in (tmp_path / "f" / "x.csv", tmp_path / "f" / "a" / "x.csv"):
        with pytest.raises(OSError, match=r"Not a directory|File exists"):
            write_table(path)
    with pytest.raises(OSError, match="File name too long"):
        write_table(tmp_path / ("x" * 300 + ".csv"))
    assert content(tmp_path) == {"f": "mine"}


def test_the_record_names_the_command_and_every_file(tmp_path):
    write_folder(tmp_path / "w")
    record = json.loads((tmp_path / ".w.written.json").read_text())
    assert record["command"] == "align"
    assert sorted(record["files"]) == [
        "w",
        "w/b.safetensors",
        "w/empty",
        "w/train",
        "w/train/a.tsv",
    ]
    # printf '1\\n' | sha256sum
    one = "4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865"
    assert record["files"]["w/b.safetensors"] == [one]
