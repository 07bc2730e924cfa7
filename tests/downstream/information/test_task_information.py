"""Selection and order of the rows of every task, from the posteriors of all folds."""

import numpy as np
import pandas as pd
import pytest

from cell_synergy.core.errors import DataError
from cell_synergy.data.splits import folds
from cell_synergy.downstream.information.decompose import PAIR
from cell_synergy.downstream.information.task_information import information


@pytest.fixture
def case(units, make_dataset):
    """Posteriors that are nearly sure of the region (image), of nothing (expression), sure."""
    dataset = make_dataset()
    split = folds(units.obs, dataset)
    codes = units.obs["region"].cat.codes.to_numpy()

    def posterior(fold, sure):
        own = codes[fold.test]
        shares = np.full((len(own), 3), (1 - sure) / 2)
        shares[np.arange(len(own)), own] = sure
        return np.round(255 * shares).astype(np.uint8)

    sure = {"image": 0.8, "expression": 1 / 3, "concat": 0.999, "mine": 0.8}
    posteriors = {m: {f"region/{f.name}": posterior(f, p) for f in split} for m, p in sure.items()}
    groups = units.obs["donor"].astype(str).to_numpy()
    return units, groups, split, dataset.tasks, posteriors


def decomposed(case):
    units, groups, split, tasks, posteriors = case
    return information(units, groups, split, tasks, posteriors, 8)


def bits(table, method, quantity):
    own = table[(table["method"] == method) & (table["quantity"] == quantity)]
    return own["bits"].item()


def test_every_posterior_meets_the_labels_of_its_own_units(case):
    table = decomposed(case)
    assert set(table["task"]) == {"region"}
    assert bits(table, PAIR, "I_image") == pytest.approx(np.log2(3), abs=0.1)
    assert bits(table, PAIR, "I_expression") == pytest.approx(0, abs=0.02)
    assert bits(table, "mine", "I") == pytest.approx(bits(table, PAIR, "I_image"), abs=1e-9)
    assert (table["n_donors"] == 4).all()
    assert table["low"].isna().all()


def test_folds_in_another_order_change_nothing_and_swapped_posteriors_do(case):
    units, groups, split, tasks, posteriors = case
    first = decomposed(case)
    again = information(units, groups, split[::-1], tasks, posteriors, 8)
    np.testing.assert_allclose(first["bits"], again["bits"], atol=1e-9)
    wrong = dict(posteriors["image"])
    rolled = {key: np.roll(p, 1, axis=0) for key, p in wrong.items()}
    swapped = information(units, groups, split, tasks, posteriors | {"image": rolled}, 8)
    assert abs(bits(swapped, PAIR, "I_image") - bits(first, PAIR, "I_image")) > 0.1


def test_units_without_a_label_are_left_out(case):
    units, groups, split, tasks, posteriors = case
    partly = units.copy()
    partly.obs.loc[partly.obs_names[::5], "region"] = np.nan
    table = information(partly, groups, split, tasks, posteriors, 8)
    assert bits(table, PAIR, "I_image") > 1


def test_without_the_pair_it_says_what_to_probe(case):
    units, groups, split, tasks, posteriors = case
    del posteriors["concat"]
    with pytest.raises(DataError, match="no posteriors of 'concat': probe it too"):
        information(units, groups, split, tasks, posteriors, 8)


def test_without_a_classification_the_table_is_empty(case):
    units, groups, split, tasks, posteriors = case
    regressions = {name: t for name, t in tasks.items() if t.kind != "classification"}
    table = information(units, groups, split, regressions, posteriors, 8)
    assert table.empty
    assert list(table.columns) == list(decomposed(case).columns)


def test_blocks_of_several_donors_are_counted_as_donors(case):
    """Posteriors are the same; whichever group they stand in, donors are what counts."""
    units, groups, split, tasks, posteriors = case
    blocks = np.array([f"{donor}-block{i % 3}" for i, donor in enumerate(groups)])
    found = information(units, blocks, split, tasks, posteriors, 8)
    pd.testing.assert_frame_equal(found, decomposed(case))


def test_blocks_of_one_donor_stand_for_donors_and_are_one(case):
    units, groups, split, tasks, posteriors = case
    one = units.copy()
    one.obs["donor"] = pd.Categorical(["A"] * units.n_obs)
    found = information(one, groups, split, tasks, posteriors, 8)
    assert (found["n_donors"] == 1).all()
    assert set(found.loc[found["low"].isna(), "note"]) >= {"not testable: 1 donor, 5 needed"}
    np.testing.assert_allclose(found["bits"], decomposed(case)["bits"])


def test_one_test_donor_leaves_the_task_out_and_says_so(case, capsys):
    units, groups, split, tasks, posteriors = case
    assert information(units, groups, split[:1], tasks, posteriors, 8).empty
    message = "task 'region' left out: labelled test observations of 1 donors (sections, blocks)"
    assert message in capsys.readouterr().out


def test_a_remark_on_the_units_stands_in_the_table(case):
    units, groups, split, tasks, posteriors = case
    assert "remark" not in decomposed(case)
    remarked = units.copy()
    remarked.uns["remark"] = "one section"
    assert set(information(remarked, groups, split, tasks, posteriors, 8)["remark"]) == {
        "one section"
    }


def test_labels_of_one_class_or_of_one_donor_are_left_out_and_said(case, capsys):
    units, groups, split, tasks, posteriors = case
    one = units.copy()
    one.obs.loc[one.obs["region"] != one.obs["region"].iloc[0], "region"] = np.nan
    alone = units.copy()
    alone.obs.loc[groups != groups[0], "region"] = np.nan
    for changed, why in ((one, "of 1 classes"), (alone, "of 1 donors (sections, blocks)")):
        assert information(changed, groups, split, tasks, posteriors, 8).empty
        printed = capsys.readouterr().out
        assert "task 'region' left out: labelled test observations" in printed
        assert why in printed
