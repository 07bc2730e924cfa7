"""Fit a method to Trifeature's pairs, and probe what it keeps of them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float32, Int

from cell_synergy.core.config import load, merge, named, section, suggest, value
from cell_synergy.core.device import use_threads
from cell_synergy.core.errors import ConfigError
from cell_synergy.core.files import atomic
from cell_synergy.core.resume.scratch import run_hash, scratch_folder
from cell_synergy.downstream.probes import mlp
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.downstream.probes.linear import LinearProbe
from cell_synergy.downstream.probes.metrics import classification
from cell_synergy.downstream.probes.tasks import Question
from cell_synergy.models import load as load_method
from cell_synergy.studies.trifeature.world import TEST, TrifeatureConfig, World, standardised
from cell_synergy.training.method import Job, Method, Pairs, Run

TASKS = {
    "any": ("redundancy", "unique_image", "unique_expression"),
    "matching": ("synergy",),
}  # of the method that learnt from such pairs


def score(
    name: str,
    method: Method,
    settings: TrifeatureConfig,
    training: Mapping[str, object],
    probe: ProbeConfig,
) -> pd.DataFrame:
    """Fit and probe a method with each seed.

    Returns
    -------
    One row per seed, task and probe: balanced accuracy `value` on `n` test pairs of `classes`
    classes (of which chance gets one), and the probe's penalty `strength`, chosen on inner folds of
    the training triplets by the log-likelihood `inner`.
    """
    rows: list[dict[str, object]] = []
    for seed in range(settings.seed, settings.seed + settings.seeds):
        world = World.make(settings, probe.inner_folds, seed)
        for kind, items, z in represent(name, method, settings, training, world):
            part = world.part[items[:, 0]]
            labels = {task: world.label(task, items) for task in TASKS[kind]}
            found = _probed(z, labels, part, probe, seed)
            rows += [{"method": name, "seed": seed} | row for row in found]
    return pd.DataFrame(rows)


def represent(
    name: str,
    method: Method,
    settings: TrifeatureConfig,
    training: Mapping[str, object],
    world: World,
) -> Iterator[tuple[str, Int[np.ndarray, "obs 2"], Float32[np.ndarray, "obs d"]]]:
    """Yield, for each kind of training pairs, the probe's pairs and their standardised `z3`."""
    jobs = [
        Job(f"{kind}-{world.seed}", pairs, _none_of(pairs), world.seed)
        for kind in TASKS
        for pairs in [world.training_pairs(kind, settings.pairs)]
    ]
    said = run_hash(
        name, method.model_dump(), settings.model_dump(mode="json"), dict(training), world.seed
    )
    checkpoint = scratch_folder() / f"trifeature-{said}.pt"
    learnt = method.fit(jobs, Run(training, lambda *_: None, checkpoint, f"trifeature {name}"))
    checkpoint.unlink(missing_ok=True)
    for kind, weights in zip(TASKS, learnt, strict=True):
        items = world.probe_pairs(kind, settings.probe_pairs)
        pairs = world.pairs(items)
        z = method.transform(weights, pairs.image, pairs.expression)
        yield kind, items, standardised(z, world.part[items[:, 0]] != TEST)


def _probed(
    z: Float32[np.ndarray, "obs d"],
    labels: Mapping[str, Int[np.ndarray, " obs"]],
    part: Int[np.ndarray, " obs"],
    probe: ProbeConfig,
    seed: int,
) -> Iterator[dict[str, object]]:
    """Yield the score of each probe on each task, and how it was reached."""
    train, test = np.flatnonzero(part != TEST), np.flatnonzero(part == TEST)
    questions = [
        Question(train, part[train], test, np.unique(y), y[train]) for y in labels.values()
    ]
    linear = LinearProbe(z, probe)
    answers = {
        "linear": [linear.answer(q, linear.choose(q)) for q in questions],
        "mlp": mlp.answer([z], questions, probe.mlp, seed),
    }
    for name, given in answers.items():
        for (task, y), answer in zip(labels.items(), given, strict=True):
            prior = np.bincount(y[train]) / len(train)
            scores = classification(y[test], answer.predicted, prior)
            yield {
                "task": task,
                "probe": name,
                "metric": "balanced_accuracy",
                "value": scores["balanced_accuracy"],
                "n": len(test),
                "classes": len(prior),
                "inner": answer.chosen.inner,
                "strength": answer.chosen.strength,
                "gradient_norm": answer.gradient_norm,
                "iterations": answer.iterations,
            }


def run(words: dict[str, Any]) -> Path:
    """Score the method `models.name` as params.yaml says; write the table to `out`."""
    name, _ = named(words.get("models", {}), "name", "models")
    settings = load(TrifeatureConfig, "trifeature")
    if name not in settings.methods:
        raise ConfigError(f"trifeature.methods: no {name!r}{suggest(name, settings.methods)}")
    block = settings.methods[name]
    training = merge(section("training"), {"max_epochs": settings.max_epochs})
    use_threads(value("threads"))
    table = score(name, load_method(name, block), settings, training, load(ProbeConfig, "probe"))
    with atomic(out := Path(words["out"])) as new:
        table.to_csv(new, index=False, float_format="%.6g")
    return out


def _none_of(pairs: Pairs) -> Pairs:
    """Return no pairs: nobody looks at this benchmark's validation curve."""
    return Pairs(pairs.image[:0], pairs.expression[:0], pairs.donor[:0])
