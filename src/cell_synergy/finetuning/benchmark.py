"""Tune one expert on one data set: the same function for a stage and the public command."""

import shutil
from pathlib import Path
from typing import Any

from cell_synergy import encoders
from cell_synergy.core.config import Config, merge, named, section, suggest, validate, value
from cell_synergy.core.device import use_threads
from cell_synergy.core.errors import ConfigError, DataError
from cell_synergy.core.files import atomic
from cell_synergy.core.resume.scratch import run_hash, scratch_folder
from cell_synergy.data.config import DatasetConfig, Task
from cell_synergy.data.paired import read as read_pairs
from cell_synergy.downstream.benchmark import write
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.finetuning import tunable
from cell_synergy.finetuning.config import FinetuneConfig
from cell_synergy.finetuning.finetune import finetune, seen_by


class Paths(Config):
    """What is read: the pairs, the folder of their images, the frozen expert's; what is written."""

    pairs: Path
    raw: Path
    frozen: Path
    out: Path


def run(words: dict[str, Any]) -> Path:
    """Tune as the nested words `expert`, `data`, `finetune`, `probe` and the paths say.

    The folder `out` gets the scores, the posteriors and a folder for each task, fold and seed. It
    appears when everything is done; what was done before a kill is kept in the scratch folder and
    not done again.
    """
    name, over_expert = named(words.pop("expert", {}), "name", "expert")
    dataset_name, over_data = named(words.pop("data", {}), "dataset", "data")
    over_settings, over_probe = words.pop("finetune", {}), words.pop("probe", {})
    data = merge(section(f"data.{dataset_name}"), over_data)
    dataset = validate(DatasetConfig, data, f"data.{dataset_name}")
    settings = validate(FinetuneConfig, merge(section("finetune"), over_settings), "finetune")
    probe = validate(ProbeConfig, merge(section("probe"), over_probe), "probe")
    paths = validate(Paths, words, "argument")
    use_threads(value("threads"))
    tasks = _tasks(dataset, settings)
    encoder = encoders.load(name, merge(section(f"encoders.{name}"), over_expert))
    units = read_pairs(paths.pairs)
    if not (paths.frozen / encoders.CARD).is_file():
        raise DataError(
            f"{paths.frozen}: no frozen expert there; make it (`python -m stages.pretrain "
            f"expert={name} reference=... out={paths.frozen}`, as dvc.yaml has it)"
        )
    expert = tunable.read(name, encoder, units, paths.frozen, settings.cells)
    paired = seen_by(expert, units, dataset, settings)
    inputs = encoders.sha256(paths.pairs), expert.name, expert.sha256
    configs = (c.model_dump(mode="json") for c in (encoder, dataset, settings, probe))
    work = scratch_folder() / f"finetune-{run_hash(*inputs, *configs)}"
    judged = finetune(expert, paired, tasks, settings, probe, work)
    with atomic(paths.out) as folder:
        shutil.copytree(work, folder)
        write(judged, folder / "scores.csv")
    shutil.rmtree(work)
    return paths.out


def _tasks(dataset: DatasetConfig, settings: FinetuneConfig) -> dict[str, Task]:
    """Return the tasks that are asked for."""
    if settings.tasks == ("all",):
        return dataset.tasks
    for name in settings.tasks:
        if name not in dataset.tasks:
            raise ConfigError(f"finetune.tasks: no task {name!r}{suggest(name, dataset.tasks)}")
    return {name: dataset.tasks[name] for name in settings.tasks}
