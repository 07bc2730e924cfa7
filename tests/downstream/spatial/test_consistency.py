import numpy as np
import pytest
from scipy.spatial.distance import pdist
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

from cell_synergy.data.embeddings import standardise
from cell_synergy.downstream.spatial.config import ConsistencyConfig
from cell_synergy.downstream.spatial.consistency import (
    PairTask,
    pair_features,
    pair_scores,
    sample_pairs,
)
from cell_synergy.downstream.spatial.graph import nearest_neighbours

SETTINGS = ConsistencyConfig(nearest=5, farthest=0.8, pairs=30)


@pytest.fixture
def places():
    """Two sections of 60 units."""
    return np.random.default_rng(0).uniform(0, 1000, (120, 2)), np.repeat(["a", "b"], 60)


def test_pairs_are_balanced_close_or_far_and_of_one_section(places):
    spatial, section = places
    pairs = sample_pairs(spatial, section, SETTINGS, 0)
    assert (section[pairs.first] == section[pairs.second]).all()
    for name in "ab":
        own = np.flatnonzero(section == name)
        of = section[pairs.first] == name
        assert pairs.close[of].sum() == (~pairs.close[of]).sum() == 30
        near = own[nearest_neighbours(spatial[own], 5)[1]]
        for i, j in zip(pairs.first[of & pairs.close], pairs.second[of & pairs.close], strict=True):
            assert j in near[i - own[0]]
        far = of & ~pairs.close
        apart = np.linalg.norm(spatial[pairs.first[far]] - spatial[pairs.second[far]], axis=1)
        assert apart.min() > np.quantile(pdist(spatial[own]), 0.785)
        assert apart.min() < np.quantile(pdist(spatial[own]), 0.9)


def test_pairs_do_not_depend_on_other_sections(places):
    spatial, section = places
    both, alone = (
        sample_pairs(spatial, section, SETTINGS, 0),
        sample_pairs(spatial[60:], section[60:], SETTINGS, 0),
    )
    own = section[both.first] == "b"
    assert np.array_equal(both.first[own] - 60, alone.first)
    assert np.array_equal(both.second[own] - 60, alone.second)
    other = sample_pairs(spatial[60:], section[60:], SETTINGS, 1)
    assert not np.array_equal(alone.first, other.first)


def test_a_section_with_too_few_units_has_no_pairs(places):
    spatial, section = places
    assert len(sample_pairs(spatial[:19], section[:19], SETTINGS, 0).first) == 0
    assert len(sample_pairs(spatial[:20], section[:20], SETTINGS, 0).first) == 60


def test_features_say_the_same_of_a_pair_in_either_order(places):
    spatial, section = places
    pairs = sample_pairs(spatial, section, SETTINGS, 0)
    turned = type(pairs)(pairs.second, pairs.first, pairs.close)
    z = np.random.default_rng(1).standard_normal((120, 3)).astype(np.float32)
    seen = pair_features(z, pairs)
    assert np.array_equal(seen, pair_features(z, turned))
    assert seen[0, 0] == z[pairs.first[0], 0] * z[pairs.second[0], 0]
    assert seen[0, 3] == abs(z[pairs.first[0], 0] - z[pairs.second[0], 0])


def test_scores_are_those_of_scikit_learn():
    random = np.random.default_rng(2)
    close = random.random(80) < 0.5
    probability = np.round(random.random(80) * 0.7 + 0.3 * close, 1)  # with ties
    found = pair_scores(close, probability)
    assert found["f1"] == pytest.approx(f1_score(close, probability > 0.5))
    assert found["accuracy"] == pytest.approx(accuracy_score(close, probability > 0.5))
    assert found["roc_auc"] == pytest.approx(roc_auc_score(close, probability))


@pytest.fixture
def asked(units, make_tissue, make_dataset, probe):
    """Score a representation of the tiny data set's units on pairs of one unseen donor."""

    def ask(z, settings=SETTINGS):
        paired = make_tissue(units, make_dataset())
        section = units.obs["section"].astype(str).to_numpy()
        pairs = sample_pairs(units.obsm["spatial"], section, settings, 0)
        fold = paired.folds[0]
        probe_task = PairTask(pairs, paired, fold, probe)
        z = standardise(z.astype(np.float32), fold.align, paired.groups, "train")
        return {row["metric"]: row for row in probe_task.scores(z, {})}

    return ask


def test_a_representation_of_the_place_is_consistent_and_noise_is_not(asked, units):
    place = units.obsm["spatial"]
    waves = np.concatenate([np.sin(place / 300), np.cos(place / 300)], axis=1)
    known = asked(waves)
    assert known["roc_auc"]["value"] > 0.9
    assert known["accuracy"]["n"] == 60
    noise = np.random.default_rng(3).standard_normal((len(place), 8))
    assert 0.25 < asked(noise)["roc_auc"]["value"] < 0.75


def test_without_pairs_nothing_is_asked(asked, units):
    assert asked(units.obsm["spatial"], ConsistencyConfig(nearest=11, farthest=0.8, pairs=30)) == {}
