"""Blocks that need a licence are inserted into params.yaml, of which no other line changes."""

import re
import shutil
from difflib import SequenceMatcher
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides
from ruamel.yaml import YAML

from cell_synergy import encoders
from cell_synergy.core.config import load, merge, read_params, read_section
from cell_synergy.core.errors import ConfigError
from cell_synergy.data.config import DatasetConfig
from cell_synergy.studies import check_params, licensed

ROOT = Path(__file__).parents[2]
PARAMS = Path("params.yaml")
NAMES = sorted(file.stem for file in (ROOT / "licensed").glob("*.yaml"))


@pytest.fixture(autouse=True)
def _study(tmp_path, monkeypatch):
    """Enter a folder with params.yaml and licensed/."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copytree(ROOT / "licensed", tmp_path / "licensed")
    monkeypatch.chdir(tmp_path)


def change(**values):
    """Change lines of params.yaml."""
    text = PARAMS.read_text()
    for key, value in values.items():
        text, count = re.subn(
            rf"(?m)^( *){key}:.*\n(- .*\n)*", rf"\1{key}: {value}\n", text, count=1
        )
        assert count
    PARAMS.write_text(text)


def blocks(name):
    return YAML(typ="safe").load(Path(f"licensed/{name}.yaml"))


@pytest.mark.parametrize("name", NAMES)
def test_a_block_is_inserted_with_its_comments_and_no_other_line_changes(name, capsys):
    before, params = PARAMS.read_text().splitlines(), read_params()
    licensed.add(name)
    after = PARAMS.read_text().splitlines()
    steps = SequenceMatcher(a=before, b=after, autojunk=False).get_opcodes()
    assert {kind for kind, *_ in steps} == {"equal", "insert"}
    inserted = [line for kind, *_, i, j in steps if kind == "insert" for line in after[i:j]]
    source = Path(f"licensed/{name}.yaml").read_text().splitlines()
    assert sorted(inserted) == sorted(line for line in source if line.startswith(" "))
    assert read_params() == merge(params, blocks(name))
    assert capsys.readouterr().out == f"params.yaml: added {name} from licensed/{name}.yaml\n"


def test_a_block_stands_at_the_end_of_its_section():
    licensed.add("uni2_h")
    text = PARAMS.read_text()
    assert "    batch_size: 64\n  uni2_h:\n    # File of the weights" in text
    assert "    batch_size: 64\n\n# Selection of observations" in text


def test_dvc_then_changes_one_line_still():
    for name in NAMES:
        licensed.add(name)
    before = PARAMS.read_text().splitlines()
    apply_overrides(PARAMS, ["method=byol"])
    pairs = zip(before, PARAMS.read_text().splitlines(), strict=True)
    assert [pair for pair in pairs if pair[0] != pair[1]] == [("method: comm", "method: byol")]


def test_the_check_of_the_runner_adds_what_is_named_and_nothing_twice(capsys):
    change(image="uni2_h", datasets="[her2st, paper_lung]")
    apply_overrides(PARAMS, ["scaling.datasets=[her2st]"])
    check_params.check()
    params = read_params()
    assert set(params["encoders"]) - {"uni2_h"} == {
        "efficientnet_lite0",
        "pca",
        "nicheformer_small",
    }
    assert params["data"]["paper_lung"] == blocks("paper_lung")["data"]["paper_lung"]
    assert params["circular"] == {"her2st": ["composition"], "paper_lung": ["composition"]}
    assert capsys.readouterr().out.count("added") == 2
    written = PARAMS.read_bytes()
    check_params.check()
    assert PARAMS.read_bytes() == written
    assert capsys.readouterr().out == ""


def test_a_misspelt_name_is_answered_with_those_that_can_be_added():
    change(image="uni2h", datasets="[paper_lungs]")
    with pytest.raises(ConfigError, match=r"'uni2h' \(did you mean 'uni2_h'") as caught:
        check_params.check()
    assert "datasets: no 'paper_lungs' (did you mean 'paper_lung'" in str(caught.value)
    with pytest.raises(ConfigError, match=r"licensed: no 'virchow' \(did you mean 'virchow2'"):
        licensed.main(["virchow"])


def test_a_block_that_is_there_is_left_alone():
    licensed.main(["uni", "virchow2"])
    written = PARAMS.read_bytes()
    with pytest.raises(
        ConfigError, match=r"params\.yaml has 'uni' already; change its block there"
    ):
        licensed.main(["uni"])
    assert PARAMS.read_bytes() == written


def test_whoever_reads_a_block_that_is_not_there_is_told_how_to_add_it():
    message = (
        r"encoders has no 'uni2_h', which needs a licence \(see licensed/uni2_h\.yaml\); "
        r"`python -m cell_synergy\.studies\.licensed uni2_h` adds it to params\.yaml"
    )
    with pytest.raises(ConfigError, match=f"^{message}$"):
        read_section("encoders.uni2_h")
    licensed.main(["uni2_h"])
    assert read_section("encoders.uni2_h")["width"] == 1536


@pytest.mark.parametrize(
    "section", ["encoders: {pca: {}}\n", "encoders:\n    pca:\n        components: 64\n"]
)
def test_a_section_of_another_layout_is_refused_and_stays(section):
    text = "method: comm\n" + section
    PARAMS.write_text(text)
    with pytest.raises(ConfigError, match=r"uni\.yaml cannot be inserted there, .*by hand"):
        licensed.add("uni")
    assert PARAMS.read_text() == text


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_inserted_lines_end_as_the_others_and_a_missing_section_is_made(end):
    PARAMS.write_bytes(b"data:\r\n  lung: {}\r\n# the end" + end.encode())
    licensed.add("paper_lung")
    written = PARAMS.read_bytes()
    assert written.startswith(b"data:\r\n  lung: {}\r\n  paper_lung:\r\n    source:\r\n")
    assert written.endswith(b"circular:\r\n  paper_lung:\r\n  - composition\r\n")
    assert written.count(b"\n") == written.count(b"\r\n")
    assert set(read_params()["data"]) == {"lung", "paper_lung"}


def test_a_section_without_a_block_is_filled():
    PARAMS.write_text("data:\n  lung: {}\ncircular:\n")
    licensed.add("paper_lung")
    assert read_params()["circular"] == {"paper_lung": ["composition"]}


@pytest.mark.parametrize("name", NAMES)
def test_a_file_says_what_its_licence_is_and_what_was_tested(name):
    comment = Path(f"licensed/{name}.yaml").read_text().split("\nencoders:")[0].split("\ndata:")[0]
    assert all(line.startswith("# ") for line in comment.splitlines())
    assert "icence" in comment or "terms" in comment
    assert "Never run here: " in comment


@pytest.mark.parametrize("name", NAMES)
def test_a_block_is_valid(name):
    licensed.add(name)
    if name in read_section("encoders"):
        assert encoders.load(name, read_section(f"encoders.{name}"))
    else:
        dataset = load(DatasetConfig, f"data.{name}")
        assert set(read_section("circular").get(name, [])) <= set(dataset.tasks)
