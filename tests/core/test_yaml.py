import codecs

import pytest

from cell_synergy.core.config import read_param, read_section
from cell_synergy.core.errors import ConfigError
from cell_synergy.core.yaml import line_of, mapping_of

BROKEN = {
    "empty": (b"", r"params\.yaml: holds nothing; `git checkout params\.yaml`"),
    "comments": (b"# nothing\n", "params.yaml: holds nothing"),
    "list": (b"- a\n- b\n", "params.yaml: holds a list, not `name: value` lines"),
    "scalar": (b"lung\n", "params.yaml: holds the single value 'lung'"),
    "number": (b"3\n", "params.yaml: holds the single value 3"),
    "utf-16": ("threads: 1\n".encode("utf-16"), "params.yaml: saved as UTF-16; save it as UTF-8"),
    "utf-16-be": (
        codecs.BOM_UTF16_BE + "threads: 1\n".encode("utf-16-be"),
        "params.yaml: saved as UTF-16",
    ),
    "utf-16 without a mark": ("threads: 1\n".encode("utf-16-le"), "params.yaml: not valid YAML"),
    "latin-1": (b"threads: 1\nmethod: \xe9\n", "params.yaml, line 2: byte 0xe9 is no UTF-8"),
    "twice": (b"threads: 1\nmethod: comm\nthreads: 2\n", 'line 3: .*duplicate key "threads"'),
    "twice inside": (b"a:\n  lr: 1\n  lr: 2\n", 'line 3: .*duplicate key "lr"'),
    "bracket": (b"threads: 1\ndatasets: [lung\nmethod: comm\n", r"line 3: not valid YAML"),
    "tab": (b"a:\n\tb: 1\n", "line 2: not valid YAML"),
    "indent": (b"a: 1\n  b: 2\n", "line 2: not valid YAML"),
    "colon": (b"a: b: c\n", "line 1: not valid YAML"),
    "alias": (b"a: 1\nb: *x\n", "line 2: not valid YAML"),
    "tag": (b"a: !!python/object:os.system {}\n", "line 1: not valid YAML"),
    "two documents": (b"a: 1\n---\nb: 2\n", "params.yaml.*not valid YAML"),
    "control": (b"a: \x07\n", "params.yaml: not valid YAML"),
    "date": (b"a: 2024-13-45\n", "params.yaml: not valid YAML"),
    "conflict": (b"<<<<<<< HEAD\na: 1\n=======\na: 2\n>>>>>>> b\n", "params.yaml.*not valid YAML"),
}


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("content", "message"), BROKEN.values(), ids=list(BROKEN))
@pytest.mark.parametrize("read", [read_param, read_section])
def test_unreadable_yaml_is_reported_with_its_line(tmp_path, content, message, read):
    (tmp_path / "params.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        read("threads")
    assert "\n" not in str(caught.value)


def test_a_mark_of_utf_8_is_no_part_of_the_first_name(tmp_path):
    (tmp_path / "params.yaml").write_bytes(codecs.BOM_UTF8 + b"threads: 1\n")
    assert read_param("threads") == 1


def test_from_another_folder_the_root_is_named(tmp_path, monkeypatch):
    (tmp_path / "notebooks" / "old").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "notebooks" / "old")
    with pytest.raises(ConfigError, match=r"^no params\.yaml in .*/old; .*root of the repository"):
        read_param("threads")
    (tmp_path / "params.yaml").write_text("threads: 1\n")
    with pytest.raises(ConfigError, match=f"root of the repository: `cd {tmp_path}`$"):
        read_section("training")


def test_an_error_without_a_line_is_reported_with_the_file(tmp_path):
    (tmp_path / "stages").mkdir()
    (tmp_path / "params.yaml").write_bytes(b"a: " + 600 * b"[" + 600 * b"]")
    with pytest.raises(ConfigError, match=r"^params\.yaml: unknown 'a'"):
        read_param("threads")


def test_a_key_is_found_in_its_line(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("# x\na:\n  b: 1\n  c: {d: 2,\n    e: 3}\nb: 4\n")
    assert mapping_of(path) == {"a": {"b": 1, "c": {"d": 2, "e": 3}}, "b": 4}
    places = {"a": 2, "a.b": 3, "a.c": 4, "a.c.d": 4, "a.c.e": 5, "b": 6, "c": None, "b.x": None}
    assert {key: line_of(path, key.split(".")) for key in places} == places
    assert line_of(tmp_path / "none.yaml", ["a"]) is None
