"""Which stages are out of date, in which order they run and what each waits for."""

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException
from dvc.repo import Repo, lock_repo
from dvc.repo.reproduce import get_active_graph, plan_repro


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
    """

    name: str
    after: tuple[str, ...]
    producers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """The out-of-date part of the pipeline.

    Attributes
    ----------
    root
        Folder of the DVC repository.
    steps
        What to run; no stage stands before one that it waits for.
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
                stage.addressing, tuple(after), tuple(s.addressing for s in graph.successors(stage))
            )
            for stage, after in waits.items()
        )
        return Plan(Path(repo.root_dir), tuple(steps), tuple(stage.addressing for stage in serial))


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
