"""A paired data set: pairs, two embeddings, donors and folds, as methods and probes use it."""

from dataclasses import dataclass, field
from pathlib import Path

import anndata as ad
import numpy as np
from jaxtyping import Float32, Shaped

from cell_synergy.core.principal_axes import principal_axes
from cell_synergy.data import embeddings, paired
from cell_synergy.data.splits import Fold, folds, split_groups
from cell_synergy.data.study_design import DesignConfig


@dataclass(frozen=True)
class PairedDataset:
    """Paired observations with the embeddings of both experts, donors and folds.

    Attributes
    ----------
    adata
        The pairs: coordinates, counts, and labels where they were read.
    image, expression
        Embeddings of the two experts, not standardised, in the order of `adata`.
    groups
        Donor, section or block of each observation; all observations of a group are in training, or
        all are in test.
    donor
        Donor of each observation.
    folds
        Folds of the split.
    mode
        Standardisation of the embeddings, `train` or `donor`: see `embeddings.standardise`.
    """

    adata: ad.AnnData
    image: Float32[np.ndarray, "obs d1"]
    expression: Float32[np.ndarray, "obs d2"]
    groups: Shaped[np.ndarray, " obs"]
    donor: Shaped[np.ndarray, " obs"]
    folds: list[Fold]
    mode: str
    _axes: dict[tuple[bytes, int], list[np.ndarray]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )  # principal axes of both experts, by training rows and number

    @classmethod
    def read(
        cls,
        pairs: Path,
        image: Path,
        expression: Path,
        dataset: DesignConfig,
        labels: Path | None = None,
    ) -> "PairedDataset":
        """Read pairs, both embeddings and labels, and check that their rows agree.

        Parameters
        ----------
        pairs
            File of the paired observations.
        image, expression
            Files of the embeddings of the two experts.
        dataset
            Design of the data set: split, roles of donors, and standardisation.
        labels
            Label file of the pairs; None for pairs without labels, as alignment reads them.

        Raises
        ------
        DataError
            If a file is missing or broken, the rows of an embedding or of the labels differ from
            those of the pairs in name or order, the pairs were made for another split, or the split
            is impossible with their donors.
        """
        adata = paired.read(pairs, labels)
        return cls(
            adata,
            embeddings.read(image, adata.obs_names),
            embeddings.read(expression, adata.obs_names),
            split_groups(adata.obs, dataset),
            adata.obs["donor"].astype(str).to_numpy(),
            folds(adata.obs, dataset),
            dataset.standardise,
        )

    @property
    def section_or_block(self) -> Shaped[np.ndarray, " obs"]:
        """Block of each observation where sections are divided into blocks, else its section."""
        column = "block" if self.cut else "section"
        section_or_block: Shaped[np.ndarray, " obs"] = self.adata.obs[column].astype(str).to_numpy()
        return section_or_block

    @property
    def donor_labels(self) -> Shaped[np.ndarray, " obs"]:
        """Label in the control task `donor`: the donor under a split by blocks, else the group."""
        return self.donor if self.cut else self.groups

    @property
    def cut(self) -> bool:
        """Whether sections are divided into blocks."""
        return "block" in self.adata.obs

    def standardised(
        self, fold: Fold
    ) -> tuple[Float32[np.ndarray, "obs d1"], Float32[np.ndarray, "obs d2"]]:
        """Return image and expression embeddings of all observations, standardised for one fold.

        Each feature is centred and divided by its standard deviation, both computed over the rows
        `fold.align` if `mode` is `train`, and within each group if it is `donor`. A constant
        feature becomes zero.
        """
        image, expression = (
            embeddings.standardise(x, fold.align, self.groups, self.mode)
            for x in (self.image, self.expression)
        )
        return image, expression

    def inputs(
        self, fold: Fold, axes: int | None
    ) -> tuple[Float32[np.ndarray, "obs k1"], Float32[np.ndarray, "obs k2"]]:
        """Return what a method gets of image and expression: all observations, for one fold.

        Both experts then have about as many features, so that the wider one does not drown the
        other. Axes are not whitened: their variances remain those of the embedding.

        Parameters
        ----------
        fold
            The fold; principal axes are fitted on its rows `fold.align`.
        axes
            Maximal number of principal axes of each standardised embedding; None for the
            standardised embeddings themselves.
        """
        image, expression = self.standardised(fold)
        if axes is None:
            return image, expression
        key = fold.align.tobytes(), axes
        if key not in self._axes:
            self._axes[key] = [principal_axes(x[fold.align], axes) for x in (image, expression)]
        image_axes, expression_axes = self._axes[key]
        return image @ image_axes, expression @ expression_axes

    def input_text(self, axes: int | None) -> str:
        """Return a text that differs between inputs that one set of weights cannot share.

        Parameters
        ----------
        axes
            Maximal number of principal axes, as `inputs` takes it.
        """
        d1, d2 = self.image.shape[1], self.expression.shape[1]
        kind = "all features" if axes is None else f"{axes} principal axes"
        return f"{kind} (align.axes) of {d1} image and {d2} expression features"
