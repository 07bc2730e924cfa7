"""Principal axes of a matrix of features, in an order and with signs that the data determine."""

import numpy as np
from jaxtyping import Float, Float32

_ROUNDING = 1e-10  # share of the largest variance below which the variance of an axis is rounding


def principal_axes(x: Float[np.ndarray, "obs d"], n_axes: int) -> Float32[np.ndarray, "d k"]:
    """Return the leading principal axes of `x`, one per column, by falling variance.

    They are the leading eigenvectors of the covariance of the features (Jolliffe 2002, section 2),
    of length 1; the entry of largest absolute value of each is positive. There are `min(n_axes, d)`
    columns; an axis along which `x` does not vary, up to rounding, is zero, as its direction would
    be arbitrary.

    Parameters
    ----------
    x
        Features; they need not be centred.
    n_axes
        Maximal number of axes, 1 or more.
    """
    variances, vectors = np.linalg.eigh(np.cov(x, rowvar=False, dtype=np.float64, ddof=0))
    axes = vectors[:, ::-1][:, :n_axes]
    varies = variances[::-1][:n_axes] > _ROUNDING * variances[-1]
    signs = np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    leading: Float32[np.ndarray, "d k"] = (axes * signs * varies).astype(np.float32)
    return leading
