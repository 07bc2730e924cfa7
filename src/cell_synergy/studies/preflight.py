"""Check that lists of parameters name methods, data sets, tasks and experts that exist.

The check runs once, before anything is computed. A list may name a method that the study omits,
and a task that only another data set has. A name that does not exist at all is a misspelling; a
stage could not distinguish it from a task that another data set has.
"""

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

from tqdm import tqdm

from cell_synergy import encoders, models
from cell_synergy.core.config import Config, param_of, section_of, validate
from cell_synergy.core.errors import ConfigError
from cell_synergy.core.messages import suggest
from cell_synergy.core.names import UNIMODAL
from cell_synergy.data.config import DatasetConfig
from cell_synergy.downstream.spatial.config import SpatialConfig
from cell_synergy.finetuning.config import ALL_TASKS, FinetuneConfig
from cell_synergy.raw import readers
from cell_synergy.studies import licensed
from cell_synergy.studies.claims.evidence import ClaimsConfig
from cell_synergy.studies.config import LimitsConfig, ReachConfig
from cell_synergy.studies.scaling.subsets import ScalingConfig
from cell_synergy.studies.trifeature.world import TrifeatureConfig

REQUIRED = (*UNIMODAL, "concat")  # every method is compared with these

Params = Mapping[str, Any]
C = TypeVar("C", bound=Config)


def check_study(params: Params) -> None:
    """Check methods, data sets, tasks and experts against each other.

    Parameters
    ----------
    params
        The content of params.yaml.

    Raises
    ------
    ConfigError
        If a name is wrong or a section is not valid; the message lists all wrong names. A task that
        no data set has is an error if its name is similar to that of another task. Otherwise it is
        logged only, since it may be one of a data set that was removed.
    """
    errors = [
        *_method_errors(params),
        *_dataset_errors(params),
        *_scaling_errors(params),
        *_expert_errors(params),
        *_circular_errors(params),
    ]
    if not errors:
        errors = list(_task_errors(params))
    if errors:
        raise ConfigError("\n".join(errors))


def _config(config: type[C], params: Params, name: str) -> C:
    return validate(config, section_of(params, name), name)


def _method_errors(params: Params) -> Iterator[str]:
    """Yield a message for each name of a method that does not exist or is missing."""
    blocks, claims = section_of(params, "models"), _config(ClaimsConfig, params, "claims")
    for name in (name for name in blocks if name not in models.names()):
        yield (
            f"models: no {name!r}{suggest(name, models.names())}; add its file to "
            "src/cell_synergy/models/, or take its block out"
        )
    for name in REQUIRED:
        if name not in blocks:
            yield f"models: no {name!r}, with which all others are compared; put its block back"
    fusions = [name for name in blocks if name not in UNIMODAL]
    if (focal := str(param_of(params, "method"))) not in fusions:
        yield f"method: {focal!r} is no fusion method of `models`{suggest(focal, fusions)}"
    lists = {
        "claims.aligned": claims.aligned,
        "claims.products": claims.products,
        "claims.synergy_aware": [claims.synergy_aware],
        "claims.redundant": [claims.redundant],
        "trifeature.methods": section_of(params, "trifeature.methods"),
    }
    for key, names in lists.items():
        yield from _unknown(key, names, {*models.names(), *blocks})
    trifeature = section_of(params, "trifeature")
    validate(
        TrifeatureConfig, {k: v for k, v in trifeature.items() if k != "methods"}, "trifeature"
    )


def _dataset_errors(params: Params) -> Iterator[str]:
    """Yield a message for each data set of the study that does not exist."""
    valid = section_of(params, "data")
    yield from _unknown("datasets", param_of(params, "datasets"), valid, licensed.names("data"))


def _scaling_errors(params: Params) -> Iterator[str]:
    """Yield a message if the scaling study is of no data set, or of one that the study lacks."""
    datasets, scaled = param_of(params, "datasets"), param_of(params, "scaling.datasets")
    if not isinstance(scaled, list) or not scaled or set(scaled) - set(datasets):
        yield (
            f"scaling.datasets: {scaled} has to be a list of data sets of `datasets`, one at least "
            f"(with -S: 'scaling.datasets=[{datasets[0]}]')"
        )


def _scaling_config(params: Params) -> ScalingConfig:
    """Return the configuration of the scaling study, whose data sets are checked apart."""
    section = section_of(params, "scaling")
    values = {key: value for key, value in section.items() if key != "datasets"}
    return validate(ScalingConfig, values, "scaling")


def _expert_errors(params: Params) -> Iterator[str]:
    """Yield a message for each expert of the study that does not exist."""
    valid = [name for name in section_of(params, "encoders") if name in encoders.names()]
    for kind, name in section_of(params, "experts").items():
        yield from _unknown(f"experts.{kind}", [str(name)], valid, licensed.names("encoders"))


def _circular_errors(params: Params) -> Iterator[str]:
    """Yield a message for each misspelt data set of `circular`, and each task that it lacks."""
    datasets = section_of(params, "data")
    for name, tasks in param_of(params, "circular").items():
        if name in datasets:
            yield from _unknown(f"circular.{name}", tasks, _tasks_of(datasets[name]))
        elif get_close_matches(name, datasets):
            yield f"circular: no data set {name!r}{suggest(name, datasets)}"


def _tasks_of(block: object) -> list[str]:
    """Return the names of the tasks in the block of a data set."""
    return [str(task) for task in (block.get("tasks") if isinstance(block, dict) else None) or {}]


def _task_errors(params: Params) -> Iterator[str]:
    """Yield a message for each misspelt task; log the tasks that no data set has."""
    for name in param_of(params, "datasets"):
        dataset = _config(DatasetConfig, params, f"data.{name}")  # raises if it is not valid
        yield from _unknown(f"data.{name}.reader", [dataset.reader.kind], readers.names())
    valid = {task for block in section_of(params, "data").values() for task in _tasks_of(block)}
    claims = _config(ClaimsConfig, params, "claims")
    _config(LimitsConfig, params, "limits")  # raises if it is not valid
    finetuned = _config(FinetuneConfig, params, "finetune").tasks
    lists = {
        "spatial.targets": _config(SpatialConfig, params, "spatial").targets,
        "scaling.tasks": _scaling_config(params).tasks,
        "claims.local": claims.local,
        "claims.niches": claims.niches,
        "claims.negative_controls": claims.negative_controls,
        "reach.tasks": _config(ReachConfig, params, "reach").tasks,
        "finetune.tasks": [task for task in finetuned if task != ALL_TASKS],
    }
    for key, tasks in lists.items():
        for task in (task for task in tasks if task not in valid):
            message = f"{key}: no data set has a task {task!r}{suggest(task, valid)}"
            if get_close_matches(task, valid):
                yield message
            else:
                tqdm.write(message)


def _unknown(
    key: str, names: Iterable[str], valid: Iterable[str], addable: Iterable[str] = ()
) -> Iterator[str]:
    """Yield a message for each name that is not valid; `addable` names are suggested as well."""
    valid = set(valid)
    for name in names:
        if name not in valid:
            yield f"{key}: no {name!r}{suggest(name, valid.union(addable))}"
