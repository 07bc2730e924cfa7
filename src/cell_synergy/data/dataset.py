"""A data set as methods and probes see it: two embeddings, donors and splits."""

from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import numpy as np
from jaxtyping import Float32, Shaped

from cell_synergy.data import embeddings, paired
from cell_synergy.data.config import Dataset
from cell_synergy.data.splits import Fold, folds, groups_of


@dataclass(frozen=True)
class Tissue:
    """A data set as the methods and probes see it.

    Attributes
    ----------
    units
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

    units: ad.AnnData
    image: Float32[np.ndarray, "units d1"]
    expression: Float32[np.ndarray, "units d2"]
    groups: Shaped[np.ndarray, " units"]
    donor: Shaped[np.ndarray, " units"]
    folds: list[Fold]
    mode: str

    @classmethod
    def read(cls, table: Path, image: Path, expression: Path, dataset: Dataset) -> "Tissue":
        """Read pairs and both embeddings, and check that their rows agree."""
        units = paired.read(table)
        return cls(
            units,
            embeddings.read(image, units.obs_names),
            embeddings.read(expression, units.obs_names),
            groups_of(units.obs, dataset),
            units.obs["donor"].astype(str).to_numpy(),
            folds(units.obs, dataset),
            dataset.standardise,
        )

    @property
    def pieces(self) -> Shaped[np.ndarray, " units"]:
        """The section of each unit, or its block where sections are cut: whole on either side."""
        column = "block" if self.cut else "section"
        pieces: Shaped[np.ndarray, " units"] = self.units.obs[column].astype(str).to_numpy()
        return pieces

    @property
    def owners(self) -> Shaped[np.ndarray, " units"]:
        """Whose tissue each unit is, as the control `donor` asks: of one donor, which section."""
        return self.donor if self.cut else self.groups

    @property
    def cut(self) -> bool:
        """Whether sections are cut into blocks."""
        return "block" in self.units.obs

    def standardised(
        self, fold: Fold
    ) -> tuple[Float32[np.ndarray, "units d1"], Float32[np.ndarray, "units d2"]]:
        """Return both embeddings of all units, standardised as the fold allows."""
        image, expression = (
            embeddings.standardise(x, fold.align, self.groups, self.mode)
            for x in (self.image, self.expression)
        )
        return image, expression
