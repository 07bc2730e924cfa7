"""A method learns from what was drawn: test donors change nothing, fewer pairs take equal steps."""

import os
import signal
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest

from cell_synergy.core.resume.part_store import PartStore
from cell_synergy.finetuning.align import AlignConfig, align
from cell_synergy.studies.scaling import ALL_LABELS, DRAWN_LABELS, EXPERT
from cell_synergy.studies.scaling.subsampled_method import FitConfig, SubsampledMethod, scale
from cell_synergy.studies.scaling.subset_evaluator import COLUMNS, table
from cell_synergy.studies.scaling.subsets import subsets
from cell_synergy.training import weights
from cell_synergy.training.loop import _Loop

FIT = FitConfig(axes=4, seed=3, held=0.1)


@pytest.fixture
def arm(load, paired, training, tmp_path):
    """Return a method as an arm of the study."""

    def made(name="simclr", paired=paired, draws=2):
        return SubsampledMethod(load(name), paired, training, FIT, draws, tmp_path)

    return made


@pytest.fixture
def scores(arm, dataset, probe, settings, tmp_path):
    def made(name="simclr", arm=arm, known=None, **changes):
        own, known = arm(name), known or PartStore(Path(mkdtemp(dir=tmp_path)))
        rows = scale(name, own, dataset, probe, settings(**changes), known)
        return table(list(rows), own.paired.adata, "small")

    return made


def learnt(arm, fold, some):
    """Return seeds and weights of all parts."""
    return [found for subset in some for found in arm.fit(fold, subset)]


@pytest.mark.parametrize("name", ["simclr", "cca"])
def test_test_donors_change_nothing_that_is_learnt(name, arm, paired, fold, settings):
    poisoned = {}
    for side in ("image", "expression"):
        x = getattr(paired, side).copy()
        x[fold.test] = 1e3 * np.random.default_rng(5).standard_normal(x[fold.test].shape)
        poisoned[side] = x
    other = replace(paired, **poisoned)
    some = list(subsets(paired, fold, settings()))[2:]
    one, two = (learnt(arm(name, paired=own), fold, some) for own in (paired, other))
    assert len(one) == 4 + (2 if name == "simclr" else 1)
    for (_, clean), (_, dirty) in zip(one, two, strict=True):
        assert all(clean[key].tobytes() == dirty[key].tobytes() for key in clean)


def test_only_drawn_pairs_are_learnt_from(arm, paired, fold, settings):
    some = [subset for subset in subsets(paired, fold, settings()) if subset.fraction == 25]
    other = replace(paired, image=paired.image.copy())
    other.image[~some[0].drawn.align] += 7
    one, two = (learnt(arm(paired=own), fold, some) for own in (paired, other))
    same = [
        all(clean[key].tobytes() == changed[key].tobytes() for key in clean)
        for (_, clean), (_, changed) in zip(one, two, strict=True)
    ]
    assert same == [True, False]  # the other draw has pairs that were changed


def test_all_pairs_are_fitted_as_the_stage_align_fits_them(
    arm, load, paired, fold, settings, training, tmp_path
):
    *_, whole = subsets(paired, fold, settings())
    own = arm(draws=1)
    ((seed, fitted),) = own.fit(fold, whole)
    folder, config = tmp_path / "align", AlignConfig(axes=4, seed=seed, seeds=1, held=FIT.held)
    align("tiny", load("simclr"), paired, training, config, folder, tmp_path / "curves")
    expected = weights.load(folder, fold.name, seed, paired.input_text(4))  # in half precision
    assert expected.keys() == fitted.keys()
    assert all(np.array_equal(fitted[key].astype(np.float16), expected[key]) for key in expected)
    (block,) = own.embed(whole, fitted)
    np.testing.assert_array_equal(block, own._method.transform(fitted, *paired.inputs(fold, 4)))


def test_principal_axes_are_fitted_to_the_drawn_pairs(arm, paired, fold, settings):
    some = next(s for s in subsets(paired, fold, settings()) if s.fraction == 25)
    rng = np.random.default_rng(5)
    other = replace(paired, image=paired.image.copy())
    other.image[~some.drawn.align] = rng.standard_normal(other.image[~some.drawn.align].shape)
    one, two = (arm("concat", paired=own).embed(some, {}) for own in (paired, other))
    assert [block.shape[1] for block in one] == [4, 4]
    drawn = some.drawn.align
    np.testing.assert_array_equal(one[0][drawn], two[0][drawn])
    (whole, _) = paired.inputs(fold, 4)
    assert np.abs(np.abs(one[0]) - np.abs(whole)).max() > 0.1


@pytest.mark.parametrize(("name", "seeds"), [("simclr", [3, 4, 5]), ("cca", [3])])
def test_all_pairs_are_fitted_once_for_every_draw_if_the_seed_matters(
    name, seeds, arm, paired, fold, settings
):
    *_, whole = subsets(paired, fold, settings(draws=3))
    fits = learnt(arm(name, draws=3), fold, [whole])
    assert [seed for seed, _ in fits] == seeds
    assert len({b"".join(w[key].tobytes() for key in sorted(w)) for _, w in fits}) == len(seeds)


def test_every_fraction_takes_the_same_steps(arm, paired, fold, settings, training):
    taken = {}
    own = arm()

    class Recorder:
        def fit(self, specs, context):
            taken[len(specs[0].pairs.donor)] = context.training
            return [{}] * len(specs)

    own._method = Recorder()
    learnt(own, fold, subsets(paired, fold, settings()))
    assert max(taken) == 72
    assert len(taken) > 2
    whole = training["max_epochs"] * (72 // training["batch_size"])
    for rows, given in taken.items():
        assert given["batch_size"] <= rows
        steps = given["max_epochs"] * (rows // given["batch_size"])
        assert whole <= steps < whole + rows // given["batch_size"]


def test_the_table_has_every_fraction_and_says_what_was_left_out(scores):
    found = scores()
    assert list(found.columns) == COLUMNS
    assert set(found[EXPERT]) == {"small"}
    left = found[found["note"] != ""]
    assert set(left["note"]) == {"4 pairs, 10 needed"}
    assert set(left["fraction"]) == {5}
    assert left["value"].isna().all()
    known = found[found["note"] == ""]
    assert set(known["donor"]) == {"D"}
    assert set(known["metric"]) == {"macro_f1", "balanced_accuracy", "bits"}
    draws = known.groupby(["fraction", "labels"])[["draw", "seed"]].nunique().max(axis=1)
    assert draws.to_dict() == {
        (25, DRAWN_LABELS): 2, (50, DRAWN_LABELS): 2, (100, DRAWN_LABELS): 2,
        (25, ALL_LABELS): 1, (50, ALL_LABELS): 1, (100, ALL_LABELS): 2,
    }  # fmt: skip
    labelled = known.groupby(["fraction", "labels"])["labelled"].unique().map(tuple).to_dict()
    assert labelled[25, DRAWN_LABELS] == (30,)
    assert labelled[25, ALL_LABELS] == labelled[100, DRAWN_LABELS] == (120,)


def test_labels_of_other_units_are_no_secret_help(scores, arm, paired, relabel, fold, settings):
    """With the labels drawn, all other labels may be wrong and nothing changes."""
    some = [p for p in subsets(paired, fold, settings()) if (p.fraction, p.draw) == (25, 0)]
    codes = paired.adata.obs["region"].cat.codes.to_numpy().copy()
    hidden = ~some[0].drawn.probe & ~fold.test
    codes[hidden] = (codes[hidden] + 1) % 3
    lied = replace(paired, adata=relabel(codes))
    one = scores("concat")
    two = scores("concat", arm=lambda name: replace_tissue(arm(name), lied))
    place = (one["fraction"] == 25) & (one["draw"] == 0)
    for labels, same in ((DRAWN_LABELS, True), (ALL_LABELS, False)):
        mine, other = (t.loc[place & (t["labels"] == labels), "value"] for t in (one, two))
        assert np.array_equal(mine, other) is same


def replace_tissue(arm, paired):
    arm.paired = paired
    return arm


def test_the_first_draw_is_read_with_all_labels(scores):
    found = scores("concat")
    every = found[(found["labels"] == ALL_LABELS) & (found["note"] == "")]
    assert set(every["draw"]) == {0}
    assert set(every["fraction"]) == {25, 50, 100}


def test_what_was_scored_before_a_kill_is_not_learnt_again(scores, tmp_path, monkeypatch):
    expected = scores().to_csv()
    fit = SubsampledMethod._fit
    fitted: list[str] = []

    def counted(self, job, whole):
        if len(fitted) == 3:
            raise KeyboardInterrupt
        fitted.append(job.name)
        return fit(self, job, whole)

    monkeypatch.setattr(SubsampledMethod, "_fit", counted)
    (tmp_path / "kept").mkdir()
    with pytest.raises(KeyboardInterrupt):
        scores(known=PartStore(tmp_path / "kept"))
    assert fitted == ["holdout-0", "holdout-1", "holdout-0"]
    fitted.clear()
    assert scores(known=PartStore(tmp_path / "kept")).to_csv() == expected
    assert fitted == ["holdout-1", "holdout-0", "holdout-1"]  # half of the pairs, then all


def test_a_part_that_is_interrupted_continues_from_its_checkpoint(
    arm, paired, fold, settings, monkeypatch
):
    subset = next(subset for subset in subsets(paired, fold, settings()) if subset.fraction == 50)
    ((_, expected),) = arm().fit(fold, subset)
    epoch = _Loop._epoch
    done: list[int] = []

    def counted(self, number):
        if number == 3 and not done.count(3):
            os.kill(os.getpid(), signal.SIGINT)
        done.append(number)
        return epoch(self, number)

    monkeypatch.setattr(_Loop, "_epoch", counted)
    with pytest.raises(KeyboardInterrupt):
        list(arm().fit(fold, subset))
    ((_, again),) = arm().fit(fold, subset)
    assert done == list(range(len(done)))
    assert all(again[key].tobytes() == expected[key].tobytes() for key in expected)


def test_too_few_labels_leave_a_task_out(scores):
    found = scores("concat", labels=31)
    assert "30 labelled units, 31 needed" in set(found["note"])
    assert set(found.loc[found["note"] == "", "fraction"]) == {25, 50, 100}  # with all labels
