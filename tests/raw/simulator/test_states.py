import numpy as np
import pandas as pd
import pytest

from cell_synergy.core.errors import ConfigError
from cell_synergy.data.study_design import Role
from cell_synergy.raw.simulator import states

MODALITIES = ("image", "expression")
ROLES: tuple[Role, ...] = ("reference", "train", "probe", "test")


def _sections(config, role, count):
    return [states.sample(config, role, states.stream(config, role, str(i))) for i in range(count)]


def _bits(a, b):
    joint = pd.crosstab(np.asarray(a), np.asarray(b)).to_numpy() / len(a)
    product = joint.sum(1, keepdims=True) * joint.sum(0)
    seen = joint > 0
    return float((joint[seen] * np.log2(joint[seen] / product[seen])).sum())


@pytest.mark.parametrize("role", ROLES)
def test_levels_are_equally_frequent_within_a_section(simulator, role):
    config = simulator()
    for latent in _sections(config, role, 5):
        for name in latent.columns.drop(["shared_type", *latent.filter(like="region")]):
            area = np.bincount(latent[name], minlength=states.n_levels(config)[name])
            assert area.max() - area.min() <= 4, name
        assert np.bincount(latent["shared_type"]).min() > 0.1 * len(latent)


def test_neighbouring_observations_share_their_state_more_often_than_chance(simulator):
    config = simulator()
    grids = np.stack([latent["image_stroma"] for latent in _sections(config, "test", 10)])
    grids = grids.reshape(10, *config.units["test"])
    assert (grids[:, :, 1:] == grids[:, :, :-1]).mean() > 0.4  # 0.25 by chance


def test_the_niche_is_the_xor_of_its_states_and_neither_alone_is_informative(simulator):
    config = simulator()
    for latent in _sections(config, "test", 5):
        niche = states.labels(latent, config, "test")["niche"].to_numpy() == "outer"
        nuclei, programme = latent["image_nuclei"], latent["expression_programme"]
        np.testing.assert_array_equal(niche, nuclei != programme)
        assert _bits(nuclei, niche) < 1e-9
        assert _bits(programme, niche) < 1e-9


@pytest.mark.parametrize("role", ["reference", "train"])
def test_the_stroma_of_all_observations_matches_in_training_donors(simulator, role):
    config = simulator()
    for latent in _sections(config, role, 3):
        paired = states.PAIRING[latent["image_stroma"]]
        np.testing.assert_array_equal(latent["expression_stroma"], paired)
        assert states.labels(latent, config, role)["matched_niche"].isna().all()


HALF = [
    *(("matched_niche", "stroma", role) for role in ("probe", "test")),
    *(("mixed_niche", "deposits", role) for role in ROLES),
]


@pytest.mark.parametrize(("task", "pair", "role"), HALF)
def test_half_of_the_observations_match_and_neither_state_is_informative(
    simulator, task, pair, role
):
    config = simulator(units={role: (8, 8)})
    for latent in _sections(config, role, 5):
        image, expression = latent[f"image_{pair}"], latent[f"expression_{pair}"].to_numpy()
        label = states.labels(latent, config, role)[task].to_numpy()
        matched = states.PAIRING[image] == expression
        np.testing.assert_array_equal(label == "matched", matched)
        assert matched.mean() == 0.5
        assert _bits(image, matched) < 1e-9
        assert _bits(expression, matched) < 0.02


def test_the_pairs_are_independent_of_each_other(simulator):
    pooled = pd.concat(_sections(simulator(), "test", 60))
    for first in ("image_stroma", "expression_stroma"):
        for second in ("image_deposits", "expression_deposits"):
            assert _bits(pooled[first], pooled[second]) < 0.02


@pytest.mark.parametrize("regions", [6, 10, 13, 22, 27])
def test_all_regions_occur_and_image_and_expression_distinguish_different_ones(simulator, regions):
    config = simulator(regions=regions, units={"test": (40, 40)})
    latent = states.sample(config, "test", states.stream(config, "a"))
    label = states.labels(latent, config, "test")["region"]
    assert label.nunique() == regions
    shared, image, expression = (latent[f"{prefix}_region"] for prefix in ("shared", *MODALITIES))
    assert _bits(image, expression) < 1e-3
    assert _bits(3 * shared + image, label) > _bits(shared, label) + 0.9
    if regions > 6:
        assert _bits(3 * shared + expression, label) > _bits(shared, label) + 0.3


def test_states_of_one_modality_are_independent_of_those_of_the_other_without_synergy(simulator):
    config = simulator(synergy=False)
    pooled = pd.concat(_sections(config, "test", 60))
    for image in ("image_nuclei", "image_stroma", "image_deposits"):
        for expression in ("expression_programme", "expression_stroma", "expression_deposits"):
            assert _bits(pooled[image], pooled[expression]) < 0.02


@pytest.mark.parametrize("role", ROLES)
def test_without_synergy_a_niche_says_what_single_states_say(simulator, role):
    config = simulator(synergy=False)
    latent = states.sample(config, role, states.stream(config, role))
    labels = states.labels(latent, config, role)
    upper = latent >= 2
    np.testing.assert_array_equal(labels["niche"] == "outer", upper["image_stroma"])
    np.testing.assert_array_equal(labels["matched_niche"] == "outer", upper["expression_stroma"])
    mixed = labels["mixed_niche"].str.split("_", expand=True)
    np.testing.assert_array_equal(mixed[0] == "outer", upper["image_deposits"])
    np.testing.assert_array_equal(mixed[1] == "high", upper["expression_deposits"])
    visible = states.visible(config)
    assert visible["niche"] == {"image": ["image_stroma"], "expression": []}
    assert visible["matched_niche"] == {"image": [], "expression": ["expression_stroma"]}


@pytest.mark.parametrize("synergy", [True, False])
def test_no_task_repeats_another(simulator, synergy):
    config = simulator(synergy=synergy, units={"test": (40, 40)})
    (latent,) = _sections(config, "test", 1)
    labels = states.labels(latent, config, "test").assign(cell_type=latent["shared_type"])
    for task, label in labels.items():
        entropy = _bits(label, label)
        for other in set(labels) - {task}:
            assert _bits(label, labels[other]) < 0.2 * entropy, (task, other)


@pytest.mark.parametrize("synergy", [True, False])
def test_every_label_is_a_function_of_the_states_that_its_task_names(simulator, synergy):
    config = simulator(synergy=synergy)
    latent = pd.concat(_sections(config, "test", 5), ignore_index=True)
    labels = states.labels(latent, config, "test")
    labels["cell_type"] = latent["shared_type"]
    for task, visible in states.visible(config).items():
        names = sorted({*visible["image"], *visible["expression"]})
        combined = latent[names].astype(str).agg("".join, axis=1)
        assert len(set(zip(combined, labels[task], strict=True))) == combined.nunique(), task


def test_a_role_without_a_section_size_is_named_with_the_remedy(simulator):
    with pytest.raises(ConfigError, match=r"source.units has no 'study'; add"):
        states.sample(simulator(), "study", np.random.default_rng(0))
