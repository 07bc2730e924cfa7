"""Configuration of a data set: the section `data.<dataset>` of params.yaml."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from cell_synergy.core.config import Config
from cell_synergy.core.labels import check_spellings
from cell_synergy.data.naming import GroupNames, Labels, Names, OfKind, is_file_name, listed
from cell_synergy.data.reader_config import ReaderConfig
from cell_synergy.data.source_config import SimulatorSource, Source

__all__ = [
    "BLOCKS",
    "PLATFORMS",
    "RESERVED_NAMES",
    "BlockSplit",
    "ClassificationTask",
    "CompositionTask",
    "DatasetConfig",
    "GenePanelTask",
    "GroupNames",
    "Names",
    "Role",
    "Split",
    "Task",
    "listed",
]  # fmt: skip

Role = Literal["reference", "train", "probe", "test", "study"]

BLOCKS = "leave-one-block-out"

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
    """Return the message for a list of params.yaml that names no task of a data set."""
    names = ", ".join(tasks)
    return f"{key} names none of its tasks ({names})" if names else "it has no task"


class GroupSplit(Config):
    """A split of donors, or of sections.

    Attributes
    ----------
    kind
        `holdout`: the roles `train`, `probe` and `test` are the donors of one fold.
        `leave-one-donor-out` and `leave-one-section-out` leave each study donor (section) out in
        turn.
    """

    kind: Literal["holdout", "leave-one-donor-out", "leave-one-section-out"]


class BlockSplit(Config):
    """A split of every study section into stripes, of which each is left out in turn.

    Its scores say nothing about other donors. Without reference donors the first block of each
    section is the reference. `standardise: donor` then scales each block by its own observations.
    See `cell_synergy.data.blocks`.

    Attributes
    ----------
    kind
        `leave-one-block-out`.
    blocks
        Number of stripes of a section.
    gap_um
        Width of the gaps between them, in micrometres, at least `unit_um`.
    """

    kind: Literal["leave-one-block-out"]
    blocks: Annotated[int, Field(ge=2)]
    gap_um: PositiveFloat


Split = Annotated[GroupSplit | BlockSplit, Field(discriminator="kind"), OfKind]
"""How folds divide the observations of a data set."""


class DatasetConfig(Config):
    """Source, observations, tasks and donors of one data set.

    `source`, `reader` and `split` are blocks with a key `kind`; a bare word is short for one
    without further keys: `split: holdout` for `split: {kind: holdout}`.

    Attributes
    ----------
    source
        Where the files come from: `simulator`, `manifest`, `folder` or `hub`.
    reader
        What reads the files, and which observations it makes of a section.
    unit_um
        Side of an observation, or the distance between two, in micrometres.
    standardise
        Whether embeddings are scaled by the training rows (`train`), or each donor by its own
        unlabelled rows (`donor`).
    split
        How folds divide the observations.
    tasks
        Targets of the probes, by name.
    roles
        A list of donors (sections under `leave-one-section-out`) for each role: `reference`
        (experts and hyperparameters are fitted on it, never scored), `train` (alignment and
        probes), `probe` (probes only), `test` (scored), or `study` (each left out in turn, in
        leave-one-out splits).
    """

    source: Source
    reader: Annotated[ReaderConfig, OfKind]
    unit_um: PositiveFloat
    standardise: Literal["train", "donor"]
    split: Split
    tasks: dict[str, Task]
    roles: dict[Role, GroupNames]

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
    def _source_and_reader_agree(self) -> "DatasetConfig":
        if self.simulator is not None and self.split.kind != "holdout":
            raise ValueError("a simulated data set needs the split 'holdout'")
        if self.simulator is not None and self.reader.kind not in PLATFORMS:
            raise ValueError(f"a simulated data set needs one of the readers {PLATFORMS}")
        is_hest = self.source.kind == "hub" or self.reader.kind == "hest"
        if is_hest and self.reader.donors is None:
            raise ValueError("sections of HEST-1k need the key 'reader.donors'")
        return self

    @model_validator(mode="after")
    def _tasks_and_split_are_valid(self) -> "DatasetConfig":
        panels = [name for name, task in self.tasks.items() if task.kind == "gene_panel"]
        if len(panels) > 1:
            raise ValueError(f"one gene panel for a data set, not {panels}")
        if wrong := sorted(
            name for name in self.tasks if name in RESERVED_NAMES or not is_file_name(name)
        ):
            raise ValueError(f"no task can be called {wrong}: rename the task and its label column")
        if isinstance(self.split, BlockSplit) and self.split.gap_um < self.unit_um:
            raise ValueError(f"'split.gap_um' must be at least 'unit_um', {self.unit_um:g}")
        return self

    @model_validator(mode="after")
    def _roles_agree(self) -> "DatasetConfig":
        allowed = (
            {"reference", "train", "probe", "test"}
            if self.split.kind == "holdout"
            else {"reference", "study"}
        )
        if wrong := sorted(set(self.roles) - allowed):
            kind = self.split.kind
            raise ValueError(f"split {kind!r} has the roles {sorted(allowed)}, not {wrong}")
        with_role = [donor for donors in self.roles.values() for donor in donors]
        if twice := sorted({donor for donor in with_role if with_role.count(donor) > 1}):
            raise ValueError(f"one role for a {self.named}, but {twice} are listed twice")
        check_spellings(with_role, self.named, "roles")
        if (donors := self.reader.donors) is not None:
            names = self.reader.donor_of(()) if self.named == "section" else donors
            if unknown := sorted(set(with_role) - set(names)):
                raise ValueError(f"'roles' names {unknown}, which 'reader.donors' does not")
        return self

    @property
    def simulator(self) -> SimulatorSource | None:
        """Values of the simulator; None for measured tissue."""
        return self.source if isinstance(self.source, SimulatorSource) else None

    @property
    def sections(self) -> ReaderConfig | None:
        """The configuration of a reader of 10x and HEST files; None for other readers."""
        return self.reader if self.reader.units is not None else None

    @property
    def block_split(self) -> BlockSplit | None:
        """The split into blocks of a section; None for other splits."""
        return self.split if isinstance(self.split, BlockSplit) else None

    @property
    def role_of(self) -> dict[str, Role]:
        """Role of each donor (or section)."""
        return {donor: role for role, donors in self.roles.items() for donor in donors}

    @property
    def group(self) -> str:
        """Column of `obs` with the groups that no split divides."""
        return self.named if self.block_split is None else "block"

    @property
    def named(self) -> Literal["donor", "section"]:
        """The kind of groups that `roles` lists."""
        return "section" if self.split.kind == "leave-one-section-out" else "donor"
