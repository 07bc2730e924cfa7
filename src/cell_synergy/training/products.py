"""Methods whose joint embedding has products of two sides: low-rank bilinear pooling.

Each side is a linear map of one expert's input, with every feature standardised by the training
pairs; `z3` is both sides and their products. A linear probe of two sides without products is
additive: it cannot use a combination of states of which each side shows one. With products it can,
whatever the sides were fitted for. Products by elements (Kim et al. 2017, "Hadamard Product for
Low-rank Bilinear Pooling", ICLR) need sides whose feature i belongs to feature i of the other, such
as canonical variates.
"""

from abc import abstractmethod
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Float32
from pydantic import PositiveInt

from cell_synergy.core.errors import ConfigError
from cell_synergy.data.embeddings import moments
from cell_synergy.training.method import ClosedForm, Pairs, Weights

MODALITIES = ("image", "expression")


class Products(ClosedForm):
    """Linear maps of both experts, and products of their outputs.

    Attributes
    ----------
    components
        Number k of features of each side; the joint embedding has 3 k features, or k (2 + k) with
        all products.
    all_products
        Whether `z3` has the products of all pairs of features, not only those of equal index.
    """

    all_products: ClassVar[bool] = False
    components: PositiveInt

    @abstractmethod
    def directions(
        self, pairs: Pairs, seed: int
    ) -> tuple[Float[np.ndarray, "d1 k"], Float[np.ndarray, "d2 k"]]:
        """Return the linear maps of image and expression; outputs may have any scale.

        Parameters
        ----------
        pairs
            Training pairs of the fit.
        seed
            Seed from which all random streams of the fit derive.

        Raises
        ------
        DataError
            If the maps are not determined by the training pairs.
        """

    def solve(self, pairs: Pairs, seed: int) -> Weights:
        """Return both linear maps, with outputs of variance 1, and the means of the outputs.

        Parameters
        ----------
        pairs, seed
            As `directions` takes them.

        Raises
        ------
        ConfigError
            If an expert has fewer features than `components`.
        DataError
            As `directions` does.
        """
        inputs = pairs.image, pairs.expression
        if self.components > (n_max := min(x.shape[1] for x in inputs)):
            name = type(self).__module__.rpartition(".")[2]
            raise ConfigError(
                f"models.{name}.components: {self.components}, the data allow {n_max}"
            )
        weights: Weights = {}
        maps = self.directions(pairs, seed)
        for modality, x, directions in zip(MODALITIES, inputs, maps, strict=True):
            mean, scale = moments(x @ directions.astype(np.float32))
            weights[modality] = (directions * scale).astype(np.float32)
            weights[f"{modality}_mean"] = (mean * scale).astype(np.float32)
        return weights

    def transform(
        self,
        weights: Weights,
        image: Float32[np.ndarray, "obs d1"],
        expression: Float32[np.ndarray, "obs d2"],
    ) -> Float32[np.ndarray, "obs d3"]:
        """Return both sides and their products.

        Parameters
        ----------
        weights, image, expression
            Weights of one fit, and inputs from the two experts with paired rows.
        """
        first, second = (
            x @ weights[modality] - weights[f"{modality}_mean"]
            for modality, x in zip(MODALITIES, (image, expression), strict=True)
        )
        return with_products(first, second, all_products=self.all_products)


def with_products(
    first: Float32[np.ndarray, "obs k"],
    second: Float32[np.ndarray, "obs k"],
    *,
    all_products: bool = False,
) -> Float32[np.ndarray, "obs d3"]:
    """Return two sides and the products of their features, side by side.

    Parameters
    ----------
    first, second
        Standardised features of both sides.
    all_products
        Whether there is a product of every pair of features (k x k, the second side's index runs
        fastest), not only of those with equal index (k).
    """
    products = first * second
    if all_products:
        products = (first[:, :, None] * second[:, None]).reshape(len(first), -1)
    return np.concatenate([first, second, products], axis=1)
