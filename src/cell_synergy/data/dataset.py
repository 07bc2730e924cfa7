"""What `data.<dataset>` in params.yaml says about a data set."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from cell_synergy.config import Config

Role = Literal["reference", "train", "probe", "test", "study"]


class Classification(Config):
    """A label per unit: the `obs` column of the task's name."""

    kind: Literal["classification"]
    exclude: tuple[str, ...]
    circular: bool


class Composition(Config):
    """Cell-type proportions per unit: `obsm["cell_type_ratio"]`."""

    kind: Literal["composition"]
    exclude: tuple[str, ...]
    circular: bool


class GenePanel(Config):
    """Log-normalised counts of variable genes that the expression expert never sees."""

    kind: Literal["gene_panel"]
    genes: PositiveInt
    circular: bool


Task = Annotated[Classification | Composition | GenePanel, Field(discriminator="kind")]


class Simulator(Config):
    """A simulated twin; see `cell_synergy.data.simulator`."""

    genes: PositiveInt
    programme_genes: PositiveInt
    regions: Annotated[int, Field(ge=6, le=27)]
    cell_types: Annotated[int, Field(ge=2, le=6)]
    synergy: bool
    units: dict[Role, tuple[PositiveInt, PositiveInt]]
    pitch_um: PositiveFloat
    margin_um: PositiveFloat
    correlation_um: PositiveFloat
    cells: PositiveFloat
    purity: Annotated[float, Field(gt=0, lt=1)]
    concentration: PositiveFloat
    penetrance: Annotated[float, Field(gt=0.5, le=1)]
    mpp: PositiveFloat
    stain_sd: NonNegativeFloat
    jpeg_quality: Annotated[int, Field(ge=1, le=100)]
    library_size: PositiveFloat
    library_sd: NonNegativeFloat
    marker_fold_change: PositiveFloat
    fold_change: PositiveFloat
    dispersion: PositiveFloat
    batch_sd: NonNegativeFloat
    seed: int


class Dataset(Config):
    """Source, units, tasks and donors of one data set.

    `roles` maps each donor (each section under `leave-one-section-out`) to what it is for:
    `reference` (fits experts and hyperparameters, never scored), `train` (alignment and probes),
    `probe` (probes only), `test` (scored), or `study` (each in turn, in leave-one-out splits).
    """

    source: Literal["simulator", "manifest", "folder"]
    folder: str | None = None
    reader: str
    species: Literal["human", "mouse"]
    unit_um: PositiveFloat
    standardise: Literal["train", "donor"]
    split: Literal["holdout", "leave-one-donor-out", "leave-one-section-out"]
    tasks: dict[str, Task]
    roles: dict[str, Role]
    simulator: Simulator | None = None

    @model_validator(mode="after")
    def _source_is_complete(self) -> "Dataset":
        if (self.source == "simulator") != (self.simulator is not None):
            raise ValueError("source 'simulator' and the block 'simulator' go together")
        if (self.source == "folder") != (self.folder is not None):
            raise ValueError("source 'folder' and the key 'folder' go together")
        allowed = (
            {"reference", "train", "probe", "test"}
            if self.split == "holdout"
            else {"reference", "study"}
        )
        if wrong := sorted(set(self.roles.values()) - allowed):
            raise ValueError(f"split {self.split!r} knows the roles {sorted(allowed)}, not {wrong}")
        return self

    @property
    def group(self) -> str:
        """The `obs` column that a split never divides."""
        return "section" if self.split == "leave-one-section-out" else "donor"
