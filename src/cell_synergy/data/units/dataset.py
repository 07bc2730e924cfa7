"""What `data.<dataset>` in params.yaml says about a data set."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PositiveFloat, PositiveInt, model_validator

from cell_synergy.core.config import Config

Role = Literal["reference", "train", "probe", "test", "study"]


def listed(text: object) -> tuple[object, ...]:
    """Split a line at its commas; YAML reads a lone number as one."""
    if isinstance(text, tuple):
        return text
    if not isinstance(text, str | int):
        raise ValueError("write them in one line, separated by commas")  # noqa: TRY004 - pydantic's
    words = tuple(word.strip() for word in str(text).split(","))
    if not all(words):
        raise ValueError("nothing stands between two commas")
    return words


Names = Annotated[tuple[str, ...], BeforeValidator(listed)]
"""Names in one line, separated by commas."""


class Classification(Config):
    """A label per unit: the `obs` column of the task's name."""

    kind: Literal["classification"]
    exclude: tuple[str, ...] = ()
    circular: bool = False


class Composition(Config):
    """Cell-type proportions per unit: `obsm["cell_type_ratio"]`."""

    kind: Literal["composition"]
    exclude: tuple[str, ...] = ()
    circular: bool = False


class GenePanel(Config):
    """Log-normalised counts of variable genes that the expression expert never sees."""

    kind: Literal["gene_panel"]
    genes: PositiveInt
    circular: bool = False


Task = Annotated[Classification | Composition | GenePanel, Field(discriminator="kind")]


class Twin(Config):
    """What sets one simulated twin apart; what all share is the section `simulator`.

    Attributes
    ----------
    genes, programme_genes
        Genes of the panel, and those that each level of an expression-visible state raises.
    regions, cell_types
        Classes of the two tasks.
    synergy
        Whether `niche` and `matched_niche` need both modalities.
    library_size
        Median counts per unit.
    fold_change
        Typical fold change of the genes of any state's level but cell type.
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


class Dataset(Config):
    """Source, units, tasks and donors of one data set.

    `roles` lists the donors (sections under `leave-one-section-out`) of each role, in one line each
    and separated by commas: `reference`
    (fits experts and hyperparameters, never scored), `train` (alignment and probes), `probe`
    (probes only), `test` (scored), or `study` (each in turn, in leave-one-out splits).
    """

    source: Literal["simulator", "manifest", "folder"]
    folder: str | None = None
    reader: str
    unit_um: PositiveFloat
    standardise: Literal["train", "donor"]
    split: Literal["holdout", "leave-one-donor-out", "leave-one-section-out"]
    tasks: dict[str, Task]
    roles: dict[Role, Names]
    simulator: Twin | None = None

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
        if wrong := sorted(set(self.roles) - allowed):
            raise ValueError(f"split {self.split!r} knows the roles {sorted(allowed)}, not {wrong}")
        everyone = [donor for donors in self.roles.values() for donor in donors]
        if twice := sorted({donor for donor in everyone if everyone.count(donor) > 1}):
            raise ValueError(f"one role for a donor, but {twice} are listed twice")
        return self

    @property
    def role_of(self) -> dict[str, Role]:
        """The role of each donor (or section)."""
        return {donor: role for role, donors in self.roles.items() for donor in donors}

    @property
    def group(self) -> str:
        """The `obs` column that a split never divides."""
        return "section" if self.split == "leave-one-section-out" else "donor"
