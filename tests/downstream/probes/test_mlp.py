"""The nonlinear probe on data whose best score is known."""

import numpy as np
import pytest

from cell_synergy.core.errors import ConfigError, DataError
from cell_synergy.downstream.probes import metrics, mlp
from cell_synergy.downstream.probes._mlp_training import Training
from cell_synergy.downstream.probes.config import MLPConfig
from cell_synergy.downstream.probes.design import Design
from cell_synergy.downstream.probes.tasks import ProbeTask

SETTINGS = MLPConfig(
    starts=3, hidden=16, axes=16, powers=8, epochs=12, batches=6, lr=0.02,
    weakest=0.1, strongest=3.0, strengths=2,
)  # fmt: skip
UNITS, TRAIN, TEST = 900, np.arange(600), np.arange(600, 900)
INNER = TRAIN % 3


def ask(y, train=TRAIN, inner=INNER, test=TEST):
    """Build the task to predict classes (integers) or values."""
    if y.dtype.kind == "f":
        return ProbeTask(train, inner, test, np.zeros(0, dtype=np.int64), y[train])
    present, codes = np.unique(y[train], return_inverse=True)
    return ProbeTask(train, inner, test, present, codes)


def answer(blocks, *probe_tasks, late=False, seed=0, **changed):
    settings = SETTINGS.model_copy(update=changed)
    return mlp.predict(blocks, list(probe_tasks), settings, seed, late=late)


def accuracy(found, y):
    return (found.predicted.argmax(axis=1) == y[TEST]).mean()


@pytest.fixture(scope="module")
def blocks():
    rng = np.random.default_rng(0)
    return [rng.standard_normal((UNITS, d)).astype(np.float32) for d in (6, 5)]


@pytest.fixture(scope="module")
def xor(blocks):
    return ((blocks[0][:, 0] > 0) ^ (blocks[1][:, 0] > 0)).astype(np.int64)


@pytest.fixture(scope="module")
def others(blocks):
    """Tasks of other kinds: three classes, and two values."""
    x1, x2 = blocks
    return (x1[:, 0] > 0.5).astype(np.int64) + (x1[:, 0] > -0.5), (x1[:, :2] + x2[:, :2]) * [1, 50]


def clear(blocks):
    """Move the first feature of each block away from zero, so that its sign is plain to see."""
    moved = [block.copy() for block in blocks]
    for block in moved:
        block[:, 0] += 1.5 * np.sign(block[:, 0])
    return moved


def test_only_a_joint_probe_learns_xor(blocks, xor):
    (joint,) = answer(clear(blocks), ask(xor))
    (late,) = answer(clear(blocks), ask(xor), late=True)
    x = np.concatenate(clear(blocks), axis=1)
    (linear,) = Design.of(x[TRAIN]).logistic(xor[TRAIN], 2, [0.01], 1e-4, 200)
    assert accuracy(joint, xor) > 0.95
    assert 0.4 < accuracy(late, xor) < 0.6
    assert 0.4 < (linear.probabilities(x[TEST]).argmax(axis=1) == xor[TEST]).mean() < 0.6


def test_a_probe_of_one_block_learns_what_both_tell_together(blocks, xor):
    (found,) = answer([np.concatenate(clear(blocks), axis=1)], ask(xor))
    assert accuracy(found, xor) > 0.95


def test_late_fusion_adds_what_both_blocks_tell(blocks):
    y = (blocks[0][:, 0] + blocks[1][:, 0] > 0).astype(np.int64)
    late, alone = (answer(parts, ask(y), late=True)[0] for parts in (blocks, blocks[:1]))
    assert accuracy(late, y) > 0.93
    assert accuracy(alone, y) < 0.8


def test_xor_hidden_among_many_features_is_found_from_few_rows():
    """Weights that start at random are at chance here."""
    rng = np.random.default_rng(1)
    parts = clear([rng.standard_normal((UNITS, 40)).astype(np.float32) for _ in range(2)])
    y = ((parts[0][:, 0] > 0) ^ (parts[1][:, 0] > 0)).astype(np.int64)
    (found,) = answer(parts, ask(y), axes=40)
    assert accuracy(found, y) > 0.85


def test_a_linear_regression_is_recovered_in_the_target_s_units(blocks):
    rng = np.random.default_rng(2)
    x = blocks[0].astype(float)
    y = x @ rng.standard_normal((6, 2)) * [1, 1000] + [5, -3000]
    (found,) = answer(blocks[:1], ask(y), epochs=30)
    error = ((found.predicted - y[TEST]) ** 2).mean(axis=0) / y[TEST].var(axis=0)
    assert (error < 0.03).all()
    assert found.selection.cv_score == pytest.approx(1 - error.mean(), abs=0.02)


def test_equal_inputs_give_equal_bytes_and_seeds_differ(blocks, xor, others):
    probe_tasks = ask(xor), *map(ask, others)
    once, again, other = (
        [found.predicted.tobytes() for found in answer(blocks, *probe_tasks, seed=seed, epochs=2)]
        for seed in (0, 0, 1)
    )
    assert once == again
    assert all(a != b for a, b in zip(once, other, strict=True))


@pytest.mark.parametrize("late", [False, True])
def test_an_answer_does_not_depend_on_what_else_is_asked(blocks, xor, others, late):
    few = np.arange(0, 600, 4)  # fewer rows than the other tasks, and axes of their own
    classes, values = others
    rare = np.arange(UNITS) % 9
    asked = [ask(values), ask(xor), ask(classes, few, few % 3), ask(rare)]
    together = answer(blocks, *asked, late=late, epochs=3)
    for probe_task, beside in zip(asked, together, strict=True):
        (alone,) = answer(blocks, probe_task, late=late, epochs=3)
        np.testing.assert_allclose(beside.predicted, alone.predicted, rtol=1e-3, atol=1e-3)
        assert beside.selection.cv_score == pytest.approx(alone.selection.cv_score, abs=1e-3)


def test_inner_folds_are_left_out():
    """Features name the donor, and its label is chance: who has seen the donor knows it."""
    rng = np.random.default_rng(3)
    donor = rng.integers(0, 30, UNITS)
    told = np.eye(30)[donor].astype(np.float32)
    y = rng.integers(0, 2, 30)[donor]
    (strange,) = answer([told], ask(y, inner=donor[TRAIN] % 3), axes=30)
    (known,) = answer([told], ask(y, inner=INNER), axes=30)
    assert strange.selection.cv_score < np.log(0.5) + 0.02
    assert known.selection.cv_score > np.log(0.5) + 0.3
    assert strange.predicted.max(axis=1).mean() < 0.75  # shrunk, as strange donors ask for
    assert known.predicted.max(axis=1).mean() > 0.9


def test_noise_is_answered_with_the_prior(blocks):
    y = (np.random.default_rng(4).random(UNITS) < 0.3).astype(np.int64)
    (found,) = answer(blocks, ask(y))
    share = y[TRAIN].mean()
    assert abs(found.predicted[:, 1] - share).mean() < 0.05
    assert found.selection.cv_score == pytest.approx(
        share * np.log(share) + (1 - share) * np.log(1 - share), abs=0.005
    )


def test_few_rows_of_noise_tell_nothing():
    """Held-out bits of two embeddings that know nothing, with 120 labelled rows."""
    bits = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        parts = [rng.standard_normal((UNITS, d)).astype(np.float32) for d in (60, 20)]
        y = rng.integers(0, 2, UNITS)
        (found,) = answer(parts, ask(y, np.arange(120), np.arange(120) % 3), axes=60)
        prior = np.bincount(y[:120]) / 120
        bits.append(metrics.classification(y[TEST], found.predicted, prior)["bits"])
    assert -0.04 < np.mean(bits) < 0.002
    assert np.median(bits) > -0.01


def test_without_information_and_with_equal_shares_both_classes_are_guessed(blocks):
    """A factor of exactly 0 would predict the first class everywhere, by a tie."""
    for seed in range(6):
        y = np.random.default_rng(seed).permutation(np.arange(UNITS) % 2)
        y[TRAIN] = np.random.default_rng(seed).permutation(np.arange(len(TRAIN)) % 2)
        (found,) = answer(blocks, ask(y))
        assert 0.1 < found.predicted.argmax(axis=1).mean() < 0.9


@pytest.mark.parametrize("late", [False, True])
def test_noise_of_a_rounding_error_s_size_moves_no_prediction(blocks, xor, others, late):
    """Features are isotropic: their principal axes, and these axes' signs, are arbitrary."""
    rng = np.random.default_rng(5)
    wide = rng.standard_normal((UNITS, 700)).astype(np.float32)  # more features than rows
    classes, values = others
    asked = [ask(xor), ask(classes), ask(values / values.std(axis=0))]
    for parts in (blocks, [blocks[0], wide]):
        tiny = [(1e-6 * rng.standard_normal(part.shape)).astype(np.float32) for part in parts]
        moved = [part + noise for part, noise in zip(parts, tiny, strict=True)]
        before, after = (answer(x, *asked, late=late) for x in (parts, moved))
        for a, b in zip(before, after, strict=True):
            np.testing.assert_allclose(a.predicted, b.predicted, atol=0.02)
            assert a.selection.cv_score == pytest.approx(b.selection.cv_score, abs=1e-3)


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("collapsed", ["dead", "constant"])
def test_a_start_that_collapsed_does_not_decide(monkeypatch, blocks, collapsed, late):
    """The first start has no living hidden unit, or predicts one class whatever the features."""
    intact = Training._initial_weights
    y = (blocks[0][:, 0] + blocks[1][:, 0] > 0).astype(np.int64)
    (without,) = answer(clear(blocks), ask(y), late=late)

    def broken(self):
        weights = intact(self)
        layer, value = (1, -1e4) if collapsed == "dead" else (3, 1e4)
        first = weights[layer][:, :: self.settings.starts]  # of every weight decay
        (first if collapsed == "dead" else first[:, :, 1])[:] = value
        return weights

    monkeypatch.setattr(Training, "_initial_weights", broken)
    (found,) = answer(clear(blocks), ask(y), late=late)
    assert accuracy(found, y) > 0.93
    np.testing.assert_allclose(found.predicted, without.predicted, atol=0.1)
    (alone,) = answer(clear(blocks), ask(y), late=late, starts=1)  # nothing but a collapsed start
    assert accuracy(alone, y) < 0.6


def test_held_out_predictions_of_training_rows_have_the_score_of_selection(blocks, others):
    classes, values = others
    first, second = answer(blocks, ask(classes), ask(values))
    likelihood = first.selection.cv_predicted[np.arange(600), classes[TRAIN]]
    assert np.log(likelihood).mean() == pytest.approx(first.selection.cv_score, abs=1e-6)
    folds = [np.arange(number, 600, 3) for number in range(3)]
    r2 = [
        metrics.regression(values[TRAIN][fold], second.selection.cv_predicted[fold])["r2"]
        for fold in folds
    ]
    assert np.mean(r2) == pytest.approx(second.selection.cv_score, abs=1e-4)


def test_a_class_may_be_absent_from_an_inner_fold(blocks):
    y = (blocks[0][:, 0] > 0).astype(np.int64)
    y[:600:3] = np.where(np.arange(200) < 40, 2, y[:600:3])  # in inner fold 0 alone
    (found,) = answer(blocks, ask(y))
    assert found.predicted.shape == (300, 3)
    np.testing.assert_allclose(found.predicted.sum(axis=1), 1)
    assert np.isfinite(found.selection.cv_score)


def test_constant_targets_are_answered_with_their_value(blocks):
    values = np.stack([np.full(UNITS, 7.0), blocks[0][:, 0].astype(float)], axis=1)
    first, second, third = answer(
        blocks, ask(values), ask(values[:, :1]), ask(np.zeros(UNITS, int))
    )
    np.testing.assert_allclose(first.predicted[:, 0], 7, atol=1e-6)
    assert np.corrcoef(first.predicted[:, 1], values[TEST, 1])[0, 1] > 0.95
    np.testing.assert_allclose(second.predicted, 7, atol=1e-6)
    np.testing.assert_array_equal(third.predicted, np.ones((300, 1)))


def test_features_without_variation_tell_nothing(xor):
    (found,) = answer([np.full((UNITS, 3), 0.1, np.float32)], ask(xor))
    np.testing.assert_allclose(found.predicted[:, 1], xor[TRAIN].mean(), atol=0.05)


def test_more_batches_than_observations_still_learn(blocks):
    y = (blocks[0][:, 0] > 0).astype(np.int64)
    few = np.arange(12)
    (found,) = answer(blocks, ask(y, few, few % 3), batches=20, epochs=6)
    assert accuracy(found, y) > 0.6


def test_weight_decay_sensitivity_and_iterations_are_reported(blocks, xor):
    (found,) = answer(clear(blocks), ask(xor), strengths=3)
    assert found.selection.penalty in SETTINGS.model_copy(update={"strengths": 3}).weight_decays()
    assert found.selection.sensitivity >= 0
    assert 0 < found.iterations <= 12 * 6
    assert found.iterations % 6 == 0
    assert 0 < found.gradient_norm < 0.1
    (only,) = answer(clear(blocks), ask(xor), strengths=1)
    assert np.isnan(only.selection.sensitivity)


def test_no_task_has_no_prediction(blocks):
    assert answer(blocks) == []


def test_features_that_are_not_finite_are_refused(blocks, xor):
    broken = blocks[1].copy()
    broken[[5, 8], 2] = np.nan
    with pytest.raises(DataError, match=r"block 1 .* not finite for 2 .* first number 5"):
        answer([blocks[0], broken], ask(xor))


def test_a_single_inner_fold_is_refused(blocks, xor):
    with pytest.raises(DataError, match="inner fold 0 and none is left"):
        answer(blocks, ask(xor, inner=0 * INNER))


def test_a_loss_that_is_not_finite_is_an_error(blocks, others):
    with pytest.raises(ConfigError, match=r"lower probe\.mlp\.lr, now 1e\+30"):
        answer(blocks, ask(others[1]), lr=1e30)
