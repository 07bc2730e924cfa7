"""Fine-tune one expert on one data set; scores have the layout of the stage `evaluate`."""

import shutil
from pathlib import Path

from cell_synergy import encoders
from cell_synergy.core.errors import ConfigError, DataError
from cell_synergy.core.files import atomic_write
from cell_synergy.core.messages import suggest
from cell_synergy.core.resume.scratch import run_hash, scratch_folder
from cell_synergy.data.config import BenchmarkConfig, Task
from cell_synergy.data.paired import read as read_pairs
from cell_synergy.downstream.method_scores import write_scores
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.encoders import Encoder
from cell_synergy.finetuning import tunable
from cell_synergy.finetuning.config import ALL_TASKS, FinetuneConfig
from cell_synergy.finetuning.finetune import finetune, with_frozen_embedding


def write_expert_scores(
    name: str,
    encoder: Encoder,
    dataset: BenchmarkConfig,
    config: FinetuneConfig,
    probe: ProbeConfig,
    pairs: Path,
    labels: Path,
    frozen: Path,
    out: Path,
) -> None:
    """Fine-tune an expert on each selected task, fold and seed, and score it on test donors.

    Fits that an interrupted run completed are kept in the scratch folder and are not computed again
    by a call with equal arguments.

    Parameters
    ----------
    name, encoder
        Name and configuration of the expert.
    dataset, config, probe
        Configurations of the data set, of fine-tuning (with the selected tasks) and of the probes.
    pairs, labels
        Files of the paired observations and of their labels.
    frozen
        Folder of the frozen expert.
    out
        Folder to write, which appears when every fit is complete: `scores.csv`, the posteriors
        `scores.safetensors`, and a folder `<task>-<fold>-<seed>` per fit (see `finetune`).

    Raises
    ------
    ConfigError
        If the data set lacks a selected task, the expert cannot be fine-tuned or has fewer layers
        than are to be trained, or a loss is not finite.
    DataError
        If a file is missing or damaged, the observations lack genes that the expert needs, the
        split is impossible, no training or no test observation has a label, or the scratch folder
        cannot be used.
    """
    tasks = _selected_tasks(dataset, config)
    adata = read_pairs(pairs, labels)
    if not (frozen / encoders.CARD).is_file():
        raise DataError(
            f"{frozen}: no frozen expert there; make it (`python -m stages.embed "
            f"expert={name} frozen={frozen} ...`, as dvc.yaml has it)"
        )
    expert = tunable.read(name, encoder, adata, frozen, config.cells)
    paired = with_frozen_embedding(expert, adata, dataset, config)
    inputs = encoders.sha256(pairs), encoders.sha256(labels), expert.name, expert.sha256
    configs = (c.model_dump(mode="json") for c in (encoder, dataset, config, probe))
    work = scratch_folder() / f"finetune-{run_hash(*inputs, *configs)}"
    evaluation = finetune(expert, paired, tasks, config, probe, work)
    with atomic_write(out) as folder:
        shutil.copytree(work, folder)
        write_scores(evaluation, folder / "scores.csv")
    shutil.rmtree(work)


def _selected_tasks(dataset: BenchmarkConfig, config: FinetuneConfig) -> dict[str, Task]:
    """Return the tasks of a data set that `finetune.tasks` names."""
    if config.tasks == (ALL_TASKS,):
        return dataset.tasks
    for name in config.tasks:
        if name not in dataset.tasks:
            raise ConfigError(f"finetune.tasks: no task {name!r}{suggest(name, dataset.tasks)}")
    return {name: dataset.tasks[name] for name in config.tasks}
