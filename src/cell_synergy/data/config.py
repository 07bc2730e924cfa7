"""Configuration of a data set: the section `data.<dataset>` of params.yaml."""

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from cell_synergy.core.config import Config
from cell_synergy.core.labels import check_spellings
from cell_synergy.data.naming import DonorSections, GroupNames, Labels, Names, is_file_name, listed

__all__ = [
    "BLOCKS",
    "PLATFORMS",
    "RESERVED_NAMES",
    "ClassificationTask",
    "CompositionTask",
    "DatasetConfig",
    "GenePanelTask",
    "GroupNames",
    "HubConfig",
    "Names",
    "ObservationKind",
    "Role",
    "SectionsConfig",
    "SimulatedDatasetConfig",
    "Task",
    "listed",
]  # fmt: skip

Role = Literal["reference", "train", "probe", "test", "study"]

BLOCKS = "leave-one-block-out"

RESERVED_NAMES = {"all", "block", "donor", "section"}  # names that no task can have

PLATFORMS = ("xenium", "visium")
"""Readers whose files the simulator writes."""

ObservationKind = Literal["spots", "cells", "patches"]


class ClassificationTask(Config):
    """A label per observation: the column of `obs` with the name of the task."""

    kind: Literal["classification"]
    exclude: Labels = ()
    circular: bool = False


class CompositionTask(Config):
    """Cell-type proportions per observation: `obsm["cell_type_ratio"]`."""

    kind: Literal["composition"]
    exclude: tuple[str, ...] = ()
    circular: bool = False


class GenePanelTask(Config):
    """Log-normalised counts of variable genes that are hidden from the expression expert."""

    kind: Literal["gene_panel"]
    genes: PositiveInt
    circular: bool = False


Task = Annotated[ClassificationTask | CompositionTask | GenePanelTask, Field(discriminator="kind")]


def no_task_message(key: str, tasks: Iterable[str]) -> str:
    """Return the message for a list of params.yaml that names no task of a data set."""
    names = ", ".join(tasks)
    return f"{key} names none of its tasks ({names})" if names else "it has no task"


class SimulatedDatasetConfig(Config):
    """Configuration of one simulated data set; the section `simulator` has what all share.

    Attributes
    ----------
    genes, programme_genes
        Number of genes of the panel, and of those that each level of an expression-visible state
        raises.
    regions, cell_types
        Classes of the two tasks.
    synergy
        Whether `niche` and `matched_niche` need both modalities.
    library_size
        Median counts per observation.
    fold_change
        Typical fold change of the genes of a state's level, for every state but cell type.
    seed
        Root of all random streams.
    """

    genes: PositiveInt
    programme_genes: PositiveInt
    regions: Annotated[int, Field(ge=6, le=27)]
    cell_types: Annotated[int, Field(ge=2, le=6)]
    synergy: bool
    library_size: PositiveFloat
    fold_change: PositiveFloat
    seed: int


class HubConfig(Config):
    """A repository of the hub in the layout of HEST-1k, fetched into the data set's `folder`.

    Attributes
    ----------
    repo, revision
        `owner/name`, and a commit.
    """

    repo: str
    revision: str


class SectionsConfig(Config):
    """Configuration of the readers of 10x and HEST files.

    Attributes
    ----------
    units
        Observations: `spots` (Visium HD: bins) or `cells` as they were measured, or `patches`,
        which are squares of `unit_um` that do not overlap, with the spots or cells inside.
    least
        Minimum number of cells (spots, bins) of a patch; a patch with fewer is dropped.
    origin_um
        Corner of the first patch, in x and y from the image's top left corner.
    keep_cells
        Whether patches keep the counts of each of their cells, for experts that read cells. Without
        these counts such an expert reads the summed counts of a patch like one cell.
    donors
        Sections of each donor, in one line per donor; sections without a donor are left out. By
        default every section is a donor with the name of the section.
    image
        Path of the H&E image inside a section's folder, with `*` for any name; by default the
        only image in that folder.
    bin_um
        Side of the bins of Visium HD, in micrometres.
    labels
        Table of labels inside the data set's folder (see `cell_synergy.raw.sections.label_tables`).
    cell_type
        Column of that table whose shares in a patch are the composition of the patch.
    composition
        Table of the shares of cell types in each spot, inside the data set's folder: like
        `labels`, with one column per type.
    """

    units: ObservationKind
    least: PositiveInt | None = None
    origin_um: NonNegativeFloat = 0.0
    keep_cells: bool | None = None
    donors: DonorSections | None = None
    image: str | None = None
    bin_um: PositiveInt | None = None
    labels: str | None = None
    cell_type: str | None = None
    composition: str | None = None

    @model_validator(mode="after")
    def _parts_agree(self) -> "SectionsConfig":
        patches = self.units == "patches"
        for key in ("least", "keep_cells"):
            if patches != (getattr(self, key) is not None):
                raise ValueError(f"units 'patches' and the key {key!r} go together")
        if self.origin_um and not patches:
            raise ValueError("'origin_um' needs units 'patches'")
        if self.cell_type is not None and (self.labels is None or not patches):
            raise ValueError("'cell_type' needs 'labels', and units 'patches'")
        if self.composition is not None and patches:
            raise ValueError(
                "'composition' needs units 'spots' or 'cells'; patches have 'cell_type'"
            )
        sections = [name for names in (self.donors or {}).values() for name in names]
        if twice := sorted({name for name in sections if sections.count(name) > 1}):
            raise ValueError(f"one donor for a section, but {twice} are listed twice")
        return self

    def donor_of(self, present: Iterable[str]) -> dict[str, str]:
        """Return the donor of each listed section, or of each of `present` where none is listed."""
        if self.donors is None:
            return {name: name for name in present}
        return {name: donor for donor, names in self.donors.items() for name in names}


class DatasetConfig(Config):
    """Source, observations, tasks and donors of one data set.

    `folder` has the user's own sections, or the files from the hub; the files stay there.
    `sections` is for the readers of 10x and HEST files.

    `roles` lists the donors (sections under `leave-one-section-out`) of each role, in one line per
    role and separated by commas: `reference` (experts and hyperparameters are fitted on it, never
    scored), `train` (alignment and probes), `probe` (probes only), `test` (scored), or `study`
    (each left out in turn, in leave-one-out splits).

    `leave-one-block-out` divides every study section into `blocks` stripes that lie `gap_um` apart
    (see `cell_synergy.data.blocks`), and leaves out each in turn; its scores say nothing about
    other donors. Without reference donors the first block of each section is the reference.
    `standardise: donor` then scales each block by its own observations.
    """

    source: Literal["simulator", "manifest", "folder", "hub"]
    folder: str | None = None
    hub: HubConfig | None = None
    reader: str
    sections: SectionsConfig | None = None
    unit_um: PositiveFloat
    standardise: Literal["train", "donor"]
    split: Literal["holdout", "leave-one-donor-out", "leave-one-section-out", "leave-one-block-out"]
    blocks: Annotated[int, Field(ge=2)] | None = None
    gap_um: PositiveFloat | None = None
    tasks: dict[str, Task]
    roles: dict[Role, GroupNames]
    simulator: SimulatedDatasetConfig | None = None

    @model_validator(mode="after")
    def _source_is_whole(self) -> "DatasetConfig":
        if (self.source == "simulator") != (self.simulator is not None):
            raise ValueError("source 'simulator' and the block 'simulator' go together")
        if (self.source == "hub") != (self.hub is not None):
            raise ValueError("source 'hub' and the block 'hub' go together")
        has_donors = self.sections is not None and self.sections.donors is not None
        if self.source == "hub" and self.folder is None:
            raise ValueError("source 'hub' needs the key 'folder'")
        if (self.source == "hub" or self.reader == "hest") and not has_donors:
            raise ValueError("sections of HEST-1k need the key 'sections.donors'")
        if self.source != "hub" and (self.source == "folder") != (self.folder is not None):
            raise ValueError("source 'folder' and the key 'folder' go together")
        return self

    @model_validator(mode="after")
    def _parts_agree(self) -> "DatasetConfig":
        panels = [name for name, task in self.tasks.items() if task.kind == "gene_panel"]
        if len(panels) > 1:
            raise ValueError(f"one gene panel for a data set, not {panels}")
        if wrong := sorted(
            name for name in self.tasks if name in RESERVED_NAMES or not is_file_name(name)
        ):
            raise ValueError(f"no task can be called {wrong}: rename the task and its label column")
        if self.simulator is not None and self.split != "holdout":
            raise ValueError("a simulated data set needs the split 'holdout'")
        if self.simulator is not None and self.reader not in PLATFORMS:
            raise ValueError(f"a simulated data set needs one of the readers {PLATFORMS}")
        for key in ("blocks", "gap_um"):
            if (self.split == BLOCKS) != (getattr(self, key) is not None):
                raise ValueError(f"split {BLOCKS!r} and the key {key!r} go together")
        if self.gap_um is not None and self.gap_um < self.unit_um:
            raise ValueError(f"'gap_um' must be at least 'unit_um', {self.unit_um:g}")
        return self

    @model_validator(mode="after")
    def _roles_agree(self) -> "DatasetConfig":
        allowed = (
            {"reference", "train", "probe", "test"}
            if self.split == "holdout"
            else {"reference", "study"}
        )
        if wrong := sorted(set(self.roles) - allowed):
            raise ValueError(f"split {self.split!r} has the roles {sorted(allowed)}, not {wrong}")
        with_role = [donor for donors in self.roles.values() for donor in donors]
        if twice := sorted({donor for donor in with_role if with_role.count(donor) > 1}):
            raise ValueError(f"one role for a {self.named}, but {twice} are listed twice")
        check_spellings(with_role, self.named, "roles")
        if self.sections is not None and self.sections.donors is not None:
            donors = self.sections.donors
            names = self.sections.donor_of(()) if self.named == "section" else donors
            if unknown := sorted(set(with_role) - set(names)):
                raise ValueError(f"'roles' names {unknown}, which 'sections.donors' does not")
        return self

    @property
    def role_of(self) -> dict[str, Role]:
        """Role of each donor (or section)."""
        return {donor: role for role, donors in self.roles.items() for donor in donors}

    @property
    def group(self) -> str:
        """Column of `obs` with the groups that no split divides."""
        return "block" if self.split == BLOCKS else self.named

    @property
    def named(self) -> Literal["donor", "section"]:
        """The kind of groups that `roles` lists."""
        return "section" if self.split == "leave-one-section-out" else "donor"
