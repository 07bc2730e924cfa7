from pathlib import Path

import pytest

from cell_synergy.core.errors import ConfigError
from cell_synergy.core.pipeline import paths

DVC = """
stages:
  align:
    matrix: {dataset: "${datasets}", method: "${models}"}
    cmd: >-
      python -m stages.align data.dataset=${item.dataset} models.name=${item.method}
      image=emb/${item.dataset}/${experts.image}.h5ad
      out=results/align/${item.dataset}/${item.method}
"""
EXPERTS = {"image": "lite0", "expression": "pca"}


@pytest.fixture(autouse=True)
def _project(tmp_path, monkeypatch):
    (tmp_path / "dvc.yaml").write_text(DVC)
    monkeypatch.chdir(tmp_path)


def test_a_data_set_outside_the_list_gets_its_paths():
    assert paths("align", {"dataset": "mylab", "method": "comm"}, EXPERTS) == {
        "data.dataset": "mylab",
        "models.name": "comm",
        "image": "emb/mylab/lite0.h5ad",
        "out": "results/align/mylab/comm",
    }


def test_an_unknown_stage_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match=r"dvc\.yaml has no stage 'alig' .did you mean 'align'"):
        paths("alig", {"dataset": "lung", "method": "comm"}, EXPERTS)


@pytest.mark.parametrize("stage", ["align", "evaluate"])
def test_the_pipeline_itself_has_what_the_public_commands_ask_for(stage, monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[2])
    found = paths(stage, {"dataset": "mylab", "method": "comm"}, EXPERTS)
    assert found["data.dataset"] == "mylab"
    assert found["models.name"] == "comm"
    assert found["pairs"] == "data/pairs/mylab.h5ad"
    folder = {"align": "align", "evaluate": "probe"}[stage]
    assert found["out"].startswith(f"results/{folder}/mylab/comm")
    assert not any("$" in path for path in found.values())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"dvc\.yaml: holds nothing; `git checkout dvc\.yaml`"),
        (b"stages:\n  align: [\n", r"dvc\.yaml, line \d: not valid YAML"),
        (b"stages:\n", r"dvc\.yaml has no stage 'align'"),
        (b"stages: {align: {deps: []}}\n", "stage 'align' has no cmd; add it"),
        (b"stages: {align: python}\n", "stage 'align' has no cmd; add it"),
        (b"stages: {align: {cmd: 'x a=${experts.imge}'}}\n", "needs experts.imge; .*did you mean"),
        ("stages: {}\n".encode("utf-16"), "dvc.yaml: saved as UTF-16"),
    ],
)
def test_a_pipeline_that_cannot_be_used_is_one_sentence(content, message, tmp_path):
    (tmp_path / "dvc.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        paths("align", {"dataset": "lung", "method": "comm"}, EXPERTS)
    assert "\n" not in str(caught.value)


def test_a_name_with_a_blank_stays_one_word():
    found = paths("align", {"dataset": "my lab", "method": "comm"}, EXPERTS)
    assert found["out"] == "results/align/my lab/comm"


def test_from_another_folder_the_root_is_named(tmp_path, monkeypatch):
    (tmp_path / "docs").mkdir()
    monkeypatch.chdir(tmp_path / "docs")
    with pytest.raises(ConfigError, match="run this from the root of the repository"):
        paths("align", {"dataset": "lung", "method": "comm"}, EXPERTS)
