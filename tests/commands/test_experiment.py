"""A method and a data set from params.yaml, with overrides."""

from pathlib import Path

import pytest

from cell_synergy.commands.experiment import Experiment
from cell_synergy.core.config import parse
from cell_synergy.core.errors import ConfigError


@pytest.fixture(autouse=True)
def _root(monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[2])


def test_overrides_change_both_sections_and_stay_as_they_are():
    given = parse(["models.name=simclr", "models.width=8", "data.dataset=lung", "data.unit_um=55"])
    before = {key: dict(block) for key, block in given.items()}
    experiment = Experiment.from_overrides(given["models"], given["data"])
    assert (experiment.method_name, experiment.dataset_name) == ("simclr", "lung")
    assert experiment.method.model_dump()["width"] == 8
    assert experiment.dataset.unit_um == 55
    assert given == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data.dataset=lung"], r"^models\.name=NAME is missing$"),
        (["models.name=simclr"], r"^data\.dataset=NAME is missing$"),
        (["models=simclr", "data.dataset=lung"], r"write models\.name=simclr$"),
        (["models.name=simclr", "data.dataset=lungs"], "did you mean 'lung'"),
        (["models.name=simclr", "models.widht=8", "data.dataset=lung"], "did you mean 'width'"),
    ],
)
def test_wrong_overrides_are_named_with_the_correct_form(words, message):
    given = parse(words)
    with pytest.raises(ConfigError, match=message):
        Experiment.from_overrides(given.get("models", {}), given.get("data", {}))
