"""Compare sizes of the nonlinear probe: what it learns, and how sure that is.

python -m benchmarks.nonlinear_probe repeats=2 seeds=2 sizes=small,large,wide out=FILE

The data sets are those of `calibrate` (noise and batch effects as in params.yaml), with six
training and eight test donors. Tasks: the label of each gate; `noise`, a label that is independent
of everything; and `sum`, the sum of the two unique bits as a regression, whose bits are those of
the label of `copy`. `small` has 40 observations per donor and `large` 200; `wide` is `small` with
400 more features of the image, which are noise. Both embeddings are the blocks of one
representation. A setting replaces values of `probe.mlp`; all others are as in params.yaml.

The table has one row per setting, data set and task: means over `repeats` data sets and `seeds`
seeds. `inner` is the score on the inner folds (nats per observation, or R2);
`bits` the usable bits on test donors (R2 of the regression). `start_error` is the standard
deviation of `bits` between seeds, `donor_error` the standard error of its mean over test donors.
`moved` and `moved_f1` are the largest changes of the bits and the macro F1 of any test donor when
normal noise of standard deviation 1e-6 is added to every standardised feature. Takes five minutes.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float32, Float64, Shaped
from pydantic import PositiveInt

from cell_synergy.core.config import Config, arguments, load
from cell_synergy.core.device import use_threads
from cell_synergy.core.errors import report_errors
from cell_synergy.core.files import atomic_write
from cell_synergy.core.random import stream
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.downstream.probes import metrics, mlp
from cell_synergy.downstream.probes.config import MLPConfig, ProbeConfig
from cell_synergy.downstream.probes.tasks import Prediction, ProbeTask
from cell_synergy.studies.calibration import GATES, CalibrationConfig, Replicate, simulate

SETTINGS = {
    "1 x 64, 15 epochs": {"starts": 1, "hidden": 64, "epochs": 15},
    "1 x 32, 10 epochs": {"starts": 1, "hidden": 32, "epochs": 10},
    "2 x 32, 10 epochs": {"starts": 2, "hidden": 32, "epochs": 10},
    "4 x 16, 10 epochs": {"starts": 4, "hidden": 16, "epochs": 10},
    "4 x 16, 15 epochs": {"starts": 4, "hidden": 16, "epochs": 15},
    "8 x 16, 10 epochs": {"starts": 8, "hidden": 16, "epochs": 10},
}
SIZES = {"small": 40, "large": 200, "wide": 40}  # observations per donor
DONORS, EXTRA = 8, 400
PERTURBATION = 1e-6

Blocks = list[Float32[np.ndarray, "obs _"]]


class Args(Config):
    """Numbers of data sets and of seeds, sizes of the data sets, and the output."""

    repeats: PositiveInt
    seeds: PositiveInt
    sizes: list[Literal["small", "large", "wide"]]
    out: Path


def draw(config: CalibrationConfig, size: str, repeat: int) -> tuple[PairedDataset, Blocks]:
    """Return a data set of `calibrate`, and its standardised embeddings."""
    paired = simulate(Replicate(config, DONORS, SIZES[size], repeat))
    image, expression = paired.standardised(paired.folds[0])
    if size == "wide":
        rng = stream(repeat, "extra features")
        extra = rng.standard_normal((len(image), EXTRA)).astype(np.float32)
        image = np.concatenate([image, extra], axis=1)
    return paired, [image, expression]


def targets(paired: PairedDataset, repeat: int) -> dict[str, Shaped[np.ndarray, "obs ..."]]:
    """Return class numbers or values of all observations, by task."""
    codes = {gate: paired.adata.obs[gate].cat.codes.to_numpy().astype(np.int64) for gate in GATES}
    noise = stream(repeat, "noise").integers(2, size=len(paired.donor))
    values = (codes["copy"] // 2 + codes["copy"] % 2).astype(np.float64)
    return codes | {"noise": noise, "sum": values[:, None]}


def problems(
    paired: PairedDataset, by_task: Mapping[str, Shaped[np.ndarray, "obs ..."]], inner_folds: int
) -> list[ProbeTask]:
    """Return the train/test problem of each task."""
    (fold,) = paired.folds
    train, test = np.flatnonzero(fold.probe), np.flatnonzero(fold.test)
    inner = np.unique(paired.donor[train], return_inverse=True)[1] % inner_folds
    return [
        ProbeTask(train, inner, test, np.unique(y) if y.ndim == 1 else np.zeros(0, int), y[train])
        for y in by_task.values()
    ]


def by_donor(
    paired: PairedDataset, y: Shaped[np.ndarray, "obs ..."], found: Prediction
) -> Float64[np.ndarray, "2 donors"]:
    """Return bits, or R2, and macro F1, or NaN, of every test donor."""
    (fold,) = paired.folds
    scores = []
    for donor in np.unique(paired.donor[fold.test]):
        mask = paired.donor[fold.test] == donor
        predicted, truth = found.predicted[mask], y[fold.test][mask]
        if y.ndim == 1:
            prior = np.bincount(y[fold.probe]) / fold.probe.sum()
            of_donor = metrics.classification(truth, predicted, prior)
            scores.append([of_donor["bits"], of_donor["macro_f1"]])
        else:
            scores.append([metrics.regression(truth, predicted)["r2"], np.nan])
    return np.array(scores).T


def rows(
    settings: MLPConfig, config: CalibrationConfig, inner_folds: int, size: str, args: Args
) -> Iterator[dict[str, object]]:
    """Yield one dictionary per task, data set and seed."""
    for repeat in range(args.repeats):
        paired, blocks = draw(config, size, repeat)
        by_task = targets(paired, repeat)
        asked = problems(paired, by_task, inner_folds)
        rng = stream(repeat, "perturbation")
        moved = [b + (PERTURBATION * rng.standard_normal(b.shape)).astype("f4") for b in blocks]
        for seed in range(args.seeds):
            predictions = mlp.predict(blocks, asked, settings, seed)
            again = mlp.predict(moved, asked, settings, seed)
            for (task, y), first, second in zip(by_task.items(), predictions, again, strict=True):
                scores, others = by_donor(paired, y, first), by_donor(paired, y, second)
                changes = abs(scores - others).max(axis=1)
                yield {
                    "task": task, "repeat": repeat, "inner": first.selection.cv_score,
                    "bits": scores[0].mean(), "moved": changes[0], "moved_f1": changes[1],
                    "donor_error": scores[0].std(ddof=1) / np.sqrt(DONORS),
                }  # fmt: skip


def table(args: Args) -> pd.DataFrame:
    """Return the comparison of all settings."""
    probe, config = load(ProbeConfig, "probe"), load(CalibrationConfig, "calibrate")
    parts = []
    for (name, changed), size in ((s, size) for size in args.sizes for s in SETTINGS.items()):
        settings = probe.mlp.model_copy(update=changed)
        results = pd.DataFrame(rows(settings, config, probe.inner_folds, size, args))
        groups = results.groupby("task", sort=False)
        means = groups[["inner", "bits", "donor_error"]].mean()
        between = results.groupby(["task", "repeat"])["bits"].std().groupby("task").mean()
        means.insert(2, "start_error", between)
        means[["moved", "moved_f1"]] = groups[["moved", "moved_f1"]].max()
        parts.append(means.reset_index().assign(setting=name, data=size))
    whole = pd.concat(parts, ignore_index=True)
    return whole[["setting", "data", *(c for c in whole if c not in ("setting", "data"))]]


def main(args: Args) -> None:
    """Compare, print the means over tasks, write."""
    use_threads(1)
    results = table(args)
    print(results.groupby(["data", "setting"], sort=False).mean(numeric_only=True).round(4))
    with atomic_write(args.out) as new:
        results.to_csv(new, index=False, float_format="%.4g")


if __name__ == "__main__":
    with report_errors(__doc__, bare=False):
        main(arguments(Args, sys.argv[1:]))
