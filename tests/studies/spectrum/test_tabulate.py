"""The table of one data set, and the stage that writes it."""

import re
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from cell_synergy import models
from cell_synergy.core.errors import DataError
from cell_synergy.data import embeddings
from cell_synergy.data.splits import folds
from cell_synergy.studies.spectrum import tabulate as table
from cell_synergy.studies.spectrum.ceiling_scores import ceiling_scores
from cell_synergy.studies.spectrum.config import SpectrumConfig
from cell_synergy.studies.spectrum.correlations import CentredPairs
from cell_synergy.training import weights
from stages.spectrum import Args, main
from tests import labelled

from .conftest import PARAMS, SETTINGS

METHODS = ["concat", "image", "expression"]


@pytest.fixture(scope="module")
def embed(paired):
    def embedded(method, fold, _):
        image, expression = paired.standardised(fold)
        both = np.concatenate([image, expression], axis=1)
        return {"image": image, "expression": expression}.get(method, both)

    return embedded


@pytest.fixture(scope="module")
def scores(paired, dataset, probe, embed):
    """Scores of the methods, with linear probes."""
    result = [
        ceiling_scores(paired, dataset.tasks, partial(embed, name), probe).assign(method=name)
        for name in METHODS
    ]
    return pd.concat(result)


@pytest.fixture(scope="module")
def tabulate(paired, dataset, probe, embed, scores):
    """Tabulate, with some settings changed."""

    def tabulated(**changed):
        settings = SpectrumConfig(**SETTINGS | changed)
        seeds = {name: [0] for name in METHODS}
        return table.tabulate(paired, dataset.tasks, seeds, embed, scores, settings, probe, 0.1)

    return tabulated


@pytest.fixture(scope="module")
def result(tabulate):
    return tabulate()


def picked(result, quantity, **where):
    rows = result[result["quantity"] == quantity]
    for column, wanted in where.items():
        rows = rows[rows[column] == wanted]
    return rows


def test_rows_have_the_columns_and_unique_keys(result):
    assert list(result.columns) == table.COLUMNS
    assert not result.duplicated(table.COLUMNS[:10]).any()
    assert set(result["dataset"]) == {"tiny"}


def test_fractions_are_of_the_training_pairs_and_of_every_donor(result):
    freedom = picked(result, "freedom", space="axes", pairs="own").set_index("fraction")["value"]
    assert freedom.to_dict() == {5: 3 * 4 - 4, 50: 27 * 4 - 4, 100: 54 * 4 - 4}


def test_quantities_without_an_estimate_say_so_and_the_rest_is_there(result):
    rows = picked(result, "ceiling_corrected")
    few = rows["fraction"] == 5
    assert rows.loc[few, "value"].isna().all()
    assert set(rows.loc[few, "note"]) == {"not estimable: p + q >= n"}
    assert rows.loc[~few, "value"].notna().all()
    raw = picked(result, "ceiling")
    assert (raw["value"] > 0.2).all()


def test_shuffled_pairs_have_no_corrected_ceiling_and_own_pairs_have_that_of_two_latents(result):
    whole = picked(result, "ceiling_corrected", fraction=100).set_index(["space", "pairs"])["value"]
    assert (whole.xs("shuffled", level="pairs") == 0).all()
    assert whole["axes", "own"] == pytest.approx(2 * 0.955**2, abs=0.1)
    assert (picked(result, "directions", fraction=100, pairs="own")["value"] == 2).all()
    held = picked(result, "ceiling_held_out", fraction=100, pairs="own", space="axes").iloc[0]
    assert held["low"] < held["value"] < held["high"]
    assert held["value"] == pytest.approx(2 * 0.955**2, abs=0.15)
    assert held["n_donors"] == 5


def test_ranks_are_listed_for_own_pairs(result):
    own = {"fraction": 100, "space": "axes"}
    sample, left, noise, held = (
        picked(result, name, **own).sort_values("rank")
        for name in ("correlation", "corrected", "shuffled", "held_out")
    )
    for rows in (sample, left, noise, held):
        assert rows["rank"].tolist() == [1, 2, 3, 4]
        assert set(rows["pairs"]) == {"own"}
    assert (left["value"].to_numpy() <= sample["value"].to_numpy()).all()
    assert (left["value"].to_numpy()[2:] == 0).all()
    assert noise["value"].max() < sample["value"].iloc[1]


def test_methods_keep_what_they_see(result):
    kept = result[result["seed"] == "all"].pivot_table(
        index="method", columns="quantity", values="value"
    )
    assert kept.loc["concat"].min() > 0.95
    assert kept.loc["image", "unique_expression"] < 0.1
    one = result[result["seed"] == "0"].set_index(["method", "quantity"])["value"]
    assert one["concat", "shared"] == pytest.approx(kept.loc["concat", "shared"])


def test_the_ceiling_reads_what_is_shared_and_nothing_else(result):
    top = picked(result, "score", method="ceiling", metric="macro_f1").set_index("task")["value"]
    assert top["both"] > 0.9
    assert top["image_only"] < 0.65
    over = picked(result, "over_ceiling", metric="macro_f1").set_index(["method", "task"])[
        "verdict"
    ]
    assert over["concat", "image_only"] == "above"
    assert over["expression", "image_only"] == "at"


def test_a_second_run_is_the_same_and_another_seed_is_not(tabulate, result):
    pd.testing.assert_frame_equal(tabulate(), result)
    other = picked(tabulate(seed=1), "ceiling", fraction=50)["value"].to_numpy()
    assert not np.allclose(other, picked(result, "ceiling", fraction=50)["value"])


def test_larger_fractions_hold_the_smaller_ones(paired):
    order = np.random.default_rng(0).permutation(np.flatnonzero(paired.folds[0].align))
    small, large = (
        set(table._nested_subset(order, paired.donor, f).tolist()) for f in (10.0, 50.0)
    )
    assert small < large
    assert len(large) == len(order) / 2
    few = table._nested_subset(order, paired.donor, 1e-4)
    assert np.unique(paired.donor[few], return_counts=True)[1].tolist() == [2, 2, 2, 2]


def test_test_donors_change_nothing_that_is_learnt(paired, settings):
    fold = paired.folds[0]
    train = np.flatnonzero(fold.align)
    poisoned = paired.image.copy()
    poisoned[fold.test] = 1e6
    learnt = []
    for image in (paired.image, poisoned):
        every = CentredPairs.of(image, paired.expression, paired.donor)
        learnt.append(table.shared(every.subset(train), settings, fold))
    np.testing.assert_array_equal(learnt[0].image, learnt[1].image)


def test_too_many_axes_for_the_pairs_are_refused(paired):
    fold = paired.folds[0]
    every = CentredPairs.of(paired.image, paired.expression, paired.donor)
    few = every.subset(np.flatnonzero(fold.align)[::12])
    with pytest.raises(DataError, match=r"20 training pairs .* set spectrum\.axes lower"):
        table.shared(few, SpectrumConfig(**SETTINGS), fold)


def test_where_pairs_are_too_few_there_are_spectra_and_no_shares(
    paired, dataset, probe, embed, capsys
):
    fold = paired.folds[0]
    few = np.zeros(len(paired.donor), dtype=bool)
    few[np.flatnonzero(fold.align)[::12]] = True
    small = replace(paired, folds=[replace(fold, align=few, probe=few)])
    settings = SpectrumConfig(**SETTINGS | {"fractions": [100]})
    empty = pd.DataFrame(columns=["task", "metric", "probe", "method", "value"])
    result = table.tabulate(
        small, dataset.tasks, {"concat": [0]}, embed, empty, settings, probe, 0.0
    )
    assert list(result.columns) == table.COLUMNS
    assert "20 training pairs are too few for 8 + 8 axes" in capsys.readouterr().out
    assert {"ceiling", "correlation", "held_out"} <= set(result["quantity"])
    assert not {"shared", "unique_image", "over_ceiling", "score"} & set(result["quantity"])
    assert set(picked(result, "ceiling_corrected")["note"]) == {"not estimable: p + q >= n"}


def test_without_a_task_there_are_spectra_and_shares(paired, probe, embed, scores):
    settings = SpectrumConfig(**SETTINGS | {"fractions": [100]})
    none = scores.iloc[:0]
    result = table.tabulate(paired, {}, {"concat": [0]}, embed, none, settings, probe, 0.1)
    assert list(result.columns) == table.COLUMNS
    kept = picked(result, "shared", seed="all").set_index("method")["value"]
    assert kept["concat"] > 0.95
    assert not {"over_ceiling", "score"} & set(result["quantity"])


def test_four_donors_held_out_in_turn_have_numbers_and_no_intervals(paired, dataset, probe):
    """Each donor is a fold of its own; what is said is a mean over folds."""
    rows = np.flatnonzero(np.isin(paired.donor, list("ABCD")))
    roles = {"study": ("A", "B", "C", "D")}
    split = {"kind": "leave-one-donor-out"}
    turned = dataset.model_validate(dataset.model_dump() | {"split": split, "roles": roles})
    adata = paired.adata[rows].copy()
    few = replace(
        paired, adata=adata, image=paired.image[rows], expression=paired.expression[rows],
        groups=paired.donor[rows], donor=paired.donor[rows], folds=folds(adata.obs, turned),
        mode="donor",
    )  # fmt: skip

    def embed(_, fold, __):
        return np.concatenate(few.standardised(fold), axis=1)

    tasks = {"both": dataset.tasks["both"]}
    both = ceiling_scores(few, tasks, partial(embed, "concat"), probe)
    both = both.assign(method="concat", probe="linear, transductive")
    settings = SpectrumConfig(**SETTINGS | {"fractions": [100], "permutations": 5})
    seeds = {"concat": [0]}
    result = table.tabulate(few, tasks, seeds, embed, both, settings, probe, 0.1)
    assert not result.duplicated(table.COLUMNS[:10]).any()
    assert result["low"].isna().all()
    assert set(result["verdict"].dropna()) == {""}
    held = picked(result, "held_out", fraction=100, space="axes")
    assert (held["n_donors"] == 4).all()
    assert set(held["note"]) == {"not testable: 4 donors, 5 needed"}
    assert held["value"].iloc[0] > 0.9


@pytest.fixture
def args(tmp_path, monkeypatch, paired, dataset, scores):
    """A folder with all that the stage reads."""
    blocks = {name: PARAMS["models"][name] for name in METHODS}
    params = PARAMS | {"models": blocks, "spectrum": SETTINGS, "datasets": ["tiny"]}
    data = {"tiny": dataset.model_dump(exclude_none=True, mode="json")}
    with (tmp_path / "params.yaml").open("w") as file:
        YAML().dump(params | {"data": data}, file)
    monkeypatch.chdir(tmp_path)
    units = paired.adata.copy()
    labelled.write(tmp_path, "tiny", units, data["tiny"]["tasks"])
    for name in ("image", "expression"):
        x = getattr(paired, name)
        embeddings.write(tmp_path / f"{name}.h5ad", x, units.obs_names, {})
    for name in METHODS:
        (tmp_path / "weights" / name).mkdir(parents=True)
        inputs = paired.input_text(models.load(name, blocks[name]).input_axes(64))
        weights.save(tmp_path / "weights" / name, "holdout-0", {"none": np.zeros(1)}, inputs)
    (tmp_path / "scores/tiny").mkdir(parents=True)
    for name, rows in scores.groupby("method"):
        rows.to_csv(tmp_path / f"scores/tiny/{name}.csv", index=False)
    names = (
        "pairs/tiny.h5ad",
        "labels/tiny.h5ad",
        "image.h5ad",
        "expression.h5ad",
        "weights",
        "scores",
        "out.csv",
    )
    return Args(dataset="tiny", **{re.split("[./]", n)[0]: tmp_path / n for n in names})


def test_the_stage_writes_the_same_bytes_twice(args):
    main(args)
    first = args.out.read_bytes()
    args.out.unlink()
    main(args)
    assert args.out.read_bytes() == first
    written = pd.read_csv(args.out)
    assert list(written.columns) == table.COLUMNS
    assert written["quantity"].notna().all()
    assert set(written["method"].dropna()) == {*METHODS, "ceiling"}
