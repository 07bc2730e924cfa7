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
    """A simulated twin; see `cell_synergy.data.simulator`.

    Attributes
    ----------
    genes, programme_genes
        Genes of the panel, and those that each level of an expression-visible state raises.
    regions, cell_types
        Classes of the two tasks.
    synergy
        Whether `niche` and `matched_niche` need both modalities.
    units
        Rows and columns of the grid of units, by the donor's role.
    pitch_um, margin_um, correlation_um
        Distance of units, tissue drawn around them, and the standard deviation of the Gaussian
        that smooths the fields of states.
    cells, purity, concentration
        Places for cells in a unit, mean share of its dominant type, and the sum of the Dirichlet's
        parameters.
    penetrance
        Share of a unit's nuclei that show its chromatin state; the others show the other one.
    mpp, stain_sd, jpeg_quality
        Of the image: micrometres per pixel, standard deviation over donors of the logarithm of
        stain amounts, and the quality of compression (1 to 100).
    library_size, library_sd
        Median counts per unit, and the standard deviation of its logarithm, over donors and again
        over units.
    marker_fold_change, fold_change
        Typical fold change of a cell type's genes and of those of any other state's level.
    dispersion, batch_sd
        Of the negative binomial, and of a donor's own log fold change of each gene.
    seed
        Root of all random streams.
    """

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
    unit_um: PositiveFloat
    standardise: Literal["train", "donor"]
    split: Literal["holdout", "leave-one-donor-out", "leave-one-section-out"]
    tasks: dict[str, Task]
    roles: dict[str, Role]
    simulator: Simulator | None = None

    @model_validator(mode="after")
    def _parts_agree(self) -> "Dataset":
        if (self.source == "simulator") != (self.simulator is not None):
            raise ValueError("source 'simulator' and the block 'simulator' go together")
        if (self.source == "folder") != (self.folder is not None):
            raise ValueError("source 'folder' and the key 'folder' go together")
        panels = [name for name, task in self.tasks.items() if task.kind == "gene_panel"]
        if len(panels) > 1:
            raise ValueError(f"one gene panel for a data set, not {panels}")
        if self.simulator is not None and self.split != "holdout":
            raise ValueError("a simulated twin has the split 'holdout'")
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
