"""A method and a data set from params.yaml, with overrides."""

from pathlib import Path

import pytest

from cell_synergy.commands.experiment import Experiment
from cell_synergy.core.config import load_keys, parse
from cell_synergy.core.errors import ConfigError
from cell_synergy.data.study_design import DesignConfig


@pytest.fixture(autouse=True)
def _root(monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[2])


def test_overrides_change_both_sections_and_stay_as_they_are():
    words = ["models.name=simclr", "models.width=8", "data.dataset=lung", "data.standardise=donor"]
    given = parse(words)
    before = {key: dict(block) for key, block in given.items()}
    experiment = Experiment.from_overrides(given["models"], given["data"])
    assert (experiment.method_name, experiment.dataset_name) == ("simclr", "lung")
    assert experiment.method.model_dump()["width"] == 8
    dataset, overrides = experiment.dataset_name, experiment.dataset_overrides
    assert load_keys(DesignConfig, f"data.{dataset}", overrides).standardise == "donor"
    assert given == before


def test_an_override_of_a_key_that_is_not_read_is_refused():
    with pytest.raises(ConfigError, match=r"^data\.lung\.unit_um is not used here; leave it out$"):
        load_keys(DesignConfig, "data.lung", {"unit_um": 55})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data.dataset=lung"], r"^models\.name=NAME is missing$"),
        (["models.name=simclr"], r"^data\.dataset=NAME is missing$"),
        (["models=simclr", "data.dataset=lung"], r"write models\.name=simclr$"),
        (["models.name=simclr", "models.widht=8", "data.dataset=lung"], "did you mean 'width'"),
    ],
)
def test_wrong_overrides_are_named_with_the_correct_form(words, message):
    given = parse(words)
    with pytest.raises(ConfigError, match=message):
        Experiment.from_overrides(given.get("models", {}), given.get("data", {}))
