"""Selection and order of the rows of every task, from the posteriors of all folds."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from cell_synergy.core.errors import DataError
from cell_synergy.data.config import ClassificationTask
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.splits import Fold, folds
from cell_synergy.downstream.evaluate import (
    FoldEvaluator,
    baseline_representations,
    standardised_blocks,
)
from cell_synergy.downstream.information.decompose import InformationConfig
from cell_synergy.downstream.information.held_out import PAIR
from cell_synergy.downstream.information.task_information import information
from cell_synergy.downstream.probes.tasks import task_targets


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
    posteriors = {
        method: {f"region/{fold.name}": posterior(fold, p) for fold in split}
        | {f"region/{fold.name}/probe": np.array("linear") for fold in split}
        for method, p in sure.items()
    }
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
    assert bits(table, PAIR, "I_image") == pytest.approx(np.log2(0.8 * 3), abs=0.02)
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
    rolled = {key: np.roll(p, 1, axis=0) if p.ndim else p for key, p in wrong.items()}
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


def test_rows_name_the_probes_of_all_folds(case):
    units, groups, split, tasks, posteriors = case
    posteriors["mine"]["region/A/probe"] = np.array("mlp")
    table = information(units, groups, split, tasks, posteriors, 8)
    assert set(table.loc[table["method"] == "mine", "probe"]) == {"linear / mlp"}
    pair = table[table["method"] == PAIR].set_index("quantity")["probe"]
    assert pair["I_image"] == pair["I_joint"] == "linear"
    assert pair["S"] == pair["H"] == ""
    del posteriors["mine"]["region/A/probe"]
    with pytest.raises(DataError, match=r"of 'mine' have no 'region/A/probe'.* probe it"):
        information(units, groups, split, tasks, posteriors, 8)


def test_test_rows_of_a_class_without_training_rows_are_left_out(case):
    """As in the metric bits: a class of one donor alone, which its own fold has never seen."""
    units, groups, split, tasks, posteriors = case
    changed = units.copy()
    regions = changed.obs["region"].to_numpy().astype(object)
    own = np.flatnonzero(groups == "A")[:5]
    regions[own] = "unseen"
    changed.obs["region"] = pd.Categorical(regions)
    wider = {
        name: {key: np.pad(p, ((0, 0), (0, 1))) if p.ndim else p for key, p in by_fold.items()}
        for name, by_fold in posteriors.items()
    }
    found = information(changed, groups, split, tasks, wider, 8)
    dropped = changed.copy()
    dropped.obs["region"] = pd.Categorical(np.where(regions == "unseen", np.nan, regions))
    expected = information(dropped, groups, split, tasks, posteriors, 8)
    assert bits(found, PAIR, "I_image") == pytest.approx(bits(expected, PAIR, "I_image"), abs=0.05)


@pytest.fixture
def cohort():
    """Six donors of different label shares, held out in turn; three features show the label."""
    rng = np.random.default_rng(0)
    donor = np.repeat(list("ABCDEF"), 150)
    shares = rng.dirichlet(np.ones(3), size=6)
    y = (rng.uniform(size=(900, 1)) > shares.cumsum(axis=1)[np.repeat(range(6), 150)]).sum(axis=1)
    obs = pd.DataFrame({"donor": donor, "section": donor}, index=[f"u{i}" for i in range(900)])
    obs["region"] = pd.Categorical(np.array(["core", "edge", "rim"])[y])
    adata = ad.AnnData(np.zeros((900, 0), dtype=np.float32), obs=obs)
    adata.obsm["spatial"] = np.column_stack([np.arange(900.0), np.zeros(900)])
    adata.uns["source"] = "cohort"
    image, expression = (
        (np.eye(3)[y] + spread * rng.standard_normal((900, 3))).astype(np.float32)
        for spread in (0.6, 1.0)
    )
    split = [Fold(name, donor != name, donor != name, donor == name) for name in "ABCDEF"]
    return PairedDataset(adata, image, expression, donor, donor, split, "train")


def test_bits_of_one_probe_are_those_of_the_score_table(cohort, probe):
    """Of the linear probe, although donors differ in their label shares."""
    tasks = {"region": ClassificationTask(kind="classification")}
    rows: list[dict[str, object]] = []
    posteriors: dict[str, dict[str, np.ndarray]] = {}
    for name, represent in baseline_representations(cohort).items():
        posteriors[name] = {}
        for fold in cohort.folds:
            evaluator = FoldEvaluator(cohort, task_targets(cohort, tasks), fold, probe)
            blocks = standardised_blocks(name, represent(fold, 0), cohort, fold, 0)
            predictions = {"linear": evaluator.linear(blocks, {}, donor=False)}
            rows += [row | {"method": name} for row in evaluator.scores(predictions)]
            posteriors[name] |= evaluator.posteriors(predictions)
    of_bits = pd.DataFrame(rows).query("metric == 'bits'")
    scores = of_bits.groupby("method")["value"].mean()
    table = information(cohort.adata, cohort.groups, cohort.folds, tasks, posteriors, 12)
    for method, quantity in (("image", "I_image"), ("expression", "I_expression")):
        assert bits(table, PAIR, quantity) == pytest.approx(scores[method], abs=0.01)
    assert bits(table, "concat", "I") == pytest.approx(scores["concat"], abs=0.01)
    assert scores["image"] - scores["expression"] > 0.1
    assert bits(table, PAIR, "H") == pytest.approx(of_bits["entropy"].mean())
    assert set(table.loc[table["probe"] != "", "probe"]) == {"linear"}


def test_h_is_the_log_loss_of_the_training_shares(cohort):
    """The mean over donors, each by the shares of the others: the bits of what is always right."""
    tasks = {"region": ClassificationTask(kind="classification")}
    codes = cohort.adata.obs["region"].cat.codes.to_numpy()
    right = {}
    for fold in cohort.folds:
        right[f"region/{fold.name}"] = (255 * np.eye(3)[codes[fold.test]]).astype(np.uint8)
        right[f"region/{fold.name}/probe"] = np.array("linear")
    posteriors = dict.fromkeys(("image", "expression", "concat"), right)
    table = information(cohort.adata, cohort.groups, cohort.folds, tasks, posteriors, 12)
    losses = []
    for fold in cohort.folds:
        shares = np.bincount(codes[fold.probe]) / fold.probe.sum()
        losses.append(-np.log2(shares[codes[fold.test]]).mean())
    assert bits(table, PAIR, "H") == pytest.approx(np.mean(losses))
    assert bits(table, PAIR, "R") == pytest.approx(np.mean(losses), abs=0.01)
    assert bits(table, PAIR, "S") == pytest.approx(0, abs=0.01)


def test_labels_of_one_class_or_of_one_donor_are_left_out_and_said(case, capsys):
    units, groups, split, tasks, posteriors = case
    one = units.copy()
    one.obs.loc[one.obs["region"] != one.obs["region"].iloc[0], "region"] = np.nan
    alone = units.copy()  # no fold that tests this donor has a labelled training row
    alone.obs.loc[groups != groups[0], "region"] = np.nan
    for changed, why in ((one, "of 1 classes"), (alone, "of 0 classes")):
        assert information(changed, groups, split, tasks, posteriors, 8).empty
        printed = capsys.readouterr().out
        assert "task 'region' left out: labelled test observations" in printed
        assert why in printed


def test_a_single_cluster_is_refused():
    with pytest.raises(ValueError, match="cells"):
        InformationConfig(cells=1)
