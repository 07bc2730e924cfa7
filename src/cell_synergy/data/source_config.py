"""Configuration of where a data set's files come from: the key `source` of `data.<dataset>`."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from cell_synergy.core.config import Config
from cell_synergy.data.naming import OfKind


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
        Whether `niche` and `matched_niche` need both modalities.
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
    library_size: PositiveFloat
    fold_change: PositiveFloat
    seed: int


class SimulatorSource(SimulatedDatasetConfig):
    """The simulator, with its values for this data set.

    Attributes
    ----------
    kind
        `simulator`.
    """

    kind: Literal["simulator"]


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
