"""Alignment of a data set: one file per fold and seed, whole or absent, blind to test donors."""

import sys
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

from cell_synergy.core.config import parse, read_section
from cell_synergy.core.errors import ConfigError, DataError
from cell_synergy.downstream.method_scores import TrainedMethod
from cell_synergy.finetuning.align import AlignConfig, align
from cell_synergy.finetuning.run_alignment import _training
from cell_synergy.training import loop, weights
from cell_synergy.training.fit_key import fit_key
from cell_synergy.training.method import FitSpec, Pairs


@pytest.fixture
def run(load, paired, training, tmp_path):
    """Align with two seeds, 5 and 6; return the folder."""

    def aligned(name, out="out", paired=paired, axes=6):
        folder, curves = tmp_path / out, tmp_path / f"{out}-curves"
        settings = AlignConfig(axes=axes, seed=5, seeds=2, held=0.1)
        align("tiny", load(name), paired, training, settings, folder, curves)
        return folder

    return aligned


def content(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_trained_method_has_weights_and_a_curve_per_fold_and_seed(run, tmp_path):
    folder = run("simclr")
    names = [f"{fold}-{seed}" for fold in "AB" for seed in (5, 6)]
    assert sorted(path.stem for path in folder.glob("*.safetensors")) == names
    assert len(list(folder.iterdir())) == len(names)
    for part in ("train", "validation"):
        curves = tmp_path / "out-curves" / part
        assert sorted(path.stem for path in curves.iterdir()) == names
        for name in names:
            header, *rows = (curves / f"{name}.tsv").read_text().split("\n")[:-1]
            assert header.split("\t") == ["step", name]
            assert [row.split("\t")[0] for row in rows] == list("01234")


def test_a_method_without_randomness_is_fitted_once_per_fold(run):
    folder = run("cca")
    assert sorted(path.name for path in folder.iterdir()) == ["A-5.safetensors", "B-5.safetensors"]


def test_a_seeded_method_without_training_has_no_curves(run, tmp_path):
    assert len(list(run("random").iterdir())) == 4
    assert not list((tmp_path / "out-curves").iterdir())


@pytest.mark.parametrize("name", ["simclr", "cca", "random"])
def test_a_second_alignment_has_the_same_bytes(name, run):
    assert content(run(name)) == content(run(name, "again"))


def test_a_new_alignment_replaces_the_old_one_whole(run, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "stray").write_text("old")
    assert not (run("cca") / "stray").exists()


@pytest.mark.parametrize("mode", ["train", "donor"])
@pytest.mark.parametrize("name", ["simclr", "cca"])
def test_test_donors_never_influence_the_weights(name, mode, run, paired):
    fold = replace(paired, folds=paired.folds[:1], mode=mode)
    image, expression = fold.image.copy(), fold.expression.copy()
    image[fold.folds[0].test] = 100
    expression[fold.folds[0].test] *= -3
    expected = content(run(name, paired=fold))
    assert content(run(name, "changed", replace(fold, image=image, expression=expression))) == (
        expected
    )
    image[fold.folds[0].align] += np.random.default_rng(0).standard_normal((60, 12))
    assert content(run(name, "other", replace(fold, image=image))) != expected


def test_each_fold_has_its_own_weights(run, paired):
    folder = run("cca")
    inputs = paired.input_text(6)
    first, second = (weights.load(folder, fold, 5, inputs) for fold in "AB")
    assert (first["image"] != second["image"]).any()


@pytest.mark.parametrize(("axes", "widths"), [(6, (6, 6)), (11, (11, 10)), ("none", (12, 10))])
def test_a_method_is_fitted_on_the_axes_of_each_expert_unless_it_takes_the_full_width(
    axes, widths, run, paired, load
):
    n_axes = None if axes == "none" else axes
    for name in ("cca", "concat_full", "concat"):
        method, folder = load(name), run(name, f"{name}-{axes}", axes=axes)
        trained = TrainedMethod(method, folder, paired, n_axes)
        blocks = trained.embed(paired.folds[0], 5)
        expected = {"cca": (8,), "concat": widths, "concat_full": (12, 10)}[name]
        assert tuple(block.shape[1] for block in blocks) == expected


@pytest.mark.parametrize(("fitted", "given"), [(6, None), (6, 5), ("none", 6), ("none", 12)])
@pytest.mark.parametrize("name", ["cca", "simclr", "random", "concat"])
def test_weights_of_other_axes_are_an_error_not_garbage(name, fitted, given, run, paired, load):
    folder = run(name, axes=fitted)
    match = r"A-5\.safetensors: fitted on .* \(align\.axes\) .*, not on .*; give the same"
    with pytest.raises(DataError, match=match):
        TrainedMethod(load(name), folder, paired, given).embed(paired.folds[0], 5)


def test_methods_of_full_width_have_the_same_weights_and_scores_with_any_axes(run, paired, load):
    files = content(run("image", axes=6)), content(run("image", "other", axes="none"))
    assert files[0] == files[1]
    trained = TrainedMethod(load("image"), run("image", axes=6), paired, None)
    (block,) = trained.embed(paired.folds[0], 5)
    np.testing.assert_array_equal(block, paired.standardised(paired.folds[0])[0])


def test_a_kill_leaves_nothing_and_the_next_run_continues(run, monkeypatch, tmp_path, scratch):
    expected = content(run("simclr"))
    per_epoch = 3 + 1  # training batches that 54 units give, and one of held rows
    draws, limit = [], float(per_epoch * 3)

    def counted(*args):
        draws.append(1)
        if len(draws) > limit:
            raise KeyboardInterrupt
        return augment(*args)

    augment = loop.augment
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_CHECKPOINTS", -1)
    monkeypatch.setattr(loop, "augment", counted)
    with pytest.raises(KeyboardInterrupt):
        run("simclr", "killed")
    assert {path.name for path in tmp_path.iterdir()} == {"out", "out-curves", "scratch"}
    assert len(list(scratch.iterdir())) == 1
    draws, limit = [], np.inf
    assert content(run("simclr", "killed")) == expected
    assert len(draws) == per_epoch * 2  # the epochs that were left
    assert not list(scratch.iterdir())


def test_a_kill_leaves_the_old_result_as_it_was(run, monkeypatch, tmp_path):
    expected = content(run("cca"))

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(weights, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        run("cca")
    assert content(tmp_path / "out") == expected
    assert {path.name for path in tmp_path.iterdir()} - {"scratch"} == {"out", "out-curves"}
    assert not list((tmp_path / "scratch").iterdir())


def test_the_checkpoint_changes_with_code_parameters_and_inputs(
    load, training, pairs, tmp_path, monkeypatch
):
    method, twin = load("simclr"), load("simclr")
    longer = training | {"max_epochs": 6}
    wider = method.model_copy(update={"hidden": 17})
    moved = Pairs(pairs.image + 1, pairs.expression, pairs.donor)
    other = Pairs(pairs.image, pairs.expression, pairs.donor[::-1])
    job = FitSpec("A-0", pairs, pairs, 0)
    key = fit_key(method, training, [job])
    assert fit_key(twin, dict(training), [job]) == key
    keys = [
        key,
        fit_key(method, longer, [job]),
        fit_key(wider, training, [job]),
        fit_key(method, training, [replace(job, pairs=moved)]),
        fit_key(method, training, [replace(job, pairs=other)]),
        fit_key(method, training, [replace(job, validation=other)]),
        fit_key(method, training, [replace(job, name="A-1", seed=1)]),
    ]
    module = ModuleType("cell_synergy.added")
    module.__file__ = str(tmp_path / "added.py")
    monkeypatch.setitem(sys.modules, "cell_synergy.added", module)
    for text in ("one = 1", "one = 2"):
        (tmp_path / "added.py").write_text(text)
        keys.append(fit_key(method, training, [job]))
    assert len(set(keys)) == 9


@pytest.mark.parametrize(
    ("word", "told"),
    [
        (
            "training.max_epoch=3",
            "training.max_epoch: unknown .*did you mean 'max_epochs'",
        ),
        ("training.max_epochs=many", "training.max_epochs: Input should be a valid integer"),
        ("training.noise_std=.inf", "training.noise_std: Input should be a finite number"),
        ("training=3", "training=3 is a single value"),
    ],
)
def test_words_of_training_are_checked_also_for_a_method_without_steps(word, told):
    with pytest.raises(ConfigError, match=told):
        _training(parse([word])["training"])
    assert _training({}) == read_section("training")
    assert _training(parse(["training.max_epochs=3"])["training"])["max_epochs"] == "3"
