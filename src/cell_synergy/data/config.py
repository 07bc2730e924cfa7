"""Configuration of a data set: the section `data.<dataset>` of params.yaml."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from cell_synergy.core.config import Config
from cell_synergy.data.naming import Labels, OfKind, is_file_name
from cell_synergy.data.reader_config import ReaderConfig
from cell_synergy.data.source_config import SimulatorSource, Source
from cell_synergy.data.study_design import DesignConfig

RESERVED_NAMES = {"all", "block", "donor", "section"}  # names that no task can have

PLATFORMS = ("xenium", "visium")
"""Readers whose files the simulator writes."""

_MOVED = {
    "sections": "`reader: {kind: xenium, units: spots}`",
    "folder": "`source: {kind: folder, folder: ~/sections}`",
    "hub": "`source: {kind: hub, repo: OWNER/NAME, revision: COMMIT, folder: ~/hest}`",
    "simulator": "`source: {kind: simulator, genes: 343}`, and so on",
    "blocks": "`split: {kind: leave-one-block-out, blocks: 5, gap_um: 336}`",
    "gap_um": "`split: {kind: leave-one-block-out, blocks: 5, gap_um: 336}`",
}
"""Keys that a data set's block had, and where their values stand now."""


class ClassificationTask(Config):
    """A label per observation: the column of `obs` with the name of the task.

    Attributes
    ----------
    kind
        `classification`.
    exclude
        Classes that count as missing labels.
    """

    kind: Literal["classification"]
    exclude: Labels = ()


class CompositionTask(Config):
    """Cell-type proportions per observation: `obsm["cell_type_ratio"]`.

    Attributes
    ----------
    kind
        `composition`.
    exclude
        Cell types that are left out.
    """

    kind: Literal["composition"]
    exclude: tuple[str, ...] = ()


class GenePanelTask(Config):
    """Log-normalised counts of variable genes that are hidden from the expression expert.

    Attributes
    ----------
    kind
        `gene_panel`.
    genes
        Number of genes.
    """

    kind: Literal["gene_panel"]
    genes: PositiveInt


Task = Annotated[ClassificationTask | CompositionTask | GenePanelTask, Field(discriminator="kind")]


def no_task_message(key: str, tasks: Iterable[str]) -> str:
    """Return the end of a message on a list of params.yaml that names no task of a data set.

    Parameters
    ----------
    key
        Dotted key of the list.
    tasks
        Names of the tasks of the data set; may be empty.
    """
    names = ", ".join(tasks)
    return f"{key} names none of its tasks ({names})" if names else "it has no task"


class RawConfig(Config):
    """Source and reader of the files of one data set.

    `source` and `reader` are blocks with a key `kind`; a bare word is short for a block without
    further keys: `reader: h5ad` for `reader: {kind: h5ad}`.

    Attributes
    ----------
    source
        Where the files come from: `simulator`, `manifest`, `folder` or `hub`.
    reader
        What reads the files, and which observations it makes of a section.
    """

    source: Source
    reader: Annotated[ReaderConfig, OfKind]

    @model_validator(mode="after")
    def _source_and_reader_agree(self) -> "RawConfig":
        if self.simulator is not None and self.reader.kind not in PLATFORMS:
            raise ValueError(f"a simulated data set needs one of the readers {PLATFORMS}")
        is_hest = self.source.kind == "hub" or self.reader.kind == "hest"
        if is_hest and self.reader.donors is None:
            raise ValueError("sections of HEST-1k need the key 'reader.donors'")
        return self

    @property
    def simulator(self) -> SimulatorSource | None:
        """Values of the simulator; None for measured tissue."""
        return self.source if isinstance(self.source, SimulatorSource) else None

    @property
    def sections(self) -> ReaderConfig | None:
        """The configuration of a reader of 10x and HEST files; None for other readers."""
        return self.reader if self.reader.units is not None else None


class BenchmarkConfig(DesignConfig):
    """Design of a data set, and the tasks that representations are scored on.

    Attributes
    ----------
    tasks
        Targets of the probes, by name.
    """

    tasks: dict[str, Task]

    @model_validator(mode="after")
    def _tasks_are_valid(self) -> "BenchmarkConfig":
        panels = [name for name, task in self.tasks.items() if task.kind == "gene_panel"]
        if len(panels) > 1:
            raise ValueError(f"one gene panel for a data set, not {panels}")
        if wrong := sorted(
            name for name in self.tasks if name in RESERVED_NAMES or not is_file_name(name)
        ):
            raise ValueError(f"no task can be called {wrong}: rename the task and its label column")
        return self


class SpatialBenchmarkConfig(BenchmarkConfig):
    """Tasks of a data set, and kind and size of its observations.

    Attributes
    ----------
    unit_um
        Side of an observation, or the distance between two, in micrometres.
    reader
        Reader of the files; its `units` are the observations: spots, cells or patches.
    """

    unit_um: PositiveFloat
    reader: Annotated[ReaderConfig, OfKind]


class DatasetConfig(RawConfig, SpatialBenchmarkConfig):
    """Source, observations, tasks and donors of one data set: all keys of its block.

    A stage that does not read all of them reads one of the classes above, or
    `study_design.DesignConfig`.
    """

    @model_validator(mode="before")
    @classmethod
    def _no_former_keys(cls, block: Any) -> Any:  # noqa: ANN401 - pydantic's signature
        if not isinstance(block, Mapping):
            return block
        moved = [f"{key!r} stands in {place} now" for key, place in _MOVED.items() if key in block]
        tasks = block.get("tasks")
        for name, task in tasks.items() if isinstance(tasks, Mapping) else ():
            if isinstance(task, Mapping) and "circular" in task:
                moved.append(f"'circular' stands in `circular: {{DATA_SET: [{name}]}}` now")
        if moved:
            raise ValueError("; ".join(moved))
        return block

    @model_validator(mode="after")
    def _parts_agree(self) -> "DatasetConfig":
        if self.simulator is not None and self.split.kind != "holdout":
            raise ValueError("a simulated data set needs the split 'holdout'")
        if self.block_split is not None and self.block_split.gap_um < self.unit_um:
            raise ValueError(f"'split.gap_um' must be at least 'unit_um', {self.unit_um:g}")
        if (donors := self.reader.donors) is not None:
            names = self.reader.donor_of(()) if self.grouping == "section" else donors
            if unknown := sorted(set(self.role_of) - set(names)):
                raise ValueError(f"'roles' names {unknown}, which 'reader.donors' does not")
        return self
