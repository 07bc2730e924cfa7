"""The simulated data sets of the study: what the labels of their test donors need."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from cell_synergy.core.config import validate
from cell_synergy.data.config import DatasetConfig
from cell_synergy.raw.simulator import states
from cell_synergy.raw.simulator.config import SimulatorConfig
from cell_synergy.studies.truth import ground_truth

pytestmark = pytest.mark.filterwarnings("ignore:no relative gain:UserWarning")

PARAMS = YAML(typ="safe").load(Path(__file__).parents[2] / "params.yaml")
TWINS = [name for name, block in PARAMS["data"].items() if "role" in block["source"]]
NICHES = ["niche", "matched_niche", "mixed_niche"]
ERROR = 0.1  # probability that an expert shows a state as another level


def _confusion(levels):
    return np.full((levels, levels), ERROR / (levels - 1)) + np.eye(levels) * (
        1 - ERROR * levels / (levels - 1)
    )


@pytest.fixture(scope="module")
def twin(request):
    """Return the configuration, the labels and the truth of a twin's test donors."""
    dataset = validate(DatasetConfig, PARAMS["data"][request.param], request.param)
    assert dataset.simulator is not None
    parameters = PARAMS["simulator"] | dataset.simulator.tissue()
    platform = {"platform": dataset.reader.kind}
    config = validate(SimulatorConfig, parameters | platform, "simulator")
    drawn = [
        states.sample(config, "test", states.stream(config, request.param, donor, "states"))
        for donor in dataset.roles["test"]
    ]
    latent = pd.concat(drawn, ignore_index=True)
    labels = states.labels(latent, config, "test")
    labels["cell_type"] = pd.Categorical(latent["shared_type"])
    confusions = {name: _confusion(count) for name, count in states.n_levels(config).items()}
    codes = {str(name): label.cat.codes.to_numpy(np.int64) for name, label in labels.items()}
    scored = np.ones(len(latent), dtype=bool)
    by_modality = dict.fromkeys(("image", "expression"), confusions)
    truth = ground_truth(latent, codes, states.visible(config), by_modality, scored)
    return dataset, labels, truth.set_index(["task", "seen"])


@pytest.mark.parametrize("twin", TWINS, indirect=True)
def test_every_label_is_a_task_and_has_a_truth(twin):
    dataset, labels, truth = twin
    tasks = {task for task, spec in dataset.tasks.items() if spec.kind == "classification"}
    assert tasks == set(labels) == set(truth.index.get_level_values("task"))


@pytest.mark.parametrize("twin", TWINS, indirect=True)
def test_every_label_follows_from_the_states_that_truth_names(twin):
    truth = twin[2].xs("tissue", level="seen")
    parts = truth[["redundant", "unique_image", "unique_expression", "synergy"]].sum(axis=1)
    np.testing.assert_allclose(parts, truth["entropy"], atol=1e-9)


@pytest.mark.parametrize("twin", ["lung", "breast"], indirect=True)
def test_with_synergy_the_niches_alone_have_it(twin):
    truth = twin[2]
    tissue, embeddings = (truth.xs(seen, level="seen") for seen in ("tissue", "embeddings"))
    assert (tissue.loc[NICHES, "synergy"] > 0.98).all()
    assert (tissue.loc[NICHES, "gain"] > 0.98).all()
    assert (tissue["synergy"].drop(NICHES).abs() < 1e-9).all()
    assert (embeddings.loc[NICHES, "synergy"].between(0.1, 0.7)).all()


@pytest.mark.parametrize("twin", ["thymus"], indirect=True)
def test_without_synergy_no_label_has_it_before_the_experts(twin):
    truth = twin[2]
    tissue, embeddings = (truth.xs(seen, level="seen") for seen in ("tissue", "embeddings"))
    assert (tissue["synergy"].abs() < 1e-9).all()
    gained = tissue["gain"] > 1e-9
    assert set(gained.index[gained]) == {"region", "mixed_niche"}  # unique parts of both modalities
    assert tissue.loc["mixed_niche", "gain"] == pytest.approx(0.5, abs=0.01)
    for single in ("image_state", "expression_state", "niche", "matched_niche"):
        assert abs(embeddings.loc[single, "synergy"]) < 1e-9
        assert abs(embeddings.loc[single, "gain"]) < 1e-9
    assert embeddings.loc["mixed_niche", "synergy"] < 0.01
