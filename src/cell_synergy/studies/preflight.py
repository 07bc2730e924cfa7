"""Whether the lists of params.yaml name what there is: asked once, before anything is computed.

A list may name a method that the study leaves out, and a task that only another data set has. It
may not name what nobody has: that is a misspelling, which stages would take for "does not apply".
"""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from tqdm import tqdm

from cell_synergy import encoders, models
from cell_synergy.core.config import load, section, suggest, value
from cell_synergy.core.errors import ConfigError
from cell_synergy.core.names import UNIMODAL
from cell_synergy.data.config import DatasetConfig
from cell_synergy.downstream.spatial.config import SpatialConfig
from cell_synergy.finetuning.config import FinetuneConfig
from cell_synergy.studies.claims.evidence import ClaimsConfig
from cell_synergy.studies.scaling.subsets import ScalingConfig
from cell_synergy.studies.trifeature.world import TrifeatureConfig

NEEDED = (*UNIMODAL, "concat")  # what all others are compared with
ALL = "all"  # tasks


def check() -> None:
    """Check methods, data sets, tasks and experts of params.yaml against each other.

    Raises
    ------
    ConfigError
        Names every key and name that is wrong. A task that no data set has is one if its name is
        near that of another; else a line says so, as where unused data sets were taken out.
    """
    wrong = [*_methods(), *_datasets(), *_experts()]
    if not wrong:
        wrong = list(_tasks())
    if wrong:
        raise ConfigError("\n".join(wrong))


def _methods() -> Iterator[str]:
    """Yield what is wrong with methods."""
    own, claims = section("models"), load(ClaimsConfig, "claims")
    yield from _unknown("models", own, models.names())
    for name in NEEDED:
        if name not in own:
            yield f"models: no {name!r}, with which all others are compared; put its block back"
    fusions = [name for name in own if name not in UNIMODAL]
    if (focal := str(value("method"))) not in fusions:
        yield f"method: {focal!r} is no fusion method of `models`{suggest(focal, fusions)}"
    named = {
        "claims.aligned": claims.aligned,
        "claims.synergy_aware": [claims.synergy_aware],
        "claims.redundant": [claims.redundant],
        "trifeature.methods": load(TrifeatureConfig, "trifeature").methods,
    }
    for key, names in named.items():
        yield from _unknown(key, names, {*models.names(), *own})


def _datasets() -> Iterator[str]:
    """Yield what is wrong with the data sets that are asked for."""
    yield from _unknown("datasets", value("datasets"), section("data"))


def _experts() -> Iterator[str]:
    """Yield what is wrong with the experts."""
    known = [name for name in section("encoders") if name in encoders.names()]
    for kind, name in section("experts").items():
        yield from _unknown(f"experts.{kind}", [str(name)], known)


def _tasks() -> Iterator[str]:
    """Yield what is wrong with tasks, of which another data set may have some."""
    for name in value("datasets"):
        load(DatasetConfig, f"data.{name}")  # a block that is wrong is told here
    known = {
        str(task)
        for block in section("data").values()
        for task in (block.get("tasks") if isinstance(block, dict) else None) or {}
    }
    claims = load(ClaimsConfig, "claims")
    asked = {
        "spatial.targets": load(SpatialConfig, "spatial").targets,
        "scaling.tasks": load(ScalingConfig, "scaling").tasks,
        "claims.local": claims.local,
        "claims.niches": claims.niches,
        "finetune.tasks": [t for t in load(FinetuneConfig, "finetune").tasks if t != ALL],
    }
    for key, tasks in asked.items():
        for task in (task for task in tasks if task not in known):
            said = f"{key}: no data set has a task {task!r}{suggest(task, known)}"
            if get_close_matches(task, known):
                yield said
            else:
                tqdm.write(said)


def _unknown(key: str, names: Iterable[str], known: Iterable[str]) -> Iterator[str]:
    """Yield a sentence for each name that is not known."""
    everyone = set(known)
    for name in names:
        if name not in everyone:
            yield f"{key}: no {name!r}{suggest(name, everyone)}"
