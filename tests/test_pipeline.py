from pathlib import Path

import pytest

from cell_synergy.core.errors import ConfigError
from cell_synergy.pipeline import paths

DVC = """
stages:
  align:
    matrix: {dataset: "${datasets}", method: "${models}"}
    cmd: >-
      python -m stages.align data.dataset=${item.dataset} models.name=${item.method}
      image=emb/${item.dataset}/${experts.image}.h5ad
      out=results/align/${item.dataset}/${item.method}
"""
PARAMS = "experts: {image: lite0, expression: pca}\ndatasets: [lung]\n"


@pytest.fixture(autouse=True)
def _project(tmp_path, monkeypatch):
    (tmp_path / "dvc.yaml").write_text(DVC)
    (tmp_path / "params.yaml").write_text(PARAMS)
    monkeypatch.chdir(tmp_path)


def test_a_data_set_outside_the_list_gets_its_paths():
    assert paths("align", {"dataset": "mylab", "method": "comm"}) == {
        "data.dataset": "mylab",
        "models.name": "comm",
        "image": "emb/mylab/lite0.h5ad",
        "out": "results/align/mylab/comm",
    }


def test_an_unknown_stage_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match=r"dvc\.yaml has no stage 'alig' .did you mean 'align'"):
        paths("alig", {"dataset": "lung", "method": "comm"})


@pytest.mark.parametrize("stage", ["align", "probe"])
def test_the_pipeline_itself_has_what_the_public_commands_ask_for(stage, monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[1])
    found = paths(stage, {"dataset": "mylab", "method": "comm"})
    assert found["data.dataset"] == "mylab"
    assert found["models.name"] == "comm"
    assert found["pairs"] == "data/pairs/mylab.h5ad"
    assert found["out"].startswith(f"results/{stage}/mylab/comm")
    assert not any("$" in path for path in found.values())
