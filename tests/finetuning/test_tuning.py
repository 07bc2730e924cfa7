"""The loop: it starts at the linear probe, inner donors stop it, test donors never touch it."""

import numpy as np
import pytest
import torch

from cell_synergy.core.errors import ConfigError
from cell_synergy.data.embeddings import standardise
from cell_synergy.downstream.probes.linear import LinearProbe
from cell_synergy.downstream.probes.tasks import ask, goals
from cell_synergy.finetuning.adapters import Adapted
from cell_synergy.finetuning.finetune import seen_by
from cell_synergy.finetuning.tuning import Frozen, Tuning, _Copy
from tests.finetuning import small


@pytest.fixture
def expert(units):
    return small.nicheformer(np.asarray(units.X.todense()))


@pytest.fixture
def paired(expert, units, make_dataset):
    return seen_by(expert, units, make_dataset(), small.settings())


@pytest.fixture
def tune(expert, paired, make_dataset, probe):
    """Tune on one task of the first fold; returns what was found, and the question."""

    def tuned(task="region", paired=paired, seed=0, expert=expert, **changes):
        settings = small.settings(**changes)
        (goal,) = [g for g in goals(paired, make_dataset().tasks) if g.name == task]
        fold = paired.folds[0]
        question = ask(goal, fold, paired, probe.inner_folds)
        frozen = Frozen.of(paired.expression, fold.align, paired.groups, paired.mode)
        strength = LinearProbe(frozen.z, probe).choose(question).strength
        adapted = Adapted(expert, settings)
        tuning = Tuning(adapted, frozen, question, strength, probe, settings, seed)
        return tuning.run(), question, tuning

    return tuned


TASKS = ["region", "composition", "gene_panel"]


@pytest.mark.parametrize("mode", ["train", "donor"])
def test_frozen_features_are_standardised_as_everywhere(mode, paired):
    fold = paired.folds[0]
    frozen = Frozen.of(paired.expression, fold.align, paired.groups, mode)
    assert np.array_equal(frozen.z, standardise(paired.expression, fold.align, paired.groups, mode))
    mean, factor = frozen.mean[frozen.group], frozen.factor[frozen.group]
    np.testing.assert_allclose((paired.expression - mean) * factor, frozen.z, atol=1e-5)


@pytest.mark.parametrize("task", TASKS)
def test_the_head_alone_is_the_linear_probe(task, tune, probe):
    found, question, tuning = tune(task, how="linear")
    linear = LinearProbe(tuning.frozen.z, probe)
    expected = linear.answer(question, linear.choose(question))
    assert found.answer.chosen.strength == 0
    assert found.answer.iterations == 0
    assert found.tuned == {}
    # less the factor that inner folds chose
    ours, theirs = (
        np.log(a.predicted) - np.log(a.predicted).mean(axis=1, keepdims=True)
        if question.classes
        else a.predicted
        for a in (found.answer, expected)
    )
    correlation = np.corrcoef(ours.ravel(), theirs.ravel())[0, 1]
    assert correlation > 0.98


@pytest.mark.parametrize(
    ("task", "how"), [("region", "lora"), ("region", "last"), ("composition", "lora")]
)
def test_tuning_is_better_on_inner_folds_than_the_probe_it_starts_from(task, how, tune):
    before, *_ = tune(task, how="linear")
    after, *_ = tune(task, how=how)
    assert after.answer.chosen.strength > 0
    assert after.answer.iterations == 4 * after.answer.chosen.strength
    assert after.answer.chosen.inner > before.answer.chosen.inner + 0.01


def test_equal_inputs_give_equal_bytes_and_another_seed_others(tune):
    one, again, other = (tune(seed=seed)[0] for seed in (0, 0, 1))
    assert one.answer.predicted.tobytes() == again.answer.predicted.tobytes()
    assert all(torch.equal(one.tuned[name], again.tuned[name]) for name in one.tuned)
    assert one.answer.predicted.tobytes() != other.answer.predicted.tobytes()


def test_the_round_with_the_best_score_is_taken(tune, monkeypatch):
    looks = [(0.1, 1.0), (0.3, 0.5), (0.2, 1.0), (0.3, 1.0)]
    monkeypatch.setattr(Tuning, "_look", lambda _, copies: looks[copies[0].rounds])
    found, question, tuning = tune(rounds=3)
    assert found.answer.chosen.strength == 1  # of equal scores the earlier
    assert found.answer.chosen.inner == 0.3
    assert found.answer.chosen.sensitivity == pytest.approx(0.2)
    # the head of the answer is shrunk by that round's factor
    z = tuning.frozen.z[question.test]
    assert np.abs(found.coefficients).max() < np.abs(z).max()


@pytest.mark.parametrize(("held", "expected"), [(1, [1]), (40, [1]), (41, [1, 0]), (999, [1, 0])])
def test_inner_folds_are_left_out_until_enough_rows_choose_the_round(
    held, expected, tune, monkeypatch
):
    made = []
    start = _Copy.__init__

    def noted(self, tuning, number):
        made.append(number)
        start(self, tuning, number)

    monkeypatch.setattr(_Copy, "__init__", noted)
    tune(how="linear", held=held)
    assert made == [*expected, None]  # fold 1 is one donor, fold 0 two


@pytest.mark.parametrize(("steps", "batch", "expected"), [(4, 10, 4), (50, 20, 4), (50, 7, 12)])
def test_a_round_is_no_more_than_a_pass_over_the_rows(steps, batch, expected, tune, monkeypatch):
    seen = []
    loss = _Copy.loss

    def noted(self, rows, random):
        seen.append(rows)
        return loss(self, rows, random)

    monkeypatch.setattr(_Copy, "loss", noted)
    _, question, tuning = tune(how="linear", steps=steps, batch_size=batch)
    copy = _Copy(tuning, 1)
    copy.train()
    assert len(seen) == copy.steps == expected
    shown = np.concatenate(seen)
    assert len(np.unique(shown)) == len(shown) <= (question.inner != 1).sum()
    assert max(map(len, seen)) <= batch


def test_a_loss_that_is_not_finite_is_named(tune):
    with pytest.raises(ConfigError, match=r"the loss is .* lower finetune\.lora\.lr"):
        tune("composition", lora={"lr": 1e18})


def test_the_penalty_holds_the_head_where_features_stay(tune):
    """Without a change of features the head is at its optimum, and its gradient is zero."""
    _, _, tuning = tune(how="linear")
    copy = _Copy(tuning, None)
    rows = copy.fit.rows
    gradients = torch.autograd.grad(copy.loss(rows, np.random.default_rng(0)), copy.head)
    assert max(float(part.abs().max()) for part in gradients) < 1e-4
