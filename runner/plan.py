"""Plan which stages run: those that are out of date, in order, with their dependencies."""

import gc
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from dvc.dvcfile import PROJECT_FILE
from dvc.exceptions import DvcException
from dvc.repo import Repo, lock_repo
from dvc.repo.reproduce import get_active_graph, plan_repro

from runner.params import params_read_once
from runner.watch import Watch


@dataclass(frozen=True)
class Step:
    """One stage to run.

    Attributes
    ----------
    name
        Address of the stage in DVC, such as `align@lung-comm` or `benchmarks/dvc.yaml:speed`.
    after
        Stages of this plan that must be done before the stage starts.
    producers
        All stages whose outputs the stage reads, including those that are up to date.
    uncached
        Reason why DVC keeps no run-cache entry of the stage, so that its results cannot be restored
        after a job; empty for most stages.
    """

    name: str
    after: tuple[str, ...]
    producers: tuple[str, ...] = ()
    uncached: str = ""


@dataclass(frozen=True)
class Plan:
    """The out-of-date part of the pipeline.

    Attributes
    ----------
    root
        Folder of the DVC repository.
    steps
        Stages to run, in the order in which they start; each comes after those that it waits for.
    order
        Every stage of the repository in the order of a serial `dvc repro`, in which each lock file
        is sorted.
    preliminary
        Whether other stages can be planned only after the run of these steps.
    watch
        Detects changes of files that the plan depends on; None for a preliminary plan.
    """

    root: Path
    steps: tuple[Step, ...]
    order: tuple[str, ...]
    preliminary: bool = False
    watch: Watch | None = field(default=None, compare=False)


def make_plan(targets: list[str], *, first: bool = True) -> Plan:
    """Collect the stages that are out of date: those that `dvc status` lists, and their consumers.

    Outputs of stages with `meta: {first: true}` in dvc.yaml often do not change when their inputs
    do, so that only their run shows which of their consumers are out of date. If such a stage or
    one of its producers is out of date, the plan is preliminary: it holds only the out-of-date ones
    among these stages and their producers.

    Parameters
    ----------
    targets
        Stages, planned with all that they depend on, as in `dvc repro`: names of stages in the root
        `dvc.yaml`, `FOLDER/dvc.yaml:NAME`, or a whole `FOLDER/dvc.yaml`. An empty list means all
        stages of the root `dvc.yaml`.
    first
        Whether to return a preliminary plan in that case; if not, always the full plan.

    Returns
    -------
    :
        The plan; its `steps` are empty if everything is up to date.

    Raises
    ------
    dvc.exceptions.DvcException
        If there is no DVC repository, another DVC process holds the lock of the repository, a
        target is unknown, `dvc.yaml` is not valid, or a folder that a stage reads has a broken
        symbolic link.
    """
    with _no_collection(), Repo() as repo, lock_repo(repo), _dead_links_named(), params_read_once():
        graph = get_active_graph(repo.index.graph)  # edges go from consumer to producer
        serial = list(plan_repro(graph))
        root, order = Path(repo.root_dir), tuple(stage.addressing for stage in serial)
        if targets:
            named = _collect(repo, targets)
        else:
            named = {stage for stage in serial if stage.path_in_repo == PROJECT_FILE}
        selected = _with_producers(graph, serial, named)
        marked = [stage for stage in selected if _is_first(stage)]
        sources = _with_producers(graph, serial, marked)
        watch = Watch(repo, sources)
        if first and (steps := _steps(graph, serial, sources, lambda stage: stage.status())):
            return Plan(root, tuple(start_order(steps)), order, preliminary=True)
        steps = _steps(graph, serial, selected, lambda stage: stage.status(check_updates=True))
        return Plan(root, tuple(start_order(steps)), order, watch=watch)


def start_order(steps: Sequence[Step]) -> list[Step]:
    """Return the steps in the order in which they start, each after those that it waits for.

    Sources of a step are those steps before it that wait for no other. Steps with the sources that
    most steps share come first, so that a benchmark that reads no data set does not delay the data
    sets; of these, the step with the longest chain of consumers, so that no long chain is left at
    the end.
    """
    sources: dict[str, set[str]] = {}  # the sources of each step
    for step in steps:
        sources[step.name] = set().union(*(sources[name] for name in step.after)) or {step.name}
    consumers = Counter(source for names in sources.values() for source in names)
    length = dict.fromkeys((step.name for step in steps), 0)
    for step in reversed(steps):
        for producer in step.after:
            length[producer] = max(length[producer], length[step.name] + 1)
    waiting = sorted(
        steps,
        key=lambda step: (-max(consumers[name] for name in sources[step.name]), -length[step.name]),
    )
    order: dict[str, Step] = {}
    while waiting:
        step = next(step for step in waiting if order.keys() >= set(step.after))
        order[step.name] = step
        waiting.remove(step)
    return list(order.values())


def base_name(stage: str) -> str:
    """Return the name of a stage in dvc.yaml: `align` for the instance `align@lung-comm`."""
    return stage.partition("@")[0]


@contextmanager
def _no_collection() -> Iterator[None]:
    """Collect no garbage in a `with` block: a tenth of the time in which DVC loads all stages."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def _dead_links_named() -> Iterator[None]:
    """Name a broken symbolic link in a DvcException; DVC itself fails with a traceback."""
    try:
        yield
    except FileNotFoundError as error:
        raise DvcException(f"{error.filename} is a link to nothing; remove it") from error


def _is_first(stage: Any) -> bool:  # noqa: ANN401
    """Return whether a stage has `meta: {first: true}`."""
    return isinstance(stage.meta, dict) and bool(stage.meta.get("first"))


def _with_producers(
    graph: Any,  # noqa: ANN401 - DVC ships no types
    serial: Sequence[Any],
    stages: Iterable[Any],
) -> set[Any]:
    """Return the stages and all stages that they depend on, directly or not."""
    selected = set(stages)
    for stage in reversed(serial):
        if stage in selected:
            selected.update(graph.successors(stage))
    return selected


def _steps(
    graph: Any,  # noqa: ANN401
    serial: Sequence[Any],
    selected: Collection[Any],
    is_changed: Callable[[Any], object],
) -> list[Step]:
    """Return the steps of the selected stages that are changed or depend on a changed one."""
    steps: dict[Any, Step] = {}
    for stage in serial:
        if stage not in selected:
            continue
        producers = list(graph.successors(stage))
        after = tuple(steps[producer].name for producer in producers if producer in steps)
        if after or is_changed(stage):
            names = tuple(producer.addressing for producer in producers)
            steps[stage] = Step(stage.addressing, after, names, _reason_uncached(stage))
    return list(steps.values())


def _reason_uncached(stage: Any) -> str:  # noqa: ANN401
    """Return the reason why the run-cache keeps no entry of a stage; empty if it keeps one."""
    loose = [str(out) for out in stage.outs if not (out.use_cache or out.is_metric or out.is_plot)]
    if loose:
        return f"{loose[0]} has `cache: false`; list it under `plots:` or `metrics:`"
    if any(out.persist for out in stage.outs):
        return "it has an output with `persist: true`; remove that"
    if stage.always_changed or not (stage.cmd and stage.deps and stage.outs):
        return "it is always run anew or lacks `deps` or `outs`; name what it reads and writes"
    if stage.path_in_repo != PROJECT_FILE:
        return f"it stands in {stage.path_in_repo}; move it to dvc.yaml"
    return ""


def _collect(repo: Any, targets: list[str]) -> set[Any]:  # noqa: ANN401
    """Return the stages that the targets name."""
    stages = {str(stage.addressing): stage for stage in repo.index.stages}
    selected = {stages[target] for target in targets if target in stages}
    for target in [target for target in targets if target not in stages]:
        try:
            selected.update(repo.stage.collect(target))
        except DvcException as error:
            near = get_close_matches(target, stages)
            hint = f"did you mean {near[0]!r}?" if near else "`dvc stage list` names them all"
            raise DvcException(f"no stage {target!r} in dvc.yaml: {hint}") from error
    return selected
