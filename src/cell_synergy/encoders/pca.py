"""PCA of log-normalised counts, fitted on reference donors and frozen.

The counts of each observation are scaled to a common sum and transformed by log(1 + x). The
principal axes are those of the centred genes of the reference donors; an embedding is the
projection onto these axes.
"""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scipy.linalg
from jaxtyping import Float32
from pydantic import JsonValue, PositiveFloat, PositiveInt
from safetensors.numpy import save_file
from scipy import sparse

from cell_synergy.core import arrays, filetypes
from cell_synergy.core.errors import DataError
from cell_synergy.data.paired import log_normalise, visible_counts
from cell_synergy.encoders import Encoder, require_genes, sha256, visible_genes

_WEIGHTS, _GENES = "pca.safetensors", "genes.txt"
_REMEDY = "fit the expert again (`dvc repro embed`)"


class Expert(Encoder):
    """PCA of log-normalised counts.

    Attributes
    ----------
    components
        Number of principal axes.
    target_sum
        Sum to which the counts of each observation are scaled.
    least_share
        Minimum share of the reference observations in which a gene of the expert is detected.
    """

    components: PositiveInt
    target_sum: PositiveFloat
    least_share: PositiveFloat

    def freeze(self, reference: ad.AnnData, out: Path) -> dict[str, JsonValue]:
        counts = visible_counts(reference)
        genes = visible_genes(reference)
        is_detected = np.asarray((counts > 0).mean(axis=0)).ravel() >= self.least_share
        n_genes = int(is_detected.sum())
        if min(n_genes, reference.n_obs) <= self.components:
            raise DataError(
                f"{reference.uns['source']}: PCA with {self.components} components needs more "
                f"reference observations ({reference.n_obs}) and genes ({n_genes}) than components"
            )
        x = log_normalise(counts, self.target_sum)[:, is_detected]
        mean = np.asarray(x.mean(axis=0)).ravel()
        axes = _principal_axes(x, mean, self.components)
        save_file({"mean": mean.astype(np.float32), "axes": axes}, out / _WEIGHTS)
        (out / _GENES).write_text("\n".join(genes[is_detected]) + "\n")
        return {
            "encoder": "pca",
            "origin": f"fitted on {reference.n_obs} units of reference donors",
            "state": "fitted",
            "sha256": sha256(out / _WEIGHTS),
            "genes_sha256": sha256(out / _GENES),
            "pooling": "none",
            "dimension": self.components,
        }

    def embed(
        self,
        pairs: ad.AnnData,
        raw: Path,
        expert: Path,
    ) -> Float32[np.ndarray, "obs dim"]:
        weights, genes = _read_fitted(expert)
        require_genes(pairs, genes, _REMEDY)
        # normalised over all visible genes, as in `freeze`
        x = log_normalise(visible_counts(pairs), self.target_sum)
        columns = visible_genes(pairs).get_indexer(pd.Index(genes))
        projection = x[:, columns] @ weights["axes"].T - weights["mean"] @ weights["axes"].T
        return np.asarray(projection, dtype=np.float32)


def _read_fitted(expert: Path) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return the weights and the gene list of a fitted expert."""
    weights = arrays.read_safetensors(expert / _WEIGHTS, _REMEDY)
    filetypes.require_readable(expert / _GENES, "a list of genes", _REMEDY)
    genes = (expert / _GENES).read_text().split("\n")[:-1]
    shapes = {name: array.shape[-1:] for name, array in weights.items()}
    if shapes != {"mean": (len(genes),), "axes": (len(genes),)}:
        raise DataError(
            f"{expert}: {_WEIGHTS} does not match the {len(genes)} genes of {_GENES}; {_REMEDY}"
        )
    return weights, genes


def _principal_axes(
    x: sparse.csr_matrix, mean: np.ndarray, components: int
) -> Float32[np.ndarray, "components genes"]:
    """Return the leading principal axes, by eigendecomposition of the smaller Gram matrix.

    The loading of largest magnitude of each axis is positive, so that equal data give equal axes.
    """
    n_obs, n_genes = x.shape
    if n_genes <= n_obs:
        gram = np.asarray((x.T @ x).todense(), dtype=np.float64) - n_obs * np.outer(mean, mean)
        first = n_genes - components
        _, vectors = scipy.linalg.eigh(gram, subset_by_index=[first, n_genes - 1])
        axes = vectors[:, ::-1].T
    else:
        dense = np.asarray(x.todense(), dtype=np.float64) - mean
        values, vectors = scipy.linalg.eigh(
            dense @ dense.T, subset_by_index=[n_obs - components, n_obs - 1]
        )
        axes = (dense.T @ vectors / np.sqrt(values)).T[::-1]
    signs = np.sign(axes[np.arange(components), np.abs(axes).argmax(axis=1)])
    return np.ascontiguousarray(axes * signs[:, None], dtype=np.float32)
