"""Fine-tuning of an expert on every task of a data set, and scores in the format of a method's."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import anndata as ad
import numpy as np
from jaxtyping import Float32
from safetensors.numpy import save_file
from tqdm import tqdm

from cell_synergy.core import arrays
from cell_synergy.core.errors import DataError
from cell_synergy.core.files import atomic_write
from cell_synergy.core.names import FINE_TUNED
from cell_synergy.data.config import Task
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.splits import Fold, folds, split_groups
from cell_synergy.data.study_design import DesignConfig
from cell_synergy.downstream.evaluate import Evaluation, FoldEvaluator, score_table
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.downstream.probes.linear import LinearProbe
from cell_synergy.downstream.probes.tasks import (
    Prediction,
    ProbeTask,
    Selection,
    Target,
    task_targets,
)
from cell_synergy.finetuning.adapters import AdaptedExpert
from cell_synergy.finetuning.config import FinetuneConfig
from cell_synergy.finetuning.frozen_features import FrozenFeatures
from cell_synergy.finetuning.tunable import TunableExpert
from cell_synergy.finetuning.tuning import Finetuner, FinetuneResult

_HEAD, _SUMMARY = "head.safetensors", "answer.json"
_PREDICTED, _CV_PREDICTED = "predicted.npy", "cv_predicted.npy"


def finetune(
    expert: TunableExpert,
    paired: PairedDataset,
    tasks: Mapping[str, Task],
    settings: FinetuneConfig,
    probe: ProbeConfig,
    work: Path,
) -> Evaluation:
    """Fine-tune an expert for each task, fold and seed, and score its predictions of test rows.

    Parameters
    ----------
    expert
        The frozen expert, read for the observations of `paired`.
    paired
        The data set and its folds, as `with_frozen_embedding` returns it.
    tasks
        Tasks to predict, by name.
    settings, probe
        Configurations of fine-tuning, and of the linear probe that initialises the head.
    work
        Folder that gets a folder `<task>-<fold>-<seed>` per fit, with trained parameters, head and
        predictions. Fits whose folder is complete are not computed again.

    Returns
    -------
    Scores of the method `<expert> <how>` with the probe `FINE_TUNED`, where `strength` is the
    selected number of rounds, and class probabilities for the first seed.

    Raises
    ------
    ConfigError
        If more last layers are to be trained than the expert has, or a loss is not finite.
    DataError
        If no training observation of a fold has a label of a task, or no test observation has a
        label of any task.
    """
    adapted = AdaptedExpert(expert, settings)
    seeds = range(settings.seed, settings.seed + (settings.seeds if adapted.names else 1))
    rows: list[dict[str, object]] = []
    posteriors: dict[str, np.ndarray] = {}
    targets = task_targets(paired, tasks)
    progress = tqdm(
        total=len(paired.folds) * len(seeds) * len(targets),
        desc=f"{paired.adata.uns['source']} {expert.name}", unit="fit",
    )  # fmt: skip
    with progress:
        for fold in paired.folds:
            evaluator = FoldEvaluator(paired, targets, fold, probe)
            fits = _FoldFits(adapted, paired, fold, probe, work)
            for seed in seeds:
                by_task = {}
                for target, task in evaluator.tasks.values():
                    by_task[target.name] = fits.prediction(target, task, seed)
                    progress.update()
                predictions = {FINE_TUNED: by_task}
                rows += [row | {"seed": seed} for row in evaluator.scores(predictions)]
                if seed == seeds[0]:
                    posteriors |= evaluator.posteriors(predictions)
    return Evaluation(score_table(f"{expert.name} {settings.how}", paired, rows), posteriors)


def with_frozen_embedding(
    expert: TunableExpert, adata: ad.AnnData, dataset: DesignConfig, settings: FinetuneConfig
) -> PairedDataset:
    """Return a data set with the frozen expert's embedding as `expression`, and an empty `image`.

    Parameters
    ----------
    expert
        The frozen expert, read for the observations of `adata`.
    adata
        The paired observations.
    dataset
        Design of the data set: standardisation, donors and splits.
    settings
        Configuration of fine-tuning, whose `precision` the embedding is computed in.

    Raises
    ------
    ConfigError
        If more last layers are to be trained than the expert has.
    DataError
        If `adata` was made for another split, or the split needs other or more donors (sections,
        blocks) than `adata` has.
    """
    frozen = AdaptedExpert(expert, settings).embed({}, np.arange(adata.n_obs))
    return with_embedding(adata, frozen.cpu().numpy(), dataset)


def with_embedding(
    adata: ad.AnnData, embedding: Float32[np.ndarray, "obs d"], dataset: DesignConfig
) -> PairedDataset:
    """Return a data set with one embedding as `expression`, and an empty `image`.

    Parameters
    ----------
    adata
        The paired observations.
    embedding
        Their embedding by the frozen expert.
    dataset
        Design of the data set: standardisation, donors and splits.

    Raises
    ------
    DataError
        If `adata` was made for another split, or the split needs other or more donors (sections,
        blocks) than `adata` has.
    """
    return PairedDataset(
        adata,
        np.zeros((adata.n_obs, 0), dtype=np.float32),
        embedding,
        split_groups(adata.obs, dataset),
        adata.obs["donor"].astype(str).to_numpy(),
        folds(adata.obs, dataset),
        dataset.standardise,
    )


class _FoldFits:
    """The fits of one fold; the result of each is in a separate folder."""

    def __init__(
        self,
        adapted: AdaptedExpert,
        paired: PairedDataset,
        fold: Fold,
        probe: ProbeConfig,
        work: Path,
    ) -> None:
        self.adapted, self.fold, self.probe, self.work = adapted, fold, probe, work
        self.frozen = FrozenFeatures.of(paired.expression, fold.align, paired.groups, paired.mode)
        self.linear = LinearProbe(self.frozen.z, probe)

    def prediction(self, target: Target, task: ProbeTask, seed: int) -> Prediction:
        """Return the prediction of one task; fine-tune unless its folder has a complete result."""
        folder = self.work / f"{target.name}-{self.fold.name}-{seed}"
        if not _complete(folder):
            penalty, settings = self.linear.select(task).penalty, self.adapted.settings
            tuning = Finetuner(self.adapted, self.frozen, task, penalty, self.probe, settings, seed)
            _save(folder, self.adapted, self.frozen, tuning.run(), target, task)
        return _load(folder)


def _complete(folder: Path) -> bool:
    """Return whether a folder has the result of a fit; remove a damaged folder."""
    try:
        _load(folder)
    except FileNotFoundError:
        pass
    except (DataError, KeyError, OSError, TypeError, ValueError):
        tqdm.write(f"{folder}: the result of an earlier run is damaged; it is computed again")
    else:
        return True
    shutil.rmtree(folder, ignore_errors=True)
    return False


def _load(folder: Path) -> Prediction:
    """Read the prediction that `_save` wrote."""
    summary = json.loads((folder / _SUMMARY).read_text())
    predicted, cv_predicted = (
        arrays.read_npy(folder / name, "an .npy of predictions", "tune again")
        for name in (_PREDICTED, _CV_PREDICTED)
    )
    selection = Selection(summary["rounds"], summary["inner"], summary["sensitivity"], cv_predicted)
    return Prediction(predicted, selection, summary["gradient_norm"], summary["iterations"])


def _save(
    folder: Path,
    adapted: AdaptedExpert,
    frozen: FrozenFeatures,
    result: FinetuneResult,
    target: Target,
    task: ProbeTask,
) -> None:
    """Write the result of one fit to a new folder, which appears only when it is complete.

    The head maps standardised features to logits or values. The mean and factor of the
    standardisation are written unless they differ between donors: those of a new donor are
    computed from its observations.
    """
    prediction = result.prediction
    head = {"coefficients": result.coefficients, "intercept": result.intercept}
    if len(frozen.mean) == 1:
        head |= {"mean": frozen.mean[0], "factor": frozen.factor[0]}
    summary = {
        "task": target.name,
        "classes": [target.classes[code] for code in task.present],
        "rounds": prediction.selection.penalty,
        "inner": prediction.selection.cv_score,
        "sensitivity": prediction.selection.sensitivity,
        "gradient_norm": prediction.gradient_norm,
        "iterations": prediction.iterations,
    }
    with atomic_write(folder) as new:
        new.mkdir()
        adapted.save(new, result.params)
        save_file({name: np.ascontiguousarray(array) for name, array in head.items()}, new / _HEAD)
        (new / _SUMMARY).write_text(json.dumps(summary, indent=1) + "\n")
        np.save(new / _PREDICTED, prediction.predicted)
        np.save(new / _CV_PREDICTED, prediction.selection.cv_predicted)
