"""Fits of a method to Trifeature's pairs, and scores of probes of its joint embedding."""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float32, Int

from cell_synergy.core.resume.scratch import scratch_folder
from cell_synergy.downstream.probes import mlp
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.downstream.probes.linear import LinearProbe
from cell_synergy.downstream.probes.metrics import classification
from cell_synergy.downstream.probes.tasks import ProbeTask
from cell_synergy.studies.trifeature.world import (
    TEST,
    TrifeatureConfig,
    TrifeatureWorld,
    standardised,
)
from cell_synergy.training.fit_key import fit_key
from cell_synergy.training.method import FitSpec, Method, Pairs, RunContext

TASKS = {
    "any": ("redundancy", "unique_image", "unique_expression"),
    "matching": ("synergy",),
}  # tasks by the kind of training pairs: `any`, or `matching` in texture and colour


def score_method(
    name: str,
    method: Method,
    config: TrifeatureConfig,
    training: Mapping[str, object],
    probe: ProbeConfig,
) -> pd.DataFrame:
    """Draw the benchmark anew with each seed, fit a method to its pairs, and probe its embedding.

    The method is fitted to pairs of any texture and colour and, for the task `synergy`, again to
    pairs in which the colour of one item matches the texture of the other.

    Parameters
    ----------
    name, method
        Name of the method, and the method.
    config
        Configuration of the benchmark, with its seeds.
    training
        The section `training` of params.yaml.
    probe
        Configuration of the probes.

    Returns
    -------
    :
        One row per seed, task and probe (`linear`, `mlp`): balanced accuracy `value` on `n` test
        pairs (chance is 1 / `classes`); the selected L2 penalty or weight decay, `strength`; its
        mean log-likelihood per pair in nats, `inner`, in cross-validation over training triplets
        (shape, colour, texture), for `mlp` at the best epoch; and `gradient_norm` and `iterations`
        of the fit. Other columns: `method, seed, task, probe, metric`.

    Raises
    ------
    ConfigError
        If there are fewer pairs than the configuration requires, `training` is not valid, or a loss
        is not finite, of the method or of the nonlinear probe.
    """
    rows: list[dict[str, object]] = []
    for seed in range(config.seed, config.seed + config.seeds):
        world = TrifeatureWorld.make(config, probe.inner_folds, seed)
        for kind, items, z in fit_and_embed(name, method, config, training, world):
            part = world.part[items[:, 0]]
            labels = {task: world.label(task, items) for task in TASKS[kind]}
            scores = _probe_scores(z, labels, part, probe, seed)
            rows += [{"method": name, "seed": seed} | row for row in scores]
    return pd.DataFrame(rows)


def fit_and_embed(
    name: str,
    method: Method,
    config: TrifeatureConfig,
    training: Mapping[str, object],
    world: TrifeatureWorld,
) -> Iterator[tuple[str, Int[np.ndarray, "obs 2"], Float32[np.ndarray, "obs d"]]]:
    """Fit a method to each kind of training pairs, and embed the pairs of the probes.

    Parameters
    ----------
    name, method
        Name of the method, and the method.
    config
        Configuration of the benchmark.
    training
        The section `training` of params.yaml.
    world
        Items and pairs of one seed.

    Yields
    ------
    :
        Kind of the training pairs (`any` or `matching`), item indices (image, expression) of the
        probe's pairs, one row per pair, and the joint embedding of these pairs, standardised with
        the probe's training pairs.

    Raises
    ------
    ConfigError
        If there are fewer pairs than the configuration requires, `training` is not valid, or a loss
        is not finite.
    """
    inputs, fit_specs = world.with_inputs(method.input_axes(config.axes)), []
    for kind in TASKS:
        pairs = inputs.training_pairs(kind, config.pairs)
        fit_specs.append(FitSpec(f"{kind}-{world.seed}", pairs, _no_pairs(pairs), world.seed))
    checkpoint = scratch_folder() / f"trifeature-{fit_key(method, training, fit_specs)}.pt"
    fitted = method.fit(
        fit_specs, RunContext(training, lambda *_: None, checkpoint, f"trifeature {name}")
    )
    checkpoint.unlink(missing_ok=True)
    for kind, weights in zip(TASKS, fitted, strict=True):
        items = world.probe_pairs(kind, config.probe_pairs)
        pairs = inputs.pairs(items)
        z = method.transform(weights, pairs.image, pairs.expression)
        yield kind, items, standardised(z, world.part[items[:, 0]] != TEST)


def _probe_scores(
    z: Float32[np.ndarray, "obs d"],
    labels: Mapping[str, Int[np.ndarray, " obs"]],
    part: Int[np.ndarray, " obs"],
    probe: ProbeConfig,
    seed: int,
) -> Iterator[dict[str, object]]:
    """Yield the score of each probe on each task, with selected penalty and convergence."""
    train, test = np.flatnonzero(part != TEST), np.flatnonzero(part == TEST)
    tasks = [ProbeTask(train, part[train], test, np.unique(y), y[train]) for y in labels.values()]
    linear = LinearProbe(z, probe)
    predictions = {
        "linear": [linear.predict(task, linear.select(task)) for task in tasks],
        "mlp": mlp.predict([z], tasks, probe.mlp, seed),
    }
    for name, by_task in predictions.items():
        for (task, y), prediction in zip(labels.items(), by_task, strict=True):
            prior = np.bincount(y[train]) / len(train)
            scores = classification(y[test], prediction.predicted, prior)
            yield {
                "task": task,
                "probe": name,
                "metric": "balanced_accuracy",
                "value": scores["balanced_accuracy"],
                "n": len(test),
                "classes": len(prior),
                "inner": prediction.selection.cv_score,
                "strength": prediction.selection.penalty,
                "gradient_norm": prediction.gradient_norm,
                "iterations": prediction.iterations,
            }


def _no_pairs(pairs: Pairs) -> Pairs:
    """Return an empty set of pairs: this benchmark has no validation curve."""
    return Pairs(pairs.image[:0], pairs.expression[:0], pairs.donor[:0])
