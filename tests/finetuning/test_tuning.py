"""Fine-tuning on one task: it starts at the linear probe and is validated on inner donors."""

import numpy as np
import pytest
import torch
from scipy.special import softmax

from cell_synergy.core.errors import ConfigError, DataError
from cell_synergy.data import embeddings
from cell_synergy.data.embeddings import standardise
from cell_synergy.downstream.probes.linear import LinearProbe
from cell_synergy.downstream.probes.tasks import make_probe_task, task_targets
from cell_synergy.finetuning import tunable
from cell_synergy.finetuning.adapters import AdaptedExpert
from cell_synergy.finetuning.finetune import with_frozen_embedding
from cell_synergy.finetuning.frozen_features import FrozenFeatures
from cell_synergy.finetuning.tuning import Finetuner, _Trainer
from tests.finetuning import small


@pytest.fixture
def expert(units):
    return small.nicheformer(np.asarray(units.X.todense()))


@pytest.fixture
def paired(expert, units, make_dataset):
    return with_frozen_embedding(expert, units, make_dataset(), small.settings())


@pytest.fixture
def tune(expert, paired, make_dataset, probe):
    """Fine-tune on one task of the first fold; return the result, the task and the `Finetuner`."""

    def run(name="region", paired=paired, seed=0, expert=expert, **changes):
        settings = small.settings(**changes)
        (target,) = [t for t in task_targets(paired, make_dataset().tasks) if t.name == name]
        fold = paired.folds[0]
        task = make_probe_task(target, fold, paired, probe.inner_folds)
        frozen = FrozenFeatures.of(paired.expression, fold.align, paired.groups, paired.mode)
        penalty = LinearProbe(frozen.z, probe).select(task).penalty
        adapted = AdaptedExpert(expert, settings)
        tuning = Finetuner(adapted, frozen, task, penalty, probe, settings, seed)
        return tuning.run(), task, tuning

    return run


def test_the_frozen_embedding_has_to_be_of_the_expert_that_is_tuned(expert, units, tmp_path):
    path, x = tmp_path / "tiny.h5ad", np.ones((units.n_obs, 16), dtype=np.float32)
    embeddings.write(path, x, units.obs_names, {"encoder": "tiny", "sha256": expert.sha256})
    assert np.array_equal(tunable.read_embedding(path, expert, units), x)
    embeddings.write(path, x, units.obs_names, {"encoder": "tiny", "sha256": "b" * 64})
    with pytest.raises(DataError, match=r"by tiny with other weights than those of tiny; embed"):
        tunable.read_embedding(path, expert, units)


TASKS = ["region", "composition", "gene_panel"]


@pytest.mark.parametrize("mode", ["train", "donor"])
def test_frozen_features_are_standardised_as_everywhere(mode, paired):
    fold = paired.folds[0]
    frozen = FrozenFeatures.of(paired.expression, fold.align, paired.groups, mode)
    assert np.array_equal(frozen.z, standardise(paired.expression, fold.align, paired.groups, mode))
    mean, factor = frozen.mean[frozen.group], frozen.factor[frozen.group]
    np.testing.assert_allclose((paired.expression - mean) * factor, frozen.z, atol=1e-5)


@pytest.mark.parametrize("name", TASKS)
def test_the_head_alone_is_the_linear_probe(name, tune, probe):
    result, task, tuning = tune(name, how="linear")
    linear = LinearProbe(tuning.frozen.z, probe)
    expected = linear.predict(task, linear.select(task))
    assert result.prediction.selection.penalty == 0
    validated = np.isfinite(result.prediction.selection.cv_predicted).all(axis=1)
    left_out = np.isin(task.cv_folds, tuning._validation_folds())
    np.testing.assert_array_equal(validated, left_out)
    assert result.prediction.iterations == 0
    assert result.params == {}
    # up to the shrinkage factor that inner folds select
    ours, theirs = (
        np.log(a.predicted) - np.log(a.predicted).mean(axis=1, keepdims=True)
        if task.classes
        else a.predicted
        for a in (result.prediction, expected)
    )
    correlation = np.corrcoef(ours.ravel(), theirs.ravel())[0, 1]
    assert correlation > 0.98


@pytest.mark.parametrize(
    ("name", "how"), [("region", "lora"), ("region", "last"), ("composition", "lora")]
)
def test_finetuning_is_better_on_inner_folds_than_the_probe_at_its_start(name, how, tune):
    before, *_ = tune(name, how="linear")
    after, *_ = tune(name, how=how)
    assert after.prediction.selection.penalty > 0
    assert after.prediction.iterations == 4 * after.prediction.selection.penalty
    assert after.prediction.selection.cv_score > before.prediction.selection.cv_score + 0.01


@pytest.mark.parametrize("how", ["last", "linear"])
def test_features_of_all_observations_are_those_that_predictions_are_made_from(how, tune):
    result, task, tuning = tune(how=how)
    assert result.features is None
    again = tuning.run(with_features=True)
    assert again.features.shape == tuning.frozen.z.shape
    logits = again.features[task.test] @ again.coefficients + again.intercept
    np.testing.assert_allclose(softmax(logits, axis=1), result.prediction.predicted, atol=1e-5)
    assert np.array_equal(again.features, tuning.frozen.z) == (how == "linear")


def test_equal_inputs_give_equal_bytes_and_another_seed_others(tune):
    one, again, other = (tune(seed=seed)[0] for seed in (0, 0, 1))
    assert one.prediction.predicted.tobytes() == again.prediction.predicted.tobytes()
    assert all(torch.equal(one.params[name], again.params[name]) for name in one.params)
    assert one.prediction.predicted.tobytes() != other.prediction.predicted.tobytes()


def test_the_round_with_the_best_score_is_taken(tune, monkeypatch):
    validations = [(0.1, 1.0), (0.3, 0.5), (0.2, 1.0), (0.3, 1.0)]

    def validate(tuning, trainers):
        rounds = trainers[0].rounds
        return *validations[rounds], np.full((len(tuning.task.train), 1), float(rounds))

    monkeypatch.setattr(Finetuner, "_validate", validate)
    result, task, tuning = tune(rounds=3)
    assert result.prediction.selection.penalty == 1  # of equal scores the earlier
    assert result.prediction.selection.cv_score == 0.3
    assert result.prediction.selection.sensitivity == pytest.approx(0.2)
    assert (result.prediction.selection.cv_predicted == 1).all()
    # the head is shrunk by the factor of that round
    z = tuning.frozen.z[task.test]
    assert np.abs(result.coefficients).max() < np.abs(z).max()


@pytest.mark.parametrize(("held", "expected"), [(1, [1]), (40, [1]), (41, [1, 0]), (999, [1, 0])])
def test_inner_folds_are_held_out_until_they_have_enough_rows(held, expected, tune, monkeypatch):
    made = []
    start = _Trainer.__init__

    def recorded(self, tuning, inner_fold):
        made.append(inner_fold)
        start(self, tuning, inner_fold)

    monkeypatch.setattr(_Trainer, "__init__", recorded)
    tune(how="linear", held=held)
    assert made == [*expected, None]  # fold 1 is one donor, fold 0 two


@pytest.mark.parametrize(("steps", "batch", "expected"), [(4, 10, 4), (50, 20, 4), (50, 7, 12)])
def test_a_round_is_no_more_than_a_pass_over_the_rows(steps, batch, expected, tune, monkeypatch):
    batches = []
    loss = _Trainer.loss

    def recorded(self, batch, rng):
        batches.append(batch)
        return loss(self, batch, rng)

    monkeypatch.setattr(_Trainer, "loss", recorded)
    _, task, tuning = tune(how="linear", steps=steps, batch_size=batch)
    trainer = _Trainer(tuning, 1)
    trainer.train()
    assert len(batches) == trainer.steps == expected
    rows = np.concatenate(batches)
    assert len(np.unique(rows)) == len(rows) <= (task.cv_folds != 1).sum()
    assert max(map(len, batches)) <= batch


def test_a_loss_that_is_not_finite_is_named(tune):
    with pytest.raises(ConfigError, match=r"the loss is .* lower finetune\.lora\.lr"):
        tune("composition", lora={"lr": 1e18})


def test_the_penalty_holds_the_head_where_features_stay(tune):
    """Without a change of features the head is at its optimum, and its gradient is zero."""
    _, _, tuning = tune(how="linear")
    trainer = _Trainer(tuning, None)
    rows = trainer.fit.rows
    gradients = torch.autograd.grad(trainer.loss(rows, np.random.default_rng(0)), trainer.head)
    assert max(float(part.abs().max()) for part in gradients) < 1e-4
