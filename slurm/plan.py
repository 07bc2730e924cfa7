"""Which stages are out of date, in which order they run and what each waits for."""

from collections import Counter
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException
from dvc.repo import Repo, lock_repo
from dvc.repo.reproduce import get_active_graph, plan_repro

from cell_synergy.core.config import PARAMS, STAGES


@dataclass(frozen=True)
class Step:
    """One stage to run.

    Attributes
    ----------
    name
        The stage as DVC addresses it.
    after
        Stages of the same plan that must be done before it starts.
    producers
        All stages whose outputs it reads, those that are up to date too.
    lost
        Why DVC keeps it out of its run-cache, so that its results could not come back from a job;
        empty for most.
    """

    name: str
    after: tuple[str, ...]
    producers: tuple[str, ...] = ()
    lost: str = ""


@dataclass(frozen=True)
class Plan:
    """The out-of-date part of the pipeline.

    Attributes
    ----------
    root
        Folder of the DVC repository.
    steps
        What to run, in the order in which it is started; no stage stands before one that it waits
        for.
    order
        Every stage of the pipeline in the order of a serial `dvc repro`, which is the order of
        `dvc.lock`.
    """

    root: Path
    steps: tuple[Step, ...]
    order: tuple[str, ...]


def make_plan(targets: list[str]) -> Plan:
    """Collect what is out of date: what `dvc status` names, and all that is made from it.

    Parameters
    ----------
    targets
        Stages, with all they are made from, as `dvc repro` takes them; none means all.

    Raises
    ------
    dvc.exceptions.DvcException
        Where there is no DVC repository, a target is unknown, or `dvc.yaml` is not valid.
    """
    with Repo() as repo, lock_repo(repo):
        wanted = _collect(repo, targets)
        status = repo.status()
        graph = get_active_graph(repo.index.graph)  # edges go from consumer to producer
        serial = list(plan_repro(graph))
        wanted = wanted if targets else set(serial)
        for stage in reversed(serial):
            if stage in wanted:
                wanted.update(graph.successors(stage))
        waits: dict[Any, list[str]] = {}
        for stage in serial:
            after = [made.addressing for made in graph.successors(stage) if made in waits]
            if stage in wanted and (after or stage.addressing in status):
                waits[stage] = after
        steps = tuple(
            Step(
                stage.addressing,
                tuple(after),
                tuple(made.addressing for made in graph.successors(stage)),
                _lost(stage),
            )
            for stage, after in waits.items()
        )
        order = tuple(stage.addressing for stage in serial)
        return Plan(Path(repo.root_dir), tuple(in_order_of_start(steps)), order)


def in_order_of_start(steps: tuple[Step, ...]) -> list[Step]:
    """Return the steps in the order in which they are started, none before one it waits for.

    First come those made from what most others are made from: a benchmark that reads nothing of the
    data sets must not keep them waiting. Of these the ones on which the longest chain of others
    waits: a long one must not be left for the end.
    """
    above: dict[str, set[str]] = {}  # first stages that each step is made from
    for step in steps:
        above[step.name] = set().union(*(above[name] for name in step.after)) or {step.name}
    made = Counter(first for firsts in above.values() for first in firsts)
    length = dict.fromkeys((step.name for step in steps), 0)
    for step in reversed(steps):
        for producer in step.after:
            length[producer] = max(length[producer], length[step.name] + 1)
    waiting = sorted(
        steps,
        key=lambda step: (-max(made[first] for first in above[step.name]), -length[step.name]),
    )
    order: dict[str, Step] = {}
    while waiting:
        step = next(step for step in waiting if order.keys() >= set(step.after))
        order[step.name] = step
        waiting.remove(step)
    return list(order.values())


def check_study() -> None:
    """Refuse a study whose params.yaml contradicts itself, before anything is computed.

    Raises
    ------
    cell_synergy.core.errors.ConfigError
        Names what is wrong. Nothing is asked of a repository that is another one's.
    """
    if PARAMS.is_file() and STAGES.is_dir():
        from cell_synergy.commands import check_params  # noqa: PLC0415 - seconds that a job or --help need not

        check_params.check()


def _lost(stage: Any) -> str:  # noqa: ANN401 - DVC ships no types
    """Return why the run-cache has no place for a stage; nothing if it has."""
    loose = [str(out) for out in stage.outs if not (out.use_cache or out.is_metric or out.is_plot)]
    if loose:
        return f"{loose[0]} has `cache: false`; list it under `plots:` or `metrics:`"
    if any(out.persist for out in stage.outs):
        return "it has an output with `persist: true`; remove that"
    if stage.always_changed or not (stage.cmd and stage.deps and stage.outs):
        return "it is always run anew or lacks `deps` or `outs`; name what it reads and writes"
    if stage.path_in_repo != "dvc.yaml":
        return f"it stands in {stage.path_in_repo}; move it to dvc.yaml"
    return ""


def _collect(repo: Any, targets: list[str]) -> set[Any]:  # noqa: ANN401 - DVC ships no types
    """Return the stages that the targets name."""
    stages = {str(stage.addressing): stage for stage in repo.index.stages}
    found = {stages[target] for target in targets if target in stages}
    for target in [target for target in targets if target not in stages]:
        try:
            found.update(repo.stage.collect(target))
        except DvcException as error:
            near = get_close_matches(target, stages)
            hint = f"did you mean {near[0]!r}?" if near else "`dvc stage list` names them all"
            raise DvcException(f"no stage {target!r} in dvc.yaml: {hint}") from error
    return found
