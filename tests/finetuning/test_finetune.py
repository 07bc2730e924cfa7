"""A fine-tuned expert is scored like every method; test donors do not influence it."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file
from scipy.special import softmax

from cell_synergy.downstream.evaluate import COLUMNS, evaluate
from cell_synergy.finetuning.adapters import AdaptedExpert, load
from cell_synergy.finetuning.finetune import finetune, with_frozen_embedding
from cell_synergy.finetuning.tuning import Finetuner
from tests.finetuning import small

QUICK = {"rounds": 1, "steps": 2}


@pytest.fixture
def expert(units):
    return small.nicheformer(np.asarray(units.X.todense()))


@pytest.fixture
def tuned(expert, units, make_dataset, probe, tmp_path):
    """Fine-tune on the task `region`, or on others, in the first folds."""

    def run(*tasks, paired=None, expert=expert, work="work", folds=1, units=units, **changes):
        dataset, settings = make_dataset(), small.settings(**{**QUICK, **changes})
        frozen = paired or with_frozen_embedding(expert, units, dataset, settings)
        frozen = replace(frozen, folds=frozen.folds[:folds])
        selected = {name: dataset.tasks[name] for name in tasks or ["region"]}
        return finetune(expert, frozen, selected, settings, probe, tmp_path / work)

    return run


@pytest.fixture
def paired(expert, units, make_dataset):
    frozen = with_frozen_embedding(expert, units, make_dataset(), small.settings())
    return replace(frozen, folds=frozen.folds[:1])


def test_the_table_is_that_of_all_methods(tuned, paired, make_dataset, probe):
    evaluated = tuned(*make_dataset().tasks, rounds=1)
    scores = evaluated.scores
    assert list(scores.columns) == COLUMNS
    assert set(scores.method) == {"tiny lora"}
    assert set(scores.probe) == {"fine-tuned"}
    assert set(scores.dataset) == {"tiny"}
    assert set(evaluated.posteriors) == {"region/A", "region/A/probe"}
    expected = evaluate(
        "x", paired, make_dataset().tasks, [0], lambda *_: paired.expression, probe
    ).scores
    linear = expected[(expected.probe == "linear") & (expected.task != "donor")]
    key = ["task", "metric", "fold", "donor", "seed", "n", "classes"]
    pd.testing.assert_frame_equal(
        scores[key].sort_values(key, ignore_index=True),
        linear[key].sort_values(key, ignore_index=True),
    )


def test_the_head_alone_scores_as_the_linear_probe(tuned, paired, make_dataset, probe):
    scores = tuned("region", "composition", how="linear", seeds=3).scores
    assert set(scores.method) == {"tiny linear"}
    assert set(scores.seed) == {0}  # nothing is drawn
    tasks = {name: make_dataset().tasks[name] for name in ("region", "composition")}
    judged = evaluate("x", paired, tasks, [0], lambda *_: paired.expression, probe).scores
    linear = judged[(judged.probe == "linear") & judged.metric.isin(["macro_f1", "r2"])]
    finetuned = scores[scores.metric.isin(["macro_f1", "r2"])]
    np.testing.assert_allclose(
        finetuned["value"], linear[linear.task != "donor"]["value"], atol=0.05
    )


def test_every_seed_is_scored_and_posteriors_are_those_of_the_first(tuned):
    both = tuned(seeds=2)
    assert set(both.scores.seed) == {0, 1}
    first = tuned(seeds=1)
    assert (both.posteriors["region/A"] == first.posteriors["region/A"]).all()


@pytest.mark.parametrize("how", ["lora", "last", "linear"])
def test_the_saved_head_and_parameters_give_the_same_predictions(
    how, tuned, expert, paired, tmp_path
):
    tuned("region", how=how, rounds=2)
    folder = tmp_path / "work/region-A-0"
    summary = json.loads((folder / "answer.json").read_text())
    head, test = load_file(folder / "head.safetensors"), np.flatnonzero(paired.folds[0].test)
    with torch.no_grad():
        x = expert.features(load(folder, expert), expert.batch(test, None)).numpy()
    z = (x - head["mean"]) * head["factor"]
    shares = softmax(z @ head["coefficients"] + head["intercept"], axis=1)
    np.testing.assert_allclose(shares, np.load(folder / "predicted.npy"), atol=1e-5)
    assert summary["classes"] == ["core", "edge", "rim"]
    assert summary["task"] == "region"


def test_equal_inputs_give_equal_bytes(tuned, tmp_path):
    for work in ("one", "two"):
        tuned("gene_panel", work=work)
    one, two = (
        {str(p.relative_to(tmp_path / w)): p.read_bytes() for p in (tmp_path / w).rglob("*.*")}
        for w in ("one", "two")
    )
    assert one == two
    assert "gene_panel-A-0/adapter_model.safetensors" in one


@pytest.mark.parametrize("how", ["lora", "linear"])
def test_test_donors_have_no_influence_on_training(how, tuned, units, tmp_path):
    test = (units.obs["donor"] == "A").to_numpy()
    other = units.copy()
    counts = np.asarray(other.X.todense())
    counts[test] = counts[test][:, ::-1]
    other.X = type(units.X)(counts)
    codes = other.obs["region"].cat.codes.to_numpy().copy()
    codes[test] = 0
    other.obs["region"] = pd.Categorical.from_codes(codes, units.obs["region"].cat.categories)
    tuned("region", how=how, work="one")
    tuned("region", how=how, work="two", units=other, expert=small.nicheformer(counts))
    one, two = (tmp_path / work / "region-A-0" for work in ("one", "two"))
    for path in one.iterdir():
        same = path.read_bytes() == (two / path.name).read_bytes()
        assert same == (path.name != "predicted.npy")


def test_a_subset_of_the_training_observations_is_scored_on_the_same_donors(tuned, paired):
    """The scaling study needs fewer training rows with the same test rows."""
    (fold,) = paired.folds
    some = np.arange(len(fold.align)) % 3 == 0
    part = replace(fold, align=fold.align & some, probe=fold.probe & some)
    whole = tuned(paired=paired).scores
    fewer = tuned(paired=replace(paired, folds=[part]), work="part").scores
    key = ["task", "metric", "donor", "n"]
    assert (whole[key] == fewer[key]).all(axis=None)
    assert (whole["value"] != fewer["value"]).any()


def test_fits_that_were_complete_before_a_kill_are_not_repeated(tuned, monkeypatch, tmp_path):
    expected = tuned("region", "composition", work="whole").scores
    runs, run = [], Finetuner.run

    def counted(self):
        runs.append(self)
        if len(runs) == 2:
            raise KeyboardInterrupt
        return run(self)

    monkeypatch.setattr(Finetuner, "run", counted)
    with pytest.raises(KeyboardInterrupt):
        tuned("region", "composition")
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["region-A-0"]
    pd.testing.assert_frame_equal(tuned("region", "composition").scores, expected)
    assert len(runs) == 3  # one that was completed, one that was killed, and the latter again


def test_transductive_scaling_is_named(tuned, paired):
    scores = tuned(paired=replace(paired, mode="donor")).scores
    assert set(scores.probe) == {"fine-tuned, transductive"}


def test_finetuning_leaves_the_expert_unchanged(tuned, expert):
    before = {name: array.clone() for name, array in expert.network.state_dict().items()}
    tuned()
    after = expert.network.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert AdaptedExpert(expert, small.settings()).names
