"""A data set as methods and probes see it: two embeddings, donors and splits."""

from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import numpy as np
from jaxtyping import Float32, Shaped

from cell_synergy.data import embeddings, paired
from cell_synergy.data.config import DatasetConfig
from cell_synergy.data.splits import Fold, folds, groups_of


@dataclass(frozen=True)
class PairedDataset:
    """A data set as the methods and probes see it.

    Attributes
    ----------
    adata
        The pairs: labels, coordinates, counts.
    image, expression
        The two experts' embeddings, not yet standardised.
    groups
        What a split never divides: donor, section where there is one donor, or block.
    donor
        Whose tissue each unit is.
    folds
        The splits.
    mode
        `train` or `donor`: whose mean and deviation standardise the embeddings.
    """

    adata: ad.AnnData
    image: Float32[np.ndarray, "obs d1"]
    expression: Float32[np.ndarray, "obs d2"]
    groups: Shaped[np.ndarray, " obs"]
    donor: Shaped[np.ndarray, " obs"]
    folds: list[Fold]
    mode: str

    @classmethod
    def read(
        cls, table: Path, image: Path, expression: Path, dataset: DatasetConfig
    ) -> "PairedDataset":
        """Read pairs and both embeddings, and check that their rows agree."""
        adata = paired.read(table)
        return cls(
            adata,
            embeddings.read(image, adata.obs_names),
            embeddings.read(expression, adata.obs_names),
            groups_of(adata.obs, dataset),
            adata.obs["donor"].astype(str).to_numpy(),
            folds(adata.obs, dataset),
            dataset.standardise,
        )

    @property
    def pieces(self) -> Shaped[np.ndarray, " obs"]:
        """The section of each unit, or its block where sections are cut: whole on either side."""
        column = "block" if self.cut else "section"
        pieces: Shaped[np.ndarray, " obs"] = self.adata.obs[column].astype(str).to_numpy()
        return pieces

    @property
    def owners(self) -> Shaped[np.ndarray, " obs"]:
        """Whose tissue each unit is, as the control `donor` asks: of one donor, which section."""
        return self.donor if self.cut else self.groups

    @property
    def cut(self) -> bool:
        """Whether sections are cut into blocks."""
        return "block" in self.adata.obs

    def standardised(
        self, fold: Fold
    ) -> tuple[Float32[np.ndarray, "obs d1"], Float32[np.ndarray, "obs d2"]]:
        """Return both embeddings of all units, standardised as the fold allows."""
        image, expression = (
            embeddings.standardise(x, fold.align, self.groups, self.mode)
            for x in (self.image, self.expression)
        )
        return image, expression
