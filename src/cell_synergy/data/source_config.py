"""Configuration of where a data set's files come from: the key `source` of `data.<dataset>`."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PositiveFloat, PositiveInt

from cell_synergy.core.config import Config
from cell_synergy.data.naming import OfKind, listed
from cell_synergy.data.study_design import Role


class SimulatedDatasetConfig(Config):
    """Configuration of one simulated data set; the section `simulator` has what all share.

    Attributes
    ----------
    genes, programme_genes
        Number of genes, and of those that each level of a latent state that affects expression
        upregulates.
    regions, cell_types
        Numbers of classes of the tasks `region` and `cell_type`.
    synergy
        Whether `niche`, `matched_niche` and `mixed_niche` have synergy.
    units
        Numbers of rows and columns of observations in a section, by the role of its donor.
    penetrance
        Probability that a nucleus has the chromatin state of its observation, not the other state.
    deposits
        Mean number of deposits (pigment, mineral, crystals) in an observation.
    jpeg_quality
        JPEG quality of the image, 1 to 100.
    library_size
        Median counts per observation.
    fold_change
        Typical fold change of the genes of a state's level, for every state but cell type.
    seed
        Seed from which all random streams are derived.
    """

    genes: PositiveInt
    programme_genes: PositiveInt
    regions: Annotated[int, Field(ge=6, le=27)]
    cell_types: Annotated[int, Field(ge=2, le=6)]
    synergy: bool
    units: dict[Role, Annotated[tuple[PositiveInt, PositiveInt], BeforeValidator(listed)]]
    penetrance: Annotated[float, Field(gt=0.5, le=1)]
    deposits: PositiveFloat
    jpeg_quality: Annotated[int, Field(ge=1, le=100)]
    library_size: PositiveFloat
    fold_change: PositiveFloat
    seed: int


class SimulatorSource(SimulatedDatasetConfig):
    """The simulator, with its values for this data set.

    Attributes
    ----------
    kind
        `simulator`.
    role
        What the data set is for, for the reader of figures and tables; no file of the simulator
        depends on it.
    """

    kind: Literal["simulator"]
    role: Annotated[str, Field(pattern=r"^\S([^\n]*\S)?$")]

    def tissue(self) -> dict[str, object]:
        """Return the values that the simulated files depend on."""
        return self.model_dump(exclude={"kind", "role"})


class ManifestSource(Config):
    """Public files, listed in `raw/manifests/<dataset>.csv` with addresses and hashes.

    Attributes
    ----------
    kind
        `manifest`.
    """

    kind: Literal["manifest"]


class FolderSource(Config):
    """The user's own sections, which stay where they are.

    Attributes
    ----------
    kind
        `folder`.
    folder
        Path of the folder of sections.
    """

    kind: Literal["folder"]
    folder: str


class HubSource(Config):
    """A repository of the hub in the layout of HEST-1k.

    Attributes
    ----------
    kind
        `hub`.
    repo, revision
        `owner/name`, and a commit.
    folder
        Path of the folder that the files are fetched into, where they stay.
    """

    kind: Literal["hub"]
    repo: str
    revision: str
    folder: str


Source = Annotated[
    SimulatorSource | ManifestSource | FolderSource | HubSource,
    Field(discriminator="kind"),
    OfKind,
]
"""Where a data set's files come from."""
