"""How much of the ceiling of synergy readers reach, by the number of pairs and of labels.

On a drawn twin, methods are fitted to nested subsets of the training pairs, and probes to nested
subsets of the labelled observations. The tasks are niches of which no single expert has any
information, so that usable bits are gains over both. The ceiling is the information of the latent
states as decoded from the two embeddings (`cell_synergy.studies.decoding`). It holds for a reader
of decoded states; one that reads how certain each state is may be slightly above it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float64

from cell_synergy.core.errors import ConfigError, DataError
from cell_synergy.core.names import LINEAR, NONLINEAR
from cell_synergy.core.random import stream
from cell_synergy.core.resume.scratch import run_hash, scratch_folder
from cell_synergy.data.splits import Fold
from cell_synergy.downstream.evaluate import FoldEvaluator, standardised_blocks
from cell_synergy.downstream.probes import mlp
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.downstream.probes.feature_blocks import Embedding
from cell_synergy.downstream.probes.tasks import Prediction, Target, task_targets
from cell_synergy.encoders.pca import Expert
from cell_synergy.raw.simulator.config import SimulatorConfig
from cell_synergy.scoring.inference import donor_interval
from cell_synergy.studies.config import ReachConfig
from cell_synergy.studies.decoding import true_decompositions
from cell_synergy.studies.drawn_twin import DrawnTwin, draw_twin
from cell_synergy.training.method import FitSpec, Method, Pairs, RunContext

COLUMNS = [
    "task", "visibility", "seed", "method", "probe", "pairs", "labels", "donors", "information",
    "low", "high", "ceiling", "reached",
]  # fmt: skip
CONCAT = "concat"

_SINGLE = 0.01  # information of single states, as a share of the entropy, below which it is none


@dataclass(frozen=True)
class Settings:
    """What all cells of the grid share.

    Attributes
    ----------
    simulator
        Configuration of states, counts and sections; its seed is replaced.
    expert
        The expression expert, which is fitted on the reference donors of the twin.
    methods
        Fusion methods, by name.
    axes
        Maximal number of principal axes of each expert that fusions get; None for all features.
    training
        The section `training` of params.yaml.
    probe
        Configuration of the probes.
    """

    simulator: SimulatorConfig
    expert: Expert
    methods: Mapping[str, Method]
    axes: int | None
    training: Mapping[str, object]
    probe: ProbeConfig


def reach_table(config: ReachConfig, settings: Settings) -> pd.DataFrame:
    """Return what every reader reaches of the ceiling: the table of the stage `reach`.

    Parameters
    ----------
    config
        Twin and grid.
    settings
        Simulator, expert, methods and probes.

    Returns
    -------
    :
        One row per seed, task, number of `labels` and reader: a linear probe of each method at each
        number of `pairs`, and a nonlinear probe of `concat`, which needs no pairs (empty).
        `information` is usable bits as a share of the label entropy, over the `donors` test donors,
        with its 95 % interval over them; `ceiling` that of the decoded states; and `reached` the
        first as a share of the second. `visibility` is that of the twin's image states.

    Raises
    ------
    ConfigError
        If the twin has fewer training pairs or labels than the grid, a task does not exist or is
        one of which a single expert has information, or a method does not fit its pairs.
    DataError
        If the twin is too small for the expert, or labels are all of one class.
    """
    rows: list[dict[str, object]] = []
    for seed in range(config.seed, config.seed + config.seeds):
        simulator = settings.simulator.model_copy(update={"seed": seed})
        twin = draw_twin(config.twin, simulator, settings.expert)
        _check_grid(config, twin)
        key = {"seed": seed, "visibility": config.twin.visibility}
        ceilings = {task: ceiling(twin, task, settings.probe) for task in config.tasks}
        rows += [
            {**key, **row, "ceiling": ceilings[str(row["task"])]}
            for row in _scores(config, settings, twin, seed)
        ]
    table = pd.DataFrame(rows)
    return table.assign(reached=table["information"] / table["ceiling"])[COLUMNS]


def ceiling(twin: DrawnTwin, task: str, probe: ProbeConfig) -> float:
    """Return the gain of the decoded states on a task, as a share of the label entropy.

    Parameters
    ----------
    twin, task
        The twin, and name of the task.
    probe
        Configuration of the probes that decode the states.

    Raises
    ------
    ConfigError
        If a single expert has information of the task.
    DataError
        If the test observations are all of one class.
    """
    visible = {task: twin.visible[task]}
    truth = true_decompositions(twin.paired, {task: twin.tasks[task]}, twin.latent, visible, probe)
    row = truth[truth["seen"] == "embeddings"].iloc[0]
    single = row["redundant"] + row["unique_image"] + row["unique_expression"]
    if row["entropy"] == 0:
        raise DataError(
            f"reach: test observations are all of one class of {task!r}; raise reach.twin.test, "
            "or the size of its sections"
        )
    if single > _SINGLE * row["entropy"]:
        raise ConfigError(
            f"reach.tasks: a single expert has {single:.3f} of {row['entropy']:.3f} bits of "
            f"{task!r}, so that bits are no gains; name a niche of a data set with synergy"
        )
    return float(row["gain"])


def _check_grid(config: ReachConfig, twin: DrawnTwin) -> None:
    """Refuse tasks that the twin does not have, and more pairs or labels than it has."""
    (fold,) = twin.paired.folds
    for task in config.tasks:
        if task not in twin.tasks:
            raise ConfigError(
                f"reach.tasks: drawn twins have no task {task!r}, only {', '.join(twin.tasks)}"
            )
        (target,) = task_targets(twin.paired, {task: twin.tasks[task]})
        labelled = int((fold.probe & target.labelled).sum())
        if max(config.labels) > labelled:
            raise ConfigError(
                f"reach.labels: {max(config.labels)} labels of {task!r} asked for, the twin has "
                f"{labelled}; raise reach.twin.probe or lower it"
            )
    if max(config.pairs) > fold.align.sum():
        raise ConfigError(
            f"reach.pairs: {max(config.pairs)} pairs asked for, the twin has {fold.align.sum()}; "
            "raise reach.twin.train or lower it"
        )


def _scores(
    config: ReachConfig, settings: Settings, twin: DrawnTwin, seed: int
) -> Iterator[dict[str, object]]:
    """Yield the information of every reader on every task and number of labels."""
    paired = twin.paired
    (fold,) = paired.folds
    both = paired.inputs(fold, settings.axes)
    readers: list[tuple[dict[str, object], Embedding]] = [
        ({"method": name, "probe": LINEAR, "pairs": pairs},
         fuse(name, settings, twin, pairs, seed))
        for name in settings.methods
        for pairs in config.pairs
    ]  # fmt: skip
    readers.append(({"method": CONCAT, "probe": NONLINEAR, "pairs": None}, both))
    for target in task_targets(paired, {task: twin.tasks[task] for task in config.tasks}):
        for labels in config.labels:
            mask = _subset(fold.probe & target.labelled, labels, seed, "labels")
            evaluator = _evaluator(twin, target, replace(fold, probe=mask), settings.probe)
            for reader, z in readers:
                blocks = standardised_blocks(str(reader["method"]), z, paired, fold, seed)
                if reader["probe"] == LINEAR:
                    predictions = evaluator.linear(blocks, {}, donor=False)
                else:
                    task = [evaluator.tasks[target.name][1]]
                    predicted = mlp.predict(blocks, task, settings.probe.mlp, seed)
                    predictions = {target.name: predicted[0]}
                score = _information(evaluator, str(reader["probe"]), predictions)
                yield {"task": target.name, "labels": labels, **reader, **score}


def _subset(
    mask: Bool[np.ndarray, " obs"], count: int, seed: int, purpose: str
) -> Bool[np.ndarray, " obs"]:
    """Return a mask of randomly drawn rows; that of a larger count contains it."""
    order = stream(seed, "reach", purpose).permutation(np.flatnonzero(mask))
    drawn = np.zeros_like(mask)
    drawn[order[:count]] = True
    return drawn


def fuse(name: str, settings: Settings, twin: DrawnTwin, count: int, seed: int) -> Embedding:
    """Fit a method to some of the training pairs of a twin, and embed all of its observations.

    Parameters
    ----------
    name, settings
        Name of the method, and what all fits share.
    twin
        The twin.
    count
        Number of training pairs, drawn at random.
    seed
        Seed of the draw and of the fit.

    Raises
    ------
    ConfigError, DataError
        If the method does not fit the pairs.
    """
    method, training, paired = settings.methods[name], settings.training, twin.paired
    (fold,) = paired.folds
    image, expression = paired.inputs(fold, method.input_axes(settings.axes))
    rows = _subset(fold.align, count, seed, "pairs")
    pairs = Pairs(image[rows], expression[rows], paired.donor[rows])
    none = Pairs(image[:0], expression[:0], paired.donor[:0])
    inputs = [array.tobytes() for array in (image, expression)]
    key = run_hash(name, method.model_dump(), dict(training), count, seed, arrays=inputs)
    checkpoint = scratch_folder() / f"reach-{key}.pt"
    context = RunContext(training, lambda *_: None, checkpoint, f"reach {name} {count}")
    (weights,) = method.fit([FitSpec(f"holdout-{seed}", pairs, none, seed)], context)
    checkpoint.unlink(missing_ok=True)
    return method.transform(weights, image, expression)


def _evaluator(twin: DrawnTwin, target: Target, fold: Fold, probe: ProbeConfig) -> FoldEvaluator:
    """Return the probes of one task on some labels, which must have two classes."""
    present = np.unique(target.codes[fold.probe])
    if len(present) < 2:  # noqa: PLR2004 - a classification needs two classes
        raise DataError(
            f"reach: {fold.probe.sum()} labels of {target.name!r} are all of one class; raise "
            "reach.labels"
        )
    return FoldEvaluator(twin.paired, [target], fold, probe)


def _information(
    evaluator: FoldEvaluator, probe: str, predictions: Mapping[str, Prediction]
) -> dict[str, object]:
    """Return usable bits as a share of the label entropy, with the interval over test donors."""
    rows = [r for r in evaluator.scores({probe: dict(predictions)}) if r["metric"] == "bits"]
    bits: Float64[np.ndarray, "donors 1"] = np.array([[r["value"]] for r in rows], dtype=np.float64)
    entropy = float(np.mean([r["entropy"] for r in rows]))
    interval = donor_interval(bits, cross_validated=False)
    return {
        "donors": len(rows),
        "information": float(bits.mean()) / entropy,
        "low": float(interval.low[0]) / entropy,
        "high": float(interval.high[0]) / entropy,
    }
