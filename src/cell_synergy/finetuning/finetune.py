"""Tune an expert on every task of a data set, and score it as all methods are scored."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import anndata as ad
import numpy as np
from safetensors.numpy import save_file
from tqdm import tqdm

from cell_synergy.core import arrays
from cell_synergy.core.errors import DataError
from cell_synergy.core.files import atomic
from cell_synergy.core.names import FINE_TUNED
from cell_synergy.data.config import DatasetConfig, Task
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.splits import folds, groups_of
from cell_synergy.downstream.evaluate import Asked, Judged, table
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.downstream.probes.linear import LinearProbe
from cell_synergy.downstream.probes.tasks import Answer, Chosen, Goal, Question, goals
from cell_synergy.finetuning.adapters import Adapted
from cell_synergy.finetuning.config import FinetuneConfig
from cell_synergy.finetuning.tunable import Expert
from cell_synergy.finetuning.tuning import Found, Frozen, Tuning

HEAD, ANSWER, PREDICTED = "head.safetensors", "answer.json", "predicted.npy"


def finetune(
    expert: Expert,
    paired: PairedDataset,
    tasks: Mapping[str, Task],
    settings: FinetuneConfig,
    probe: ProbeConfig,
    work: Path,
) -> Judged:
    """Tune an expert on each task, fold and seed, and score what it says of test units.

    To learn from some of the training units only, give a tissue whose folds have them alone in
    `align` and `probe`.

    Parameters
    ----------
    expert
        The frozen expert.
    tissue
        The units, with the expert's own embedding as `expression`; see `seen_by`.
    tasks
        What to predict.
    settings
        What learns, and how.
    probe
        The linear probe that fine-tuning starts from, and the inner folds.
    work
        Folder that takes one folder per task, fold and seed: what learnt, its head, its
        predictions. What is in it is not computed again.

    Returns
    -------
    Scores of the method `<expert> <how>` by the probe `fine-tuned`; its strength is the number of
    rounds. Posteriors are the first seed's.
    """
    adapted = Adapted(expert, settings)
    seeds = range(settings.seed, settings.seed + (settings.seeds if adapted.names else 1))
    rows: list[dict[str, object]] = []
    posteriors: dict[str, np.ndarray] = {}
    every = goals(paired, tasks)
    total = len(paired.folds) * len(seeds) * len(every)
    with tqdm(total=total, desc=f"{paired.adata.uns['source']} {expert.name}", unit="fit") as done:
        for fold in paired.folds:
            asked = Asked(paired, every, fold, probe)
            frozen = Frozen.of(paired.expression, fold.align, paired.groups, paired.mode)
            linear = LinearProbe(frozen.z, probe)
            for seed in seeds:
                given = {}
                for goal, question in asked.tasks.values():
                    folder = work / f"{goal.name}-{fold.name}-{seed}"
                    if not _whole(folder):
                        strength = linear.choose(question).strength
                        tuning = Tuning(adapted, frozen, question, strength, probe, settings, seed)
                        _save(folder, adapted, frozen, tuning.run(), goal, question)
                    given[goal.name] = _answer(folder)
                    done.update()
                answers = {FINE_TUNED: given}
                rows += [row | {"seed": seed} for row in asked.scores(answers)]
                if seed == seeds[0]:
                    posteriors |= asked.posteriors(answers)
    return Judged(table(f"{expert.name} {settings.how}", paired, rows), posteriors)


def seen_by(
    expert: Expert, units: ad.AnnData, dataset: DatasetConfig, settings: FinetuneConfig
) -> PairedDataset:
    """Return the units as the frozen expert sees them, with the data set's folds."""
    every = np.arange(units.n_obs)
    return PairedDataset(
        units,
        np.zeros((units.n_obs, 0), dtype=np.float32),
        Adapted(expert, settings).embed({}, every).cpu().numpy(),
        groups_of(units.obs, dataset),
        units.obs["donor"].astype(str).to_numpy(),
        folds(units.obs, dataset),
        dataset.standardise,
    )


def _whole(folder: Path) -> bool:
    """Say whether an answer is there already; one that is damaged is removed."""
    try:
        _answer(folder)
    except FileNotFoundError:
        pass
    except (DataError, KeyError, OSError, TypeError, ValueError):
        tqdm.write(f"{folder}: what was learnt before is damaged; it is learnt again")
    else:
        return True
    shutil.rmtree(folder, ignore_errors=True)
    return False


def _answer(folder: Path) -> Answer:
    """Read an answer."""
    words = json.loads((folder / ANSWER).read_text())
    chosen = Chosen(words["rounds"], words["inner"], words["sensitivity"])
    predicted = arrays.npy(folder / PREDICTED, "an .npy of predictions", "learn it again")
    return Answer(predicted, chosen, words["gradient_norm"], words["iterations"])


def _save(
    folder: Path, adapted: Adapted, frozen: Frozen, found: Found, goal: Goal, question: Question
) -> None:
    """Write what was learnt, whole or not at all.

    The head maps standardised features to logits or values. Where each donor is standardised for
    itself, a new donor's mean and factor come from its own units and are not written.
    """
    answer = found.answer
    head = {"coefficients": found.coefficients, "intercept": found.intercept}
    if len(frozen.mean) == 1:
        head |= {"mean": frozen.mean[0], "factor": frozen.factor[0]}
    words = {
        "task": goal.name,
        "classes": [goal.classes[number] for number in question.present],
        "rounds": answer.chosen.strength,
        "inner": answer.chosen.inner,
        "sensitivity": answer.chosen.sensitivity,
        "gradient_norm": answer.gradient_norm,
        "iterations": answer.iterations,
    }
    with atomic(folder) as new:
        new.mkdir()
        adapted.save(new, found.tuned)
        save_file({name: np.ascontiguousarray(array) for name, array in head.items()}, new / HEAD)
        (new / ANSWER).write_text(json.dumps(words, indent=1) + "\n")
        np.save(new / PREDICTED, answer.predicted)
