import numpy as np
import pandas as pd
import pytest

from cell_synergy.core.errors import DataError
from cell_synergy.data.splits import folds, inner_folds, split_groups

ROLES = {"train": ["A", "B"], "probe": ["P"], "test": ["T"]}


def _obs(donors, sections=None):
    return pd.DataFrame(
        {"donor": pd.Categorical(donors), "section": pd.Categorical(sections or donors)},
        index=[f"u{i}" for i in range(len(donors))],
    )


def test_holdout_gives_each_role_its_part(dataset):
    (fold,) = folds(_obs(list("AABPPTT")), dataset(split="holdout", roles=ROLES))
    assert fold.name == "holdout"
    assert fold.align.tolist() == [True, True, True, False, False, False, False]
    assert fold.probe.tolist() == [True, True, True, True, True, False, False]
    assert fold.test.tolist() == [False] * 5 + [True] * 2


def test_holdout_tells_of_both_roles_that_lack_donors(dataset):
    with pytest.raises(DataError, match=r"'train' and found none.*; .*'test' and found none"):
        folds(_obs(list("PP")), dataset(split="holdout", roles=ROLES))


BLOCKS = {"split": {"kind": "leave-one-block-out", "blocks": 3, "gap_um": 60.0}}


def test_leave_one_block_out_tests_each_block_once_and_learns_from_all_others(dataset):
    obs = _obs(list("AAAAB"), ["S1", "S1", "S2", "S2", "S3"])
    obs["block"] = ["S1-block2", "S1-block3", "S2-block2", "S2-block2", "S3-block3"]
    settings = dataset(**BLOCKS)
    found = folds(obs, settings)
    assert [fold.name for fold in found] == ["S1-block2", "S1-block3", "S2-block2", "S3-block3"]
    assert found[2].test.tolist() == [False, False, True, True, False]
    assert found[2].align.tolist() == found[2].probe.tolist() == [True, True, False, False, True]
    assert split_groups(obs, settings).tolist() == obs["block"].tolist()


def test_a_single_block_is_refused(dataset):
    obs = _obs(list("AA")).assign(block="A-block2")
    with pytest.raises(DataError, match=r"two blocks .*found \['A-block2'\]: raise `blocks`"):
        folds(obs, dataset(**BLOCKS))


def test_pairs_of_another_split_have_no_blocks(dataset):
    with pytest.raises(DataError, match=r"no obs\['block'\]: .*another split .*make them again"):
        folds(_obs(list("AAB")), dataset(**BLOCKS))


@pytest.mark.parametrize(("donors", "role"), [("AAB", "test"), ("PTT", "train")])
def test_holdout_without_the_donors_that_it_needs_is_refused(dataset, donors, role):
    message = (
        rf"split 'holdout' needs observations of role '{role}' and found none: check `roles` .*\["
    )
    with pytest.raises(DataError, match=message):
        folds(_obs(list(donors)), dataset(split="holdout", roles=ROLES))


def test_holdout_without_probe_donors_fits_probes_on_those_of_alignment(dataset):
    (fold,) = folds(_obs(list("ATTB")), dataset(split="holdout", roles=ROLES))
    assert fold.probe.tolist() == fold.align.tolist() == [True, False, False, True]


def test_leave_one_donor_out_tests_each_donor_once(dataset):
    donors = np.array(list("BACBACA"))
    found = folds(_obs(donors), dataset(split="leave-one-donor-out"))
    assert [fold.name for fold in found] == ["A", "B", "C"]
    for fold in found:
        np.testing.assert_array_equal(fold.test, donors == fold.name)
        np.testing.assert_array_equal(fold.align, donors != fold.name)
        np.testing.assert_array_equal(fold.probe, fold.align)
    assert (np.sum([fold.test for fold in found], axis=0) == 1).all()


def test_leave_one_section_out_divides_by_section(dataset):
    obs = _obs(["A"] * 4, ["s2", "s1", "s2", "s1"])
    found = folds(obs, dataset(split="leave-one-section-out"))
    assert [fold.name for fold in found] == ["s1", "s2"]
    assert found[0].test.tolist() == [False, True, False, True]


def test_leaving_out_sections_where_donors_could_be_left_out_is_refused(dataset):
    obs = _obs(["A", "A", "B"], ["a1", "a2", "b1"])
    with pytest.raises(DataError, match=r"donor 'A', who has 2 sections, on both sides; use"):
        folds(obs, dataset(split="leave-one-section-out"))


@pytest.mark.parametrize("split", ["leave-one-donor-out", "leave-one-section-out", "holdout"])
def test_no_donor_or_section_is_on_both_sides(dataset, split):
    rng = np.random.default_rng(0)
    donors = rng.choice(list("ABPT"), 50)
    per_donor = 1 if split == "leave-one-section-out" else 3
    sections = [f"{d}{i}" for d, i in zip(donors, rng.integers(0, per_donor, 50), strict=True)]
    roles = ROLES if split == "holdout" else {"study": ["A", "B", "P", "T"]}
    settings = dataset(split=split, roles=roles)
    groups = _obs(donors, sections)[settings.group].to_numpy()
    for fold in folds(_obs(donors, sections), settings):
        assert fold.test.any()
        assert fold.align.any()
        assert not set(groups[fold.test]) & set(groups[fold.align | fold.probe])


@pytest.mark.parametrize(
    ("split", "what"), [("leave-one-donor-out", "donor"), ("leave-one-section-out", "section")]
)
def test_fewer_donors_than_the_split_needs_are_refused(dataset, split, what):
    message = rf"split '{split}' needs at least two {what}s to score \(an interval five donors\)"
    message += (
        r", and a reference, found \['A'\]: add tissue, or take `split: {kind: leave-one-block-out"
    )
    with pytest.raises(DataError, match=message):
        folds(_obs(["A"] * 3), dataset(split=split))


def test_inner_folds_keep_groups_whole_and_even():
    rng = np.random.default_rng(1)
    groups = rng.choice(list("ABCDEFG"), 300, p=[0.3, 0.2, 0.1, 0.1, 0.1, 0.1, 0.1])
    found = inner_folds(groups, rng.random((300, 2)), 3)
    assert set(found) == {0, 1, 2}
    for group in "ABCDEFG":
        assert len(set(found[groups == group])) == 1
    assert np.bincount(found).max() - np.bincount(found).min() < (groups == "A").sum()


def test_inner_folds_deal_the_largest_group_first_to_the_smallest_fold():
    groups = np.array(list("AAAAABBBBCCCDDE"))
    found = inner_folds(groups, np.zeros((15, 2)), 2)
    assert {g: int(found[groups == g][0]) for g in "ABCDE"} == {
        "A": 0,
        "B": 1,
        "C": 1,
        "D": 0,
        "E": 0,
    }


def test_inner_folds_do_not_depend_on_the_order_of_units():
    rng = np.random.default_rng(2)
    groups, spatial, order = rng.choice(list("ABCD"), 80), rng.random((80, 2)), rng.permutation(80)
    found = inner_folds(groups, spatial, 3)
    np.testing.assert_array_equal(inner_folds(groups[order], spatial[order], 3), found[order])


def test_fewer_groups_than_folds_give_one_fold_per_group():
    found = inner_folds(np.array(list("AABB")), np.zeros((4, 2)), 3)
    assert found.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("long", [0, 1])
def test_one_group_is_cut_into_blocks_along_its_longer_axis(long):
    rng = np.random.default_rng(3)
    spatial = rng.random((91, 2))
    spatial[:, long] *= 10
    found = inner_folds(np.full(91, "A"), spatial, 3)
    assert np.ptp(np.bincount(found)) <= 1
    place = spatial[:, long]
    assert place[found == 0].max() <= place[found == 1].min()
    assert place[found == 1].max() <= place[found == 2].min()
